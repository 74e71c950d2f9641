"""Certified bounds of calibration functions of several classes: against brute force, hostile certificates, damage."""

from __future__ import annotations

import copy
import json
import os
import random
from fractions import Fraction
from functools import cache
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.mutants import Certificate, lies_among
from theory import CertificateError, Status, catalogue, check, from_formula, multiclass_gap, multiclass_minimiser, prove
from theory.checker.cone import Cone
from theory.checker.cone_gap import GapRules, gap_cells
from theory.checker.cone_tables import UNIT, BoxBounds, RiskBound, ceil_units, floor_units, whole_weights
from theory.losses import Loss
from theory.prover.gap_floats import Ground, least_gap

SLOW = os.environ.get("AVGMARGIN_SLOW") == "1"
SEARCH = 1e-7
"""Two pattern searches that stop at steps of 1e-7 to 1e-9, in losses of size 1 to 10, or at |f| = 36 to 40."""

LOSSES: dict[str, tuple[str, str]] = {
    "paper": ("lse - fy + 1/10 * clip(5 - alpha, 0, 5)", "all"),
    "cross-entropy": ("lse - fy", "all"),
    "pairwise": ("sum_other(softplus(fk - fy))", "all"),
    "probability": ("2 * (1 - q)", "all"),
    "squares, not ordered": ("sum_other((1 + fk)**2)", "sum-zero"),
    "kinked": ("-log(q) + 1/5 * sum_other(max(0, 1 - (fy - fk)))", "all"),
}


def make(name: str) -> Loss:
    formula, domain = LOSSES[name]
    return from_formula(formula, classes=3, domain=domain)


@cache
def _base(name: str, eps: str) -> Certificate:
    found = multiclass_gap(make(name), 3, eps)
    assert found.certificate is not None, found.advice
    return found.certificate


def base(name: str = "paper", eps: str = "1/5") -> Certificate:
    """A fresh copy of a valid certificate."""
    return copy.deepcopy(_base(name, eps))


def refused(certificate: Certificate) -> bool:
    """Not accepted, in one line."""
    try:
        result = check(certificate)
    except CertificateError as error:
        return "\n" not in str(error)
    return not result.valid and "\n" not in str(result.reason)


def posteriors(rng: np.random.Generator, classes: int, eps: float, count: int) -> np.ndarray[Any, Any]:
    """Class 0 wrong by eps or a little more, class 1 likeliest; faces and ties of the others included."""
    p = rng.dirichlet(np.ones(classes), count)
    p[::3, -1] = 0.0
    p[1::3, -1] = p[1::3, 1]
    p[:, 1] = p.max(1)
    p /= p.sum(1, keepdims=True)
    lift = np.maximum(0.0, (eps * 1.0001 - p[:, 1] + p[:, 0]) / (1 - p[:, 1] + p[:, 0]))[:, None]
    return np.asarray((1 - lift) * p + lift * np.eye(classes)[1])


