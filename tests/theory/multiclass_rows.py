"""Multiclass losses as data, with the verdicts derived for them here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from theory import Loss, from_formula


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
