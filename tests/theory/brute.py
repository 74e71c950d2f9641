"""Fisher consistency by brute force on a grid of scores, refined at its best points; nothing of `theory.risk`.

Good to about 1e-12 of the size of the loss, and blind to what happens between 1e-7 and 0 or beyond 1e5.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from theory import Loss

Array = np.ndarray[Any, Any]
FAR, ROUNDS = 1e5, 9


def scores_right_of_zero(loss: Loss) -> Array:
    """Positive scores: geometric towards 0 and infinity, even in between, and both sides of short fractions."""
    limit = FAR if loss.domain.bound is None else float(loss.domain.bound)
    short = np.array([k / n for n in range(1, 8) for k in range(1, 12 * n)])
    parts = [
        np.geomspace(1e-7, min(limit, 1.0), 1500),
        np.linspace(0, min(limit, 12.0), 4801)[1:],
        np.geomspace(min(limit, 1.0), limit, 1500),
        *(short + shift for shift in (-1e-9, 0.0, 1e-9)),
        [limit],
    ]
    grid = np.unique(np.concatenate(parts))
    return grid[(grid > 0) & (grid <= limit)]


def posteriors_around(threshold: Fraction) -> Array:
    """Posteriors on both sides of the threshold, geometric towards it, 0 and 1 included."""
    a = float(threshold)
    steps = np.concatenate([np.geomspace(1e-4, 1, 20), np.linspace(0, 1, 14)[1:]])
    return np.unique(np.concatenate([a + (1 - a) * steps, a - a * steps]))


def least_risks(loss: Loss, etas: Array) -> tuple[Array, Array, Array]:
    """The least conditional risk over negative scores, at 0, and over positive ones, per eta."""
    right = scores_right_of_zero(loss)

    def risk(v: Array) -> Array:
        with np.errstate(all="ignore"):
            plus, minus = etas[:, None] * loss.phi_plus(v), (1 - etas[:, None]) * loss.phi_minus(v)
        plus[etas == 0], minus[etas == 1] = 0.0, 0.0
        return plus + minus

    def least(v: Array) -> Array:
        """The best point of the grid, then finer grids between its neighbours."""
        values = risk(v)
        best, place = values.min(axis=1), values.argmin(axis=1)
        low, high = v[np.maximum(place - 1, 0)], v[np.minimum(place + 1, len(v) - 1)]
        for _ in range(ROUNDS):
            finer = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 21)
            values = risk(finer)
            place = values.argmin(axis=1)
            best = np.minimum(best, values.min(axis=1))
            step = (high - low) / 20
            middle = finer[np.arange(len(etas)), place]
            low, high = np.maximum(low, middle - step), np.minimum(high, middle + step)
        return best

    return least(-right[::-1]), risk(np.zeros(1))[:, 0], least(right)


def gaps(loss: Loss, threshold: Fraction = Fraction(1, 2), etas: Array | None = None) -> tuple[Array, Array]:
    """Posteriors, and inf over wrong scores (0 is wrong) minus inf over correct ones at each."""
    etas = posteriors_around(threshold) if etas is None else etas
    left, zero, right = least_risks(loss, etas)
    above = etas > float(threshold)
    return etas, np.where(above, np.minimum(left, zero) - right, np.minimum(right, zero) - left)
