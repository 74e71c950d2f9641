"""Calibration functions with certified bounds, and the excess-risk bounds that they give."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _html
from ._asked import check_budget, check_classes, check_loss
from .checker import CertificateError, check
from .expression import Number, exact
from .losses import Loss
from .prover.calibration import POINTS, enclose_calibration
from .prover.calibration_classes import enclose_classes
from .verdict import Tier

Vertices = tuple[tuple[Fraction, Fraction], ...]
_ZERO = Fraction(0)


@dataclass(frozen=True)
class CalibrationFunction:
    """Bounds of the calibration function psi of a loss on [0, span], exact.

    psi is the largest convex function below the gap theta -> H-(eta) - H(eta), theta = 2 |eta - a|, on both sides of
    the threshold a, so that psi(R - R*) <= R_phi - R_phi* for every score function (Bartlett, Jordan & McAuliffe 2006,
    Theorem 1; `docs/theory/calibration.md`). R is the 0-1 risk for a = 1/2, and otherwise the risk with weight
    2 (1 - a) on missed positives and 2 a on false alarms. With `classes` >= 3, psi is the largest convex function below
    delta(eps), the least gap over posteriors and wrong classes j with max p - p_j >= eps, and theta stands for eps.

    `lower_vertices`, `upper_vertices`  of the two piecewise linear bounds of psi; the lower one is convex
    `gap`        (theta, lower, upper): bounds of the gap itself at the knots
    `gap_slope`  bounds of the slope of the gap at 0, where they can be had (phi(t) continuous, a = 1/2), else None
    `tier`       certified; or searched, and then the bounds say nothing (0 and no upper bound) and `advice` says why
    """

    loss: str
    span: Fraction
    lower_vertices: Vertices
    upper_vertices: Vertices
    gap: tuple[tuple[Fraction, Fraction, Fraction], ...]
    threshold: Fraction = Fraction(1, 2)
    classes: int = 2
    gap_slope: tuple[Fraction, Fraction] | None = None
    tier: Tier = Tier.CERTIFIED
    certificate: dict[str, Any] | None = field(default=None, repr=False)
    advice: str | None = None

    # -- psi -----------------------------------------------------------------------------------------------

    @property
    def theta(self) -> tuple[Fraction, ...]:
        """The knots: where the bounds of the gap are stated, and 0."""
        return (_ZERO, *(theta for theta, _, _ in self.gap))

    @property
    def lower(self) -> tuple[Fraction, ...]:
        """The lower bound of psi at the knots."""
        return tuple(self(theta)[0] for theta in self.theta)

    @property
    def upper(self) -> tuple[Fraction | float, ...]:
        """The upper bound of psi at the knots."""
        return tuple(self(theta)[1] for theta in self.theta)

    def __call__(self, theta: Number) -> tuple[Fraction, Fraction | float]:
        """Exact bounds of psi at theta in [0, span]; the upper one may be infinite where nothing was certified.

        Raises ValueError for another theta.
        """
        x = exact(float(theta) if isinstance(theta, float) else theta)
        if not 0 <= x <= self.span:
            raise ValueError(f"theta={theta} must lie in [0, {self.span}]")
        return max(_ZERO, _value(self.lower_vertices, x)), (
            _value(self.upper_vertices, x) if self.upper_vertices and x <= self.upper_vertices[-1][0] else inf
        )

    @property
    def slope(self) -> tuple[Fraction, Fraction | float]:
        """Bounds of psi'(0+), the slope of the convex envelope; that of the gap itself is `gap_slope`."""
        above = [top / theta for theta, top in self.upper_vertices[1:]]
        above += [] if self.gap_slope is None else [self.gap_slope[1]]
        return _first_slope(self.lower_vertices), min(above, default=inf)

    def lower_float(self, theta: ArrayLike) -> NDArray[np.float64]:
        """A float64 lower bound of psi at floats theta of any shape in [0, span], rounded down.

        psi is above every line A + B theta that is below all vertices of its convex lower bound. A is rounded down
        exactly; the rounding of A + B theta is at most 2^-51 (|A| + |B| theta), which is subtracted.

        Raises ValueError for a theta outside [0, span].
        """
        x = np.asarray(theta, dtype=np.float64)
        if not ((x >= 0) & (x <= float(self.span))).all():
            raise ValueError(f"theta must lie in [0, {float(self.span)!r}]")
        starts, offsets, slopes = self._tangents
        i = np.searchsorted(starts, x, side="right") - 1
        size = np.abs(offsets[i]) + np.abs(slopes[i]) * x
        return np.asarray(np.maximum(0.0, offsets[i] + slopes[i] * x - 2.0**-50 * size))

    @cached_property
    def _tangents(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Left ends, offsets and slopes of lines below the lower bound, one per segment."""
        points = self.lower_vertices
        starts, offsets, slopes = [], [], []
        for i, ((x, low), (y, high)) in enumerate(pairwise(points)):
            slope = float((high - low) / (y - x))

            def height(k: int, slope: Fraction = Fraction(slope)) -> Fraction:
                return points[k][1] - slope * points[k][0]

            k = i
            while k > 0 and height(k - 1) < height(k):  # heights over the line are convex in k
                k -= 1
            while k + 1 < len(points) and height(k + 1) < height(k):
                k += 1
            offset = float(height(k))
            starts.append(float(x))
            offsets.append(offset if Fraction(offset) <= height(k) else float(np.nextafter(offset, -inf)))
            slopes.append(slope)
        return np.array([0.0, *starts[1:]]), np.array(offsets), np.array(slopes)

    # -- excess risk -----------------------------------------------------------------------------------------

    def inverse(self, surrogate_excess: Number) -> Fraction:
        """The largest excess risk R - R* that a surrogate excess risk R_phi - R_phi* of this size allows, from above.

        It is the largest theta at which the certified lower bound of psi is at most `surrogate_excess` >= 0; ValueError
        for a negative one.
        """
        excess = exact(float(surrogate_excess) if isinstance(surrogate_excess, float) else surrogate_excess)
        if excess < 0:
            raise ValueError(f"surrogate excess risk {surrogate_excess} must be at least 0")
        for (x, low), (y, high) in reversed(list(pairwise(self.lower_vertices))):
            if high <= excess:
                return y
            if low <= excess:
                return x + (y - x) * (excess - low) / (high - low)
        return _ZERO

    def words(self, surrogate_excess: Number) -> str:
        """The excess-risk bound in words and numbers, rounded up."""
        bound = self.inverse(surrogate_excess)
        a = self.threshold
        weighted = f"risk (weights {2 * (1 - a)} for a missed positive, {2 * a} for a false alarm)"
        risk = "0-1 risk" if a == Fraction(1, 2) else weighted
        shown = f"{surrogate_excess} allows an excess {risk}"
        if bound >= self.span:
            return (
                f"an excess surrogate risk of {shown} of any size: no bound below the trivial {self.span} is certified"
            )
        return (
            f"an excess surrogate risk R_phi - R_phi* <= {shown} R - R* <= psi^-1({surrogate_excess}) <= "
            f"{_decimal_up(bound)} ({self.tier.value})"
        )

    # -- out and in --------------------------------------------------------------------------------------------

    @classmethod
    def from_certificate(cls, certificate: Mapping[str, Any]) -> CalibrationFunction:
        """The bounds that a certificate states, once `theory.check` has verified it; CertificateError otherwise."""
        result = check(certificate)
        if not result.valid or result.claim != "calibration":
            raise CertificateError(
                f"certificate of claim {result.claim!r} gives no calibration function: {result.reason}"
            )
        return cls._read(certificate)

    @classmethod
    def _read(cls, certificate: Mapping[str, Any]) -> CalibrationFunction:
        """The bounds of a certificate that has been verified."""
        psi, slope = certificate["psi"], certificate.get("slope")
        lower, upper = (tuple((Fraction(x), Fraction(y)) for x, y in psi[key]) for key in ("lower", "upper"))
        return cls(
            loss=str(certificate["loss"]["name"]),
            span=lower[-1][0],
            lower_vertices=lower,
            upper_vertices=upper,
            gap=tuple((Fraction(x), Fraction(low), Fraction(high)) for x, low, high in certificate["gap"]),
            threshold=Fraction(certificate.get("threshold", "1/2")),
            classes=int(certificate.get("classes", 2)),
            gap_slope=None if slope is None else (max(Fraction(slope[0]), _first_slope(lower)), Fraction(slope[1])),
            certificate=dict(certificate),
        )

    def to_dict(self) -> dict[str, Any]:
        """The bounds as plain JSON values, numbers as exact text; without the certificate."""
        return {
            "loss": self.loss,
            "classes": self.classes,
            "threshold": str(self.threshold),
            "tier": self.tier.value,
            "span": str(self.span),
            "lower": [[str(x), str(y)] for x, y in self.lower_vertices],
            "upper": [[str(x), str(y)] for x, y in self.upper_vertices],
            "gap": [[str(entry) for entry in row] for row in self.gap],
            "slope": [str(bound) if isinstance(bound, Fraction) else None for bound in self.slope],
            "gap_slope": None if self.gap_slope is None else [str(bound) for bound in self.gap_slope],
            "advice": self.advice,
        }

    def table(self) -> list[tuple[Fraction, Fraction, Fraction | float]]:
        """psi at ten even steps of theta: (theta, lower, upper)."""
        return [(x := self.span * Fraction(k, 10), *self(x)) for k in range(1, 11)]

    def __repr__(self) -> str:
        """One line: the loss, bounds of psi in the middle and of its slope at 0, rounded outward; no vertices."""
        (low, high), (least, most) = self(self.span / 2), self.slope
        middle = f"psi({_html.number(self.span / 2)}) in [{_html.at_least(low)}, {_html.at_most(high)}]"
        classes = "" if self.classes == 2 else f", {self.classes} classes"
        return (
            f"<CalibrationFunction ({self.tier}) of {_html.short(self.loss)}{classes}: "
            f"{middle}, slope at 0 in [{_html.at_least(least)}, {_html.at_most(most)}]>"
        )

    def _repr_html_(self) -> str:
        """A table of bounds at ten steps, for notebooks; the name of the loss is escaped."""
        rows = [(x, _html.at_least(low), _html.at_most(high)) for x, low, high in self.table()]
        title = f"psi of {self.loss} ({self.tier.value})" + (f": {self.advice}" if self.advice else "")
        return _html.table(title, ("theta", "psi at least", "at most"), rows)


def calibration_function(
    loss: Loss,
    *,
    classes: int | None = None,
    threshold: Number = Fraction(1, 2),
    points: int | None = None,
    boxes: int = 1_000_000,
    seconds: float = 60.0,
) -> CalibrationFunction:
    """Certified bounds of the calibration function of a loss.

    Binary (`classes` None, or 2 and no multiclass formula): psi on [0, 2 max(a, 1 - a)], a the `threshold`, with at
    most `points` knots (129) per side of the threshold. Several classes: the convex envelope of delta(eps) from
    bounds at eps = k / `points` (10), the largest first, as far as the budget goes. A search that ends without a
    certificate gives bounds that say nothing, tier searched, with advice. Raises ValueError for a budget, a number of
    points or a threshold out of range, and for a threshold with several classes; TypeError for what is not a Loss.

    >>> from theory import catalogue
    >>> psi = calibration_function(catalogue.get("hinge"))
    >>> psi("1/4"), psi.inverse("1/100"), psi.tier.value
    ((Fraction(1, 4), Fraction(1, 4)), Fraction(1, 100), 'certified')
    """
    check_loss(loss)
    check_budget(boxes, seconds)
    if classes is not None:
        check_classes(classes)
    if points is not None and not 2 <= points <= 10_000:
        raise ValueError(f"points={points} must lie between 2 and 10000")
    a = exact(threshold)
    if classes is not None and (classes != 2 or loss.multiclass is not None):
        if a != Fraction(1, 2):
            raise ValueError(f"threshold={threshold} is for binary losses; leave it out for {classes} classes")
        found = enclose_classes(loss, classes, points=points or 10, boxes=boxes, seconds=seconds)
        return (
            CalibrationFunction._read(found)
            if isinstance(found, dict)
            else _nothing(loss, Fraction(1), a, classes, found)
        )
    found = enclose_calibration(loss, threshold=a, points=points or POINTS, boxes=boxes, seconds=seconds)
    if isinstance(found, str):
        return _nothing(loss, 2 * max(a, 1 - a), a, 2, found)
    return CalibrationFunction._read(found)


def _nothing(loss: Loss, span: Fraction, threshold: Fraction, classes: int, advice: str) -> CalibrationFunction:
    """Bounds that say nothing, and why."""
    floor = ((_ZERO, _ZERO), (span, _ZERO))
    return CalibrationFunction(loss.name, span, floor, (), (), threshold, classes, tier=Tier.SEARCHED, advice=advice)


def _value(points: Vertices, theta: Fraction) -> Fraction:
    i = min(bisect_right(points, theta, key=lambda point: point[0]), len(points) - 1)
    (x, low), (y, high) = points[i - 1], points[i]
    return low + (high - low) * (theta - x) / (y - x)


def _first_slope(lower: Vertices) -> Fraction:
    """The slope at 0 of a lower bound of psi, and so of psi and of the gap, where it starts at 0."""
    (x, low), (y, high) = lower[:2]
    return max(_ZERO, (high - low) / (y - x)) if low == 0 else _ZERO


def _decimal_up(number: Fraction) -> str:
    """At least `number`, with six significant digits."""
    text = f"{float(number):.6g}"
    while Fraction(text) < number:
        step = Fraction(10) ** (int(f"{float(number):e}".partition("e")[2]) - 5)
        text = f"{float(Fraction(text) + step):.6g}"
    return text
