"""Conditional risks and their minimisers in floats: fast, vectorised, and not a proof (tier `searched`).

Binary, eta = P(Y = +1 | x):   C_eta(v) = eta phi_plus(v) + (1 - eta) phi_minus(v)
c classes, p in the simplex:   C_p(f) = sum_y p_y loss(f, y)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._asked import check_loss
from ._descent import least, mixed, tables
from .expression.arrays import Array
from .losses import Loss


@dataclass(frozen=True)
class BinaryMinimiser:
    """Where the conditional risk is least, per posterior eta; every field has the shape of `eta`.

    `v` a minimiser over the whole domain, `value` the risk there; `wrong_v` and `wrong_value` the
    same over the wrong side (v <= 0 where eta > 1/2, v >= 0 where eta < 1/2: ties are wrong), and
    `right_v`, `right_value` over the open correct side; `gap` = wrong_value - value >= 0, the
    calibration gap of the loss at eta. At eta = 1/2 nothing is wrong and the gap is 0. An infimum at
    infinity is read off at |v| = 10^4.
    """

    eta: Array
    v: Array
    value: Array
    wrong_v: Array
    wrong_value: Array
    right_v: Array
    right_value: Array
    gap: Array


def check_eta(eta: ArrayLike) -> Array:
    """eta as an array, or ValueError where an entry is not a probability."""
    array = np.asarray(eta, dtype=np.float64)
    bad = ~((array >= 0) & (array <= 1))
    if bad.any():
        raise ValueError(f"eta={array[bad].flat[0]!r} must lie in [0, 1]")
    return array


def check_posterior(p: ArrayLike) -> Array:
    """p as an array of shape (..., c), or ValueError where a row is not in the simplex (to 1e-9)."""
    array = np.asarray(p, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] < 2:
        raise ValueError(f"posterior p of shape {array.shape} must have a last axis of c >= 2 classes")
    bad = ~(np.isfinite(array).all(-1) & (array >= 0).all(-1) & (np.abs(array.sum(-1) - 1) <= 1e-9))
    if bad.any():
        raise ValueError(f"posterior p={array[bad][0].tolist()} must have entries >= 0 that sum to 1")
    return array


def conditional_risk(loss: Loss, eta: ArrayLike, v: ArrayLike) -> Array:
    """The binary conditional risk C_eta(v) = eta phi_plus(v) + (1 - eta) phi_minus(v); eta and v broadcast.

    The result has their common shape. A label that never occurs costs nothing, however large its loss.

    Raises ValueError for eta outside [0, 1], for scores that are not finite, and for a loss without
    a binary formula (see `multiclass_risk`).

    >>> from .catalogue import get
    >>> float(conditional_risk(get("hinge"), 0.75, 1.0))
    0.5
    """
    check_loss(loss)
    posterior = check_eta(eta)
    with np.errstate(over="ignore"):
        return mixed(posterior, loss.phi_plus(v), loss.phi_minus(v))


def multiclass_risk(loss: Loss, p: ArrayLike, scores: ArrayLike) -> Array:
    """The conditional risk C_p(f) = sum_y p_y loss(f, y): p (..., c) and scores (..., c) to shape (...).

    Raises ValueError for p off the simplex, for scores that are not finite, and for a loss without a
    multiclass formula.

    >>> from .catalogue import get
    >>> float(multiclass_risk(get("crammer-singer"), [0.5, 0.25, 0.25], [0.0, 0.0, 0.0]))
    1.0
    """
    check_loss(loss)
    return np.asarray((check_posterior(p) * loss.values(scores)).sum(-1))


def binary_minimiser(loss: Loss, eta: ArrayLike, threshold: float = 0.5) -> BinaryMinimiser:
    """Minimise the conditional risk over both sides of 0, for every eta at once.

    A grid that is dense near 0 and holds the loss' kinks is followed by a search between the
    neighbours of the best point of each side, so that minimisers are good to about sqrt(machine
    epsilon) and values to machine precision where the risk is unimodal between grid points.
    `threshold` takes the place of 1/2 for cost-weighted decisions. Raises ValueError for eta outside
    [0, 1]. Every field of the result has the shape of `eta`.
    """
    check_loss(loss)
    etas = np.atleast_1d(check_eta(eta)).ravel()
    limit = float(loss.domain.bound) if loss.domain.bound is not None else np.inf
    best = {name: least(table, etas) for name, table in tables(*loss.pair_trees, limit).items()}

    def over(*names: str) -> tuple[Array, Array]:
        v = np.stack([best[name][0] for name in names])
        value = np.stack([best[name][1] for name in names])
        row = value.argmin(axis=0), np.arange(etas.size)
        return v[row], value[row]

    v, value = over("right", "zero", "left")
    low, high = over("left", "zero"), over("right", "zero")
    strict = {"left": over("left"), "right": over("right")}
    above, tie = etas > threshold, etas == threshold
    wrong = [np.where(tie, whole, np.where(above, a, b)) for whole, a, b in zip((v, value), low, high, strict=True)]
    right = [np.where(above, a, b) for a, b in zip(strict["right"], strict["left"], strict=True)]
    shape = np.shape(eta)
    parts = (etas, v, value, *wrong, *right, wrong[1] - value)
    return BinaryMinimiser(*(part.reshape(shape) for part in parts))


def psi(loss: Loss, theta: ArrayLike, points: int = 401) -> Array:
    """The calibration function of a binary loss in floats: the convex lower envelope of the gap.

    psi is the largest convex function below theta -> min(gap((1 + theta)/2), gap((1 - theta)/2)) on
    [0, 1] (Bartlett, Jordan & McAuliffe 2006, Definition 2), so that psi(R - R*) <= R_phi - R_phi*
    for every classifier. Computed as the lower hull over `points` grid values and the wanted ones, tier
    `searched`: never above the gap itself, and above a strictly convex envelope by at most
    (spacing)^2 / 8 times its second derivative. Has the shape of `theta`. Raises ValueError for theta outside [0, 1].
    """
    wanted = np.asarray(theta, dtype=np.float64)
    if not ((wanted >= 0) & (wanted <= 1)).all():
        raise ValueError("theta must lie in [0, 1]")
    grid = np.union1d(np.linspace(0, 1, points), wanted.ravel())
    gap = np.minimum(binary_minimiser(loss, (1 + grid) / 2).gap, binary_minimiser(loss, (1 - grid) / 2).gap)
    gap[0] = 0.0
    hull = _lower_hull(grid, np.maximum(gap, 0.0))
    return np.interp(wanted, grid[hull], np.maximum(gap, 0.0)[hull])


def _lower_hull(x: Array, y: Array) -> NDArray[np.intp]:
    """Indices of the lower convex hull of the points (x, y), x increasing."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[i] - x[a]) < (y[i] - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return np.array(hull, dtype=np.intp)


