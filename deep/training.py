"""Training: a function of a frozen configuration, a data set and a folder, that can be stopped and taken up again."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ._folder import RunFolder
from ._folder import RunFolderError as RunFolderError
from .config import TrainConfig as TrainConfig
from .data import Dataset
from .dca import subtracted_gradient
from .losses import AverageMarginLoss
from .measure import Metrics, distances, evaluate
from .models import ConvNet, LinearClassifier, build_model, check_in_features, restore_model
from .orthogonality import orthogonality_penalty

__all__ = ["RunFolderError", "TrainConfig", "TrainResult", "environment", "load_model", "load_run", "train"]

Progress = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class TrainResult:
    """A finished run: ``metrics[k]`` belongs to epoch k, and epoch 0 is the model before training.

    status : ``done``, or ``diverged`` where loss or weights ceased to be finite; ``advice`` then says what to try.
    notes  : what happened on the way (taken up again, a torn line dropped, another environment).
    """

    folder: Path
    config: TrainConfig
    status: str
    metrics: tuple[Metrics, ...]
    notes: tuple[str, ...]
    advice: str


def train(
    config: TrainConfig, dataset: Dataset, folder: str | os.PathLike[str], progress: Progress | None = None
) -> TrainResult:
    """Train as ``config`` says and leave everything in ``folder``; ``progress(epoch, metrics)`` is told of each epoch.

    Metrics of an epoch: ``{train,test}_{loss,accuracy,margin_mean,margin_min}``, for the linear model the exact
    distances of ``deep.measure.distances``, ``orthogonality`` where beta > 0, and ``seconds`` (training alone).

    A folder that is done with this configuration and these data gives its stored result without work, after its files
    have been checked; one that was interrupted is taken up at the last sound checkpoint, and ends with the same bits as
    if it had not been (same versions, threads and processor; ``seconds`` aside).  Two processes must not share one.

    Raises ``RunFolderError``, before any work, for a folder that cannot be written, was altered, or holds another
    configuration or other data; ``ValueError`` if ``dataset`` is not the one the configuration names, or has images
    that its model does not take.
    """
    if dataset.name != config.dataset:
        raise ValueError(f"dataset.name={dataset.name!r} must be {config.dataset!r}, which the configuration names")
    check_in_features(config.model, dataset.train_x.shape[1])
    run = RunFolder(folder)
    here = environment(config, dataset)
    notes: list[str] = []
    if (stored := run.stored_config()) is None:
        run.create(config.to_dict(), here)
    else:
        _check_same_run(run, stored, config, dataset)
        if run.read_json("summary.json") is not None:
            return load_run(folder)
        run.check_writable()
        changed = _differences(run.read_json("env.json") or {}, here)
        if changed:
            notes.append(f"taken up in another environment ({', '.join(changed)}): the same bits are not promised")
    with _threads(config.threads):
        return _Job(config, dataset, run, notes).complete(progress)


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
    """Return the trained model of a finished run, in evaluation mode.  Errors as in ``load_run``."""
    result = load_run(folder)
    found = RunFolder(folder).load_checkpoint()
    if found is None:
        raise RunFolderError(f"{result.folder}: holds no checkpoint (status {result.status!r})")
    model = restore_model(result.config.model, safetensors.torch.load(found[1]))
    return model.eval()


def environment(config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    """Return what a promise of the same bits depends on, and the fingerprint of the data, as plain values."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
        "platform": f"{sys.platform}-{platform.machine()}",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
        "threads": config.threads,
        "dataset": {"name": dataset.name, "sha256": dataset.fingerprint},
    }


