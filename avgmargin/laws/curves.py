"""Tables behind the pictures of the two targets: risk near the tie, minimiser, calibration function."""

from __future__ import annotations

from typing import Any

import numpy as np

import theory

from .verification import binary_only, expected_failures

TARGETS = ("average-margin", "average-margin-released")
ETAS = (0.505, 0.52, 0.54, 0.56)
CALIBRATED = ("logistic", "hinge", *TARGETS)

_FLAT = 1e-14
"""A searched gap at or below this is rounding of two sums of order one (64 units in the last place)."""


def near_tie(points: int) -> dict[str, Any]:
    """C_eta(t) - C_eta(0) of both targets for eta just above 1/2, with the searched minimiser of each curve."""
    t = np.linspace(-0.6, 1.0, points)
    columns, values, minima = ["t"], [t], []
    for name in TARGETS:
        loss = binary_only(theory.catalogue.get(name))
        found = theory.binary_minimiser(loss, ETAS)
        for i, eta in enumerate(ETAS):
            at_zero = float(theory.conditional_risk(loss, eta, 0.0))
            columns.append(f"{name}, eta = {eta:g}")
            values.append(theory.conditional_risk(loss, eta, t) - at_zero)
            minima.append({"loss": name, "eta": eta, "v": float(found.v[i]), "value": float(found.value[i]) - at_zero})
    return {"columns": columns, "rows": _rows(values), "minima": minima}


def minimisers(points: int) -> dict[str, Any]:
    """The searched minimiser v*(eta) of logistic and both targets, at cell midpoints of (0.4, 0.6)."""
    eta = 0.4 + 0.2 * (np.arange(points) + 0.5) / points
    names = ("logistic", *TARGETS)
    found = [theory.binary_minimiser(binary_only(theory.catalogue.get(name)), eta).v for name in names]
    return {"columns": ["eta", *names], "rows": _rows([eta, *found])}


def calibration(points: int) -> dict[str, Any]:
    """psi(theta) of four losses in floats (see `theory.psi`)."""
    theta = np.linspace(0.0, 1.0, points)
    found = [theory.psi(binary_only(theory.catalogue.get(name)), theta) for name in CALIBRATED]
    return {"columns": ["theta", *CALIBRATED], "rows": _rows([theta, *found])}


def sticking_limit() -> dict[str, Any]:
    """The largest eta at which t = 0 is among the minimisers of the released loss: searched, and from theory.

    The search bisects on "the gap between wrong and best scores is above rounding".
    """
    loss = theory.catalogue.get("average-margin-released")
    view, low, high = binary_only(loss), 0.5, 1.0
    while high - low > 1e-8:
        middle = (low + high) / 2
        stuck = float(theory.binary_minimiser(view, middle).gap) <= _FLAT
        low, high = (middle, high) if stuck else (low, middle)
    limits = expected_failures(loss)
    assert limits is not None
    return {"searched": low, "formula": str(limits[1]), "value": float(limits[1])}


def _rows(columns: list[Any]) -> list[list[float]]:
    return [[float(x) for x in row] for row in zip(*columns, strict=True)]


def family() -> dict[str, Any]:
    """The paper's loss for every mu >= 0, tau > 0 and every number of classes: verdict, and whether it checks."""
    found = theory.prove_family(theory.Family("average-margin", {"mu": "[0, inf)", "tau": "(0, inf)"}), classes="all")
    verified = found.certificate is not None and theory.check(found.certificate).valid
    return {"loss": found.loss, **found.summary(), "verified": verified}
