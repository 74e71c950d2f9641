"""From what was typed to a loss of theory: catalogue names, formulas, pairs, parameters and domains."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import theory
from avgmargin.common.errors import UserError, one_line
from theory.expression import BINARY_NAMES, OTHER_NAMES, PAIR_NAMES, SCORE_NAMES, FormulaError, exact
from theory.losses import parse_parameter

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,30}")
_QUANTITIES = BINARY_NAMES | PAIR_NAMES | SCORE_NAMES | OTHER_NAMES
_CALL = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_-]*)\s*(?:\((?P<inside>[^()]*)\))?")
_LONG_EXPONENT = re.compile(r"[0-9.]_*[eE][+-]?[0-9_]{4,}")


@dataclass(frozen=True)
class LossRequest:
    """A loss as typed: a catalogue name or formula, or a pair of formulas in v; parameters as text."""

    loss: str | None = None
    plus: str | None = None
    minus: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    classes: int | None = None
    domain: str | None = None


def read_parameters(pairs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE texts as pairs; UserError for another form, a name given twice, or a value that is no number.

    >>> read_parameters(["mu=0.1"])
    (('mu', '0.1'),)
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or _NAME.fullmatch(name) is None:
            raise UserError(f"parameter {pair!r} must be written NAME=VALUE, as in mu=0.1")
        if name in found:
            raise UserError(f"parameter {name!r} is given twice: {found[name]} and {value}")
        _check_exponents(value)
        try:
            parse_parameter(value)
        except ValueError as error:
            raise UserError(f"parameter {name}={value}: {error}") from None
        found[name] = value
    return tuple(found.items())


def read_calls(text: str) -> list[tuple[str, list[str]]]:
    """A list of names with parameters in parentheses; commas inside parentheses separate parameters.

    >>> read_calls("xor,tsybakov(exponent=2)")
    [('xor', []), ('tsybakov', ['exponent=2'])]
    """
    items = [item.strip() for item in re.split(r",(?![^()]*\))", text)]
    found = []
    for item in items:
        match = _CALL.fullmatch(item)
        if match is None:
            raise UserError(f"item {item!r} of the list must be a name, or a name with parameters as in xor(noise=0.5)")
        inside = (match["inside"] or "").strip()
        found.append((match["name"], [pair.strip() for pair in inside.split(",")] if inside else []))
    return found


def read_loss(text: str) -> theory.Loss:
    """A catalogue name, with parameters in parentheses if any, or a formula.

    >>> label(read_loss("average-margin(mu=1,tau=2)"))
    'average-margin (mu = 1, tau = 2)'
    """
    match = _CALL.fullmatch(text.strip())
    if match is not None and match["name"] in theory.catalogue.names():
        ((name, pairs),) = read_calls(text)
        return resolve(LossRequest(name, parameters=read_parameters(pairs)))
    return resolve(LossRequest(text))


def read_law(name: str, pairs: Sequence[str]) -> tuple[str, dict[str, float | list[float]]]:
    """A known law's name and its NAME=VALUE texts as floats, several in one value written 0.4/0.3/0.3.

    >>> read_law("point-mass", ["p=0.4/0.6"])
    ('point-mass', {'p': [0.4, 0.6]})
    """
    from synthetic import laws

    laws.entry(name)
    found: dict[str, float | list[float]] = {}
    for pair in pairs:
        key, equals, text = (part.strip() for part in pair.partition("="))
        if not equals or key in found:
            raise UserError(f"parameter {pair!r} of law {name!r} must be written NAME=VALUE, each name once")
        try:
            numbers = [int(part) if part.strip().isdecimal() else float(part) for part in text.split("/")]
        except ValueError:
            raise UserError(f"parameter {pair!r} of law {name!r} must be a number, or numbers as in 0.4/0.6") from None
        found[key] = numbers if len(numbers) > 1 else numbers[0]
    return name, found


def read_number(name: str, text: str) -> str:
    """`text` itself when it writes an exact number; UserError with the name otherwise."""
    _check_exponents(text)
    try:
        exact(text)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    return text


def resolve(request: LossRequest) -> theory.Loss:
    """The loss that was asked for; ValueError or UserError, in one line, when there is none."""
    for text in (request.loss, request.plus, request.minus, request.domain):
        _check_exponents(text or "")
    try:
        domain = theory.Domain.parse("all" if request.domain is None else request.domain)
    except ValueError as error:
        raise UserError(f"domain {request.domain!r}: {error}") from None
    values = dict(request.parameters)
    if request.plus is not None or request.minus is not None:
        if request.loss is not None or request.plus is None or request.minus is None:
            raise UserError("a loss must be given either as LOSS or as both --plus F and --minus F")
        return theory.from_pair(request.plus, request.minus, parameters=values, domain=domain)
    if request.loss is None:
        raise UserError("LOSS is missing: give a catalogue name, a formula in t, or --plus F --minus F")
    if theory.catalogue.known(request.loss):
        named = theory.catalogue.get(request.loss, **values)
        return named if request.domain is None else replace(named, domain=domain)
    try:
        return _formula(request.loss, request.classes, values, domain)
    except FormulaError:
        word = request.loss.strip()
        if _WORD.fullmatch(word) and word not in _QUANTITIES:
            theory.catalogue.entry(word)  # raises, with the nearest name
        raise


def label(loss: theory.Loss) -> str:
    """The loss with its parameters, for reading.

    >>> label(theory.catalogue.get("average-margin"))
    'average-margin (mu = 1/10, tau = 5)'
    """
    values = ", ".join(f"{name} = {value}" for name, value in parameter_texts(loss).items())
    return one_line(f"{loss.name} ({values})" if values else loss.name)


def parameter_texts(loss: theory.Loss) -> dict[str, str]:
    """The exact parameters as text, vectors as 1,1,2."""
    return {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in loss.parameters.items()
    }


def _formula(text: str, classes: int | None, values: Mapping[str, str], domain: theory.Domain) -> theory.Loss:
    if classes is None:
        return theory.from_formula(text, parameters=values, domain=domain)
    try:
        return theory.from_formula(text, classes=classes, parameters=values, domain=domain)
    except FormulaError:
        if classes != 2:
            raise
        return theory.from_formula(text, parameters=values, domain=domain)


def _check_exponents(text: str) -> None:
    """UserError for a decimal exponent of four digits or more: its exact value would fill the memory."""
    if (found := _LONG_EXPONENT.search(text)) is not None:
        raise UserError(f"number {found.group()[:40]!r} must have an exponent of at most three digits")
