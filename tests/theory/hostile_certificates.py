"""Certificates with false claims, one per gap between a rule's proof and its hypotheses: the checker must refuse each.

Run from the root of the checkout:  .venv/bin/python -m tests.theory.hostile_certificates

Each case names the hypothesis of docs/theory/lemmas.md that it breaks. The controls are true claims and must be
accepted. Exit code 1 when a false claim is accepted or a control refused.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from math import factorial
from typing import Any

from theory import check

TWO_TAILS = "where(t < -1, 40 * exp(t) - 3 * (exp(-t) + t) * exp(t), max(-t, -2))"
CROSS_ENTROPY_TREE = ["w", 0, ["t"], ["x"]]
"""Proves the cross-entropy of two classes: tie on gaps up to 1, exchange beyond."""
HALF_PI = "9474041702989626571827482310044015616151 / 6031362272358228760060507755201313070859"
"""pi / 2 + 5e-25: above pi / 2, below pi / 2 rounded up at 80 bits."""


def certificate(claim: str, binary: str = "", pair: tuple[str, str] | None = None, **entries: Any) -> dict[str, Any]:
    """A certificate of version 1 with threshold 1/2."""
    loss: dict[str, Any] = {"name": "hostile", "parameters": {}, "domain": entries.pop("domain", "all")}
    loss |= {"binary": binary} if pair is None else {"plus": pair[0], "minus": pair[1]}
    return {
        "format": "avgmargin certificate",
        "version": 1,
        "claim": claim,
        "loss": loss,
        "threshold": "1/2",
        **entries,
    }


def refuted_at_limit(binary: str = "", pair: tuple[str, str] | None = None) -> dict[str, Any]:
    """The claim that at eta = 1 the limit v -> -inf is optimal."""
    boxes = [{"v": ["0", "inf"], "rule": "value"}, {"v": ["0", "0"], "rule": "value"}]
    return certificate("inconsistent", binary, pair, side="above", eta="1", wrong="-inf", gap="0", boxes=boxes)


def consistent(binary: str, floor: list[str], boxes: list[tuple[str, str, str]], domain: str = "all") -> dict[str, Any]:
    """The claim of consistency with one cell of eta."""
    cover = [{"v": [low, high], "rule": rule} for low, high, rule in boxes]
    ground = [{"v": [low, high]} for low, high in pairwise(floor)]
    side = {"floor": {"boxes": ground}, "cells": [{"eta": ["1/2", "1"], "gap": None, "boxes": cover}]}
    return certificate("consistent", binary, domain=domain, sides=[side])


def of_pair(plus: str, minus: str, bound: int, above: list[list[str]], below: list[list[str]]) -> dict[str, Any]:
    """The claim of consistency of a pair on |v| <= bound; boxes are [low, high, rule] or [low, high, rule, at]."""
    sides = []
    for boxes in (above, below):
        cover = [{"v": b[:2], "rule": b[2]} | ({"at": b[3]} if len(b) > 3 else {}) for b in boxes]
        floor = {"boxes": [{"v": ["0", "1"]}, {"v": ["1", str(bound)]}]}
        sides.append({"floor": floor, "cells": [{"eta": ["1/2", "1"], "gap": None, "boxes": cover}]})
    return certificate("consistent", pair=(plus, minus), domain=f"bounded:{bound}", sides=sides)


def several(claim: str, formula: str, classes: int, **entries: Any) -> dict[str, Any]:
    """A certificate on the cone of sorted scores."""
    loss = {"name": "hostile", "multiclass": formula, "parameters": {}, "domain": entries.pop("domain", "all")}
    header = {"format": "avgmargin certificate", "version": 1, "method": "cone"}
    return header | {"claim": claim, "loss": loss, "classes": classes} | entries


def not_below(formula: str, p: tuple[str, ...], wrong: dict[str, list[str]], tree: list[Any]) -> dict[str, Any]:
    """The claim that wrong scores are optimal at a posterior, by one tree for every order; floors in one box each."""
    classes = len(p)
    trees, floors = [tree] * factorial(classes - 1), [["f"]] * classes
    return several("inconsistent", formula, classes, p=list(p), wrong=wrong, floors=floors, trees=trees)


def by_lemma(lemma: str, formula: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The claim that a lemma proves consistency for every number of classes, each hypothesis in one box."""
    loss = {"name": "hostile", "multiclass": formula, "parameters": {}, "ranges": {}, "domain": "all"}
    header = {"format": "avgmargin certificate", "version": 1, "claim": "consistent", "method": "lemma"}
    return header | {"lemma": lemma, "loss": loss, "classes": "all", "hypotheses": dict.fromkeys(names, ".")}


