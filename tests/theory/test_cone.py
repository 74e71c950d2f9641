"""Multiclass certificates, polyhedral and on the cone of sorted scores: damage, lies by hand, malformed ones."""

from __future__ import annotations

import copy
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.theory.mutants import lies_among
from theory import CertificateError, CheckResult, check, from_formula, multiclass_minimiser, multiclass_risk
from theory.prover.multiclass import prove_multiclass

Certificate = dict[str, Any]

SECONDS = 2.0
# A pattern search that stops at steps of 1e-9; values of size 1 are then good to a few roundings.
SEARCH = 1e-10
# The same for a risk that is least at infinity, where |f| stops at 40.
FAR = 1e-7

POLYHEDRAL: dict[str, dict[str, Any]] = {
    "ramp": {"formula": "clip(1 - alpha, 0, 1)"},
    "constrained hinge": {"formula": "sum_other(max(0, 1 + fk))", "domain": "sum-zero"},
    "vector": {"formula": "clip(1 - alpha, 0, 1) + w", "parameters": {"w": ("3", "1", "0")}},
    "bounded": {"formula": "clip(1 - alpha, 0, 1)", "domain": "bounded:1/3"},
    "hinge, refuted": {"formula": "max(0, 1 - alpha)"},
    "one against all, refuted": {"formula": "max(0, 1 - fy) + sum_other(max(0, 1 + fk))"},
}
CONE: dict[str, dict[str, Any]] = {
    "pairwise logistic": {"formula": "sum_other(softplus(fk - fy))"},
    "paper": {"formula": "lse - fy + 1/3 * clip(2 - alpha, 0, 2)"},
    "squares": {"formula": "(fy - 1)**2 + sum_other(fk**2)"},
    "exponential, sum zero": {"formula": "sum_other(exp(fk))", "domain": "sum-zero"},
    "released, refuted": {"formula": "lse - fy + 2/7 * clip(-alpha, 0, 3/2)"},
    "logistic of the margin, refuted": {"formula": "softplus(-alpha)"},
    "exponential, refuted on a face": {"formula": "exp(-fy)", "domain": "sum-zero"},
}
BASES = POLYHEDRAL | CONE


@cache
def _base(name: str) -> Certificate:
    entry = dict(BASES[name])
    verdict = prove_multiclass(from_formula(entry.pop("formula"), classes=3, **entry), 3, lemmas=False)
    assert verdict.certificate is not None, verdict.advice
    return verdict.certificate


def base(name: str) -> Certificate:
    """A fresh copy of a valid certificate."""
    return copy.deepcopy(_base(name))


@pytest.mark.parametrize("name", BASES)
def test_valid_certificates_pass(name: str) -> None:
    certificate = json.loads(json.dumps(base(name)))
    result = check(certificate)
    assert result.valid
    assert result.reason is None
    assert result.boxes > 0
    assert (certificate.get("method") == "cone") == (name in CONE)
    assert claim_is_true(certificate)


# -- the judge -----------------------------------------------------------------------------------------------------


@cache
def posteriors() -> np.ndarray:
    """Class 0 likeliest, class 1 behind; class 2 behind or tied with class 0; then all other roles."""
    near = [(0.3343, 0.3323, 0.3334), (0.352, 0.342, 0.306), (0.42, 0.38, 0.2), (0.46, 0.45, 0.09)]
    return np.array([*near, (0.73, 0.21, 0.06), (0.4, 0.2, 0.4), (0.51, 0.49, 0.0), (0.345, 0.31, 0.345)])


