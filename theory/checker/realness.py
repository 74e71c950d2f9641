"""Whether a formula of several classes is real for all scores, as it is written.

Rewriting may fold away what has no value (0 * log(f_y) is 0 nowhere but where f_y > 0), so the question is asked of
the formula as parsed. Each name ranges over all values that it can take on the domain, independently of the others,
and a class sum or maximum over all reals of the sign that its body certainly has: what is real then is real for all
scores. The converse does not hold; a formula that is not seen to be real is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import inf

from theory.expression.interval import Interval
from theory.expression.nodes import (
    Add,
    Call,
    Const,
    Expr,
    MaxOther,
    Mul,
    Neg,
    Sub,
    SumOther,
    Var,
    rebuild,
    with_parts,
)

from .region import Region

_LINE, _POSITIVE, _UNIT = (
    Interval.between(*ends) for ends in ((-inf, inf), (Fraction(0), inf), (Fraction(0), Fraction(1)))
)
_ANY, _PLUS, _WEAK = Var("any"), Var("plus"), Var("weak")


SUMS = {"any": _LINE, "plus": _POSITIVE, "weak": _POSITIVE}
"""Names that stand for class sums and maxima of any, positive and nonnegative value."""


def real_as_written(
    written: Expr, classes: int, bound: Fraction | None, vectors: Mapping[str, tuple[Fraction, ...]]
) -> bool:
    """Every operation of the formula has a real value, whatever scores in the domain its names come from."""
    line = _LINE if bound is None else Interval.between(-bound, bound)
    lead = _LINE if bound is None else Interval.between(-2 * bound, 2 * bound)
    box = {"fy": line, "fk": line, "alpha": lead, "lse": _LINE, "q": _UNIT, "qk": _UNIT}
    box |= SUMS | {"c": Interval.point(Fraction(classes))}
    for name, values in vectors.items():
        box |= dict.fromkeys((name, f"{name}k"), Interval.between(min(values), max(values)))
    return real_on(written, Region(box, None, False, frozenset(), ("q", "qk", "plus")))


def real_on(written: Expr, region: Region) -> bool:
    """The same on a region, which gives values to the scores and to the names of `SUMS`."""
    pieces: list[Expr] = []

    def cut(node: Expr) -> Expr:
        if not isinstance(node, (SumOther, MaxOther)):
            return node
        pieces.append(node.body)
        sign = region.sign(node.body)
        if sign in ("+", "-"):
            return _PLUS if sign == "+" else Neg(_PLUS)
        return _WEAK if sign in (">=", "0") else _ANY

    pieces.append(rebuild(_log_probabilities(written), cut))
    return all(map(region.real, pieces))


def _log_probabilities(tree: Expr) -> Expr:
    """lse - fy as -log(q), lse - fk as -log(qk), in sums of names: both are real for all scores."""
    sums = _linear(tree)
    if sums is None:
        return with_parts(tree, _log_probabilities)
    scale = sums.get("lse", Fraction(0))
    for score, probability in (("fy", "q"), ("fk", "qk")):
        if scale != 0 and sums.get(score) == -scale:
            rest = {name: value for name, value in sums.items() if name not in ("lse", score)}
            total: Expr = Const(-scale) * Call("log", Var(probability))
            for name, value in rest.items():
                total = total + (Const(value) * Var(name) if name else Const(value))
            return total
    return tree


def _linear(tree: Expr) -> dict[str, Fraction] | None:
    """The factors of the names in a sum of multiples of names, that of 1 under ""; None for other trees."""
    match tree:
        case Const(value):
            return {"": value}
        case Var(name):
            return {name: Fraction(1)}
        case Neg(u):
            return _scaled(_linear(u), Fraction(-1))
        case Mul(Const(value), u) | Mul(u, Const(value)):
            return _scaled(_linear(u), value)
        case Add(u, v) | Sub(u, v):
            left, right = _linear(u), _linear(v)
            right = _scaled(right, Fraction(-1)) if isinstance(tree, Sub) else right
            if left is None or right is None:
                return None
            return {name: left.get(name, Fraction(0)) + right.get(name, Fraction(0)) for name in {**left, **right}}
    return None


def _scaled(sums: dict[str, Fraction] | None, factor: Fraction) -> dict[str, Fraction] | None:
    return None if sums is None else {name: factor * value for name, value in sums.items()}
