"""The least conditional risk over one side of 0 for many posteriors at once, in floats.

Both losses are tabulated once on a graded grid that holds their kinks. For fixed eta the risk at grid point i is
eta plus_i + (1 - eta) minus_i, so the best grid points of all eta form the lower left convex hull of the points
(minus_i, plus_i), found once and searched by its slopes. Between the neighbours of the best grid point the
derivative's sign change is located by Chandrupatla's method, and by golden sections where it has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ._kinks import kinks
from .expression import Expr, differentiate
from .expression.arrays import Array, evaluate_array

_FAR = 1e4
_CHUNK = 50_000
"""Posteriors refined at a time: bounds the memory."""
_ROUNDS = 60
_GOLDEN = (3 - 5**0.5) / 2
_GOLDEN_ROUNDS = 48
_EPSILON = float(np.finfo(float).eps)
Index = NDArray[np.intp]
Slope = Callable[[Array, Array], Array]


def mixed(eta: Array, plus: Array, minus: Array) -> Array:
    """eta plus + (1 - eta) minus, where a label that never occurs costs nothing, however large its loss."""
    with np.errstate(all="ignore"):
        return np.asarray(np.where(eta > 0, eta * plus, 0.0) + np.where(eta < 1, (1 - eta) * minus, 0.0))


@dataclass(frozen=True)
class Table:
    """The two losses on the grid of one side, with their trees and those of their slopes."""

    points: Array
    plus: Array
    minus: Array
    losses: tuple[Expr, Expr]
    slopes: tuple[Expr, Expr]

    @cached_property
    def turns(self) -> tuple[Index, Array]:
        """The grid points on the lower left hull of (minus, plus), and the slopes between; alike for all eta."""
        hull = _lower_left(_number(self.minus), _number(self.plus))
        with np.errstate(over="ignore", divide="ignore"):
            return hull, np.diff(self.plus[hull]) / np.diff(self.minus[hull])

    def risk(self, eta: Array, v: Array) -> Array:
        """C_eta(v), elementwise; NaN counts as +inf."""
        return _number(mixed(eta, *(_at(tree, v) for tree in self.losses)))

    def slope(self, eta: Array, v: Array) -> Array:
        """The derivative of C_eta at v, elementwise."""
        return mixed(eta, *(_at(tree, v) for tree in self.slopes))


def _at(tree: Expr, v: Array) -> Array:
    value = np.asarray(evaluate_array(tree, {"v": v}))
    return value if value.shape == v.shape else np.broadcast_to(value, v.shape)


def _number(value: Array) -> Array:
    return np.where(np.isnan(value), np.inf, value)


def _grid(limit: float, bends: Array) -> Array:
    """Positive scores: dense where losses bend, geometric towards 0 and towards the limit, bends on both sides."""
    parts = [np.geomspace(1e-9, 1e-2, 60), np.linspace(0, min(12.0, limit), 1201)[1:], np.geomspace(12, _FAR, 200)]
    near = bends[(bends > 0) & np.isfinite(bends)]
    parts += [near, np.nextafter(near, 0), np.nextafter(near, np.inf), 2 * near[near > 12]]
    points = np.unique(np.concatenate(parts))
    points = points[(points <= limit) & (points > 0)]
    return np.unique(np.append(points, limit)) if np.isfinite(limit) else points


@lru_cache(maxsize=64)
def tables(plus: Expr, minus: Expr, limit: float) -> dict[str, Table]:
    """The tables of the scores left of 0, of 0 itself, and right of 0."""
    bends = kinks((plus, minus), "v")
    slopes = differentiate(plus, "v"), differentiate(minus, "v")
    sides = {"left": -_grid(limit, -bends)[::-1], "zero": np.zeros(1), "right": _grid(limit, bends)}
    return {
        name: Table(points, _at(plus, points), _at(minus, points), (plus, minus), slopes)
        for name, points in sides.items()
    }


def least(table: Table, etas: Array) -> tuple[Array, Array]:
    """A minimiser over the table's side and the risk there, per eta; NaN counts as +inf."""
    column = _best_columns(table, etas)
    v, value = table.points[column], _number(mixed(etas, table.plus[column], table.minus[column]))
    if table.points.size == 1:
        return v, value
    for start in range(0, etas.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        for low, high in _brackets(table.points, column[part]):
            _refine(table, etas[part], (low, high), v[part], value[part])
    return v, value


def _brackets(points: Array, column: Index) -> Iterator[tuple[Index, Index]]:
    """Pairs of grid points to search between: the neighbours of the best one; beyond those next to a bend, the next."""
    last = points.size - 1
    yield np.maximum(column - 1, 0), np.minimum(column + 1, last)
    index = np.arange(points.size)
    wide = np.append(np.diff(points) > 8 * _EPSILON * np.abs(points[1:]), True)
    # the first index at or after each point, and the last before it, at which a step of more than rounding begins
    after = np.minimum.accumulate(np.where(wide, index, last)[::-1])[::-1]
    before = np.maximum.accumulate(np.where(np.append(True, wide[:-1]), index, 0))
    if (after[column] > column).any():
        yield after[column], np.minimum(after[column] + 1, last)
    if (before[column] < column).any():
        yield np.maximum(before[column] - 1, 0), before[column]


def _best_columns(table: Table, etas: Array) -> Index:
    """The grid point of least risk, per eta."""
    column = np.empty(etas.size, dtype=np.intp)
    column[etas == 0] = _number(table.minus).argmin()
    column[etas == 1] = _number(table.plus).argmin()
    inside = (etas > 0) & (etas < 1)
    if (table.plus == -np.inf).any() or (table.minus == -np.inf).any():
        column[inside] = _number(mixed(np.full((1, 1), 0.5), table.plus, table.minus)).argmin()
        return column
    hull, turns = table.turns
    eta = etas[inside]
    column[inside] = _nearby(table, eta, hull[np.searchsorted(turns, -(1 - eta) / eta)])
    return column


def _lower_left(x: Array, y: Array) -> Index:
    """Indices of the points that minimise a x + b y for some a, b > 0, x increasing; infinite ones only if all are."""
    order = np.lexsort((y, x))
    order = order[np.isfinite(x[order]) & np.isfinite(y[order])]
    if not order.size:
        return np.zeros(1, dtype=np.intp)
    lowest = np.minimum.accumulate(y[order])
    order = order[np.append(True, lowest[1:] < lowest[:-1])]
    kept: list[int] = []
    turns: list[float] = []
    across, up = x.tolist(), y.tolist()
    for i in order.tolist():
        turn = 0.0
        while kept:
            run = across[i] - across[kept[-1]]
            turn = (up[i] - up[kept[-1]]) / run if run > 0 else -np.inf
            if not turns or turn > turns[-1]:
                break
            kept.pop()
            turns.pop()
        if kept:
            turns.append(turn)
        kept.append(i)
    return np.array(kept, dtype=np.intp)


def _nearby(table: Table, etas: Array, column: Index) -> Index:
    """The best of each grid point and its neighbours: the hull's slopes are rounded."""
    for _ in range(3):
        tried = np.clip(column[:, None] + np.arange(-2, 3), 0, table.points.size - 1)
        values = _number(mixed(etas[:, None], table.plus[tried], table.minus[tried]))
        column = tried[np.arange(etas.size), values.argmin(1)]
    return column


def _refine(table: Table, etas: Array, bracket: tuple[Index, Index], v: Array, value: Array) -> None:
    """Lower v and value, in place, by a search between two grid points."""
    low, high = (table.points[index] for index in bracket)
    below, above = table.slope(etas, low), table.slope(etas, high)
    finite = np.isfinite(below) & np.isfinite(above)
    falls = (below < 0) & (above > 0) & finite
    # what is left but a sign change: a bracket without a bend inside, which an end wins, and ends are tried already;
    # or a grid point that beats both its neighbours, for which golden sections look
    last = (high - low <= 32 * _EPSILON * np.abs(low)) | (finite & ((v <= low) | (v >= high)))
    found = v.copy()
    rows = np.flatnonzero(falls)
    found[rows] = _sign_changes(
        lambda i, x: table.slope(etas[rows[i]], x), low[rows], high[rows], below[rows], above[rows]
    )
    _lower(table, etas, found, v, value)
    rows = np.flatnonzero(~falls & ~last)
    found[rows] = _golden(lambda x: table.risk(etas[rows], x), low[rows], high[rows])
    _lower(table, etas, found, v, value)


def _lower(table: Table, etas: Array, found: Array, v: Array, value: Array) -> None:
    trial = table.risk(etas, found)
    better = trial < value
    v[better], value[better] = found[better], trial[better]


def _sign_changes(slope: Callable[[Index, Array], Array], a: Array, b: Array, fa: Array, fb: Array) -> Array:
    """Where functions with f(a) < 0 < f(b) change sign (Chandrupatla 1997): secant steps where safe, else halving."""
    root = np.where(-fa < fb, a, b)
    active = np.arange(a.size)
    c, fc = a.copy(), fa.copy()
    share = np.full(a.size, 0.5)
    for _ in range(_ROUNDS):
        if not active.size:
            break
        x = a + share * (b - a)
        fx = slope(active, x)
        same = np.sign(fx) == np.sign(fa)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same, b, a), np.where(same, fb, fa)
        a, fa = x, fx
        best = np.abs(fa) < np.abs(fb)
        middle, least = np.where(best, a, b), np.minimum(np.abs(fa), np.abs(fb))
        root[active] = middle
        width = np.abs(b - a)
        with np.errstate(all="ignore"):
            edge = (2 * _EPSILON * np.abs(middle) + 1e-300) / width
            going = (edge < 0.5) & (least > 0)
            xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
            smooth = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
            step = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
            share = np.clip(np.where(smooth & np.isfinite(step), step, 0.5), edge, 1 - edge)
        active, a, b, c, share = active[going], a[going], b[going], c[going], share[going]
        fa, fb, fc = fa[going], fb[going], fc[going]
    return root


def _golden(risk: Callable[[Array], Array], a: Array, b: Array) -> Array:
    """Minimisers of unimodal functions on [a, b] by golden sections."""
    x, y = a + _GOLDEN * (b - a), b - _GOLDEN * (b - a)
    if not x.size:
        return x
    fx, fy = risk(x), risk(y)
    for _ in range(_GOLDEN_ROUNDS):
        left = fx <= fy
        a, b = np.where(left, a, x), np.where(left, y, b)
        new = np.where(left, a + _GOLDEN * (b - a), b - _GOLDEN * (b - a))
        value = risk(new)
        x, y = np.where(left, new, y), np.where(left, x, new)
        fx, fy = np.where(left, value, fy), np.where(left, fx, value)
    return np.where(fx <= fy, x, y)
