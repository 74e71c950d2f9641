"""The binary prover: float search proposes, the checker's rules dispose, and a certificate records what held.

Nothing here needs to be trusted: every box is accepted by a rule of `theory.checker.binary_rules`, and the
certificate is verified again, from its JSON form, before a verdict is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from flint import ctx

from theory.checker import FORMAT, PRECISION, VERSION, check
from theory.checker.binary_rules import Box, Problem
from theory.expression import Expr, Where, differentiate, simplify, substitute, walk
from theory.expression.enclosure import enclose
from theory.expression.interval import INF, NEG_INF, Interval, Undefined, fraction_of
from theory.expression.nodes import Const, Max, Min, Var
from theory.expression.normal import TooLarge, polynomial
from theory.losses import Domain, Loss
from theory.risk import BinaryMinimiser, binary_minimiser
from theory.verdict import Status, Tier, Verdict

from .budget import Budget, OutOfBudget

_HALF, _ZERO, _ONE = Fraction(1, 2), Fraction(0), Fraction(1)
_GRID = tuple(Fraction(*q) for q in ((1, 8), (1, 2), (1, 1), (2, 1), (4, 1), (8, 1), (16, 1)))
GAP_THETA = Fraction(1, 10)
"""The gap of a PROVED verdict is stated for |2 eta - 1| >= this (relative to the threshold)."""


class _Failed(Exception):
    """A cover could not be completed."""


def prove_binary(loss: Loss, *, threshold: Fraction = _HALF, boxes: int = 20_000, seconds: float = 60.0) -> Verdict:
    """Prove or refute that a binary loss is Fisher consistent, for every posterior eta != threshold.

    Consistent means: for every eta, inf of C_eta over the wrong scores (0 included) is above
    inf of C_eta. PROVED and REFUTED come with a certificate that `theory.check` has verified.
    """
    problem = _problem(loss, threshold)
    budget = Budget(boxes, seconds)
    with ctx.workprec(PRECISION):
        if (reason := _unbounded(problem)) is not None:
            return _undecided(loss, f"no verdict: {reason}; bound the scores, as in domain bounded:2")
        sides = [problem] if problem.phi is not None else [problem, problem.mirrored()]
        failures = [_float_failures(side) for side in sides]
        try:
            refuted = _refute_sides(sides, failures, budget)
            if refuted is not None:
                return _refuted(loss, threshold, *refuted)
            covers = [_cover_side(side, budget) for side in sides]
        except OutOfBudget:
            return _undecided(
                loss, f"out of budget after {budget.spent} boxes; raise boxes={boxes} or seconds={seconds:g}"
            )
        except _Failed as failure:
            seen = (
                f"floats show no gap near eta = {_near(failures)}" if any(failures) else "floats show a gap everywhere"
            )
            return _undecided(loss, f"{seen}, but neither a proof nor a counterexample closes: {failure}")
    certificate = _header(loss, threshold, "consistent") | {"sides": [cover for cover, _ in covers]}
    if not (result := check(certificate)).valid:
        return _undecided(loss, f"the certificate was refused: {result.reason}")
    gaps = [gap for _, gap in covers]
    gap = None if any(g is None for g in gaps) else float(min(g for g in gaps if g is not None))
    scope = f"every posterior eta in [0, 1] except the tie eta = {threshold}; {loss.domain.words}"
    region = None if gap is None else _gap_region(threshold, one_sided=len(sides) == 1 and threshold != _HALF)
    return Verdict(loss.name, Status.PROVED, Tier.CERTIFIED, scope, gap, region, certificate=certificate)


def _gap_region(threshold: Fraction, one_sided: bool) -> str:
    """Where the stated gap holds, in words."""
    high = threshold + (1 - threshold) * GAP_THETA
    return f"eta >= {high}" if one_sided else f"eta >= {high} or eta <= {threshold * (1 - GAP_THETA)}"


# -- setting up ---------------------------------------------------------------------------------------


def _problem(loss: Loss, threshold: Fraction) -> Problem:
    if not 0 < threshold < 1:
        raise ValueError(f"threshold={threshold} must lie strictly between 0 and 1")
    plus, minus = loss.pair_trees
    check_real(loss)
    problem = Problem(plus, minus, threshold, loss.domain.bound)
    for score in {_ZERO, *breakpoints(problem)}:
        for tree in (plus, minus):
            try:
                found = enclose(tree, {"v": Interval.point(score)}).range
            except Undefined:
                found = Interval(NEG_INF, INF)
            if not (found.lo > NEG_INF and found.hi < INF) and abs(score) <= problem.limit:
                raise ValueError(f"loss {loss.name!r} is not a real number at score {score}; {_REAL}")
    return problem


_REAL = "a loss must be real on its whole domain"


def check_real(loss: Loss) -> None:
    """ValueError when a binary loss is not a number somewhere on a float grid of its domain."""
    limit = 100.0 if loss.domain.bound is None else float(loss.domain.bound)
    grid = np.concatenate(
        [np.linspace(-limit, limit, 401), np.geomspace(1e-6, limit, 100), -np.geomspace(1e-6, limit, 100)]
    )
    for values in (loss.phi_plus(grid), loss.phi_minus(grid)):
        if (bad := np.isnan(values)).any():
            raise ValueError(f"loss {loss.name!r} is not a real number at score {grid[bad][0]:g}; {_REAL}")


def _header(loss: Loss, threshold: Fraction, claim: str) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "claim": claim, "loss": loss.to_dict(), "threshold": str(threshold)}


def _undecided(loss: Loss, advice: str) -> Verdict:
    return Verdict(loss.name, Status.UNDECIDED, Tier.SEARCHED, loss.domain.words, advice=advice)


def _unbounded(problem: Problem) -> str | None:
    """Why the conditional risk is unbounded below, when a limit at infinity certainly shows it."""
    if problem.bound is not None:
        return None
    for eta in (_ONE, Fraction(3, 4), problem.threshold, Fraction(1, 4), _ZERO):
        for end in (float("inf"), float("-inf")):
            for tail in (_limit, _slope_limit, _leading_term):
                if tail(problem.risk(eta), end):
                    return f"the conditional risk at eta = {eta} is unbounded below as the score goes to {end}"
    return None


def _limit(risk: Expr, end: float) -> bool:
    try:
        return bool(enclose(risk, {"v": Interval.between(end, end)}).range.hi == NEG_INF)
    except Undefined:
        return False


def _leading_term(risk: Expr, end: float) -> bool:
    """A polynomial risk whose leading term falls to -inf at the given end."""
    try:
        terms = polynomial(risk)
    except TooLarge:
        return False
    degrees: dict[int, Fraction] = {}
    for monomial, value in terms.items():
        if any(atom != Var("v") or power < 0 for atom, power in monomial):
            return False
        degrees[monomial[0][1] if monomial else 0] = value
    top = max(degrees, default=0)
    return top > 0 and degrees[top] * (-1 if end < 0 and top % 2 else 1) < 0


def _slope_limit(risk: Expr, end: float) -> bool:
    far = 1000
    side = Interval.between(Fraction(far), end) if end > 0 else Interval.between(end, Fraction(-far))
    try:
        slope = enclose(differentiate(risk, "v"), {"v": side}, along="v").range
        jumped = enclose(risk, {"v": side}, along="v").jumped
    except Undefined:
        return False
    return not jumped and bool(slope.hi < 0 if end > 0 else slope.lo > 0)


def breakpoints(problem: Problem) -> list[Fraction]:
    """The rational scores where a comparison, max, min or abs of an affine argument switches."""
    found: set[Fraction] = set()
    for tree in (problem.plus, problem.minus):
        for node in walk(tree):
            difference = None
            if isinstance(node, (Max, Min, Where)):
                difference = node.left - node.right
            elif getattr(node, "name", None) == "abs":
                difference = node.argument  # type: ignore[attr-defined]
            elif type(node).__name__ == "Clip":
                for side in (node.low, node.high):  # type: ignore[attr-defined]
                    _add_root(found, node.value - side)  # type: ignore[attr-defined]
            if difference is not None:
                _add_root(found, difference)
    return sorted(found)


def _add_root(found: set[Fraction], tree: Expr) -> None:
    slope = differentiate(simplify(tree), "v")
    if isinstance(slope, Const) and slope.value != 0:
        try:
            at_zero = enclose(simplify(substitute(tree, {"v": 0})), {}).range
        except Undefined:
            return
        value = fraction_of(at_zero.lo)
        if at_zero.is_point and value is not None and value.denominator < 10**12:
            found.add(-value / slope.value)


# -- float evidence -------------------------------------------------------------------------------------


def _view(problem: Problem) -> Loss:
    """The problem's own pair as a loss, for the float search."""
    domain = Domain() if problem.bound is None else Domain("bounded", problem.bound)
    return Loss("search", pair=(problem.plus, problem.minus), domain=domain)


