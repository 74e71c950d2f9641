"""The Pareto frontier between minimum and average margin, as convex programs with certified distances to the optimum.

For z_i = y_i x_i and weights w in the unit ball of the dual norm, z_i . w is the signed distance of x_i to the
hyperplane of w where the dual norm of w is 1. With m(w) = min_i z_i . w and a(w) = mean_i z_i . w the frontier is

    A(m) = max { a(w) : m(w) >= m, ||w||_* <= 1 }.

Its ends: the mean direction (largest average; for L2 the direction of sum_i y_i x_i) and the hard-margin SVM (largest
minimum). A is concave. For every price nu >= 0 and weights r_i >= 0 with sum 1, A(m) <= ||mean(z) + nu sum_i r_i
z_i|| - nu m: each solution carries such a line, so what the solver claims is bounded from above by its own multipliers.

`tail = q` replaces m(w) by the mean of the fraction q of the smallest margins (the lower tail mean, or conditional
value at risk; Rockafellar and Uryasev 2000): concave, at most the q-quantile of the margins, and equal to the minimum
for q <= 1/n. The quantile itself is not concave; a program on it would not be convex.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from synthetic import _doors as doors
from synthetic._doors import FloatArray

from .result import Frontier
from .solver import CONVERGED, NotConverged, Solver, geometry_of


class NotSeparable(ValueError):
    """No direction has a positive minimum margin (or tail mean)."""


def signed_points(x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
    """z_i = y_i x_i, shape (n, d), from points (n, d) and labels in {-1, +1}, both present."""
    points = doors.finite_array("x", x)
    labels = doors.finite_array("y", y)
    if points.ndim != 2 or points.shape[0] < 1 or points.shape[1] < 1:
        raise ValueError(f"x.shape={points.shape} must be (n, d) with n >= 1 and d >= 1")
    if not float(np.abs(points).max()) < doors.FARTHEST:
        raise ValueError(f"max|x|={float(np.abs(points).max())!r} must be below {doors.FARTHEST}")
    if labels.shape != points.shape[:1]:
        raise ValueError(f"y.shape={labels.shape} must be {points.shape[:1]}, one label per point")
    if bad := sorted(set(np.unique(labels)) - {-1.0, 1.0}):
        raise ValueError(f"y contains {bad[0]:g}; labels must be -1 or +1")
    if np.unique(labels).size < 2:
        raise ValueError(f"y={labels[0]:g} everywhere; both labels -1 and +1 must occur")
    return np.asarray(points * labels[:, None])


def frontier(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    geometry: str = "l2",
    points: int = 50,
    tail: float | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> Frontier:
    """The frontier between minimum and average margin of homogeneous linear classifiers.

    `x` (n, d), `y` (n,) in {-1, +1}; `geometry` the norm of distances ("l2", "linf", "l1"); `points` solved
    programs; `tail` in (0, 1) for data that are not separable; `tell(done, all)` is called after each program.
    Raises ValueError for bad input, NotSeparable when no direction has a positive minimum margin (or tail mean),
    NotConverged, with the residual, when a program does not reach its bound.

    >>> found = frontier([[1.0, 0.0], [0.2, 1.0], [-1.0, -0.3]], [1, 1, -1], points=3)
    >>> found.mean_end.average > found.svm_end.average and found.mean_end.minimum < found.svm_end.minimum
    True
    """
    geometry_of(geometry)
    steps = doors.whole("points", points, 2)
    share = None if tail is None else doors.real("tail", tail, 0.0, 1.0)
    z = signed_points(x, y)
    solver = Solver(z, geometry, share)
    best = solver.svm()
    if not best.minimum > CONVERGED * solver.scale:
        raise NotSeparable(_not_separable(z, share, best.minimum))
    first = solver.mean_end()
    if tell is not None:
        tell(2, steps)
    found = [first]
    spread = (1.0 - np.cos(np.pi * np.arange(1, steps - 1) / (steps - 1))) / 2.0
    for k, level in enumerate(first.minimum + (best.minimum - first.minimum) * spread):
        found.append(solver.level(float(level)))
        if tell is not None:
            tell(k + 3, steps)
    found.append(best)
    for point in found:
        if not point.residual <= CONVERGED * solver.scale:
            relative = point.residual / solver.scale
            words = f"the program at minimum margin {point.minimum:.6g} left {relative:.2g} of the largest average open"
            raise NotConverged(f"{words}; at most {CONVERGED:g} is accepted", relative)
    return Frontier(tuple(found), geometry, share, *z.shape)


def _not_separable(z: FloatArray, tail: float | None, best: float) -> str:
    if tail is None:
        return (
            f"no direction separates these {z.shape[0]} points: the largest minimum margin is {best:.3g}, it must be "
            "positive; use tail=q (command line: --tail q) for the mean of the fraction q of smallest margins"
        )
    return f"tail={tail:g}: the largest mean of that fraction of margins is {best:.3g}, it must be positive; raise tail"
