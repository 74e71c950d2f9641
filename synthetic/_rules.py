"""Product rules for laws on the line and in the plane: points, weights that sum to one, and interleaved sub-rules.

Every rule has a number of nodes per axis that three divides. `part` numbers the sub-rules that take every third node
along each axis; the middle one is the same kind of rule, three times coarser. Their spread is `Grid`'s error.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from ._doors import FloatArray, IntArray
from ._grid import Grid

STRETCH = 2.0
"""Standard deviations of a normal rule's nodes in units of the law's: in the coordinate of the cells the weights then
vanish at both ends like a third power, and the midpoint rule loses nothing there."""

Rule = tuple[FloatArray, FloatArray, IntArray]
"""Points (m, d), weights (m,), part (m,)."""

Rule1 = tuple[FloatArray, FloatArray, FloatArray]
"""Nodes q, their distances 1 - q from one without cancellation, weights: (m,) each."""


def nodes_per_axis(count: int, dimension: int) -> int:
    """The number of nodes per axis, a multiple of three, so that a product rule has about `count` points.

    >>> nodes_per_axis(100, 2)
    12
    """
    return 3 * max(1, math.ceil(math.pow(count, 1.0 / dimension) / 3.0))


def product(axes: list[FloatArray], weights: list[FloatArray]) -> Rule:
    """The product of one-dimensional rules, d <= 2; weights (per axis) need not be normalised."""
    d = len(axes)
    z = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    mass = np.prod(np.meshgrid(*[w / w.sum() for w in weights], indexing="ij"), axis=0).reshape(-1)
    third = np.indices(tuple(len(axis) for axis in axes)).reshape(d, -1) % 3
    part = third[0] if d == 1 else 3 * third[0] + third[1]
    return z, mass, part.astype(np.int64)


def middles(count: int, low: float = 0.0, high: float = 1.0) -> FloatArray:
    """Midpoints of `count` equal cells of [low, high]: (count,)."""
    return np.asarray(low + (high - low) * (np.arange(count) + 0.5) / count)


def normal_rule(side: int, dimension: int) -> Rule:
    """N(0, I) in one or two dimensions: nodes at the midpoints of equal cells of Phi(z / STRETCH), weighted by the
    ratio of the two normal densities."""
    nodes = STRETCH * ndtri(middles(side))
    ratio = np.exp(-0.5 * nodes**2 * (1.0 - STRETCH**-2))
    return product([nodes] * dimension, [ratio] * dimension)


def beyond_normal(side: int, dimension: int) -> float:
    """Mass of N(0, I) with a coordinate beyond the outermost nodes of `normal_rule`."""
    return 2.0 * dimension * float(ndtr(STRETCH * ndtri(0.5 / side)))


def _stepped(side: int) -> Rule1:
    """The uniform law on (0, 1): q = s^3 (10 - 15 s + 6 s^2) at midpoints s, 1 - q, weights in proportion to dq/ds.

    The weights vanish at both ends like a second power, so that the interleaved sub-rules are good too.
    """
    s = middles(side)
    q = s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
    return q, q[::-1], s**2 * (1.0 - s) ** 2


def student_rule(side: int, dimension: int, degrees: float) -> Rule:
    """Student's t with `degrees` of freedom and unit scale, at quantiles that crowd towards 0 and 1.

    On the line z = T^-1(q). In the plane z = r (cos a, sin a), P(|Z| > r) = (1 + r^2 / degrees)^(-degrees / 2).
    """
    q, rest, weight = _stepped(side)
    if dimension == 1:
        z = np.where(q < 0.5, stdtrit(degrees, np.minimum(q, 0.5)), -stdtrit(degrees, np.minimum(rest, 0.5)))
        return product([z], [weight])
    r = np.sqrt(degrees * np.expm1(-2.0 / degrees * np.log(rest)))
    polar, mass, part = product([r, middles(side, 0.0, 2.0 * math.pi)], [weight, np.ones(side)])
    return np.stack([polar[:, 0] * np.cos(polar[:, 1]), polar[:, 0] * np.sin(polar[:, 1])], axis=1), mass, part


def beyond_student(side: int, dimension: int) -> float:
    """Mass of Z beyond the outermost nodes of `student_rule`: both tails on the line, large radii in the plane."""
    return (2.0 if dimension == 1 else 1.0) * float(_stepped(side)[0][0])


def as_grid(rule: Rule, method: str, outside: float = 0.0) -> Grid:
    """A rule for the law of X as a grid; `outside` is the mass beyond its nodes."""
    return Grid(rule[0], rule[1], "quadrature", rule[2], method, outside)


def grid_of_classes(
    rule: Rule, weights: FloatArray, means: FloatArray, factors: FloatArray, method: str, outside: float
) -> Grid:
    """The rule of the noise Z moved under every class: points means_k + factors_k z, mass weights_k times its own.

    Shapes: weights (c,), means (c, d), factors (c, d, d). `outside` is the mass of Z beyond the rule's nodes.
    """
    z, share, part = rule
    x = means[:, None] + np.einsum("kij,nj->kni", factors, z)
    mass = (weights[:, None] * share).reshape(-1)
    return Grid(x.reshape(-1, z.shape[1]), mass, "quadrature", np.tile(part, weights.shape[0]), method, outside)
