"""`search`, `check --second` and `prove --region` on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
LOSSES = """
import numpy as np

def crammer_singer(scores, y):
    own = np.take_along_axis(scores, y[:, None], 1)[:, 0]
    others = np.where(np.arange(scores.shape[1]) == y[:, None], -np.inf, scores)
    return np.maximum(0.0, 1.0 - own + others.max(1))

def in_torch(scores, y):
    import torch
    return torch.nn.functional.cross_entropy(scores, y, reduction="none")

def broken(scores, y):
    return scores["first"]

nothing = 3
"""


@pytest.fixture
def losses(tmp_path: Path) -> None:
    (tmp_path / "losses.py").write_text(LOSSES, encoding="utf-8")


@pytest.mark.usefixtures("losses")
@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["losses.py:crammer_singer", "--classes", "3", "--posteriors", "20", "--starts", "1"], True),
        (["losses.py:in_torch", "--torch", "--classes", "2", "--posteriors", "20"], False),
    ],
)
def test_search_answers_undecided_whatever_it_sees(words: list[str], seen: bool, run: Run) -> None:
    done = run("search", *words, "--json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["tier"], told["search"]["seen"]) == ("UNDECIDED", "searched", seen)
    assert "not a proof" in told["advice"]
    assert (told["witness"] is not None) == seen


@pytest.mark.usefixtures("losses")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["losses.py", "--classes", "2"], "FILE.py:NAME"),
        (["absent.py:loss", "--classes", "2"], "absent.py"),
        (["losses.py:nothing", "--classes", "2"], "nothing"),
        (["losses.py:broken", "--classes", "2"], "IndexError"),
        (["losses.py:crammer_singer", "--torch", "--classes", "2"], "cannot be evaluated"),
        (["losses.py:crammer_singer", "--classes", "1"], "classes=1"),
        (["losses.py:crammer_singer"], "--classes"),
    ],
)
def test_what_cannot_be_searched_is_one_line(words: list[str], told: str, run: Run) -> None:
    done = run("search", *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_check_with_the_second_arithmetic(run: Run, tmp_path: Path) -> None:
    proved = json.loads(run("prove", "hinge", "--out", ".", "--json").stdout)["certificate"]
    several = json.loads(run("prove", "crammer-singer", "--classes", "3", "--out", ".", "--json").stdout)["certificate"]
    done = run("check", "--second", "--json", proved)
    assert done.returncode == 0
    assert json.loads(done.stdout)["results"][0]["second"] == {"verified": True, "reason": None}
    both = run("check", "--second", proved, several)
    assert both.returncode == 3  # the first checker verifies both, the second cannot treat three classes
    assert "verified too" in both.stdout
    assert run("check", proved, several).returncode == 0
    lie = json.loads((tmp_path / proved).read_text(encoding="utf-8"))
    lie["loss"]["binary"] = "max(0, 1 + t)"
    (tmp_path / "lie.json").write_text(json.dumps(lie), encoding="utf-8")
    refused = run("check", "--second", "--json", "lie.json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["results"][0]["second"]["verified"] is False


def test_prove_with_the_region(run: Run, tmp_path: Path) -> None:
    done = run("prove", "max(0, 1 - t) + 0.3 * abs(t)", "--region", "--out", "kept", "--json")
    assert done.returncode == 1
    region = json.loads(done.stdout)["region"]
    (below, above) = region["failing"]
    assert above[0] == below[1] == "1/2"
    assert "fails at" in region["words"]
    assert all((tmp_path / path).is_file() for path in region["certificates"])
    assert run("check", *region["certificates"]).returncode == 0
    wrong = run("prove", "hinge", "--region", "--classes", "3")
    assert wrong.returncode == 2
    assert "--region" in wrong.stderr
