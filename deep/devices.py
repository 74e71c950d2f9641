"""Where a run is computed: one process on a processor by default; another device, more processes by lightning-fabric.

``Hardware`` does not say what is computed: with it, the same configuration gives the same weights up to the order of
sums.  What decides more than that, the precision, is ``TrainConfig.dtype``.  Nothing here imports lightning-fabric
until it is needed: one process on a processor in float32 or float64 runs on plain torch, as fast as it can.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ._sgd import PlainSteps

__all__ = ["ACCELERATORS", "Hardware", "Place", "make_place"]

ACCELERATORS = ("cpu", "cuda")
Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Hardware:
    """The device and the number of processes of a run.

    accelerator : ``cpu`` or ``cuda``.
    processes   : each takes its share of every batch and the gradients are averaged (DDP; gloo between processors, nccl
                  between GPUs, of which each process has its own).  The batch size stays that of the whole.

    Raises ``ValueError`` for another accelerator, and for more GPUs than there are.
    """

    accelerator: str = "cpu"
    processes: int = 1

    def __post_init__(self) -> None:
        if self.accelerator not in ACCELERATORS:
            raise ValueError(f"accelerator={self.accelerator!r} must be one of {', '.join(map(repr, ACCELERATORS))}")
        count: object = self.processes
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1024:
            raise ValueError(f"processes={self.processes!r} must be an integer in 1..1024")
        if self.accelerator == "cuda" and self.processes > (there := torch.cuda.device_count()):
            raise ValueError(f"processes={self.processes!r} must be at most {there}, the number of GPUs here")

    def describe(self) -> dict[str, Any]:
        """What a promise of the same bits depends on; ``processes`` only where there are several."""
        device = "cpu" if self.accelerator == "cpu" else torch.cuda.get_device_name(0)
        return {"device": device} | ({"processes": self.processes} if self.processes > 1 else {})


class Place:
    """One process on one device without any help: the processor."""

    device = torch.device("cpu")
    rank = 0
    processes = 1

    def wrap(self, model: nn.Module, optimiser: torch.optim.SGD) -> tuple[Forward, Any]:
        """The model as it is to be called in training, and the optimiser as it is to be stepped."""
        return model, PlainSteps(optimiser)

    def backward(self, objective: Tensor) -> None:
        """Add the gradients of this process' objective, averaged over the processes, to the parameters."""
        objective.backward()  # type: ignore[no-untyped-call]

    def share(self, count: int) -> slice:
        """The rows of this process among ``count``."""
        return slice(count * self.rank // self.processes, count * (self.rank + 1) // self.processes)

    def total(self, value: Tensor) -> Tensor:
        """The sum over the processes, on each of them."""
        return value

    def from_first(self, value: Any) -> Any:
        """What process 0 has, on each of them."""
        return value

    def wait(self) -> None:
        """Let no process go on before all are here."""


class _FabricPlace(Place):
    """The same by lightning-fabric: any device, several processes, mixed precision."""

    def __init__(self, fabric: Any) -> None:
        self._fabric = fabric
        self.device, self.rank, self.processes = fabric.device, fabric.global_rank, fabric.world_size

    def wrap(self, model: nn.Module, optimiser: torch.optim.SGD) -> tuple[Forward, Any]:
        forward, stepped = self._fabric.setup(model, optimiser)
        return forward, stepped

    def backward(self, objective: Tensor) -> None:
        self._fabric.backward(objective)

    def total(self, value: Tensor) -> Tensor:
        return self._fabric.all_reduce(value, reduce_op="sum")  # type: ignore[no-any-return]

    def from_first(self, value: Any) -> Any:
        return self._fabric.broadcast(value, src=0)

    def wait(self) -> None:
        self._fabric.barrier()


def make_place(hardware: Hardware, dtype: str, rank: int = 0, port: int = 0) -> Place:
    """The place of process ``rank``; with several processes, all of them must call this, each with its own rank.

    ``dtype`` is that of the configuration; ``port`` is free on this machine, and the same for all.  With several
    processes this sets the variables of the process by which torch's processes find each other.
    """
    if hardware == Hardware() and dtype != "bf16-mixed":
        return Place()
    from lightning_fabric import Fabric

    if hardware.processes > 1:
        os.environ |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "LOCAL_RANK": str(rank),
            "NODE_RANK": "0",
            "WORLD_SIZE": str(hardware.processes),
        }
    greeting = logging.getLogger("lightning_fabric")  # what it says of itself, at the level of information
    level = greeting.level
    greeting.setLevel(logging.WARNING)
    try:
        fabric = Fabric(
            accelerator=hardware.accelerator,
            devices=hardware.processes,
            strategy="ddp" if hardware.processes > 1 else "auto",
            # float64 models are float64 by themselves, and this plugin leaves them alone, unlike "64-true"
            precision="bf16-mixed" if dtype == "bf16-mixed" else "32-true",
        )
        fabric.launch()
    finally:
        greeting.setLevel(level)
    return _FabricPlace(fabric)


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
