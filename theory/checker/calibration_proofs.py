"""Certificates of the claim `calibration`: psi lies between two piecewise linear functions of theta. Trusted.

`theory.checker.calibration_rules` says what the entries are and what follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from theory.expression.interval import Interval

from .binary_proofs import verify_real
from .binary_rules import Problem
from .calibration_rules import Knot, Points, Side, above, below, cells, far, kept, least, runs, value
from .reading import MAX_BOXES, CertificateError, Refused, end, get, number

_ZERO, _HALF = Fraction(0), Fraction(1, 2)


def verify_calibration(data: Mapping[str, Any], problem: Problem) -> int:
    """Verify that psi lies between two piecewise linear functions, and the stated gaps and slope; counts boxes."""
    verify_real(data, problem)
    sides = read_sides(data, problem)
    span = max(side.span for side in sides)
    psi = get(data, "psi", dict)
    lower, upper = read_vertices(psi, "lower", span), read_vertices(psi, "upper", span)
    check_convex(lower, upper)
    for side in sides:
        inside = [(x, y) for x, y in lower if x < side.span] + [(side.span, value(lower, side.span))]
        if (reason := side.supports(inside)) is not None:
            raise Refused(reason)
    for theta, top in upper[1:]:
        if top < gap_upper(sides, theta):
            raise Refused(f"the upper bound at theta={theta} is not certified")
    for entry in get(data, "gap", list):
        if not isinstance(entry, list) or len(entry) != 3:
            raise CertificateError("certificate entry 'gap' must hold triples of theta and two bounds")
        theta, low, high = (number(text, "gap") for text in entry)
        if not 0 < theta <= span or low > gap_lower(sides, theta) or high < gap_upper(sides, theta):
            raise Refused(f"the bounds of the gap at theta={theta} are not certified")
    if data.get("slope") is not None:
        ((low_text, high_text),) = _pairs({"slope": [data["slope"]]}, "slope")
        low, high = number(low_text, "slope"), number(high_text, "slope")
        if len(sides) != 1 or sides[0].start is None or low > sides[0].start[0] or high < sides[0].start[1]:
            raise Refused("the slope of the gap at 0 is not certified")
    return sum(side.boxes for side in sides)


def read_sides(data: Mapping[str, Any], problem: Problem) -> list[Side]:
    """Both sides of the threshold, or the one that stands for both when phi(t) is asked about 1/2."""
    one = problem.phi is not None and problem.threshold == _HALF
    problems = [problem] if one else [problem, problem.mirrored()]
    entries = get(data, "sides", list)
    if len(entries) != len(problems):
        raise Refused(f"the certificate has {len(entries)} sides; this loss needs {len(problems)}")
    return [read_side(entry, each) for entry, each in zip(entries, problems, strict=True)]


def gap_lower(sides: Sequence[Side], theta: Fraction) -> Fraction:
    """A lower bound of the gap of both sides at theta."""
    return min(side.lower(theta) for side in sides if theta <= side.span)


def gap_upper(sides: Sequence[Side], theta: Fraction) -> Fraction:
    """An upper bound of the gap at a knot; Refused elsewhere."""
    found = [knot.gap for side in sides for knot in side.knots if knot.theta == theta]
    if not found:
        raise Refused(f"an upper bound is stated at theta={theta}, which is no knot")
    return min(found)


def read_vertices(data: Any, key: str, span: Fraction | None) -> list[tuple[Fraction, Fraction]]:
    """The vertices of a piecewise linear function on [0, span], or from 0 to anywhere."""
    points = [(number(x, key), number(y, key)) for x, y in _pairs(data, key)]
    rising = all(x[0] < y[0] for x, y in pairwise(points))
    if len(points) < 2 or points[0][0] != 0 or not rising or (span is not None and points[-1][0] != span):
        raise Refused(f"the vertices of the {key} bound must rise from theta=0" + (f" to {span}" if span else ""))
    return points


def check_convex(lower: Points, upper: Points) -> None:
    """Refused unless the lower bound is convex and 0 lies between the bounds at 0."""
    slopes = [(two[1] - one[1]) / (two[0] - one[0]) for one, two in pairwise(lower)]
    if any(x > y for x, y in pairwise(slopes)):
        raise Refused("the lower bound of psi is not convex")
    if lower[0][1] > 0 or upper[0][1] < 0:
        raise Refused("psi(0) is 0, which does not lie between the bounds")


def _pairs(data: Any, key: str) -> list[list[Any]]:
    entries = get(data, key, list)
    if any(not isinstance(entry, list) or len(entry) != 2 for entry in entries):
        raise CertificateError(f"certificate entry {key!r} must hold pairs")
    return list(entries)


# -- one side -------------------------------------------------------------------------------------------


def read_side(data: Any, problem: Problem) -> Side:
    """Verify the knots, lines and start of one side."""
    span = 2 * (1 - problem.threshold)
    entries = get(data, "knots", list)
    thetas = [number(get(entry, "theta", str), "theta") for entry in entries]
    if len(thetas) < 2 or thetas[0] != 0 or thetas[-1] != span or any(x >= y for x, y in pairwise(thetas)):
        raise Refused(f"the knots must rise from 0 to {span}")
    knots, count = [], 0
    for theta, entry in zip(thetas, entries, strict=True):
        eta = problem.threshold + theta / 2
        wrong = _ends(entry, "wrong", -problem.limit, _ZERO)
        correct = _ends(entry, "right", _ZERO, problem.limit)
        count += len(wrong) + len(correct) - 2
        low = least(problem, eta, wrong)
        top = above(problem.risk_at(eta, _score(entry, "at", -problem.limit, _ZERO)).hi)
        if top is None:
            raise Refused(f"the risk of the wrong score at theta={theta} has no upper bound")
        knots.append(Knot(theta, low, max(_ZERO, top - min(low, least(problem, eta, correct)))))
    start = get(data, "start", dict) if data.get("start") is not None else None
    slope, kappa = (None, _ZERO) if start is None else read_start(start, problem, knots[1])
    lines = [(number(score, "lines"), number(end_, "lines")) for score, end_ in _pairs(data, "lines")]
    return Side(span, tuple(knots), tuple(cells(problem, knots, lines)), count, slope, kappa)


def _score(data: Any, key: str, low: Fraction | float, high: Fraction | float) -> Fraction | float:
    score = end(get(data, key, str), key)
    if not low <= score <= high:
        raise Refused(f"the score {key}={score} must lie in [{low}, {high}]")
    return score


def _ends(data: Any, key: str, low: Fraction | float, high: Fraction | float) -> list[Fraction | float]:
    """The ends of boxes that tile [low, high], in order."""
    entries = get(data, key, list)
    if len(entries) > MAX_BOXES:
        raise CertificateError(f"certificate has more than {MAX_BOXES} boxes in one cover")
    ends = [end(text, key) for text in entries]
    if len(ends) < 2 or ends[0] != low or ends[-1] != high or any(x >= y for x, y in pairwise(ends)):
        raise Refused(f"the boxes do not tile the scores from {low} to {high}")
    return ends


def read_start(data: Any, problem: Problem, first: Knot) -> tuple[tuple[Fraction, Fraction], Fraction]:
    """An enclosure of the slope of the gap at 0, and kappa with gap(theta) >= kappa theta up to the first knot."""
    if problem.phi is None or problem.threshold != _HALF or problem.jumps:
        raise Refused("the slope at 0 is for continuous losses phi(t) with threshold 1/2")
    entries = _pairs(data, "boxes")
    ends = _ends({"boxes": ["0", *(entry[0] for entry in entries)]}, "boxes", _ZERO, problem.limit)
    rules = [entry[1] for entry in entries]
    score = _score(data, "at", _ZERO, problem.limit)
    top = above(problem.risk_at(_HALF, score).hi)
    if top is None or "keep" not in rules:
        raise Refused("the minimisers at eta=1/2 are not located")
    slopes: Interval | None = None
    for i, (box, rule) in enumerate(zip(pairwise(ends), rules, strict=True)):
        if rule == "keep":
            found = kept(problem, box)
            slopes = found if slopes is None else slopes.hull(found)
        elif not (
            (rule == "far" and far(problem, box, top))
            or (rule == "falls" and i + 1 < len(rules) and rules[i + 1] in ("falls", "keep") and runs(problem, box, -1))
            or (rule == "rises" and i > 0 and rules[i - 1] in ("rises", "keep") and runs(problem, box, 1))
        ):
            raise Refused(f"rule {rule!r} fails at eta=1/2 on scores in [{box[0]}, {box[1]}]")
    assert slopes is not None
    low, high = below(slopes.lo), above(slopes.hi)
    if low is None or high is None:
        raise Refused("the slope of the gap at 0 has no finite bounds")
    kappa = (first.wrong - top) / first.theta + low / 2
    return (max(_ZERO, low), max(_ZERO, high)), max(_ZERO, kappa)
