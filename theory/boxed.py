"""Exact distances of linear classifiers when the point that is moved to must stay in a box, in NumPy.

The region left is that of the predicted class j = argmax_k f_k(x), a polyhedron; the nearest point of another
prediction, in the box or not, is the nearest over the rivals k of

    min ||z - x||  subject to  f_j(z) - f_k(z) <= 0,  lo <= z_i <= hi,

a projection on a half-space and a box.  With a = w_j - w_k its solution is z(s) = clip(x - s v), with v = a in L2 and
v = sign(a) in L-infinity, at the smallest s with f_j - f_k <= 0.  That gap falls, is convex and piecewise linear in s,
so that Newton's method from s = 0 never oversteps and ends after finitely many steps at the solution.  In L1 the
coordinates of the largest |a_i| move first, each to its end of the box before the next.

The boundary may pass through a corner of the box, as it does at 0 for every classifier without bias.  A gap that is
closed up to the rounding of the scores it was made of therefore counts as closed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .margins import DUAL, distances_from_scores, row_distances

__all__ = ["boxed_linear_distances"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_UNIT = 2.0**-53  # unit roundoff of float64


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
    counts as the end of the region, one within the scores' rounding too.  Raises ``ValueError`` for another shape or
    norm, a number that is not finite, an empty box, or an x outside it.

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


def _rounding(w: Floats, b: Floats, x: Floats, predicted: Integers) -> Floats:
    """What f_j - f_k, or as long an inner product in the box, may be off by in float64, for every k; (n, c)."""
    sizes = np.abs(x) @ np.abs(w).T + np.abs(b)
    slack: Floats = 2.0 * (x.shape[1] + 4) * _UNIT * (sizes[np.arange(len(x)), predicted][:, None] + sizes)
    return slack


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
    order, slack = np.argsort(free, axis=1), _rounding(w, b, x, predicted)
    best = np.full(len(x), np.inf)
    for rivals in order.T[:-1]:
        still = np.flatnonzero(free[rows, rivals] < best)
        if len(still) == 0:
            break
        rival = rivals[still]
        a, gap, closed = w[predicted[still]] - w[rival], gaps[still, rival], slack[still, rival]
        # A power of two that changes no bit, and keeps the squares of small numbers from being 0.
        exponent = -np.frexp(np.abs(a).max(axis=1, initial=0.0))[1]
        gap, closed = np.ldexp(gap, exponent), np.ldexp(closed, exponent)
        found = _project(np.ldexp(a, exponent[:, None]), gap, closed, x[still], box, norm)
        best[still] = np.minimum(best[still], found)
    return best


def _project(a: Floats, gap: Floats, slack: Floats, x: Floats, box: tuple[float, float], norm: str) -> Floats:
    """Distance of each x (n, d) to {z in the box: a (x - z) >= gap}, for gap >= 0; within ``slack`` counts."""
    return _greedy(a, gap, slack, x, box) if norm == "l1" else _newton(a, gap, slack, x, box, norm)


def _newton(a: Floats, gap: Floats, slack: Floats, x: Floats, box: tuple[float, float], norm: str) -> Floats:
    size = np.abs(a)
    speed = size if norm == "l2" else np.sign(size)  # of each coordinate towards its end of the box, as s grows
    room = np.where(a > 0.0, x - box[0], box[1] - x)
    found, step, left = np.zeros(len(x)), np.zeros(len(x)), gap.copy()
    active = np.flatnonzero(gap > 0.0)
    loose = (speed > 0.0) & (room > 0.0)
    for _ in range(x.shape[1] + 1):  # each step but the last ends the freedom of a coordinate for good
        slope = (size[active] * speed[active] * loose[active]).sum(axis=1)
        stuck = active[slope == 0.0]
        found[stuck[left[stuck] > slack[stuck]]] = np.inf
        active, slope = active[slope > 0.0], slope[slope > 0.0]
        if len(active) == 0:
            break
        step[active] += np.maximum(left[active], 0.0) / slope
        free = step[active, None] * speed[active]
        moved = np.minimum(free, room[active])
        left[active] = gap[active] - (size[active] * moved).sum(axis=1)
        found[active] = np.sqrt((moved**2).sum(axis=1)) if norm == "l2" else moved.max(axis=1)
        now = loose[active] & (free < room[active])
        changed = (now != loose[active]).any(axis=1)
        loose[active] = now
        active = active[changed & (left[active] > slack[active])]
    return found


def _greedy(a: Floats, gap: Floats, slack: Floats, x: Floats, box: tuple[float, float]) -> Floats:
    size = np.abs(a)
    order = np.argsort(-size, axis=1)
    room = np.take_along_axis(np.where(a > 0.0, x - box[0], box[1] - x), order, axis=1)
    size = np.take_along_axis(size, order, axis=1)
    left = gap[:, None] - (np.cumsum(size * room, axis=1) - size * room)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where((size > 0.0) & (left > 0.0), np.clip(left / size, 0.0, room), 0.0)
    part[:, 1:] = np.where(left[:, 1:] > slack[:, None], part[:, 1:], 0.0)  # what is left is rounding
    reached = (size * room).sum(axis=1) >= gap - slack
    return np.where(reached, part.sum(axis=1), np.inf)
