"""Reading a model of torch as a chain of layers: what a bound does not know it refuses, and guesses nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrize

from deep._inputs import ModelError, images_of, labels_of
from deep._layers import Dropout
from deep.measure import evaluation_mode
from deep.models import MLP, ConvNet, LinearClassifier

from ._chain import Affine, Chain, Convolution, Layer, Pool, Relu, Reshape, Shape

__all__ = ["check_images", "convolution", "read_chain"]


@dataclass
class _Reader:
    """The layers read so far, and the shape of what the next one is given."""

    shape: Shape
    layers: list[Layer] = field(default_factory=list)

    def add(self, name: str, module: nn.Module) -> None:
        kind = _kind(module)
        if kind is nn.Linear:
            assert isinstance(module, nn.Linear)
            if len(self.shape) != 1 or self.shape[0] != module.in_features:
                raise ModelError(
                    f"layer {name!r} takes vectors of {module.in_features}; images of shape {self.shape} reach it"
                )
            self.layers.append(Affine(name, _double(module.weight), _bias(module, module.out_features)))
            self.shape = (module.out_features,)
        elif kind is nn.Conv2d:
            assert isinstance(module, nn.Conv2d)
            self._convolution(name, module)
        elif kind is nn.ReLU:
            self.layers.append(Relu())
        elif kind is nn.MaxPool2d:
            assert isinstance(module, nn.MaxPool2d)
            self._pool(name, module)
        elif kind in (nn.Flatten, nn.Unflatten):
            self.reshape(tuple(module(torch.zeros(1, *self.shape)).shape[1:]))
        elif kind not in (nn.Identity, nn.Dropout, Dropout):
            raise ModelError(f"layer {name!r} of type {type(module).__name__} must be one that a rigorous bound knows")

    def reshape(self, shape: Shape) -> None:
        if shape != self.shape:
            self.layers.append(Reshape(shape))
            self.shape = shape

    def _convolution(self, name: str, module: nn.Conv2d) -> None:
        layer = convolution(name, module, self.shape)
        self.layers.append(layer)
        self.shape = tuple(layer(torch.zeros(1, *self.shape, dtype=torch.float64)).shape[1:])

    def _pool(self, name: str, module: nn.MaxPool2d) -> None:
        plain = module.padding in (0, (0, 0)) and module.dilation in (1, (1, 1)) and not module.ceil_mode
        if not plain or module.return_indices:
            raise ModelError(f"layer {name!r}: pooling must be without padding, dilation, ceil_mode and return_indices")
        layer = Pool(_pair(module.kernel_size), _pair(module.stride))
        self.layers.append(layer)
        self.shape = tuple(layer(torch.zeros(1, *self.shape)).shape[1:])


def convolution(name: str, module: nn.Conv2d, shape: Shape) -> Convolution:
    """Read a convolution that is given images of this shape; ``ModelError`` for a padding other than by zeros."""
    if module.padding_mode != "zeros" or module.padding == "same":
        raise ModelError(f"layer {name!r}: padding must be by zeros, the same number on either side")
    if len(shape) != 3 or shape[0] != module.in_channels:
        raise ModelError(
            f"layer {name!r} takes images of {module.in_channels} channels; images of shape {shape} reach it"
        )
    padding = (0, 0) if isinstance(module.padding, str) else _pair(module.padding)
    bias = _bias(module, module.out_channels)
    settings = _pair(module.stride), padding, _pair(module.dilation), module.groups
    return Convolution(name, _double(module.weight), bias, *settings, shape)


def read_chain(model: nn.Module, shape: Sequence[int]) -> Chain:
    """Read a model that is given images of this shape (without n) as a chain, as it is in evaluation mode.

    Known are ``LinearClassifier``, ``MLP``, ``ConvNet``, ``nn.Linear`` and (nested) ``nn.Sequential`` of Linear,
    Conv2d, ReLU, MaxPool2d, Flatten, Unflatten, Dropout and Identity, ending in a Linear with at least two outputs.
    Raises ``ModelError``, with the layer's name, for anything else, and for whatever may change what a module of a
    known type computes: forward hooks, its own or those of all modules, and a ``forward`` put on the module itself.  A
    bound of a network that was misread is none.
    """
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        raise ModelError("torch must have no forward hooks on all modules, which may change what they compute")
    reader = _Reader(tuple(int(size) for size in shape))
    with evaluation_mode(model):  # a parametrised weight (a spectral norm, say) is another one in training mode
        for name, module in _modules(model, ""):
            reader.add(name, module)
    if not reader.layers or not isinstance(last := reader.layers[-1], Affine) or len(last.weight) < 2:
        raise ModelError(f"model={type(model).__name__} must end in a linear layer with at least two outputs")
    for layer in reader.layers:
        if isinstance(layer, Affine | Convolution) and not (
            torch.isfinite(layer.weight).all() and torch.isfinite(layer.bias).all()
        ):
            raise ModelError(f"layer {layer.name!r}: weights must be finite")
    return Chain(tuple(reader.layers))


def check_images(x: Tensor | ArrayLike, y: Tensor | ArrayLike) -> tuple[Tensor, Tensor]:
    """Return x in float64 and y as int64, on the CPU; ``ValueError`` unless they pair and are finite."""
    images = images_of(x).double().cpu()
    if not torch.isfinite(images).all():
        row = int((~torch.isfinite(images).flatten(1).all(dim=1)).nonzero()[0])
        raise ValueError(f"x[{row}] must be finite")
    return images, labels_of(y, len(images)).cpu()


def _modules(model: nn.Module, place: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers in order, with their names; ``place`` is the name of the model itself within the whole."""
    _check_untouched(place, model)
    kind = _kind(model)
    if kind in _PACKAGE:
        yield "", nn.Flatten()
        if kind is ConvNet:
            assert isinstance(model, ConvNet)
            yield "", nn.Unflatten(1, model.image)
            _check_untouched("dropout", model.dropout)
        for name in _PACKAGE[kind]:
            layer = _BETWEEN[name] if name in _BETWEEN else model.get_submodule(name)
            _check_untouched(name, layer)
            yield name, layer
    elif kind is nn.Sequential:
        for name, child in model.named_children():
            for inner, module in _modules(child, f"{place}.{name}" if place else name):
                yield f"{name}.{inner}" if inner else name, module
    elif kind in _KNOWN:
        yield "", model
    else:
        what = f"layer {place!r} of type {kind.__name__}" if place else f"model={kind.__name__}"
        raise ModelError(f"{what} must be one of this package's, or nn.Sequential of layers that are known")