def brute_gaps(loss: Loss, p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Searched gaps with class 0 on top, by the pattern search of `theory.risk`, which shares nothing with ours."""
    wrong = multiclass_minimiser(loss, p, starts=4, top=0)[1]
    return np.asarray(wrong - multiclass_minimiser(loss, p, starts=4)[1])


# -- against brute force --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_bounds_bracket_brute_force(name: str) -> None:
    rng = np.random.default_rng(11)
    loss = make(name)
    found = multiclass_gap(loss, 3, "1/5")
    assert 0 < found.lower < found.upper
    assert found.upper_tier == "certified"
    assert float(found.lower) > 0.7 * float(found.upper)
    assert found.witness is not None
    exact = [Fraction(x) for x in found.witness["p"]]
    assert max(exact) - exact[0] >= Fraction(1, 5)
    gaps = brute_gaps(loss, np.array([[float(x) for x in exact], *posteriors(rng, 3, 0.2, 3)]))
    assert gaps.min() >= float(found.lower)
    assert gaps[0] <= float(found.upper) + SEARCH


@pytest.mark.parametrize("seed", range(6 if SLOW else 2))
def test_drawn_losses_and_the_theorem(seed: int) -> None:
    """For the paper's loss delta(eps) >= max(eps^2 / 2, eps min(tau, mu / c) / 2): docs/theory/target.md, Theorem 2."""
    rng = np.random.default_rng([seed, 3])
    mu, tau, eps = (Fraction(float(x)).limit_denominator(50) for x in rng.uniform([0.05, 0.3, 0.06], [1.5, 4, 0.9]))
    loss = catalogue.get("average-margin", mu=mu, tau=tau)
    found = multiclass_gap(loss, 3, eps)
    assert 0 < found.lower <= found.upper
    assert found.upper >= max(eps**2 / 2, eps * min(tau, mu / 3) / 2)
    gaps = brute_gaps(loss, posteriors(rng, 3, float(eps), 3))
    assert gaps.min() >= float(found.lower) - SEARCH
    assert found.searched >= float(found.lower)


def test_the_curve_of_the_cross_entropy_is_known_at_one() -> None:
    found = multiclass_gap(catalogue.get("cross-entropy"), 3, 1)
    assert found.lower < Fraction(np.log(2)) < found.upper


def test_two_classes_agree_with_the_binary_closed_form() -> None:
    eps = 0.37
    found = multiclass_gap(catalogue.get("cross-entropy"), 2, eps)
    eta = (1 + eps) / 2
    exact = np.log(2) + eta * np.log(eta) + (1 - eta) * np.log(1 - eta)
    assert float(found.lower) < exact < float(found.upper)


@pytest.mark.skipif(not SLOW, reason="AVGMARGIN_SLOW=1 runs it")
def test_four_classes() -> None:
    loss = catalogue.get("average-margin", mu="0.1", tau=5)
    found = multiclass_gap(loss, 4, "1/10", share="2/3")
    gaps = brute_gaps(loss, posteriors(np.random.default_rng(2), 4, 0.1, 6))
    assert 0 < float(found.lower) <= gaps.min()


def test_four_classes_far_from_ties() -> None:
    loss = catalogue.get("average-margin", mu="0.3", tau=2)
    found = multiclass_gap(loss, 4, "4/5", share="1/2", upper=False)
    gaps = brute_gaps(loss, posteriors(np.random.default_rng(2), 4, 0.8, 2))
    assert 0 < float(found.lower) <= gaps.min()
    assert found.upper_tier == "searched"


# -- piecewise linear losses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "domain", "kappa"), [("clip(1 - alpha, 0, 1)", "all", 1), ("sum_other(max(0, 1 + fk))", "sum-zero", 1)]
)
def test_piecewise_linear_losses_have_their_linear_constant(formula: str, domain: str, kappa: int) -> None:
    loss = from_formula(formula, classes=3, domain=domain)
    found = multiclass_gap(loss, 3, "3/11")
    assert found.lower == kappa * Fraction(3, 11)
    assert found.method == "polyhedral"
    assert found.upper_tier == "exact"
    assert found.lower <= found.upper
    gaps = brute_gaps(loss, posteriors(np.random.default_rng(4), 3, 3 / 11, 3))
    assert float(found.lower) <= gaps.min() + SEARCH
    assert check(found.certificate or {}).valid


# -- what cannot be proved ------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", ["lse - fy + 2/7 * clip(-alpha, 0, 3/2)", "max(0, 1 - alpha)", "softplus(-alpha)"])
def test_inconsistent_losses_get_no_bound(formula: str) -> None:
    found = multiclass_gap(from_formula(formula, classes=3), 3, "1/10", seconds=20)
    assert found.lower == 0
    assert found.certificate is None
    assert found.advice is not None


def test_a_spent_budget_gives_advice() -> None:
    for boxes, seconds in ((20, 60.0), (10**6, 0.02)):
        found = multiclass_gap(make("paper"), 3, "1/20", boxes=boxes, seconds=seconds)
        assert found.lower == 0
        assert found.certificate is None
        assert found.advice is not None


@pytest.mark.parametrize(
    "wrong", [{"eps": 0}, {"eps": 2}, {"eps": "x"}, {"classes": 1}, {"classes": 9}, {"share": 1}, {"boxes": 0}]
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"classes": 3, "eps": "1/5"} | wrong
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        multiclass_gap(make("paper"), arguments.pop("classes"), arguments.pop("eps"), **arguments)
    with pytest.raises(ValueError, match="multiclass"):
        multiclass_gap(catalogue.get("exponential"), 3, "1/5")


# -- prove(delta=) --------------------------------------------------------------------------------------------


