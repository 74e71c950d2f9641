"""Rows of flat vectors: norms, projections on half-spaces, balls and boxes.  Everything acts row by row."""

from __future__ import annotations

import torch
from torch import Tensor

from deep.distances import Box

__all__ = ["ball", "chunks", "clip", "norms", "project", "rows_dot", "unit"]

_NEWTON_STEPS = 60  # far above what is seen (about ten): each step fixes at least one coordinate


def chunks(count: int, rows: int, device: torch.device) -> list[Tensor]:
    """The indices 0..count - 1 in order, at most ``rows`` in each part; no part where there are none."""
    return [torch.arange(start, min(start + rows, count), device=device) for start in range(0, count, rows)]


def rows_dot(a: Tensor, b: Tensor) -> Tensor:
    """<a_i, b_i>; (m,)."""
    return (a * b).sum(dim=1)


def norms(a: Tensor, norm: str = "l2") -> Tensor:
    """||a_i||, scaled so that neither squares of small numbers nor of large ones leave the range; (m,)."""
    top: Tensor = a.abs().amax(dim=1)
    if norm == "linf":
        return top
    scale = torch.where(top > 0.0, top, 1.0)
    length: Tensor = scale * torch.linalg.vector_norm(a / scale[:, None], dim=1)
    return length


def unit(a: Tensor, floor: float) -> Tensor:
    """a_i / max(||a_i||, floor); a zero row stays zero."""
    size = norms(a)
    scale = a.abs().amax(dim=1)
    safe = torch.where(scale > 0.0, scale, 1.0)
    return a / safe[:, None] * (safe / size.clamp(min=max(floor, torch.finfo(a.dtype).tiny)))[:, None]


def clip(a: Tensor, box: Box | None) -> Tensor:
    """The nearest point of the box."""
    return a if box is None else a.clamp(*box)


def ball(delta: Tensor, eps: Tensor | float, norm: str = "l2") -> Tensor:
    """The nearest delta of norm at most eps; ``eps`` is one number or one a row."""
    if norm == "linf":
        if isinstance(eps, Tensor):
            return delta.clamp(-eps[:, None], eps[:, None])
        return delta.clamp(-eps, eps)
    size = norms(delta)
    shrink = (eps / torch.where(size > 0.0, size, 1.0)).clamp(max=1.0)
    return delta * torch.where(size > 0.0, shrink, 1.0)[:, None]


def project(x: Tensor, g: Tensor, level: Tensor, box: Box | None) -> Tensor:
    """argmin ||u - x|| with <g, u> <= level and u in the box; x itself lies in the box.

    u(t) = clip(x - t g) with the least t >= 0 at which <g, u(t)> <= level.  In t this product is convex, decreasing and
    piecewise linear, so that Newton's method from t = 0 never passes the root and ends after finitely many steps.
    Where half-space and box do not meet, the point of the box that is deepest towards the half-space.
    """
    if box is None:
        square = rows_dot(g, g)
        over = (rows_dot(g, x) - level).clamp(min=0.0)
        return x - (over / torch.where(square > 0.0, square, 1.0))[:, None] * g
    t = torch.zeros_like(level)
    u = x
    for _ in range(_NEWTON_STEPS):
        over = rows_dot(g, u) - level
        free = torch.where(g > 0.0, u > box[0], u < box[1])
        slope = (g * g * free).sum(dim=1)
        move = torch.where((over > 0.0) & (slope > 0.0), over / torch.where(slope > 0.0, slope, 1.0), 0.0)
        new = t + move
        if bool((new <= t).all()):  # all rows are there, to rounding
            break
        t = new
        u = (x - t[:, None] * g).clamp(*box)
    return u
