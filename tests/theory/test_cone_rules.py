"""Rules on the cone of sorted scores, one by one: domains, joined `where`, slopes at ties, floors, unbounded risks."""

from __future__ import annotations

import json
import random
from fractions import Fraction

import numpy as np
import pytest
from flint import ctx
from hypothesis import given, settings
from hypothesis import strategies as st

import theory
from tests.theory.test_multiclass import evidence_holds
from theory import Domain, Loss, Status, Verdict, check, from_formula, multiclass_minimiser
from theory.checker import PRECISION
from theory.checker.cone import Cone
from theory.checker.cone_cells import Span, first_cell
from theory.checker.cone_slopes import falls, rises, vanishes
from theory.expression import SCORE_NAMES, evaluate_array, parse
from theory.expression.interval import Interval
from theory.expression.join import join
from theory.expression.nodes import Where, walk
from theory.prover.multiclass import prove_multiclass
from theory.prover.optimal_at import posterior_for

SECONDS = 300.0
# two ways to the same float64 number, of size up to 1e3
ROUNDING = 1e-9
# a pattern search that stops at steps of 1e-9, and cuts of 1e-7
SEARCHED = 1e-6
OVA = "softplus(-fy) + sum_other(softplus(fk))"


def prove(loss: Loss, classes: int, seconds: float = SECONDS) -> Verdict:
    """The verdict without lemmas for whole families."""
    return prove_multiclass(loss, classes, seconds=seconds, lemmas=False)


def cone(formula: str, classes: int = 3, domain: str = "all") -> Cone:
    loss = from_formula(formula, classes=classes, domain=domain)
    return Cone(loss.score_tree, classes, loss.domain.kind, loss.domain.bound)


def spans(*sides: tuple[str, str]) -> tuple[Span, ...]:
    """A box of gaps in the compressed coordinate w / (1 + w)."""

    def z(end: str) -> Fraction:
        return Fraction(1) if end == "inf" else Fraction(end) / (1 + Fraction(end))

    return tuple((z(low), z(high)) for low, high in sides)


def strip(**sides: tuple[str, str]) -> dict[str, Interval]:
    return {name: Interval.between(Fraction(low), Fraction(high)) for name, (low, high) in sides.items()}


# -- verdicts outside the published table ------------------------------------------------------------------------

DERIVED = [
    # (formula, classes, domain, consistent, why)
    ("atan(-alpha)", 3, "all", False, "convex near ties: leads cost 1 - 2 p_0 at first"),
    ("max_other(exp(fk - fy))", 3, "all", False, "exp(-alpha): at w = 0 the slope is 1 - 2 p_0 > 0"),
    ("max_other(softplus(fk - fy))", 3, "all", False, "softplus(-alpha)"),
    ("alpha**2 * exp(-alpha)", 3, "all", False, "0 at ties, never less"),
    ("lse - fy - 1/10 * clip(1 - alpha, 0, 1)", 3, "all", False, "a reward for ties"),
    ("min(lse - fy, 2)", 3, "all", True, "the top class has q >= 1/3 > exp(-2), where the loss is the cross-entropy"),
    ("(fy - 2)**2 + 2 * sum_other((fk + 1)**2)", 2, "all", True, "f_k* = (4 p_k - 2) / (2 - p_k) rises with p_k"),
    ("where(alpha > 1, 0, 1 - alpha)", 3, "all", False, "the hinge of the margin"),
    ("where(alpha >= 1, 0, where(alpha <= 0, 1, 1 - alpha))", 3, "all", True, "the ramp: C >= 1 - p_top, reached"),
    ("sum_other(where(fk - fy < -1, 0, (1 + fk - fy)**2))", 3, "all", True, "squared pairwise hinge"),
    ("-fy", 3, "ball:1", True, "f* = B (p - 1/3) / |p - 1/3|"),
    ("-fy", 2, "ball:2/3", True, "the same"),
    ("softplus(-alpha)", 3, "ball:2", False, "the origin lies inside"),
    (OVA, 3, "bounded:2", True, "f_k* = log(p_k / (1 - p_k)) cut at 2; max p >= 1/3 is above the lower cut"),
    (OVA, 3, "bounded:1/10", False, "all three p_k below sigmoid(-1/10): all scores at the lower cut"),
    ("lse - fy + sum_other(fk**2) / (c - 1)", 3, "all", True, "q_k - p_k = -(1 - p_k) f_k: monotone, as |f_k| < 1"),
    ("lse - fy", 2, "bounded:1/10", True, "a lead of at most 1/5 falls until q reaches p"),
    ("lse - fy", 3, "bounded:1", False, "p_0 > p_1 > q at the corner (1, 1, -1): both want to go up"),
    ("sum_other(exp(fk - fy))", 3, "bounded:1/2", False, "the same corner"),
]


