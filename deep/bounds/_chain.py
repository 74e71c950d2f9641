"""A network as a chain of layers in float64: what the rigorous bounds work on (``_reading`` makes it of a model)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Affine", "Chain", "Convolution", "Layer", "Pool", "Relu", "Reshape", "Shape"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Affine:
    """z = W h + b; weight (m, k), bias (m,)."""

    name: str
    weight: Tensor
    bias: Tensor

    def __call__(self, h: Tensor) -> Tensor:
        return h @ self.weight.T + self.bias


@dataclass(frozen=True)
class Convolution:
    """A convolution with padding by zeros; ``shape`` (channels, height, width) of what it is given."""

    name: str
    weight: Tensor
    bias: Tensor
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    shape: Shape

    def __call__(self, h: Tensor) -> Tensor:
        return functional.conv2d(h, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    @property
    def torus(self) -> tuple[int, int]:
        """The sides of the padded image: on that torus the convolution is one of the circular one's restrictions."""
        return self.shape[1] + 2 * self.padding[0], self.shape[2] + 2 * self.padding[1]


@dataclass(frozen=True)
class Relu:
    """max(0, z), entry by entry."""

    def __call__(self, h: Tensor) -> Tensor:
        return torch.relu(h)


@dataclass(frozen=True)
class Pool:
    """Maxima over windows, without padding."""

    kernel: tuple[int, int]
    stride: tuple[int, int]

    def __call__(self, h: Tensor) -> Tensor:
        return functional.max_pool2d(h, self.kernel, self.stride)

    @property
    def lipschitz(self) -> float:
        """sqrt of the number of windows that an entry may lie in; 1 for windows that do not overlap.

        |max u - max v|^2 is at most the sum of |u_i - v_i|^2 over the window, and each entry is in so many windows.
        """
        covers = math.prod(-(-size // step) for size, step in zip(self.kernel, self.stride, strict=True))
        return math.sqrt(covers) * (1.0 if covers == 1 else 1.0 + 2.0**-50)


@dataclass(frozen=True)
class Reshape:
    """The same numbers in another shape."""

    shape: Shape

    def __call__(self, h: Tensor) -> Tensor:
        return h.reshape(len(h), *self.shape)


Layer = Affine | Convolution | Relu | Pool | Reshape


@dataclass(frozen=True)
class Chain:
    """Layers one after the other; the last is affine and gives the logits."""

    layers: tuple[Layer, ...]

    def __call__(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    @property
    def dense(self) -> tuple[Affine, ...] | None:
        """The matrices W_1, ..., W_l of W_l relu(... relu(W_1 x + b_1)) + b_l, or None for a chain of another form."""
        inner = [layer for layer in self.layers if not isinstance(layer, Reshape)]
        matrices = [layer for layer in inner[::2] if isinstance(layer, Affine)]
        between = [layer for layer in inner[1::2] if isinstance(layer, Relu)]
        return tuple(matrices) if len(inner) % 2 and len(matrices) + len(between) == len(inner) else None
