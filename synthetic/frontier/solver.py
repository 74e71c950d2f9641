"""The convex programs behind the frontier, each with the multipliers that bound it from above."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from synthetic import _doors as doors
from synthetic._doors import FloatArray

from .result import Point, share_of, tail_mean

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


class NotConverged(RuntimeError):
    """A program whose solution is further from its upper bound than `CONVERGED`."""

    def __init__(self, words: str, residual: float) -> None:
        super().__init__(words)
        self.residual = residual


class Solver:
    """The programs over one data set, on a growing set of rows: most constraints never bind."""

    def __init__(self, z: FloatArray, geometry: str, tail: float | None) -> None:
        largest = float(np.abs(z).max(initial=0.0))
        unit = z / largest if largest > 0.0 else z  # squares of very small coordinates would vanish
        self.scale = largest * float(np.linalg.norm(unit.mean(axis=0), _norm_of_distance(geometry)))
        if not self.scale > 0.0:
            raise ValueError("sum(y_i x_i)=0: the average margin of every direction is 0, and there is no trade-off")
        self.z = z / self.scale
        self.mean: FloatArray = self.z.mean(axis=0)
        self.tail, self.share = tail, share_of(tail, z.shape[0])
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


def geometry_of(name: object) -> str:
    """The name of a geometry; ValueError for another one."""
    if not isinstance(name, str) or name not in GEOMETRIES:
        raise ValueError(f"geometry={name!r} must be one of {', '.join(GEOMETRIES)}")
    return name


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
