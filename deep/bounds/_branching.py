"""The shortest step that makes one rival win in a one-hidden-layer ReLU net: branch and bound over signs of units.

With z the step, p the hidden units before ReLU at z = 0 and a_i their rows,

    h(z) = shift + <line, z> + sum_i q_i max(0, p_i + <a_i, z>),        min ||z|| subject to h(z) <= 0.

A unit with q_i > 0 is convex in h and needs no branching: max(0, t) is the larger of 0 and t, and the cuts that are
violated are added one by one.  A unit with q_i < 0 is concave; while its sign is not decided it is replaced by the chord
over the values that it may take within the best radius known, which makes h smaller.  What is left at a node is the
point nearest to 0 of a polyhedron {A z >= b}, found by non-negative least squares (Lawson & Hanson 1974, ch. 23), and
bounded below by any multipliers u >= 0 through weak duality:

    ||z|| >= <b, u> / ||A^T u||     for every z with A z >= b.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["Budget", "Rival", "Step", "search"]

Floats = NDArray[np.float64]
Signs = NDArray[np.int8]  # of each unit: +1 on, -1 off, 0 not decided

_CUTS = 60  # cuts at a node before its bound is taken as it is
_SMALL = 1e-11  # h below this share of the sum of its terms' sizes counts as 0: rounding, and the error of least squares
_ALWAYS, _EVERY = 50, 8  # nodes whose piece is searched for a step: the first so many, and then one in so many


@dataclass
class Budget:
    """What may be spent on an image: nodes, and the reading of ``time.monotonic`` at which to stop."""

    nodes: int
    stop: float
    used: int = 0

    def left(self) -> bool:
        """Whether another node may be opened."""
        return self.used < self.nodes and time.monotonic() < self.stop


@dataclass(frozen=True)
class Step:
    """The best step found (None: none below the radius given), its length, and a proved lower bound of every step's."""

    radius: float
    z: Floats | None
    lower: float


@dataclass(frozen=True)
class Rival:
    """h of one rival: rows a (k, d), values p (k,), coefficients q (k,), line (d,), shift."""

    a: Floats
    p: Floats
    q: Floats
    line: Floats
    shift: float

    def value(self, z: Floats) -> float:
        """h(z)."""
        return float(self.shift + self.line @ z + self.q @ np.maximum(self.p + self.a @ z, 0.0))

    def reaches(self, z: Floats) -> bool:
        """Whether h(z) <= 0, up to rounding."""
        sizes = np.abs(self.p) + np.linalg.norm(self.a, axis=1) * np.linalg.norm(z)
        scale = abs(self.shift) + float(np.abs(self.line @ z)) + float(np.abs(self.q) @ sizes)
        return self.value(z) <= _SMALL * scale

    def slope(self, z: Floats) -> Floats:
        """The gradient of h on the piece of z."""
        gradient: Floats = self.line + (self.q * (self.p + self.a @ z > 0.0)) @ self.a
        return gradient

    def within(self, radius: float) -> tuple[Rival, Floats]:
        """The problem in the span of what can matter within the radius, with an orthonormal basis (d, m) of it.

        Units whose sign cannot change there are affine: they are summed into the line and the shift, or are 0.
        A step's part outside the span changes nothing in h and only makes it longer.
        """
        near = (np.abs(self.p) < radius * np.linalg.norm(self.a, axis=1) * (1.0 + 1e-9)) & (self.q != 0.0)
        on = ~near & (self.p > 0.0)
        line = self.line + self.q[on] @ self.a[on]
        basis = np.linalg.qr(np.concatenate([self.a[near], line[None]]).T)[0]
        shift = float(self.shift + self.q[on] @ self.p[on])
        return Rival(self.a[near] @ basis, self.p[near], self.q[near], line @ basis, shift), basis


def search(rival: Rival, radius: float, budget: Budget, tolerance: float) -> Step:
    """Return the best step shorter than ``radius`` with a lower bound of all; each counts up to ``tolerance``, relative.

    The bound is as good as the step unless the budget ended the search, or least squares failed at a node.
    """
    best, best_z, stuck = radius, None, math.inf
    concave = np.flatnonzero(rival.q < 0.0)
    order = itertools.count()
    undecided = np.zeros(len(rival.q), dtype=np.int8)
    heap = [(*_bound(rival, undecided, best), next(order), undecided)]
    budget.used += 1
    while heap and heap[0][0] < best * (1.0 - tolerance):
        if not budget.left():
            break
        lower, z, _, signs = heapq.heappop(heap)
        if z is not None and (budget.used < _ALWAYS or budget.used % _EVERY == 0 or rival.reaches(z)):
            for point in _descend(rival, z, concave, best):
                best, best_z = float(np.linalg.norm(point)), point
        unit = _next_unit(rival, signs, z, best)
        if unit is None:  # nothing is relaxed here any more: its step was found just now, unless least squares failed
            stuck = min(stuck, lower)
            continue
        for sign in (1, -1):
            child = signs.copy()
            child[unit] = sign
            bound, point = _bound(rival, child, best)
            budget.used += 1
            if (bound := max(bound, lower)) < best * (1.0 - tolerance):
                heapq.heappush(heap, (bound, point, next(order), child))
    remaining = min([stuck, *(node[0] for node in heap[:1])])
    return Step(best, best_z, best if remaining >= best * (1.0 - tolerance) else remaining)
