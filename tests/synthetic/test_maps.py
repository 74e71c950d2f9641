"""Maps of the simplex against single searches, psi by its kind, the inequality for several classes, laws on faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic import (
    Decisions,
    ExcessBound,
    check,
    decisions,
    excess_bound,
    excess_risk_inequality,
    excess_risk_inequality_classes,
    laws,
    least_binary_risk,
    point_mass,
    populate,
    random_classifiers,
    random_scorers,
)
from synthetic._cones import NEAR_TOP
from synthetic._simplex import CUTS, LATTICE, _coordinates, _posterior, searched_map
from theory.catalogue import entry, get
from theory.losses import from_formula

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
SEEDS = st.integers(0, 2**32 - 1)


# -- maps --------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, classes=st.integers(2, 3))
@settings(max_examples=20, deadline=None)
def test_coordinates_of_sorted_posteriors_and_back(seed: int, classes: int) -> None:
    p = np.sort(np.random.default_rng(seed).dirichlet(np.full(classes, 0.4), 50), axis=1)[:, ::-1]
    np.testing.assert_allclose(_posterior(_coordinates(p)), p, rtol=0.0, atol=1e-14)


def failing(p: Array) -> Flags:
    """A made-up loss: the second class ties where p_1 - p_2 < 0.21 and p_3 > 0.07, the third where p_3 > 0.29."""
    second = (p[:, 0] - p[:, 1] < 0.21) & (p[:, 2] > 0.07)
    flags = np.stack([np.zeros_like(second), second, p[:, 2] > 0.29], axis=1)
    return flags & (p < p[:, :1] - NEAR_TOP)


def test_a_map_gives_the_answers_of_the_search_it_was_made_from() -> None:
    rng = np.random.default_rng(0)
    found = searched_map(failing, 3, rng)
    assert found.spot_failures == 0
    p = np.sort(rng.dirichlet(np.ones(3), 20_000), axis=1)[:, ::-1]
    told, known = found.lookup(p)
    told &= p < p[:, :1] - NEAR_TOP
    assert float(known.mean()) > 0.97  # what is not known lies within 1 / (LATTICE 2^CUTS) of a boundary
    assert not (told[known] != failing(p)[known]).any()
    assert found.corners < 20 * LATTICE * 2**CUTS


def test_a_set_within_one_cell_is_only_seen_by_the_spot_checks() -> None:
    def hidden(p: Array) -> Flags:
        near = (np.abs(p - np.array([0.531, 0.307, 0.162])) < 0.013).all(axis=1)
        return np.stack([np.zeros_like(near), near, np.zeros_like(near)], axis=1)

    rng = np.random.default_rng(1)
    assert searched_map(hidden, 3, rng, spots=20_000).spot_failures > 0
    assert searched_map(failing, 3, rng, spots=20_000).spot_failures == 0


@pytest.mark.parametrize("name", ["average-margin-released", "max-logistic", "naive-exponential", "cross-entropy"])
def test_maps_and_single_searches_agree(name: str) -> None:
    rng = np.random.default_rng(2)
    loss = get(name)
    mapped, single = decisions(loss, 3, rng), decisions(loss, 3, rng, mapped=False)
    assert mapped.maps
    assert not single.maps
    p = np.concatenate([rng.dirichlet(np.ones(3), 150), rng.dirichlet([6.0, 5.0, 4.0], 150)])
    assert np.array_equal(mapped.wrong(p), single.wrong(p))


def test_a_loss_with_a_weight_per_class_has_a_map_per_order() -> None:
    rng = np.random.default_rng(3)
    loss = from_formula("w * log(1 + sum_other(exp(fk - fy)))", classes=3, parameters={"w": (1, 2, 1)})
    mapped, single = decisions(loss, 3, rng), decisions(loss, 3, rng, mapped=False)
    assert len(mapped.maps) == 6
    p = rng.dirichlet(np.full(3, 3.0), 60)
    wrong = mapped.wrong(p)
    assert np.array_equal(wrong, single.wrong(p))
    assert wrong.any()
    np.testing.assert_array_equal(wrong[:, 1], (p[:, 1] * 2 > p[:, [0, 2]].max(axis=1)) & (p.argmax(axis=1) != 1))


def test_a_plane_law_of_three_classes_is_checked_on_thousands_of_points() -> None:
    rng = np.random.default_rng(4)
    loss = get("average-margin-released")
    decided = decisions(loss, 3, rng)
    found = check(loss, populate(laws.get("gaussian-classes"), 6_000, rng, 12_000), decided)
    assert found.points > 10_000
    assert found.draws == 6_000
    assert found.as_predicted
    assert found.fails
    lead = 0.1 / 1.1  # the binary band, which holds where the third class is unlikely
    assert 0.05 < found.mass.value < 0.1
    twin = replace(decided, maps={key: replace(each, answer=~each.answer) for key, each in decided.maps.items()})
    assert isinstance(twin, Decisions)
    wrong = twin.wrong(np.array([[0.5 + lead, 0.5 - lead, 0.0]]))
    assert wrong.any()


# -- faces -------------------------------------------------------------------------------------------------------------

FACES = [("naive-exponential", 0.6, 0.12), ("naive-logistic", 0.6, 0.12), ("naive-least-squares", 0.6, 0.12)]


@pytest.mark.parametrize(("name", "mass", "excess"), [*FACES, ("cross-entropy", 0.0, 0.0), ("brier", 0.0, 0.0)])
def test_losses_that_fail_on_faces_fail_there_by_the_predicted_amount(name: str, mass: float, excess: float) -> None:
    rng = np.random.default_rng(5)
    loss = get(name)
    found = check(loss, populate(laws.get("breaks-naive"), 4_000, rng, 1), decisions(loss, 3, rng, mapped=False))
    assert found.mass.value == pytest.approx(mass, abs=1e-12)
    assert found.excess.value == pytest.approx(excess, abs=1e-12)
    assert found.as_predicted
    claim = entry(name).claim(3)
    assert claim is not None
    assert claim.interior == (mass > 0)


# -- psi by its kind ---------------------------------------------------------------------------------------------------


def times(psi: ExcessBound, factor: float) -> ExcessBound:
    return replace(psi, values=lambda theta: factor * psi.values(theta))


def test_the_kind_of_psi_is_told() -> None:
    loss = get("logistic")
    sure, searched = excess_bound(loss, points=9), excess_bound(loss, spare="for the test")
    assert (sure.kind, searched.kind) == ("certified", "searched")
    assert "for the test" in searched.method
    theta = np.linspace(0.0, 1.0, 33)
    assert (sure(loss, theta) <= searched(loss, theta) + 1e-12).all()  # a lower bound, and not an empty one
    assert float(sure(loss, theta)[-1]) == pytest.approx(np.log(2.0), rel=1e-3)
    none = excess_bound(get("weston-watkins"), classes=3, points=2, boxes=100)
    assert (none.kind, none.top) == ("none", 0.0)
    with pytest.raises(ValueError, match="must be the one of this psi"):
        sure(get("hinge"), theta)


def test_a_certified_inequality_is_reported_as_such_and_allows_less() -> None:
    loss, law = get("logistic"), laws.get("tsybakov")
    classifiers = random_classifiers(law, 12, np.random.default_rng(6))
    found = {
        kind: excess_risk_inequality(loss, law, classifiers, law.grid(200), psi=psi)
        for kind, psi in (("certified", excess_bound(loss)), ("searched", excess_bound(loss, spare="test")))
    }
    assert {kind: each.psi for kind, each in found.items()} == {"certified": "certified", "searched": "searched"}
    assert all(each.holds for each in found.values())
    assert found["certified"].worst.allowed < 0.1 * found["searched"].worst.allowed
    assert found["certified"].largest_bound > 0.0


@pytest.mark.parametrize(("name", "a"), [("cost-sensitive-hinge", 0.25), ("weighted-logistic", None)])
def test_a_loss_for_another_threshold_is_held_to_the_weighted_risk(name: str, a: float | None) -> None:
    threshold = entry(name).threshold_at()
    assert threshold != 0.5
    loss, law = get(name), laws.get("gaussian-line")
    psi = excess_bound(loss, threshold=threshold)
    assert psi.kind == "certified"
    assert psi.top > 0.0
    classifiers = [*random_classifiers(law, 16, np.random.default_rng(7)), lambda x: np.zeros(x.shape[0])]
    assert excess_risk_inequality(loss, law, classifiers, law.grid(300), psi=psi).holds
    tied = point_mass([0.02, 0.98])
    broken = excess_risk_inequality(loss, tied, classifiers[-1:], tied.grid(1), psi=times(psi, 2.0))
    assert not broken.holds


def test_infima_that_are_neared_far_away_are_not_beaten() -> None:
    loss, law = get("arctan"), point_mass([0.6, 0.4])
    far = [lambda x: np.full(x.shape[0], -2e4), lambda x: np.full(x.shape[0], -1e5)]
    found = excess_risk_inequality(loss, law, far, law.grid(1), psi=excess_bound(loss))
    assert found.holds
    assert least_binary_risk(loss, np.array([0.4]))[0] == pytest.approx(0.4, abs=1e-9)


# -- several classes ---------------------------------------------------------------------------------------------------

SEVERAL = ["truncated-hinge", "constrained-hinge", "pairwise-rho-margin", "lee-lin-wahba"]


@pytest.mark.parametrize("name", SEVERAL)
def test_the_certified_linear_constant_holds_for_three_classes_and_many_times_it_does_not(name: str) -> None:
    loss = get(name)
    psi = excess_bound(loss, classes=3, points=2, boxes=2_000)
    assert psi.kind == "certified"
    for law in (laws.get("cells-3"), laws.get("breaks-weston-watkins"), laws.get("gaussian-classes")):
        rng = np.random.default_rng(8)
        classifiers = random_scorers(law, 16, rng)
        grid = law.grid(48)
        found = excess_risk_inequality_classes(loss, law, classifiers, grid, psi=psi)
        assert found.holds
        assert found.psi == "certified"
        assert found.largest_bound > 0.01
    tied = point_mass([0.48, 0.47, 0.05])
    zero = [lambda x: np.zeros((x.shape[0], 3))]
    exact = excess_risk_inequality_classes(loss, tied, zero, tied.grid(1), psi=psi)
    assert exact.holds
    factor = 1.5 * exact.worst.surrogate.value / exact.worst.bound
    assert not excess_risk_inequality_classes(loss, tied, zero, tied.grid(1), psi=times(psi, factor)).holds


def test_psi_of_three_classes_doubled_is_caught() -> None:
    """Where the linear constant is attained: two classes of a hinge, the third impossible."""
    loss = get("pairwise-rho-margin")
    psi = excess_bound(loss, classes=3, points=2, boxes=2_000)
    law = point_mass([0.7, 0.3, 0.0])
    wrong = [lambda x: np.tile([0.0, 1.0, -1.0], (x.shape[0], 1))]
    assert excess_risk_inequality_classes(loss, law, wrong, law.grid(1), psi=psi).holds
    assert not excess_risk_inequality_classes(loss, law, wrong, law.grid(1), psi=times(psi, 2.0)).holds


@given(seed=SEEDS)
@settings(max_examples=5, deadline=None)
def test_drawn_scores_sum_to_zero_and_are_of_every_kind(seed: int) -> None:
    law = laws.get("cells-3")
    drawn = random_scorers(law, 8, np.random.default_rng(seed))
    scores = np.stack([each(law.grid(1).points) for each in drawn])
    assert scores.shape == (8, 12, 3)
    np.testing.assert_allclose(scores.sum(axis=2), 0.0, atol=1e-9)
    right = scores.argmax(axis=2) == law.posterior(law.grid(1).points).argmax(axis=1)
    assert 0.1 < float(right.mean()) < 0.9


# -- two moons ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.1, 0.3, 0.9])
def test_the_bayes_risk_of_two_moons_against_boxes(noise: float) -> None:
    law = laws.get("two-moons", noise=noise)
    found, other = law.bayes_risk(), law.quadrature_bayes_risk()
    assert found.error <= 1e-7
    assert found.disagrees_with(other) <= 1.0
    assert other.error <= 1e-4


def test_the_bayes_risk_of_two_moons_does_not_depend_on_the_lines() -> None:
    """The same integral over the whole plane, along lines at other places."""
    from synthetic._moons import RISK_REACH, TwoMoons
    from synthetic._panels import integrate

    law = TwoMoons(0.4)
    far = RISK_REACH * 0.4
    whole = integrate(law._along_lines, np.linspace(-0.13 - far, 1.07 + far, 17), 256, 1e-10)
    assert abs(whole.value - law.bayes_risk().value) <= 2e-8
