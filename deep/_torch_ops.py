"""The torch table for theory's expression trees, and the score quantities a multiclass tree reads.

The walk over the tree, and the tree itself, are theory's (``theory.expression.evaluate``); only the arithmetic is here.

Both branches of ``where``, and the loser of ``max`` and ``min``, are computed too, and may overflow or leave their
domain there.  Plain reverse-mode differentiation then multiplies a zero by an infinity and returns NaN.  Products,
quotients, powers and functions therefore pass nothing back where nothing arrives (``_Silent``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from theory.expression import Expr, evaluate

__all__ = ["TorchOps", "evaluate_labels", "label_scores", "margin"]

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    # torch.nn.functional.softplus turns into the identity above 20, which costs 2e-9 in float64
    "softplus": lambda u: torch.logaddexp(torch.zeros_like(u), u),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "atan": torch.atan,
    "abs": torch.abs,
}
_COMPARE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "<": torch.lt,
    "<=": torch.le,
    ">": torch.gt,
    ">=": torch.ge,
}


class _Silent(torch.autograd.Function):
    """An elementwise operation whose gradient is 0 wherever the incoming gradient is 0, whatever the derivative."""

    @staticmethod
    def forward(ctx: Any, operation: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        ctx.operation = operation
        ctx.save_for_backward(*inputs)
        return operation(*inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = incoming
        needed = ctx.needs_input_grad[1:]
        with torch.enable_grad():
            inputs = [x.detach().requires_grad_(need) for x, need in zip(ctx.saved_tensors, needed, strict=True)]
            out = ctx.operation(*inputs)
        wanted = [x for x, need in zip(inputs, needed, strict=True) if need]
        zero = torch.zeros_like(gradient)
        found = iter([torch.where(gradient == 0, zero, g) for g in torch.autograd.grad(out, wanted, gradient)])
        return None, *(next(found) if need else None for need in needed)


def _silent(operation: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    same_shape = torch.broadcast_tensors(*inputs)  # type: ignore[no-untyped-call]
    out: Tensor = _Silent.apply(operation, *same_shape)  # type: ignore[no-untyped-call]
    return out


class TorchOps:
    """The torch table of ``theory.expression.evaluate.Operations``; constants take the given dtype and device."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        self._device = device

    def _number(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=self._dtype, device=self._device)

    def constant(self, value: Fraction) -> Tensor:
        return self._number(float(value))

    def pi(self) -> Tensor:
        return self._number(torch.pi)

    def neg(self, value: Tensor) -> Tensor:
        return -value

    def add(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right

    def sub(self, left: Tensor, right: Tensor) -> Tensor:
        return left - right

    def mul(self, left: Tensor, right: Tensor) -> Tensor:
        return _silent(torch.mul, left, right)

    def div(self, left: Tensor, right: Tensor) -> Tensor:
        return _silent(torch.div, left, right)

    def power(self, base: Tensor, exponent: Tensor) -> Tensor:
        return _silent(torch.pow, base, exponent)

    def call(self, name: str, argument: Tensor) -> Tensor:
        return _silent(_UNARY[name], argument)

    def maximum(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.maximum(left, right)

    def minimum(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.minimum(left, right)

    def where(self, comparison: str, left: Tensor, right: Tensor, yes: Tensor, no: Tensor) -> Tensor:
        return torch.where(_COMPARE[comparison](left, right), yes, no)

    def spread(self, value: Tensor) -> Tensor:
        return value.unsqueeze(-1) if value.ndim else value

    def sum_last(self, value: Tensor, count: int) -> Tensor:
        if value.ndim == 0:
            return value * count
        return value.sum(dim=-1) if value.shape[-1] == count else value[..., 0] * count

    def max_last(self, value: Tensor) -> Tensor:
        return value.amax(dim=-1) if value.ndim else value


def label_scores(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return f_y, shape (n,), and the scores of the other classes in order, shape (n, c - 1)."""
    n, classes = logits.shape
    own = labels[:, None]
    rivals = torch.arange(classes - 1, device=logits.device).expand(n, -1)
    rivals = rivals + (rivals >= own)
    return logits.gather(1, own)[:, 0], logits.gather(1, rivals)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return alpha = f_y - max_{k != y} f_k, shape (n,), differentiable; at ties the rivals share the gradient."""
    fy = logits.gather(1, labels[:, None])[:, 0]
    rivals = logits.scatter(1, labels[:, None], -torch.inf)
    return fy - rivals.amax(dim=1)


def evaluate_labels(expr: Expr, logits: Tensor, labels: Tensor, vectors: Mapping[str, Tensor]) -> Tensor:
    """Return the multiclass tree at each row's own label; shape (n,).

    Names as in ``theory.expression.arrays.evaluate_scores``: fy, alpha, lse, q, c; fk and qk inside class sums; each
    vector ``w`` of length c is read as ``w`` at the label and as ``wk`` at the other class.
    """
    classes = logits.shape[1]
    ops = TorchOps(logits.dtype, logits.device)
    fy, fk = label_scores(logits, labels)
    lse = torch.logsumexp(logits, dim=1)
    env = {"fy": fy, "alpha": fy - fk.amax(dim=1), "lse": lse, "q": torch.exp(fy - lse)}
    env["c"] = ops.constant(Fraction(classes))
    inner = {"fk": fk, "qk": torch.exp(fk - lse[:, None])}
    for name, values in vectors.items():
        table = values.to(dtype=logits.dtype, device=logits.device).expand(len(logits), -1)
        env[name], inner[f"{name}k"] = label_scores(table, labels)
    return evaluate(expr, env, ops, inner, classes - 1).expand(len(logits))
