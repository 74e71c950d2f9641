"""A loss with free parameters: a formula, and a range for each parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf

from . import catalogue
from .checker.ranges import Range
from .expression import (
    BINARY_NAMES,
    OTHER_NAMES,
    PAIR_NAMES,
    SCORE_NAMES,
    Expr,
    Number,
    exact,
    names,
    parse,
    to_text,
)
from .losses import ALL, Domain, Loss

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Family:
    """Every loss of one formula whose parameters lie in the given ranges.

    `source` is the name of a catalogue entry (its binary and multiclass formulas), or a formula in t, or one in fy,
    alpha, lse, q, c (and fk, qk in class sums). `ranges` are written "[0, 100]", "(0, 1]", "[0, inf)"; a number, or
    "2", is a range of one value. Parameters of a catalogue entry that are not named keep their defaults.

    >>> family = Family("average-margin", {"mu": "[0, inf)", "tau": "(0, inf)"})
    >>> family.scope(None)
    'every posterior but 1/2; every mu in [0, inf), tau in (0, inf)'
    """

    source: str
    ranges: Mapping[str, Range] = field(default_factory=dict)
    domain: Domain = ALL
    binary: str | None = None
    multiclass: str | None = None

    def __init__(
        self,
        source: str,
        ranges: Mapping[str, Range | str | Number] | None = None,
        *,
        domain: Domain | str | None = None,
    ) -> None:
        given = {name: _range(name, value) for name, value in (ranges or {}).items()}
        binary, multiclass, home = _formulas(source, given)
        place = Domain.parse(domain) if isinstance(domain, str) else domain
        self._set(source, given, home if place is None else place, binary, multiclass)

    def _set(
        self, source: str, ranges: Mapping[str, Range], domain: Domain, binary: str | None, multiclass: str | None
    ) -> None:
        values = {"source": source, "ranges": ranges, "domain": domain, "binary": binary, "multiclass": multiclass}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, loss: Loss) -> Family | None:
        """The family of one loss; None for losses that no lemma treats (pairs, vector parameters)."""
        values = {name: value for name, value in loss.parameters.items() if isinstance(value, Fraction)}
        if len(values) != len(loss.parameters) or (loss.binary is None and loss.multiclass is None):
            return None
        family = cls.__new__(cls)
        texts = (None if tree is None else to_text(tree) for tree in (loss.binary, loss.multiclass))
        family._set(loss.name, {n: Range.point(v) for n, v in values.items()}, loss.domain, *texts)
        return family

    @property
    def name(self) -> str:
        """What the family is called in verdicts."""
        return self.source

    def formula(self, classes: int | str | None) -> str | None:
        """The formula for a number of classes (None: binary), or None where the family has none."""
        return self.binary if classes is None else self.multiclass

    def scope(self, classes: int | str | None) -> str:
        """What a proof for all members speaks of, in words."""
        if classes is None:
            who = "every posterior but 1/2"
        elif classes == "all":
            who = "every c >= 2 and every posterior of the closed simplex"
        else:
            who = f"every posterior of the closed simplex, c = {classes}"
        ranges = ", ".join(
            f"{name} = {r.value}" if r.value is not None else f"{name} in {r}" for name, r in self.ranges.items()
        )
        free = any(r.value is None for r in self.ranges.values())
        where = "" if self.domain == ALL else f"; {self.domain.words}"
        return who + (f"; {'every ' if free else ''}{ranges}" if ranges else "") + where

    def member(self, values: Mapping[str, Fraction]) -> Loss:
        """The loss at one value of each parameter; ValueError where a value is missing or outside its range."""
        for name, r in self.ranges.items():
            if name not in values or not r.contains(values[name]):
                raise ValueError(f"parameter {name}={values.get(name)} must lie in {r}")
        known = frozenset(self.ranges)
        return Loss(
            self.source,
            binary=None if self.binary is None else parse(self.binary, BINARY_NAMES, known),
            multiclass=None if self.multiclass is None else parse(self.multiclass, SCORE_NAMES, known),
            parameters={name: values[name] for name in self.ranges},
            domain=self.domain,
        )


def _range(name: str, value: Range | str | Number) -> Range:
    if isinstance(value, Range):
        return value
    try:
        if isinstance(value, str) and value.strip()[:1] in ("[", "("):
            return Range.parse(value)
        return Range.point(exact(value))
    except ValueError as error:
        raise ValueError(f"parameter {name}={value}: {error}") from None


def _formulas(source: str, ranges: dict[str, Range]) -> tuple[str | None, str | None, Domain]:
    """Binary and multiclass formula and domain; the defaults of a catalogue entry are added to `ranges`."""
    if catalogue.known(source):
        return _from_catalogue(source, ranges)
    known = frozenset(ranges)
    binary = _parsed(source, BINARY_NAMES, known)
    if isinstance(binary, Expr):
        _check_names(source, binary, ranges, BINARY_NAMES | PAIR_NAMES)
        return to_text(binary), None, ALL
    multiclass = _parsed(source, SCORE_NAMES, known)
    if isinstance(multiclass, Expr):
        _check_names(source, multiclass, ranges, SCORE_NAMES | OTHER_NAMES)
        return None, to_text(multiclass), ALL
    if _WORD.fullmatch(source.strip()):
        catalogue.entry(source.strip())  # raises, with the nearest name
    raise multiclass if re.search(r"\b(fy|alpha|lse|q|c|fk|qk)\b", source) else binary


def _check_names(source: str, tree: Expr, ranges: Mapping[str, Range], reserved: frozenset[str]) -> None:
    if clash := sorted(reserved & ranges.keys()):
        raise ValueError(f"parameter {clash[0]!r} has the name of a quantity of the formula; choose another name")
    if unused := sorted(ranges.keys() - names(tree)):
        raise ValueError(f"parameter {unused[0]!r} is not used by the formula {source[:60]!r}")


def _from_catalogue(source: str, ranges: dict[str, Range]) -> tuple[str | None, str | None, Domain]:
    entry = catalogue.entry(source)
    for name, r in ranges.items():
        spec = entry.parameters.get(name)
        if spec is None:
            known = ", ".join(entry.parameters) or "none"
            raise ValueError(f"loss {source!r} has no parameter {name!r}; its parameters are: {known}")
        if r.value is None and (spec.integer or name == entry.domain.partition(":")[2]):
            raise ValueError(f"parameter {name!r} of loss {source!r} must have one value, not the range {r}")
        _check_inside(name, r, spec)
    loss = entry.build(**{name: r.value for name, r in ranges.items() if r.value is not None})
    texts = [None if tree is None else to_text(tree) for tree in (loss.binary, loss.multiclass)]
    for name, value in loss.parameters.items():
        if isinstance(value, Fraction):
            ranges.setdefault(name, Range.point(value))
    for name in set(ranges) - set(loss.parameters):
        del ranges[name]  # a parameter that the formula has taken up, such as the length of a series
    return texts[0], texts[1], loss.domain


def _check_inside(name: str, r: Range, spec: catalogue.Parameter) -> None:
    """ValueError where the range leaves that in which the loss is stated."""
    low = -inf if spec.low is None else exact(spec.low)
    high = inf if spec.high is None else exact(spec.high)
    below = r.low < low or (r.low == low and spec.low_open and not r.low_open)
    above = r.high > high or (r.high == high and spec.high_open and not r.high_open)
    if below or above or (spec.excluded is not None and r.contains(exact(spec.excluded))):
        raise ValueError(f"parameter {name}={r} must stay in the range of the loss: {spec.range}")


def _parsed(text: str, names: frozenset[str], parameters: frozenset[str]) -> Expr | ValueError:
    try:
        return parse(text, names, parameters)
    except ValueError as error:
        return error
