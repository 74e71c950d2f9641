"""Laws made to break losses: posteriors at which an inconsistent loss has a wrong optimal decision."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

from . import _doors as doors
from ._doors import FloatArray
from ._piecewise import PiecewiseConstant

CRAMMER_SINGER = (0.4, 0.3, 0.3)
"""max p < 1/2: the Crammer-Singer hinge ties all scores (Liu 2007), so that wrong classes are among the top."""

WESTON_WATKINS = (0.4, 0.35, 0.25)
"""The Weston-Watkins hinge ties the two likeliest classes (Liu 2007; Wang & Scott 2020)."""

FACE = (0.6, 0.4, 0.0)
"""On a face of the simplex: exp(-f_y) of scores that sum to zero has the infimum 0, which equal scores of the two
possible classes approach too, the third falling; the same for every loss of f_y alone that can fall to its infimum."""


def orbits(
    rows: Sequence[Sequence[float]], shares: Sequence[float] | None = None, name: str = "orbits"
) -> PiecewiseConstant:
    """A law in the plane: one row of cells per posterior in `rows`, one cell per order of its classes.

    Row i has mass shares_i (equal when absent), split evenly over the c! cells, so that all classes are as likely
    overall and what happens at a posterior happens in every order of the labels.
    """
    posteriors = doors.simplex("rows", np.asarray(rows, dtype=np.float64))
    if posteriors.ndim != 2:
        raise ValueError(f"rows.shape={posteriors.shape} must be (m, c): one posterior per row of cells")
    c = posteriors.shape[1]
    if c > 4:
        raise ValueError(f"rows have {c} classes; orbits are for at most 4, 24 cells per posterior")
    orders = list(permutations(range(c)))
    table = np.stack([[row[list(order)] for order in orders] for row in posteriors])
    count = posteriors.shape[0]
    weight: npt.ArrayLike = np.full(count, 1.0 / count) if shares is None else shares
    share = doors.masses("shares", weight, zero_allowed=False)
    if share.shape != (count,):
        raise ValueError(f"shares.shape={share.shape} must be ({count},), one per posterior")
    mass: FloatArray = np.repeat(share[:, None] / len(orders), len(orders), axis=1)
    return PiecewiseConstant(table, mass / mass.sum(), name=name)


def breaks_crammer_singer(share: float = 0.6) -> PiecewiseConstant:
    """Mass `share` on the orders of (0.4, 0.3, 0.3), the rest on those of (0.7, 0.2, 0.1), where the loss is right.

    The excess 0-1 risk of the Crammer-Singer hinge, ties counted as errors, is 0.1 share.
    """
    part = doors.real("share", share, 0.0, 1.0)
    return orbits([CRAMMER_SINGER, (0.7, 0.2, 0.1)], [part, 1.0 - part], "breaks-crammer-singer")


def breaks_weston_watkins(share: float = 0.6) -> PiecewiseConstant:
    """Mass `share` on the orders of (0.4, 0.35, 0.25), the rest on those of (0.7, 0.2, 0.1), where the loss is right.

    The excess 0-1 risk of the Weston-Watkins hinge, ties counted as errors, is 0.05 share.
    """
    part = doors.real("share", share, 0.0, 1.0)
    return orbits([WESTON_WATKINS, (0.7, 0.2, 0.1)], [part, 1.0 - part], "breaks-weston-watkins")


def breaks_naive(share: float = 0.6) -> PiecewiseConstant:
    """Mass `share` on the orders of (0.6, 0.4, 0), the rest on those of (0.5, 0.3, 0.2), where no class is impossible.

    The excess 0-1 risk of the naive losses (functions of f_y, scores that sum to zero), ties counted as errors, is 0.2
    share: they are consistent wherever all classes are possible, and only there.
    """
    part = doors.real("share", share, 0.0, 1.0)
    return orbits([FACE, (0.5, 0.3, 0.2)], [part, 1.0 - part], "breaks-naive")


def breaks_released(mu: float = 0.1, levels: int = 8) -> PiecewiseConstant:
    """Two classes, posteriors around P(mu) = (1 + 2 mu) / (2 + 2 mu), up to which the released penalty predicts a tie.

    2 levels columns of cells and two rows: the lead max p - min p of a column is (j + 1/2) / levels times
    2 P(mu) - 1 = mu / (1 + mu); the likelier class is 1 below, 0 above. The first `levels` columns fail, if tau is
    large enough that t > tau does not pay, and then the excess risk is mu / (4 (1 + mu)).
    """
    weight = doors.finite_array("mu", mu).item()
    if weight <= 0.0 or weight >= 1.0:
        raise ValueError(f"mu={mu!r} must lie strictly between 0 and 1: leads up to 2 mu / (1 + mu) must stay below 1")
    count = doors.whole("levels", levels, 1)
    lead = (np.arange(2 * count) + 0.5) / count * (weight / (1.0 + weight))
    one = np.stack([0.5 * (1.0 + lead), 0.5 * (1.0 - lead)], axis=1)
    return PiecewiseConstant(np.stack([1.0 - one, one], axis=-1), name=f"breaks-released-{weight:g}")
