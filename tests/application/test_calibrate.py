"""`avgmargin calibrate` as a user meets it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_bounds_certificate_and_picture(run: Run, tmp_path: Path) -> None:
    words = ("calibrate", "average-margin", "--param", "mu=1/3", "--points", "9", "--excess", "1/1000")
    done = run(*words, "--json", "--out", "own/c.json", "--plot", "own/p.svg")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tier"] == "certified"
    assert found["certificate"] == "own/c.json"
    low, high = (Fraction(text) for text in found["slope"])
    assert 0 < low <= high
    (bound,) = found["excess"]
    assert bound["surrogate"] == "1/1000"
    assert 0 < Fraction(bound["bound"]) < Fraction(1, 500)
    assert "R - R*" in bound["words"]
    assert (tmp_path / "own" / "p.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert run("check", "own/c.json").returncode == 0
    lie = json.loads((tmp_path / "own" / "c.json").read_text(encoding="utf-8"))
    lie["psi"]["lower"][-1][1] = "100"
    (tmp_path / "lie.json").write_text(json.dumps(lie), encoding="utf-8")
    assert run("check", "lie.json").returncode == 1


def test_words_on_stdout_and_a_certificate_in_the_usual_folder(run: Run, tmp_path: Path) -> None:
    done = run("calibrate", "max(0, 1 - t)")
    assert done.returncode == 0
    assert "psi^-1(0.01) <= 0.01 (certified)" in " ".join(done.stdout.split())
    (kept,) = (tmp_path / "runs" / "certificates").iterdir()
    assert run("check", str(kept.relative_to(tmp_path))).returncode == 0


def test_pairs_thresholds_and_classes(run: Run) -> None:
    pair = run(
        "calibrate", "--plus", "(1-a)*max(0,1-v)", "--minus", "a*max(0,1+v)", "--param", "a=1/4", "--threshold", "1/4",
        "--json",
    )  # fmt: skip
    assert json.loads(pair.stdout)["span"] == "3/2"
    three = run("calibrate", "max(0, 1 - alpha) - max(0, -alpha)", "--classes", "3", "--points", "2", "--json")
    assert json.loads(three.stdout)["classes"] == 3


def test_no_bounds_is_an_answer_with_advice(run: Run, tmp_path: Path) -> None:
    done = run("calibrate", "-t", "--points", "3")
    assert done.returncode == 3
    assert "bounded:2" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("hinje",), "'hinge'"),
        (("hinge", "--excess", "-1"), "excess=-1"),
        (("hinge", "--excess", "nan"), "excess"),
        (("hinge", "--points", "1"), "points=1"),
        (("hinge", "--threshold", "0"), "threshold=0"),
        (("hinge", "--plot", "p.txt"), ".svg"),
        (("hinge", "--classes", "3"), "multiclass"),
        (("hinge", "--out", "."), "folder"),
        (("hinge", "--boxes", "0"), "boxes=0"),
        ((), "LOSS is missing"),
    ],
)
def test_bad_input_is_one_line_with_code_2(words: tuple[str, ...], told: str, run: Run, tmp_path: Path) -> None:
    done = run("calibrate", *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []
