"""Binary certificates: cells of eta and boxes of scores, each with a rule of `theory.checker.binary_rules`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

from theory.expression.interval import Interval

from .binary_rules import Box, Problem
from .reading import MAX_BOXES, CertificateError, Refused, end, get, number, pair

_ZERO = Fraction(0)


def _boxes(data: Any, low: Fraction | float, high: Fraction | float, jumps: bool) -> list[tuple[dict[str, Any], Box]]:
    """The boxes of a cover of [low, high], which they must tile in order (and cover the ends, where trees may jump)."""
    entries = get(data, "boxes", list)
    if len(entries) > MAX_BOXES:
        raise CertificateError(f"certificate has more than {MAX_BOXES} boxes in one cover")
    boxes = [(entry, pair(entry, "v")) for entry in entries]
    tiles = [box for _, box in boxes if box[0] != box[1]]
    points = {box[0] for _, box in boxes if box[0] == box[1]}
    ends = [low, *(box[1] for box in tiles)]
    if [box[0] for box in tiles] != ends[:-1] or ends[-1] != high or any(a >= b for a, b in pairwise(ends)):
        raise Refused(f"the boxes do not tile the scores from {low} to {high}")
    whole = {box[1] for entry, box in boxes if entry.get("rule") in ("tie",)} | {
        box[0] for entry, box in boxes if entry.get("rule") == "rise"
    }
    missing = {end for end in ends if isinstance(end, Fraction)} - points - whole
    if jumps and missing:
        raise Refused(f"the loss may jump, and the score {min(missing)} is not covered as a point")
    return boxes


def verify_real(data: Mapping[str, Any], problem: Problem) -> None:
    """The loss has a value on its whole domain: on the pieces between the ends in `real` (one piece by default)."""
    limit = problem.limit
    ends = [end(text, "real") for text in get(data, "real", list)] if "real" in data else [-limit, limit]
    if len(ends) > MAX_BOXES or ends[:1] != [-limit] or ends[-1] != limit or any(a >= b for a, b in pairwise(ends)):
        raise Refused("the entry 'real' does not cut the domain into pieces")
    points = [(x, x) for x in ends if isinstance(x, Fraction)]
    for box in [*pairwise(ends), *points]:
        if not problem.real(box):
            raise Refused(f"the loss may fail to be a real number on v in {_show(box)}")


def verify_consistent(data: Mapping[str, Any], problem: Problem) -> int:
    verify_real(data, problem)
    sides = get(data, "sides", list)
    problems = [problem] if problem.phi is not None else [problem, problem.mirrored()]
    if len(sides) != len(problems):
        raise Refused(f"the proof has {len(sides)} sides; this loss needs {len(problems)}")
    return sum(_check_side(side, each) for side, each in zip(sides, problems, strict=True))


def _check_side(side: Any, problem: Problem) -> int:
    cells = [(cell, pair(cell, "eta")) for cell in get(side, "cells", list)]
    ends = [problem.threshold, *(eta[1] for _, eta in cells)]
    if [eta[0] for _, eta in cells] != ends[:-1] or ends[-1] != 1 or any(a >= b for a, b in pairwise(ends)):
        raise Refused("the cells of eta do not tile the posteriors from the threshold to 1")
    count = 0
    for _, box in _boxes(get(side, "floor", dict), _ZERO, problem.limit, False):
        count += 1
        if not problem.floor(box):
            raise Refused(f"the risk is not bounded below on {_show(box)}")
    for cell, eta in cells:
        boxes = _boxes(cell, -problem.limit, _ZERO, problem.jumps)
        gap = number(cell["gap"], "gap") if cell.get("gap") is not None else None
        rules = [entry.get("rule") for entry, box in boxes if box[0] != box[1]]
        if "slide" in rules and any(rule != "slide" for rule in rules[rules.index("slide") :]):
            raise Refused("boxes with the rule slide must reach up to 0 without a break")
        for entry, box in boxes:
            count += 1
            _check_wrong_box(problem, entry, eta, box, gap)
    return count


def _check_wrong_box(
    problem: Problem, entry: dict[str, Any], eta: tuple[Any, Any], box: Box, gap: Fraction | None
) -> None:
    rule = entry.get("rule")
    good = False
    if rule == "candidate":
        at = number(get(entry, "at", str), "at")
        if abs(at) > problem.limit:
            raise Refused(f"the candidate {at} lies outside the domain")
        if gap is None:
            good = problem.candidate(eta, box, at)
        else:
            good = gap > 0 and all(bool(problem.lead(end, box, at) >= Interval.point(gap).lo) for end in eta)
    elif gap is None:
        good = (
            (rule == "reflect" and bool(problem.reflect(box) > 0))
            or (rule == "tie" and problem.tie(box))
            or (rule == "slide" and problem.slide(eta, box))
        )
    if not good:
        raise Refused(f"rule {rule!r} fails on eta in {_show(eta)}, v in {_show(box)}")


def verify_inconsistent(data: Mapping[str, Any], problem: Problem) -> int:
    side = get(data, "side", str)
    if side not in ("above", "below"):
        raise CertificateError(f"certificate entry 'side' is {side[:40]!r}; it must be 'above' or 'below'")
    verify_real(data, problem)
    if side == "below":
        problem = problem.mirrored()
    eta, wrong = number(get(data, "eta", str), "eta"), end(get(data, "wrong", str), "wrong")
    if not problem.threshold < eta <= 1 or not -problem.limit <= wrong <= 0:
        raise Refused(f"eta={eta} must lie above the threshold and the wrong score {wrong} at or below 0")
    gap = number(get(data, "gap", str), "gap")
    boxes = _boxes(data, _ZERO, problem.limit, problem.jumps)
    for entry, box in boxes:
        if box == (_ZERO, _ZERO):
            continue
        rule = entry.get("rule")
        good = False
        if rule == "value":
            good = bool(problem.value(eta, box, wrong) >= Interval.point(gap).lo) and gap >= 0
        elif rule == "rise" and gap == 0 and wrong == 0:
            good = problem.rise(eta, box)
        if not good:
            raise Refused(f"rule {rule!r} fails at eta={eta} on v in {_show(box)}")
    return len(boxes)


def _show(pair: tuple[Any, Any]) -> str:
    return f"[{pair[0]}, {pair[1]}]"
