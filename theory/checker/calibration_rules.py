"""Certified enclosures of the calibration function of a binary loss: trusted. Proofs: docs/theory/calibration.md.

theta = 2 |eta - a| runs through [0, S], S = 2 (1 - a) above the threshold a and 2 a below it. On one side
(the other is the mirrored question, see `binary_rules`) eta = a + theta / 2,

    gap(theta) = H-(eta) - H(eta),   H- = inf of C_eta over v <= 0,   H = inf of C_eta,   gap(0) := 0,

and psi is the largest convex function below the gaps of both sides. H- and H are infima of functions that are
affine in eta, hence concave. What a certificate gives, and what follows from it:

  knots   at some theta, boxes over the wrong and over the correct scores: lower bounds of H- and H there, and
          with the risk of one wrong score an upper bound of the gap. Between knots H- is above the chord;
  lines   scores v, each for an interval of theta: there H <= C_eta(v), affine in theta;
  start   for phi(t) at a = 1/2: boxes over t >= 0 that leave only a set K for the minimisers of C_1/2.
          The slope of the gap at 0 lies in the range of phi(-t) - phi(t) over K.

So each cell between knots and ends of lines has an affine lower bound of the gap. A convex function below all of
them (and below 0 where they are negative) is below psi; psi is below every chord of its upper bounds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from flint import arb

from theory.expression.boxes import derivative
from theory.expression.enclosure import bound, enclose
from theory.expression.interval import End, Interval, fraction_of

from .binary_rules import Box, Problem, enclose_between
from .reading import Refused

_ZERO, _HALF = Fraction(0), Fraction(1, 2)
_BITS = 320
Points = Sequence[tuple[Fraction, Fraction]]


# -- exact ends -----------------------------------------------------------------------------------------


def below(value: End) -> Fraction | None:
    """A rational at or below a finite end, short enough to calculate with; None where there is none."""
    if not isinstance(value, arb) or not value.is_finite():
        return fraction_of(value)
    mantissa, exponent = (int(x) for x in value.man_exp())
    if mantissa.bit_length() + exponent > _BITS:
        return Fraction(2) ** _BITS if mantissa > 0 else None
    if exponent >= -_BITS:
        return Fraction(mantissa) * Fraction(2) ** exponent
    return Fraction(mantissa >> min(-exponent - _BITS, 10**6), 2**_BITS)


def above(value: End) -> Fraction | None:
    """A rational at or above a finite end; None where there is none."""
    found = below(-value)
    return None if found is None else -found


# -- values at one posterior ----------------------------------------------------------------------------


def least(problem: Problem, eta: Fraction, ends: Sequence[Fraction | float]) -> Fraction:
    """A lower bound of C_eta on the scores that the boxes between consecutive ends cover."""
    found = None
    for box in pairwise(ends):
        low = box_least(problem, eta, box)
        if low is None:
            raise Refused(f"the risk at eta={eta} has no lower bound on scores in [{box[0]}, {box[1]}]")
        found = low if found is None else min(found, low)
    if found is None:
        raise Refused(f"the cover at eta={eta} has no box")
    for score in ends if problem.jumps else ():
        if isinstance(score, Fraction):
            value = problem.risk_at(eta, score)
            low = below(value.lo)
            if low is None and not value.lo > 0:  # below() has no answer at either infinity
                raise Refused(f"the risk at eta={eta} has no lower bound at the score {score}")
            found = found if low is None else min(found, low)
    return found


def box_least(problem: Problem, eta: Fraction, box: Box) -> Fraction | None:
    """A lower bound of C_eta on the interior of one box; None where none is found or a loss need not be finite."""
    if all(isinstance(side, Fraction) for side in box):
        for tree in (problem.plus, problem.minus):
            if not enclose_between(tree, "v", box).range.is_finite:
                return None
    return below(bound(problem.risk(eta), "v", Interval.between(*box)).range.lo)


def line(problem: Problem, score: Fraction) -> tuple[Fraction, Fraction] | None:
    """Upper bounds of the two losses at a score: H(eta) <= eta plus + (1 - eta) minus for all eta."""
    point = {"v": Interval.point(score)}
    plus, minus = (above(enclose(tree, point).range.hi) for tree in (problem.plus, problem.minus))
    return None if plus is None or minus is None else (plus, minus)


# -- one side -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Knot:
    """At `theta`: `wrong` <= H-, and gap <= `gap`."""

    theta: Fraction
    wrong: Fraction
    gap: Fraction


@dataclass(frozen=True)
class Cell:
    """On [left, right] the gap is at least the affine function with values `low` and `high` at the ends."""

    left: Fraction
    right: Fraction
    low: Fraction
    high: Fraction

    def at(self, theta: Fraction) -> Fraction:
        """The value of the affine function."""
        return self.low + (self.high - self.low) * (theta - self.left) / (self.right - self.left)

    def root(self) -> Fraction | None:
        """Where it changes its sign inside the cell."""
        if (self.low < 0) == (self.high < 0) or self.low == 0 or self.high == 0:
            return None
        return self.left + (self.right - self.left) * self.low / (self.low - self.high)


@dataclass(frozen=True)
class Side:
    """What is certified of the gap for eta above the threshold: cells tile [0, span]."""

    span: Fraction
    knots: tuple[Knot, ...]
    cells: tuple[Cell, ...]
    boxes: int
    start: tuple[Fraction, Fraction] | None
    """An enclosure of the slope of the gap at 0."""
    kappa: Fraction
    """gap(theta) >= kappa theta up to the first knot after 0 (0 where nothing is known)."""

    def lower(self, theta: Fraction) -> Fraction:
        """A lower bound of the gap at a theta of [0, span]."""
        found = max(cell.at(theta) for cell in self.cells if cell.left <= theta <= cell.right)
        return max(found, self.kappa * theta if theta <= self.knots[1].theta else _ZERO, _ZERO)

    def supports(self, function: Points) -> str | None:
        """Why a convex piecewise linear function is not certainly below the gap on [0, span]; None when it is."""
        first = self.knots[1].theta
        for cell in self.cells:
            inside = (cell.left, cell.right) if (root := cell.root()) is None else (cell.left, root, cell.right)
            if cell.right <= first and all(value(function, x) <= self.kappa * x for x in (cell.left, cell.right)):
                continue
            for x in inside:
                if value(function, x) > max(_ZERO, cell.at(x)):
                    return f"the lower bound at theta={float(x):.6g} is not certified"
        return None


def cells(problem: Problem, knots: Sequence[Knot], lines: Sequence[tuple[Fraction, Fraction]]) -> list[Cell]:
    """The chords of H- minus the lines above H (pairs of score and end), on the common refinement of both tilings."""
    ends = [_ZERO, *(entry[1] for entry in lines)]
    if any(x >= y for x, y in pairwise(ends)) or ends[-1] != knots[-1].theta:
        raise Refused(f"the lines do not tile theta from 0 to {knots[-1].theta}")
    out, i = [], 0
    for (score, _), (left, right) in zip(lines, pairwise(ends), strict=True):
        found = line(problem, score) if abs(score) <= problem.limit else None
        if found is None:
            raise Refused(f"the score {score} of a line lies outside the domain or has no finite losses")
        x = left
        while x < right:
            while knots[i + 1].theta <= x:
                i += 1
            y = min(right, knots[i + 1].theta)
            low, high = (_chord(knots[i], knots[i + 1], z) - _risk(problem, found, z) for z in (x, y))
            out.append(Cell(x, y, low, high))
            x = y
    return out


def _chord(one: Knot, two: Knot, theta: Fraction) -> Fraction:
    return one.wrong + (two.wrong - one.wrong) * (theta - one.theta) / (two.theta - one.theta)


def _risk(problem: Problem, losses: tuple[Fraction, Fraction], theta: Fraction) -> Fraction:
    eta = problem.threshold + theta / 2
    return eta * losses[0] + (1 - eta) * losses[1]


# -- rules at eta = 1/2, for the slope at 0 -----------------------------------------------------------------


def far(problem: Problem, box: Box, top: Fraction) -> bool:
    """C_1/2 stays above `top` on the box, by a margin."""
    low = box_least(problem, _HALF, box)
    return low is not None and low > top


def runs(problem: Problem, box: Box, sign: int) -> bool:
    """C_eta is strictly monotone on the bounded box for all eta near 1/2: rising (sign 1) or falling (sign -1)."""
    if not all(isinstance(side, Fraction) for side in box):
        return False
    for tree in (problem.plus, problem.minus, *(derivative(t, "v") for t in (problem.plus, problem.minus))):
        if not enclose_between(tree, "v", box).range.is_finite:
            return False
    slope = enclose_between(derivative(problem.risk(_HALF), "v"), "v", box).range
    return bool(slope.lo > 0 if sign > 0 else slope.hi < 0)


def kept(problem: Problem, box: Box) -> Interval:
    """The range of phi(-t) - phi(t) on a box."""
    return bound(problem.reflection, "t", Interval.between(*box)).range


def value(function: Points, theta: Fraction) -> Fraction:
    """A piecewise linear function, given by its vertices, at a point between the first and the last."""
    i = min(bisect_right(function, theta, key=lambda point: point[0]), len(function) - 1)
    (x, low), (y, high) = function[i - 1], function[i]
    return low + (high - low) * (theta - x) / (y - x)
