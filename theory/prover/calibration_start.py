"""Search for boxes that locate the minimisers at eta = 1/2, and so the slope of the gap at 0. Untrusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from flint import arb

from theory.checker.binary_rules import Box, Problem
from theory.checker.calibration_rules import above, far, kept, runs
from theory.expression.boxes import derivative
from theory.expression.enclosure import bound, enclose
from theory.expression.interval import Interval, Undefined, fraction_of

from .binary import breakpoints
from .budget import Budget, OutOfBudget

_ZERO, _HALF = Fraction(0), Fraction(1, 2)
STEPS = tuple(Fraction(*q) for q in ((1, 8), (1, 2), (1, 1), (2, 1), (4, 1), (16, 1), (64, 1)))
"""Where half-lines of scores are cut first."""


def locate(problem: Problem, at: Fraction, budget: Budget) -> dict[str, Any] | None:
    """Boxes over t >= 0 that locate the minimisers at eta = 1/2; None where they are not located."""
    kinks = {x for x in breakpoints(problem) if 0 < x < problem.limit}
    at = abs(at) if at in kinks else _polished(problem, abs(at))
    width = Fraction(1, 2**40) * max(1, round(at))
    first = {at} if at in kinks else {at - width, at + width}
    cuts = sorted(x for x in {*kinks, *first, *STEPS} if x < problem.limit)
    ends: list[Fraction | float] = [
        _ZERO,
        *(x for x in sorted({*kinks, *first}) if 0 < x < problem.limit),
        problem.limit,
    ]
    top = fraction_of(problem.risk_at(_HALF, at).hi)
    if top is None:
        return None
    pending: list[tuple[Box, int]] = [(box, 0) for box in reversed(list(pairwise(ends)))]
    out: list[tuple[Box, str]] = []
    while pending:
        box, depth = pending.pop()
        rule = _rule(problem, box, top)
        if rule is None and depth < 48 and len(out) + len(pending) < 300:
            try:
                budget.spend()
            except OutOfBudget:
                return None
            middle = cut(box, cuts)
            if middle is not None and not box[1] - box[0] <= 2 * width:
                pending += [((middle, box[1]), depth + 1), ((box[0], middle), depth + 1)]
                continue
        out.append((box, rule or "keep"))
    merged = _merged(problem, out, top)
    if all(rule != "keep" for _, rule in merged):
        return None
    return {"at": str(at), "boxes": [[str(box[1]), rule] for box, rule in merged]}


def _polished(problem: Problem, at: Fraction) -> Fraction:
    """A minimiser of C_1/2 near a searched one, by two steps of Newton's method."""
    slope = derivative(problem.risk(_HALF), "v")
    bend = derivative(slope, "v")
    for _ in range(2):
        point = {"v": Interval.point(at)}
        try:
            first, second = (fraction_of(enclose(tree, point).range.lo) for tree in (slope, bend))
        except Undefined:
            return at
        if first is None or second is None or second <= 0 or abs(first / second) > Fraction(1, 1000):
            return at
        at = max(_ZERO, Fraction(round((at - first / second) * 2**60), 2**60))
    return at


def _rule(problem: Problem, box: Box, top: Fraction) -> str | None:
    tests: list[tuple[str, Callable[[], bool]]] = [
        ("far", lambda: far(problem, box, top)),
        ("falls", lambda: runs(problem, box, -1)),
        ("rises", lambda: runs(problem, box, 1)),
        ("keep", lambda: _narrow(problem, box) or _flat(problem, box, top)),
    ]
    for rule, test in tests:
        try:
            if test():
                return rule
        except Undefined:
            continue
    return None


def _narrow(problem: Problem, box: Box) -> bool:
    found = kept(problem, box)
    return found.is_finite and bool(arb(found.hi) - arb(found.lo) < 2.0**-60)


def _flat(problem: Problem, box: Box, top: Fraction) -> bool:
    """C_1/2 is least on all of the box, as far as can be told, and what is kept there is finite."""
    high = above(bound(problem.risk(_HALF), "v", Interval.between(*box)).range.hi)
    return high is not None and high <= top + (1 + abs(top)) / 2**66 and kept(problem, box).is_finite


def _merged(problem: Problem, boxes: list[tuple[Box, str]], top: Fraction) -> list[tuple[Box, str]]:
    """Neighbours with the same rule as one box, where the rule holds on it; `keep` where the order asks for it."""
    out: list[tuple[Box, str]] = []
    for box, rule in boxes:
        if out and out[-1][1] == rule:
            joined = (out[-1][0][0], box[1])
            if _holds(problem, joined, rule, top):
                out[-1] = (joined, rule)
                continue
        out.append((box, rule))
    for i in reversed(range(len(out) - 1)):
        (left, edge), (_, right) = out[i][0], out[i + 1][0]
        width = Fraction(1, 2**40)
        if (out[i][1], out[i + 1][1]) == ("falls", "rises") and left < edge - width and edge + width < right:
            out[i : i + 2] = [
                ((left, edge - width), "falls"),
                ((edge - width, edge + width), "keep"),
                ((edge + width, right), "rises"),
            ]
    for i in reversed(range(len(out))):
        if out[i][1] == "falls" and (i + 1 == len(out) or out[i + 1][1] not in ("falls", "keep")):
            out[i] = (out[i][0], "keep")
    for i in range(len(out)):
        if out[i][1] == "rises" and (i == 0 or out[i - 1][1] not in ("rises", "keep")):
            out[i] = (out[i][0], "keep")
    return out


def _holds(problem: Problem, box: Box, rule: str, top: Fraction) -> bool:
    try:
        if rule == "keep":
            return kept(problem, box).is_finite
        return far(problem, box, top) if rule == "far" else runs(problem, box, 1 if rule == "rises" else -1)
    except Undefined:
        return False


def cut(box: Box, cuts: Sequence[Fraction]) -> Fraction | None:
    """Where to halve a box: at a cut inside it, else in the middle."""
    inside = [x for x in cuts if box[0] < x < box[1]]
    if inside:
        return inside[len(inside) // 2]
    low, high = box
    if isinstance(low, Fraction) and isinstance(high, Fraction):
        return (low + high) / 2 if high - low > Fraction(1, 2**60) else None
    finite = low if isinstance(low, Fraction) else high
    if not isinstance(finite, Fraction) or abs(finite) > 2**80:
        return None
    return 4 * finite if finite != 0 else Fraction(1 if high > 0 else -1)
