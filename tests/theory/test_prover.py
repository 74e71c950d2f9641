"""The binary prover: verdicts derived by hand, random trees, budgets and refusals (published ones: `test_oracle`)."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import binary_trees
from tests.theory import brute
from tests.theory.rows import ROWS as FIRST_ROWS
from tests.theory.rows import Row
from tests.theory.rows_literature import MORE_ROWS
from theory import Domain, Loss, Status, Tier, Verdict, catalogue, check, from_formula, from_pair, prove

# Sums of a few float64 numbers of the size of the risk.
ROUNDING = 1e-12
# An infimum at infinity is compared at |v| = 1e5, where the slowest loss here is still about 1/(pi v) above it.
AT_INFINITY = 1e-4


def evidence_holds(loss: Loss, verdict: Verdict, threshold: Fraction = Fraction(1, 2)) -> bool:
    """The property: the certificate checks, also after JSON, and floats do not contradict the numbers."""
    if verdict.certificate is None or verdict.tier != Tier.CERTIFIED:
        return False
    result = check(json.loads(json.dumps(verdict.certificate)))
    wanted = "consistent" if verdict.status == Status.PROVED else "inconsistent"
    if not result.valid or result.claim != wanted or result.boxes < 1:
        return False
    return gap_holds(loss, verdict, threshold) if verdict.status == Status.PROVED else witness_holds(loss, verdict)


def gap_holds(loss: Loss, verdict: Verdict, threshold: Fraction = Fraction(1, 2)) -> bool:
    """A stated gap lies below the gap by brute force, a tenth of the way from the threshold to certainty and beyond."""
    if verdict.gap is None:
        return True
    a, shares = float(threshold), np.array([0.1, 0.1001, 0.17, 0.4, 0.73, 0.99, 1.0])
    # a pair that is balanced at a threshold other than 1/2 states its gap above the threshold only
    below = [a - a * shares] if " or " in str(verdict.gap_region) else []
    _, found = brute.gaps(loss, threshold, np.concatenate([a + (1 - a) * shares, *below]))
    size = max(1.0, float(abs(loss.phi_plus(0.0))))
    return 0 < verdict.gap <= float(found.min()) + ROUNDING * size


def witness_holds(loss: Loss, verdict: Verdict) -> bool:
    """The witness' wrong score is at least as good as every correct score of the grid, by its stated gap."""
    assert verdict.witness is not None
    eta, at = Fraction(verdict.witness["eta"]), verdict.witness["score"]
    assert [Fraction(x) for x in verdict.witness["p"]] == [eta, 1 - eta]
    left, _, right = brute.least_risks(loss, np.array([float(eta)]))
    v = float(at) if "inf" in at else float(Fraction(at))
    limit = math.isinf(v)
    v = math.copysign(brute.FAR, v) if limit else v
    parts = (float(eta) * float(loss.phi_plus(v)) if eta > 0 else 0.0) + (
        float(1 - eta) * float(loss.phi_minus(v)) if eta < 1 else 0.0
    )
    correct = float((right if eta > Fraction(verdict.certificate["threshold"]) else left)[0])  # type: ignore[index]
    size = max(1.0, abs(correct))
    gap = verdict.gap or 0.0
    return bool(correct - parts >= gap - (AT_INFINITY if limit else ROUNDING) * size)


# -- verdicts derived by hand --------------------------------------------------------------------------------------


ROWS = [*FIRST_ROWS, *MORE_ROWS]


def _id(row: Row) -> str:
    return row.label.replace(" ", "")


@pytest.mark.parametrize("row", [row for row in ROWS if row.verdict != "UNDECIDED" and not row.fine], ids=_id)
def test_derived_verdicts_agree_with_brute_force(row: Row) -> None:
    """The expectation itself, before the prover is asked."""
    loss = row.loss()
    _, found = brute.gaps(loss, row.threshold)
    size = max(1.0, float(abs(loss.phi_plus(0.0))), float(abs(loss.phi_minus(0.0))))
    assert (found.min() > ROUNDING * size) == (row.verdict == "PROVED"), f"{row.why}: least gap {found.min()}"


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_derived_verdicts_are_reached(row: Row) -> None:
    loss = row.loss()
    verdict = prove(loss, threshold=row.threshold)
    assert verdict.status.value == row.verdict, f"{row.why}: {verdict.advice}"
    if verdict.status == Status.UNDECIDED:
        assert "unbounded" in str(verdict.advice)
        assert verdict.certificate is None
    elif row.far:
        assert check(json.loads(json.dumps(verdict.certificate))).valid
    else:
        assert evidence_holds(loss, verdict, row.threshold)


# -- false limits --------------------------------------------------------------------------------------------------


def test_a_false_limit_refutes_nothing() -> None:
    """(exp(-v) + v) exp(v) tends to 1 at -inf; with inf - inf = anything and 0 * anything = 0 it would be 0.

    For eta > 1/2 the correct scores cost 4 eta + (6 - 1/e)(1 - eta), wrong ones at least (6 - 1/e) eta + 4 (1 - eta).
    """
    loss = from_pair("where(v <= 0, 5 + (exp(-v) + v) * exp(v), 4)", "where(v < 0, 4, 6 - exp(-1))")
    assert prove(loss).status != Status.REFUTED


