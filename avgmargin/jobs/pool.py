"""Runs jobs in worker processes, keeps finished ones, and tells what happens."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from avgmargin.common.files import dump_json, read_object, slug
from avgmargin.common.processes import die_with_parent, one_thread_each
from theory.storage import sha256_of_bytes, write_atomic

from .job import Job
from .progress import Progress
from .work import execute

_ORDER = ("training", "learning", "frontier", "synthetic", "proofs", "curves")
_POLL = 0.2  # seconds between looks at the messages of the workers
Record = dict[str, Any]

_messages: Any = None
_stopped: Any = None


class Stopped(Exception):
    """The run was given up; the worker leaves its job at the next step."""


def run_jobs(jobs: Sequence[Job], root: Path, workers: int, progress: Progress) -> list[Record]:
    """The record of every job, in order: `key`, `result`, `seconds`, `reused`, `files`.

    A job whose record lies in `parts/` with the same key, and whose files are unchanged, is not done again. A failing
    job stops the others at their next step and raises its own error; finished records stay for the next time.
    """
    records: dict[int, Record] = {}
    todo: list[int] = []
    for index, job in enumerate(jobs):
        stored = stored_record(job, root)
        if stored is None:
            todo.append(index)
        else:
            records[index] = {**stored, "reused": True}
            progress.reuse(job)
    if todo:
        _run([(index, jobs[index]) for index in todo], root, min(workers, len(todo)), progress, records)
    return [records[index] for index in range(len(jobs))]


def stored_record(job: Job, root: Path) -> Record | None:
    """The record of an earlier run of the same job, or None where there is none that can be used."""
    record = read_object(_record_path(job, root))
    if record is None or record.get("key") != job.key or not isinstance(record.get("files"), dict):
        return None
    for name, digest in record["files"].items():
        try:
            if sha256_of_bytes((root / name).read_bytes()) != digest:
                return None
        except OSError:
            return None
    return record


def _record_path(job: Job, root: Path) -> Path:
    return root / "parts" / f"{job.part}-{slug(job.name)}.json"


def _run(todo: list[tuple[int, Job]], root: Path, workers: int, progress: Progress, records: dict[int, Record]) -> None:
    context = multiprocessing.get_context("spawn")
    messages, stop = context.Queue(), context.Event()
    (root / "parts").mkdir(exist_ok=True)
    with (
        one_thread_each(),
        ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(messages, stop)) as pool,
    ):
        # the long trainings before the short laws, so that the workers end together; the order changes no number
        order = sorted(todo, key=lambda pair: _ORDER.index(pair[1].part))
        futures = {pool.submit(_work, index, job, root): (index, job) for index, job in order}
        pending = set(futures)
        try:
            while pending:
                done, pending = wait(pending, timeout=_POLL, return_when=FIRST_COMPLETED)
                _tell_all(messages, futures, progress)
                for future in done:
                    index, job = futures[future]
                    record = future.result()
                    write_atomic(_record_path(job, root), dump_json(record))
                    records[index] = {**record, "reused": False}
                    progress.finish(job, record["seconds"])
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _tell_all(messages: Any, futures: dict[Future[Record], tuple[int, Job]], progress: Progress) -> None:
    jobs = dict(futures.values())
    while True:
        try:
            index, step, words = messages.get_nowait()
        except queue.Empty:
            return
        progress.step(jobs[index], step, words)


def _start(messages: Any, stop: Any) -> None:
    global _messages, _stopped
    _messages, _stopped = messages, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    die_with_parent()


def _work(index: int, job: Job, root: Path) -> Record:
    def tell(step: int, words: str) -> None:
        if _stopped.is_set():
            raise Stopped
        _messages.put((index, step, words))

    tell(0, "started")
    start = time.perf_counter()
    answer = execute(job, root, tell)
    return {"key": job.key, "seconds": round(time.perf_counter() - start, 3), **answer}
