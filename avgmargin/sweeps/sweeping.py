"""`avgmargin sweep`: many trainings, each a job that is done once; what failed is told, and the rest goes on.

    <out>/<job>/ ...   sweep.json   sweep.csv

`sweep.json` is written after each job, in one step. Importing this module does not import torch.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from avgmargin.common.errors import UserError
from avgmargin.common.files import dump_csv, dump_json, make_folder
from theory.storage import write_atomic

from .backends import records
from .training_jobs import Record, TrainJob, effective
from .watching import Watcher

__all__ = ["run_jobs", "spread_over_seeds"]

_SHOWN = (
    "train_accuracy",
    "test_accuracy",
    "train_loss",
    "train_margin_mean",
    "train_margin_min",
    "test_margin_mean",
    "train_label_distance_mean",
    "train_label_distance_min",
    "test_distance_mean",
    "test_label_distance_mean",
)


def run_jobs(
    jobs: Sequence[TrainJob], root: Path, *, backend: str = "joblib", workers: int = 1, scheduler: str | None = None
) -> dict[str, Any]:
    """Do all jobs below `root` and return what `sweep.json` holds; jobs that are done are read, not done again.

    Raises UserError, before any work, for a folder or a backend that cannot be used.
    """
    _check_folder(root)
    found: dict[int, Record] = {}
    coming = records([job.as_values() for job in jobs], root, backend=backend, workers=workers, scheduler=scheduler)
    with Watcher(root, {job.name: int(job.config["epochs"]) for job in jobs}) as watcher:
        for index, record in coming:
            found[index] = record
            watcher.end(record["name"], _words(record))
            _write(root, [found[i] for i in sorted(found)], jobs)
    return _write(root, [found[i] for i in sorted(found)], jobs)


def spread_over_seeds(rows: Iterable[Record]) -> list[dict[str, Any]]:
    """Mean, standard deviation and number of finished runs that differ in nothing but the seed, for each final metric.

    `std` is the sample standard deviation, None for a single run. Beside the metrics of training, what was measured
    after it (`tables.measures_of`), where it was of every run. `rows` are the rows of a comparison that the group is.
    """
    groups: dict[str, list[Record]] = defaultdict(list)
    for row in rows:
        decides = {key: value for key, value in effective(row["config"]).items() if key != "seed"}
        groups[repr(sorted(decides.items()))].append(row)
    made = []
    for members in groups.values():
        done = [row for row in members if row["status"] == "done" and row["final"]]
        known = [{name: row["final"][name] for name in _SHOWN if name in row["final"]} for row in done]
        known = [own | row.get("measures", {}) for own, row in zip(known, done, strict=True)]
        metrics = {}
        for name in known[0] if known else ():
            if any(own.get(name) is None for own in known):
                continue
            values = [float(own[name]) for own in known]
            deviation = statistics.stdev(values) if len(values) > 1 else None
            metrics[name] = {"mean": statistics.fmean(values), "std": deviation, "values": values}
        config = {key: value for key, value in members[0]["config"].items() if key != "seed"}
        seeds = [row["config"]["seed"] for row in done]
        group = {"config": config, "seeds": seeds, "runs": len(members), "done": len(done), "metrics": metrics}
        rows_of_it = members[0].get("rows", [])
        made.append({"rows": rows_of_it, **group} if rows_of_it else group)
    return made


def _check_folder(root: Path) -> None:
    make_folder(root)
    if (root / "config.toml").exists():
        raise UserError(f"output folder {str(root)!r} is a run; a sweep needs a folder of its own")


def _words(record: Record) -> str:
    if record["status"] == "failed":
        return f"FAILED: {record['error']}"
    if record["status"] != "done":
        return f"{record['status']}: {record['advice']}"
    final = record["final"]
    return f"done, {record['epochs']} epochs, test accuracy {final['test_accuracy']:.4f}"


def _write(root: Path, rows: list[Record], jobs: Sequence[TrainJob]) -> dict[str, Any]:
    """What is known so far of this sweep; rows of earlier sweeps in the same folder are in neither file."""
    counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "diverged", "failed")}
    made = {
        "jobs": len(jobs),
        "ended": len(rows),
        **counts,
        "measure": next((dict(job.measure) for job in jobs if job.measure is not None), None),
        "runs": rows,
        "groups": spread_over_seeds(rows),
    }
    fields = sorted({key for row in rows for key in row["config"] if key != "name"})
    measures = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    columns = ["name", "status", "epochs_done", "rows", *fields, *_SHOWN, *measures, "error"]
    cells = [
        [row["name"], row["status"], row["epochs"], " ".join(row["rows"])]
        + [row["config"].get(field) for field in fields]
        + [_finite((row["final"] or {}).get(name)) for name in _SHOWN]
        + [_finite(row["measures"].get(name)) for name in measures]
        + [row["error"] or row["advice"] or None]
        for row in rows
    ]
    write_atomic(root / "sweep.csv", dump_csv(columns, cells))
    write_atomic(root / "sweep.json", dump_json(made))
    return made


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
