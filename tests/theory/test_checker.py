"""The checker believes nothing: random damage, hand-made lies, malformed files."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.theory.certificates import BASES, Certificate, base, claim_is_true, mutated
from tests.theory.mutants import lies_among
from theory import CertificateError, CheckResult, check, from_formula, prove

SECONDS = 2.0
MUTANTS = 90  # per certificate; there are twelve


@pytest.mark.parametrize("name", BASES)
def test_valid_certificates_pass(name: str, tmp_path: Path) -> None:
    certificate = base(name)
    result = check(certificate)
    assert result.valid
    assert result.reason is None
    assert result.boxes > 0
    assert claim_is_true(certificate)
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(certificate))
    assert check(file) == check(str(file)) == result


# -- random damage -------------------------------------------------------------------------------------------------


def lies_accepted(
    name: str, verify: Callable[[Certificate], CheckResult], count: int, seed: int
) -> tuple[list[Certificate], Counter[str]]:
    """The mutants of a certificate that pass although brute force contradicts their claim; and what became of all."""
    return lies_among(base(name), mutated, claim_is_true, verify, count, random.Random(f"{name} {seed}"))


@pytest.mark.parametrize("name", BASES)
def test_no_mutant_with_a_false_claim_is_accepted(name: str, record_property: Callable[[str, object], None]) -> None:
    lies, outcomes = lies_accepted(name, check, MUTANTS, seed=1)
    record_property("outcomes", dict(outcomes))
    assert lies == []
    assert outcomes["malformed, in several lines"] == 0
    assert outcomes["refused"] + outcomes["malformed"] > MUTANTS // 2  # most damage does harm
    assert outcomes["accepted"] > 0  # and some does not, so that the judge was asked


@pytest.mark.parametrize("name", ["hinge", "released", "one point"])
def test_a_checker_that_believes_is_caught(name: str) -> None:
    def believes(certificate: Certificate) -> CheckResult:
        return replace(check(certificate), valid=True)

    lies, _ = lies_accepted(name, believes, 40, seed=2)
    assert lies


def test_a_checker_that_forgets_the_cover_is_caught() -> None:
    """The real checker without its look at tiling: a removed box goes unseen, and then a false formula passes."""
    import theory.checker.binary_proofs as module

    def believes_covers(certificate: Certificate) -> CheckResult:
        original = module._boxes
        try:
            module._boxes = lambda data, *_: [(e, module.pair(e, "v")) for e in data["boxes"]]  # type: ignore[assignment]
            return check(certificate)
        finally:
            module._boxes = original

    certificate = base("perceptron (rise, value)")
    certificate["loss"]["binary"] = "max(0, 1 - t)"
    certificate["boxes"] = [{"v": ["5", "6"], "rule": "value"}]
    certificate["eta"] = "51/100"
    certificate["wrong"] = "-1"
    assert not check(certificate).valid
    assert believes_covers(certificate).valid
    assert not claim_is_true(certificate)


def test_a_checker_that_does_not_ask_for_real_losses_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A factor 0 hides the pole from every bound; only the formula as written shows it."""
    from theory.checker.binary_rules import Problem

    certificate = base("hinge")
    certificate["loss"]["binary"] = "max(0, 1 - t) + 0 / (t - 1/3)"
    assert not check(certificate).valid
    monkeypatch.setattr(Problem, "real", lambda *_: True)
    assert check(certificate).valid


def test_pieces_on_which_a_loss_is_real_are_read() -> None:
    certificate = base("hinge")
    certificate["loss"]["binary"] = "max(0, 1 - t) + 0 * (1 / (1 + where(t < 0, t**2, t**3)))"
    assert not check(certificate).valid
    certificate["real"] = ["-inf", "0", "inf"]
    assert check(certificate).valid
    for lie in (["-inf", "inf", "0", "inf"], ["0", "inf"], [], ["-inf", "0"], ["-inf", "0", "0", "inf"]):
        assert not check(certificate | {"real": lie}).valid
    for malformed in ("-inf", [1, 2], ["-inf", "x", "inf"], {"x": 1}, None):
        assert raises_in_one_line(certificate | {"real": malformed})


# -- lies made by hand ---------------------------------------------------------------------------------------------


def refused(certificate: Certificate) -> bool:
    """The property: not accepted, in one line."""
    try:
        result = check(certificate)
    except CertificateError as error:
        return "\n" not in str(error)
    return not result.valid and "\n" not in str(result.reason)


