"""Attacks on the published MNIST convolution nets, as JSON on stdout; one torch thread, CPU seconds.

    python benchmarks/attacks.py [--shared FOLDER] [--images 100] [--steps 200] [--threads 1]

`leaving`: robust accuracy at eps 2 of the plain net (about .15) by PGD on the margin, where broken images leave the
batch, against the obvious loop with the same steps, and whether both break the same images.
`nearest`: the minimum-norm attack on each net, mean over correctly classified images, with foolbox's DDN (100 steps)
and DeepFool (50) on the same images beside it where foolbox is installed.
Without the folder (default $AVGMARGIN_SHARED, else `shared` beside the checkout) it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deep import load_mnist, load_published
from deep.attacks import minimum_norm, pgd

NETS = {"plain": "", "constraint": "_constraint", "reg": "_reg"}


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    found = call()
    return found, time.process_time() - start


def obvious(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, size: float) -> Tensor:
    """PGD on the margin with every image in every step; (n,) bool, which stood."""
    delta = torch.zeros_like(x)
    standing = torch.ones(len(x), dtype=torch.bool)
    for _ in range(steps + 1):
        delta.requires_grad_()
        logits = model(x + delta)
        own = logits.gather(1, y[:, None])[:, 0]
        value = logits.scatter(1, y[:, None], -torch.inf).amax(dim=1) - own
        (g,) = torch.autograd.grad(value.sum(), delta)
        standing &= value.detach() < 0.0
        moved = delta.detach() + size * g / g.norm(dim=1, keepdim=True).clamp(min=1e-30)
        moved = (x + moved).clamp(0.0, 1.0) - x
        delta = moved * (eps / moved.norm(dim=1, keepdim=True).clamp(min=1e-30)).clamp(max=1.0)
    return standing


def leaving(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> dict[str, Any]:
    ours, quick = timed(lambda: pgd(model, x, y, 2.0, steps=steps))
    theirs, slow = timed(lambda: obvious(model, x, y, 2.0, steps, 0.05))
    return {
        "images": len(x),
        "steps": steps,
        "robust_accuracy": ours.accuracy,
        "seconds": round(quick, 2),
        "obvious_seconds": round(slow, 2),
        "ratio": round(slow / quick, 2),
        "differing": int((ours.robust != theirs).sum()),
    }


def nearest(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Any]:
    with torch.no_grad():
        right = model(x).argmax(dim=1) == y
    x, y = x[right], y[right]
    found: dict[str, Any] = {"images": len(x)}
    for name, options in (("ours", {}), ("one start", {"starts": 1}), ("unboxed", {"box": None})):
        result, seconds = timed(lambda options=options: minimum_norm(model, x, y, **options))
        found[name] = row(result.distances.values, result.distances.found, seconds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            foolbox = importlib.import_module("foolbox")
        except ImportError:
            return found
        wrapped = foolbox.PyTorchModel(model, bounds=(0.0, 1.0))
        images = x.reshape(-1, 1, 28, 28)
        for name, attack in (
            ("foolbox DDN", foolbox.attacks.DDNAttack(steps=100)),
            ("foolbox DeepFool", foolbox.attacks.L2DeepFoolAttack(steps=50)),
        ):
            (_, points, success), seconds = timed(lambda attack=attack: attack(wrapped, images, y, epsilons=None))
            found[name] = row((points - images).flatten(1).norm(dim=1), success, seconds)
    return found


def row(values: Tensor, success: Tensor, seconds: float) -> dict[str, float]:
    return {
        "mean": round(float(values[success].mean()), 4),
        "found": float(success.double().mean()),
        "seconds_per_image": round(seconds / len(values), 4),
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(argv)
    torch.set_num_threads(asked.threads)
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(asked.shared or os.environ.get("AVGMARGIN_SHARED") or beside)
    if not (folder / "reference").is_dir():
        print(json.dumps({"skipped": "needs the published checkpoints and MNIST (--shared, AVGMARGIN_SHARED)"}))
        return 0
    data = load_mnist(folder / "data" / "mnist")
    x, y = torch.tensor(data.test_x[: asked.images]), torch.tensor(data.test_y[: asked.images])
    models = {
        name: load_published(folder / "reference" / f"MNISTCNN{tail}_00200.tar")[0] for name, tail in NETS.items()
    }
    found: dict[str, Any] = {"threads": asked.threads, "leaving": leaving(models["plain"], x, y, asked.steps)}
    found["nearest"] = {name: nearest(model, x, y) for name, model in models.items()}
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
