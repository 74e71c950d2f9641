"""The rows of the page of trained networks: groups of runs, verdicts, distances, robust accuracies, norms, tables.

Each is a function of condensed runs (`networks.condensed`), on plain JSON values.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from avgmargin.common.files import slug
from avgmargin.networks.claims import judge
from avgmargin.networks.intervals import share_error
from avgmargin.networks.readings import Run, margin_through
from avgmargin.networks.tables import final_parts

from .networks_figures import FIGURES

__all__ = [
    "READINGS",
    "WAYS",
    "answers",
    "distances",
    "figure_tables",
    "groups_of",
    "how_made",
    "last_of",
    "norms",
    "robustness",
]

READINGS = ("as published", "honest")
WAYS = {
    "exact": "exact distance",
    "lower": "rigorous lower bound",
    "estimate": "the paper's sampled estimate",
    "attack": "minimum-norm attack, box [0, 1]",
    "attack-unboxed": "minimum-norm attack, unboxed",
    "pgd": "PGD on the margin",
    "pgd-published": "PGD on cross-entropy, as published",
}
_COLUMNS = {
    "margins": ("run", "reading", "kind", "on", "epoch", "average margin", "minimum margin"),
    "robustness": ("run", "way", "kind", "eps", "robust accuracy", "standard error", "images"),
}


def groups_of(runs: Sequence[Run]) -> list[tuple[str, dict[str, list[Run]]]]:
    """Families on one data set, by title; runs of one preset name and equal settings but the seed are its seeds."""
    found: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        name = str(run["config"]["name"])
        family, _, kind = name.rpartition("-")
        if kind not in ("plain", "constraint", "reg"):
            family, name = str(run["config"]["model"]), str(run["name"])
        members = found.setdefault(f"{family} on {run['config']['dataset']}", {})
        first = members.setdefault(name, [run])[0]
        if first is run:
            continue
        if _but_the_seed(first) == _but_the_seed(run):
            members[name].append(run)
        else:  # another width or learning rate under the preset's name is no further seed of it
            members.setdefault(str(run["name"]), []).append(run)
    for members in found.values():
        for seeds in members.values():
            seeds.sort(key=lambda run: int(run["config"]["seed"]))
    return list(found.items())


def _but_the_seed(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run["config"].items() if key not in ("seed", "threads")}


def answers(letter: str, groups: Sequence[tuple[str, Mapping[str, Sequence[Run]]]]) -> list[dict[str, Any]]:
    """The answers of every family that has a plain run and, for (b) to (d), another; with what they are about."""
    found = []
    for title, members in groups:
        family, _, data = title.partition(" on ")
        for answer in judge(members, family):
            if answer.claim == letter and answer.verdict != "not run":
                shown = {**dataclasses.asdict(answer), "about": f"{answer.about} on {data}"}
                found.append(shown)
    return found


def how_made(run: Run) -> dict[str, str | None]:
    """The commands that make a run and its measurement again; the first None where the settings are in a file alone."""
    import deep

    config, made = run["config"], None
    known = deep.PRESETS.get(str(config["name"]))
    if known is not None:
        told = {key: value for key, value in config.items() if known.to_dict().get(key) != value}
        if set(told) <= {"seed", "epochs", "dataset"}:
            data = [] if told.get("dataset", "mnist5k") == "mnist5k" and "dataset" in told else ["--data-dir", "DIR"]
            flags = [word for key in ("seed", "epochs") if key in told for word in (f"--{key}", str(told[key]))]
            made = shlex.join(["avgmargin", "train", known.name, *flags, *data])
    parts, effort = final_parts(run), (run.get("measured") or {}).get("effort", {})
    if not parts:
        return {"train": made, "measure": None}
    words = ["avgmargin", "measure", str(run["name"]), "--parts", ",".join(parts)]
    return {"train": made, "measure": shlex.join([*words, "--images", str(effort.get("images", 200))])}


def distances(run: Run) -> list[dict[str, Any]]:
    """Statistics of the distances measured at the end of a run, each way with its kind."""
    fields = ("kind", "norm", "box", "images", "found", "mean", "signed_mean", "minimum", "q05", "q05_interval")
    rows = []
    for key, part in final_parts(run).items():
        if key in WAYS and ("signed_mean" in part or "skipped" in part):
            place = f"runs[{run['name']}].measured.epochs[-1].parts.{key}"
            row = {"run": run["name"], "way": key, "key": place, "skipped": part.get("skipped")}
            rows.append({**row, **{field: part.get(field) for field in (*fields, "violations", "compared")}})
    return rows


def robustness(run: Run) -> list[dict[str, Any]]:
    """Robust accuracy by eps at the end of a run, each way with its kind, and the share of vanished gradients."""
    rows = []
    for key, part in final_parts(run).items():
        shares = dict(part.get("robust_accuracy", {})) if key in WAYS else {}
        fixed = {f"{row['eps']:g}": row for row in part.get("rows", [])} if key in WAYS else {}
        shares |= {eps: row["robust_accuracy"] for eps, row in fixed.items()}
        for eps, share in shares.items():
            rows.append(
                {
                    "run": run["name"],
                    "way": key,
                    "kind": part["kind"],
                    "box": part.get("box"),
                    "eps": float(eps),
                    "share": share,
                    "error": share_error(share, part["images"]),
                    "images": part["images"],
                    "vanished": fixed.get(eps, {}).get("vanished"),
                    "key": f"runs[{run['name']}].measured.epochs[-1].parts.{key}",
                }
            )
    return rows


def norms(run: Run) -> list[dict[str, Any]]:
    part = final_parts(run).get("norms", {})
    if "product_true" not in part:
        return []
    return [{"run": run["name"], "reshaped": part["product_reshaped"], "true": part["product_true"]}]


def last_of(run: Run, name: str) -> float | None:
    curve = run["curves"].get(name)
    return curve[-1] if curve else None


def figure_tables(place: int, title: str, members: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    first = [seeds[0] for seeds in members.values()]
    margins: list[list[Any]] = []
    for run in first:
        for reading in READINGS:
            curve = margin_through(run, reading)
            for i, epoch in enumerate(curve["epochs"] if curve else ()):
                if curve is not None and epoch >= 1:
                    values = [curve["mean"][i], curve["minimum"][i]]
                    margins.append([run["name"], reading, curve["kind"], curve["on"], epoch, *values])
    robust = [
        [run["name"], WAYS[row["way"]], row["kind"], row["eps"], row["share"], row["error"], row["images"]]
        for run in first
        for row in robustness(run)
    ]
    tables = {"margins": margins, "robustness": robust}
    stem = f"group-{place}-{slug(title)}"
    return [
        {
            "id": f"{stem}-{kind}",
            "draw": kind,
            "title": f"{title}: {FIGURES[kind].title}",
            "alt": f"{title}: {FIGURES[kind].alt}",
            "caption": FIGURES[kind].caption,
            "csv": f"data/{stem}-{kind}.csv",
            "columns": list(_COLUMNS[kind]),
            "rows": rows,
        }
        for kind, rows in tables.items()
        if rows
    ]
