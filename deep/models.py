"""The two small models of the paper's first experiments, initialised from a generator that is passed in."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["MLP", "MODELS", "LinearClassifier", "build_model"]


class LinearClassifier(nn.Module):
    """f(x) = W x + b: multinomial logistic regression; state-dict keys ``fc.weight``, ``fc.bias``.

    Images of shape (n, 1, 28, 28) are flattened.  Weights and biases start uniform on +-1/sqrt(in_features).
    """

    def __init__(self, in_features: int = 784, classes: int = 10, *, generator: torch.Generator) -> None:
        super().__init__()
        self.fc = _linear(in_features, classes, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (n, ...) to logits of shape (n, c)."""
        return self.fc(x.flatten(1))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """f(x) = W_2 max(0, W_1 x + b_1) + b_2; state-dict keys ``fc1.*``, ``fc2.*``; 784-1024-10 unless told otherwise."""

    def __init__(
        self, in_features: int = 784, classes: int = 10, hidden: int = 1024, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.fc1 = _linear(in_features, hidden, generator)
        self.fc2 = _linear(hidden, classes, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (n, ...) to logits of shape (n, c)."""
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))  # type: ignore[no-any-return]


MODELS = ("linear", "mlp")


def build_model(
    name: str, in_features: int = 784, classes: int = 10, *, hidden: int = 1024, generator: torch.Generator
) -> nn.Module:
    """Return a fresh float32 model by name: ``linear`` or ``mlp`` (``hidden`` counts for the second only).

    Raises ``ValueError`` for an unknown name, with the nearest known one, and for sizes below 1 (2 for classes).
    """
    check_model_name(name)
    for label, size, least in (("in_features", in_features, 1), ("classes", classes, 2), ("hidden", hidden, 1)):
        if size < least:
            raise ValueError(f"{label}={size!r} must be at least {least}")
    if name == "linear":
        return LinearClassifier(in_features, classes, generator=generator)
    return MLP(in_features, classes, hidden, generator=generator)


def restore_model(name: str, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return the model with these weights (a state dict), in their dtype; its sizes are read off them.

    Raises ``ValueError`` for an unknown name or weights that are not those of such a model.
    """
    check_model_name(name)
    first, last = ("fc", "fc") if name == "linear" else ("fc1", "fc2")
    expected = {f"{layer}.{part}" for layer in (first, last) for part in ("weight", "bias")}
    if set(weights) != expected:
        raise ValueError(f"weights {sorted(weights)} of a {name!r} model must be {sorted(expected)}")
    hidden, features = weights[f"{first}.weight"].shape
    classes = len(weights[f"{last}.weight"])
    model = build_model(name, features, classes, hidden=hidden, generator=torch.Generator())
    model.to(weights[f"{first}.weight"].dtype).load_state_dict(dict(weights))
    return model


def check_model_name(name: str) -> None:
    """Raise ``ValueError`` unless ``name`` is one of ``MODELS``."""
    if name not in MODELS:
        near = difflib.get_close_matches(str(name).lower(), MODELS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"model={name!r} must be one of {', '.join(map(repr, MODELS))}{hint}")


def _linear(in_features: int, out_features: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer, uniform on +-1/sqrt(in_features); torch's global generator is not touched."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, in_features, out_features)  # type: ignore[no-untyped-call]
    bound = 1.0 / math.sqrt(in_features)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