_ONE_PART = ("continuous", "differentiable", "grows", "bounded below")
_OVA = ("real", *(f"{part} {what}" for part in "AB" for what in _ONE_PART), "A - B falls")
_PAIRS = ("real", *(f"phi {what}" for what in ("continuous", "does not rise", "smooth", "falls at 0", "bounded below")))
_PSI = ("real", "Psi continuous", "Psi falls", "Psi bounded below", "Psi smooth")
_SHARE = (
    "a not negative",
    *(f"u {what}" for what in ("continuous", "positive", "does not rise", "differentiable")),
    "q u' / u bounded near 0",
)
_SCORES = ("B continuous", "B smooth", "B far")
_NEAR = (("-1", "-1/2", "reflect"), ("-1/2", "0", "tie"))


def _hinge_with(addend: str, real: list[str] | None = None) -> dict[str, Any]:
    """The claim that the hinge with an addend is consistent, in boxes with an end at -2."""
    boxes = [("-inf", "-2", "reflect"), ("-2", "-1", "reflect"), *_NEAR]
    data = consistent(f"max(0, 1 - t) + {addend}", ["0", "1", "2", "inf"], boxes)
    data["sides"][0]["cells"][0]["boxes"] += _points("-2", "-1", "-1/2") if "where" in addend else []
    return data | {"real": ["-inf", "-2", "2", "inf"] if real is None else real}


def _points(*ends: str) -> list[dict[str, Any]]:
    return [{"v": [end, end], "rule": "reflect"} for end in ends]


def _flat(formula: str) -> dict[str, Any]:
    """The claim that a loss is consistent on |t| <= 1, by the rules reflect and tie."""
    data = consistent(formula, ["0", "1"], list(_NEAR), "bounded:1")
    data["sides"][0]["cells"][0]["boxes"] += _points("-1", "-1/2") if "where" in formula else []
    return data


NORMALISED = "log(q) / (log(q) + sum_other(log(qk)))"
REVERSED = "sum_other(log(qk)) / (log(q) + sum_other(log(qk)))"


