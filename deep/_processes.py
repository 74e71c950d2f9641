"""The processes of a run that has several: started, listened to, and ended together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing
from torch.multiprocessing.spawn import ProcessException, start_processes

from ._folder import RunFolder
from ._job import Job, Progress
from .config import TrainConfig
from .data import Dataset
from .devices import Hardware, free_port, make_place

__all__ = ["complete_in_processes"]

_POLL = 0.05  # seconds between two looks at what the processes have said


def complete_in_processes(
    config: TrainConfig,
    dataset: Dataset,
    folder: Path,
    notes: list[str],
    progress: Progress | None,
    hardware: Hardware,
) -> None:
    """Train in ``hardware.processes`` new processes until ``folder`` holds a finished run.

    ``progress`` is called here; where it raises, all processes are ended.  What one of them raises is raised here.
    """
    said = torch.multiprocessing.get_context("spawn").SimpleQueue()
    given = (free_port(), config, dataset, folder, notes, hardware, said)
    context = start_processes(  # type: ignore[no-untyped-call]
        _work, given, nprocs=hardware.processes, join=False, start_method="spawn"
    )
    assert context is not None
    try:
        ended = False
        while not ended:
            try:
                ended = context.join(_POLL)
            except ProcessException as error:
                _listen(said, progress)
                raise RuntimeError(f"process {error.error_index} of {hardware.processes} ended: {error}") from error
            _listen(said, progress)
    finally:
        for process in context.processes:
            if process.is_alive():
                process.kill()
            process.join()


def _listen(said: Any, progress: Progress | None) -> None:
    while not said.empty():
        word, value = said.get()
        if word == "error":
            raise value
        if progress is not None:
            progress(*value)


def _work(
    rank: int,
    port: int,
    config: TrainConfig,
    dataset: Dataset,
    folder: Path,
    notes: list[str],
    hardware: Hardware,
    said: Any,
) -> None:
    try:
        torch.set_num_threads(config.threads)
        place = make_place(hardware, config.dtype, rank, port)
        run = RunFolder(folder)
        Job(config, dataset, run, notes, place).complete(
            (lambda epoch, metrics: said.put(("epoch", (epoch, dict(metrics))))) if rank == 0 else None
        )
        torch.distributed.destroy_process_group()
    except Exception as error:
        said.put(("error", error))
        os._exit(1)  # the others are ended by the parent; nothing more is to be told
