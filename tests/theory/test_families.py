"""Lemmas for whole families: what they prove, what they must refuse, and damaged certificates."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import CertificateError, Family, Status, Tier, catalogue, check, from_formula, lemma_verdict, prove_family
from theory.checker.ranges import Range
from theory.expression import SCORE_NAMES, FormulaError

from .brute import gaps
from .oracle import binary_rows
from .oracle_rows import settings as settings_of

Certificate = dict[str, Any]
ALL_MU_TAU = {"mu": "[0, inf)", "tau": "(0, inf)"}
PAPER = "lse - fy + mu * (max(0, tau - alpha) - max(0, -alpha))"
BRUTE_NOISE = 1e-9  # brute force finds no strictly smaller gap: rounding of losses of size up to 100, times 1e-11

PROVED: dict[str, tuple[str, dict[str, str], int | str | None, str]] = {
    "target, binary, stated box": ("average-margin", {"mu": "[0, 100]", "tau": "[1/100, 100]"}, None, "reflection"),
    "target, binary, all": ("average-margin", ALL_MU_TAU, None, "reflection"),
    "target, every c": ("average-margin", ALL_MU_TAU, "all", "exchange"),
    "target, half-open": ("average-margin", {"mu": "(0, 3]", "tau": "(0, 7/2)"}, None, "reflection"),
    "target as a clip": ("softplus(-t) + mu * clip(tau - t, 0, tau)", ALL_MU_TAU, None, "reflection"),
    "ramp": ("clip(tau - t, 0, tau)", {"tau": "(0, inf)"}, None, "reflection"),
    "ramp of slope 1 / rho": ("min(1, max(0, 1 - t / rho))", {"rho": "(0, inf)"}, None, "reflection"),
    "tanh": ("1 - tanh(k * t)", {"k": "(0, inf)"}, None, "reflection"),
    "hinge": ("max(0, tau - t)", {"tau": "(0, inf)"}, None, "convex"),
    "smoothed labels, binary": ("(1 - e) * softplus(-t) + e * softplus(t)", {"e": "[0, 1/2)"}, None, "convex"),
    "weighted sum": ("k * exp(-t) + m * max(0, 1 - t)**2", {"k": "(0, 9]", "m": "[0, inf)"}, None, "convex"),
    "modified Huber": ("where(t < -1, -4 * t, max(0, 1 - t)**2)", {}, None, "convex"),
    "focal": ("-(1 - q)**g * log(q)", {"g": "(0, inf)"}, "all", "exchange"),
    "generalised cross-entropy": ("(1 - q**r) / r", {"r": "(0, 1]"}, "all", "exchange"),
    "cross-entropy Huberised": (
        "where(q > 1 / T, -log(q), -T * q + log(T) + 1)",
        {"T": "(1, inf)"},
        "all",
        "exchange",
    ),
    "Jensen-Shannon": (
        "-(1 - q) * (1 - w) * log(1 - w) - (w + (1 - w) * q) * log(w + (1 - w) * q) + (1 - w) * q * log(q)",
        {"w": "2/7"},
        "all",
        "exchange",
    ),
    "label smoothing": (
        "-(1 - e) * log(q) - e / c * (log(q) + sum_other(log(qk)))",
        {"e": "[0, 1)"},
        "all",
        "exchange",
    ),
    "Brier": ("(q - 1)**2 + sum_other(qk**2)", {}, "all", "exchange"),
    "pairwise logistic": ("sum_other(log1p(exp(m - (fy - fk))))", {"m": "[0, inf)"}, "all", "exchange"),
    "pairwise and ramp": ("sum_other(sigmoid(fk - fy)) + mu * clip(1 - alpha, 0, 1)", {"mu": "[0, 9]"}, 4, "exchange"),
    "normalised cross-entropy and absolute error": (
        "a * log(q) / (log(q) + sum_other(log(qk))) + 2 * b * (1 - q)",
        {"a": "[0, inf)", "b": "(0, inf)"},
        "all",
        "exchange",
    ),
    "normalised focal loss and cross-entropy": (
        "2 * (1 - q)**3 * log(q) / ((1 - q)**3 * log(q) + sum_other((1 - qk)**3 * log(qk))) + b * (lse - fy)",
        {"b": "(0, 1]"},
        "all",
        "exchange",
    ),
    "cross-entropy and squares": ("lse - fy + w * (fy**2 + sum_other(fk**2))", {"w": "[0, inf)"}, "all", "exchange"),
    "cross-entropy and lse": ("lse - fy + w * lse**2", {"w": "[0, inf)"}, "all", "exchange"),
    "cross-entropy and a hinge of lse": (
        "lse - fy + w * max(0, lse - m)",
        {"w": "[0, 3]", "m": "2"},
        "all",
        "exchange",
    ),
    "cross-entropy and one-versus-all": (
        "lse - fy + w * (softplus(-fy) + sum_other(softplus(fk)))",
        {"w": "(0, 9]"},
        5,
        "exchange",
    ),
    "cross-entropy and a sigmoid of the score": ("lse - fy + sigmoid(-fy)", {}, "all", "exchange"),
    "root of the cross-entropy": ("sqrt(1 + (lse - fy))", {}, "all", "exchange"),
    "one-versus-all": ("softplus(-fy) + w * sum_other(softplus(fk))", {"w": "(0, inf)"}, "all", "one-versus-all"),
    "binary cross-entropies": ("-log(sigmoid(fy)) - sum_other(log(1 - sigmoid(fk)))", {}, "all", "one-versus-all"),
    "squares": ("(fy - 1)**2 + sum_other(fk**2)", {}, "all", "one-versus-all"),
}

REFUSED: dict[str, tuple[str, dict[str, str], int | str | None]] = {
    "released, binary": ("average-margin-released", {"mu": "(0, 1]", "tau": "[1, 2]"}, None),
    "released": ("average-margin-released", {"mu": "(0, 1]", "tau": "[1, 2]"}, "all"),
    "released, two classes": ("average-margin-released", {"mu": "1/10", "tau": "1"}, 2),
    "Crammer-Singer": ("crammer-singer", {}, "all"),
    "cross-entropy and Crammer-Singer": ("lse - fy + mu * max(0, 1 - alpha)", {"mu": "(0, 1]"}, "all"),
    "Weston-Watkins": ("weston-watkins", {}, "all"),
    "GCE reversed": ("(q**r - 1) / r", {"r": "(0, 1]"}, "all"),
    "negative mu": ("softplus(-t) + mu * clip(tau - t, 0, tau)", {"mu": "[-1, 1]", "tau": "[1, 2]"}, None),
    "negative mu, c classes": (PAPER, {"mu": "[-1, 1]", "tau": "[1, 2]"}, "all"),
    "constant at an end": ("k * softplus(-t)", {"k": "[0, 1]"}, None),
    "constant inside": ("k * (lse - fy)", {"k": "[-1, 1]"}, "all"),
    "smoothed to 1/2": ("(1 - e) * softplus(-t) + e * softplus(t)", {"e": "[0, 1/2]"}, None),
    "smoothed to 1": ("-(1 - e) * log(q) - e / c * (log(q) + sum_other(log(qk)))", {"e": "[0, 1]"}, "all"),
    "perceptron": ("max(0, -t)", {}, None),
    "kink at 0": ("max(0, 1 - t) + b * abs(t)", {"b": "[1/10, 1]"}, None),
    "kink that reaches 0": ("max(0, tau - t)", {"tau": "[0, 1]"}, None),
    "unbounded": ("1 - t", {}, None),
    "infimum at both ends": ("(1 - tanh(t) / 2) / (1 + t**2)", {}, None),
    "flat below": ("min(-log(q), log(4))", {}, "all"),
    "flat above": ("max(0, 1 / 2 - q)", {}, "all"),
    "R jumps": ("lse - fy + where(alpha > 0, 1, 0)", {}, "all"),
    "R rises": ("lse - fy + clip(alpha, 0, 1)", {}, "all"),
    "jump of Psi": ("where(q > 1 / T, -log(q), -T * q + log(T) + 2)", {"T": "[3, 10]"}, "all"),
    "comparison that jumps": ("where(q - where(q < 1/4, 0, 1/8) < 1/8, 1 - q, 2 - q)", {}, "all"),
    "convex kink of Psi": ("1 - q + max(0, 1/3 - q)", {}, "all"),
    "only some c": ("-(1 - (c - 3) / 2) * log(q)", {}, "all"),
    "depends on the shift": ("-fy", {}, "all"),
    "depends on the shift, squared": ("lse - fy + fy**2", {}, "all"),
    "pairwise, rising": ("sum_other((1 - (fy - fk))**2)", {}, "all"),
    "pairwise, convex kink": ("sum_other(clip(1 - (fy - fk), 0, 1))", {}, "all"),
    "one-versus-all hinge": ("max(0, 1 - fy) + sum_other(max(0, 1 + fk))", {}, "all"),
    "one-versus-all sigmoid": ("sigmoid(-fy) + sum_other(sigmoid(fk))", {}, "all"),
    "not real at 2": ("softplus(-t) + tanh(t - 2) / tanh(t - 2)", {}, None),
    "not real below 0": ("softplus(-t) + 0 * log(t)", {}, None),
    "not real above 1/2": ("lse - fy + 0 * log(1/2 - q)", {}, "all"),
    "comparison that is not real": ("where(0 * log(t) < 1, softplus(-t), 0)", {}, None),
    "comparison with a pole": ("where(tanh(t - 2) / tanh(t - 2) > 0, softplus(-t), 0)", {}, None),
    "comparison that is not real, several": ("where(0 * log(1/2 - q) < 1, lse - fy, 0)", {}, "all"),
    "not real for some scores": ("lse - fy + 0 * sum_other(log(fk))", {}, "all"),
    "the counterexample to reflection without continuity": (
        "where(t >= 0, abs(t - 1), abs(t + 1) + where(abs(t + 1) <= 0, 1, min(-t, abs(t + 1))))",
        {},
        None,
    ),
    "normalised cross-entropy, alone": ("log(q) / (log(q) + sum_other(log(qk)))", {}, "all"),
    "share with a factor that may be negative": (
        "a * log(q) / (log(q) + sum_other(log(qk))) + (1 - q)",
        {"a": "[-2, 1]"},
        "all",
    ),
    "share that rises": ("1 - q + exp(3 * q) / (exp(3 * q) + sum_other(exp(3 * qk)))", {}, "all"),
    "share that jumps up near 0": ("1 - q + exp(1 / q) / (exp(1 / q) + sum_other(exp(1 / qk)))", {}, "all"),
    "share of another function": ("1 - q + log(q) / (log(q) + 2 * sum_other(log(qk)))", {}, "all"),
    "share of another numerator": ("1 - q + q / (log(q) + sum_other(log(qk)))", {}, "all"),
    "score term that rises": ("lse - fy + softplus(fy)", {}, "all"),
    "score terms without a floor": ("lse - fy - softplus(fy) - sum_other(softplus(fk))", {}, "all"),
    "score terms with kinks": ("lse - fy + 2 * abs(fy) + 2 * sum_other(abs(fk))", {}, "all"),
    "own score with a kink": ("lse - fy + max(0, 1 - fy)", {}, "all"),
    "others' scores only": ("lse - fy + sum_other(fk**2)", {}, "all"),
    "lse without a floor": ("lse - fy - softplus(lse)", {}, "all"),
    "0-1 loss": ("where(t <= 0, 1, 0)", {}, None),
}


@cache
def _proof(name: str) -> str:
    source, ranges, classes, _ = PROVED[name]
    verdict = lemma_verdict(Family(source, ranges), classes)
    assert verdict is not None
    return json.dumps(verdict.certificate)


def certificate(name: str) -> Certificate:
    return json.loads(_proof(name))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", PROVED)
def test_families_are_proved_and_checked_from_the_file_alone(name: str, tmp_path: Path) -> None:
    source, ranges, classes, lemma = PROVED[name]
    verdict = prove_family(Family(source, ranges), classes=classes)
    assert (verdict.status, verdict.tier, verdict.gap) == (Status.PROVED, Tier.SYMBOLIC, None)
    for parameter, text in ranges.items():
        r = Range.parse(text) if text[0] in "[(" else None
        assert f"{parameter} in {r}" in verdict.scope if r else f"{parameter} = {text}" in verdict.scope
    assert ("every c >= 2" in verdict.scope) == (classes == "all")
    assert verdict.certificate is not None
    assert verdict.certificate["lemma"] == lemma
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(verdict.certificate), encoding="utf-8")
    result = check(path)
    assert (result.valid, result.claim) == (True, "consistent")
    assert result.boxes >= len(verdict.certificate["hypotheses"])


@pytest.mark.parametrize("name", REFUSED)
def test_no_lemma_fits_a_broken_twin(name: str) -> None:
    source, ranges, classes = REFUSED[name]
    assert lemma_verdict(Family(source, ranges), classes) is None


HAND_MADE = [
    "released, binary",
    "released",
    "Crammer-Singer",
    "GCE reversed",
    "constant at an end",
    "kink at 0",
    "unbounded",
    "flat below",
    "R jumps",
    "jump of Psi",
    "comparison that jumps",
    "only some c",
    "depends on the shift",
    "pairwise, rising",
    "one-versus-all sigmoid",
    "share with a factor that may be negative",
    "score terms with kinks",
    "score terms without a floor",
    "not real at 2",
    "not real for some scores",
    "the counterexample to reflection without continuity",
]


@pytest.mark.parametrize("name", HAND_MADE)
def test_no_hand_made_cover_helps_a_broken_twin(name: str) -> None:
    """Every lemma with every hypothesis it could ask for, each with several covers."""
    source, ranges, classes = REFUSED[name]
    family = Family(source, ranges)
    rng = random.Random(name)
    hypotheses: dict[str, set[str]] = {}
    for other in PROVED:
        good = certificate(other)
        hypotheses.setdefault(good["lemma"], set()).update(good["hypotheses"])
    for lemma, asked in hypotheses.items():
        for depth in (0, 3):
            for skipped in (("convex by slopes",), ("convex by composition",)):
                axes = [*"tq", "alpha", "fy", "lse", *ranges]
                covers = {h: cover(rng, axes, depth) for h in asked if h not in skipped}
                forged = forge(family, classes, lemma, covers)
                for _ in range(8):  # drop hypotheses of parts that this loss does not have
                    result = check(forged)
                    assert not result.valid
                    surplus = [h for h in covers if f"{h!r} is not one" in str(result.reason)]
                    if not surplus:
                        break
                    forged["hypotheses"].pop(surplus[0])


def forge(family: Family, classes: int | str | None, lemma: str, covers: dict[str, Any]) -> Certificate:
    kind = "binary" if classes is None else "multiclass"
    return {
        "format": "avgmargin certificate",
        "version": 1,
        "claim": "consistent",
        "method": "lemma",
        "lemma": lemma,
        "loss": {
            "name": "forged",
            kind: family.formula(classes),
            "parameters": {},
            "ranges": {n: str(r) for n, r in family.ranges.items()},
            "domain": "all",
        },
        **({"threshold": "1/2"} if classes is None else {"classes": classes}),
        "hypotheses": dict(covers),
    }


def cover(rng: random.Random, names: list[str], depth: int) -> Any:
    """A random cover: splits of random quantities at random places."""
    if depth == 0:
        return "."
    at = str(Fraction(rng.randint(-6, 12), rng.randint(1, 9)))
    halves = {side: cover(rng, names, depth - 1) for side in ("low", "high")}
    return {"split": rng.choice(names), "at": at, **halves}


def test_every_member_of_a_proved_family_passes_brute_force() -> None:
    rng = np.random.default_rng(20190726)
    for name in ("target, binary, all", "ramp of slope 1 / rho", "tanh", "smoothed labels, binary", "weighted sum"):
        source, ranges, _, _ = PROVED[name]
        family = Family(source, ranges)
        for _ in range(2):
            values = {}
            for parameter, r in family.ranges.items():
                low, high = float(r.low), min(float(r.high), 6.0)
                values[parameter] = Fraction(str(round(low + (high - low) * float(rng.uniform(0.05, 0.9)), 3)))
            etas = np.array([0.03, 0.31, 0.46, 0.54, 0.77, 1.0])
            assert gaps(family.member(values), etas=etas)[1].min() > BRUTE_NOISE


def test_families_of_three_classes_pass_a_float_search_at_random_posteriors() -> None:
    """On a grid of scores no wrong top class comes closer to the least risk than a right one."""
    steps = np.linspace(-4, 4, 33)
    scores = np.stack([g.ravel() for g in np.meshgrid(steps, steps, steps)], axis=1)
    rng = np.random.default_rng(7)
    for name in ("target, every c", "focal", "Brier", "label smoothing", "pairwise logistic", "one-versus-all"):
        source, ranges, _, _ = PROVED[name]
        family = Family(source, ranges)
        losses = family.member({n: Fraction("0.7") for n in family.ranges}).values(scores)
        for p in rng.dirichlet([1.0, 1.0, 1.0], size=12):
            best = int(p.argmax())
            if np.sort(p)[-1] - np.sort(p)[-2] < 0.25:  # closer to a tie the grid is too coarse
                continue
            risks = losses @ p
            wrong = np.delete(scores, best, axis=1).max(axis=1) >= scores[:, best]
            assert risks[wrong].min() > risks[~wrong].min(), (name, p)


def test_the_oracle_is_never_contradicted_and_mostly_decided(shared: Path) -> None:
    proved = Counter[str]()
    for row in binary_rows(shared)[::3]:
        found = lemma_verdict(row.loss(), seconds=1.0)
        assert found is None or row.consistent, row.label
        proved["binary"] += found is not None
    for each in [setting for setting in settings_of(shared) if setting.classes is not None][::2]:
        found = lemma_verdict(each.loss(), each.classes, seconds=1.0)
        assert found is None or each.consistent, each.label
        proved["multiclass"] += found is not None
    assert proved["binary"] >= 15
    assert proved["multiclass"] >= 15


def test_released_is_refuted_at_a_member() -> None:
    verdict = prove_family(Family("average-margin-released", {"mu": "[1/10, 1]", "tau": "[1, 2]"}))
    assert (verdict.status, verdict.tier) == (Status.REFUTED, Tier.CERTIFIED)
    assert verdict.scope.startswith("not every member: mu = ")
    assert verdict.certificate is not None
    assert check(verdict.certificate).valid


def test_crammer_singer_is_refuted_for_all_classes_at_three() -> None:
    verdict = prove_family(Family("crammer-singer"), classes="all")
    assert verdict.status is Status.REFUTED
    assert "c = 3" in verdict.scope


def test_a_family_that_nothing_decides_is_undecided_with_advice() -> None:
    verdict = prove_family(Family("clip(1 - t, 0, 1 - s)", {"s": "[1/4, 3/4]"}), boxes=300, seconds=1.0)
    assert (verdict.status, verdict.tier, verdict.certificate) == (Status.UNDECIDED, Tier.SEARCHED, None)
    assert "narrow the ranges" in str(verdict.advice)


# -- hostile certificates ------------------------------------------------------------------------------


def edit(name: str, change: Callable[[Certificate], object]) -> Certificate:
    data = certificate(name)
    change(data)
    return data


def put(*path: str, value: object) -> Callable[[Certificate], object]:
    def change(data: Certificate) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


HOLE = {"split": "t", "at": "1", "low": "."}
FOREIGN = {"split": "q", "at": "1/2", "low": ".", "high": "."}
OUTSIDE = {"split": "tau", "at": "1000", "low": ".", "high": "."}
BOX = "target, binary, stated box"
HOSTILE: dict[str, tuple[str, Callable[[Certificate], object]]] = {
    "unknown lemma": (BOX, put("lemma", value="magic")),
    "another lemma": (BOX, put("lemma", value="convex")),
    "a lemma for several classes": (BOX, put("lemma", value="exchange")),
    "a binary lemma for several classes": ("target, every c", put("lemma", value="reflection")),
    "range widened below 0": (BOX, put("loss", "ranges", "mu", value="[-1, 100]")),
    "range widened for all c": ("target, every c", put("loss", "ranges", "mu", value="(-1/100, inf)")),
    "open end closed": ("weighted sum", put("loss", "ranges", "k", value="[0, 9]")),
    "open end closed, exchange": ("label smoothing", put("loss", "ranges", "e", value="[0, 1]")),
    "open end closed, ramp": ("ramp", put("loss", "ranges", "tau", value="[0, inf)")),
    "open end closed, focal": ("focal", put("loss", "ranges", "g", value="(-1, inf)")),
    "hole": (BOX, put("hypotheses", "gap", value=HOLE)),
    "split of a foreign name": (BOX, put("hypotheses", "gap", value=FOREIGN)),
    "split outside the box": (BOX, put("hypotheses", "gap", value=OUTSIDE)),
    "hypothesis missing": (BOX, lambda data: data["hypotheses"].pop("falls at 0")),
    "hypothesis missing, exchange": ("target, every c", lambda data: data["hypotheses"].pop("R constant left of 0")),
    "hypothesis invented": (BOX, put("hypotheses", "trust me", value=".")),
    "both alternatives": ("hinge", put("hypotheses", "convex by slopes", value=".")),
    "composition in pieces": (
        "ramp",
        lambda data: data.update(
            lemma="convex",
            hypotheses={
                **dict.fromkeys(("continuous", "falls at 0", "bounded below"), "."),
                "convex by composition": {"split": "t", "at": "1", "low": ".", "high": "."},
            },
        ),
    ),
    "released": (
        "target, every c",
        put("loss", "multiclass", value="lse - fy + mu * clip(-alpha, 0, tau)"),
    ),
    "released, binary": (BOX, put("loss", "binary", value="softplus(-t) + mu * clip(-t, 0, tau)")),
    "R jumps": ("target, every c", put("loss", "multiclass", value=PAPER + " + where(alpha >= 0, 1, 0)")),
    "Psi flat": ("Brier", put("loss", "multiclass", value="max(q, 1/2) * 0 - max(q, 1/4)")),
    "claim": (BOX, put("claim", value="inconsistent")),
    "threshold": (BOX, put("threshold", value="1/3")),
    "pair": (BOX, put("loss", "plus", value="softplus(-v)")),
    "bounded scores": ("target, every c", put("loss", "domain", value="bounded:2")),
    "constrained scores": ("one-versus-all", put("loss", "domain", value="sum-zero")),
    "unbounded risk": ("hinge", put("loss", "binary", value="tau - t")),
}
MALFORMED: dict[str, tuple[str, Callable[[Certificate], object]]] = {
    "empty range": (BOX, put("loss", "ranges", "mu", value="[1, 0]")),
    "point left out": (BOX, put("loss", "ranges", "mu", value="[1, 1)")),
    "closed infinity": (BOX, put("loss", "ranges", "mu", value="[0, inf]")),
    "range of a float": (BOX, put("loss", "ranges", "mu", value=[0, 1])),
    "not a number": (BOX, put("loss", "ranges", "mu", value="[nan, 1]")),
    "parameter without a range": (BOX, lambda data: data["loss"]["ranges"].pop("mu")),
    "value and range": (BOX, put("loss", "parameters", value={"mu": "1"})),
    "parameter named as a score": ("focal", put("loss", "parameters", value={"q": "1"})),
    "vector": ("focal", put("loss", "parameters", value={"w": ["1", "2"]})),
    "entry per class": (
        "target, every c",
        put("loss", "multiclass", value="lse - fy + mu * tau * sum_other(muk)"),
    ),
    "one class": ("target, every c", put("classes", value=1)),
    "true classes": ("target, every c", put("classes", value=True)),
    "many classes": ("target, every c", put("classes", value="many")),
    "domain": (BOX, put("loss", "domain", value="half")),
    "formula": (BOX, put("loss", "binary", value="softplus(-t) + __import__('os')")),
    "cover of another kind": (BOX, put("hypotheses", "gap", value=[1, 2])),
    "split at a float": (BOX, put("hypotheses", "gap", value={**OUTSIDE, "at": 1.5})),
    "hypotheses of another kind": (BOX, put("hypotheses", value=["."])),
    "version": (BOX, put("version", value=2)),
}


def deep_cover(depth: int) -> Any:
    node: Any = "."
    for k in range(depth):
        node = {"split": "t", "at": f"1/{depth - k + 1}", "low": node, "high": "."}
    return node


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_certificates_are_refused(name: str) -> None:
    base, change = HOSTILE[name]
    result = check(edit(base, change))
    assert not result.valid
    assert result.reason
    assert "\n" not in result.reason


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_certificates_are_named_in_one_line(name: str) -> None:
    base, change = MALFORMED[name]
    with pytest.raises(CertificateError) as error:
        check(edit(base, change))
    assert "\n" not in str(error.value)


def test_a_cover_that_nests_without_end_is_refused() -> None:
    with pytest.raises(CertificateError, match="nests deeper"):
        check(edit(BOX, put("hypotheses", "continuous", value=deep_cover(300))))


FALSIFIED: dict[str, list[tuple[str, str, str]]] = {
    "target, binary, stated box": [
        ("binary", "+ mu *", "- mu *"),
        ("binary", "softplus(-t)", "softplus(t)"),
        ("binary", "max(0, tau - t) - max(0, -t)", "max(0, -t)"),
        ("binary", "max(0, tau - t) - max(0, -t)", "clip(-t, 0, tau)"),
        ("binary", "max(0, tau - t)", "max(0, tau + t)"),
        ("ranges", "[0, 100]", "[-1/5, 100]"),
        ("ranges", "[1/100, 100]", "[-1, 100]"),
    ],
    "target, every c": [
        ("multiclass", "lse - fy", "fy - lse"),
        ("multiclass", "lse - fy", "-fy"),
        ("multiclass", "+ mu *", "- mu *"),
        ("multiclass", "max(0, tau - alpha) - max(0, -alpha)", "max(0, tau - alpha)"),
        ("multiclass", "max(0, tau - alpha)", "max(0, tau + alpha)"),
        ("multiclass", "lse - fy + mu", "mu"),
        ("ranges", "[0, inf)", "(-inf, inf)"),
    ],
    "focal": [
        ("multiclass", "-(1 - q)", "(1 - q)"),
        ("multiclass", "log(q)", "log(1 - q)"),
        ("multiclass", "(1 - q)", "(q - 1)"),
        ("ranges", "(0, inf)", "(-inf, inf)"),
    ],
    "weighted sum": [
        ("binary", "exp(-t)", "exp(t)"),
        ("binary", "m * max", "-m * max"),
        ("ranges", "(0, 9]", "[0, 9]"),
        ("ranges", "[0, inf)", "[-1, inf)"),
    ],
}


def damage(rng: random.Random, data: Certificate) -> None:
    """One random change of the covers: a new cover, a moved split, a lost half, a renamed hypothesis."""
    covers = data["hypotheses"]
    key = rng.choice(sorted(covers))
    kind = rng.randrange(4)
    if kind == 0 or not isinstance(covers[key], dict):
        covers[key] = cover(rng, ["t", "q", "alpha", *data["loss"]["ranges"]], rng.randint(0, 4))
    elif kind == 1:
        covers[key]["at"] = str(Fraction(rng.randint(-9, 9), rng.randint(1, 9)))
    elif kind == 2:
        covers[key].pop(rng.choice(("low", "high")))
    else:
        covers[rng.choice(("gap", "convex", "Psi falls"))] = covers.pop(key)


@pytest.mark.parametrize("name", FALSIFIED)
def test_false_statements_are_refused_with_any_covers(name: str) -> None:
    rng, original = random.Random(f"false {name}"), certificate(name)
    outcomes = Counter[str]()
    while outcomes.total() < 100:
        data = copy.deepcopy(original)
        field, old, new = rng.choice(FALSIFIED[name])
        if field == "ranges":
            table = data["loss"]["ranges"]
            data["loss"]["ranges"] = {n: new if r == old else r for n, r in table.items()}
        else:
            data["loss"][field] = data["loss"][field].replace(old, new)
        assert data["loss"] != original["loss"]
        for _ in range(rng.randint(0, 2)):
            damage(rng, data)
        try:
            outcomes["accepted" if check(data).valid else "refused"] += 1
        except CertificateError:
            outcomes["malformed"] += 1
    assert outcomes["accepted"] == 0
    assert outcomes["refused"] >= 40


def test_damaged_covers_of_true_statements_never_crash_the_checker() -> None:
    rng = random.Random(11)
    originals = [certificate(name) for name in ("target, binary, all", "target, every c", "hinge", "Brier")]
    outcomes = Counter[str]()
    while outcomes.total() < 120:
        data = copy.deepcopy(rng.choice(originals))
        damage(rng, data)
        try:
            outcomes["accepted" if check(data).valid else "refused"] += 1
        except CertificateError:
            outcomes["malformed"] += 1
    assert outcomes["refused"] > 20


# -- ranges and families ----------------------------------------------------------------------------------

ends = st.fractions(min_value=-50, max_value=50, max_denominator=40)


@given(
    low=ends, width=st.fractions("1/40", 9, max_denominator=10**6), open_ends=st.tuples(st.booleans(), st.booleans())
)
def test_a_printed_range_reads_back(low: Fraction, width: Fraction, open_ends: tuple[bool, bool]) -> None:
    r = Range(low, low + width, *open_ends)
    assert Range.parse(str(r)) == r
    assert r.contains(low) == (not open_ends[0])
    assert r.contains(low + width) == (not open_ends[1])
    assert r.contains(low + width / 3)
    assert not r.contains(low - width)


@pytest.mark.parametrize("text", ["", "[0]", "0, 1", "[0, 1, 2]", "[1, 0]", "(1, 1]", "[0, inf]", "[inf, 1)", "[x, 1]"])
def test_what_is_no_range_is_named_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"range|number") as error:
        Range.parse(text)
    assert "\n" not in str(error.value)


def test_bad_families_are_refused_at_the_door() -> None:
    with pytest.raises(ValueError, match="no parameter 'nu'"):
        Family("average-margin", {"nu": "[0, 1]"})
    with pytest.raises(ValueError, match="must stay in the range"):
        Family("average-margin", {"mu": "[-1, 1]"})
    with pytest.raises(ValueError, match="is not used"):
        Family("softplus(-t)", {"k": "[0, 1]"})
    with pytest.raises(FormulaError, match="unknown name 'k'"):
        Family("k * softplus(-t)")
    with pytest.raises(ValueError, match="no multiclass formula"):
        prove_family(Family("softplus(-t)"), classes="all")
    with pytest.raises(ValueError, match="classes=1"):
        prove_family(Family("lse - fy"), classes=1)
    with pytest.raises(ValueError, match="boxes=0 must be at least 1"):
        prove_family(Family("softplus(-t)"), boxes=0)
    with pytest.raises(ValueError, match="must lie in"):
        Family("k * softplus(-t)", {"k": "[0, 1]"}).member({"k": Fraction(2)})


def test_a_single_loss_is_a_degenerate_family() -> None:
    found = lemma_verdict(catalogue.get("average-margin", mu="0.3", tau="1.7"))
    assert found is not None
    assert found.scope == "every posterior but 1/2; mu = 3/10, tau = 17/10"
    assert lemma_verdict(catalogue.get("perceptron")) is None
    assert lemma_verdict(from_formula("w * (lse - fy)", classes=3, parameters={"w": "1,2,1"}), 3) is None


@settings(max_examples=25)
@given(mu=st.fractions(0, 20, max_denominator=30), tau=st.fractions("1/30", 20, max_denominator=30))
def test_every_member_of_the_target_is_proved_and_its_broken_twin_is_not(mu: Fraction, tau: Fraction) -> None:
    values = {"mu": mu, "tau": tau}
    assert lemma_verdict(Family(PAPER, values), 3) is not None
    twin = lemma_verdict(Family("lse - fy + mu * clip(-alpha, 0, tau)", values), 3)
    assert (twin is not None) == (mu == 0)


def test_scores_are_reserved_only_where_they_have_a_meaning() -> None:
    assert "q" in SCORE_NAMES
    verdict = lemma_verdict(Family("softplus(-q * t)", {"q": "(0, 4]"}))
    assert verdict is not None
    with pytest.raises(ValueError, match="'q'"):
        Family("-log(q) + 0 * fy", {"q": "(0, 4]"})
