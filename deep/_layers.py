"""Layers whose every random number comes from a generator that is passed in; torch's global one is not touched."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ._inputs import check_generator

__all__ = ["Dropout", "conv3x3", "linear"]


def linear(in_features: int, out_features: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer, weights and biases uniform on +-1/sqrt(in_features), as torch's own default."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, in_features, out_features)  # type: ignore[no-untyped-call]
    _uniform(layer, in_features, generator)
    return layer


def conv3x3(in_channels: int, out_channels: int, generator: torch.Generator) -> nn.Conv2d:
    """A 3 by 3 convolution without padding, uniform on +-1/sqrt(9 in_channels), as torch's own default."""
    layer: nn.Conv2d = nn.utils.skip_init(nn.Conv2d, in_channels, out_channels, kernel_size=3)  # type: ignore[no-untyped-call]
    _uniform(layer, 9 * in_channels, generator)
    return layer


class Dropout(nn.Module):
    """In training mode each entry is 0 with probability ``p``, and multiplied by 1/(1 - p) otherwise; else unchanged.

    ``generator`` is the state of the masks: they are drawn on its device and moved, so that a run can be taken up again
    with the same bits.  Raises ``ValueError`` unless 0 <= p < 1.
    """

    def __init__(self, p: float, generator: torch.Generator) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ValueError(f"p={p!r} must lie in [0, 1)")
        self.p, self.generator = float(p), generator

    def forward(self, x: Tensor) -> Tensor:
        """Map x of any shape to the same shape."""
        if not self.training or self.p == 0.0:
            return x
        drawn = torch.rand(x.shape, generator=self.generator, device=self.generator.device)
        return x * ((drawn >= self.p).to(device=x.device, dtype=x.dtype) / (1.0 - self.p))

    def extra_repr(self) -> str:
        """Show the probability in ``repr``."""
        return f"p={self.p:g}"


def _uniform(layer: nn.Module, fan_in: int, generator: torch.Generator) -> None:
    check_generator(generator)
    bound = 1.0 / math.sqrt(fan_in)
    with torch.no_grad():
        for parameter in layer.parameters():  # weight, then bias
            parameter.uniform_(-bound, bound, generator=generator)
