"""Speed of training, as JSON on stdout; ratios within one run, one torch thread.

    python benchmarks/training.py [--images 60000] [--steps 20] [--threads 1]

`epoch`: one epoch of logistic regression on random images, against a `torch.utils.data.DataLoader` whose data set gives
one image at a time: `light`, bytes to floats and no more; `usual`, with the steps that torchvision's MNIST class,
`ToTensor` and `Normalize` take (a PIL image, an array, a tensor, two in-place operations), written out here.
`steps`: one step of the average-margin loss with orthogonality, and of each alone, against plain cross-entropy, batch
128: the median of interleaved repeats.  `mlp_bound`: what the penalty of the MLP must cost.
`dca`: the full-set gradient of an epoch in units of such steps.
`evaluation`: what the metrics of an epoch cost, beside the training.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from deep import Dataset, TrainConfig
from deep.dca import subtracted_gradient
from deep.losses import AverageMarginLoss
from deep.training import _Job


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def noise(images: int, pixels: int = 784, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (images, pixels), dtype=np.uint8).astype(np.float32) / np.float32(255.0)
    y = rng.integers(0, 10, images)
    return Dataset("noise", x, y, x[:256], y[:256])


def job(data: Dataset, **changes: Any) -> _Job:
    return _Job(TrainConfig(dataset="noise", **changes), data, None, [])  # type: ignore[arg-type]


class OneByOne(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Bytes in memory, one image at a time through the usual transforms."""

    def __init__(self, data: Dataset) -> None:
        self.pixels = np.rint(data.train_x * 255.0).astype(np.uint8).reshape(-1, 28, 28)
        self.labels = data.train_y

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = torch.from_numpy(self.pixels[index]).unsqueeze(0).to(torch.float32).div(255.0)
        return image, int(self.labels[index])


class Usual(OneByOne):
    """The same by way of a PIL image and checked transforms."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.pixels[index])
        array = np.array(picture, dtype=np.uint8, copy=True)
        image = torch.from_numpy(array).view(28, 28, 1).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        mean = torch.as_tensor([0.0], dtype=image.dtype)
        deviation = torch.as_tensor([1.0], dtype=image.dtype)
        if (deviation == 0).any():
            raise ValueError("deviation must not be 0")
        image = image.clone().sub_(mean.view(-1, 1, 1)).div_(deviation.view(-1, 1, 1))
        return image, int(self.labels[index])


def epoch_row(images: int, repeats: int) -> dict[str, Any]:
    data = noise(images)
    ours, theirs = job(data, loss="ce"), job(data, loss="ce")
    light, usual = (DataLoader(kind(data), batch_size=128, shuffle=True) for kind in (OneByOne, Usual))

    def run(loader: DataLoader[Any]) -> None:
        for x, y in loader:
            theirs.optimiser.zero_grad()
            theirs.loss(theirs.model(x), y).backward()
            theirs.optimiser.step()

    ours._epoch()
    taken = [(seconds(ours._epoch), seconds(lambda: run(light)), seconds(lambda: run(usual))) for _ in range(repeats)]
    epoch, slow, slower = (min(times) for times in zip(*taken, strict=True))
    return {
        "images": images,
        "epoch": epoch,
        "light": slow,
        "usual": slower,
        "ratio": {"light": slow / epoch, "usual": slower / epoch},
        "evaluation": seconds(lambda: ours._measure(1, 0.0)),
    }


def step_rows(steps: int) -> list[dict[str, Any]]:
    kinds: dict[str, dict[str, Any]] = {
        "ce": {"loss": "ce"},
        "average-margin": {"loss": "average-margin"},
        "ce + orthogonality": {"loss": "ce", "beta": 1e-3},
        "average-margin + orthogonality": {"loss": "average-margin", "beta": 1e-3},
        "the same, true kernels": {"loss": "average-margin", "beta": 1e-3, "kernels": "true"},
    }
    rows = []
    for model, pixels in (("linear", 784), ("mlp", 784), ("mnist-cnn", 784), ("cifar-cnn", 3072)):
        data = noise(128, pixels)
        jobs = {name: job(data, model=model, **changes) for name, changes in kinds.items()}
        for one in jobs.values():
            one._epoch()
        taken: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(steps):
            for name, one in jobs.items():
                taken[name].append(seconds(one._epoch))  # 128 images: one step
        median = {name: statistics.median(values) for name, values in taken.items()}
        rows.append({"model": model, "seconds": median, "ratio": {n: v / median["ce"] for n, v in median.items()}})
    return rows


def bound_row(steps: int) -> dict[str, Any]:
    """What the orthogonality penalty of the MLP's 1024 x 784 layer must cost as sums of products in float32.

    Its gradient 4 W (W^T W - I) takes at least half a Gram matrix, m n^2 operations for a weight of m x n, and the
    product with it, 2 m n^2 (a product with a symmetric matrix has no fewer: its entries are all used, each with its
    own partner).  At the best rate of products measured here, large square ones and those of the layer's own shape, a
    step takes at least 1 + 3 m n^2 / (rate x step of plain cross-entropy) of that.  Left aside: methods in the manner
    of Strassen, products in less than float32, and a penalty that is not taken at every step.
    """
    one = job(noise(128), model="mlp", loss="ce")
    one._epoch()
    plain = statistics.median(seconds(one._epoch) for _ in range(steps))
    g = torch.Generator().manual_seed(0)
    square, weight, gram = (torch.rand(shape, generator=g) for shape in ((2048, 2048), (1024, 784), (784, 784)))
    rate = max(
        2.0 * 2048**3 / min(seconds(lambda: square @ square) for _ in range(3)),
        2.0 * 1024 * 784**2 / min(seconds(lambda: weight @ gram) for _ in range(steps)),
    )
    least = 3.0 * 1024 * 784**2 / rate
    return {"model": "mlp", "flops_per_second": rate, "ce": plain, "penalty": least, "ratio": 1.0 + least / plain}


def dca_rows() -> list[dict[str, Any]]:
    rows = []
    for model, images in (("linear", 8192), ("mlp", 8192), ("mnist-cnn", 1024)):
        one = job(noise(images), model=model)
        assert isinstance(one.loss, AverageMarginLoss)
        loss = one.loss
        epoch = min(seconds(one._epoch) for _ in range(2))
        full = min(
            seconds(lambda one=one, loss=loss: subtracted_gradient(one.model, loss, one.train_x, one.train_y))
            for _ in range(2)
        )
        rows.append({"model": model, "images": images, "epoch": epoch, "full_gradient": full, "ratio": full / epoch})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    found = {
        "torch": torch.__version__,
        "threads": asked.threads,
        "load_at_the_start": os.getloadavg()[0],
        "epoch": epoch_row(asked.images, asked.repeats),
        "steps": step_rows(asked.steps),
        "mlp_bound": bound_row(asked.steps),
        "dca": dca_rows(),
    }
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
