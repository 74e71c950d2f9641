"""Gaussian classes: one normal law per class."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.special import logit, ndtr

from . import _doors as doors
from ._band import Band
from ._columns import distance_rounding, in_pieces, normalised, square_norms
from ._cubature import Axes, normal_marks
from ._doors import FloatArray, IntArray
from ._envelope import risk_in_the_plane, risk_on_the_line
from ._estimate import EPS, Estimate
from ._grid import Grid
from ._law import Law
from ._rules import beyond_normal, grid_of_classes, nodes_per_axis, normal_rule


class GaussianMixture(Law):
    """X given Y = k is N(means_k, covariances_k) and P(Y = k) = weights_k.

    posterior_k(x) = exp(log g_k(x) - logsumexp_j log g_j(x)),  g_k = weights_k N(means_k, covariances_k).

    `weights` (c,), c >= 2; `means` (c, d); `covariances` (d, d) shared by all classes, or (c, d, d).
    With a shared covariance log g_k is computed without its quadratic term, which is common to all classes.

    >>> law = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[1.0]])
    >>> law.posterior([[0.0]]).tolist()
    [[0.5, 0.5]]
    """

    def __init__(
        self,
        weights: npt.ArrayLike,
        means: npt.ArrayLike,
        covariances: npt.ArrayLike,
        name: str = "gaussian-mixture",
    ) -> None:
        prior, centres = doors.mixture(weights, means)
        c, d = centres.shape
        spread = doors.covariances("covariances", covariances, c, d)
        if spread.ndim == 3 and bool((spread == spread[0]).all()):
            spread = spread[0]
        self.name = name
        self.weights = doors.frozen(prior)
        self.means = doors.frozen(centres)
        self.covariances = doors.frozen(spread)
        self._factors = doors.frozen(np.asarray(np.linalg.cholesky(spread.reshape(-1, d, d)), dtype=np.float64))

    def __repr__(self) -> str:
        kind = "shared" if self.shared else "own"
        return f"GaussianMixture({self.name!r}, classes={self.classes}, dimension={self.dimension}, {kind} covariances)"

    @property
    def classes(self) -> int:
        return int(self.means.shape[0])

    @property
    def dimension(self) -> int:
        return int(self.means.shape[1])

    @property
    def shared(self) -> bool:
        """Whether all classes have the same covariance."""
        return self.covariances.ndim == 2

    @property
    def extent(self) -> FloatArray:
        sigma = np.sqrt(np.diagonal(self._each(self.covariances), axis1=1, axis2=2))
        return np.stack([(self.means - 4.0 * sigma).min(axis=0), (self.means + 4.0 * sigma).max(axis=0)], axis=1)

    def _each(self, stack: FloatArray) -> FloatArray:
        return np.broadcast_to(stack, (self.classes, self.dimension, self.dimension))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        count = doors.whole("n", n, 1)
        draw = doors.generator("rng", rng, "a sample is drawn from it")
        y = np.searchsorted(np.cumsum(self.weights)[:-1], draw.random(count), side="right").astype(np.int64)
        noise = draw.standard_normal((count, self.dimension))
        if self.shared:
            noise = noise @ self._factors[0].T
        else:
            for k in range(self.classes):
                mine = y == k
                noise[mine] = noise[mine] @ self._factors[k].T
        noise += self.means[y]
        return noise, y

    def _log_relative(self, x: FloatArray) -> FloatArray:
        """log g_k(x) up to a term common to all classes: (n, c)."""
        if not self.shared:
            return self._log_joint(x)
        origin = self.weights @ self.means
        z = solve_triangular(self._factors[0], (self.means - origin).T, lower=True)  # (d, c), whitened means
        back = solve_triangular(self._factors[0], z, lower=True, trans="T")
        return np.asarray((x - origin) @ back + (np.log(self.weights) - 0.5 * (z * z).sum(axis=0)))

    def _log_joint(self, x: FloatArray) -> FloatArray:
        """log g_k(x): (n, c)."""
        out = np.empty((x.shape[0], self.classes))
        constant = -0.5 * self.dimension * math.log(2.0 * math.pi)
        for k, factor in enumerate(self._each(self._factors)):
            inverse = solve_triangular(factor, np.eye(self.dimension), lower=True)
            z = (x - self.means[k]) @ inverse.T
            scale = math.log(self.weights[k]) + constant - float(np.log(np.diagonal(factor)).sum())
            out[:, k] = scale - 0.5 * square_norms(z)
        return out

    def posterior(self, points: npt.ArrayLike) -> FloatArray:
        x = doors.points("X", points, self.dimension)
        return in_pieces(lambda part: normalised(self._log_relative(part)), x, self.classes)

    def density(self, points: npt.ArrayLike) -> FloatArray:
        logs = self._log_joint(doors.points("X", points, self.dimension))
        return np.asarray(np.exp(np.logaddexp.reduce(logs, axis=1)))

    @property
    def boxes(self) -> Axes | None:
        if self.dimension > 2:
            return None
        sigma = np.sqrt(np.diagonal(self._each(self.covariances), axis1=1, axis2=2))
        return tuple(normal_marks(m, s) for m, s in zip(self.means.T, sigma.T, strict=True))

    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        """R* by the first that applies: closed form (two classes, shared covariance; any classes on the line),
        quadrature (the plane, or a shared covariance whose whitened means span a plane), Monte Carlo (`rng`)."""
        if not self.shared:
            if self.dimension == 1:
                return risk_on_the_line(self.weights, self.means[:, 0], self.covariances[:, 0, 0])
            if self.dimension == 2:
                return risk_in_the_plane(self.weights, self.means, self.covariances)
            return self.monte_carlo_bayes_risk(doors.generator("rng", rng, "the Bayes risk needs Monte Carlo here"))
        if self.classes == 2:
            return self._two_class_risk()
        # In whitened coordinates only the span of the means matters: the rest is noise shared by all classes.
        z = solve_triangular(self._factors[0], (self.means - self.means.mean(axis=0)).T, lower=True).T
        left, sizes, _ = np.linalg.svd(z, full_matrices=False)
        rank = int((sizes > 64.0 * EPS * max(1.0, float(sizes[0]))).sum())
        flat = left * sizes
        if rank <= 1:
            return risk_on_the_line(self.weights, flat[:, 0], np.ones(self.classes))
        if rank == 2:
            return risk_in_the_plane(self.weights, flat[:, :2], np.tile(np.eye(2), (self.classes, 1, 1)))
        return self.monte_carlo_bayes_risk(doors.generator("rng", rng, "the Bayes risk needs Monte Carlo here"))

    def _two_class_risk(self) -> Estimate:
        """R* = w0 Phi(-D/2 + L/D) + w1 Phi(-D/2 - L/D), D the Mahalanobis distance of the means, L = log(w1/w0);
        min(w0, w1) where D = 0."""
        w0, w1 = (float(w) for w in self.weights)
        z = solve_triangular(self._factors[0], self.means[1] - self.means[0], lower=True)
        distance = float(np.sqrt(z @ z))
        if distance == 0.0:
            return Estimate(min(w0, w1), EPS, "exact", "closed form: equal class laws")
        tilt = math.log(w1 / w0) / distance
        value = w0 * float(ndtr(-0.5 * distance + tilt)) + w1 * float(ndtr(-0.5 * distance - tilt))
        # dR*/dD = -w0 N(-D/2 + L/D): what the rounding of D makes of R*
        slope = w0 * math.exp(-0.5 * min((tilt - 0.5 * distance) ** 2, 1400.0)) / math.sqrt(2.0 * math.pi)
        slack = slope * distance * distance_rounding(self.covariances)
        return Estimate(value, 16.0 * EPS + slack, "exact", "closed form: two classes, shared covariance")

    def grid(self, size: int, rng: np.random.Generator | None = None) -> Grid:
        """For d <= 2, a product rule under each class; for d > 2, a sample, which needs `rng`.

        The rule: x = mean + L z with z on the normal rule of `_rules`.
        """
        count = doors.whole("size", size, 1)
        d = self.dimension
        if d > 2:
            return self.sample_grid(count, doors.generator("rng", rng, f"in dimension {d} the grid is a sample"))
        side = nodes_per_axis(math.ceil(count / self.classes), d)
        method = f"quadrature: {side}^{d} nodes per class"
        each, outside = self._each(self._factors), beyond_normal(side, d)
        return grid_of_classes(normal_rule(side, d), self.weights, self.means, each, method, outside)

    def closed_band(self, low: float, high: float) -> Band | None:
        """Two classes with a shared covariance: the log-odds are N(L -+ D^2 / 2, D^2) given the classes 0 and 1,
        D the Mahalanobis distance of the means and L = log(w1 / w0); the band is an interval of log-odds."""
        if not self.shared or self.classes != 2:
            return None
        w0, w1 = (float(w) for w in self.weights)
        z = solve_triangular(self._factors[0], self.means[1] - self.means[0], lower=True)
        distance, tilt = float(np.sqrt(z @ z)), math.log(w1 / w0)
        if distance == 0.0:
            return None

        def joint(a: float, b: float) -> tuple[float, float]:
            """P(Y = k, a <= eta <= b) for both classes."""
            ends = np.asarray(logit([a, b])) - tilt
            low0, high0 = (ends + 0.5 * distance**2) / distance
            low1, high1 = (ends - 0.5 * distance**2) / distance
            return w0 * float(ndtr(high0) - ndtr(low0)), w1 * float(ndtr(high1) - ndtr(low1))

        if high < low:
            return Band(Estimate(0.0, 0.0, "exact", "empty"), Estimate(0.0, 0.0, "exact", "empty"))
        below, above = joint(low, min(max(0.5, low), high)), joint(min(max(0.5, low), high), high)
        method = "closed form: log-odds are normal"
        return Band(
            Estimate(sum(below) + sum(above), 16.0 * EPS, "exact", method),
            Estimate(below[0] - below[1] + above[1] - above[0], 16.0 * EPS, "exact", method),
        )
