"""The posteriors of two classes at which a loss fails: found once per loss, then known for every law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theory.losses import Loss

from . import _doors as doors
from ._agreement import POSTERIOR_TIE, binary_answer, is_binary
from ._doors import BoolArray, FloatArray

END_TOLERANCE = 1e-6
"""How far an end of an interval may be off. Cause: beyond an end the gap grows like the square of the distance, and is
seen above `GAP_RESOLUTION` (7e-15) from 1e-7 over the root of its curvature on, which is above 1/100 here."""

NEAR_TIE = 1e-3
"""Where |2 eta - 1| is below this, a gap that is not resolved is no failure if the scores are right: the gap of a
consistent loss falls to 0 there, quadratically or faster."""

_UNIFORM = 512
_BISECTIONS = 40
_SPOTS = 128


@dataclass(frozen=True, slots=True)
class SearchedRegion:
    """The set of eta in [0, 1] at which a class that is not most probable is among the optimal ones, ties included.

    `intervals` (low, high), disjoint and in order, each on one side of 1/2; ends are good to `tolerance`. An interval
    that reaches the tie begins (ends) at 1/2 itself, where nothing is wrong. `resolution` is the widest gap between the
    grid posteriors: a failing set narrower than that goes unseen. `unresolved` |2 eta - 1| up to which scores are
    right but the gap is below rounding. `spots` further posteriors were tried, `spot_failures` of them contradicted
    the intervals.
    """

    loss: str
    intervals: tuple[tuple[float, float], ...]
    resolution: float
    tolerance: float
    unresolved: float
    spots: int
    spot_failures: int
    method: str

    def holds(self, eta: FloatArray) -> BoolArray:
        """Whether each eta (m,) lies in the region; 1/2 and what ties with it (`POSTERIOR_TIE`) does not."""
        inside = np.zeros(eta.shape, dtype=bool)
        for low, high in self.intervals:
            inside |= (eta >= low) & (eta <= high)
        return inside & (np.abs(2.0 * eta - 1.0) > POSTERIOR_TIE)

    def near_an_end(self, eta: FloatArray) -> BoolArray:
        """Whether eta (m,) is within the tolerance of an end other than 1/2, where either answer may be right."""
        near = np.zeros(eta.shape, dtype=bool)
        for end in {end for interval in self.intervals for end in interval} - {0.0, 0.5, 1.0}:
            near |= np.abs(eta - end) <= self.tolerance
        return near

    @property
    def consistent(self) -> bool:
        """No failing posterior was found. Float evidence on a grid (tier `searched`), not a proof."""
        return not self.intervals


def searched_region(loss: Loss, rng: np.random.Generator) -> SearchedRegion:
    """Search [0, 1] on a grid (even, and geometric towards 0, 1/2 and 1), then bisect every change of answer.

    `rng` draws the spot checks off the grid. Raises ValueError for a loss without a binary or a pair formula.

    >>> from theory.catalogue import get
    >>> searched_region(get("perceptron"), np.random.default_rng(0)).intervals
    ((0.0, 0.5), (0.5, 1.0))
    """
    draw = doors.generator("rng", rng, "spot checks are drawn from it")
    if not is_binary(loss):
        raise ValueError(f"loss={loss.name!r} must have a binary or a pair formula")
    small = np.geomspace(2e-6, 0.5 / _UNIFORM, 24)
    half = np.concatenate([[0.0], small, 0.5 * np.arange(1, _UNIFORM) / _UNIFORM, 0.5 - small[::-1]])
    grid = np.unique(np.concatenate([half, 1.0 - half]))
    bad, loose = _fails(loss, grid)
    bad |= loose & _reached(grid, bad, loose)
    changes = np.flatnonzero(bad[1:] != bad[:-1])
    changes = changes[~((grid[changes] < 0.5) & (grid[changes + 1] > 0.5))]
    low, high = grid[changes].copy(), grid[changes + 1].copy()
    begins = bad[changes + 1]
    for _ in range(_BISECTIONS if changes.size else 0):
        middle = 0.5 * (low + high)
        right = _fails(loss, middle)[0] == begins
        low, high = np.where(right, low, middle), np.where(right, middle, high)
    ends = dict(zip(changes.tolist(), (0.5 * (low + high)).tolist(), strict=True))
    intervals = _intervals(grid, bad, ends)
    spots = np.concatenate([draw.random(_SPOTS // 2), draw.beta(8.0, 8.0, _SPOTS // 2)])
    found = SearchedRegion(
        loss=loss.name,
        intervals=intervals,
        resolution=float(np.diff(grid).max()),
        tolerance=END_TOLERANCE,
        unresolved=float(np.abs(2.0 * grid[loose] - 1.0).max()) if loose.any() else 0.0,
        spots=_SPOTS,
        spot_failures=0,
        method=f"{grid.shape[0]} posteriors, ends bisected",
    )
    wrong = (_fails(loss, spots)[0] != found.holds(spots)) & ~found.near_an_end(spots)
    object.__setattr__(found, "spot_failures", int(wrong.sum()))
    return found


def _fails(loss: Loss, eta: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Whether the loss fails at each eta (m,), and where only the gap, not the scores, leaves that open."""
    answer = binary_answer(loss, eta)
    near = np.abs(2.0 * eta - 1.0) < NEAR_TIE
    can_fail = np.abs(2.0 * eta - 1.0) > POSTERIOR_TIE
    return can_fail & answer.flat & (answer.tied | ~near), can_fail & answer.flat & ~answer.tied & near


def _reached(grid: FloatArray, bad: BoolArray, loose: BoolArray) -> BoolArray:
    """The unresolved points beside 1/2 that a failing run reaches from outside: they fail too."""
    out = np.zeros_like(bad)
    middle = int(np.searchsorted(grid, 0.5))
    for step in (-1, 1):
        i = middle + step
        while loose[i]:
            i += step
        if bad[i]:
            out[min(i, middle) : max(i, middle) + 1] = True
    return out


def _intervals(grid: FloatArray, bad: BoolArray, ends: dict[int, float]) -> tuple[tuple[float, float], ...]:
    found: list[tuple[float, float]] = []
    middle = int(np.searchsorted(grid, 0.5))
    for first, last in ((0, middle), (middle, grid.shape[0])):
        side = np.flatnonzero(bad[first:last]) + first
        if not side.size:
            continue
        for run in np.split(side, np.flatnonzero(np.diff(side) > 1) + 1):
            a, b = int(run[0]), int(run[-1])
            low = ends.get(a - 1, 0.0 if a == 0 else 0.5)
            high = ends.get(b, 1.0 if b == grid.shape[0] - 1 else 0.5)
            found.append((low, high))
    return tuple(found)
