"""The orthogonality penalty sum_l ||W_l W_l^T - I||_F^2, as published and for convolutions as operators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._inputs import check_model

__all__ = ["KERNELS", "orthogonality_penalty"]

KERNELS = ("reshaped", "true")
_LARGE = 512  # rows of a Gram matrix from which on it is faster by blocks


def orthogonality_penalty(model: nn.Module, kernels: str = "reshaped", *, doubled: bool = False) -> Tensor:
    """Return sum_l ||W_l W_l^T - I||_F^2 over the weights with at least two dimensions.

    ``kernels="reshaped"`` (the paper): a convolution's kernel of shape (m, c, h, w) is read as an m x chw matrix.  That
    does not bound the operator norm of the layer.
    ``kernels="true"``: the convolution itself takes that place.  With K(w) the m x c matrix of the kernel at frequency
    w, its term is the mean over w of ||K(w) K(w)^* - I||_F^2, which by Parseval is ||k star k - delta||^2, the kernel's
    correlation with itself over space.  It is 0 only where every K(w) has orthonormal rows, so that the norm is 1.
    ``doubled`` counts a weight again for a bias of the same layer, as the loop of the authors' released code does.

    Raises ``ValueError`` for a model without such a weight, for other kernels, and with ``true`` for kernels whose term
    is another one: those of groups, strides, transposed convolutions, or other than two dimensions.
    Source: Wu & Yu (2019), arXiv 1907.11780; ``true``: Wang, Chen, Chakraborty & Yu (2020), arXiv 1911.12207.
    """
    if kernels not in KERNELS:
        raise ValueError(f"kernels={kernels!r} must be one of {', '.join(map(repr, KERNELS))}")
    check_model(model)
    if kernels == "true":
        _check_convolutions(model)
    names = {name for name, _ in model.named_parameters()}
    total: Tensor | None = None
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            term = (
                _correlation_term(parameter) if kernels == "true" and parameter.ndim == 4 else _matrix_term(parameter)
            )
            if doubled and f"{name.removesuffix('weight')}bias" in names:
                term = 2.0 * term
            total = term if total is None else total + term
    if total is None:
        raise ValueError(f"model={type(model).__name__} must have a weight with two or more dimensions")
    return total


def _check_convolutions(model: nn.Module) -> None:
    """Raise ``ValueError`` unless every kernel is one of a convolution of images, in one group, at every pixel."""
    for name, module in model.named_modules():
        plain = isinstance(module, nn.Conv2d) and module.groups == 1 and module.stride == (1, 1)
        if not plain and any(parameter.ndim > 2 for parameter in module.parameters(recurse=False)):
            raise ValueError(
                f"layer {name!r}, {module!r}, must be a Conv2d with stride 1 and groups 1 for kernels='true'"
            )


class _GramTerm(torch.autograd.Function):
    """||W W^T - I||_F^2 of W (m, k), by the smaller of its two Gram matrices; the gradient is 4 (W W^T - I) W.

    For m > k: ||W W^T - I_m||_F^2 = ||W^T W - I_k||_F^2 + m - k, with gradient 4 W (W^T W - I_k).
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        rows, columns = weight.shape
        gram = _gram(weight if rows <= columns else weight.T)
        gram.diagonal().sub_(1.0)
        ctx.save_for_backward(weight, gram)
        return gram.square().sum() + max(0, rows - columns)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> Tensor:
        weight, gram = ctx.saved_tensors
        product: Tensor = gram @ weight if len(weight) <= weight.shape[1] else weight @ gram
        return product.mul_(4.0 * incoming)


def _gram(rows: Tensor) -> Tensor:
    """R R^T; a large one by its upper blocks alone, which are three quarters of it."""
    count = len(rows)
    if count < _LARGE:
        return rows @ rows.T
    half = count // 2
    gram = rows.new_empty(count, count)
    torch.mm(rows[:half], rows.T, out=gram[:half])
    torch.mm(rows[half:], rows[half:].T, out=gram[half:, half:])
    gram[half:, :half] = gram[:half, half:].T
    return gram


def _matrix_term(parameter: Tensor) -> Tensor:
    return _GramTerm.apply(parameter.flatten(1))  # type: ignore[no-any-return, no-untyped-call]


def _correlation_term(kernel: Tensor) -> Tensor:
    height, width = kernel.shape[2:]
    found = functional.conv2d(kernel, kernel, padding=(height - 1, width - 1))  # (m, m, 2h - 1, 2w - 1)
    wanted = torch.zeros_like(found)
    wanted[:, :, height - 1, width - 1] = torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
    return (found - wanted).square().sum()
