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
    children,
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
    return _Derivative(name).of(expr)


class _Derivative:
    """The derivative in one variable; parts of a tree that are one object are done once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._done: dict[int, tuple[Expr, Expr]] = {}  # a key is an identity, so its node is kept alive
        self._moves: dict[int, tuple[Expr, bool]] = {}

    def of(self, expr: Expr) -> Expr:
        """d expr / d name."""
        found = self._done.get(id(expr))
        if found is None:
            found = self._done[id(expr)] = expr, self._rule(expr) if self.moves(expr) else ZERO
        return found[1]

    def moves(self, expr: Expr) -> bool:
        """True where the name occurs in the tree."""
        found = self._moves.get(id(expr))
        if found is None:
            here = expr == Var(self.name) if isinstance(expr, Var) else any(map(self.moves, children(expr)))
            found = self._moves[id(expr)] = expr, here
        return found[1]

    def _rule(self, expr: Expr) -> Expr:
        match expr:
            case Var():
                return ONE
            case Neg(u):
                return Neg(self.of(u))
            case Add(u, v):
                return Add(self.of(u), self.of(v))
            case Sub(u, v):
                return Sub(self.of(u), self.of(v))
            case Mul(u, v):
                return simplify(Add(Mul(self.of(u), v), Mul(u, self.of(v))))
            case Div(u, v) if not self.moves(v):
                return Div(self.of(u), v)
            case Div(Const(value), v) if (terms := _exponential_sum(v, self.name)) is not None:
                return Mul(Mul(Const(-value), _log_slope(terms, self.name)), Div(ONE, v))
            case Div(u, v):
                return simplify(Sub(Div(self.of(u), v), Mul(Div(u, Pow(v, _TWO)), self.of(v))))
            case Pow(Max(Const(zero), u) as hinge, Const(value) as e) if zero == 0 and value > 1:
                return Mul(Mul(e, Pow(hinge, Sub(e, ONE))), self.of(u))
            case Pow(u, e) if not self.moves(e):
                return Mul(Mul(e, Pow(u, Sub(e, ONE))), self.of(u))
            case Pow(u, e):
                return Mul(expr, self.of(Mul(e, Call("log", u))))
            case Call("log", u) if (terms := _exponential_sum(normal_form(u), self.name)) is not None:
                return _log_slope(terms, self.name)
            case Call("log1p", u) if (terms := _exponential_sum(normal_form(Add(ONE, u)), self.name)) is not None:
                return _log_slope(terms, self.name)
            case Call(function, u):
                return Mul(_outer(function, u), self.of(u))
            case Max(u, v):
                return Where(">=", u, v, self.of(u), self.of(v))
            case Min(u, v):
                return Where("<=", u, v, self.of(u), self.of(v))
            case Clip(u, low, high):
                return self.of(Min(Max(u, low), high))
            case Where(comparison, left, right, yes, no):
                return Where(comparison, left, right, self.of(yes), self.of(no))
        raise TypeError(f"expression node {type(expr).__name__!r} has no derivative; expand class sums first")


Terms = list[tuple[Expr, Expr]]


def _exponential_sum(tree: Expr, name: str) -> Terms | None:
    """(c_i, u_i) where the tree is a sum of at least two terms c_i exp(u_i), c_i free of the variable; else None."""
    if isinstance(tree, Add):
        left, right = _exponential_sum(tree.left, name), _exponential_sum(tree.right, name)
        return None if left is None or right is None else left + right
    match tree:
        case Call("exp", u):
            return [(ONE, u)]
        case _ if name not in names(tree):
            return [(tree, ZERO)]
        case Mul(c, u) if name not in names(c):
            inner = _exponential_sum(u, name)
            return None if inner is None else [(simplify(Mul(c, each)), exponent) for each, exponent in inner]
    return None


def _log_slope(terms: Terms, name: str) -> Expr:
    """The derivative of log(sum c_i exp(u_i)): sum_j u_j' / (sum_i (c_i / c_j) exp(u_i - u_j)).

    Every quotient stays in [0, 1] for positive c_i, however large the exponents are.
    """
    total: Expr = ZERO
    for own, exponent in terms:
        slope = simplify(_derivative(exponent, name))
        if slope == ZERO:
            continue
        shares = []
        for weight, other in terms:
            ratio = ONE if weight == own else simplify(Div(weight, own))
            shares.append(simplify(Mul(ratio, Call("exp", normal_form(Sub(other, exponent))))))
        shares.sort(key=lambda share: (share != ONE, repr(share)))
        below = shares[0]
        for share in shares[1:]:
            below = Add(below, share)
        total = Add(total, Div(slope, simplify(below)))
    return simplify(total)


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
