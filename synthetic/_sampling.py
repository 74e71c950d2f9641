"""Does a law draw the labels its posterior promises?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from . import _doors as doors
from ._estimate import EPS, STANDARD_ERRORS, Estimate, sample_mean
from ._law import Law

TEST_FUNCTIONS = 8
"""Random cosines per class, beside the constant: a posterior wrong on a region is correlated with some of them."""


@dataclass(frozen=True, slots=True)
class PosteriorAgreement:
    """Labels against posterior: E[(1(Y = k) - posterior_k(X)) g(X)] = 0 for every class k and bounded g.

    `worst` is the largest |mean| in its own computed standard errors over all k and g tried (`tried` of them),
    `label_risk` the error of the Bayes rule counted on drawn labels, `bayes_risk` what the law states.
    """

    law: str
    n: int
    tried: int
    worst: float
    threshold: float
    label_risk: Estimate
    bayes_risk: Estimate
    method: str

    @property
    def risk_distance(self) -> float:
        """Distance of the two risks in units of what their errors allow; above 1 they disagree."""
        return self.label_risk.disagrees_with(self.bayes_risk)

    @property
    def holds(self) -> bool:
        """Whether labels and risk agree with the law within the stated multiple of the standard error."""
        return self.worst <= self.threshold and self.risk_distance <= 1.0


def posterior_agreement(law: Law, n: int, rng: np.random.Generator) -> PosteriorAgreement:
    """Draw n labelled points and compare the labels with `law.posterior` and `law.bayes_risk`.

    g is the constant, cos(w.u + b) with u the point in units of the law's extent and w, b drawn from `rng`, or the
    posterior of a class.
    """
    count = doors.whole("n", n, 100)
    x, y = law.sample(count, doors.generator("rng", rng, "labels are drawn from it"))
    p = law.posterior(x)
    residual = (y[:, None] == np.arange(law.classes)) - p
    low, high = law.extent.T
    frequency = rng.normal(scale=4.0, size=(law.dimension, TEST_FUNCTIONS)) / math.sqrt(law.dimension)
    phase = rng.uniform(0.0, 2.0 * math.pi, TEST_FUNCTIONS)
    waves = np.cos((x - low) / (high - low) @ frequency + phase)
    tests = np.concatenate([np.ones((count, 1)), waves, p], axis=1)  # p itself: a posterior that is too sure of itself
    mean = residual.T @ tests / count
    # Rare labels: their spread shows only where one is drawn, and is promised by the posterior where none is.
    spread = np.maximum((residual * residual).T @ (tests * tests), (p * (1.0 - p)).T @ (tests * tests)) / count
    error = np.sqrt(np.maximum(spread - mean * mean, 0.0) / count)
    worst = float((np.abs(mean) / np.maximum(error, EPS)).max())  # residuals differ by rounding of one at least
    missed = sample_mean((law.bayes_rule(x) != y).astype(np.float64), f"Bayes rule on {count} drawn labels")
    stated = law.bayes_risk(rng)
    promised = math.sqrt(max(stated.value * (1.0 - stated.value), 0.0) / count)
    return PosteriorAgreement(
        law=law.name,
        n=count,
        tried=int(mean.size),
        worst=worst,
        threshold=STANDARD_ERRORS,
        label_risk=replace(missed, error=max(missed.error, promised)),
        bayes_risk=stated,
        method=f"{count} draws, {TEST_FUNCTIONS + 1 + law.classes} test functions per class",
    )
