"""The lower bounds on the gap of CE + mu (H_tau - H_0) for c classes, against numerical minimisation.

Run from the root of the checkout:  .venv/bin/python docs/scripts/multiclass_gap.py

For random (c, mu, tau, p) and every class j with p_j < max p: `gap` is the least risk over scores with j on top minus
the least risk over all scores, each by Nelder-Mead from several starts, so each is an upper bound of its
infimum. `square` is gap / ((max p - p_j)^2 / 2) and `linear` is gap / ((max p - p_j) min(tau, mu max p) / 2), both of
which the theorem in docs/theory/target.md bounds below by 1. The table shows the least ratios per number of classes.
Exit code 1 when a ratio is below 1 by more than the tolerance.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

Array = NDArray[np.float64]

SEARCH_TOLERANCE = 1e-6
"""Two searches, each good to about 1e-9 in value, divided by gaps of at least 1e-3."""


def risk(f: Array, p: Array, mu: float, tau: float) -> float:
    """C_p(f) of the average-margin loss, written out here so that it does not lean on the package."""
    others = np.array([np.delete(f, k).max() for k in range(len(f))])
    ramp = np.clip(tau - (f - others), 0, tau)
    return float(logsumexp(f) - p @ f + mu * (p @ ramp))


def least_over_wrong(p: Array, j: int, mu: float, tau: float, rng: np.random.Generator) -> float:
    """The least risk found with f_j = 0 and f_k = -x_k^2."""
    rest = [k for k in range(len(p)) if k != j]

    def scores(x: Array) -> Array:
        f = np.zeros(len(p))
        f[rest] = -(x**2)
        return f

    starts = [np.sqrt(np.maximum(0.0, np.log(p.max()) - np.log(p[rest]))), *rng.uniform(0, 1.5, (3, len(rest)))]
    return min(descend(lambda x: risk(scores(x), p, mu, tau), start) for start in starts)


def least(p: Array, mu: float, tau: float) -> float:
    """The least risk found, from the minimiser of the cross-entropy with the best class lifted by several amounts."""
    best = int(p.argmax())
    shift = np.zeros(len(p))
    shift[best] = 1.0
    starts = [np.log(p) + s * shift for s in (0.0, tau / 2, tau, 2 * mu)]
    return min(descend(lambda f: risk(f, p, mu, tau), start) for start in starts)


def descend(function: Callable[[Array], float], start: Array) -> float:
    """Nelder-Mead, restarted once at its own answer."""
    options = {"xatol": 1e-8, "fatol": 1e-12, "maxiter": 1200}
    first = minimize(function, start, method="Nelder-Mead", options=options)
    return float(minimize(function, first.x, method="Nelder-Mead", options=options).fun)


def main() -> int:
    """Print the table; 1 when a bound is broken."""
    rng = np.random.default_rng(7)
    good = True
    print(f"{'c':>2} {'pairs':>6} {'least gap / square bound':>25} {'least gap / linear bound':>25}")
    for classes, draws in ((2, 8), (3, 6), (4, 3)):
        square, linear = [], []
        for _ in range(draws):
            mu, tau = float(rng.uniform(0.02, 2)), float(rng.uniform(0.05, 4))
            p = rng.dirichlet(np.ones(classes)) * 0.95 + 0.05 / classes
            bottom = least(p, mu, tau)
            for j in np.flatnonzero(p < p.max() - 0.05):
                gap, lead = least_over_wrong(p, int(j), mu, tau, rng) - bottom, p.max() - p[j]
                square.append(gap / (lead**2 / 2))
                linear.append(gap / (lead * min(tau, mu * p.max()) / 2))
        print(f"{classes:2d} {len(square):6d} {min(square):25.4f} {min(linear):25.4f}")
        good &= min(*square, *linear) >= 1 - SEARCH_TOLERANCE
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
