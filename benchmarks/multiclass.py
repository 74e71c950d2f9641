"""Certified bounds of the calibration function of the paper's loss: time, memory, cells, processes; prints JSON.

Run from the root of the checkout:  .venv/bin/python -m benchmarks.multiclass [--four] [--processes]

The loss is CE + mu (H_tau - H_0) with mu = 1/10, tau = 5. Every run is one fresh process, so that the peak of the
resident memory is its own. `seconds` is the wall clock, `cpu` the time of the process; on a machine that does other
work only `cpu` is comparable. `theorem` is the bound of docs/theory/target.md, Theorem 2. With --four the case of four
classes is run (minutes); with --processes two processes against one. `per_leaf` is the cost over a range of shares of
the searched gap, which changes the number of leaves and little else: linear cost means an even row. `by_classes` is
the same proof at eps = 1/5 for two classes and more.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

MU, TAU = Fraction(1, 10), Fraction(5)


def run(classes: int, eps: str, share: str = "9/10", processes: int = 1, upper: bool = True) -> dict[str, Any]:
    """One proof and one verification in this process."""
    from theory import catalogue, check, multiclass_gap

    loss = catalogue.get("average-margin", mu=MU, tau=TAU)
    wall, cpu = time.perf_counter(), time.process_time()
    found = multiclass_gap(loss, classes, eps, boxes=10**7, seconds=1500, share=share, upper=upper, processes=processes)
    spent = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    row: dict[str, Any] = {"classes": classes, "eps": eps, "share": share, "processes": processes}
    exact = Fraction(eps)
    row |= {"lower": float(found.lower), "upper": float(found.upper), "searched": found.searched}
    row |= {"theorem": float(max(exact**2 / 2, exact * min(TAU, MU / classes) / 2)), "advice": found.advice}
    row |= {"boxes": found.boxes} | {key: round(value, 2) for key, value in spent.items()}
    if found.certificate is not None:
        text = json.dumps(found.certificate)
        wall, cpu = time.perf_counter(), time.process_time()
        result = check(json.loads(text))
        row |= {"check_seconds": round(time.perf_counter() - wall, 2)}
        row |= {"check_cpu": round(time.process_time() - cpu, 2), "verified": result.valid, "leaves": result.boxes}
        row["bytes"] = len(text)
    row["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return row


def apart(**arguments: Any) -> dict[str, Any]:
    """The same in a fresh process with one thread."""
    code = f"import json; from benchmarks.multiclass import run; print(json.dumps(run(**{arguments!r})))"
    code = f"if __name__ == '__main__':\n    {code}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(asked: list[str]) -> dict[str, Any]:
    """All measurements that were asked for."""
    report: dict[str, Any] = {"load": os.getloadavg()[0], "cores": os.cpu_count()}
    report["three"] = [apart(classes=3, eps=eps) for eps in ("1", "1/2", "1/5", "1/10", "1/20", "1/50")]
    report["per_leaf"] = []
    for share in ("1/2", "9/10", "99/100"):
        row = apart(classes=3, eps="1/50", share=share, upper=False)
        row["cpu_per_thousand_boxes"] = round(1000 * row["cpu"] / row["boxes"], 3)
        report["per_leaf"].append(row)
    counts = (2, 3, 4) if "--four" in asked else (2, 3)
    report["by_classes"] = [apart(classes=count, eps="1/5", upper=False) for count in counts]
    if "--four" in asked:
        report["four"] = [apart(classes=4, eps="1/10", share=share) for share in ("1/2", "9/10")]
    if "--processes" in asked:
        rows = [apart(classes=4, eps="1/5", processes=count, upper=False) for count in (1, 2)]
        report["processes"] = {"runs": rows, "ratio": round(rows[0]["seconds"] / rows[1]["seconds"], 2)}
    return report


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:]), indent=1))