def test_a_verdict_carries_the_gap_when_asked() -> None:
    loss = make("paper")
    assert prove(loss, classes=3).gap is None
    verdict = prove(loss, classes=3, delta="1/4")
    assert (verdict.status, verdict.gap_region) == (Status.PROVED, "max p - p_j >= 1/4")
    assert verdict.gap is not None
    assert verdict.certificate is not None
    block = verdict.certificate["calibration_bound"]
    assert Fraction(verdict.gap) <= Fraction(block["gap"])
    assert check(verdict.certificate).valid
    for gap in ("1", "0", "-1/5"):
        damaged = copy.deepcopy(verdict.certificate)
        damaged["calibration_bound"]["gap"] = gap
        assert refused(damaged)
    damaged = copy.deepcopy(verdict.certificate)
    damaged["calibration_bound"] = None
    assert refused(damaged)


def test_delta_is_checked_at_the_door() -> None:
    for delta in (0, 2, "-1/3"):
        with pytest.raises(ValueError, match="delta"):
            prove(make("paper"), classes=3, delta=delta)
    with pytest.raises(ValueError, match="several classes"):
        prove(catalogue.get("hinge"), delta="1/5")


def test_a_refuted_loss_stays_refuted() -> None:
    verdict = prove(from_formula("max(0, 1 - alpha)", classes=3), classes=3, delta="1/5")
    assert verdict.status is Status.REFUTED


# -- cells ----------------------------------------------------------------------------------------------------


def _inside(cell: tuple[tuple[Fraction, ...], ...], p: list[Fraction]) -> bool:
    """Exact: p is a convex combination of affinely independent points."""
    corners = np.array([[float(x) for x in corner] for corner in cell])
    weights = np.linalg.lstsq(corners.T, np.array([float(x) for x in p]), rcond=None)[0]
    near = np.allclose(corners.T @ weights, [float(x) for x in p], atol=1e-9)
    return bool(near and weights.min() >= -1e-9 and abs(weights.sum() - 1) < 1e-9)


@given(
    st.integers(2, 5),
    st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(1, 3), Fraction(2, 7), Fraction(1, 19), Fraction(9, 10)]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_cells_cover_and_stay_inside(classes: int, epsilon: Fraction, ordered: bool, rng: random.Random) -> None:
    m = 1 if ordered else rng.randrange(1, classes)
    cells = gap_cells(classes, m, epsilon, ordered)
    for cell in cells:
        for x in cell:
            assert sum(x) == 1
            assert min(x) >= 0
            assert x[m] == max(x)
            assert x[m] - x[0] >= epsilon
            assert not ordered or all(x[r] >= x[r + 1] for r in range(1, classes - 1))
    for _ in range(5):
        p = [Fraction(rng.choice([0, 1, 2, rng.randrange(30)])) for _ in range(classes)]
        if ordered:
            p[1:] = sorted(p[1:], reverse=True)
        p[m] = max(p) + rng.choice([0, 1, 5, 100])
        p = [x / sum(p) for x in p] if sum(p) else [Fraction(int(r == m)) for r in range(classes)]
        if p[m] - p[0] < epsilon:
            lift = (epsilon - p[m] + p[0]) / (1 - p[m] + p[0])
            p = [(1 - lift) * x + (lift if r == m else 0) for r, x in enumerate(p)]
            assert p[m] - p[0] == epsilon
        assert any(_inside(cell, p) for cell in cells)


def test_a_missing_cell_is_noticed() -> None:
    cells = gap_cells(3, 1, Fraction(1, 5), False)
    rng = np.random.default_rng(3)
    points = [[Fraction(float(x)) for x in p] for p in posteriors(rng, 3, 0.2, 120)]
    assert all(any(_inside(cell, p) for cell in cells) for p in points)
    assert not all(any(_inside(cell, p) for cell in cells[1:]) for p in points)


# -- bounds on boxes ------------------------------------------------------------------------------------------

WILD = {
    **LOSSES,
    "kink inside": ("lse - fy + 3 * max(0, 1 - alpha) - 2 * max(0, 1/2 - alpha)", "all"),
    "top score": ("softplus(-fy) + sum_other(softplus(fk))", "all"),
    "unbounded": ("sum_other(exp(fk - fy))", "all"),
}