def _inconsistent(plus: str, minus: str, domain: str = "all", **entries: Any) -> Certificate:
    loss = {"name": "by hand", "plus": plus, "minus": minus, "parameters": {}, "domain": domain}
    header = {"format": "avgmargin certificate", "version": 1, "claim": "inconsistent", "loss": loss}
    return {**header, "threshold": "1/2", "side": "above", "gap": "0", "wrong": "0", **entries}


HINGE = ("max(0, 1 - v)", "max(0, 1 + v)")
LIES: dict[str, Certificate] = {
    "rise across a pole": _inconsistent(
        "-1 / (v - 1/2) + 2 * v", "0 * v", "bounded:1", eta="1", boxes=[{"v": ["0", "1"], "rule": "rise"}]
    ),
    "rise where the loss is no number": _inconsistent(
        "log(v - 1/2)", "0 * v", "bounded:1", eta="1", boxes=[{"v": ["0", "1"], "rule": "rise"}]
    ),
    "false limit": _inconsistent(
        "where(v <= 0, 5 + (exp(-v) + v) * exp(v), 4)",
        "where(v < 0, 4, 6 - exp(-1))",
        eta="11/20",
        wrong="-inf",
        boxes=[{"v": ["0", "inf"], "rule": "value"}, {"v": ["0", "0"], "rule": "value"}],
    ),
    "limit outside a bounded domain": _inconsistent(
        *HINGE, "bounded:2", eta="3/4", wrong="-inf", boxes=[{"v": ["0", "2"], "rule": "value"}]
    ),
    "posterior at the threshold": _inconsistent(*HINGE, eta="1/2", boxes=[{"v": ["0", "inf"], "rule": "value"}]),
    "posterior above 1": _inconsistent(
        "max(0, 1 - v)", "max(0, 1 - v)", eta="3/2", boxes=[{"v": ["0", "inf"], "rule": "value"}]
    ),
    "correct score called wrong": _inconsistent(
        *HINGE, eta="3/4", wrong="1", boxes=[{"v": ["0", "inf"], "rule": "value"}]
    ),
    "negative gap": _inconsistent(*HINGE, eta="3/4", gap="-10", boxes=[{"v": ["0", "inf"], "rule": "value"}]),
    "half the scores": _inconsistent(*HINGE, eta="3/4", boxes=[{"v": ["3", "inf"], "rule": "value"}]),
    "no scores": _inconsistent(*HINGE, eta="3/4", boxes=[]),
    "boxes backwards": _inconsistent(
        *HINGE, eta="3/4", boxes=[{"v": ["0", "inf"], "rule": "value"}, {"v": ["inf", "0"], "rule": "value"}]
    ),
    "a jump at an end that no point covers": _inconsistent(
        "where(v < 1, 1, where(v <= 1, 0, 1))",
        "1 + 0 * v",
        eta="3/4",
        boxes=[
            {"v": ["0", "1"], "rule": "value"},
            {"v": ["1", "inf"], "rule": "value"},
            {"v": ["0", "0"], "rule": "value"},
        ],
    ),
}


@pytest.mark.parametrize("certificate", LIES.values(), ids=LIES.keys())
def test_lies_made_by_hand_are_refused(certificate: Certificate) -> None:
    assert refused(certificate)


def test_a_slide_over_a_pole_is_refused() -> None:
    """1/(v + 1) - 2 v has a negative slope wherever it has one, and no lower bound left of -1."""
    floor = {"boxes": [{"v": ["0", "5"]}]}
    tail = [{"v": ["-5", "-2"], "rule": "candidate", "at": "5"}]
    cell = {"eta": ["1/2", "1"], "gap": None, "boxes": [*tail, {"v": ["-2", "0"], "rule": "slide"}]}
    loss = {"name": "pole", "domain": "bounded:5", "parameters": {}}
    loss |= {"plus": "1 / (v + 1) - 2 * v", "minus": "1 / (v + 1) + v"}
    header = {"format": "avgmargin certificate", "version": 1, "claim": "consistent", "threshold": "1/2", "loss": loss}
    assert refused({**header, "sides": [{"floor": floor, "cells": [cell]}] * 2})


# -- malformed -----------------------------------------------------------------------------------------------------


def _with(path: tuple[Any, ...], value: Any, name: str = "hinge") -> Certificate:
    certificate = base(name)
    node: Any = certificate
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return certificate


def _without(key: str, name: str = "hinge") -> Certificate:
    certificate = base(name)
    certificate.pop(key)
    return certificate


HUGE = "1" + "0" * 100_000
GARBAGE = [
    None,
    True,
    0,
    1.5,
    "x",
    [],
    {},
    [[]],
    {"x": [1]},
    "1e9",
    "0x1",
    "1/0",
    "--1",
    "1_0",
    " 1",
    "١",
    HUGE,
    "1/" + HUGE,
]


