"""The calibration function of CE + mu (H_tau - H_0) near 0: closed forms against numerical minimisation.

Run from the root of the checkout:  .venv/bin/python docs/scripts/calibration_slope.py

Columns: `formula` is (1 + mu) t0 with t0 = tau if mu >= tanh(tau / 2), else log((1 + mu) / (1 - mu));
`measured` extrapolates delta(theta) / theta to theta = 0, delta from `theory.binary_minimiser`;
`kappa` is min over theta of delta(theta) / theta, the slope at 0 of the convex envelope psi, by the closed form of
delta on a grid and by the measured delta on the same grid; `psi/formula` says whether psi keeps the slope of delta.
Exit code 1 when a measured number leaves its tolerance.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from theory import binary_minimiser, catalogue

Array = NDArray[np.float64]

SLOPE_TOLERANCE = 1e-8
"""delta / theta = slope + O(theta^2); one Richardson step leaves O(theta^4) and 1e-16 / theta of rounding."""
GAP_TOLERANCE = 1e-9
"""A search against a closed form: values of the minimiser are good to about 1e-14, the kappa grid is shared."""
THETA = 1e-3


def closed_gap(theta: Array, mu: float, tau: float) -> Array:
    """delta(theta) = M((1 - theta) / 2) - M((1 + theta) / 2), M(eta) = inf of C_eta over t >= 0, in closed form."""
    return least_risk((1 - theta) / 2, mu, tau) - least_risk((1 + theta) / 2, mu, tau)


def least_risk(eta: Array, mu: float, tau: float) -> Array:
    """M(eta): the risk at t(eta), which is 0, logit((1 + mu) eta), tau or logit(eta)."""
    top = 1 / (1 + np.exp(-tau))
    lifted = np.clip((1 + mu) * eta, 0.5, top)
    with np.errstate(divide="ignore"):
        t = np.where(eta > top, np.log(eta / np.maximum(1 - eta, 1e-300)), np.log(lifted / (1 - lifted)))
    certain = eta * np.logaddexp(0, -t) + mu * eta * np.maximum(tau - t, 0)
    return np.asarray(np.where(eta == 1, 0.0, certain + (1 - eta) * (np.logaddexp(0, t) + mu * tau)))


def slope(mu: float, tau: float) -> float:
    """(1 + mu) t0."""
    t0 = tau if mu >= np.tanh(tau / 2) else np.log((1 + mu) / (1 - mu))
    return float((1 + mu) * t0)


def measured_slope(mu: str, tau: str) -> float:
    """delta(theta) / theta at theta -> 0, one Richardson step, from the numerical minimiser."""
    theta = np.array([THETA, THETA / 2])
    ratio = binary_minimiser(catalogue.get("average-margin", mu=mu, tau=tau), (1 + theta) / 2).gap / theta
    return float((4 * ratio[1] - ratio[0]) / 3)


def main() -> int:
    """Print the table; 1 when a number leaves its tolerance."""
    good = True
    thetas = np.linspace(0, 1, 2001)[1:]
    print(f"{'mu':>5} {'tau':>5} {'formula':>12} {'measured':>12} {'error':>9} {'kappa':>10} {'error':>9} psi/formula")
    for mu, tau in [
        ("0.1", "5"), ("0.1", "0.1"), ("0.3", "1"), ("0.45", "5"), ("0.6", "5"), ("0.7", "1"), ("0.9", "5"),
        ("1", "5"), ("1", "1/2"), ("1", "1/4"), ("2", "1"), ("3", "1/2"), ("1/4", "1/2"), ("10", "1"),
    ]:  # fmt: skip
        m, t = float(eval_fraction(mu)), float(eval_fraction(tau))
        formula, found = slope(m, t), measured_slope(mu, tau)
        closed = closed_gap(thetas, m, t)
        floats = binary_minimiser(catalogue.get("average-margin", mu=mu, tau=tau), (1 + thetas) / 2).gap
        kappa, place = min(formula, float((closed / thetas).min())), int((closed / thetas).argmin())
        worst = float(np.abs(floats - closed).max())
        good &= abs(found - formula) <= SLOPE_TOLERANCE * max(1, formula) and worst <= GAP_TOLERANCE
        verdict = "same" if kappa >= formula * (1 - 1e-12) else f"smaller (theta = {thetas[place]:.4f})"
        numbers = f"{formula:12.8f} {found:12.8f} {found - formula:9.1e} {kappa:10.6f} {worst:9.1e}"
        print(f"{mu:>5} {tau:>5} {numbers} {verdict}")
    theta = np.array([THETA, THETA / 2])
    ratio = binary_minimiser(catalogue.get("cross-entropy"), (1 + theta) / 2).gap / theta**2
    half = float((4 * ratio[1] - ratio[0]) / 3)
    print(f"cross-entropy alone: delta(theta) / theta^2 at 0 = {half:.8f} (formula 0.5)")
    good &= abs(half - 0.5) <= SLOPE_TOLERANCE
    return 0 if good else 1


def eval_fraction(text: str) -> float:
    """The float of a fraction written as text."""
    top, _, bottom = text.partition("/")
    return float(top) / float(bottom or 1)


if __name__ == "__main__":
    sys.exit(main())
