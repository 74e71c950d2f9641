"""Certificates with false claims, one per gap between a rule's proof and its hypotheses: the checker must refuse each.

Run from the root of the checkout:  .venv/bin/python -m tests.theory.hostile_certificates

Each case names the hypothesis of docs/theory/lemmas.md that it breaks. The controls are true claims and must be
accepted. Exit code 1 when a false claim is accepted or a control refused.
"""

from __future__ import annotations

import sys
from itertools import pairwise
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


def several(claim: str, formula: str, classes: int, **entries: Any) -> dict[str, Any]:
    """A certificate on the cone of sorted scores."""
    loss = {"name": "hostile", "multiclass": formula, "parameters": {}, "domain": "all"}
    header = {"format": "avgmargin certificate", "version": 1, "method": "cone"}
    return header | {"claim": claim, "loss": loss, "classes": classes} | entries


CASES: list[tuple[str, bool, dict[str, Any]]] = [
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
        several(
            "inconsistent",
            "where(exp(alpha) > 0, lse - fy, 0)",
            3,
            p=["1", "0", "0"],
            wrong={"direction": ["0", "1", "0"]},
            trees=[["v"], ["v"]],
        ),
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
        several(
            "inconsistent",
            "where(alpha > 0, alpha, where(alpha < 0, 1, 100))",
            2,
            p=["3/5", "2/5"],
            wrong={"scores": ["0", "1/1000"]},
            trees=[["w", 0, ["r"], ["v"]]],
        ),
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
