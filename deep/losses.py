"""Training losses as torch modules: the average-margin loss by hand, and any loss of theory from its own tree.

Both take logits (never softmax outputs) of shape (n, c) and integer labels of shape (n,), and return the mean over the
batch.  The hand-written one is tied to theory's tree by a property test.  They take tensors alone, which carry the
gradient that a loss is there for: arrays are refused (``theory`` evaluates losses on those).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from theory.losses import Loss

from ._inputs import check_number
from ._torch_ops import evaluate_labels, margin

__all__ = ["PENALTIES", "AverageMarginLoss", "ExpressionLoss", "HingePenaltyLoss", "check_weights"]

PENALTIES = ("paper", "released")


class AverageMarginLoss(nn.Module):
    """Cross-entropy plus mu times a truncated hinge of the margin alpha = f_y - max_{k != y} f_k, batch mean.

    ``penalty="paper"``:    CE + mu (H_tau - H_0)(alpha) = CE + mu clip(tau - alpha, 0, tau), H_s(u) = max(0, s - u).
    ``penalty="released"``: CE + mu clip(-alpha, 0, tau), what the authors' later code computes.  It is another
    function: it falls where the prediction is wrong, the first one where it is right.

    Either penalty is a difference of hinges, H_tau - H_0 or H_0 - H_{-tau}: ``convex_part`` minus ``subtracted_part``
    is this loss, with equal gradients at the kinks too, for the paper's method of differences of convex functions.

    mu = 0 gives cross-entropy.  ``check=True`` refuses logits that are not finite (it costs one pass over them).
    Raises ``ValueError`` for mu < 0, tau <= 0, or either of them not a finite number, for an unknown penalty, and in
    ``forward`` for what is no tensor, logits that are not (n, c) real numbers with n >= 1, c >= 2 and labels that are
    not (n,) integers in 0..c-1.

    Domain     logits in R^c, labels in 0..c-1
    Source     Wu & Yu (2019), arXiv 1907.11780, the objective J(f) without its orthogonality term
    """

    def __init__(self, mu: float, tau: float, penalty: str = "paper", *, check: bool = False) -> None:
        super().__init__()
        check_weights(mu, tau)
        if penalty not in PENALTIES:
            raise ValueError(f"penalty={penalty!r} must be 'paper' or 'released'")
        self.mu, self.tau, self.penalty, self.check = float(mu), float(tau), penalty, bool(check)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the batch mean, a tensor with no dimension, differentiable in the logits."""
        _check_batch(logits, labels, finite=self.check)
        loss = functional.cross_entropy(logits, labels)
        if self.mu == 0.0:
            return loss
        return loss + self.mu * self._gap(logits, labels).clamp(0.0, self.tau).mean()

    def convex_part(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the batch mean of G = CE + mu H_tau(alpha), for ``released`` CE + mu H_0(alpha)."""
        _check_batch(logits, labels, finite=self.check)
        return functional.cross_entropy(logits, labels) + self.mu * self._gap(logits, labels).clamp(min=0.0).mean()

    def subtracted_part(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the batch mean of H = mu H_0(alpha), for ``released`` mu H_{-tau}(alpha)."""
        _check_batch(logits, labels, finite=self.check)
        return self.mu * torch.relu(self._gap(logits, labels) - self.tau).mean()

    def _gap(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The quantity u of clip(u, 0, tau), shape (n,)."""
        alpha = margin(logits, labels)
        return self.tau - alpha if self.penalty == "paper" else -alpha

    def extra_repr(self) -> str:
        """Show the parameters in ``repr``."""
        return f"mu={self.mu:g}, tau={self.tau:g}, penalty={self.penalty!r}"


class HingePenaltyLoss(AverageMarginLoss):
    """Cross-entropy plus mu H_tau(alpha), batch mean: the convex part of the average-margin loss, nothing subtracted.

    The hinge H_tau(u) = max(0, tau - u) is not truncated: a wrong image counts the more, the further on the wrong side.
    Arguments and errors as in ``AverageMarginLoss``.

    Domain     logits in R^c, labels in 0..c-1
    Source     Wu & Yu (2019), arXiv 1907.11780, G of the difference G - H; the hinge of Crammer & Singer (2001)
    """

    def __init__(self, mu: float, tau: float, *, check: bool = False) -> None:
        super().__init__(mu, tau, "paper", check=check)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the batch mean, a tensor with no dimension, differentiable in the logits."""
        return self.convex_part(logits, labels)


class ExpressionLoss(nn.Module):
    """The batch mean of any multiclass loss of ``theory``, from the catalogue or typed by a user: the very same tree.

    Losses on sum-zero scores are read at f - mean(f), which parametrises them by logits in R^c; losses on bounded
    scores refuse logits outside the bound.  At kinks the gradient is the mean of the two sides.
    Raises ``ValueError`` for what is no loss of ``theory`` (its name, say: ``theory.catalogue.get`` finds it) or has no
    multiclass formula, and in ``forward`` as ``AverageMarginLoss`` does, and for a class count other than the one a
    vector parameter has.
    """

    def __init__(self, loss: Loss, *, check: bool = False) -> None:
        super().__init__()
        if not isinstance(loss, Loss):
            raise ValueError(f"loss={loss!r} must be a theory.Loss (see theory.catalogue.get and theory.from_formula)")
        self.loss, self.check = loss, bool(check)
        self._tree = loss.score_tree
        self._vectors = {
            name: torch.tensor([float(entry) for entry in value], dtype=torch.float64)
            for name, value in loss.parameters.items()
            if isinstance(value, tuple)
        }

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the batch mean, a tensor with no dimension, differentiable in the logits."""
        return self.values(logits, labels).mean()

    def values(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of every row at its label; shape (n,)."""
        _check_batch(logits, labels, finite=self.check)
        for name, vector in self._vectors.items():
            if len(vector) != logits.shape[1]:
                raise ValueError(
                    f"logits of shape {tuple(logits.shape)} must have {len(vector)} columns, as parameter {name!r}"
                )
        domain = self.loss.domain
        if domain.kind == "sum-zero":
            logits = logits - logits.mean(dim=1, keepdim=True)
        elif domain.bound is not None and not (largest := logits.detach().abs().max().item()) <= float(domain.bound):
            raise ValueError(
                f"max |logit|={largest:g} must be at most {domain.bound}, the domain of {self.loss.name!r}"
            )
        return evaluate_labels(self._tree, logits, labels, self._vectors)

    def extra_repr(self) -> str:
        """Show the loss's name in ``repr``."""
        return repr(self.loss.name)


def check_weights(mu: float, tau: float) -> None:
    """Raise ``ValueError`` unless mu >= 0 and tau > 0 are finite numbers: the loss is stated for no others."""
    for name, value in (("mu", mu), ("tau", tau)):
        check_number(name, value)
    if not (math.isfinite(mu) and mu >= 0.0):
        raise ValueError(f"mu={mu!r} must be finite and at least 0; a negative weight would reward small margins")
    if not (math.isfinite(tau) and tau > 0.0):
        raise ValueError(f"tau={tau!r} must be finite and above 0")


def _check_batch(logits: Tensor, labels: Tensor, *, finite: bool) -> None:
    for name, value in (("logits", logits), ("labels", labels)):
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} of type {type(value).__name__} must be a torch.Tensor (see torch.as_tensor)")
    if logits.ndim != 2 or logits.shape[0] < 1 or logits.shape[1] < 2 or not logits.dtype.is_floating_point:
        raise ValueError(f"logits of shape {tuple(logits.shape)}, {logits.dtype} must be real, (n, c), n >= 1, c >= 2")
    if labels.shape != logits.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(
            f"labels of shape {tuple(labels.shape)}, {labels.dtype} must be int64 of shape ({len(logits)},)"
        )
    low, high = labels.aminmax()
    if low < 0 or high >= logits.shape[1]:
        raise ValueError(f"labels in {low.item()}..{high.item()} must lie in 0..{logits.shape[1] - 1}")
    if finite and not torch.isfinite(logits).all():
        row = int((~torch.isfinite(logits)).any(dim=1).nonzero()[0])
        raise ValueError(f"logits[{row}] must be finite; it holds NaN or infinity")