def claim_is_true(certificate: Certificate) -> bool:
    """Whether a float search finds nothing against the claim, kappa included."""
    data = certificate["loss"]
    parameters = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data["parameters"].items()
    }
    parameters = {name: value for name, value in parameters.items() if re.search(rf"\b{name}k?\b", data["multiclass"])}
    loss = from_formula(data["multiclass"], classes=3, parameters=parameters, domain=data["domain"])
    if certificate["claim"] == "consistent":
        kappa = float(Fraction(certificate.get("kappa", "0")))
        for roles in (
            [(0, 1, 2)]
            if not any(isinstance(x, tuple) for x in parameters.values())
            else [*((0, 1, 2), (1, 0, 2), (1, 2, 0), (2, 0, 1))]
        ):
            p = np.empty_like(posteriors())
            p[:, roles] = posteriors()
            least = multiclass_minimiser(loss, p, starts=6)[1]
            gap = multiclass_minimiser(loss, p, starts=6, top=roles[1])[1] - least
            lead = posteriors()[:, 0] - posteriors()[:, 1]
            if not (gap >= np.maximum(SEARCH, kappa * lead - SEARCH)).all():
                return False
        return True
    exact = [Fraction(x) for x in certificate["p"]]
    if sum(exact) != 1 or min(exact) < 0:
        return False
    p = np.array([[float(x) for x in exact]])
    least = multiclass_minimiser(loss, p)[1][0]
    if "scores" in certificate:
        scores = np.array([[float(Fraction(x)) for x in certificate["scores"]]])
        top = np.flatnonzero(scores[0] == scores[0].max())
        return bool((p[0][top] < p[0].max()).any() and multiclass_risk(loss, p, scores)[0] <= least + FAR)
    wrong = min(multiclass_minimiser(loss, p, top=k)[1][0] for k in range(3) if p[0][k] < p[0].max())
    return bool(wrong <= least + FAR * max(1.0, abs(least)))


# -- mutations -----------------------------------------------------------------------------------------------------


def _moved(rng: random.Random, text: str) -> str:
    value = Fraction(text)
    nudge = Fraction(rng.choice([1, -1]), rng.choice([2, 7, 64, 10**6]))
    return str(rng.choice([value + nudge, value * (1 + nudge), -value, 2 * value, value / 2, 1 - value, Fraction(0)]))


def _places(node: Any, wanted: Callable[[Any], bool]) -> Iterator[tuple[Any, Any]]:
    """Containers and keys of everything wanted."""
    pending = [node]
    while pending:
        here = pending.pop()
        items = here.items() if isinstance(here, dict) else enumerate(here)
        for key, value in items:
            if wanted(value):
                yield here, key
            if isinstance(value, (dict, list)):
                pending.append(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"-?\d+(/\d+)?", value) is not None


