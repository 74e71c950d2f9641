"""Linear relaxation of ReLU networks over an L2 ball (CROWN), in float64 with its rounding charged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ._chain import Affine
from ._product import UNIT, row_norms

__all__ = ["certified_radii"]

_ENTRIES = 1 << 24  # doubles of one backward pass (128 MiB): bounds the images taken together
_DOUBLINGS = 60


@dataclass(frozen=True)
class _Hidden:
    """A hidden layer over the ball: bounds of z = W h + b, and the lines low z <= relu(z) <= high z + top on them."""

    layer: Affine
    low: Tensor
    high: Tensor
    top: Tensor
    before: Tensor  # (n,) bound of ||z||
    after: Tensor  # (n,) bound of ||relu(z)||


def certified_radii(matrices: tuple[Affine, ...], x: Tensor, predicted: Tensor, start: Tensor, steps: int) -> Tensor:
    """Return radii (n,), at least ``start``, within which the relaxation proves that the prediction does not change.

    From ``start`` (n,) the radius is doubled while it is proved, and then bisected ``steps`` times in its logarithm.
    """
    widest = max(layer.weight.shape[0] * layer.weight.shape[1] for layer in matrices)
    rows = max(1, _ENTRIES // widest) if len(matrices) > 2 else max(1, _ENTRIES // (len(matrices[-1].weight) * widest))
    parts = zip(torch.split(x, rows), torch.split(predicted, rows), torch.split(start, rows), strict=True)
    return torch.cat([_search(matrices, *part, steps) for part in parts])


def _search(matrices: tuple[Affine, ...], x: Tensor, predicted: Tensor, start: Tensor, steps: int) -> Tensor:
    proved = start.clone()
    # A start of 0 (a tie, or nothing proved) is tried upwards from a radius that is small beside x.
    trial = torch.where(start > 0.0, start, 1e-6 * (1.0 + row_norms(x)))
    failed = torch.full_like(start, torch.inf)
    going = torch.isfinite(start).nonzero()[:, 0]
    for _ in range(_DOUBLINGS):
        if len(going) == 0:
            break
        holds = _holds(matrices, x[going], predicted[going], trial[going])
        proved[going[holds]] = torch.maximum(proved[going[holds]], trial[going[holds]])
        failed[going[~holds]] = trial[going[~holds]]
        going = going[holds]
        trial[going] = 2.0 * trial[going]
    between = ((failed < torch.inf) & (proved > 0.0) & (failed > proved)).nonzero()[:, 0]
    for _ in range(steps):
        if len(between) == 0:
            break
        middle = (proved[between] * failed[between]).sqrt()
        holds = _holds(matrices, x[between], predicted[between], middle) & (middle > proved[between])
        proved[between[holds]] = middle[holds]
        failed[between[~holds]] = middle[~holds]
    return proved


def _holds(matrices: tuple[Affine, ...], x: Tensor, predicted: Tensor, radius: Tensor) -> Tensor:
    """Whether f_c - f_j > 0 is proved over the ball, for all rivals j; (n,) bool."""
    last = matrices[-1]
    hidden: list[_Hidden] = []
    for layer in matrices[:-1]:
        rows = layer.weight[None].expand(len(x), -1, -1)
        lower = _lower(rows, layer.bias[None].expand(len(x), -1), hidden, x, radius)
        upper = -_lower(-rows, -layer.bias[None].expand(len(x), -1), hidden, x, radius)
        hidden.append(_lines(layer, lower, upper))
    rows = last.weight[predicted][:, None, :] - last.weight[None]
    shift = last.bias[predicted][:, None] - last.bias[None]
    size = hidden[-1].after if hidden else row_norms(x) + radius
    # The differences of rows and of biases are themselves rounded.
    rounded = 2.0 * UNIT * (row_norms(rows) * size[:, None] + shift.abs())
    bound = _lower(rows, shift, hidden, x, radius) - rounded
    bound.scatter_(1, predicted[:, None], torch.inf)
    return (bound > 0.0).all(dim=1)


def _lines(layer: Affine, lower: Tensor, upper: Tensor) -> _Hidden:
    """The lines of ReLU on [lower, upper]: 0 or z below; the chord, moved up for its rounding, above."""
    crossing = (lower < 0.0) & (upper > 0.0)
    high = torch.where(crossing, upper / (upper - lower), (lower >= 0.0).double())
    # high z + top >= relu(z) at both ends, and so between them: top >= -high lower and top >= (1 - high) upper.
    top = torch.maximum(-high * lower, (1.0 - high) * upper) * (1.0 + 8.0 * UNIT)
    top = torch.where(crossing, top, 0.0)
    low = torch.where(crossing, (upper > -lower).double(), high)
    before = row_norms(torch.maximum(lower.abs(), upper.abs()))
    return _Hidden(layer, low, high, top, before, row_norms(upper.clamp(min=0.0)))


def _lower(rows: Tensor, shift: Tensor, hidden: list[_Hidden], x: Tensor, radius: Tensor) -> Tensor:
    """Lower bounds of rows h + shift over the ball, with h the output of the last of ``hidden`` (x where none); (n, r).

    rows (n, r, k), shift (n, r).  ``lost`` adds up bounds of every rounding on the way: of the coefficients, times the
    largest norm of what they meet, and of the constants.
    """
    coefficients, constant, lost = rows, shift, torch.zeros_like(shift)
    for place in range(len(hidden) - 1, -1, -1):
        part = hidden[place]
        below = coefficients.clamp(min=0.0) * part.low[:, None, :]
        above = coefficients.clamp(max=0.0)
        constant, lost = _add(constant, lost, above, part.top)
        coefficients = below + above * part.high[:, None, :]
        lost = lost + 2.0 * UNIT * row_norms(coefficients) * part.before[:, None]
        weight, bias = part.layer.weight, part.layer.bias
        constant, lost = _add(constant, lost, coefficients, bias[None].expand(len(x), -1))
        size = hidden[place - 1].after if place else row_norms(x) + radius * (1.0 + 4.0 * UNIT)
        frobenius = row_norms(weight.flatten())
        lost = lost + _terms(weight.shape[0]) * row_norms(coefficients) * frobenius * size[:, None]
        coefficients = coefficients @ weight
    constant, lost = _add(constant, lost, coefficients, x)
    reach = radius[:, None] * row_norms(coefficients) * (1.0 + 4.0 * UNIT)
    return constant - reach - lost * (1.0 + 1e-6) - 4.0 * UNIT * (constant.abs() + reach)


def _add(constant: Tensor, lost: Tensor, rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """constant + rows values, with the rounding of the inner products and of the sum; rows (n, r, k), values (n, k)."""
    term = torch.einsum("nrk,nk->nr", rows, values)
    size = torch.einsum("nrk,nk->nr", rows.abs(), values.abs())
    return constant + term, lost + _terms(rows.shape[-1]) * size + UNIT * (constant.abs() + term.abs()) * 2.0


def _terms(count: int) -> float:
    return 2.0 * (count + 4) * UNIT
