"""Where a minimum-norm search begins: DeepFool, the fast minimum-norm attack, random points, other images.

Each takes the clean rows x, their predicted classes s and a field, and returns points of shape (m, d); a row without an
adversarial point comes back as NaN.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._field import Field
from ._geometry import ball, clip, norms, project, rows_dot, unit

__all__ = ["CANDIDATES", "deepfool", "fast_minimum_norm", "other_images", "random_points"]

CANDIDATES = 10
"""Rival classes that DeepFool looks at: those of the largest logits at the clean image."""

_KEPT = 3  # of them, those whose linearised boundary is nearest: after the first step, of the first aim
_OVERSHOOT = 0.02  # of DeepFool, as published: each step goes this share further


def deepfool(field: Field, x: Tensor, source: Tensor, steps: int, aims: int) -> list[Tensor]:
    """Step to the nearest linearised boundary of a rival class until the prediction changes; one point for each aim.

    delta = (P(x) - x)(1 + .02) with P the projection of the current point on the half-space (f_s - f_k) linearised
    <= 0 within the box, for the k with the nearest one (Moosavi-Dezfooli, Fawzi & Frossard 2016, algorithm 2; there
    without the box).  That is the first aim.  The others are of one class each: those whose linearised boundaries at x
    are the second, third ... nearest.  The nearest point is often theirs.
    """
    differences, gradients, classes = _differences(field, x, source, None)
    points, lengths = _projections(field, x, gradients, differences)
    order = lengths.argsort(dim=1)
    found = []
    for aim in range(min(aims, order.shape[1])):
        first = points[torch.arange(len(x), device=x.device), order[:, aim]]
        kept = order[:, :_KEPT] if aim == 0 else order[:, aim : aim + 1]
        found.append(_follow(field, x, source, clip(x + (1.0 + _OVERSHOOT) * (first - x), field.box),
                             classes.gather(1, kept), steps - 1))  # fmt: skip
    return found


def _follow(field: Field, x: Tensor, source: Tensor, at: Tensor, classes: Tensor, steps: int) -> Tensor:
    """Further steps towards ``classes`` (m, k), from ``at``; rows leave as they succeed."""
    found = torch.full_like(x, torch.nan)
    rows = torch.arange(len(x), device=x.device)
    for step in range(steps + 1):
        gap, _ = field.gaps(at, source[rows])
        out = ~(gap >= 0.0)
        found[rows[out]] = at[out]
        rows, at, classes = rows[~out], at[~out], classes[~out]
        if len(rows) == 0 or step == steps:
            break
        differences, gradients, _ = _differences(field, at, source[rows], classes)
        points, lengths = _projections(field, at, gradients, differences)
        new = points[torch.arange(len(rows), device=x.device), lengths.argmin(dim=1)]
        at = clip(at + (1.0 + _OVERSHOOT) * (new - at), field.box)
    return found


def _differences(field: Field, at: Tensor, source: Tensor, classes: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """f_s - f_k, at least 0, (m, k), its gradients (m, k, d), and the classes; None: those of the largest logits."""
    with torch.enable_grad():
        leaf = at.detach().requires_grad_()
        logits = field.logits(leaf)
        if classes is None:
            others = logits.detach().scatter(1, source[:, None], -torch.inf)
            classes = others.topk(min(CANDIDATES, logits.shape[1] - 1), dim=1).indices
        values = logits.gather(1, source[:, None]) - logits.gather(1, classes)
        last = values.shape[1] - 1
        gradients = [field.pull(values[:, k], leaf, keep=k < last) for k in range(last + 1)]
    return torch.nan_to_num(values.detach(), nan=0.0).clamp(min=0.0), torch.stack(gradients, dim=1), classes


def _projections(field: Field, at: Tensor, gradients: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor]:
    """The points of k half-spaces nearest to each row, within the box, (m, k, d), and how far they are, (m, k).

    A half-space out of the box's reach counts as farther than every other.
    """
    m, k, d = gradients.shape
    flat, g, gap = at.repeat_interleave(k, dim=0), gradients.reshape(m * k, d), gaps.reshape(m * k)
    level = rows_dot(g, flat) - gap
    new = project(flat, g, level, field.box)
    length = norms(new - flat)
    missed = rows_dot(g, new) - level > 0.5 * gap
    far = 1e6 * (1.0 + length)
    return new.reshape(m, k, d), torch.where(missed | (length == 0.0) & (gap > 0.0), far, length).reshape(m, k)


def fast_minimum_norm(field: Field, x: Tensor, source: Tensor, steps: int, start: Tensor | None = None) -> Tensor:
    """Normalised descent on the gap within a ball that shrinks where the point is adversarial and grows where not.

    delta <- clip(ball(delta - a_t g / ||g||, e_t)), a_t from 1 to .01 and c_t from .05 to .0001 along half a cosine;
    e_t <- min(e_t, ||best||)(1 - c_t) at an adversarial point, e_t (1 + c_t) at another once one is known (Pintor et
    al. 2021, algorithm 1, L2).  Until then the ball is the whole space: their estimate ||delta|| + gap / ||g|| can
    stall just inside the boundary.
    """
    delta = torch.zeros_like(x) if start is None else start - x
    best = torch.full_like(x, torch.nan)
    least = torch.full((len(x),), torch.inf, dtype=x.dtype, device=x.device)
    radius = least.clone()
    for step in range(steps):
        half = 0.5 * (1.0 + math.cos(math.pi * step / steps))
        size, change = 0.01 + 0.99 * half, 0.0001 + 0.0499 * half
        gap, g, _ = field.gradient(x + delta, source)
        out = ~(gap >= 0.0)
        length = norms(delta)
        better = out & (length < least)
        best = torch.where(better[:, None], x + delta, best)
        least = torch.where(better, length, least)
        radius = torch.where(out, torch.minimum(radius, least) * (1.0 - change), radius * (1.0 + change))
        delta = clip(x + ball(delta - size * unit(g, 0.0), radius), field.box) - x
    return best


def random_points(field: Field, x: Tensor, noise: Tensor) -> Tensor:
    """Points at one unit from x along ``noise`` (m, d), within the box: a random start of the descent."""
    return clip(x + unit(noise, 0.0), field.box)


def other_images(x: Tensor, source: Tensor, pool: Tensor, classes: Tensor) -> Tensor:
    """The nearest image of the pool that the model gives another class than s: adversarial without any gradient.

    Where the pool has none of another class, NaN.
    """
    if len(x) == 0:
        return x
    wide = torch.promote_types(x.dtype, torch.float32)  # there is no cdist in half precision
    apart = torch.cdist(x.to(wide), pool.to(wide)).masked_fill(source[:, None] == classes[None, :], torch.inf)
    least, at = apart.min(dim=1)
    return torch.where(torch.isfinite(least)[:, None], pool[at], torch.nan)
