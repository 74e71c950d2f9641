"""The named losses. Each entry is data: formulas, parameters with their ranges, closed forms, and what is known."""

from __future__ import annotations

import difflib

from theory.expression import Number
from theory.losses import Loss

from . import constrained, convex, margin, pairwise, robust, softmax, this_paper
from .entry import Claim as Claim
from .entry import Entry as Entry
from .entry import Parameter as Parameter

ENTRIES: tuple[Entry, ...] = (
    *this_paper.ENTRIES,
    *convex.ENTRIES,
    *robust.ENTRIES,
    *softmax.ENTRIES,
    *margin.ENTRIES,
    *pairwise.ENTRIES,
    *constrained.ENTRIES,
)
"""Every named loss, in the order in which `names` lists them."""

CORE: tuple[str, ...] = (
    "cross-entropy",
    "logistic",
    "hinge",
    "truncated-hinge",
    "exponential",
    "perceptron",
    "crammer-singer",
    "weston-watkins",
    "average-margin",
    "average-margin-released",
)
"""The losses that a run of everything looks at; the whole catalogue would take it many times longer."""

_BY_NAME = {entry.name: entry for entry in ENTRIES}
_ALIASES = {alias: entry for entry in ENTRIES for alias in entry.aliases}


class UnknownLoss(ValueError):
    """A name that is not in the catalogue."""


def names() -> tuple[str, ...]:
    """The names of the catalogue, in order; aliases, which `entry` and `get` know too, are not among them."""
    return tuple(_BY_NAME)


def entry(name: str) -> Entry:
    """The entry of a name or alias; UnknownLoss with the nearest name otherwise.

    >>> entry("mae").name
    'mean-absolute-error'
    """
    found = _BY_NAME.get(name) or _ALIASES.get(name)
    if found is None:
        close = difflib.get_close_matches(name, [*_BY_NAME, *_ALIASES], n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UnknownLoss(f"unknown loss {name!r}; {hint}the catalogue has {len(_BY_NAME)} names")
    return found


def known(name: str) -> bool:
    """Whether `entry` knows the name."""
    return name in _BY_NAME or name in _ALIASES


def get(name: str, **parameters: Number) -> Loss:
    """The named loss, with parameters as exact numbers (0.1 is 1/10).

    >>> round(get("average-margin", mu="0.1", tau=5).phi(5.0), 6)
    0.006715
    """
    return entry(name).build(**parameters)