def _points(rng: np.random.Generator, spans: tuple[Any, ...], names: list[str], count: int) -> np.ndarray[Any, Any]:
    z = np.stack([rng.uniform(float(low), float(high), count) for low, high in spans], axis=-1)
    z = np.clip(z, 1e-3, 1 - 1e-3)
    return np.stack(
        [
            (z[:, i] - 0.5) / (z[:, i] * (1 - z[:, i])) if n == "a" else z[:, i] / (1 - z[:, i])
            for i, n in enumerate(names)
        ],
        axis=-1,
    )


def _violations(name: str, seed: int, count: int) -> tuple[int, int]:
    """How often a bound on a random box is above a risk inside the box; and how often there is a bound."""
    rng = np.random.default_rng([seed, len(name)])
    formula, domain = WILD[name]
    loss = from_formula(formula, classes=3, domain=domain)
    cone = Cone(loss.score_tree, 3, domain)
    rules, ground = GapRules(cone), Ground(loss, 3, "a" in cone.names, False)
    bad = known = 0
    for _ in range(count):
        spans = []
        for _ in cone.names:
            size = 2 ** int(rng.integers(0, 6))
            place = int(rng.integers(0, size))
            spans.append((Fraction(place, size), Fraction(place + 1, size)))
        x = tuple(Fraction(int(k), 1) for k in rng.integers(0, 5, 3))
        x = tuple(share / sum(x) for share in x) if sum(x) else (Fraction(1), Fraction(0), Fraction(0))
        weights, size = whole_weights(x)
        total = rules.tables.at(tuple(spans)).risk(weights).total
        if total is None:
            continue
        known += 1
        points = _points(rng, tuple(spans), cone.names, 40)
        risks = ground.losses(points) @ np.array([float(share) for share in x])
        low = total / (size * UNIT)
        bad += bool(risks.min() < low - 1e-9 * max(1.0, abs(low)))
    return bad, known


@pytest.mark.parametrize("name", WILD)
def test_bounds_hold_at_points_of_the_box(name: str) -> None:
    bad, known = _violations(name, 1, 60)
    assert bad == 0
    assert known > 30


def test_a_bound_without_its_price_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = BoxBounds.risk

    def cheap(self: BoxBounds, weights: Any) -> RiskBound:
        found = honest(self, weights)
        paid = sum(part or 0 for part in found.price)
        return RiskBound(None if found.total is None else found.total + paid, found.price)

    monkeypatch.setattr(BoxBounds, "risk", cheap)
    assert sum(_violations(name, 1, 60)[0] for name in ("cross-entropy", "kink inside")) > 0


@given(st.fractions(max_denominator=10**6), st.integers(-300, 300))
def test_units_round_outwards(value: Fraction, power: int) -> None:
    exact = fmpq(value.numerator, value.denominator)
    low, high = floor_units(exact), ceil_units(exact)
    assert low is not None
    assert high is not None
    assert low <= value * UNIT <= high <= low + 1
    end = arb(exact) * arb(2) ** power
    mantissa, exponent = end.mid().man_exp() if end.mid() != 0 else (0, 0)
    middle = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    low, high = floor_units(end.mid()), ceil_units(end.mid())
    assert low is not None
    assert high is not None
    assert low <= middle * UNIT <= high


def test_units_of_infinities_and_specks() -> None:
    assert floor_units(arb.neg_inf()) is None
    assert ceil_units(arb.pos_inf()) is None
    speck = (-(arb(2) ** 40)).exp().mid()  # exponent about -1.6e12: shifting that far would fill the memory
    assert (floor_units(speck), ceil_units(speck)) == (0, 1)
    assert (floor_units(-speck), ceil_units(-speck)) == (-1, 0)
    giant = (arb(2) ** 40).exp().mid()
    low = floor_units(giant)
    assert low is not None
    assert low > 0
    assert floor_units(-giant) is None
    assert ceil_units(giant) is None


# -- certificates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_valid_certificates_pass_from_json(name: str) -> None:
    certificate = json.loads(json.dumps(base(name)))
    result = check(certificate)
    assert (result.valid, result.claim) == (True, "gap")
    assert result.boxes > 0
    assert (certificate["calibration_bound"]["ordered"] is None) == ("not ordered" in name)


