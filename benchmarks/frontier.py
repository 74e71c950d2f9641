"""Speed of the frontier and of learning curves, as JSON on stdout.

python benchmarks/frontier.py

`seconds` are those of the processor, `wall` stands beside; `growth` is the exponent of n in the former, per geometry
and for the stream, from a least-squares line on log axes.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
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


def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a call returned, and its processor and wall seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    found = call()
    return found, {"seconds": time.process_time() - processor, "wall": time.perf_counter() - wall}


def growth(rows: list[dict[str, Any]], size: str) -> float:
    """The exponent e of the best fit seconds = constant * rows[size]^e."""
    x, y = (np.log([row[key] for row in rows]) for key in (size, "seconds"))
    return float(np.polyfit(x, y, 1)[0])


def main() -> int:
    rows: list[dict[str, Any]] = []
    for n in (500, 1000, 2000):
        x, y = high_dimensional(n, 100)
        for geometry in trade.GEOMETRIES:
            found, spent = timed(partial(trade.frontier, x, y, geometry=geometry, points=50))
            rows.append(
                {
                    "n": n,
                    "d": 100,
                    "geometry": geometry,
                    "points": 50,
                    **spent,
                    "residual": found.residual / found.mean_end.average,
                }
            )
    streams: list[dict[str, Any]] = []
    law, hinge = laws.get("gaussian-shared"), [catalogue.get("hinge")]
    for n in (10**5, 10**6, 10**7):
        rng = np.random.default_rng(0)
        spent = timed(partial(learning.learning_curves, law, hinge, sizes=[n], seeds=1, rng=rng))[1]
        streams.append({"samples": n, **spent})
    slopes = {g: growth([row for row in rows if row["geometry"] == g], "n") for g in trade.GEOMETRIES}
    slopes["stream"] = growth(streams, "samples")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = {"frontier": rows, "histogram_stream": streams, "growth": slopes, "peak_gib": peak}
    json.dump(found, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
