"""Kept certificates, and drawn damage to them, get the answers they got when they were recorded: no more, no less."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.theory.recorded import FEW, FILE, MANY, answers

RECORDED: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RECORDED)
def test_the_checker_answers_as_recorded(name: str) -> None:
    said = RECORDED[name]["answers"]
    assert answers(RECORDED[name]["certificate"], name, len(said) - 1) == said


def test_the_record_holds_all_answers() -> None:
    """The broken twin: a checker that accepts or refuses everything would differ somewhere."""
    assert all(len(row["answers"]) - 1 in (FEW, MANY) for row in RECORDED.values())
    assert all(row["answers"][0] == "v" for row in RECORDED.values())
    assert {letter for row in RECORDED.values() for letter in row["answers"][1:]} == {"v", "r", "m"}
