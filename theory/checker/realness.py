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
from theory.expression.nodes import Expr, MaxOther, Neg, SumOther, Var, rebuild
from theory.expression.probability import log_probabilities

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

    pieces.append(rebuild(log_probabilities(written), cut))
    return all(map(region.real, pieces))
