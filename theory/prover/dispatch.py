"""One door for every kind of loss: `prove`."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from theory._asked import check_budget, check_classes, check_loss
from theory.expression import Number, exact
from theory.family import Family
from theory.losses import Loss
from theory.verdict import Status, Tier, Verdict

from .binary import prove_binary
from .families import lemma_verdict, settings
from .gap import read_delta, with_gap
from .multiclass import prove_multiclass


def prove(
    loss: Loss,
    *,
    classes: int | None = None,
    threshold: Number = Fraction(1, 2),
    delta: Number | None = None,
    boxes: int = 20_000,
    seconds: float = 60.0,
) -> Verdict:
    """Prove or refute that a loss is Fisher consistent.

    Binary losses (`classes` None or 2 with a binary formula): for every eta = P(Y = +1 | x) other
    than `threshold`, the infimum of the conditional risk over wrong scores, ties included, must be
    above its infimum. With `classes`, the multiclass formula is decided on the closed simplex: by a lemma where one
    fits (tier `symbolic`), else by a search (tier `certified`). The search ends UNDECIDED after `boxes` boxes or
    `seconds` seconds.

    With `classes` and `delta` (a number in (0, 1], or "default": 1/20 up to three classes, else 1/10), a PROVED
    verdict also has a certified `gap`: a lower bound of the calibration function where max p - p_j >= delta. That
    search may spend the budget once more, in boxes that cost less, so 50 times as many.

    Raises TypeError for what is not a Loss, or a number where one is due; ValueError for a budget, `delta`, `threshold`
    or `classes` out of range, or that do not go together.

    >>> from theory import catalogue
    >>> prove(catalogue.get("perceptron")).witness["score"]
    '0'
    """
    check_loss(loss)
    check_budget(boxes, seconds)
    if classes is not None:
        check_classes(classes)
    if classes is not None and (classes != 2 or loss.multiclass is not None):
        if exact(threshold) != Fraction(1, 2):
            raise ValueError(f"threshold={threshold} is for binary losses; leave it out for {classes} classes")
        epsilon = None if delta is None else read_delta(delta, classes)
        verdict = prove_multiclass(loss, classes, boxes=boxes, seconds=seconds, lemmas=epsilon is None)
        return verdict if epsilon is None else with_gap(verdict, loss, classes, epsilon, 50 * boxes, seconds)
    if delta is not None:
        raise ValueError(f"delta={delta} is for losses of several classes; name their number")
    verdict = prove_binary(loss, threshold=exact(threshold), boxes=boxes, seconds=seconds)
    if verdict.status is Status.UNDECIDED and exact(threshold) == Fraction(1, 2):
        return lemma_verdict(loss, boxes=boxes, seconds=seconds / 4) or verdict
    return verdict


def prove_family(
    family: Family, *, classes: int | str | None = None, boxes: int = 20_000, seconds: float = 60.0
) -> Verdict:
    """Prove that every member of a family is Fisher consistent, or refute that at one member.

    `classes` None is the binary formula, a number c the multiclass one, "all" every c >= 2. A proof has the tier
    `symbolic`: a lemma whose hypotheses are verified on the whole ranges. Without one, single members (the ends of the
    ranges and a few between) are refuted if they can be; otherwise the verdict is UNDECIDED.

    Raises ValueError for a budget or `classes` out of range, and for a family without such a formula.

    >>> from theory import Family
    >>> prove_family(Family("average-margin", {"mu": "[0, inf)", "tau": "(0, inf)"}), classes="all").scope
    'every c >= 2 and every posterior of the closed simplex; every mu in [0, inf), tau in (0, inf)'
    """
    check_budget(boxes, seconds)
    if classes not in (None, "all") and (not isinstance(classes, int) or classes < 2):
        raise ValueError(f"classes={classes!r} must be a number from 2 on, 'all', or None for the binary formula")
    if family.formula(classes) is None:
        missing = "binary formula; give the number of classes" if classes is None else "multiclass formula"
        raise ValueError(f"loss {family.name!r} has no {missing}")
    found = lemma_verdict(family, classes, boxes=boxes, seconds=seconds / 2)
    if found is not None:
        return found
    members = settings(family)
    counts = (2, 3) if classes == "all" else (classes,)
    share = seconds / 2 / (len(members) * len(counts))
    for values in members:
        for count in counts:
            member = family.member(values)
            verdict = prove(member, classes=count if isinstance(count, int) else None, boxes=boxes, seconds=share)
            if verdict.status is Status.REFUTED:
                return _refuted_at(family, values, count if classes == "all" else None, verdict)
    return Verdict(
        family.name,
        Status.UNDECIDED,
        Tier.SEARCHED,
        family.scope(classes),
        advice="no lemma of docs/theory/families.md was verified on the whole ranges, and no member that was tried was "
        "refuted: narrow the ranges, raise boxes and seconds, or prove single members",
    )


def _refuted_at(family: Family, values: dict[str, Fraction], classes: int | str | None, verdict: Verdict) -> Verdict:
    """The refutation of one member as one of the claim for all."""
    at = ", ".join(f"{name} = {value}" for name, value in values.items())
    parts = [part for part in (at, f"c = {classes}" if classes else "") if part]
    where = f"not every member: {', '.join(parts)}; {verdict.scope}" if parts else verdict.scope
    return replace(verdict, loss=family.name, scope=where)
