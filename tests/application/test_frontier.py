"""`avgmargin frontier` as a user meets it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avgmargin.__main__ import main

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SMALL = ("frontier", "--samples", "40", "--points", "6", "--steps", "60")


def test_the_folder_holds_the_numbers_and_the_picture(run: Run, tmp_path: Path) -> None:
    first = run(*SMALL, "--ball", "2", "--json", "--out", "a")
    second = run(*SMALL, "--ball", "2", "--json", "--out", "b")
    assert first.returncode == second.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert found["folder"] == "a"
    kept = json.loads((tmp_path / "a" / "frontier.json").read_text(encoding="utf-8"))
    assert kept == {key: value for key, value in found.items() if key != "folder"}
    assert len(kept["frontier"]) == 6
    assert len(kept["paths"]) == 8  # four losses, free and in the ball
    assert kept["mean_end"]["average"] > kept["svm_end"]["average"]
    assert kept["mean_end"]["minimum"] < kept["svm_end"]["minimum"]
    for name in ("frontier.json", "frontier.svg"):  # same command, same bytes
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert "hard-margin SVM" in (tmp_path / "a" / "frontier.svg").read_text(encoding="utf-8")


def test_own_data_another_geometry_and_sgd(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    y = np.where(rng.random(30) < 0.5, -1, 1)
    x = rng.normal(size=(30, 4)) + 4.0 * y[:, None]
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    words = ["--data", "mine.npz", "--geometry", "linf", "--points", "4", "--steps", "9", "--batch", "10"]
    done = run("frontier", *words, "--loss", "average-margin(mu=0.5,tau=2)", "--json", "--out", "o")
    assert done.returncode == 0, done.stderr
    (path,) = json.loads(done.stdout)["paths"]
    assert path["name"] == "average-margin (mu = 1/2, tau = 2)"
    assert path["epochs"][-1] == 3.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "nowhere.npz"], "'nowhere.npz' does not exist"),
        (["--data", "mnist:3"], "two different digits"),
        (["--data", "moons"], "data='moons' must be two-groups"),
        (["--data", "overlap.npz"], "use tail=q (command line: --tail q)"),
        (["--data", "empty.npz"], "must hold the arrays x (n, d) and y (n,)"),
        (["--geometry", "l7"], "geometry='l7' must be one of l2, linf, l1"),
        (["--points", "1"], "points=1 must be a whole number, at least 2"),
        (["--tail", "2"], "tail=2.0 must lie strictly between"),
        (["--samples", "0"], "n=0 must be a whole number, at least 2"),
        (["--ball", "-1"], "ball=-1.0 must lie strictly between 0.0 and inf"),
        (["--lr", "nan"], "lr=nan must lie strictly between 0.0 and inf"),
        (["--batch", "0"], "batch=0 must be a whole number, at least 1"),
        (["--steps", "0"], "steps=0 must be a whole number, at least 1"),
        (["--loss", "logistik"], "logistic"),
        (["--loss", "average-margin(mu=-1)"], "mu=-1"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(run: Run, tmp_path: Path, words: list[str], said: str) -> None:
    x, y = np.array([[1.0, 0.0], [1.0, 0.1], [0.9, 0.2], [2.0, 1.0]]), np.array([1, -1, 1, -1])
    np.savez(tmp_path / "overlap.npz", x=x, y=y)
    np.savez(tmp_path / "empty.npz", z=x)
    done = run("frontier", "--steps", "5", "--points", "3", "--out", "o", *words)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    if said.split("=")[0] in ("ball", "lr", "batch", "steps"):
        assert "program" not in done.stderr  # told before the frontier is solved
    assert not (tmp_path / "o" / "frontier.svg").exists()


def test_a_program_that_does_not_converge_draws_no_frontier(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("synthetic.frontier.program.CONVERGED", 1e-300)  # no float solver leaves so little open
    folder = tmp_path / "none"
    assert main([*SMALL, "--out", str(folder)]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "of the largest average open" in said  # with the residual as a number before it
    assert "at most 1e-300 is accepted; no frontier was drawn" in said
    assert not folder.exists()
