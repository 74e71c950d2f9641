"""`avgmargin prove --for ... --classes all` as its users meet it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import call

Prove = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def prove(tmp_path: Path) -> Prove:
    return lambda *words: call("prove", *words, cwd=tmp_path)


def test_the_target_is_proved_for_all_parameters_and_classes_and_checked_from_the_file(
    prove: Prove, tmp_path: Path
) -> None:
    done = prove("average-margin", "--for", "mu=[0,inf)", "--for", "tau=(0,inf)", "--classes", "all", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"], found["tier"], found["classes"]) == (0, "PROVED", "symbolic", "all")
    assert found["parameters"] == {"mu": "[0, inf)", "tau": "(0, inf)"}
    assert call("check", found["certificate"], cwd=tmp_path).returncode == 0


def test_a_typed_formula_with_a_value_and_a_range(prove: Prove) -> None:
    done = prove("max(0, m - t) + k * exp(-t)", "--for", "k=(0, 2]", "--param", "m=1", "--json")
    assert (done.returncode, json.loads(done.stdout)["tier"]) == (0, "symbolic")


def test_the_released_loss_is_refuted_at_a_member(prove: Prove) -> None:
    done = prove("average-margin-released", "--for", "mu=[0.1,1]", "--for", "tau=[1,2]", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["scope"].startswith("not every member")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["average-margin", "--for", "mu=[1,0]"], "mu"),
        (["average-margin", "--for", "mu"], "'mu'"),
        (["average-margin", "--for", "mu=0.1"], "mu=0.1"),
        (["average-margin", "--for", "mu=[0,1]", "--for", "mu=[0,2]"], "twice"),
        (["average-margin", "--for", "mu=[0,1]", "--param", "mu=1"], "both"),
        (["average-margin", "--for", "mu=[0,1]", "--threshold", "1/3"], "threshold"),
        (["average-margin", "--for", "mu=[0,1e9999999999]"], "1e9999999999"),
        (["average-margin", "--classes", "some"], "some"),
        (["softplus(-t)", "--classes", "all"], "multiclass"),
        (["--plus", "-v", "--minus", "v", "--classes", "all"], "LOSS"),
        (["avrage-margin", "--classes", "all"], "average-margin"),
    ],
)
def test_bad_input_is_named_in_one_line(prove: Prove, words: list[str], named: str) -> None:
    done = prove(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert named in done.stderr
    assert "Traceback" not in done.stderr
