"""Speed of the frontier and of learning curves, as JSON on stdout.

python benchmarks/frontier.py
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import numpy as np

from synthetic import frontier as trade
from synthetic import laws, learning
from theory import catalogue


def high_dimensional(n: int, d: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Separable points with unequal variances: a random direction separates them by at least 1/2."""
    rng = np.random.default_rng(1)
    u = rng.normal(size=d)
    u /= np.linalg.norm(u)
    y = rng.choice([-1.0, 1.0], n)
    x = rng.normal(size=(n, d)) * np.linspace(0.3, 3.0, d)
    x += np.outer(y * (0.5 + rng.exponential(1.0, n)) - x @ u, u)
    return x, y


def main() -> int:
    rows = []
    for n in (500, 1000, 2000):
        x, y = high_dimensional(n, 100)
        for geometry in trade.GEOMETRIES:
            start = time.perf_counter()
            found = trade.frontier(x, y, geometry=geometry, points=50)
            rows.append(
                {
                    "n": n,
                    "d": 100,
                    "geometry": geometry,
                    "points": 50,
                    "seconds": time.perf_counter() - start,
                    "residual": found.residual / found.mean_end.average,
                }
            )
    streams = []
    for n in (10**5, 10**6, 10**7):
        start = time.perf_counter()
        learning.learning_curves(
            laws.get("gaussian-shared"), [catalogue.get("hinge")], sizes=[n], seeds=1, rng=np.random.default_rng(0)
        )
        streams.append({"samples": n, "seconds": time.perf_counter() - start})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    json.dump({"frontier": rows, "histogram_stream": streams, "peak_gib": peak}, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
