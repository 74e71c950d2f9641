"""Losses on laws whose Bayes rule is known: what is compared, and what theory expects to see fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

import synthetic
import theory

from .resolve import label

_GAPS = (0.002, 0.01, 0.02, 0.04, 0.06, 0.08, 0.0901, 0.0917, 0.1, 0.12, 0.16, 0.2, 0.4, 0.8)
"""Leads of the likelier class; 0.0901 and 0.0917 enclose 1/11, the limit of the released loss at mu = 1/10."""

LAWS: Mapping[str, Callable[[], synthetic.Law]] = {
    "gaussian-plane": lambda: synthetic.GaussianMixture(
        [0.5, 0.5], [[-0.7, -0.2], [0.7, 0.3]], [[1.0, 0.2], [0.2, 1.0]], name="gaussian-plane"
    ),
    "gaussian-line": lambda: synthetic.GaussianMixture(
        [0.4, 0.6], [[-1.0], [1.0]], [[[1.0]], [[2.0]]], name="gaussian-line"
    ),
    "checkerboard": lambda: synthetic.checkerboard(4, 0.9),
    "near-ties": lambda: synthetic.near_ties(_GAPS),
    "near-ties-3": lambda: synthetic.near_ties((0.01, 0.02, 0.05, 0.1, 0.2, 0.4), 3),
    "gaussian-3": lambda: synthetic.GaussianMixture(
        [0.3, 0.3, 0.4], [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.2]], np.eye(2), name="gaussian-3"
    ),
}
DESCRIPTIONS = {
    "gaussian-plane": "two Gaussian classes in the plane, shared covariance",
    "gaussian-line": "two Gaussian classes on the line, variances 1 and 2, priors 0.4 and 0.6",
    "checkerboard": "4 x 4 cells, P(Y = 1) alternately 0.9 and 0.1",
    "near-ties": "cells whose likelier class leads by 0.002 to 0.8",
    "near-ties-3": "three classes, cells whose likeliest class leads by 0.01 to 0.4",
    "gaussian-3": "three Gaussian classes in the plane",
}

DETAILED = ("gaussian-plane",)
"""Laws whose inequality rows are kept, for the picture."""

_BORDER = 1e-6
"""Posteriors this close to a limit may go either way: the gap falls to 0 quadratically there, and floats see it
only down to about 1e-14."""


@dataclass(frozen=True)
class LawSettings:
    """One law and how hard to look: grid points, random classifiers (binary laws), labelled draws."""

    law: str
    grid: int
    classifiers: int
    draws: int
    seed: int
    losses: tuple[str, ...] = ()


def run_law(settings: LawSettings, losses: Sequence[theory.Loss], tell: Callable[[str], None]) -> dict[str, Any]:
    """Every check of every loss on one law, as plain JSON values. The same seed gives the same numbers."""
    position = list(LAWS).index(settings.law)
    law = LAWS[settings.law]()
    draw, classifiers_draw = (np.random.default_rng([settings.seed, position, k]) for k in (0, 1))
    sampled = synthetic.posterior_agreement(law, settings.draws, draw)
    grid = law.grid(settings.grid)
    classifiers: tuple[synthetic.Classifier, ...] = ()
    if law.classes == 2:
        classifiers = synthetic.random_classifiers(law, settings.classifiers, classifiers_draw)
    top = law.posterior(grid.points).max(axis=1)
    agreement, inequality = [], []
    for loss in losses:
        if law.classes > 2 and loss.multiclass is None:
            continue
        tell(loss.name)
        agreement.append(_agreement(loss, law, grid, top))
        if law.classes == 2:
            inequality.append(_inequality(loss, law, grid, classifiers, settings.law in DETAILED))
    return {
        "law": settings.law,
        "description": DESCRIPTIONS[settings.law],
        "classes": law.classes,
        "dimension": law.dimension,
        "points": grid.size,
        "grid": grid.method,
        "bayes_risk": _estimate(sampled.bayes_risk),
        "sampling": {
            "draws": sampled.n,
            "holds": sampled.holds,
            "worst_standard_errors": sampled.worst,
            "threshold": sampled.threshold,
            "label_risk": _estimate(sampled.label_risk),
        },
        "agreement": agreement,
        "inequality": inequality,
    }


def expected_failures(loss: theory.Loss) -> tuple[Fraction, Fraction] | None:
    """The range (low, high] of max(eta, 1 - eta) in which theory says a binary loss fails, or None.

    perceptron: t = 0 minimises C_eta for every eta. average-margin-released: C_eta'(0+) = 1/2 - eta + mu (1 - eta)
    is >= 0 exactly for eta <= (1 + 2 mu) / (2 + 2 mu), and then t = 0 minimises as long as t > tau does not pay.
    """
    half = Fraction(1, 2)
    if loss.name == "perceptron":
        return half, Fraction(1)
    mu = loss.parameters.get("mu")
    if loss.name == "average-margin-released" and isinstance(mu, Fraction):
        return half, (1 + 2 * mu) / (2 + 2 * mu)
    return None


def seen_to_fail(loss: theory.Loss, witness: Mapping[str, Any] | None) -> bool | None:
    """Whether the searched minimiser fails at the witness of a refutation; None without one, or out of floats' reach.

    The law is a point mass at the witness's posterior; for two classes theory writes the label +1 first.
    """
    if witness is None:
        return None
    p = [Fraction(entry) for entry in witness["p"]]
    if len(p) == 2 and abs(p[0] - p[1]) <= 2 * synthetic.POSTERIOR_TIE:
        return None
    law = synthetic.point_mass([float(entry) for entry in (reversed(p) if len(p) == 2 else p)])
    return not synthetic.bayes_agreement(loss, law, law.grid(1)).holds


def compare(laws: Sequence[Mapping[str, Any]], proofs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Verdicts of theory against what was seen on laws with as many classes, one record per proof.

    PROVED: no grid point of any law may fail. REFUTED: the minimiser must be seen to fail, on a law or at the witness.
    Where theory states the range of failing posteriors, failures must fill it exactly. `matches` is None where there
    is no verdict, or nothing was seen, to compare with.
    """
    records = []
    for proof in proofs:
        name, status, classes = proof["loss"], proof["status"], proof["classes"]
        alike = [law for law in laws if law["classes"] == classes]
        rows = [(law["law"], row) for law in alike for row in law["agreement"] if row["loss"] == name]
        failing = [law for law, row in rows if not row["holds"]]
        off_range = [law for law, row in rows if row["matches_range"] is False]
        matches = None
        if off_range:
            matches = False
        elif status == "PROVED" and rows:
            matches = not failing
        elif status == "REFUTED" and (failing or proof["witness_seen"]):
            matches = True
        found = {"loss": name, "classes": classes, "status": status, "matches": matches}
        records.append(found | {"failing_laws": failing, "off_range": off_range, "witness_seen": proof["witness_seen"]})
    return records


