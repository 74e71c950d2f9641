"""What decides the next epoch of a run, as the bytes of a checkpoint and back: what is stored is what is restored."""

from __future__ import annotations

from collections.abc import Mapping

import safetensors.torch
import torch
from torch import Tensor, nn

__all__ = ["restore_state", "state_bytes"]


def state_bytes(
    model: nn.Module, optimiser: torch.optim.Optimizer, generators: Mapping[str, torch.Generator]
) -> tuple[bytes, bytes]:
    """The weights, and all else: the momentum of the optimiser and the generators, each by its name."""
    state = {name: generator.get_state() for name, generator in generators.items()}
    for name, parameter in model.named_parameters():
        buffer = optimiser.state[parameter].get("momentum_buffer")
        if buffer is not None:
            state[f"momentum.{name}"] = buffer
    return safetensors.torch.save(model.state_dict()), safetensors.torch.save(state)


def restore_state(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    generators: Mapping[str, torch.Generator],
    weights: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
) -> None:
    """Bring model, optimiser and generators to the tensors of ``state_bytes``; momentum goes where the weights lie.

    Raises ``RuntimeError`` or ``KeyError`` for the tensors of something else.
    """
    model.load_state_dict(dict(weights))
    for name, generator in generators.items():
        generator.set_state(state[name])
    for name, parameter in model.named_parameters():
        if f"momentum.{name}" in state:
            optimiser.state[parameter]["momentum_buffer"] = state[f"momentum.{name}"].to(parameter.device)
