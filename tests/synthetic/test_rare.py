"""Errors of rare events: a sample that holds none of them must not be sure that there are none."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ncx2

from synthetic import GaussianMixture, Rings, TwoMoons, class_noise, laws
from synthetic._cubature import KINK, NODES, risk_by_boxes
from synthetic._estimate import EPS, Estimate, sample_mean
from synthetic._panels import lobatto

Array = npt.NDArray[np.float64]

SEEDS = st.integers(0, 2**32 - 1)


def far_classes(distance: float, own: bool) -> GaussianMixture:
    """Two classes in the plane, means `distance` apart."""
    covariance = np.tile(np.eye(2), (2, 1, 1)) if own else np.eye(2)
    law = GaussianMixture([0.3, 0.7], [[0.1, -0.2], [0.1 + distance, -0.2]], covariance)
    if own:  # equal covariances count as shared: the same law, a hair apart
        covariance[1, 1, 1] *= 1.0 + 4.0 * EPS
        law = GaussianMixture(law.weights, law.means, covariance)
    return law


@given(distance=st.floats(0.1, 40.0), seed=SEEDS)
@settings(max_examples=12, deadline=None)
def test_boxes_cover_the_closed_form_at_every_distance(distance: float, seed: int) -> None:
    """Risks from 1/2 down to 1e-89, and each is within what the quadrature states."""
    rng = np.random.default_rng(seed)
    weight, turn = rng.uniform(0.01, 0.99), rng.uniform(0.0, np.pi)
    step = distance * np.array([np.cos(turn), np.sin(turn)])
    exact = GaussianMixture([weight, 1.0 - weight], [[0.3, -0.2], [0.3 + step[0], -0.2 + step[1]]], np.eye(2))
    assert exact.bayes_risk().kind == "exact"
    found = exact.quadrature_bayes_risk()
    assert found.disagrees_with(exact.bayes_risk()) <= 1.0
    assert found.error <= 1e-4
    assert exact.monte_carlo_bayes_risk(rng, 2_000).disagrees_with(exact.bayes_risk()) <= 1.0


def least_of_two(weights: Array, means: Array, scales: Array) -> float:
    """integral of min(g_0, g_1) of normal densities on the line, in 30 digits, between the points where they cross."""
    with mpmath.workdps(30):
        w, m, s = ([mpmath.mpf(float(v)) for v in part] for part in (weights, means, scales))

        def lead(t: Any) -> Any:
            return mpmath.log(w[0] * s[1] / (w[1] * s[0])) - ((t - m[0]) / s[0]) ** 2 / 2 + ((t - m[1]) / s[1]) ** 2 / 2

        a, c = (1 / s[1] ** 2 - 1 / s[0] ** 2) / 2, lead(mpmath.mpf(0))
        b = m[0] / s[0] ** 2 - m[1] / s[1] ** 2
        roots = mpmath.polyroots([a, b, c], maxsteps=200, extraprec=200)
        ends = [-mpmath.inf, *sorted(mpmath.re(r) for r in roots if mpmath.im(r) == 0), mpmath.inf]
        total = mpmath.mpf(0)
        for low, high in itertools.pairwise(ends):
            inner = [e for e in (low, high) if mpmath.isfinite(e)]
            middle = (
                sum(inner) / 2 if len(inner) == 2 else (inner[0] + (1 if low == inner[0] else -1) if inner else m[0])
            )
            k = 1 if lead(middle) > 0 else 0
            below, above = ((end - m[k]) / s[k] for end in (low, high))
            if below > 0:
                below, above = -above, -below
            total += w[k] * (mpmath.ncdf(above) - mpmath.ncdf(below))
        return float(total)


@given(distance=st.floats(0.1, 40.0), ratio=st.floats(0.05, 0.95), seed=SEEDS)
@settings(max_examples=12, deadline=None)
def test_unequal_spreads_turned_round_against_thirty_digits(distance: float, ratio: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = np.array([0.2, 0.8]) if rng.random() < 0.5 else np.array([1e-12, 1.0 - 1e-12])
    means, scales = np.array([0.0, distance]), np.array([1.0, ratio])
    wanted = Estimate(least_of_two(weights, means, scales), EPS, "exact", "30 digits")
    line = GaussianMixture(weights, means[:, None], (scales**2)[:, None, None])
    angle = rng.uniform(0.0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    spread = np.stack([turn @ np.diag([s**2, 0.7]) @ turn.T for s in scales])
    plane = GaussianMixture(weights, np.stack([means, np.full(2, 0.4)], axis=1) @ turn.T, spread)
    for law in (line, plane):
        assert law.bayes_risk().disagrees_with(wanted) <= 1.0
        assert law.quadrature_bayes_risk().disagrees_with(wanted) <= 1.0
    if wanted.value > 0.0:
        assert line.bayes_risk().value == pytest.approx(wanted.value, rel=1e-9)


def test_a_grid_that_believed_its_nodes_would_be_far_too_sure() -> None:
    """The error that once was stated: the spread of the sub-grids alone, for a boundary beyond all nodes."""
    law = far_classes(15.2, own=False)
    grid = law.grid(250_000)
    lost = law.posterior(grid.points).min(axis=1)
    twin = dataclasses.replace(grid, outside=0.0).expect(lost)
    exact = dataclasses.replace(law.bayes_risk(), error=0.0)
    assert twin.disagrees_with(exact) > 1.0
    assert grid.expect(lost, bound=0.5).disagrees_with(exact) <= 1.0


def test_boxes_that_miss_the_law_say_so() -> None:
    """Boxes beside the classes, or with all nodes beside two needles: the missing mass is in the error."""
    law = far_classes(3.0, own=False)
    axes = (np.array([20.0, 21.0, 30.0]), np.array([-1.0, 1.0]))
    missed = risk_by_boxes(law.density_and_posterior, axes, 2)
    assert missed.value < 1e-9
    assert missed.error == pytest.approx(0.5)
    thin = np.array([[[1.0, 1.0 - 1e-7], [1.0 - 1e-7, 1.0]], [[1.0, 1e-7 - 1.0], [1e-7 - 1.0, 1.0]]])
    needles = GaussianMixture([0.5, 0.5], [[0.37, 0.1], [0.0, 0.0]], thin)
    assert needles.quadrature_bayes_risk().disagrees_with(needles.bayes_risk()) <= 1.0


def test_the_rule_errs_at_a_kink_by_no_more_than_it_allows() -> None:
    x, w = lobatto(NODES)
    at = np.linspace(0.0, 1.0, 20_001)
    rule = np.abs(0.5 * (x + 1.0) - at[:, None]) @ (0.5 * w)
    worst = float(np.abs(rule - 0.5 * (at**2 + (1.0 - at) ** 2)).max())
    assert 0.9 * KINK < worst < KINK


@pytest.mark.parametrize("name", [n for n in laws.names() if laws.get(n).boxes is not None])
def test_every_law_of_the_registry_states_a_risk_that_boxes_confirm(name: str) -> None:
    law = laws.get(name)
    stated, found = law.bayes_risk(), law.quadrature_bayes_risk()
    assert found.disagrees_with(stated) <= 1.0
    assert found.error <= 1e-4
    flattered = dataclasses.replace(stated, value=0.999 * stated.value)
    assert found.disagrees_with(flattered) > 1.0


@given(noise=st.floats(-2.0, 0.7), dimension=st.sampled_from([2, 3, 7, 40]), seed=SEEDS)
@settings(max_examples=12, deadline=None)
def test_rings_against_the_noncentral_chi_squared_law(noise: float, dimension: int, seed: int) -> None:
    """|X|^2 / noise^2 is noncentral chi-squared: densities that know nothing of our Bessel functions."""
    rng, sigma = np.random.default_rng(seed), 10.0**noise
    radii, weights = np.cumsum(rng.uniform(0.2, 1.5, 3)), np.array([0.2, 0.35, 0.45])
    peaks = np.sqrt(radii**2 + (dimension - 1) * sigma**2)
    edges = np.unique(np.maximum(peaks[:, None] + sigma * np.linspace(-14.0, 14.0, 57), 0.0))
    x, w = np.polynomial.legendre.leggauss(300)
    r = 0.5 * (edges[:-1, None] + edges[1:, None] + np.diff(edges)[:, None] * x)
    with np.errstate(all="ignore"):
        g = weights * ncx2.pdf((r[..., None] / sigma) ** 2, dimension, (radii / sigma) ** 2)
    g = np.nan_to_num(g) * (2.0 * r / sigma**2)[..., None]
    part = 0.5 * np.diff(edges)[:, None] * w
    wanted, mass = (float((part * each).sum()) for each in (g.sum(axis=2) - g.max(axis=2), g.sum(axis=2)))
    # kinks cost a Gauss-Legendre rule of 300 nodes about 1 / 300^2 of a panel's value
    slack = Estimate(wanted, 2e-5 * wanted + abs(1.0 - mass) + 1e-12, "quadrature", "scipy")
    assert Rings(radii, sigma, weights, dimension).bayes_risk().disagrees_with(slack) <= 1.0


@given(noise=st.floats(1e-6, 0.04))
@settings(max_examples=10, deadline=None)
def test_moons_that_hardly_touch_have_a_bounded_risk(noise: float) -> None:
    law = TwoMoons(noise)
    risk = law.bayes_risk()
    bound = math.exp(-0.125 * min(0.5 / noise, 50.0) ** 2)  # the arcs are 1/2 apart, and noise must reach half way
    assert risk.value - risk.error <= bound
    assert risk.error > 0.0


@given(seed=SEEDS)
@settings(max_examples=5, deadline=None)
def test_class_noise_on_two_classes_is_a_change_of_weights(seed: int) -> None:
    """R* = (1 - integral of |(1 - 2 a) g_0 - (1 - 2 b) g_1|) / 2, which is a clean Bayes risk of other weights."""
    rng = np.random.default_rng(seed)
    w, (a, b) = rng.uniform(0.2, 0.8), rng.uniform(0.0, 0.45, 2)
    means = rng.normal(scale=1.5, size=(2, 2))
    u, v = (1.0 - 2.0 * a) * (1.0 - w), (1.0 - 2.0 * b) * w
    clean = GaussianMixture([u / (u + v), v / (u + v)], means, np.eye(2)).bayes_risk()
    wanted = 0.5 - 0.5 * (u + v) * (1.0 - 2.0 * clean.value)
    noisy = class_noise(GaussianMixture([1.0 - w, w], means, np.eye(2)), [a, b])
    assert noisy.bayes_risk().disagrees_with(Estimate(wanted, 64.0 * EPS, "exact", "reweighted")) <= 1.0


def test_nearly_singular_covariances_lose_digits_and_say_so() -> None:
    rough = GaussianMixture(
        [0.5, 0.5], [[0.0, 0.0], [1e-6, 0.0]], [[1.0, 1.0 - 1e-12], [1.0 - 1e-12, 1.0]]
    ).bayes_risk()
    plain = GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [[1.0]]).bayes_risk()
    with mpmath.workdps(50):
        rho = mpmath.mpf(1.0 - 1e-12)
        distance = mpmath.mpf(1e-6) / mpmath.sqrt(1 - rho**2)
        wanted = Estimate(float(mpmath.ncdf(-distance / 2)), EPS, "exact", "50 digits")
    assert rough.disagrees_with(wanted) <= 1.0
    assert rough.error > 1e3 * plain.error
    assert dataclasses.replace(rough, error=plain.error).disagrees_with(wanted) > 1.0


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