@pytest.mark.parametrize(("formula", "classes", "domain", "consistent", "why"), DERIVED)
def test_derived_verdicts(formula: str, classes: int, domain: str, consistent: bool, why: str) -> None:
    loss = from_formula(formula, classes=classes, domain=domain)
    verdict = prove(loss, classes=classes, seconds=SECONDS)
    assert verdict.status == (Status.PROVED if consistent else Status.REFUTED), (why, verdict.advice)
    assert evidence_holds(loss, verdict)


@pytest.mark.parametrize(
    "formula", ["-fy", "sum_other(fk)", "fy - lse", "alpha", "lse - 2 * fy", "lse - fy - fy**2", "-exp(fy) + 3 * fy"]
)
def test_risks_without_a_lower_bound_get_no_verdict(formula: str) -> None:
    verdict = prove(from_formula(formula, classes=3), classes=3, seconds=SECONDS)
    assert verdict.status == Status.UNDECIDED
    assert "no verdict: the conditional risk is unbounded below" in str(verdict.advice)


def test_what_is_bounded_below_is_not_called_unbounded() -> None:
    for formula in ("lse - fy", "exp(fy) - fy**3", "fy**4 - 100 * fy**2 + sum_other(fk**4)"):
        verdict = prove(from_formula(formula, classes=3), classes=3, seconds=2.0)
        assert "unbounded" not in str(verdict.advice), formula


def test_the_scope_of_a_proof_tells_of_the_search() -> None:
    verdict = prove(from_formula("lse - fy", classes=3), classes=3)
    assert "a float search for counterexamples over the closed simplex" in verdict.scope
    assert "1/1000" in verdict.scope


# -- floors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula", ["lse - fy + log(alpha / alpha)", "lse - fy + tanh(fy - 3) / tanh(fy - 3)", "lse - fy + 1 / (1 + fy)**2"]
)
def test_a_loss_with_a_pole_has_no_floor(formula: str) -> None:
    verdict = prove(from_formula(formula, classes=3), classes=3, seconds=SECONDS)
    assert verdict.status == Status.UNDECIDED
    assert "real and bounded below" in str(verdict.advice)


def test_a_refutation_needs_floors() -> None:
    certificate = dict(prove(from_formula("softplus(-alpha)", classes=3), classes=3).certificate or {})
    assert check(certificate).valid
    for floors in ([["f"]] * 2, [["v"]] * 3, [["o"]] * 3, None):
        assert not check(certificate | {"floors": floors}).valid
    del certificate["floors"]
    assert not check(certificate).valid


# -- domains -------------------------------------------------------------------------------------------------------


def test_domains_contain_what_they_say() -> None:
    ball, box = cone("-fy", domain="ball:1"), cone("-fy", domain="bounded:1")
    half, root = Fraction(1, 2), Fraction(7, 10)
    assert ball.contains((half, -half, Fraction(0)))
    assert ball.contains((root, -root, Fraction(0)))  # norm^2 = 98/100
    assert not ball.contains((Fraction(71, 100), -Fraction(71, 100), Fraction(0)))
    assert not ball.contains((half, Fraction(0), Fraction(0)))
    assert box.contains((Fraction(1), -Fraction(1), half))
    assert not box.contains((Fraction(101, 100), Fraction(0), Fraction(0)))
    corner = ((Fraction(3, 4), Fraction(1)),) * 2  # gaps beyond 3/2
    assert ball.outside(corner)
    assert not ball.outside(ball.whole())
    assert not ball.outside(((Fraction(0), Fraction(1, 4)),) * 2)