def _etas(threshold: Fraction) -> list[Fraction]:
    span = 1 - threshold
    near = [threshold + span / 2**k for k in range(24, 0, -1)]
    return sorted({*near, *(threshold + span * Fraction(k, 20) for k in range(1, 21))})


def _search(problem: Problem, etas: Iterable[Fraction]) -> BinaryMinimiser:
    """The float search over both sides of 0 at the problem's own threshold."""
    return binary_minimiser(_view(problem), [float(eta) for eta in etas], threshold=float(problem.threshold))


def _lead(found: BinaryMinimiser) -> np.ndarray[Any, Any]:
    """How far the best wrong score lies above the best correct one, per eta."""
    return np.asarray(found.wrong_value - found.right_value)


def _float_failures(problem: Problem) -> list[Fraction]:
    """The etas at which floats, or the limit at the far wrong end, show no gap below the correct scores."""
    etas = _etas(problem.threshold)
    found = _search(problem, etas)
    far = np.array([_far_limit(problem, eta) for eta in etas])
    with np.errstate(invalid="ignore"):
        beyond = np.nan_to_num(far - found.right_value, nan=np.inf)
    noise = 64 * np.finfo(float).eps * np.maximum(1.0, np.abs(found.value))
    lost = np.minimum(_lead(found), beyond) <= noise
    return [eta for eta, bad in zip(etas, lost, strict=True) if bad]


