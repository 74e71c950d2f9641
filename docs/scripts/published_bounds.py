"""Norms, bounds and estimates: docs/results/published_bounds.json, and the tables of docs/deep/bounds.md.

    python docs/scripts/published_bounds.py [--shared FOLDER] [--images 100]  # measures; resumable
    python docs/scripts/published_bounds.py --tables [--check]  # the tables, from the JSON

Each job is written when it is done, and one that is there is not run again. One thread; about half an hour. The folder
holds `reference/` (the authors' checkpoints) and `data/mnist` (the IDX files); default: $AVGMARGIN_SHARED, else `shared`
beside the checkout. The samples of image i come from a generator with seed i. The small networks are trained here, on
the 5,000 digits of the package, from seed 0.
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

from deep import MLP, Distances, load_mnist, load_mnist5k, load_published
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


def jobs(shared: Path, images: int) -> dict[str, Callable[[], Any]]:
    data = load_mnist(shared / "data" / "mnist")
    x, y = torch.tensor(data.test_x), torch.tensor(data.test_y)
    found: dict[str, Callable[[], Any]] = {}
    linear = load_published(shared / "reference" / "MNISTLR_01000.tar")[0]
    for norm in ("l2", "linf", "l1"):
        found[f"lr/{norm}"] = lambda norm=norm: linear_distances(linear, x, y, norm).summary(EPS)
        found[f"lr/{norm}/boxed"] = lambda norm=norm: linear_distances(linear, x, y, norm, box=(0.0, 1.0)).summary(EPS)
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
    results, images = found["results"], found["images"]
    lines = [
        f"**The published convolution nets**, first {images} test images, L2 without a box, means over all images.",
        "",
    ]
    lines += [
        "| | product of norms, reshaped | product of norms, true | rigorous lower | estimate | upper (attack) "
        "| estimates above the attack |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in FILES:
        reshaped, true = (math.prod(results[f"{name}/norms/{kind}"].values()) for kind in ("reshaped", "true"))
        guess, upper = estimates(results, name), results[f"{name}/upper"]["values"]
        above = sum(g > u for g, u in zip(guess, upper, strict=True) if u is not None) / len(guess)
        lines.append(
            f"| {name} | {reshaped:.3g} | {true:.4g} | {results[f'{name}/lower']['mean']:.4f} "
            f"| {sum(guess) / len(guess):.3f} | {results[f'{name}/upper']['summary']['mean']:.3f} | {above:.0%} |"
        )
    first, last = ((estimates(results, name), results[f"{name}/upper"]["summary"]["mean"]) for name in ("plain", "reg"))
    gains = sum(last[0]) / sum(first[0]) - 1.0, last[1] / first[1] - 1.0
    lines += [
        "",
        f"Estimate: R = {RADIUS:g}, {SAMPLES} samples. It puts reg {gains[0]:.0%} above plain, the attack {gains[1]:.0%}.",
        "",
    ]
    rows = {n: (results[f"{n}/norms/reshaped"], results[f"{n}/norms/true"]) for n in FILES}
    layers = list(rows["plain"][0])
    lines += [
        "**Norms by layer**, reshaped / true.",
        "",
        "| | " + " | ".join(layers) + " |",
        "|---|" + "---|" * len(layers),
    ]
    for name, (reshaped, true) in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{reshaped[k]:.2f} / {true[k]:.2f}" for k in layers) + " |")
    lines += ["", "**The published linear classifier**, exact, 10,000 test images.", ""]
    lines += [
        "| norm | mean | signed mean | least, signed | median | mean in the box [0, 1] |",
        "|---|---|---|---|---|---|",
    ]
    for norm in ("l2", "linf", "l1"):
        row, boxed = results[f"lr/{norm}"], results[f"lr/{norm}/boxed"]
        lines.append(
            f"| {norm} | {row['mean']:.4f} | {row['signed_mean']:.4f} | {row['minimum']:.4f} | {row['median']:.4f} "
            f"| {boxed['mean']:.4f} |"
        )
    lines += ["", f"**Small networks** 784-h-10, first {SMALL_IMAGES} test images, L2 without a box, means.", ""]
    lines += [
        "| h | norms | relaxation | better of both | exact | attack | attack / exact, mean and largest | estimate "
        "| estimates above exact | solved | nodes | s per image, exact |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for hidden in HIDDEN:
        row = results[f"small/{hidden}"]
        means = " | ".join(f"{row[k]['mean']:.3f}" for k in ("norms", "relaxation", "lower", "exact", "upper"))
        ratio = row["upper_over_exact"]
        lines.append(
            f"| {hidden} | {means} | {ratio['mean']:.5f}, {ratio['largest']:.4f} | {row['estimate']['mean']:.3f} "
            f"| {row['estimate_above_exact']:.0%} | {row['exact']['solved']} of {SMALL_IMAGES} | {row['exact']['nodes']:.0f} "
            f"| {row['exact']['seconds_per_image']:.3f} |"
        )
    return "\n".join(lines)


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
        measure(asked.shared, asked.images)
        return 0
    if asked.check:
        return int(PAGE.read_text(encoding="utf-8") != page())
    write_atomic(PAGE, page().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
