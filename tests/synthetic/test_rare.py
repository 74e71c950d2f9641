"""Errors of rare events: a sample that holds none of them must not be sure that there are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic import GaussianMixture
from synthetic._estimate import EPS, Estimate, sample_mean

SEEDS = st.integers(0, 2**32 - 1)


def far_classes(distance: float, own: bool) -> GaussianMixture:
    """Two classes in the plane, means `distance` apart."""
    covariance = np.tile(np.eye(2), (2, 1, 1)) if own else np.eye(2)
    return GaussianMixture([0.3, 0.7], [[0.1, -0.2], [0.1 + distance, -0.2]], covariance)


@pytest.mark.parametrize("distance", [7.3, 11.4, 12.9])
def test_a_rare_error_is_within_what_its_draws_allow(distance: float) -> None:
    exact = far_classes(distance, own=False).bayes_risk()
    summed = far_classes(distance, own=True).grid_bayes_risk()
    assert summed.kind == "quadrature"
    assert summed.disagrees_with(exact) <= 1.0
    sampled = far_classes(distance, own=True).monte_carlo_bayes_risk(np.random.default_rng(5), 20_000)
    assert sampled.disagrees_with(exact) <= 1.0


def test_the_sample_spread_alone_would_be_far_too_sure() -> None:
    law = far_classes(11.4, own=True)
    x, _ = law.sample(20_000, np.random.default_rng(5))
    twin = sample_mean(1.0 - law.posterior(x).max(axis=1), "spread alone")
    assert twin.disagrees_with(law.bayes_risk()) > 1.0


@given(events=st.floats(0.01, 60.0), size=st.floats(0.01, 1.0), n=st.integers(200, 5_000), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_rare_values_of_known_probability_are_covered(events: float, size: float, n: int, seed: int) -> None:
    rate = min(events / n, 1.0)
    values = np.where(np.random.default_rng(seed).random(n) < rate, size, 0.0).astype(np.float64)
    truth = Estimate(size * rate, EPS, "exact", "known")
    assert sample_mean(values, "drawn", bound=1.0).disagrees_with(truth) <= 1.0


def test_common_values_keep_their_standard_error() -> None:
    values = np.random.default_rng(7).random(40_000)
    plain, bounded = sample_mean(values, "plain"), sample_mean(values, "bounded", bound=1.0)
    assert plain.error < bounded.error < 1.1 * plain.error
