"""The search for the cells of `theory.regions`: floats propose, certificates at both ends decide. Not trusted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from .checker import FORMAT, VERSION, check
from .checker.binary_rules import Box, Problem
from .expression import Var, names, substitute
from .expression.arrays import Array
from .expression.interval import Undefined, fraction_of
from .losses import Domain, Loss
from .prover.binary import breakpoints
from .risk import conditional_risk

_ZERO, _ONE = Fraction(0), Fraction(1)
_GRID = tuple(Fraction(*q) for q in ((1, 8), (1, 2), (1, 1), (2, 1), (4, 1), (8, 1), (16, 1)))
_DEPTH = 16
_NOISE = 64 * np.finfo(float).eps
"""Relative rounding of a float risk: a few operations, the widest of them exp and log, each good to some units."""
_GAP_SCALE = 10**30
_SIZES = np.unique(
    np.concatenate([np.geomspace(1e-9, 1e-2, 60), np.linspace(0, 12, 2401)[1:], np.geomspace(12, 1e4, 200)])
)
"""Sizes of scores: geometric towards 0 and infinity, dense where losses bend."""
_ZOOMS = 9
FAILING, CONSISTENT, UNDECIDED = "failing", "consistent", "undecided"
Certificate = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """An interval of posteriors [low, high] (without the threshold) of one kind.

    `score` failing: the wrong score that is optimal among all correct ones at every eta of the cell; consistent: the
    correct score that every wrong one is worse than, by at least `gap`. `certificates` hold at the two ends.
    """

    low: Fraction
    high: Fraction
    kind: str
    score: str | None = None
    gap: Fraction | None = None
    certificates: tuple[Certificate, ...] = field(default=(), repr=False)


def score_of(text: str) -> Fraction | float:
    """The number that a certificate writes."""
    return float(text) if "inf" in text else Fraction(text)


class Spending:
    """What is left to spend: boxes and seconds."""

    def __init__(self, boxes: int, seconds: float) -> None:
        self.boxes, self.until = boxes, time.monotonic() + seconds

    @property
    def spent(self) -> bool:
        """Whether either has run out."""
        return self.boxes <= 0 or time.monotonic() > self.until


def _flipped(loss: Loss) -> Loss:
    """The loss that calls the score -v what this one calls v."""
    binary = None if loss.binary is None else substitute(loss.binary, {"t": -Var("t")})
    pair = None
    if binary is None:
        assert loss.pair is not None
        pair = substitute(loss.pair[0], {"v": -Var("v")}), substitute(loss.pair[1], {"v": -Var("v")})
    used = frozenset[str]().union(*(names(tree) for tree in (binary, *(pair or ())) if tree is not None))
    parameters = {name: value for name, value in loss.parameters.items() if name in used}
    return Loss(f"{loss.name}, scores flipped", binary, pair, parameters=parameters, domain=loss.domain)


class Side:
    """One side of the threshold, in coordinates in which it is eta > a."""

    def __init__(
        self, loss: Loss, threshold: Fraction, side: str, tol: Fraction, budget: Spending, pieces: list[str] | None
    ) -> None:
        turned = None if pieces is None else [str(-score_of(end)) for end in reversed(pieces)]
        self.real = [{} if ends is None else {"real": ends} for ends in (pieces, turned)]
        self.side, self.tol, self.budget = side, tol, budget
        self.stated = threshold
        self.losses = loss, _flipped(loss)
        problems = [Problem(*each.pair_trees, threshold, loss.domain.bound) for each in self.losses]
        self.problem, self.other = (each.mirrored() if side == "below" else each for each in problems)
        self.threshold = self.problem.threshold
        domain = Domain() if loss.domain.bound is None else Domain("bounded", loss.domain.bound)
        self.view = Loss("search", pair=(self.problem.plus, self.problem.minus), domain=domain)
        self.made: dict[tuple[Fraction, str, Fraction | float], Certificate | None] = {}
        self.stops = sorted({_ZERO, *_GRID, *(abs(x) for p in (self.problem, self.other) for x in breakpoints(p))})

    # -- float evidence --------------------------------------------------------------------------------------------

    def fails(self, eta: Fraction) -> bool:
        """Whether floats see no gap between the wrong scores and the correct ones."""
        wrong, right = (_least(self.view, float(eta), wrong)[1] for wrong in (True, False))
        return bool(wrong - right <= _NOISE * max(1.0, abs(wrong)))

    def borders(self) -> list[Fraction]:
        """The posteriors, to tol / 16, where floats change between failing and not."""
        span = 1 - self.threshold
        etas = [self.threshold + span / 2**k for k in range(20, 5, -1)]
        etas += [self.threshold + span * Fraction(k, 64) for k in range(2, 65)]
        bad = [self.fails(eta) for eta in etas]
        found = []
        for (low, was), (high, now) in pairwise(zip(etas, bad, strict=True)):
            if was == now:
                continue
            left, right = low, high
            while right - left > self.tol / 16:
                middle = (left + right) / 2
                left, right = (middle, right) if self.fails(middle) == was else (left, middle)
            found.append(((left + right) / 2).limit_denominator(int(64 / self.tol)))
        return found

    # -- cells -----------------------------------------------------------------------------------------------------

    def cells(self) -> Iterator[Cell]:
        """Cells that tile [a, 1], in order."""
        border = self.borders()
        ends = {self.threshold, _ONE}
        for b in border:
            ends |= {end for end in (b - self.tol / 5, b + self.tol / 5) if self.threshold < end < 1}
        found: list[Cell] = []
        for low, high in pairwise(sorted(ends)):
            seam = any(low < b < high for b in border)
            found += [Cell(low, high, UNDECIDED)] if seam else self.split(low, high)
        for i in range(1, len(found) - 1):  # a border that was noise: both neighbours are of one kind
            before, cell, after = found[i - 1 : i + 2]
            if cell.kind == UNDECIDED and before.kind == after.kind != UNDECIDED:
                found[i] = self.decide(cell.low, cell.high) or cell
        yield from found

    def split(self, low: Fraction, high: Fraction) -> Iterator[Cell]:
        cell = None if self.budget.spent else self.decide(low, high)
        if cell is not None:
            yield cell
        elif self.budget.spent or high - low <= self.tol / 4:
            yield Cell(low, high, UNDECIDED)
        else:
            middle = ((low + high) / 2).limit_denominator(int(64 / (high - low)))
            yield from self.split(low, middle)
            yield from self.split(middle, high)

    def decide(self, low: Fraction, high: Fraction) -> Cell | None:
        """A certified cell, or None; the kind that floats suggest is tried first."""
        kinds = (FAILING, CONSISTENT) if self.fails((low + high) / 2) else (CONSISTENT, FAILING)
        for kind in kinds:
            near = low if low > self.threshold else low + (high - low) / 64
            scores = [_least(self.view, float(eta), kind == FAILING)[0] for eta in (near, (low + high) / 2, high)]
            for score in _short(scores, kind == FAILING, self.problem.limit):
                cell = self.certified(low, high, kind, score)
                if cell is not None:
                    return cell
        return None

    def certified(self, low: Fraction, high: Fraction, kind: str, score: Fraction | float) -> Cell | None:
        """The cell with this score, if certificates at both ends pass the checker."""
        certificates, gaps = [], []
        for eta in (low, high):
            if (eta, kind, score) not in self.made:
                found = self.certificate(eta, kind, score)
                self.made[eta, kind, score] = found if found is not None and check(found).valid else None
            made = self.made[eta, kind, score]
            if made is None:
                return None
            certificates.append(made)
            gaps.append(Fraction(made["gap"]))
        gap = min(gaps) if kind == CONSISTENT else None
        return Cell(low, high, kind, str(score), gap, tuple(certificates))

    def certificate(self, eta: Fraction, kind: str, score: Fraction | float) -> Certificate | None:
        """An `inconsistent` certificate at one posterior: of the loss, or, for `consistent`, of the flipped one."""
        failing = kind == FAILING
        problem = self.problem if failing else self.other
        wrong = score if failing else -score
        if not failing and self.problem.jumps and not self.beats_zero(eta, score):
            return None
        covered = self.cover(problem, eta, wrong, strict=not failing)
        if covered is None:
            return None
        stated = self.stated
        if eta == self.threshold:  # any threshold on the other side of eta will do: the inequality does not involve it
            stated = stated / 2 if self.side == "above" else (1 + stated) / 2
        loss = self.losses[0 if failing else 1].to_dict()
        head = {"format": FORMAT, "version": VERSION, "claim": "inconsistent", "loss": loss, "threshold": str(stated)}
        head |= self.real[0 if failing else 1]
        return head | {"side": self.side, "eta": str(eta), "wrong": str(wrong), **covered}

    def beats_zero(self, eta: Fraction, score: Fraction | float) -> bool:
        """C(0) > C(score) for certain: where the loss may jump, certificates leave the point 0 out."""
        assert isinstance(score, Fraction)
        try:
            return bool((self.problem.risk_at(eta, _ZERO) - self.problem.risk_at(eta, score)).lo > 0)
        except Undefined:
            return False

    def cover(self, problem: Problem, eta: Fraction, wrong: Fraction | float, strict: bool) -> dict[str, Any] | None:
        """Boxes over the scores v > 0 on which C_eta(v) >= C_eta(wrong), or above it; None when they do not close."""
        tiles: list[Fraction | float] = [x for x in self.stops if x < problem.limit]
        pending = [(box, _DEPTH) for box in reversed(list(pairwise([*tiles, problem.limit])))]
        entries: list[dict[str, Any]] = []
        least: list[Fraction] = []
        while pending:
            box, depth = pending.pop()
            self.budget.boxes -= 1
            rule = self.rule(problem, eta, box, wrong, strict, least)
            if rule is not None:
                entries.append({"v": [str(box[0]), str(box[1])], "rule": rule})
                continue
            if depth == 0 or self.budget.spent:
                return None
            middle = _middle(box)
            pending += [((middle, box[1]), depth - 1), ((box[0], middle), depth - 1)]
        points = self.points(problem, eta, wrong, strict, least, entries) if problem.jumps else []
        if points is None:
            return None
        gap = Fraction(int(min(least, default=_ONE) * _GAP_SCALE), _GAP_SCALE) if strict else _ZERO
        return {"gap": str(gap), "boxes": [*entries, *points]} if gap > 0 or not strict else None

    def rule(
        self, problem: Problem, eta: Fraction, box: Box, wrong: Fraction | float, strict: bool, least: list[Fraction]
    ) -> str | None:
        if not strict and box[0] == 0 and wrong == 0 and box[0] != box[1]:
            try:
                if problem.rise(eta, box):
                    return "rise"
            except Undefined:
                pass
        try:
            lead = problem.value(eta, box, wrong)
        except Undefined:
            return None
        if not (lead > 0 if strict else lead >= 0):
            return None
        if (number := fraction_of(lead)) is not None:
            least.append(number)
        return "value"

    def points(
        self,
        problem: Problem,
        eta: Fraction,
        wrong: Fraction | float,
        strict: bool,
        least: list[Fraction],
        entries: list[dict[str, Any]],
    ) -> list[dict[str, Any]] | None:
        """The finite ends of the boxes as boxes of their own, where the loss may jump."""
        risen = {entry["v"][0] for entry in entries if entry["rule"] == "rise"}
        found = []
        for text in dict.fromkeys(end for entry in entries for end in entry["v"] if end != "inf"):
            if text in risen:
                continue
            v = Fraction(text)
            if v != 0 and self.rule(problem, eta, (v, v), wrong, strict, least) is None:
                return None
            found.append({"v": [text, text], "rule": "value"})
        return found


def _least(view: Loss, eta: float, wrong: bool) -> tuple[float, float]:
    """Where the float risk is least over v <= 0 or v > 0, and the risk there: zooms into the best local minima."""
    limit = np.inf if view.domain.bound is None else float(view.domain.bound)
    grid = _SIZES[limit >= _SIZES]
    sign = -1.0 if wrong else 1.0

    def risk(size: Array) -> Array:
        value = conditional_risk(view, eta, sign * size)
        return np.where(np.isnan(value), np.inf, value)

    values = risk(grid)
    padded = np.concatenate([[np.inf], values, [np.inf]])
    minima = np.flatnonzero((values <= padded[:-2]) & (values <= padded[2:]))
    minima = minima[np.argsort(values[minima], kind="stable")][:4]
    low, high = grid[np.maximum(minima - 1, 0)], grid[np.minimum(minima + 1, grid.size - 1)]
    place = int(values.argmin())
    best = float(values[place]), float(grid[place])
    for _ in range(_ZOOMS):
        trial = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 17)
        found = risk(trial)
        column = found.argmin(1)
        rows = np.arange(minima.size)
        row = int(found[rows, column].argmin())
        best = min(best, (float(found[row, column[row]]), float(trial[row, column[row]])))
        low, high = trial[rows, np.maximum(column - 1, 0)], trial[rows, np.minimum(column + 1, 16)]
    if wrong:
        best = min(best, (float(risk(np.zeros(1))[0]), 0.0))
    return sign * best[1], best[0]


def _middle(box: Box) -> Fraction:
    low, high = box
    assert isinstance(low, Fraction)
    return (low + high) / 2 if isinstance(high, Fraction) else max(4 * low, _ONE)


def _short(scores: Iterable[float], wrong: bool, limit: Fraction | float) -> list[Fraction | float]:
    """Short rationals near float scores on one side of 0; for wrong scores 0 and the far end too."""
    found: list[Fraction | float] = []
    for v in scores:
        if wrong and abs(v) < 1e-6:
            found.append(_ZERO)
        elif abs(v) < 1e3:
            digits = [4, 64, 4096] if abs(v) > 1e-2 else [int(64 / max(abs(v), 1e-12))]
            found += [Fraction(float(v)).limit_denominator(size) for size in digits]
    if wrong:
        found += [_ZERO, -limit]
    else:
        found += [limit] if limit != float("inf") else []
    return [x for x in dict.fromkeys(found) if (x <= 0) == wrong and -limit <= x <= limit]
