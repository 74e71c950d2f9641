"""Failing regions: certified intervals against closed forms, certificates at the ends; the released loss."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import posteriors, rationals
from theory import (
    FailingRegion,
    Loss,
    catalogue,
    check,
    check_second,
    conditional_risk,
    failing_region,
    from_formula,
    from_pair,
    multiclass_minimiser,
    released,
    released_threshold,
    released_tie,
)
from theory.regions import Cell, Certificate

SLOW = os.environ.get("AVGMARGIN_SLOW") == "1"
HALF = Fraction(1, 2)
TOL = Fraction(1, 10**6)
# A tie of scores found by a pattern search whose last step is 1e-9; next to it a gap is of the size of sqrt(rounding).
TIED = 1e-5


def released_loss(mu: Fraction, tau: Fraction) -> Loss:
    return catalogue.get("average-margin-released", mu=mu, tau=tau)


def tiles(region: FailingRegion) -> bool:
    """Whether the cells tile [0, 1] and the threshold is an end of one."""
    ends = [Fraction(0), *(cell.high for cell in region.cells)]
    return ends[:-1] == [cell.low for cell in region.cells] and ends[-1] == 1 and region.threshold in ends


def number(text: str) -> Fraction | float:
    return float(text) if "inf" in text else Fraction(text)


def stands_at(certificate: Certificate, eta: Fraction, cell: Cell) -> bool:
    """Whether a certificate passes the checker and says at eta, in the coordinates of its side, what the cell says."""
    below = certificate["side"] == "below"
    turns = (-1 if below else 1) * (-1 if cell.kind == "consistent" else 1)
    return (
        check(certificate).valid
        and certificate["claim"] == "inconsistent"
        and number(certificate["eta"]) == (1 - eta if below else eta)
        and number(certificate["wrong"]) == turns * number(str(cell.score))
        and certificate["loss"]["name"].endswith("flipped") == (cell.kind == "consistent")
        and (number(certificate["gap"]) > 0) == (cell.kind == "consistent")
    )


def backed(region: FailingRegion) -> bool:
    """Whether each decided cell has certificates at both ends, for one score, or a proof of the whole."""
    for cell in region.cells:
        if cell.kind == "undecided":
            continue
        if cell.score is None:
            if cell.kind != "consistent" or check(cell.certificates[0]).claim != "consistent":
                return False
            continue
        ends = zip(sorted(cell.certificates, key=_eta), (cell.low, cell.high), strict=True)
        if not all(stands_at(certificate, eta, cell) for certificate, eta in ends):
            return False
    return True


def _eta(certificate: Certificate) -> Fraction:
    eta = Fraction(certificate["eta"])
    return 1 - eta if certificate["side"] == "below" else eta


def contradicted(loss: Loss, region: FailingRegion) -> list[float]:
    """Posteriors inside decided cells at which a float grid of scores says otherwise."""
    v = np.concatenate([-np.geomspace(1e3, 1e-7, 4000), [0.0], np.geomspace(1e-7, 1e3, 4000)])
    found = []
    for cell in region.cells:
        for share in (0.02, 0.31, 0.77):
            eta = float(cell.low + (cell.high - cell.low) * Fraction(share))
            risk = conditional_risk(loss, eta, v)
            wrong = (v <= 0) if eta > region.threshold else (v >= 0)
            lead = risk[wrong].min() - risk[~wrong].min()
            # a grid misses the least wrong risk by little: 0.6% of the score, squared, times the curvature
            if (cell.kind == "failing" and lead > 1e-4) or (cell.kind == "consistent" and lead < -1e-4):
                found.append(eta)
    return found


# -- the released loss -------------------------------------------------------------------------------------------------

weights = st.one_of(rationals(0, 1), rationals(0, 6)).map(lambda x: max(x, Fraction(1, 100)))
lengths = st.one_of(rationals(0, 1), rationals(0, 9)).map(lambda x: max(x, Fraction(1, 50)))


@given(weights, lengths)
@settings(max_examples=200 if SLOW else 5)
def test_the_region_of_the_released_loss_is_the_closed_form(mu: Fraction, tau: Fraction) -> None:
    low, high = released_threshold(mu, tau)
    region = failing_region(released_loss(mu, tau), tol=TOL)
    assert tiles(region)
    assert backed(region)
    assert region.widest_seam <= TOL
    (below, above) = region.intervals("failing")
    assert above[0] == below[1] == HALF
    assert low - TOL <= above[1] <= low
    assert below == (1 - above[1], HALF)
    beyond = region.intervals("consistent")[-1]
    assert high <= beyond[0] <= high + TOL
    assert beyond[1] == 1
    assert region.advice is None


def test_a_wrong_closed_form_is_noticed() -> None:
    mu, tau = Fraction(3), Fraction(1, 20)  # P2 < P1 here, so the first formula alone is wrong
    region = failing_region(released_loss(mu, tau), tol="1e-4")
    end = region.intervals("failing")[-1][1]
    assert abs(end - released_threshold(mu, tau)[0]) <= Fraction(1, 10**4)
    assert abs(end - (1 + 2 * mu) / (2 * (1 + mu))) > Fraction(1, 10)


def test_both_arithmetics_verify_the_ends() -> None:
    region = failing_region(released_loss(Fraction(2, 7), Fraction(1, 3)))
    assert len(region.certificates) == 8
    assert all(check_second(certificate).verified for certificate in region.certificates)


@given(weights, lengths)
@settings(max_examples=60)
def test_the_threshold_is_the_root_and_never_beyond_the_slope(mu: Fraction, tau: Fraction) -> None:
    low, high = released_threshold(mu, tau)
    first = (1 + 2 * mu) / (2 * (1 + mu))
    assert HALF < low <= high <= first
    assert high - low <= Fraction(1, 2**70)

    def excess(p: float) -> float:
        entropy = -p * math.log(p) - (1 - p) * math.log1p(-p)
        return entropy + float(mu * tau) * (1 - p) - math.log(2)

    p = float(low)
    if low < first:
        # float error of W, some units of its terms, which are below 1 + mu tau
        assert abs(excess(p)) <= 1e-13 * (1 + float(mu * tau))
    else:
        assert excess(p) >= -1e-13 * (1 + float(mu * tau))


@given(posteriors(3), weights, st.integers(1, 60).map(Fraction))
@settings(max_examples=40)
def test_tied_classes_agree_with_minimisers(p: tuple[Fraction, ...], mu: Fraction, tau: Fraction) -> None:
    ranked = sorted(p, reverse=True)
    said = released_tie(p, mu, tau)
    distance = abs(ranked[0] - ranked[1] - mu / (1 + mu))
    if said is None or distance < Fraction(1, 100) or ranked[2] < Fraction(1, 40):
        return  # near the border, and at far scores, the float search is too coarse to judge
    order = np.argsort([-float(x) for x in p])
    scores, _ = multiclass_minimiser(released_loss(mu, tau), np.array([[float(x) for x in p]]), starts=6)
    assert (abs(scores[0, order[0]] - scores[0, order[1]]) < TIED) == said


def test_ties_of_classes_where_a_theorem_speaks() -> None:
    assert released_tie(["0.4", "0.35", "0.25"], mu="0.1", tau=5) is True
    assert released_tie(["0.25", "0.4", "0.35"], mu="0.1", tau=5) is True
    assert released_tie(["0.5", "0.3", "0.2"], mu="0.1", tau=5) is False
    assert released_tie(["0.69", "0.21", "0.1"], mu=1, tau=1) is None  # the criterion is false there
    assert released_tie(["0.6", "0.4", "0"], mu=1, tau=1) is None
    assert released_tie(["6/11", "5/11"], mu="0.1", tau=5) is True
    assert released_tie(["5500001/10000000", "4499999/10000000"], mu="0.1", tau=5) is False


def test_two_classes_as_several_say_the_same() -> None:
    """The general condition at c = 2 is sharp where the uncut penalty ties (docs/theory/released.md)."""
    mu = Fraction(1)
    for tau in (Fraction(1, 10), Fraction(2), Fraction(20)):
        for p in (Fraction(11, 20), Fraction(3, 5), Fraction(7, 10)):
            general = released._never_cut([p, 1 - p], mu)
            low, _ = released_threshold(mu, tau)
            tie = released_tie([p, 1 - p], mu, tau)
            if general < released._arb(mu * tau * (1 - p)):
                assert tie == (2 * p - 1 <= mu / (1 + mu))
            assert tie == (p <= low)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: released_threshold(0, 1), "mu=0 must be > 0"),
        (lambda: released_threshold(1, 0), "tau=0 must be > 0"),
        (lambda: released_tie(["0.5", "0.4"], 1, 1), "sum exactly 1"),
        (lambda: failing_region(catalogue.get("hinge"), tol=0), "tol=0 must lie in"),
        (lambda: failing_region(catalogue.get("hinge"), threshold=1), "threshold=1 must lie strictly between 0 and 1"),
    ],
)
def test_wrong_arguments_are_named(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()  # type: ignore[operator]
    assert "\n" not in str(caught.value)


# -- other losses ------------------------------------------------------------------------------------------------------

EVERY = [(Fraction(0), HALF), (HALF, Fraction(1))]
KNOWN = {
    "the tie beats all": (lambda: from_formula("max(0, -t)"), EVERY),
    "a kink at 0: eta < 1/2 + 0.15": (
        lambda: from_formula("max(0, 1 - t) + 0.3 * abs(t)"),
        [(Fraction(35, 100), HALF), (HALF, Fraction(65, 100))],
    ),
    "the wrong sign": (lambda: from_formula("0.4 * softplus(-t) + 0.6 * softplus(t)"), EVERY),
    "the limit at infinity": (lambda: from_formula("(1 - tanh(t) / 2) / (1 + t**2)"), EVERY),
    "a jump to 0": (lambda: from_formula("where(t < 0, 1, where(t <= 0, 0, 1/2))"), EVERY),
    "a pair: costs 2 and 1": (
        lambda: from_pair("max(0, 1 - 2 * v)", "max(0, 1 + v)"),
        [(Fraction(1, 3), HALF)],
    ),
    "proved": (lambda: catalogue.get("average-margin"), []),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_regions(name: str) -> None:
    make, expected = KNOWN[name]
    region = failing_region(make())
    found = region.intervals("failing")
    assert tiles(region)
    assert backed(region)
    assert region.check()
    assert len(found) == len(expected)
    for (a, b), (low, high) in zip(found, expected, strict=True):
        assert low <= a <= low + TOL
        assert high - TOL <= b <= high
    assert contradicted(make(), region) == []
    assert region.widest_seam <= TOL


def test_a_region_with_another_threshold() -> None:
    region = failing_region(catalogue.get("hinge"), threshold="1/3", tol="1e-5")
    assert tiles(region)
    assert backed(region)
    # the hinge decides at 1/2: between 1/3 and 1/2 it predicts -1, which is wrong for the threshold 1/3
    ((low, high),) = region.intervals("failing")
    assert low == Fraction(1, 3)
    assert HALF - Fraction(1, 10**5) <= high <= HALF


def test_an_unbounded_risk_has_no_region() -> None:
    region = failing_region(from_formula("1 - t"))
    assert [cell.kind for cell in region.cells] == ["undecided", "undecided"]
    assert "unbounded below" in str(region.advice)


def test_a_spent_budget_leaves_the_rest_undecided() -> None:
    region = failing_region(released_loss(Fraction(1), Fraction(1, 3)), boxes=15)
    assert tiles(region)
    assert backed(region)
    assert "out of budget" in str(region.advice)
    assert region.widest_seam > TOL


def test_false_cells_are_noticed() -> None:
    region = failing_region(released_loss(Fraction(1, 3), Fraction(7, 4)))
    at = next(i for i, cell in enumerate(region.cells) if cell.kind == "failing" and cell.low >= HALF)
    cell = region.cells[at]

    def with_cell(new: Cell) -> FailingRegion:
        return replace(region, cells=(*region.cells[:at], new, *region.cells[at + 1 :]))

    assert backed(region)
    assert contradicted(released_loss(Fraction(1, 3), Fraction(7, 4)), region) == []
    wider = replace(cell, high=Fraction(9, 10))
    assert not tiles(with_cell(wider))
    assert not backed(with_cell(wider))
    assert not backed(with_cell(replace(cell, kind="consistent")))
    moved = cell.certificates[1] | {"eta": "9/10"}
    assert not with_cell(replace(cell, certificates=(cell.certificates[0], moved))).check()
    swapped = replace(region, cells=tuple(replace(c, kind="failing") for c in region.cells))
    assert contradicted(released_loss(Fraction(1, 3), Fraction(7, 4)), swapped) != []
