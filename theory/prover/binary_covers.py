"""Covers of scores and posteriors by boxes on which a rule of `theory.checker.binary_rules` holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

from theory.checker.binary_rules import Box, Problem
from theory.expression.interval import Interval, Undefined, fraction_of

from .binary_search import breakpoints, candidates, lead, search
from .budget import Budget

_ZERO, _ONE = Fraction(0), Fraction(1)
_GRID = tuple(Fraction(*q) for q in ((1, 8), (1, 2), (1, 1), (2, 1), (4, 1), (8, 1), (16, 1)))
GAP_THETA = Fraction(1, 10)
"""The gap of a PROVED verdict is stated for |2 eta - 1| >= this (relative to the threshold)."""

Entry = dict[str, Any]
Rule = Callable[[Box], Entry | None]


class Failed(Exception):
    """A cover could not be completed."""


def cover_right(problem: Problem, eta: Fraction, wrong: Fraction | float, gap: float, budget: Budget) -> dict[str, Any]:
    """Boxes over the correct scores, each with a rule that keeps its risk at or above the wrong score's."""
    target = Fraction(gap).limit_denominator(10**6) if gap > 1e-9 else _ZERO

    def rule(box: Box) -> Entry | None:
        if box[0] == 0 and target == 0 and wrong == 0 and problem.rise(eta, box):
            return {"rule": "rise"}
        try:
            return {"rule": "value"} if problem.value(eta, box, wrong) >= Interval.point(target).lo else None
        except Undefined:
            return None

    entries = _cover(_starting_boxes(problem, right=True), rule, budget, depth=14)
    if problem.jumps:
        entries = _with_points(entries, lambda v: {"rule": "value"} if v == 0 else rule((v, v)))
    return {"gap": str(target), "boxes": entries}


def cover_side(problem: Problem, budget: Budget) -> tuple[dict[str, Any], Fraction | None]:
    """Cells over eta and boxes over the wrong scores; and the certified gap away from the threshold."""
    floor = _cover(
        _starting_boxes(problem, right=True), lambda box: _first([({}, partial(problem.floor, box))]), budget
    )
    first = problem.threshold + (1 - problem.threshold) * GAP_THETA
    near = _near_cell(problem, (problem.threshold, first), budget)
    try:
        far = list(_far_cells(problem, (first, _ONE), budget, depth=7))
    except Failed:
        return {"floor": {"boxes": floor}, "cells": [near, _near_cell(problem, (first, _ONE), budget)]}, None
    gap = min(Fraction(cell["gap"]) for cell in far)
    return {"floor": {"boxes": floor}, "cells": [near, *far]}, gap


def real_ends(problem: Problem, budget: Budget) -> dict[str, list[str]]:
    """The certificate's entry on where the loss is real: pieces of the domain; empty where one piece will do."""
    limit = problem.limit

    def rule(box: Box) -> Entry | None:
        return _first([({}, partial(problem.real, box))])

    budget.spend()
    if rule((-limit, limit)) is not None and (problem.bound is None or rule((limit, limit)) is not None):
        return {}
    boxes = [*_starting_boxes(problem, right=False), *_starting_boxes(problem, right=True)]
    ends = [-limit, *(Fraction(entry["v"][1]) for entry in _cover(boxes, rule, budget)[:-1]), limit]
    for end in ends:
        if isinstance(end, Fraction) and rule((end, end)) is None:
            raise Failed(f"the loss may fail to be a real number at the score {end}")
    return {"real": [_text(end) for end in ends]}


def _near_cell(problem: Problem, cell: tuple[Fraction, Fraction], budget: Budget) -> dict[str, Any]:
    """One cell whose boxes may use every rule; no gap is claimed."""
    scores = candidates(
        problem, search(problem, [cell[0] + (cell[1] - cell[0]) * Fraction(k, 4) for k in (1, 4)]).right_v
    )

    def rule(box: Box) -> Entry | None:
        def wins(at: Fraction) -> bool:
            return problem.candidate(cell, box, at)

        return _first(
            [
                ({"rule": "tie"}, lambda: problem.tie(box)),
                ({"rule": "reflect"}, lambda: bool(problem.reflect(box) > 0)),
                *(({"rule": "candidate", "at": str(at)}, partial(wins, at)) for at in scores),
            ]
        )

    if problem.phi is None and not problem.jumps and cell[0] == problem.threshold:
        slid = _slide_chain(problem, cell, budget)
    else:
        slid = []
    end = Fraction(slid[0]["v"][0]) if slid else _ZERO
    boxes = [(low, min(high, end)) for low, high in _starting_boxes(problem, right=False) if low < end]
    entries = _cover(boxes, rule, budget) + slid
    if problem.jumps:
        entries = _with_points(entries, lambda v: rule((v, v)))
    return {"eta": [str(cell[0]), str(cell[1])], "gap": None, "boxes": entries}


