"""The tie region of CE + mu clip(-alpha, 0, tau): closed forms against numerical minimisation.

Run from the root of the checkout:  .venv/bin/python docs/scripts/released_region.py

First table, binary: `P` is the closed form of the largest max(eta, 1 - eta) at which 0 is optimal, `found` the same
by bisection on numerical minima of the risk over (0, tau] and [tau, 60], `branch` which of the two forms applies.
Second table, c classes: random posteriors with tau above the bound of docs/theory/released.md; `wrong` counts the
posteriors at which `theory.multiclass_minimiser` ties the two likeliest classes although p1 - p2 > mu / (1 + mu), or
does not although p1 - p2 < mu / (1 + mu); posteriors within `BAND` of the boundary are left out. The last line is a
posterior at which tau is too small for the criterion: the count there must be 1.
Exit code 1 when a number leaves its tolerance.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from theory import Loss, catalogue, multiclass_minimiser

SMOOTH_TOLERANCE = 2e-7
"""Beyond P1 the risk falls by a multiple of (eta - P1)^2 only, so float risks see it at about sqrt(1e-15)."""
SEARCH_TOLERANCE = 1e-5
"""Scores of a pattern search with last step 1e-9: a tie is |f1 - f2| below this."""
BAND = 2e-3
"""Next to the boundary |f1 - f2| is of the size of the distance to it; it must exceed SEARCH_TOLERANCE there."""


def entropy(p: float) -> float:
    """Binary entropy in nats."""
    return float(-sum(x * np.log(x) for x in (p, 1 - p) if x > 0))


def closed_form(mu: float, tau: float) -> tuple[float, str]:
    """P(mu, tau) and the branch: `slope` (the risk rises at 0) or `depth` (the far minimum is not lower)."""
    first = (1 + 2 * mu) / (2 * (1 + mu))
    if tau >= switch(mu):
        return first, "slope"
    return float(brentq(lambda p: entropy(p) + mu * tau * (1 - p) - np.log(2), 0.5, 1.0, xtol=1e-15)), "depth"


def switch(mu: float) -> float:
    """The tau at which the two branches meet."""
    return 2 * (1 + mu) / mu * float(np.log(2) - entropy((1 + 2 * mu) / (2 + 2 * mu)))


def measured(mu: float, tau: float) -> float:
    """The largest eta at which no positive score beats 0, by bisection."""
    loss = catalogue.get("average-margin-released", mu=mu, tau=tau)
    low, high = 0.5, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        beats = least_right(loss, middle, tau) < np.log(2) - 4e-16
        low, high = (low, middle) if beats else (middle, high)
    return (low + high) / 2


def least_right(loss: Loss, eta: float, tau: float) -> float:
    """The least risk over positive scores; each of the two pieces is unimodal."""
    pieces = [(1e-12, tau), (tau, 60.0)]
    options = {"xatol": 1e-10}
    found = [
        minimize_scalar(
            lambda t: float(eta * loss.phi(t) + (1 - eta) * loss.phi(-t)),
            bounds=piece,
            method="bounded",
            options=options,
        )
        for piece in pieces
    ]
    return min(float(each.fun) for each in found)


def binary_table() -> bool:
    """Print the first table; False when a row is off."""
    good = True
    print(f"{'mu':>6} {'tau':>8} {'P':>12} {'found':>12} {'error':>9} branch")
    for mu in (0.1, 0.5, 1.0, 3.0):
        edge = round(switch(mu), 6)
        for tau in (0.05, 0.5 * edge, edge - 1e-3, edge + 1e-3, 5.0):
            formula, branch = closed_form(mu, tau)
            found = measured(mu, tau)
            good &= abs(found - formula) <= SMOOTH_TOLERANCE
            print(f"{mu:6.2f} {tau:8.4f} {formula:12.9f} {found:12.9f} {found - formula:9.1e} {branch}")
    return good


def enough(p: np.ndarray) -> float:
    """(H(p) + log p_1) / min p: above it the criterion is proved."""
    return float((-(p * np.log(p)).sum() + np.log(p.max())) / p.min())


def ties(mu: float, tau: float, p: np.ndarray) -> np.ndarray:
    """Whether the two likeliest classes (first and second) get equal scores, per posterior."""
    scores, _ = multiclass_minimiser(catalogue.get("average-margin-released", mu=mu, tau=tau), p, starts=6)
    return np.asarray(np.abs(scores[:, 0] - scores[:, 1]) < SEARCH_TOLERANCE)


def class_table() -> bool:
    """Print the second table; False when a posterior contradicts the criterion."""
    good = True
    rng = np.random.default_rng(20240607)
    print(f"\n{'c':>3} {'mu':>6} {'tau':>8} {'posteriors':>11} {'tied':>5} {'wrong':>6}")
    for classes, mu in ((3, 0.2), (3, 1.0), (4, 0.5), (5, 0.3)):
        p = np.sort(rng.dirichlet(np.ones(classes), size=400))[:, ::-1]
        gap = p[:, 0] - p[:, 1] - mu / (1 + mu)
        p = p[(p.min(-1) > 0.02) & (np.abs(gap) > BAND)][:40]
        tau = float(np.ceil(max(enough(row) for row in p)))
        tied = ties(mu, tau, p)
        wrong = int((tied != (p[:, 0] - p[:, 1] < mu / (1 + mu))).sum())
        good &= wrong == 0
        print(f"{classes:3d} {mu:6.2f} {tau:8.1f} {len(p):11d} {int(tied.sum()):5d} {wrong:6d}")
    short = np.array([[0.69, 0.21, 0.10]])
    one, expected = bool(ties(1.0, 1.0, short)[0]), bool(short[0, 0] - short[0, 1] < 1 / 2)
    print(
        f"  3   1.00      1.0           1 {int(one):5d} {int(one != expected):6d}   (tau below {enough(short[0]):.2f})"
    )
    return good and one != expected


if __name__ == "__main__":
    binary, several = binary_table(), class_table()
    sys.exit(0 if binary and several else 1)