def raises_in_one_line(certificate: Any) -> bool:
    """The property: CertificateError with one short line, at once."""
    start = time.process_time()
    try:
        check(certificate)
    except CertificateError as error:
        return "\n" not in str(error) and len(str(error)) < 5000 and time.process_time() - start < SECONDS
    return False


def answers_in_time(certificate: Any) -> bool:
    """The property: CertificateError in one line, or a refusal; at once, and nothing else."""
    start = time.process_time()
    return refused(certificate) and time.process_time() - start < SECONDS


def test_the_checks_of_malformed_input_can_say_no() -> None:
    assert not raises_in_one_line(base("hinge"))
    assert not answers_in_time(base("hinge"))
    assert not raises_in_one_line(_with(("loss", "binary"), "max(0, 1 + t)"))
    assert answers_in_time(_with(("loss", "binary"), "max(0, 1 + t)"))


KEYS = ["format", "version", "claim", "loss", "threshold", "sides"]


@pytest.mark.parametrize("key", KEYS)
def test_missing_entries(key: str) -> None:
    assert raises_in_one_line(_without(key))


@pytest.mark.parametrize("key", ["side", "eta", "wrong", "gap", "boxes"])
def test_missing_entries_of_refutations(key: str) -> None:
    assert raises_in_one_line(_without(key, "perceptron (rise, value)"))


@pytest.mark.parametrize("key", ["name", "binary", "parameters", "domain"])
def test_missing_entries_of_the_loss(key: str) -> None:
    certificate = base("hinge")
    certificate["loss"].pop(key)
    assert raises_in_one_line(certificate)


def _name(value: Any) -> str:
    return "huge" if value == 10**100_000 else repr(value)


@pytest.mark.parametrize("value", [0, 2, 1.0, "1", True, None, -1, 10**100_000], ids=_name)
def test_other_versions(value: Any) -> None:
    assert raises_in_one_line(_with(("version",), value))


PLACES: list[tuple[str, tuple[Any, ...]]] = [
    *(("hinge", (key,)) for key in KEYS),
    *(("hinge", ("loss", key)) for key in ("binary", "domain")),
    ("paper", ("loss", "parameters")),
    ("paper", ("loss", "parameters", "mu")),
    ("hinge", ("sides", 0)),
    ("hinge", ("sides", 0, "floor")),
    ("hinge", ("sides", 0, "cells")),
    ("hinge", ("sides", 0, "cells", 0)),
    ("hinge", ("sides", 0, "cells", 0, "eta")),
    ("hinge", ("sides", 0, "cells", 0, "boxes")),
    ("hinge", ("sides", 0, "cells", 0, "boxes", 0)),
    ("hinge", ("sides", 0, "cells", 0, "boxes", 0, "v")),
    ("hinge", ("sides", 0, "cells", 0, "boxes", 0, "rule")),
    ("hinge", ("sides", 0, "cells", 1, "gap")),
    ("hinge", ("sides", 0, "cells", 1, "boxes", 0, "at")),
    ("hinge", ("sides", 0, "cells", 1, "boxes", 0, "v", 1)),
    *(("perceptron (rise, value)", (key,)) for key in ("eta", "wrong", "gap", "boxes")),
    ("perceptron (rise, value)", ("boxes", 0)),
]


@pytest.mark.parametrize(("name", "path"), PLACES, ids=lambda x: x if isinstance(x, str) else ".".join(map(str, x)))
def test_garbage_anywhere(name: str, path: tuple[Any, ...]) -> None:
    untouched = json.dumps(base(name))
    for value in GARBAGE:
        certificate = _with(path, value, name)
        if path[-1] == "gap" and value is None:
            continue  # a cell without a stated gap is well formed
        if path == ("loss", "binary") and isinstance(value, str) and len(value) < 9:
            assert refused(certificate) or value == "x"
            continue
        assert json.dumps(certificate) != untouched
        assert answers_in_time(certificate), f"{path}: {str(value)[:40]!r}"


NESTED: Any = []
for _ in range(500):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "certificate",
    [None, 1, "no such file.json", [], {}, {"format": "avgmargin certificate"}, NESTED, {"format": NESTED}],
    ids=["None", "number", "no file", "list", "empty", "format only", "nested list", "nested entry"],
)
def test_what_is_no_certificate(certificate: Any) -> None:
    assert raises_in_one_line(certificate)


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('x')",
        "t" * 5000,
        "(" * 5000,
        "9**9**9**9",
        "t + u",
        "v",
        "",
        "t\x00",
        "fy",
        "lambda: t",
    ],
)
def test_hostile_formulas(formula: str) -> None:
    assert raises_in_one_line(_with(("loss", "binary"), formula))


