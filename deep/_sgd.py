"""A step of ``torch.optim.SGD`` by torch's own function, without what surrounds it in the class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.sgd import sgd

__all__ = ["PlainSteps"]


class PlainSteps:
    """``step()`` of an optimiser of one group: the same bits, the same state, and none of its hooks.

    Hooks, profiler and guards of the class take as long as the gradient of a linear model on a batch of images.
    """

    def __init__(self, optimiser: torch.optim.SGD) -> None:
        (self._group,) = optimiser.param_groups
        self._state = optimiser.state

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient, and their momentum."""
        group = self._group
        parameters: list[Tensor] = [parameter for parameter in group["params"] if parameter.grad is not None]
        momentum = [self._state[parameter].get("momentum_buffer") for parameter in parameters]
        sgd(
            parameters,
            [parameter.grad for parameter in parameters],  # type: ignore[misc]
            momentum,
            fused=group["fused"],
            foreach=group["foreach"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            lr=group["lr"],
            dampening=group["dampening"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
        )
        if group["momentum"] != 0.0:
            for parameter, buffer in zip(parameters, momentum, strict=True):
                self._state[parameter]["momentum_buffer"] = buffer
