"""Search on the cone of sorted scores: branch and bound that writes proof trees for `theory.checker.cone_proofs`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from theory.checker.cone import MOVES, Cone
from theory.checker.cone_cells import Cell, Posterior, Span, first_cell, split_cell, split_spans
from theory.expression.interval import Undefined
from theory.losses import Loss
from theory.risk import multiclass_minimiser

from .budget import Budget

_ZERO = Fraction(0)
_DEEPEST = 40
_EDGE = 1e-3
"""Samples keep this far, in units of the box, from its faces, where scores may be infinite."""
Spans = tuple[Span, ...]
Rule = Callable[[Spans, Cell], list[Any] | None]
Chooser = Callable[[Spans, Cell], int | None]
Floats = np.ndarray[Any, Any]


class NotClosed(Exception):
    """A tree whose branches do not all end in a rule, in a box of gaps and for a rank of the likeliest class."""

    def __init__(self, message: str, spans: Spans = (), rank: int = 0) -> None:
        super().__init__(message)
        self.spans, self.rank = spans, rank


def grow_floors(cone: Cone, budget: Budget) -> list[Any]:
    """Trees that bound the loss of every rank below; NotClosed when some branch does not end."""

    def bounded(rank: int) -> Rule:
        def rule(spans: Spans, _: Cell) -> list[Any] | None:
            if holds(lambda: cone.floor(rank, spans)):
                return ["f"]
            return ["o"] if holds(lambda: cone.outside(spans)) else None

        return rule

    return [grow(cone, 0, (), bounded(rank), widest, budget) for rank in range(cone.classes)]


def prove_on_cone(cone: Cone, loss: Loss, budget: Budget) -> list[Any]:
    """Trees for every rank of the likeliest class; NotClosed when some branch does not end."""
    trees = []
    for m in range(1, cone.classes):
        scout = _Scout(cone, loss, m)
        trees.append(grow(cone, m, first_cell(cone.classes, m), scout.rule, scout.choose, budget))
    return trees


class _Scout:
    """Rules in order of cost, and float evidence for what to split."""

    def __init__(self, cone: Cone, loss: Loss, m: int) -> None:
        self.cone, self.loss, self.m = cone, loss, m
        self._candidates: dict[Cell, tuple[Posterior, Floats]] = {}
        self._moves = list(MOVES) if cone.domain == "bounded" else ["t"]
        self._samples: tuple[Spans, Floats] | None = None

    def rule(self, spans: Spans, cell: Cell) -> list[Any] | None:
        cone, m = self.cone, self.m
        if cone.bound is not None and holds(lambda: cone.outside(spans)):
            return ["o"]
        if self._gains(spans).min() > 0 and holds(lambda: cone.exchange(m, spans)):
            return ["x"]
        if not any(spans[i][0] != 0 for i in range(m)):
            for move in self._moves:
                if holds(lambda move=move: cone.tie(m, spans, cell, move)):  # type: ignore[misc]
                    return [move]
        scores, _ = self._candidate(cell)
        if self._leads(spans, cell).min() > -1e-12 and holds(lambda: cone.candidate(m, spans, cell, scores)):
            return ["c", [str(score) for score in scores]]
        return None

    def choose(self, spans: Spans, cell: Cell) -> int | None:
        """The gap to halve, or None to split the posteriors.

        Posteriors are split where swapping does not help somewhere in the box and no one candidate beats it all.
        """
        gains = self._gains(spans)
        if gains.min() > 1e-9:
            return steepest(spans, gains)
        leads = self._leads(spans, cell)
        tied = np.array([x[0] == x[self.m] for x in cell])
        least = np.where(tied, leads.min(1) + 1e-12, leads.min(1))
        beaten = least > 1e-12
        if beaten.all():
            return steepest(spans, leads[least.argmin()])
        middle = leads.shape[1] // 2
        wide = any(high - low >= Fraction(1, 2) for low, high in spans)
        if gains[middle] > 1e-9 or _extent(cell) <= Fraction(1, 64) or wide:
            return widest(spans, cell)
        return None if not (leads[:, middle] >= np.where(tied, -1e-12, 1e-12)).all() else widest(spans, cell)

    def _candidate(self, cell: Cell) -> tuple[Posterior, Floats]:
        if cell not in self._candidates:
            centre = np.array([[float(sum(x[r] for x in cell)) / len(cell) for r in range(self.cone.classes)]])
            found, _ = multiclass_minimiser(self.loss, centre / centre.sum())
            scores = rational_scores(self.cone, found[0])
            self._candidates[cell] = scores, self.loss.values([float(score) for score in scores])
        return self._candidates[cell]

    def _values(self, spans: Spans) -> Floats:
        """The losses by rank at 3 points per coordinate of the box: (3 ** d, c)."""
        if self._samples is None or self._samples[0] != spans:
            with np.errstate(all="ignore"):
                self._samples = spans, self.loss.values(sample_scores(self.cone, spans))
        return self._samples[1]

    def _gains(self, spans: Spans) -> Floats:
        """L_m - L_0 at the samples, in floats."""
        values = self._values(spans)
        with np.errstate(all="ignore"):
            return np.asarray(np.nan_to_num(values[:, self.m] - values[:, 0], nan=-1.0))

    def _leads(self, spans: Spans, cell: Cell) -> Floats:
        """C_x - C_x(candidate) at the corners x of the cell and the samples, in floats: (corners, samples)."""
        _, best = self._candidate(cell)
        corners = np.array([[float(x) for x in p] for p in cell])
        with np.errstate(all="ignore"):
            return np.asarray(np.nan_to_num(corners @ (self._values(spans) - best).T, nan=np.inf))


def sample_scores(cone: Cone, spans: Spans) -> Floats:
    """The scores by rank at 3 points per coordinate of the box, its faces nearly reached: (3 ** d, c)."""
    sides = []
    for name, (low, high) in zip(cone.names, spans, strict=True):
        ends, width = (float(low), float(high)), float(high - low)
        z = np.clip([ends[0] + _EDGE * width, sum(ends) / 2, ends[1] - _EDGE * width], 1e-6, 1 - 1e-6)
        if cone.bound is not None:
            sides.append(float(cone.bound) * (2 * z - (name == "a")))
        else:
            sides.append((z - 0.5) / (z * (1 - z)) if name == "a" else z / (1 - z))
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*sides, indexing="ij")], axis=-1)
    top = grid[:, -1:] if "a" in cone.names else 0.0
    gaps = grid[:, : cone.classes - 1]
    scores = top - np.concatenate([np.zeros((len(grid), 1)), np.cumsum(gaps, axis=1)], axis=1)
    return np.asarray(scores - scores.mean(-1, keepdims=True) if cone.domain in ("sum-zero", "ball") else scores)


def _extent(cell: Cell) -> Fraction:
    return max(abs(x[r] - y[r]) for x in cell for y in cell for r in range(len(x)))


def steepest(spans: Spans, values: Floats) -> int:
    """The coordinate along which sampled values vary most; not one that is much narrower than another."""
    grid = np.nan_to_num(values.reshape((3,) * len(spans)), posinf=1e9, neginf=-1e9)
    spread = [np.ptp(np.arctan(grid), axis=axis).max() for axis in range(len(spans))]
    widths = [float(high - low) for low, high in spans]
    allowed = [axis for axis, width in enumerate(widths) if width >= max(widths) / 16]
    return max(allowed, key=lambda axis: (round(spread[axis], 9), widths[axis]))


def widest(spans: Spans, _: Cell) -> int:
    """The coordinate in which the box is widest."""
    return max(range(len(spans)), key=lambda axis: spans[axis][1] - spans[axis][0])


def rational_scores(cone: Cone, scores: Floats) -> Posterior:
    """Short rational scores of the domain near float ones."""
    found = [Fraction(float(np.clip(score, -64, 64))).limit_denominator(64) for score in scores]
    if cone.domain in ("sum-zero", "ball"):
        found[-1] -= sum(found)
    inside = tuple(found)
    while not cone.contains(inside):
        inside = tuple(score * Fraction(31, 32) for score in inside)
    return inside


def holds(test: Callable[[], bool]) -> bool:
    """Whether a rule holds; no where its values cannot be enclosed."""
    try:
        return test()
    except Undefined:
        return False


def grow(
    cone: Cone, m: int, cell: Cell, rule: Rule, choose: Chooser, budget: Budget, cuts: Sequence[list[Fraction]] = ()
) -> list[Any]:
    """The tree over all gaps and the cell whose leaves are what `rule` gives.

    `cuts` are numbers per coordinate at which a gap is cut rather than halved.
    """
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
            raise NotClosed(f"no rule holds on the gaps {_show(cone, spans)}", spans, m)
        axis = choose(spans, part)
        if axis is None:
            parts = split_cell(part, cone.classes, m)
            children: list[list[Any]] = [[] for _ in parts]
            node.extend(["p", *children])
            pending += [(child, spans, each, depth + 1) for child, each in zip(children, parts, strict=True)]
        else:
            left: list[Any] = []
            right: list[Any] = []
            at = _cut_inside(cuts[axis] if cuts else [], spans[axis])
            node.extend(["w", axis, left, right] if at is None else ["k", axis, str(at), left, right])
            halves = split_spans(spans, axis, at)
            pending += [(child, half, part, depth + 1) for child, half in zip((left, right), halves, strict=True)]
    return root


def _cut_inside(cuts: list[Fraction], span: Span) -> Fraction | None:
    """The cut inside a span that is nearest to its middle."""
    middle = (span[0] + span[1]) / 2
    return min((cut for cut in cuts if span[0] < cut < span[1]), key=lambda cut: abs(cut - middle), default=None)


def _show(cone: Cone, spans: Spans) -> str:
    box = cone.box(spans)
    return ", ".join(f"{name} in [{float(box[name].lo):.4g}, {float(box[name].hi):.4g}]" for name in cone.names)