def _is_node(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and value[0] in ("w", "p", "x", "t", "c", "f", "v", "r")


def _is_leaf(value: Any) -> bool:
    return _is_node(value) and value[0] in ("x", "t", "c", "v", "r")


def _number(rng: random.Random, c: Certificate) -> None:
    """A kappa, weight, loss, probability or score moves."""
    body = {key: value for key, value in c.items() if key not in ("loss", "classes", "version")}
    here, key = rng.choice(list(_places(body, _is_number)))
    if here is body:
        here = c
    here[key] = _moved(rng, here[key])


def _two_numbers(rng: random.Random, c: Certificate) -> None:
    """Two entries of one list move in opposite directions, so that sums stay what they are."""
    lists = [
        here[key] for here, key in _places(c, lambda v: isinstance(v, list) and bool(v) and all(map(_is_number, v)))
    ]
    chosen = rng.choice(lists)
    i, j = rng.sample(range(len(chosen)), 2)
    step = Fraction(1, rng.choice([2, 3, 50, 1000]))
    chosen[i], chosen[j] = str(Fraction(chosen[i]) + step), str(Fraction(chosen[j]) - step)


def _formula(rng: random.Random, c: Certificate) -> None:
    """A constant, a sign or a function of the loss changes."""
    text = c["loss"]["multiclass"]
    place = rng.choice(list(re.finditer(r"\d+|[+*-]|\b(fk|fy|alpha|softplus|exp|max|min)\b", text)))
    old = place.group()
    swaps = {
        "+": ["-"],
        "-": ["+"],
        "*": ["+"],
        "fk": ["fy", "qk"],
        "fy": ["alpha", "lse"],
        "alpha": ["fy", "abs(alpha)"],
    }
    functions = {"softplus": ["exp", "sinh"], "exp": ["softplus", "sinh"], "max": ["min"], "min": ["max"]}
    options = (swaps | functions).get(old) or ["0", "1", "2", "3", f"({old} + 1/100)", f"({old} - 1/100)", f"(-{old})"]
    c["loss"]["multiclass"] = text[: place.start()] + rng.choice(options) + text[place.end() :]


def _question(rng: random.Random, c: Certificate) -> None:
    """The domain, the claim, the method or the parameters change."""
    kind = rng.randrange(4)
    if kind == 0:
        c["loss"]["domain"] = rng.choice(["all", "sum-zero", "bounded:1/10", "bounded:5"])
    elif kind == 1:
        c["claim"] = "inconsistent" if c["claim"] == "consistent" else "consistent"
    elif kind == 2 and "w" in c["loss"]["parameters"]:
        c["loss"]["multiclass"] = rng.choice(["w * clip(1 - alpha, 0, 1)", "clip(1 - w * alpha, 0, 1)"])
    elif "method" in c:
        c["classes"] = rng.choice([2, 4])


def _entries(rng: random.Random, c: Certificate) -> None:
    """A weight entry is lost, doubled, or given to another vertex."""
    entries = c["weights"]
    kind, i, j = rng.randrange(4), rng.randrange(len(entries)), rng.randrange(len(entries))
    if kind == 0:
        entries.pop(i)
    elif kind == 1:
        entries[i]["losses"] = copy.deepcopy(entries[j]["losses"])
    elif kind == 2:
        entries[i]["beaten_by"] = copy.deepcopy(entries[j]["beaten_by"])
    else:
        entries[i]["rival"], entries[i]["best"] = entries[i]["best"], entries[i]["rival"]


def _leaf(rng: random.Random, c: Certificate) -> None:
    """A leaf becomes another leaf."""
    here, key = rng.choice(list(_places(c["trees"], _is_leaf)))
    scores = [rng.choice(["0", "1", "-1", "3/2"]) for _ in range(3)]
    here[key] = rng.choice([["x"], ["t"], ["v"], ["r"], ["f"], ["c", scores]])


def _prune(rng: random.Random, c: Certificate) -> None:
    """A split becomes one leaf: the rule of one of its leaves is claimed for all of it."""
    splits = [(h, k) for h, k in _places(c["trees"], lambda v: _is_node(v) and not _is_leaf(v))]
    here, key = rng.choice(splits)
    leaves = [h[k] for h, k in _places(here[key], _is_leaf)]
    here[key] = copy.deepcopy(rng.choice(leaves))


def _graft(rng: random.Random, c: Certificate) -> None:
    """A subtree is replaced by another."""
    places = list(_places(c["trees"], _is_node))
    here, key = rng.choice(places)
    there, other = rng.choice(places)
    here[key] = copy.deepcopy(there[other])


def _swap(rng: random.Random, c: Certificate) -> None:
    """The branches of a split, its axis, or two leaves change places."""
    splits = [h[k] for h, k in _places(c["trees"], lambda v: _is_node(v) and v[0] == "w")]
    node = rng.choice(splits)
    if rng.random() < 0.5:
        node[2], node[3] = node[3], node[2]
    else:
        node[1] = rng.choice([0, 1])


def _floors(rng: random.Random, c: Certificate) -> None:
    c["floors"] = rng.choice([c["floors"][:-1], [["f"]] * 3, [["w", 0, ["f"], ["f"]]] * 3, [], [["x"]] * 3])


def _wrong(rng: random.Random, c: Certificate) -> None:
    ((kind, values),) = c["wrong"].items()
    other = rng.sample(["0", "1", "-1", "2", "1/2"], 3)
    c["wrong"] = {rng.choice([kind, "scores", "direction"]): rng.choice([values, values[::-1], other])}


COMMON = [_number, _two_numbers, _formula, _formula, _question]


def mutated(rng: random.Random, certificate: Certificate) -> Certificate:
    """The certificate after one or two random mutations of a kind that it has room for."""
    kinds = list(COMMON)
    kinds += [_entries, _entries] if "weights" in certificate else []
    kinds += [_leaf, _prune, _graft, _swap] if "trees" in certificate else []
    kinds += [_floors] if "floors" in certificate else []
    kinds += [_wrong, _wrong] if "wrong" in certificate else []
    result = copy.deepcopy(certificate)
    for _ in range(rng.choice([1, 1, 2])):
        with suppress(IndexError, KeyError, ValueError, ZeroDivisionError):  # nothing of that kind is left to break
            rng.choice(kinds)(rng, result)
    return result


def lies_accepted(
    name: str, verify: Callable[[Certificate], CheckResult], count: int, seed: int
) -> tuple[list[Certificate], Counter[str]]:
    """The mutants of a certificate that pass although brute force contradicts their claim; and what became of all."""
    return lies_among(base(name), mutated, claim_is_true, verify, count, random.Random(f"{name} {seed}"))


@pytest.mark.parametrize("name", BASES)
def test_no_mutant_with_a_false_claim_is_accepted(name: str, record_property: Callable[[str, object], None]) -> None:
    count = 26 if name in POLYHEDRAL else 25
    lies, outcomes = lies_accepted(name, check, count, seed=1)
    record_property("outcomes", dict(outcomes))
    assert lies == []
    assert outcomes["malformed, in several lines"] == 0
    assert outcomes["refused"] + outcomes["malformed"] > count // 3  # most damage does harm


@pytest.mark.parametrize("name", ["ramp", "hinge, refuted", "pairwise logistic", "released, refuted"])
def test_a_checker_that_believes_is_caught(name: str) -> None:
    def believes(certificate: Certificate) -> CheckResult:
        return replace(check(certificate), valid=True)

    lies, _ = lies_accepted(name, believes, 12, seed=2)
    assert lies


# -- lies made by hand ---------------------------------------------------------------------------------------------


def refused(certificate: Certificate) -> bool:
    """The property: not accepted, in one line."""
    try:
        result = check(certificate)
    except CertificateError as error:
        return "\n" not in str(error)
    return not result.valid and "\n" not in str(result.reason)


@pytest.mark.parametrize("name", BASES)
def test_the_opposite_claim_is_refused(name: str) -> None:
    certificate = base(name)
    certificate["claim"] = "inconsistent" if certificate["claim"] == "consistent" else "consistent"
    assert refused(certificate)


@pytest.mark.parametrize("name", BASES)
def test_another_loss_with_the_other_verdict_is_refused(name: str) -> None:
    consistent = base(name)["claim"] == "consistent"
    others = ["max(0, 1 - alpha)", "lse - fy + 1/7 * max(0, 1 - alpha)", "1", "0 * fy", "sum_other(softplus(fy - fk))"]
    for formula in others if consistent else ["clip(1 - alpha, 0, 1)", "lse - fy", "sum_other(softplus(fk - fy))"]:
        certificate = base(name)
        certificate["loss"] |= {"multiclass": formula, "domain": "all"}
        assert refused(certificate), formula


@pytest.mark.parametrize("rule", [["x"], ["t"], ["f"], ["v"], ["r"], ["c", ["1", "0", "0"]]])
@pytest.mark.parametrize("name", CONE)
def test_one_rule_does_not_hold_everywhere(name: str, rule: list[Any]) -> None:
    certificate = base(name)
    for m in range(len(certificate["trees"])):
        certificate["trees"][m] = rule
    # exp(-f_y) at a sure class: its limit 0 is below every risk, and one leaf says so
    assert (name, rule) == ("exponential, refuted on a face", ["v"]) or refused(certificate)


@pytest.mark.parametrize("name", [name for name in CONE if "refuted" in name])
def test_a_refutation_needs_a_wrong_class_on_top_and_a_posterior(name: str) -> None:
    ((kind, _),) = base(name)["wrong"].items()
    for wrong in (["1", "0", "-1"], ["5/2", "-1", "-3/2"]):
        certificate = base(name)
        certificate["wrong"] = {kind: wrong}
        assert refused(certificate)
    for p in (["1/3", "1/3", "1/3"], ["2/5", "2/5", "1/5"], ["1/5", "2/5", "2/5"], ["1/2", "1/4", "1/5"]):
        certificate = base(name)
        certificate["p"] = p
        assert refused(certificate), p
    certificate = base(name)
    certificate["p"] = ["3/4", "1/2", "-1/4"]
    assert refused(certificate)


def test_weights_that_promise_too_much_are_refused() -> None:
    for name in ("ramp", "constrained hinge", "vector", "bounded"):
        kappa = Fraction(base(name)["kappa"])
        for value in (kappa + Fraction(1, 10**12), 2 * kappa, Fraction(0), -kappa):
            certificate = base(name)
            certificate["kappa"] = str(value)
            assert refused(certificate), (name, value)
        certificate = base(name)
        certificate["kappa"] = str(kappa / 2)
        assert check(certificate).valid  # less is true too


def test_every_wrong_vertex_needs_weights() -> None:
    for name in ("ramp", "constrained hinge", "vector"):
        for i in range(len(base(name)["weights"])):
            certificate = base(name)
            del certificate["weights"][i]
            assert refused(certificate), (name, i)


def test_weights_must_sum_to_one_and_be_positive() -> None:
    certificate = base("ramp")
    entry = certificate["weights"][0]["beaten_by"][0]
    entry["weight"] = str(2 * Fraction(entry["weight"]))
    assert refused(certificate)
    certificate = base("ramp")
    beaten = certificate["weights"][0]["beaten_by"]
    beaten[0]["weight"] = str(Fraction(beaten[0]["weight"]) + 1)
    beaten.append({"losses": certificate["weights"][0]["losses"], "weight": "-1"})
    assert refused(certificate)


# -- malformed -----------------------------------------------------------------------------------------------------

JUNK = [
    *(
        None,
        True,
        0,
        3,
        -1,
        1.5,
        float("nan"),
        float("inf"),
        "",
        "x",
        "1/0",
        "0/0",
        "1e9",
        "-",
        "9" * 900,
        "inf",
        "nan",
    ),
    *([], [[]], [None], ["w"], ["w", 0], ["w", 0, ["x"]], ["w", 9, ["x"], ["x"]], ["w", True, ["x"], ["x"]], ["p"]),
    *({}, {"scores": None}, {"scores": ["1", "1"]}, {"direction": ["0", "0"]}, ["c"], ["c", None], ["c", ["1"]]),
]


@pytest.mark.parametrize("name", BASES)
def test_junk_in_any_entry_is_refused_or_malformed(name: str) -> None:
    """Never another exception: `refused` lets only CertificateError pass."""
    for key in base(name):
        if key == "loss":
            continue
        for junk in JUNK:
            certificate = base(name)
            certificate[key] = junk
            if key in ("classes", "version") and junk in (3, True, 1):
                continue
            assert refused(certificate), (key, junk)


@pytest.mark.parametrize("name", ["ramp", "vector", "pairwise logistic", "released, refuted"])
def test_missing_entries_and_junk_deep_inside_are_refused(name: str) -> None:
    for key in base(name):
        certificate = base(name)
        del certificate[key]
        assert refused(certificate), key
    rng = random.Random(5)
    for _ in range(25):
        certificate = base(name)
        deep = certificate[
            rng.choice([key for key in ("weights", "trees", "floors", "wrong", "loss") if key in certificate])
        ]
        here, key = rng.choice(list(_places(deep, lambda _: True)))
        if key == "name":
            continue
        here[key] = rng.choice(JUNK)
        with suppress(CertificateError):
            assert not check(certificate).valid or claim_is_true(certificate)


def test_deep_and_wide_trees_do_not_hang() -> None:
    deep: list[Any] = ["x"]
    for _ in range(20_000):
        deep = ["w", 0, deep, ["x"]]
    wide: list[Any] = ["x"]
    for k in range(40):
        wide = ["w", k % 2, wide, wide]  # one object, 2**40 leaves
    for tree in (deep, wide):
        certificate = base("released, refuted")
        certificate["trees"] = [tree, tree]
        start = time.process_time()
        assert refused(certificate)
        assert time.process_time() - start < SECONDS
