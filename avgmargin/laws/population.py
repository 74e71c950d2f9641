"""Losses against laws: where minimisers fail, by how much, and whether that is what was predicted and claimed.

The one definition of these checks: `avgmargin synthetic` runs them on what was asked for, `reproduce` on its losses.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

import synthetic
from avgmargin.common.errors import UserError
from avgmargin.common.processes import one_thread_each

from .records import prepared, record
from .request import SIZES, Request

FEW = 3
"""Up to this many losses one process is faster than two."""


def describe_laws(request: Request) -> list[dict[str, Any]]:
    """Name, what it is, classes, dimension, Bayes risk with its error, and a check of labels against posterior."""
    found = []
    for index, (name, values) in enumerate(request.laws):
        law, rng = synthetic.laws.get(name, **values), np.random.default_rng([request.seed, index, 1])
        sampled = synthetic.posterior_agreement(law, SIZES[request.scale].draws, rng)
        risk = sampled.bayes_risk
        found.append(
            {
                "law": law.name,
                "title": synthetic.laws.entry(name).title,
                "classes": law.classes,
                "dimension": law.dimension,
                "bayes_risk": {"value": risk.value, "error": risk.error, "kind": risk.kind, "method": risk.method},
                "labels_hold": sampled.holds,
                "draws": sampled.n,
                "worst_standard_errors": sampled.worst,
                "allowed_standard_errors": sampled.threshold,
            }
        )
    return found


def run(request: Request, jobs: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Every check, as plain JSON values. The same request gives the same numbers, whatever `jobs`.

    `jobs` worker processes; 0 chooses. UserError below 0.
    """
    if jobs < 0:
        raise UserError(f"jobs={jobs} must be at least 1, or 0 for the default")
    tell(f"{len(request.laws)} laws")
    workers = jobs or (1 if len(request.losses) <= FEW else min(2, os.cpu_count() or 1))
    records = []
    with _records(request, workers) as found:
        laws = describe_laws(request)
        for done, record in enumerate(found, start=1):
            tell(f"{done}/{len(request.losses)} {record['loss']}")
            records.append(record)
    broken = [law["law"] for law in laws if not law["labels_hold"]]
    faults = [f"{record['loss']}: {fault}" for record in records for fault in record["faults"]]
    faults += [f"law {name}: drawn labels disagree with the posterior" for name in broken]
    return {"scale": request.scale, "seed": request.seed, "laws": laws, "losses": records, "faults": faults}


@contextmanager
def _records(request: Request, workers: int) -> Iterator[Iterator[dict[str, Any]]]:
    """The records of all losses in order, as they become ready; with workers they are under way from the start."""
    order = range(len(request.losses))
    if workers == 1:
        yield (record(request, index) for index in order)
        return
    context = multiprocessing.get_context("spawn")
    with (
        one_thread_each(),
        ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(request,)) as pool,
    ):
        try:
            yield pool.map(_one, order)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_request: Request


def _start(request: Request) -> None:
    """In a worker: what `_one` is asked about; the laws are drawn at once."""
    global _request
    _request = request
    prepared(request)


def _one(index: int) -> dict[str, Any]:
    return record(_request, index)
