"""Objectives that look at perturbed images: adversarial training, TRADES and max-margin training (MMA), all in L2.

Each step first looks for a perturbation of every image of its batch, with the model in evaluation mode and its weights
fixed (``worst_in_ball``, ``nearest_boundary``), and then takes the gradient of the objective in the weights there.  The
perturbed images stay in the box [0, 1].  Random starts come from a generator that is passed in and kept with the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._torch_ops import margin
from .measure import evaluation_mode

__all__ = ["ATTACK_OBJECTIVES", "METHODS", "RobustObjective", "nearest_boundary", "worst_in_ball"]

METHODS = ("erm", "adversarial", "trades", "mma")
ATTACK_OBJECTIVES = ("margin", "ce")
_BOX = (0.0, 1.0)
_TRADES_START = 1e-3  # standard deviation of its start, per pixel, as in the authors' code
_CLEAN_SHARE = 1.0 / 3.0  # of the clean loss beside MMA's, as in the authors' experiments
_HALVINGS = 10  # of the segment that crosses the boundary: its length / 1024
_ULPS = 16.0  # rounding of a norm, in units of the precision
_DDN_FACTOR = 0.3  # by which a radius grows or shrinks at the first step; it falls linearly to 0

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class RobustObjective:
    """The mean over a batch of what a method minimises, where loss(f(x), y) is the loss of the run.

    adversarial : loss(f(x'), y), x' the ``worst_in_ball`` of radius eps for ``attack`` (``margin`` or ``ce``), from a
                  start drawn uniformly in the ball.  Madry et al. (2018), in L2.
    trades      : loss(f(x), y) + trades_beta KL(softmax f(x) || softmax f(x')), x' the ``worst_in_ball`` for that
                  divergence, from x + 0.001 N(0, I).  Zhang et al. (2019), algorithm 1, in L2.
    mma         : 1/3 loss(f(x), y) + 2/3 m, where m is loss(f(x), y) if the prediction is wrong; loss(f(x*), y) at the
                  ``nearest_boundary`` point x* if it is right and |x* - x| < mma_limit; else 0.  At a point
                  x* of the boundary a step down the loss moves the boundary away.  Ding et al. (2020), their combined
                  loss.
    """

    method: str
    eps: float
    steps: int
    step_size: float
    attack: str
    trades_beta: float
    mma_limit: float

    def __call__(
        self, model: nn.Module, forward: Callable[[Tensor], Tensor], loss: Loss, x: Tensor, y: Tensor, noise: Tensor
    ) -> Tensor:
        """Return the objective on the images x (n, ...), labels y (n,); ``forward`` is called once.

        model   : looked at in evaluation mode to find the perturbations, and left as it was.
        forward : gives the logits whose gradients count; the same model, or a wrapper of it.
        noise   : (n, ...) of ``draw``; not read by ``mma``.
        """
        if self.method == "adversarial":
            rival = self._rival(model, y)
            start = x + self.eps * noise
            return loss(forward(worst_in_ball(model, rival, x, start, self.eps, self.steps, self.step_size)), y)
        if self.method == "trades":
            return self._trades(model, forward, loss, x, y, noise)
        return self._mma(model, forward, loss, x, y)

    def draw(self, count: int, like: Tensor, generator: torch.Generator) -> Tensor:
        """The random part of the starts of ``count`` images that are like those given; drawn on the processor."""
        shape = (count, *like.shape[1:])
        if self.method == "mma":
            return torch.zeros(shape, dtype=like.dtype)
        noise = torch.randn(shape, generator=generator, dtype=like.dtype)
        if self.method == "trades":
            return _TRADES_START * noise
        flat = noise.flatten(1)  # uniform in the unit ball: a direction, and a radius whose power d is uniform
        radius = torch.rand((count, 1), generator=generator, dtype=like.dtype) ** (1.0 / flat.shape[1])
        return (flat * (radius / _length(flat))).reshape(shape)

    def _rival(self, model: nn.Module, y: Tensor) -> Callable[[Tensor], Tensor]:
        if self.attack == "ce":
            return lambda x: functional.cross_entropy(model(x), y, reduction="sum")
        return lambda x: -margin(model(x), y).sum()

    def _trades(
        self, model: nn.Module, forward: Callable[[Tensor], Tensor], loss: Loss, x: Tensor, y: Tensor, noise: Tensor
    ) -> Tensor:
        with evaluation_mode(model):
            clean = model(x).log_softmax(dim=1)

        def divergence(moved: Tensor) -> Tensor:
            return functional.kl_div(model(moved).log_softmax(dim=1), clean, reduction="sum", log_target=True)

        found = worst_in_ball(model, divergence, x, x + noise, self.eps, self.steps, self.step_size)
        here, there = torch.split(forward(torch.cat([x, found])), len(x))
        apart = functional.kl_div(
            there.log_softmax(dim=1), here.log_softmax(dim=1), reduction="batchmean", log_target=True
        )
        return loss(here, y) + self.trades_beta * apart

    def _mma(self, model: nn.Module, forward: Callable[[Tensor], Tensor], loss: Loss, x: Tensor, y: Tensor) -> Tensor:
        found, distance = nearest_boundary(model, x, y, limit=self.mma_limit, steps=self.steps)
        counts = distance < self.mma_limit  # wrong images have distance 0, and are their own point
        logits = forward(torch.cat([x, found[counts]]))
        clean, rows = loss(logits[: len(x)], y), int(counts.sum())
        if rows == 0:
            return _CLEAN_SHARE * clean
        share = (1.0 - _CLEAN_SHARE) * rows / len(x)
        return _CLEAN_SHARE * clean + share * loss(logits[len(x) :], y[counts])


def worst_in_ball(
    model: nn.Module,
    objective: Callable[[Tensor], Tensor],
    x: Tensor,
    start: Tensor,
    eps: float,
    steps: int,
    step_size: float,
) -> Tensor:
    """Return the last of ``steps`` points of projected gradient ascent on ``objective`` in the L2 ball around x, boxed.

    objective : sum over the images of something that depends on each by itself.
    step_size : length of each step, in units of x, however small the gradient; an image whose gradient is 0 stays.
    """
    moved = _project(x, start - x, eps)
    for _ in range(steps):
        moved = _project(x, moved + step_size * _unit(_gradient(model, objective, moved)) - x, eps)
    return moved


def nearest_boundary(model: nn.Module, x: Tensor, y: Tensor, *, limit: float, steps: int) -> tuple[Tensor, Tensor]:
    """Return a point near each x (n, ...) where the prediction stops being y, and its distance; (n, ...) and (n,).

    An image that is not classified as y is its own point, at distance 0.  Where no such point was found within
    ``limit``, the distance is ``inf`` and the point is the last that was tried.  The distance is an upper bound of the
    true one: the point is classified otherwise, up to the rounding of a batch.

    Method: steps along the unit gradient of the margin, each brought to a radius that shrinks after a success and grows
    after a failure, at most ``limit`` (in the manner of DDN, Rony et al. 2019); the nearest success is moved towards x
    by bisection.
    """
    with evaluation_mode(model):
        right = margin(model(x), y) > 0.0
    flat = (len(x), *[1] * (x.ndim - 1))
    radius = torch.full((len(x),), limit / 2.0, dtype=x.dtype, device=x.device)
    best, nearest = x.clone(), torch.full_like(radius, torch.inf)
    moved = x.clone()
    furthest = limit * (1.0 + _ULPS * torch.finfo(x.dtype).eps)  # a radius at the limit may come out a rounding longer
    for step in range(steps):
        offset = moved - x + radius.reshape(flat) * _unit(_gradient(model, lambda z: -margin(model(z), y).sum(), moved))
        moved = (x + radius.reshape(flat) * _unit(offset)).clamp(*_BOX)
        crossed, length = _wrong(model, moved, y), _length((moved - x).flatten(1))[:, 0]
        better = crossed & (length < nearest) & (length <= furthest)
        best = torch.where(better.reshape(flat), moved, best)
        nearest = torch.where(better, length, nearest)
        factor = _DDN_FACTOR * (1.0 - step / steps)
        radius = torch.where(crossed, radius * (1.0 - factor), (radius * (1.0 + factor)).clamp(max=limit))
    best = torch.where((right & torch.isinf(nearest)).reshape(flat), moved, best)
    low, high = torch.zeros_like(radius), torch.ones_like(radius)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        crossed = _wrong(model, x + middle.reshape(flat) * (best - x), y)
        low, high = torch.where(crossed, low, middle), torch.where(crossed, middle, high)
    found = torch.isfinite(nearest) & right
    best = torch.where(found.reshape(flat), x + high.reshape(flat) * (best - x), best)
    best = torch.where(right.reshape(flat), best, x)
    return best, torch.where(right, nearest * high, torch.zeros_like(nearest))


def _gradient(model: nn.Module, objective: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with evaluation_mode(model), torch.enable_grad():
        at = x.detach().requires_grad_()
        return torch.autograd.grad(objective(at), at)[0]


def _wrong(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with evaluation_mode(model):
        return margin(model(x), y) <= 0.0


def _unit(vectors: Tensor) -> Tensor:
    """Each image divided by its L2 norm, in two steps so that nothing underflows; 0 stays 0."""
    flat = vectors.flatten(1)
    tiny = torch.finfo(flat.dtype).tiny
    flat = flat / flat.abs().amax(dim=1, keepdim=True).clamp(min=tiny)
    return (flat / _length(flat).clamp(min=tiny)).reshape(vectors.shape)


def _length(rows: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return found


def _project(x: Tensor, offset: Tensor, eps: float) -> Tensor:
    """x + offset in the ball, then in the box: x lies in the box, so that the second keeps to the first."""
    length = _length(offset.flatten(1)).clamp(min=eps).reshape(len(x), *[1] * (x.ndim - 1))
    return (x + offset * (eps / length)).clamp(*_BOX)
