"""Bayes risks on the line and in the plane by boxes that are cut where it pays, with an error that owns up.

R* = integral of f (1 - max_k p_k), f the density of X. The same nodes integrate f itself, whose integral is known to be
one. What the boxes do not reach, or what falls between all nodes, is mass missing from that one, and it can hold no
more than 1 - 1/c times itself of the risk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from ._columns import all_but_largest, row_lead
from ._doors import BoolArray, FloatArray
from ._estimate import EPS, Estimate
from ._panels import lobatto

NODES = 9
"""Gauss-Lobatto nodes per axis and box."""

SAFETY = 2.0
"""Times the sum of all errors of boxes."""

KINK = 0.006
"""The rule errs on |t - t0| over [0, h] by at most 0.0059 h^2, wherever t0 lies (searched; a test does it again)."""

GOAL = 1e-8
"""The boxes are cut until the error falls below this, or `POINTS` are used."""

POINTS = 300_000
"""Points at most, beside those of the first two rounds. Along a curve of kinks the error falls like one over the points
spent on it: in the registry it is then near 1e-6."""

SHARE = 0.9
"""The boxes with the largest errors that make up this share of the whole are cut together."""

PIECE = 1 << 16
"""Points per call of the integrand."""

Axes = tuple[FloatArray, ...]
"""Edges of the first boxes along every axis, d <= 2."""

Density = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""Points (n, d) to the density of X (n,) and the posterior (n, c)."""


def risk_by_boxes(law: Density, axes: Axes, classes: int) -> Estimate:
    """R* over the boxes between the edges `axes`, cut into halves along every axis where the error is largest.

    The error of a box is the larger of two: its share of the change that the cut made which it came from, in the risk
    and in (1 - 1/c) times the mass; and, where two classes are on top at its nodes, `KINK` times its volume times the
    largest lead f (p_first - p_second) there, what a kink may do. The stated error is `SAFETY` times the sum of these,
    (1 - 1/c) times what the mass differs from one, and the rounding of the sum.
    """
    d, bound = len(axes), 1.0 - 1.0 / classes
    corner = np.stack(np.meshgrid(*[a[:-1] for a in axes], indexing="ij"), axis=-1).reshape(-1, d)
    width = np.stack(np.meshgrid(*[np.diff(a) for a in axes], indexing="ij"), axis=-1).reshape(-1, d)
    sums = _rule(law, corner, width)
    error = np.full(corner.shape[0], np.inf)
    used, budget = corner.shape[0] * NODES**d, POINTS + corner.shape[0] * NODES**d * (1 + 2**d)
    parts = np.array(list(itertools.product((0.0, 0.5), repeat=d)))
    while True:
        cut = _worst(error)
        cost = int(cut.sum()) * (2 * NODES) ** d
        if used + cost > budget:
            break
        finer = (corner[cut][:, None] + parts * width[cut][:, None]).reshape(-1, d)
        halves = np.repeat(0.5 * width[cut], 2**d, axis=0)
        found = _rule(law, finer, halves)
        change = np.abs(found.reshape(-1, 2**d, 3).sum(axis=1) - sums[cut])
        share = np.repeat((change[:, 1] + bound * change[:, 0]) / 2**d, 2**d)
        corner, width = np.concatenate([corner[~cut], finer]), np.concatenate([width[~cut], halves])
        sums = np.concatenate([sums[~cut], found])
        error = np.concatenate([error[~cut], np.maximum(share, found[:, 2])])
        used += cost
        if SAFETY * float(error.sum()) <= GOAL:
            break
    mass, value = (float(total) for total in sums[:, :2].sum(axis=0))
    stated = SAFETY * float(error.sum()) + bound * (abs(1.0 - mass) + 16.0 * EPS)
    return Estimate(value, stated, "quadrature", f"quadrature: {corner.shape[0]} boxes, {used} points")


def _worst(error: FloatArray) -> BoolArray:
    """The fewest boxes whose errors make up `SHARE` of the whole; all of them at first."""
    if not np.isfinite(error).all():
        return np.ones(error.shape[0], dtype=bool)
    order = np.argsort(error)[::-1]
    reached = np.cumsum(error[order])
    out = np.zeros(error.shape[0], dtype=bool)
    out[order[: 1 + int(np.searchsorted(reached, SHARE * reached[-1]))]] = True
    return out


def _rule(law: Density, corner: FloatArray, width: FloatArray) -> FloatArray:
    """Mass, risk and what a kink may do in every box: (m, d) corners and widths to (m, 3)."""
    d = corner.shape[1]
    x, w = lobatto(NODES)
    node = np.stack(np.meshgrid(*[0.5 * (x + 1.0)] * d, indexing="ij"), axis=-1).reshape(-1, d)
    weight = np.prod(np.meshgrid(*[0.5 * w] * d, indexing="ij"), axis=0).reshape(-1)
    out = np.empty((corner.shape[0], 3))
    step = max(1, PIECE // node.shape[0])
    for start in range(0, corner.shape[0], step):
        here = slice(start, start + step)
        density, posterior = law((corner[here, None] + node * width[here, None]).reshape(-1, d))
        lead, top = row_lead(posterior)
        f = density.reshape(-1, node.shape[0])
        lost = f * all_but_largest(posterior).reshape(f.shape)
        first = top.reshape(f.shape)
        mixed = (first != first[:, :1]).any(axis=1)
        kink = np.where(mixed, KINK * (f * lead.reshape(f.shape)).max(axis=1), 0.0)
        out[here] = width[here].prod(axis=1)[:, None] * np.stack([f @ weight, lost @ weight, kink], axis=1)
    return out


STEPS = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 12.0])
"""Marks about a centre, in standard deviations on either side: beyond the last lies 4e-33."""


def normal_marks(centres: FloatArray, scales: FloatArray) -> FloatArray:
    """Edges along an axis for normal marginals: centres (k,) and standard deviations (k,)."""
    return np.unique(centres[:, None] + scales[:, None] * np.concatenate([-STEPS, [0.0], STEPS]))


MOST = 60
"""Equal boxes along an axis at most, to begin with."""


def even_marks(low: float, high: float, step: float) -> FloatArray:
    """Edges of equal boxes of width `step`, or as many as `MOST` allows."""
    return np.linspace(low, high, 1 + int(min(MOST, max(4.0, np.ceil((high - low) / step)))))
