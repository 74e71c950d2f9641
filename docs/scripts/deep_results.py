"""Condense runs into docs/results/deep, draw them, and build docs/deep/results.md, claim by claim.

avgmargin reproduce --scale paper --only mnist-lr,mnist-mlp --out runs/paper        # or one run with: avgmargin train
python docs/scripts/deep_results.py --runs runs/paper [--measured runs/paper/measured]   # condense, then build
python docs/scripts/deep_results.py --sweep ablation=runs/ablation/sweep.json            # keep a sweep, then build
python docs/scripts/deep_results.py [--check]                                            # build from what is kept

Every verdict is computed by avgmargin.networks.claims from the JSON files; nothing on the page is typed in.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import deep_figures
import deep_pages

import deep
from avgmargin.common.files import dump_csv
from avgmargin.networks.condensed import condense, find_runs, measured_of
from avgmargin.networks.tables import COLUMNS, table
from avgmargin.sweeps.training_jobs import effective
from theory.storage import write_atomic

_NOT_A_PRESET = ("seed", "epochs", "dataset", "threads")


def keep_runs(places: list[str], measured: Path | None, out: Path) -> None:
    """Condense every run in the places into one JSON file; seeds other than 0 are in the name."""
    for folder in find_runs(places):
        run = condense(folder, measured_of(folder, measured))
        seed = run["config"]["seed"]
        name = run["name"] if seed == 0 or f"seed{seed}" in run["name"] else f"{run['name']}-seed{seed}"
        _write_json(out / f"{name}.json", {**run, "name": name})


def keep_sweep(pair: str, out: Path) -> None:
    """Keep the groups of a sweep under a name: configurations, and mean and spread of each metric over seeds."""
    name, _, file = pair.partition("=")
    found = json.loads(Path(file).read_text(encoding="utf-8"))
    kept = {key: found.get(key) for key in ("jobs", "done", "diverged", "failed", "measure", "groups")}
    for group in kept["groups"]:
        for metric in group["metrics"].values():
            metric["values"] = [float(f"{value:.7g}") for value in metric["values"]]
    _write_json(out / f"sweep-{name}.json", kept)


def presets_of(runs: list[dict[str, Any]]) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    """The runs of each preset by seed, and those that are none: another number than the preset's, or its data."""
    found, others = defaultdict(list), []
    for run in runs:
        config = run["config"]
        known = deep.PRESETS.get(config["name"])
        if known is None or _decides(config) != _decides(known.to_dict()) or config["dataset"] != known.dataset:
            others.append(run)
        else:
            found[known.name].append(run)
    ordered = {name: sorted(found[name], key=lambda run: run["config"]["seed"]) for name in deep.PRESETS if found[name]}
    return ordered, others


def _decides(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in effective(config).items() if key not in _NOT_A_PRESET}


def build(docs: Path) -> dict[Path, bytes]:
    """The page, the table and the figures from the JSON files that are kept."""
    place = docs / "results" / "deep"
    files = sorted(place.glob("*.json"))
    kept = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    sweeps = {name.removeprefix("sweep-"): kept[name] for name in kept if name.startswith("sweep-")}
    runs = [run for name, run in kept.items() if "curves" in run and name not in sweeps]
    presets, others = presets_of(runs)
    published = {
        name: json.loads(file.read_text(encoding="utf-8"))
        for name in ("published", "published_bounds")
        if (file := docs / "results" / f"{name}.json").is_file()
    }
    figures = deep_figures.draw_all(presets) | deep_figures.draw_sweeps(sweeps)
    text = deep_pages.page(presets, others, sweeps, published, sorted(figures))
    rows = table([run for members in presets.values() for run in members] + others)
    made = {docs / "deep" / "results.md": text.encode("utf-8")}
    made[place / "results.csv"] = dump_csv(COLUMNS, [list(row.values()) for row in rows])
    return made | {place / f"{name}.svg": svg.encode("utf-8") for name, svg in figures.items()}


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n").encode("utf-8"))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="*", default=[])
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--sweep", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--docs", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args(argv)
    out = asked.docs / "results" / "deep"
    if asked.runs:
        keep_runs(asked.runs, asked.measured, out)
    for pair in asked.sweep:
        keep_sweep(pair, out)
    stale = 0
    for path, data in build(asked.docs).items():
        if not path.is_file() or path.read_bytes() != data:
            stale += path.suffix != ".svg"  # a figure depends on the version of matplotlib
            if not asked.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, data)
    return int(asked.check and stale > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