def multiclass_minimiser(
    loss: Loss, p: ArrayLike, starts: int = 8, seed: int = 0, top: int | None = None
) -> tuple[Array, Array]:
    """Scores that minimise C_p(f), one row per posterior: (m, c) to (scores (m, c), value (m,)).

    With `top`, over the scores at which that class attains the maximum.

    A pattern search from several starts, all posteriors and starts at once, each with its own step
    length; exact kinks are met by trying ties of the sorted scores too. Tier `searched`. Scores are
    kept within |f| <= 40 (or the domain's bound) and, for sum-zero domains, centred.
    """
    check_loss(loss)
    posterior = np.atleast_2d(check_posterior(p))
    rows, classes = posterior.shape
    limit = 40.0 if loss.domain.bound is None else float(loss.domain.bound)
    rng = np.random.default_rng(seed)
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(posterior, 1e-12))
    begin = [
        np.zeros((rows, classes)),
        logs - logs.mean(-1, keepdims=True),
        4.0 * (posterior == posterior.max(-1, keepdims=True)),
    ]
    begin += [rng.normal(scale=2.0, size=(rows, classes)) for _ in range(max(0, starts - len(begin)))]

    def allowed(f: Array) -> Array:
        return np.clip(_project(loss, f if top is None else _raised(f, top)), -limit, limit)

    scores = allowed(np.stack(begin, axis=1))
    weights = posterior[:, None, :]
    step = np.full(scores.shape[:2], 1.0)
    moves = _moves(classes)

    def risk(f: Array, w: Array) -> Array:
        value = (w * loss.values(f)).sum(-1)
        return np.where(np.isfinite(value), value, np.inf)

    value = risk(scores, weights)
    for _ in range(400):
        trial = scores[:, :, None, :] + step[:, :, None, None] * moves
        trial = allowed(np.concatenate([trial, _merged(scores)], axis=2))
        values = risk(trial, weights[:, :, None, :])
        best = values.argmin(-1)
        found = np.take_along_axis(values, best[..., None], -1)[..., 0]
        better = found < value
        scores = np.where(better[..., None], np.take_along_axis(trial, best[..., None, None], 2)[:, :, 0], scores)
        value = np.where(better, found, value)
        step = np.where(better, np.minimum(step * 1.5, 8.0), step * 0.5)
        if step.max() < 1e-9:
            break
    start = value.argmin(1)
    index = np.arange(rows), start
    return scores[index], value[index]


def _raised(scores: Array, top: int) -> Array:
    """The scores with class `top` lifted to the maximum."""
    lifted = scores.copy()
    lifted[..., top] = scores.max(-1)
    return lifted


def _moves(classes: int) -> Array:
    """Directions: each score, each difference, each block of scores, both ways."""
    subsets = [[(mask >> k) & 1 for k in range(classes)] for mask in range(1, 2**classes - 1)] if classes <= 5 else []
    units = np.eye(classes)
    pairs = [units[i] - units[j] for i in range(classes) for j in range(classes) if i != j]
    moves = np.array([*units, *pairs, *map(np.array, subsets)], dtype=np.float64)
    return np.concatenate([moves, -moves])


def _merged(scores: Array) -> Array:
    """Each vector with one pair of neighbouring sorted scores set equal: (..., c) to (..., c - 1, c)."""
    order = scores.argsort(-1)
    ranked = np.take_along_axis(scores, order, -1)
    merged = np.repeat(ranked[..., None, :], scores.shape[-1] - 1, axis=-2)
    for j in range(scores.shape[-1] - 1):
        merged[..., j, j] = merged[..., j, j + 1] = (ranked[..., j] + ranked[..., j + 1]) / 2
    back = order.argsort(-1)[..., None, :]
    return np.take_along_axis(merged, np.broadcast_to(back, merged.shape), -1)


def _project(loss: Loss, scores: Array) -> Array:
    """The scores centred where the domain asks for it, and shrunk into a ball."""
    if loss.domain.kind not in ("sum-zero", "ball"):
        return scores
    centred = scores - scores.mean(-1, keepdims=True)
    if loss.domain.bound is None:
        return np.asarray(centred)
    norm = np.sqrt((centred**2).sum(-1, keepdims=True))
    bound = float(loss.domain.bound)
    return np.asarray(centred * (bound / np.maximum(norm, bound)))
