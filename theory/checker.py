"""The small independent checker: decides from a certificate alone whether its claim holds.

Trusted: this file, the expression tree with its ball arithmetic, python-flint. A certificate is a
JSON object; nothing in it is believed before it is verified here.

The setting is binary. plus(v), minus(v) are the losses of the score v for y = +1 and y = -1,
eta = P(Y = +1 | x), a the threshold (1/2 for the Bayes rule), C_eta = eta plus + (1 - eta) minus.
For eta > a the scores v <= 0 are wrong, ties included. Only eta > a is treated; eta < a is the same
question for the mirrored pair minus(-v), plus(-v) with threshold 1 - a. Where a plus(v) = (1 - a) minus(-v),
as for every phi(t) with a = 1/2, write phi = plus: C_eta is proportional to r phi(v) + phi(-v) with r > 1
exactly for eta > a, and the mirrored question is the same one.

Claim `consistent`: inf of C_eta over wrong v is above inf of C_eta, for every eta in (a, 1], and C_eta
is bounded below. Cells of eta cover [a, 1]; in each, boxes cover the wrong scores. C_eta is linear in eta,
so what holds at both ends of a cell holds inside. A box is discharged by one of the rules

  candidate  C(v) - C(at) >= gap > 0 on the box at both ends of the cell (without a stated gap, >= 0 is enough at
             eta = a, which is not claimed);
  reflect    phi(-t) - phi(t) >= d > 0 for all -t in the box: then C(-t) - C(t) >= (eta - (1 - eta) a / (1 - a)) d;
  tie        the box is [-r, 0]: phi continuous, phi(-t) - phi(t) >= k t with k > 0, phi'(0+) < 0, phi'(0+) <= phi'(0-):
             points left of 0 lose to their reflections, and C falls to the right of 0, its right slope
             being at most a positive multiple of phi'(0+);
  slide      a chain of boxes up to 0 on which C_a falls weakly and C at the cell's upper end falls strictly
             (both trees without `where`, hence continuous), and so to the right of 0.

Claim `inconsistent`: at one rational eta > a a wrong score (or the limit v -> -inf) has risk <= C(v) for all v > 0:

  value      the lower bound of C on the box is at least the wrong score's risk;
  rise       the wrong score is 0, the box starts at 0, and C rises weakly on it (C' >= 0, or C'(0+) >= 0 and C'' >= 0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from flint import ctx

from .expression.calculus import differentiate
from .expression.enclosure import bound, enclose
from .expression.interval import INF, NEG_INF, End, Interval, Undefined
from .expression.nodes import Const, Expr, Var, Where, substitute, walk
from .expression.normal import normal_form, same_function
from .expression.parse import BINARY_NAMES, PAIR_NAMES, parse
from .expression.rewrite import simplify, stabilise

FORMAT, VERSION, PRECISION = "avgmargin certificate", 1, 80
MAX_BYTES, MAX_BOXES = 32_000_000, 500_000
_ZERO, _ONE = Fraction(0), Fraction(1)
_FRACTION = re.compile(r"-?[0-9]+(/0*[1-9][0-9]*)?")
Box = tuple[Fraction | float, Fraction | float]


class CertificateError(ValueError):
    """A certificate that cannot be read: not JSON, another version, a missing or malformed entry."""


class Refused(Exception):
    """The claim of a readable certificate does not follow from it."""


@dataclass(frozen=True)
class CheckResult:
    """`valid` tells whether the claim was verified; `reason` why not; `boxes` how many boxes were verified."""

    valid: bool
    claim: str
    loss: str
    boxes: int
    reason: str | None = None


class Problem:
    """One binary question: the two losses of the score, the threshold, the domain |v| <= bound (or R)."""

    def __init__(self, plus: Expr, minus: Expr, threshold: Fraction, bound_: Fraction | None) -> None:
        self.plus, self.minus, self.threshold, self.bound = plus, minus, threshold, bound_
        balanced = Const(threshold) * plus - Const(1 - threshold) * stabilise(substitute(minus, {"v": -Var("v")}))
        self.phi = substitute(plus, {"v": Var("t")}) if same_function(balanced, Const(_ZERO)) else None
        self.jumps = any(isinstance(node, Where) for tree in (plus, minus) for node in walk(tree))
        self._risks: dict[Fraction, Expr] = {}
        self._points: dict[tuple[Fraction, Fraction | float], Interval] = {}

    @property
    def limit(self) -> Fraction | float:
        """The largest score: the domain's bound or infinity."""
        return float("inf") if self.bound is None else self.bound

    def mirrored(self) -> Problem:
        """The question for eta < a, in the coordinates 1 - eta and -v."""
        flip = {"v": -Var("v")}
        plus, minus = stabilise(substitute(self.minus, flip)), stabilise(substitute(self.plus, flip))
        return Problem(plus, minus, 1 - self.threshold, self.bound)

    def risk(self, eta: Fraction) -> Expr:
        """C_eta as a tree in v."""
        if eta not in self._risks:
            tree = simplify(Const(eta) * self.plus + Const(1 - eta) * self.minus)
            collected = normal_form(tree)
            self._risks[eta] = collected if isinstance(collected, Const) else tree
        return self._risks[eta]

    @cached_property
    def reflection(self) -> Expr:
        """phi(-t) - phi(t) as a tree in t."""
        assert self.phi is not None
        return stabilise(substitute(self.phi, {"t": -Var("t")}) - self.phi)

    def risk_at(self, eta: Fraction, v: Fraction | float) -> Interval:
        """C_eta at one score; at an infinite one, the limit (Undefined where the arithmetic cannot tell)."""
        if (eta, v) not in self._points:
            self._points[eta, v] = enclose(self.risk(eta), {"v": Interval.between(v, v)}).range
        return self._points[eta, v]

    # -- rules for `consistent` --------------------------------------------------------------------

    def lead(self, eta: Fraction, box: Box, at: Fraction) -> End:
        """The least of C(v) - C(at) over the box, from below."""
        return (Interval(self._low(eta, box), INF) - self.risk_at(eta, at)).lo

    def candidate(self, cell: tuple[Fraction, Fraction], box: Box, at: Fraction) -> bool:
        """C(v) - C(at) > 0 on the box inside the cell: positive at its upper end, and at its lower end or 0 at a."""
        if not self.lead(cell[1], box, at) > 0:
            return False
        low = self.lead(cell[0], box, at)
        return bool(low > 0 or (cell[0] == self.threshold and low >= 0))

    def _low(self, eta: Fraction, box: Box) -> End:
        return bound(self.risk(eta), "v", Interval.between(*box)).range.lo

    def reflect(self, box: Box) -> End:
        """The least of phi(-t) - phi(t) for -t in the box, from below; -inf where the rule does not apply."""
        if self.phi is None:
            return NEG_INF
        return bound(self.reflection, "t", Interval.between(-box[1], -box[0])).range.lo

    def tie(self, box: Box) -> bool:
        """The rule for phi on [-r, 0]."""
        r = -box[0]
        if self.phi is None or box[1] != 0 or not isinstance(r, Fraction) or r <= 0:
            return False
        slope = differentiate(self.phi, "t")
        left, right, both = ((-r, _ZERO), (_ZERO, r), (-r, r))
        pieces = [enclose_between(self.phi, "t", side) for side in (left, right)]
        whole = enclose_between(self.phi, "t", both)
        if pieces[0].jumped or pieces[1].jumped or not (not whole.jumped or self._joins_at_zero(pieces)):
            return False
        fall = differentiate(self.reflection, "t")
        if not enclose_between(fall, "t", right).range.lo > 0:
            return False
        slopes = [enclose_between(slope, "t", side) for side in (left, right)]
        if slopes[1].jumped or not slopes[1].points[0].hi < 0:
            return False
        smooth = not enclose_between(slope, "t", both).jumped
        return smooth or (not slopes[0].jumped and bool(slopes[1].points[0].hi <= slopes[0].points[1].lo))

    def _joins_at_zero(self, pieces: list[Any]) -> bool:
        assert self.phi is not None
        values = (pieces[0].points[1], pieces[1].points[0], enclose(self.phi, {"t": Interval.point(0)}).range)
        return all(value.is_point and value.lo == values[0].lo for value in values)

    def slide(self, cell: tuple[Fraction, Fraction], box: Box) -> bool:
        """C falls on the box for every eta in the cell above a; next to 0 it falls to the right of 0 too."""
        if self.jumps or cell[0] != self.threshold or not isinstance(box[0], Fraction):
            return False
        weak, strict = (differentiate(self.risk(eta), "v") for eta in cell)
        if not enclose_between(strict, "v", box).range.hi < 0:
            return False
        if not self._falls(weak, box):
            return False
        if box[1] != 0:
            return True
        step: Box = (_ZERO, -box[0])
        after = [enclose_between(tree, "v", step) for tree in (weak, strict)]
        return not any(x.jumped for x in after) and bool(after[0].points[0].hi <= 0 and after[1].points[0].hi < 0)

    @staticmethod
    def _falls(slope: Expr, box: Box) -> bool:
        found = enclose_between(slope, "v", box)
        if found.range.hi <= 0:
            return True
        return bool(
            not found.jumped
            and found.points[1].hi <= 0
            and enclose_between(differentiate(slope, "v"), "v", box).range.lo >= 0
        )

    def floor(self, box: Box) -> bool:
        """C_eta is bounded below on the box, for every eta in [a, 1]."""
        return all(self._low(eta, box) > NEG_INF for eta in (self.threshold, _ONE))

    # -- rules for `inconsistent` ------------------------------------------------------------------

    def value(self, eta: Fraction, box: Box, wrong: Fraction | float) -> End:
        """The least of C(v) - C(wrong) over the box, from below."""
        return (Interval(self._low(eta, box), INF) - self.risk_at(eta, wrong)).lo

    def rise(self, eta: Fraction, box: Box) -> bool:
        """C >= C(0) on (0, r]."""
        r = box[1]
        if box[0] != 0 or not isinstance(r, Fraction):
            return False
        if self.jumps:
            inside = enclose_between(self.risk(eta), "v", box)
            if inside.jumped or not inside.points[0].lo >= self.risk_at(eta, _ZERO).hi:
                return False
        slope = differentiate(self.risk(eta), "v")
        found = enclose_between(slope, "v", box)
        if found.range.lo >= 0:
            return True
        if found.jumped or not found.points[0].lo >= 0:
            return False
        return bool(enclose_between(differentiate(slope, "v"), "v", box).range.lo >= 0)