@pytest.mark.timeout(25)
@pytest.mark.parametrize(
    "formula",
    [
        "1e99999999 * max(0, 1 - t)",
        "max(0, " * 28 + "1 - t" + ")" * 28,
        "abs(" * 40 + "1 - t" + ")" * 40,
        "sigmoid(" * 40 + "-t" + ")" * 40,
        "max(0, 1 - t)" + " + exp(-t) * 0" * 50,
        "max(" + ", ".join(f"{k} - {k} * t" for k in range(60)) + ")",
        "6**6**6**6 - t",
        "((((((t**9)**9)**9)**9)**9)**9)**9 + max(0, 1 - t)",
        "exp(exp(exp(exp(exp(-t)))))",
    ],
    ids=lambda text: text[:24],
)
def test_formulas_that_are_slow_to_enclose_end(formula: str) -> None:
    """An answer of any kind, soon: a certificate must not be able to stop its reader."""
    for name in ("hinge", "perceptron (rise, value)"):
        start = time.process_time()
        with suppress(CertificateError):
            assert check(_with(("loss", "binary"), formula, name)).claim in ("consistent", "inconsistent")
        assert time.process_time() - start < 5 * SECONDS


def test_a_vector_where_one_number_belongs() -> None:
    assert answers_in_time(_with(("loss", "parameters", "mu"), ["1", "2"], "paper"))


@pytest.mark.parametrize("name", ["t", "v"])
def test_parameters_named_like_scores(name: str) -> None:
    assert raises_in_one_line(_with(("loss", "parameters"), {name: "1"}))


@pytest.mark.parametrize("classes", [1, 0, -3, 7, 10**100_000, "3", None, True, 2.0], ids=_name)
def test_classes_that_are_none(classes: Any) -> None:
    assert raises_in_one_line(base("hinge") | {"classes": classes})


def test_an_unknown_side() -> None:
    assert raises_in_one_line(_with(("side",), "sideways", "perceptron (rise, value)"))


# -- files ---------------------------------------------------------------------------------------------------------


FILES = {
    "empty": b"",
    "not JSON": b"certificate",
    "not UTF-8": b"\xff\xfe{}",
    "not an object": b"[1, 2]",
    "number too long": b'{"version": 1' + b"0" * 100_000 + b"}",
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "not a number": b'{"format": NaN}',
    "duplicate keys": b'{"format": "x", "format": "y"}',
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_malformed_files(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    file.write_bytes(content)
    assert raises_in_one_line(file)


def test_truncated_files(tmp_path: Path) -> None:
    text = json.dumps(base("hinge"))
    file = tmp_path / "certificate.json"
    rng = random.Random(5)
    for length in [1, len(text) - 1, *(rng.randrange(2, len(text) - 1) for _ in range(20))]:
        file.write_text(text[:length])
        assert raises_in_one_line(file)


def test_absent_files_and_folders(tmp_path: Path) -> None:
    assert raises_in_one_line(tmp_path / "absent.json")
    assert raises_in_one_line(tmp_path)
    assert raises_in_one_line("a\x00b")


def test_files_too_large_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    with file.open("wb") as stream:
        stream.truncate(40_000_000)
    assert raises_in_one_line(file)


def test_a_file_is_checked_by_a_fresh_process(tmp_path: Path) -> None:
    """The certificate alone is enough, and an honest loss cannot borrow a broken formula's proof."""
    program = "import sys; from theory import check; r = check(sys.argv[1]); print(r.valid, r.claim, r.boxes)"
    outputs = []
    for name, formula in (("good", None), ("bad", "max(0, 1 + t)")):
        certificate = base("hinge") if formula is None else _with(("loss", "binary"), formula)
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(certificate))
        run = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        outputs.append(run.stdout.split())
    assert outputs[0] == ["True", "consistent", str(check(base("hinge")).boxes)]
    assert outputs[1][0] == "False"


def test_certificates_hold_only_text_and_structure() -> None:
    """Numbers are exact text, so that JSON readers cannot round them."""

    def plain(node: Any) -> bool:
        if isinstance(node, dict):
            return all(isinstance(key, str) and plain(value) for key, value in node.items())
        if isinstance(node, list):
            return all(map(plain, node))
        return node is None or isinstance(node, str) or node == 1

    for name in BASES:
        assert plain(base(name))
    verdict = prove(from_formula("softplus(-t) + 0.1 * t**2"))
    assert "1/10" in json.dumps(verdict.certificate) or "0.1" in json.dumps(verdict.certificate)
