"""Label noise: the labels of a law flipped at random, with the posterior transformed exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from . import _doors as doors
from ._band import Band
from ._columns import all_but_largest, row_max
from ._cubature import Axes
from ._doors import FloatArray, IntArray
from ._estimate import EPS, Estimate
from ._grid import Grid
from ._law import Law
from ._piecewise import PiecewiseConstant

Rate: TypeAlias = Callable[[FloatArray], FloatArray]
"""Points (n, d) to flip probabilities (n,) in [0, 1]."""


class _Noisy(Law):
    """Another law with its labels flipped: X stays as it is, the posterior at x is transformed by `_transformed`."""

    base: Law

    @property
    def classes(self) -> int:
        return self.base.classes

    @property
    def dimension(self) -> int:
        return self.base.dimension

    @property
    def extent(self) -> FloatArray:
        return self.base.extent

    def density(self, points: npt.ArrayLike) -> FloatArray:
        return self.base.density(points)

    def posterior(self, points: npt.ArrayLike) -> FloatArray:
        x = doors.points("X", points, self.dimension)
        return self._transformed(x, self.base.posterior(x))

    @property
    def boxes(self) -> Axes | None:
        return self.base.boxes

    def density_and_posterior(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        density, posterior = self.base.density_and_posterior(points)
        return density, self._transformed(points, posterior)

    def _transformed(self, points: FloatArray, posterior: FloatArray) -> FloatArray:
        """The noisy posterior (n, c) at points (n, d), from that of the base law there."""
        raise NotImplementedError


class LabelNoise(_Noisy):
    """A label y of `law` becomes k with probability transition[y, k], whatever x.

    posterior'(x) = posterior(x) @ transition. Noise on noise is one noise: the transitions multiply.
    `transition` (c, c): rows of probabilities.
    """

    def __init__(self, law: Law, transition: npt.ArrayLike, name: str | None = None) -> None:
        law = _checked(law)
        table = doors.simplex("transition", transition)
        if table.shape != (law.classes, law.classes):
            raise ValueError(
                f"transition.shape={table.shape} must be {(law.classes, law.classes)}, rows per true label"
            )
        self.name = f"{law.name}-noisy" if name is None else name
        before = law if isinstance(law, LabelNoise) else None
        self.base = law if before is None else before.base
        self.transition: FloatArray = doors.frozen(table if before is None else before.transition @ table)

    def __repr__(self) -> str:
        return f"LabelNoise({self.base!r}, {self.transition.tolist()})"

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        x, y = self.base.sample(n, rng)
        ladder = np.cumsum(self.transition, axis=1)
        ladder /= ladder[:, -1:]
        draw = np.asarray(rng.random(y.shape[0]))
        return x, np.asarray((draw[:, None] >= ladder[y]).sum(axis=1), dtype=np.int64)

    def _transformed(self, points: FloatArray, posterior: FloatArray) -> FloatArray:
        return np.asarray(posterior @ self.transition)

    @property
    def _slope(self) -> float | None:
        """s > 0 where posterior' = s posterior + (1 - s) / c exactly, else None."""
        c = self.classes
        off = float(self.transition[0, 1])
        slope = 1.0 - c * off
        even = np.full((c, c), off)
        np.fill_diagonal(even, 1.0 - (c - 1) * off)
        return slope if slope > 0.0 and float(np.abs(even - self.transition).max()) <= 4.0 * c * EPS else None

    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        """R*' = 1 - 1/c - s (1 - 1/c - R*) for symmetric noise of slope s > 0; else by quadrature where the base law
        has boxes, a sum over its cells, or Monte Carlo (`rng`)."""
        if self._slope is not None:
            clean, top = self.base.bayes_risk(rng), 1.0 - 1.0 / self.classes
            value = top - self._slope * (top - clean.value)
            return Estimate(
                value, self._slope * clean.error + 4.0 * EPS, clean.kind, f"symmetric noise on: {clean.method}"
            )
        if self.boxes is not None:
            return self.quadrature_bayes_risk()
        if isinstance(self.base, PiecewiseConstant):
            grid = self.grid(1)
            return grid.expect(all_but_largest(self.posterior(grid.points)))
        return self.monte_carlo_bayes_risk(doors.generator("rng", rng, "the Bayes risk needs Monte Carlo here"))

    def closed_band(self, low: float, high: float) -> Band | None:
        """Symmetric noise of two classes shrinks 2 eta - 1 by its slope; other noise has no closed form here."""
        if self.classes != 2 or self._slope is None:
            return None
        s = self._slope
        ends = [min(max(0.5 + (end - 0.5) / s, 0.0), 1.0) for end in (low, high)]
        beyond = high < 0.5 - 0.5 * s or low > 0.5 + 0.5 * s
        clean = self.base.closed_band(ends[0], ends[0] - 1.0 if beyond else ends[1])
        if clean is None:
            return None
        excess = clean.excess
        return Band(clean.mass, Estimate(s * excess.value, s * excess.error, excess.kind, excess.method))

    def grid(self, size: int, rng: np.random.Generator | None = None) -> Grid:
        """The grid of the base law: X is not touched, and the posterior stays constant where it was."""
        return self.base.grid(size, rng)