def enclose_between(tree: Expr, name: str, box: Box) -> Any:
    """The enclosure of a tree over an interval, with its limits at both ends."""
    side = Interval.between(*box)
    return enclose(tree, {name: side}, [{name: Interval(end, end)} for end in (side.lo, side.hi)], along=name)


# -- reading a certificate ---------------------------------------------------------------------------


def load(path: str | Path) -> dict[str, Any]:
    """The JSON object of a certificate file; CertificateError when it cannot be one."""
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise CertificateError(
                f"certificate {file.name!r} has {file.stat().st_size} bytes; at most {MAX_BYTES} are read"
            )
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CertificateError(f"certificate {str(path)!r} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, CertificateError):
            raise
        raise CertificateError(f"certificate {file.name!r} is not valid JSON; it may be truncated") from None
    if not isinstance(data, dict):
        raise CertificateError(f"certificate {file.name!r} must hold one JSON object")
    return data


def _get(data: Any, key: str, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(data, dict) or not isinstance(data.get(key), kind) or isinstance(data.get(key), bool):
        raise CertificateError(f"certificate entry {key!r} is missing or of the wrong kind")
    return data[key]


def _number(text: Any, key: str) -> Fraction:
    if not isinstance(text, str) or len(text) > 300:
        raise CertificateError(f"certificate entry {key!r} must hold numbers written as short text, such as '1/10'")
    if _FRACTION.fullmatch(text) is None:
        raise CertificateError(f"certificate entry {key!r} holds {text[:40]!r}, which is not a fraction")
    return Fraction(text)


def _end(text: Any, key: str) -> Fraction | float:
    return float(text) if text in ("inf", "-inf") else _number(text, key)


def _pair(data: Any, key: str) -> tuple[Any, Any]:
    pair = _get(data, key, list)
    if len(pair) != 2:
        raise CertificateError(f"certificate entry {key!r} must hold two numbers")
    return _end(pair[0], key), _end(pair[1], key)


def read_problem(data: Mapping[str, Any]) -> Problem:
    """The question that a certificate answers, from its formulas, exact parameters, domain and threshold."""
    loss = _get(data, "loss", dict)
    values = {}
    for name, text in _get(loss, "parameters", dict).items():
        if name in BINARY_NAMES | PAIR_NAMES:
            raise CertificateError(f"certificate parameter {name!r} has the name of a score")
        values[name] = Const(_number(text, f"parameter {name[:20]}"))
    kind, _, limit = str(_get(loss, "domain", str)).partition(":")
    if kind not in ("all", "sum-zero", "bounded") or (kind == "bounded") != bool(limit):
        raise CertificateError(f"certificate entry 'domain' holds {loss['domain'][:40]!r}")
    limit_value = _number(limit, "domain") if limit else None
    threshold = _number(_get(data, "threshold", str), "threshold")
    if not 0 < threshold < 1 or (limit_value is not None and limit_value <= 0):
        raise CertificateError("certificate threshold must lie in (0, 1) and its bound must be positive")

    def tree(key: str, names: frozenset[str]) -> Expr:
        return stabilise(substitute(parse(_get(loss, key, str), names, frozenset(values)), values))

    try:
        if "binary" in loss:
            phi = tree("binary", BINARY_NAMES)
            minus = stabilise(substitute(phi, {"t": -Var("v")}))
            return Problem(substitute(phi, {"t": Var("v")}), minus, threshold, limit_value)
        return Problem(tree("plus", PAIR_NAMES), tree("minus", PAIR_NAMES), threshold, limit_value)
    except CertificateError:
        raise
    except ValueError as error:
        raise CertificateError(f"certificate formula cannot be read: {error}") from None


def check(certificate: Mapping[str, Any] | str | Path) -> CheckResult:
    """Verify a certificate (a JSON object, or the path of its file) from nothing but itself.

    Raises CertificateError when it cannot be read; otherwise the result says whether the claim was
    verified, and if not, which part failed.
    """
    data = load(certificate) if isinstance(certificate, (str, Path)) else certificate
    if _get(data, "format", str) != FORMAT or _get(data, "version", int) != VERSION:
        raise CertificateError(f"certificate must be of format {FORMAT!r}, version {VERSION}")
    claim, name = _get(data, "claim", str), str(_get(_get(data, "loss", dict), "name", str))
    verify = {"consistent": _check_consistent, "inconsistent": _check_inconsistent}.get(claim)
    if verify is None:
        raise CertificateError(f"certificate claim {claim[:40]!r} must be 'consistent' or 'inconsistent'")
    with ctx.workprec(PRECISION):
        try:
            return CheckResult(True, claim, name, verify(data, read_problem(data)))
        except Refused as refusal:
            return CheckResult(False, claim, name, 0, str(refusal))
        except Undefined as undefined:
            return CheckResult(False, claim, name, 0, f"a value cannot be enclosed: {undefined}")


def _boxes(data: Any, low: Fraction | float, high: Fraction | float, jumps: bool) -> list[tuple[dict[str, Any], Box]]:
    """The boxes of a cover of [low, high], which they must tile in order (and cover the ends, where trees may jump)."""
    entries = _get(data, "boxes", list)
    if len(entries) > MAX_BOXES:
        raise CertificateError(f"certificate has more than {MAX_BOXES} boxes in one cover")
    boxes = [(entry, _pair(entry, "v")) for entry in entries]
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


def _check_consistent(data: Mapping[str, Any], problem: Problem) -> int:
    sides = _get(data, "sides", list)
    problems = [problem] if problem.phi is not None else [problem, problem.mirrored()]
    if len(sides) != len(problems):
        raise Refused(f"the proof has {len(sides)} sides; this loss needs {len(problems)}")
    return sum(_check_side(side, each) for side, each in zip(sides, problems, strict=True))


def _check_side(side: Any, problem: Problem) -> int:
    cells = [(cell, _pair(cell, "eta")) for cell in _get(side, "cells", list)]
    ends = [problem.threshold, *(eta[1] for _, eta in cells)]
    if [eta[0] for _, eta in cells] != ends[:-1] or ends[-1] != 1 or any(a >= b for a, b in pairwise(ends)):
        raise Refused("the cells of eta do not tile the posteriors from the threshold to 1")
    count = 0
    for _, box in _boxes(_get(side, "floor", dict), _ZERO, problem.limit, False):
        count += 1
        if not problem.floor(box):
            raise Refused(f"the risk is not bounded below on {_show(box)}")
    for cell, eta in cells:
        boxes = _boxes(cell, -problem.limit, _ZERO, problem.jumps)
        gap = _number(cell["gap"], "gap") if cell.get("gap") is not None else None
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
        at = _number(_get(entry, "at", str), "at")
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


def _check_inconsistent(data: Mapping[str, Any], problem: Problem) -> int:
    if _get(data, "side", str) == "below":
        problem = problem.mirrored()
    eta, wrong = _number(_get(data, "eta", str), "eta"), _end(_get(data, "wrong", str), "wrong")
    if not problem.threshold < eta <= 1 or not -problem.limit <= wrong <= 0:
        raise Refused(f"eta={eta} must lie above the threshold and the wrong score {wrong} at or below 0")
    gap = _number(_get(data, "gap", str), "gap")
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
