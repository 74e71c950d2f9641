"""The excess-risk inequality psi(R(f) - R*) <= R_phi(f) - R_phi* for given classifiers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from theory.losses import Loss
from theory.risk import binary_minimiser, conditional_risk
from theory.risk import psi as searched_psi

from . import _doors as doors
from ._agreement import is_binary
from ._doors import FloatArray
from ._estimate import Estimate
from ._grid import Grid
from ._law import Law

Classifier: TypeAlias = Callable[[FloatArray], FloatArray]
"""Points (n, d) to real scores v (n,): class 1 where v > 0, class 0 where v < 0, an error where v = 0."""

Calibration: TypeAlias = Callable[[Loss, FloatArray], FloatArray]
"""Excess 0-1 risks theta (m,) to psi(theta) (m,) for a loss."""

SEARCH_TOLERANCE = 1e-7
"""Relative to 1 + |least risk|, per point. Cause: the search stops at sqrt(machine epsilon) of its scale in the score,
and a least risk at a kink is off by as much times a slope."""

ENVELOPE_TOLERANCE = 1e-5
"""Relative to 1 + both sides of the inequality. Cause: where the gap is not convex, its envelope on a grid of spacing
h = 1/400 lies above the true one by h^2 / 8 = 7.8e-7 times the curvature of the gap where an edge touches it."""


@dataclass(frozen=True, slots=True)
class InequalityRow:
    """One classifier: `excess` = R(f) - R*, `bound` = psi(excess), `surrogate` = R_phi(f) - R_phi*,
    `residual` = surrogate - bound, `allowed` = how far below 0 rounding and search may put it."""

    excess: Estimate
    surrogate: Estimate
    bound: float
    residual: float
    allowed: float


@dataclass(frozen=True, slots=True)
class Inequality:
    """The inequality for all classifiers tried, worst residual first.

    `pointwise_residual` is the least C_eta(f(x)) - inf C_eta met: below -tolerance the searched infimum is not one.
    `risk_star` and `surrogate_star` are R* and R_phi*. The verdict needs no allowance for sampling or quadrature:
    psi is convex, so Jensen's inequality holds on the weighted grid points themselves, whose posterior is exact.
    The errors in the rows say how far both sides lie from those of the law.
    """

    loss: str
    law: str
    rows: tuple[InequalityRow, ...]
    risk_star: Estimate
    surrogate_star: Estimate
    pointwise_residual: float
    tolerance: float
    method: str

    @property
    def worst(self) -> InequalityRow:
        return self.rows[0]

    @property
    def violations(self) -> int:
        """How many classifiers break the inequality by more than search and envelope may err."""
        return sum(row.residual < -row.allowed for row in self.rows)

    @property
    def holds(self) -> bool:
        """No violation, and no score beats the searched infimum. Float evidence (tier `searched`), not a proof."""
        return self.violations == 0 and self.pointwise_residual >= -self.tolerance


PSI_POINTS = 401
"""Values of theta at which `tabulated_psi` asks for psi."""


def tabulated_psi(loss: Loss) -> Calibration:
    """theory's searched psi, computed once on `PSI_POINTS` values of theta and interpolated by chords.

    psi is convex, so a chord lies above it, by at most h^2 / 8 times its second derivative (`ENVELOPE_TOLERANCE`).
    For many laws this costs one search in place of one per law.
    """
    theta = np.linspace(0.0, 1.0, PSI_POINTS)
    values = searched_psi(loss, theta, points=PSI_POINTS)

    def psi(other: Loss, wanted: FloatArray) -> FloatArray:
        if other is not loss:
            raise ValueError(f"loss={other.name!r} must be the tabulated one, {loss.name!r}")
        return np.interp(wanted, theta, values)

    return psi


def excess_risk_inequality(
    loss: Loss, law: Law, classifiers: Sequence[Classifier], grid: Grid, *, psi: Calibration = searched_psi
) -> Inequality:
    """psi(R(f) - R*) <= R_phi(f) - R_phi* for every classifier f, both sides summed over `grid`.

    R(f) - R* = E[ |2 eta - 1| 1(f errs) ], where f errs at a tie v = 0 or where v and 2 eta - 1 differ in sign;
    R_phi(f) - R_phi* = E[ C_eta(f) - inf_v C_eta(v) ]. On a piecewise-constant law each classifier is read at the
    centres of the cells. Two classes only: psi is the binary calibration function.
    Source: Bartlett, Jordan & McAuliffe (2006), Theorem 1.
    """
    if law.classes != 2:
        raise ValueError(f"law.classes={law.classes} must be 2: psi is the binary calibration function")
    if not is_binary(loss):
        raise ValueError(f"loss={loss.name!r} must have a binary or a pair formula")
    if not classifiers:
        raise ValueError(f"len(classifiers)={len(classifiers)} must be at least 1")
    eta = law.posterior(grid.points)[:, 1]
    theta = np.abs(2.0 * eta - 1.0)
    distinct, back = np.unique(eta, return_inverse=True)
    least = binary_minimiser(loss, distinct).value[back.reshape(-1)]
    excess: list[Estimate] = []
    surrogate: list[Estimate] = []
    lowest = math.inf
    for number, classifier in enumerate(classifiers):
        v = _scores(loss, classifier, grid, number)
        regret = conditional_risk(loss, eta, v) - least
        lowest = min(lowest, float((regret / (1.0 + np.abs(least))).min()))
        errs = np.where(eta > 0.5, v <= 0.0, v >= 0.0)
        excess.append(grid.expect(np.where(errs, theta, 0.0)))
        surrogate.append(grid.expect(regret))
    bounds = psi(loss, np.clip([e.value for e in excess], 0.0, 1.0))
    rows = []
    for e, s, bound in zip(excess, surrogate, bounds.tolist(), strict=True):
        allowed = ENVELOPE_TOLERANCE * (1.0 + abs(bound) + abs(s.value))
        rows.append(InequalityRow(e, s, bound, s.value - bound, allowed))
    rows.sort(key=lambda row: row.residual)
    return Inequality(
        loss=loss.name,
        law=law.name,
        rows=tuple(rows),
        risk_star=grid.expect(np.minimum(eta, 1.0 - eta)),
        surrogate_star=grid.expect(least),
        pointwise_residual=lowest,
        tolerance=SEARCH_TOLERANCE,
        method=f"{grid.method}; psi and infima searched in float64",
    )


def _scores(loss: Loss, classifier: Classifier, grid: Grid, number: int) -> FloatArray:
    v = np.asarray(classifier(grid.points), dtype=np.float64)
    if v.shape != grid.mass.shape:
        raise ValueError(f"classifiers[{number}] gave scores of shape {v.shape}; it must give {grid.mass.shape}")
    v = doors.finite_array(f"scores of classifiers[{number}]", v)
    if loss.domain.bound is not None:
        v = np.clip(v, -float(loss.domain.bound), float(loss.domain.bound))
    return v


WAVES = 16
"""Random cosines in a wavy classifier."""

STEEPNESS = (1e-3, 20.0)
"""Ends of the log-uniform scale of drawn scores: from nearly tied to nearly saturated."""


def random_classifiers(law: Law, count: int, rng: np.random.Generator) -> tuple[Classifier, ...]:
    """`count` drawn score functions of four kinds in turn, in units of the law's extent and of a drawn steepness.

    Affine; a sum of random cosines; the log-odds of the posterior, or their opposite, bent by cosines; and the
    log-odds with barely wrong scores on a drawn region, where the inequality is tightest.
    """
    if law.classes != 2:
        raise ValueError(f"law.classes={law.classes} must be 2 for classifiers with one real score")
    number = doors.whole("count", count, 1)
    draw = doors.generator("rng", rng, "classifiers are drawn from it")
    makers = (_affine, _wavy, _bent, _reluctant)
    return tuple(makers[i % len(makers)](law, draw) for i in range(number))


def _steepness(rng: np.random.Generator) -> float:
    low, high = STEEPNESS
    return low * float((high / low) ** rng.random())


def _unit(law: Law) -> Classifier:
    low, high = law.extent.T
    return lambda x: 2.0 * (x - low) / (high - low) - 1.0


def _affine(law: Law, rng: np.random.Generator) -> Classifier:
    slope, level, scale, unit = rng.normal(size=law.dimension), 0.5 * rng.normal(), _steepness(rng), _unit(law)
    return lambda x: scale * (unit(x) @ slope + level)


def _wavy(law: Law, rng: np.random.Generator) -> Classifier:
    frequency = rng.normal(scale=3.0, size=(law.dimension, WAVES))
    phase, weight = rng.uniform(0.0, 2.0 * math.pi, WAVES), rng.normal(size=WAVES)
    scale, unit = _steepness(rng), _unit(law)
    return lambda x: scale * (np.cos(unit(x) @ frequency + phase) @ weight)


def _log_odds(law: Law) -> Classifier:
    tiny = np.finfo(np.float64).tiny

    def score(x: FloatArray) -> FloatArray:
        p = np.maximum(law.posterior(x), tiny)
        return np.clip(np.log(p[:, 1] / p[:, 0]), -STEEPNESS[1], STEEPNESS[1])

    return score


def _bent(law: Law, rng: np.random.Generator) -> Classifier:
    wave, odds, share = _wavy(law, rng), _log_odds(law), rng.uniform(0.25, 1.5) * rng.choice([-1.0, 1.0])
    return lambda x: share * odds(x) + wave(x)


def _reluctant(law: Law, rng: np.random.Generator) -> Classifier:
    wave, odds, level, small = _wavy(law, rng), _log_odds(law), rng.normal(), 1e-3 * rng.random()

    def score(x: FloatArray) -> FloatArray:
        right = odds(x)
        return np.where(wave(x) > level * STEEPNESS[0], -small * np.sign(right), right)

    return score
