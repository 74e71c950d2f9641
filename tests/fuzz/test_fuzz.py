"""A short run of the fuzzer over every reader; the long one is `python -m tests.fuzz --inputs 1000000`."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.harness import Target, fuzz
from tests.fuzz.targets import targets

INPUTS = 100_000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 150


def test_every_reader_accepts_or_refuses_in_one_line(tmp_path: Path) -> None:
    accepted = {}
    for target in targets(tmp_path):
        outcome = fuzz(target, INPUTS, random.Random(f"short {target.name}"))
        assert outcome.broken == [], target.name
        assert outcome.counts.total() == INPUTS
        assert outcome.counts["refused"] > 0, target.name
        accepted[target.name] = outcome.counts["accepted"]
    assert all(accepted[name] > INPUTS // 20 for name in ("formula, binary", "formula, scores")), accepted


def _loop(text: str) -> bool:
    end = time.monotonic() + 30.0
    while time.monotonic() < end:
        pass
    return True


def _sleep(text: str) -> bool:
    time.sleep(30.0)
    return True


def _run(text: str) -> bool:
    return os.system("true") == 0


def _two_lines(text: str) -> bool:
    raise ValueError("one\ntwo")


def _raise(text: str) -> bool:
    return bool(1 / 0)


def _deep(text: str) -> bool:
    return _deep(text)


@pytest.mark.parametrize(
    ("read", "rule"),
    [
        (_loop, "longer than"),
        (_sleep, "longer than"),
        (_run, "forbidden: os.system"),
        (_two_lines, "a refusal in several lines"),
        (_raise, "ZeroDivisionError"),
        (_deep, "RecursionError"),
    ],
)
def test_a_broken_reader_is_found(read: Callable[[str], bool], rule: str) -> None:
    target = Target("broken", lambda rng: str(rng.random()), read, (ValueError,))
    outcome = fuzz(target, 1, random.Random(0), seconds=0.1)
    assert outcome.counts["broken"] == 1
    assert outcome.broken[0][0].startswith(rule)
