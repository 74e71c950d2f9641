"""Stored runs: what a folder of ``train`` holds, read back after checking it; finished runs, and those under way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from ._folder import RunFolder
from ._store import RunFolderError
from .config import TrainConfig
from .measure import Metrics
from .models import restore_model
from .tables import run_table

__all__ = ["TrainProgress", "TrainResult", "load_milestone", "load_model", "load_progress", "load_run", "load_tensors"]


@dataclass(frozen=True)
class TrainResult:
    """A finished run: ``metrics[k]`` belongs to epoch k, and epoch 0 is the model before training.

    status : ``done``, or ``diverged`` where loss or weights ceased to be finite; ``advice`` then says where (epoch,
             step, images), what was left, and what to try.
    notes  : what happened on the way (taken up again, a torn line dropped, another environment).
    """

    folder: Path
    config: TrainConfig
    status: str
    metrics: tuple[Metrics, ...]
    notes: tuple[str, ...]
    advice: str

    def __repr__(self) -> str:
        return f"<TrainResult {self.status}: {self.folder}, {max(len(self.metrics) - 1, 0)} epochs>"

    def _repr_html_(self) -> str:
        return run_table({str(self.folder): self})._repr_html_()


@dataclass(frozen=True)
class TrainProgress:
    """What a run has left so far, whether finished or under way: ``metrics[k]`` belongs to epoch k.

    milestones : the epochs whose weights are kept (0, 1, 2, 5, 10, 20, 50, ...) and their files; ``load_milestone``
                 makes a model of one.
    finished   : whether all of ``config.epochs`` were trained, or the run diverged.
    """

    folder: Path
    config: TrainConfig
    metrics: tuple[Metrics, ...]
    milestones: dict[int, Path]
    finished: bool


def load_run(folder: str | os.PathLike[str]) -> TrainResult:
    """Return the stored result of a finished run after comparing every file with its manifest.

    Raises ``RunFolderError`` for a folder without a finished run, or one whose files were altered.
    """
    run = RunFolder(folder)
    stored, summary = run.stored_config(), run.read_json("summary.json")
    if stored is None or summary is None:
        raise RunFolderError(f"{run.path}: must hold a finished run, with config.toml and summary.json")
    run.verify()
    records, _ = run.read_metrics()
    return TrainResult(
        run.path,
        TrainConfig.from_dict(stored),
        str(summary["status"]),
        tuple(records),
        tuple(summary["notes"]),
        str(summary["advice"]),
    )


def load_model(folder: str | os.PathLike[str]) -> nn.Module:
    """Return the trained model of a finished run, in evaluation mode.  Raises ``RunFolderError``."""
    result = load_run(folder)
    found = RunFolder(folder).load_checkpoint()
    if found is None:
        raise RunFolderError(f"{result.folder}: holds no checkpoint (status {result.status!r})")
    return _model(result.folder, result.config, found[1])


def load_progress(folder: str | os.PathLike[str]) -> TrainProgress:
    """Return what a run has left so far; another process may be writing it.

    Nothing is changed: a line of metrics that is not whole yet is left out, and files are not compared with a manifest,
    which an unfinished run has not (``load_run`` does that for a finished one).
    Raises ``RunFolderError`` for a folder without a readable ``config.toml``.
    """
    run = RunFolder(folder)
    config = _config(run)
    records, _ = run.read_metrics()
    return TrainProgress(
        run.path, config, tuple(records), run.milestones.files(), (run.path / "summary.json").is_file()
    )


def load_milestone(folder: str | os.PathLike[str], epoch: int) -> nn.Module:
    """Return the model after ``epoch`` epochs of a run, finished or not, in evaluation mode.

    The weights must have the SHA-256 stored beside them; a run folder older than those sums is checked against its
    manifest, once it has one.  Raises ``RunFolderError`` for an epoch that is not kept (the kept ones are named), for
    altered weights, or those of another network.
    """
    run = RunFolder(folder)
    config = _config(run)
    return _model(run.path, config, run.milestones.read(epoch))


def load_tensors(data: bytes, where: object) -> dict[str, Tensor]:
    """Return the tensors in the bytes of a safetensors file; ``RunFolderError`` where they are none."""
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise RunFolderError(f"{where}: must hold weights as a safetensors file ({error})") from error


def _config(run: RunFolder) -> TrainConfig:
    stored = run.stored_config()
    if stored is None:
        raise RunFolderError(f"{run.path}: must hold a run, with config.toml")
    try:
        return TrainConfig.from_dict(stored)
    except (ValueError, TypeError) as error:
        raise RunFolderError(f"{run.path}/config.toml: {error}") from error


def _model(where: Path, config: TrainConfig, data: bytes) -> nn.Module:
    try:
        return restore_model(config.model, load_tensors(data, where)).eval()
    except ValueError as error:
        raise RunFolderError(f"{where}: {error}") from error
