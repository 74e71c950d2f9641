"""Reading a binary certificate for the second checker: entries by kind, exact numbers, the question it is about."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from theory.expression.nodes import Const, Expr, Var, Where, substitute, walk
from theory.expression.parse import BINARY_NAMES, PAIR_NAMES, parse

from .collect import collected
from .elementary import INF, End
from .rational import Range

_HALF = Fraction(1, 2)
_FRACTION = re.compile(r"-?[0-9]{1,400}(/0{0,20}[1-9][0-9]{0,399})?")
_MAX_BYTES = 8_000_000
MAX_LOOKS = 60_000
"""How many boxes are looked at in one certificate."""


class Cannot(Exception):
    """Something that this checker cannot verify."""


def load(path: str | Path) -> Any:
    file = Path(path)
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise Cannot(f"read more than {_MAX_BYTES} bytes")
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise Cannot(f"read {file.name!r} as JSON") from None


def field(data: Any, key: str, kind: type) -> Any:
    found = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(found, kind) or isinstance(found, bool):
        raise Cannot(f"read the entry {key!r}")
    return found


def number(text: Any) -> Fraction:
    if not isinstance(text, str) or _FRACTION.fullmatch(text) is None:
        raise Cannot(f"read {str(text)[:40]!r} as a fraction")
    return Fraction(text)


def pair(data: Any, key: str) -> Range:
    ends = field(data, key, list)
    if len(ends) != 2:
        raise Cannot(f"read the entry {key!r}")
    low, high = (float(end) if end in ("inf", "-inf") else number(end) for end in ends)
    return Range(low, high)


def infinite(end: End) -> bool:
    return isinstance(end, float)


class Question:
    """The losses of the score v, the threshold, the domain; `phi` where they are phi(v), phi(-v) and it is 1/2."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        loss = field(data, "loss", Mapping)
        values = {str(name): number(text) for name, text in field(loss, "parameters", Mapping).items()}
        if values.keys() & {"t", "v"}:
            raise Cannot("tell a parameter from the score")
        constants = {name: Const(value) for name, value in values.items()}

        def tree(key: str, variables: frozenset[str]) -> Expr:
            try:
                found = parse(field(loss, key, str), variables, frozenset(values))
            except ValueError as error:
                raise Cannot(f"parse the formula: {error}") from None
            return substitute(found, constants)

        self.threshold = number(data.get("threshold"))
        if not 0 < self.threshold < 1:
            raise Cannot("use a threshold outside (0, 1)")
        kind, colon, text = field(loss, "domain", str).partition(":")
        if kind not in ("all", "sum-zero", "bounded") or (kind == "bounded") != bool(colon):
            raise Cannot("read the domain")
        self.limit: End = number(text) if colon else INF
        if not self.limit > 0:
            raise Cannot("use a domain without a positive bound")
        if "binary" in loss:
            phi = tree("binary", BINARY_NAMES)
            pair = substitute(phi, {"t": Var("v")}), substitute(phi, {"t": -Var("v")})
        else:
            pair = tree("plus", PAIR_NAMES), tree("minus", PAIR_NAMES)
        self._prepare(pair, "binary" in loss and self.threshold == _HALF)

    def _prepare(self, written: tuple[Expr, Expr], symmetric: bool) -> None:
        self.written = written
        self.plus, self.minus = collected(written[0]), collected(written[1])
        self.phi = self.plus if symmetric else None
        self.jumps = any(isinstance(node, Where) for tree in written for node in walk(tree))
        self.looks = 0

    def mirrored(self) -> Question:
        """The question for posteriors below the threshold (Lemma 5)."""
        other = object.__new__(Question)
        other.threshold, other.limit = 1 - self.threshold, self.limit
        flip = {"v": -Var("v")}
        pair = substitute(self.written[1], flip), substitute(self.written[0], flip)
        other._prepare(pair, self.phi is not None)
        return other

    def risk(self, eta: Fraction) -> Expr:
        """C_eta as a tree in v."""
        if eta == 1:
            return self.plus
        return collected(Const(eta) * self.plus + Const(1 - eta) * self.minus)

    @property
    def reflection(self) -> Expr:
        """phi(-t) - phi(t), the variable called v."""
        assert self.phi is not None
        return collected(substitute(self.phi, {"v": -Var("v")}) - self.phi)

    def look(self) -> None:
        """Count one box."""
        self.looks += 1
        if self.looks > MAX_LOOKS:
            raise Cannot(f"decide within {MAX_LOOKS} boxes")


def show(box: Range) -> str:
    return f"[{box.lo}, {box.hi}]"