def _far_limit(problem: Problem, eta: Fraction) -> float:
    """The limit of C_eta as v -> -inf, or +inf where there is none to see."""
    if problem.bound is not None:
        return float("inf")
    try:
        limit = problem.risk_at(eta, float("-inf"))
    except Undefined:
        return float("inf")
    return float(limit.hi) if limit.hi < INF else float("inf")


def _near(failures: list[list[Fraction]]) -> str:
    """The first failure in the coordinates of the loss."""
    etas = [eta if i == 0 else 1 - eta for i, side in enumerate(failures) for eta in side]
    return f"{float(etas[0]):.6g}"


# -- refutation -------------------------------------------------------------------------------------------


def _refute_sides(
    sides: list[Problem], failures: list[list[Fraction]], budget: Budget
) -> tuple[str, dict[str, Any], Fraction, Fraction | float, float] | None:
    """The first certified counterexample on either side of the threshold."""
    for name, side, etas in zip(("above", "below"), sides, failures, strict=False):
        if etas and (found := _refute(side, etas, budget)) is not None:
            return name, *found
    return None


def _refute(
    problem: Problem, etas: list[Fraction], budget: Budget
) -> tuple[dict[str, Any], Fraction, Fraction | float, float] | None:
    """A certified counterexample: certificate entries, eta, wrong score, gap; None when none was certified."""
    for eta in _witness_order(problem, etas):
        found = _search(problem, [eta])
        gap = _lead(found)
        for wrong in dict.fromkeys(_round_scores(float(found.wrong_v[0]), problem.limit)):
            try:
                entries = _cover_right(problem, eta, wrong, float(np.clip(-0.5 * gap[0], 0.0, 1e6)), budget)
            except (_Failed, Undefined):
                continue
            return {"eta": str(eta), "wrong": _text(wrong), **entries}, eta, wrong, float(Fraction(entries["gap"]))
    return None


def _witness_order(problem: Problem, etas: list[Fraction]) -> list[Fraction]:
    """Posteriors to try: the clearest failures first; among ties, short fractions well inside the failing range."""
    gap = _lead(_search(problem, etas))
    if gap.min() < -1e-7:  # larger than one step of the float grid above 0
        best = [etas[i] for i in np.argsort(gap)]
        return sorted(best[:3], key=lambda eta: eta.denominator) + best[3:]
    middle = (etas[0] + etas[-1]) / 2
    inner = sorted(etas, key=lambda eta: (eta.denominator > 100, abs(eta - middle), eta.denominator))
    return inner[:8]


