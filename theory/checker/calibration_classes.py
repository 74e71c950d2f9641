"""Certificates of the claim `calibration` for several classes: bounds of delta at some epsilon, and of its envelope.

delta(eps) is the least gap over posteriors p and wrong classes j with max p - p_j >= eps, so it does not fall in
eps: a lower bound at eps holds above eps too. psi is the largest convex function below delta on [0, 1], delta(0) = 0.
The evidence is a list of the bounds that `theory.checker.cone_gap` verifies; or, for piecewise linear losses, the
weights that certify delta(eps) >= kappa eps (`theory.checker.polyhedral_proofs`) and wrong scores at some posteriors,
whose gap is a minimum over vertices. Proofs: docs/theory/calibration.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

from .arrangement import arrange, losses_at
from .calibration_proofs import check_convex, read_vertices
from .calibration_rules import value
from .cone import Cone
from .cone_gap import verify_gap
from .polyhedral_proofs import verify_polyhedral
from .polyhedral_rules import distinct_losses, dot
from .reading import CertificateError, Refused, get, number, read_multiclass, vector

_ZERO, _ONE = Fraction(0), Fraction(1)
Bounds = dict[Fraction, Fraction]


def verify_calibration_classes(data: Mapping[str, Any]) -> int:
    """Verify the bounds of delta and of its convex envelope; returns the number of leaves or vertices."""
    psi = get(data, "psi", dict)
    lower, upper = read_vertices(psi, "lower", _ONE), read_vertices(psi, "upper", None)
    check_convex(lower, upper)
    if "kappa" in data:
        count, kappa, above = _polyhedral(data)
        below: Bounds = {}
    else:
        count, below, above = _cone(data)
        kappa = _ZERO
    if any(y > kappa * x for x, y in lower) and not _under_steps(lower, below):
        raise Refused("the lower bound of psi is not certified")
    for epsilon, top in upper[1:]:
        if epsilon not in above or top < above[epsilon]:
            raise Refused(f"the upper bound at epsilon={epsilon} is not certified")
    for entry in get(data, "gap", list):
        if not isinstance(entry, list) or len(entry) != 3:
            raise CertificateError("certificate entry 'gap' must hold triples of epsilon and two bounds")
        epsilon, low, high = (number(text, "gap") for text in entry)
        known = max([_ZERO, kappa * epsilon, *(gap for eps, gap in below.items() if eps <= epsilon)])
        if not 0 < epsilon <= 1 or low > known or epsilon not in above or high < above[epsilon]:
            raise Refused(f"the bounds of delta at epsilon={epsilon} are not certified")
    return count


def _under_steps(lower: list[tuple[Fraction, Fraction]], below: Bounds) -> bool:
    """True where a convex function is below the steps: 0 up to the first epsilon, then the largest bound so far."""
    ends, height = [_ZERO, *sorted(below), _ONE], _ZERO
    for left, right in pairwise(ends):
        height = max(height, below.get(left, _ZERO))
        if left < right and max(value(lower, left), value(lower, right)) > height:
            return False
    return value(lower, _ONE) <= max([_ZERO, *below.values()])


def _cone(data: Mapping[str, Any]) -> tuple[int, Bounds, Bounds]:
    """Bounds of delta from trees over boxes of gaps."""
    tree, classes, kind, limit, vectors = read_multiclass(data)
    if vectors:
        raise Refused("trees on the cone are for losses that treat all labels alike")
    cone = Cone(tree, classes, kind, limit)
    count = 0
    below: Bounds = {}
    above: Bounds = {}
    for block in get(data, "bounds", list):
        count += verify_gap(cone, block, lambda text: number(text, "bounds"))
        epsilon = number(block["epsilon"], "epsilon")
        below[epsilon] = max(number(block["gap"], "gap"), below.get(epsilon, _ZERO))
        if block.get("upper") is not None:
            above[epsilon] = number(block["upper"]["value"], "value")
    return count, below, above


def _polyhedral(data: Mapping[str, Any]) -> tuple[int, Fraction, Bounds]:
    """kappa, and exact gaps of single posteriors, of a piecewise linear loss."""
    count = verify_polyhedral(data, "consistent")
    tree, classes, kind, limit, vectors = read_multiclass(data)
    losses, _ = distinct_losses(arrange(tree, classes, kind, limit, vectors))
    above: Bounds = {}
    for entry in get(data, "points", list):
        p, scores = vector(entry, "p", classes), vector(entry, "scores", classes)
        epsilon = number(get(entry, "epsilon", str), "epsilon")
        if (kind == "sum-zero" and sum(scores) != 0) or (limit is not None and max(map(abs, scores)) > limit):
            raise Refused("the wrong scores lie outside the domain")
        if min(p) < 0 or sum(p) != 1:
            raise Refused("a posterior must have entries >= 0 that sum to 1")
        if not any(scores[j] == max(scores) and max(p) - p[j] >= epsilon > 0 for j in range(classes)):
            raise Refused(f"no class on top at the stated scores is wrong by {epsilon}")
        gap = dot(losses_at(tree, scores, vectors), p) - min(dot(each, p) for each in losses)
        above[epsilon] = min(gap, above.get(epsilon, gap))
    return count, number(get(data, "kappa", str), "kappa"), above
