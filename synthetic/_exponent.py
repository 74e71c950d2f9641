"""Laws with a given noise exponent (Tsybakov) and a given least distance from the tie (Massart)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from . import _doors as doors
from ._band import Band
from ._cubature import Axes
from ._doors import FloatArray, IntArray
from ._estimate import EPS, Estimate
from ._grid import Grid
from ._law import Law
from ._rules import as_grid, middles, nodes_per_axis, product

_BLOCK = 1 << 14


class NoiseExponent(Law):
    """X uniform on [-1, 1]^d, 2 eta(x) - 1 = sign(x_1) (floor + (1 - floor) |x_1|^(1 / exponent)).

    P(|2 eta(X) - 1| <= t) = ((t - floor) / (1 - floor))^exponent for floor <= t <= 1, so that `exponent` is the noise
    exponent alpha of Tsybakov (2004) where floor = 0, and |2 eta - 1| >= floor is the condition of Massart & Nedelec
    (2006). R* = (1 - floor - (1 - floor) alpha / (1 + alpha)) / 2.

    >>> round(NoiseExponent(exponent=1.0).bayes_risk().value, 12)
    0.25
    """

    def __init__(
        self, exponent: float = 1.0, floor: float = 0.0, dimension: int = 2, name: str = "noise-exponent"
    ) -> None:
        self.name = name
        self.exponent = doors.real("exponent", exponent, 0.0, math.inf)
        self.floor = doors.finite_array("floor", floor).item()
        if not 0.0 <= self.floor < 1.0:
            raise ValueError(f"floor={floor!r} must lie in [0, 1)")
        self._dimension = doors.whole("dimension", dimension, 1)

    def __repr__(self) -> str:
        return f"NoiseExponent({self.name!r}, exponent={self.exponent:g}, floor={self.floor:g}, d={self.dimension})"

    @property
    def classes(self) -> int:
        return 2

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def extent(self) -> FloatArray:
        return np.tile([-1.0, 1.0], (self.dimension, 1))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        count = doors.whole("n", n, 1)
        draw = doors.generator("rng", rng, "a sample is drawn from it")
        x = draw.uniform(-1.0, 1.0, (count, self.dimension))
        return x, (draw.random(count) < self._eta(x)).astype(np.int64)

    def _eta(self, x: FloatArray) -> FloatArray:
        lead = self.floor + (1.0 - self.floor) * np.abs(x[:, 0]) ** (1.0 / self.exponent)
        return np.asarray(0.5 * (1.0 + np.copysign(lead, x[:, 0])))

    def _inside(self, points: npt.ArrayLike) -> FloatArray:
        x = doors.points("X", points, self.dimension)
        if max(float(x.max()), -float(x.min())) > 1.0:
            raise ValueError(f"X holds {float(x.flat[int(np.abs(x).argmax())])!r}; it must lie in [-1, 1]^{x.shape[1]}")
        return x

    def posterior(self, points: npt.ArrayLike) -> FloatArray:
        x = self._inside(points)
        found = np.empty((len(x), 2))
        for start in range(0, len(x), _BLOCK):  # so few points at a time stay in the processor's cache
            block = slice(start, start + _BLOCK)
            found[block, 1] = self._eta(x[block])
            found[block, 0] = 1.0 - found[block, 1]
        return found

    def density(self, points: npt.ArrayLike) -> FloatArray:
        """2^-d inside the cube, 0 outside, where the posterior is refused."""
        x = doors.points("X", points, self.dimension)
        return np.where((np.abs(x) <= 1.0).all(axis=1), 0.5**self.dimension, 0.0)

    @property
    def boxes(self) -> Axes | None:
        """Along x_1 they crowd towards the tie, where |x_1|^(1 / exponent) is not smooth."""
        half = np.concatenate([[0.0], 0.125 ** np.arange(10.0, -1.0, -1.0)])
        axes = (np.unique(np.concatenate([-half, half])), np.array([-1.0, 1.0]))
        return axes[: self.dimension] if self.dimension <= 2 else None

    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        lead = self.floor + (1.0 - self.floor) * self.exponent / (1.0 + self.exponent)
        return Estimate(0.5 * (1.0 - lead), 4.0 * EPS, "exact", "closed form")

    def closed_band(self, low: float, high: float) -> Band:
        """Both sides of 1/2: with w uniform on [0, 1], |2 eta - 1| = floor + (1 - floor) w^(1/exponent)."""
        a, b = 2.0 * low - 1.0, 2.0 * high - 1.0
        mass = excess = 0.0
        for inner, outer in ((max(a, 0.0), b), (max(-b, 0.0), -a)):
            if outer < inner:
                continue
            for end, sign in ((outer, 1.0), (inner, -1.0)):
                share = min(max((end - self.floor) / (1.0 - self.floor), 0.0), 1.0) ** self.exponent
                power = share ** (1.0 + 1.0 / self.exponent) / (1.0 + 1.0 / self.exponent)
                mass += sign * 0.5 * share
                excess += sign * 0.5 * (self.floor * share + (1.0 - self.floor) * power)
        return Band(
            Estimate(mass, 16.0 * EPS, "exact", "closed form"), Estimate(excess, 16.0 * EPS, "exact", "closed form")
        )

    def grid(self, size: int, rng: np.random.Generator | None = None) -> Grid:
        """For d <= 2, midpoints of equal cells, an even number along x_1; for d > 2, a sample, which needs `rng`."""
        count = doors.whole("size", size, 1)
        d = self.dimension
        if d > 2:
            return self.sample_grid(count, doors.generator("rng", rng, f"in dimension {d} the grid is a sample"))
        side = nodes_per_axis(count, d)
        axes = [middles(side + side % 2 * 3, -1.0, 1.0), *[middles(side, -1.0, 1.0)] * (d - 1)]
        rule = product(axes, [np.ones(axis.shape[0]) for axis in axes])
        return as_grid(rule, f"quadrature: {' x '.join(str(axis.shape[0]) for axis in axes)} midpoints")


def tsybakov(exponent: float = 1.0, dimension: int = 2) -> NoiseExponent:
    """P(|2 eta - 1| <= t) = t^exponent: the larger the exponent, the rarer near-ties.

    >>> tsybakov(3.0).bayes_risk().value
    0.125
    """
    return NoiseExponent(exponent, 0.0, dimension, name=f"tsybakov-{float(exponent):g}")


def massart(floor: float = 0.25, exponent: float = 1.0, dimension: int = 2) -> NoiseExponent:
    """|2 eta - 1| >= floor > 0 almost surely, with the given exponent above the floor."""
    level = doors.real("floor", floor, 0.0, 1.0)
    return NoiseExponent(exponent, level, dimension, name=f"massart-{level:g}")
