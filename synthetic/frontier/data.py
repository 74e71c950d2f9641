"""Separable data with a visible trade-off, and a two-dimensional example whose late training is known."""

from __future__ import annotations

import numpy as np

from synthetic import _doors as doors
from synthetic._doors import FloatArray


def two_groups(
    n: int, dimension: int, rng: np.random.Generator, *, share: float = 0.1
) -> tuple[FloatArray, FloatArray]:
    """Points x (n, d) and labels y (n,) in {-1, +1} whose average margin and minimum margin want different directions.

    y is uniform; y x has mean (2, -0.6, 0, ...) for most points and (0.3, 1.2, 0, ...) for the fraction `share`,
    plus uniform noise of half-width 0.3 in the plane and 0.2 in the other coordinates. The direction (1, 1, 0, ...)
    separates every draw: y (x_1 + x_2) >= 0.8. The minority decides the minimum margin, the majority the average.
    """
    count, d = doors.whole("n", n, 2), doors.whole("dimension", dimension, 2)
    generator = doors.generator("rng", rng, "the points are drawn at random")
    part = doors.real("share", share, 0.0, 1.0)
    few = max(1, round(part * count))
    z = generator.uniform(-0.2, 0.2, size=(count, d))
    z[:, :2] *= 1.5
    z[:few, :2] += (0.3, 1.2)
    z[few:, :2] += (2.0, -0.6)
    y = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    order = generator.permutation(count)
    return np.asarray((z * y[:, None])[order]), np.asarray(y[order])
