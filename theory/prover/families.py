"""Covers for the hypotheses of lemmas: untrusted search, verified by `theory.checker.lemmas` from the certificate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import isfinite
from typing import Any

import numpy as np
from flint import ctx

from theory.checker import FORMAT, PRECISION, VERSION, check
from theory.checker.covers import Box, Hypothesis, holds, leaf_of, whole_box
from theory.checker.lemmas import LEMMAS, Alternatives, Statement, hypotheses, make_statement
from theory.checker.ranges import Range
from theory.checker.reading import Refused
from theory.expression import Const, Expr, simplify, walk
from theory.expression.calculus import differentiate
from theory.expression.nodes import Call, Clip, Max, Min, Sub, Where, substitute
from theory.expression.rewrite import ZERO
from theory.family import Family
from theory.losses import Loss
from theory.verdict import Status, Tier, Verdict

from .budget import Budget, OutOfBudget

_MAX_DEPTH = 24
_SHARE = {False: 200, True: 2_000}
"""Leaves that the search may try for one hypothesis, without and with open ranges; with room to spare a few suffice.

Convexity by slopes has the smaller share too: it is tried on everything that is not convex by composition."""
_FAR = 2**12
"""Half-lines are not cut beyond."""
_NOISE = 1e-12
"""Rounding of a second difference, in units of the values."""
Cover = Any


def lemma_verdict(
    loss: Loss | Family, classes: int | str | None = None, *, boxes: int = 4_000, seconds: float = 20.0
) -> Verdict | None:
    """PROVED with tier `symbolic` where a lemma fits the loss, else None. No lemma refutes.

    `classes` None: the binary formula. A number c, or "all" for every c >= 2: the multiclass formula.

    >>> from theory import catalogue
    >>> verdict = lemma_verdict(catalogue.get("average-margin"), "all")
    >>> verdict.status.value, verdict.tier.value
    ('PROVED', 'symbolic')
    """
    family = loss if isinstance(loss, Family) else Family.of(loss)
    if family is None:
        return None
    formula = family.formula(classes)
    if formula is None:
        return None
    try:
        statement = make_statement(formula, family.ranges, classes, str(family.domain))
    except ValueError:
        return None
    budget = Budget(boxes, seconds)
    for lemma in LEMMAS:
        if lemma == "convex" and not _looks_convex(family, classes):
            continue
        with ctx.workprec(PRECISION):
            covers = _covers(lemma, statement, budget)
        if covers is None:
            continue
        certificate = _certificate(family, formula, classes, lemma, covers)
        if check(certificate).valid:
            return Verdict(family.name, Status.PROVED, Tier.SYMBOLIC, family.scope(classes), certificate=certificate)
    return None


def _looks_convex(family: Family, classes: int | str | None) -> bool:
    """Whether sampled members have second differences that floats cannot tell from nonnegative ones."""
    if classes is not None:
        return False
    limit = 8.0 if family.domain.bound is None else min(8.0, float(family.domain.bound))
    grid = np.linspace(-limit, limit, 161)
    for values in settings(family):
        with np.errstate(all="ignore"):
            phi = np.asarray(family.member(values).phi(grid), dtype=np.float64)
        if not np.isfinite(phi).all():
            continue
        if np.diff(phi, 2).min() < -_NOISE * (1 + np.abs(phi).max()):
            return False
    return True


def _certificate(
    family: Family, formula: str, classes: int | str | None, lemma: str, covers: Mapping[str, Cover]
) -> dict[str, Any]:
    kind = "binary" if classes is None else "multiclass"
    loss = {
        "name": family.name,
        kind: formula,
        "parameters": {name: str(r.value) for name, r in family.ranges.items() if r.value is not None},
        "ranges": {name: str(r) for name, r in family.ranges.items() if r.value is None},
        "domain": str(family.domain),
    }
    question = {"threshold": "1/2"} if classes is None else {"classes": classes}
    return {
        "format": FORMAT,
        "version": VERSION,
        "claim": "consistent",
        "method": "lemma",
        "lemma": lemma,
        "loss": loss,
        **question,
        "hypotheses": dict(covers),
    }


def _covers(lemma: str, statement: Statement, budget: Budget) -> dict[str, Cover] | None:
    """A cover for every hypothesis of a lemma, or None."""
    try:
        asked = hypotheses(lemma, statement)
    except (Refused, TypeError):
        return None
    found: dict[str, Cover] = {}
    for alternatives in sorted(asked, key=_quick_first):
        grown = next((pair for h in alternatives if (pair := _grow(h, statement, budget)) is not None), None)
        if grown is None:
            return None
        found[grown[0]] = grown[1]
    return found


def _quick_first(alternatives: Alternatives) -> bool:
    """Hypotheses at single points before those over an axis: they fail sooner."""
    return alternatives[0].low != alternatives[0].high


def _grow(hypothesis: Hypothesis, statement: Statement, budget: Budget) -> tuple[str, Cover] | None:
    tried, share = 0, _SHARE[bool(statement.ranges) and hypothesis.name != "convex by slopes"]

    def grow(box: Box, depth: int) -> Cover | None:
        nonlocal tried
        tried += 1
        budget.spend()
        if holds(hypothesis, leaf_of(hypothesis, statement.ranges, box)):
            return "."
        if depth >= _MAX_DEPTH or tried > share:
            return None
        cut = _cut(box, hypothesis, kinks, depth)
        if cut is None:
            return None
        name, at = cut
        halves = {"low": box | {name: (box[name][0], at)}, "high": box | {name: (at, box[name][1])}}
        covers: dict[str, Cover] = {}
        for side in ("high", "low"):  # half-lines first: where a lemma does not apply, it fails there soonest
            found = grow(halves[side], depth + 1)
            if found is None:
                return None
            covers[side] = found
        return {"split": name, "at": str(at), **covers}

    kinks = sorted({root for tree in hypothesis.trees for root in _kinks(tree, hypothesis.axis)})
    try:
        cover = grow(whole_box(hypothesis, statement.ranges), 0)
    except OutOfBudget:
        return None
    return None if cover is None else (hypothesis.name, cover)


def _kinks(tree: Expr, axis: str) -> Iterator[Fraction]:
    """Where two branches of the tree meet, as far as that is one known rational point of the axis."""
    for node in walk(tree):
        sides: list[tuple[Expr, Expr]] = []
        match node:
            case Max(u, v) | Min(u, v) | Where(_, u, v, _, _):
                sides = [(u, v)]
            case Clip(u, low, high):
                sides = [(u, low), (u, high)]
            case Call("abs", u):
                sides = [(u, ZERO)]
        for left, right in sides:
            try:
                slope = simplify(differentiate(Sub(left, right), axis))
            except TypeError:
                continue
            start = simplify(substitute(Sub(left, right), {axis: ZERO}))
            if isinstance(slope, Const) and isinstance(start, Const) and slope.value != 0:
                yield -start.value / slope.value


def _cut(box: Box, hypothesis: Hypothesis, kinks: list[Fraction], depth: int) -> tuple[str, Fraction] | None:
    """Where to split next: at a kink of the axis, else in the middle of the axis and the parameters in turn."""
    axis = hypothesis.axis
    inside = [kink for kink in kinks if box[axis][0] < kink < box[axis][1]]
    if inside:
        return axis, inside[len(inside) // 2]
    names = [name for name, (low, high) in box.items() if low < high]
    if not names:
        return None
    names.sort(key=lambda name: name != axis)
    name = names[depth % len(names)]
    at = _middle(*box[name])
    return (name, at) if isfinite(sum(box[name])) or abs(at) <= _FAR else None


def _middle(low: Fraction | float, high: Fraction | float) -> Fraction:
    if isfinite(low) and isfinite(high):
        return (Fraction(low) + Fraction(high)) / 2
    if isfinite(low):
        return max(2 * Fraction(low), Fraction(1)) if low >= 0 else Fraction(0)
    if isfinite(high):
        return min(2 * Fraction(high), Fraction(-1)) if high <= 0 else Fraction(0)
    return Fraction(0)


def settings(family: Family) -> list[dict[str, Fraction]]:
    """Members to try one by one: every range at its lower end, upper end and between, all together, and mixed."""
    choices = {name: _samples(r) for name, r in family.ranges.items()}
    if all(r.value is not None for r in family.ranges.values()):
        return [{name: values[0] for name, values in choices.items()}]
    rows = [{name: values[i % len(values)] for name, values in choices.items()} for i in range(3)]
    rows += [{name: values[(i + j) % len(values)] for j, (name, values) in enumerate(choices.items())} for i in (0, 1)]
    return [row for i, row in enumerate(rows) if row not in rows[:i]]


def _samples(r: Range) -> list[Fraction]:
    """A value between the ends, then one at or near each end."""
    if r.value is not None:
        return [r.value]
    low = Fraction(r.low) if isfinite(r.low) else None
    high = Fraction(r.high) if isfinite(r.high) else None
    start = low if low is not None else (Fraction(-8) if high is None else high - 8)
    stop = high if high is not None else start + 8
    inner = [start + (stop - start) * share for share in (Fraction(3, 8), Fraction(1, 16), Fraction(15, 16))]
    found = [inner[0], start if r.contains(start) else inner[1], stop if r.contains(stop) else inner[2]]
    return [value for value in found if r.contains(value)]
