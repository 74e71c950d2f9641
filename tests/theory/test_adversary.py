"""Attempts to make the checker accept a false claim, or crash; every one is refused."""

from __future__ import annotations

from typing import Any

import pytest

from theory import CertificateError, Family, Status, check, from_formula, prove
from theory.prover import lemma_verdict

Certificate = dict[str, Any]
HEADER = {"format": "avgmargin certificate", "version": 1}


def accepted(certificate: Certificate) -> bool:
    """Whether the checker verifies the claim; an unreadable certificate is refused."""
    try:
        return check(certificate).valid
    except CertificateError:
        return False


def _loss(key: str, formula: str, **parameters: str) -> dict[str, Any]:
    return {"name": "hostile", key: formula, "parameters": parameters, "domain": "all"}


# -- calibration --------------------------------------------------------------------------------------


def calibration(formula: str) -> Certificate:
    """The claim psi(1) >= 1/10: true for the logistic loss, by two knots and the line through the score 1."""

    def knot(theta: str) -> dict[str, Any]:
        return {"theta": theta, "wrong": ["-inf", "-1", "0"], "right": ["0", "1", "inf"], "at": "0"}

    side = {"knots": [knot("0"), knot("1")], "lines": [["1", "1"]], "start": None}
    psi = {"lower": [["0", "0"], ["9/10", "0"], ["1", "1/10"]], "upper": [["0", "20"], ["1", "20"]]}
    entries = {"claim": "calibration", "threshold": "1/2", "psi": psi, "gap": [], "slope": None, "sides": [side]}
    return HEADER | entries | {"loss": _loss("binary", formula), "real": ["-inf", "-1", "1", "inf"]}


def test_the_calibration_bound_of_the_logistic_loss_is_accepted() -> None:
    assert accepted(calibration("softplus(-t)"))


@pytest.mark.parametrize(
    "formula",
    [
        "where(abs(t + 1) <= 0, -10, softplus(-t))",  # C_1(-1) = -10 is the infimum over all scores: psi(1) = 0
        "softplus(-t) + 0 * log(t)",
        "softplus(-t) + 0 / t",
        "softplus(-t) + clip(1 / (t - 1), -1, 1)",  # jumps at its pole, with finite ranges on both sides
        "softplus(-t) + tanh(t - 1) / tanh(t - 1)",
    ],
)
def test_calibration_of_losses_with_a_bad_point_is_refused(formula: str) -> None:
    assert not accepted(calibration(formula))


def test_a_point_without_a_lower_bound_is_not_skipped() -> None:
    """The value at t = -1 is -1e299 / 1e298 = -10 (to 1e-298); its enclosure reaches down to -inf. So psi(1) = 0."""
    assert not accepted(calibration("where(abs(t + 1) <= 0, log(tanh(exp(-1e299))) / 1e298, softplus(-t))"))


# -- several classes: real as written ------------------------------------------------------------------


def cone(formula: str, **entries: Any) -> Certificate:
    """The claim that a loss of two classes is consistent, by the proof for the cross-entropy."""
    proof = {"claim": "consistent", "method": "cone", "trees": [["w", 0, ["t"], ["x"]]], "floors": [["f"], ["f"]]}
    return HEADER | proof | {"classes": 2, "loss": _loss("multiclass", formula)} | entries


def bound(formula: str) -> Certificate:
    """The claim delta(1/2) >= 1/100, by a proof for the cross-entropy."""
    tree = ["w", 0, ["c", 0], ["x"]]
    floors = [["w", 0, ["f"], ["f"]]] * 2
    block = {"epsilon": "1/2", "gap": "1/100", "floors": floors, "ordered": None, "upper": None}
    block |= {"candidates": [["-23/16", "0"]], "trees": [[tree]]}
    return HEADER | {
        "claim": "gap",
        "classes": 2,
        "loss": _loss("multiclass", formula),
        "calibration_bound": block,
    }


NOT_REAL = [
    "0 * log(fy)",  # not real for fy <= 0
    "0 * sqrt(fy)",
    "0 / fy",
    "(1 / fy) ** 0",
    "exp(log(fy)) - fy",
    "sqrt(fy) ** 2 - fy",
    "1 / (1 / fy) - fy",
]


def test_the_controls_of_two_classes_are_accepted() -> None:
    assert accepted(cone("lse - fy"))
    assert accepted(bound("lse - fy"))


@pytest.mark.parametrize("term", ["tanh(fy - 3) / tanh(fy - 3)", "clip(1 / (alpha - 1), -1, 1) / 1000"])
def test_poles_are_refused_by_the_floors(term: str) -> None:
    assert not accepted(cone(f"lse - fy + {term}"))


@pytest.mark.parametrize("term", NOT_REAL)
def test_a_loss_of_two_classes_must_be_real_as_written(term: str) -> None:
    assert not accepted(cone(f"lse - fy + {term}"))


@pytest.mark.parametrize("term", [*NOT_REAL, "clip(1 / (alpha - 1), -1, 1) / 1000"])
def test_a_gap_is_claimed_for_real_losses_only(term: str) -> None:
    assert not accepted(bound(f"lse - fy + {term}"))


