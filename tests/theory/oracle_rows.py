"""The published settings (shared material) as entries of the catalogue: which name, at which parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.theory.oracle import Published, closed_form
from tests.theory.oracle_scores import score_formula
from theory import Loss, catalogue
from theory.expression import Const, exact, parse, simplify, substitute

ENTRIES: dict[str, tuple[str, dict[str, str]]] = {
    "b01": ("logistic", {}),
    "b02": ("logistic-base-2", {}),
    "b03": ("exponential", {}),
    "b04": ("hinge", {}),
    "b05": ("squared-hinge", {}),
    "b06": ("modified-huber", {}),
    "b07": ("least-squares", {}),
    "b10": ("truncated-hinge", {"s": "s"}),
    "b11": ("ramp", {"tau": "tau"}),
    "b13": ("tanh", {"k": "k"}),
    "b14": ("perceptron", {}),
    "b15": ("clipped-perceptron", {"tau": "tau"}),
    "b16": ("absolute", {}),
    "b18": ("savage", {}),
    "b19": ("tangent", {}),
    "b20": ("psi-learning", {}),
    "b22": ("zero-one", {}),
    "b23": ("unhinged", {"bound": "2"}),
    "b24": ("lum", {"a": "a", "c": "c"}),
    "b25": ("dwd", {"a": "q", "c": "q"}),
    "b26": ("alpha-loss", {"a": "alpha"}),
    "b27": ("focal", {"g": "gamma"}),
    "b31": ("kinked-hinge", {"b": "b"}),
    "b32": ("shifted-logistic", {"m": "m"}),
    "b33": ("label-smoothing", {"eps": "2 * e"}),
    "b35": ("c-loss", {"s": "s"}),
    "b36": ("rho-margin", {"rho": "rho"}),
    "b44": ("average-margin", {"mu": "mu", "tau": "tau"}),
    "b45": ("average-margin-released", {"mu": "mu", "tau": "tau"}),
    "b46": ("cross-entropy-perceptron", {"mu": "mu"}),
    "b47": ("cross-entropy-hinge", {"mu": "mu"}),
    "b48": ("double-well", {"h": "h"}),
    "b49": ("cross-entropy-l2", {"lam": "2 * lam"}),
    "b51": ("arctan", {}),
    "b53": ("vanishing-at-both-ends", {}),
    "m01": ("cross-entropy", {}),
    "m02": ("label-smoothing", {"eps": "eps"}),
    "m03": ("focal", {"g": "g"}),
    "m05": ("mae", {}),
    "m07": ("crammer-singer", {}),
    "m08": ("weston-watkins", {}),
    "m09": ("lee-lin-wahba", {}),
    "m09b": ("lee-lin-wahba-unconstrained", {}),
    "m10": ("one-vs-all-hinge", {}),
    "m12": ("truncated-hinge", {"s": "s"}),
    "m12b": ("truncated-hinge", {"s": "s"}),
    "m13": ("reinforced-hinge", {"g": "g"}),
    "m14a": ("one-vs-all-logistic", {}),
    "m14b": ("one-vs-all-squared-hinge", {}),
    "m14e": ("one-vs-all-least-squares", {}),
    "m16": ("naive-exponential", {}),
    "m17": ("naive-logistic", {}),
    "m18": ("naive-least-squares", {}),
    "m19a": ("constrained-exponential", {}),
    "m19b": ("constrained-squared-hinge", {}),
    "m19c": ("constrained-hinge", {}),
    "m19d": ("constrained-rho-margin", {"rho": "rho"}),
    "m19e": ("constrained-least-squares", {}),
    "m21": ("brier", {}),
    "m22a": ("pairwise-logistic", {}),
    "m22b": ("pairwise-squared-hinge", {}),
    "m22c": ("pairwise-sigmoid", {}),
    "m22d": ("pairwise-huberised-hinge", {"d": "d"}),
    "m22e": ("pairwise-least-squares", {}),
    "m22f": ("pairwise-rho-margin", {"rho": "rho"}),
    "m23a": ("max-logistic", {}),
    "m23c": ("max-squared-hinge", {}),
    "m24": ("am-softmax", {"m": "mm"}),
    "m25": ("taylor-cross-entropy", {"order": "t"}),
    "m28": ("average-margin", {"mu": "mu", "tau": "tau"}),
    "m28b": ("average-margin", {"mu": "mu", "tau": "tau"}),
    "m29": ("average-margin-released", {"mu": "mu", "tau": "tau"}),
    "m31": ("cross-entropy-hinge", {"mu": "mu"}),
    "m33": ("normalised-cross-entropy", {}),
    "m34": ("adversarial-zero-one", {}),
    "m37b": ("cross-entropy-l2", {"lam": "lam"}),
    "m39b": ("asymmetric-unhinged", {"a": "a", "r": "q"}),
    "m39c": ("asymmetric-exponential", {"a": "a"}),
    "m40": ("squared-softmax-error", {}),
    "m41": ("multiclass-unhinged", {}),
    "m42a": ("truncated-logistic", {"s": "s"}),
    "m43": ("jensen-shannon", {"w": "w"}),
    "m44": ("partially-huberised-cross-entropy", {"T": "T"}),
    "m46": ("one-vs-all-hinge-sum-zero", {}),
    "m46b": ("one-vs-all-hinge-sum-zero", {}),
}
"""Row of the oracle: name in the catalogue, and its parameters as formulas in the row's own."""

