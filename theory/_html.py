"""Tables for notebooks: plain HTML, every text in it escaped, no script, no style from anywhere else.

Losses are named by their users, so a name may hold anything; it enters a page as text and as nothing else.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from fractions import Fraction
from math import isfinite
from typing import Any

_DIGITS = 6


def number(value: object) -> str:
    """A number with six significant digits; a dash for None, plain words for what is not finite.

    >>> number(1 / 3), number(None), number(float("inf")), number("as it is")
    ('0.333333', '-', 'inf', 'as it is')
    """
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
        return str(value)
    return f"{float(value):.6g}" if isfinite(value) else str(float(value))


def at_least(value: object) -> str:
    """A lower bound with six significant digits, rounded down, so that what is shown holds too.

    >>> at_least(Fraction(2, 3)), at_least(Fraction(-2, 3)), at_least(0.25)
    ('0.666666', '-0.666667', '0.25')
    """
    return _rounded(value, ROUND_FLOOR)


def at_most(value: object) -> str:
    """An upper bound with six significant digits, rounded up.

    >>> at_most(Fraction(2, 3)), at_most(1e-30), at_most(float("inf"))
    ('0.666667', '1.00001e-30', 'inf')
    """
    return _rounded(value, ROUND_CEILING)


def _rounded(value: object, rounding: str) -> str:
    if not isinstance(value, (int, float, Fraction)) or isinstance(value, bool) or not isfinite(value):
        return number(value)
    exact = Fraction(value)
    with localcontext(Context(prec=_DIGITS, rounding=rounding)) as context:
        return f"{context.divide(Decimal(exact.numerator), Decimal(exact.denominator)).normalize():g}"


def pairs(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A table of names and values; rows whose value is None are left out.

    >>> pairs("<b>", [("gap", None), ("loss", "a < b")])
    '<table><caption>&lt;b&gt;</caption><tr><th>loss</th><td>a &lt; b</td></tr></table>'
    """
    body = "".join(
        f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows if value is not None
    )
    return f"<table><caption>{_text(title)}</caption>{body}</table>"


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with one line per row, every cell escaped.

    >>> table("t", ["x"], [[0.5], ["<i>"]])
    '<table><caption>t</caption><tr><th>x</th></tr><tr><td>0.5</td></tr><tr><td>&lt;i&gt;</td></tr></table>'
    """
    head = "".join(f"<th>{_text(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{_text(title)}</caption><tr>{head}</tr>{body}</table>"


def short(text: object, length: int = 60) -> str:
    """One line of at most `length` characters.

    >>> short("a formula that goes on", 12)
    'a formula...'
    """
    line = " ".join(str(text).split())
    return line if len(line) <= length else f"{line[: length - 3].rstrip()}..."


def _text(value: Any) -> str:
    return html.escape(number(value), quote=True)
