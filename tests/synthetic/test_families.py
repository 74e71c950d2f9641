"""The families of laws against independent computations: densities by definition, risks by other rules, symmetries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, multivariate_t
from scipy.stats import t as student_t

from synthetic import (
    GaussianMixture,
    Law,
    NoiseExponent,
    Rings,
    StudentMixture,
    TwoMoons,
    Xor,
    laws,
    massart,
    posterior_agreement,
    tsybakov,
)
from synthetic._moons import POSTERIOR_ERROR

Array = npt.NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)
ROUNDING = 1e-12  # logs of a few hundred, each with a few units in the last place

DRAWN = 10_000

CHANCE = 1e-7  # a kink between two nodes: the sub-rules of 15,000 nodes may agree by chance where the rule is 1e-8 off

JUMPS = 5.0  # the error of a rule is an estimate, and for a function that jumps it hangs on where the nodes fall


def draw_family(seed: int) -> Law:
    """One law of a drawn family with drawn parameters."""
    rng = np.random.default_rng(seed)
    kind = int(rng.integers(7))
    d = int(rng.integers(1, 4))
    if kind == 0:
        radii = np.cumsum(rng.uniform(0.3, 1.5, int(rng.integers(2, 5)))) - 0.3
        return Rings(radii, rng.uniform(0.15, 0.8), dimension=max(d, 2))
    if kind == 1:
        return TwoMoons(rng.uniform(0.08, 0.8))
    if kind == 2:
        return Xor(rng.uniform(0.5, 1.5), rng.uniform(0.4, 1.2), d)
    if kind == 3:
        return NoiseExponent(rng.uniform(0.3, 4.0), rng.uniform(0.0, 0.8), d)
    c = int(rng.integers(2, 4))
    weights = rng.dirichlet(np.full(c, 4.0))
    weights = (weights + 0.05) / (weights + 0.05).sum()
    root = rng.normal(size=(c, d, d))
    spread = root @ np.swapaxes(root, 1, 2) + 0.3 * np.eye(d)
    means = rng.normal(scale=1.2, size=(c, d))
    if kind == 4:
        return GaussianMixture(weights, means, spread)
    return StudentMixture(weights, means, spread, rng.uniform(0.8, 8.0))


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_posteriors_sum_to_one_and_labels_follow_them(seed: int) -> None:
    law, rng = draw_family(seed), np.random.default_rng(seed + 1)
    x, y = law.sample(200, rng)
    p = law.posterior(x)
    assert p.shape == (200, law.classes)
    assert float(p.min()) >= 0.0
    assert np.abs(p.sum(axis=1) - 1.0).max() <= ROUNDING
    assert float(law.density(x).min()) > 0.0
    assert set(y.tolist()) <= set(range(law.classes))
    found = posterior_agreement(law, DRAWN, rng)
    assert found.holds, (law, found)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_monte_carlo_and_the_rule_agree_with_the_bayes_risk(seed: int) -> None:
    law, rng = draw_family(seed), np.random.default_rng(seed + 1)
    stated = law.bayes_risk(rng)
    assert law.monte_carlo_bayes_risk(rng, DRAWN).disagrees_with(stated) <= 1.0
    if law.boxes is not None:
        assert law.quadrature_bayes_risk().disagrees_with(stated) <= 1.0


@pytest.mark.parametrize("name", laws.names())
def test_the_registry_gives_laws_that_hold(name: str) -> None:
    law, rng = laws.get(name), np.random.default_rng(7)
    assert law.name == name
    assert posterior_agreement(law, DRAWN, rng).holds
    assert abs(float(law.grid(1_000, rng).mass.sum()) - 1.0) <= ROUNDING


# -- densities by definition -----------------------------------------------------------------------


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_student_densities_against_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d, nu = int(rng.integers(1, 4)), float(rng.uniform(0.7, 9.0))
    root = rng.normal(size=(2, d, d))
    spread = root @ np.swapaxes(root, 1, 2) + 0.2 * np.eye(d)
    means, w = rng.normal(size=(2, d)), float(rng.uniform(0.2, 0.8))
    law = StudentMixture([1.0 - w, w], means, spread, nu)
    x = rng.normal(scale=3.0, size=(20, d))
    joint = np.stack(
        [q * multivariate_t(m, s, nu).pdf(x) for q, m, s in zip((1.0 - w, w), means, spread, strict=True)], axis=-1
    ).reshape(20, 2)
    np.testing.assert_allclose(law.density(x), joint.sum(axis=1), rtol=1e-10)
    np.testing.assert_allclose(law.posterior(x), joint / joint.sum(axis=1, keepdims=True), rtol=1e-9, atol=1e-12)


def test_student_risks_against_the_cauchy_closed_form_and_a_line_integral() -> None:
    assert StudentMixture([0.5, 0.5], [[-1.0], [1.0]], [[1.0]], 1.0).bayes_risk().value == pytest.approx(
        0.25, rel=1e-14
    )
    law = StudentMixture([0.3, 0.3, 0.4], [[-2.0], [0.1], [1.5]], [[[1.0]], [[0.2]], [[2.0]]], 2.5)

    def lost(x: float) -> float:
        g = sorted(
            w * student_t(2.5, m, math.sqrt(s)).pdf(x)
            for w, m, s in ((0.3, -2.0, 1.0), (0.3, 0.1, 0.2), (0.4, 1.5, 2.0))
        )
        return float(g[0] + g[1])

    pieces = [(-math.inf, -6.0), *((a, a + 1.0) for a in np.arange(-6.0, 8.0, 1.0).tolist()), (8.0, math.inf)]
    wanted = sum(quad(lost, a, b, epsabs=1e-9)[0] for a, b in pieces)
    assert law.bayes_risk().value == pytest.approx(wanted, abs=1e-7)  # kinks inside the pieces


@given(noise=st.floats(0.05, 1.5), seed=SEEDS)
@settings(max_examples=12, deadline=None)
def test_moons_against_adaptive_quadrature_along_the_arc(noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    law = TwoMoons(noise)
    x = np.concatenate([law.sample(4, rng)[0], rng.uniform([-1.5, -1.0], [2.5, 1.5], size=(4, 2))])
    for point, p in zip(x, law.posterior(x), strict=True):

        def density(z: Array) -> tuple[float, float]:
            """The density of class 0 at z as (log scale, value)."""
            angles = np.linspace(0.0, math.pi, 1001)
            heights = -0.5 * ((z[0] - np.cos(angles)) ** 2 + (z[1] - np.sin(angles)) ** 2) / noise**2
            top, at = float(heights.max()), float(angles[heights.argmax()])

            def g(a: float) -> float:
                return math.exp(-0.5 * ((z[0] - math.cos(a)) ** 2 + (z[1] - math.sin(a)) ** 2) / noise**2 - top)

            cuts = sorted({0.0, math.pi, *(min(max(at + k * noise, 0.0), math.pi) for k in (-8, -2, 0, 2, 8))})
            parts = itertools.pairwise(cuts)
            return top, sum(quad(g, a, b, epsrel=1e-12, epsabs=0.0, limit=200)[0] for a, b in parts)

        (l0, v0), (l1, v1) = density(point), density(np.array([1.0, 0.5]) - point)
        odds = math.exp(min(l1 - l0, 700.0)) * v1 / v0
        assert p[1] == pytest.approx(odds / (1.0 + odds), abs=POSTERIOR_ERROR + 1e-11)  # quad's own error


@given(seed=SEEDS, dimension=st.integers(2, 5))
@settings(max_examples=10, deadline=None)
def test_ring_densities_against_an_average_over_directions(seed: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    law = Rings([0.0, 1.1], rng.uniform(0.3, 0.9), [0.4, 0.6], dimension)
    x = rng.normal(size=(3, dimension))

    def sphere(r: float) -> float:
        """Mean over the unit sphere of the normal density at distance |x - 1.1 u|, as an integral over the angle."""
        shape = dimension - 2
        norm = quad(lambda a: math.sin(a) ** shape, 0.0, math.pi)[0]
        dense = lambda a: math.exp(-0.5 * (r * r + 1.21 - 2.2 * r * math.cos(a)) / law.noise**2)  # noqa: E731
        return float(quad(lambda a: math.sin(a) ** shape * dense(a), 0.0, math.pi, epsrel=1e-11)[0] / norm)

    level = (2.0 * math.pi * law.noise**2) ** (-0.5 * dimension)
    for point, density in zip(x, law.density(x), strict=True):
        r = float(np.linalg.norm(point))
        wanted = level * (0.4 * math.exp(-0.5 * r * r / law.noise**2) + 0.6 * sphere(r))
        assert density == pytest.approx(wanted, rel=1e-9)


@given(seed=SEEDS, dimension=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_xor_is_the_mixture_of_its_blobs(seed: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    law = Xor(rng.uniform(0.4, 1.4), rng.uniform(0.4, 1.2), dimension)
    x = rng.normal(size=(9, dimension))
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * dimension)).reshape(dimension, -1).T
    dense = [multivariate_normal(law.corner * s, law.noise**2 * np.eye(dimension)).pdf(x).reshape(-1) for s in corners]
    joint = np.zeros((9, 2))
    for corner, each in zip(corners, dense, strict=True):
        joint[:, int(corner.prod() > 0.0)] += each / len(corners)
    np.testing.assert_allclose(law.density(x), joint.sum(axis=1), rtol=1e-11)
    np.testing.assert_allclose(law.posterior(x), joint / joint.sum(axis=1, keepdims=True), atol=1e-12)


@given(exponent=st.floats(0.2, 6.0), floor=st.floats(0.0, 0.9), ends=st.tuples(st.floats(0, 1), st.floats(0, 1)))
@settings(max_examples=40, deadline=None)
def test_the_noise_exponent_is_what_it_is_called(exponent: float, floor: float, ends: tuple[float, float]) -> None:
    law, (low, high) = NoiseExponent(exponent, floor, 1), sorted(ends)
    x = ((np.arange(40_000) + 0.5) / 20_000 - 1.0)[:, None]
    eta = law.posterior(x)[:, 1]
    inside = (eta >= low) & (eta <= high)
    band = law.closed_band(low, high)
    assert band.mass.value == pytest.approx(float(inside.mean()), abs=2e-4)  # two cells of 5e-5 at each end
    assert band.excess.value == pytest.approx(float((inside * np.abs(2.0 * eta - 1.0)).mean()), abs=2e-4)
    if floor == 0.0:
        t = 0.37
        whole = law.closed_band(0.5 - t / 2.0, 0.5 + t / 2.0).mass.value
        assert whole == pytest.approx(t**exponent, rel=1e-9)


def test_massart_stays_away_from_the_tie() -> None:
    law = massart(0.3, 2.0)
    x = law.sample(5_000, np.random.default_rng(3))[0]
    assert float(np.abs(2.0 * law.posterior(x)[:, 1] - 1.0).min()) >= 0.3
    assert law.closed_band(0.36, 0.64).mass.value == 0.0
    assert tsybakov(2.0).bayes_risk().value == pytest.approx(1.0 / 6.0, rel=1e-14)


@given(
    weight=st.floats(0.1, 0.9),
    distance=st.floats(0.3, 3.0),
    ends=st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98)),
)
@settings(max_examples=25, deadline=None)
def test_the_band_of_two_gaussians_against_their_rule(
    weight: float, distance: float, ends: tuple[float, float]
) -> None:
    law, (low, high) = GaussianMixture([1.0 - weight, weight], [[0.0], [distance]], [[1.0]]), sorted(ends)
    grid = law.grid(30_000)
    eta = law.posterior(grid.points)[:, 1]
    inside = ((eta >= low) & (eta <= high)).astype(np.float64)
    band = law.closed_band(low, high)
    assert band is not None
    # a band may be so narrow that only a node or two lie in it: what one node may hide is part of the error
    assert grid.expect(inside, bound=1.0).disagrees_with(band.mass) <= JUMPS
    assert grid.expect(inside * np.abs(2.0 * eta - 1.0), bound=1.0).disagrees_with(band.excess) <= JUMPS
    wrong = law.closed_band(low / 2.0, high)
    assert wrong is not None
    if wrong.mass.value > band.mass.value + 0.01:  # the twin
        assert grid.expect(inside, bound=1.0).disagrees_with(wrong.mass) > JUMPS


# -- symmetries ------------------------------------------------------------------------------------


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_turning_a_law_turns_its_posterior_and_keeps_its_risk(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 4))
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    root = rng.normal(size=(3, d, d))
    spread = root @ np.swapaxes(root, 1, 2) + 0.3 * np.eye(d)
    means, weights = rng.normal(size=(3, d)), [0.2, 0.5, 0.3]
    turned = turn @ spread @ turn.T
    turned = (turned + np.swapaxes(turned, 1, 2)) / 2.0
    x = rng.normal(size=(50, d))
    for law, other in (
        (GaussianMixture(weights, means, spread), GaussianMixture(weights, means @ turn.T, turned)),
        (StudentMixture(weights, means, spread), StudentMixture(weights, means @ turn.T, turned)),
    ):
        np.testing.assert_allclose(other.posterior(x @ turn.T), law.posterior(x), atol=1e-10)
        if d == 2:
            assert other.bayes_risk().disagrees_with(law.bayes_risk()) <= 1.0
    rings = Rings([0.3, 1.0], 0.4, dimension=d)
    np.testing.assert_allclose(rings.posterior(x @ turn.T), rings.posterior(x), atol=1e-12)
    moons = TwoMoons(0.3)
    pairs = x[:, :2]
    np.testing.assert_allclose(
        moons.posterior(np.array([1.0, 0.5]) - pairs), moons.posterior(pairs)[:, ::-1], atol=1e-12
    )
    xor = Xor(dimension=2)
    np.testing.assert_allclose(
        xor.posterior(pairs @ [[0.0, 1.0], [-1.0, 0.0]]), xor.posterior(pairs)[:, ::-1], atol=1e-12
    )


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_relabelling_permutes_the_posterior(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(3)
    means, weights = rng.normal(size=(3, 2)), np.array([0.2, 0.5, 0.3])
    x = rng.normal(size=(30, 2))
    a, b = (StudentMixture(weights[o], means[o], np.eye(2), 2.0) for o in (np.arange(3), order))
    np.testing.assert_allclose(b.posterior(x), a.posterior(x)[:, order], atol=1e-13)
    assert b.bayes_risk().disagrees_with(a.bayes_risk()) <= 1.0
    radii = np.array([0.2, 0.9, 1.7])
    c, e = Rings(radii, 0.4), Rings(radii[order], 0.4)
    np.testing.assert_allclose(e.posterior(x), c.posterior(x)[:, order], atol=1e-12)
    assert e.bayes_risk().value == pytest.approx(c.bayes_risk().value, abs=1e-12)


# -- broken twins ----------------------------------------------------------------------------------


class Shifted(TwoMoons):
    """Two moons whose posterior is that of a point a little to the right."""

    def posterior(self, points: npt.ArrayLike) -> Array:
        return super().posterior(np.asarray(points) + np.array([0.15, 0.0]))


class Overconfident(Xor):
    """XOR whose posterior is sharper than its labels."""

    def posterior(self, points: npt.ArrayLike) -> Array:
        p = super().posterior(points) ** 1.5
        return np.asarray(p / p.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("law", [Shifted(), Overconfident()], ids=repr)
def test_a_law_with_a_wrong_posterior_is_caught(law: Law) -> None:
    assert not posterior_agreement(law, 40_000, np.random.default_rng(5)).holds
