"""One process' part of one call of ``train``: model, optimiser, order of the images, and where all is stored."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ._folder import RunFolder
from ._state import restore_state, state_bytes
from ._store import RunFolderError
from ._watch import Failure, Watch
from .config import TrainConfig
from .data import Dataset
from .dca import subtracted_gradient
from .devices import Place
from .losses import AverageMarginLoss
from .measure import Metrics, distances, evaluate
from .models import ConvNet, LinearClassifier, build_model
from .orthogonality import orthogonality_penalty
from .runs import TrainResult, load_tensors

__all__ = ["Job", "Progress"]

Progress = Callable[[int, Mapping[str, float]], None]


class Job:
    """The state of a run between epochs, and the steps that change it."""

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        run: RunFolder,
        notes: list[str],
        place: Place | None = None,
    ) -> None:
        self.config, self.dataset, self.run, self.notes = config, dataset, run, notes
        self.place = Place() if place is None else place
        # Two independent streams from one seed, so that models of different size see the images in the same order.
        first, second = (int(word) for word in np.random.SeedSequence(config.seed).generate_state(2, np.uint64))
        self.order = torch.Generator().manual_seed(second)
        third = int(np.random.SeedSequence(config.seed, spawn_key=(1,)).generate_state(1, np.uint64)[0])
        self.noise = torch.Generator().manual_seed(third)  # of perturbations; read by the methods that have them
        features, weights = dataset.train_x.shape[1], torch.Generator().manual_seed(first)
        model = build_model(config.model, features, dataset.classes, hidden=config.hidden, generator=weights)
        self.model = model.to(device=self.place.device, dtype=config.torch_dtype)
        self.loss = config.make_loss()
        self.objective = config.make_objective()
        self.optimiser = torch.optim.SGD(
            self.model.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.momentum > 0.0,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.forward, self.stepper = self.place.wrap(self.model, self.optimiser)
        self.train_x, self.test_x = (
            torch.tensor(x, dtype=config.torch_dtype, device=self.place.device)
            for x in (dataset.train_x, dataset.test_x)
        )
        self.train_y, self.test_y = (
            torch.tensor(y, device=self.place.device) for y in (dataset.train_y, dataset.test_y)
        )
        # Images of a batch come to the same place each time: half the time of finding new memory, and of indexing.
        self.images = self.train_x.new_empty(min(config.batch_size, len(self.train_x)), *self.train_x.shape[1:])

    def complete(self, progress: Progress | None) -> TrainResult:
        """Train from where the folder stands to the last epoch, storing and telling of each; then mark it finished."""
        records = self._resume()
        status, advice = "done", ""
        failure: Failure | None = None
        for epoch in range(len(records), self.config.epochs + 1):
            start = time.perf_counter()
            record: Metrics = {"loss": math.nan}
            if epoch == 0 or (failure := self._epoch(epoch)) is None:
                record = self._measure(epoch, time.perf_counter() - start) if self.place.rank == 0 else {}
                record = self.place.from_first(record)
            if not all(map(math.isfinite, record.values())):
                status, advice = "diverged", self._advice(epoch, failure)
                break
            records.append(record)
            if self.place.rank == 0:
                self._store(epoch, record)
            if progress is not None:
                progress(epoch, record)
        if self.place.rank == 0:
            summary = {
                "status": status,
                "advice": advice,
                "notes": self.notes,
                "epochs": len(records) - 1,
                "seconds": sum(record["seconds"] for record in records),
                "dataset_sha256": self.dataset.fingerprint,
                "final": records[-1] if records else None,
            }
            self.run.finish(summary | ({"failure": failure.to_dict()} if failure is not None else {}))
        self.place.wait()
        return TrainResult(self.run.path, self.config, status, tuple(records), tuple(self.notes), advice)

    # -- an epoch -----------------------------------------------------------------------------------------------------

    def _epoch(self, epoch: int = 1) -> Failure | None:
        """One pass over the images; stops before the step whose objective is not finite."""
        self.model.train()
        subtracted: list[Tensor] = []
        loss: Callable[[Tensor, Tensor], Tensor] = self.loss
        if self.config.optimiser == "dca" and isinstance(self.loss, AverageMarginLoss):
            subtracted = subtracted_gradient(self.model, self.loss, self.train_x, self.train_y)
            loss = self.loss.convex_part
        # Split before it is moved: the same bits on every device.
        batches = torch.split(torch.randperm(len(self.train_y), generator=self.order), self.config.batch_size)
        parameters = list(self.model.parameters())
        watch = Watch(epoch, batches, self.place)
        for step, batch in enumerate(batches):
            objective = self._objective(loss, batch)
            if (failure := watch.see(step, objective)) is not None:
                return failure
            for parameter in parameters:
                parameter.grad = None
            self.place.backward(objective)
            for parameter, gradient in zip(parameters, subtracted, strict=bool(subtracted)):
                parameter.grad.sub_(gradient)  # type: ignore[union-attr]
            self.stepper.step()
        return watch.last()

    def _objective(self, loss: Callable[[Tensor, Tensor], Tensor], batch: Tensor) -> Tensor:
        """What this process minimises on its share of a batch: the mean over processes is that of the whole batch."""
        rows, share, weight = batch, slice(0, len(batch)), 1.0
        if self.place.processes > 1:
            share = self.place.share(len(batch))
            weight = (share.stop - share.start) * self.place.processes / len(batch)
            if weight == 0.0:  # fewer images than processes: a stand-in that counts for nothing
                share = slice(share.start, share.start + 1)
            rows = batch[share]
        rows = rows.to(self.place.device)
        images = torch.index_select(self.train_x, 0, rows, out=self.images[: len(rows)])
        labels = self.train_y.index_select(0, rows)
        forward = self.forward
        if self._masks is not None and self.place.processes > 1:
            forward = partial(self._with_masks_of, share, len(batch))
        if self.objective is None:
            found = loss(forward(images), labels)
        else:
            noise = self.objective.draw(len(batch), images, self.noise)[share].to(self.place.device)
            found = self.objective(self.model, forward, loss, images, labels, noise)
        if weight != 1.0:
            found = weight * found
        if self.config.beta > 0.0:
            found = found + self.config.beta * self._orthogonality()
        return found

    def _with_masks_of(self, share: slice, count: int, images: Tensor) -> Tensor:
        """Logits with the dropout masks that these rows of a batch of ``count`` have where one process takes it all."""
        assert self._masks is not None
        generator, width = self._masks
        torch.rand(share.start * width, generator=generator)
        logits = self.forward(images)
        torch.rand((count - share.stop) * width, generator=generator)
        return logits

    @property
    def _masks(self) -> tuple[torch.Generator, int] | None:
        """The generator of the dropout masks and their width; None for a model without dropout."""
        if isinstance(self.model, ConvNet) and self.model.dropout.p > 0.0:
            return self.model.dropout.generator, self.model.fc1.out_features
        return None

    def _orthogonality(self) -> Tensor:
        return orthogonality_penalty(self.model, self.config.kernels, doubled=self.config.beta_as == "released")

    # -- what is measured and stored ----------------------------------------------------------------------------------

    def _measure(self, epoch: int, seconds: float) -> Metrics:
        record: Metrics = {"epoch": epoch}
        if any(not torch.isfinite(parameter).all() for parameter in self.model.parameters()):
            return {"epoch": epoch, "weights": math.nan}
        for part in ("train", "test"):
            x, y = (self.train_x, self.train_y) if part == "train" else (self.test_x, self.test_y)
            record |= evaluate(self.model, self.loss, x, y, part)
            if isinstance(self.model, LinearClassifier):
                here = self.model if self.place.device.type == "cpu" else copy.deepcopy(self.model).cpu()
                pixels, labels = getattr(self.dataset, f"{part}_x"), getattr(self.dataset, f"{part}_y")
                record |= distances(here, pixels, labels, part)
        if self.config.beta > 0.0:
            record["orthogonality"] = float(self._orthogonality().detach())
        return record | {"seconds": seconds}

    def _store(self, epoch: int, record: Metrics) -> None:
        weights, state = state_bytes(self.model, self.optimiser, self._generators)
        self.run.milestones.save(epoch, weights)
        self.run.append_metrics(record)
        self.run.save_checkpoint(epoch, weights, state)

    @property
    def _generators(self) -> dict[str, torch.Generator]:
        """Those that decide the next epoch, by the names that they are stored under."""
        found = {"order": self.order}
        if isinstance(self.model, ConvNet):
            found["dropout"] = self.model.dropout.generator
        if self.objective is not None:
            found["noise"] = self.noise
        return found

    def _advice(self, epoch: int, failure: Failure | None) -> str:
        where = f"epoch {epoch} gave NaN or infinity"
        if failure is not None:
            shown = ", ".join(map(str, failure.images[:3]))
            where = (
                f"epoch {epoch}, step {failure.step}: the objective was {failure.value} on a batch of"
                f" {len(failure.images)} images ({shown}, ...; all in summary.json)"
            )
        last = f"is that of epoch {epoch - 1}" if epoch > 1 else "does not exist (milestones/ has the start)"
        return f"{where}; the last good checkpoint {last}; lower lr={self.config.lr:g} or beta"

    # -- taking up ----------------------------------------------------------------------------------------------------

    def _resume(self) -> list[Metrics]:
        """Bring model, optimiser and generators to the last stored epoch; return the records up to it."""
        kept, weights, state = self.place.from_first(self._sound_part() if self.place.rank == 0 else None)
        if weights:
            try:
                stored = load_tensors(weights, self.run.path), load_tensors(state, self.run.path)
                restore_state(self.model, self.optimiser, self._generators, *stored)
            except (RuntimeError, KeyError) as error:  # sums that match, and the content of something else
                if isinstance(error, RunFolderError):
                    raise
                words = " ".join(str(error).split())
                raise RunFolderError(f"{self.run.path}: checkpoint must be one of this run ({words})") from error
        return list(kept)

    def _sound_part(self) -> tuple[list[Metrics], bytes, bytes]:
        """Records, weights and state of the newest sound checkpoint; the folder is put back to that epoch."""
        records, word = self.run.read_metrics()
        if word:
            self.notes.append(word)
        if not records and not word:
            return [], b"", b""
        found = self.run.load_checkpoint(latest=min(len(records) - 1, self.config.epochs))
        kept = records[: found[0] + 1] if found is not None else []  # records alone are not trusted
        self.run.drop_checkpoints_after(len(kept) - 1)
        taken_up = f"taken up after epoch {len(kept) - 1} of {self.config.epochs}"
        self.notes.append(taken_up if kept else "no sound checkpoint: begun again")
        if word or len(kept) < len(records):
            self.run.rewrite_metrics(list(kept))
        return list(kept), *(found[1:] if found is not None else (b"", b""))
