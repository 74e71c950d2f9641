"""Least conditional risk with a given class on top, for losses of several classes: grids and zooms on the cone.

With class j on top write f_j = a and f_k = a - w_k, w >= 0 (ties are the faces w_k = 0, and are met exactly). A loss
that does not change when a constant is added to all scores, or whose scores sum to zero, has no coordinate a.
Bounded domains are reached by moving scores outside to the boundary, along the ray or by clipping.
"""

from __future__ import annotations

import math

import numpy as np

from theory.losses import Loss
from theory.risk import multiclass_minimiser

from ._doors import FloatArray

VALUE_TOLERANCE = 1e-9
"""Relative to 1 + |risk|: two least risks closer than this are equal. Cause: at a kink that no coordinate follows the
zooms end 1e-10 of a unit score from it, and the risk is off by that times its slopes."""

NEAR_TOP = 2e-4
"""Classes this close to the top probability are not called wrong where the answer rests on a float search: the gap is
then of the order of the square, 4e-8, times a curvature that may be as small as 1/10."""

MAX_COORDINATES = 3
_ZOOMS = 200
_SHRINK = 0.4
_GROW = 1.5
_NARROW = 1e-10
_TABLE = 3_000_000


def least_risks(loss: Loss, posterior: FloatArray) -> FloatArray:
    """inf { C_p(f) : class j among the top scores } for every row p of `posterior` (m, c) and class j: (m, c).

    Float search: a product grid over the cone, then zooms about its best point, every problem at once. Losses that
    treat all labels alike are searched for sorted posteriors only. Beyond `MAX_COORDINATES`, pattern search.
    """
    m, c = posterior.shape
    vectors = any(isinstance(value, tuple) for value in loss.parameters.values())
    out = np.empty((m, c))
    if vectors:
        for j in range(c):
            out[:, j] = _on_cone(loss, posterior, j)
        return out
    stacked = np.empty((m, c, c))
    for j in range(c):
        stacked[:, j, 0] = posterior[:, j]
        stacked[:, j, 1:] = np.sort(np.delete(posterior, j, axis=1), axis=1)
    rows, back = np.unique(np.round(stacked.reshape(-1, c), 15), axis=0, return_inverse=True)
    rows /= rows.sum(axis=1, keepdims=True)
    return np.asarray(_on_cone(loss, rows, 0)[back.reshape(-1)].reshape(m, c))


def _free_level(loss: Loss, classes: int) -> bool:
    """Whether the common level of the scores matters: neither fixed by the domain nor dropped by the loss."""
    if loss.domain.kind in ("sum-zero", "ball"):
        return False
    if loss.domain.bound is not None:
        return True
    probe = np.array([[0.3 * math.sin(3.0 * k + r) for k in range(classes)] for r in range(4)])
    with np.errstate(all="ignore"):
        here, there = loss.values(probe), loss.values(probe + 0.7)
    return not bool(np.allclose(here, there, rtol=1e-10, atol=1e-10))


def _on_cone(loss: Loss, posterior: FloatArray, top: int) -> FloatArray:
    """inf { C_p(f) : class `top` among the top scores } per row: (m,)."""
    c = posterior.shape[1]
    level = _free_level(loss, c)
    d = c - 1 + level
    if d > MAX_COORDINATES:
        return np.asarray(multiclass_minimiser(loss, posterior, top=top)[1])
    fine = {1: 4, 2: 2}.get(d, 1)
    steps = np.concatenate([[0.0], np.geomspace(1e-2, 0.2, 2 * fine), np.linspace(0.25, 6.0, 12 * fine)])
    steps = np.unique(np.concatenate([steps, np.geomspace(8.0, 1e4, 5 * fine)]))
    axes = [steps] * (c - 1)
    if level:
        axes.append(np.unique(np.concatenate([-steps[::2], steps[::2]])))
    index = np.indices(tuple(axis.shape[0] for axis in axes)).reshape(d, -1)
    points = np.stack([axis[i] for axis, i in zip(axes, index, strict=True)], axis=1)
    table = _losses(loss, points, c, top)
    best = np.empty(posterior.shape[0], dtype=np.int64)
    chunk = max(1, _TABLE // points.shape[0])
    for start in range(0, posterior.shape[0], chunk):
        best[start : start + chunk] = mixed_risk(posterior[start : start + chunk, None], table).argmin(axis=1)
    centre, value = points[best], mixed_risk(posterior, table[best])
    half = np.empty_like(centre)
    for k, axis in enumerate(axes):
        i = index[k, best]
        half[:, k] = np.maximum(
            axis[i] - axis[np.maximum(i - 1, 0)], axis[np.minimum(i + 1, axis.shape[0] - 1)] - axis[i]
        )
    floor = np.array([0.0] * (c - 1) + [-np.inf] * level)
    moves = np.stack(np.meshgrid(*[np.array([-1.0, 0.0, 1.0])] * d, indexing="ij"), axis=-1).reshape(-1, d)
    active = np.arange(posterior.shape[0])
    for _ in range(_ZOOMS):
        here, width = centre[active], half[active]
        trial = np.maximum(here[:, None] + width[:, None] * moves, floor)
        values = mixed_risk(posterior[active, None], _losses(loss, trial, c, top))
        place = values.argmin(axis=1)
        rows = np.arange(active.shape[0])
        better = values[rows, place] < value[active]
        centre[active] = np.where(better[:, None], trial[rows, place], here)
        value[active] = np.where(better, values[rows, place], value[active])
        half[active] = np.where(better[:, None], _GROW * width, _SHRINK * width)
        active = active[(half[active] > _NARROW * (1.0 + np.abs(centre[active]))).any(axis=1)]
        if not active.size:
            break
    return value


def _losses(loss: Loss, coordinates: FloatArray, classes: int, top: int) -> FloatArray:
    """Losses of all labels at cone coordinates (..., d): (..., c)."""
    w = coordinates[..., : classes - 1]
    scores = np.zeros((*w.shape[:-1], classes))
    scores[..., [k for k in range(classes) if k != top]] = -w
    if loss.domain.kind in ("sum-zero", "ball"):
        scores += w.sum(axis=-1, keepdims=True) / classes
    if coordinates.shape[-1] == classes:
        scores += coordinates[..., -1:]
    if loss.domain.bound is not None:  # points outside stand for the nearest inside; tops and ties stay
        bound = float(loss.domain.bound)
        if loss.domain.kind == "ball":
            size = np.sqrt((scores * scores).sum(axis=-1, keepdims=True))
            scores = scores * (bound / np.maximum(size, bound))
        else:
            scores = np.clip(scores, -bound, bound)
    with np.errstate(all="ignore"):
        return loss.values(scores)


def mixed_risk(p: FloatArray, losses: FloatArray) -> FloatArray:
    """sum_y p_y losses_y where p_y > 0; NaN counts as infinity. Broadcasts (..., c)."""
    total: FloatArray = np.zeros(np.broadcast_shapes(p.shape[:-1], losses.shape[:-1]))
    with np.errstate(all="ignore"):
        for y in range(p.shape[-1]):  # column by column: sums along a short last axis are slow
            share, loss = p[..., y], losses[..., y]
            total += share * loss if share.all() else np.where(share > 0.0, share * loss, 0.0)
    return np.where(np.isnan(total), np.inf, total)
