"""The parts of a measurement: what each way of measuring says of one model, as plain JSON values with its kind.

A part is a function of (model, images, effort). Importing this module imports torch.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import deep
from avgmargin.common.errors import UserError
from deep.distances import Distances
from deep.models import MLP, LinearClassifier
from theory.margins import linear_label_margins
from theory.storage import sha256_of_file

__all__ = ["DEFAULT_PARTS", "PARTS", "Effort", "check_parts", "code_of", "measure_part"]

EPS = (0.5, 1.0, 1.5, 2.0)
_SMALL = 32  # hidden units up to which a network of one hidden layer is solved exactly
_SOLVED = 20  # images that are
_ROWS = 4096  # images at a time in float64
_SHOWN = 1000  # images up to which the value of each is kept
Result = dict[str, Any]


@dataclass(frozen=True)
class Effort:
    """How much is measured: the number of test images, robust accuracy at which eps, and the settings of each method.

    images            : the first so many of the test set, for all that is not exact and cheap.
    eps               : radii of robust accuracy, read off the distances; `pgd_eps`: those of fixed-eps attacks.
    radius, samples   : R and N of the paper's estimate.
    steps, step_size  : of PGD with the margin as objective; `published_steps` of .01 of the paper's own.
    seed              : of everything drawn.
    """

    images: int = 200
    eps: tuple[float, ...] = EPS
    pgd_eps: tuple[float, ...] = (1.0, 2.0)
    radius: float = 5.0
    samples: int = 256
    steps: int = 200
    step_size: float = 0.05
    published_steps: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("images", 1), ("samples", 1), ("steps", 1), ("published_steps", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name}={getattr(self, name)} must be at least {least}")
        for name in ("eps", "pgd_eps"):
            for value in getattr(self, name):
                if not (math.isfinite(value) and value >= 0.0):
                    raise UserError(f"{name}={value!r} must be finite and at least 0")
        for name in ("radius", "step_size"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise UserError(f"{name}={getattr(self, name)!r} must be finite and above 0")


@dataclass(frozen=True)
class Part:
    """One way of measuring: the work, the effort fields that decide its result, and the modules that compute it."""

    work: Callable[[nn.Module, deep.Dataset, Effort, float], Result]
    reads: tuple[str, ...]
    modules: tuple[str, ...]
    title: str


def measure_part(name: str, model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
    """The result of one part; a method that cannot be used on this model says so under `skipped`.

    `tau` is the truncation of the run's penalty.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return PARTS[name].work(model.eval(), dataset, effort, tau)
    except (ValueError, NotImplementedError) as error:
        return {"skipped": str(error)}
    finally:
        torch.set_num_threads(threads)


def check_parts(text: str | None) -> tuple[str, ...]:
    """The parts in a list as typed; None gives the default ones, `all` all. UserError for an unknown name."""
    if text is None:
        return DEFAULT_PARTS
    names = tuple(PARTS) if text == "all" else tuple(word.strip() for word in text.split(","))
    for name in names:
        if name not in PARTS:
            raise UserError(f"part {name!r} must be one of all, {', '.join(PARTS)}")
    return tuple(name for name in PARTS if name in names)


def code_of(name: str) -> str:
    """SHA-256, 16 digits, of the sources that compute a part: its modules and what of ours they name."""
    digest = hashlib.sha256()
    for module in PARTS[name].modules:
        digest.update(_sources(module).encode())
    return digest.hexdigest()[:16]


@cache
def _sources(name: str) -> str:
    seen: dict[str, ModuleType] = {}
    todo = [importlib.import_module(name)]
    while todo:
        module = todo.pop()
        if module.__name__ in seen:
            continue
        seen[module.__name__] = module
        for value in list(vars(module).values()):
            named = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(named, str) and named.split(".")[0] in ("theory", "deep") and named in sys.modules:
                todo.append(sys.modules[named])
    digest = hashlib.sha256()
    for key in sorted(seen):
        # __init__ of the packages themselves only names things, and would make every part depend on every other
        if key not in ("theory", "deep"):
            digest.update(f"{key}\0{sha256_of_file(Path(str(seen[key].__file__)))}\0".encode())
    return digest.hexdigest()


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


def _functional(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
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


def _penalty(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
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


def _norms(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
    """Norms of the layers: of reshaped kernels, as published, and of the operators themselves."""
    from deep import bounds

    reshaped, true = bounds.reshaped_norms(model), bounds.operator_norms(model)
    return {
        "reshaped": dict(reshaped),
        "true": dict(true),
        "product_reshaped": math.prod(reshaped.values()),
        "product_true": math.prod(true.values()),
    }


def _exact(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
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


def _lower(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
    """Rigorous lower bounds of the distance, unboxed."""
    from deep import bounds

    return _summary(bounds.lower_bound(model, *_images(dataset, effort.images, model)), effort.eps)


def _estimate(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
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


def _attack(box: tuple[float, float] | None) -> Callable[[nn.Module, deep.Dataset, Effort, float], Result]:
    def work(model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
        from deep import attacks

        x, y = _images(dataset, effort.images, model)
        found = attacks.minimum_norm(model, x, y, box=box, generator=_generator(effort))
        return _summary(found.distances, effort.eps)

    return work


def _pgd(published: bool) -> Callable[[nn.Module, deep.Dataset, Effort, float], Result]:
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
            rows.append({"eps": eps, "robust_accuracy": float(found.accuracy), "vanished": float(found.vanished)})
        steps, size = (effort.published_steps, 0.01) if published else (effort.steps, effort.step_size)
        settings = {"objective": "cross-entropy" if published else "margin", "steps": steps, "step_size": size}
        return {"kind": "upper", "norm": "l2", "box": [0.0, 1.0], "images": len(y), **settings, "rows": rows}

    return work


_HERE = __name__
PARTS: Mapping[str, Part] = {
    "functional": Part(_functional, (), ("deep.measure",), "functional margin"),
    "penalty": Part(_penalty, (), ("deep.measure",), "images on which a penalty has a gradient"),
    "norms": Part(_norms, (), ("deep.bounds",), "norms of the layers"),
    "exact": Part(_exact, ("images", "eps"), ("deep.bounds", "theory.margins"), "exact distance"),
    "lower": Part(_lower, ("images", "eps"), ("deep.bounds",), "rigorous lower bound"),
    "estimate": Part(
        _estimate, ("images", "eps", "radius", "samples", "seed"), ("deep.bounds",), "the paper's estimate"
    ),
    "attack": Part(_attack((0.0, 1.0)), ("images", "eps", "seed"), ("deep.attacks",), "attack, box [0, 1]"),
    "attack-unboxed": Part(_attack(None), ("images", "eps", "seed"), ("deep.attacks",), "attack, unboxed"),
    "pgd": Part(_pgd(False), ("images", "pgd_eps", "steps", "step_size"), ("deep.attacks",), "PGD on the margin"),
    "pgd-published": Part(
        _pgd(True), ("images", "pgd_eps", "published_steps", "seed"), ("deep.attacks",), "PGD as published"
    ),
}
DEFAULT_PARTS = tuple(name for name in PARTS if not name.startswith("pgd"))
