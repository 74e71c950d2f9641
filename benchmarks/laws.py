"""Speed of the laws and of the population checks, as JSON on stdout.

    python benchmarks/laws.py [--points 1000000] [--scaling] [--no-population]

Per named law in the plane: processor seconds to sample and to evaluate the posterior, and wall seconds beside them.
With scikit-learn present, its generators for the like-named data. `--scaling` repeats the posterior at two and four
times the points, which no processor's cache holds; `growth` is then the exponent of the points to which the time is
proportional.

`population` times `avgmargin synthetic --dimension 2`, the whole catalogue on all laws in the plane, in wall and
processor seconds of all its processes; half the latter is what two free cores need, whatever else the machine does.
The minimisers stand in minimiser.py.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from synthetic import laws

GENERATORS = {"two-moons": "make_moons", "rings": "make_circles", "gaussian-shared": "make_blobs"}


def seconds(call: Callable[[], Any], repeats: int = 3) -> tuple[float, float]:
    """The least processor and the least wall time of a few calls."""
    times = []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        call()
        times.append((time.process_time() - processor, time.perf_counter() - wall))
    return min(used for used, _ in times), min(wall for _, wall in times)


def law_rows(points: int, scaling: bool) -> list[dict[str, Any]]:
    rows = []
    for name in laws.names():
        law, rng = laws.get(name), np.random.default_rng(0)
        if law.dimension != 2:
            continue
        x = law.sample(points, rng)[0]
        row: dict[str, Any] = {"law": name, "points": points}
        row["sample"], row["sample_wall"] = seconds(partial(law.sample, points, rng))
        row["posterior"], row["posterior_wall"] = seconds(partial(law.posterior, x))
        row["bayes_risk"], _ = seconds(partial(_risk, name, rng), 1)
        if scaling:
            parts = {k * points: seconds(partial(law.posterior, np.tile(x, (k, 1))))[0] for k in (2, 4)}
            row["posterior_of_more"] = {str(n): t for n, t in parts.items()}
            parts[points] = row["posterior"]
            row["growth"] = float(np.polyfit(np.log(list(parts)), np.log(list(parts.values())), 1)[0])
        rows.append(row)
    return rows


def _risk(name: str, rng: np.random.Generator) -> object:
    return laws.get(name).bayes_risk(rng)


def generator_rows(points: int) -> list[dict[str, Any]]:
    try:
        from sklearn import datasets  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return []
    rows = []
    for name, generator in GENERATORS.items():
        make, law, rng = getattr(datasets, generator), laws.get(name), np.random.default_rng(0)
        theirs, _ = seconds(partial(make, n_samples=points, random_state=0))
        ours, _ = seconds(partial(law.sample, points, rng))
        row = {"law": name, "generator": generator, "points": points, "sklearn": theirs, "ours": ours}
        rows.append({**row, "ratio": ours / theirs})
    return rows


def population_row() -> dict[str, Any]:
    """Wall and processor seconds of the whole catalogue on all laws in the plane, and the faults found."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    words = [sys.executable, "-m", "avgmargin", "synthetic", "--dimension", "2", "--jobs", "2", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads(done.stdout)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "losses": len(found["losses"]),
        "laws": len(found["laws"]),
        "faults": found["faults"],
        "wall": wall,
        "processor": processor,
        "per_core": processor / 2,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--no-population", action="store_true")
    asked = parser.parse_args()
    found = {
        "laws": law_rows(asked.points, asked.scaling),
        "generators": generator_rows(asked.points),
        "population": None if asked.no_population else population_row(),
    }
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