def test_more_than_was_proved_is_refused_less_is_not() -> None:
    certificate = base()
    gap, upper = (Fraction(certificate["calibration_bound"][key]) for key in ("gap", "epsilon"))
    value = Fraction(certificate["calibration_bound"]["upper"]["value"])
    for key, text, fine in (
        ("gap", gap / 2, True),
        ("gap", value, False),
        ("gap", 2 * gap, False),
        ("gap", Fraction(0), False),
        ("gap", -gap, False),
        ("epsilon", upper / 2, False),
        ("epsilon", Fraction(0), False),
        ("epsilon", Fraction(3, 2), False),
    ):
        certificate = base()
        certificate["calibration_bound"][key] = str(text)
        assert refused(certificate) != fine, (key, text)


def test_hostile_upper_bounds() -> None:
    def with_upper(**entries: Any) -> Certificate:
        certificate = base()
        certificate["calibration_bound"]["upper"] |= entries
        return certificate

    upper = base()["calibration_bound"]["upper"]
    value, level = Fraction(upper["value"]), Fraction(upper["level"])
    assert not refused(with_upper(value=str(value + 1)))
    assert refused(with_upper(value=str(value / 2)))  # the wrong scores cost more
    assert refused(with_upper(level=str(level + value), value="0"))  # no such lower bound of the risk
    assert refused(with_upper(level=str(level - 1)))  # then the value is too small
    assert refused(with_upper(p=["1/3", "1/3", "1/3"]))  # nothing is wrong by epsilon
    assert refused(with_upper(p=["1/2", "3/4", "-1/4"]))
    assert refused(with_upper(p=["1/5", "2/5", "1/5"]))
    assert refused(with_upper(p=upper["p"][:2]))
    assert refused(with_upper(scores=["0", "1", "0"]))  # the likeliest class is on top
    assert refused(with_upper(trees=[]))
    assert refused(with_upper(trees=[["v"]]))
    assert refused(with_upper(trees=[["x"]]))
    certificate = base()
    certificate["calibration_bound"]["upper"] = None
    assert not refused(certificate)


def test_orders_that_grow_from_a_tie_are_recognised() -> None:
    certificate = base("pairwise")
    certificate["calibration_bound"]["ordered"][0] = ["o"]
    assert not refused(certificate)
    certificate["loss"]["multiclass"] = "sum_other(softplus(fy - fk))"
    assert refused(certificate)


def test_ordered_is_verified_not_believed() -> None:
    certificate = base("squares, not ordered")
    block = certificate["calibration_bound"]
    block["ordered"], block["trees"], block["upper"] = [["o"], ["o"]], block["trees"][:1], None
    assert refused(certificate)
    for ordered in ([["o"]], [], [["x"], ["x"]], [["o"], ["o"], ["o"]], None, True):
        certificate = base()
        certificate["calibration_bound"]["ordered"] = ordered
        assert refused(certificate), ordered


def test_floors_are_needed() -> None:
    for floors in ([["f"]] * 2, [], None, [["x"]] * 3, [["w", 0, ["f"], ["x"]]] * 3):
        certificate = base()
        certificate["calibration_bound"]["floors"] = floors
        assert refused(certificate), floors
    certificate = base("cross-entropy")
    certificate["loss"]["multiclass"] = "lse - fy - 1/9 * alpha"  # below every bound where alpha is large
    assert refused(certificate)


@pytest.mark.parametrize("rule", [["x"], ["c", 0], ["c", 1], ["o"], ["f"], ["v"], ["t"]])
def test_no_rule_holds_everywhere(rule: list[Any]) -> None:
    certificate = base()
    block = certificate["calibration_bound"]
    block["trees"] = [[rule for _ in trees] for trees in block["trees"]]
    assert refused(certificate)


@pytest.mark.parametrize(
    "leaf",
    [
        *(
            ["c"],
            ["c", -1],
            ["c", True],
            ["c", 10**6],
            ["c", "0"],
            ["c", 0, 0],
            ["p", ["x"]],
            ["p", ["x"], ["x"], ["x"]],
        ),
        *(["w", 0, ["x"]], ["w", 7, ["x"], ["x"]], ["w", True, ["x"], ["x"]], [], None, "x", 3, {}),
    ],
)
def test_malformed_nodes(leaf: Any) -> None:
    certificate = base()
    certificate["calibration_bound"]["trees"][0][-1] = leaf
    assert refused(certificate)