class _Job:
    """One call of ``train``: the model, its optimiser, the order of images, and the folder they are stored in."""

    def __init__(self, config: TrainConfig, dataset: Dataset, run: RunFolder, notes: list[str]) -> None:
        self.config, self.dataset, self.run, self.notes = config, dataset, run, notes
        # Two independent streams from one seed, so that models of different size see the images in the same order.
        first, second = (int(word) for word in np.random.SeedSequence(config.seed).generate_state(2, np.uint64))
        self.order = torch.Generator().manual_seed(second)
        features, weights = dataset.train_x.shape[1], torch.Generator().manual_seed(first)
        model = build_model(config.model, features, dataset.classes, hidden=config.hidden, generator=weights)
        self.model = model.to(config.torch_dtype)
        self.loss = config.make_loss()
        self.optimiser = torch.optim.SGD(
            self.model.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.momentum > 0.0,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.train_x, self.test_x = (
            torch.tensor(x, dtype=config.torch_dtype) for x in (dataset.train_x, dataset.test_x)
        )
        self.train_y, self.test_y = torch.tensor(dataset.train_y), torch.tensor(dataset.test_y)

    def complete(self, progress: Progress | None) -> TrainResult:
        records = self._resume()
        status, advice = "done", ""
        for epoch in range(len(records), self.config.epochs + 1):
            start = time.perf_counter()
            if epoch > 0:
                self._epoch()
            record = self._measure(epoch, time.perf_counter() - start)
            if not all(map(math.isfinite, record.values())):
                status, advice = "diverged", f"epoch {epoch} gave NaN or infinity: lower lr={self.config.lr:g} or beta"
                break
            weights, state = self._state()
            self.run.save_milestone(epoch, weights)
            self.run.append_metrics(record)
            if epoch > 0:
                self.run.save_checkpoint(epoch, weights, state)
            records.append(record)
            if progress is not None:
                progress(epoch, record)
        summary = {
            "status": status,
            "advice": advice,
            "notes": self.notes,
            "epochs": len(records) - 1,
            "seconds": sum(record["seconds"] for record in records),
            "dataset_sha256": self.dataset.fingerprint,
            "final": records[-1] if records else None,
        }
        self.run.finish(summary)
        return TrainResult(self.run.path, self.config, status, tuple(records), tuple(self.notes), advice)

    def _epoch(self) -> None:
        self.model.train()
        subtracted: list[Tensor] = []
        loss: Callable[[Tensor, Tensor], Tensor] = self.loss
        if self.config.optimiser == "dca" and isinstance(self.loss, AverageMarginLoss):
            subtracted = subtracted_gradient(self.model, self.loss, self.train_x, self.train_y)
            loss = self.loss.convex_part
        for batch in torch.split(torch.randperm(len(self.train_y), generator=self.order), self.config.batch_size):
            images = self.train_x.index_select(0, batch)  # twice as fast as indexing, which is general
            objective = loss(self.model(images), self.train_y[batch])
            if self.config.beta > 0.0:
                objective = objective + self.config.beta * self._orthogonality()
            self.optimiser.zero_grad()
            objective.backward()  # type: ignore[no-untyped-call]
            for parameter, gradient in zip(self.model.parameters(), subtracted, strict=bool(subtracted)):
                parameter.grad.sub_(gradient)  # type: ignore[union-attr]
            self.optimiser.step()

    def _orthogonality(self) -> Tensor:
        return orthogonality_penalty(self.model, self.config.kernels, doubled=self.config.beta_as == "released")

    def _measure(self, epoch: int, seconds: float) -> Metrics:
        record: Metrics = {"epoch": epoch}
        if any(not torch.isfinite(parameter).all() for parameter in self.model.parameters()):
            return {"epoch": epoch, "weights": math.nan}
        for part in ("train", "test"):
            x, y = (self.train_x, self.train_y) if part == "train" else (self.test_x, self.test_y)
            record |= evaluate(self.model, self.loss, x, y, part)
            if isinstance(self.model, LinearClassifier):
                pixels, labels = getattr(self.dataset, f"{part}_x"), getattr(self.dataset, f"{part}_y")
                record |= distances(self.model, pixels, labels, part)
        if self.config.beta > 0.0:
            record["orthogonality"] = float(self._orthogonality().detach())
        return record | {"seconds": seconds}

    def _state(self) -> tuple[bytes, bytes]:
        """The weights, and all else that decides the next epoch: momentum, generators of the order and of dropout."""
        state = {"order": self.order.get_state()}
        if isinstance(self.model, ConvNet):
            state["dropout"] = self.model.dropout.generator.get_state()
        for name, parameter in self.model.named_parameters():
            buffer = self.optimiser.state[parameter].get("momentum_buffer")
            if buffer is not None:
                state[f"momentum.{name}"] = buffer
        return safetensors.torch.save(self.model.state_dict()), safetensors.torch.save(state)

    def _resume(self) -> list[Metrics]:
        """Bring model, optimiser and generator to the last stored epoch; return the records up to it."""
        records, word = self.run.read_metrics()
        if word:
            self.notes.append(word)
        if not records and not word:
            return []
        found = self.run.load_checkpoint(latest=min(len(records) - 1, self.config.epochs))
        kept = records[: found[0] + 1] if found is not None else records[:1]
        self.run.drop_checkpoints_after(len(kept) - 1)
        if found is not None:
            _, weights, stored = found
            self.model.load_state_dict(safetensors.torch.load(weights))
            state = safetensors.torch.load(stored)
            self.order.set_state(state["order"])
            if isinstance(self.model, ConvNet):
                self.model.dropout.generator.set_state(state["dropout"])
            for name, parameter in self.model.named_parameters():
                if f"momentum.{name}" in state:
                    self.optimiser.state[parameter]["momentum_buffer"] = state[f"momentum.{name}"]
        if kept:
            self.notes.append(f"taken up after epoch {len(kept) - 1} of {self.config.epochs}")
        if word or len(kept) < len(records):
            self.run.rewrite_metrics(list(kept))
        return list(kept)


def _check_same_run(run: RunFolder, stored: Mapping[str, Any], config: TrainConfig, dataset: Dataset) -> None:
    asked = config.to_dict()
    stored = {**TrainConfig().to_dict(), **stored}  # a field that is younger than the folder has its default
    for key in {**asked, **stored}:
        if stored.get(key) != asked.get(key):
            raise RunFolderError(
                f"{run.path}: was made with {key}={stored.get(key)!r}, not {asked.get(key)!r}; give another folder"
            )
    data = (run.read_json("env.json") or {}).get("dataset")
    if data != {"name": dataset.name, "sha256": dataset.fingerprint}:
        raise RunFolderError(f"{run.path}: was made with other data of the name {dataset.name!r}; give another folder")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [f"{key} {old.get(key)} -> {value}" for key, value in new.items() if old.get(key) != value]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Run with this many torch threads, a setting of the whole process, and restore it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
