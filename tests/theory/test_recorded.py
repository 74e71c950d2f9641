"""Kept certificates, and drawn damage to them, get the answers they got when they were recorded: no more, no less.

Of the damaged copies a quarter are tried, under the profile `nightly` and by mutation testing all.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.theory.recorded import FEW, FILE, LONG, MANY, answer, damaged

RECORDED: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
ALL = os.environ.get("HYPOTHESIS_PROFILE") in ("nightly", "mutation")
PART = 8  # damaged copies in one test


def _parts() -> list[tuple[str, int, int]]:
    """Certificate, and the first and last of its damaged copies; copy 0 is the certificate itself."""
    found = []
    for name, row in RECORDED.items():
        count = len(row["answers"])
        last = count if ALL else 1 + (count - 1) // LONG
        found += [(name, first, min(first + PART, last)) for first in range(0, last, PART)]
    return found


@pytest.mark.parametrize(("name", "first", "last"), _parts())
def test_the_checker_answers_as_recorded(name: str, first: int, last: int) -> None:
    row = RECORDED[name]
    copies = [row["certificate"], *damaged(row["certificate"], name, last - 1)]
    said = [answer(copy) for copy in copies[first:last]]
    assert "".join(letter for letter, _ in said) == row["answers"][first:last]
    assert "".join(words for _, words in said) == row["words"][4 * first : 4 * last], "the same answers in other words"


def test_the_record_holds_all_answers() -> None:
    """The broken twin: a checker that accepts or refuses everything would differ somewhere."""
    assert all(len(row["answers"]) - 1 in (LONG * FEW, LONG * MANY) for row in RECORDED.values())
    assert all(len(row["words"]) == 4 * len(row["answers"]) for row in RECORDED.values())
    assert all(row["answers"][0] == "v" for row in RECORDED.values())
    assert {letter for row in RECORDED.values() for letter in row["answers"][1:]} == {"v", "r", "m"}
