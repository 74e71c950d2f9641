"""Conditional risks and their minimisers against closed forms and against exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from tests.strategies import binary_trees, catalogue_losses, etas, posteriors, rationals, scores
from tests.theory.brute import gaps
from tests.theory.meaning import at_score, at_scores, largest, number
from tests.theory.oracle import Published, binary_rows
from theory import (
    Loss,
    binary_minimiser,
    catalogue,
    conditional_risk,
    from_formula,
    from_pair,
    multiclass_minimiser,
    multiclass_risk,
    psi,
)
from theory.expression import differentiate, evaluate_array, parse, substitute, to_text

ROUNDING = 1e-12  # a handful of float64 operations
# A search stops where values agree to machine epsilon: values are good to a small multiple of it (where the search
# grid holds the basin), minimisers to its square root over that of the curvature.
SEARCHED_POINT, SEARCHED_VALUE, EPSILON = 1e-6, 1e-10, float(np.finfo(float).eps)
# Infima at infinity are read off at |v| = 1e4, where the slowest loss, 1/2 - atan(t)/pi, is still 1/(1e4 pi) above.
AT_INFINITY = 4e-5

ETAS = np.array([0.5137, 0.561, 0.6283, 0.7411, 0.8719, 0.9457])


# -- the risk itself -----------------------------------------------------------------------------------------------


@given(binary_trees(), etas(), rationals(-6, 6))
def test_binary_risk_is_the_weighted_sum(tree: Any, eta: Fraction, v: Fraction) -> None:
    loss = Loss("drawn", binary=tree)
    wanted = number(eta) * at_score(tree, v) + number(1 - eta) * at_score(tree, -v)
    size = max(1.0, largest(tree, v), largest(tree, -v))
    assert abs(conditional_risk(loss, float(eta), float(v)) - wanted) <= 1e-9 * size  # trees lose some digits


@given(st.data(), catalogue_losses(form="multiclass"), st.integers(2, 5))
def test_multiclass_risk_is_the_weighted_sum(data: st.DataObject, loss: Loss, classes: int) -> None:
    p, f = data.draw(posteriors(classes)), data.draw(scores(classes))
    assert loss.multiclass is not None
    wanted = sum(number(p[y]) * at_scores(loss.multiclass, f, y, dict(loss.parameters)) for y in range(classes))
    found = multiclass_risk(loss, [float(x) for x in p], [float(x) for x in f])
    assert abs(found - wanted) <= ROUNDING * 100 * max(1.0, float(abs(wanted)))


@given(etas(), rationals(-4, 4), rationals(1, 3))
def test_pairs_keep_their_sides(eta: Fraction, v: Fraction, slope: Fraction) -> None:
    loss = from_pair("max(0, 1 - v)", "max(0, 1 + a * v)", parameters={"a": slope})
    wanted = eta * max(Fraction(0), 1 - v) + (1 - eta) * max(Fraction(0), 1 + slope * v)
    assert conditional_risk(loss, float(eta), float(v)) == pytest.approx(float(wanted), rel=ROUNDING, abs=ROUNDING)
    swapped = float((1 - eta) * max(Fraction(0), 1 - v) + eta * max(Fraction(0), 1 + slope * v))
    if abs(swapped - float(wanted)) > 1e-6:
        assert conditional_risk(loss, float(eta), float(v)) != pytest.approx(swapped, rel=1e-9)


def test_risk_broadcasts() -> None:
    loss = catalogue.get("hinge")
    found = conditional_risk(loss, ETAS[:, None], np.array([0.3, -0.7]))
    assert found.shape == (6, 2)
    assert found[2, 1] == pytest.approx(ETAS[2] * 1.7 + (1 - ETAS[2]) * 0.3, rel=ROUNDING)


@pytest.mark.parametrize("eta", [-0.01, 1.01, float("nan"), float("inf"), [0.3, 2.0]])
def test_posteriors_outside_the_unit_interval_are_refused(eta: Any) -> None:
    for call in (
        lambda: conditional_risk(catalogue.get("hinge"), eta, 1.0),
        lambda: binary_minimiser(catalogue.get("hinge"), eta),
    ):
        with pytest.raises(ValueError, match=r"\Aeta=[^\n]* must lie in \[0, 1\]\Z"):
            call()


@pytest.mark.parametrize(
    "p", [[0.5, 0.6], [0.7, 0.2, 0.2], [-0.1, 1.1], [float("nan"), 1.0], [1.0], [[0.5, 0.5], [0.4, 0.4]], 0.5]
)
def test_posteriors_off_the_simplex_are_refused(p: Any) -> None:
    loss = from_formula("lse - fy", classes=2)
    with pytest.raises(ValueError, match=r"\Aposterior p[^\n]* must [^\n]*\Z"):
        multiclass_risk(loss, p, [0.3, 0.1])
    with pytest.raises(ValueError, match=r"\Aposterior p[^\n]* must [^\n]*\Z"):
        multiclass_minimiser(loss, p)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        conditional_risk(catalogue.get("hinge"), 0.7, bad)
    with pytest.raises(ValueError, match="must be finite"):
        multiclass_risk(from_formula("lse - fy", classes=2), [0.7, 0.3], [bad, 0.0])


@pytest.mark.parametrize("theta", [-0.1, 1.1, float("nan")])
def test_psi_refuses_what_is_no_difference_of_posteriors(theta: float) -> None:
    with pytest.raises(ValueError, match=r"theta[^\n]* must lie in \[0, 1\]"):
        psi(catalogue.get("hinge"), theta)


# -- minimisers against the oracle ---------------------------------------------------------------------------------


def closed_rows(shared: Path, key: str) -> list[Published]:
    return [row for row in binary_rows(shared) if row.row.get(key) is not None and row.consistent]


def point_error(row: Published, etas: np.ndarray[Any, Any], scale: float = 1.0) -> float:
    """The largest |v - f*(eta)| over what the curvature there allows, for both signs of 2 eta - 1."""
    wanted = np.array([row.closed("f_star", eta=float(eta)) for eta in etas], dtype=float) * scale
    loss = row.loss()
    assert loss.margin_tree is not None
    bend = evaluate_array(differentiate(differentiate(loss.margin_tree, "t"), "t"), {"t": np.stack([wanted, -wanted])})
    bends = np.broadcast_to(bend, (2, len(etas)))
    curvature = etas * bends[0] + (1 - etas) * bends[1]
    with np.errstate(divide="ignore"):  # a kink has curvature 0 in its tree, and is met exactly
        allowed = SEARCHED_POINT + np.where(curvature > 0, 8 * np.sqrt(EPSILON / curvature), 0.0)
    errors = [binary_minimiser(loss, etas).v - wanted, binary_minimiser(loss, 1 - etas).v + wanted]
    return float(max(np.max(np.abs(error) / allowed) for error in errors))


def gap_error(row: Published, etas: np.ndarray[Any, Any], scale: float = 1.0) -> float:
    """The largest |gap - psi(|2 eta - 1|)| on both sides of 1/2."""
    wanted = (
        np.array([row.closed("psi", theta=float(2 * eta - 1), eta=float(eta)) for eta in etas], dtype=float) * scale
    )
    loss = row.loss()
    return float(max(np.max(np.abs(binary_minimiser(loss, each).gap - wanted)) for each in (etas, 1 - etas)))


def test_minimisers_are_those_of_the_oracle(shared: Path) -> None:
    rows = closed_rows(shared, "f_star")
    assert len(rows) >= 15
    errors = {row.label: point_error(row, ETAS) for row in rows}
    assert {label: error for label, error in errors.items() if not error <= 1} == {}


def test_gaps_are_those_of_the_oracle(shared: Path) -> None:
    rows = closed_rows(shared, "psi")
    assert len(rows) >= 30
    errors = {row.label: gap_error(row, ETAS) for row in rows}
    slow = {label: error for label, error in errors.items() if not error <= SEARCHED_VALUE}
    assert set(slow) <= {"b51 {}"}  # the infimum at infinity that is approached like 1/v
    assert all(error <= AT_INFINITY for error in slow.values())


def test_a_wrong_closed_form_is_caught(shared: Path) -> None:
    row = next(row for row in binary_rows(shared) if row.row["id"] == "b01")
    assert point_error(row, ETAS, scale=1.001) > 1
    assert gap_error(row, ETAS, scale=1.001) > SEARCHED_VALUE


def test_psi_is_the_convex_envelope(shared: Path) -> None:
    """For rows whose gap is convex already, psi is the gap, up to the chord between two of its 401 grid values."""
    chord = (1 / 400) ** 2 / 8
    theta = np.array([0.0137, 0.213, 0.5711, 0.8317, 0.9231])
    curved = {"b01": 1 / (1 - 0.9231**2), "b03": (1 - 0.9231**2) ** -1.5, "b04": 0.0, "b05": 2.0, "b19": 2.0}
    for row in binary_rows(shared):
        if row.row["id"] in curved:
            wanted = np.array([row.closed("psi", theta=float(x)) for x in theta])
            found = psi(row.loss(), theta)
            error = found - wanted
            assert (error >= -SEARCHED_VALUE).all()
            assert (error <= 2 * chord * curved[row.row["id"]] + SEARCHED_VALUE).all()
            assert (np.abs(psi(catalogue.get("perceptron"), theta) - wanted) > 1e-6).any()


def test_psi_lies_below_a_gap_that_is_not_convex() -> None:
    """T_s with s = 1/2: the gap min(1/2, (1 + theta)/2 / 2) - (1 - theta)/4 has a kink downwards at theta = 1."""
    loss = catalogue.get("truncated-hinge", s="1/2")
    theta = np.linspace(0.05, 0.95, 19)
    gap = binary_minimiser(loss, (1 + theta) / 2).gap
    assert (psi(loss, theta) <= gap + SEARCHED_VALUE).all()
    assert (np.diff(psi(loss, theta), 2) >= -SEARCHED_VALUE).all()


@given(catalogue_losses(form="binary"))
def test_gaps_agree_with_brute_force(loss: Loss) -> None:
    """Both are upper bounds of infima; the search has the finer grid."""
    where = np.array([0.137, 0.311, 0.4419, 0.5631, 0.7193, 0.911])
    found = binary_minimiser(loss, where)
    _, rough = gaps(loss, etas=where)
    difference = found.wrong_value - found.right_value
    assert np.abs(difference - rough).max() <= 2e-3 * max(1.0, float(abs(loss.phi(-1.0))))  # the step of the rough grid
    assert (found.value <= np.minimum(found.wrong_value, found.right_value) + ROUNDING).all()


@given(catalogue_losses(form="binary"), etas())
def test_fields_of_the_minimiser_fit_together(loss: Loss, eta: Fraction) -> None:
    found = binary_minimiser(loss, float(eta))
    assert found.v.shape == ()
    assert conditional_risk_at(loss, eta, float(found.v)) == pytest.approx(float(found.value), rel=ROUNDING, abs=1e-300)
    assert conditional_risk_at(loss, eta, float(found.wrong_v)) == pytest.approx(
        float(found.wrong_value), rel=ROUNDING, abs=1e-300
    )
    sign = 1 if eta > Fraction(1, 2) else -1
    assert sign * found.wrong_v <= 0
    assert sign * found.right_v > 0
    assert found.gap == found.wrong_value - found.value
    assert found.gap >= 0


def scipy_minimum(loss: Loss, eta: float) -> float:
    """What a user would do: bounded Brent searches from several brackets, one posterior at a time."""

    def risk(v: float) -> float:
        return float(conditional_risk(loss, eta, v))

    ends = [-12.0, -3.0, -1.0, 0.0, 1.0, 3.0, 12.0]
    found = [minimize_scalar(risk, bounds=b, method="bounded", options={"xatol": 1e-10}).fun for b in pairwise(ends)]
    return float(min([*found, *(risk(end) for end in ends)]))


@given(catalogue_losses(form="binary"), etas())
def test_no_scipy_loop_finds_less(loss: Loss, eta: Fraction) -> None:
    assume(loss.domain.bound is None)
    found = float(binary_minimiser(loss, float(eta)).value)
    assert found <= scipy_minimum(loss, float(eta)) + SEARCHED_VALUE * max(1.0, abs(found))


def test_many_posteriors_agree_with_one_at_a_time() -> None:
    loss = from_formula("softplus(-t) + 3 * exp(-8 * (t - 1)**2)")
    where = np.random.default_rng(11).uniform(0, 1, 3000)
    found = binary_minimiser(loss, where)
    for field in ("value", "wrong_value", "right_value"):
        alone = np.array([float(getattr(binary_minimiser(loss, eta), field)) for eta in where[:60]])
        assert np.abs(getattr(found, field)[:60] - alone).max() <= ROUNDING
    assert (found.value <= conditional_risk(loss, where[:, None], np.linspace(-5, 5, 400)).min(1) + ROUNDING).all()


def test_far_jumps_and_bends_off_the_grid_are_met() -> None:
    step = binary_minimiser(from_formula("where(t <= 1000000000, 1, 0)"), 0.7)
    assert float(step.right_value) == pytest.approx(0.3)
    bend = binary_minimiser(from_formula("1000 * abs(t - 1/7) + 0.01 * abs(t + 7/3)"), 1.0)
    assert float(bend.v) == 1 / 7


def conditional_risk_at(loss: Loss, eta: Fraction, v: float) -> float:
    return float(eta) * float(loss.phi_plus(v)) + (1 - float(eta)) * float(loss.phi_minus(v))


def test_the_tie_has_no_wrong_side() -> None:
    assert binary_minimiser(catalogue.get("logistic"), 0.5).gap == 0
    assert binary_minimiser(catalogue.get("hinge"), [0.3, 0.5], threshold=0.3).gap[0] == 0


def test_bounded_domains_are_kept() -> None:
    found = binary_minimiser(from_formula("1 - t", domain="bounded:3/2"), ETAS)
    assert found.v == pytest.approx(np.full(6, 1.5), rel=ROUNDING)
    assert (np.abs(found.v) <= 1.5).all()
    assert found.gap == pytest.approx(1.5 * (2 * ETAS - 1), rel=ROUNDING)


@given(rationals(0, 1), rationals(0, 1))
def test_thresholds_move_the_wrong_side(threshold: Fraction, eta: Fraction) -> None:
    """Cost-weighted hinge: the gap at threshold a is |eta - a| (Scott 2012)."""
    plus = substitute(parse("(1 - a) * max(0, 1 - v)", frozenset({"v"}), frozenset({"a"})), {"a": threshold})
    minus = substitute(parse("a * max(0, 1 + v)", frozenset({"v"}), frozenset({"a"})), {"a": threshold})
    loss = from_pair(to_text(plus), to_text(minus))
    gap = binary_minimiser(loss, float(eta), threshold=float(threshold)).gap
    assert float(gap) == pytest.approx(abs(float(eta - threshold)), rel=1e-9, abs=1e-9)


# -- several classes -----------------------------------------------------------------------------------------------


def entropy(p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return -(p * np.log(p)).sum(-1)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_cross_entropy_is_minimised_by_log_p(classes: int) -> None:
    rng = np.random.default_rng(7 + classes)
    p = rng.dirichlet(np.full(classes, 2.0), size=4)
    found, value = multiclass_minimiser(catalogue.get("cross-entropy"), p)
    assert value == pytest.approx(entropy(p), abs=SEARCHED_VALUE)
    wanted = np.log(p) - np.log(p).mean(-1, keepdims=True)
    centred = found - found.mean(-1, keepdims=True)
    # a value good to 1e-15 leaves the scores open by its square root over the curvature, p_k >= 1/100 here
    assert np.abs(centred - wanted).max() <= 1e-5
    assert np.abs(centred - 1.001 * wanted).max() > 1e-5
    assert multiclass_risk(catalogue.get("cross-entropy"), p, found) == pytest.approx(value, rel=ROUNDING)


def test_weston_watkins_ties_the_likeliest_two() -> None:
    p = np.array([0.4, 0.35, 0.25])
    found, value = multiclass_minimiser(catalogue.get("weston-watkins"), p)
    assert abs(found[0, 0] - found[0, 1]) <= 1e-6
    assert found[0, 0] > found[0, 2] + 0.5
    by_hand = 0.4 * 1 + 0.35 * 1 + 0.25 * 4  # f = (1, 1, 0): two margins 0 and 1, then 2 + 2
    assert float(value[0]) <= by_hand + SEARCHED_VALUE


@pytest.mark.parametrize("name", ["average-margin", "average-margin-released", "crammer-singer", "truncated-hinge"])
def test_two_classes_have_the_binary_minimum(name: str) -> None:
    loss = catalogue.get(name)
    p = np.stack([ETAS, 1 - ETAS], axis=-1)
    _, value = multiclass_minimiser(loss, p)
    assert value == pytest.approx(binary_minimiser(loss, ETAS).value, abs=1e-7)


def test_domains_of_several_classes_are_kept() -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.2, 0.7, 0.1]])
    zero = from_formula("exp(-fy)", classes=3, domain="sum-zero")
    found, value = multiclass_minimiser(zero, p)
    assert np.abs(found.sum(-1)).max() <= 1e-9
    # Lagrange: p_y exp(-f_y) is the same for all y, so the minimum is 3 (p_1 p_2 p_3)^(1/3)
    assert value == pytest.approx(3 * np.prod(p, axis=-1) ** (1 / 3), rel=1e-9)
    bounded = from_formula("lse - fy", classes=3, domain="bounded:0.25")
    found, _ = multiclass_minimiser(bounded, p)
    assert np.abs(found).max() <= 0.25


def test_the_paper_and_the_released_loss_differ_by_where_they_tie() -> None:
    """Released, mu = 1: zero is optimal up to eta = (1 + 2 mu)/(2 + 2 mu) = 3/4; the paper's loss never ties."""
    etas = np.array([0.55, 0.66, 0.74])
    released = binary_minimiser(catalogue.get("average-margin-released", mu=1, tau=20), etas)
    paper = binary_minimiser(catalogue.get("average-margin", mu=1, tau=20), etas)
    assert released.gap == pytest.approx(np.zeros(3), abs=ROUNDING)
    assert released.v == pytest.approx(np.zeros(3), abs=1e-12)
    assert (paper.gap > 0.05).all()
    assert binary_minimiser(catalogue.get("average-margin-released", mu=1, tau=20), 0.76).gap > 1e-5
    assert math.isclose(float(Fraction(3, 4)), (1 + 2) / (2 + 2))


