"""How much of a law has its posterior in given intervals, and what errs there: the prediction for a failing loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ._estimate import Estimate


@dataclass(frozen=True, slots=True)
class Band:
    """For two classes and a set B of posteriors: `mass` = P(eta(X) in B), `excess` = E[ |2 eta - 1| 1(eta in B) ].

    The second is the excess 0-1 risk of a rule that errs on B and nowhere else.
    """

    mass: Estimate
    excess: Estimate


def add_bands(bands: Sequence[Band], method: str) -> Band:
    """The band of a disjoint union; errors add up.

    >>> add_bands([], "empty").mass.value
    0.0
    """

    def total(parts: list[Estimate]) -> Estimate:
        return Estimate(math.fsum(e.value for e in parts), math.fsum(e.error for e in parts), "exact", method)

    return Band(total([b.mass for b in bands]), total([b.excess for b in bands]))
