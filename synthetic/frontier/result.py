"""What a frontier is made of: points with their own upper bounds, and what lies between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from synthetic import _doors as doors
from synthetic._doors import FloatArray


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

    (1/(q n)) times the sum of the floor(q n) smallest plus the due part of the next one. Raises ValueError for margins
    of another shape or not finite, and for a tail outside (0, 1).

    >>> tail_mean([3.0, 1.0, 2.0, 4.0], 0.5), tail_mean([3.0, 1.0, 2.0, 4.0], None)
    (1.5, 1.0)
    """
    values = np.sort(doors.finite_array("margins", margins))
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"margins.shape={values.shape} must be (n,) with n >= 1")
    share = share_of(tail, values.size)
    whole = int(share)
    total = float(values[:whole].sum())
    if whole < values.size:
        total += (share - whole) * float(values[whole])
    return total / share


def share_of(tail: float | None, samples: int) -> float:
    """q n, at least 1: how many of the smallest margins are averaged."""
    return 1.0 if tail is None else max(1.0, doors.real("tail", tail, 0.0, 1.0) * samples)
