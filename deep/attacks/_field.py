"""A model as a function of flat points: logits, logit differences and their gradients, counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from deep._inputs import ask
from deep.distances import Box
from deep.measure import evaluation_mode

__all__ = ["CONTENT", "Field", "strict_prediction"]

CONTENT = 16.0
"""How many units of rounding (eps of the dtype, times the row's largest logit) a logit difference must pass zero by
before an attack rests: a second forward pass in a batch of another size differs by some, and should not contradict."""


class Field:
    """The frozen model in one dtype, on points of shape (m, d).

    Weights are detached, so that a backward pass reaches the points only; the model itself is never changed but for
    its mode, which ``running`` sets to evaluation and restores.
    """

    def __init__(self, model: nn.Module, shape: tuple[int, ...], dtype: torch.dtype | None, box: Box | None) -> None:
        like = next(model.parameters(), torch.zeros(()))
        self.model = model
        self.shape = shape
        self.box = box
        self.device = like.device
        self.dtype = dtype if dtype is not None else like.dtype
        self.slack = CONTENT * torch.finfo(self.dtype).eps
        self.forwards = 0
        self.backwards = 0
        self._weights = {
            name: value.detach().to(self.dtype) if value.is_floating_point() else value.detach()
            for group in (model.named_parameters(), model.named_buffers())
            for name, value in group
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        """Evaluation mode without gradients, every part's mode restored afterwards."""
        with evaluation_mode(self.model):
            yield

    def logits(self, points: Tensor) -> Tensor:
        """f at flat points; (m, c)."""
        self.forwards += len(points)
        images = points.reshape(len(points), *self.shape)
        return ask(lambda x: functional_call(self.model, self._weights, (x,)), images, type(self.model).__name__)

    def gaps(self, points: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """f_s - max_{k != s} f_k plus the slack, and the slack; (m,) each.  Negative or NaN: an adversarial point."""
        if len(points) == 0:
            return points.new_empty(0), points.new_empty(0)
        gap, _, slack = self._gap(self.logits(points), source)
        return gap + slack, slack

    def gradient(self, points: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gap with its slack, its gradient, and the slack; (m,), (m, d), (m,)."""
        with torch.enable_grad():
            at = points.detach().requires_grad_()
            gap, _, slack = self._gap(self.logits(at), source)
            return (gap + slack).detach(), self.pull(gap, at), slack

    def pull(self, value: Tensor, at: Tensor, keep: bool = False) -> Tensor:
        """The gradient of the sum of ``value`` at ``at``; zero where the model cuts it or it is not finite."""
        self.backwards += len(at)
        if not value.requires_grad:
            return torch.zeros_like(at)
        (found,) = torch.autograd.grad(value.sum(), at, retain_graph=keep, materialize_grads=True)
        return torch.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)

    def _gap(self, logits: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        own = logits.gather(1, source[:, None])[:, 0]
        best, rival = logits.scatter(1, source[:, None], -torch.inf).max(dim=1)
        gap = torch.where(torch.isnan(logits).any(dim=1), torch.nan, own - best)
        slack = self.slack * logits.detach().abs().amax(dim=1)
        return gap, rival, torch.where(torch.isfinite(slack), slack, 0.0)


def strict_prediction(logits: Tensor) -> Tensor:
    """The class of strictly the largest logit, -1 where two share it or one is NaN; (n,) int64."""
    two, at = logits.topk(2, dim=1)
    sure = (two[:, 0] > two[:, 1]) & ~torch.isnan(logits).any(dim=1)
    return torch.where(sure, at[:, 0], -1)
