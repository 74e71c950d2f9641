"""`avgmargin synthetic`: losses against laws from the command line, and faults that it must report."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import synthetic
import theory
from avgmargin import population
from avgmargin.__main__ import main
from avgmargin.errors import UserError
from avgmargin.resolve import read_calls, read_law

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["synthetic", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


SMALL = ("--scale", "tiny", "--jobs", "1")


def test_json_holds_every_check_and_the_exit_code_is_0(told: Told) -> None:
    laws = "near-ties,tsybakov(exponent=2),point-mass(p=0.4/0.35/0.25)"
    code, out, err = told(
        "average-margin-released", "--losses", "hinge,average-margin(mu=1)", "--laws", laws, "--json", *SMALL
    )
    found = json.loads(out)
    assert code == 0
    assert found["faults"] == []
    assert [law["law"] for law in found["laws"]] == ["near-ties", "tsybakov(exponent=2)", "point-mass(p=0.4/0.35/0.25)"]
    assert [record["label"] for record in found["losses"]] == [
        "average-margin-released (mu = 1/10, tau = 5)",
        "hinge",
        "average-margin (mu = 1, tau = 5)",
    ]
    assert [len(record["checks"]) for record in found["losses"]] == [3, 2, 3]
    first = {row["law"]: row for row in found["losses"][0]["checks"]}
    assert first["tsybakov(exponent=2)"]["disagreement"]["predicted"]["value"] == pytest.approx((1 / 11) ** 2, rel=1e-4)
    assert first["near-ties"]["fails"]
    assert not any(row["fails"] for row in found["losses"][2]["checks"])
    assert "3/3 average-margin" in err


def test_the_table_names_what_fails_and_where(told: Told) -> None:
    code, out, _ = told("kinked-hinge", "--laws", "near-ties,massart", *SMALL)
    assert code == 0
    assert "1 of 2" in out
    assert "0.45 .. 0.5; 0.5 .. 0.55" in out
    code, out, _ = told("--list", "--laws", "xor,rings", *SMALL)
    assert code == 0
    assert "0.14140344" in out


def test_proofs_are_compared_with_what_is_seen(told: Told) -> None:
    code, out, _ = told("perceptron", "hinge", "--laws", "checkerboard", "--prove", "--json", *SMALL)
    found = json.loads(out)
    assert code == 0
    answers = {record["loss"]: record["answers"][0] for record in found["losses"]}
    assert (answers["perceptron"]["verdict"], answers["hinge"]["verdict"]) == ("REFUTED", "PROVED")
    assert answers["perceptron"]["certified_region"]["failing"] == [["0", "1/2"], ["1/2", "1"]]
    assert answers["perceptron"]["failing_laws"] == ["checkerboard"]


def test_workers_change_no_number() -> None:
    request = population.read(["hinge", "kinked-hinge"], None, "near-ties", "tiny", 3, False)
    one, two = (population.run(request, jobs, lambda words: None) for jobs in (1, 2))
    assert one == two


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--laws", "two-moon"], "did you mean 'two-moons'?"),
        (["--laws", "xor(sigma=1)"], "no parameter 'sigma'"),
        (["--laws", "xor(noise=big)"], "noise=big"),
        (["--laws", "xor(noise=-1)"], "noise=-1.0"),
        (["--laws", "checkerboard(eta=1.5)"], "eta=1.5"),
        (["--laws", "point-mass(p=0.4/0.4)"], "sum(p)=0.8"),
        (["--laws", "xor,,rings"], "item ''"),
        (["--losses", "hinje"], "'hinge'"),
        (["--losses", "average-margin(mu=-1)"], "mu=-1"),
        (["--scale", "vast"], "'vast'"),
        (["--seed", "-1"], "seed=-1"),
        (["--jobs", "-2"], "jobs=-2"),
        (["average-margin("], "column"),
    ],
)
def test_bad_input_is_one_line_with_code_2(words: list[str], shown: str, told: Told) -> None:
    code, out, err = told(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("avgmargin: error: ")
    assert err.count("\n") == 1
    assert shown in err


def test_lists_are_read_with_their_parameters() -> None:
    assert read_calls("a-b(x=1, y=2),c") == [("a-b", ["x=1", "y=2"]), ("c", [])]
    assert read_law("xor", ["noise=0.5"]) == ("xor", {"noise": 0.5})
    with pytest.raises(UserError, match="NAME=VALUE"):
        read_law("xor", ["noise"])
    with pytest.raises(UserError, match="once"):
        read_law("xor", ["noise=1", "noise=2"])


# -- broken twins: what must be called a fault ---------------------------------------------------------------------


def faults_of(loss: str, monkeypatch: pytest.MonkeyPatch, **patches: Any) -> list[str]:
    for name, value in patches.items():
        monkeypatch.setattr(population.synthetic, name, value)
    request = population.read([loss], None, "near-ties", "tiny", 0, False)
    found = population.run(request, 1, lambda words: None)
    return list(found["faults"])


def test_psi_doubled_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(loss: theory.Loss) -> Any:
        return lambda of, theta: 3.0 * synthetic.checks.tabulated_psi(loss)(of, theta)

    assert faults_of("hinge", monkeypatch) == []
    assert any(
        "break the excess-risk inequality" in fault for fault in faults_of("hinge", monkeypatch, tabulated_psi=doubled)
    )


def test_a_consistent_loss_that_fails_and_a_refuted_one_that_does_not_are_faults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = synthetic.decisions

    def swapped(loss: theory.Loss, classes: int, rng: Any) -> Any:
        other = {"hinge": "perceptron", "perceptron": "hinge"}[loss.name]
        wrong = honest(theory.catalogue.get(other), classes, rng)
        return synthetic.Decisions(loss, classes, wrong.region, wrong.vertices)

    assert any("said to be consistent" in fault for fault in faults_of("hinge", monkeypatch, decisions=swapped))
    assert any("nothing here was seen to fail" in fault for fault in faults_of("perceptron", monkeypatch))
