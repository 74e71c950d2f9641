"""Where jobs run: in processes of this machine through joblib, or on a Dask cluster; both yield records as they come.

A worker that dies does not take the others' work with it: what was unfinished is tried again, and given up as a failed
record where it dies again.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from avgmargin.common.errors import UserError
from avgmargin.common.processes import one_thread_each

from .training_jobs import Record, failed, run_guarded

__all__ = ["BACKENDS", "records"]

BACKENDS = ("joblib", "dask")
_TRIES = 2  # of a job whose worker died; a second death is laid to the job
_TIMEOUT = 10  # seconds to reach the scheduler
Jobs = Sequence[Mapping[str, Any]]


def records(
    jobs: Jobs, root: Path, *, backend: str, workers: int, scheduler: str | None
) -> Iterator[tuple[int, Record]]:
    """Yield (index, record) of each job (`TrainJob.as_values()`), in the order in which they end.

    backend   : `joblib`, which starts `workers` processes here, or `dask`, which hands the jobs to `scheduler`; its
                workers must see `root` under the same path.
    Closing the generator, or an interrupt, leaves unfinished jobs to be taken up by the next call.
    Raises UserError for another backend, a missing or superfluous scheduler, or one that does not answer.
    """
    if backend not in BACKENDS:
        raise UserError(f"backend={backend!r} must be one of {', '.join(map(repr, BACKENDS))}")
    if (scheduler is None) == (backend == "dask"):
        rule = "needs --scheduler ADDRESS, as in tcp://host:8786" if scheduler is None else "takes no --scheduler"
        raise UserError(f"backend {backend!r} {rule}")
    if scheduler is None:
        return _on_joblib(jobs, root, workers)
    return _on_dask(jobs, root.absolute(), scheduler)


def _on_joblib(jobs: Jobs, root: Path, workers: int) -> Iterator[tuple[int, Record]]:
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    left = dict(enumerate(jobs))
    for attempt in range(_TRIES + 1):
        # the last attempt is one job at a time, each in a process of its own: only the job that kills it is to blame
        groups = [list(left)] if attempt < _TRIES else [[index] for index in left]
        for group in groups:
            try:
                with one_thread_each(), joblib.parallel_config(backend="loky", inner_max_num_threads=1):
                    pool = joblib.Parallel(
                        # after a death never 1: joblib runs a single job in this very process
                        n_jobs=max(2, min(workers, len(group))) if attempt > 0 else min(workers, len(group)),
                        return_as="generator_unordered",
                        batch_size=1,
                        pre_dispatch="all",
                    )
                    for index, record in pool(joblib.delayed(_one)(i, left[i], str(root), os.getpid()) for i in group):
                        left.pop(index)
                        yield index, record
            except TerminatedWorkerError as error:
                if attempt == _TRIES:
                    (index,) = group
                    yield index, failed(left.pop(index), RuntimeError(f"its worker died: {error}"))
        if not left:
            return


def _one(index: int, values: Mapping[str, Any], root: str, parent: int) -> tuple[int, Record]:
    return index, run_guarded(values, root, parent)


def _on_dask(jobs: Jobs, root: Path, scheduler: str) -> Iterator[tuple[int, Record]]:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise UserError("--backend dask needs the extra 'cluster': pip install 'avgmargin[cluster]'") from None
    try:
        client = distributed.Client(scheduler, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(f"scheduler {scheduler!r} must be a Dask scheduler that answers ({error})") from None
    with client:
        futures = {
            # retries: of a task whose worker was lost; what raises is a record already
            client.submit(run_guarded, dict(values), str(root), pure=False, retries=_TRIES): index
            for index, values in enumerate(jobs)
        }
        try:
            for future in distributed.as_completed(list(futures), loop=client.loop):
                index = futures[future]
                try:
                    yield index, future.result()
                except Exception as error:  # KilledWorker, a cancelled task, a worker without our packages
                    yield index, failed(jobs[index], error)
        finally:
            client.cancel([future for future in futures if not future.done()])
