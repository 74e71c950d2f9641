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

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from synthetic import _doors as doors
from synthetic._doors import FloatArray

GEOMETRIES: dict[str, float] = {"l2": 2.0, "linf": 1.0, "l1": np.inf}
"""In which norm distances of points are measured, and the norm that bounds w: the dual one."""

CONVERGED = 1e-6
"""Largest accepted distance between a solution and its upper bound, relative to the largest average margin: the
interior-point solver stops at about 1e-9, and rounding in the multipliers is of that order too."""

_NEW_ROWS = 50
"""Violated rows added to the active set at once: the cost of one program grows with its rows."""
_NEAR = 0.1
"""Rows whose margin lies further above the binding ones are dropped between programs."""
_SLACK = 1e-9
"""A row left out matters when it undercuts the binding margin by more: the solver's own feasibility tolerance."""
_ROUNDS = 200
"""Active sets tried for one program; each strictly grows, so few are needed."""


class NotSeparable(ValueError):
    """No direction has a positive minimum margin (or tail mean)."""


class NotConverged(RuntimeError):
    """A program whose solution is further from its upper bound than `CONVERGED`."""

    def __init__(self, words: str, residual: float) -> None:
        super().__init__(words)
        self.residual = residual


@dataclass(frozen=True)
class Point:
    """One point of the frontier: unit weights (d,), their minimum (or tail mean) and average margin.

    Units of both: the data's distances. `price`, `ceiling`: the line ceiling - price * m, which lies nowhere
    below A(m). `residual`: how far the solver's multipliers leave the optimum open, in the same units: the height
    of that line above this point, or, for the SVM, their bound on the minimum margin less the one found.
    """

    minimum: float
    average: float
    weights: FloatArray = field(repr=False)
    price: float
    ceiling: float
    residual: float


