"""What every law offers: samples, the exact posterior, the density, the Bayes rule and the Bayes risk."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from ._band import Band
from ._columns import all_but_largest
from ._cubature import Axes, risk_by_boxes
from ._doors import FloatArray, IntArray, generator, whole
from ._estimate import Estimate, sample_mean
from ._grid import Grid, sample_grid

MONTE_CARLO_SIZE = 200_000
"""Draws for a Bayes risk by Monte Carlo: the posterior is averaged (not labels), so the standard error is
at most 0.5 / sqrt(200000) = 0.0011."""


class Law(ABC):
    """A joint law of (X, Y) with X in R^d and Y in {0, ..., c-1}, whose posterior is known exactly.

    For two classes, eta(x) = P(Y = 1 given x): label 1 is the paper's +1, label 0 is -1.
    """

    name: str

    @property
    @abstractmethod
    def classes(self) -> int:
        """Number of classes c."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Dimension d of X."""

    @property
    @abstractmethod
    def extent(self) -> FloatArray:
        """A box (d, 2) of lows and highs that holds most of the mass; what a picture shows."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        """n independent draws: X (n, d) and y (n,)."""

    @abstractmethod
    def posterior(self, points: npt.ArrayLike) -> FloatArray:
        """P(Y = k given X = x) at points (n, d): an array (n, c), exact to rounding."""

    @abstractmethod
    def density(self, points: npt.ArrayLike) -> FloatArray:
        """Density of X at points (n, d): an array (n,), in units of 1 / volume."""

    @abstractmethod
    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        """R* = 1 - E[max_k P(Y = k given X)] with its error and how it was obtained.

        `rng` is needed only where no closed form or quadrature is at hand.
        """

    @abstractmethod
    def grid(self, size: int, rng: np.random.Generator | None = None) -> Grid:
        """About `size` weighted points that stand for the law of X; with `rng`, a sample where no rule exists."""

    def closed_band(self, low: float, high: float) -> Band | None:
        """Two classes: the mass and the excess risk of {x : low <= eta(x) <= high} in closed form, where known."""
        return None

    @property
    def boxes(self) -> Axes | None:
        """For d <= 2 the edges, along every axis, of boxes to begin a quadrature with; None where there is none."""
        return None

    def quadrature_bayes_risk(self) -> Estimate:
        """R* by quadrature over boxes, whatever is known in closed form; its error includes what no node saw.

        Raises ValueError where the law offers no boxes (d > 2, or a law that is constant on cells).
        """
        axes = self.boxes
        if axes is None:
            raise ValueError(f"law={self.name!r} must have boxes for a quadrature: a smooth density in d <= 2")
        return risk_by_boxes(self.density_and_posterior, axes, self.classes)

    def density_and_posterior(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`density` (n,) and `posterior` (n, c) at points (n, d), at the price of one where both cost much."""
        return self.density(points), self.posterior(points)

    def bayes_rule(self, points: npt.ArrayLike) -> IntArray:
        """The most probable class at points (n, d): an array (n,); the smallest label where several tie."""
        return np.asarray(self.posterior(points).argmax(axis=1), dtype=np.int64)

    def sample_grid(self, size: int, rng: np.random.Generator) -> Grid:
        """A grid of `size` independent draws of X."""
        return sample_grid(self.sample(size, rng)[0])

    def monte_carlo_bayes_risk(self, rng: np.random.Generator, n: int = MONTE_CARLO_SIZE) -> Estimate:
        """R* as the mean of 1 - max_k P(Y = k given X_i) over n draws, with its standard error.

        The values lie in [0, 1 - 1 / c]: the error allows for near-ties too rare to be drawn (`sample_mean`).
        """
        count = whole("n", n, 2)
        points = self.sample(count, generator("rng", rng, "the Bayes risk is sampled"))[0]
        values = all_but_largest(self.posterior(points))
        return sample_mean(values, f"Monte Carlo over posteriors, n = {count}", bound=1.0 - 1.0 / self.classes)
