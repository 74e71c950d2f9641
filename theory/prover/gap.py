"""Certified bounds of the calibration function of a loss of several classes at one epsilon: `multiclass_gap`."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import nextafter

from flint import ctx

from theory._asked import check_budget, check_classes, check_loss
from theory.checker import PRECISION
from theory.checker.arrangement import Arrangement, NotPolyhedral, arrange
from theory.checker.polyhedral_rules import unbounded_label
from theory.expression import Number, exact
from theory.losses import Loss
from theory.verdict import Status, Verdict

from .budget import Budget
from .gap_proof import GapBound as GapBound
from .gap_proof import GapProof, no_bound
from .multiclass import MAX_CLASSES, prove_multiclass
from .polyhedral_gap import polyhedral_witness


def multiclass_gap(
    loss: Loss,
    classes: int,
    eps: Number,
    *,
    boxes: int = 1_000_000,
    seconds: float = 300.0,
    share: Number = Fraction(9, 10),
    upper: bool = True,
    processes: int = 1,
) -> GapBound:
    """Bounds of the calibration function delta at eps in (0, 1], over the closed simplex.

    delta(eps) is the infimum over all posteriors p and classes j with max p - p_j >= eps of
    inf { C_p(f): f_j = max f } - inf C_p. For piecewise linear losses the lower bound is kappa * eps
    (docs/theory/lemmas.md, Lemma 15), for others a branch and bound over posteriors and sorted scores
    (docs/theory/calibration_multiclass.md). `share` is the part of the searched delta(eps) that the proof aims at:
    closer to 1 costs more. With `upper`, the certificate holds an upper bound too. The search ends after `boxes`
    boxes or `seconds` seconds, then with lower = 0 and an advice. `processes` > 1 starts fresh processes, so a script
    must guard its main part with `if __name__ == "__main__"`.

    Raises ValueError for eps outside (0, 1], share outside (0, 1), classes outside 2, ..., 6, or a budget that is not
    positive; TypeError for what is not a Loss, or a number where one is due.

    >>> from math import log
    >>> from theory import catalogue
    >>> found = multiclass_gap(catalogue.get("cross-entropy"), 3, 1)
    >>> float(found.lower) <= log(2) <= float(found.upper)
    True
    """
    check_loss(loss)
    epsilon, part = exact(eps), exact(share)
    if not 0 < epsilon <= 1:
        raise ValueError(f"eps={eps} must lie in (0, 1]")
    if not 0 < part < 1:
        raise ValueError(f"share={share} must lie strictly between 0 and 1")
    check_budget(boxes, seconds, processes=processes)
    check_classes(classes, MAX_CLASSES)
    if loss.multiclass is None:
        raise ValueError(f"loss {loss.name!r} has no multiclass formula")
    budget = Budget(boxes, seconds)
    try:
        vectors = {name: value for name, value in loss.parameters.items() if isinstance(value, tuple)}
        found = arrange(loss.score_tree, classes, loss.domain.kind, loss.domain.bound, vectors)
    except NotPolyhedral as reason:
        if vectors or loss.domain.bound is not None:
            return no_bound(loss, classes, epsilon, f"{reason}; vector parameters and bounded scores need such a loss")
        with ctx.workprec(PRECISION):
            return GapProof(loss, classes, epsilon, part, budget, processes).bound(upper)
    return _polyhedral(loss, found, not vectors, epsilon, budget)


def _polyhedral(loss: Loss, found: Arrangement, symmetric: bool, epsilon: Fraction, budget: Budget) -> GapBound:
    """kappa * eps from the certificate of consistency; above it the exact gap at one posterior."""
    classes = found.classes
    verdict = prove_multiclass(loss, classes, budget.boxes, budget.seconds)
    kappa = Fraction(0)
    if verdict.status is Status.PROVED and verdict.certificate is not None:
        kappa = Fraction(verdict.certificate["kappa"])
    witness = None if unbounded_label(found) is not None else polyhedral_witness(found, epsilon, symmetric)
    if witness is None:
        return no_bound(loss, classes, epsilon, verdict.advice or "the risk is unbounded below")
    value, p, scores, wrong = witness
    shown = {"p": [str(x) for x in p], "scores": [str(x) for x in scores], "wrong_class": wrong}
    advice = verdict.advice if kappa else "no linear bound: " + (verdict.advice or verdict.scope)
    certificate = verdict.certificate if kappa else None
    return GapBound(
        loss.name,
        classes,
        epsilon,
        kappa * epsilon,
        value,
        "exact",
        float(value),
        "polyhedral",
        shown,
        certificate,
        advice,
    )


def with_gap(verdict: Verdict, loss: Loss, classes: int, epsilon: Fraction, boxes: int, seconds: float) -> Verdict:
    """A PROVED verdict with a certified lower bound of the calibration function at epsilon, and its certificate.

    Where the bound is not reached the verdict stays what it is, and its advice says so.
    """
    if verdict.status is not Status.PROVED or verdict.certificate is None:
        return verdict
    found = multiclass_gap(loss, classes, epsilon, boxes=boxes, seconds=seconds, upper=False)
    if found.certificate is None:
        return replace(verdict, advice=f"no gap at delta = {epsilon}: {found.advice}")
    certificate = verdict.certificate
    if "calibration_bound" in found.certificate:
        certificate = certificate | {"calibration_bound": found.certificate["calibration_bound"]}
    return replace(verdict, gap=_below(found.lower), gap_region=f"max p - p_j >= {epsilon}", certificate=certificate)


def read_delta(delta: Number, classes: int) -> Fraction:
    """The number; "default" stands for 1/20 up to three classes, 1/10 beyond. ValueError outside (0, 1]."""
    if delta == "default":
        return Fraction(1, 20) if classes <= 3 else Fraction(1, 10)
    if not 0 < exact(delta) <= 1:
        raise ValueError(f"delta={delta} must lie in (0, 1]")
    return exact(delta)


def _below(value: Fraction) -> float:
    """The largest float that is not above."""
    near = float(value)
    return near if Fraction(near) <= value else nextafter(near, 0.0)
