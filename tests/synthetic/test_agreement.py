"""The pointwise minimiser against the Bayes rule: consistent losses agree, refuted ones fail where theory says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit, ndtr

from synthetic import (
    GAP_RESOLUTION,
    POSTERIOR_TIE,
    SCORE_TIE,
    GaussianMixture,
    PiecewiseConstant,
    bayes_agreement,
    checkerboard,
    near_ties,
    point_mass,
    pointwise_minimisers,
)
from theory.catalogue import get
from theory.losses import Loss, from_formula, from_pair

BINARY_CONSISTENT = [
    "cross-entropy",
    "logistic",
    "hinge",
    "truncated-hinge",
    "exponential",
    "crammer-singer",
    "weston-watkins",
    "average-margin",
]
MULTICLASS_CONSISTENT = ["cross-entropy", "truncated-hinge", "average-margin"]
PLANE = GaussianMixture([0.4, 0.6], [[0.1, -0.3], [1.2, 0.8]], [[[1.0, 0.3], [0.3, 0.6]], [[0.4, -0.1], [-0.1, 1.5]]])

# The searched v is near sqrt(machine epsilon) times its scale; the conditional risks here have curvature above 0.01.
SEARCHED_SCORE = 1e-5


def released_end(mu: float) -> float:
    """P(mu, tau) = (1 + 2 mu) / (2 (1 + mu)): v = 0 is optimal up to this top posterior, for tau large."""
    return (1.0 + 2.0 * mu) / (2.0 * (1.0 + mu))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
@pytest.mark.parametrize("name", BINARY_CONSISTENT)
def test_consistent_binary_losses_agree_with_the_bayes_rule(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    eta = rng.uniform(size=(4, 3))
    eta = eta[np.abs(eta - 0.5) > 1e-4].reshape(-1)  # nearer to a tie, no search can tell
    law = PiecewiseConstant(np.stack([1.0 - eta, eta], axis=-1), rng.dirichlet(np.ones(eta.shape[0])))
    found = bayes_agreement(get(name), law, law.grid(1))
    assert found.holds
    assert found.disagreement.value == 0.0
    assert found.excess_risk.value == 0.0
    assert found.smallest_gap is not None
    assert found.smallest_gap > GAP_RESOLUTION
    assert found.failing_range is None
    assert found.tolerance == SCORE_TIE


@pytest.mark.parametrize("name", BINARY_CONSISTENT)
def test_consistent_binary_losses_agree_on_gaussians_and_near_ties(name: str) -> None:
    for law in (PLANE, near_ties([0.3, 1e-2, 1e-3, 1e-5]), checkerboard(3, 0.51)):
        found = bayes_agreement(get(name), law, law.grid(600))
        assert found.holds, law.name


@given(p=st.lists(st.floats(0.02, 1.0), min_size=3, max_size=4), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("name", MULTICLASS_CONSISTENT)
def test_consistent_losses_agree_for_several_classes(name: str, p: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    row = np.sort(np.array(p) / sum(p))
    lead = np.linspace(0.0, 0.05, row.shape[0])  # keeps the classes 0.01 apart: the search is a float search
    row = (row + lead) / (row + lead).sum()
    law = point_mass(rng.permutation(row / row.sum()))
    found = bayes_agreement(get(name), law, law.grid(1))
    assert found.holds
    assert found.smallest_gap is None


@given(
    mu=st.floats(0.05, 2.0),
    side=st.sampled_from([-1.0, 1.0]),
    share=st.floats(0.02, 0.98),
    beyond=st.floats(0.02, 0.98),
)
@settings(max_examples=40, deadline=None)
def test_the_released_penalty_fails_exactly_up_to_the_predicted_posterior(
    mu: float, side: float, share: float, beyond: float
) -> None:
    loss = get("average-margin-released", mu=repr(mu), tau=5)
    end = released_end(mu)
    inside = 0.5 + share * (end - 0.5)
    outside = end + beyond * (0.99 - end)
    eta = np.array([0.5 + side * (inside - 0.5), 0.5 + side * (outside - 0.5)])
    law = PiecewiseConstant(np.stack([1.0 - eta, eta], axis=1), [0.3, 0.7])
    found = bayes_agreement(loss, law, law.grid(1))
    assert found.failing_points == 1
    assert found.disagreement.value == pytest.approx(0.3, rel=1e-12)
    assert found.excess_risk.value == pytest.approx(0.3 * (2.0 * inside - 1.0), rel=1e-9)
    assert found.worst_posterior == pytest.approx((1.0 - eta[0], eta[0]), rel=1e-12)
    assert found.failing_range == pytest.approx((inside, inside), rel=1e-12)


@pytest.mark.parametrize("mu", ["0.1", "0.7"])
def test_the_released_penalty_fails_by_the_predicted_amount_on_gaussians(mu: str) -> None:
    w0, w1, distance = 0.35, 0.65, 1.7
    law = GaussianMixture([w0, w1], [[0.0, 0.0], [1.02, 1.36]], np.eye(2))
    # The log-odds are N(-+ D^2 / 2 + log(w1 / w0), D^2) under the two classes; the failing band is |log-odds| <= b.
    b, shift = float(logit(released_end(float(mu)))), math.log(w1 / w0)

    def below(level: float, sign: float) -> float:
        return float(ndtr((level - shift - sign * distance**2 / 2.0) / distance))

    in0, in1 = (below(b, s) - below(-b, s) for s in (-1.0, 1.0))
    right0, right1 = (below(b, s) - below(0.0, s) for s in (-1.0, 1.0))
    mass = w0 * in0 + w1 * in1
    # E |2 eta - 1| over the band: where the odds favour class 1 it is w1 g1 - w0 g0, elsewhere the opposite.
    excess = (w1 * right1 - w0 * right0) + (w0 * (in0 - right0) - w1 * (in1 - right1))
    found = bayes_agreement(get("average-margin-released", mu=mu, tau=5), law, law.grid(6_000))
    assert not found.holds
    assert abs(found.disagreement.value - mass) <= found.disagreement.error
    assert found.disagreement.error < 0.05
    assert abs(found.excess_risk.value - excess) <= found.excess_risk.error
    assert found.failing_range is not None
    assert found.failing_range[1] <= released_end(float(mu)) + SEARCHED_SCORE
    assert bayes_agreement(get("average-margin", mu=mu, tau=5), law, law.grid(6_000)).holds


@pytest.mark.parametrize(
    ("name", "p", "excess"),
    [
        ("crammer-singer", (0.4, 0.3, 0.3), 0.1),
        ("crammer-singer", (0.25, 0.45, 0.3), 0.2),
        ("weston-watkins", (0.4, 0.35, 0.25), 0.05),
        ("perceptron", (0.5, 0.3, 0.2), 0.3),
    ],
)
def test_refuted_multiclass_losses_fail_with_the_predicted_excess(
    name: str, p: tuple[float, ...], excess: float
) -> None:
    law = point_mass(p)
    found = bayes_agreement(get(name), law, law.grid(1))
    assert not found.holds
    assert found.disagreement.value == 1.0
    assert found.excess_risk.value == pytest.approx(excess, rel=1e-12)
    assert found.worst_posterior == pytest.approx(p)


@pytest.mark.parametrize(
    ("name", "p"),
    [
        ("crammer-singer", (0.55, 0.25, 0.2)),  # consistent where max p > 1/2
        ("weston-watkins", (0.4, 0.3, 0.3)),  # not a counterexample for this loss
        ("average-margin", (0.4, 0.35, 0.25)),
    ],
)
def test_losses_do_not_fail_where_they_should_not(name: str, p: tuple[float, ...]) -> None:
    law = point_mass(p)
    assert bayes_agreement(get(name), law, law.grid(1)).holds


def test_relabelling_the_law_moves_the_witness_and_keeps_the_amount() -> None:
    loss = get("weston-watkins")
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        law = point_mass(np.array([0.4, 0.35, 0.25])[order])
        found = bayes_agreement(loss, law, law.grid(1))
        assert found.excess_risk.value == pytest.approx(0.05, rel=1e-12)


# -- ties and broken twins -------------------------------------------------------------------------


def test_a_tied_posterior_is_counted_and_not_an_error() -> None:
    law = PiecewiseConstant([[0.5, 0.5], [0.2, 0.8]], [0.4, 0.6])
    found = bayes_agreement(get("logistic"), law, law.grid(1))
    assert found.holds
    assert (found.points, found.tied_points, found.tied_mass) == (2, 1, 0.4)
    refuted = bayes_agreement(get("perceptron"), law, law.grid(1))
    assert refuted.disagreement.value == 0.6
    assert refuted.excess_risk.value == pytest.approx(0.6 * 0.6, rel=1e-12)


def test_posteriors_closer_than_the_search_can_tell_count_as_tied() -> None:
    law = point_mass([0.5 - POSTERIOR_TIE / 9.0, 0.5 + POSTERIOR_TIE / 9.0])
    found = bayes_agreement(get("perceptron"), law, law.grid(1))
    assert (found.tied_points, found.failing_points, found.smallest_gap) == (1, 0, None)
    law = point_mass([0.5 - POSTERIOR_TIE, 0.5 + POSTERIOR_TIE])
    found = bayes_agreement(get("perceptron"), law, law.grid(1))
    assert (found.tied_points, found.failing_points, found.smallest_gap) == (0, 1, 0.0)
    assert bayes_agreement(get("logistic"), law, law.grid(1)).holds


def test_below_a_tie_at_the_top_the_third_class_can_still_be_wrong() -> None:
    law = point_mass([0.37, 0.37, 0.26])
    assert bayes_agreement(get("cross-entropy"), law, law.grid(1)).holds
    found = bayes_agreement(get("perceptron"), law, law.grid(1))
    assert found.tied_points == 1
    assert found.excess_risk.value == pytest.approx(0.11, rel=1e-12)


BROKEN: list[Loss] = [
    from_formula("softplus(t)"),  # the wrong sign
    from_formula("softplus(-t) + softplus(t)"),  # even: prefers nothing
    from_formula("(t * t - 1)**2"),  # even with two minimisers: one of them looks right
    from_pair("softplus(-v)", "3 * softplus(v)"),  # costs that move the boundary to eta = 3/4
]


@pytest.mark.parametrize("loss", BROKEN, ids=str)
@pytest.mark.parametrize("eta", [0.31, 0.58, 0.72])
def test_a_broken_loss_is_caught(loss: Loss, eta: float) -> None:
    law = point_mass([1.0 - eta, eta])
    found = bayes_agreement(loss, law, law.grid(1))
    if loss.pair is not None and eta < 0.5:
        assert found.holds  # the moved boundary does no harm on this side
        return
    assert not found.holds
    assert found.disagreement.value == pytest.approx(1.0, rel=1e-12)
    assert found.excess_risk.value == pytest.approx(abs(2.0 * eta - 1.0), rel=1e-12)


def test_the_wrong_sign_is_caught_on_gaussians_with_the_whole_excess() -> None:
    grid = PLANE.grid(600)
    found = bayes_agreement(from_formula("softplus(t)"), PLANE, grid)
    assert found.disagreement.value == pytest.approx(1.0, abs=1e-12)
    p = PLANE.posterior(grid.points)
    assert found.excess_risk.value == pytest.approx(grid.expect(np.abs(p[:, 1] - p[:, 0])).value, rel=1e-12)


@given(eta=st.floats(0.02, 0.98))
@settings(max_examples=30, deadline=None)
def test_searched_minimisers_against_closed_forms(eta: float) -> None:
    posterior = np.array([[1.0 - eta, eta], [eta, 1.0 - eta]])
    for name, scale in (("logistic", 1.0), ("exponential", 0.5)):
        scores = pointwise_minimisers(get(name), posterior).scores
        v = scores[:, 1] - scores[:, 0]
        wanted = scale * float(logit(eta))
        np.testing.assert_allclose(v, [wanted, -wanted], rtol=SEARCHED_SCORE, atol=SEARCHED_SCORE)
