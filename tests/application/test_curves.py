"""`avgmargin curves` as a user meets it: numbers, picture, going on after a kill, wrong input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SMALL = ("curves", "--law", "checkerboard(side=2,eta=0.8)", "--loss", "hinge", "--sizes", "50,500")


def test_curves_and_going_on_after_a_kill(run: Run, tmp_path: Path) -> None:
    first = run(*SMALL, "--seeds", "2", "--exponent", "1", "--json", "--out", "o")
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    (curve,) = found["curves"]
    assert curve["sizes"] == [50, 500]
    assert [len(row) for row in curve["excess"]] == [2, 2]
    assert curve["plateau"] == 0.0
    assert curve["mean"][1] <= curve["mean"][0]
    assert found["plug_in_rate"] == 0.5
    kept = (tmp_path / "o" / "curves.json").read_bytes()
    seeds = sorted((tmp_path / "o" / "seeds").iterdir())
    assert len(seeds) == 2
    seeds[0].write_bytes(seeds[0].read_bytes()[:40])  # torn by a kill
    stamp = seeds[1].stat().st_mtime_ns
    (tmp_path / "o" / "curves.json").unlink()
    again = run(*SMALL, "--seeds", "2", "--exponent", "1", "--out", "o")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "o" / "curves.json").read_bytes() == kept
    assert seeds[1].stat().st_mtime_ns == stamp  # what was there was not done again
    assert "seed 1/2" in again.stderr
    assert "seed 2/2" not in again.stderr
    assert (tmp_path / "o" / "curves.svg").stat().st_size > 5000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--law", "two-mons"], "two-moons"),
        (["--law", "xor,rings"], "must name one law"),
        (["--sizes", "10,x"], "sizes='10,x' must be whole numbers"),
        (["--sizes", "10,10"], "must be increasing"),
        (["--sizes", "0,10"], "sizes=0 must be a whole number, at least 1"),
        (["--seeds", "0"], "seeds=0 must be at least 1"),
        (["--learner", "tree"], "learner='tree' must be one of"),
        (["--loss", "hinje"], "hinge"),
        (["--law", "checkerboard(eta=1.5)"], "1.5"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(run: Run, tmp_path: Path, words: list[str], said: str) -> None:
    done = run(*SMALL, "--seeds", "1", "--out", "o", *words)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()