def test_a_ball_is_for_several_classes() -> None:
    assert str(Domain.parse("ball:3/2")) == "ball:3/2"
    with pytest.raises(ValueError, match="several classes"):
        from_formula("softplus(-t)", domain="ball:1")
    with pytest.raises(ValueError, match="ball:2"):
        Domain.parse("ball")


def test_a_path_in_the_ball_is_followed_inwards() -> None:
    """Beyond a sphere the loss is -f_y, within it f_y: the strip w_2 >= 3 may not come to it when shrunk by 15/16."""

    def accepted(domain: str, share: str) -> bool:
        sphere = Fraction(2, 3) * (3 * Fraction(share)) ** 2  # |f|^2 where two lead and the third lies so far below
        rules = cone(f"where(fy**2 + sum_other(fk**2) >= {sphere}, -fy, fy)", domain=domain)
        lead, below = (Fraction(0), Fraction(1, 64)), (Fraction(3), Fraction(31, 10))
        box = spans(lead, below) if domain == "sum-zero" else tuple((low / 8, high / 8) for low, high in (lead, below))
        return rules.tie(1, box, ((Fraction(1, 4), Fraction(1, 2), Fraction(1, 4)),))  # type: ignore[arg-type]

    with ctx.workprec(PRECISION):
        assert [accepted("sum-zero", share) for share in ("9/10", "97/100", "101/100")] == [True, True, False]
        assert [accepted("ball:4", share) for share in ("9/10", "97/100", "101/100")] == [True, False, False]


def test_a_tie_needs_room() -> None:
    """On [-1, 1]^2 the loss -f_y sends both classes to 1: a tie is optimal, and moving apart leaves the domain."""
    with ctx.workprec(PRECISION):
        free, bound = cone("-fy", 2, "ball:1"), cone("-fy", 2, "bounded:1")
        cell = first_cell(2, 1)
        assert free.tie(1, free.whole(), cell)
        assert not any(bound.tie(1, bound.whole(), cell, move) for move in "tdu")
        inner = ((Fraction(0), Fraction(1)), (Fraction(1, 4), Fraction(3, 4)))
        assert bound.tie(1, inner, cell)  # a in [-1/2, 1/2]
        assert bound.tie(1, ((Fraction(0), Fraction(1)), (Fraction(0), Fraction(3, 4))), cell, "u")
        assert not bound.tie(1, ((Fraction(0), Fraction(1)), (Fraction(1, 4), Fraction(1))), cell, "u")
        assert not cone("-fy", 2, "sum-zero").tie(1, spans(("0", "1")), cell, "u")  # the sum would change


def test_proofs_do_not_pass_from_one_domain_to_another() -> None:
    certificate = prove(from_formula(OVA, classes=3, domain="bounded:2"), classes=3).certificate or {}
    assert check(certificate).valid
    for domain in ("bounded:1/10", "all", "ball:2"):
        assert not check(certificate | {"loss": certificate["loss"] | {"domain": domain}}).valid, domain


# -- the ways of a retreat -----------------------------------------------------------------------------------------


def test_a_retreat_looks_at_the_whole_way() -> None:
    """Lowering rank 0 from [6/5, 2] to a tie at -3 passes where min(|f|, 1) falls and where it rises again."""
    with ctx.workprec(PRECISION):
        bump = cone("min(abs(fy), 1) + sum_other(min(abs(fk), 1))", 2)
        p = (Fraction(3, 5), Fraction(2, 5))
        high = (Fraction(73, 100), Fraction(78, 100))  # a in about [1.17, 1.6]
        assert bump.retracts(((Fraction(0), Fraction(1, 50)), high), p)
        assert not bump.retracts(((Fraction(0), Fraction(4, 5)), high), p)


KINKED = "lse - fy + sum_other(max(0, 2 - (fy - fk))) / 10"


