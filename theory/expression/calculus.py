"""Derivatives of trees, as trees."""

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
    Min,
    Mul,
    Neg,
    Pow,
    Sub,
    Var,
    Where,
    names,
)
from .normal import normal_form
from .rewrite import ONE, ZERO, simplify

_TWO = Const(Fraction(2))


def differentiate(expr: Expr, name: str) -> Expr:
    """The derivative of a tree in the variable `name`, valid off kinks and jumps.

    At a kink of max, min, clip and abs the result is a `Where` between the derivatives of the two
    sides, so its enclosure over a box across the kink is the hull of both: Clarke's generalised
    derivative. A jump of a user's `where` has no derivative; the enclosure reports the jump.
    Class sums must be expanded first (TypeError otherwise).

    >>> from .parse import parse
    >>> str(differentiate(parse("softplus(-t) + max(0, 1 - t)"), "t"))
    '-sigmoid(-t) + where(0 >= 1 - t, 0, -1)'
    """
    return simplify(_derivative(expr, name))


def _derivative(expr: Expr, name: str) -> Expr:
    if name not in names(expr):
        return ZERO
    match expr:
        case Var():
            return ONE
        case Neg(u):
            return Neg(_derivative(u, name))
        case Add(u, v):
            return Add(_derivative(u, name), _derivative(v, name))
        case Sub(u, v):
            return Sub(_derivative(u, name), _derivative(v, name))
        case Mul(u, v):
            return simplify(Add(Mul(_derivative(u, name), v), Mul(u, _derivative(v, name))))
        case Div(u, v) if name not in names(v):
            return Div(_derivative(u, name), v)
        case Div(Const(value), v) if (exponents := _one_plus_exps(v)) is not None:
            return Mul(Const(value), _softmax_derivative(exponents, name))
        case Div(u, v):
            return simplify(Sub(Div(_derivative(u, name), v), Mul(Div(u, Pow(v, _TWO)), _derivative(v, name))))
        case Pow(Max(Const(zero), u) as hinge, Const(value) as e) if zero == 0 and value > 1:
            return Mul(Mul(e, Pow(hinge, Sub(e, ONE))), _derivative(u, name))
        case Pow(u, e) if name not in names(e):
            return Mul(Mul(e, Pow(u, Sub(e, ONE))), _derivative(u, name))
        case Pow(u, e):
            return Mul(expr, _derivative(Mul(e, Call("log", u)), name))
        case Call(function, u):
            return Mul(_outer(function, u), _derivative(u, name))
        case Max(u, v):
            return Where(">=", u, v, _derivative(u, name), _derivative(v, name))
        case Min(u, v):
            return Where("<=", u, v, _derivative(u, name), _derivative(v, name))
        case Clip(u, low, high):
            return _derivative(Min(Max(u, low), high), name)
        case Where(comparison, left, right, yes, no):
            return Where(comparison, left, right, _derivative(yes, name), _derivative(no, name))
    raise TypeError(f"expression node {type(expr).__name__!r} has no derivative; expand class sums first")


def _one_plus_exps(tree: Expr) -> list[Expr] | None:
    """u_1, ..., u_n where the tree is 1 + exp(u_1) + ... + exp(u_n), summed from the left; else None."""
    exponents: list[Expr] = []
    while isinstance(tree, Add) and isinstance(tree.right, Call) and tree.right.name == "exp":
        exponents.insert(0, tree.right.argument)
        tree = tree.left
    return exponents if exponents and tree == ONE else None


def _softmax_derivative(exponents: list[Expr], name: str) -> Expr:
    """The derivative of P = 1 / (1 + sum exp(u_j)): -P sum_j P_j u_j', P_j = 1 / (1 + exp(-u_j) + sum exp(u_i - u_j)).

    Every factor stays in [0, 1] however large the exponents are.
    """
    whole = Div(ONE, _sum_of_exps(exponents))
    total: Expr = ZERO
    for j, exponent in enumerate(exponents):
        rivals = [Neg(exponent), *(Sub(other, exponent) for i, other in enumerate(exponents) if i != j)]
        part = Div(ONE, _sum_of_exps(sorted(map(normal_form, rivals), key=repr)))
        total = Add(total, Mul(part, _derivative(exponent, name)))
    return Neg(Mul(whole, total))


def _sum_of_exps(exponents: list[Expr]) -> Expr:
    total: Expr = ONE
    for exponent in exponents:
        total = Add(total, Call("exp", exponent))
    return total


def _outer(function: str, u: Expr) -> Expr:
    """The derivative of a named function at u."""
    match function:
        case "exp":
            return Call("exp", u)
        case "log":
            return Div(ONE, u)
        case "log1p":
            return Div(ONE, Add(ONE, u))
        case "sqrt":
            return Div(Const(Fraction(1, 2)), Call("sqrt", u))
        case "softplus":
            return Call("sigmoid", u)
        case "sigmoid":
            return Mul(Call("sigmoid", u), Call("sigmoid", Neg(u)))
        case "tanh":
            return Mul(Mul(Const(Fraction(4)), Call("sigmoid", Mul(_TWO, u))), Call("sigmoid", Neg(Mul(_TWO, u))))
        case "atan":
            return Div(ONE, Add(ONE, Pow(u, _TWO)))
        case "abs":
            return Where(">=", u, ZERO, ONE, Const(Fraction(-1)))
    raise TypeError(f"function {function!r} has no derivative rule")
