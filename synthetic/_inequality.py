"""The excess-risk inequality psi(R(f) - R*) <= R_phi(f) - R_phi* for given classifiers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from theory.losses import Loss
from theory.risk import binary_minimiser, conditional_risk
from theory.risk import psi as searched_psi

from . import _doors as doors
from ._agreement import is_binary
from ._classifiers import Classifier
from ._cones import least_risks, mixed_risk
from ._doors import FloatArray
from ._estimate import Estimate
from ._excess import Calibration, ExcessBound, Kind
from ._grid import Grid
from ._law import Law

SEARCH_TOLERANCE = 1e-7
"""Relative to 1 + |least risk|, per point. Cause: the search stops at sqrt(machine epsilon) of its scale in the score,
and a least risk at a kink is off by as much times a slope."""

ENVELOPE_TOLERANCE = 1e-5
"""Relative to 1 + both sides of the inequality, for a searched psi. Cause: where the gap is not convex, its envelope on
a grid of spacing h = 1/400 lies above the true one by h^2 / 8 = 7.8e-7 times the curvature of the gap where an edge
touches it. A certified psi is below the true one: only the searched least risk is then in doubt."""


FAR = (1e6, 1e9, 1e12)
"""Scores beyond the reach of the search (1e4) at which least risks are tried too: 1/2 - atan(v) / pi is still 3e-5
above its limit at 1e4, and drawn classifiers may have larger scores."""


@dataclass(frozen=True, slots=True)
class InequalityRow:
    """One classifier: `excess` = R(f) - R*, `bound` = psi(excess), `surrogate` = R_phi(f) - R_phi*,
    `residual` = surrogate - bound, `allowed` = how far below 0 rounding and search may put it."""

    excess: Estimate
    surrogate: Estimate
    bound: float
    residual: float
    allowed: float


@dataclass(frozen=True, slots=True)
class Inequality:
    """The inequality for all classifiers tried, worst residual first.

    `psi` is the kind of bound on the left: `certified`, or `searched` in floats, which proves nothing.
    `pointwise_residual` is the least C_eta(f(x)) - inf C_eta met: below -tolerance the searched infimum is not one.
    `risk_star` and `surrogate_star` are R* and R_phi*. The verdict needs no allowance for sampling or quadrature:
    psi is convex, so Jensen's inequality holds on the weighted grid points themselves, whose posterior is exact.
    The errors in the rows say how far both sides lie from those of the law. The infima are searched from above, so that
    R_phi(f) - R_phi* is not made too large: the inequality is not helped by a search that stops early.
    """

    loss: str
    law: str
    psi: Kind
    rows: tuple[InequalityRow, ...]
    risk_star: Estimate
    surrogate_star: Estimate
    pointwise_residual: float
    tolerance: float
    method: str

    @property
    def worst(self) -> InequalityRow:
        """The classifier that comes nearest to breaking the inequality."""
        return self.rows[0]

    @property
    def violations(self) -> int:
        """How many classifiers break the inequality by more than search and envelope may err."""
        return sum(row.residual < -row.allowed for row in self.rows)

    @property
    def largest_bound(self) -> float:
        """The largest psi(excess) met: where it is 0 for all classifiers, nothing was promised and none could fail."""
        return max(row.bound for row in self.rows)

    @property
    def holds(self) -> bool:
        """No violation, and no score beats the searched infimum. Float evidence on drawn classifiers, not a proof."""
        return self.violations == 0 and self.pointwise_residual >= -self.tolerance


def excess_risk_inequality(
    loss: Loss,
    law: Law,
    classifiers: Sequence[Classifier],
    grid: Grid,
    *,
    psi: Calibration = searched_psi,
    least: FloatArray | None = None,
) -> Inequality:
    """psi(R(f) - R*) <= R_phi(f) - R_phi* for every classifier f, both sides summed over `grid`.

    R(f) - R* = E[ 2 |eta - a| 1(f errs) ], a the threshold of `psi` where it is an `ExcessBound` (else 1/2), where f
    errs at a tie v = 0 or where v and eta - a differ in sign; R_phi(f) - R_phi* = E[ C_eta(f) - inf_v C_eta(v) ].
    `least` holds inf C_eta at the points of the grid where it is known already. On a piecewise-constant law each
    classifier is read at the centres of the cells. Two classes and one real score; for more see
    `excess_risk_inequality_classes`. Source: Bartlett, Jordan & McAuliffe (2006), Theorem 1.

    `least` has shape (m,), one value per point. Raises ValueError for a law of several classes and a loss without a
    binary formula.
    """
    if law.classes != 2:
        raise ValueError(f"law.classes={law.classes} must be 2: psi is the binary calibration function")
    if not is_binary(loss):
        raise ValueError(f"loss={loss.name!r} must have a binary or a pair formula")
    eta = law.posterior(grid.points)[:, 1]
    threshold = psi.threshold if isinstance(psi, ExcessBound) else 0.5
    theta = np.abs(2.0 * (eta - threshold))
    if least is None:
        least = least_binary_risk(loss, eta)
    v = _scores(classifiers, grid, ())
    if loss.domain.bound is not None:
        v = np.clip(v, -float(loss.domain.bound), float(loss.domain.bound))
    regret = conditional_risk(loss, eta, v) - least
    errs = np.where(eta > threshold, v <= 0.0, v >= 0.0)
    star = grid.expect(np.minimum(2.0 * (1.0 - threshold) * eta, 2.0 * threshold * (1.0 - eta)))
    return _compare(loss, law, grid, np.where(errs, theta, 0.0), regret, least, star, psi)


def least_binary_risk(loss: Loss, eta: FloatArray) -> FloatArray:
    """inf_v C_eta(v) at posteriors eta (m,), searched in floats, so from above; scores `FAR` are tried too."""
    distinct, back = np.unique(eta, return_inverse=True)
    value = binary_minimiser(loss, distinct).value
    if loss.domain.bound is None:
        with np.errstate(all="ignore"):
            for far in (*FAR, *(-far for far in FAR)):
                value = np.fmin(value, conditional_risk(loss, distinct, far))
    return np.asarray(value[back.reshape(-1)])


def excess_risk_inequality_classes(
    loss: Loss,
    law: Law,
    classifiers: Sequence[Classifier],
    grid: Grid,
    *,
    psi: Calibration,
    least: FloatArray | None = None,
) -> Inequality:
    """The same for c >= 2 classes and one score per class, with the convex psi below delta(eps) of c classes.

    R(f) - R* = E[ max p - min p_j over the top scores j ]: a tie is resolved for the worst, and counts as an error
    only where a class below the most probable one is among the top. C_p(f(x)) - inf C_p >= delta of that loss in
    probability at x, and Jensen's inequality gives psi(R(f) - R*) <= R_phi(f) - R_phi*.

    Each classifier maps points (n, d) to scores (n, c); `least`, of shape (n,), are the least conditional risks at the
    points of `grid`, where they are known. Raises ValueError for a loss without a multiclass formula, and for scores
    of another shape.
    """
    if loss.multiclass is None:
        raise ValueError(f"loss={loss.name!r} must have a multiclass formula")
    p = law.posterior(grid.points)
    if least is None:
        rows, back = np.unique(p, axis=0, return_inverse=True)
        least = least_risks(loss, rows).min(axis=1)[back.reshape(-1)]
    f = _scores(classifiers, grid, (law.classes,))
    bound = loss.domain.bound
    if bound is not None and loss.domain.kind == "ball":
        size = np.sqrt((f * f).sum(axis=-1, keepdims=True))
        f = f * (float(bound) / np.maximum(size, float(bound)))
    elif bound is not None:
        f = np.clip(f, -float(bound), float(bound))
    with np.errstate(all="ignore"):
        regret = mixed_risk(p, loss.values(f)) - least
    top = f >= f.max(axis=-1, keepdims=True)
    best = p.max(axis=1)
    lost = best - np.where(top, p, np.inf).min(axis=-1)
    return _compare(loss, law, grid, lost, regret, least, grid.expect(1.0 - best), psi)


def _compare(
    loss: Loss,
    law: Law,
    grid: Grid,
    lost: FloatArray,
    regret: FloatArray,
    least: FloatArray,
    star: Estimate,
    psi: Calibration,
) -> Inequality:
    """Both sides per classifier from the losses at every point: `lost` and `regret` (k, m), `least` (m,)."""
    kind: Kind = psi.kind if isinstance(psi, ExcessBound) else "searched"
    span = psi.span if isinstance(psi, ExcessBound) else 1.0
    lowest = float((regret / (1.0 + np.abs(least))).min())
    excess = [grid.expect(row) for row in lost]
    surrogate = [grid.expect(row) for row in regret]
    least_risk = grid.expect(least)
    bounds = psi(loss, np.clip([e.value for e in excess], 0.0, span))
    rows = []
    for e, s, bound in zip(excess, surrogate, bounds.tolist(), strict=True):
        size = 1.0 + abs(bound) + (abs(s.value) if math.isfinite(s.value) else 0.0)
        size = size if kind == "searched" else size + abs(least_risk.value)
        allowed = (ENVELOPE_TOLERANCE if kind == "searched" else SEARCH_TOLERANCE) * size
        rows.append(InequalityRow(e, s, bound, s.value - bound, allowed))
    rows.sort(key=lambda row: row.residual)
    words = psi.method if isinstance(psi, ExcessBound) else "psi searched in float64"
    return Inequality(
        loss=loss.name,
        law=law.name,
        psi=kind,
        rows=tuple(rows),
        risk_star=star,
        surrogate_star=least_risk,
        pointwise_residual=lowest,
        tolerance=SEARCH_TOLERANCE,
        method=f"{grid.method}; {words}; infima searched in float64",
    )


def _scores(classifiers: Sequence[Classifier], grid: Grid, tail: tuple[int, ...]) -> FloatArray:
    """Scores of all classifiers at the points: (k, m, *tail)."""
    if not classifiers:
        raise ValueError(f"len(classifiers)={len(classifiers)} must be at least 1")
    out = np.empty((len(classifiers), *grid.mass.shape, *tail))
    for number, classifier in enumerate(classifiers):
        v = np.asarray(classifier(grid.points), dtype=np.float64)
        if v.shape != out.shape[1:]:
            raise ValueError(f"classifiers[{number}] gave scores of shape {v.shape}; it must give {out.shape[1:]}")
        out[number] = doors.finite_array(f"scores of classifiers[{number}]", v)
    return out
