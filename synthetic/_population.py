"""Population checks: where the pointwise minimiser of a loss is not the Bayes rule, predicted and measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from theory.losses import Loss

from . import _doors as doors
from ._agreement import POSTERIOR_TIE
from ._band import Band, add_bands
from ._columns import row_any, worst_loss
from ._decisions import Decisions
from ._doors import BoolArray, FloatArray, IntArray
from ._estimate import Estimate, sample_mean
from ._grid import Grid
from ._law import Law


@dataclass(frozen=True, eq=False)
class Population:
    """A law with what every loss needs of it: weighted points, and independent labelled draws, with posteriors."""

    law: Law
    grid: Grid
    grid_posterior: FloatArray
    points: FloatArray
    labels: IntArray
    posterior: FloatArray
    _thin: dict[int, tuple[Grid, FloatArray]] = field(default_factory=dict)

    def thinned(self, limit: int) -> tuple[Grid, FloatArray]:
        """A rule of the law with about `limit` points (a sample: its first points), with the posterior (m, c); kept."""
        if limit not in self._thin:
            self._thin[limit] = _thinned(self, limit)
        return self._thin[limit]

    @cached_property
    def drawn_rows(self) -> tuple[FloatArray, IntArray]:
        """The distinct posteriors of the draws (k, c), and which of them each draw has (m,); few where `cells`."""
        rows, back = np.unique(self.posterior, axis=0, return_inverse=True)
        return rows, np.asarray(back.reshape(-1), dtype=np.int64)

    @property
    def cells(self) -> bool:
        """Whether the law is constant on finitely many cells, so that sums over its grid are exact."""
        return self.grid.kind == "cells"


@dataclass(frozen=True, slots=True)
class Check:
    """One loss on one law. Ties of the scores count as errors, resolved for the worst.

    `mass` and `excess` are the prediction: the probability of the failing posteriors and the excess 0-1 risk there, in
    closed form, as an exact sum or by quadrature. `measured_mass` and `measured_excess` come from independent draws
    (X, Y) of the law: how often the minimiser is wrong, and how many more drawn labels it misses than the Bayes rule.
    `tied` is the part of a `mass` in closed form where |2 eta - 1| <= `POSTERIOR_TIE`: there eta is 1/2 to the floats,
    though not to the law, so no draw from it is called wrong and it is left out of the comparison. (Sums over a grid
    leave such posteriors out of `mass` itself.)
    `distance` is the larger of the two distances in units of what the errors allow; above 1 they disagree.
    `fails` says whether the loss fails on a set of positive mass. `worst_posterior` where most is lost.
    """

    loss: str
    law: str
    classes: int
    fails: bool
    mass: Estimate
    excess: Estimate
    measured_mass: Estimate
    measured_excess: Estimate
    tied: float
    distance: float
    worst_posterior: tuple[float, ...] | None
    points: int
    draws: int
    method: str

    @property
    def as_predicted(self) -> bool:
        """Prediction and measurement agree within five computed standard errors plus the prediction's own error."""
        return self.distance <= 1.0

    @property
    def words(self) -> str:
        """One line for a table."""
        if self.fails:
            return f"fails on {self.mass.value:.4g}, excess {self.excess.value:.4g}"
        return "agrees with the Bayes rule"


POINTS = 90_000
"""Points of the rule behind a prediction: the failing set of a near-tie is a thin band that a coarse rule misses."""


def populate(law: Law, draws: int, rng: np.random.Generator, size: int = POINTS) -> Population:
    """`size` points of the law's own rule (a sample where it has none) and `draws` labelled draws from `rng`."""
    count = doors.whole("draws", draws, 2)
    source = doors.generator("rng", rng, "labels are drawn from it")
    grid = law.grid(doors.whole("size", size, 1), source)
    x, y = law.sample(count, source)
    return Population(law, grid, law.posterior(grid.points), x, y, law.posterior(x))