def test_a_kink_beside_the_tie_is_gone_around() -> None:
    """Where the lead over a third class is 2 the kink holds two classes together, which no single way back shows."""
    verdict = prove(from_formula(KINKED, classes=3), classes=3, seconds=SECONDS)
    assert verdict.status == Status.REFUTED
    assert verdict.witness is not None
    assert verdict.witness["scores"] == ["0", "0", "-2"]
    assert verdict.witness["at"] == "ties"
    certificate = verdict.certificate or {}
    text = json.dumps(certificate["trees"])
    assert '"s"' in text
    assert '"k"' in text
    assert check(certificate).valid
    for old, new in (('["s"]', '["r"]'), ('["s"]', '["v"]'), ('"2/3"', '"3/5"')):
        assert not check(certificate | {"trees": json.loads(text.replace(old, new))}).valid, (old, new)


def test_a_slide_needs_a_slope_of_one_sign_in_its_box() -> None:
    with ctx.workprec(PRECISION):
        loss = cone(KINKED, 3)
        p = (Fraction(15, 32), Fraction(29, 64), Fraction(5, 64))
        near, tiny = (Fraction(0), Fraction(1, 1000)), Fraction(1, 1000)
        beside = (Fraction(2, 3) - tiny, Fraction(2, 3)), (Fraction(2, 3), Fraction(2, 3) + tiny)
        assert all(loss.slides((near, side), p) for side in beside)
        assert not loss.slides((near, (Fraction(2, 3) - tiny, Fraction(2, 3) + tiny)), p)
        assert not any(cone("lse - fy", 3).slides((near, side), p) for side in beside)


# -- posteriors at which given scores are optimal ------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["1/10", "1/3", "2"])
def test_posteriors_are_found_where_kinks_make_wrong_scores_optimal(scale: str) -> None:
    loss = from_formula(f"lse - fy + {scale} * sum_other(max(0, 1 - (fy - fk)))", classes=3)
    scores = (Fraction(0), Fraction(0), Fraction(-1))
    p = posterior_for(loss, scores)
    assert p is not None
    assert sum(p) == 1
    assert p[0] > p[1]
    best = multiclass_minimiser(loss, [float(x) for x in p], starts=20, seed=3)[1][0]
    assert float(np.dot([float(x) for x in p], loss.values([0.0, 0.0, -1.0]))) <= best + SEARCHED


def test_no_posterior_is_found_for_a_consistent_loss() -> None:
    for formula in ("lse - fy", "sum_other(softplus(fk - fy))", "(q - 1)**2 + sum_other(qk**2)"):
        loss = from_formula(formula, classes=3)
        for scores in ((0, 0, -1), (0, 1, 0), (Fraction(-1, 2), Fraction(1, 3), 0)):
            assert posterior_for(loss, tuple(Fraction(x) for x in scores)) is None, (formula, scores)


def test_scores_away_from_a_kink_are_optimal_nowhere() -> None:
    loss = from_formula("lse - fy + sum_other(max(0, 1 - (fy - fk))) / 10", classes=3)
    assert posterior_for(loss, (Fraction(0), Fraction(0), Fraction(-1, 2))) is None


# -- slopes at ties ------------------------------------------------------------------------------------------------


def test_slopes_by_branches() -> None:
    with ctx.workprec(PRECISION):
        near = strip(s=("0", "1/10"), w2=("9/10", "11/10"))
        kinked = "where(w2 > 1, s, 2 * s) + max(w2 - 1, 0) + min(2 - 2 * w2, 0) / 2"
        tree = parse(kinked, frozenset({"s", "w2"}))
        assert vanishes(tree, near)  # the maxima cancel at every w2: one question, asked twice
        assert rises(parse("s * where(w2 > 1, 1, 2)", frozenset({"s", "w2"})), near)
        assert falls(parse("s - 1 + where(w2 > 1, s, -s)", frozenset({"s", "w2"})), near)
        assert not falls(parse("s - 1 + where(w2 > 1, 11 * s, -s)", frozenset({"s", "w2"})), near)
        for wrong in ("max(w2 - 1, 0)", "s**(1/2)", "s / s", "where(w2 > 1, 0, 1/100)", "(s**2)**(1/2) / s"):
            assert not vanishes(parse(wrong, frozenset({"s", "w2"})), near), wrong


