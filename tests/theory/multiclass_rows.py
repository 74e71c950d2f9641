"""Multiclass losses as data: the published rows in our formula language, and losses whose verdicts are derived here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from theory import Loss, from_formula

_RAMP = "max(0, 1 - alpha) - max(0, s - alpha)"
_PAPER = "lse - fy + mu * (max(0, tau - alpha) - max(0, -alpha))"
_OVA_HINGE = "max(0, 1 - fy) + sum_other(max(0, 1 + fk))"
_LLW = "sum_other(max(0, fk + 1 / (c - 1)))"

FORMULAS: dict[str, str | None] = {
    "m01": "lse - fy",
    "m02": "-(1 - eps) * log(q) - eps / c * (log(q) + sum_other(log(qk)))",
    "m03": "-(1 - q)**g * log(q)",
    "m05": "2 * (1 - q)",
    "m07": "max(0, 1 - alpha)",
    "m08": "sum_other(max(0, 1 - (fy - fk)))",
    "m09": _LLW,
    "m09b": _LLW,
    "m10": _OVA_HINGE,
    "m12": _RAMP,
    "m12b": _RAMP,
    "m13": "g * max(0, (c - 1) - fy) + (1 - g) * sum_other(max(0, 1 + fk))",
    "m14a": "softplus(-fy) + sum_other(softplus(fk))",
    "m14b": "max(0, 1 - fy)**2 + sum_other(max(0, 1 + fk)**2)",
    "m14e": "(fy - 1)**2 + sum_other(fk**2)",
    "m16": "exp(-fy)",
    "m17": "softplus(-fy)",
    "m18": "(1 - fy)**2",
    "m19a": "sum_other(exp(fk))",
    "m19b": "sum_other(max(0, 1 + fk)**2)",
    "m19c": "sum_other(max(0, 1 + fk))",
    "m19d": "sum_other(clip(1 + fk / rho, 0, 1))",
    "m19e": "sum_other((1 + fk)**2)",
    "m21": "(q - 1)**2 + sum_other(qk**2)",
    "m22a": "sum_other(softplus(fk - fy))",
    "m22b": "sum_other(max(0, 1 - (fy - fk))**2)",
    "m22c": "sum_other(sigmoid(fk - fy))",
    "m22d": (
        "sum_other(where(fy - fk > 1, 0, where(fy - fk < 1 - d, 1 - (fy - fk) - d / 2, (1 - (fy - fk))**2 / (2 * d))))"
    ),
    "m22e": "sum_other((1 - (fy - fk))**2)",
    "m22f": "sum_other(clip(1 - (fy - fk) / rho, 0, 1))",
    "m23a": "softplus(-alpha)",
    "m23c": "max(0, 1 - alpha)**2",
    "m24": "log1p(exp(mm) * (1 / q - 1))",
    "m25": None,  # a truncated series; `published` writes it out
    "m28": _PAPER,
    "m28b": _PAPER,
    "m29": "lse - fy + mu * clip(-alpha, 0, tau)",
    "m31": "lse - fy + mu * max(0, 1 - alpha)",
    "m33": "log(q) / (log(q) + sum_other(log(qk)))",
    "m34": (
        "max(0, max_other(fk - fy), max_other((fk - fy + 1) / 2), "
        "(sum_other(fk) - 2 * fy + 1) / 2, (sum_other(fk) - 2 * fy + 2) / 3)"
    ),
    "m37b": "lse - fy + lam * (fy**2 + sum_other(fk**2) - (fy + sum_other(fk))**2 / c)",
    "m39b": "((a - q)**r - (a - 1)**r) / r",
    "m39c": "exp(-q / a)",
    "m40": "(1 - q)**2",
    "m41": "-fy",
    "m42a": "min(softplus(-alpha), softplus(-s))",
    "m43": ("-(1 - q) * (1 - w) * log(1 - w) - (w + (1 - w) * q) * log(w + (1 - w) * q) + (1 - w) * q * log(q)"),
    "m44": "where(q > 1 / T, -log(q), -T * q + log(T) + 1)",
    "m46": _OVA_HINGE,
    "m46b": _OVA_HINGE,
}
"""Row of the oracle: our formula."""

DECIDED = frozenset(
    [
        "m01",
        "m02",
        "m05",
        "m07",
        "m08",
        "m09",
        "m09b",
        "m10",
        "m12",
        "m12b",
        "m13",
        "m14a",
        "m14e",
        "m16",
        "m17",
        "m18",
        "m19a",
        "m19b",
        "m19c",
        "m19d",
        "m19e",
        "m21",
        "m22a",
        "m22b",
        "m22c",
        "m22d",
        "m22e",
        "m22f",
        "m23a",
        "m23c",
        "m24",
        "m28",
        "m28b",
        "m29",
        "m31",
        "m34",
        "m37b",
        "m39b",
        "m39c",
        "m40",
        "m41",
        "m42a",
        "m44",
        "m46",
        "m46b",
    ]
)
"""Rows that must be decided, and quickly."""

SLOW = frozenset(["m03", "m14b", "m25", "m33", "m43"])
"""Rows that take long or stay undecided: never wrong is all that is asked."""


@dataclass(frozen=True)
class Published:
    """One multiclass row of the oracle at one setting; `consistent` is meant for the closed simplex."""

    id: str
    classes: int
    loss: Loss
    consistent: bool

    @property
    def label(self) -> str:
        """The row, its setting and its number of classes, for messages."""
        return f"{self.id} {dict(self.loss.parameters)} c={self.classes}"


def _row(row: Mapping[str, Any], setting: Mapping[str, Any]) -> Published | None:
    name, formula = row["id"], FORMULAS[row["id"]]
    parameters = {key: repr(value) for key, value in setting["params"].items()}
    if name == "m25":
        formula = " + ".join(f"(1 - q)**{k} / {k}" for k in range(1, setting["params"]["t"] + 1))
        parameters = {}
    if formula is None:
        return None
    if name == "m39b":  # q names a probability in our language
        parameters = {"a": parameters["a"], "r": parameters["q"]}
    loss = from_formula(
        formula,
        classes=setting["c"],
        parameters=parameters,
        domain="ball:1" if "||f||" in row["score_domain"] else "sum-zero" if "sum f" in row["score_domain"] else "all",
    )
    return Published(name, setting["c"], loss, setting["verdict"] == "consistent")


def published(folder: Path) -> list[Published]:
    """Every multiclass row and setting of the oracle that our language can write, in order."""
    data = json.loads((folder / "oracle" / "oracle.json").read_text(encoding="utf-8"))
    settings = [(row, each) for row in data["rows"] if row["kind"] == "multiclass" for each in row["settings"]]
    return [found for row, each in settings if (found := _row(row, each)) is not None]


@dataclass(frozen=True)
class Own:
    """A loss, the verdict derived for it, and why."""

    formula: str
    consistent: bool
    why: str
    classes: int = 3
    domain: str = "all"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    kappa: str | None = None

    def loss(self) -> Loss:
        """The loss itself."""
        return from_formula(self.formula, classes=self.classes, parameters=self.parameters, domain=self.domain)

    @property
    def label(self) -> str:
        """For test names."""
        values = "".join(f" {name}={value}" for name, value in self.parameters.items())
        return f"{self.formula} c={self.classes} {self.domain}{values}"


_CLIPPED = "max(0, tau - alpha) - max(0, s - alpha)"
_TIES_WIN = "ties cost tau; the clear best class costs (1 - max p)(tau - s) > tau near the uniform posterior"
_CLEAR_WINS = "with s <= 0 the clear best class costs (1 - max p)(tau - s) < tau whatever max p > 1/c"
_WEIGHTED = "class 0 is preferred where 2 p_0 > p_k, so it wins at some p_k > p_0"
_HEDGE = "near the uniform posterior leaving a tie raises the hinge at rate 1 - 2 p_0 > 0, and CE falls more slowly"


def _clipped(tau: str, s: str, classes: int, consistent: bool) -> Own:
    why = _CLEAR_WINS if consistent else _TIES_WIN
    return Own(_CLIPPED, consistent, why, classes, parameters={"tau": tau, "s": s})


OWN = [
    # truncated hinge: s / tau >= -1 / (c - 1) decides
    _clipped("1", "-49/100", 3, True),
    _clipped("1", "-51/100", 3, False),
    _clipped("3/7", "-3/14", 3, True),
    _clipped("3/7", "-3/13", 3, False),
    _clipped("2", "-65/100", 4, True),
    _clipped("2", "-68/100", 4, False),
    Own(
        _CLIPPED, True, "at most one label has alpha > s >= 0; the best one should", parameters={"tau": "1", "s": "2/5"}
    ),
    # vector parameters
    Own("w * clip(1 - alpha, 0, 1)", False, _WEIGHTED, parameters={"w": ("2", "1", "1")}),
    Own("w * clip(1 - alpha, 0, 1)", True, "equal weights", parameters={"w": ("3/2", "3/2", "3/2")}, kappa="3/2"),
    Own(
        "clip(1 - alpha, 0, 1) + w",
        True,
        "w adds sum p_y w_y, whatever f",
        parameters={"w": ("3", "1", "0")},
        kappa="1",
    ),
    Own(
        "clip(1 + v - alpha, 0, 1)",
        True,
        "C >= 1 - p_top still, and is reached",
        parameters={"v": ("3/5", "0", "0")},
        kappa="1",
    ),
    Own("clip(1 + v - alpha, 0, 1)", False, "f = (0, 1, 0) costs p_2 < 1 - p_0", parameters={"v": ("-2", "0", "0")}),
    # one against all, sum to zero: too small a reward of the top class from c = 4 on
    Own("max(0, 1 - fy) + sum_other(max(0, 1 + fk))", False, "as published for c = 4", 4, "sum-zero"),
    Own(
        "sum_other(max(0, 1 + fk))",
        True,
        "C = sum (1 - p_k)(1 + f_k)_+ is linear on the simplex",
        4,
        "sum-zero",
        kappa="1",
    ),
    Own("sum_other(max(0, fk + 1 / (c - 1)))", True, "the same, scaled by 1 / (c - 1)", 4, "sum-zero", kappa="1/3"),
    # no information, or no reward of being strictly on top
    Own("1", False, "constant"),
    Own("-7/3", False, "constant", 4),
    Own("-fy", False, "all scores rise to the bound", domain="bounded:1"),
    Own("-alpha", False, "a lead e changes C by e (1 - 2 p_0) > 0 where p_0 < 1/2", domain="bounded:1"),
    Own("-alpha", True, "C = (1 - 2 eta) t is least at the correct end", 2, "bounded:1", kappa="2"),
    Own("sum_other(fk - fy)", False, "C = sum f_k (1 - 3 p_k): all classes with p_k > 1/3 tie", domain="bounded:1"),
    Own("sum_other(fk - fy)", True, "C = sum f_k (1 - 2 p_k)", 2, "bounded:1"),
    Own("max(0, 1 - alpha)", False, "the hinge of the margin hedges near the uniform posterior", domain="bounded:1/3"),
    Own("clip(1 - alpha, 0, 1)", True, "a lead e <= 2/3 gains e p_top", domain="bounded:1/3", kappa="2/3"),
    # cross-entropy and something
    Own("lse - fy + 3", True, "a constant changes nothing"),
    Own("lse - fy + 1/3 * clip(2 - alpha, 0, 2)", True, "both terms fall on exchange"),
    Own("lse - fy + 2/7 * clip(-alpha, 0, 3/2)", False, "the released penalty: a kink at ties"),
    Own("lse - fy + 1/7 * max(0, 1 - alpha)", False, _HEDGE),
    Own("lse - fy - 1/5 * max(0, 1 - alpha)", True, "slope at a tie -(1 - 2 mu)(p_0 - p_1) - mu (1 - p_0 - p_1) < 0"),
    Own("lse - fy + 1/2 * abs(alpha)", False, "leads cost more than a near-tie of posteriors gains"),
    Own("lse - fy + 1/2 * (1 - q)", True, "both terms fall on exchange; CE keeps the scores finite"),
]
