"""Trees of a gap grown in several processes, one piece of the posteriors at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from multiprocessing import get_context
from typing import Any

from flint import ctx

from theory.checker import PRECISION
from theory.checker.cone import Cell, Cone, Posterior, split_cell
from theory.checker.cone_gap import GapRules
from theory.losses import Loss

from .budget import Budget, OutOfBudget
from .cone_gap import GapSearch
from .gap_floats import Ground

_PIECES = 8
"""Cells per process, so that none waits long for the last one."""
Limits = tuple[int, float, float]
"""Boxes left, seconds, and when they began."""
Settings = tuple[Loss, int, Fraction, bool, Limits]
"""The loss, the number of classes, the gap, whether ranks are ordered, and the limits."""
_worker: list[tuple[GapRules, Ground, Fraction, Budget]] = []


def grow_apart(
    loss: Loss,
    classes: int,
    gap: Fraction,
    ordered: bool,
    roots: list[tuple[int, Cell]],
    budget: Budget,
    processes: int,
) -> tuple[list[list[Any]], list[Posterior]]:
    """The trees of the cells and their candidates; cells are halved into pieces that processes take one by one."""
    grown: list[list[Any]] = [[] for _ in roots]
    used: list[Posterior] = []
    pieces = [(tree, m, cell) for tree, (m, cell) in zip(grown, roots, strict=True)]
    while len(pieces) < _PIECES * processes and any(len(cell) > 1 for _, _, cell in pieces):
        pieces = [part for piece in pieces for part in _halved(piece, classes)]
    settings = (loss, classes, gap, ordered, (budget.boxes - budget.spent, budget.seconds, budget.start))
    with _workers(processes, settings) as pool:
        found = pool.map(_grow_piece, [(m, cell) for _, m, cell in pieces])
        for (out, _, _), (tree, scores, spent) in zip(pieces, found, strict=True):
            budget.spent += spent
            if budget.spent > budget.boxes:
                raise OutOfBudget
            _renumber(tree, len(used))
            out.extend(tree)
            used.extend(scores)
    return grown, used


def _halved(piece: tuple[list[Any], int, Cell], classes: int) -> list[tuple[list[Any], int, Cell]]:
    out, m, cell = piece
    if len(cell) == 1:
        return [piece]
    halves: list[list[Any]] = [[], []]
    out.extend(["p", *halves])
    return [(half, m, part) for half, part in zip(halves, split_cell(cell, classes, m), strict=True)]


def _renumber(tree: list[Any], offset: int) -> None:
    """Candidates of a piece get the numbers they have in the whole certificate."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if node[0] == "c":
            node[1] += offset
        pending += [child for child in node if isinstance(child, list)]


@contextmanager
def _workers(count: int, settings: Settings) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes; those still at work are told to stop when the search ends early."""
    pool = ProcessPoolExecutor(count, get_context("spawn"), _start_worker, settings)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(loss: Loss, classes: int, gap: Fraction, ordered: bool, limits: tuple[int, float, float]) -> None:
    ctx.prec = PRECISION
    cone = Cone(loss.score_tree, classes, loss.domain.kind)
    boxes, seconds, start = limits
    _worker[:] = [
        (GapRules(cone), Ground(loss, classes, "a" in cone.names, ordered), gap, Budget(boxes, seconds, 0, start))
    ]


def _grow_piece(piece: tuple[int, Cell]) -> tuple[list[Any], list[Posterior], int]:
    """One tree, its candidates, and the boxes it took."""
    rules, ground, gap, budget = _worker[0]
    before = budget.spent
    search = GapSearch(rules.cone, ground, gap, budget, rules)
    tree = search.grow(*piece)
    return tree, search.used, budget.spent - before
