"""psi(R(f) - R*) <= R_phi(f) - R_phi*: theory's calibration function against synthetic's risks."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import entr

import theory
from synthetic import (
    ENVELOPE_TOLERANCE,
    SEARCH_TOLERANCE,
    GaussianMixture,
    Law,
    PiecewiseConstant,
    bayes_agreement,
    checkerboard,
    excess_risk_inequality,
    laws,
    near_ties,
    point_mass,
    random_classifiers,
    searched_region,
    tabulated_psi,
)
from theory.catalogue import CORE, entry, get, names
from theory.losses import Loss, from_formula, from_pair
from theory.risk import binary_minimiser

Array = npt.NDArray[np.float64]

BINARY = [name for name in CORE if entry(name).binary is not None]
EVERY = [name for name in names() if entry(name).kind != "multiclass"]
NAMED = [name for name in laws.names() if laws.get(name).classes == 2]
SEEDS = st.integers(0, 2**32 - 1)

# psi is a difference of two searched least values, each good to about sqrt(machine epsilon) times a slope.
SEARCHED = 1e-7


def draw_law(seed: int) -> Law:
    """A piecewise-constant law, a Gaussian pair in one, two or four dimensions, or a named law of two classes."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(6)
    if kind >= 4:
        return laws.get(str(rng.choice(NAMED)))
    if kind == 0:
        shape = tuple(rng.integers(1, 5, 2).tolist())
        mass = rng.dirichlet(np.ones(math.prod(shape))).reshape(shape)
        return PiecewiseConstant(rng.dirichlet(np.ones(2), size=shape), mass)
    d = (1, 2, 4)[kind - 1]
    weight = rng.uniform(0.1, 0.9)
    scales = rng.uniform(0.3, 2.0, size=(2, d, 1))
    return GaussianMixture([weight, 1.0 - weight], rng.normal(size=(2, d)), scales * np.eye(d))


