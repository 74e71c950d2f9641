"""Distances from a Lipschitz constant, (f_c - f_j)(x) / L_j, with the forward pass' own rounding taken off."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ._chain import Affine, Chain, Convolution, Pool
from .norms import convolution_norm, matrix_norm

__all__ = ["UNIT", "lipschitz_bounds", "row_norms"]

UNIT = 2.0**-53
_ROWS = 256


def lipschitz_bounds(chain: Chain, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return predicted classes c and lower bounds of the L2 distance of x to each rival's region; (n,), (n, classes).

    With L the product of the norms of all layers but the last, and w_k the rows of the last,

        |(f_c - f_j)(x) - (f_c - f_j)(z)| <= L ||w_c - w_j|| ||x - z||,

    so that no z nearer than (f_c - f_j)(x) / (L ||w_c - w_j||) has f_j >= f_c.  The entry at c itself is ``inf``.
    Outward: norms are certified upper bounds, and a bound of the pass' own error is taken off the gap: an inner product
    of k terms and a bias is off by at most (k + 2) 2^-53 (1 + 1e-6) (|w| |h| + |b|), in any order of summation.
    """
    last = chain.layers[-1]
    assert isinstance(last, Affine)
    constants = [_constant(layer) for layer in chain.layers[:-1]]
    parts = [_one_pass(chain, last, constants, rows) for rows in torch.split(x, _ROWS)]
    predicted, bounds = (torch.cat(found) for found in zip(*parts, strict=True))
    return predicted, bounds


def row_norms(rows: Tensor) -> Tensor:
    """L2 norms along the last dimension, rounded up."""
    size: Tensor = torch.linalg.vector_norm(rows, dim=-1)
    return size * (1.0 + 4.0 * (rows.shape[-1] + 8) * UNIT)


def _one_pass(chain: Chain, last: Affine, constants: list[float], x: Tensor) -> tuple[Tensor, Tensor]:
    error, h = torch.zeros(len(x), dtype=torch.float64), x
    lipschitz = 1.0
    for layer, constant in zip(chain.layers[:-1], constants, strict=True):
        error = error * constant * (1.0 + 4.0 * UNIT) + _rounding(layer, h)
        lipschitz *= constant * (1.0 + 2.0 * UNIT)
        h = layer(h)
    scores, chosen = last(h), last(h).argmax(dim=1)
    size = last.weight.abs() @ h.abs().T  # (classes, n)
    score_error = _terms(last.weight.shape[1]) * (size.T + last.bias.abs())
    difference = row_norms(last.weight[chosen][:, None, :] - last.weight[None]) * (1.0 + 4.0 * UNIT)  # (n, classes)
    own = torch.arange(len(x)), chosen
    gap = scores[own][:, None] - scores
    gap = gap - (score_error[own][:, None] + score_error + error[:, None] * difference) * (1.0 + 8.0 * UNIT)
    gap = gap - 2.0 * UNIT * (scores[own].abs()[:, None] + scores.abs())
    bounds = torch.where(gap > 0.0, gap / (lipschitz * difference) * (1.0 - 8.0 * UNIT), 0.0)
    bounds = torch.nan_to_num(bounds, nan=0.0, posinf=torch.inf)  # a constant of 0: nothing moves the logits
    # A rival of the same row differs by the bias alone, everywhere: it is never reached if its bias is the smaller one.
    # (Compared as they are: the norm of a difference may be 0 by underflow alone.)
    shift = last.bias[chosen][:, None] - last.bias[None]
    same = (last.weight[chosen][:, None, :] == last.weight[None]).all(dim=2)
    bounds = torch.where(difference == 0.0, 0.0, bounds)
    bounds = torch.where(same & (shift > 0.0), torch.inf, bounds)
    bounds[own] = torch.inf
    return chosen, bounds


def _constant(layer: object) -> float:
    if isinstance(layer, Affine):
        return matrix_norm(layer.weight)
    if isinstance(layer, Convolution):
        return convolution_norm(layer)
    return layer.lipschitz if isinstance(layer, Pool) else 1.0


def _rounding(layer: object, h: Tensor) -> Tensor:
    """L2 norm of the rounding error of one layer's outputs, for what it is given as computed; (n,)."""
    if isinstance(layer, Affine):
        return _terms(layer.weight.shape[1]) * row_norms(h.abs() @ layer.weight.abs().T + layer.bias.abs())
    if isinstance(layer, Convolution):
        size = functional.conv2d(
            h.abs(), layer.weight.abs(), layer.bias.abs(), layer.stride, layer.padding, layer.dilation, layer.groups
        )
        return _terms(layer.weight[0].numel()) * row_norms(size.flatten(1))
    return torch.zeros(len(h), dtype=torch.float64)


def _terms(count: int) -> float:
    """Relative error of an inner product of so many terms and a bias; twice over, for the size's own rounding."""
    return 2.0 * (count + 2) * UNIT
