"""Exact distances of linear models, in any of the three norms, with a box or without."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from deep._inputs import ModelError, check_labels, check_model, images_of, labels_of
from deep.distances import NORMS, Box, Distances, box_in, check_box
from theory.boxed import boxed_linear_distances
from theory.margins import distances_from_scores

from ._reading import read_chain

__all__ = ["linear_distances"]

_ROWS = 256  # images in float64 at a time: they stay in the processor's cache, which is faster than one product


def linear_distances(
    model: nn.Module, x: Tensor | ArrayLike, y: Tensor | ArrayLike, norm: str = "l2", *, box: Box | None = None
) -> Distances:
    """Return the exact distances of a linear model f(x) = W x + b to the boundary of its prediction.

        min over k != c of (f_c - f_k)(x) / ||w_c - w_k||_*,      c the prediction, ||.||_* the dual norm,

    and with ``box`` the distance to the nearest point of the box of another prediction (``theory.boxed``).

    model : ``LinearClassifier``, ``nn.Linear``, or an ``nn.Sequential`` with one linear layer and no other that bends.
    x, y  : (n, ...) images, in the box where there is one, and (n,) labels.
    norm  : ``l2``, ``linf`` or ``l1``.

    Computed in float64 on the CPU, whatever the dtype of model and images; correct up to its rounding.
    Raises ``ModelError`` for a model that is not linear, ``ValueError`` for images that are not finite or not in the
    box, labels that do not fit, and an unknown norm.

    >>> model = torch.nn.Linear(2, 2)
    >>> model.weight.data, model.bias.data = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.zeros(2)
    >>> linear_distances(model, torch.tensor([[0.5, 0.25]]), torch.tensor([0])).values
    tensor([0.5000], dtype=torch.float64)
    """
    if norm not in NORMS:
        raise ValueError(f"norm={norm!r} must be one of {', '.join(map(repr, NORMS))}")
    check_box(box)
    check_model(model)
    images = images_of(x)
    labels = labels_of(y, len(images)).cpu()
    weight, bias = _parameters(model, tuple(images.shape[1:]))
    check_labels(labels, len(weight))
    w, b = weight.numpy(), bias.numpy()
    with torch.no_grad():
        if box is None:
            predicted, values = distances_from_scores(w, b, _scores(weight, bias, images), norm)
        else:
            ends = box_in(box, images.dtype)
            parts = [
                boxed_linear_distances(w, b, rows.cpu().flatten(1).double().numpy(), ends, norm)
                for rows in torch.split(images, _ROWS)
            ]
            predicted, values = (np.concatenate(found) for found in zip(*parts, strict=True))
    method = "dual norm" if box is None else "projection on half-space and box"
    details = {"dtype": "float64"}
    return Distances(
        torch.from_numpy(values), torch.from_numpy(predicted) == labels, "exact", norm, box, method, details
    )


def _parameters(model: nn.Module, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    dense = read_chain(model, shape).dense
    if dense is None or len(dense) != 1:
        raise ModelError(f"model={type(model).__name__} must be linear: one linear layer, and nothing that bends")
    return dense[0].weight, dense[0].bias


def _scores(weight: Tensor, bias: Tensor, x: Tensor) -> NDArray[np.float64]:
    scores = torch.empty(len(x), len(weight), dtype=torch.float64)
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        torch.addmm(bias, x[rows].cpu().flatten(1).double(), weight.T, out=scores[rows])
    if not bool(torch.isfinite(scores).all()):  # as it is wherever x is not
        row = int((~torch.isfinite(scores).all(dim=1)).nonzero()[0])
        what = f"x[{row}]" if not bool(torch.isfinite(x[row]).all()) else f"the scores of x[{row}] in float64"
        raise ValueError(f"{what} must be finite")
    return scores.numpy()
