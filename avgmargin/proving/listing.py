"""The catalogue for reading: which entries were asked for, as plain values and in words."""

from __future__ import annotations

from typing import Any

from avgmargin.common.errors import UserError
from theory import catalogue
from theory.catalogue import Entry

KINDS = ("binary", "multiclass")
STATUSES = ("consistent", "not-consistent", "unknown")


def select(words: str | None, kind: str | None, status: str | None) -> list[Entry]:
    """The entries whose name, aliases or title hold `words`, that have a formula of the kind and the status stated.

    Raises UserError for an unknown kind or status, and UnknownLoss, with the nearest name, where nothing holds `words`.
    """
    for name, value, rule in (("kind", kind, KINDS), ("status", status, STATUSES)):
        if value is not None and value not in rule:
            raise UserError(f"{name} {value!r} must be {', '.join(rule[:-1])} or {rule[-1]}")
    found = list(catalogue.ENTRIES)
    if words is not None:
        text = words.strip().lower()
        found = [entry for entry in found if any(text in each.lower() for each in (entry.name, *entry.aliases))]
        found += [e for e in catalogue.ENTRIES if text in e.title.lower() and e not in found]
        if not found:
            catalogue.entry(words)  # raises, with the nearest name
    found = [entry for entry in found if kind is None or entry.kind in (kind, "both")]
    return [entry for entry in found if status is None or stated(entry) == status]


def stated(entry: Entry) -> str:
    """What is stated at the default parameters: for two classes, or for three where the loss is multiclass only.

    >>> stated(catalogue.entry("perceptron"))
    'not-consistent'
    """
    claim = entry.claim(3 if entry.kind == "multiclass" else 2)
    if claim is None:
        return "unknown"
    return "consistent" if claim.consistent else "not-consistent"


def as_row(entry: Entry) -> dict[str, Any]:
    """An entry as plain JSON values."""
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "title": entry.title,
        "binary": entry.binary,
        "plus": entry.plus,
        "minus": entry.minus,
        "multiclass": entry.multiclass,
        "classes": list(entry.only) or None,
        "domain": entry.domain,
        "threshold": entry.threshold,
        "parameters": {name: {"default": p.default, "range": p.range} for name, p in entry.parameters.items()},
        "minimiser": entry.minimiser,
        "link": entry.link,
        "gap": entry.gap or entry.psi,
        "psi": entry.psi,
        "strength": entry.strength,
        "source": entry.source,
        "note": entry.note or None,
    }


def table_row(entry: Entry) -> list[str]:
    """Name, formula, parameters and claims of an entry."""
    values = ", ".join(f"{name} = {p.default} ({p.range})" for name, p in entry.parameters.items())
    return [entry.name, entry.formula, values, entry.strength]


def pairs(entry: Entry) -> list[tuple[str, str | None]]:
    """Everything about one entry, as names and values."""
    ranges = ", ".join(f"{name} = {p.default} (range: {p.range})" for name, p in entry.parameters.items())
    return [
        ("name", entry.name),
        ("also called", ", ".join(entry.aliases) or None),
        ("loss", entry.title),
        ("binary", entry.binary),
        ("y = +1", entry.plus),
        ("y = -1", entry.minus),
        ("multiclass", entry.multiclass),
        ("classes", ", ".join(map(str, entry.only)) or None),
        ("parameters", ranges or None),
        ("scores", None if entry.domain == "all" else entry.domain),
        ("threshold", None if entry.threshold == "1/2" else entry.threshold),
        ("minimiser", entry.minimiser),
        ("posterior of t", entry.link),
        ("gap", entry.gap),
        ("psi", entry.psi),
        ("known", entry.strength),
        ("note", entry.note or None),
        ("source", entry.source),
        ("decide", f"avgmargin prove {entry.name}" + (" --classes 3" if entry.kind == "multiclass" else "")),
    ]
