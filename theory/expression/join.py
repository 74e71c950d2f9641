"""A continuous `where` written with max and min, so that rules for continuous trees apply to it.

If `where(v > g, A, B)` has A = B at v = g, it is A[v -> max(v, g)] + B[v -> min(v, g)] - A[v -> g]: for v > g the
last two terms cancel, for v <= g the first and the last do. Here v is a name on which the sides of the comparison
depend linearly, and g does not hold v.
"""

from __future__ import annotations

from fractions import Fraction

from .enclosure import enclose
from .interval import INF, NEG_INF, Interval, Undefined
from .nodes import (
    Call,
    Const,
    Div,
    Expr,
    Max,
    MaxOther,
    Min,
    Pow,
    Sub,
    SumOther,
    Var,
    Where,
    names,
    rebuild,
    substitute,
    walk,
)
from .normal import TooLarge, from_polynomial, normal_form, polynomial, same_function
from .rewrite import simplify, stabilise

_ZERO = Fraction(0)
_LINE = Interval(NEG_INF, INF)
_UNIT = Interval.between(Fraction(0), Fraction(1))
_RANGES = {"q": _UNIT, "qk": _UNIT, "c": Interval.between(Fraction(2), float("inf"))}


def join(tree: Expr) -> Expr:
    """The tree with every `where` joined whose branches certainly agree where it switches.

    >>> from .parse import parse
    >>> str(join(parse("where(t > 1, 0, 1 - t)")))
    '1 - min(t, 1)'
    >>> str(join(parse("where(t > 1, 0, 2 - t)")))
    'where(t > 1, 0, 2 - t)'
    """
    if not any(isinstance(node, Where) for node in walk(tree)):
        return tree
    return stabilise(rebuild(tree, lambda node: _joined(node) if isinstance(node, Where) else node))


def _joined(node: Where) -> Expr:
    difference = node.left - node.right
    branches = node.yes, node.no
    if "q" in names(difference) and not names(difference) & {"fy", "lse", "alpha"}:
        # log q is written fy - lse; here q must be one name
        logs = {"fy": Call("log", Var("q")) + Var("lse")}
        branches = tuple(_logs_of_constants(normal_form(substitute(branch, logs))) for branch in branches)  # type: ignore[assignment]
    for name in sorted(names(difference), key=lambda each: (each not in ("q", "alpha", "t", "v"), each)):
        solved = _solve(difference, name)
        if solved is None:
            continue
        edge, rising = solved
        above, below = branches if (node.comparison in (">", ">=")) == rising else branches[::-1]
        ends = [_at(branch, name, edge) for branch in (above, below)]
        if None in ends or not same_function(*(_logs_of_constants(end) for end in ends)):  # type: ignore[arg-type]
            continue
        assert ends[0] is not None
        high, low = (
            substitute(branch, {name: _kinked(kind, name, edge)}) for kind, branch in ((Max, above), (Min, below))
        )
        joined = normal_form(high + low - ends[0])
        return node if _nested(joined) else joined
    return node


def _nested(tree: Expr) -> bool:
    """A class sum or maximum stands inside another, where its own f_k would be taken for the outer one's."""
    sums = [node for node in walk(tree) if isinstance(node, (SumOther, MaxOther))]
    return any(isinstance(inner, (SumOther, MaxOther)) for node in sums for inner in walk(node.body))


def _kinked(kind: type[Max] | type[Min], name: str, edge: Expr) -> Expr:
    """max(v, g) or min(v, g), as g + max(v - g, 0) where g is not a number, so that shifts of all scores cancel."""
    if isinstance(edge, Const):
        return kind(Var(name), edge)
    return edge + kind(normal_form(Var(name) - edge), Const(_ZERO))


def _solve(difference: Expr, name: str) -> tuple[Expr, bool] | None:
    """g with difference = k (name - g), k a number, and whether k > 0; None where it is not so."""
    try:
        terms = polynomial(difference)
    except TooLarge:
        return None
    own = ((Var(name), 1),)
    slope = terms.pop(own, _ZERO)
    if not slope or any(name in names(atom) for monomial in terms for atom, _ in monomial):
        return None
    rest = {monomial: -value / slope for monomial, value in terms.items()}
    return from_polynomial(rest), slope > 0


def _at(branch: Expr, name: str, edge: Expr) -> Expr | None:
    """The branch at its edge; None where it may have no value there for some values of the other names."""
    for node in walk(branch):
        risky = singular_part(node)
        if risky is not None and not _is_positive(simplify(substitute(risky, {name: edge}))):
            return None
    return _settled(substitute(branch, {name: edge}))


def _settled(tree: Expr) -> Expr:
    """The tree with every max and min decided whose sides differ by a number."""

    def decide(node: Expr) -> Expr:
        if not isinstance(node, (Max, Min)):
            return node
        try:
            terms = polynomial(node.left - node.right)
        except TooLarge:
            return node
        if terms.keys() - {()}:
            return node
        return node.left if (terms.get((), _ZERO) >= 0) == isinstance(node, Max) else node.right

    return simplify(rebuild(tree, decide))


def _is_positive(tree: Expr) -> bool:
    """True where a tree is bounded below by a positive number whatever its names stand for."""
    box = {name: _RANGES.get(name, _LINE) for name in names(tree)}
    try:
        return bool(enclose(tree, box).range.lo > 0)
    except (Undefined, TypeError):
        return False


def singular_part(node: Expr) -> Expr | None:
    """The part of a node, if any, at whose zero (or below it) the node may have no value: it has one where that is > 0.

    >>> from .parse import parse
    >>> str(singular_part(parse("log(1 + t)")))
    '1 + t'
    """
    match node:
        case Call("log" | "sqrt", u):
            return u
        case Call("log1p", u):
            return 1 + u
        case Div(_, v):
            return None if isinstance(v, Const) and v.value else v
        case Pow(base, Const(value)) if value.denominator == 1 and value > 0:
            return None
        case Pow(base, _):
            return base
    return None


def _logs_of_constants(tree: Expr) -> Expr:
    """The tree with log(n / d) of numbers as log(n) - log(d)."""

    def change(node: Expr) -> Expr:
        match node:
            case Call("log", Const(value)) if value > 0 and value.denominator != 1:
                above = Call("log", Const(Fraction(value.numerator)))
                below = Call("log", Const(Fraction(value.denominator)))
                return -below if value.numerator == 1 else Sub(above, below)
        return node

    return rebuild(tree, change)
