"""Search on the cone of sorted scores: branch and bound that writes certificates for `theory.checker.cone_proofs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np

from theory.checker.cone import Cell, Cone, Posterior, Span, first_cell, split_cell, split_spans
from theory.checker.cone_proofs import TreeRefused, not_below, wrong_risk
from theory.expression.interval import Interval, Undefined
from theory.losses import Loss
from theory.risk import multiclass_minimiser

from .budget import Budget, OutOfBudget

_ZERO = Fraction(0)
_DEEPEST = 40
Spans = tuple[Span, ...]
Rule = Callable[[Spans, Cell], list[Any] | None]
Chooser = Callable[[Spans, Cell], int | None]


class NotClosed(Exception):
    """A tree whose branches do not all end in a rule."""


def prove_on_cone(cone: Cone, loss: Loss, budget: Budget) -> dict[str, Any]:
    """Trees for every rank and lower bounds for every loss; NotClosed when some branch does not end."""

    def bounded(rank: int) -> Rule:
        return lambda spans, _: ["f"] if _holds(lambda: cone.floor(rank, spans)) else None

    floors = [_grow(cone, 0, (), bounded(rank), _widest, budget) for rank in range(cone.classes)]
    trees = []
    for m in range(1, cone.classes):
        scout = _Scout(cone, loss, m)
        trees.append(_grow(cone, m, first_cell(cone.classes, m), scout.rule, scout.choose, budget))
    return {"floors": floors, "trees": trees}


class _Scout:
    """Rules in order of cost, and float evidence for what to split."""

    def __init__(self, cone: Cone, loss: Loss, m: int) -> None:
        self.cone, self.loss, self.m = cone, loss, m
        self._candidates: dict[Cell, Posterior] = {}

    def rule(self, spans: Spans, cell: Cell) -> list[Any] | None:
        cone, m = self.cone, self.m
        if _holds(lambda: cone.exchange(m, spans)):
            return ["x"]
        if _holds(lambda: cone.tie(m, spans, cell)):
            return ["t"]
        scores = self._candidate(cell)
        if self._leads(spans, cell).min() > -1e-12 and _holds(lambda: cone.candidate(m, spans, cell, scores)):
            return ["c", [str(score) for score in scores]]
        return None

    def choose(self, spans: Spans, cell: Cell) -> int | None:
        """The gap to halve, or None to split the posteriors.

        Posteriors are split where swapping does not help at the middle of the box and no one candidate beats it.
        """
        if self._gain(spans) > 1e-9 or _extent(cell) <= Fraction(1, 64):
            return _widest(spans, cell)
        leads = self._leads(spans, cell)
        tied = np.array([x[0] == x[self.m] for x in cell])
        beaten = (leads >= np.where(tied, -1e-12, 1e-12)).all()
        return _widest(spans, cell) if beaten else None

    def _candidate(self, cell: Cell) -> Posterior:
        if cell not in self._candidates:
            centre = np.array([[float(sum(x[r] for x in cell)) / len(cell) for r in range(self.cone.classes)]])
            found, _ = multiclass_minimiser(self.loss, centre / centre.sum())
            self._candidates[cell] = _rational_scores(found[0], self.cone.domain)
        return self._candidates[cell]

    def _scores(self, spans: Spans) -> np.ndarray[Any, Any]:
        """The scores at the middle of the box, by rank."""
        middle = [_middle(name, span) for name, span in zip(self.cone.names, spans, strict=True)]
        top = middle[-1] if "a" in self.cone.names else 0.0
        scores = top - np.concatenate([[0.0], np.cumsum(middle[: self.cone.classes - 1])])
        return np.asarray(scores - scores.mean() if self.cone.domain == "sum-zero" else scores)

    def _gain(self, spans: Spans) -> float:
        """L_m - L_0 at the middle of the box, in floats."""
        values = self.loss.values(self._scores(spans))
        return float(np.nan_to_num(values[self.m] - values[0], nan=-1.0))

    def _leads(self, spans: Spans, cell: Cell) -> np.ndarray[Any, Any]:
        """C_x(middle of the box) - C_x(candidate) at the corners x of the cell, in floats."""
        scores = self._scores(spans)
        candidate = np.array([float(score) for score in self._candidate(cell)])
        values = self.loss.values(np.stack([scores, candidate]))
        corners = np.array([[float(x) for x in p] for p in cell])
        with np.errstate(all="ignore"):
            return np.asarray(np.nan_to_num(corners @ (values[0] - values[1]), nan=np.inf))


def _middle(name: str, span: Span) -> float:
    z = float(span[0] + span[1]) / 2
    return (z - 0.5) / (z * (1 - z)) if name == "a" else z / (1 - z)


def _extent(cell: Cell) -> Fraction:
    return max(abs(x[r] - y[r]) for x in cell for y in cell for r in range(len(x)))


def _widest(spans: Spans, _: Cell) -> int:
    return max(range(len(spans)), key=lambda axis: spans[axis][1] - spans[axis][0])


def _rational_scores(scores: np.ndarray[Any, Any], domain: str) -> Posterior:
    found = [Fraction(float(np.clip(score, -64, 64))).limit_denominator(64) for score in scores]
    if domain == "sum-zero":
        found[-1] -= sum(found)
    return tuple(found)


def _holds(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except Undefined:
        return False


def _grow(cone: Cone, m: int, cell: Cell, rule: Rule, choose: Chooser, budget: Budget) -> list[Any]:
    """The tree over all gaps and the cell whose leaves are what `rule` gives."""
    root: list[Any] = []
    pending: list[tuple[list[Any], Spans, Cell, int]] = [(root, cone.whole(), cell, 0)]
    while pending:
        node, spans, part, depth = pending.pop()
        budget.spend()
        leaf = rule(spans, part)
        if leaf is not None:
            node.extend(leaf)
            continue
        if depth >= _DEEPEST:
            raise NotClosed(f"no rule holds on the gaps {_show(cone, spans)}")
        axis = choose(spans, part)
        if axis is None:
            parts = split_cell(part, cone.classes, m)
            children: list[list[Any]] = [[] for _ in parts]
            node.extend(["p", *children])
            pending += [(child, spans, each, depth + 1) for child, each in zip(children, parts, strict=True)]
        else:
            left: list[Any] = []
            right: list[Any] = []
            node.extend(["w", axis, left, right])
            halves = split_spans(spans, axis)
            pending += [(child, half, part, depth + 1) for child, half in zip((left, right), halves, strict=True)]
    return root


def _show(cone: Cone, spans: Spans) -> str:
    box = cone.box(spans)
    return ", ".join(f"{name} in [{float(box[name].lo):.4g}, {float(box[name].hi):.4g}]" for name in cone.names)


# -- refutation ---------------------------------------------------------------------------------------------


def suspicious_posteriors(loss: Loss, classes: int) -> Iterator[tuple[Posterior, np.ndarray[Any, Any]]]:
    """Posteriors with class 0 likeliest at which floats see no gap for class 1 on top, with the wrong scores found.

    Near-ties far below any stated margin and faces of the simplex are among those tried.
    """
    trials = list(_trials(classes))
    p = np.array([[float(x) for x in each] for each in trials])
    _, best = multiclass_minimiser(loss, p, starts=6)
    wrong, value = multiclass_minimiser(loss, p, starts=6, top=1)
    gap = (value - best) / np.maximum(1.0, np.abs(best))
    face = np.array([min(each) == 0 for each in trials])
    for i in np.lexsort((gap, face)):
        if gap[i] <= 1e-9:
            yield trials[i], wrong[i]


def _trials(classes: int) -> Iterator[Posterior]:
    """Posteriors p_0 > p_1, ..., spread from clear to nearly tied, inside and on faces."""
    for size in range(2, classes + 1):
        for lead in (Fraction(1, 2), Fraction(1, 5), Fraction(1, 20), Fraction(1, 100), Fraction(1, 1000)):
            rest = [Fraction(1)] * size
            for tilt in (_ZERO, Fraction(1, 3)):
                weights = [rest[k] * (1 - tilt * Fraction(max(k - 1, 0), size)) for k in range(size)]
                weights[0] = weights[1] * (1 + lead)
                total = sum(weights)
                yield tuple(w / total for w in weights) + (_ZERO,) * (classes - size)


def refute_on_cone(cone: Cone, loss: Loss, budget: Budget) -> dict[str, Any] | None:
    """A posterior, wrong scores and trees for a certified counterexample; None when none was certified."""
    tried = 0
    for p, found in suspicious_posteriors(loss, cone.classes):
        for wrong in _wrong_scores(cone, loss, p, found):
            tried += 1
            if tried > 12:
                return None
            try:
                risk = wrong_risk(cone, p, wrong, Fraction)
                trees = [
                    _grow_refutation(cone, p, order, risk, budget) for order in permutations(range(1, cone.classes))
                ]
            except (NotClosed, Undefined, TreeRefused):
                continue
            except OutOfBudget:
                return None
            return {"p": [str(x) for x in p], "wrong": wrong, "trees": trees}
    return None


def _wrong_scores(cone: Cone, loss: Loss, p: Posterior, found: np.ndarray[Any, Any]) -> Iterator[dict[str, list[str]]]:
    """Rational score vectors near a float one with class 1 on top, the best first; or directions to infinity."""
    if "a" not in cone.names and cone.domain == "all":
        found = found - found[1]
    if np.abs(found).max() < 30:
        near = [scores for scores in _rounded(cone, found) if scores[1] == max(scores)]
        values = [loss.values([float(x) for x in scores]) for scores in near]
        risks = [round(float(np.dot([float(x) for x in p], value)), 7) for value in values]
        for k in sorted(range(len(near)), key=lambda k: (risks[k], k)):
            yield {"scores": [str(score) for score in near[k]]}
        return
    for steps in product((1, 0, -1, -2), repeat=cone.classes):
        if steps[1] == max(steps) > 0 and steps[0] > 0 and (cone.domain != "sum-zero" or sum(steps) == 0):
            yield {"direction": [str(step) for step in steps]}


def _rounded(cone: Cone, found: np.ndarray[Any, Any]) -> Iterator[Posterior]:
    """Score vectors of the domain near a float one, short ones first."""
    for size in (1, 8, 4096):
        scores = [Fraction(float(score)).limit_denominator(size) for score in found]
        if cone.domain == "sum-zero":
            others = [k for k in range(cone.classes) if scores[k] != max(scores)] or [cone.classes - 1]
            scores[others[-1]] -= sum(scores)
        yield tuple(scores)


def _grow_refutation(cone: Cone, p: Posterior, order: tuple[int, ...], risk: Interval, budget: Budget) -> list[Any]:
    ranked = (p[0], *(p[k] for k in order))

    def rule(spans: Spans, _: Cell) -> list[Any] | None:
        if _holds(lambda: cone.retracts(spans, ranked)):
            return ["r"]
        return ["v"] if _holds(lambda: not_below(cone, ranked, spans, risk)) else None

    return _grow(cone, 1, (), rule, _widest, budget)
