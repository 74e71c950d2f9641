"""Where a loss of one score may bend or jump: the switching points of max, min, abs, clip and comparisons."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

import numpy as np
from flint import ctx

from .expression import Expr, differentiate, simplify, substitute, walk
from .expression.arrays import Array, evaluate_array
from .expression.enclosure import enclose
from .expression.interval import Interval, Undefined, fraction_of
from .expression.nodes import Call, Clip, Const, Max, Min, Where

_PRECISION = 80
_FLOAT_ROOTS = 40
_HUGE = 10**300
_GRID = np.concatenate([-np.geomspace(1e6, 1e-4, 400), [0.0], np.geomspace(1e-4, 1e6, 400)])


@lru_cache(maxsize=512)
def breakpoints(trees: tuple[Expr, ...], name: str) -> tuple[Fraction, ...]:
    """The rational points at which a comparison, max, min, clip or abs of the trees switches.

    Roots of affine differences are exact, however far out. Others are found on a float grid, and kept
    when a short fraction nearby is a root for certain.
    """
    found: set[Fraction] = set()
    with ctx.workprec(_PRECISION):
        for tree in trees:
            for difference in dict.fromkeys(map(simplify, _switches(tree))):
                found.update(_roots(difference, name))
    return tuple(sorted(found))


def kinks(trees: tuple[Expr, ...], name: str) -> Array:
    """The breakpoints as floats, with those found on the float grid only, sorted."""
    found = {float(x) for x in breakpoints(trees, name) if abs(x) < _HUGE}
    for tree in trees:
        for difference in dict.fromkeys(map(simplify, _switches(tree))):
            if not isinstance(differentiate(difference, name), Const):
                found.update(_float_roots(difference, name))
    return np.array(sorted(found), dtype=np.float64)


def _switches(tree: Expr) -> Iterator[Expr]:
    for node in walk(tree):
        match node:
            case Max(u, v) | Min(u, v) | Where(_, u, v, _, _):
                yield u - v
            case Clip(u, low, high):
                yield u - low
                yield u - high
            case Call("abs", u):
                yield u


def _roots(tree: Expr, name: str) -> Iterator[Fraction]:
    slope = differentiate(tree, name)
    if isinstance(slope, Const):
        root = _affine_root(tree, name, slope.value)
        if root is not None:
            yield root
        return
    for guess in _float_roots(tree, name):
        for size in (1, 16, 1000, 10**6):
            root = Fraction(guess).limit_denominator(size)
            if _is_root(tree, name, root):
                yield root
                break


def _affine_root(tree: Expr, name: str, slope: Fraction) -> Fraction | None:
    try:
        at_zero = enclose(simplify(substitute(tree, {name: 0})), {}).range
    except Undefined:
        return None
    value = fraction_of(at_zero.lo)
    exact = slope != 0 and at_zero.is_point and value is not None and value.denominator < 10**12
    return -value / slope if exact and value is not None else None


def _is_root(tree: Expr, name: str, root: Fraction) -> bool:
    try:
        value = enclose(tree, {name: Interval.point(root)}).range
    except Undefined:
        return False
    return bool(value.is_point and value.lo == 0)


def _float_roots(tree: Expr, name: str) -> list[float]:
    """Points of sign changes and of touching, to float precision."""
    with np.errstate(all="ignore"):
        values = np.broadcast_to(evaluate_array(tree, {name: _GRID}), _GRID.shape)
        low, high = _GRID[:-1].copy(), _GRID[1:].copy()
        crossing = np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0)[:_FLOAT_ROOTS]
        low, high, left = low[crossing], high[crossing], values[:-1][crossing]
        for _ in range(80 if crossing.size else 0):
            middle = (low + high) / 2
            below = np.sign(np.broadcast_to(evaluate_array(tree, {name: middle}), middle.shape)) == np.sign(left)
            low, high = np.where(below, middle, low), np.where(below, high, middle)
    return [0.0, *high.tolist(), *(low if crossing.size else np.array([])).tolist()]
