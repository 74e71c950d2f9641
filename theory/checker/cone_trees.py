"""Trees of sorted scores brought into shape: order known from the signs of gaps, kinked terms, shifts: trusted.

The names w_k and s stand for numbers >= 0, positive inside a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from theory.expression.expand import expand
from theory.expression.join import singular_part
from theory.expression.nodes import (
    Add,
    Call,
    Clip,
    Const,
    Expr,
    Max,
    MaxOther,
    Min,
    Neg,
    Sub,
    Var,
    Where,
    names,
    rebuild,
    substitute,
    walk,
)
from theory.expression.normal import TooLarge, normal_form, polynomial, same_function
from theory.expression.rewrite import simplify

_ZERO = Fraction(0)
_INCREASING = ("exp", "log", "log1p", "sqrt", "softplus", "sigmoid", "tanh", "atan")


def resolve(tree: Expr) -> Expr:
    """The tree with every max and min decided whose sides differ by gaps with coefficients of one sign."""

    def decide(node: Expr) -> Expr:
        if not isinstance(node, (Max, Min)):
            return node
        sign = _sign_of_difference(node.left, node.right)
        if sign is None:
            return node
        return node.left if (sign > 0) == isinstance(node, Max) else node.right

    return simplify(rebuild(tree, decide))


def shorten(tree: Expr) -> Expr:
    """The tree with the arguments of functions in normal form where that is shorter, as in log(1 + u - 1)."""

    def change(node: Expr) -> Expr:
        if not isinstance(node, Call):
            return node
        short = normal_form(node.argument)
        return Call(node.name, short) if _size(short) < _size(node.argument) else node

    return rebuild(tree, change)


def _size(tree: Expr) -> int:
    return sum(1 for _ in walk(tree))


def resolve_where(tree: Expr) -> Expr:
    """The tree with every comparison decided whose sides differ by gaps with coefficients of one sign.

    Sides that are equal everywhere, or only where all those gaps vanish, count by the sign inside the cone.
    """

    def decide(node: Expr) -> Expr:
        if not isinstance(node, Where):
            return node
        sign = _sign_of_difference(node.left, node.right)
        if sign is None or same_function(node.left, node.right):
            return node
        return node.yes if (sign > 0) == (node.comparison in (">", ">=")) else node.no

    return rebuild(tree, decide)


def _sign_of_difference(left: Expr, right: Expr) -> int | None:
    """The sign of left - right inside the cone; the same increasing function is taken off both sides."""
    while isinstance(left, Call) and isinstance(right, Call) and left.name == right.name in _INCREASING:
        left, right = left.argument, right.argument
    return sign_of_gaps(left - right)


def sign_of_gaps(tree: Expr) -> int | None:
    """The sign that a tree certainly has where all gaps are positive, 1 or -1 (an identical 0 counts as 1); else None.

    Gaps are the names w_k and s; sums of terms of one sign, and max and min of such sums, are decided.
    """
    try:
        terms = polynomial(tree)
    except TooLarge:
        return None
    kinks = [monomial[0][0] for monomial in terms if len(monomial) == 1 and isinstance(monomial[0][0], (Max, Min))]
    if kinks and abs(terms.get(((kinks[0], 1),), _ZERO)) == 1:
        return _sign_of_kink(kinks[0], terms[((kinks[0], 1),)] > 0, tree)
    signs = {_sign_of_term(monomial, value) for monomial, value in terms.items()}
    return signs.pop() if len(signs) == 1 else None if signs else 1


def _sign_of_kink(kink: Max | Min, positive: bool, tree: Expr) -> int | None:
    """The sign of kink + rest or rest - kink: the rest is moved into both sides."""
    rest = tree - kink if positive else tree + kink
    sides = [sign_of_gaps(rest + side if positive else rest - side) for side in (kink.left, kink.right)]
    strong = 1 if isinstance(kink, Max) == positive else -1
    return strong if strong in sides else None if None in sides else -strong


def _sign_of_term(monomial: tuple[tuple[Expr, int], ...], value: Fraction) -> int | None:
    for atom, _ in monomial:
        if not (isinstance(atom, Var) and (atom.name == "s" or atom.name.startswith("w"))):
            return None
    return 1 if value > 0 else -1


def weighted(weights: Sequence[Fraction], parts: Sequence[Expr]) -> Expr:
    """The sum of the parts by their weights; a weight of 0 leaves its part out."""
    total: Expr = Const(_ZERO)
    for weight, part in zip(weights, parts, strict=True):
        if weight:
            total = total + Const(weight) * part
    return simplify(total)


def smooth_and_kinked(tree: Expr) -> tuple[Expr, Expr]:
    """The terms of the sum at the top of a tree, those without and those with kinks."""
    zero: Expr = Const(_ZERO)
    parts = [zero, zero]
    for term in _additive(tree):
        kinked = any(
            isinstance(node, (Max, Min, Clip, Where, MaxOther)) or node in (Var("alpha"),) or _is_abs(node)
            for node in walk(term)
        )
        parts[kinked] = parts[kinked] + term
    return parts[0], parts[1]


def _is_abs(node: Expr) -> bool:
    return isinstance(node, Call) and node.name == "abs"


def _additive(tree: Expr) -> list[Expr]:
    """The terms of the sum at the top of a tree."""
    if isinstance(tree, Add):
        return _additive(tree.left) + _additive(tree.right)
    if isinstance(tree, Sub):
        return _additive(tree.left) + [Neg(part) for part in _additive(tree.right)]
    return [tree]


def shift_invariant(tree: Expr, classes: int) -> bool:
    """True where adding `a` to every score certainly changes no loss, nor whether it has a value.

    So `a` must go away in the loss as a whole and in each denominator, base of a power and argument of log or sqrt.
    """
    points: list[Expr] = [Var(f"f{k}") for k in range(classes)]
    shift = {name: Var(name) + Var("a") for name in ("fy", "fk", "lse")}
    moved = substitute(tree, shift)
    for label in range(classes):
        expanded = expand(moved, label, points)
        parts = [part for node in walk(expanded) if (part := singular_part(node)) is not None]
        if any("a" in names(rebuild(part, normal_form)) for part in [expanded, *parts]):
            return False
    return True
