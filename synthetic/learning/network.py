"""Binary scores from smooth features, trained on any binary loss by minibatches that are drawn as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from synthetic._doors import FloatArray, IntArray
from theory.expression import Expr, differentiate
from theory.expression.arrays import evaluate_array
from theory.losses import Loss

Batches = Callable[[], tuple[FloatArray, IntArray]]

_DECAY = (0.9, 0.999)
"""Adam's averaging of gradients and of their squares (Kingma and Ba 2015)."""


@dataclass
class Network:
    """s(x) = out . h(x) + bias with h(x) = tanh(x W + b) trained, or h(x) = sqrt(2 / D) cos(x W + b) fixed.

    `center`, `scale` (d,) standardise the inputs; W (d, D), b (D,), out (D,). Trained with Adam; the step falls
    linearly to 0.
    """

    center: FloatArray
    scale: FloatArray
    parts: dict[str, FloatArray]
    trained: bool

    @classmethod
    def fresh(cls, extent: FloatArray, width: int, rng: np.random.Generator) -> Network:
        """A network of one hidden layer of tanh units on the box `extent` (d, 2)."""
        return cls(*_frame(extent), _weights(extent.shape[0], width, rng, 2.0), True)

    def scores(self, points: FloatArray) -> FloatArray:
        """s(x) at points (n, d), shape (n,)."""
        return np.asarray(self._hidden(self._standard(points)) @ self.parts["out"] + self.parts["bias"])

    def fit(self, loss: Loss, batches: Batches, steps: int, lr: float = 0.02) -> None:
        """`steps` steps of Adam on the mean loss of each batch (points (m, d), labels in {0, 1})."""
        slopes = [differentiate(tree, "v") for tree in loss.pair_trees]
        first = {name: np.zeros_like(part) for name, part in self.parts.items()}
        second = {name: np.zeros_like(part) for name, part in self.parts.items()}
        for step in range(1, steps + 1):
            points, labels = batches()
            for name, gradient in self._gradient(self._standard(points), labels, slopes).items():
                first[name] += (1.0 - _DECAY[0]) * (gradient - first[name])
                second[name] += (1.0 - _DECAY[1]) * (gradient**2 - second[name])
                rise = first[name] / (1.0 - _DECAY[0] ** step)
                size = np.sqrt(second[name] / (1.0 - _DECAY[1] ** step)) + 1e-12
                self.parts[name] = self.parts[name] - lr * (1.0 - (step - 1) / steps) * rise / size

    def _standard(self, points: FloatArray) -> FloatArray:
        return (points - self.center) / self.scale

    def _hidden(self, x: FloatArray) -> FloatArray:
        inner = x @ self.parts["W"] + self.parts["b"]
        return np.tanh(inner) if self.trained else np.sqrt(2.0 / inner.shape[1]) * np.cos(inner)

    def _gradient(self, x: FloatArray, labels: IntArray, slopes: Sequence[Expr]) -> dict[str, FloatArray]:
        hidden = self._hidden(x)
        scores = hidden @ self.parts["out"] + self.parts["bias"]
        plus, minus = (evaluate_array(tree, {"v": scores}) + np.zeros_like(scores) for tree in slopes)
        pull = np.where(labels == 1, plus, minus) / scores.shape[0]
        found = {"out": pull @ hidden, "bias": np.asarray(pull.sum())}
        if self.trained:
            inner = pull[:, None] * self.parts["out"] * (1.0 - hidden**2)
            found |= {"W": x.T @ inner, "b": inner.sum(axis=0)}
        return found


def random_features(extent: FloatArray, width: int, rng: np.random.Generator, *, bandwidth: float = 0.5) -> Network:
    """Random Fourier features of the Gaussian kernel exp(-|x - x'|^2 / (2 bandwidth^2)) on standardised inputs.

    Rahimi and Recht (2007). The bandwidth is in units of the standardised box, whose half-width is sqrt(3);
    `extent` has shape (d, 2).
    """
    parts = _weights(extent.shape[0], width, rng, 1.0 / bandwidth)
    return Network(*_frame(extent), parts | {"b": rng.uniform(0.0, 2.0 * np.pi, width)}, False)


def _frame(extent: FloatArray) -> tuple[FloatArray, FloatArray]:
    low, high = extent.T
    return (low + high) / 2.0, (high - low) / np.sqrt(12.0)


def _weights(dimension: int, width: int, rng: np.random.Generator, size: float) -> dict[str, FloatArray]:
    return {
        "W": rng.normal(size=(dimension, width)) * size,
        "b": rng.normal(size=width),
        "out": np.zeros(width),
        "bias": np.asarray(0.0),
    }
