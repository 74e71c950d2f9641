"""Confidence intervals of what is compared: differences of means, over images and over seeds, and low quantiles.

Plain numbers in, plain numbers out; nothing here knows a run or a claim.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from scipy import special

__all__ = [
    "LEVEL",
    "difference",
    "order_interval",
    "paired_difference",
    "paired_error",
    "share_error",
    "share_interval",
]

LEVEL = 0.95  # of all intervals that one verdict looks at, together
_ROUNDING = 1e-12  # relative spread below which values are the same number


def difference(
    left: Sequence[float],
    right: Sequence[float],
    errors: tuple[float | None, float | None],
    comparisons: int = 1,
    paired: float | None = None,
) -> dict[str, Any] | None:
    """The difference of two means with an interval at level 1 - (1 - LEVEL) / comparisons (Bonferroni).

    left, right : one value for each seed.
    errors      : the standard errors of the two sides across the images, None where there is no way to tell.
    comparisons : of how many this is one, all of which shall be covered at once with probability LEVEL.
    paired      : the standard error of the difference itself, where both sides were measured on the same images, whose
                  ease or difficulty is then common to both (`paired_error`).

    The half-width is the larger of what can be told: across images z * paired, or z * hypot(errors) where that is not
    known, as of two samples of images; across seeds, with at least two on each side, t * hypot(s_1 / sqrt(n_1), s_2 /
    sqrt(n_2)) with Welch's degrees of freedom. None where neither is known.
    Source: Welch (1947).

    >>> found = difference([0.5], [0.7], (0.03, 0.04))
    >>> [round(end, 3) for end in found["interval"]], found["by"]
    ([0.102, 0.298], 'images')
    >>> difference([0.5, 0.6], [0.7, 0.9], (0.0, 0.0))["by"]
    'seeds'
    """
    if not left or not right:
        return None
    means = [statistics.fmean(side) for side in (left, right)]
    tail = (1.0 - LEVEL) / comparisons / 2.0
    widths: list[tuple[float, float, str]] = []  # half-width, standard error, across what
    normal = -float(special.ndtri(tail))
    if paired is not None:
        widths.append((normal * paired, paired, "the same images"))
    elif errors[0] is not None and errors[1] is not None:
        error = math.hypot(errors[0], errors[1])
        widths.append((normal * error, error, "images"))
    spreads = None
    if len(left) > 1 and len(right) > 1:
        spreads = [statistics.stdev(side) for side in (left, right)]
        parts = [spread**2 / len(side) for spread, side in zip(spreads, (left, right), strict=True)]
        error = math.sqrt(sum(parts))
        if error > 0.0:
            freedom = sum(parts) ** 2 / sum(
                part**2 / (len(side) - 1) for part, side in zip(parts, (left, right), strict=True)
            )
            widths.append((-float(special.stdtrit(freedom, tail)) * error, error, "seeds"))
    if not widths:
        return None
    half, error, by = max(widths)
    change = means[1] - means[0]
    return {
        "plain": means[0],
        "other": means[1],
        "difference": change,
        "error": error,
        "interval": [change - half, change + half],
        "level": 1.0 - 2.0 * tail,
        "by": by,
        "seeds": [len(left), len(right)],
        "spread": spreads,
    }


def paired_difference(left: Sequence[float], right: Sequence[float], comparisons: int = 1) -> dict[str, Any] | None:
    """The mean difference of pairs with Student's interval at level 1 - (1 - LEVEL) / comparisons (Bonferroni).

    left, right : the two values of each pair (one seed in two settings, say), in the same order. None for fewer than
                  two pairs, which show no spread.
    `interval` is None where all differences agree to rounding: a few shares of a few images may do so by chance, and an
    interval of no width would decide what they do not.
    Source: Student (1908).

    >>> found = paired_difference([0.5, 0.6, 0.4], [0.7, 0.9, 0.65])
    >>> round(found["difference"], 3), [round(end, 3) for end in found["interval"]]
    (0.25, [0.126, 0.374])
    """
    changes = [after - before for before, after in zip(left, right, strict=True)]
    error = paired_error(left, right, shares=False)
    if error is None:
        return None
    level = 1.0 - (1.0 - LEVEL) / comparisons
    half = -float(special.stdtrit(len(changes) - 1, (1.0 - level) / 2.0)) * error
    change = statistics.fmean(changes)
    alike = error <= _ROUNDING * max(map(abs, (*left, *right)))
    return {
        "difference": change,
        "error": error,
        "interval": None if alike else [change - half, change + half],
        "level": level,
    }


def paired_error(left: Sequence[float], right: Sequence[float], *, shares: bool) -> float | None:
    """Standard error of the mean of right - left, values on the same images in the same order; None for one image.

    s / sqrt(n) with the standard deviation s of the differences d. Of `shares` (values in [0, 1], a mean of which is a
    share of images) sqrt(sum d^2 + 1 - (sum d)^2 / (n + 2)) / (n + 2): two images more, half an image in each of the
    four cases of right and wrong, so that it is never 0. Source: Agresti and Min (2005).

    >>> paired_error([0.1, 0.5, 0.9], [0.3, 0.7, 1.1], shares=False) < 1e-15
    True
    >>> round(paired_error([1, 1, 0, 0], [1, 1, 1, 1], shares=True), 3)
    0.255
    """
    changes = [after - before for before, after in zip(left, right, strict=True)]
    n = len(changes)
    if shares:
        square = sum(change**2 for change in changes) + 1.0 - sum(changes) ** 2 / (n + 2)
        return math.sqrt(square) / (n + 2)
    return None if n < 2 else statistics.stdev(changes) / math.sqrt(n)


def order_interval(values: Sequence[float], q: float) -> list[float | None]:
    """An interval for the q-quantile of what the values were drawn from, at level LEVEL or above, for any distribution.

    Its ends are two of the sorted values, X_(l) and X_(u): with B ~ Bin(n, q), l is the largest index with
    P(B < l) <= (1 - LEVEL) / 2 and u the smallest with P(B >= u) <= (1 - LEVEL) / 2. An end is None where the values
    are too few to bound it. Source: David and Nagaraja (2003), section 7.1.

    >>> order_interval(range(100), 0.05)
    [0.0, 10.0]
    >>> order_interval([1.0, 2.0], 0.05)
    [None, 2.0]
    """
    ordered, tail = sorted(map(float, values)), (1.0 - LEVEL) / 2.0
    n = len(ordered)
    below = [float(special.bdtr(k, n, q)) for k in range(n)]  # P(B <= k)
    low = max((k for k in range(1, n + 1) if below[k - 1] <= tail), default=None)
    high = min((k for k in range(1, n + 1) if 1.0 - below[k - 1] <= tail), default=None)
    return [end if end is None else _finite(ordered[end - 1]) for end in (low, high)]


def share_error(share: float, images: int) -> float:
    """Standard error of a share of images, never 0: at 0 or 1 as for half an image more or less.

    >>> round(share_error(0.5, 100), 4), round(share_error(0.0, 100), 4)
    (0.05, 0.0071)
    """
    guarded = min(max(share, 0.5 / images), 1.0 - 0.5 / images)
    return math.sqrt(guarded * (1.0 - guarded) / images)


def share_interval(count: int, images: int) -> tuple[float, float]:
    """The interval of Clopper and Pearson (1934) for a share, from `count` of so many images, at level LEVEL or above.

    >>> [round(end, 3) for end in share_interval(19, 100)], [round(end, 3) for end in share_interval(0, 100)]
    ([0.118, 0.281], [0.0, 0.036])
    """
    tail = (1.0 - LEVEL) / 2.0
    low = 0.0 if count == 0 else float(special.betaincinv(count, images - count + 1, tail))
    high = 1.0 if count == images else float(special.betaincinv(count + 1, images - count, 1.0 - tail))
    return low, high


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
