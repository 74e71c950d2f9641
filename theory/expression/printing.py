"""Trees printed as formulas that parse back to the same tree."""

from __future__ import annotations

from fractions import Fraction

from .nodes import (
    Add,
    Call,
    Clip,
    Const,
    Div,
    Expr,
    Max,
    MaxOther,
    Min,
    Mul,
    Neg,
    Pi,
    Pow,
    Sub,
    SumOther,
    Var,
    Where,
    print_with,
)

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)


def to_text(expr: Expr) -> str:
    """The formula of a tree, with brackets only where they are needed.

    `parse(to_text(tree)) == tree` for every tree that the parser makes; a constant that no literal
    writes (2/3) is printed as a quotient.

    >>> to_text(Const(Fraction(1, 10)) * (Var("t") - 1))
    '0.1 * (t - 1)'
    """
    return _print(expr)[0]


def _at_least(expr: Expr, level: int) -> str:
    text, own = _print(expr)
    return text if own >= level else f"({text})"


def _constant(value: Fraction) -> tuple[str, int]:
    if value < 0:
        text, level = _constant(-value)
        return f"-{text}", min(level, _SIGN)
    if not _terminates(value):
        return f"{value.numerator} / {value.denominator}", _PRODUCT
    digits, exponent = _scientific(value)
    if 0 <= exponent <= 20:
        return str(value.numerator), _ATOM
    if -20 <= exponent < 0:
        padded = str(digits).rjust(1 - exponent, "0")
        return f"{padded[:exponent]}.{padded[exponent:]}", _ATOM
    return f"{digits}e{exponent}", _ATOM


def _terminates(value: Fraction) -> bool:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _scientific(value: Fraction) -> tuple[int, int]:
    """m and k with value = m * 10**k, m not divisible by 10 (0 as 0, 0)."""
    exponent = 0
    while value.denominator != 1:
        value *= 10
        exponent -= 1
    digits = value.numerator
    while digits and digits % 10 == 0:
        digits //= 10
        exponent += 1
    return digits, exponent


def _chain(expr: Max | Min) -> list[Expr]:
    """The arguments of max(a, b, c), which is max(max(a, b), c)."""
    parts: list[Expr] = []
    node: Expr = expr
    while type(node) is type(expr):
        assert isinstance(node, (Max, Min))
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


def _print(expr: Expr) -> tuple[str, int]:
    match expr:
        case Const(value):
            return _constant(value)
        case Pi():
            return "pi", _ATOM
        case Var(name):
            return name, _ATOM
        case Neg(operand):
            return f"-{_at_least(operand, _SIGN)}", _SIGN
        case Add(left, right):
            return f"{_at_least(left, _SUM)} + {_at_least(right, _PRODUCT)}", _SUM
        case Sub(left, right):
            return f"{_at_least(left, _SUM)} - {_at_least(right, _PRODUCT)}", _SUM
        case Mul(left, right):
            return f"{_at_least(left, _PRODUCT)} * {_at_least(right, _SIGN)}", _PRODUCT
        case Div(left, right):
            return f"{_at_least(left, _PRODUCT)} / {_at_least(right, _SIGN)}", _PRODUCT
        case Pow(base, exponent):
            return f"{_at_least(base, _ATOM)}**{_at_least(exponent, _SIGN)}", _POWER
        case Call(name, argument):
            return f"{name}({to_text(argument)})", _ATOM
        case Max() | Min():
            name = "max" if isinstance(expr, Max) else "min"
            return f"{name}({', '.join(map(to_text, _chain(expr)))})", _ATOM
        case Clip(value, low, high):
            return f"clip({to_text(value)}, {to_text(low)}, {to_text(high)})", _ATOM
        case Where(comparison, left, right, yes, no):
            condition = f"{to_text(left)} {comparison} {to_text(right)}"
            return f"where({condition}, {to_text(yes)}, {to_text(no)})", _ATOM
        case SumOther(body):
            return f"sum_other({to_text(body)})", _ATOM
        case MaxOther(body):
            return f"max_other({to_text(body)})", _ATOM
    raise TypeError(f"expression node {type(expr).__name__!r} must be one of the nodes in theory.expression.nodes")


print_with(to_text)
