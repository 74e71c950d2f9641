"""The multiclass prover: which method decides a loss, and the verdict it gives."""

from __future__ import annotations

from typing import Any

from flint import ctx

from theory._asked import check_classes
from theory.checker import FORMAT, PRECISION, VERSION, check
from theory.checker.arrangement import Arrangement, NotPolyhedral, arrange
from theory.checker.cone import Cone
from theory.checker.polyhedral_rules import Posterior, Weights, distinct_losses, unbounded_label
from theory.expression.join import join
from theory.losses import Loss
from theory.verdict import Status, Tier, Verdict

from .branching import NotClosed, grow_floors, prove_on_cone
from .budget import Budget, OutOfBudget
from .cone_refuting import LEADS, refute_on_cone, refute_where_open, unbounded_direction
from .families import lemma_verdict
from .polyhedral import Decision, decide

MAX_CLASSES = 6
SEARCHED = (
    "a float search for counterexamples over the closed simplex, faces and leads (p_0 - p_1) / p_1 down to "
    f"{min(LEADS)} included, found none that could be certified"
)


def prove_multiclass(
    loss: Loss, classes: int, boxes: int = 20_000, seconds: float = 60.0, *, lemmas: bool = True
) -> Verdict:
    """Prove or refute that a loss of `classes` classes is Fisher consistent on the closed simplex.

    Piecewise-linear losses are decided exactly (`theory.prover.polyhedral`), others by a lemma
    (`theory.prover.families`, tier `symbolic`; not with `lemmas=False`) or by branch and bound on the cone of sorted
    scores (`theory.prover.branching`); always for every posterior, near-ties and faces included.
    """
    if classes > MAX_CLASSES and lemmas and (proved := lemma_verdict(loss, classes, seconds=seconds)) is not None:
        return proved
    check_classes(classes, MAX_CLASSES)
    vectors = {name: value for name, value in loss.parameters.items() if isinstance(value, tuple)}
    for name, value in vectors.items():
        if len(value) != classes:
            raise ValueError(f"parameter {name!r} has {len(value)} entries; it must have one per class, {classes}")
    try:
        found = arrange(join(loss.score_tree), classes, loss.domain.kind, loss.domain.bound, vectors)
    except NotPolyhedral as reason:
        if vectors:
            return _undecided(loss, classes, f"{reason}; vector parameters need such a loss so far")
        proved = lemma_verdict(loss, classes, seconds=min(20.0, seconds / 4)) if lemmas else None
        return proved or _prove_on_cone(loss, classes, Budget(boxes, seconds))
    label = unbounded_label(found)
    if label is not None:
        where = f"the conditional risk is unbounded below where class {label} is certain"
        return _undecided(loss, classes, f"no verdict: {where}; bound the scores, as in domain bounded:2")
    return _verdict(loss, found, decide(found, symmetric=not vectors))


