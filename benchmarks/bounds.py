"""Speed of margins and bounds, as JSON on stdout; ratios within one run, one torch thread, CPU seconds.

    python benchmarks/bounds.py [--images 70000] [--samples 256 1024] [--estimate-images 3]

`linear`: exact L2 distances of logistic regression on random images, against the bare products X W^T (float64 images in
memory, by NumPy and by torch; float32, by torch) and NumPy loops, image by image, over the pairs of classes and over
the rivals of the prediction alone.
`estimate`: the sampled estimate of a convolution net of the paper's size, trained for a few steps on the embedded
digits, against the obvious loop: fresh samples for each rival, one forward and one backward pass over all of them.
`same`: the largest relative difference to the obvious loop on the same samples, and to giving up no rival.
`exact`: branch and bound on small networks.  `memory`: the peak of a process that measures all margins of 10,000 test
images, linear and by the convolution net, beyond what it held before.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deep import (
    MLP,
    LinearClassifier,
    build_model,
    exact_relu,
    linear_distances,
    load_mnist5k,
    lower_bound,
    margins,
    sampled_estimate,
)
from deep.bounds import uniform_in_ball

RADIUS = 5.0


def seconds(call: Callable[[], Any], repeats: int = 1) -> float:
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def noise(images: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (images, 784), generator=g).float() / 255.0, torch.randint(10, (images,), generator=g)


def linear_row(images: int) -> dict[str, Any]:
    x, y = noise(images)
    model = LinearClassifier(generator=torch.Generator().manual_seed(1))
    weight, bias = (p.detach().double() for p in model.parameters())
    wide = x.double()
    w, b, x64, labels = weight.numpy(), bias.numpy(), wide.numpy(), y.numpy()

    def loop(count: int) -> list[float]:
        values = []
        for i in range(count):
            f = w @ x64[i] + b
            c = int(f.argmax())
            best = min((f[c] - f[k]) / np.linalg.norm(w[c] - w[k]) for k in range(10) if k != c)
            values.append(best if c == labels[i] else -best)
        return values

    def pairs(count: int) -> list[float]:
        values = []
        for i in range(count):
            f = w @ x64[i] + b
            table = np.full((10, 10), np.inf)
            for j in range(10):
                for k in range(10):
                    if j != k:
                        table[j, k] = (f[j] - f[k]) / np.linalg.norm(w[j] - w[k])
            c = int(f.argmax())
            values.append(table[c].min() if c == labels[i] else -table[c].min())
        return values

    part = min(images, 1000)
    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: linear_distances(model, x, y),
        "ours, float64 images": lambda: linear_distances(model, wide, y),
        "product, float64, numpy": lambda: x64 @ w.T,
        "product, float64, torch": lambda: wide @ weight.T,
        "product, float32, torch": lambda: x @ model.fc.weight.detach().T,
    }
    best = dict.fromkeys(calls, math.inf)
    for _ in range(7):  # interleaved
        for name, call in calls.items():
            best[name] = min(best[name], seconds(call))
    best["loop over rivals"], best["loop over pairs"] = (
        seconds(lambda c=c: c(part)) * images / part for c in (loop, pairs)
    )
    sizes = sorted({max(images // k, 1) for k in (100, 30, 10, 3, 1)})
    growth = [
        {"images": n, "seconds": min(seconds(lambda n=n: linear_distances(model, x[:n], y[:n])) for _ in range(3))}
        for n in sizes
    ]
    found = linear_distances(model, x[:part], y[:part]).signed.numpy()
    bare = min(best["product, float64, numpy"], best["product, float64, torch"])
    return {
        "images": images,
        "seconds": best,
        "growth": growth,
        "over_numpy_product": best["ours"] / best["product, float64, numpy"],
        "over_quickest_product": best["ours"] / bare,
        "rivals_loop_over_ours": best["loop over rivals"] / best["ours"],
        "pairs_loop_over_ours": best["loop over pairs"] / best["ours"],
        "largest_difference_to_loop": float(np.abs(found - np.array(loop(part))).max()),
    }


def convolution_net() -> tuple[nn.Module, Tensor, Tensor]:
    data = load_mnist5k()
    g = torch.Generator().manual_seed(0)
    model = build_model("mnist-cnn", generator=g)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, nesterov=True)
    x, y = torch.tensor(data.train_x), torch.tensor(data.train_y)
    for _ in range(2):
        for rows in torch.randperm(len(x), generator=g).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
    return model.eval(), torch.tensor(data.test_x), torch.tensor(data.test_y)


def obvious(model: nn.Module, image: Tensor, samples: int, generator: torch.Generator, *, fresh: bool) -> float:
    """The published number for one image, rival by rival; fresh samples for each, or the same for all."""
    scores = model(image[None])[0].detach()
    chosen, best = int(scores.argmax()), RADIUS
    cloud = uniform_in_ball(generator, samples, len(image), RADIUS)
    for j in range(len(scores)):
        if j == chosen:
            continue
        if fresh:
            cloud = uniform_in_ball(generator, samples, len(image), RADIUS)
        points = (image + cloud).requires_grad_()
        f = model(points)
        (f[:, chosen] - f[:, j]).sum().backward()
        assert points.grad is not None
        best = min(best, float(scores[chosen] - scores[j]) / float(points.grad.norm(dim=1).max()))
    return best


def estimate_rows(sizes: list[int], images: int) -> list[dict[str, Any]]:
    model, x, y = convolution_net()
    x, y = x[:images], y[:images]

    def ours(samples: int, i: int, spread: float = 4.0) -> Any:
        g = torch.Generator().manual_seed(i)
        return sampled_estimate(model, x[i : i + 1], y[i : i + 1], samples=samples, generator=g, spread=spread)

    def plain(samples: int, i: int, fresh: bool) -> float:
        return obvious(model, x[i], samples, torch.Generator().manual_seed(i), fresh=fresh)

    rows = []
    for samples in sizes:
        row: dict[str, Any] = {"samples": samples, "images": images, "obvious": 0.0, "ours": 0.0, "all_rivals": 0.0}
        same, given_up, gradients = 0.0, 0.0, 0
        for i in range(images):
            row["obvious"] += seconds(partial(plain, samples, i, True))
            row["ours"] += seconds(partial(ours, samples, i))
            row["all_rivals"] += seconds(partial(ours, samples, i, math.inf))
            if samples <= 1024:  # one block: the same samples in the same order
                full = float(ours(samples, i, math.inf).values[0])
                same = max(same, abs(full / plain(samples, i, False) - 1.0))
                found = ours(samples, i)
                given_up = max(given_up, abs(float(found.values[0]) / full - 1.0))
                gradients += found.details["gradients"]
        row["same"] = {"as_the_loop": same, "with_rivals_given_up": given_up}
        row["share_of_gradients"] = gradients / (images * samples * 9)
        row["ratio"] = row["obvious"] / row["ours"]
        row["ratio_all_rivals"] = row["obvious"] / row["all_rivals"]
        rows.append(row)
    return rows


def small_rows(images: int = 20) -> list[dict[str, Any]]:
    data = load_mnist5k()
    x, y = torch.tensor(data.train_x), torch.tensor(data.train_y)
    rows = []
    for hidden in (8, 16, 32, 64):
        g = torch.Generator().manual_seed(hidden)
        model = MLP(784, 10, hidden, generator=g)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
        for _ in range(10):
            for batch in torch.randperm(len(x), generator=g).split(128):
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
                optimiser.step()
        test = torch.tensor(data.test_x[:images]), torch.tensor(data.test_y[:images])
        start = time.process_time()
        found = exact_relu(model, *test)
        taken = time.process_time() - start
        bound = seconds(lambda model=model, test=test: lower_bound(model, *test))
        rows.append(
            {
                "hidden": hidden,
                "exact_seconds_per_image": taken / images,
                "solved": sum(found.details["solved"]),
                "images": images,
                "most_nodes": max(found.details["nodes"]),
                "lower_bound_seconds_per_image": bound / images,
            }
        )
    return rows


def memory_row(kind: str) -> dict[str, float]:
    """Of this process: peak resident memory in MiB, before and after the margins of 10,000 images."""
    x, y = noise(10_000)
    name = "linear" if kind == "linear" else "mnist-cnn"
    model = build_model(name, generator=torch.Generator().manual_seed(1))
    before = peak_mib()
    margins(model, x, y)
    if kind == "linear":
        linear_distances(model, x, y)
        linear_distances(model, x, y, box=(0.0, 1.0))
    else:
        lower_bound(model, x, y)
        sampled_estimate(model, x[:1], y[:1], samples=2048, generator=torch.Generator())
    return {"before": before, "peak": peak_mib()}


def peak_mib() -> float:
    """Peak resident memory of this process; from Linux' own account, since ru_maxrss begins with the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def separate(kind: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--memory-of", kind], capture_output=True, text=True, check=True, env=os.environ
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=70_000)
    parser.add_argument("--samples", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--estimate-images", type=int, default=3)
    parser.add_argument("--memory-of", choices=("linear", "convolution"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any]
    if asked.memory_of:
        found = memory_row(asked.memory_of)
    else:
        found = {
            "torch": torch.__version__,
            "load_at_the_start": os.getloadavg()[0],
            "linear": linear_row(asked.images),
            "estimate": estimate_rows(asked.samples, asked.estimate_images),
            "exact": small_rows(),
            "memory_mib": {kind: separate(kind) for kind in ("linear", "convolution")},
        }
        found["asked"] = {
            "product": found["linear"]["over_quickest_product"],
            "loop": found["linear"]["pairs_loop_over_ours"],
            "estimate": {str(row["samples"]): row["ratio"] for row in found["estimate"]},
            "peak_gib": max(row["peak"] for row in found["memory_mib"].values()) / 1024,
        }
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
