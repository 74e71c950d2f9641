"""Concentric rings: points on spheres about the origin, blurred by Gaussian noise."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, hyp0f1, i0e, ive

from . import _doors as doors
from ._columns import in_pieces, normalised, square_norms
from ._cubature import Axes, even_marks
from ._doors import FloatArray, IntArray
from ._estimate import Estimate
from ._grid import Grid
from ._law import Law
from ._panels import integrate
from ._rules import as_grid, middles, nodes_per_axis, product

REACH = 10.0
"""Standard deviations of the noise beyond the outermost ring that quadrature covers: the mass outside is below
1e-21 in up to ten dimensions."""

ANGLES = 60
"""Angles of the rule at most: the law does not depend on them, and functions of x seldom need more."""

LARGE = 1e8
"""Above this argument two terms of the expansion at infinity are as good, and scipy's function ends near 2e9."""

MOST_DIMENSIONS = 250
"""I_(d/2 - 1)(`SMALL`) falls below the least float64 near d = 300."""

TINY = 1e-300
"""In place of the radius 0, whose sphere has no area."""

SMALL = 1.0
"""Below this argument the Bessel factor is computed from its power series, where the scaled form loses digits."""


class Rings(Law):
    """Y = k has probability weights_k, and X = radii_k U + noise Z with U uniform on the unit sphere of R^d, Z N(0, I).

    g_k(x) = weights_k (2 pi noise^2)^(-d/2) exp(-(r^2 + radii_k^2) / (2 noise^2)) B(r radii_k / noise^2),
    r = |x|, B(a) = E[exp(a U_1)] = Gamma(d/2) (2/a)^(d/2 - 1) I_(d/2 - 1)(a), I the modified Bessel function.

    `radii` (c,), at least 0 and distinct; `noise` > 0; `weights` (c,), equal when absent; `dimension` 2 or more.
    """

    def __init__(
        self,
        radii: npt.ArrayLike = (1.0, 2.0),
        noise: float = 0.3,
        weights: npt.ArrayLike | None = None,
        dimension: int = 2,
        name: str = "rings",
    ) -> None:
        circles = doors.finite_array("radii", radii)
        if circles.ndim != 1 or circles.shape[0] < 2:
            raise ValueError(f"radii.shape={circles.shape} must be (c,) with c >= 2 classes")
        if float(circles.min()) < 0.0 or np.unique(circles).size < circles.size:
            raise ValueError(f"radii={circles.tolist()} must be at least 0 and distinct")
        c = circles.shape[0]
        prior = doors.masses("weights", np.full(c, 1.0 / c) if weights is None else weights, zero_allowed=False)
        if prior.shape != (c,):
            raise ValueError(f"weights.shape={prior.shape} must be ({c},), one per radius")
        self.name = name
        self.radii = doors.frozen(circles)
        self.weights = doors.frozen(prior)
        self.noise = doors.length("noise", noise)
        self._dimension = doors.whole("dimension", dimension, 2)
        if self._dimension > MOST_DIMENSIONS:
            raise ValueError(
                f"dimension={dimension!r} must be at most {MOST_DIMENSIONS}: Bessel functions vanish beyond"
            )
        if not float(circles.max()) < doors.LARGEST:
            raise ValueError(f"max(radii)={float(circles.max())!r} must be below {doors.LARGEST}")

    def __repr__(self) -> str:
        return f"Rings({self.name!r}, radii={self.radii.tolist()}, noise={self.noise:g}, dimension={self.dimension})"

    @property
    def classes(self) -> int:
        return int(self.radii.shape[0])

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def extent(self) -> FloatArray:
        reach = float(self.radii.max()) + 4.0 * self.noise
        return np.tile([-reach, reach], (self.dimension, 1))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        count = doors.whole("n", n, 1)
        draw = doors.generator("rng", rng, "a sample is drawn from it")
        y = np.searchsorted(np.cumsum(self.weights)[:-1], draw.random(count), side="right").astype(np.int64)
        x = draw.standard_normal((count, self.dimension))
        x *= (self.radii[y] / np.sqrt(np.einsum("ij,ij->i", x, x)))[:, None]
        x += self.noise * draw.standard_normal((count, self.dimension))
        return x, y

    def _log_radial(self, r: FloatArray) -> FloatArray:
        """log g_k at points of norm r (n,): (n, c)."""
        variance, d = self.noise**2, self.dimension
        out = np.empty((r.shape[0], self.classes))
        for k, circle in enumerate(self.radii.tolist()):
            argument = r * (circle / variance)
            level = math.log(self.weights[k]) - 0.5 * d * math.log(2.0 * math.pi * variance)
            out[:, k] = level - 0.5 * (r - circle) ** 2 / variance + _log_bessel(argument, d)
        return out

    def _logs(self, points: npt.ArrayLike) -> FloatArray:
        x = doors.points("X", points, self.dimension)
        return in_pieces(lambda part: self._log_radial(np.sqrt(square_norms(part))), x, self.classes)

    def posterior(self, points: npt.ArrayLike) -> FloatArray:
        return normalised(self._logs(points))

    def density(self, points: npt.ArrayLike) -> FloatArray:
        return np.asarray(np.exp(np.logaddexp.reduce(self._logs(points), axis=1)))

    @property
    def boxes(self) -> Axes | None:
        far = float(self.radii.max()) + REACH * self.noise
        return (even_marks(-far, far, 2.0 * self.noise),) * 2 if self.dimension == 2 else None

    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        """R* = integral over r of (sum_k g_k - max_k g_k) times the area of the sphere of radius r, by panels."""
        d = self.dimension
        area = math.log(2.0) + 0.5 * d * math.log(math.pi) - float(gammaln(d / 2.0))

        def lost(r: FloatArray) -> FloatArray:
            g = np.sort(np.exp(self._log_radial(r) + (area + (d - 1) * np.log(np.maximum(r, TINY)))[:, None]), axis=1)
            return np.asarray(g[:, :-1].sum(axis=1))

        peaks = np.sqrt(self.radii**2 + (d - 1) * self.noise**2)
        steps = np.linspace(-REACH - 1.0, REACH + 1.0, 1 + int(8 * (REACH + 1.0)))
        marks = np.maximum((peaks[:, None] + self.noise * steps).ravel(), 0.0)
        found = integrate(lost, np.unique(np.append(marks, 0.0)))
        method = f"quadrature: radial, {found.nodes} Gauss-Lobatto nodes"
        return Estimate(found.value, found.error + 1e-12, "quadrature", method)  # rounding of the Bessel factors

    def grid(self, size: int, rng: np.random.Generator | None = None) -> Grid:
        """In the plane, midpoints in radius and angle weighted by the density; else a sample, which needs `rng`."""
        count = doors.whole("size", size, 1)
        if self.dimension > 2:
            reason = f"in dimension {self.dimension} the grid is a sample"
            return self.sample_grid(count, doors.generator("rng", rng, reason))
        turns = min(nodes_per_axis(count, 2), ANGLES)
        side = 3 * max(1, math.ceil(count / turns / 3.0))
        r = middles(side, 0.0, float(self.radii.max()) + REACH * self.noise)
        radial = np.exp(np.logaddexp.reduce(self._log_radial(r), axis=1)) * r
        polar, mass, part = product([r, middles(turns, 0.0, 2.0 * math.pi)], [radial, np.ones(turns)])
        x = np.stack([polar[:, 0] * np.cos(polar[:, 1]), polar[:, 0] * np.sin(polar[:, 1])], axis=1)
        return as_grid((x, mass, part), f"quadrature: {side} radii, {turns} angles")


def _log_bessel(a: FloatArray, dimension: int) -> FloatArray:
    """log(exp(-a) B(a)), B(a) = E[exp(a U_1)] for U uniform on the sphere of R^d."""
    if dimension == 2:
        return np.asarray(np.log(i0e(a)))
    order = 0.5 * dimension - 1.0
    big = np.clip(a, SMALL, LARGE)
    mu = 4.0 * order**2 - 1.0
    beyond = np.maximum(a, LARGE)
    far = -0.5 * np.log(2.0 * math.pi * beyond) + np.log1p(-mu / (8.0 * beyond) * (1.0 - (mu - 8.0) / (16.0 * beyond)))
    far += order * np.log(2.0 / beyond) + gammaln(0.5 * dimension)
    scaled = np.log(ive(order, big)) + order * np.log(2.0 / big) + gammaln(0.5 * dimension)
    series = np.log(hyp0f1(0.5 * dimension, 0.25 * np.minimum(a, SMALL) ** 2)) - a
    return np.asarray(np.where(a < SMALL, series, np.where(a > LARGE, far, scaled)))