@dataclass(frozen=True)
class Frontier:
    """The frontier from the mean direction (first point) to the hard-margin SVM (last).

    `geometry`  the norm of distances; `tail`  None for the minimum, or the fraction q of the lower tail mean
    """

    points: tuple[Point, ...]
    geometry: str
    tail: float | None
    samples: int
    dimension: int

    @property
    def mean_end(self) -> Point:
        """The largest average margin."""
        return self.points[0]

    @property
    def svm_end(self) -> Point:
        """The largest minimum margin (or tail mean)."""
        return self.points[-1]

    @property
    def residual(self) -> float:
        """The largest distance of a point to its own upper bound."""
        return max(point.residual for point in self.points)

    @cached_property
    def _corners(self) -> tuple[FloatArray, FloatArray]:
        best: dict[float, float] = {}
        for point in self.points:
            best[point.minimum] = max(point.average, best.get(point.minimum, -np.inf))
        order = sorted(best)
        return np.array(order), np.array([best[m] for m in order])

    def average_at(self, minimum: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bound of A(m), each of the shape of m; NaN above the SVM's minimum.

        Below: mixtures of the points found (A is concave). Above: the lines of all points.
        """
        m = np.asarray(minimum, dtype=np.float64)
        order, averages = self._corners
        low = np.interp(m, order, averages)
        lines = np.array([[p.ceiling, p.price] for p in self.points])
        high = (lines[:, 0] - lines[:, 1] * m[..., None]).min(axis=-1)
        beyond = m > self.svm_end.minimum + self.svm_end.residual
        return np.where(beyond, np.nan, low), np.where(beyond, np.nan, np.maximum(high, low))

    def distance(self, minimum: npt.ArrayLike, average: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bound of the average margin that a classifier could gain at the same minimum: A(m) - a.

        Each of the common shape of m and a, in the units of the data's norm.
        """
        a = np.asarray(average, dtype=np.float64)
        low, high = self.average_at(minimum)
        return np.maximum(low - a, 0.0), high - a


def tail_mean(margins: npt.ArrayLike, tail: float | None) -> float:
    """The mean of the fraction `tail` of the smallest `margins` (n,); the minimum for None.

    (1/(q n)) times the sum of the floor(q n) smallest plus the due part of the next one.

    >>> tail_mean([3.0, 1.0, 2.0, 4.0], 0.5), tail_mean([3.0, 1.0, 2.0, 4.0], None)
    (1.5, 1.0)
    """
    values = np.sort(np.asarray(margins, dtype=np.float64))
    share = _share(tail, values.size)
    whole = int(share)
    total = float(values[:whole].sum())
    if whole < values.size:
        total += (share - whole) * float(values[whole])
    return total / share


def signed_points(x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
    """z_i = y_i x_i, shape (n, d), from points (n, d) and labels in {-1, +1}, both present."""
    points = doors.finite_array("x", x)
    labels = doors.finite_array("y", y)
    if points.ndim != 2 or points.shape[0] < 1:
        raise ValueError(f"x.shape={points.shape} must be (n, d) with n >= 1")
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
    if geometry not in GEOMETRIES:
        raise ValueError(f"geometry={geometry!r} must be one of {', '.join(GEOMETRIES)}")
    steps = doors.whole("points", points, 2)
    share = None if tail is None else doors.real("tail", tail, 0.0, 1.0)
    z = signed_points(x, y)
    solver = _Solver(z, geometry, share)
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


def _share(tail: float | None, samples: int) -> float:
    """q n, at least 1: how many of the smallest margins are averaged."""
    return 1.0 if tail is None else max(1.0, tail * samples)


class _Solver:
    """The programs over one data set, on a growing set of rows: most constraints never bind."""

    def __init__(self, z: FloatArray, geometry: str, tail: float | None) -> None:
        self.scale = float(np.linalg.norm(z.mean(axis=0), _norm_of_distance(geometry)))
        if not self.scale > 0.0:
            raise ValueError("sum(y_i x_i)=0: the average margin of every direction is 0, and there is no trade-off")
        self.z = z / self.scale
        self.mean: FloatArray = self.z.mean(axis=0)
        self.tail, self.share = tail, _share(tail, z.shape[0])
        self.bound, self.dual = GEOMETRIES[geometry], _norm_of_distance(geometry)
        margins = self.z @ _best_direction(self.mean, self.bound)
        self.rows = np.zeros(z.shape[0], dtype=bool)
        self.rows[np.argsort(margins)[: _NEW_ROWS + int(self.share)]] = True

    def mean_end(self) -> Point:
        """The largest average margin; its line is flat."""
        return self._point(_best_direction(self.mean, self.bound), 0.0, np.zeros_like(self.mean))

    def svm(self) -> Point:
        """The largest minimum margin (or tail mean), and the largest average there is of it as far as it is unique."""
        weights, _, mixture = self._solve(None)
        top = float(np.linalg.norm(mixture, self.dual)) * self.scale
        # every price gives a valid line; the one that is lowest here is kept
        lines = [self._point(weights, price, mixture) for price in np.geomspace(1.0, 1e8, 33)]
        point = min(lines, key=lambda each: each.residual)
        return replace(point, residual=top - point.minimum)

    def level(self, minimum: float) -> Point:
        """A(m) at one m."""
        return self._point(*self._solve(minimum / self.scale))

    def _point(self, weights: FloatArray, price: float, mixture: FloatArray) -> Point:
        size = float(np.linalg.norm(weights, self.bound))
        unit = weights / size if size > 1.0 else weights
        margins = self.z @ unit
        ceiling = float(np.linalg.norm(self.mean + price * mixture, self.dual))
        minimum, average = tail_mean(margins, self.tail), float(margins.mean())
        return Point(
            minimum * self.scale,
            average * self.scale,
            doors.frozen(np.asarray(unit, dtype=np.float64)),
            price,
            ceiling * self.scale,
            (ceiling - price * minimum - average) * self.scale,
        )

    def _solve(self, level: float | None) -> tuple[FloatArray, float, FloatArray]:
        """Weights, price nu and mixture sum_i r_i z_i of one program; `level` None maximises the minimum itself."""
        for _ in range(_ROUNDS):
            weights, cut, price, mixture = self._solve_rows(level)
            margins = self.z @ weights
            broken = np.flatnonzero((margins < cut - _SLACK) & ~self.rows)
            if broken.size == 0:
                self.rows &= margins < cut + _NEAR * (1.0 + abs(cut))  # the next program is a near one
                return weights, price, mixture
            self.rows[broken[np.argsort(margins[broken])[:_NEW_ROWS]]] = True
        raise NotConverged(f"the active set was not settled after {_ROUNDS} rounds", float("inf"))

    def _solve_rows(self, level: float | None) -> tuple[FloatArray, float, float, FloatArray]:
        """One program on the active rows: weights, the margin below which a missing row would matter, multipliers."""
        import cvxpy

        cp: Any = cvxpy  # its face is not typed

        z = self.z[self.rows]
        w, height = cp.Variable(z.shape[1]), cp.Variable()
        ball = cp.norm(w, self.bound) <= 1
        floor: Any = height if level is None else level
        if self.share <= 1.0:
            each = z @ w >= floor
            rules, cut = [ball, each], floor
        else:
            cut, lack = cp.Variable(), cp.Variable(z.shape[0], nonneg=True)
            each = lack >= cut - z @ w
            rules = [ball, each, cut - cp.sum(lack) / self.share >= floor]
        problem = cp.Problem(cp.Maximize(height if level is None else self.mean @ w), rules)
        try:
            with warnings.catch_warnings():  # "may be inaccurate": how far is measured by the multipliers
                warnings.simplefilter("ignore", UserWarning)
                problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
        except cvxpy.error.SolverError as error:
            raise NotConverged(f"the convex solver gave up: {error}", float("inf")) from None
        if w.value is None or each.dual_value is None:
            raise NotConverged(f"the convex solver ended with status {problem.status!r}", float("inf"))
        multipliers = np.maximum(np.asarray(each.dual_value, dtype=np.float64), 0.0)
        price = float(multipliers.sum())
        mixture = multipliers @ z / price if price > 0.0 else np.zeros(z.shape[1])
        at: Any = cut.value if isinstance(cut, cvxpy.Expression) else cut
        return np.asarray(w.value, dtype=np.float64), float(at), price, mixture


def _norm_of_distance(geometry: str) -> float:
    return {"l2": 2.0, "linf": np.inf, "l1": 1.0}[geometry]


def _best_direction(mean: FloatArray, bound: float) -> FloatArray:
    """The w with ||w|| <= 1 that maximises mean . w."""
    if bound == 2.0:
        return np.asarray(mean / np.linalg.norm(mean))
    if bound == np.inf:
        return np.sign(mean)
    unit = np.zeros_like(mean)
    k = int(np.argmax(np.abs(mean)))
    unit[k] = np.sign(mean[k])
    return unit
