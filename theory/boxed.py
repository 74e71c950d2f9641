"""Exact distances of linear classifiers when the point that is moved to must stay in a box, in NumPy.

The region left is that of the predicted class j = argmax_k f_k(x), a polyhedron; the nearest point of another
prediction, in the box or not, is the nearest over the rivals k of

    min ||z - x||  subject to  f_j(z) - f_k(z) <= 0,  lo <= z_i <= hi,

a projection on a half-space and a box.  With a = w_j - w_k its solution is z(s) = clip(x - s v), with v = a in L2 and
v = sign(a) in L-infinity, at the smallest s with f_j - f_k <= 0.  That gap falls, is convex and piecewise linear in s,
so that Newton's method from s = 0 never oversteps and ends after finitely many steps at the solution.  In L1 the
coordinates of the largest |a_i| move first, each to its end of the box before the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .margins import DUAL, distances_from_scores, row_distances

__all__ = ["boxed_linear_distances"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def boxed_linear_distances(
    weight: ArrayLike, bias: ArrayLike, x: ArrayLike, box: tuple[float, float], norm: str = "l2"
) -> tuple[Integers, Floats]:
    """Return predicted classes and the distances to the nearest point of the box of another prediction; both (n,).

    Parameters
    ----------
    weight : (c, d) rows w_k, c >= 2.
    bias   : (c,).
    x      : (n, d), each coordinate in the box.
    box    : (lo, hi), lo < hi.
    norm   : ``l2``, ``linf`` or ``l1``.

    A distance is ``inf`` where no point of the box has another prediction.  Exact up to rounding in float64; a tie
    counts as the end of the region.  Raises ``ValueError`` for another shape or norm, a number that is not finite, an
    empty box, or an x outside it.

    >>> boxed_linear_distances([[3.0, 4.0], [0.0, 0.0]], [-1.0, 0.0], [[0.5, 0.5]], (0.0, 1.0))
    (array([0]), array([0.5]))
    >>> boxed_linear_distances([[3.0, 4.0], [0.0, 0.0]], [-1.0, 0.0], [[0.9, 0.1]], (0.0, 1.0))[1].round(12)
    array([0.57542255])
    """
    w, b, points = (np.asarray(value, dtype=np.float64) for value in (weight, bias, x))
    lo, hi = box
    if not (np.isfinite([lo, hi]).all() and lo < hi):
        raise ValueError(f"box={box!r} must be two finite numbers, the lower one first")
    if points.ndim != 2 or w.ndim != 2 or points.shape[1] != w.shape[1]:
        raise ValueError(f"x of shape {points.shape} must have as many columns as weight of shape {w.shape}")
    outside = ~((points >= lo) & (points <= hi))
    if outside.any():
        i, j = (int(k) for k in np.argwhere(outside)[0])
        raise ValueError(f"x[{i}, {j}]={points[i, j]} must lie in the box [{lo}, {hi}]")
    with np.errstate(over="ignore", invalid="ignore"):
        scores = points @ w.T + b
    predicted, _ = distances_from_scores(w, b, scores, norm)
    return predicted, _nearest(w, b, points, scores, predicted, (float(lo), float(hi)), norm)


def _nearest(
    w: Floats, b: Floats, x: Floats, scores: Floats, predicted: Integers, box: tuple[float, float], norm: str
) -> Floats:
    """Rivals in the order of their distance without the box, which bounds the one with it from below."""
    rows, sizes = np.arange(len(x)), row_distances(w, DUAL[norm])[predicted]
    gaps = np.maximum(scores[rows, predicted][:, None] - scores, 0.0)
    gaps = np.where(sizes == 0.0, (b[:, None] - b[None, :])[predicted], gaps)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        free = np.where(gaps == 0.0, 0.0, gaps / sizes)
    free[rows, predicted] = np.inf
    order = np.argsort(free, axis=1)
    best = np.full(len(x), np.inf)
    for rivals in order.T[:-1]:
        still = np.flatnonzero(free[rows, rivals] < best)
        if len(still) == 0:
            break
        rival = rivals[still]
        found = _project(w[predicted[still]] - w[rival], gaps[still, rival], x[still], box, norm)
        best[still] = np.minimum(best[still], found)
    return best


def _project(a: Floats, gap: Floats, x: Floats, box: tuple[float, float], norm: str) -> Floats:
    """Distance of each x (n, d) to {z in the box: a (x - z) >= gap}, for gap >= 0."""
    return _greedy(a, gap, x, box) if norm == "l1" else _newton(a, gap, x, box, norm)


def _newton(a: Floats, gap: Floats, x: Floats, box: tuple[float, float], norm: str) -> Floats:
    lo, hi = box
    way = a if norm == "l2" else np.sign(a)
    found = np.zeros(len(x))
    step = np.zeros(len(x))
    active = np.flatnonzero(gap > 0.0)
    loose = (way != 0.0) & (np.where(way > 0.0, x > lo, x < hi))
    for _ in range(x.shape[1] + 1):  # each step but the last ends the freedom of a coordinate for good
        slope = (a[active] * way[active] * loose[active]).sum(axis=1)
        found[active[slope == 0.0]] = np.inf
        active, slope = active[slope > 0.0], slope[slope > 0.0]
        if len(active) == 0:
            break
        normal, direction, start = a[active], way[active], x[active]
        moved = start - np.clip(start - step[active, None] * direction, lo, hi)
        step[active] += np.maximum(gap[active] - (normal * moved).sum(axis=1), 0.0) / slope
        z = start - step[active, None] * direction
        now = loose[active] & np.where(direction > 0.0, z > lo, z < hi)
        moved = start - np.clip(z, lo, hi)
        found[active] = np.sqrt((moved**2).sum(axis=1)) if norm == "l2" else step[active]
        changed = (now != loose[active]).any(axis=1)
        loose[active] = now
        active = active[changed]
    return found


def _greedy(a: Floats, gap: Floats, x: Floats, box: tuple[float, float]) -> Floats:
    size = np.abs(a)
    order = np.argsort(-size, axis=1)
    room = np.take_along_axis(np.where(a > 0.0, x - box[0], box[1] - x), order, axis=1)
    size = np.take_along_axis(size, order, axis=1)
    before = np.cumsum(size * room, axis=1) - size * room
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(size > 0.0, np.clip((gap[:, None] - before) / size, 0.0, room), 0.0)
    reached = (size * room).sum(axis=1) >= gap
    return np.where(reached, part.sum(axis=1), np.inf)
