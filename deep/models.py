"""The networks of the paper's experiments, initialised from a generator that is passed in."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ._layers import Dropout, conv3x3, linear

__all__ = ["MLP", "MODELS", "ConvNet", "LinearClassifier", "build_model", "guess_model", "restore_model"]


class LinearClassifier(nn.Module):
    """f(x) = W x + b: multinomial logistic regression; state-dict keys ``fc.weight``, ``fc.bias``.

    Images of shape (n, 1, 28, 28) are flattened.  Weights and biases start uniform on +-1/sqrt(in_features).
    """

    def __init__(self, in_features: int = 784, classes: int = 10, *, generator: torch.Generator) -> None:
        super().__init__()
        self.fc = linear(in_features, classes, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (n, ...) to logits of shape (n, c)."""
        return self.fc(x.flatten(1))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """f(x) = W_2 max(0, W_1 x + b_1) + b_2; state-dict keys ``fc1.*``, ``fc2.*``; 784-1024-10 unless told otherwise."""

    def __init__(
        self, in_features: int = 784, classes: int = 10, hidden: int = 1024, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.fc1 = linear(in_features, hidden, generator)
        self.fc2 = linear(hidden, classes, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (n, ...) to logits of shape (n, c)."""
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))  # type: ignore[no-any-return]


class ConvNet(nn.Module):
    """Four 3 by 3 convolutions without padding, pooling (maximum, 2 by 2) after each two, three linear layers; ReLU.

    The two of the paper: MNIST 1-32-32, pool, 32-64-64, pool, then
    1024-200-200-10; CIFAR 3-64-64, pool, 64-128-128, pool, then 3200-256-256-10 with dropout .5 after the first linear
    layer.  State-dict keys ``conv1.*`` to ``conv4.*``, ``fc1.*`` to ``fc3.*``, those of the published checkpoints.
    Every weight and bias starts uniform on +-1/sqrt(fan in); masks of dropout come from ``generator`` too.

    channels, side : of the square images; a flat x of shape (n, channels * side^2) is reshaped.
    widths, hidden : channels of the two pairs of convolutions, units of the first two linear layers.
    Raises ``ValueError`` for a side that leaves nothing to pool (below 16), and in ``forward`` for other images.
    """

    def __init__(
        self,
        channels: int,
        side: int,
        widths: tuple[int, int],
        hidden: int,
        classes: int = 10,
        dropout: float = 0.0,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        last = ((side - 4) // 2 - 4) // 2
        if last < 1:
            raise ValueError(f"side={side!r} must be at least 16")
        self.image = (channels, side, side)
        first, second = widths
        self.conv1 = conv3x3(channels, first, generator)
        self.conv2 = conv3x3(first, first, generator)
        self.conv3 = conv3x3(first, second, generator)
        self.conv4 = conv3x3(second, second, generator)
        self.fc1 = linear(second * last * last, hidden, generator)
        self.fc2 = linear(hidden, hidden, generator)
        self.fc3 = linear(hidden, classes, generator)
        self.dropout = Dropout(dropout, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (n, channels, side, side), or flat, to logits of shape (n, c)."""
        return self.fc3(torch.relu(self.fc2(self.dropout(torch.relu(self.fc1(self.features(x)))))))  # type: ignore[no-any-return]

    def features(self, x: Tensor) -> Tensor:
        """Map images to the output of the convolutions, flat; for MNIST (n, 1024), for CIFAR (n, 3200)."""
        count = self.image[0] * self.image[1] * self.image[2]
        if x.ndim < 2 or x[0].numel() != count or (x.ndim > 2 and tuple(x.shape[1:]) != self.image):
            raise ValueError(
                f"x of shape {tuple(x.shape)} must be (n, {count}) or (n, {', '.join(map(str, self.image))})"
            )
        x = _channels_last(torch.relu(self.conv1(_channels_last(x.reshape(len(x), *self.image)))))
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv4(torch.relu(self.conv3(x)))), 2)
        return x.flatten(1)


def _channels_last(x: Tensor) -> Tensor:
    """The same images with the channels of a pixel side by side, as which convolutions are quickest.

    They stay so from layer to layer; those of one channel are so in any order, and what is made of them is in none.
    """
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)  # as memory_format, which vmap does not take


