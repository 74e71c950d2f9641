"""Deciding the whole catalogue in worker processes: a job per entry, setting and number of classes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avgmargin.common.environment import check_fit, describe
from avgmargin.common.files import dump_json, make_folder
from theory.catalogue import Entry
from theory.storage import write_atomic

from .job import Job
from .pool import run_jobs
from .progress import Progress

FILE = "catalogue.json"


def jobs(entries: Sequence[Entry], boxes: int, seconds: float) -> list[Job]:
    """One proof per entry, per setting (the defaults, and those the entry names), for two and for three classes.

    An entry that is written for certain numbers of classes, or has no binary formula, is decided for those, or for 3.
    """
    found = []
    for entry in entries:
        for given in ({}, *entry.also):
            for classes in _classes(entry):
                found.append(_job(entry, given, classes, boxes, seconds))
    return found


def _classes(entry: Entry) -> tuple[int, ...]:
    if entry.only:
        return entry.only
    return {"binary": (2,), "multiclass": (3,), "both": (2, 3)}[entry.kind]


def _job(entry: Entry, given: Mapping[str, str], classes: int, boxes: int, seconds: float) -> Job:
    settings = {"loss": entry.name, "classes": classes, "boxes": boxes, "seconds": seconds}
    settings |= {"parameters": dict(given), "check": "here"}
    words = "".join(f" {name}={value.replace('-', 'minus ')}" for name, value in given.items())
    options = "".join(f" --param {name}={value}" for name, value in given.items())
    options += f" --threshold {entry.threshold_at(**given)}" if entry.threshold != "1/2" else ""
    options += "" if classes == 2 else f" --classes {classes}"
    command = f"avgmargin prove {entry.name}{options} --boxes {boxes} --seconds {seconds:g}"
    return Job("proofs", f"{entry.name}{words}, {classes} classes", settings, command)


def decide(entries: Sequence[Entry], root: Path, workers: int, boxes: int, seconds: float) -> dict[str, Any]:
    """Decide the entries, keep certificates and records below `root`, and write `catalogue.json` there.

    A run that was broken off goes on where it stopped. Raises Unfit where the float environment is unfit for proofs.
    """
    check_fit()
    begin = time.perf_counter()
    chosen = jobs(entries, boxes, seconds)
    make_folder(root)
    with Progress(chosen) as progress:
        records = run_jobs(chosen, root, workers, progress)
    rows = [_row(job, record) for job, record in zip(chosen, records, strict=True)]
    found = {
        "rows": rows,
        "counts": {
            status: sum(row["status"] == status for row in rows) for status in ("PROVED", "REFUTED", "UNDECIDED")
        },
        "contradicted": [row["name"] for row in rows if row["agrees"] is False],
        "boxes": boxes,
        "seconds": seconds,
        "workers": workers,
        "reused": sum(record["reused"] for record in records),
        "search_seconds": round(sum(row["seconds"] for row in rows), 1),
        "wall_seconds": round(time.perf_counter() - begin, 1),
        "environment": {key: describe()[key] for key in ("avgmargin", "python", "libraries")},
    }
    write_atomic(root / FILE, dump_json(found))
    return found


def _row(job: Job, record: Mapping[str, Any]) -> dict[str, Any]:
    """One verdict, small: the certificate stays in its file."""
    import theory

    result, given = record["result"], job.settings["parameters"]
    claim = theory.catalogue.entry(job.settings["loss"]).claim(job.settings["classes"], **given)
    decided = {"PROVED": True, "REFUTED": False}.get(result["status"])
    return {
        "name": job.settings["loss"],
        "parameters": result["parameters"],
        "classes": job.settings["classes"],
        "status": result["status"],
        "tier": result["tier"],
        "gap": result["gap"],
        "gap_region": result["gap_region"],
        "witness": result["witness"],
        "advice": result["advice"],
        "stated": None if claim is None else claim.consistent,
        "agrees": None if claim is None or decided is None else claim.consistent == decided,
        "checked": None if result["check"] is None else result["check"]["valid"],
        "seconds": record["search_seconds"],
        "command": job.command,
    }
