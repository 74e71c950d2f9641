"""What every measurement asks of images and labels, and tensors made of them: one door for attacks, bounds, margins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsFloat

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

__all__ = [
    "ModelError",
    "ask",
    "check_count",
    "check_generator",
    "check_labels",
    "check_model",
    "check_number",
    "images_of",
    "labels_of",
    "passed",
]

_SAID = 160  # characters of what a model says of images that it does not take


class ModelError(ValueError):
    """A method was given a model that it is not for, or cannot read; others may well serve."""


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


def check_count(name: str, value: object, least: int) -> None:
    """Raise ``ValueError`` unless ``value`` is an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}={value!r} must be an integer of at least {least}")


def check_number(name: str, value: object) -> None:
    """Raise ``ValueError`` unless ``value`` is one number, whatever its size."""
    try:
        if isinstance(value, SupportsFloat):
            float(value)
            return
    except (TypeError, ValueError, OverflowError):  # an array of several, an integer beyond all floats
        pass
    raise ValueError(f"{name}={value!r} must be a number")


def check_model(model: object) -> None:
    """Raise ``ValueError`` unless ``model`` is a module of torch."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"model of type {type(model).__name__} must be a torch.nn.Module, from x (n, ...) to (n, c)")


def check_generator(generator: object) -> None:
    """Raise ``ValueError`` unless ``generator`` is one of torch's."""
    if not isinstance(generator, torch.Generator):
        raise ValueError(
            f"generator={generator!r} must be a torch.Generator, as torch.Generator().manual_seed(0) makes one"
        )


def ask(model: Callable[[Tensor], Any], x: Tensor, name: str) -> Tensor:
    """Return the logits of images x (n, ...) from a model of the user's own, named ``name``; (n, c), c >= 2.

    Raises ``ValueError`` as ``passed``, and for what are no logits.
    """
    out = passed(model, x, name)
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(x) or out.shape[1] < 2:
        kind = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(f"logits of shape {kind} must have shape ({len(x)}, c) with c >= 2")
    return out


def passed(model: Callable[[Tensor], Any], x: Tensor, name: str) -> Any:
    """Return what a model makes of x (n, ...); ``ValueError``, with its own words, where it does not take them."""
    try:
        return model(x)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, IndexError) as error:  # as torch's layers refuse another shape
        said = " ".join(str(error).split())
        said = said if len(said) <= _SAID else f"{said[:_SAID]} ..."
        raise ValueError(
            f"x with images of shape {tuple(x.shape[1:])}, {x.dtype} must be what model={name} takes; it says: {said}"
        ) from error


def _tensor(name: str, value: Tensor | ArrayLike) -> Tensor:
    """Tensors as they are, detached; arrays copied where torch cannot share them, or would warn that it does."""
    if isinstance(value, Tensor):
        return value.detach()
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise ValueError(f"{name} of type {type(value).__name__} must be a tensor or an array of numbers")
    usable = array.flags.writeable and array.dtype.isnative and all(step >= 0 for step in array.strides)
    return torch.as_tensor(array if usable else array.astype(array.dtype.newbyteorder("="), order="C"))
