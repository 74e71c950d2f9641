"""Exact L2 distances of ReLU networks with one hidden layer: the ground truth for attacks and bounds."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from deep._inputs import ModelError, check_count, check_labels, check_model, check_number
from deep.distances import Distances

from ._branching import Budget, Rival, search
from ._reading import check_images, read_chain

__all__ = ["exact_relu"]

Floats = NDArray[np.float64]

_NEWTON = 60  # linear steps towards a rival's region, and halvings back to its boundary
_START = 1.0 + 1e-9  # the first radius is taken this much wider, so that the step that gave it is searched too


def exact_relu(
    model: nn.Module,
    x: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    *,
    nodes: int = 20_000,
    seconds: float = 60.0,
    tolerance: float = 1e-8,
) -> Distances:
    """Return the exact L2 distances, without a box, of a network f(x) = W_2 max(0, W_1 x + b_1) + b_2.

    For each image and each rival j of the prediction c, closest first, min ||z|| subject to f_j(x + z) >= f_c(x + z):
    hidden units that keep their sign within the best radius known are fixed, what is left is reduced to the span of the
    others' rows, and solved by branch and bound over the signs of the units with a smaller weight to c than to j
    (``deep.bounds._branching``).  A linear model is the case without units.

    Parameters
    ----------
    model     : ``MLP``, ``LinearClassifier`` or an ``nn.Sequential`` of that form; read in float64 on the CPU.
    x, y      : (n, ...) images, (n,) labels.
    nodes     : nodes that may be opened for an image.
    seconds   : wall time for an image.
    tolerance : relative gap between the length of the step and the proved bound, at which an image counts as solved.

    ``kind`` is ``exact`` when all images are solved; otherwise ``upper``: the values are then lengths of steps that
    were found.  ``details`` holds for every image ``lower`` (proved), ``upper`` (the values), ``solved`` and ``nodes``.
    ``inf`` is a distance only where it is proved that no image has another prediction.  Exact means: in float64, up to
    ``tolerance``; a step counts when f_c - f_j is at most 1e-11 of the sum of its terms' sizes, and bounds are products
    of float64 whose rounding is not charged.
    Raises ``ModelError`` for another network, ``ValueError`` for images or labels that do not fit, and for a budget or
    tolerance that is not positive.
    Source: mixed-integer formulation of Tjeng, Xiao & Tedrake (2019), arXiv 1711.07356, with branching of our own.
    """
    check_model(model)
    check_count("nodes", nodes, 1)
    for name, value in (("seconds", seconds), ("tolerance", tolerance)):
        check_number(name, value)
        if not value > 0:
            raise ValueError(f"{name}={value!r} must be positive")
    images, labels = check_images(x, y)
    dense = read_chain(model, images.shape[1:]).dense
    if dense is None or len(dense) > 2:
        raise ModelError(f"model={type(model).__name__} must have one hidden layer, of ReLU, between linear layers")
    check_labels(labels, len(dense[-1].weight))
    points = images.flatten(1).numpy()
    layers = [(layer.weight.numpy(), layer.bias.numpy()) for layer in dense]
    found = [
        _distance(_rivals(layers, point), Budget(nodes, time.monotonic() + seconds), tolerance) for point in points
    ]
    predicted, upper, lower, used = (list(column) for column in zip(*found, strict=True))
    solved = [low >= up * (1.0 - tolerance) for low, up in zip(lower, upper, strict=True)]
    details = {"lower": lower, "upper": upper, "solved": solved, "nodes": used, "tolerance": tolerance}
    return Distances(
        torch.tensor(upper, dtype=torch.float64),
        torch.tensor(predicted) == labels,
        "exact" if all(solved) else "upper",
        method="branch and bound",
        details=details,
    )


def _rivals(layers: list[tuple[Floats, Floats]], x: Floats) -> tuple[int, list[Rival]]:
    """The prediction at x and the problem of each rival."""
    last, shift = layers[-1]
    w, p = (layers[0][0], layers[0][0] @ x + layers[0][1]) if len(layers) == 2 else (np.zeros((0, len(x))), np.zeros(0))
    scores = last @ (np.maximum(p, 0.0) if len(layers) == 2 else x) + shift
    chosen, rivals = int(scores.argmax()), []
    for j in range(len(shift)):
        difference = last[chosen] - last[j]
        if j != chosen and len(layers) == 2:
            rivals.append(Rival(w, p, difference, np.zeros(len(x)), float(shift[chosen] - shift[j])))
        elif j != chosen:
            rivals.append(Rival(w, p, np.zeros(0), difference, float(scores[chosen] - scores[j])))
    return chosen, rivals


def _distance(problem: tuple[int, list[Rival]], budget: Budget, tolerance: float) -> tuple[int, float, float, int]:
    """Prediction, length of the best step found, proved lower bound of all, nodes opened."""
    chosen, rivals = problem
    steps = [_first_step(rival) for rival in rivals]
    if min(steps) == 0.0:
        return chosen, 0.0, 0.0, 0
    found, radius, lower = min(steps), min(steps) * _START, math.inf
    for place in np.argsort(steps, kind="stable"):
        step = search(rivals[place].within(radius)[0], radius, budget, tolerance / 2.0)
        radius, lower = step.radius, min(lower, step.lower)
    found = min(found, radius)
    return chosen, found, min(found, lower), budget.used


def _first_step(rival: Rival) -> float:
    """Length of a step that makes the rival win: by linear steps, then halved back along the ray; inf for none."""
    z = np.zeros(len(rival.line))
    for _ in range(_NEWTON):
        if (value := rival.value(z)) <= 0.0:
            break
        slope = rival.slope(z)
        square = float(slope @ slope)
        if square == 0.0:
            return math.inf
        z = z - (1.02 * value / square) * slope
    else:
        return math.inf
    low, high = 0.0, 1.0
    for _ in range(_NEWTON):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if rival.value(middle * z) <= 0.0 else (middle, high)
    return high * float(np.linalg.norm(z))
