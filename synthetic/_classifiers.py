"""Drawn score functions, on which inequalities are tried."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from . import _doors as doors
from ._doors import FloatArray
from ._law import Law

Classifier: TypeAlias = Callable[[FloatArray], FloatArray]
"""Points (n, d) to real scores v (n,): class 1 where v > 0, class 0 where v < 0, an error where v = 0. For several
classes, to scores (n, c): the class of the largest, an error where another class ties with it."""

WAVES = 16
"""Random cosines in a wavy classifier."""

STEEPNESS = (1e-3, 20.0)
"""Ends of the log-uniform scale of drawn scores: from nearly tied to nearly saturated."""

_TINY = float(np.finfo(np.float64).tiny)


def random_classifiers(law: Law, count: int, rng: np.random.Generator) -> tuple[Classifier, ...]:
    """`count` drawn score functions of four kinds in turn, in units of the law's extent and of a drawn steepness.

    Affine; a sum of random cosines; the log-odds of the posterior, or their opposite, bent by cosines; and the
    log-odds with barely wrong scores on a drawn region, where the inequality is tightest.

    Raises ValueError for a law of several classes or a count below 1.
    """
    if law.classes != 2:
        raise ValueError(f"law.classes={law.classes} must be 2 for classifiers with one real score")
    number = doors.whole("count", count, 1)
    draw = doors.generator("rng", rng, "classifiers are drawn from it")
    makers = (_affine, _wavy, _bent, _reluctant)
    return tuple(makers[i % len(makers)](law, draw) for i in range(number))


def random_scorers(law: Law, count: int, rng: np.random.Generator) -> tuple[Classifier, ...]:
    """The same for any number of classes: score functions with one score per class, which sum to zero.

    Affine; random cosines; the logarithm of the posterior, of its reversed order of classes, or both bent by cosines;
    and the logarithm of the posterior with all scores nearly tied on a drawn region.
    """
    number = doors.whole("count", count, 1)
    draw = doors.generator("rng", rng, "classifiers are drawn from it")
    makers = (_affine_scores, _wavy_scores, _bent_scores, _tied_scores)
    return tuple(_centred(makers[i % len(makers)](law, draw)) for i in range(number))


def _steepness(rng: np.random.Generator) -> float:
    low, high = STEEPNESS
    return low * float((high / low) ** rng.random())


def _unit(law: Law) -> Classifier:
    low, high = law.extent.T
    return lambda x: 2.0 * (x - low) / (high - low) - 1.0


def _affine(law: Law, rng: np.random.Generator) -> Classifier:
    slope, level, scale, unit = rng.normal(size=law.dimension), 0.5 * rng.normal(), _steepness(rng), _unit(law)
    return lambda x: scale * (unit(x) @ slope + level)


def _wavy(law: Law, rng: np.random.Generator) -> Classifier:
    frequency = rng.normal(scale=3.0, size=(law.dimension, WAVES))
    phase, weight = rng.uniform(0.0, 2.0 * math.pi, WAVES), rng.normal(size=WAVES)
    scale, unit = _steepness(rng), _unit(law)
    return lambda x: scale * (np.cos(unit(x) @ frequency + phase) @ weight)


def _log_odds(law: Law) -> Classifier:
    def score(x: FloatArray) -> FloatArray:
        p = np.maximum(law.posterior(x), _TINY)
        return np.clip(np.log(p[:, 1] / p[:, 0]), -STEEPNESS[1], STEEPNESS[1])

    return score


def _bent(law: Law, rng: np.random.Generator) -> Classifier:
    wave, odds, share = _wavy(law, rng), _log_odds(law), rng.uniform(0.25, 1.5) * rng.choice([-1.0, 1.0])
    return lambda x: share * odds(x) + wave(x)


def _reluctant(law: Law, rng: np.random.Generator) -> Classifier:
    wave, odds, level, small = _wavy(law, rng), _log_odds(law), rng.normal(), 1e-3 * rng.random()

    def score(x: FloatArray) -> FloatArray:
        right = odds(x)
        return np.where(wave(x) > level * STEEPNESS[0], -small * np.sign(right), right)

    return score


def _centred(scorer: Classifier) -> Classifier:
    def score(x: FloatArray) -> FloatArray:
        f = scorer(x)
        return np.asarray(f - f.mean(axis=1, keepdims=True))

    return score


def _stacked(one: Callable[[Law, np.random.Generator], Classifier], law: Law, rng: np.random.Generator) -> Classifier:
    parts = [one(law, rng) for _ in range(law.classes)]
    return lambda x: np.stack([part(x) for part in parts], axis=1)


def _affine_scores(law: Law, rng: np.random.Generator) -> Classifier:
    return _stacked(_affine, law, rng)


def _wavy_scores(law: Law, rng: np.random.Generator) -> Classifier:
    return _stacked(_wavy, law, rng)


def _log_posterior(law: Law) -> Classifier:
    return lambda x: np.maximum(np.log(np.maximum(law.posterior(x), _TINY)), -STEEPNESS[1])


def _bent_scores(law: Law, rng: np.random.Generator) -> Classifier:
    wave, logs, share = _wavy_scores(law, rng), _log_posterior(law), rng.uniform(0.25, 1.5)
    turn = int(rng.integers(0, law.classes))  # 0: the right order; else every class has another one's logarithm
    return lambda x: share * np.roll(logs(x), turn, axis=1) + wave(x)


def _tied_scores(law: Law, rng: np.random.Generator) -> Classifier:
    wave, logs, level, small = _wavy(law, rng), _log_posterior(law), rng.normal(), 1e-3 * rng.random()

    def score(x: FloatArray) -> FloatArray:
        f = logs(x)
        return np.where((wave(x) > level * STEEPNESS[0])[:, None], -small * np.sign(f - f.mean(axis=1)[:, None]), f)

    return score
