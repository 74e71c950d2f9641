"""Laws that are constant on the cells of a grid of the unit cube: every population quantity is a finite sum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from . import _doors as doors
from ._doors import FloatArray, IntArray
from ._estimate import Estimate, exact_sum
from ._grid import Grid
from ._law import Law


class PiecewiseConstant(Law):
    """X has constant density and Y a constant posterior on every cell of a regular grid of [0, 1]^d.

    `posterior` (k_1, ..., k_d, c): the class probabilities of each cell; `mass` (k_1, ..., k_d): the probability
    of each cell, equal when absent. R* = sum over cells of mass (1 - max_k posterior_k), exact.

    >>> PiecewiseConstant([[0.25, 0.75], [0.5, 0.5]]).bayes_risk().value
    0.375
    """

    def __init__(
        self, posterior: npt.ArrayLike, mass: npt.ArrayLike | None = None, name: str = "piecewise-constant"
    ) -> None:
        table = doors.simplex("posterior", posterior)
        if table.ndim < 2:
            raise ValueError(f"posterior.shape={table.shape} must be (k_1, ..., k_d, c): one axis per coordinate")
        cells = table.shape[:-1]
        weight = (
            np.full(cells, 1.0 / math.prod(cells)) if mass is None else doors.masses("mass", mass, zero_allowed=True)
        )
        if weight.shape != cells:
            raise ValueError(f"mass.shape={weight.shape} must be {cells}, one number per cell of the posterior")
        self.name = name
        self.cells = cells
        self._table = doors.frozen(table.reshape(-1, table.shape[-1]))
        self._mass = doors.frozen(weight.reshape(-1))

    def __repr__(self) -> str:
        return f"PiecewiseConstant({self.name!r}, cells={self.cells}, classes={self.classes})"

    @property
    def classes(self) -> int:
        return int(self._table.shape[1])

    @property
    def dimension(self) -> int:
        return len(self.cells)

    @property
    def extent(self) -> FloatArray:
        return np.tile([0.0, 1.0], (self.dimension, 1))

    @property
    def cell_posterior(self) -> FloatArray:
        """Class probabilities of all cells in row-major order, (m, c); read-only."""
        return self._table

    @property
    def cell_mass(self) -> FloatArray:
        """Probabilities of all cells in row-major order, (m,); read-only."""
        return self._mass

    def _cell(self, points: npt.ArrayLike) -> IntArray:
        x = doors.points("X", points, self.dimension)
        if float(x.min()) < 0.0 or float(x.max()) > 1.0:
            worst = float(x.min()) if float(x.min()) < 0.0 else float(x.max())
            raise ValueError(f"X holds {worst!r}: every coordinate must lie in [0, 1], the support of this law")
        # The inner edges decide, not a product, so that a drawn point falls where it was drawn.
        index = [np.searchsorted(edges[1:-1], x[:, j], side="right") for j, edges in enumerate(self._edges())]
        return np.asarray(np.ravel_multi_index(index, self.cells), dtype=np.int64)

    def _edges(self) -> list[FloatArray]:
        return [np.arange(k + 1) / k for k in self.cells]

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        count = doors.whole("n", n, 1)
        draw = doors.generator("rng", rng, "a sample is drawn from it")
        steps = np.cumsum(self._mass)
        cell = np.searchsorted(steps / steps[-1], draw.random(count), side="right")
        x = draw.random((count, self.dimension))
        for j, (edges, corner) in enumerate(zip(self._edges(), np.unravel_index(cell, self.cells), strict=True)):
            low, high = edges[corner], edges[corner + 1]
            x[:, j] = np.minimum(low + x[:, j] * (high - low), np.nextafter(high, 0.0))
        ladder = np.cumsum(self._table, axis=1)
        ladder /= ladder[:, -1:]
        y = (draw.random(count)[:, None] >= ladder[cell]).sum(axis=1)
        return x, np.asarray(y, dtype=np.int64)

    def posterior(self, points: npt.ArrayLike) -> FloatArray:
        return np.asarray(self._table[self._cell(points)])

    def density(self, points: npt.ArrayLike) -> FloatArray:
        """Mass of the cell over its volume; 0 outside the unit cube, where the posterior is refused."""
        x = doors.points("X", points, self.dimension)
        inside = np.asarray(((x >= 0.0) & (x <= 1.0)).all(axis=1))
        out = np.zeros(x.shape[0])
        if inside.any():
            out[inside] = self._mass[self._cell(x[inside])] * math.prod(self.cells)
        return out

    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        others = np.sort(self._table, axis=1)[:, :-1].sum(axis=1)  # 1 - max, without the cancellation
        return exact_sum(others, self._mass, "exact sum over cells")

    def grid(self, size: int = 1, rng: np.random.Generator | None = None) -> Grid:
        """The centres of the cells that have mass, whatever `size` and `rng`."""
        keep = np.flatnonzero(self._mass)
        corner = np.stack(np.unravel_index(keep, self.cells), axis=1)
        x = (corner + 0.5) / np.array(self.cells)
        part = np.zeros(keep.shape[0], dtype=np.int64)
        return Grid(x, self._mass[keep], "cells", part, f"exact sum over {keep.shape[0]} cells")


def checkerboard(side: int, eta: float, dimension: int = 2) -> PiecewiseConstant:
    """Two classes on side^dimension equal cells: P(Y = 1) is `eta` on even cells and 1 - eta on odd ones.

    >>> checkerboard(4, 0.75).bayes_risk().value
    0.25
    """
    count, d = doors.whole("side", side, 1), doors.whole("dimension", dimension, 1)
    level = doors.real("eta", eta, 0.0, 1.0)
    even = np.indices((count,) * d).sum(axis=0) % 2 == 0
    one = np.where(even, level, 1.0 - level)
    return PiecewiseConstant(np.stack([1.0 - one, one], axis=-1), name=f"checkerboard-{count}-{level:g}")


def point_mass(p: npt.ArrayLike) -> PiecewiseConstant:
    """X carries no information: one cell whose posterior is `p` (c,). The pointwise problem as a law.

    Raises ValueError for a `p` outside the simplex or of another shape.

    >>> point_mass([0.4, 0.3, 0.3]).bayes_risk().value
    0.6
    """
    probabilities = doors.simplex("p", p)
    if probabilities.ndim != 1:
        raise ValueError(f"p.shape={probabilities.shape} must be (c,)")
    label = ",".join(f"{v:.4g}" for v in probabilities)
    return PiecewiseConstant(probabilities[None], name=f"point-mass({label})")


def near_ties(gaps: Sequence[float], classes: int = 2) -> PiecewiseConstant:
    """Equal cells on the line, one per (gap, class): that class leads the next one by exactly `gap` in probability.

    For c > 2 the classes that are neither first nor second each have half the second's probability:
    second = (1 - gap) / (2 + (c - 2) / 2). Raises ValueError for a gap outside (0, 1].
    """
    c = doors.whole("classes", classes, 2)
    leads = doors.finite_array("gaps", gaps)
    if leads.ndim != 1 or leads.size == 0:
        raise ValueError(f"gaps.shape={leads.shape} must be (m,) with m >= 1")
    rows: list[FloatArray] = []
    for gap in leads.tolist():
        second = (1.0 - doors.real("gap", gap, 0.0, 1.0)) / (2.0 + (c - 2.0) / 2.0)
        row = np.array([second + gap, second] + [second / 2.0] * (c - 2))
        rows.extend(np.roll(row, k) for k in range(c))
    return PiecewiseConstant(np.stack(rows), name=f"near-ties-{c}-classes")