def test_a_single_posterior_cannot_be_cut() -> None:
    certificate = base("cross-entropy", "1")
    (tree,) = certificate["calibration_bound"]["trees"][0]
    assert not refused(certificate)
    certificate["calibration_bound"]["trees"][0] = [["p", tree, tree]]
    assert refused(certificate)


def test_candidates_must_lie_in_the_domain() -> None:
    for scores in (["1", "0", "0"], ["1", "-1"], ["x", "0", "0"], "1", None, ["inf", "0", "0"]):
        certificate = base("squares, not ordered")
        certificate["calibration_bound"]["candidates"][0] = scores
        assert refused(certificate), scores


@pytest.mark.parametrize(
    "loss",
    [
        {"multiclass": "where(alpha > 0, 0, 1)"},
        {"multiclass": "lse - fy + where(alpha > 1, 0, 1/10)"},
        {"domain": "bounded:2"},
        {"multiclass": "lse - fy + 1 / (alpha - 1)**2"},
        {"multiclass": "lse - fy - 1 / (alpha - 1)**2"},
        {"multiclass": "lse - fy + log(abs(alpha - 3/2))"},
        {"multiclass": "lse - fy + w", "parameters": {"w": ["1", "0", "2"]}},
        {"multiclass": "lse - fy + 2/7 * clip(-alpha, 0, 3/2)"},
        {"multiclass": "fy - lse"},
        {"multiclass": "alpha"},
        {"multiclass": "1"},
    ],
)
def test_other_losses_are_refused(loss: dict[str, Any]) -> None:
    certificate = base("cross-entropy")
    certificate["loss"] |= loss
    assert refused(certificate)


def test_junk_in_any_entry() -> None:
    junk: list[Any] = [None, True, -1, float("nan"), "1/0", "9" * 900, "inf", [], ["w"], {}]
    for key in base()["calibration_bound"]:
        for value in junk:
            if key == "upper" and value is None:
                continue
            certificate = base()
            certificate["calibration_bound"][key] = value
            assert refused(certificate), (key, value)
        certificate = base()
        del certificate["calibration_bound"][key]
        assert refused(certificate) != (key == "upper"), key
    for value in [*junk, ["x"]]:
        assert refused(base() | {"calibration_bound": value})
    for key in ("loss", "classes", "claim", "calibration_bound"):
        certificate = base()
        del certificate[key]
        assert refused(certificate), key


def test_deep_and_wide_trees_do_not_hang() -> None:
    deep: list[Any] = ["v"]
    wide: list[Any] = ["v"]
    for _ in range(20_000):
        deep = ["w", 0, ["v"], deep]
    for k in range(40):
        wide = ["w", k % 2, wide, wide]
    for tree in (deep, wide):
        certificate = base()
        certificate["calibration_bound"]["trees"] = [[tree] * len(certificate["calibration_bound"]["trees"][0])]
        assert refused(certificate)


# -- damage ---------------------------------------------------------------------------------------------------


@cache
def _searched(formula: str, domain: str, eps: Fraction) -> float:
    """The least gap that floats find; every order of the ranks."""
    loss = from_formula(formula, classes=3, domain=domain)
    has_top = "a" in Cone(loss.score_tree, 3, domain).names
    return least_gap(Ground(loss, 3, has_top, False), eps, False)[0]


def claim_is_true(certificate: Certificate) -> bool:
    """Whether a float search finds nothing against the bounds."""
    block, loss = certificate["calibration_bound"], certificate["loss"]
    least = _searched(loss["multiclass"], loss["domain"], Fraction(block["epsilon"]))
    above = block.get("upper")
    return least >= float(Fraction(block["gap"])) and (
        above is None or float(Fraction(above["value"])) >= least - max(SEARCH, 1e-4 * least)
    )


def _texts(node: Any) -> list[tuple[Any, Any]]:
    """Places of numbers written as text."""
    found: list[tuple[Any, Any]] = []
    pending = [node]
    while pending:
        here = pending.pop()
        for key, value in here.items() if isinstance(here, dict) else enumerate(here):
            if isinstance(value, str) and value.lstrip("-").replace("/", "").isdigit():
                found.append((here, key))
            elif isinstance(value, (dict, list)):
                pending.append(value)
    return found