@pytest.mark.parametrize(
    "formula",
    [
        "max(0, 1 - sqrt(alpha) ** 2)",  # both labels' losses are real at ties only: there every class is as good
        "max(0, 1 - 1 / (1 / alpha))",
        "max(0, 1 - alpha) + 0 * log(alpha)",  # for no scores are both labels' losses real
        "max(0, 1 - alpha) + 0 / alpha",
    ],
)
def test_a_piecewise_linear_loss_must_be_real_as_written(formula: str) -> None:
    assert prove(from_formula(formula, classes=2), classes=2, seconds=5).status is not Status.PROVED


# -- crashes -------------------------------------------------------------------------------------------


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def test_a_deep_list_as_a_rule_is_refused_without_a_crash() -> None:
    assert not accepted(cone("lse - fy", floors=[_deep(), ["f"]]))


def test_a_scalar_parameter_has_no_value_per_class() -> None:
    data = cone("lse - fy + sum_other(wk)")
    data["loss"]["parameters"] = {"w": "2"}
    assert not accepted(data)


def test_a_joined_where_does_not_nest_class_sums() -> None:
    """At best joined, at worst refused: inside the outer sum the inner fk would be captured."""
    step = "where(alpha > max_other(fk), (alpha - max_other(fk)) * sum_other(alpha), 0)"
    assert not accepted(cone(f"lse - fy + {step}"))


# -- families that fail at one end ----------------------------------------------------------------------

ENDS = [  # a formula; ranges without the failing member; the same with it
    ("softplus(-t) + a * softplus(t)", "[0, 1)", "[0, 1]"),
    ("softplus(-t) + a * t", "[0, 1/2)", "[0, 1/2]"),
    ("softplus(-t) + sqrt(a) * t", "[0, 1/4)", "[0, 1/4]"),
    ("softplus(-t) + where(a <= 0, t, 0)", "(0, 1]", "[0, 1]"),
    ("max(0, a - t)", "(0, 1]", "[0, 1]"),
    ("max(0, 1 - t) ** a", "(0, 1]", "[0, 1]"),
    ("max(0, 1 - t) - max(0, a - t)", "[-1, 0)", "[-1, 1]"),
    ("where(t > a, 0, a - t)", "(0, 1]", "[0, 1]"),
    ("abs(t - a)", "(0, inf)", "[0, inf)"),
    ("t**2 - a * t", "(0, 1]", "[0, 1]"),
    ("1 / (1 + exp(t)) ** a", "(0, 2]", "[0, 2]"),
]


@pytest.mark.parametrize(("formula", "good", "bad"), ENDS)
def test_one_failing_member_at_an_end_spoils_a_family(formula: str, good: str, bad: str) -> None:
    found = lemma_verdict(Family(formula, {"a": good}), boxes=400, seconds=30)
    assert found is not None
    assert found.certificate is not None
    assert accepted(found.certificate)
    assert lemma_verdict(Family(formula, {"a": bad}), boxes=400, seconds=30) is None
    lie = {**found.certificate, "loss": {**found.certificate["loss"], "ranges": {"a": bad}}}
    assert not accepted(lie)


@pytest.mark.parametrize("classes", [2, 3, "all"])
@pytest.mark.parametrize(
    ("formula", "good", "bad"),
    [
        ("a * (lse - fy)", "(0, 1]", "[0, 1]"),
        ("(1 - q) ** a", "(0, 3]", "[0, 3]"),
        ("(a - q) ** 2", "[1, 2]", "[0, 2]"),
        ("softplus(-fy) + a * sum_other(softplus(fk))", "(0, 1]", "[0, 1]"),
    ],
)
def test_one_failing_member_spoils_a_family_of_several_classes(
    formula: str, good: str, bad: str, classes: int | str
) -> None:
    found = lemma_verdict(Family(formula, {"a": good}), classes, boxes=400, seconds=30)
    assert found is not None
    assert found.certificate is not None
    assert accepted(found.certificate)
    lie = {**found.certificate, "loss": {**found.certificate["loss"], "ranges": {"a": bad}}}
    assert not accepted(lie)


# -- single losses whose truth is known by derivation ------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "truth"),
    [
        ("where(t <= 0, 1, 0)", Status.PROVED),  # a tie costs 1
        ("where(t < 0, 1, 0)", Status.REFUTED),  # a tie costs nothing
        ("where(abs(t) <= 0, -5, softplus(-t))", Status.REFUTED),
        ("where(abs(t - 1) <= 0, -5, softplus(-t))", Status.PROVED),
        ("where(t > 0, -exp(-1 / t**2), 0)", Status.PROVED),  # all derivatives vanish at 0
        ("where(t >= 1, -1, 0) - where(t <= -1, 1, 0)", Status.REFUTED),  # even far from 0
        ("exp(exp(t)) - t", Status.REFUTED),
        ("t**6 - t**5", Status.PROVED),
    ],
)
def test_nasty_losses_never_get_the_wrong_answer(formula: str, truth: Status) -> None:
    assert prove(from_formula(formula), seconds=4).status in (truth, Status.UNDECIDED)
