"""Sums of quotients over one denominator: bounds of the whole where bounds of the parts say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from .nodes import Add, Const, Div, Expr, Mul, Neg, Sub
from .normal import normal_form, same_function
from .rewrite import simplify

_ONE = Fraction(1)


def excess(expr: Expr, value: Fraction) -> tuple[Expr, Expr] | None:
    """N and D with expr - value = N / D wherever expr is real; None unless all quotients in the sum share D.

    Equal terms of N are collected, their own factors are left as they stand.

    >>> from .nodes import Var
    >>> u, v = Var("u"), Var("v")
    >>> [str(part) for part in excess(u / (u + v) + Const(Fraction(2)) * v / (v + u), _ONE)]
    ['v', 'u + v']
    """
    parts = list(_quotients(expr, _ONE))
    below = next((divisor for _, _, divisor in parts if divisor is not None), None)
    if below is None or not all(v is None or v is below or same_function(v, below) for _, _, v in parts):
        return None
    terms = _Terms()
    for scale, over, divisor in parts:
        if divisor is None and isinstance(over, Const):
            terms.add(below, scale * over.value)
        else:
            terms.add(over if divisor is not None else over * below, scale)
    terms.add(below, -value)
    return terms.total(), below


def _quotients(expr: Expr, scale: Fraction) -> Iterator[tuple[Fraction, Expr, Expr | None]]:
    """The terms of a sum as multiples of quotients: factor, numerator, denominator or None."""
    match expr:
        case Neg(u):
            yield from _quotients(u, -scale)
        case Add(u, v):
            yield from _quotients(u, scale)
            yield from _quotients(v, scale)
        case Sub(u, v):
            yield from _quotients(u, scale)
            yield from _quotients(v, -scale)
        case Mul(Const(factor), u) | Mul(u, Const(factor)):
            yield from _quotients(u, scale * factor)
        case Div(u, v) if not isinstance(v, Const):
            yield scale, u, v
        case _:
            yield scale, expr, None


class _Terms:
    """A sum of multiples of trees; trees with the same normal form are one term."""

    def __init__(self) -> None:
        self._found: dict[Expr, tuple[Fraction, Expr]] = {}

    def add(self, expr: Expr, scale: Fraction) -> None:
        """Add a multiple of a tree, its sums taken apart."""
        for factor, term, divisor in _quotients(expr, scale):
            whole = term if divisor is None else Div(term, divisor)
            if isinstance(whole, Const):
                factor, whole = factor * whole.value, Const(_ONE)
            key = normal_form(whole)
            held, first = self._found.get(key, (Fraction(0), whole))
            self._found[key] = held + factor, first

    def total(self) -> Expr:
        """The sum as a tree."""
        result: Expr = Const(Fraction(0))
        for factor, term in self._found.values():
            if factor:
                result = result + Const(factor) * term
        return simplify(result)
