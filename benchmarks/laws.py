"""Speed of the laws and of the population checks, as JSON on stdout.

    python benchmarks/laws.py [--points 1000000] [--scaling] [--loop] [--population]

Per named law in the plane: seconds to sample and to evaluate the posterior. With scikit-learn present, its generators
for the like-named data. `--scaling` repeats the posterior at a quarter and a half of the points; `--loop` compares
`theory.binary_minimiser` with one bounded `scipy.optimize` search per posterior and side, at the accuracy reached;
`--population` times `avgmargin synthetic` on the whole catalogue and all laws, in wall and processor seconds of all its
processes (on a busy machine half the latter is what two free cores need).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from synthetic import laws

GENERATORS = {"two-moons": "make_moons", "rings": "make_circles", "gaussian-shared": "make_blobs"}


def seconds(call: Callable[[], Any], repeats: int = 3) -> float:
    """The least wall time of a few calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def law_rows(points: int, scaling: bool) -> list[dict[str, Any]]:
    rows = []
    for name in laws.names():
        law, rng = laws.get(name), np.random.default_rng(0)
        if law.dimension != 2:
            continue
        x = law.sample(points, rng)[0]
        row: dict[str, Any] = {
            "law": name,
            "points": points,
            "sample": seconds(lambda law=law, rng=rng: law.sample(points, rng)),
            "posterior": seconds(lambda law=law, x=x: law.posterior(x)),
            "bayes_risk": seconds(lambda name=name, rng=rng: laws.get(name).bayes_risk(rng), 1),
        }
        if scaling:
            parts = {n: seconds(lambda law=law, x=x, n=n: law.posterior(x[:n])) for n in (points // 4, points // 2)}
            row["posterior_of_fewer"] = {str(n): t for n, t in parts.items()}
        rows.append(row)
    return rows


def generator_rows(points: int) -> list[dict[str, Any]]:
    try:
        from sklearn import datasets
    except ImportError:
        return []
    rows = []
    for name, generator in GENERATORS.items():
        make, law, rng = getattr(datasets, generator), laws.get(name), np.random.default_rng(0)
        theirs = seconds(lambda make=make: make(n_samples=points, random_state=0))
        ours = seconds(lambda law=law, rng=rng: law.sample(points, rng))
        rows.append({"law": name, "generator": generator, "points": points, "sklearn": theirs, "ours": ours})
    return rows


def loop_rows(count: int = 400) -> list[dict[str, Any]]:
    from scipy.optimize import minimize_scalar

    from theory import binary_minimiser, catalogue, conditional_risk

    eta = np.random.default_rng(0).uniform(0.02, 0.98, count)
    rows = []
    for name in ("logistic", "exponential", "squared-hinge", "average-margin"):
        loss = catalogue.get(name)
        fast = seconds(lambda loss=loss: binary_minimiser(loss, eta))
        found = binary_minimiser(loss, eta).value
        start = time.perf_counter()
        sides = [
            [
                minimize_scalar(
                    lambda v, loss=loss, e=e: float(conditional_risk(loss, e, v)),
                    bounds=bounds,
                    method="bounded",
                    options={"xatol": 1e-8},
                ).fun
                for bounds in ((-40.0, 0.0), (0.0, 40.0))
            ]
            for e in eta
        ]
        slow = time.perf_counter() - start
        apart = float((found - np.min(sides, axis=1)).max())
        rows.append({"loss": name, "posteriors": count, "vectorised": fast, "loop": slow, "worse_by_at_most": apart})
    return rows


def population_row() -> dict[str, Any]:
    """Wall and processor seconds of the full population check, and whether it found a fault."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    words = [sys.executable, "-m", "avgmargin", "synthetic", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads(done.stdout)
    return {
        "losses": len(found["losses"]),
        "laws": len(found["laws"]),
        "faults": found["faults"],
        "wall": wall,
        "processor": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--loop", action="store_true")
    parser.add_argument("--population", action="store_true")
    asked = parser.parse_args()
    found = {
        "laws": law_rows(asked.points, asked.scaling),
        "generators": generator_rows(asked.points),
        "minimisers": loop_rows() if asked.loop else [],
        "population": population_row() if asked.population else None,
    }
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