def check(loss: Loss, population: Population, decisions: Decisions, limit: int | None = None) -> Check:
    """Compare the minimiser of `loss` with the Bayes rule of a law, predicted and measured.

    `limit` is how many points and draws of a law that is not constant on cells are used where posteriors cost a search
    (several classes, a loss that is not piecewise linear); `Decisions.limit` by default.

    Raises ValueError for decisions of another loss or number of classes.
    """
    law = population.law
    if decisions.classes != law.classes or decisions.loss is not loss:
        raise ValueError(
            f"decisions are for {decisions.loss.name!r} with {decisions.classes} classes, not for this law"
        )
    searched = not decisions.fast and not population.cells
    most = decisions.limit if limit is None else limit
    grid, posterior = population.thinned(most) if searched else (population.grid, population.grid_posterior)
    draws = min(most, population.labels.shape[0]) if searched else population.labels.shape[0]
    drawn, labels = population.posterior[:draws], population.labels[:draws]
    if population.cells and not decisions.fast:
        wrong = decisions.searched(posterior)
        rows, back = population.drawn_rows  # the posteriors of the cells, some drawn; all draws are used here
        chosen = decisions.searched(rows)[back]
    else:
        wrong, chosen = decisions.wrong(posterior), decisions.wrong(drawn)
    lost = worst_loss(posterior, wrong)
    band = _closed(law, decisions, 0.0) or _summed(grid, wrong, lost)
    seen = _closed(law, decisions, POSTERIOR_TIE) or band
    mass, excess = _measured(drawn, labels, chosen, seen)
    either = float(decisions.open_at(drawn).mean())
    slack = either + _unseen(population, decisions)
    distance = max(
        _distance(measured, predicted, slack) for measured, predicted in ((mass, seen.mass), (excess, seen.excess))
    )
    worst = tuple(float(q) for q in posterior[int(lost.argmax())]) if wrong.any() else None
    return Check(
        loss=loss.name,
        law=law.name,
        classes=law.classes,
        fails=band.mass.value > 0.0,
        mass=band.mass,
        excess=band.excess,
        measured_mass=mass,
        measured_excess=excess,
        tied=max(band.mass.value - seen.mass.value, 0.0),
        distance=distance,
        worst_posterior=worst,
        points=grid.size,
        draws=draws,
        method=f"{decisions.method}; {band.mass.method}",
    )


def _thinned(population: Population, limit: int) -> tuple[Grid, FloatArray]:
    """A rule of the law with about `limit` points, or the first points of its sample."""
    if population.grid.size <= limit:
        return population.grid, population.grid_posterior
    if population.grid.kind == "sample":
        grid = population.grid
        part = Grid(
            grid.points[:limit], np.full(limit, 1.0 / limit), "sample", grid.part[:limit], f"Monte Carlo, n = {limit}"
        )
        return part, population.grid_posterior[:limit]
    grid = population.law.grid(limit)
    return grid, population.law.posterior(grid.points)


def _closed(law: Law, decisions: Decisions, lead: float) -> Band | None:
    """The band of the failing region where |2 eta - 1| > `lead`, in closed form, where region and law have one."""
    if decisions.region is None or not decisions.region.intervals:
        return None
    below, above = 0.5 * (1.0 - lead), 0.5 * (1.0 + lead)  # an interval lies on one side of 1/2
    ends = [
        (low, min(high, below)) if high <= 0.5 else (max(low, above), high) for low, high in decisions.region.intervals
    ]
    known = [law.closed_band(low, high) for low, high in ends if low < high]
    parts = [part for part in known if part is not None]
    if len(parts) < len(known):
        return None
    return add_bands(parts, parts[0].mass.method if parts else "closed form")


def _summed(grid: Grid, wrong: BoolArray, lost: FloatArray) -> Band:
    return Band(grid.expect(np.asarray(row_any(wrong), dtype=np.float64), bound=1.0), grid.expect(lost, bound=1.0))


def _measured(posterior: FloatArray, labels: IntArray, wrong: BoolArray, band: Band) -> tuple[Estimate, Estimate]:
    """Failing share of the draws, and labels missed beyond the Bayes rule; errors never below what `band` promises."""
    n = labels.shape[0]
    failing = row_any(wrong)
    more = np.zeros(n)
    rows = np.flatnonzero(failing)
    chosen = np.where(wrong[rows], posterior[rows], np.inf).argmin(axis=1)
    more[rows] = np.asarray(labels[rows] == posterior[rows].argmax(axis=1), dtype=np.float64) - (labels[rows] == chosen)
    promised = math.sqrt(max(band.mass.value * (1.0 - band.mass.value), 0.0) / n)
    share = sample_mean(np.asarray(failing, dtype=np.float64), f"{n} draws")
    missed = sample_mean(more, f"labels of {n} draws")
    spread = math.sqrt(max(band.mass.value, 0.0) / n)  # |more| <= 1 on failing draws: rare ones hide in the sample's
    return (
        Estimate(share.value, max(share.error, promised), share.kind, share.method),
        Estimate(missed.value, max(missed.error, spread), missed.kind, missed.method),
    )


def _unseen(population: Population, decisions: Decisions) -> float:
    """What a rule may miss of a failing set whose ends fall between its points: nothing for cells."""
    return 0.0 if population.cells or decisions.region is None else decisions.region.tolerance


def _distance(measured: Estimate, predicted: Estimate, slack: float) -> float:
    apart = max(abs(measured.value - predicted.value) - slack, 0.0)
    if apart == 0.0:
        return 0.0
    allowed = measured.allowance + predicted.allowance
    return apart / allowed if allowed > 0.0 else math.inf
