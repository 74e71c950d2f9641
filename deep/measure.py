"""What is measured of a model: functional margins, losses, and the exact distances of a linear classifier."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from theory.margins import functional_margins, linear_label_margins, linear_margins

from ._inputs import ask, check_model, images_of
from ._torch_ops import margin
from .models import ConvNet, LinearClassifier

__all__ = ["QUANTILES", "Metrics", "distances", "evaluate", "logits_of", "margins"]

Metrics = dict[str, float]
Floats = NDArray[np.float64]

_ROWS = 8192  # images at a time: bounds memory and never changes a result by more than rounding
_CONV_ROWS = 512  # of a convolution net, whose widest layer takes 32 x 26 x 26 floats an image
_EXACT_ROWS = 1024  # in float64: what stays in the processor's cache is twice as fast
QUANTILES = {"q01": 0.01, "q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75}


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put every part of the model in evaluation mode, without gradients, and restore each part's mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """Return the logits of all images in evaluation mode; shape (n, c).  ``ValueError`` as ``ask``."""
    rows = _CONV_ROWS if isinstance(model, ConvNet) else _ROWS
    with evaluation_mode(model):
        return torch.cat([ask(model, images, type(model).__name__) for images in torch.split(x, rows)])


def margins(model: nn.Module, x: Tensor | ArrayLike, y: Tensor | ArrayLike) -> Floats:
    """Return the functional margins alpha = f_y - max_{k != y} f_k of a model on images; shape (n,), float64.

    The model runs in evaluation mode, on its own device and dtype, and is left in the mode it was in.
    Logits are read as they come: a softmax at the end of the model would make these margins of probabilities.
    Raises ``ValueError`` for images that the model does not take, logits that are not (n, c) and finite (a NaN is never
    counted as a margin), images and labels that do not pair, or labels out of range.
    """
    check_model(model)
    like = next(model.parameters(), torch.zeros(()))
    images = images_of(x).to(device=like.device, dtype=like.dtype)
    logits = logits_of(model, images)
    finite = torch.isfinite(logits).all(dim=1)
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise ValueError(f"logits[{row}]={logits[row].tolist()} must be finite; {int((~finite).sum())} rows are not")
    labels = y.detach().cpu().numpy() if isinstance(y, Tensor) else y
    return functional_margins(logits.double().cpu().numpy(), labels)


def evaluate(model: nn.Module, loss: nn.Module, x: Tensor, y: Tensor, part: str) -> Metrics:
    """Return loss, accuracy, and mean, least and ``QUANTILES`` of the functional margin, under keys ``<part>_...``.

    ``loss`` gives the mean of a batch.  All are NaN or infinite together with the logits.
    """
    logits = logits_of(model, x)
    with torch.no_grad():
        mean_loss = float(loss(logits, y))
        alpha = margin(logits, y).double()
    return {
        f"{part}_loss": mean_loss,
        f"{part}_accuracy": float((logits.argmax(dim=1) == y).double().mean()),
        f"{part}_margin_mean": float(alpha.mean()),
        f"{part}_margin_min": float(alpha.min()),
        **_quantiles(f"{part}_margin", alpha.numpy(force=True)),
    }


def distances(model: LinearClassifier, x: NDArray[np.float32], y: NDArray[np.int64], part: str) -> Metrics:
    """Return statistics of the exact L2 distances of a linear classifier, in units of x, under keys ``<part>_...``.

    ``distance_mean``, ``distance_min``: signed distance to the boundary of the predicted class (``linear_margins``);
    ``distance_correct_mean``: the same over rightly classified images only (0 where there are none);
    ``label_distance_mean``, ``label_distance_min``: the label's half-spaces (``linear_label_margins``), which is the
    reading that reproduces the paper's curves; ``QUANTILES`` of both.  Everything is computed in float64.
    """
    weight = model.fc.weight.detach().double().numpy()
    bias = model.fc.bias.detach().double().numpy()
    signed, label = np.empty(len(y)), np.empty(len(y))
    for start in range(0, len(y), _EXACT_ROWS):
        rows = slice(start, start + _EXACT_ROWS)
        pixels, own = x[rows].astype(np.float64), y[rows]
        signed[rows] = linear_margins(weight, bias, pixels, own)
        label[rows] = signed[rows]
        wrong = np.flatnonzero(signed[rows] <= 0.0)  # on the others the two readings agree
        label[start + wrong] = linear_label_margins(weight, bias, pixels[wrong], own[wrong])
    correct = signed[signed > 0.0]
    return {
        f"{part}_distance_mean": float(signed.mean()),
        f"{part}_distance_min": float(signed.min()),
        f"{part}_distance_correct_mean": float(correct.mean()) if len(correct) else 0.0,
        f"{part}_label_distance_mean": float(label.mean()),
        f"{part}_label_distance_min": float(label.min()),
        **_quantiles(f"{part}_distance", signed),
        **_quantiles(f"{part}_label_distance", label),
    }


def _quantiles(name: str, values: Floats) -> Metrics:
    found = np.quantile(values, list(QUANTILES.values()))
    return {f"{name}_{key}": float(value) for key, value in zip(QUANTILES, found, strict=True)}
