"""One loss on every law: its record, as plain JSON values."""

from __future__ import annotations

import json
import zlib
from fractions import Fraction
from typing import Any

import numpy as np

import synthetic
import theory
from avgmargin.common.environment import why_unfit
from avgmargin.proving.resolve import label, resolve

from .answers import answer
from .inequalities import Prepared, inequalities, prepare
from .request import SIZES, Request

_held: dict[str, Prepared] = {}


def prepared(request: Request) -> Prepared:
    """Points, draws and classifiers of the laws, kept for the next loss of this process; the last ones only."""
    key = json.dumps([request.laws, request.scale, request.seed])
    if key not in _held:
        _held.clear()
        made = [synthetic.laws.get(name, **values) for name, values in request.laws]
        size = SIZES[request.scale]
        _held[key] = prepare(made, size.draws, size.points, size.few, size.classifiers, request.seed)
    return _held[key]


def record(request: Request, index: int) -> dict[str, Any]:
    """One loss on every law, as plain JSON values; it depends on the loss, not on its place in the request."""
    asked, known = request.losses[index], prepared(request)
    loss = resolve(asked)
    entry = theory.catalogue.entry(asked.loss) if asked.loss and theory.catalogue.known(asked.loss) else None
    values = dict(asked.parameters)
    threshold = Fraction(1, 2) if entry is None else entry.threshold_at(**values)
    populations = [p for p in known.populations if _has_form(loss, entry, p.law.classes)]
    rng = np.random.default_rng([request.seed, zlib.crc32(label(loss).encode()), 2])
    decided = {c: synthetic.decisions(loss, c, rng) for c in sorted({p.law.classes for p in populations})}
    for c, each in decided.items():
        each.prepare([p.grid_posterior for p in populations if p.law.classes == c and p.cells])
    checks = [_row(synthetic.check(loss, p, decided[p.law.classes]), p) for p in populations]
    answers = [answer(request, loss, entry, values, c, decided[c], checks, float(threshold)) for c in sorted(decided)]
    psi = {c: _psi(request, loss, each, threshold) for c, each in sorted(decided.items())}
    broken = inequalities(loss, known, decided, psi)
    faults = [f"{row['law']}: measured and predicted differ" for row in checks if not row["as_predicted"]]
    faults += [
        f"{row['law']}: {row['violations']} of {row['classifiers']} classifiers break the excess-risk inequality, "
        f"least C(f) - inf C met {row['pointwise_residual']:.2g}"
        for row in broken
        if not row["holds"]
    ]
    faults += [f"{row['classes']} classes: {row['fault']}" for row in answers if row["fault"]]
    return {
        "loss": loss.name,
        "label": label(loss),
        "threshold": float(threshold),
        "answers": answers,
        "checks": checks,
        "psi": [_psi_row(each) for each in psi.values()],
        "inequality": broken,
        "faults": faults,
    }


MOST_CERTIFIED = 4
"""Classes for which theory is asked for a psi: beyond, its search spends the whole budget and ends with the bound 0."""


def _psi(
    request: Request, loss: theory.Loss, decided: synthetic.Decisions, threshold: Fraction
) -> synthetic.ExcessBound:
    """The certified psi where the budget of the scale reaches one, in an environment fit for proofs."""
    size, classes = SIZES[request.scale], decided.classes
    binary = classes == 2 and synthetic.is_binary(loss)
    knots, boxes = size.psi if binary else size.psi_of_several
    why = why_unfit()
    if why is None and not (binary or decided.vertices is not None or request.thorough):
        why = "psi of several classes was certified for piecewise linear losses only; name the loss, or --scale full"
    if why is None and classes > MOST_CERTIFIED:
        why = f"no psi of more than {MOST_CERTIFIED} classes is reached within the budget of this check"
    return synthetic.excess_bound(
        loss, classes=classes, threshold=threshold if binary else Fraction(1, 2), points=knots, boxes=boxes, spare=why
    )


def _psi_row(psi: synthetic.ExcessBound) -> dict[str, Any]:
    theta = np.linspace(0.0, psi.span, 41)
    rows = np.stack([theta, psi.values(theta)], axis=1).tolist()
    return {"classes": psi.classes, "kind": psi.kind, "top": psi.top, "method": psi.method, "rows": rows}


def _has_form(loss: theory.Loss, entry: Any, classes: int) -> bool:
    if entry is not None and entry.only and classes not in entry.only:
        return False
    if any(isinstance(value, tuple) and len(value) != classes for value in loss.parameters.values()):
        return False
    return loss.multiclass is not None or (classes == 2 and synthetic.is_binary(loss))


def _row(found: synthetic.Check, population: synthetic.Population) -> dict[str, Any]:
    return {
        "law": found.law,
        "classes": found.classes,
        "fails": found.fails,
        "words": found.words,
        "as_predicted": found.as_predicted,
        "distance": found.distance if np.isfinite(found.distance) else None,
        "disagreement": {"predicted": _estimate(found.mass), "measured": _estimate(found.measured_mass)},
        "excess_risk": {"predicted": _estimate(found.excess), "measured": _estimate(found.measured_excess)},
        "tied": found.tied,
        "faces": population.cells and bool((population.grid_posterior == 0.0).any()),
        "worst_posterior": None if found.worst_posterior is None else list(found.worst_posterior),
        "points": found.points,
        "draws": found.draws,
        "method": found.method,
    }


def _estimate(estimate: synthetic.Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "error": estimate.error, "kind": estimate.kind}