# -- joined where --------------------------------------------------------------------------------------------------

JOINED = [
    "where(alpha > 1, 0, 1 - alpha)",
    "where(3 - 2 * fy <= 1, fy, 2 * fy - 1)",
    "where(fy - lse < -1, (lse - fy)**2, 2 * (lse - fy) - 1)",
    "where(q > 1/3, -log(q), 1 + log(3) - 3 * q)",
    "where(alpha > 1, 0, where(alpha < 1/2, 3/4 - alpha, (1 - alpha)**2))",
    "where(alpha > 0, 1 / (1 + exp(alpha)), 1/2 - alpha / 4)",
]
APART = [
    "where(alpha > 1, 0, 2 - alpha)",
    "where(alpha > 0, alpha * log(alpha), 0)",
    "where(alpha > 0, alpha**(1/2) / alpha**(1/2), 1)",
    "where(alpha**2 > 1, 1, alpha**2)",
    "where(q > 1/3, -log(q), 1 + log(2) - 3 * q)",
    "where(alpha > 0, log(fy) - log(fy), 0)",
]


@pytest.mark.parametrize("formula", JOINED)
def test_a_continuous_where_is_joined_and_stays_the_same(formula: str) -> None:
    tree = parse(formula, SCORE_NAMES)
    joined = join(tree)
    assert not any(isinstance(node, Where) for node in walk(joined))
    rng = random.Random(formula)
    f = np.array([[rng.gauss(0, 2) for _ in range(3)] for _ in range(400)])
    table = {"fy": f[:, 0], "alpha": f[:, 0] - f[:, 1:].max(1), "lse": np.log(np.exp(f).sum(1))}
    table["q"] = np.exp(table["fy"] - table["lse"])
    before, after = (evaluate_array(each, table) for each in (tree, joined))
    assert np.abs(before - after).max() < ROUNDING
    assert np.abs(before - evaluate_array(parse("0 * alpha + 1/7", SCORE_NAMES), table)).max() > ROUNDING


@pytest.mark.parametrize("formula", APART)
def test_a_where_that_may_jump_is_left_alone(formula: str) -> None:
    assert any(isinstance(node, Where) for node in walk(join(parse(formula, SCORE_NAMES))))


def test_a_jump_is_not_decided() -> None:
    loss: Loss = from_formula("where(alpha > 1, 0, 2 - alpha) + lse - fy", classes=3)
    verdict = prove(loss, classes=3)
    assert verdict.status == Status.UNDECIDED
    assert "where" in str(verdict.advice)


# -- a candidate must win, not tie, where the wrong class is the less likely one ---------------------------------


@settings(max_examples=20)
@given(first=st.fractions(0, 2, max_denominator=9), second=st.fractions(0, 2, max_denominator=9))
def test_a_candidate_that_only_ties_is_enough_at_a_tie_and_nowhere_else(first: Fraction, second: Fraction) -> None:
    one = cone("sum_other(max(0, 1 - (fy - fk)))", 3, "sum-zero")
    top = (2 * first + second) / 3
    scores = (top, top - first, top - first - second)
    box = spans((str(first), str(first)), (str(second), str(second)))  # the scores themselves: the lead is 0
    tie, strict = (tuple(map(Fraction, p)) for p in (("2/5", "2/5", "1/5"), ("3/10", "9/20", "1/4")))
    assert one.lead(tie, box, scores) == one.lead(strict, box, scores) == 0
    assert one.candidate(1, box, (tie,), scores)
    assert not one.candidate(1, box, (strict,), scores)
    assert not one.candidate(1, box, (tie, strict), scores)


def test_the_boxes_of_a_verdict_and_of_its_gap_are_added() -> None:
    found = theory.prove(from_formula("lse - fy", classes=3), classes=3, delta=Fraction(1, 2))
    assert found.certificate is not None
    both = dict(found.certificate)
    alone = {key: value for key, value in both.items() if key != "calibration_bound"}
    gap = {**both, "claim": "gap"}
    counts = [check(certificate) for certificate in (both, alone, gap)]
    assert all(count.valid for count in counts)
    assert counts[0].boxes == counts[1].boxes + counts[2].boxes
