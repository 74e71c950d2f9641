"""The bounds of the calibration function of one loss on the cone of sorted scores, verified before they are given."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from theory.checker import FORMAT, VERSION, check
from theory.checker.cone import Cone, Posterior, Span, split_spans
from theory.checker.cone_gap import GapRules, gap_cells, posterior_orders, risk_from_above
from theory.checker.cone_tables import UNIT
from theory.losses import Loss

from .budget import Budget, OutOfBudget
from .cone_gap import GapSearch, GapTooLarge, Splits
from .gap_floats import Ground, as_array, least_gap
from .gap_pieces import grow_apart

_SHARES = (Fraction(1), Fraction(3, 5), Fraction(1, 4))
"""What part of the gap first aimed at is tried, one after the other."""
_SLACKS = (Fraction(1, 100), Fraction(1, 40), Fraction(1, 10))
"""How far below the searched infimum the level of an upper bound is set, in parts of the gap; the first that closes."""
_LEVEL_BOXES = 5000
"""Boxes that the trees of one level may take."""
_TINY = 1e-9
"""Searched gaps below it count as none."""


@dataclass(frozen=True)
class GapBound:
    """Bounds of delta(eps) = inf { inf { C_p(f): f_j = max f } - inf C_p : max p - p_j >= eps }, in units of the loss.

    `lower`    certified; 0 where nothing was proved (then `certificate` is None and `advice` says why)
    `upper`    certified (`upper_tier`), a Fraction that the certificate contains; or searched, a float
    `witness`  the posterior, wrong scores and wrong class behind the upper bound
    `searched` the least gap that the float search found
    """

    loss: str
    classes: int
    eps: Fraction
    lower: Fraction
    upper: Fraction | float
    upper_tier: str
    searched: float
    method: str
    witness: dict[str, Any] | None = None
    certificate: dict[str, Any] | None = field(default=None, repr=False)
    advice: str | None = None
    boxes: int = 0


def no_bound(loss: Loss, classes: int, epsilon: Fraction, advice: str) -> GapBound:
    return GapBound(loss.name, classes, epsilon, Fraction(0), math.inf, "none", math.inf, "none", advice=advice)


class GapProof:
    """The bounds of one loss that is not piecewise linear."""

    def __init__(
        self, loss: Loss, classes: int, epsilon: Fraction, share: Fraction, budget: Budget, processes: int
    ) -> None:
        self.loss, self.classes, self.epsilon, self.share = loss, classes, epsilon, share
        self.budget, self.processes = budget, processes
        self.cone = Cone(loss.score_tree, classes, loss.domain.kind)
        self.where = {"loss": loss.name, "classes": classes, "eps": epsilon, "method": "cone"}

    def bound(self, upper: bool) -> GapBound:
        """Both bounds, verified by the checker."""
        loss, classes = self.loss, self.classes
        if self.cone.jumps:
            return no_bound(loss, classes, self.epsilon, "the loss may jump; write it with max, min and clip")
        self.rules = GapRules(self.cone)
        try:
            floors = [
                self._boxes("f", lambda spans, rank=rank: self.rules.tables.is_real(rank, spans), self.budget)  # type: ignore[misc]
                for rank in self.cone.ranks
            ]
        except (OutOfBudget, GapTooLarge):
            return no_bound(loss, classes, self.epsilon, "the loss could not be bounded below on all scores")
        ordered = self._ordered()
        self.ground = Ground(loss, classes, "a" in self.cone.names, ordered is not None)
        searched, x = least_gap(self.ground, self.epsilon, ordered is not None)
        block = {"epsilon": str(self.epsilon), "floors": floors, "ordered": ordered}
        found = self._upper(x, searched, ordered is not None) if upper else None
        value = Fraction(found["value"]) if found is not None else searched
        tier = "searched" if found is None else "certified"
        witness = None if found is None else {"p": found["p"], "scores": found["scores"], "wrong_class": 0}
        proof, advice = self._lower(searched, ordered is not None)
        gap, certificate = Fraction(0), None
        if proof is not None:
            block |= proof | {"upper": found}
            header = {"format": FORMAT, "version": VERSION, "loss": loss.to_dict(), "classes": classes}
            certificate = header | {"method": "cone", "claim": "gap", "calibration_bound": block}
            result = check(certificate)
            if result.valid:
                gap = Fraction(proof["gap"])
            else:
                certificate, advice = None, f"the certificate was refused: {result.reason}"
        parts = (gap, value, tier, searched, "cone", witness, certificate, advice, self.budget.spent)
        return GapBound(loss.name, classes, self.epsilon, *parts)

    # -- trees over boxes of gaps -----------------------------------------------------------------------------

    def _boxes(
        self,
        leaf: str,
        holds: Callable[[tuple[Span, ...]], bool],
        budget: Budget,
        choose: Callable[[tuple[Span, ...]], int] | None = None,
    ) -> list[Any]:
        """A tree over all gaps whose leaves hold."""
        root: list[Any] = []
        pending = [(root, self.cone.whole(), 0)]
        while pending:
            node, spans, depth = pending.pop()
            budget.spend()
            if _certainly(holds, spans):
                node.append(leaf)
                continue
            if depth >= 80:
                raise GapTooLarge("boxes have become too small")
            axis = max(range(len(spans)), key=lambda i: spans[i][1] - spans[i][0]) if choose is None else choose(spans)
            halves: list[list[Any]] = [[], []]
            node.extend(["w", axis, *halves])
            pending += [(out, half, depth + 1) for out, half in zip(halves, split_spans(spans, axis), strict=True)]
        return root

    def _ordered(self) -> list[Any] | None:
        """Trees which show that the losses rise with the rank; None where floats or a short search say no."""
        values = Ground(self.loss, self.classes, "a" in self.cone.names, True).values
        if (np.diff(values, axis=1) < -1e-9 * np.maximum(1.0, np.abs(values[:, :-1]))).any():
            return None
        budget = Budget(min(2000, self.budget.boxes), self.budget.seconds / 10)
        try:
            return [
                self._boxes("o", lambda spans, r=r: self.rules.tables.rises(r, spans), budget)  # type: ignore[misc]
                for r in range(self.classes - 1)
            ]
        except (OutOfBudget, GapTooLarge):
            return None

    # -- the upper bound --------------------------------------------------------------------------------------

    def _upper(self, x: Posterior, gap: float, ordered: bool) -> dict[str, Any] | None:
        """A posterior by rank, wrong scores with rank 0 on top, and trees that bound inf C_x from below."""
        points, _ = self.ground.wrong(as_array([x]))
        scores = self._exact_scores(points)
        weights, size = self.rules.weights(x)
        cost = risk_from_above(weights, self.rules.tables.losses_from_above(scores))
        if cost is None or not gap > _TINY:
            return None
        least = float(self.ground.best(as_array([x]))[1][0])
        texts = {"p": [str(share) for share in x], "scores": [str(score) for score in scores]}
        for slack in _SLACKS:
            level = _short(Fraction(least) - slack * Fraction(gap), gap, -1)
            value = _short(Fraction(cost, size * UNIT) - level, gap, 1)
            budget = Budget(min(_LEVEL_BOXES, self.budget.boxes), self.budget.seconds / 10)
            with suppress(OutOfBudget, GapTooLarge):
                trees = [self._level(ranked, level, budget) for ranked in posterior_orders(x, ordered)]
                return texts | {"value": str(value), "level": str(level), "trees": trees}
        return None

    def _level(self, ranked: Posterior, level: Fraction, budget: Budget) -> list[Any]:
        splits = Splits(self.rules, self.ground)

        def worst(spans: tuple[Span, ...]) -> int:
            return splits.axis(spans, ranked, splits.error(spans, ranked))

        return self._boxes("v", lambda spans: self.rules.above(ranked, spans, level), budget, worst)

    def _exact_scores(self, points: np.ndarray[Any, Any]) -> Posterior:
        """Rational scores by rank at a float point; gaps of 0 stay 0."""
        gaps = [Fraction(float(gap)).limit_denominator(10**6) for gap in points[0]]
        top = gaps.pop() if "a" in self.cone.names else Fraction(0)
        scores = [top - sum(gaps[:r], Fraction(0)) for r in self.cone.ranks]
        shift = sum(scores, Fraction(0)) / self.classes if self.loss.domain.kind == "sum-zero" else Fraction(0)
        return tuple(score - shift for score in scores)

    # -- the lower bound --------------------------------------------------------------------------------------

    def _lower(self, searched: float, ordered: bool) -> tuple[dict[str, Any] | None, str | None]:
        """Gap, candidates and trees; or None and what to do."""
        if not searched > _TINY:
            return None, f"floats see no gap (searched {searched:.3g}), so none is to be certified"
        reason = ""
        for part in _SHARES:
            gap = _short(Fraction(searched) * self.share * part, searched, -1)
            try:
                return self._trees(gap, ordered), None
            except OutOfBudget:
                spent = f"{self.budget.spent} boxes"
                return (
                    None,
                    f"out of budget after {spent}; raise boxes={self.budget.boxes} or seconds={self.budget.seconds:g}",
                )
            except GapTooLarge as failure:
                reason = str(failure)
        return None, f"the proof does not close: {reason}"

    def _trees(self, gap: Fraction, ordered: bool) -> dict[str, Any]:
        ranks = [1] if ordered else range(1, self.classes)
        roots = [(m, cell) for m in ranks for cell in gap_cells(self.classes, m, self.epsilon, ordered)]
        if self.processes == 1:
            search = GapSearch(self.cone, self.ground, gap, self.budget, self.rules)
            grown = [search.grow(m, cell) for m, cell in roots]
            used = search.used
        else:
            grown, used = grow_apart(self.loss, self.classes, gap, ordered, roots, self.budget, self.processes)
        trees = [[tree for (m, _), tree in zip(roots, grown, strict=True) if m == rank] for rank in ranks]
        scores = [[str(score) for score in each] for each in used]
        return {"gap": str(gap), "candidates": scores, "trees": trees}


def _certainly(holds: Callable[[tuple[Span, ...]], bool], spans: tuple[Span, ...]) -> bool:
    try:
        return holds(spans)
    except ArithmeticError:
        return False


def _short(value: Fraction, scale: float, side: int) -> Fraction:
    """A decimal near the value, not above it (side -1) or not below it (side 1), to a thousandth of the scale."""
    digits = 10 ** max(0, 3 - math.floor(math.log10(scale)))
    return Fraction(math.floor(value * digits) if side < 0 else math.ceil(value * digits), digits)
