"""Norms, bounds and estimates: docs/results/published_bounds.json, and the tables of docs/deep/bounds.md.

    python docs/scripts/published_bounds.py [--shared FOLDER] [--images 100]  # measures; resumable
    python docs/scripts/published_bounds.py --tables [--check]  # the tables, from the JSON

Each job is written when it is done, and one that is there is not run again. One thread; about half an hour. The folder
holds `reference/` (the authors' checkpoints) and `data/mnist` (the IDX files); default: $AVGMARGIN_SHARED, else
`shared` beside the checkout. The samples of image i come from a generator with seed i. The small networks are trained
here, on the 5,000 digits of the package, each from a seed of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avgmargin.networks.intervals import LEVEL, share_interval
from deep import MLP, CheckpointError, DataError, Distances, load_mnist, load_mnist5k, load_published
from deep.attacks import minimum_norm
from deep.bounds import exact_relu, linear_distances, lower_bound, operator_norms, reshaped_norms, sampled_estimate
from theory.storage import write_atomic

DOCS = Path(__file__).resolve().parent.parent
OUT = DOCS / "results" / "published_bounds.json"
PAGE = DOCS / "deep" / "bounds.md"
FILES = {
    "plain": "MNISTCNN_00200.tar",
    "constraint": "MNISTCNN_constraint_00200.tar",
    "reg": "MNISTCNN_reg_00200.tar",
}
RADIUS, SAMPLES, GROUP = 5.0, 256, 10
HIDDEN, SMALL_IMAGES = (8, 16, 32, 64), 50
EPS = (0.1, 0.2, 0.3, 0.4)


def listed(found: Distances, digits: int = 7) -> list[float | None]:
    return [round(v, digits) if math.isfinite(v) else None for v in found.values.tolist()]


def network(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Callable[[], Any]]:
    """What is measured on one convolution net, by key."""

    def lower() -> Any:
        return lower_bound(model, x, y).summary()

    def upper() -> Any:
        found = minimum_norm(model, x, y, box=None).distances
        return {"summary": found.summary(), "values": listed(found)}

    def estimate(start: int) -> Any:
        parts = [
            sampled_estimate(
                model,
                x[i : i + 1],
                y[i : i + 1],
                radius=RADIUS,
                samples=SAMPLES,
                generator=torch.Generator().manual_seed(i),
            )
            for i in range(start, min(start + GROUP, len(x)))
        ]
        return {"values": [v for part in parts for v in listed(part)], "details": dict(parts[0].details)}

    found: dict[str, Callable[[], Any]] = {
        "norms/true": lambda: operator_norms(model),
        "norms/reshaped": lambda: reshaped_norms(model),
        "lower": lower,
        "upper": upper,
    }
    for start in range(0, len(x), GROUP):
        found[f"estimate/{start:04d}"] = lambda start=start: estimate(start)
    return found


def small(hidden: int, x: Tensor, y: Tensor) -> dict[str, Any]:
    """A network with one hidden layer, trained here: its exact distances between bounds from both sides."""
    data = load_mnist5k()
    generator = torch.Generator().manual_seed(hidden)
    model = MLP(784, 10, hidden, generator=generator)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    train_x, train_y = torch.tensor(data.train_x), torch.tensor(data.train_y)
    for _ in range(25):
        for rows in torch.randperm(len(train_x), generator=generator).split(128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(train_x[rows]), train_y[rows]).backward()
            optimiser.step()
    row: dict[str, Any] = {}
    found: dict[str, Distances] = {}
    calls: dict[str, Callable[[], Distances]] = {
        "norms": lambda: lower_bound(model, x, y, methods=("norms",)),
        "relaxation": lambda: lower_bound(model, x, y, methods=("relaxation",)),
        "lower": lambda: lower_bound(model, x, y),
        "exact": lambda: exact_relu(model, x, y),
        "upper": lambda: minimum_norm(model, x, y, box=None, dtype=torch.float64).distances,
        "estimate": lambda: sampled_estimate(
            model, x, y, radius=RADIUS, samples=SAMPLES, generator=torch.Generator().manual_seed(0)
        ),
    }
    for name, call in calls.items():
        start = time.process_time()
        found[name] = call()
        row[name] = {"seconds_per_image": (time.process_time() - start) / len(x), **found[name].summary()}
        if name == "exact":
            details = row[name].pop("details")
            row[name].update(
                solved=sum(details["solved"]), nodes=sum(details["nodes"]) / len(x), most_nodes=max(details["nodes"])
            )
    exact = found["exact"].values
    row["lower_over_exact"] = float((found["lower"].values / exact).max())
    row["upper_over_exact"] = {
        "mean": float((found["upper"].values / exact).mean()),
        "largest": float((found["upper"].values / exact).max()),
        "least": float((found["upper"].values / exact).min()),
    }
    row["estimate_above_exact"] = float((found["estimate"].values > exact).double().mean())
    return row


def given_up(networks: int = 600, images: int = 5, samples: int = 512) -> dict[str, Any]:
    """How often giving up rivals changes the estimate, on networks drawn at random."""
    different, gradients, count = 0, 0, 0
    for seed in range(networks):
        g = torch.Generator().manual_seed(seed)
        d, hidden, classes = (int(torch.randint(low, high, (), generator=g)) for low, high in ((2, 9), (2, 17), (3, 8)))
        model = MLP(d, classes, hidden, generator=g).double()
        if seed % 2:
            for parameter in model.parameters():
                parameter.data = torch.randn(parameter.shape, generator=g, dtype=torch.float64)
        x = torch.rand(images, d, generator=g, dtype=torch.float64)
        y = torch.zeros(images, dtype=torch.long)
        full, found = (
            sampled_estimate(
                model, x, y, radius=RADIUS, samples=samples, generator=torch.Generator().manual_seed(seed), **options
            )
            for options in ({"spread": math.inf}, {})
        )
        different += int(((found.values / full.values - 1.0).abs() > 1e-9).sum())
        gradients += found.details["gradients"]
        count += full.details["gradients"]
    return {
        "networks": networks,
        "images": networks * images,
        "samples": samples,
        "different": different,
        "share_of_gradients": gradients / count,
    }


def jobs(shared: Path, images: int) -> dict[str, Callable[[], Any]]:
    data = load_mnist(shared / "data" / "mnist")
    x, y = torch.tensor(data.test_x), torch.tensor(data.test_y)
    found: dict[str, Callable[[], Any]] = {}
    linear = load_published(shared / "reference" / "MNISTLR_01000.tar")[0]
    for norm in ("l2", "linf", "l1"):
        found[f"lr/{norm}"] = lambda norm=norm: linear_distances(linear, x, y, norm).summary(EPS)
        found[f"lr/{norm}/boxed"] = lambda norm=norm: linear_distances(linear, x, y, norm, box=(0.0, 1.0)).summary(EPS)
    found["given_up"] = given_up
    for hidden in HIDDEN:
        found[f"small/{hidden}"] = lambda hidden=hidden: small(hidden, x[:SMALL_IMAGES], y[:SMALL_IMAGES])
    for name, file in FILES.items():
        model = load_published(shared / "reference" / file)[0]
        for key, job in network(model, x[:images], y[:images]).items():
            found[f"{name}/{key}"] = job
    return found


def measure(shared: Path, images: int) -> None:
    found = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    if found.setdefault("images", images) != images:
        raise SystemExit(f"--images {images}: {OUT.name} holds {found['images']}; remove it first")
    found.setdefault("results", {})
    for key, job in jobs(shared, images).items():
        if key not in found["results"]:
            print(key, file=sys.stderr)
            found["results"][key] = job()
            write_atomic(OUT, (json.dumps(found, indent=1) + "\n").encode())


def estimates(results: dict[str, Any], name: str) -> list[float]:
    keys = sorted(key for key in results if key.startswith(f"{name}/estimate/"))
    return [value for key in keys for value in results[key]["values"]]


def tables() -> str:
    found = json.loads(OUT.read_text(encoding="utf-8"))
    results = found["results"]
    parts = [
        f"**The published convolution nets**, first {found['images']} test images, L2 without a box, means.",
        *networks_table(results),
        "**Norms by layer**, reshaped / true.",
        layers_table(results),
        f"**The published linear classifier**, exact, {results['lr/l2']['images']} test images.",
        linear_table(results),
        f"**Small networks** 784-h-10, first {SMALL_IMAGES} test images, L2 without a box, means.",
        small_table(results),
        given_up_line(results["given_up"]),
    ]
    return "\n\n".join(parts)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows))


def networks_table(results: dict[str, Any]) -> list[str]:
    head = ("", "product, reshaped", "product, true", "rigorous lower", "estimate", "attack", "estimate above attack")
    rows, means = [], {}
    for name in FILES:
        reshaped, true = (math.prod(results[f"{name}/norms/{kind}"].values()) for kind in ("reshaped", "true"))
        guess, upper = estimates(results, name), results[f"{name}/upper"]["values"]
        above = sum(u is not None and g > u for g, u in zip(guess, upper, strict=True))
        low, high = share_interval(above, len(guess))
        share = f"{above / len(guess):.0%} [{low:.0%}, {high:.0%}]"
        means[name] = sum(guess) / len(guess), results[f"{name}/upper"]["summary"]["mean"]
        lower = results[f"{name}/lower"]["mean"]
        rows.append((name, f"{reshaped:.4g}", f"{true:.4g}", f"{lower:.4f}", *(f"{m:.3f}" for m in means[name]), share))
    gains = [means["reg"][k] / means["plain"][k] - 1.0 for k in (0, 1)]
    return [
        table(head, rows),
        f"Estimate: R = {RADIUS:g}, N = {SAMPLES}. By it reg's mean is {gains[0]:.0%} above plain's, by the attack "
        f"{gains[1]:.0%}. In brackets the interval of Clopper and Pearson at {LEVEL:.0%}, across images: other "
        "images, other samples and a stronger or weaker attack give other shares.",
    ]


def layers_table(results: dict[str, Any]) -> str:
    pairs = {name: (results[f"{name}/norms/reshaped"], results[f"{name}/norms/true"]) for name in FILES}
    layers = tuple(pairs["plain"][1])
    rows = [(name, *(f"{low[k]:.2f} / {high[k]:.2f}" for k in layers)) for name, (low, high) in pairs.items()]
    return table(("", *layers), rows)


def linear_table(results: dict[str, Any]) -> str:
    rows = []
    for norm in ("l2", "linf", "l1"):
        row, boxed = results[f"lr/{norm}"], results[f"lr/{norm}/boxed"]
        numbers = (row["mean"], row["signed_mean"], row["minimum"], row["median"], boxed["mean"])
        rows.append((norm, *(f"{value:.4f}" for value in numbers)))
    return table(("norm", "mean", "signed mean", "least, signed", "median, signed", "mean in the box [0, 1]"), rows)


def small_table(results: dict[str, Any]) -> str:
    head = (
        "h", "norms", "relaxation", "better", "exact", "attack", "attack / exact: mean, largest", "estimate",
        "estimate above exact", "solved", "nodes", "s per image, exact",
    )  # fmt: skip
    rows = []
    for hidden in HIDDEN:
        row = results[f"small/{hidden}"]
        ratio = row["upper_over_exact"]
        means = (f"{row[key]['mean']:.3f}" for key in ("norms", "relaxation", "lower", "exact", "upper"))
        exact = row["exact"]
        rows.append(
            (
                str(hidden),
                *means,
                f"{ratio['mean']:.5f}, {ratio['largest']:.4f}",
                f"{row['estimate']['mean']:.3f}",
                f"{row['estimate_above_exact']:.0%}",
                f"{exact['solved']} of {exact['images']}",
                f"{exact['nodes']:.0f}",
                f"{exact['seconds_per_image']:.3f}",
            )
        )
    return table(head, rows)


def given_up_line(row: dict[str, Any]) -> str:
    return (
        f"**Rivals given up**: on {row['images']} images of {row['networks']} networks drawn at random, N = "
        f"{row['samples']}, the estimate differed from that of all rivals {row['different']} times, with "
        f"{row['share_of_gradients']:.0%} of the gradients."
    )


BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def page() -> str:
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.split(END)[1]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("AVGMARGIN_SHARED", DOCS.parent.parent / "shared")
    parser.add_argument("--shared", type=Path, default=Path(default))
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--check", action="store_true", help="with --tables: exit code 1 where the page is stale")
    asked = parser.parse_args()
    if not asked.tables:
        torch.set_num_threads(1)
        try:
            measure(asked.shared, asked.images)
        except (CheckpointError, DataError) as error:
            parser.error(f"--shared {asked.shared}: {error}")
        return 0
    if asked.check:
        return int(PAGE.read_text(encoding="utf-8") != page())
    write_atomic(PAGE, page().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
