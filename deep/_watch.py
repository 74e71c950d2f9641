"""Stopping at the first step whose objective is not finite, with what is needed to look into it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from .devices import Place

__all__ = ["Failure", "Watch"]

_CHECK_EVERY = 32  # steps, on a GPU, where looking at a value waits for all that was asked for before


@dataclass(frozen=True)
class Failure:
    """The first step whose objective was not finite: step 1 is the first of the epoch; ``images`` are its rows."""

    epoch: int
    step: int
    value: float
    images: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values; the value, which JSON does not have, as a word."""
        return asdict(self) | {"value": repr(self.value), "images": list(self.images)}


class Watch:
    """Looks at the objective of every step: at once on a processor, some steps at a time where looking is slow."""

    def __init__(self, epoch: int, batches: Sequence[Tensor], place: Place) -> None:
        self._epoch, self._batches, self._place = epoch, batches, place
        self._held: list[Tensor] = []
        self._first = 0

    def see(self, step: int, objective: Tensor) -> Failure | None:
        """Look at a step, counted from 0; with several processes all of them find the same."""
        value = objective.detach()
        if self._place.processes > 1:
            value = self._place.total(value.clone())
        if self._place.device.type == "cpu":
            return self._failure(step, value.item())
        self._held.append(value)
        return self.last() if len(self._held) == _CHECK_EVERY else None

    def last(self) -> Failure | None:
        """Look at the steps that have not been looked at yet."""
        values = torch.stack(self._held).tolist() if self._held else []
        first, self._first, self._held = self._first, self._first + len(values), []
        found = (self._failure(step, value) for step, value in enumerate(values, first))
        return next((failure for failure in found if failure is not None), None)

    def _failure(self, step: int, value: float) -> Failure | None:
        if math.isfinite(value):
            return None
        return Failure(self._epoch, step + 1, value, tuple(self._batches[step].tolist()))