def _agreement(loss: theory.Loss, law: synthetic.Law, grid: synthetic.Grid, top: Any) -> dict[str, Any]:
    found = synthetic.bayes_agreement(loss, law, grid)
    limits = expected_failures(loss) if law.classes == 2 else None
    matches = None
    if limits is not None:
        low, high = (float(limit) for limit in limits)
        surely = int(((top > low + _BORDER) & (top < high - _BORDER)).sum())
        perhaps = int(((top > low) & (top < high + _BORDER)).sum())
        inside = found.failing_range is None or (found.failing_range[1] <= high + _BORDER)
        matches = surely <= found.failing_points <= perhaps and inside
    return {
        "loss": loss.name,
        "label": label(loss),
        "holds": found.holds,
        "disagreement": _estimate(found.disagreement),
        "excess_risk": _estimate(found.excess_risk),
        "points": found.points,
        "failing_points": found.failing_points,
        "failing_range": None if found.failing_range is None else list(found.failing_range),
        "worst_posterior": None if found.worst_posterior is None else list(found.worst_posterior),
        "smallest_gap": found.smallest_gap,
        "expected_range": None if limits is None else [str(limit) for limit in limits],
        "matches_range": matches,
        "tolerance": found.tolerance,
        "method": found.method,
    }


def _inequality(
    loss: theory.Loss, law: synthetic.Law, grid: synthetic.Grid, classifiers: Sequence[synthetic.Classifier], keep: bool
) -> dict[str, Any]:
    found = synthetic.excess_risk_inequality(loss, law, classifiers, grid)
    worst = found.worst
    return {
        "loss": loss.name,
        "label": label(loss),
        "holds": found.holds,
        "classifiers": len(found.rows),
        "violations": found.violations,
        "worst_residual": worst.residual,
        "allowed": worst.allowed,
        "surrogate_star": _estimate(found.surrogate_star),
        "pointwise_residual": found.pointwise_residual,
        "rows": [[row.excess.value, row.surrogate.value, row.bound] for row in found.rows] if keep else [],
    }


def _estimate(estimate: synthetic.Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "error": estimate.error, "kind": estimate.kind}


def binary_only(loss: theory.Loss) -> theory.Loss:
    """The same loss without its multiclass form, so that theory's risk functions read scores as binary."""
    return replace(loss, multiclass=None) if loss.binary is not None or loss.pair is not None else loss
