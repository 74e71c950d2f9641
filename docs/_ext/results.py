"""Numbers for the pages, read from docs/results when the documentation is built. Nothing here is typed in by hand.

Pages write {{ name }}; a name that is not made here is a warning, and so an error of the build.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import deep_results  # docs/scripts

from avgmargin.networks.claims import TITLES, families, glance, judge


def substitutions(folder: Path) -> dict[str, Any]:
    """The names that pages may write, from the JSON files of the folder. Raises OSError without a needed one."""
    decided = _read(folder / "catalogue.json")
    rows: list[dict[str, Any]] = decided["rows"]
    counts = decided["counts"]
    found: dict[str, Any] = {
        "losses": len({row["name"] for row in rows}),
        "settings": len(rows),
        "proved": counts["PROVED"],
        "refuted": counts["REFUTED"],
        "undecided": counts["UNDECIDED"],
        "contradicted": len(decided["contradicted"]),
        "certificates": sum(bool(row["checked"]) for row in rows),
        "refuted_names": ", ".join(f"`{name}`" for name in dict.fromkeys(_names(rows, "REFUTED"))),
        "undecided_names": ", ".join(f"`{name}`" for name in dict.fromkeys(_names(rows, "UNDECIDED"))) or "none",
        "target_table": target_table(rows),
    }
    found |= frontier_facts(_read(folder / "frontier.json"))
    found |= curve_facts(_read(folder / "curves.json"))
    runs = training_runs(folder)
    found["training_runs"] = len(runs)
    found["training_table"] = training_table(runs)
    found |= claim_words(runs)
    return found


def _read(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} must hold a JSON object")
    return value


def _names(rows: Iterable[Mapping[str, Any]], status: str) -> list[str]:
    return [str(row["name"]) for row in rows if row["status"] == status]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table.

    >>> print(table(("a", "b"), [("1", "x | y")]))
    | a | b |
    |---|---|
    | 1 | x \\| y |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "|" + "|".join(cell if cell == "---" else f" {_cell(cell)} " for cell in line) + "|" for line in lines
    )


def _cell(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").split())


def target_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The verdicts on the paper's loss and the released one, with gap or witness as the run found them."""
    found = []
    for row in rows:
        if row["name"] not in ("average-margin", "average-margin-released") or row["parameters"].get("mu") == "0":
            continue
        values = ", ".join(f"{name} = {value}" for name, value in row["parameters"].items())
        witness = row["witness"] or {}
        posterior = f"p = ({', '.join(witness['p'])})" if witness else ""
        scores = ", ".join(witness.get("scores", [witness["score"]] if "score" in witness else []))
        gap = f"gap at least {row['gap']:g} where {row['gap_region']}" if row["gap"] and not witness else ""
        evidence = f"at {posterior} {_optimal(scores, str(witness.get('at')))}" if witness else gap or "by a lemma"
        found.append((f"`{row['name']}`", values, str(row["classes"]), f"**{row['status']}**", row["tier"], evidence))
    return table(("loss", "parameters", "classes", "verdict", "tier", "evidence"), found)


def _optimal(scores: str, at: str) -> str:
    """What a witness shows of its wrong scores (`theory.Verdict`), in words."""
    words = {"ties": "no right score is below the best tie near", "limit": "no right score is below the limit along"}
    return f"{words[at]} ({scores})" if at in words else f"the score ({scores}) is optimal"


def frontier_facts(run: Mapping[str, Any]) -> dict[str, str]:
    """What the paths of training give up of the average margin, on the stored run."""
    paths = {path["name"]: path["given_up"][-1] for path in run["paths"]}
    free = next(name for name in paths if name.startswith("average-margin (mu = 1, tau = 5)") and "norm" not in name)
    bounded = next(name for name in paths if name.startswith("average-margin (mu = 1, tau = 5)") and "norm" in name)
    whole = run["mean_end"]["average"] - run["svm_end"]["average"]
    return {
        "frontier_whole": f"{whole:.3f}",
        "frontier_logistic": f"{paths['logistic']:.3f}",
        "frontier_free": f"{paths[free]:.3f}",
        "frontier_bounded": f"{paths[bounded]:.1e}",
        "frontier_steps": f"{run['paths'][0]['steps'][-1]:,}",
    }


def curve_facts(run: Mapping[str, Any]) -> dict[str, str]:
    """Where an inconsistent loss levels off, and where a consistent one goes, on the stored run."""
    curves = {curve["loss"].split(" ")[0]: curve for curve in run["curves"]}
    released, paper = curves["average-margin-released"], curves["average-margin"]
    return {
        "curves_law": f"`{run['law']}`",
        "curves_samples": f"{paper['sizes'][-1]:,}",
        "curves_paper": f"{paper['mean'][-1]:.1e}",
        "curves_released": f"{released['mean'][-1]:.4f}",
        "curves_predicted": f"{released['plateau']:.4f} +- {released['plateau_error']:.4f}",
    }


def training_runs(folder: Path) -> list[dict[str, Any]]:
    """The condensed training runs below the folder (`avgmargin reproduce --scale paper`), in order of their names."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict) and {"config", "curves", "epochs_done"} <= value.keys():
            found.append(value)
    return found


def claim_words(runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """For each claim of the paper the families for which it holds, fails or stays open, read honestly."""
    presets, _ = deep_results.presets_of(list(runs))
    by_family = {family: glance(judge(presets, family), family) for family in families(presets)}
    found = {}
    for letter in TITLES:
        groups: dict[str, list[str]] = {}
        for family, words in by_family.items():
            groups.setdefault(words[letter].get("honest", "not measured"), []).append(family)
        found[f"claim_{letter}"] = "; ".join(f"{word} for {', '.join(names)}" for word, names in groups.items())
    return found


def training_table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Margins after the first epoch and at the end, and test accuracy, of every stored run; a sentence without one."""
    rows = []
    for run in runs:
        curves = run["curves"]
        kind = next((k for k in ("label_distance", "distance", "margin") if f"train_{k}_mean" in curves), None)
        if kind is None or len(curves["epoch"]) < 2:
            continue
        unit = "functional" if kind == "margin" else "distance"
        rows.append(
            (
                f"`{run['name']}`",
                f"{run['epochs_done']} of {run['epochs_wanted']}",
                unit,
                _course(curves[f"train_{kind}_mean"]),
                _course(curves[f"train_{kind}_min"]),
                _last(curves.get("test_accuracy", [])),
            )
        )
    if not rows:
        return "*No training run is stored in `docs/results` yet.*"
    header = ("run", "epochs", "margin", "average: epoch 1, last", "minimum: epoch 1, last", "test accuracy")
    return table(header, rows)


def _course(values: Sequence[float | None]) -> str:
    first, last = values[1], values[-1]
    if first is None or last is None:
        return "-"
    word = "rises" if last > first else "falls" if last < first else "stays"
    return f"{first:.3g} to {last:.3g}: {word}"


def _last(values: Sequence[float | None]) -> str:
    last = values[-1] if values else None
    return "-" if last is None or not math.isfinite(last) else f"{last:.4f}"