@pytest.mark.parametrize(
    "formula",
    [
        "clip((1 - t) / 2, 0, 1) + 5 * ((exp(abs(t)) - abs(t)) * exp(-abs(t)))",
        "max(0, 1 - t) + 5 * ((exp(abs(t)) - abs(t)) * exp(-abs(t)))",
    ],
)
def test_false_limits_at_both_ends_refute_nothing(formula: str) -> None:
    """An even part with limit 1 and least value 1 - 1/e at |t| = 1, added to a ramp or a hinge: LEMMA of rows.py."""
    assert prove(from_formula(formula)).status != Status.REFUTED


# -- random trees --------------------------------------------------------------------------------------------------


def not_contradicted(loss: Loss, verdict: Verdict) -> bool:
    """The property: brute force finds no gap below 0 under PROVED, and none above 0 at the witness of REFUTED."""
    if verdict.status == Status.UNDECIDED:
        return bool(verdict.advice)
    if verdict.status == Status.REFUTED:
        return witness_holds(loss, verdict)
    _, found = brute.gaps(loss)
    size = max(1.0, float(abs(loss.phi(0.0))))
    return not found.min() < -ROUNDING * size and gap_holds(loss, verdict)


@settings(max_examples=settings().max_examples // 4)  # each takes a tenth of a second or more
@given(binary_trees(jumps=True, depth=2), st.sampled_from(["all", "bounded:2"]))
def test_verdicts_on_random_trees_are_not_contradicted(tree: Any, domain: str) -> None:
    loss = Loss("drawn", binary=tree, domain=Domain.parse(domain))
    assert not_contradicted(loss, prove(loss, boxes=250, seconds=2))


def test_contradictions_are_noticed() -> None:
    hinge, perceptron = catalogue.get("hinge"), catalogue.get("perceptron")
    assert not_contradicted(hinge, prove(hinge))
    assert not_contradicted(perceptron, prove(perceptron))
    assert not not_contradicted(from_formula("max(0, 1 + t)"), prove(hinge))
    assert not not_contradicted(hinge, prove(perceptron))


# -- what comes back -----------------------------------------------------------------------------------------------


def test_a_proof_is_the_same_every_time() -> None:
    loss = catalogue.get("average-margin", mu="0.3", tau="1.7")
    assert prove(loss).certificate == prove(loss).certificate


@pytest.mark.parametrize("budget", [{"boxes": 3}, {"seconds": 1e-9}])
def test_a_spent_budget_is_a_value_with_advice(budget: dict[str, Any]) -> None:
    verdict = prove(catalogue.get("logistic"), **budget)
    assert verdict.status == Status.UNDECIDED
    assert verdict.tier == Tier.SEARCHED
    assert "budget" in str(verdict.advice)
    assert verdict.certificate is None


@pytest.mark.parametrize("budget", [{"boxes": 0}, {"seconds": 0}, {"seconds": float("nan")}])
def test_an_empty_budget_is_refused(budget: dict[str, Any]) -> None:
    (name,) = budget
    with pytest.raises(ValueError, match=rf"^{name}=\w+ must be "):
        prove(catalogue.get("logistic"), **budget)


@pytest.mark.parametrize("threshold", [0, 1, "-1/2", "3/2"])
def test_thresholds_outside_the_open_interval_are_refused(threshold: Any) -> None:
    with pytest.raises(ValueError, match=r"threshold=[^\n]*"):
        prove(catalogue.get("hinge"), threshold=threshold)


@pytest.mark.parametrize(
    "formula",
    ["log(t)", "sqrt(1 - t)", "t / abs(t)", "1 / t", "softplus(-t) - log(abs(t))", "(1 - t)**0.5", "log(t - t)"],
)
def test_losses_that_are_not_real_are_refused(formula: str) -> None:
    with pytest.raises(ValueError, match=r"not a real number|real on its"):
        prove(from_formula(formula))


@pytest.mark.parametrize(
    "formula",
    [
        "softplus(-t) - 1 / (t - 1/3)",
        "max(0, 1 - t) + 1 / (t - 1/3)**2",
        "max(0, 1 - t) + atan((t - 1/3) / (t - 1/3)**2) / 10",
        "max(0, 1 - t) + exp(-1 / (t - 1/3)**2) / 10",
        "softplus(-t) + 0 * log((t - 1/3)**2)",
    ],
)
def test_losses_with_poles_off_the_grid_are_not_decided(formula: str) -> None:
    """Neither is a real-valued function: refused at the door or left undecided, but no verdict."""
    try:
        verdict = prove(from_formula(formula))
    except ValueError:
        return
    assert verdict.status == Status.UNDECIDED


@pytest.mark.parametrize(
    "formula", ["1e300 * max(0, 1 - t)", "1e-300 * max(0, 1 - t)", "max(0, 1 - t) + 1e-300 * t**2"]
)
def test_extreme_constants_are_no_obstacle(formula: str) -> None:
    verdict = prove(from_formula(formula))
    assert verdict.status == Status.PROVED
    assert check(json.loads(json.dumps(verdict.certificate))).valid


@pytest.mark.parametrize("formula", ["1e400 * max(0, 1 - t)", "max(0, 1 - 1e400 * t)"])
def test_constants_beyond_floats_are_refused_or_left_open(formula: str) -> None:
    """ValueError in one line, or an honest UNDECIDED; no OverflowError."""
    try:
        verdict = prove(from_formula(formula))
    except ValueError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert verdict.status in (Status.PROVED, Status.UNDECIDED)
