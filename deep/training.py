"""Training: a function of a frozen configuration, a data set and a folder, that can be stopped and taken up again."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import safetensors
import torch

from ._folder import RunFolder
from ._job import Job as _Job
from ._job import Progress
from ._processes import complete_in_processes
from ._store import RunFolderError as RunFolderError
from .config import TrainConfig as TrainConfig
from .data import Dataset
from .devices import Hardware, make_place
from .models import check_in_features
from .runs import TrainResult, load_run

__all__ = ["RunFolderError", "TrainConfig", "environment", "train"]

_ONE = Hardware()


def train(
    config: TrainConfig,
    dataset: Dataset,
    folder: str | os.PathLike[str],
    progress: Progress | None = None,
    hardware: Hardware = _ONE,
) -> TrainResult:
    """Train as ``config`` says and leave everything in ``folder``; ``progress(epoch, metrics)`` is told of each epoch.

    Metrics of an epoch: ``{train,test}_{loss,accuracy,margin_mean,margin_min}``, for the linear model the exact
    distances of ``deep.measure.distances``, ``orthogonality`` where beta > 0, and ``seconds`` (training alone).  The
    loss is that of the images as they are, whatever ``method`` trains on.

    A folder that is done with this configuration and these data gives its stored result without work, after its files
    have been checked; one that was interrupted is taken up at the last sound checkpoint, and ends with the same bits as
    if it had not been (same versions, threads, processor and ``hardware``; ``seconds`` aside).  ``epochs`` alone may be
    another than in the folder: a larger number, or, of a run that has not ended, a smaller one that it has not passed.
    The run goes on, or stops there, and ends as one that had so many from the start.  A folder in which another process
    trains is refused after some seconds, where the system has locks.

    ``hardware`` says where it is computed.  Its further processes are started anew: a script that asks for several
    needs ``if __name__ == "__main__"``, and its weights are those of one process up to the order of sums.

    A step whose objective is not finite ends the run with status ``diverged``, which is a result and no error.

    Raises ``RunFolderError``, before any work, for a folder that cannot be written, was altered, or holds another
    configuration or other data, and later where writing fails, on a full disk for one; the earlier checkpoint is then
    still there.  ``ValueError`` if ``dataset`` is not the one the configuration names, or has images that its model
    does not take; or for several processes with ``trades`` or ``mma`` on a model with dropout, whose masks would then
    depend on how many there are.
    """
    if dataset.name != config.dataset:
        raise ValueError(f"dataset.name={dataset.name!r} must be {config.dataset!r}, which the configuration names")
    check_in_features(config.model, dataset.train_x.shape[1])
    if hardware.processes > 1 and config.model == "cifar-cnn" and config.method in ("trades", "mma"):
        raise ValueError(
            f"processes={hardware.processes} must be 1 for method={config.method!r} on a model with dropout"
        )
    run = RunFolder(folder)
    here = environment(config, dataset, hardware)
    notes: list[str] = []
    if (stored := run.stored_config()) is None:
        run.create(config.to_dict(), here)
    else:
        epochs = _check_same_run(run, stored, config, dataset)
        if run.read_json("summary.json") is not None:
            done = load_run(folder)
            if epochs == config.epochs:
                return done
    with run.alone():
        if stored is not None:  # read again: another process may have extended the run until the folder was free
            epochs = _check_same_run(run, run.stored_config() or stored, config, dataset)
            notes += _take_up(run, epochs, config, here)
        if hardware.processes > 1:
            complete_in_processes(config, dataset, run.path, notes, progress, hardware)
            return load_run(folder)
        with _threads(config.threads):
            return _Job(config, dataset, run, notes, make_place(hardware, config.dtype)).complete(progress)


def environment(config: TrainConfig, dataset: Dataset, hardware: Hardware = _ONE) -> dict[str, Any]:
    """Return what a promise of the same bits depends on, and the fingerprint of the data, as plain values."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
        "platform": f"{sys.platform}-{platform.machine()}",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        **hardware.describe(),
        "threads": config.threads,
        "dataset": {"name": dataset.name, "sha256": dataset.fingerprint},
    }


def _check_same_run(run: RunFolder, stored: Mapping[str, Any], config: TrainConfig, dataset: Dataset) -> int:
    """The stored number of epochs; ``RunFolderError`` for another run."""
    asked = config.to_dict()
    stored = {**TrainConfig().to_dict(), **stored}  # a field that is younger than the folder has its default
    for key in {**asked, **stored}:
        if key == "epochs" and isinstance(stored[key], int) and _can_end(run, stored[key], config.epochs):
            continue  # the one field that may change
        if stored.get(key) != asked.get(key):
            raise RunFolderError(
                f"{run.path}: was made with {key}={stored.get(key)!r}, not {asked.get(key)!r}; give another folder"
            )
    data = (run.read_json("env.json") or {}).get("dataset")
    if data != {"name": dataset.name, "sha256": dataset.fingerprint}:
        raise RunFolderError(f"{run.path}: was made with other data of the name {dataset.name!r}; give another folder")
    return int(stored["epochs"])


def _can_end(run: RunFolder, epochs: int, wanted: int) -> bool:
    """Whether a run of so many epochs can be made one of ``wanted``: it has not passed them, nor ended before."""
    if wanted >= epochs:
        return True
    return run.read_json("summary.json") is None and len(run.read_metrics()[0]) - 1 <= wanted


def _take_up(run: RunFolder, epochs: int, config: TrainConfig, here: Mapping[str, Any]) -> list[str]:
    """Make a folder that had so many epochs ready to go on; what is to be said of that."""
    notes = []
    run.check_writable()
    if changed := _differences(run.read_json("env.json") or {}, here):
        notes.append(f"taken up in another environment ({', '.join(changed)}): the same bits are not promised")
    if epochs != config.epochs:
        run.reopen(config.to_dict())
        run.milestones.drop_after(config.epochs)  # which a kill may have left without a record
        notes.append(f"{'extended' if config.epochs > epochs else 'cut'} from {epochs} to {config.epochs} epochs")
    return notes


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    keys = dict.fromkeys((*new, *old))
    return [f"{key} {old.get(key)} -> {new.get(key)}" for key in keys if old.get(key) != new.get(key)]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Run with this many torch threads, a setting of the whole process, and restore it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
