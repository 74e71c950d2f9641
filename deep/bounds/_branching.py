"""The shortest step that makes one rival win in a one-hidden-layer ReLU net: branch and bound over signs of units.

With z the step, p the hidden units before ReLU at z = 0 and a_i their rows,

    h(z) = shift + <line, z> + sum_i q_i max(0, p_i + <a_i, z>),        min ||z|| subject to h(z) <= 0.

A unit with q_i > 0 is convex in h and needs no branching: max(0, t) is the larger of 0 and t, and the cuts that are
violated are added one by one.  A unit with q_i < 0 is concave; while its sign is not decided it is replaced by the
chord over the values that it may take within the best radius known, which makes h smaller.  What is left at a node is
the point nearest to 0 of a polyhedron {A z >= b}, found by non-negative least squares (Lawson & Hanson 1974, ch. 23),
and bounded below by any multipliers u >= 0 through weak duality:

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

__all__ = ["Budget", "Rival", "Step", "search"]

Floats = NDArray[np.float64]
Signs = NDArray[np.int8]  # of each unit: +1 on, -1 off, 0 not decided

_CUTS = 60  # cuts at a node before its bound is taken as it is
_SMALL = (
    1e-11  # h below this share of the sum of its terms' sizes counts as 0: rounding, and the error of least squares
)
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
        sizes = np.linalg.norm(self.a, axis=1)
        moves = radius * np.where(sizes > 0.0, sizes, 1.0) * (1.0 + 1e-9)  # where the unit does not move: anything
        near = (sizes > 0.0) & (np.abs(self.p) < moves) & (self.q != 0.0)
        on = ~near & (self.p > 0.0)
        line = self.line + self.q[on] @ self.a[on]
        basis = np.linalg.qr(np.concatenate([self.a[near], line[None]]).T)[0]
        shift = float(self.shift + self.q[on] @ self.p[on])
        return Rival(self.a[near] @ basis, self.p[near], self.q[near], line @ basis, shift), basis


def search(rival: Rival, radius: float, budget: Budget, tolerance: float) -> Step:
    """Return the best step shorter than ``radius``, and a lower bound of every step's length (at most the best's).

    Nodes whose bound is within ``tolerance`` of the best length, relatively, are closed; the bound returned is the
    least of theirs and of those left open, when the budget ended the search first.
    """
    best, best_z, closed = radius, None, math.inf
    order = itertools.count()
    start = np.zeros(len(rival.q), dtype=np.int8)
    lower, z = _bound(rival, start, best)
    heap = [(lower, next(order), z, start, best)]
    budget.used += 1
    while heap and heap[0][0] < best * (1.0 - tolerance) and budget.left():
        lower, _, z, signs, reach = heapq.heappop(heap)
        if best < reach:  # the node was bounded with chords over a wider radius than is known by now
            bound, z = _bound(rival, signs, best)
            if (lower := max(lower, bound)) >= best * (1.0 - tolerance):
                closed = min(closed, lower)
                continue
        found = _descend(rival, z, best, searched=budget.used < _ALWAYS or budget.used % _EVERY == 0)
        if found is not None:
            best, best_z = float(np.linalg.norm(found)), found
            if not rival.reaches(z):  # with the shorter radius this node has another bound
                heapq.heappush(heap, (lower, next(order), z, signs, reach))
                continue
        unit = None if rival.reaches(z) else _next_unit(rival, signs, z, best)
        if unit is None:  # nothing is relaxed here any more
            closed = min(closed, lower)
            continue
        for sign in (1, -1):
            child = signs.copy()
            child[unit] = sign
            bound, z = _bound(rival, child, best)
            budget.used += 1
            heapq.heappush(heap, (max(bound, lower), next(order), z, child, best))
    return Step(best, best_z, min(best, closed, heap[0][0] if heap else math.inf))


def _descend(rival: Rival, z: Floats, best: float, *, searched: bool) -> Floats | None:
    """The step z if it is one, then the best of its piece, of the piece that one lies in, and so on; None: no gain."""
    kept: Floats | None = None
    if rival.reaches(z) and float(np.linalg.norm(z)) < best:
        kept, best = z, float(np.linalg.norm(z))
    while searched:
        signs = np.where(rival.p + rival.a @ z > 0.0, 1, -1).astype(np.int8)
        _, z = _bound(rival, signs, math.inf)
        if not (float(np.linalg.norm(z)) < best * (1.0 - 1e-12) and rival.reaches(z)):
            break
        kept, best = z, float(np.linalg.norm(z))
    return kept


def _next_unit(rival: Rival, signs: Signs, z: Floats, radius: float) -> int | None:
    """The concave unit whose chord is farthest from max(0, .) at z, of those not decided; None where all are exact."""
    free = np.flatnonzero((signs == 0) & (rival.q < 0.0))
    sizes = np.linalg.norm(rival.a[free], axis=1)
    low, high = rival.p[free] - radius * sizes, rival.p[free] + radius * sizes
    crossing = (low < 0.0) & (high > 0.0)
    free, low, high = free[crossing], low[crossing], high[crossing]
    if len(free) == 0:
        return None
    if math.isinf(radius):
        return int(free[np.argmax(np.abs(rival.q[free]) * sizes[crossing])])
    t = rival.p[free] + rival.a[free] @ z
    missing = -rival.q[free] * (high / (high - low) * (t - low) - np.maximum(t, 0.0))
    return int(free[np.argmax(missing)])


def _bound(rival: Rival, signs: Signs, radius: float) -> tuple[float, Floats]:
    """A lower bound of the steps with these signs that are shorter than ``radius``, and the relaxation's answer."""
    a, p, q = rival.a, rival.p, rival.q
    sizes = np.linalg.norm(a, axis=1)
    low, high = p - radius * sizes, p + radius * sizes
    sign = np.where(signs != 0, signs, np.where(low >= 0.0, 1, np.where(high <= 0.0, -1, 0)))
    on, chord, convex = sign == 1, (sign == 0) & (q < 0.0), (sign == 0) & (q > 0.0)
    decided = np.flatnonzero((signs != 0) & (q < 0.0))
    rows = signs[decided, None] * a[decided]
    limits = -signs[decided] * p[decided]
    if chord.any() and math.isinf(radius):  # no chord bounds max(0, .) on the whole line: h may be anything
        return _nearest(rows, limits)
    slope = high[chord] / (high[chord] - low[chord])
    line = rival.line + q[on] @ a[on] + (q[chord] * slope) @ a[chord]
    shift = rival.shift + q[on] @ p[on] + (q[chord] * slope) @ (p[chord] - low[chord])
    lower, z, seen = 0.0, np.zeros(a.shape[1]), set[bytes]()
    for _ in range(_CUTS):
        above = convex & (p + a @ z > 0.0)
        if above.tobytes() in seen:  # a cut that is there, missed by rounding
            break
        seen.add(above.tobytes())
        cut, limit = line + q[above] @ a[above], -(shift + q[above] @ p[above])
        scale = abs(shift) + float(np.abs(q[above]) @ (np.abs(p[above]) + np.abs(a[above] @ z)))
        if len(rows) > len(decided) and float(cut @ z) <= limit + 0.5 * _SMALL * scale:
            break
        rows = np.concatenate([rows, -cut[None]])
        limits = np.append(limits, -limit)
        found, z = _nearest(rows, limits)
        lower = max(lower, found)
        if lower >= radius:
            break
    return lower, z


def _nearest(a: Floats, b: Floats) -> tuple[float, Floats]:
    """A lower bound of ||z|| over {A z >= b}, with the z it comes from; ``inf`` where that is found to be empty."""
    from scipy.optimize import nnls  # takes half a second to load, and few processes search for exact distances

    zero = np.zeros(a.shape[1])
    sizes = np.linalg.norm(a, axis=1)
    if ((sizes == 0.0) & (b > 0.0)).any():
        return math.inf, zero
    a, b = a[sizes > 0.0] / sizes[sizes > 0.0, None], b[sizes > 0.0] / sizes[sizes > 0.0]
    if not (b > 0.0).any():
        return 0.0, zero
    unit = float(b.max())  # a bound already; in its units the answer is at least 1
    system = np.concatenate([a.T, b[None] / unit])
    wanted = np.append(zero, 1.0)
    try:
        u = nnls(system, wanted)[0]
    except RuntimeError:  # too many iterations: the largest b is a bound still
        return unit, unit * a[int(b.argmax())]
    force, gain = u @ a, float(u @ b) / unit
    size = float(np.linalg.norm(force))
    if size <= 1e-13 * float(u.sum()):
        return math.inf, zero
    return max(unit, unit * gain / size), unit * force * (gain / size**2)
