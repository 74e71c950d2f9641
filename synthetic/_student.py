"""Heavy tails: one multivariate Student t law per class."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.special import gammaln, stdtr, stdtrit

from . import _doors as doors
from ._columns import distance_rounding, in_pieces, normalised, square_norms
from ._cubature import Axes
from ._doors import FloatArray, IntArray
from ._estimate import EPS, Estimate
from ._grid import Grid
from ._law import Law
from ._rules import beyond_student, grid_of_classes, nodes_per_axis, student_rule

LEAST_DEGREES, MOST_DEGREES = 0.2, 1e8
"""Degrees of freedom: with fewer, draws leave the range of float64 now and then; with more, use a Gaussian mixture."""

LEFT = 1e-10
"""Mass of a class beyond the boxes of the quadrature, if that is nearer than `REACH` scales. It is in the stated error:
with half a degree of freedom 1e-6 lies beyond `REACH`."""

REACH = 1e12

GROWTH = 6.0
"""How much wider each box is than the one before it, far from the means."""


class StudentMixture(Law):
    """X given Y = k is t(means_k, scales_k) with `degrees` of freedom in R^d and P(Y = k) = weights_k.

    g_k(x) = weights_k const |S_k|^(-1/2) (1 + (x - m_k)^T S_k^-1 (x - m_k) / degrees)^(-(degrees + d) / 2)

    `weights` (c,), c >= 2; `means` (c, d); `scales` (d, d) shared or (c, d, d), positive definite (for degrees > 2 the
    covariance is degrees / (degrees - 2) times the scale). Far from every mean the posterior does not become certain:
    it tends to a mixture of the weights.

    >>> round(StudentMixture([0.5, 0.5], [[-1.0], [1.0]], [[1.0]], degrees=1.0).bayes_risk().value, 12)
    0.25
    """

    def __init__(
        self,
        weights: npt.ArrayLike,
        means: npt.ArrayLike,
        scales: npt.ArrayLike,
        degrees: float = 3.0,
        name: str = "student-mixture",
    ) -> None:
        prior, centres = doors.mixture(weights, means)
        c, d = centres.shape
        spread = doors.covariances("scales", scales, c, d)
        self.name = name
        self.degrees = doors.real("degrees", degrees, LEAST_DEGREES, MOST_DEGREES)
        self.weights = doors.frozen(prior)
        self.means = doors.frozen(centres)
        self.scales = doors.frozen(np.array(np.broadcast_to(spread, (c, d, d))))
        self._factors = doors.frozen(np.asarray(np.linalg.cholesky(self.scales), dtype=np.float64))

    def __repr__(self) -> str:
        return f"StudentMixture({self.name!r}, classes={self.classes}, dimension={self.dimension})"

    @property
    def classes(self) -> int:
        return int(self.means.shape[0])

    @property
    def dimension(self) -> int:
        return int(self.means.shape[1])

    @property
    def extent(self) -> FloatArray:
        """Six scale units around every mean."""
        sigma = np.sqrt(np.diagonal(self.scales, axis1=1, axis2=2))
        return np.stack([(self.means - 6.0 * sigma).min(axis=0), (self.means + 6.0 * sigma).max(axis=0)], axis=1)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        count = doors.whole("n", n, 1)
        draw = doors.generator("rng", rng, "a sample is drawn from it")
        y = np.searchsorted(np.cumsum(self.weights)[:-1], draw.random(count), side="right").astype(np.int64)
        noise = draw.standard_normal((count, self.dimension))
        noise /= np.sqrt(draw.chisquare(self.degrees, count) / self.degrees)[:, None]
        for k in range(self.classes):
            mine = y == k
            noise[mine] = noise[mine] @ self._factors[k].T + self.means[k]
        return noise, y

    def _log_joint(self, x: FloatArray) -> FloatArray:
        """log g_k(x): (n, c)."""
        nu, d = self.degrees, self.dimension
        constant = float(gammaln((nu + d) / 2.0) - gammaln(nu / 2.0)) - 0.5 * d * math.log(nu * math.pi)
        out = np.empty((x.shape[0], self.classes))
        for k, factor in enumerate(self._factors):
            inverse = solve_triangular(factor, np.eye(d), lower=True)
            z = (x - self.means[k]) @ inverse.T
            scale = math.log(self.weights[k]) + constant - float(np.log(np.diagonal(factor)).sum())
            out[:, k] = scale - 0.5 * (nu + d) * np.log1p(square_norms(z) / nu)
        return out

    def posterior(self, points: npt.ArrayLike) -> FloatArray:
        x = doors.points("X", points, self.dimension)
        return in_pieces(lambda part: normalised(self._log_joint(part)), x, self.classes)

    def density(self, points: npt.ArrayLike) -> FloatArray:
        logs = self._log_joint(doors.points("X", points, self.dimension))
        return np.asarray(np.exp(np.logaddexp.reduce(logs, axis=1)))

    @property
    def boxes(self) -> Axes | None:
        """About every mean, and from there on in steps that grow, to where a class has `LEFT` of its mass beyond."""
        if self.dimension > 2:
            return None
        far = min(max(8.0, -float(stdtrit(self.degrees, 0.5 * LEFT))), REACH)
        tail = np.geomspace(4.0, far, 2 + math.ceil(math.log(far / 4.0, GROWTH)))[1:]
        near = np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0])
        axes = []
        for m, s in zip(self.means.T, np.sqrt(np.diagonal(self.scales, axis1=1, axis2=2)).T, strict=True):
            inner = (m[:, None] + s[:, None] * near).ravel()
            wide = (0.25 * tail - 1.0) * max(float(s.max()), float(np.ptp(inner)))
            outer = np.concatenate([inner.min() - wide, inner.max() + wide])
            axes.append(np.unique(np.concatenate([inner, outer])))
        return tuple(axes)

    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        """R*: closed form on the line, and for two equally likely classes with one scale matrix in any dimension
        (the boundary is then a hyperplane); quadrature in the plane; Monte Carlo (`rng`) elsewhere."""
        if self.dimension == 1:
            return self._risk_on_the_line()
        if self.classes == 2 and self.weights[0] == self.weights[1] and bool((self.scales[0] == self.scales[1]).all()):
            z = solve_triangular(self._factors[0], self.means[1] - self.means[0], lower=True)
            distance = math.sqrt(float(z @ z))
            value = float(stdtr(self.degrees, -0.5 * distance))
            # d/dD of T(-D / 2) is at most half the density at 0, which is below 1/2; |x| t(x) is below 1 / 4 too
            slack = min(0.25 * distance, 0.5) * distance_rounding(self.scales[0])
            return Estimate(value, 16.0 * EPS + slack, "exact", "closed form: two equally likely classes, shared scale")
        if self.dimension == 2:
            return self.quadrature_bayes_risk()
        return self.monte_carlo_bayes_risk(doors.generator("rng", rng, "the Bayes risk needs Monte Carlo here"))

    def _risk_on_the_line(self) -> Estimate:
        """g_k is largest where a_k (1 + (x - m_k)^2 / (degrees s_k^2)) is least, a_k = (s_k / w_k)^(2 / (degrees + 1)):
        the changes are roots of quadratics, and between them R* is a sum of t probabilities."""
        m, s, w, nu = self.means[:, 0], np.sqrt(self.scales[:, 0, 0]), self.weights, self.degrees
        a = (s / w) ** (2.0 / (nu + 1.0))
        quadratic = a / (nu * s**2)
        rows = np.stack([quadratic, -2.0 * quadratic * m, a + quadratic * m**2], axis=1)
        cuts: list[float] = []
        for j in range(self.classes):
            for k in range(j):
                roots = np.roots(rows[j] - rows[k])
                cuts.extend(float(r.real) for r in roots if abs(r.imag) <= 1e-9 * (1.0 + abs(r.real)))
        ends = np.array([-math.inf, *sorted(cuts), math.inf])
        spread = float(s.max())
        inner = np.clip(ends, m.min() - spread if not cuts else min(cuts) - spread, max([m.max(), *cuts]) + spread)
        middle = 0.5 * (inner[:-1] + inner[1:])
        top = self._log_joint(middle[:, None]).argmax(axis=1)
        low, high = ((end[:, None] - m) / s for end in (ends[:-1], ends[1:]))
        right = low > 0.0  # use the tail that is small
        inside = np.where(right, stdtr(nu, -low) - stdtr(nu, -high), stdtr(nu, high) - stdtr(nu, low))
        lost = w * inside
        lost[np.arange(top.shape[0]), top] = 0.0
        return Estimate(float(lost.sum()), 64.0 * EPS, "exact", "closed form: t probabilities")

    def grid(self, size: int, rng: np.random.Generator | None = None) -> Grid:
        """For d <= 2, points of equal mass at quantiles under each class; for d > 2, a sample, which needs `rng`."""
        count = doors.whole("size", size, 1)
        d = self.dimension
        if d > 2:
            return self.sample_grid(count, doors.generator("rng", rng, f"in dimension {d} the grid is a sample"))
        side = nodes_per_axis(math.ceil(count / self.classes), d)
        method = f"quadrature: {side}^{d} quantiles per class"
        rule, outside = student_rule(side, d, self.degrees), beyond_student(side, d)
        return grid_of_classes(rule, self.weights, self.means, self._factors, method, outside)
