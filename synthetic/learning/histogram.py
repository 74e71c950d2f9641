"""Piecewise-constant classifiers with shrinking cells: exact empirical risk minimisers of any loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthetic._agreement import pointwise_minimisers, top_classes
from synthetic._doors import BoolArray, FloatArray, IntArray
from theory.losses import Loss


@dataclass(frozen=True)
class Histogram:
    """Scores constant on the cells of a regular grid over a box, `k` cells per axis, k = ceil(n^(1 / (d + 2))).

    The empirical risk is a sum over cells, and on a cell it is the conditional risk at the empirical posterior of its
    labels: the minimiser is exact, cell by cell. Points outside the box belong to the nearest cell. A sample is
    seen only through its counts per cell and label, so memory does not grow with n.
    """

    extent: FloatArray
    classes: int
    cells: int

    @classmethod
    def for_size(cls, extent: FloatArray, classes: int, n: int) -> Histogram:
        """The grid of a box (d, 2) for n points: side about n^(-1 / (d + 2)), the best for a Lipschitz posterior."""
        return cls(extent, classes, int(np.ceil(n ** (1.0 / (extent.shape[0] + 2)) - 1e-9)))

    @property
    def size(self) -> int:
        """Number of cells, k^d."""
        return int(self.cells ** self.extent.shape[0])

    def cell(self, points: FloatArray) -> IntArray:
        """The number of the cell of each point (n, d), shape (n,)."""
        low, high = self.extent.T
        place = np.clip(((points - low) / (high - low) * self.cells).astype(np.int64), 0, self.cells - 1)
        return np.asarray(np.ravel_multi_index(tuple(place.T), (self.cells,) * place.shape[1]), dtype=np.int64)

    def counts(self, points: FloatArray, labels: IntArray) -> IntArray:
        """How often each label occurs in each cell: points (n, d), labels (n,) to shape (k^d, c)."""
        flat = self.cell(points) * self.classes + labels
        found = np.bincount(flat, minlength=self.size * self.classes)
        return np.asarray(found.reshape(self.size, self.classes), dtype=np.int64)

    def decisions(self, loss: Loss, counts: IntArray) -> BoolArray:
        """Which classes are on top in each cell for the empirical risk minimiser, (k^d, c); ties are several.

        A cell without samples takes the empirical posterior of the whole sample.
        """
        filled = counts.sum(axis=1) > 0
        shares = np.where(filled[:, None], counts, counts.sum(axis=0))
        rows, back = np.unique(shares, axis=0, return_inverse=True)
        posterior = rows / rows.sum(axis=1, keepdims=True)
        return np.asarray(top_classes(pointwise_minimisers(loss, posterior).scores)[back.reshape(-1)])