_CONV = {  # channels, side, widths, hidden, dropout
    "mnist-cnn": (1, 28, (32, 64), 200, 0.0),
    "cifar-cnn": (3, 32, (64, 128), 256, 0.5),
}
MODELS = ("linear", "mlp", *_CONV)


def build_model(
    name: str, in_features: int = 784, classes: int = 10, *, hidden: int = 1024, generator: torch.Generator
) -> nn.Module:
    """Return a fresh float32 model by name: ``linear``, ``mlp``, ``mnist-cnn`` or ``cifar-cnn``.

    ``hidden`` counts for ``mlp`` only.  Raises ``ValueError`` for an unknown name, with the nearest known one, for
    sizes below 1 (2 for classes), and for ``in_features`` other than 784 and 3072 for the two convolution nets.
    """
    check_model_name(name)
    for label, size, least in (("in_features", in_features, 1), ("classes", classes, 2), ("hidden", hidden, 1)):
        if size < least:
            raise ValueError(f"{label}={size!r} must be at least {least}")
    if name == "linear":
        return LinearClassifier(in_features, classes, generator=generator)
    if name == "mlp":
        return MLP(in_features, classes, hidden, generator=generator)
    check_in_features(name, in_features)
    channels, side, widths, units, dropout = _CONV[name]
    return ConvNet(channels, side, widths, units, classes, dropout, generator=generator)


def restore_model(name: str, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return the model with these weights (a state dict), in their dtype; its sizes are read off them.

    Raises ``ValueError`` for an unknown name or weights that are not those of such a model.
    """
    check_model_name(name)
    layers = {"linear": ("fc",), "mlp": ("fc1", "fc2")}.get(name, _CONV_LAYERS)
    expected = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    if set(weights) != expected:
        raise ValueError(f"weights {sorted(weights)} of a {name!r} model must be {sorted(expected)}")
    outer = weights[f"{layers[0]}.weight"], weights[f"{layers[-1]}.weight"]
    if outer[1].ndim != 2 or (name not in _CONV and outer[0].ndim != 2) or not outer[0].dtype.is_floating_point:
        raise ValueError(f"weights of a {name!r} model must be real matrices; {layers[-1]}.weight is {_kind(outer[1])}")
    features = _CONV[name][0] * _CONV[name][1] ** 2 if name in _CONV else outer[0].shape[1]
    hidden, classes = (1024 if name in _CONV else len(outer[0])), len(outer[1])
    model = build_model(name, features, classes, hidden=hidden, generator=torch.Generator()).to(outer[0].dtype)
    for key, parameter in model.state_dict().items():
        if weights[key].shape != parameter.shape or weights[key].dtype != parameter.dtype:
            raise ValueError(f"weights {key} of a {name!r} model: {_kind(weights[key])} must be {_kind(parameter)}")
    model.load_state_dict(dict(weights))
    return model


def guess_model(weights: Mapping[str, Tensor]) -> str:
    """Return the name of the model whose state dict has these keys; ``ValueError`` where no model has."""
    keys = set(weights)
    for name, layers in (("linear", ("fc",)), ("mlp", ("fc1", "fc2")), ("mnist-cnn", _CONV_LAYERS)):
        if keys == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}:
            if name == "mnist-cnn" and weights["conv1.weight"].shape[1:2] == (3,):
                return "cifar-cnn"
            return name
    raise ValueError(f"weights {sorted(keys)} must be those of one of {', '.join(map(repr, MODELS))}")


def check_in_features(name: str, in_features: int) -> None:
    """Raise ``ValueError`` unless a model of this name takes images of so many pixels."""
    if name in _CONV:
        channels, side, *_ = _CONV[name]
        if in_features != channels * side * side:
            raise ValueError(
                f"in_features={in_features!r} must be {channels * side**2}, {channels} x {side} x {side}, for {name!r}"
            )


def check_model_name(name: str) -> None:
    """Raise ``ValueError`` unless ``name`` is one of ``MODELS``."""
    if name not in MODELS:
        near = difflib.get_close_matches(str(name).lower(), MODELS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"model={name!r} must be one of {', '.join(map(repr, MODELS))}{hint}")


_CONV_LAYERS = ("conv1", "conv2", "conv3", "conv4", "fc1", "fc2", "fc3")


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
