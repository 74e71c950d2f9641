"""The ways of measuring: what each says of one model, as plain JSON values with its kind.

A way is a function of (model, images, effort, truncation of the run's penalty). Importing this module imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import deep
from deep.distances import Distances
from deep.models import MLP, LinearClassifier
from theory.margins import linear_label_margins

from .effort import Effort

__all__ = ["Result", "Way", "attack", "estimate", "exact", "functional", "lower", "norms", "penalty", "pgd"]

_SMALL = 32  # hidden units up to which a network of one hidden layer is solved exactly
_SOLVED = 20  # images that are
_ROWS = 4096  # images at a time in float64
_SHOWN = 1000  # images up to which the value of each is kept
Result = dict[str, Any]
Way = Callable[[nn.Module, deep.Dataset, Effort, float], Result]


def _images(dataset: deep.Dataset, count: int, model: nn.Module) -> tuple[Tensor, Tensor]:
    like = next(model.parameters())
    x = torch.tensor(dataset.test_x[:count], dtype=like.dtype, device=like.device)
    return x, torch.tensor(dataset.test_y[:count], device=like.device)


def _generator(effort: Effort) -> torch.Generator:
    return torch.Generator().manual_seed(effort.seed)


def _summary(found: Distances, eps: tuple[float, ...]) -> Result:
    """The statistics, with the standard deviation of the finite signed values and, for few images, each value."""
    summary = found.summary(eps)
    finite = found.signed[found.found]
    summary["std"] = float(finite.std(correction=1)) if len(finite) > 1 else None
    if len(found) <= _SHOWN:
        summary["values"] = [value if math.isfinite(value) else None for value in found.values.tolist()]
        summary["correct"] = found.correct.tolist()
    return summary


def functional(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
    """Functional margins of the whole training and test set, in units of score: exact up to rounding."""
    parts = {}
    for part in ("train", "test"):
        alpha = deep.margins(model, getattr(dataset, f"{part}_x"), getattr(dataset, f"{part}_y"))
        low, middle, high = np.quantile(alpha, (0.05, 0.5, 0.95))
        parts[part] = {
            "images": len(alpha),
            "accuracy": float((alpha > 0.0).mean()),
            "mean": float(alpha.mean()),
            "minimum": float(alpha.min()),
            "std": float(alpha.std(ddof=1)) if len(alpha) > 1 else None,
            "q05": float(low),
            "median": float(middle),
            "q95": float(high),
        }
    return {"kind": "exact", "unit": "score", **parts}


def penalty(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
    """Share of training images on which each penalty has a gradient: 0 < u < tau for clip(u, 0, tau)."""
    alpha = deep.margins(model, dataset.train_x, dataset.train_y)
    share = {"paper": tau - alpha, "released": -alpha}
    return {
        "kind": "exact",
        "tau": tau,
        "images": len(alpha),
        "accuracy": float((alpha > 0.0).mean()),
        **{name: float(((gap > 0.0) & (gap < tau)).mean()) for name, gap in share.items()},
    }


def norms(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
    """Norms of the layers: of reshaped kernels, as published, and of the operators themselves."""
    from deep import bounds

    reshaped, true = bounds.reshaped_norms(model), bounds.operator_norms(model)
    return {
        "reshaped": dict(reshaped),
        "true": dict(true),
        "product_reshaped": math.prod(reshaped.values()),
        "product_true": math.prod(true.values()),
    }


def exact(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
    """Exact distances: of a linear model on all test and training images, of a small network on a few."""
    from deep import bounds

    if isinstance(model, LinearClassifier):
        x, y = _images(dataset, len(dataset.test_y), model)
        found = _summary(bounds.linear_distances(model, x, y), effort.eps)
        own = torch.tensor(dataset.train_x, dtype=x.dtype, device=x.device)
        train = bounds.linear_distances(model, own, torch.tensor(dataset.train_y, device=x.device))
        label = {"label": _label(model, dataset.test_x, dataset.test_y)}
        return (
            found | label | {"train": _summary(train, ()) | {"label": _label(model, dataset.train_x, dataset.train_y)}}
        )
    if not isinstance(model, MLP) or model.fc1.out_features > _SMALL:
        return {"skipped": f"exact distances are for linear models and one hidden layer of at most {_SMALL} units"}
    x, y = _images(dataset, min(effort.images, _SOLVED), model)
    return _summary(bounds.exact_relu(model, x, y), effort.eps)


def _label(model: LinearClassifier, x: NDArray[np.float32], y: NDArray[np.int64]) -> Result:
    """Distances to the label's half-spaces, which is the reading of the paper's curves, in float64."""
    weight, bias = (p.detach().double().cpu().numpy() for p in (model.fc.weight, model.fc.bias))
    chunks = range(0, len(y), _ROWS)
    found = np.concatenate(
        [linear_label_margins(weight, bias, x[i : i + _ROWS].astype(np.float64), y[i : i + _ROWS]) for i in chunks]
    )
    return {
        "kind": "exact",
        "images": len(found),
        "found": 1.0,
        "signed_mean": float(found.mean()),
        "std": float(found.std(ddof=1)) if len(found) > 1 else None,
        "minimum": float(found.min()),
    }


def lower(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
    """Rigorous lower bounds of the distance, unboxed."""
    from deep import bounds

    return _summary(bounds.lower_bound(model, *_images(dataset, effort.images, model)), effort.eps)


def estimate(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
    """The paper's sampled local-Lipschitz number, unboxed: it bounds from neither side."""
    from deep import bounds

    found = bounds.sampled_estimate(
        model,
        *_images(dataset, effort.images, model),
        radius=effort.radius,
        samples=effort.samples,
        generator=_generator(effort),
    )
    return _summary(found, effort.eps) | {"radius": effort.radius, "samples": effort.samples}


def attack(box: tuple[float, float] | None) -> Way:
    """The minimum-norm attack in a box of pixels, or in none: upper bounds of the distance."""

    def work(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
        from deep import attacks

        x, y = _images(dataset, effort.images, model)
        found = attacks.minimum_norm(model, x, y, box=box, generator=_generator(effort))
        return _summary(found.distances, effort.eps)

    return work


def pgd(published: bool) -> Way:
    """Attacks at fixed eps in the box [0, 1]: PGD on the margin, or the paper's own on the cross-entropy."""

    def work(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
        from deep import attacks

        x, y = _images(dataset, effort.images, model)
        rows = []
        for eps in effort.pgd_eps:
            if published:
                found = attacks.published_pgd(
                    model, x, y, eps, generator=_generator(effort), steps=effort.published_steps
                )
            else:
                found = attacks.pgd(model, x, y, eps, steps=effort.steps, step_size=effort.step_size)
            row: Result = {"eps": eps, "robust_accuracy": float(found.accuracy), "vanished": float(found.vanished)}
            if len(y) <= _SHOWN:
                row["robust"] = "".join("01"[robust] for robust in found.robust.tolist())
            rows.append(row)
        steps, size = (effort.published_steps, 0.01) if published else (effort.steps, effort.step_size)
        settings = {"objective": "cross-entropy" if published else "margin", "steps": steps, "step_size": size}
        return {"kind": "upper", "norm": "l2", "box": [0.0, 1.0], "images": len(y), **settings, "rows": rows}

    return work
