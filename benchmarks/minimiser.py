"""Speed of `theory.binary_minimiser` beside a loop over `scipy.optimize`, as JSON on stdout.

    python benchmarks/minimiser.py [--posteriors 100000] [--loop 200]

Per loss: CPU microseconds per posterior of the vectorised search (both sides of 0, their minimisers and values), of one
bounded Brent search per posterior and side on a hand-written NumPy function, and their ratio, in one run. The loop gets
a bracket around each side only; `excess` is the largest amount by which the vectorised minimum lies above the loop's,
`missed` the largest amount by which the loop's lies above the vectorised one. `megabytes` is the peak of allocations.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from math import exp, log1p
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from theory import Loss, binary_minimiser, catalogue, from_formula


def _softplus(u: float) -> float:
    return max(u, 0.0) + log1p(exp(-abs(u)))


LOSSES: dict[str, tuple[Loss, Callable[[float], float]]] = {
    "average-margin": (
        catalogue.get("average-margin", mu="0.1", tau="5"),
        lambda t: _softplus(-t) + 0.1 * (max(0.0, 5 - t) - max(0.0, -t)),
    ),
    "logistic": (catalogue.get("logistic"), lambda t: _softplus(-t)),
    "hinge": (catalogue.get("hinge"), lambda t: max(0.0, 1 - t)),
    "two-basins": (
        from_formula("softplus(-t) + 3 * exp(-8 * (t - 1)**2)"),
        lambda t: _softplus(-t) + 3 * exp(-8 * (t - 1) ** 2),
    ),
    "ramp": (from_formula("clip((1 - t) / 2, 0, 1)"), lambda t: min(max((1 - t) / 2, 0.0), 1.0)),
}


def loop(phi: Callable[[float], float], etas: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The least conditional risk per posterior: one bounded search per side, to 1e-9 in the score."""
    values = []
    for eta in etas.tolist():

        def risk(v: float, eta: float = eta) -> float:
            return eta * phi(v) + (1 - eta) * phi(-v)

        sides = ((-12.0, 0.0), (0.0, 12.0))
        found = [minimize_scalar(risk, bounds=side, method="bounded", options={"xatol": 1e-9}).fun for side in sides]
        values.append(min(found))
    return np.array(values)


def row(loss: Loss, phi: Callable[[float], float], posteriors: int, looped: int) -> dict[str, float]:
    """The times, their ratio, and how far the two disagree, for one loss."""
    etas = np.random.default_rng(0).uniform(0.001, 0.999, posteriors)
    start = time.process_time()
    found = binary_minimiser(loss, etas)
    ours = (time.process_time() - start) / posteriors
    start = time.process_time()
    theirs = loop(phi, etas[:looped])
    each = (time.process_time() - start) / looped
    difference = found.value[:looped] - theirs
    tracemalloc.start()
    binary_minimiser(loss, etas)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "microseconds": 1e6 * ours,
        "loop_microseconds": 1e6 * each,
        "ratio": each / ours,
        "excess": float(max(difference.max(), 0.0)),
        "missed": float(max(-difference.min(), 0.0)),
        "megabytes": peak / 1e6,
    }


def main() -> int:
    """Measure every loss; 1 when one is under 50 times the loop or 1e-8 above its minimum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posteriors", type=int, default=100_000)
    parser.add_argument("--loop", type=int, default=200)
    options = parser.parse_args()
    rows = {name: row(*loss, options.posteriors, options.loop) for name, loss in LOSSES.items()}
    print(json.dumps({"posteriors": options.posteriors, "losses": rows}, indent=2))
    return 0 if all(each["ratio"] >= 50 and each["excess"] <= 1e-8 for each in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
