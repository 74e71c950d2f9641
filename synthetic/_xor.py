"""The exclusive or: blobs at the corners of a cube, labelled by the parity of the signs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from . import _doors as doors
from ._cubature import Axes, normal_marks
from ._doors import FloatArray, IntArray
from ._estimate import EPS, Estimate
from ._grid import Grid
from ._law import Law
from ._rules import as_grid, beyond_normal, nodes_per_axis, normal_rule, product


class Xor(Law):
    """X = corner S + noise Z, S uniform on {-1, 1}^d, Z N(0, I); Y = 1 where the product of the signs S is positive.

    eta(x) = (1 + prod_j tanh(corner x_j / noise^2)) / 2,    R* = (1 - (1 - 2 Phi(-corner / noise))^d) / 2

    since the coordinates are independent. In two dimensions no linear classifier beats 1/2.

    >>> round(Xor(corner=1.0, noise=1.0, dimension=1).bayes_risk().value, 6)
    0.158655
    """

    def __init__(self, corner: float = 1.0, noise: float = 0.6, dimension: int = 2, name: str = "xor") -> None:
        self.name = name
        self.corner = doors.length("corner", corner)
        self.noise = doors.length("noise", noise)
        self._dimension = doors.whole("dimension", dimension, 1)

    def __repr__(self) -> str:
        return f"Xor({self.name!r}, corner={self.corner:g}, noise={self.noise:g}, dimension={self.dimension})"

    @property
    def classes(self) -> int:
        return 2

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def extent(self) -> FloatArray:
        reach = self.corner + 4.0 * self.noise
        return np.tile([-reach, reach], (self.dimension, 1))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        count = doors.whole("n", n, 1)
        draw = doors.generator("rng", rng, "a sample is drawn from it")
        negative = draw.random((count, self.dimension)) < 0.5
        x = self.noise * draw.standard_normal((count, self.dimension))
        x += np.where(negative, -self.corner, self.corner)
        return x, np.asarray(1 - negative.sum(axis=1) % 2, dtype=np.int64)

    def posterior(self, points: npt.ArrayLike) -> FloatArray:
        x = doors.points("X", points, self.dimension)
        tilt = np.tanh(x * (self.corner / self.noise**2)).prod(axis=1)
        return np.stack([0.5 * (1.0 - tilt), 0.5 * (1.0 + tilt)], axis=1)

    def density(self, points: npt.ArrayLike) -> FloatArray:
        x = doors.points("X", points, self.dimension)
        near = -0.5 * ((np.abs(x) - self.corner) / self.noise) ** 2
        logs = near + np.log1p(np.exp(-2.0 * np.abs(x) * (self.corner / self.noise**2)))
        return np.asarray(
            np.exp(logs.sum(axis=1) - self.dimension * math.log(2.0 * self.noise * math.sqrt(2.0 * math.pi)))
        )

    @property
    def boxes(self) -> Axes | None:
        axis = normal_marks(np.array([-self.corner, self.corner]), np.full(2, self.noise))
        return (axis,) * self.dimension if self.dimension <= 2 else None

    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        ratio = self.corner / self.noise
        lead = math.erf(ratio / math.sqrt(2.0))  # 1 - 2 Phi(-ratio): its logarithm from the smaller of the two
        level = math.log1p(-2.0 * float(ndtr(-ratio))) if lead > 0.5 else math.log(lead) if lead > 0.0 else -math.inf
        value = -0.5 * math.expm1(self.dimension * level)
        return Estimate(value, 16.0 * EPS * self.dimension, "exact", "closed form: independent coordinates")

    def grid(self, size: int, rng: np.random.Generator | None = None) -> Grid:
        """For d <= 2, a product of normal rules about -corner and corner; for d > 2, a sample, which needs `rng`."""
        count = doors.whole("size", size, 1)
        d = self.dimension
        if d > 2:
            return self.sample_grid(count, doors.generator("rng", rng, f"in dimension {d} the grid is a sample"))
        side = nodes_per_axis(math.ceil(count / 2**d), d)
        z, share, _ = normal_rule(side, 1)
        axis = np.concatenate([self.noise * z[:, 0] - self.corner, self.noise * z[:, 0] + self.corner])
        weight = np.tile(share, 2)  # `side` is a multiple of three, so that the thirds of both halves match
        rule = product([axis] * d, [weight] * d)
        return as_grid(rule, f"quadrature: {axis.shape[0]}^{d} nodes", beyond_normal(side, d))
