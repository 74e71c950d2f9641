"""What every measurement asks of images and labels, and tensors made of them: one door for attacks, bounds, margins."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

__all__ = ["check_labels", "images_of", "labels_of"]


def images_of(x: Tensor | ArrayLike) -> Tensor:
    """Return real images of shape (n, ...) as a tensor, detached and on the device they were on.

    Raises ``ValueError`` for another shape, an empty set, and entries that are not real numbers of floating point:
    bytes as they lie in a file are 0..255, and a model that is asked about them answers a question nobody put.
    """
    images = _tensor("x", x)
    if images.ndim < 2 or images.numel() == 0 or not images.dtype.is_floating_point:
        hint = "" if images.dtype.is_floating_point else "; bytes divided by 255, say"
        raise ValueError(
            f"x of shape {tuple(images.shape)}, {images.dtype} must be real of shape (n, ...) with n >= 1{hint}"
        )
    return images


def labels_of(y: Tensor | ArrayLike, count: int) -> Tensor:
    """Return ``count`` labels as int64; ``ValueError`` unless y are integers of shape (count,)."""
    labels = _tensor("y", y)
    whole = not (labels.dtype.is_floating_point or labels.dtype.is_complex or labels.dtype == torch.bool)
    if labels.shape != (count,) or not whole:
        raise ValueError(
            f"y of shape {tuple(labels.shape)}, {labels.dtype} must be {count} integers, of shape ({count},)"
        )
    return labels.long()


def check_labels(y: Tensor, classes: int) -> None:
    """Raise ``ValueError`` unless every label lies in 0..classes-1."""
    bad = (y < 0) | (y >= classes)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise ValueError(f"y[{row}]={int(y[row])} must lie in 0..{classes - 1}, one for each logit")


def _tensor(name: str, value: Tensor | ArrayLike) -> Tensor:
    """Tensors as they are, detached; arrays copied where torch cannot share them, or would warn that it does."""
    if isinstance(value, Tensor):
        return value.detach()
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise ValueError(f"{name} of type {type(value).__name__} must be a tensor or an array of numbers")
    usable = array.flags.writeable and array.dtype.isnative and all(step >= 0 for step in array.strides)
    return torch.as_tensor(array if usable else array.astype(array.dtype.newbyteorder("="), order="C"))