class InstanceNoise(_Noisy):
    """A label of `law` at x is replaced, with probability rate(x), by one of the other labels, each as likely.

    posterior'_k(x) = (1 - rate(x)) posterior_k(x) + rate(x) (1 - posterior_k(x)) / (c - 1).
    """

    def __init__(self, law: Law, rate: Rate, name: str | None = None) -> None:
        law = _checked(law)
        if not callable(rate):
            raise ValueError(f"rate={rate!r} must be a function of points (n, d); a constant is symmetric_noise")
        self.name = f"{law.name}-instance-noise" if name is None else name
        self.base = law
        self.rate = rate

    def __repr__(self) -> str:
        return f"InstanceNoise({self.base!r})"

    def _rate(self, x: FloatArray) -> FloatArray:
        found = np.asarray(self.rate(x), dtype=np.float64)
        if found.shape != (x.shape[0],):
            raise ValueError(f"rate(X).shape={found.shape} must be ({x.shape[0]},)")
        bad = ~((found >= 0.0) & (found <= 1.0))
        if bad.any():
            raise ValueError(f"rate(X) holds {float(found[bad][0])!r}; it must lie in [0, 1]")
        return found

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        x, y = self.base.sample(n, rng)
        flip = rng.random(y.shape[0]) < self._rate(x)
        step = rng.integers(1, self.classes, size=y.shape[0])
        return x, np.where(flip, (y + step) % self.classes, y)

    def _transformed(self, points: FloatArray, posterior: FloatArray) -> FloatArray:
        rate = self._rate(points)[:, None]
        return np.asarray((1.0 - rate) * posterior + rate / (self.classes - 1) * (1.0 - posterior))

    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        if self.boxes is not None:
            return self.quadrature_bayes_risk()
        return self.monte_carlo_bayes_risk(doors.generator("rng", rng, "the Bayes risk needs Monte Carlo here"))

    def grid(self, size: int, rng: np.random.Generator | None = None) -> Grid:
        """The grid of the base law where that is a quadrature; else (cells, on which the rate may vary) a sample."""
        if self.boxes is not None:
            return self.base.grid(size, rng)
        return self.sample_grid(size, doors.generator("rng", rng, "the rate varies within cells: the grid is a sample"))


def _checked(law: object) -> Law:
    if not isinstance(law, Law):
        raise ValueError(f"law={law!r} must be a Law, such as laws.get('xor')")
    return law


def symmetric_noise(law: Law, rate: float = 0.2) -> LabelNoise:
    """Every label becomes one of the c - 1 others with probability `rate`, each as likely; rate in [0, 1].

    The Bayes rule survives where rate < 1 - 1/c.
    """
    level = _probability("rate", rate)
    c = _checked(law).classes
    table = np.full((c, c), level / (c - 1))
    np.fill_diagonal(table, 1.0 - level)
    return LabelNoise(law, table, name=f"{law.name}-symmetric-{level:g}")


def class_noise(law: Law, rates: npt.ArrayLike = (0.3, 0.1)) -> LabelNoise:
    """A label y becomes one of the others with probability rates[y], each as likely: `rates` (c,) in [0, 1].

    The Bayes rule of two classes moves to eta = (1/2 - rates_0) / (1 - rates_0 - rates_1). Raises ValueError for
    rates of another shape or outside [0, 1].
    """
    levels = doors.finite_array("rates", rates)
    c = _checked(law).classes
    if levels.shape != (c,):
        raise ValueError(f"rates.shape={levels.shape} must be ({c},), one per class")
    for k, level in enumerate(levels.tolist()):
        _probability(f"rates[{k}]", level)
    table = np.repeat(levels[:, None] / (c - 1), c, axis=1)
    np.fill_diagonal(table, 1.0 - levels)
    return LabelNoise(law, table, name=f"{law.name}-class-noise")


def instance_noise(law: Law, rate: float = 0.4) -> InstanceNoise:
    """Labels flip most near the tie: at x with probability rate (1 - (max_k p_k - 1/c) / (1 - 1/c)), p the clean
    posterior: `rate` where all classes are as likely, 0 where the label is certain."""
    level, c = _probability("rate", rate), _checked(law).classes

    def near_the_tie(x: FloatArray) -> FloatArray:
        top = row_max(law.posterior(x))
        return np.asarray(np.clip(level * (1.0 - (top - 1.0 / c) / (1.0 - 1.0 / c)), 0.0, level))

    return InstanceNoise(law, near_the_tie, name=f"{law.name}-near-tie-noise-{level:g}")


def _probability(name: str, value: float) -> float:
    number = doors.number_of(name, value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name}={value!r} must lie in [0, 1]")
    return number
