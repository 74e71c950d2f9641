"""The small independent checker: decides from a certificate alone whether its claim holds.

Trusted: this file, the rules (`theory.binary_rules`, `theory.multiclass_rules`), the exact
arrangement of piecewise-linear losses (`theory.arrangement`), the expression tree with its ball
arithmetic, python-flint. A certificate is a JSON object; nothing in it is believed before it is
verified here.

Binary certificates hold cells of eta and boxes of scores, each with a rule (`theory.binary_rules`).
Multiclass certificates of piecewise-linear losses hold, for every vertex of the arrangement at which
a wrong class is on top, weights of vertices that beat it together (`theory.polyhedral`), or one
posterior at which such a vertex is optimal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from flint import ctx

from .arrangement import Arrangement, NotPolyhedral, arrange, losses_at
from .binary_rules import Box, Problem
from .cone import Cone
from .cone_checker import TreeRefused, verify_proof, verify_refutation
from .expression.interval import Interval, Undefined
from .expression.nodes import Const, Expr, Var, substitute
from .expression.parse import BINARY_NAMES, OTHER_NAMES, PAIR_NAMES, SCORE_NAMES, parse
from .expression.rewrite import stabilise
from .multiclass_rules import (
    Posterior,
    Weights,
    certified_kappa,
    class_pairs,
    distinct_losses,
    is_optimal,
    unbounded_label,
    wrong_vertices,
)

FORMAT, VERSION, PRECISION = "avgmargin certificate", 1, 80
MAX_BYTES, MAX_BOXES = 32_000_000, 500_000
_ZERO, _ONE = Fraction(0), Fraction(1)
_FRACTION = re.compile(r"-?[0-9]+(/0*[1-9][0-9]*)?")


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
    if not isinstance(text, str) or len(text) > 800:
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


def _parameters(loss: dict[str, Any], reserved: frozenset[str]) -> dict[str, Fraction | Posterior]:
    values: dict[str, Fraction | Posterior] = {}
    for name, text in _get(loss, "parameters", dict).items():
        if name in reserved:
            raise CertificateError(f"certificate parameter {name!r} has the name of a score")
        key = f"parameter {name[:20]}"
        values[name] = tuple(_number(x, key) for x in text) if isinstance(text, list) else _number(text, key)
    return values


def _domain(loss: dict[str, Any]) -> tuple[str, Fraction | None]:
    kind, _, limit = str(_get(loss, "domain", str)).partition(":")
    if kind not in ("all", "sum-zero", "bounded") or (kind == "bounded") != bool(limit):
        raise CertificateError(f"certificate entry 'domain' holds {loss['domain'][:40]!r}")
    value = _number(limit, "domain") if limit else None
    if value is not None and value <= 0:
        raise CertificateError("certificate domain must have a positive bound")
    return kind, value


def _tree(loss: dict[str, Any], key: str, names: frozenset[str], values: Mapping[str, Any]) -> Expr:
    text = _get(loss, key, str)
    try:
        tree = parse(text, names, frozenset(values))
    except ValueError as error:
        raise CertificateError(f"certificate formula cannot be read: {error}") from None
    return stabilise(substitute(tree, {name: Const(x) for name, x in values.items() if isinstance(x, Fraction)}))


def read_problem(data: Mapping[str, Any]) -> Problem:
    """The binary question of a certificate, from its formulas, exact parameters, domain and threshold."""
    loss = _get(data, "loss", dict)
    values = _parameters(loss, BINARY_NAMES | PAIR_NAMES)
    if any(isinstance(value, tuple) for value in values.values()):
        raise CertificateError("certificate of a binary loss must have numbers as parameters, not vectors")
    _, limit = _domain(loss)
    threshold = _number(_get(data, "threshold", str), "threshold")
    if not 0 < threshold < 1:
        raise CertificateError("certificate threshold must lie in (0, 1)")
    if "binary" in loss:
        phi = _tree(loss, "binary", BINARY_NAMES, values)
        minus = stabilise(substitute(phi, {"t": -Var("v")}))
        return Problem(substitute(phi, {"t": Var("v")}), minus, threshold, limit)
    plus, minus = (_tree(loss, key, PAIR_NAMES, values) for key in ("plus", "minus"))
    return Problem(plus, minus, threshold, limit)


def check(certificate: Mapping[str, Any] | str | Path) -> CheckResult:
    """Verify a certificate (a JSON object, or the path of its file) from nothing but itself.

    Raises CertificateError when it cannot be read; otherwise the result says whether the claim was
    verified, and if not, which part failed.
    """
    data = load(certificate) if isinstance(certificate, (str, Path)) else certificate
    if _get(data, "format", str) != FORMAT or _get(data, "version", int) != VERSION:
        raise CertificateError(f"certificate must be of format {FORMAT!r}, version {VERSION}")
    claim, name = _get(data, "claim", str), str(_get(_get(data, "loss", dict), "name", str))
    if claim not in ("consistent", "inconsistent"):
        raise CertificateError(f"certificate claim {claim[:40]!r} must be 'consistent' or 'inconsistent'")
    with ctx.workprec(PRECISION):
        try:
            if "classes" in data:
                verify_classes = _check_cone if data.get("method") == "cone" else _check_polyhedral
                return CheckResult(True, claim, name, verify_classes(data, claim))
            verify = _check_consistent if claim == "consistent" else _check_inconsistent
            return CheckResult(True, claim, name, verify(data, read_problem(data)))
        except (Refused, TreeRefused) as refusal:
            return CheckResult(False, claim, name, 0, str(refusal))
        except Undefined as undefined:
            return CheckResult(False, claim, name, 0, f"a value cannot be enclosed: {undefined}")
        except NotPolyhedral as reason:
            return CheckResult(False, claim, name, 0, str(reason))


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
    side = _get(data, "side", str)
    if side not in ("above", "below"):
        raise CertificateError(f"certificate entry 'side' is {side[:40]!r}; it must be 'above' or 'below'")
    if side == "below":
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


# -- piecewise-linear losses of several classes ---------------------------------------------------------


def _vector(data: Any, key: str, size: int) -> Posterior:
    values = tuple(_number(x, key) for x in _get(data, key, list))
    if len(values) != size:
        raise CertificateError(f"certificate entry {key!r} must hold {size} numbers")
    return values


def _read_multiclass(data: Mapping[str, Any]) -> tuple[Expr, int, str, Fraction | None, dict[str, Posterior]]:
    """Tree, number of classes, kind of domain and its bound, and vector parameters."""
    classes, loss = _get(data, "classes", int), _get(data, "loss", dict)
    if not 2 <= classes <= 6:
        raise CertificateError("certificate entry 'classes' must lie between 2 and 6")
    values = _parameters(loss, SCORE_NAMES | OTHER_NAMES)
    vectors = {name: value for name, value in values.items() if isinstance(value, tuple)}
    if any(len(value) != classes for value in vectors.values()):
        raise CertificateError("certificate vector parameters must have one entry per class")
    return _tree(loss, "multiclass", SCORE_NAMES, values), classes, *_domain(loss), vectors


def _check_cone(data: Mapping[str, Any], claim: str) -> int:
    tree, classes, kind, limit, vectors = _read_multiclass(data)
    if vectors or limit is not None:
        raise Refused("trees on the cone are for unbounded scores and losses that treat all labels alike")
    cone = Cone(tree, classes, kind)
    if cone.jumps:
        raise Refused("the loss may jump, and the faces between boxes of gaps are not covered")

    def number(text: Any) -> Fraction:
        return _number(text, "scores")

    if claim == "consistent":
        return verify_proof(cone, data.get("trees"), data.get("floors"), number)
    return verify_refutation(cone, _vector(data, "p", classes), data.get("wrong"), data.get("trees"), number)


def _check_polyhedral(data: Mapping[str, Any], claim: str) -> int:
    tree, classes, kind, limit, vectors = _read_multiclass(data)
    found = arrange(tree, classes, kind, limit, vectors)
    if unbounded_label(found) is not None:
        raise Refused("the conditional risk is unbounded below")
    if claim == "consistent":
        return _check_weights(data, found, symmetric=not vectors)
    p, scores = _vector(data, "p", classes), _vector(data, "scores", classes)
    if (kind == "sum-zero" and sum(scores) != 0) or (limit is not None and max(map(abs, scores)) > limit):
        raise Refused("the wrong scores lie outside the domain")
    if not any(p[k] < max(p) for k in range(classes) if scores[k] == max(scores)):
        raise Refused("no wrong class is on top at the stated scores")
    if not is_optimal(distinct_losses(found)[0], losses_at(tree, scores, vectors), p):
        raise Refused("the wrong scores are not optimal at the stated posterior")
    return len(found.vertices)


def _check_weights(data: Mapping[str, Any], found: Arrangement, symmetric: bool) -> int:
    classes = found.classes
    losses, place = distinct_losses(found)
    kappa = _number(_get(data, "kappa", str), "kappa")
    if kappa <= 0:
        raise Refused("kappa must be positive")
    given: dict[tuple[int, int, Posterior], Weights] = {}
    for entry in _get(data, "weights", list):
        best, rival = _get(entry, "best", int), _get(entry, "rival", int)
        wrong = _vector(entry, "losses", classes)
        beaten = {_vector(each, "losses", classes): each for each in _get(entry, "beaten_by", list)}
        if not {wrong, *beaten} <= place.keys():
            raise Refused("an entry names losses that no vertex has")
        weights = {place[vector]: _number(_get(each, "weight", str), "weight") for vector, each in beaten.items()}
        given[best, rival, wrong] = Weights(place[wrong], best, rival, weights)
    for best, rival in class_pairs(classes, symmetric):
        for vector in wrong_vertices(found, rival):
            entry_ = given.get((best, rival, vector))
            if entry_ is None:
                raise Refused("a vertex with the wrong class on top has no weights")
            parts = entry_.weights.values()
            if sum(parts) != 1 or min(parts) < 0 or certified_kappa(losses, entry_, classes) < kappa:
                raise Refused(f"the weights of a wrong vertex do not certify kappa = {kappa}")
    return len(found.vertices)
