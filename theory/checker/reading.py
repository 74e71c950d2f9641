"""Reading a certificate: a JSON object from outside, in which nothing is believed before it is verified.

Every entry is fetched by its kind; numbers are exact fractions; a CertificateError names the entry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from theory.expression.nodes import Const, Expr, Var, names, substitute
from theory.expression.parse import BINARY_NAMES, OTHER_NAMES, PAIR_NAMES, SCORE_NAMES, parse
from theory.expression.rewrite import stabilise

from .binary_rules import Problem
from .polyhedral_rules import Posterior
from .realness import real_as_written

FORMAT, VERSION, PRECISION = "avgmargin certificate", 1, 80
MAX_BYTES, MAX_BOXES = 32_000_000, 500_000
_FRACTION = re.compile(r"-?[0-9]+(/0*[1-9][0-9]*)?")


class CertificateError(ValueError):
    """A certificate that cannot be read: not JSON, another version, a missing or malformed entry."""


class Refused(Exception):
    """The claim of a readable certificate does not follow from it."""


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


def get(data: Any, key: str, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(data, dict) or not isinstance(data.get(key), kind) or isinstance(data.get(key), bool):
        raise CertificateError(f"certificate entry {key!r} is missing or of the wrong kind")
    return data[key]


def number(text: Any, key: str) -> Fraction:
    if not isinstance(text, str) or len(text) > 800:
        raise CertificateError(f"certificate entry {key!r} must hold numbers written as short text, such as '1/10'")
    if _FRACTION.fullmatch(text) is None:
        raise CertificateError(f"certificate entry {key!r} holds {text[:40]!r}, which is not a fraction")
    return Fraction(text)


def end(text: Any, key: str) -> Fraction | float:
    return float(text) if text in ("inf", "-inf") else number(text, key)


def pair(data: Any, key: str) -> tuple[Any, Any]:
    pair = get(data, key, list)
    if len(pair) != 2:
        raise CertificateError(f"certificate entry {key!r} must hold two numbers")
    return end(pair[0], key), end(pair[1], key)


def _parameters(loss: dict[str, Any], reserved: frozenset[str]) -> dict[str, Fraction | Posterior]:
    values: dict[str, Fraction | Posterior] = {}
    for name, text in get(loss, "parameters", dict).items():
        if name in reserved:
            raise CertificateError(f"certificate parameter {name!r} has the name of a score")
        key = f"parameter {name[:20]}"
        values[name] = tuple(number(x, key) for x in text) if isinstance(text, list) else number(text, key)
    return values


def _domain(loss: dict[str, Any]) -> tuple[str, Fraction | None]:
    kind, _, limit = str(get(loss, "domain", str)).partition(":")
    if kind not in ("all", "sum-zero", "bounded", "ball") or (kind in ("bounded", "ball")) != bool(limit):
        raise CertificateError(f"certificate entry 'domain' holds {loss['domain'][:40]!r}")
    value = number(limit, "domain") if limit else None
    if value is not None and value <= 0:
        raise CertificateError("certificate domain must have a positive bound")
    return kind, value


def _written(loss: dict[str, Any], key: str, scores: frozenset[str], values: Mapping[str, Any]) -> Expr:
    """The formula as it stands, with exact parameters."""
    text = get(loss, key, str)
    try:
        tree = parse(text, scores, frozenset(values))
    except ValueError as error:
        raise CertificateError(f"certificate formula cannot be read: {error}") from None
    return substitute(tree, {name: Const(x) for name, x in values.items() if isinstance(x, Fraction)})


def read_problem(data: Mapping[str, Any]) -> Problem:
    """The binary question of a certificate, from its formulas, exact parameters, domain and threshold."""
    loss = get(data, "loss", dict)
    values = _parameters(loss, BINARY_NAMES | PAIR_NAMES)
    if any(isinstance(value, tuple) for value in values.values()):
        raise CertificateError("certificate of a binary loss must have numbers as parameters, not vectors")
    kind, limit = _domain(loss)
    if kind == "ball":
        raise CertificateError("certificate domain 'ball' is for losses of several classes")
    threshold = number(get(data, "threshold", str), "threshold")
    if not 0 < threshold < 1:
        raise CertificateError("certificate threshold must lie in (0, 1)")
    if "binary" in loss:
        formula = _written(loss, "binary", BINARY_NAMES, values)
        phi = stabilise(formula)
        minus = stabilise(substitute(phi, {"t": -Var("v")}))
        written = substitute(formula, {"t": Var("v")}), substitute(formula, {"t": -Var("v")})
        return Problem(substitute(phi, {"t": Var("v")}), minus, threshold, limit, written)
    written = (_written(loss, "plus", PAIR_NAMES, values), _written(loss, "minus", PAIR_NAMES, values))
    return Problem(stabilise(written[0]), stabilise(written[1]), threshold, limit, written)


def vector(data: Any, key: str, size: int) -> Posterior:
    values = tuple(number(x, key) for x in get(data, key, list))
    if len(values) != size:
        raise CertificateError(f"certificate entry {key!r} must hold {size} numbers")
    return values


def read_multiclass(data: Mapping[str, Any]) -> tuple[Expr, int, str, Fraction | None, dict[str, Posterior]]:
    """Tree, number of classes, kind of domain and its bound, and vector parameters."""
    classes, loss = get(data, "classes", int), get(data, "loss", dict)
    if not 2 <= classes <= 6:
        raise CertificateError("certificate entry 'classes' must lie between 2 and 6")
    values = _parameters(loss, SCORE_NAMES | OTHER_NAMES)
    vectors = {name: value for name, value in values.items() if isinstance(value, tuple)}
    if any(len(value) != classes for value in vectors.values()):
        raise CertificateError("certificate vector parameters must have one entry per class")
    written = _written(loss, "multiclass", SCORE_NAMES, values)
    known = SCORE_NAMES | OTHER_NAMES | {known for name in vectors for known in (name, f"{name}k")}
    if strange := sorted(names(written) - known):
        raise CertificateError(f"certificate formula has the name {strange[0][:20]!r}, which has no value")
    kind, limit = _domain(loss)
    if not real_as_written(written, classes, limit, vectors):
        raise Refused("the formula as written is not certainly real for all scores")
    return stabilise(written), classes, kind, limit, vectors
