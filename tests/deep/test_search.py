"""Torch callables in the searched tier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from deep import AverageMarginLoss, search
from theory import Status, Tier

FEW = {"posteriors": 16, "starts": 2}


def crammer_singer(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    own = scores.gather(1, y[:, None])[:, 0]
    others = scores.scatter(1, y[:, None], -torch.inf).amax(1)
    return torch.clamp(1 - own + others, min=0)


class Doubled(torch.nn.Module):
    """Twice the cross-entropy in eval mode, nonsense in training mode."""

    def forward(self, scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        factor = -1.0 if self.training else 2.0
        return factor * torch.nn.functional.cross_entropy(scores, y, reduction="none")


def test_a_failing_torch_loss_is_seen() -> None:
    verdict = search(crammer_singer, 3, rng=np.random.default_rng(0), posteriors=[[0.4, 0.3, 0.3]])
    assert (verdict.status, verdict.tier, verdict.loss) == (Status.UNDECIDED, Tier.SEARCHED, "crammer_singer")
    assert verdict.report is not None
    assert verdict.report.seen


def test_the_loss_of_the_paper_has_no_failure() -> None:
    def loss(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        own = scores.gather(1, y[:, None])[:, 0]
        alpha = own - scores.scatter(1, y[:, None], -torch.inf).amax(1)
        return torch.nn.functional.cross_entropy(scores, y, reduction="none") + 0.1 * (5 - alpha).clamp(0, 5)

    verdict = search(loss, 2, rng=np.random.default_rng(1), **FEW)
    assert verdict.report is not None
    assert not verdict.report.seen


def test_a_module_is_asked_in_eval_mode_and_keeps_its_own() -> None:
    loss = Doubled().train()
    verdict = search(loss, 2, rng=np.random.default_rng(1), batch=1000, **FEW)
    assert verdict.report is not None
    assert not verdict.report.seen
    assert loss.training


def test_float32_is_searched_with_its_own_noise() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.int64):
        with pytest.raises(ValueError, match=r"dtype=torch.\w+ must be torch.float64 or torch.float32"):
            search(torch.nn.CrossEntropyLoss(reduction="none"), 2, rng=np.random.default_rng(1), dtype=dtype)
    seen: list[torch.dtype] = []

    def loss(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append(scores.dtype)
        return torch.nn.functional.cross_entropy(scores, y, reduction="none")

    verdict = search(loss, 2, rng=np.random.default_rng(1), posteriors=[[0.7, 0.3]], dtype=torch.float32)
    assert set(seen) == {torch.float32}
    assert verdict.report is not None
    assert verdict.report.noise >= float(np.finfo(np.float32).eps)
    assert not verdict.report.seen


def test_no_graph_is_built() -> None:
    weight = torch.tensor(2.0, requires_grad=True, dtype=torch.float64)

    def loss(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        found = weight * torch.nn.functional.cross_entropy(scores, y, reduction="none")
        assert not found.requires_grad
        return found

    assert search(loss, 2, rng=np.random.default_rng(1), posteriors=[[0.7, 0.3]]).report is not None


@pytest.mark.parametrize(
    ("loss", "error", "words"),
    [
        (AverageMarginLoss(mu=0.1, tau=5.0), ValueError, "a mean of the batch|reduction='none'"),
        (torch.nn.CrossEntropyLoss(), ValueError, "reduction='none'"),
        (lambda scores, y: 1.0, TypeError, "must return a tensor"),
    ],
)
def test_wrong_losses_are_named(loss: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        search(loss, 2, rng=np.random.default_rng(0), **FEW)
    with pytest.raises(ValueError, match="batch=0"):
        search(crammer_singer, 2, rng=np.random.default_rng(0), batch=0)
