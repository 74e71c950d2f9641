"""Attacks on the published checkpoints: docs/results/published.json, and the tables of docs/deep/attacks.md.

    python docs/scripts/published_attacks.py [--shared FOLDER] [--images 200] [--only KEY ...]  # attacks; resumable
    python docs/scripts/published_attacks.py --tables [--check]  # the tables, from the JSON

Each job is written when it is done, and one that is there is not run again. One thread; about an hour. The folder holds
`reference/` (the authors' checkpoints) and `data/mnist` (the IDX files); default: $AVGMARGIN_SHARED, else `shared`
beside the checkout. Random starts come from a generator with seed 0 for each job.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from deep import CheckpointError, DataError, load_mnist, load_published
from deep.attacks import FixedEps, minimum_norm, pgd, published_pgd
from theory.storage import write_atomic

DOCS = Path(__file__).resolve().parent.parent
OUT = DOCS / "results" / "published.json"
PAGE = DOCS / "deep" / "attacks.md"
FILES = {
    "plain": "MNISTCNN_00200.tar",
    "constraint": "MNISTCNN_constraint_00200.tar",
    "reg": "MNISTCNN_reg_00200.tar",
}
PAPER_EPS = {"plain": 2.0, "constraint": 1.0, "reg": 2.0}
CURVE = (0.5, 1.0, 1.5, 2.0)


def fixed(found: FixedEps) -> dict[str, Any]:
    return {
        "eps": found.eps,
        "robust_accuracy": found.accuracy,
        "robust": int(found.robust.sum()),
        "vanished": found.vanished,
        "norm": found.norm,
        "box": found.box,
        **found.details,
    }


def jobs(name: str) -> dict[str, Callable[[Any, torch.Tensor, torch.Tensor], dict[str, Any]]]:
    """What is run on one network, by key."""

    def published(eps: float) -> Callable[..., dict[str, Any]]:
        return lambda m, x, y: fixed(published_pgd(m, x, y, eps, generator=torch.Generator().manual_seed(0)))

    def own(eps: float, **options: Any) -> Callable[..., dict[str, Any]]:
        return lambda m, x, y: fixed(pgd(m, x, y, eps, **options))

    def nearest(box: tuple[float, float] | None) -> Callable[..., dict[str, Any]]:
        return lambda m, x, y: minimum_norm(m, x, y, box=box).distances.summary(CURVE)

    long = {"objective": "cross-entropy", "steps": 1000, "step_size": 0.01, "floor": 1e-30}
    found = {
        "margin/1": own(1.0),
        "margin/2": own(2.0),
        "nearest/boxed": nearest((0.0, 1.0)),
        "nearest/unboxed": nearest(None),
        f"published/{PAPER_EPS[name]:g}": published(PAPER_EPS[name]),
        "no-floor/2": own(2.0, **long),
        "no-floor-float64/2": own(2.0, dtype=torch.float64, **long),
        "floor-0-float64/2": own(2.0, dtype=torch.float64, **long | {"floor": 0.0}),
    }
    return found if name != "constraint" else {**found, "published/2": published(2.0)}


def attack(asked: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    folder = Path(asked.shared or os.environ.get("AVGMARGIN_SHARED") or DOCS.parent.parent / "shared")
    data = load_mnist(folder / "data" / "mnist")
    x, y = torch.tensor(data.test_x[: asked.images]), torch.tensor(data.test_y[: asked.images])
    kept = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {"images": asked.images, "networks": {}}
    if kept["images"] != asked.images:
        sys.exit(f"images={asked.images} must be {kept['images']}, as in {OUT.name}; move the file away to start anew")
    plan = [(name, key) for key in jobs("constraint") for name in FILES if key in jobs(name)]
    plan += [(name, f"published/{PAPER_EPS[name]:g}") for name in FILES]
    for name, key in dict.fromkeys(plan):
        row = kept["networks"].setdefault(name, {"file": FILES[name]})
        if key in row or (asked.only and key not in asked.only):
            continue
        network, _ = load_published(folder / "reference" / FILES[name])
        start = time.process_time()
        row[key] = jobs(name)[key](network, x, y)
        row[key]["seconds_per_image"] = round((time.process_time() - start) / len(x), 4)
        write_atomic(OUT, (json.dumps(kept, indent=1) + "\n").encode())
        print(f"{name} {key}: {row[key].get('robust_accuracy', row[key].get('mean'))}", file=sys.stderr)


def fixed_table(networks: dict[str, Any]) -> str:
    lines = [
        "| network | eps | as published: cross-entropy, floor 1e-6 | vanished first gradients | "
        "cross-entropy, floor 1e-30 | the same in float64 | no floor, float64 | margin objective | minimum-norm run |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in networks.items():
        for eps in ("1", "2"):
            published = row.get(f"published/{eps}")
            cells = [
                _share(published),
                "" if published is None else f"{published['vanished']:.1%}",
                *(
                    _share(row.get(f"{key}/{eps}"))
                    for key in ("no-floor", "no-floor-float64", "floor-0-float64", "margin")
                ),
            ]
            nearest = row.get("nearest/boxed")
            cells.append("" if nearest is None else f"{nearest['robust_accuracy'][eps]:.3f}")
            lines.append(f"| {name} | {eps} | {' | '.join(cells)} |")
    return "\n".join(lines)


def nearest_table(networks: dict[str, Any]) -> str:
    lines = [
        "| network | box | found | mean | signed mean | minimum | median | "
        + " | ".join(f"robust at {e:g}" for e in CURVE)
        + " | s per image |",
        "|---|" + "---|" * (len(CURVE) + 7),
    ]
    for name, row in networks.items():
        for key, box in (("nearest/boxed", "[0, 1]"), ("nearest/unboxed", "none")):
            if key in row:
                it = row[key]
                numbers = [it["found"], it["mean"], it["signed_mean"], it["minimum"], it["median"]]
                numbers += [it["robust_accuracy"][f"{e:g}"] for e in CURVE] + [it["seconds_per_image"]]
                lines.append(f"| {name} | {box} | {' | '.join(f'{value:.3f}' for value in numbers)} |")
    return "\n".join(lines)


def _share(found: dict[str, Any] | None) -> str:
    return "" if found is None else f"{found['robust_accuracy']:.3f}"


TABLES = {"fixed": fixed_table, "nearest": nearest_table}


def write_tables(check: bool) -> int:
    networks = json.loads(OUT.read_text(encoding="utf-8"))["networks"]
    text = new = PAGE.read_text(encoding="utf-8")
    for key, build in TABLES.items():
        begin, end = f"<!-- begin {key} -->", f"<!-- end {key} -->"
        head, rest = new.split(begin)
        new = f"{head}{begin}\n\n{build(networks)}\n\n{end}{rest.split(end)[1]}"
    if new != text and not check:
        PAGE.write_text(new, encoding="utf-8")
    return int(check and new != text)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", help="folder of the large files")
    parser.add_argument("--images", type=int, default=200, help="how many of the first test images (default 200)")
    parser.add_argument("--only", nargs="+", metavar="KEY", help="jobs to run, such as published/2")
    parser.add_argument("--tables", action="store_true", help="write the tables of the page and run nothing")
    parser.add_argument("--check", action="store_true", help="with --tables: exit 1 where the page is stale")
    asked = parser.parse_args(argv)
    if asked.tables:
        return write_tables(asked.check)
    try:
        attack(asked)
    except (CheckpointError, DataError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
