"""Search for certificates of calibration functions: branch and bound over cells of posteriors and boxes of gaps.

Level by level, so that the float minimisers of all new posteriors are found at once. At each pair of cell and box the
larger of two errors is split: what the candidate loses because the posteriors of the cell differ, and what the bound
on the box loses because slopes are not constant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from theory.checker.cone import Cell, Cone, Posterior, Span, split_cell, split_spans
from theory.checker.cone_gap import GapRules, risk_from_above
from theory.checker.cone_tables import UNIT, BoxBounds

from .budget import Budget
from .gap_floats import Ground, as_array

Spans = tuple[Span, ...]
_DEEPEST = 120
_KEPT = 20_000
_COARSE = 1e-3
"""Where a float minimiser stops: its risk is then good to about a millionth."""


class GapTooLarge(Exception):
    """A posterior and a box at which floats see less than the gap that is aimed at, or no rule can be expected."""


@dataclass
class _Node:
    """A tree under construction and where it stands."""

    out: list[Any]
    spans: Spans
    cell: Cell
    depth: int


@dataclass
class _Candidate:
    scores: Posterior
    above: list[int | None]
    number: int | None = None
    costs: dict[Posterior, float] = field(default_factory=dict)


class Splits:
    """Float evidence about boxes of gaps: losses at a few points, and which gap to halve."""

    def __init__(self, rules: GapRules, ground: Ground) -> None:
        self.cone, self.rules, self.ground = rules.cone, rules, ground
        self._samples: dict[Spans, np.ndarray[Any, Any]] = {}

    def sample(self, spans: Spans) -> np.ndarray[Any, Any]:
        """The losses of all ranks at the ends and the middle of the box in each coordinate, (3^n, c)."""
        found = self._samples.get(spans)
        if found is None:
            axes = []
            for name, (low, high) in zip(self.cone.names, spans, strict=True):
                axes.append([_stretch(float(z), name == "a") for z in (low, (low + high) / 2, high)])
            points = np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=-1)
            if len(self._samples) > _KEPT:
                self._samples.clear()
            found = self._samples[spans] = self.ground.losses(points)
        return found

    def _spread(self, samples: np.ndarray[Any, Any], x: Posterior) -> np.ndarray[Any, Any]:
        """How much the losses change along each coordinate: shares of the sum, none below a tenth of an even one."""
        weights = np.array([float(share) for share in x])
        cube = np.minimum(samples, 1e6).reshape(*[3] * len(self.cone.names), -1)
        found = np.array([np.ptp(cube, axis=i).reshape(-1, len(x)).max(axis=0) @ weights for i in range(cube.ndim - 1)])
        return np.asarray(found / max(found.sum(), 1e-300) + 0.1 / len(found))

    def axis(self, spans: Spans, x: Posterior, error: float) -> int:
        """The gap to halve where the bound of C_x on a box is `error` below what its points show."""
        weights, size = self.rules.weights(x)
        found = self.rules.tables.at(spans).risk(weights)
        price = [_ratio(paid or 0, size * UNIT) for paid in found.price]
        apart = [i for i, paid in enumerate(found.price) if paid is None]
        if apart and error - sum(price) >= max(price):
            spread = self._spread(self.sample(spans), x)
            return max(apart, key=lambda i: (spread[i] * float(_width(spans, i)), -i))
        return max(range(len(price)), key=lambda i: (price[i], _width(spans, i)))

    def error(self, spans: Spans, x: Posterior) -> float:
        """How far the bound of C_x on a box is below its least value at the sampled points."""
        weights, size = self.rules.weights(x)
        low = self.rules.tables.at(spans).risk(weights).total
        if low is None:
            return np.inf
        return max(float((self.sample(spans) @ as_array([x])[0]).min()) - _ratio(low, size * UNIT), 0.0)


class GapSearch:
    """The search for one gap; candidates that are used are numbered for the certificate."""

    def __init__(
        self, cone: Cone, ground: Ground, gap: Fraction, budget: Budget, rules: GapRules | None = None
    ) -> None:
        self.cone, self.ground, self.gap, self.budget = cone, ground, gap, budget
        self.rules = GapRules(cone) if rules is None else rules
        self.used: list[Posterior] = []
        self._candidates: dict[Cell, _Candidate] = {}
        self._least: dict[Posterior, float] = {}
        self.splits = Splits(self.rules, ground)
        self._grain = 2 ** max(3, int(np.ceil(2 - np.log2(float(gap)) / 2)))

    def grow(self, m: int, cell: Cell) -> list[Any]:
        """The tree over all gaps and one cell; GapTooLarge when some branch cannot end, OutOfBudget when spent."""
        root: list[Any] = []
        level = [_Node(root, self.cone.whole(), cell, 0)]
        while level:
            self._prepare([node.cell for node in level])
            level = [child for node in level for child in self._settle(m, node)]
        return root

    def _prepare(self, cells: list[Cell]) -> None:
        """Candidates of new cells, and least risks at their corners."""
        fresh = sorted(set(cells) - self._candidates.keys())
        if not fresh:
            return
        corners = sorted({x for cell in fresh for x in cell} - self._least.keys())
        centres = np.array([as_array(cell).mean(axis=0) for cell in fresh])
        scores, _ = self.ground.best(centres, _COARSE)
        for cell, found in zip(fresh, scores, strict=True):
            exact = self._rational(found)
            self._candidates[cell] = _Candidate(exact, self.rules.tables.losses_from_above(exact))
        if corners:
            self._least |= zip(corners, self.ground.best(as_array(corners), _COARSE)[1].tolist(), strict=True)

    def _rational(self, scores: np.ndarray[Any, Any]) -> Posterior:
        found = [Fraction(round(float(score) * self._grain), self._grain) for score in scores]
        if self.cone.domain == "sum-zero":
            found[-1] -= sum(found)
        elif "a" not in self.cone.names:
            found = [score - max(found) for score in found]
        return tuple(found)

    def _settle(self, m: int, node: _Node) -> list[_Node]:
        """End the node with a rule, or split it."""
        self.budget.spend()
        spans, cell, gap = node.spans, node.cell, float(self.gap)
        bounds = self.rules.tables.at(spans)
        if self.rules.exchange(m, spans, cell, self.gap):
            node.out.append("x")
            return []
        candidate = self._candidates[cell]
        worst, least = cell[0], np.inf
        for x in cell:
            lead = self._lead(x, bounds, candidate)
            if lead < least:
                worst, least = x, lead
        if least >= gap and self.rules.candidate(spans, cell, candidate.above, self.gap):
            if candidate.number is None:
                candidate.number = len(self.used)
                self.used.append(candidate.scores)
            node.out.extend(["c", candidate.number])
            return []
        if node.depth >= _DEEPEST:
            raise GapTooLarge("the tree is too deep")
        return self._split(m, node, bounds, worst, candidate)

    def _lead(self, x: Posterior, bounds: BoxBounds, candidate: _Candidate) -> float:
        """What the box is certainly above the candidate at a posterior, in floats."""
        weights, size = self.rules.weights(x)
        low, cost = bounds.risk(weights).total, risk_from_above(weights, candidate.above)
        return -np.inf if low is None or cost is None else _ratio(low - cost, size * UNIT)

    def _split(self, m: int, node: _Node, bounds: BoxBounds, x: Posterior, candidate: _Candidate) -> list[_Node]:
        """Halve the box or the cell, whichever loses more at the posterior x."""
        samples = self.splits.sample(node.spans)
        risks = samples @ np.array([float(share) for share in x])
        place = int(risks.argmin())
        weights, size = self.rules.weights(x)
        found, cost = bounds.risk(weights), risk_from_above(weights, candidate.above)
        low = -np.inf if found.total is None else _ratio(found.total, size * UNIT)
        box_error = max(float(risks[place]) - low, 0.0)
        cell_error = np.inf if cost is None else max(_ratio(cost, size * UNIT) - self._least[x], 0.0)
        slack = float(risks[place]) - self._least[x] - float(self.gap)
        if slack < 0 and box_error < -4 * slack:
            # no candidate can do on this part of the box; the exchange must, on smaller boxes
            gain = samples[place, m] - samples[place, 0]
            if float(x[m] - x[0]) * gain < float(self.gap):
                raise GapTooLarge(f"floats see a gap below {float(self.gap):.4g}")
            near = [i for i in range(m) if _width(node.spans, i) > Fraction(1, 2**30)]
            if not near:
                raise GapTooLarge("boxes have become too small")
            return self._split_gap(node, max(near, key=lambda i: _width(node.spans, i)))
        if cell_error > box_error and len(node.cell) > 1:
            halves = split_cell(node.cell, self.cone.classes, m)
            outs: list[list[Any]] = [[], []]
            node.out.extend(["p", *outs])
            return [_Node(out, node.spans, half, node.depth + 1) for out, half in zip(outs, halves, strict=True)]
        return self._split_gap(node, self.splits.axis(node.spans, x, box_error))

    def _split_gap(self, node: _Node, axis: int) -> list[_Node]:
        outs: list[list[Any]] = [[], []]
        node.out.extend(["w", axis, *outs])
        halves = split_spans(node.spans, axis)
        return [_Node(out, half, node.cell, node.depth + 1) for out, half in zip(outs, halves, strict=True)]


def _ratio(value: int, unit: int) -> float:
    try:
        return value / unit
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def _width(spans: Spans, axis: int) -> Fraction:
    return spans[axis][1] - spans[axis][0]


def _stretch(z: float, both_sides: bool) -> float:
    """The gap or score of a compressed coordinate, infinities cut off."""
    z = min(z, 1 - 1 / 64)
    return (z - 0.5) / (max(z, 1 / 64) * (1 - z)) if both_sides else z / (1 - z)