def _prove_on_cone(loss: Loss, classes: int, budget: Budget) -> Verdict:
    header = {"format": FORMAT, "version": VERSION, "loss": loss.to_dict(), "classes": classes, "method": "cone"}
    with ctx.workprec(PRECISION):
        cone = Cone(loss.score_tree, classes, loss.domain.kind, loss.domain.bound)
        if cone.jumps:
            advice = "of several classes only losses whose `where` is seen to be continuous are decided"
            return _undecided(loss, classes, f"{advice}; write it with max, min and clip")
        try:
            floors = grow_floors(cone, Budget(budget.boxes // 4, budget.seconds / 3))
        except (OutOfBudget, NotClosed) as failure:
            return _undecided(loss, classes, _not_bounded(cone, loss, failure))
        try:
            refutation = refute_on_cone(cone, loss, Budget(budget.boxes // 5, budget.seconds / 2))
            proof = None if refutation is not None else prove_on_cone(cone, loss, budget)
        except OutOfBudget:
            advice = (
                f"out of budget after {budget.spent} boxes; raise boxes={budget.boxes} or seconds={budget.seconds:g}"
            )
            return _undecided(loss, classes, advice)
        except NotClosed as failure:
            proof = None
            refutation = refute_where_open(cone, loss, failure, Budget(budget.boxes // 5, budget.seconds / 4))
            if refutation is None:
                return _undecided(
                    loss, classes, f"no counterexample was certified, and the proof does not close: {failure}"
                )
    header["floors"] = floors
    if refutation is not None:
        verdict = _refuted_on_cone(loss, header, refutation)
    else:
        scope = (
            f"every posterior of the closed simplex and every class j with p_j < max p; {classes} classes; "
            f"{loss.domain.words}; {SEARCHED}"
        )
        certificate = header | {"claim": "consistent", "trees": proof}
        verdict = Verdict(loss.name, Status.PROVED, Tier.CERTIFIED, scope, certificate=certificate)
    result = check(verdict.certificate or {})
    return verdict if result.valid else _undecided(loss, classes, f"the certificate was refused: {result.reason}")


def _not_bounded(cone: Cone, loss: Loss, failure: Exception) -> str:
    """Why there is no verdict on a loss without a certified lower bound."""
    falling = unbounded_direction(cone, loss)
    if falling is None and isinstance(failure, OutOfBudget):
        return "out of budget before a lower bound of the loss was certified; raise boxes or seconds"
    if falling is None:
        reason = "a lower bound of the loss was not certified; is it real and bounded below on the whole domain?"
        return f"{reason} {failure}".strip()
    along = "(" + ", ".join(map(str, falling)) + ")"
    where = f"the conditional risk is unbounded below where class 0 is certain, along the scores t {along}"
    return f"no verdict: {where}; bound the scores, as in domain bounded:2"


def _refuted_on_cone(loss: Loss, header: dict[str, Any], refutation: dict[str, Any]) -> Verdict:
    p, wrong = refutation["p"], refutation["wrong"]
    at = "limit" if "direction" in wrong else "attained"
    if _has_leaf(refutation["trees"], "r", "s"):
        at = "ties"  # no correct score is below the infimum over tied ones, which these scores approach
    scores = wrong.get("direction", wrong.get("scores"))
    witness = {"p": p, "scores": scores, "wrong_class": 1, "at": at}
    scope = (
        f"refuted at p = ({', '.join(p)}): wrong scores, ties included, are as good as correct ones; "
        f"{header['classes']} classes; {loss.domain.words}"
    )
    if "0" in p:
        scope += "; consistent on the interior as far as searched: no failure found where all p_k > 0"
    certificate = header | {"claim": "inconsistent"} | refutation
    return Verdict(loss.name, Status.REFUTED, Tier.CERTIFIED, scope, 0.0, "at the witness", witness, certificate)


def _has_leaf(tree: Any, *rules: str) -> bool:
    """True where a certificate tree has a leaf with one of the given rules."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if len(node) == 1 and node[0] in rules:
            return True
        pending += [child for child in node if isinstance(child, list)]
    return False


def _undecided(loss: Loss, classes: int, advice: str) -> Verdict:
    scope = f"{classes} classes; {loss.domain.words}"
    return Verdict(loss.name, Status.UNDECIDED, Tier.SEARCHED, scope, advice=advice)


def _verdict(loss: Loss, found: Arrangement, decision: Decision) -> Verdict:
    where = f"{found.classes} classes; {loss.domain.words}"
    header = {"format": FORMAT, "version": VERSION, "loss": loss.to_dict(), "classes": found.classes}
    certificate: dict[str, Any]
    if decision.kappa is not None and decision.kappa > 0:
        losses, _ = distinct_losses(found)
        entries = [_entry(losses, each) for each in decision.weights]
        certificate = header | {"claim": "consistent", "kappa": str(decision.kappa), "weights": entries}
        verdict = Verdict(
            loss.name,
            Status.PROVED,
            Tier.CERTIFIED,
            f"every posterior of the closed simplex and every class j with p_j < max p; {where}",
            float(decision.kappa),
            "per unit of max p - p_j, at every posterior",
            certificate=certificate,
        )
    elif decision.p is not None and decision.wrong is not None:
        p, scores = [str(x) for x in decision.p], [str(x) for x in decision.wrong.scores]
        certificate = header | {"claim": "inconsistent", "p": p, "scores": scores}
        interior = (
            "; consistent on the interior as far as searched: no failure found where all p_k > 0"
            if decision.interior_consistent
            else ""
        )
        verdict = Verdict(
            loss.name,
            Status.REFUTED,
            Tier.CERTIFIED,
            f"refuted at p = ({', '.join(p)}): wrong class {decision.label} on top is optimal; {where}{interior}",
            0.0,
            "at the witness",
            {"p": p, "scores": scores, "wrong_class": decision.label, "at": "attained"},
            certificate,
        )
    else:
        return _undecided(loss, found.classes, "rounding the exact weights failed; please report this loss")
    result = check(certificate)
    return verdict if result.valid else _undecided(loss, found.classes, f"the certificate was refused: {result.reason}")


def _entry(losses: list[Posterior], weights: Weights) -> dict[str, Any]:
    beaten = [{"losses": [str(x) for x in losses[v]], "weight": str(x)} for v, x in weights.weights.items()]
    wrong = [str(x) for x in losses[weights.wrong]]
    return {"best": weights.best, "rival": weights.rival, "losses": wrong, "beaten_by": beaten}
