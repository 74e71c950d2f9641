"""Laws against independent computations: joint densities, sampled labels, other ways to the Bayes risk."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import multivariate_normal, norm

from synthetic import (
    Estimate,
    GaussianMixture,
    Grid,
    Law,
    PiecewiseConstant,
    checkerboard,
    near_ties,
    point_mass,
    posterior_agreement,
)
from synthetic._envelope import UNSEEN, risk_in_the_plane, risk_on_the_line

Array = npt.NDArray[np.float64]

# Sums of a handful of float64 numbers of size one.
ROUNDING = 1e-14
# Log densities here reach a few hundred, and their rounding (a few eps each) becomes relative error of the posterior.
LOG_ROUNDING = 1e-11

# A quadrature's error is an estimate: with kinks in the integrand it was too small by up to 9 / 4 in 2400 mixtures.
ESTIMATE_SLACK = 5.0

SEEDS = st.integers(min_value=0, max_value=2**32 - 1)


def draw_weights(classes: int, rng: np.random.Generator) -> Array:
    weights = rng.dirichlet(np.full(classes, 3.0)) + 0.02
    return np.asarray(weights / weights.sum())


def draw_covariance(dimension: int, rng: np.random.Generator) -> Array:
    basis = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    return np.asarray(basis * rng.uniform(0.2, 2.0, dimension) @ basis.T)


def draw_mixture(classes: int, dimension: int, shared: bool, rng: np.random.Generator) -> GaussianMixture:
    spread = np.stack([draw_covariance(dimension, rng) for _ in range(classes)])
    means = rng.normal(scale=1.3, size=(classes, dimension))
    return GaussianMixture(draw_weights(classes, rng), means, spread[0] if shared else spread)


def draw_cells(classes: int, dimension: int, rng: np.random.Generator) -> PiecewiseConstant:
    shape = tuple(int(k) for k in rng.integers(1, 5, dimension))
    mass = rng.dirichlet(np.ones(math.prod(shape))).reshape(shape)
    return PiecewiseConstant(rng.dirichlet(np.ones(classes), size=shape), mass)


@st.composite
def mixtures(draw: st.DrawFn, dimension: int | None = None) -> GaussianMixture:
    d = draw(st.integers(1, 4)) if dimension is None else dimension
    return draw_mixture(draw(st.integers(2, 4)), d, draw(st.booleans()), np.random.default_rng(draw(SEEDS)))


@st.composite
def cell_laws(draw: st.DrawFn) -> PiecewiseConstant:
    return draw_cells(draw(st.integers(2, 4)), draw(st.integers(1, 3)), np.random.default_rng(draw(SEEDS)))


def laws() -> st.SearchStrategy[Law]:
    return st.one_of(mixtures(), cell_laws())


# -- every law -------------------------------------------------------------------------------------


@given(law=laws(), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_posteriors_are_probabilities_and_shapes_fit(law: Law, seed: int) -> None:
    x, y = law.sample(50, np.random.default_rng(seed))
    p = law.posterior(x)
    assert x.shape == (50, law.dimension)
    assert y.shape == (50,)
    assert p.shape == (50, law.classes)
    assert set(y.tolist()) <= set(range(law.classes))
    assert float(p.min()) >= 0.0
    assert np.abs(p.sum(axis=1) - 1.0).max() <= ROUNDING
    assert np.array_equal(law.bayes_rule(x), p.argmax(axis=1))
    assert float(law.density(x).min()) > 0.0
    low, high = law.extent.T
    assert bool((low < high).all())


@given(law=laws(), seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_drawn_labels_follow_the_posterior_and_the_stated_bayes_risk(law: Law, seed: int) -> None:
    found = posterior_agreement(law, 20_000, np.random.default_rng(seed))
    assert found.worst <= found.threshold
    assert found.risk_distance <= 1.0
    assert found.tried == (9 + law.classes) * law.classes


@given(law=laws(), seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_monte_carlo_agrees_with_the_bayes_risk(law: Law, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stated = law.bayes_risk(rng)
    sampled = law.monte_carlo_bayes_risk(rng, 20_000)
    assert sampled.kind == "standard error"
    assert sampled.disagrees_with(stated) <= 1.0


@given(law=laws(), seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_same_generator_gives_the_same_sample(law: Law, seed: int) -> None:
    first = law.sample(7, np.random.default_rng(seed))
    second = law.sample(7, np.random.default_rng(seed))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


# -- broken twins of a law -------------------------------------------------------------------------


class Twin(Law):
    """A law that answers for another one; subclasses lie in one place."""

    def __init__(self, honest: Law) -> None:
        self.honest = honest
        self.name = f"twin of {honest.name}"

    @property
    def classes(self) -> int:
        return self.honest.classes

    @property
    def dimension(self) -> int:
        return self.honest.dimension

    @property
    def extent(self) -> Array:
        return self.honest.extent

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, npt.NDArray[np.int64]]:
        return self.honest.sample(n, rng)

    def posterior(self, points: npt.ArrayLike) -> Array:
        return self.honest.posterior(points)

    def density(self, points: npt.ArrayLike) -> Array:
        return self.honest.density(points)

    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        return self.honest.bayes_risk(rng)

    def grid(self, size: int, rng: np.random.Generator | None = None) -> Grid:
        return self.honest.grid(size, rng)


class ShiftedPosterior(Twin):
    def posterior(self, points: npt.ArrayLike) -> Array:
        return self.honest.posterior(np.asarray(points) + 0.1)


class MovedMass(Twin):
    def posterior(self, points: npt.ArrayLike) -> Array:
        p = 0.97 * self.honest.posterior(points)
        p[:, 0] += 0.03
        return p


class FlatteredRisk(Twin):
    def bayes_risk(self, rng: np.random.Generator | None = None) -> Estimate:
        true = self.honest.bayes_risk(rng)
        return Estimate(0.9 * true.value, true.error, true.kind, true.method)


@given(mixture=mixtures(), seed=SEEDS)
@settings(max_examples=8, deadline=None)
def test_a_law_with_a_shifted_posterior_is_caught(mixture: GaussianMixture, seed: int) -> None:
    # Two far classes hardly notice a shift of 0.1: draw until a tenth of the mass does.
    x = mixture.sample(2_000, np.random.default_rng(seed))[0]
    moved = np.abs(mixture.posterior(x + 0.1) - mixture.posterior(x)).max(axis=1)
    twin = ShiftedPosterior(mixture)
    found = posterior_agreement(twin, 200_000, np.random.default_rng(seed))
    if float(moved.mean()) > 0.02:
        assert not found.holds
    assert posterior_agreement(Twin(mixture), 20_000, np.random.default_rng(seed)).holds


@pytest.mark.parametrize("twin", [MovedMass, FlatteredRisk, ShiftedPosterior])
def test_a_lying_law_is_caught(twin: type[Twin]) -> None:
    honest = GaussianMixture([0.35, 0.65], [[0.2, -0.4], [0.9, 0.7]], [[1.0, 0.3], [0.3, 0.6]])
    assert posterior_agreement(honest, 100_000, np.random.default_rng(5)).holds
    assert not posterior_agreement(twin(honest), 100_000, np.random.default_rng(5)).holds


# -- Gaussian classes ------------------------------------------------------------------------------


def joint(law: GaussianMixture, x: Array) -> Array:
    each = np.broadcast_to(law.covariances, (law.classes, law.dimension, law.dimension))
    columns = [w * multivariate_normal(m, s).pdf(x) for w, m, s in zip(law.weights, law.means, each, strict=True)]
    return np.stack([np.atleast_1d(c) for c in columns], axis=1)


@given(law=mixtures(), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_posterior_is_the_ratio_of_joint_densities(law: GaussianMixture, seed: int) -> None:
    x = law.sample(40, np.random.default_rng(seed))[0]
    g = joint(law, x)
    np.testing.assert_allclose(law.posterior(x), g / g.sum(axis=1, keepdims=True), rtol=LOG_ROUNDING, atol=1e-200)
    np.testing.assert_allclose(law.density(x), g.sum(axis=1), rtol=LOG_ROUNDING)


@given(law=mixtures(), seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_far_from_every_mean_the_posterior_stays_finite(law: GaussianMixture, seed: int) -> None:
    x = 1e4 * np.random.default_rng(seed).normal(size=(20, law.dimension))
    p = law.posterior(x)
    assert bool(np.isfinite(p).all())
    assert np.abs(p.sum(axis=1) - 1.0).max() <= ROUNDING


@given(law=mixtures(), seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_relabelling_permutes_the_posterior_and_keeps_the_risk(law: GaussianMixture, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(law.classes)
    spread = law.covariances if law.shared else law.covariances[order]
    other = GaussianMixture(law.weights[order], law.means[order], spread)
    x = law.sample(30, rng)[0]
    np.testing.assert_allclose(other.posterior(x), law.posterior(x)[:, order], rtol=LOG_ROUNDING, atol=1e-200)
    assert law.bayes_risk(rng).disagrees_with(other.bayes_risk(rng)) <= 1.0


@given(law=mixtures(), seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_rotation_and_shift_move_the_points_and_nothing_else(law: GaussianMixture, seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(law.dimension, law.dimension)))[0]
    shift = rng.normal(scale=3.0, size=law.dimension)
    other = GaussianMixture(law.weights, law.means @ turn.T + shift, turn @ law.covariances @ turn.T)
    x = law.sample(30, rng)[0]
    moved = x @ turn.T + shift
    np.testing.assert_allclose(other.posterior(moved), law.posterior(x), rtol=LOG_ROUNDING, atol=1e-12)
    np.testing.assert_allclose(other.density(moved), law.density(x), rtol=LOG_ROUNDING)
    risk = law.bayes_risk(rng)
    assert risk.disagrees_with(other.bayes_risk(rng)) <= 1.0
    assert risk.kind == "standard error" or risk.error <= 2.0 * UNSEEN


@given(law=mixtures(dimension=1))
@settings(max_examples=30, deadline=None)
def test_the_risk_on_the_line_against_a_fine_rule(law: GaussianMixture) -> None:
    spread = np.sqrt(np.broadcast_to(law.covariances, (law.classes, 1, 1))[:, 0, 0])
    low, high = (law.means[:, 0] - 12.0 * spread).min(), (law.means[:, 0] + 12.0 * spread).max()
    step = (high - low) / 200_000
    t = low + step * (np.arange(200_000) + 0.5)
    g = law.weights * norm.pdf(t[:, None], law.means[:, 0], spread)
    fine = step * float((g.sum(axis=1) - g.max(axis=1)).sum())
    # The midpoint rule is exact to rounding but for the kinks, each of which costs at most step^2 / 8 per unit of slope
    # jump; normal densities of variance >= 0.2 have slopes below 0.25 / 0.2.
    kinks = law.classes * (law.classes - 1)
    tolerance = kinks * step**2 / 8.0 * 2.0 * 0.25 / 0.2
    stated = law.bayes_risk()
    assert stated.kind == "exact"
    assert abs(stated.value - fine) <= tolerance + stated.error + 1e-12  # a sum of 200,000 rounded terms


@given(seed=SEEDS, dimension=st.integers(1, 2))
@settings(max_examples=25, deadline=None)
def test_three_ways_to_the_risk_of_two_classes_agree(seed: int, dimension: int) -> None:
    law = draw_mixture(2, dimension, True, np.random.default_rng(seed))
    stated = law.bayes_risk()
    assert "shared covariance" in stated.method
    if dimension == 1:
        other = risk_on_the_line(law.weights, law.means[:, 0], np.full(2, law.covariances[0, 0]))
    else:
        other = risk_in_the_plane(law.weights, law.means, np.stack([law.covariances] * 2))
    assert stated.disagrees_with(other) <= 1.0
    assert other.error < 1e-9


@given(distance=st.floats(5.0, 40.0), weight=st.floats(0.2, 0.8))
@settings(max_examples=30, deadline=None)
def test_tiny_risks_keep_their_relative_accuracy(distance: float, weight: float) -> None:
    weights, means = np.array([weight, 1.0 - weight]), np.array([0.0, distance])
    wanted = GaussianMixture(weights, means[:, None], [[1.0]]).bayes_risk().value
    # Beyond one mean and before the other both tails are small; log Phi(-20) = -203 turns rounding into 1e-13.
    for centres in (means, means[::-1] - 3.0):
        order = weights if centres is means else weights[::-1]
        assert risk_on_the_line(order, centres, np.ones(2)).value == pytest.approx(wanted, rel=LOG_ROUNDING)


def test_the_two_class_formula_by_hand() -> None:
    law = GaussianMixture([0.5, 0.5], [[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]], 4.0 * np.eye(3))
    assert abs(law.bayes_risk().value - float(ndtr(-1.25))) <= law.bayes_risk().error  # D = 5 / 2
    same = GaussianMixture([0.3, 0.7], [[1.0], [1.0]], [[2.0]])
    assert same.bayes_risk().value == 0.3


@given(seed=SEEDS, dimension=st.integers(3, 6))
@settings(max_examples=15, deadline=None)
def test_three_classes_with_a_shared_covariance_need_no_sampling_in_any_dimension(seed: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    law = draw_mixture(3, dimension, True, rng)
    stated = law.bayes_risk()
    assert stated.kind == "quadrature"
    assert law.monte_carlo_bayes_risk(rng, 50_000).disagrees_with(stated) <= 1.0


@pytest.mark.parametrize("classes", [2, 5])
def test_sampling_is_asked_for_where_nothing_else_applies(classes: int) -> None:
    law = draw_mixture(classes, 4, False, np.random.default_rng(3))
    with pytest.raises(ValueError, match="rng=None"):
        law.bayes_risk()
    assert law.bayes_risk(np.random.default_rng(4)).kind == "standard error"


def test_equal_covariances_given_one_by_one_are_shared() -> None:
    spread = np.array([[1.0, 0.2], [0.2, 0.5]])
    assert GaussianMixture([0.5, 0.5], [[0.0, 0.0], [1.0, 2.0]], [spread, spread]).shared


@given(seed=SEEDS, dimension=st.integers(1, 2))
@settings(max_examples=20, deadline=None)
def test_the_density_integrates_to_one(seed: int, dimension: int) -> None:
    law = draw_mixture(3, dimension, False, np.random.default_rng(seed))
    axes = [np.linspace(4.0 * a - 3.0 * b, 4.0 * b - 3.0 * a, 701) for a, b in law.extent]
    cell = math.prod(float(axis[1] - axis[0]) for axis in axes)
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dimension)
    # The trapezoidal rule of a smooth function that vanishes at both ends converges faster than any power.
    assert abs(float(law.density(x).sum()) * cell - 1.0) <= 1e-9


# -- grids -----------------------------------------------------------------------------------------


@given(law=laws(), seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_a_grid_stands_for_the_law(law: Law, seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = law.grid(3_000, rng)
    assert grid.points.shape == (grid.size, law.dimension)
    assert abs(math.fsum(grid.mass.tolist()) - 1.0) <= 1e-11  # thousands of equal masses, each rounded
    p = law.posterior(grid.points)
    assert grid.expect(1.0 - p.max(axis=1)).disagrees_with(law.bayes_risk(rng)) <= ESTIMATE_SLACK
    for k in range(law.classes):
        stated = law.weights[k] if isinstance(law, GaussianMixture) else law.cell_mass @ law.cell_posterior[:, k]
        prior = Estimate(float(stated), 1e-12, "exact", "the law's own")
        assert grid.expect(p[:, k]).disagrees_with(prior) <= 1.0


def test_a_grid_refuses_values_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"values.shape=\(3,\)"):
        checkerboard(2, 0.8).grid(1).expect(np.zeros(3))


# -- piecewise-constant laws -----------------------------------------------------------------------


@given(law=cell_laws(), seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_cells_relabelled_keep_their_risk_exactly(law: PiecewiseConstant, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(law.classes)
    table = law.cell_posterior.reshape(*law.cells, law.classes)
    other = PiecewiseConstant(table[..., order], law.cell_mass.reshape(law.cells))
    assert other.bayes_risk() == law.bayes_risk()
    x = law.sample(20, np.random.default_rng(seed))[0]
    assert np.array_equal(other.posterior(x), law.posterior(x)[:, order])


@given(law=cell_laws(), seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_cells_shuffled_keep_their_risk_exactly(law: PiecewiseConstant, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(law.cell_mass.shape[0])
    other = PiecewiseConstant(law.cell_posterior[order], law.cell_mass[order])
    assert other.bayes_risk() == law.bayes_risk()


def test_an_impossible_label_and_an_empty_cell_are_never_drawn() -> None:
    law = PiecewiseConstant([[0.0, 1.0, 0.0], [0.3, 0.7, 0.0], [0.0, 0.1, 0.9]], [0.4, 0.0, 0.6])
    x, y = law.sample(20_000, np.random.default_rng(8))
    cell = np.floor(3.0 * x[:, 0]).astype(int)
    assert set(cell.tolist()) == {0, 2}
    assert set(y[cell == 0].tolist()) == {1}
    assert set(y[cell == 2].tolist()) == {1, 2}
    assert law.grid(1).size == 2


def test_points_on_the_edges_belong_to_one_cell() -> None:
    for side in (3, 7, 49, 100):
        law = PiecewiseConstant(np.stack([np.arange(side) / side, 1.0 - np.arange(side) / side], axis=1))
        edges = (np.arange(side) / side)[:, None]
        assert np.array_equal(law.posterior(edges)[:, 0], np.arange(side) / side)
        assert law.posterior([[1.0]])[0, 0] == (side - 1) / side


def test_the_density_of_cells_is_mass_over_volume_and_zero_outside() -> None:
    law = PiecewiseConstant([[[0.5, 0.5], [0.1, 0.9]]], [[0.25, 0.75]])
    inside, outside = [0.3, 0.6], [0.3, 1.6]
    assert law.density([inside, outside]).tolist() == [1.5, 0.0]
    with pytest.raises(ValueError, match=r"X holds 1.6: every coordinate must lie in \[0, 1\]"):
        law.posterior([outside])


@given(eta=st.floats(0.01, 0.99), side=st.integers(1, 6), dimension=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_checkerboard_alternates(eta: float, side: int, dimension: int) -> None:
    law = checkerboard(side, eta, dimension)
    x = law.sample(64, np.random.default_rng(1))[0]
    even = np.floor(x * side).sum(axis=1) % 2 == 0
    assert np.allclose(law.posterior(x)[:, 1], np.where(even, eta, 1.0 - eta), rtol=ROUNDING)
    assert law.bayes_risk().value == pytest.approx(min(eta, 1.0 - eta), abs=ROUNDING)


@given(gap=st.floats(1e-6, 0.9), classes=st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_near_ties_have_the_gap_asked_for(gap: float, classes: int) -> None:
    law = near_ties([gap, gap / 2.0], classes)
    ranked = np.sort(law.cell_posterior, axis=1)
    wanted = np.repeat([gap, gap / 2.0], classes)
    np.testing.assert_allclose(ranked[:, -1] - ranked[:, -2], wanted, rtol=0.0, atol=1e-15)
    assert law.bayes_rule(law.grid(1).points).tolist() == list(range(classes)) * 2


def test_a_point_mass_is_its_posterior() -> None:
    law = point_mass([0.4, 0.35, 0.25])
    assert law.posterior([[0.7]]).tolist() == [[0.4, 0.35, 0.25]]
    assert law.bayes_risk().kind == "exact"
    assert law.bayes_risk().value == pytest.approx(0.6, abs=ROUNDING)
