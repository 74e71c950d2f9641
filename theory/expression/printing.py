"""Trees printed as formulas that parse back to the same tree."""

from __future__ import annotations

from fractions import Fraction

from .nodes import Add, Call, Clip, Const, Div, Expr, Max, MaxOther, Min, Mul, Neg, Pi, Pow, Sub, SumOther, Var, Where

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
        return f"-{_constant(-value)[0]}", _SIGN if value.denominator == 1 or _terminates(value) else _PRODUCT
    if value.denominator == 1:
        return str(value.numerator), _ATOM
    if _terminates(value):
        return _decimal(value), _ATOM
    return f"{value.numerator} / {value.denominator}", _PRODUCT


def _terminates(value: Fraction) -> bool:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1 and value.denominator <= 10**30


def _decimal(value: Fraction) -> str:
    places = 1
    while (value * 10**places).denominator != 1:
        places += 1
    digits = str((value * 10**places).numerator).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}"


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
        case Max(left, right):
            return f"max({to_text(left)}, {to_text(right)})", _ATOM
        case Min(left, right):
            return f"min({to_text(left)}, {to_text(right)})", _ATOM
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
