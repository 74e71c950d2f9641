"""`avgmargin prove --for NAME=RANGE --classes all`: one verdict on every member of a family."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import theory
from avgmargin.common.environment import check_fit
from avgmargin.common.errors import UserError, one_line
from avgmargin.common.files import check_can_make
from theory.checker.ranges import Range
from theory.expression import exact

from .proofs import store
from .resolve import read_number, read_parameters


def prove_for_all(asked: Namespace, parameters: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The verdict on a family as plain JSON values, with the path of its certificate; the keys of `prove_and_store`.

    Raises UserError or ValueError, in one line, for what is no family; Unfit where floats are unfit for proofs.
    """
    if asked.loss is None or asked.plus is not None or asked.minus is not None:
        raise UserError("--for and --classes all need LOSS, a catalogue name or a formula; pairs have one setting each")
    if exact(read_number("threshold", asked.threshold)) != Fraction(1, 2):
        raise UserError(f"threshold={asked.threshold} must be 1/2 where a family is to be proved")
    ranges = read_ranges(asked.ranges)
    if twice := sorted(ranges.keys() & dict(parameters).keys()):
        raise UserError(f"parameter {twice[0]!r} is given both by --param and by --for")
    check_fit()
    check_can_make(Path(asked.out))
    family = theory.Family(asked.loss, {**dict(parameters), **ranges}, domain=asked.domain)
    start = time.perf_counter()
    verdict = theory.prove_family(family, classes=asked.classes, boxes=asked.boxes, seconds=asked.seconds)
    spent = time.perf_counter() - start
    path = None if verdict.certificate is None else store(verdict.certificate, Path(asked.out))
    return {
        **verdict.summary(),
        "label": label(family),
        "classes": asked.classes or 2,
        "formula": family.formula(asked.classes),
        "parameters": {name: str(r) if r.value is None else str(r.value) for name, r in family.ranges.items()},
        "certificate": None if path is None else str(path),
        "seconds": round(spent, 3),
    }


def read_ranges(texts: Sequence[str]) -> dict[str, Range]:
    """NAME=RANGE texts; UserError for another form or a name given twice.

    >>> {name: str(r) for name, r in read_ranges(["mu=[0, inf)"]).items()}
    {'mu': '[0, inf)'}
    """
    found: dict[str, Range] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or value[:1] not in ("[", "("):
            raise UserError(f"range {text!r} must be written NAME=RANGE, as in mu=[0,100] or tau=(0,inf)")
        read_parameters([f"{name}=0"])
        if name in found:
            raise UserError(f"parameter {name!r} is given twice: {found[name]} and {value}")
        try:
            found[name] = Range.parse(value)
        except ValueError as error:
            raise UserError(f"parameter {name}: {error}") from None
    return found


def label(family: theory.Family) -> str:
    """The family with its ranges, for reading."""
    values = ", ".join(
        f"{name} in {r}" if r.value is None else f"{name} = {r.value}" for name, r in family.ranges.items()
    )
    return one_line(f"{family.name} ({values})" if values else family.name)
