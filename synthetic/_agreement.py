"""The minimiser of the conditional risk against the Bayes rule, point by point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theory.losses import Loss
from theory.risk import binary_minimiser, conditional_risk, multiclass_minimiser

from ._doors import BoolArray, FloatArray
from ._estimate import EPS, Estimate
from ._grid import Grid
from ._law import Law

SCORE_TIE = 1e-7
"""Scores closer than this (times the larger of 1 and the top score, where that is finite) tie. Cause: a float
search places a smooth minimum within about sqrt(machine epsilon) = 1.5e-8 of its scale."""

POSTERIOR_TIE = 1e-6
"""Classes whose probability is this close to the top one are not called wrong. Cause: the scores of a loss with
curvature of order one then differ by about as much, ten times `SCORE_TIE`: closer, the search cannot tell."""

GAP_RESOLUTION = 32.0 * EPS
"""Relative to the risk: a smaller gap (least wrong risk minus least risk) is rounding of two sums of a few terms."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the pointwise minimiser of a loss fails to be the Bayes rule, on a grid of a law.

    A grid point fails when a class that is not (within `POSTERIOR_TIE`) most probable is among the top scores
    (within `SCORE_TIE`: ties are errors; for binary scores only where the gap is below `JUMP`), or, for binary scores,
    when the searched gap does not exceed its rounding.

    `disagreement` mass of the failing points; `excess_risk` their excess 0-1 risk, each tie resolved for the worst;
    `points` grid points, `tied_points` and `tied_mass` those whose posterior itself ties at the top (only the
    classes below the tie can be wrong there; with two classes: none); `failing_points` how many fail;
    `failing_range` the least and largest max_k p_k among them; `worst_posterior` where the loss in 0-1 risk is
    largest; `smallest_gap` the least searched gap over points that can fail, relative to the risk (binary only).
    """

    loss: str
    law: str
    disagreement: Estimate
    excess_risk: Estimate
    points: int
    tied_points: int
    tied_mass: float
    failing_points: int
    failing_range: tuple[float, float] | None
    worst_posterior: tuple[float, ...] | None
    smallest_gap: float | None
    tolerance: float
    method: str

    @property
    def holds(self) -> bool:
        """No grid point fails. Float evidence on a grid (tier `searched`), not a proof."""
        return self.failing_points == 0


FAR = 1e6
"""A score beyond the reach of the search (1e4): where both sides of 0 are still falling towards it and the gap between
them has shrunk to a tenth or less, the two infima at infinity are the same. Cancellation there costs 1e-10, which such
a gap must not exceed."""

JUMP = 1e-9
"""A gap above this (relative to the risk) is no tie, however close the minimiser is to 0: the loss jumps there."""


@dataclass(frozen=True, slots=True, eq=False)
class BinaryAnswer:
    """Per posterior eta: a minimiser `v`, the relative `gap`, whether it is `flat` (below rounding), and whether the
    scores of the minimiser are wrong or `tied`; shapes (m,). A tie counts only where the gap is below `JUMP`."""

    v: FloatArray
    gap: FloatArray
    flat: BoolArray
    tied: BoolArray


def binary_answer(loss: Loss, eta: FloatArray) -> BinaryAnswer:
    """The searched minimiser of C_eta and its gap; infima that are the same at both ends (`FAR`) have gap 0."""
    found = binary_minimiser(loss, eta)
    gap = found.gap / np.maximum(1.0, np.abs(found.value))
    if loss.domain.bound is None:
        with np.errstate(all="ignore"):
            side = np.where(eta > 0.5, FAR, -FAR)
            right, wrong = (np.asarray(conditional_risk(loss, eta, v)) for v in (side, -side))
            falling = (right < found.value) & (wrong < found.wrong_value)
            same = falling & (np.abs(wrong - right) <= np.minimum(0.1 * found.gap, 1e-10))
        gap = np.where(same, 0.0, gap)
    lead = np.where(eta > 0.5, found.v, -found.v)
    tied = (lead <= SCORE_TIE * np.maximum(1.0, 0.5 * np.abs(found.v))) & (gap <= JUMP)
    return BinaryAnswer(found.v, gap, gap <= GAP_RESOLUTION, tied)


@dataclass(frozen=True, slots=True, eq=False)
class Minimisers:
    """Searched minimisers per posterior: scores (m, c) and, for binary scores, the relative gap (m,)."""

    scores: FloatArray
    gap: FloatArray | None
    method: str


def pointwise_minimisers(loss: Loss, posterior: FloatArray) -> Minimisers:
    """Minimise C_p(f) for every row of `posterior` (m, c).

    Two classes use the binary form where the loss has one: scores (-v/2, v/2) of the score v. Equal rows are searched
    once. ValueError where the loss has no form for c classes.
    """
    rows, back = np.unique(posterior, axis=0, return_inverse=True)
    back = back.reshape(-1)
    if rows.shape[1] == 2 and is_binary(loss):
        found = binary_answer(loss, rows[:, 1])
        scores = np.stack([-0.5 * found.v, 0.5 * found.v], axis=1)
        return Minimisers(scores[back], found.gap[back], "grid and zoom over the score, both sides of 0")
    if loss.multiclass is None:
        raise ValueError(f"loss={loss.name!r} must have a multiclass formula for a law with {rows.shape[1]} classes")
    return Minimisers(multiclass_minimiser(loss, rows)[0][back], None, "pattern search from several starts")


def is_binary(loss: Loss) -> bool:
    """Whether the loss has a form for a single real score."""
    return loss.binary is not None or loss.pair is not None


def top_classes(scores: FloatArray) -> BoolArray:
    """Which classes are among the top scores, ties within `SCORE_TIE`: (m, c)."""
    top = scores.max(axis=1, keepdims=True)
    scale = np.where(np.isfinite(top), np.maximum(1.0, np.abs(top)), 1.0)
    return np.asarray(scores >= top - SCORE_TIE * scale)


def bayes_agreement(loss: Loss, law: Law, grid: Grid) -> Agreement:
    """Compare the pointwise minimiser of the conditional risk with the Bayes rule on the points of `grid`.

    The gap catches what scores alone do not show: where another minimiser of the same risk is wrong.
    """
    p = law.posterior(grid.points)
    found = pointwise_minimisers(loss, p)
    best = p.max(axis=1, keepdims=True)
    wrong = p < best - POSTERIOR_TIE
    can_fail = wrong.any(axis=1)
    tied = (~wrong).sum(axis=1) > 1
    chosen = top_classes(found.scores) & wrong
    smallest: float | None = None
    if found.gap is not None:
        chosen &= (found.gap <= JUMP)[:, None]
        flat = can_fail & (found.gap <= GAP_RESOLUTION)
        chosen |= flat[:, None] & wrong
        smallest = float(found.gap[can_fail].min()) if can_fail.any() else None
    failing = chosen.any(axis=1)
    loss_of_point = np.where(chosen, best - p, 0.0).max(axis=1)
    span: tuple[float, float] | None = None
    worst: tuple[float, ...] | None = None
    if failing.any():
        span = (float(best[failing].min()), float(best[failing].max()))
        worst = tuple(float(q) for q in p[int(loss_of_point.argmax())])
    return Agreement(
        loss=loss.name,
        law=law.name,
        disagreement=grid.expect(failing.astype(np.float64), bound=1.0),
        excess_risk=grid.expect(loss_of_point, bound=1.0),
        points=grid.size,
        tied_points=int(tied.sum()),
        tied_mass=float(grid.mass[tied].sum()),
        failing_points=int(failing.sum()),
        failing_range=span,
        worst_posterior=worst,
        smallest_gap=smallest,
        tolerance=SCORE_TIE,
        method=f"{found.method}; {grid.method}",
    )