def _round_scores(v: float, limit: Fraction | float) -> Iterator[Fraction | float]:
    """Short rationals near a float score, then the limit itself."""
    if abs(v) < 1e-6:
        yield _ZERO
    if abs(v) < 1e3:
        for size in (1, 4, 64, 4096, 10**9):
            score = Fraction(v).limit_denominator(size)
            if -limit <= score <= 0:
                yield score
    else:
        yield from (Fraction(-(4**k)) for k in range(1, 6) if 4**k < limit)
    yield _ZERO
    yield -limit


def _cover_right(
    problem: Problem, eta: Fraction, wrong: Fraction | float, gap: float, budget: Budget
) -> dict[str, Any]:
    """Boxes over the correct scores, each with a rule that keeps its risk at or above the wrong score's."""
    target = Fraction(gap).limit_denominator(10**6) if gap > 1e-9 else _ZERO

    def rule(box: Box) -> dict[str, Any] | None:
        if box[0] == 0 and target == 0 and wrong == 0 and problem.rise(eta, box):
            return {"rule": "rise"}
        try:
            return {"rule": "value"} if problem.value(eta, box, wrong) >= Interval.point(target).lo else None
        except Undefined:
            return None

    entries = _cover(problem, _starting_boxes(problem, right=True), rule, budget, depth=14)
    if problem.jumps:
        entries = _with_points(entries, lambda v: {"rule": "value"} if v == 0 else rule((v, v)))
    return {"gap": str(target), "boxes": entries}


def _refuted(
    loss: Loss,
    threshold: Fraction,
    side: str,
    entries: dict[str, Any],
    eta: Fraction,
    wrong: Fraction | float,
    gap: float,
) -> Verdict:
    certificate = _header(loss, threshold, "inconsistent") | {"side": side} | entries
    if not (result := check(certificate)).valid:
        return _undecided(loss, f"the certificate was refused: {result.reason}")
    if side == "below":
        eta, wrong = 1 - eta, -wrong
    witness = {
        "eta": str(eta),
        "p": [str(eta), str(1 - eta)],
        "score": _text(wrong),
        "at": "limit" if isinstance(wrong, float) else "attained",
    }
    scope = f"refuted at eta = {eta}: the wrong score {_text(wrong)} is optimal; {loss.domain.words}"
    return Verdict(loss.name, Status.REFUTED, Tier.CERTIFIED, scope, gap, "at the witness", witness, certificate)


# -- proof ------------------------------------------------------------------------------------------------


def _cover_side(problem: Problem, budget: Budget) -> tuple[dict[str, Any], Fraction | None]:
    """Cells over eta and boxes over the wrong scores; and the certified gap away from the threshold."""
    floor = _cover(
        problem, _starting_boxes(problem, right=True), lambda box: {} if _try_floor(problem, box) else None, budget
    )
    first = problem.threshold + (1 - problem.threshold) * GAP_THETA
    near = _near_cell(problem, (problem.threshold, first), budget)
    try:
        far = list(_far_cells(problem, (first, _ONE), budget, depth=7))
    except _Failed:
        return {"floor": {"boxes": floor}, "cells": [near, _near_cell(problem, (first, _ONE), budget)]}, None
    gap = min(Fraction(cell["gap"]) for cell in far)
    return {"floor": {"boxes": floor}, "cells": [near, *far]}, gap


def _try_floor(problem: Problem, box: Box) -> bool:
    try:
        return problem.floor(box)
    except Undefined:
        return False


def _candidates(problem: Problem, etas: Iterable[Fraction]) -> list[Fraction]:
    scores = []
    for v in _search(problem, etas).right_v:
        score = Fraction(float(np.clip(v, 1 / 256, 64.0))).limit_denominator(256)
        scores.append(min(score, problem.bound) if problem.bound is not None else score)
    return list(dict.fromkeys(scores))