def _nodes(node: Any) -> list[list[Any]]:
    found, pending = [], [node]
    while pending:
        here = pending.pop()
        if isinstance(here, list):
            if here and isinstance(here[0], str) and here[0] in "wpxcfov":
                found.append(here)
            pending += here
        elif isinstance(here, dict):
            pending += here.values()
    return found


def mutated(rng: random.Random, certificate: Certificate) -> Certificate:
    """One or two random changes: numbers, rules, branches, the loss, the question."""
    result = copy.deepcopy(certificate)
    block = result["calibration_bound"]
    for _ in range(rng.choice([1, 1, 2])):
        kind = rng.randrange(7)
        if kind == 0:
            here, key = rng.choice(_texts(block))
            value = Fraction(here[key])
            step = Fraction(rng.choice([1, -1]), rng.choice([2, 9, 100]))
            here[key] = str(rng.choice([value + step, value * (1 + step), -value, 2 * value, Fraction(0)]))
        elif kind == 1:
            block["gap"] = str(Fraction(block["gap"]) * Fraction(rng.randrange(80, 200), 100))
        elif kind == 2:
            block["epsilon"] = str(Fraction(block["epsilon"]) * rng.choice([Fraction(1, 2), Fraction(9, 10)]))
        elif kind == 3:
            node = rng.choice(_nodes(block))
            node[:] = rng.choice([["x"], ["c", rng.randrange(5)], ["v"], ["o"], ["f"], node[::-1]])
        elif kind == 4:
            inner = [node for node in _nodes(block) if node[0] in "wp"]
            node = rng.choice(inner) if inner else block["trees"]
            node[:] = rng.choice([node[-1], [*node[:-2], node[-1], node[-2]], [*node[:-1], node[-2]]])
        elif kind == 5:
            text = result["loss"]["multiclass"]
            pair = rng.choice([("1/10", "1/30"), ("5", "1"), ("lse", "lse / 2"), ("fk", "fk / 2"), ("2 *", "1 *")])
            result["loss"]["multiclass"] = text.replace(*pair)
        else:
            upper = block["upper"]
            if upper is not None:
                key = rng.choice(["value", "level"])
                upper[key] = str(Fraction(upper[key]) * Fraction(rng.randrange(90, 111), 100))
    return result


@pytest.mark.parametrize("name", ["paper", "probability", "squares, not ordered"])
def test_no_mutant_with_a_false_claim_is_accepted(name: str) -> None:
    count = 400 if SLOW else 24
    lies, outcomes = lies_among(base(name, "2/5"), mutated, claim_is_true, check, count, random.Random(name))
    assert lies == []
    assert outcomes["refused"] + outcomes["malformed"] > count // 4


@pytest.mark.parametrize(("key", "factor"), [("gap", 2), ("epsilon", Fraction(1, 3)), ("value", Fraction(1, 2))])
def test_a_checker_that_believes_would_be_caught(key: str, factor: Fraction) -> None:
    certificate = base("paper", "2/5")
    assert claim_is_true(certificate)
    block = certificate["calibration_bound"]
    place = block["upper"] if key == "value" else block
    place[key] = str(Fraction(place[key]) * factor)
    assert not claim_is_true(certificate)
    assert refused(certificate)


# -- lemma M1, in floats --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in LOSSES if "not ordered" not in name])
def test_sorting_the_other_classes_never_raises_the_risk(name: str) -> None:
    rng = np.random.default_rng(8)
    loss = from_formula(LOSSES[name][0], classes=4)
    for _ in range(20):
        scores, p = -np.sort(-rng.normal(size=4)), rng.dirichlet(np.ones(4))
        risks = {order: float(p[[0, *order]] @ loss.values(scores)) for order in permutations((1, 2, 3))}
        best = (0, *sorted((1, 2, 3), key=lambda k: -p[k]))[1:]
        assert risks[best] <= min(risks.values()) + 1e-12
    assert all(a >= b for a, b in pairwise(scores))


# -- processes ------------------------------------------------------------------------------------------------


def test_two_processes_prove_the_same() -> None:
    one = multiclass_gap(make("paper"), 3, "1/2", upper=False)
    two = multiclass_gap(make("paper"), 3, "1/2", upper=False, processes=2)
    assert one.lower == two.lower > 0
    assert two.certificate is not None
    assert check(json.loads(json.dumps(two.certificate))).valid
