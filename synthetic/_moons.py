"""Two moons: two half circles, blurred by Gaussian noise."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from . import _doors as doors
from ._columns import normalised, row_min
from ._cubature import Axes, even_marks
from ._doors import FloatArray, IntArray
from ._estimate import Estimate
from ._grid import Grid
from ._law import Law
from ._panels import gauss_legendre, integrate
from ._rules import as_grid, middles, nodes_per_axis, product

NODES = 26
"""Gauss-Legendre nodes per piece of the arc."""

DECAY = 36.0
"""A piece of the arc ends where the integrand has fallen to exp(-DECAY) of its largest value."""

POSTERIOR_ERROR = 1e-11
"""Stated error of the posterior (absolute) and of the log-density. Against adaptive quadrature in 50 digits at 3,000
points, noise 0.02 to 2, the largest deviation was below a tenth of this; a test repeats it on fewer points."""

CHUNK = 2048
"""Points at once: the temporary arrays stay in the cache."""

RISK_REACH = 6.5
"""Standard deviations around both arcs that the Bayes risk covers: the mass outside is below 4 Phi(-6.5) = 2e-10."""

RISK_UNSEEN = 1e-8
"""Least error reported for the Bayes risk: that mass, what the rules along lines leave (16 nodes across and 8 along
each standard deviation), and pairs of boundary points closer than a quarter of a standard deviation on a line, between
which the two densities differ by less than their curvature there. Against the grid and Monte Carlo in the tests."""

REACH = 9.0
"""Standard deviations around the arcs that the rule covers: the mass outside is below 1e-17."""


_HALVINGS = 40

GAP = 0.49
"""A lower bound of the distance between the arcs: the end (0, 1/2) of one lies 1/2 inside the circle of the other."""

RARE = 1e-12
"""Below this the risk is not computed but bounded."""


class TwoMoons(Law):
    """Two equally likely classes: X = c_Y +- (cos a, sin a) + noise Z, a uniform on [0, pi], Z N(0, I).

    Class 0 lies about the upper half of the unit circle at the origin, class 1 about the lower half of the one at
    (1, 1/2) (scikit-learn's `make_moons`, with random in place of equally spaced angles). With polar coordinates
    (r, b) of x about the centre of class 0 and k = r / noise^2,

        p(x given 0) = exp(-(r - 1)^2 / (2 noise^2)) / (2 pi noise^2) (1/pi) int_0^pi exp(k (cos(a - b) - 1)) da,

    and p(x given 1) is the same at (1, 1/2) - x. The integral is cut into two pieces on each of which the integrand
    falls, each by Gauss-Legendre; the error of the posterior is `POSTERIOR_ERROR`.
    """

    def __init__(self, noise: float = 0.3, name: str = "two-moons") -> None:
        self.name = name
        self.noise = doors.length("noise", noise)
        self._risk: Estimate | None = None

    def __repr__(self) -> str:
        return f"TwoMoons({self.name!r}, noise={self.noise:g})"

    @property
    def classes(self) -> int:
        return 2

    @property
    def dimension(self) -> int:
        return 2

    @property
    def extent(self) -> FloatArray:
        reach = 4.0 * self.noise
        return np.array([[-1.0 - reach, 2.0 + reach], [-0.5 - reach, 1.0 + reach]])

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        count = doors.whole("n", n, 1)
        draw = doors.generator("rng", rng, "a sample is drawn from it")
        y = (draw.random(count) < 0.5).astype(np.int64)
        angle = draw.uniform(0.0, math.pi, count)
        arc = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        x = np.where(y[:, None] == 1, np.array([1.0, 0.5]) - arc, arc)
        x += self.noise * draw.standard_normal((count, 2))
        return x, y

    def _log_classes(self, points: npt.ArrayLike) -> FloatArray:
        """log p(x given k): (n, 2)."""
        x = doors.points("X", points, 2)
        out = np.empty((x.shape[0], 2))
        for start in range(0, x.shape[0], CHUNK):
            part = x[start : start + CHUNK]
            out[start : start + CHUNK, 0] = _log_arc(part, self.noise)
            out[start : start + CHUNK, 1] = _log_arc(np.array([1.0, 0.5]) - part, self.noise)
        return out

    def posterior(self, points: npt.ArrayLike) -> FloatArray:
        return normalised(self._log_classes(points))

    def density(self, points: npt.ArrayLike) -> FloatArray:
        return np.asarray(0.5 * np.exp(np.logaddexp.reduce(self._log_classes(points), axis=1)))

    @property
    def boxes(self) -> Axes:
        far, step = REACH * self.noise, 2.0 * self.noise
        return even_marks(-1.0 - far, 2.0 + far, step), even_marks(-0.5 - far, 1.0 + far, step)

    def density_and_posterior(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        logs = self._log_classes(points)
        return np.asarray(0.5 * np.exp(np.logaddexp.reduce(logs, axis=1))), normalised(logs)

    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        """R* = integral of min(p(x, 0), p(x, 1)): exact boundary points along lines, panels across.

        The point reflection of the two arcs into each other leaves the integrand as it is: half the plane is enough.
        Where P(|noise Z| > gap / 2) < `RARE`, that is the error of the answer 0: the nearest arc is the right one else.
        """
        if self._risk is None and _beyond_half_gap(self.noise) < RARE:
            bound = _beyond_half_gap(self.noise)
            self._risk = Estimate(0.0, bound, "quadrature", "at most the mass of noise beyond half the gap of the arcs")
        if self._risk is None:
            far = RISK_REACH * self.noise
            edges = np.linspace(0.5, 1.0 + far, 1 + math.ceil((0.5 + far) / (1.5 * self.noise)))
            found = integrate(self._along_lines, edges, 256, 1e-10)
            method = f"quadrature: boundary points along lines, {found.nodes} Gauss-Lobatto nodes across"
            self._risk = Estimate(2.0 * found.value, 2.0 * found.error + RISK_UNSEEN, "quadrature", method)
        return self._risk

    def _along_lines(self, first: FloatArray) -> FloatArray:
        """integral over x_2 of min(p(x, 0), p(x, 1)) at each x_1 (m,): pieces end where the two are equal."""
        far = RISK_REACH * self.noise
        panels = math.ceil((0.5 + 2.0 * far) / self.noise)
        edges = np.linspace(-far, 0.5 + far, 1 + panels)
        fine = np.linspace(-far, 0.5 + far, 1 + 4 * panels)

        def lead(line: IntArray, second: FloatArray) -> FloatArray:
            logs = self._log_classes(np.stack([first[line], second], axis=1))
            return np.asarray(logs[:, 1] - logs[:, 0])

        m = first.shape[0]
        every = np.repeat(np.arange(m), fine.shape[0])
        table = lead(every, np.tile(fine, m)).reshape(m, -1)
        line, i = np.nonzero((table[:, 1:] > 0.0) != (table[:, :-1] > 0.0))
        low, high = fine[i], fine[i + 1]
        rises = table[line, i + 1] > table[line, i]
        for _ in range(_HALVINGS if line.size else 0):
            middle = 0.5 * (low + high)
            right = (lead(line, middle) > 0.0) == rises
            low, high = np.where(right, low, middle), np.where(right, middle, high)
        of = np.concatenate([np.repeat(np.arange(m), edges.shape[0]), line])
        ends = np.concatenate([np.tile(edges, m), 0.5 * (low + high)])
        order = np.lexsort((ends, of))
        of, ends = of[order], ends[order]
        whole = np.flatnonzero(of[1:] == of[:-1])
        of, start, width = of[whole], ends[whole], ends[whole + 1] - ends[whole]
        x, w = gauss_legendre(8)
        second = start[:, None] + 0.5 * width[:, None] * (x + 1.0)
        points = np.stack([np.repeat(first[of], x.shape[0]), second.ravel()], axis=1)
        least = np.exp(row_min(self._log_classes(points))).reshape(second.shape) @ w
        return np.asarray(np.bincount(of, weights=0.25 * width * least, minlength=m), dtype=np.float64)

    def grid(self, size: int, rng: np.random.Generator | None = None) -> Grid:
        """Midpoints of equal cells of a box, weighted by the density: for smooth values as good as the trapezoidal
        rule on a periodic function, the density being negligible on the border."""
        side = nodes_per_axis(doors.whole("size", size, 1), 2)
        far = REACH * self.noise
        axes = [middles(side, -1.0 - far, 2.0 + far), middles(side, -0.5 - far, 1.0 + far)]
        points, _, part = product(axes, [np.ones(side)] * 2)
        density = self.density(points)
        return as_grid((points, density / density.sum(), part), f"quadrature: {side}^2 midpoints of a box")


def _beyond_half_gap(noise: float) -> float:
    """P(|noise Z| > GAP / 2) for Z N(0, I) in the plane."""
    return math.exp(-0.125 * min(GAP / noise, 50.0) ** 2)


def _log_arc(x: FloatArray, noise: float) -> FloatArray:
    """log density at x (n, 2) of a uniform point of the upper half of the unit circle plus noise Z."""
    r = np.hypot(x[:, 0], x[:, 1])
    beta = np.arctan2(x[:, 1], x[:, 0])
    k = r / noise**2
    # a - beta runs over [-beta, pi - beta]: folded by symmetry into two pieces of [0, pi] with falling integrand.
    inside, size = beta >= 0.0, np.abs(beta)
    first = np.where(inside, 0.0, size), np.where(inside, size, math.pi)
    second = np.where(inside, 0.0, math.pi - size), np.where(inside, math.pi - size, math.pi)
    near = np.cos(np.minimum(first[0], second[0]))
    total = sum(_piece(k, start, end) * np.exp(k * (np.cos(start) - near)) for start, end in (first, second))
    level = k * (near - 1.0) - 0.5 * ((r - 1.0) / noise) ** 2
    return np.asarray(level + np.log(total) - math.log(2.0 * math.pi**2 * noise**2))


def _piece(k: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    """integral over [start, end] of exp(k (cos u - cos start)) du, 0 <= start <= end <= pi: (n,)."""
    nodes, weights = gauss_legendre(NODES)
    peak = np.cos(start)
    with np.errstate(divide="ignore"):
        cut = np.arccos(np.maximum(peak - DECAY / k, -1.0))
    half = 0.5 * np.maximum(np.minimum(end, cut) - start, 0.0)
    u = (nodes + 1.0) * half[:, None]
    u += start[:, None]
    np.cos(u, out=u)
    u -= peak[:, None]
    u *= k[:, None]
    np.exp(u, out=u)
    return np.asarray(half * (u @ weights))