MISSING: dict[str, str] = {}
"""Rows that the catalogue cannot write, and why."""


@dataclass(frozen=True)
class Setting:
    """One row of the oracle at one setting of its parameters, as an entry of the catalogue."""

    row: Mapping[str, Any]
    given: Mapping[str, float]
    verdict: str
    classes: int | None
    entry: catalogue.Entry
    parameters: Mapping[str, Fraction]

    @property
    def label(self) -> str:
        """The row, the entry and its parameters, for messages."""
        values = "".join(f" {name}={value}" for name, value in self.parameters.items())
        return f"{self.row['id']}: {self.entry.name}{values}" + ("" if self.classes is None else f" c={self.classes}")

    @property
    def consistent(self) -> bool:
        """Whether the loss is consistent on the closed simplex."""
        return self.verdict == "consistent"

    @property
    def interior(self) -> bool:
        """Whether the published verdict is that it fails on the boundary only."""
        return "all p_k>0" in self.verdict

    def loss(self) -> Loss:
        """The loss of the catalogue, which may be asked outside the range in which it is stated."""
        return self.entry.build_outside(**self.parameters)

    def published_values(self, scores: NDArray[np.float64]) -> list[float]:
        """The published formula itself: at margins, shape (n,), or at the scores (n, c) for every label in turn."""
        if self.classes is None:
            return [float(x) for x in Published(self.row, self.given, self.consistent).loss().phi(scores)]
        formula = score_formula(self.row["formula"])
        return [formula(f.tolist(), y, self.given) for f in scores for y in range(self.classes)]

    def closed(self, key: str, **values: float) -> float | None:
        """f_star or psi at the given values, or None where nothing is published."""
        text = self.row.get(key)
        return None if text is None else closed_form(text, {**self.given, **values})


def settings(folder: Path) -> list[Setting]:
    """Every setting of the oracle that the catalogue has, in order."""
    data = json.loads((folder / "oracle" / "oracle.json").read_text(encoding="utf-8"))
    return [_setting(row, each) for row in data["rows"] if row["id"] in ENTRIES for each in row["settings"]]


def _setting(row: Mapping[str, Any], each: Mapping[str, Any]) -> Setting:
    name, formulas = ENTRIES[row["id"]]
    known = {key: exact(value) for key, value in each["params"].items()}
    parameters = {key: _value(text, known) for key, text in formulas.items()}
    return Setting(row, each["params"], each["verdict"], each.get("c"), catalogue.entry(name), parameters)


def _value(text: str, known: Mapping[str, Fraction]) -> Fraction:
    tree = simplify(substitute(parse(text, frozenset(), frozenset(known)), {k: Const(v) for k, v in known.items()}))
    assert isinstance(tree, Const)
    return tree.value
