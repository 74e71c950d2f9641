"""The multiclass prover: verdicts derived by hand, brute force on drawn losses, exact gaps."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from tests.theory.multiclass_rows import OWN, Own
from theory import Loss, Status, Tier, Verdict, check, from_formula, multiclass_minimiser, prove
from theory.prover.multiclass import prove_multiclass

# Decided rows take up to 4 s; a crowded machine gets time to spare, undecided ones (slow) do not.
SECONDS, SLOW_SECONDS = 30.0, 6.0
# A pattern search that stops at steps of 1e-9; values of size 1 are then good to a few roundings.
SEARCH = 1e-10


def evidence_holds(loss: Loss, verdict: Verdict) -> bool:
    """The certificate checks after a JSON round trip, and a witness is what it says in floats."""
    if verdict.certificate is None or verdict.tier == Tier.SEARCHED:
        return False
    result = check(json.loads(json.dumps(verdict.certificate)))
    wanted = "consistent" if verdict.status == Status.PROVED else "inconsistent"
    if not result.valid or result.claim != wanted or result.boxes < 1:
        return False
    return verdict.status == Status.PROVED or witness_holds(loss, verdict)


def witness_holds(loss: Loss, verdict: Verdict) -> bool:
    """The posterior is one, a wrong class is on top, and a float search finds nothing better than ties or it."""
    assert verdict.witness is not None
    p = [Fraction(x) for x in verdict.witness["p"]]
    scores = [Fraction(x) for x in verdict.witness["scores"]]
    top = [k for k, score in enumerate(scores) if score == max(scores)]
    if sum(p) != 1 or min(p) < 0 or not any(p[k] < max(p) for k in top):
        return False
    posterior = np.array([[float(x) for x in p]])
    _, best = multiclass_minimiser(loss, posterior)
    wrong = [multiclass_minimiser(loss, posterior, top=k)[1][0] for k in range(len(p)) if p[k] < max(p)]
    # a limit at infinity is searched up to |f| = 40 only, where polynomial tails are still far from it
    slack = 1e-3 if verdict.witness["at"] == "limit" else 1e-7
    return bool(min(wrong) <= best[0] + slack * max(1.0, abs(best[0])))


# -- verdicts derived by hand --------------------------------------------------------------------------------------


def agrees(own: Own, verdict: Verdict) -> bool:
    """The derived verdict with evidence that holds, and the derived exact gap where one is derived."""
    if verdict.status != (Status.PROVED if own.consistent else Status.REFUTED):
        return False
    if own.kappa is not None and (verdict.certificate or {}).get("kappa") != own.kappa:
        return False
    return evidence_holds(own.loss(), verdict)


@cache
def _own_verdict(index: int) -> Verdict:
    return prove(OWN[index].loss(), classes=OWN[index].classes, seconds=SECONDS)


@pytest.mark.parametrize("index", range(len(OWN)), ids=[own.label.replace(" ", "") for own in OWN])
def test_derived_verdicts(index: int) -> None:
    assert agrees(OWN[index], _own_verdict(index)), _own_verdict(index).summary()


def test_a_wrong_derivation_is_noticed() -> None:
    for index in (0, 1, 8):
        assert agrees(OWN[index], _own_verdict(index))
        assert not agrees(replace(OWN[index], consistent=not OWN[index].consistent), _own_verdict(index))
        assert not agrees(replace(OWN[index], kappa="4/3"), _own_verdict(index))


@pytest.mark.parametrize("c", [2, 3, 4])
def test_exact_gaps_of_constrained_hinges(c: int) -> None:
    """Lee, Lin & Wahba: delta(eps) = eps / (c - 1); with max(0, 1 + f_k): delta(eps) = eps. Both as published."""
    for formula, kappa in [
        ("sum_other(max(0, fk + 1 / (c - 1)))", Fraction(1, c - 1)),
        ("sum_other(max(0, 1 + fk))", Fraction(1)),
    ]:
        verdict = prove(from_formula(formula, classes=c, domain="sum-zero"), classes=c)
        assert verdict.status == Status.PROVED
        assert verdict.certificate is not None
        assert Fraction(verdict.certificate["kappa"]) == kappa
        raised = verdict.certificate | {"kappa": str(kappa + Fraction(1, 10**9))}
        assert not check(raised).valid


def test_unbounded_risks_are_not_proved() -> None:
    for formula in ("alpha", "-fy", "sum_other(fk)", "fy - lse", "-alpha"):
        verdict = prove(from_formula(formula, classes=3), classes=3, seconds=SECONDS)
        assert verdict.status != Status.PROVED, formula
    verdict = prove(from_formula("alpha", classes=3), classes=3)
    assert verdict.status == Status.UNDECIDED
    assert verdict.certificate is None
    assert "unbounded" in str(verdict.advice)


def test_wrong_calls_are_refused() -> None:
    loss = from_formula("clip(1 - alpha, 0, 1) + w", classes=3, parameters={"w": ("1", "2", "3")})
    with pytest.raises(ValueError, match="'w' has 3 entries; it must have one per class, 4"):
        prove(loss, classes=4)
    for classes in (1, 7):
        with pytest.raises(ValueError, match=f"classes={classes} must lie between 2 and 6"):
            prove(from_formula("softplus(-alpha)", classes=3), classes=classes)
    with pytest.raises(ValueError, match="threshold"):
        prove(loss, classes=3, threshold="1/3")


def test_a_spent_budget_is_said() -> None:
    verdict = prove_multiclass(from_formula("lse - fy", classes=3), 3, boxes=5, lemmas=False)
    assert verdict.status == Status.UNDECIDED
    assert "out of budget" in str(verdict.advice)


# -- two classes are the binary case -------------------------------------------------------------------------------

PAIRS = [
    ("softplus(-alpha)", "softplus(-t)"),
    ("lse - fy", "softplus(-t)"),
    ("max(0, 5/7 - alpha)", "max(0, 5/7 - t)"),
    ("max(0, -alpha)", "max(0, -t)"),
    ("clip(3/4 - alpha, 0, 3/4)", "clip(3/4 - t, 0, 3/4)"),
    ("clip(-alpha, 0, 3/4)", "clip(-t, 0, 3/4)"),
    ("lse - fy + 3/10 * clip(2/3 - alpha, 0, 2/3)", "softplus(-t) + 3/10 * clip(2/3 - t, 0, 2/3)"),
    ("lse - fy + 3/10 * clip(-alpha, 0, 2/3)", "softplus(-t) + 3/10 * clip(-t, 0, 2/3)"),
    ("max(0, 1 - alpha) + 1/3 * max(0, -alpha)", "max(0, 1 - t) + 1/3 * max(0, -t)"),
    ("max(0, 6/5 - alpha)**2", "max(0, 6/5 - t)**2"),
    ("(1 - alpha)**2", "(1 - t)**2"),
    ("1 - q", "sigmoid(-t)"),
    ("sum_other(exp(fk - fy))", "exp(-t)"),
    ("abs(1 - alpha)", "abs(1 - t)"),
    ("max(1 - alpha, 0) - 1/2 * max(-alpha, 0)", "max(1 - t, 0) - 1/2 * max(-t, 0)"),
]


@pytest.mark.parametrize(("scores", "margin"), PAIRS)
def test_two_classes_agree_with_the_binary_prover(scores: str, margin: str) -> None:
    loss = from_formula(scores, classes=2)
    found = prove(loss, classes=2, seconds=SECONDS)
    binary = prove(from_formula(margin), seconds=SECONDS)
    assert found.status == binary.status != Status.UNDECIDED
    assert evidence_holds(loss, found)


def test_both_verdicts_occur_among_the_pairs() -> None:
    verdicts = {prove(from_formula(margin), seconds=SECONDS).status for _, margin in PAIRS}
    assert verdicts == {Status.PROVED, Status.REFUTED}


# -- brute force on drawn losses -----------------------------------------------------------------------------------

BENT = [
    *("max(0, 1 - alpha)", "max(0, -alpha)", "clip(-alpha, 0, 1)", "clip(1 - alpha, 0, 1)", "abs(alpha)"),
    *("sum_other(max(0, 1 - (fy - fk)))", "sum_other(clip(1 - (fy - fk), 0, 1))", "max(0, 2/3 - alpha)"),
]
SMOOTH = [
    *("lse - fy", "1 - q", "(1 - q)**2", "softplus(-alpha)", "tanh(-alpha)", "sum_other(sigmoid(fk - fy))"),
    *("q * (1 - q)", "sum_other(qk**2)", "max(0, 1 - alpha)", "clip(-alpha, 0, 1)", "clip(1 - alpha, 0, 1)"),
]


def drawn_formula(rng: random.Random, terms: list[str], first: list[str]) -> str:
    """One to three terms with coefficients of both signs; the first one keeps the sum bounded below more often."""
    parts = [f"{rng.choice(['1', '3/4', '2'])} * ({rng.choice(first)})"]
    for term in rng.sample(terms, rng.choice([0, 1, 1, 2])):
        parts.append(f"({rng.choice(['1/10', '1/2', '4/3', '-1/10', '-3/10', '-4/5'])}) * ({term})")
    return " + ".join(parts)


@cache
def posteriors() -> np.ndarray:
    """Class 0 likeliest and class 1 behind by a lot or by little; class 2 at most level with class 0."""
    rng = np.random.default_rng(20)
    rows = []
    for lead in (1e-3, 1e-2, 0.05, 0.2):
        for _ in range(6):
            first = rng.uniform((1 + lead) / 3 + 1e-6, (1 + lead) / 2)
            rows.append((first, first - lead, 1 - 2 * first + lead))
    return np.array([row for row in rows if 0 <= row[2] <= row[0]])


def float_gaps(loss: Loss) -> np.ndarray:
    """The least risk with class 1 on top, less the least risk at all."""
    wrong = multiclass_minimiser(loss, posteriors(), starts=6, top=1)[1]
    return np.asarray(wrong - multiclass_minimiser(loss, posteriors(), starts=6)[1])


def brute_force_agrees(loss: Loss, status: Status) -> bool:
    """Floats see a gap at every posterior where one is proved. A search from above can only miss gaps, so a
    refutation, whose posterior is not among these, is held against the witness elsewhere."""
    return status != Status.PROVED or bool(float_gaps(loss).min() > SEARCH)


def _drawn(kind: str, seed: int) -> tuple[Loss, Verdict]:
    rng = random.Random(f"{kind} {seed}")
    formula = drawn_formula(rng, BENT, BENT[3:]) if kind == "bent" else drawn_formula(rng, SMOOTH, SMOOTH[:3])
    loss = from_formula(formula, classes=3)
    return loss, prove(loss, classes=3, seconds=2.5)


@pytest.mark.parametrize(("kind", "count"), [("bent", 24), ("smooth", 4)])
def test_drawn_losses_against_brute_force(kind: str, count: int) -> None:
    seen = set()
    for seed in range(count):
        loss, verdict = _drawn(kind, seed)
        seen.add(verdict.status)
        assert brute_force_agrees(loss, verdict.status), loss.name
        assert verdict.status == Status.UNDECIDED or evidence_holds(loss, verdict), loss.name
    assert Status.PROVED in seen
    assert kind == "smooth" or Status.REFUTED in seen


def test_brute_force_notices_a_false_proof() -> None:
    for formula in ("max(0, 1 - alpha)", "lse - fy + 1/7 * max(0, 1 - alpha)", "sum_other(max(0, 1 - (fy - fk)))"):
        assert not brute_force_agrees(from_formula(formula, classes=3), Status.PROVED)
    assert brute_force_agrees(from_formula("lse - fy", classes=3), Status.PROVED)


def test_kappa_lies_below_the_gap_by_brute_force() -> None:
    leads = posteriors()[:, 0] - posteriors()[:, 1]
    for formula in ("clip(1 - alpha, 0, 1)", "sum_other(clip(1 - (fy - fk), 0, 1))", "2 * clip(3/5 - alpha, 0, 1)"):
        loss = from_formula(formula, classes=3)
        verdict = prove(loss, classes=3)
        assert verdict.gap is not None
        found = float_gaps(loss)
        assert (found >= verdict.gap * leads - SEARCH).all()
        assert (found < 1.5 * verdict.gap * leads + SEARCH).any()  # a gap that is not much too small either