def _near_cell(problem: Problem, cell: tuple[Fraction, Fraction], budget: Budget) -> dict[str, Any]:
    """One cell whose boxes may use every rule; no gap is claimed."""
    candidates = _candidates(problem, [cell[0] + (cell[1] - cell[0]) * Fraction(k, 4) for k in (1, 4)])

    def rule(box: Box) -> dict[str, Any] | None:
        def wins(at: Fraction) -> bool:
            return problem.candidate(cell, box, at)

        return _first(
            [
                ({"rule": "tie"}, lambda: problem.tie(box)),
                ({"rule": "reflect"}, lambda: bool(problem.reflect(box) > 0)),
                *(({"rule": "candidate", "at": str(at)}, partial(wins, at)) for at in candidates),
            ]
        )

    if problem.phi is None and not problem.jumps and cell[0] == problem.threshold:
        slid = _slide_chain(problem, cell, budget)
    else:
        slid = []
    end = Fraction(slid[0]["v"][0]) if slid else _ZERO
    boxes = [(low, min(high, end)) for low, high in _starting_boxes(problem, right=False) if low < end]
    entries = _cover(problem, boxes, rule, budget) + slid
    if problem.jumps:
        entries = _with_points(entries, lambda v: rule((v, v)))
    return {"eta": [str(cell[0]), str(cell[1])], "gap": None, "boxes": entries}


def _slide_chain(problem: Problem, cell: tuple[Fraction, Fraction], budget: Budget) -> list[dict[str, Any]]:
    """The boxes next to 0 that the rule `slide` discharges, as far out as it goes without a break."""
    chain: list[dict[str, Any]] = []
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


def _first(tests: Iterable[tuple[dict[str, Any], Callable[[], bool]]]) -> dict[str, Any] | None:
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
    except _Failed:
        if depth == 0:
            raise
        middle = (cell[0] + cell[1]) / 2
        for half in ((cell[0], middle), (middle, cell[1])):
            yield from _far_cells(problem, half, budget, depth - 1)


def _far_cell(problem: Problem, cell: tuple[Fraction, Fraction], budget: Budget) -> dict[str, Any]:
    (at,) = _candidates(problem, [(cell[0] + cell[1]) / 2])
    gap = _lead(_search(problem, [cell[0]]))
    least = 0.5 * float(gap[0])
    if not least > 0:
        raise _Failed(f"no gap at eta = {cell[0]}")
    target = Interval.point(Fraction(least).limit_denominator(10**6)).lo
    gaps: list[Any] = []

    def rule(box: Box) -> dict[str, Any] | None:
        try:
            found = [problem.lead(eta, box, at) for eta in cell]
        except Undefined:
            return None
        if target <= 0 or not all(lead >= target for lead in found):
            return None
        gaps.extend(found)
        return {"rule": "candidate", "at": str(at)}

    entries = _cover(problem, _starting_boxes(problem, right=False), rule, budget, depth=10)
    if problem.jumps:
        entries = _with_points(entries, lambda v: rule((v, v)))
    finite = [value for value in map(fraction_of, gaps) if value is not None]
    claimed = Fraction(int(min(finite) * 10**6), 10**6) if finite else _ONE
    if claimed <= 0:
        raise _Failed(f"the gap at eta = {cell[0]} is too small to state")
    return {"eta": [str(cell[0]), str(cell[1])], "gap": str(claimed), "boxes": entries}


# -- covers -------------------------------------------------------------------------------------------------


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


def _cover(
    problem: Problem, boxes: list[Box], rule: Callable[[Box], dict[str, Any] | None], budget: Budget, depth: int = 24
) -> list[dict[str, Any]]:
    """The boxes, cut until a rule holds on each, in order."""
    entries: list[dict[str, Any]] = []
    pending = [(box, depth) for box in reversed(boxes)]
    while pending:
        box, left = pending.pop()
        budget.spend()
        entry = rule(box)
        if entry is not None:
            entries.append({"v": [_text(box[0]), _text(box[1])], **entry})
            continue
        if left == 0:
            raise _Failed(f"no rule holds on scores in [{_text(box[0])}, {_text(box[1])}]")
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


def _with_points(
    entries: list[dict[str, Any]], rule: Callable[[Fraction], dict[str, Any] | None]
) -> list[dict[str, Any]]:
    """The boxes with their finite ends as points in between, where no box's rule covers the end itself."""
    done = {entry["v"][1] for entry in entries if entry["rule"] == "tie"} | {
        entry["v"][0] for entry in entries if entry["rule"] == "rise"
    }
    out: list[dict[str, Any]] = []
    for text in dict.fromkeys(end for entry in entries for end in entry["v"]):
        if text in done or text in ("inf", "-inf"):
            continue
        entry = rule(Fraction(text))
        if entry is None:
            raise _Failed(f"no rule holds at the score {text}")
        out.append({"v": [text, text], **entry})
    return entries + out


def _text(value: Fraction | float) -> str:
    return str(value)
