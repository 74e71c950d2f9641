"""Search for enclosures of the calibration function of a binary loss. Untrusted: proposes what the checker verifies.

Floats give the two infima H- and H on a dense set of theta. From them come the knots (as few as keep psi and H-
within a tolerance of their chords), the lines above H, and where to cut the scores; boxes are then halved until the
certified bounds reach the floats. `theory.checker.calibration_rules` says what is certified and why.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from flint import ctx

from theory.checker import FORMAT, PRECISION, VERSION, check
from theory.checker.binary_rules import Box, Problem
from theory.checker.calibration_proofs import gap_lower, gap_upper, read_start
from theory.checker.calibration_rules import (
    Cell,
    Knot,
    Side,
    above,
    box_least,
    cells,
    least,
)
from theory.checker.reading import Refused
from theory.expression.interval import Undefined
from theory.losses import Loss

from .binary import breakpoints, problem_of
from .binary_covers import Failed, real_ends
from .budget import Budget, OutOfBudget
from .calibration_floats import POINTS as POINTS
from .calibration_floats import Curves, NoEnclosure, convex_hull, curves_of, place_knots, place_lines
from .calibration_start import STEPS, cut, locate

Vertices = list[tuple[Fraction, Fraction]]
_ZERO, _HALF = Fraction(0), Fraction(1, 2)
_COVER = 250


# -- covers -----------------------------------------------------------------------------------------------


def _cover(
    problem: Problem, eta: Fraction, low: Fraction | float, high: Fraction | float, at: Fraction, target: float,
    budget: Budget,
) -> tuple[list[str], Fraction | None]:  # fmt: skip
    """Ends of boxes whose least risk reaches the target, or as far as the budget goes, and the bound reached."""
    width = Fraction(1, 2**20) * max(1, abs(round(at)))
    kinks = [x for x in breakpoints(problem) if low < x < high]
    first = [at] if at in kinks else [at - width, at + width]
    cuts = sorted({*kinks, *(x for s in STEPS for x in (-s, s) if low < x < high)})
    ends = [low, *(x for x in first if low < x < high and x != 0), high]
    heap: list[tuple[float, int, Box]] = []
    values: dict[Box, Fraction] = {}
    serial = 0

    def push(box: Box) -> None:
        nonlocal serial
        serial += 1
        try:
            found = box_least(problem, eta, box)
        except Undefined:
            found = None
        if found is not None:
            values[box] = found
        heapq.heappush(heap, (-np.inf if found is None else float(found), serial, box))

    for box in pairwise(ends):
        push(box)
    try:
        while heap[0][0] < target and serial < _COVER:
            budget.spend()
            reached, _, box = heapq.heappop(heap)
            middle = cut(box, cuts)
            if middle is None:
                heapq.heappush(heap, (reached, serial, box))
                break
            push((box[0], middle))
            push((middle, box[1]))
    except OutOfBudget:
        if heap[0][0] == -np.inf:
            raise
    if heap[0][0] == -np.inf:
        return [], None
    done = sorted((box for _, _, box in heap), key=lambda box: box[0])
    ends = [done[0][0], *(box[1] for box in done)]
    return [str(x) for x in ends], least(problem, eta, ends) if problem.jumps else min(values[box] for box in done)


def _side(problem: Problem, points: int, budget: Budget, start: bool) -> tuple[dict[str, Any], Side]:
    """The entry of one side of the threshold, and what the checker will make of it."""
    curves = curves_of(problem, points)
    chosen = place_knots(curves, points)
    found: dict[int, tuple[dict[str, Any], Knot]] = {}
    order = sorted(chosen, key=lambda i: (i not in (chosen[0], chosen[-1]), _late(chosen.index(i))))
    for i in order:
        knot = _knot(problem, curves, i, budget)
        if knot is not None:
            found[i] = knot
        elif i in (chosen[0], chosen[-1]):
            eta = problem.threshold + curves.thetas[i] / 2
            raise NoEnclosure(f"no finite bounds of the risk at eta = {eta} were found")
    knots = [found[i][1] for i in sorted(found)]
    lines = place_lines(curves, problem)
    if not lines:
        raise NoEnclosure("no score with finite losses was found")
    entry: dict[str, Any] = {
        "knots": [found[i][0] for i in sorted(found)],
        "lines": [[str(score), str(end)] for score, end in lines],
    }
    slope, kappa = None, _ZERO
    if start and (boxes := locate(problem, curves.scores[0], budget)) is not None:
        try:
            slope, kappa = read_start(boxes, problem, knots[1])
            entry["start"] = boxes
        except (Refused, Undefined):
            pass
    return entry, Side(knots[-1].theta, tuple(knots), tuple(cells(problem, knots, lines)), 0, slope, kappa)


def _knot(problem: Problem, curves: Curves, i: int, budget: Budget) -> tuple[dict[str, Any], Knot] | None:
    """The entry of one knot and its bounds; None where no finite bounds were found."""
    theta, at = curves.thetas[i], curves.wrong_scores[i]
    eta = problem.threshold + theta / 2
    slack = 0.25 * float(curves.allowed[i]) if i > 1 else 1e-13 * max(1.0, abs(float(curves.least[0])))
    score = curves.scores[i] if curves.scores[i] > 0 else _ZERO
    try:
        wrong, low = _cover(problem, eta, -problem.limit, _ZERO, at, curves.wrong[i] - slack, budget)
        right, high = _cover(problem, eta, _ZERO, problem.limit, score, curves.least[i] - slack, budget)
    except OutOfBudget:
        return None
    top = above(problem.risk_at(eta, at).hi)
    if low is None or high is None or top is None:
        return None
    entry = {"theta": str(theta), "wrong": wrong, "right": right, "at": str(at)}
    return entry, Knot(theta, low, max(_ZERO, top - min(low, high)))


def _late(place: int) -> int:
    """Coarse places first, so that a search that is cut short has knots everywhere."""
    return -(place & -place) if place else 0


# -- the claim ------------------------------------------------------------------------------------------------


def enclose_calibration(
    loss: Loss, *, threshold: Fraction, points: int, boxes: int, seconds: float
) -> dict[str, Any] | str:
    """A certificate that `check` has verified, or why there is none."""
    problem = problem_of(loss, threshold)
    budget = Budget(boxes, seconds)
    try:
        with ctx.workprec(PRECISION):
            real = real_ends(problem, budget)
            found = propose(problem, points, budget)
    except Failed as reason:
        return f"the loss is not shown to be a real number everywhere: {reason}"
    except NoEnclosure as reason:
        return f"{reason}; if the risk is unbounded below, bound the scores, as in domain bounded:2"
    except (OutOfBudget, Refused, Undefined) as reason:
        spent = f"after {budget.spent} boxes; raise boxes={boxes} or seconds={seconds:g}"
        return f"out of budget {spent}" if isinstance(reason, OutOfBudget) else f"no enclosure closes: {reason}"
    header = {"format": FORMAT, "version": VERSION, "claim": "calibration", "loss": loss.to_dict()}
    certificate = header | {"threshold": str(threshold)} | real | found
    result = check(certificate)
    return certificate if result.valid else f"the certificate was refused: {result.reason}"


def propose(problem: Problem, points: int, budget: Budget) -> dict[str, Any]:
    """The entries `sides`, `psi`, `gap` and `slope` of a certificate; NoEnclosure or OutOfBudget without one."""
    one = problem.phi is not None and problem.threshold == _HALF
    problems = [problem] if one else [problem, problem.mirrored()]
    found = [_side(each, points, budget, one and not problem.jumps) for each in problems]
    sides = [side for _, side in found]
    lower, upper = _lower(sides), _upper(sides)
    gap = []
    for theta in sorted({knot.theta for side in sides for knot in side.knots} - {_ZERO}):
        gap.append([str(theta), str(rounded_down(gap_lower(sides, theta))), str(rounded_up(gap_upper(sides, theta)))])
    slope = None
    if one and sides[0].start is not None:
        slope = [str(rounded_down(sides[0].start[0])), str(rounded_up(sides[0].start[1]))]
    psi = {key: [[str(x), str(y)] for x, y in points] for key, points in (("lower", lower), ("upper", upper))}
    return {"psi": psi, "gap": gap, "slope": slope, "sides": [entry for entry, _ in found]}


def _lower(sides: Sequence[Side]) -> Vertices:
    """The convex hull, rounded down, of what is certified below the gaps."""
    points: dict[Fraction, Fraction] = {_ZERO: _ZERO}

    def put(x: Fraction, y: Fraction) -> None:
        points[x] = min(points.get(x, y), y)

    for side in sides:
        first = side.knots[1].theta
        tangent = side.kappa * first >= Fraction(999, 1000) * side.lower(first) > 0
        for cell in side.cells:
            if tangent and cell.right <= first:
                put(cell.right, side.kappa * cell.right)
                continue
            for x in (cell.left, cell.right):
                put(x, max(_ZERO, cell.at(x)))
            if (root := cell.root()) is not None:
                put(_beside(cell, root), _ZERO)
    points[_ZERO] = _ZERO
    at = sorted(points)
    low = [rounded_down(points[each]) for each in at]
    return [(at[i], low[i]) for i in convex_hull(at, low)]


def _beside(cell: Cell, root: Fraction) -> Fraction:
    """A short fraction of the cell on the positive side of the root, or at it."""
    rising = cell.high > 0
    near = Fraction(-((-root * 2**60).__floor__()) if rising else (root * 2**60).__floor__(), 2**60)
    return min(near, cell.right) if rising else max(near, cell.left)


def _upper(sides: Sequence[Side]) -> Vertices:
    """The convex hull, rounded up, of the upper bounds at the knots."""
    x = sorted({knot.theta for side in sides for knot in side.knots})
    y = [_ZERO, *(rounded_up(gap_upper(sides, theta)) for theta in x[1:])]
    return [(x[i], y[i]) for i in convex_hull(x, y)]


def rounded_down(number: Fraction) -> Fraction:
    """At most `number`, with about 16 significant digits."""
    if number == 0:
        return _ZERO
    shift = 60 - (abs(number.numerator).bit_length() - number.denominator.bit_length())
    scale = Fraction(2) ** min(shift, 300)
    return Fraction((number * scale).__floor__()) / scale


def rounded_up(number: Fraction) -> Fraction:
    return -rounded_down(-number)