def test_each_risk_needs_its_own_formula() -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]*no binary formula[^\n]*\Z"):
        conditional_risk(from_formula("lse - fy", classes=2), 0.7, 1.0)
    with pytest.raises(ValueError, match=r"\A[^\n]*no multiclass formula[^\n]*\Z"):
        multiclass_risk(catalogue.get("hinge"), [0.7, 0.3], [0.5, 0.0])


@given(catalogue_losses(form="multiclass"), etas(), rationals(-4, 4))
def test_the_two_risks_agree_for_two_classes(loss: Loss, eta: Fraction, t: Fraction) -> None:
    """Scores (t, 0) and p = (eta, 1 - eta), where the loss has both formulas."""
    if loss.binary is not None:
        several = multiclass_risk(loss, [float(eta), float(1 - eta)], [float(t), 0.0])
        assert several == pytest.approx(float(conditional_risk(loss, float(eta), float(t))), rel=1e-10, abs=1e-10)


def test_a_label_that_never_occurs_costs_nothing() -> None:
    """exp(800) is infinite in floats; at eta = 1 only phi(v) counts."""
    assert conditional_risk(catalogue.get("exponential"), 1.0, 800.0) == 0.0
    assert conditional_risk(catalogue.get("exponential"), 0.0, -800.0) == 0.0
    assert conditional_risk(catalogue.get("exponential"), 0.5, 800.0) == float("inf")
