"""The door of the second checker: a certificate in, `verified` or a reason out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from .elementary import NEG_INF, End
from .question import Cannot, Question, field, infinite, load, number, pair, show
from .rational import NotReal, Range
from .rules import (
    above,
    candidate,
    check_real,
    floor,
    limit_at_minus_infinity,
    reflect,
    rise,
    slide,
    tie,
    value,
)

_ZERO, _ONE = Fraction(0), Fraction(1)
_MAX_BOXES = 20_000
"""Boxes in one cover."""


@dataclass(frozen=True)
class SecondResult:
    """Whether the second arithmetic verified the claim; if not, `reason` says what it cannot do, not what is false."""

    verified: bool
    claim: str
    boxes: int
    reason: str | None = None


def check_second(certificate: Mapping[str, Any] | str | Path) -> SecondResult:
    """Verify a binary certificate (JSON object, or the path of its file) in rational interval arithmetic.

    Never raises for what the certificate holds: an entry that cannot be read is a reason like any other.

    >>> from theory import catalogue, prove
    >>> check_second(prove(catalogue.get("hinge")).certificate).verified
    True
    """
    claim = "unknown"
    try:
        data = load(certificate) if isinstance(certificate, (str, Path)) else certificate
        if not isinstance(data, Mapping):
            raise Cannot("read a certificate that is no JSON object")
        claim = str(data.get("claim"))[:40]
        if data.get("format") != "avgmargin certificate" or data.get("version") != 1 or data.get("version") is True:
            raise Cannot("read a certificate of another format or version")
        if claim in ("calibration", "gap"):
            raise Cannot("treat calibration functions")
        if claim not in ("consistent", "inconsistent"):
            raise Cannot("read the claim")
        if "classes" in data:
            raise Cannot("treat more than two classes")
        question = Question(data)
        boxes = _consistent(data, question) if claim == "consistent" else _inconsistent(data, question)
        return SecondResult(True, claim, boxes)
    except Cannot as reason:
        return SecondResult(False, claim, 0, f"cannot {reason}")
    except NotReal as reason:
        return SecondResult(False, claim, 0, f"cannot enclose {reason}")
    except (OverflowError, RecursionError, MemoryError) as reason:
        return SecondResult(False, claim, 0, f"cannot compute: {type(reason).__name__}")


def _cover(data: Any, low: End, high: End, jumps: bool) -> list[tuple[Mapping[str, Any], Range]]:
    entries = field(data, "boxes", list)
    if len(entries) > _MAX_BOXES:
        raise Cannot(f"treat more than {_MAX_BOXES} boxes in one cover")
    boxes = [(entry, pair(entry, "v")) for entry in entries]
    tiles = [box for _, box in boxes if box.lo != box.hi]
    points = {box.lo for _, box in boxes if box.lo == box.hi and not infinite(box.lo)}
    ends = [low, *(box.hi for box in tiles)]
    if [box.lo for box in tiles] != ends[:-1] or ends[-1] != high or any(not a < b for a, b in pairwise(ends)):
        raise Cannot(f"see that the boxes tile the scores from {low} to {high}")
    for entry, box in boxes:
        if box.lo != box.hi and entry.get("rule") == "tie":
            points.add(box.hi)
        if box.lo != box.hi and entry.get("rule") == "rise":
            points.add(box.lo)
        if box.lo == box.hi and infinite(box.lo):
            raise Cannot("use a box at infinity")
    if jumps and any(not infinite(end) and end not in points for end in ends):
        raise Cannot("see that the ends of the boxes are covered, where the loss may jump")
    return boxes


def _consistent(data: Mapping[str, Any], question: Question) -> int:
    sides = field(data, "sides", list)
    if len(sides) == 2:
        questions = [question, question.mirrored()]
    elif len(sides) == 1 and question.phi is not None:
        questions = [question]
    else:
        raise Cannot("see that one side of the threshold is the mirror image of the other")
    if len(sides) == 2 and question.phi is not None:
        raise Cannot("read two sides of a loss that is its own mirror image")
    return sum(_one_side(side, each) for side, each in zip(sides, questions, strict=True))


def _one_side(side: Any, question: Question) -> int:
    cells = [(cell, pair(cell, "eta")) for cell in field(side, "cells", list)]
    ends = [question.threshold, *(eta.hi for _, eta in cells)]
    if [eta.lo for _, eta in cells] != ends[:-1] or ends[-1] != 1 or any(not a < b for a, b in pairwise(ends)):
        raise Cannot("see that the cells tile the posteriors from the threshold to 1")
    floors = _cover(field(side, "floor", Mapping), _ZERO, question.limit, False)
    check_real(question, [box for _, box in floors])
    for _, box in floors:
        if box.lo != box.hi and not floor(question, box):
            raise Cannot(f"bound the risk below on {show(box)}")
    count = len(floors)
    for cell, eta in cells:
        boxes = _cover(cell, -question.limit, _ZERO, question.jumps)
        if eta.lo == question.threshold:
            check_real(question, [box for _, box in boxes])
        gap = None if cell.get("gap") is None else number(cell["gap"])
        rules = [entry.get("rule") for entry, box in boxes if box.lo != box.hi]
        if "slide" in rules and any(rule != "slide" for rule in rules[rules.index("slide") :]):
            raise Cannot("follow boxes with the rule slide that do not reach 0")
        for entry, box in boxes:
            count += 1
            if not _wrong_box(question, entry, eta, box, gap):
                rule = str(entry.get("rule"))[:20]
                raise Cannot(f"verify rule {rule!r} on eta in {show(eta)}, v in {show(box)}")
    return count


def _wrong_box(question: Question, entry: Mapping[str, Any], eta: Range, box: Range, gap: Fraction | None) -> bool:
    rule = entry.get("rule")
    if rule == "candidate":
        at = number(entry.get("at"))
        return abs(at) <= question.limit and candidate(question, eta, box, at, gap)
    if gap is not None:
        return False
    if rule == "reflect":
        return reflect(question, box)
    if box.lo == box.hi:
        return False
    return (rule == "tie" and tie(question, box)) or (rule == "slide" and slide(question, eta, box))


def _inconsistent(data: Mapping[str, Any], question: Question) -> int:
    side = field(data, "side", str)
    if side not in ("above", "below"):
        raise Cannot("read the side")
    if side == "below":
        question = question.mirrored()
    eta, text = number(data.get("eta")), data.get("wrong")
    wrong: End = NEG_INF if text == "-inf" else number(text)
    gap = number(data.get("gap"))
    if not question.threshold < eta <= 1 or not -question.limit <= wrong <= 0 or gap < 0:
        raise Cannot("use a posterior, wrong score or gap outside its range")
    risk = question.risk(eta)
    least = limit_at_minus_infinity(risk) if isinstance(wrong, float) else value(risk, wrong)
    boxes = _cover(data, _ZERO, question.limit, question.jumps)
    check_real(question, [side for _, box in boxes for side in (box, -box)])
    for entry, box in boxes:
        if box.lo == box.hi == 0:
            continue
        rule = entry.get("rule")
        good = False
        if rule == "value":
            good = above(question, risk, box, (least + Range.at(gap)).hi, False)
        elif rule == "rise" and gap == 0 and wrong == 0 and box.lo != box.hi:
            good = rise(question, risk, box)
        if not good:
            raise Cannot(f"verify rule {str(rule)[:20]!r} at eta = {eta} on v in {show(box)}")
    return len(boxes)
