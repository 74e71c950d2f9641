"""Torch callables in the float search of `theory.search`: the tier `searched`, never a proof."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from theory.searching import SearchVerdict
from theory.searching import search as search_arrays

from .measure import evaluation_mode

TorchLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def search(
    loss: TorchLoss,
    classes: int,
    *,
    rng: np.random.Generator,
    posteriors: int | ArrayLike = 200,
    starts: int = 4,
    span: float = 30.0,
    sum_zero: bool = False,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    batch: int = 65_536,
    name: str | None = None,
) -> SearchVerdict:
    """`theory.search` for a torch loss: scores (n, c) of `dtype`, labels (n,) int64, to values (n,); no gradients.

    A module is asked in eval mode, and each of its parts put back into its own. In float32 the noise is larger and
    fewer posteriors near a tie are resolved: leave `dtype` at float64 where the loss allows it. Rows go to `device` in
    batches of `batch`.
    Raises ValueError as `theory.search` does and for a dtype other than these two, and TypeError for a loss that
    returns no tensor.

    >>> import numpy as np, torch
    >>> loss = torch.nn.CrossEntropyLoss(reduction="none")
    >>> search(loss, 2, rng=np.random.default_rng(0), posteriors=20).report.seen
    False
    """
    if batch < 1:
        raise ValueError(f"batch={batch} must be at least 1")
    if not dtype.is_floating_point or torch.finfo(dtype).bits < 32:
        raise ValueError(f"dtype={dtype!r} must be torch.float64 or torch.float32: in others nearly all is noise")

    def values(scores: NDArray[np.float64], y: NDArray[np.intp]) -> NDArray[np.floating]:
        parts = []
        with torch.no_grad():
            for begin in range(0, len(y), batch):
                rows = torch.as_tensor(scores[begin : begin + batch], dtype=dtype, device=device)
                labels = torch.as_tensor(y[begin : begin + batch], dtype=torch.int64, device=device)
                found = loss(rows, labels)
                if not isinstance(found, torch.Tensor):
                    raise TypeError(f"loss must return a tensor; it returned {type(found).__name__}")
                if found.shape != labels.shape:
                    raise ValueError(
                        f"loss must return one value per row, shape {tuple(labels.shape)}; it has shape "
                        f"{tuple(found.shape)} (use reduction='none')"
                    )
                parts.append(found.detach().cpu().numpy())
        return np.concatenate(parts)

    with evaluation_mode(loss) if isinstance(loss, torch.nn.Module) else nullcontext():
        return search_arrays(
            values,
            classes,
            rng=rng,
            posteriors=posteriors,
            starts=starts,
            span=span,
            sum_zero=sum_zero,
            name=name or getattr(loss, "__name__", type(loss).__name__),
        )