@given(name=st.sampled_from(EVERY), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_inequality_holds_for_every_drawn_classifier(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    law = draw_law(seed)
    found = excess_risk_inequality(get(name), law, random_classifiers(law, 16, rng), law.grid(300, rng))
    assert len(found.rows) == 16
    assert found.pointwise_residual >= -SEARCH_TOLERANCE
    for row in found.rows:
        assert row.residual == row.surrogate.value - row.bound
        assert row.residual >= -row.allowed
    assert found.worst.residual == min(row.residual for row in found.rows)
    assert found.holds


@given(mu=st.floats(0.01, 3.0), tau=st.floats(0.1, 6.0), seed=SEEDS)
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("name", ["average-margin", "average-margin-released"])
def test_the_inequality_holds_over_the_parameters_of_the_paper(name: str, mu: float, tau: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    law = draw_law(seed)
    loss = get(name, mu=repr(mu), tau=repr(tau))
    found = excess_risk_inequality(loss, law, random_classifiers(law, 8, rng), law.grid(200, rng))
    assert found.holds
    assert found.violations == 0


def test_costs_that_differ_by_label_need_both_sides_of_one_half() -> None:
    loss = from_pair("softplus(-v)", "3 * softplus(v)")  # not consistent: psi vanishes up to the moved boundary
    law = near_ties([0.1, 0.4, 0.8])
    found = excess_risk_inequality(loss, law, random_classifiers(law, 40, np.random.default_rng(1)), law.grid(1))
    assert found.holds
    assert theory.psi(loss, np.array([0.3])).item() <= SEARCHED


def test_bounded_scores_are_kept_in_their_domain() -> None:
    loss = from_formula("softplus(-t)", domain="bounded:1/2")
    law = point_mass([0.1, 0.9])  # the least risk is at the bound: log(0.9 / 0.1) > 1/2

    def risk(v: float) -> float:
        return 0.9 * math.log1p(math.exp(-v)) + 0.1 * math.log1p(math.exp(v))

    for score, kept in ((3.0, 0.5), (0.2, 0.2), (-0.3, -0.3), (-40.0, -0.5)):
        found = excess_risk_inequality(loss, law, [lambda x, v=score: np.full(x.shape[0], v)], law.grid(1))
        assert found.holds
        assert found.worst.surrogate.value == pytest.approx(risk(kept) - risk(0.5), abs=SEARCHED)


# -- psi itself ------------------------------------------------------------------------------------


@given(theta=st.lists(st.floats(0.0, 1.0), min_size=3, max_size=9))
@settings(max_examples=15, deadline=None)
def test_psi_against_closed_forms(theta: list[float]) -> None:
    t = np.array(theta)
    entropy = entr((1.0 + t) / 2.0) + entr((1.0 - t) / 2.0)
    known = {"logistic": math.log(2.0) - entropy, "exponential": 1.0 - np.sqrt(1.0 - t * t), "hinge": t}
    for name, wanted in known.items():
        np.testing.assert_allclose(theory.psi(get(name), t), wanted, rtol=0.0, atol=SEARCHED)


@given(low=st.floats(0.0, 1.0), high=st.floats(0.0, 1.0), share=st.floats(0.0, 1.0))
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize(("mu", "tau"), [("0.1", "5"), ("1", "1"), ("5", "0.3")])
def test_psi_is_convex_even_where_the_gap_is_not(mu: str, tau: str, low: float, high: float, share: float) -> None:
    loss = get("average-margin", mu=mu, tau=tau)
    t = np.array([low, high, share * low + (1.0 - share) * high])
    a, b, middle = theory.psi(loss, np.minimum(t, 1.0)).tolist()
    assert middle <= share * a + (1.0 - share) * b + ENVELOPE_TOLERANCE * (1.0 + float(mu))


# -- the inequality is tight, and can fail ---------------------------------------------------------


@given(eta=st.floats(0.55, 0.98))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("name", ["logistic", "exponential", "hinge"])
def test_on_a_single_point_the_tied_classifier_attains_equality(name: str, eta: float) -> None:
    law = point_mass([1.0 - eta, eta])
    found = excess_risk_inequality(get(name), law, [lambda x: np.zeros(x.shape[0])], law.grid(1))
    assert found.worst.excess.value == pytest.approx(2.0 * eta - 1.0, rel=1e-12)
    assert abs(found.worst.residual) <= SEARCHED
    assert found.holds


def doubled(loss: Loss, theta: Array) -> Array:
    return 2.0 * theory.psi(loss, theta)


CALIBRATED = [name for name in BINARY if name != "perceptron"]  # psi = 0 for the perceptron: so is its double


@pytest.mark.parametrize("name", CALIBRATED)
@pytest.mark.parametrize("law", [point_mass([0.12, 0.88]), checkerboard(3, 0.8)], ids=str)
def test_psi_doubled_is_caught(name: str, law: Law) -> None:
    classifiers = random_classifiers(law, 60, np.random.default_rng(3))
    assert excess_risk_inequality(get(name), law, classifiers, law.grid(1)).holds
    broken = excess_risk_inequality(get(name), law, classifiers, law.grid(1), psi=doubled)
    assert not broken.holds
    assert broken.violations >= 1
    assert broken.worst.residual < -0.01


@pytest.mark.parametrize("name", ["logistic", "exponential", "average-margin"])
def test_the_wrong_sign_is_caught(name: str) -> None:
    law = checkerboard(3, 0.8)
    right = get(name)
    formula = {"logistic": "softplus(t)", "exponential": "exp(t)"}.get(
        name, "softplus(t) + 1/10 * (max(0, 5 + t) - max(0, t))"
    )
    classifiers = random_classifiers(law, 60, np.random.default_rng(4))
    found = excess_risk_inequality(
        from_formula(formula), law, classifiers, law.grid(1), psi=lambda _, theta: theory.psi(right, theta)
    )
    assert not found.holds


def test_a_gap_that_is_not_made_convex_is_caught() -> None:
    """For mu = tau = 1 the pointwise gap is not convex; without its envelope the inequality is false."""
    loss = get("average-margin", mu=1, tau=1)
    t = np.linspace(0.0, 1.0, 201)
    gap = binary_minimiser(loss, (1.0 + t) / 2.0).gap
    k = int((gap - theory.psi(loss, t)).argmax())
    assert gap[k] - theory.psi(loss, t)[k] > 0.05
    # Two cells whose gaps average to less than the gap at their average theta, and the least wrong scores there.
    low, high, mass = 0.0, 1.0, 1.0 - t[k]
    law = PiecewiseConstant([[(1.0 - e) / 2.0, (1.0 + e) / 2.0] for e in (low, high)], [mass, 1.0 - mass])
    wrong = binary_minimiser(loss, np.array([(1.0 + low) / 2.0, (1.0 + high) / 2.0])).wrong_v

    def least_wrong(x: Array) -> Array:
        return np.where(x[:, 0] < 0.5, wrong[0], wrong[1])

    assert excess_risk_inequality(loss, law, [least_wrong], law.grid(1)).holds
    raw = excess_risk_inequality(
        loss, law, [least_wrong], law.grid(1), psi=lambda of, theta: binary_minimiser(of, (1.0 + theta) / 2.0).gap
    )
    assert not raw.holds


# -- the two sides ---------------------------------------------------------------------------------


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_exact_sums_and_monte_carlo_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = int(rng.integers(2, 9))
    law = PiecewiseConstant(rng.dirichlet(np.ones(2), size=cells), rng.dirichlet(np.ones(cells)))
    table = rng.normal(size=cells)

    def classifier(x: Array) -> Array:
        return table[np.minimum((x[:, 0] * cells).astype(int), cells - 1)]

    exact = excess_risk_inequality(get("logistic"), law, [classifier], law.grid(1))
    drawn = excess_risk_inequality(get("logistic"), law, [classifier], law.sample_grid(20_000, rng))
    assert exact.worst.excess.kind == "exact"
    assert drawn.worst.excess.kind == "standard error"
    assert drawn.holds
    for one, other in (
        (exact.worst.excess, drawn.worst.excess),
        (exact.worst.surrogate, drawn.worst.surrogate),
        (exact.risk_star, drawn.risk_star),
        (exact.surrogate_star, drawn.surrogate_star),
    ):
        assert one.disagrees_with(other) <= 1.0
    assert exact.risk_star.disagrees_with(law.bayes_risk()) <= 1.0


def test_quadrature_and_monte_carlo_agree_on_a_plane() -> None:
    rng = np.random.default_rng(6)
    law = GaussianMixture([0.4, 0.6], [[0.0, 0.0], [1.0, 0.5]], [[1.0, 0.2], [0.2, 0.7]])
    classifiers = random_classifiers(law, 4, rng)
    fine = excess_risk_inequality(get("average-margin"), law, classifiers, law.grid(4_000))
    drawn = excess_risk_inequality(get("average-margin"), law, classifiers, law.sample_grid(20_000, rng))
    by_size = [sorted(found.rows, key=lambda row: row.surrogate.value) for found in (fine, drawn)]
    for one, other in zip(*by_size, strict=True):
        assert one.surrogate.kind == "quadrature"
        assert one.excess.disagrees_with(other.excess) <= 1.0
        assert one.surrogate.disagrees_with(other.surrogate) <= 1.0
    assert fine.risk_star.disagrees_with(law.bayes_risk()) <= 1.0


def test_a_zero_one_error_at_a_tie_counts() -> None:
    law = point_mass([0.3, 0.7])
    by_score = {
        v: excess_risk_inequality(get("hinge"), law, [lambda x, v=v: np.full(x.shape[0], v)], law.grid(1)).worst.excess
        for v in (-0.5, 0.0, 0.5)
    }
    assert [round(e.value, 12) for e in by_score.values()] == [0.4, 0.4, 0.0]


# -- certified bounds of theory against what is searched here ---------------------------------------------


@pytest.mark.parametrize("name", ["hinge", "logistic", "exponential", "average-margin"])
def test_the_certified_calibration_function_holds_for_drawn_classifiers_and_its_double_does_not(name: str) -> None:
    loss = get(name)
    found = theory.calibration_function(loss)
    assert found.tier is theory.Tier.CERTIFIED

    def certified(_: Loss, theta: Array) -> Array:
        return found.lower_float(theta)

    theta = np.linspace(0.0, 1.0, 41)
    assert float((found.lower_float(theta) - tabulated_psi(loss)(loss, theta)).max()) <= SEARCHED
    for law in (laws.get("two-moons"), laws.get("tsybakov"), point_mass([0.12, 0.88])):
        rng = np.random.default_rng(11)
        classifiers = random_classifiers(law, 24, rng)
        assert excess_risk_inequality(loss, law, classifiers, law.grid(200), psi=certified).holds
    tied = [lambda x: np.zeros(x.shape[0])]  # attains equality on a point mass
    broken = excess_risk_inequality(loss, law, tied, law.grid(1), psi=lambda of, t: 2.0 * certified(of, t))
    assert not broken.holds


def test_a_tabulated_psi_is_for_its_own_loss() -> None:
    with pytest.raises(ValueError, match="tabulated"):
        tabulated_psi(get("hinge"))(get("logistic"), np.array([0.5]))


@pytest.mark.parametrize("name", ["average-margin-released", "kinked-hinge", "perceptron", "hinge", "savage"])
def test_searched_failing_posteriors_are_the_certified_ones(name: str) -> None:
    loss = get(name)
    certified = theory.failing_region(loss)
    found = searched_region(loss, np.random.default_rng(12))
    far = 2.0 * found.tolerance
    tried = 0
    for kind, fails in (("failing", True), ("consistent", False)):
        for low, high in certified.intervals(kind):
            eta = np.linspace(float(low) + far, float(high) - far, 33)
            eta = eta[(eta > float(low)) & (eta < float(high))]
            tried += eta.size
            assert (found.holds(eta) == fails).all(), (kind, low, high)
    assert tried > 0


def test_a_loss_with_a_jump_is_not_called_tied() -> None:
    law = laws.get("near-ties")
    assert bayes_agreement(get("zero-one"), law, law.grid(1)).holds
