"""Operator norms of layers, as certified upper bounds that are tight to rounding, and what reshaped kernels give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deep._inputs import ModelError, check_model, passed
from deep.measure import evaluation_mode
from deep.models import ConvNet

from ._chain import Convolution
from ._reading import convolution

__all__ = ["certified_norms", "convolution_norm", "matrix_norm", "operator_norms", "reshaped_norms"]

Floats = NDArray[np.float64]
_UNIT = 2.0**-53  # unit roundoff of float64


def operator_norms(model: nn.Module, *, image: Sequence[int] | None = None) -> dict[str, float]:
    """Return, for each linear layer and convolution, an upper bound of its operator norm in L2, by name.

    Linear: the largest singular value.  Convolution: the largest singular value, over the frequencies w of a torus as
    large as the padded image, of the matrix sum_t k_t exp(-i <w, t>): with zeros around the image, and with strides,
    the layer is a restriction of the circular convolution there, whose norm that is.  Both are bounds in real
    arithmetic for the stored weights, rounding included (``certified_norms``); for circular convolutions and matrices
    they exceed the norm by less than 1e-9 of it.

    image : (channels, height, width) of what the model is given; needed where it has convolutions and is not a
            ``ConvNet``, since the norm of a convolution depends on the size.
    The product over a chain of layers, with 1-Lipschitz functions between, bounds the network's Lipschitz constant.
    Raises ``ModelError`` for convolutions without a size or with another, padding other than by zeros, a layer that is
    never reached, weights that are not finite, and matrices in layers of another kind.
    Source: Sedghi, Gupta & Long (2019), arXiv 1805.10408, for circular convolutions.
    """
    layers = _layers(model)
    sizes = _sizes(model, layers, image) if any(isinstance(m, nn.Conv2d) for m in layers.values()) else {}
    found: dict[str, float] = {}
    for name, module in layers.items():
        if isinstance(module, nn.Conv2d):
            found[name] = max(convolution_norm(convolution(name, module, shape)) for shape in sizes[name])
        else:
            found[name] = matrix_norm(module.weight)
    return found


def reshaped_norms(model: nn.Module) -> dict[str, float]:
    """Return, for each linear layer and convolution, the largest singular value of its weight as a matrix, by name.

    A convolution's kernel (m, c, h, w) is read as an m x chw matrix, as in the paper's penalty ||W W^T - I||_F^2.  That
    number does *not* bound the layer's operator norm: it may be smaller by a factor of up to sqrt(h w).

    >>> kernel = torch.nn.Conv2d(1, 1, 3, bias=False)
    >>> _ = torch.nn.init.constant_(kernel.weight, 1.0)
    >>> round(reshaped_norms(kernel)[""], 9), round(operator_norms(kernel, image=(1, 28, 28))[""], 9)
    (3.0, 9.0)
    """
    return {name: matrix_norm(module.weight.flatten(1)) for name, module in _layers(model).items()}


def matrix_norm(weight: Tensor) -> float:
    """An upper bound of the largest singular value of a matrix, tight to rounding."""
    return float(certified_norms(weight.detach().double().cpu().numpy()[None])[0])


def convolution_norm(layer: Convolution) -> float:
    """An upper bound of the operator norm of a convolution on images of its shape (``operator_norms``).

    The frequencies are evaluated tap by tap, exp from a table of the torus' roots of unity, so that the error of every
    entry is bounded: 100 roundings of the phase and 2 for each tap, times sum_t |k_t|.
    """
    kernel = layer.weight.numpy()
    outer, inner, height, width = kernel.shape
    tall, wide = layer.torus
    rows = _phases(tall, height, layer.dilation[0])
    columns = _phases(wide, width, layer.dilation[1])[: wide // 2 + 1]  # the others are conjugates: the kernel is real
    error = (100 + 2 * height * width) * _UNIT * float(np.sqrt((np.abs(kernel).sum(axis=(2, 3)) ** 2).sum()))
    largest = 0.0
    size = outer // layer.groups
    for group in range(layer.groups):
        part = kernel[group * size : (group + 1) * size].reshape(size * inner * height, width)
        half = (part @ columns.T).reshape(size, inner, height, -1)
        for row in rows:
            matrices = np.moveaxis(np.einsum("ocht,h->oct", half, row), 2, 0)
            largest = max(largest, float(certified_norms(matrices).max()))
    return float((largest + error) * (1.0 + 4.0 * _UNIT))


def certified_norms(matrices: NDArray[Any]) -> Floats:
    """Upper bounds of the largest singular values of real or complex matrices A (..., m, k); shape (...).

    With V the eigenvectors of A^* A as computed, whatever they are, d = ||V^* V - I||_F < 1 and M = A V,

        ||A|| <= ||M|| / sqrt(1 - d),   ||M||^2 = ||M^* M|| <= max_i sum_j |(M^* M)_ij|,

    since ||A z|| = ||A V V^-1 z|| and no singular value of V is below sqrt(1 - d).  The row sums are tight because
    M^* M is all but diagonal.  Each product of matrices is charged its rounding: an entry of a product of n terms is
    off by at most 2 (n + 4) 2^-53 times the product of the absolute values, in any order of summation, with or without
    fused multiplication, for real and complex numbers.  Scaling by a power of two keeps underflow out of the way.
    """
    a = np.asarray(matrices)
    if a.shape[-2] < a.shape[-1]:
        a = np.conj(np.swapaxes(a, -1, -2))
    largest = np.abs(a).max(axis=(-2, -1))
    _, exponent = np.frexp(largest)
    scale = np.ldexp(1.0, -exponent)[..., None, None]
    a = a * scale
    m, k = a.shape[-2:]
    adjoint = np.conj(np.swapaxes(a, -1, -2))
    v = np.linalg.eigh(adjoint @ a)[1]
    v_size, a_size = _frobenius(v), _frobenius(a)
    defect = _frobenius(np.conj(np.swapaxes(v, -1, -2)) @ v - np.eye(k)) + _gamma(k) * v_size**2
    moved = a @ v
    square = np.conj(np.swapaxes(moved, -1, -2)) @ moved
    row_sums = np.abs(square).sum(axis=-1).max(axis=-1) * (1.0 + _gamma(k)) + _gamma(m) * _frobenius(moved) ** 2
    bound = (np.sqrt(row_sums) + _gamma(k) * a_size * v_size) / np.sqrt(1.0 - defect) * (1.0 + 16.0 * _UNIT)
    result: Floats = np.ldexp(np.where(defect < 0.5, bound, a_size), exponent)
    return result


def _gamma(terms: int) -> float:
    return 2.0 * (terms + 4) * _UNIT


def _frobenius(matrices: NDArray[Any]) -> Floats:
    """Frobenius norms, rounded up: a sum of n squares is off by less than n roundings, relatively."""
    count = matrices.shape[-1] * matrices.shape[-2]
    size: Floats = np.sqrt((np.abs(matrices) ** 2).sum(axis=(-2, -1))) * (1.0 + _gamma(count))
    return size


def _phases(side: int, taps: int, dilation: int) -> NDArray[np.complex128]:
    """exp(-2 pi i p t / side) for p = 0..side-1 and the taps t; (side, taps).  The angles are reduced as integers."""
    turns = np.outer(np.arange(side), np.arange(taps) * dilation) % side
    roots: NDArray[np.complex128] = np.exp(-2j * math.pi * np.arange(side) / side)
    return roots[turns]


def _layers(model: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    check_model(model)
    found: dict[str, nn.Linear | nn.Conv2d] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and type(module) in (nn.Linear, nn.Conv2d):
            if not bool(torch.isfinite(module.weight).all()):
                raise ModelError(f"layer {name!r}: weights must be finite")
            found[name] = module  # a subclass may compute something else
        elif any(parameter.ndim >= 2 for parameter in module.parameters(recurse=False)):
            raise ModelError(
                f"layer {name!r} of type {type(module).__name__} must be Linear or Conv2d to have a norm here"
            )
    if not found:
        raise ModelError(f"model={type(model).__name__} must have a linear layer or a convolution")
    return found


def _sizes(
    model: nn.Module, layers: dict[str, nn.Linear | nn.Conv2d], image: Sequence[int] | None
) -> dict[str, set[tuple[int, ...]]]:
    """The shapes of what reaches each convolution, from one pass of an image of zeros."""
    shape = tuple(image) if image is not None else model.image if isinstance(model, ConvNet) else None
    if shape is None:
        raise ModelError("image=None must be (channels, height, width): the norm of a convolution depends on the size")
    found: dict[str, set[tuple[int, ...]]] = {}
    handles = []
    try:
        for name, module in layers.items():
            if isinstance(module, nn.Conv2d):
                handles.append(
                    module.register_forward_hook(
                        lambda _, given, __, name=name: found.setdefault(name, set()).add(tuple(given[0].shape[1:]))
                    )
                )
        like = next(model.parameters())
        with evaluation_mode(model):
            passed(model, torch.zeros(1, *shape, dtype=like.dtype, device=like.device), type(model).__name__)
    finally:
        for handle in handles:
            handle.remove()
    for name, module in layers.items():
        if isinstance(module, nn.Conv2d) and name not in found:
            raise ModelError(f"layer {name!r} must be reached by the model's forward pass")
    return found