def _check_untouched(name: str, module: nn.Module) -> None:
    """Raise ``ModelError`` where a module may compute something else than its type says."""
    what = f"layer {name!r}" if name else f"model={type(module).__name__}"
    if module._forward_hooks or module._forward_pre_hooks:
        raise ModelError(f"{what} must have no forward hooks, which may change what it computes")
    if "forward" in vars(module):
        raise ModelError(f"{what} must have the forward of its type, {type(module).__name__}; it has its own")


def _kind(module: nn.Module) -> type[nn.Module]:
    """The type, exactly: a subclass may compute something else.  That of a parametrised module is the one it had."""
    return parametrize.type_before_parametrizations(module)


_BETWEEN: dict[str, nn.Module] = {"": nn.ReLU(), "pool": nn.MaxPool2d(2), "flat": nn.Flatten()}
_CONVOLUTIONS = ("conv1", "", "conv2", "", "pool", "conv3", "", "conv4", "", "pool", "flat")
_PACKAGE: dict[type[nn.Module], tuple[str, ...]] = {
    LinearClassifier: ("fc",),
    MLP: ("fc1", "", "fc2"),
    ConvNet: (*_CONVOLUTIONS, "fc1", "", "fc2", "", "fc3"),
}
_KNOWN = (nn.Linear, nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Identity, Dropout)


def _double(value: Tensor) -> Tensor:
    if not value.is_floating_point() or value.is_meta:
        raise ModelError(f"weights of {value.dtype} on {value.device} must be real, and at hand")
    return value.detach().double().cpu()


def _bias(module: nn.Linear | nn.Conv2d, size: int) -> Tensor:
    return torch.zeros(size, dtype=torch.float64) if module.bias is None else _double(module.bias)


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