def _slide_chain(problem: Problem, cell: tuple[Fraction, Fraction], budget: Budget) -> list[Entry]:
    """The boxes next to 0 that the rule `slide` discharges, as far out as it goes without a break."""
    chain: list[Entry] = []
    end = _ZERO
    for start in (Fraction(-1, 16), *(-step for step in _GRID)):
        if not -problem.limit <= start:
            break
        budget.spend()
        if _first([({"rule": "slide"}, partial(problem.slide, cell, (start, end)))]) is None:
            break
        chain.insert(0, {"v": [str(start), str(end)], "rule": "slide"})
        end = start
    return chain


def _first(tests: Iterable[tuple[Entry, Callable[[], bool]]]) -> Entry | None:
    for entry, test in tests:
        try:
            if test():
                return entry
        except Undefined:
            continue
    return None


def _far_cells(
    problem: Problem, cell: tuple[Fraction, Fraction], budget: Budget, depth: int
) -> Iterator[dict[str, Any]]:
    """Cells with one candidate each and a certified gap; a cell that fails is halved."""
    try:
        yield _far_cell(problem, cell, budget)
    except Failed:
        if depth == 0:
            raise
        middle = (cell[0] + cell[1]) / 2
        for half in ((cell[0], middle), (middle, cell[1])):
            yield from _far_cells(problem, half, budget, depth - 1)


def _far_cell(problem: Problem, cell: tuple[Fraction, Fraction], budget: Budget) -> dict[str, Any]:
    found = search(problem, [(cell[0] + cell[1]) / 2, cell[0]])
    scores = candidates(problem, found.right_v[:1])
    least = 0.5 * float(lead(found)[1])
    if not least > 0:
        raise Failed(f"no gap at eta = {cell[0]}")
    for at in scores:
        try:
            return _cell_with(problem, cell, at, Fraction(least).limit_denominator(10**6), budget)
        except Failed:
            if at == scores[-1]:
                raise
    raise Failed(f"no candidate at eta = {cell[0]}")


def _cell_with(
    problem: Problem, cell: tuple[Fraction, Fraction], at: Fraction, least: Fraction, budget: Budget
) -> dict[str, Any]:
    """A cell in which one candidate beats every wrong score by at least `least`."""
    target = Interval.point(least).lo
    gaps: list[Any] = []

    def rule(box: Box) -> Entry | None:
        try:
            found = [problem.lead(eta, box, at) for eta in cell]
        except Undefined:
            return None
        if target <= 0 or not all(lead >= target for lead in found):
            return None
        gaps.extend(found)
        return {"rule": "candidate", "at": str(at)}

    entries = _cover(_starting_boxes(problem, right=False), rule, budget, depth=10)
    if problem.jumps:
        entries = _with_points(entries, lambda v: rule((v, v)))
    finite = [value for value in map(fraction_of, gaps) if value is not None]
    claimed = Fraction(int(min(finite) * 10**6), 10**6) if finite else _ONE
    if claimed <= 0:
        raise Failed(f"the gap at eta = {cell[0]} is too small to state")
    return {"eta": [str(cell[0]), str(cell[1])], "gap": str(claimed), "boxes": entries}


def _starting_boxes(problem: Problem, right: bool) -> list[Box]:
    """A tiling of one side of 0 whose ends include the breakpoints."""
    limit = problem.limit
    sign = 1 if right else -1
    ends = (
        {sign * end for end in _GRID if end < limit}
        | {x for x in breakpoints(problem) if 0 < sign * x < limit}
        | {_ZERO}
    )
    tiles: list[Fraction | float] = sorted([*ends, sign * limit])
    return list(pairwise(tiles))


def _cover(boxes: list[Box], rule: Rule, budget: Budget, depth: int = 24) -> list[Entry]:
    """The boxes, cut until a rule holds on each, in order."""
    entries: list[Entry] = []
    pending = [(box, depth) for box in reversed(boxes)]
    while pending:
        box, left = pending.pop()
        budget.spend()
        entry = rule(box)
        if entry is not None:
            entries.append({"v": [_text(box[0]), _text(box[1])], **entry})
            continue
        if left == 0:
            raise Failed(f"no rule holds on scores in [{_text(box[0])}, {_text(box[1])}]")
        middle = _middle(box)
        pending += [((middle, box[1]), left - 1), ((box[0], middle), left - 1)]
    return entries


def _middle(box: Box) -> Fraction:
    low, high = box
    if isinstance(low, Fraction) and isinstance(high, Fraction):
        return (low + high) / 2
    finite = low if isinstance(low, Fraction) else high
    assert isinstance(finite, Fraction)
    return 4 * finite if finite != 0 else Fraction(1 if high > 0 else -1)


def _with_points(entries: list[Entry], rule: Callable[[Fraction], Entry | None]) -> list[Entry]:
    """The boxes with their finite ends as points in between, where no box's rule covers the end itself."""
    done = {entry["v"][1] for entry in entries if entry["rule"] == "tie"} | {
        entry["v"][0] for entry in entries if entry["rule"] == "rise"
    }
    out: list[Entry] = []
    for text in dict.fromkeys(end for entry in entries for end in entry["v"]):
        if text in done or text in ("inf", "-inf"):
            continue
        entry = rule(Fraction(text))
        if entry is None:
            raise Failed(f"no rule holds at the score {text}")
        out.append({"v": [text, text], **entry})
    return entries + out


def _text(value: Fraction | float) -> str:
    return str(value)
