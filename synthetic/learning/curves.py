"""Excess 0-1 risk of empirical risk minimisers against the sample size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from synthetic import _doors as doors
from synthetic._agreement import bayes_agreement, is_binary
from synthetic._doors import BoolArray, FloatArray, IntArray
from synthetic._grid import sample_grid
from synthetic._law import Law
from theory.losses import Loss

from .histogram import Histogram
from .network import Network, random_features

LEARNERS = ("histogram", "features", "mlp")
CHUNK = 2**18
"""Samples drawn at once: 10^7 of them pass through about 20 MB."""
EVALUATION = 50_000
"""Points at which the excess risk is averaged; labels do not enter, so its error is that of |2 eta - 1| alone."""
BATCH, STEPS, WIDTH = 256, 1000, 64
"""Minibatch, steps and units of the smooth learners. Samples beyond STEPS * BATCH are not all used: see `_batches`."""


@dataclass(frozen=True)
class Curve:
    """The learning curve of one loss.

    `excess`     (sizes, seeds) excess 0-1 risk; a tie of scores counts as the worst class among the tied
    `plateau`    excess risk of the pointwise minimiser of the conditional risk (0 for a loss that is consistent on
                 this law), with its error: where the curve must level off
    `rate`       least-squares slope of log(mean excess) on log n over the sizes with positive mean excess, or None
    """

    loss: str
    law: str
    learner: str
    sizes: tuple[int, ...]
    excess: tuple[tuple[float, ...], ...]
    plateau: float
    plateau_error: float
    evaluation_error: float
    rate: float | None

    @property
    def mean(self) -> FloatArray:
        """Mean over seeds, per size: shape (sizes,)."""
        return np.asarray(np.asarray(self.excess).mean(axis=1))

    @property
    def spread(self) -> FloatArray:
        """Standard error of the mean over seeds, per size: shape (sizes,); NaN for one seed."""
        values = np.asarray(self.excess)
        if values.shape[1] < 2:
            return np.full(values.shape[0], np.nan)
        return np.asarray(values.std(axis=1, ddof=1) / np.sqrt(values.shape[1]))

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"mean": self.mean.tolist(), "spread": [None if np.isnan(s) else s for s in self.spread]}


def merged(curves: Sequence[Curve]) -> Curve:
    """Curves of the same loss, law, learner sizes, of several seeds, as one, plateaus averaged; else ValueError."""
    first = curves[0]
    if any((c.loss, c.law, c.learner, c.sizes) != (first.loss, first.law, first.learner, first.sizes) for c in curves):
        raise ValueError(f"curves of {first.loss!r} must be of one loss, law, learner and sizes")
    excess = np.concatenate([np.asarray(curve.excess) for curve in curves], axis=1)
    plateau = float(np.mean([curve.plateau for curve in curves]))
    error = float(np.sqrt(np.sum([curve.plateau_error**2 for curve in curves]))) / len(curves)
    off = max(curve.evaluation_error for curve in curves)
    return _curve_of(first.loss, first.law, first.learner, first.sizes, excess, (plateau, error), off)


@dataclass(frozen=True)
class Evaluation:
    """Points of a law with their posteriors, at which every classifier is judged."""

    points: FloatArray
    posterior: FloatArray

    def excess(self, chosen: BoolArray) -> tuple[float, float]:
        """E[max_k p_k - min_{k chosen} p_k] and its standard error, for the classes on top at each point (m, c)."""
        best = self.posterior.max(axis=1)
        least = np.where(chosen, self.posterior, np.inf).min(axis=1)
        values = best - least
        return float(values.mean()), float(values.std() / np.sqrt(values.size))


def plug_in_rate(exponent: float, dimension: int, smoothness: float = 1.0) -> float:
    """The exponent s of the plug-in rate n^(-s), s = beta (1 + alpha) / (2 beta + d).

    For a posterior of Hoelder smoothness beta and Tsybakov's noise condition P(|2 eta - 1| <= t) <= C t^alpha, on laws
    with a density bounded away from 0 (Audibert and Tsybakov 2007, Annals of Statistics 35:608-633, Theorem 3.3).
    Raises ValueError for an exponent or smoothness that is not positive and finite.

    >>> plug_in_rate(1.0, 2)
    0.5
    """
    doors.real("exponent", exponent, 0.0, np.inf)
    doors.whole("dimension", dimension, 1)
    doors.real("smoothness", smoothness, 0.0, np.inf)
    return smoothness * (1.0 + exponent) / (2.0 * smoothness + dimension)


def learning_curves(
    law: Law,
    losses: Sequence[Loss],
    *,
    sizes: Sequence[int],
    seeds: int,
    rng: np.random.Generator,
    learner: str = "histogram",
    tell: Callable[[str], None] | None = None,
) -> list[Curve]:
    """Learning curves of several losses on the same samples of a law.

    `sizes` sample sizes, increasing; `seeds` independent samples of each; `learner` "histogram" (any number of classes,
    exact minimiser), "features" or "mlp" (two classes, minibatches). Raises ValueError for bad input.
    """
    if learner not in LEARNERS:
        raise ValueError(f"learner={learner!r} must be one of {', '.join(LEARNERS)}")
    counts = [doors.whole("sizes", n, 1) for n in sizes]
    if not counts or any(b <= a for a, b in pairwise(counts)):
        raise ValueError(f"sizes={counts} must be increasing and not empty")
    repeats = doors.whole("seeds", seeds, 1)
    if learner != "histogram":
        if law.classes != 2:
            raise ValueError(f"learner={learner!r} is for two classes; law {law.name!r} has {law.classes}")
        if unfit := [loss.name for loss in losses if not is_binary(loss)]:
            raise ValueError(f"loss {unfit[0]!r} has no binary form; learner={learner!r} needs one")
    doors.generator("rng", rng, "samples are drawn at random")
    judge_rng, *seeded = rng.spawn(1 + repeats)
    points, _ = law.sample(EVALUATION, judge_rng)
    judge = Evaluation(points, law.posterior(points))
    excess = np.empty((len(losses), len(counts), repeats))
    error = np.zeros(len(losses))
    for j, seed in enumerate(seeded):
        for i, n in enumerate(counts):
            if tell is not None:
                tell(f"{learner}, n = {n}, seed {j + 1} of {repeats}")
            child = seed.spawn(1)[0]
            for k, (value, off) in enumerate(_train(law, losses, learner, n, judge, child)):
                excess[k, i, j] = value
                error[k] = max(error[k], off)
    return [_curve(law, loss, learner, counts, excess[k], float(error[k]), judge) for k, loss in enumerate(losses)]


def _train(
    law: Law, losses: Sequence[Loss], learner: str, n: int, judge: Evaluation, rng: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """Excess risk and its standard error for each loss, all on the same sample of n."""
    if learner == "histogram":
        grid = Histogram.for_size(law.extent, law.classes, n)
        held = np.zeros((grid.size, law.classes), dtype=np.int64)
        for points, labels in stream(law, n, rng):
            held += grid.counts(points, labels)
        cells = grid.cell(judge.points)
        for loss in losses:
            yield judge.excess(grid.decisions(loss, held)[cells])
        return
    sample, start = rng.spawn(2)
    for loss in losses:
        fresh = _copy_of(start)
        model = (
            Network.fresh(law.extent, WIDTH, fresh) if learner == "mlp" else random_features(law.extent, WIDTH, fresh)
        )
        model.fit(loss, _batches(law, n, _copy_of(sample)), STEPS)
        scores = model.scores(judge.points)
        yield judge.excess(np.stack([scores <= 0.0, scores >= 0.0], axis=1))


def stream(law: Law, n: int, rng: np.random.Generator) -> Iterator[tuple[FloatArray, IntArray]]:
    """n samples of a law in chunks of at most `CHUNK`."""
    for start in range(0, n, CHUNK):
        yield law.sample(min(CHUNK, n - start), rng)


def _batches(law: Law, n: int, rng: np.random.Generator) -> Callable[[], tuple[FloatArray, IntArray]]:
    """Minibatches: fresh draws while n allows one pass, else rows of one kept sample of n in random order."""
    if n >= STEPS * BATCH:
        return lambda: law.sample(BATCH, rng)
    points, labels = law.sample(n, rng)

    def rows() -> tuple[FloatArray, IntArray]:
        chosen = rng.integers(0, n, min(BATCH, n))
        return points[chosen], labels[chosen]

    return rows


def _copy_of(rng: np.random.Generator) -> np.random.Generator:
    """A generator in the same state: the losses of one seed see the same randomness."""
    bits = type(rng.bit_generator)()
    bits.state = rng.bit_generator.state
    return np.random.Generator(bits)


def _curve(
    law: Law, loss: Loss, learner: str, sizes: list[int], excess: FloatArray, error: float, judge: Evaluation
) -> Curve:
    limit = bayes_agreement(loss, law, sample_grid(judge.points)).excess_risk
    return _curve_of(loss.name, law.name, learner, tuple(sizes), excess, (limit.value, limit.error), error)


def _curve_of(
    loss: str,
    law: str,
    learner: str,
    sizes: tuple[int, ...],
    excess: FloatArray,
    plateau: tuple[float, float],
    error: float,
) -> Curve:
    mean = excess.mean(axis=1)
    seen = mean > 0.0
    rate = None
    if seen.sum() >= 2:
        rate = float(np.polyfit(np.log(np.array(sizes)[seen]), np.log(mean[seen]), 1)[0])
    rows = tuple(tuple(float(value) for value in row) for row in excess)
    return Curve(loss, law, learner, sizes, rows, *plateau, error, rate)
