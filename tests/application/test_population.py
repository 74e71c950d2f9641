"""`avgmargin synthetic`: losses against laws from the command line, and faults that it must report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import synthetic
import theory
from avgmargin.__main__ import main
from avgmargin.common.errors import UserError
from avgmargin.laws import answers, population
from avgmargin.laws.records import record
from avgmargin.laws.request import read
from avgmargin.proving.resolve import read_calls, read_law

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
    request = read(["hinge", "kinked-hinge"], None, "near-ties", "tiny", 3, False)
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
        (["--laws", "gaussian-shared(dimension=0)"], "dimension=0"),
        (["--laws", "gaussian-classes(dimension=1)"], "dimension=1"),
        (["--laws", "gaussian-classes(classes=2.5)"], "classes=2.5"),
        (["--laws", "xor(dimension=1.5)"], "dimension=1.5"),
        (["--laws", "gaussian-classes(weights=0.2/0.3/0.6)"], "sum(weights)=1.1 must be 1"),
        (["--laws", "gaussian-shared(covariance=1/2/2/1)"], "not positive definite"),
        (["--laws", "gaussian-shared(covariance=1/2/1)"], "len(covariance)=3 must be 4"),
        (["--laws", "xor", "--dimension", "3"], "dimension=3 must be that of a law asked for: 2"),
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


def test_the_laws_of_one_dimension_only() -> None:
    request = read([], None, None, "tiny", 0, False, 2)
    found = {name for name, _ in request.laws}
    assert {"xor", "rings", "cells-3"} <= found
    assert {synthetic.laws.get(name).dimension for name in found} == {2}
    assert found != set(synthetic.laws.names())


def test_lists_are_read_with_their_parameters() -> None:
    assert read_calls("a-b(x=1, y=2),c") == [("a-b", ["x=1", "y=2"]), ("c", [])]
    assert read_law("xor", ["noise=0.5"]) == ("xor", {"noise": 0.5})
    with pytest.raises(UserError, match="NAME=VALUE"):
        read_law("xor", ["noise"])
    with pytest.raises(UserError, match="once"):
        read_law("xor", ["noise=1", "noise=2"])


# -- broken twins: what must be called a fault ---------------------------------------------------------------------


def faults_of(
    loss: str, monkeypatch: pytest.MonkeyPatch, law: str = "near-ties", thorough: bool = True, **patches: Any
) -> list[str]:
    for name, value in patches.items():
        monkeypatch.setattr(synthetic, name, value)
    request = read([loss], None, law, "tiny", 0, False)
    found = population.run(replace(request, thorough=thorough), 1, lambda words: None)
    return list(found["faults"])


@pytest.mark.parametrize(("name", "law"), [("hinge", "near-ties"), ("weston-watkins", "near-ties-3")])
def test_psi_doubled_is_a_fault(name: str, law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times, so that it shows on the few classifiers of this scale; for three classes by the linear constant."""
    loss = "truncated-hinge" if law == "near-ties-3" else name
    honest = synthetic.excess_bound

    def tripled(loss: theory.Loss, **options: Any) -> synthetic.ExcessBound:
        found = honest(loss, **options)
        return replace(found, values=lambda theta: 3.0 * found.values(theta))

    assert faults_of(loss, monkeypatch, law) == []
    found = faults_of(loss, monkeypatch, law, excess_bound=tripled)
    assert any("break the excess-risk inequality" in fault for fault in found)


def test_a_consistent_loss_that_fails_and_a_refuted_one_that_does_not_are_faults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = synthetic.decisions

    def swapped(loss: theory.Loss, classes: int, rng: Any) -> Any:  # the answers of the other loss
        other = {"hinge": "perceptron", "perceptron": "hinge"}[loss.name]
        wrong = honest(theory.catalogue.get(other), classes, rng)
        return synthetic.Decisions(loss, classes, wrong.region, wrong.vertices)

    hinge = faults_of("hinge", monkeypatch, thorough=False, decisions=swapped)
    assert any("said to be consistent" in fault for fault in hinge)
    perceptron = faults_of("perceptron", monkeypatch, thorough=False)
    assert any("nothing here was seen to fail" in fault for fault in perceptron)
    for name in ("hinge", "perceptron"):  # named losses are compared with theory's certified posteriors, too
        assert any("contradict the certified ones" in fault for fault in faults_of(name, monkeypatch))


def test_losses_that_fail_on_faces_only_must_fail_there_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = synthetic.decisions
    laws = "breaks-naive,near-ties-3"
    assert faults_of("naive-exponential", monkeypatch, laws) == []

    def as_if(other: str) -> Callable[..., Any]:
        return lambda loss, classes, rng: replace(honest(theory.catalogue.get(other), classes, rng), loss=loss)

    for other, words in (("constrained-hinge", "nothing was seen to fail there"), ("one-vs-all-hinge", "fails on")):
        found = faults_of("naive-exponential", monkeypatch, laws, decisions=as_if(other))
        assert any(words in fault for fault in found), found


def test_a_refuted_loss_that_fails_beside_the_chosen_law_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    law = "point-mass(p=0.5/0.3/0.2/0)"  # four classes, one of them impossible, the likeliest certain enough for all
    losses = ["weston-watkins", "cross-entropy-perceptron", "hinge"]
    found = [record(read(losses, None, law, "tiny", 0, False), k) for k in range(2)]
    assert [(each["answers"][0]["fails_beside"], each["faults"]) for each in found] == [(True, [])] * 2

    monkeypatch.setattr(answers, "_fails_at_near_ties", lambda loss, classes: False)
    (told,) = (record(read(losses, None, law, "tiny", 0, False), k)["answers"][0] for k in [0])
    assert (told["fails_beside"], told["fault"]) == (False, None)
    three = read(losses, None, "point-mass(p=0.7/0.2/0.1)", "tiny", 0, False)
    assert "nothing here was seen to fail" in str(record(three, 1)["faults"])


def test_what_psi_was_used_is_told(told: Told) -> None:
    code, out, _ = told("hinge", "weston-watkins", "--laws", "near-ties,near-ties-3", "--json", *SMALL)
    found = json.loads(out)
    assert code == 0
    kinds = {(each["loss"], psi["classes"]): psi["kind"] for each in found["losses"] for psi in each["psi"]}
    assert kinds[("hinge", 2)] == kinds[("weston-watkins", 2)] == "certified"
    assert kinds[("weston-watkins", 3)] == "none"  # refuted for three classes: no linear bound
    tried = {(row["classes"], row["psi"]) for each in found["losses"] for row in each["inequality"]}
    assert tried == {(2, "certified")}
    whole = read([], None, "near-ties", "tiny", 0, False)
    assert not whole.thorough
    named = read(["cross-entropy"], None, "near-ties-3", "tiny", 0, False)
    few = record(replace(named, thorough=False), 0)
    assert [psi["kind"] for psi in few["psi"]] == ["none"]
    assert "name the loss" in few["psi"][0]["method"]


def test_a_record_does_not_depend_on_its_place() -> None:
    both = read(["perceptron", "hinge"], None, "near-ties,xor", "tiny", 3, False)
    one = read(["hinge"], None, "near-ties,xor", "tiny", 3, False)
    assert record(both, 1) == record(one, 0)
