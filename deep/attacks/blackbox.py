"""A baseline that sees predictions only: random search along the boundary.  Weak, and blind to masked gradients."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from deep._inputs import check_count, check_generator, check_labels
from deep.distances import Box, Distances

from ._checks import prepare
from ._field import Field, strict_prediction
from ._geometry import chunks, clip, norms, unit
from ._starts import other_images
from .minimum import ROWS, MinimumNorm, confirmed

__all__ = ["decision_search"]

_SHOTS = 12  # random points that a search may begin at
_HALVINGS = 12  # back to the boundary: to a 4096th of the first length
_WISHED = 0.25  # rate of success that the step size keeps to


def decision_search(
    model: nn.Module,
    x: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    *,
    generator: torch.Generator,
    queries: int = 300,
    box: Box | None = (0.0, 1.0),
    dtype: torch.dtype | None = None,
    rows: int = ROWS,
) -> MinimumNorm:
    """Return adversarial points found from predictions alone, without a gradient; an upper bound of the distance.

    Begins at the nearest of: a uniform point of the box (without box, normal noise about x of doubling size), and the
    images of another prediction; halves the way back to the boundary; then proposes

        z' = clip(x + (1 - .1 s)(z + s ||z - x|| n - x)),   n uniform on the sphere,

    takes z' where it is nearer and adversarial, and moves s so that a quarter of the proposals succeed (after
    Brendel, Rauber & Bethge 2018).  ``queries`` counts the forward passes of an image, the start included.

    It finds distances several times too large on a sound model.  Where it beats a gradient attack, that attack failed:
    this is what it is for (``flags``).  Randomness comes from ``generator``; x of shape (n, ...), y of shape (n,) and
    errors as in ``minimum_norm``.
    """
    check_count("queries", queries, _SHOTS + _HALVINGS)
    check_count("rows", rows, 1)
    check_generator(generator)
    field, flat, labels = prepare(model, x, y, box, dtype)
    with field.running():
        batches = chunks(len(flat), rows, flat.device)
        logits = torch.cat([field.logits(flat[at]) for at in batches])
        check_labels(labels, logits.shape[1])
        predicted = strict_prediction(logits)
        first = other_images(flat, predicted, flat, predicted)
        values, points = [], []
        for at in batches:
            point = flat[at].clone()
            inner = torch.nonzero(predicted[at] >= 0)[:, 0]
            if len(inner):
                point[inner] = _search(
                    field, flat[at][inner], predicted[at][inner], first[at][inner], queries, generator
                )
            values.append(confirmed(field, flat[at], predicted[at], point))
            points.append(point)
    found, length = torch.cat(points), torch.cat(values)
    found[torch.isinf(length)] = torch.nan
    details = {"queries": queries, "missing": int(torch.isinf(length).sum())}
    right = (predicted == labels).cpu()
    distances = Distances(length.cpu(), right, "upper", "l2", box, "decision-only random search", details)
    return MinimumNorm(distances, found.reshape(len(flat), *field.shape))


def _search(field: Field, x: Tensor, source: Tensor, first: Tensor, queries: int, generator: torch.Generator) -> Tensor:
    best = first.clone()
    least = torch.where(torch.isnan(first).any(dim=1), torch.inf, norms(torch.nan_to_num(first) - x))

    def consider(point: Tensor) -> Tensor:
        nonlocal best, least
        length = norms(point - x)
        better = (length < least) & _leaves(field, point, source)
        best, least = torch.where(better[:, None], point, best), torch.where(better, length, least)
        return better

    for shot in range(_SHOTS):
        if field.box is not None:
            low, high = field.box
            consider(low + (high - low) * torch.rand(x.shape, generator=generator, device=generator.device).to(x))
        else:
            consider(x + 2.0 ** (shot - 3) * _sphere(x, generator))
    low_end = torch.zeros_like(least)
    start, high_end = torch.where(torch.isinf(least)[:, None], x, best), torch.ones_like(least)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low_end + high_end)
        out = consider(clip(x + middle[:, None] * (start - x), field.box))
        low_end, high_end = torch.where(out, low_end, middle), torch.where(out, middle, high_end)
    size = torch.full_like(least, 0.1)
    for _ in range(queries - _SHOTS - _HALVINGS):
        length = torch.where(torch.isinf(least), 0.0, least)
        moved = torch.where(torch.isinf(least)[:, None], x, best) - x
        moved = moved + (size * length)[:, None] * _sphere(x, generator)
        good = consider(clip(x + (1.0 - 0.1 * size)[:, None] * moved, field.box))
        change = torch.where(good, 1.2, 1.2 ** (-_WISHED / (1.0 - _WISHED))).to(size)
        size = (size * change).clamp(1e-4, 1.0)
    return best


def _leaves(field: Field, point: Tensor, source: Tensor) -> Tensor:
    gap, _ = field.gaps(point, source)
    return ~(gap >= 0.0)


def _sphere(x: Tensor, generator: torch.Generator) -> Tensor:
    return unit(torch.randn(x.shape, generator=generator, device=generator.device).to(x), 0.0)
