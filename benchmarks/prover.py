"""Speed of proofs, as JSON on stdout, and beside it what one would do without a prover.

    python benchmarks/prover.py [--catalogue] [--grid]

The paper's loss: seconds to prove and to check, binary, for a range of parameters, and for every number of classes.
`--catalogue` decides every binary entry with one and with two processes, the better of three times each, starting the
processes included. `--grid` asks a float grid about the same entries: differential evolution over wrong and over
correct scores at the same posteriors, inconsistent where no gap is seen; verdicts are compared with the prover's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

import theory
from theory import catalogue

GRID = np.concatenate([0.5 + 0.5 ** np.arange(2, 11), np.linspace(0.55, 1.0, 10)])
"""Posteriors of the float grid: 1/2 + 1/4 down to 1/2 + 1/1024, and tenths."""
SPAN = 20.0
"""Scores of the float grid lie in [-20, 20]."""
SEEN = 1e-6
"""A gap that a careful user of a float search would call one."""


def seconds(call: Callable[[], Any], repeats: int = 5) -> float:
    """The median wall time of a few calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def target() -> dict[str, float]:
    """The paper's loss at its defaults, and its families."""
    loss = catalogue.get("average-margin")
    family = theory.Family("average-margin", {"mu": "[0, inf)", "tau": "(0, inf)"})
    binary, everything = theory.prove(loss).certificate, theory.prove_family(family, classes="all").certificate
    assert binary is not None
    assert everything is not None
    return {
        "binary_prove": seconds(lambda: theory.prove(loss)),
        "binary_check": seconds(lambda: theory.check(binary)),
        "family_prove": seconds(lambda: theory.prove_family(family)),
        "all_classes_prove": seconds(lambda: theory.prove_family(family, classes="all")),
        "all_classes_check": seconds(lambda: theory.check(everything)),
    }


def binary_names() -> list[str]:
    """The catalogue's losses of a single margin with the threshold 1/2."""
    return [entry.name for entry in catalogue.ENTRIES if entry.binary is not None and entry.threshold == "1/2"]


def status(name: str) -> str:
    """The prover's verdict on a catalogue loss."""
    return str(theory.prove(catalogue.get(name)).status.value)


def decide(workers: int) -> dict[str, str]:
    """The verdicts on all binary entries in worker processes."""
    names = binary_names()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return dict(zip(names, pool.map(status, names, chunksize=1), strict=True))


def by_grid(name: str) -> str:
    """What the float grid says: PROVED where it sees a gap at every posterior, else REFUTED."""
    from scipy.optimize import differential_evolution

    loss = catalogue.get(name)
    limit = SPAN if loss.domain.bound is None else float(loss.domain.bound)
    for eta in GRID:

        def risk(v: np.ndarray[Any, Any], eta: float = float(eta)) -> float:
            value = float(theory.conditional_risk(loss, eta, v[0]))
            return value if np.isfinite(value) else 1e300

        wrong, right = (
            differential_evolution(risk, [span], seed=0, tol=1e-10, maxiter=60).fun
            for span in ((-limit, 0.0), (0.0, limit))
        )
        if wrong - right <= SEEN:
            return "REFUTED"
    return "PROVED"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalogue", action="store_true")
    parser.add_argument("--grid", action="store_true")
    asked = parser.parse_args(argv)
    found: dict[str, Any] = {"target": target()}
    if asked.catalogue or asked.grid:
        verdicts = decide(2)
        found["catalogue"] = {"losses": len(verdicts)}
        if asked.catalogue:
            pairs = [(seconds(lambda: decide(2), 1), seconds(lambda: decide(1), 1)) for _ in range(3)]
            two, one = min(two for two, _ in pairs), min(one for _, one in pairs)
            found["catalogue"] |= {"two_processes": two, "one_process": one, "ratio": one / two}
    if asked.grid:
        start = time.perf_counter()
        floats = {name: by_grid(name) for name in verdicts}
        differ = [name for name in verdicts if verdicts[name] != "UNDECIDED" and verdicts[name] != floats[name]]
        found["grid"] = {
            "seconds": time.perf_counter() - start,
            "posteriors": int(GRID.size),
            "wrong": len(differ),
            "wrong_names": differ,
        }
    json.dump(found, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
