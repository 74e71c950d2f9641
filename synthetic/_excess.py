"""Lower bounds of calibration functions for the excess-risk inequality: certified by theory where that can be had."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np

from theory import CalibrationFunction, calibration_function
from theory.expression import Number, exact, to_text
from theory.losses import Loss
from theory.risk import psi as searched_psi
from theory.verdict import Tier

from ._agreement import is_binary
from ._doors import FloatArray

Kind: TypeAlias = Literal["certified", "searched", "none"]

PSI_POINTS = 401
"""Values of theta at which `tabulated_psi` asks for psi."""

Calibration: TypeAlias = Callable[[Loss, FloatArray], FloatArray]
"""Excess risks theta (m,) to psi(theta) (m,) for a loss."""


@dataclass(frozen=True, eq=False)
class ExcessBound:
    """A lower bound of the calibration function psi of one loss on [0, span], and how strong it is.

    `kind`  `certified`: theory's certified lower enclosure, from a certificate that its checker has verified;
            `searched`: psi in floats, never called proved; `none`: nothing is known, and the bound is 0.
    `classes`, `threshold`  as in `theory.CalibrationFunction`; R is weighted for a threshold other than 1/2.
    """

    loss: str
    kind: Kind
    classes: int
    threshold: float
    span: float
    method: str
    values: Callable[[FloatArray], FloatArray]

    def __call__(self, loss: Loss, theta: FloatArray) -> FloatArray:
        """psi at theta (m,) from below; ValueError for another loss, by its name."""
        if loss.name != self.loss:
            raise ValueError(f"loss={loss.name!r} must be the one of this psi, {self.loss!r}")
        return self.values(theta)

    @property
    def top(self) -> float:
        """The bound at the largest excess risk: where it is 0, the inequality promises nothing and cannot fail."""
        return float(self.values(np.array([self.span]))[0])


_held: dict[str, CalibrationFunction] = {}


def excess_bound(
    loss: Loss,
    *,
    classes: int = 2,
    threshold: Number = Fraction(1, 2),
    points: int = 9,
    boxes: int = 50_000,
    seconds: float = 600.0,
    spare: str | None = None,
) -> ExcessBound:
    """The certified psi of a loss, once per process; else the searched one (two classes), else none.

    Two classes use the binary form. `points` knots per side (two classes) or in all; the search ends after `boxes`
    boxes, so that the answer does not depend on the machine, or `seconds`. `spare` is a reason to ask for no
    certificate at all; give one for more than four classes, where theory's float search is slow and keeps to no limit.

    >>> from theory.catalogue import get
    >>> found = excess_bound(get("hinge"))
    >>> found.kind, found.top > 0.999  # psi(theta) = theta, rounded down
    ('certified', True)
    """
    a = exact(threshold)
    binary = classes == 2 and is_binary(loss)
    why = spare
    if spare is None:
        found = _certified(loss, None if binary else classes, a, points, boxes, seconds)
        if found.tier is Tier.CERTIFIED:
            knots = len(found.gap)
            method = f"psi certified by theory from {knots} knots"
            return ExcessBound(loss.name, "certified", classes, float(a), float(found.span), method, found.lower_float)
        why = found.advice or "no certificate was found"
    if binary and a == Fraction(1, 2):
        psi = tabulated_psi(loss)
        return ExcessBound(
            loss.name, "searched", 2, 0.5, 1.0, f"psi searched in float64 ({why})", lambda theta: psi(loss, theta)
        )
    span = float(2 * max(a, 1 - a)) if binary else 1.0
    return ExcessBound(loss.name, "none", classes, float(a), span, f"no psi: {why}", np.zeros_like)


def tabulated_psi(loss: Loss) -> Calibration:
    """theory's searched psi, computed once on `PSI_POINTS` values of theta and interpolated by chords.

    psi is convex, so a chord lies above it, by at most h^2 / 8 times its second derivative (`ENVELOPE_TOLERANCE`).
    For many laws this costs one search in place of one per law. It raises ValueError when asked for another loss.
    """
    theta = np.linspace(0.0, 1.0, PSI_POINTS)
    values = searched_psi(loss, theta, points=PSI_POINTS)

    def psi(other: Loss, wanted: FloatArray) -> FloatArray:
        if other is not loss:
            raise ValueError(f"loss={other.name!r} must be the tabulated one, {loss.name!r}")
        return np.interp(wanted, theta, values)

    return psi


def _certified(
    loss: Loss, classes: int | None, threshold: Fraction, points: int, boxes: int, seconds: float
) -> CalibrationFunction:
    """theory's answer, remembered by what decides it: losses of one binary form share it."""
    if classes is None:
        forms = [to_text(tree) for tree in loss.pair_trees]
    else:
        forms = [json.dumps({**loss.to_dict(), "name": ""}, sort_keys=True)]
    key = json.dumps([*forms, str(loss.domain), classes, str(threshold), points, boxes])
    if key not in _held:
        _held[key] = calibration_function(
            loss, classes=classes, threshold=threshold, points=points, boxes=boxes, seconds=seconds
        )
    return _held[key]
