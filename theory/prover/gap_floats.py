"""Float evidence for calibration functions on the cone of sorted scores: minimisers by rank, the least gap.

Nothing here is proved; it tells the search of `cone_gap` what to aim at and what to try.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np

from theory.checker.cone import Cell, Posterior, split_cell
from theory.checker.cone_gap import gap_cells
from theory.losses import Loss

Array = np.ndarray[Any, Any]
_GRID = {1: 400, 2: 40, 3: 16, 4: 8, 5: 6}
"""Grid values per gap, by the number of gaps: about as many points in all as a matrix product likes."""
_FAR = 36.0
_TOPS = np.array([-3.0, -2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
_FINEST = 1e-7


class Ground:
    """Losses by rank on a grid of gaps, and descent from its points; coordinates are the gaps, then the top score."""

    def __init__(self, loss: Loss, classes: int, has_top: bool, ordered: bool) -> None:
        self.loss, self.classes, self.has_top = loss, classes, has_top
        count = _GRID[classes - 1]
        if has_top:
            count = max(6, count // 2)
        fine = np.concatenate([[0.0], np.geomspace(0.02, 8.0, max(count - 2, 4)), [_FAR]])
        axes = [fine] * (classes - 1) + ([_TOPS] if has_top else [])
        self.points = np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=-1)
        self.values = self.losses(self.points)
        whole = list(permutations(range(classes)))
        self.orders: list[tuple[int, ...]] | None = None if ordered else whole
        signs = (0.0, 1.0, -1.0)
        self.moves = np.array([move for move in product(signs, repeat=len(axes)) if any(move)])

    def scores(self, points: Array) -> Array:
        """Scores by rank, decreasing: (..., n) to (..., c)."""
        drops = np.cumsum(points[..., : self.classes - 1], axis=-1)
        below = np.concatenate([np.zeros((*points.shape[:-1], 1)), -drops], axis=-1)
        if self.has_top:
            return np.asarray(below + points[..., -1:])
        return np.asarray(below - below.mean(-1, keepdims=True)) if self.loss.domain.kind == "sum-zero" else below

    def losses(self, points: Array) -> Array:
        """The losses of all ranks: (..., n) to (..., c); what is not a number counts as very large."""
        with np.errstate(all="ignore"):
            return np.nan_to_num(self.loss.values(self.scores(points)), nan=1e100, posinf=1e100)

    def wrong(self, x: Array, fineness: float = _FINEST) -> tuple[Array, Array]:
        """The least risks with posteriors (n, c) by rank as they stand: points (n, k) and values (n,)."""
        place = (x @ self.values.T).argmin(axis=1)
        return self._descend(x, self.points[place], fineness)

    def best(self, x: Array, fineness: float = _FINEST) -> tuple[Array, Array]:
        """The least risks over all scores: scores (n, c) in the order of the posterior's entries, and values (n,)."""
        if self.orders is None:
            order = np.argsort(-x, axis=1, kind="stable")
        else:
            risks = np.stack([(x[:, order] @ self.values.T).min(axis=1) for order in self.orders])
            order = np.array(self.orders)[risks.argmin(axis=0)]
        ranked = np.take_along_axis(x, order, axis=1)
        points, values = self.wrong(ranked, fineness)
        scores = np.empty_like(x)
        np.put_along_axis(scores, order, self.scores(points), axis=1)
        return scores, values

    def gaps(self, x: Array, fineness: float = _FINEST) -> Array:
        """inf over wrong scores minus inf over all, at posteriors by rank."""
        return self.wrong(x, fineness)[1] - self.best(x, fineness)[1]

    def _descend(self, x: Array, points: Array, fineness: float) -> tuple[Array, Array]:
        """A pattern search from one point per posterior; gaps stop at 0, so that ties are met exactly."""
        step = np.full(len(x), 0.25)
        value = (x * self.losses(points)).sum(-1)
        rows = np.arange(len(x))
        for _ in range(300):
            trial = points[:, None, :] + step[:, None, None] * self.moves
            gaps = trial[..., : self.classes - 1]
            np.clip(gaps, 0.0, _FAR, out=gaps)
            risks = (x[:, None, :] * self.losses(trial)).sum(-1)
            place = risks.argmin(axis=1)
            better = risks[rows, place] < value
            points = np.where(better[:, None], trial[rows, place], points)
            value = np.where(better, risks[rows, place], value)
            step = np.where(better, np.minimum(step * 1.3, 4.0), step / 2)
            if step.max() < fineness:
                break
        return points, value


def as_array(posteriors: Iterable[Posterior]) -> Array:
    """Exact posteriors as floats, (n, c)."""
    return np.array([[float(share) for share in x] for x in posteriors])


def least_gap(ground: Ground, epsilon: Fraction, ordered: bool) -> tuple[float, Posterior]:
    """The least gap found over posteriors with a rank m ahead of rank 0 by epsilon, and one at which it is found.

    All corners of the cells and of their first halvings are tried, then the cells at the best corners are halved on.
    """
    classes = ground.classes
    best, where = np.inf, None
    for m in [1] if ordered else range(1, classes):
        cells = gap_cells(classes, m, epsilon, ordered)
        goal = {3: 200, 4: 500}.get(classes, 300)
        while len({x for cell in cells for x in cell}) < goal and any(len(cell) > 1 for cell in cells):
            cells = [part for cell in cells for part in _halves(cell, classes, m)]
            if len(cells) > 20 * goal:
                break
        known: dict[Posterior, float] = {}
        for sweep in range(12):
            new = sorted({x for cell in cells for x in cell} - known.keys())
            if new:
                known |= zip(new, ground.gaps(as_array(new), 1e-4 if sweep < 11 else _FINEST).tolist(), strict=True)
            cells = sorted(cells, key=lambda cell: min(known[x] for x in cell))[:12]
            cells = [part for cell in cells for part in _halves(cell, classes, m)]
        first = sorted(known, key=lambda x: known[x])[:6]
        for x, gap in zip(first, ground.gaps(as_array(first)).tolist(), strict=True):
            if gap < best:
                best, where = gap, x
    assert where is not None
    return float(best), where


def _halves(cell: Cell, classes: int, m: int) -> list[Cell]:
    return split_cell(cell, classes, m) if len(cell) > 1 else [cell]
