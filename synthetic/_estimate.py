"""A number together with its error and the way it was obtained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ._doors import FloatArray

Kind: TypeAlias = Literal["exact", "quadrature", "standard error"]

STANDARD_ERRORS = 5.0
"""How many computed standard errors a Monte Carlo value may be off (house tolerance)."""

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Estimate:
    """`value` with `error`, whose meaning is `kind`:

    * `exact`: a closed form or a finite sum; `error` bounds the rounding to first order;
    * `quadrature`: `error` is made of differences to coarser rules and of the mass no node saw: an estimate, no bound;
    * `standard error`: Monte Carlo; `error` is one computed standard error, and more for rare events (`sample_mean`).
    """

    value: float
    error: float
    kind: Kind
    method: str

    @property
    def allowance(self) -> float:
        """How far the true value may lie from `value`: five standard errors for Monte Carlo, else `error`."""
        return STANDARD_ERRORS * self.error if self.kind == "standard error" else self.error

    def disagrees_with(self, other: Estimate) -> float:
        """The distance between the two values in units of what their errors allow; above 1 they disagree.

        Independent standard errors add in quadrature; everything else adds up.
        """
        noise = math.hypot(*(e.error for e in (self, other) if e.kind == "standard error"))
        rest = sum(e.error for e in (self, other) if e.kind != "standard error")
        allowed = STANDARD_ERRORS * noise + rest
        distance = abs(self.value - other.value)
        if distance == 0.0:
            return 0.0
        return distance / allowed if allowed > 0.0 else math.inf


def exact_sum(values: FloatArray, mass: FloatArray, method: str) -> Estimate:
    """sum_i mass_i values_i, correctly rounded after the products, hence the same in every order.

    The error allows every value and every product a few units in the last place of the larger of 1 and its size:
    values made of probabilities, such as 1 - p, carry the rounding of numbers of size one.
    """
    total = math.fsum((mass * values).tolist())
    scale = math.fsum((mass * np.maximum(1.0, np.abs(values))).tolist())
    return Estimate(total, 4.0 * EPS * scale, "exact", method)


def sample_mean(values: FloatArray, method: str, bound: float | None = None) -> Estimate:
    """The mean of independent draws with its standard error s / sqrt(n), never below the rounding of the mean.

    Where the values are known to lie in [0, bound], the error is s / sqrt(n) + k bound / n, k = `STANDARD_ERRORS`: a
    sample that holds none of the rare large values has s near 0 and says nothing of them. Such values have variance at
    most bound times the mean m, so that the error of the mean stays below k sqrt(bound m / n), and a sample mean of 0
    leaves m up to k^2 bound / n, as in the interval of Wilson (1927) at proportion 0. Five errors are that much.

    >>> sample_mean(np.zeros(1000), "no event in 1000 draws", bound=1.0).allowance
    0.025
    """
    n = values.shape[0]
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    rare = 0.0 if bound is None else STANDARD_ERRORS * bound / n
    return Estimate(mean, max(spread + rare, EPS * abs(mean)), "standard error", method)
