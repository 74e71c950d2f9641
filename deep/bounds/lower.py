"""A rigorous lower bound of the L2 distance: the better of operator norms and linear relaxation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from deep._inputs import check_count, check_labels, check_model
from deep.distances import Distances

from ._product import lipschitz_bounds
from ._reading import check_images, read_chain
from ._relaxation import certified_radii

__all__ = ["METHODS", "lower_bound"]

METHODS = ("norms", "relaxation")


def lower_bound(
    model: nn.Module, x: Tensor | ArrayLike, y: Tensor | ArrayLike, *, methods: Sequence[str] = METHODS, steps: int = 16
) -> Distances:
    """Return rigorous lower bounds of the L2 distance of x to a point of another prediction, box or no box.

    ``norms``: min over j of (f_c - f_j)(x) / (L ||w_c - w_j||), with c the prediction, w_k the rows of the last layer
    and L the product of the operator norms (``operator_norms``) of the layers before; ReLU and maxima over windows that
    do not overlap have constant 1.
    ``relaxation``: the largest radius found, by doubling and then ``steps`` bisections, over whose ball the linear
    relaxation of every ReLU proves f_c > f_j for all j.  Taken only where the network is linear layers and ReLU.

    Where both are asked for, the better one for each image; ``details`` counts where the second was.  For a linear
    model both give the exact distance.  x of shape (n, ...), y (n,) labels.

    The bounds hold in real arithmetic for the weights and images as stored: all is computed in float64 on the CPU,
    every rounding is bounded and taken off.  The classes are those of that network; where rounding could change which
    class is the largest, the bound is 0.  Assumed: float64 sums and products are those of IEEE 754, without underflow,
    in any order of summation.
    Raises ``ModelError`` for a model that cannot be read as a chain of known layers, ``ValueError`` for images or
    labels that do not fit, and unknown methods.
    Source: Szegedy et al. (2014) for the product; Zhang et al. (2018), arXiv 1811.00866 (CROWN), for the relaxation.
    """
    if not methods or any(method not in METHODS for method in methods):
        raise ValueError(f"methods={tuple(methods)!r} must be one or more of {', '.join(map(repr, METHODS))}")
    check_count("steps", steps, 0)
    check_model(model)
    images, labels = check_images(x, y)
    chain = read_chain(model, images.shape[1:])
    check_labels(labels, len(chain.layers[-1].weight))  # type: ignore[union-attr]
    with torch.no_grad():
        predicted, bounds = lipschitz_bounds(chain, images)
        product = bounds.amin(dim=1)
        dense = chain.dense if "relaxation" in methods else None
        if dense is None:
            relaxed = torch.zeros_like(product)
        else:
            start = product if "norms" in methods else torch.zeros_like(product)
            relaxed = certified_radii(dense, images.flatten(1), predicted, start, steps)
    values = torch.maximum(product, relaxed) if "norms" in methods else relaxed
    used = [name for name, has in (("operator norms", "norms" in methods), ("relaxation", dense is not None)) if has]
    details = {
        "steps": steps,
        "by_relaxation": int((relaxed > product).sum()),
        "rounding": "outward",
        "dtype": "float64",
    }
    method = ", ".join(used) if used else "no relaxation of this network"
    return Distances(values, predicted == labels, "rigorous lower", "l2", None, method, details)