CASES: list[tuple[str, bool, dict[str, Any]]] = [
    (
        "slide: C_1 turns at 0, where plus = |v| near it (eta = 1 is least at 0)",
        False,
        of_pair(
            "max(abs(v), -4*v - 3)",
            "min(5*v + 4, v, -3/2*v)",
            2,
            [
                ["-2", "-13/10", "candidate", "2"],
                *([f"{n}/100", f"{n + 1}/100", "candidate", "4/5"] for n in range(-130, -100)),
                *([f"{n}/100", f"{n + 1}/100", "candidate", "2/5"] for n in range(-100, -50)),
                ["-1/2", "0", "slide"],
            ],
            [["-2", "0", "candidate", "2"]],
        ),
    ),
    (
        "slide: C_a rises on the first box (just above the threshold the score -2 is optimal)",
        False,
        of_pair(
            "-v",
            "11/8*v + 3/8 - 5/8*abs(v + 1)",
            2,
            [["-2", "-1", "slide"], ["-1", "0", "slide"]],
            [["-2", "0", "candidate", "2"]],
        ),
    ),
    (
        "inconsistent: the score that is optimal is the right one",
        False,
        certificate(
            "inconsistent",
            "max(0, 1 - t)",
            side="above",
            eta="3/4",
            wrong="1",
            gap="0",
            boxes=[{"v": ["0", "1"], "rule": "value"}, {"v": ["1", "inf"], "rule": "value"}],
        ),
    ),
    (
        "inconsistent: the wrong score that is optimal lies outside the domain",
        False,
        certificate(
            "inconsistent",
            "max(0, t + 1) * (1 - max(0, t)) * 2",
            domain="bounded:1",
            side="above",
            eta="3/4",
            wrong="-2",
            gap="0",
            boxes=[{"v": ["0", "1"], "rule": "value"}],
        ),
    ),
    (
        "control: the hinge is consistent",
        True,
        consistent(
            "max(0, 1 - t)",
            ["0", "1", "inf"],
            [("-inf", "-1", "reflect"), ("-1", "-1/2", "reflect"), ("-1/2", "0", "tie")],
        ),
    ),
    (
        "control: max(0, t) is least at v -> -inf, at eta = 1",
        True,
        refuted_at_limit("max(0, t)"),
    ),
    (
        "control: the cross-entropy of two classes is consistent",
        True,
        several("consistent", "lse - fy", 2, floors=[["f"], ["f"]], trees=[CROSS_ENTROPY_TREE]),
    ),
    (
        "E3: a comparison decided at infinity, not near it (the loss is the logistic loss)",
        False,
        refuted_at_limit("where(exp(t) > 0, softplus(-t), 0)"),
    ),
    (
        "E2: 0 * unknown taken as 0 in a limit, false refutation (the loss is consistent)",
        False,
        refuted_at_limit("exp(min(t, 0)) * (exp(-t) + min(t, 0))"),
    ),
    (
        "E2: 0 * unknown taken as 0 in a limit, false proof (the risk at eta = 1 is -3 at -inf, -2 at +inf)",
        False,
        consistent(
            TWO_TAILS,
            ["0", "1", "2", "inf"],
            [
                ("-inf", "-2", "reflect"),
                ("-2", "-1", "reflect"),
                ("-1", "0", "tie"),
                ("-1", "-1", "reflect"),
                ("-2", "-2", "reflect"),
            ],
        ),
    ),
    (
        "E1: atan at infinity enclosed by one point above pi / 2 (false by 5e-25)",
        False,
        refuted_at_limit(pair=(f"where(v <= 0, atan(v), -({HALF_PI}))", "v")),
    ),
    (
        "E0: a loss that is not a number at t = 2 (0 / 0)",
        False,
        consistent(
            "max(0, 1 - t) + tanh(t - 2) / tanh(t - 2)",
            ["0", "1", "2", "inf"],
            [("-inf", "-2", "reflect"), ("-2", "-1", "reflect"), ("-1", "-1/2", "reflect"), ("-1/2", "0", "tie")],
        ),
    ),
    (
        "E3: a jump at the face of a box, where a bound is read off at the face (the loss is 0 off ties)",
        False,
        several(
            "consistent",
            "where(alpha > 0, 0, where(alpha < 0, 0, 5))",
            2,
            floors=[["f"], ["f"]],
            trees=[["c", ["1", "0"]]],
        ),
    ),
    (
        "E3: a comparison decided at infinity along a direction (the loss is the cross-entropy)",
        False,
        not_below("where(exp(alpha) > 0, lse - fy, 0)", ("1", "0", "0"), {"direction": ["0", "1", "0"]}, ["v"]),
    ),
    (
        "E3: the slope of a kink at a tie read off at the tie; no `where` in the formula (it refutes itself, too)",
        False,
        several(
            "consistent",
            "lse - fy + max(1 - exp(alpha), 0)",
            2,
            floors=[["f"], ["f"]],
            trees=[CROSS_ENTROPY_TREE],
        ),
    ),
    (
        "faces: the loss is 0 at ties and the cross-entropy elsewhere; no leaf covers the ties themselves",
        False,
        several(
            "consistent",
            "where(abs(alpha) <= 0, 0, lse - fy)",
            2,
            floors=[["f"], ["f"]],
            trees=[CROSS_ENTROPY_TREE],
        ),
    ),
    (
        "faces: ties cost 100, so moving two classes together does not reach the risk that is approached",
        False,
        not_below(
            "where(alpha > 0, alpha, where(alpha < 0, 1, 100))",
            ("3/5", "2/5"),
            {"scores": ["0", "1/1000"]},
            ["w", 0, ["r"], ["v"]],
        ),
    ),
    (
        "control: -f_y is consistent where the scores sum to zero and lie in a ball",
        True,
        several("consistent", "-fy", 2, domain="ball:1", floors=[["f"]] * 2, trees=[["t"]]),
    ),
    (
        "room: -f_y with |f_k| <= 1 is least at (1, 1); no class can move up from there",
        False,
        several("consistent", "-fy", 2, domain="bounded:1", floors=[["f"]] * 2, trees=[["t"]]),
    ),
    (
        "room: the same, the wrong class moved down alone",
        False,
        several("consistent", "-fy", 2, domain="bounded:1", floors=[["f"]] * 2, trees=[["d"]]),
    ),
    (
        "domain: the same, beaten by scores outside the domain",
        False,
        several("consistent", "-fy", 2, domain="bounded:1", floors=[["f"]] * 2, trees=[["c", ["5", "4"]]]),
    ),
    (
        "domain: the same, every box declared to lie outside the domain",
        False,
        several("consistent", "-fy", 2, domain="bounded:1", floors=[["o"]] * 2, trees=[["o"]]),
    ),
    (
        "E0: a loss that is not a number at f_y = 3; 0 / 0 cancels in the normal form",
        False,
        several(
            "consistent",
            "lse - fy + tanh(fy - 3) / tanh(fy - 3)",
            2,
            floors=[["f"]] * 2,
            trees=[CROSS_ENTROPY_TREE],
        ),
    ),
    (
        "exchange: swapping helps beyond a gap of 2 only, so slopes since the tie must not be read off there",
        False,
        several(
            "consistent",
            "softplus(-alpha) + tanh(alpha)",
            2,
            floors=[["f"]] * 2,
            trees=[["w", 0, ["c", ["2", "0"]], ["x"]]],
        ),
    ),
    (
        "no verdict: the risk of -f_y falls without bound on both sides",
        False,
        not_below("-fy", ("3/5", "2/5"), {"direction": ["1", "1"]}, ["v"]),
    ),
    (
        "join: the branches differ by 1/100 where they meet, so a small lead of the best class does not pay",
        False,
        several(
            "consistent",
            "lse - fy + where(alpha > 0, 1/100, 0)",
            2,
            floors=[["f"]] * 2,
            trees=[CROSS_ENTROPY_TREE],
        ),
    ),
    *(
        (f"E0: not a number at t = 2, though bounded on both sides ({pole})", False, _hinge_with(pole))
        for pole in (
            "1 / (1 + exp(1 / (t - 2))) / 10",
            "sigmoid(1 / (t - 2)) / 10",
            "atan((t - 2) / (t - 2)**2) / 10",
            "exp(-1 / (t - 2)**2) / 10",
            "exp(-(t - 2)**-2) / 10",
            "sigmoid(-abs(t - 2)**-0.5) / 10",
            "atan(log((t - 2)**2)) / 10",
            "atan(log1p(abs(t - 2) - 1)) / 10",
            "exp(-(abs(t - 2)**(-3 - t / (1 + t**2)))) / 10",
            "0 * log(t - 2)",
            "0 / (t - 2)",
            "((t - 2) / (t - 2) - 1) / 10",
            "(t - 2) * (1 / (t - 2)) / 10",
            "where(abs(t - 2) < 1, 0, 1) * 0 * sqrt(t)",
        )
    ),
    (
        "control: a loss with a denominator, real everywhere, cut into pieces where this is seen",
        True,
        _hinge_with("where(abs(t) < 2, 0, 1 / t**2) * 0", real=["-inf", "-2", "0", "2", "inf"]),
    ),
    (
        "E0: 'real' leaves out the scores beyond 1, and 1 / (t - 2) with them",
        False,
        _hinge_with("sigmoid(1 / (t - 2)) / 10", real=["-inf", "1"]),
    ),
    (
        "E0: 'real' leaves out a piece in the middle",
        False,
        _hinge_with("sigmoid(1 / (t - 2)) / 10", real=["-inf", "inf", "3", "inf"]),
    ),
    (
        "E0: rise at eta = 1 across a pole that atan hides",
        False,
        certificate(
            "inconsistent",
            pair=("atan(-(v - 1) / (v - 1)**2) + 2 * v", "0 * v"),
            domain="bounded:2",
            side="above",
            eta="1",
            wrong="0",
            gap="0",
            boxes=[{"v": ["0", "1"], "rule": "rise"}, {"v": ["1", "2"], "rule": "value"}],
        ),
    ),
    (
        "control: max(0, 1 - t^3) is consistent, its first derivative at 0 that does not vanish is the third",
        True,
        consistent("max(0, 1 - t**3)", ["0", "1", "inf"], [("-inf", "-1", "reflect"), *_NEAR]),
    ),
    (
        "control: second derivatives -2 and 2 at 0",
        True,
        _flat("max(0, where(t > 0, 1 - t**2, 1 + t**2))"),
    ),
    *(
        (f"tie: {why} ({formula})", False, _flat(formula))
        for formula, why in (
            ("max(0, where(t > 0, 1 - t**2, 1 + 2 * t**2))", "C = 1 + (2 - 3 eta) t^2 right of 0"),
            ("where(t > 0, 1 - t**3, 1 - 3 * t**3)", "C = 1 + (3 - 4 eta) t^3 right of 0"),
            ("1 + t**2 - t**3 + t**4", "phi''(0) > 0"),
            ("1 - t**2", "even: nothing rises"),
            ("t**4 - t**3 / 100 + where(t > 0, t**2, t**2) * 2", "phi''(0) > 0 written with where"),
        )
    ),
    (
        "control: one-versus-all, exp(-v) and softplus(v)",
        True,
        by_lemma("one-versus-all", "exp(-fy) + sum_other(softplus(fk))", _OVA),
    ),
    (
        "reflection: phi(-t) - phi(t) > 0 tends to 0 (both infima are 0, at the two infinities)",
        False,
        {
            "format": "avgmargin certificate",
            "version": 1,
            "claim": "consistent",
            "method": "lemma",
            "lemma": "reflection",
            "threshold": "1/2",
            "loss": {
                "name": "hostile",
                "binary": "(1 - tanh(t) / 2) / (1 + t**2)",
                "parameters": {},
                "ranges": {},
                "domain": "all",
            },
            "hypotheses": {
                **dict.fromkeys(("continuous", "falls at 0", "bounded below"), "."),
                "gap": {"split": "t", "at": "1", "low": ".", "high": "."},
            },
        },
    ),
    (
        "one-versus-all: a kink of A at -1 holds the scores of all classes with .14 < p_k < .26 together",
        False,
        by_lemma("one-versus-all", "softplus(-fy) + max(0, -1 - fy) + sum_other(softplus(fk))", _OVA),
    ),
    (
        "one-versus-all: A is not bounded below (at a sure class raising all scores together wins without end)",
        False,
        by_lemma("one-versus-all", "exp(-fy) - 2 * fy + sum_other(softplus(fk))", _OVA),
    ),
    (
        "one-versus-all: B is not bounded below (lowering all scores together wins without end)",
        False,
        by_lemma("one-versus-all", "softplus(-fy) + sum_other(exp(fk) + 2 * fk)", _OVA),
    ),
    (
        "control: the pairwise logistic loss by the exchange lemma",
        True,
        by_lemma("exchange", "sum_other(softplus(fk - fy)) / 2", _PAIRS),
    ),
    (
        "exchange: a factor that depends on the scores (raising all scores together brings every loss to 0)",
        False,
        by_lemma("exchange", "sum_other(softplus(fk - fy)) / (2 + exp(fy))", _PAIRS),
    ),
    (
        "slide: the way to the tie rises (the loss is the cross-entropy)",
        False,
        not_below("lse - fy", ("3/5", "2/5"), {"scores": ["0", "0"]}, ["w", 0, ["s"], ["v"]]),
    ),
    *(
        (
            f"a cut {where}: the tree leaves out the gaps between",
            False,
            not_below("softplus(-alpha)", ("3/5", "2/5"), {"scores": ["0", "0"]}, ["k", 0, at, ["v"], ["v"]]),
        )
        for where, at in (("beyond the box", "3/2"), ("below it", "-1/2"), ("at its end", "1"))
    ),
    *(
        (f"exchange: {why}", true, by_lemma("exchange", formula, names))
        for why, true, formula, names in (
            ("control: absolute error and normalised cross-entropy", True, f"1 - q + {NORMALISED}", (*_PSI, *_SHARE)),
            (
                "a share with factor -2 rewards dropping the right class",
                False,
                f"1 - q - 2 * {NORMALISED}",
                (*_PSI, *_SHARE),
            ),
            ("a share without a part that falls", False, NORMALISED, ("real", *_SHARE)),
            ("control: squares of the scores", True, "lse - fy + fy**2 + sum_other(fk**2)", (*_PSI, *_SCORES)),
            (
                "kinks of the score terms hold all scores at 0",
                False,
                "lse - fy + 2 * abs(fy) + 2 * sum_other(abs(fk))",
                (*_PSI, *_SCORES),
            ),
        )
    ),
    (
        "wrong: the class that goes up for ever is the right one (the loss is the pairwise logistic loss)",
        False,
        not_below("sum_other(softplus(fk - fy))", ("1", "0", "0"), {"direction": ["1", "0", "0"]}, ["v"]),
    ),
    *(
        (f"value over one denominator: {why}", true, not_below(formula, p, {"direction": ["0", "0", "-1"]}, ["v"]))
        for why, true, formula, p in (
            ("control: the normalised cross-entropy nears its infimum min p", True, NORMALISED, ("1/2", "3/10", "1/5")),
            ("the class dropped is not the least likely", False, NORMALISED, ("1/2", "1/5", "3/10")),
            ("D < 0, so that N must be <= 0 (the risk is near its supremum)", False, REVERSED, ("1/2", "3/10", "1/5")),
            ("D has a zero, at ties, where the loss is not real", False, "1 + 1 / alpha**2", ("1/2", "3/10", "1/5")),
        )
    ),
    (
        "value over one denominator: the score that is neared is the right one",
        False,
        not_below(NORMALISED, ("1/2", "1/4", "1/4"), {"direction": ["0", "-1", "-2"]}, ["v"]),
    ),
    (
        "retract: smooth, so that its kinks say nothing about the way to the tie (the loss is the cross-entropy)",
        False,
        not_below("lse - fy", ("3/5", "2/5"), {"scores": ["0", "0"]}, ["w", 0, ["r"], ["v"]]),
    ),
]


def main() -> int:
    """Print one line per case; 1 when the checker is wrong about one of them."""
    good = True
    for name, honest, data in CASES:
        result = check(data)
        good &= result.valid == honest
        verdict = "accepted" if result.valid else "refused"
        mark = "ok   " if result.valid == honest else "WRONG"
        print(f"{mark} {verdict}: {name}" + ("" if result.valid else f" [{result.reason}]"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
