"""The page of trained networks: margins through training, robust accuracy with its kinds, and the paper's four claims.

    <root>/<run>/ ...  measured/<run>/measure.json      or      <root>/results/*.json
    -> report.json  report.html  figures/*.svg  data/*.csv

`report.json` holds every number of the page. Gathering imports torch.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avgmargin.common import environment, figures
from avgmargin.common.errors import UserError, one_line
from avgmargin.common.files import dump_csv, dump_json, read_object, slug
from avgmargin.networks.claims import RULES, TITLES, judge
from avgmargin.networks.intervals import share_error
from avgmargin.networks.readings import margin_through
from avgmargin.networks.tables import final_parts
from theory.storage import write_atomic

from . import page
from .networks_figures import FIGURES, draw

__all__ = ["FORMAT", "VERSION", "assemble", "gather", "holds_networks", "render", "write"]

FORMAT, VERSION = "avgmargin networks", 1
READINGS = ("as published", "honest")
_WAYS = {
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
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,120}")
Run = Mapping[str, Any]
Report = dict[str, Any]


def holds_networks(root: Path) -> bool:
    """Whether a folder holds training runs, or the results of them."""
    return any(root.glob("*/config.toml")) or any(root.glob("results/*.json"))


def gather(root: Path) -> list[Run]:
    """The condensed runs below a folder; its training runs with their measurements, else `results/*.json`.

    UserError where there is neither, or a file of results that cannot be read.
    """
    if any(root.glob("*/config.toml")):
        from avgmargin.networks.condensed import condense, find_runs, measured_of

        live: list[Run] = [condense(folder, measured_of(folder)) for folder in find_runs([str(root)])]
        return live
    found: list[Run] = []
    for file in sorted(root.glob("results/*.json")):
        run = read_object(file)
        if run is None:
            raise UserError(f"{str(file)!r} must be a readable JSON object, the results of a run")
        if "curves" in run:
            found.append(run)
    if not found:
        raise UserError(f"{str(root)!r} must hold training runs, or results/*.json of them")
    return found


def assemble(runs: Sequence[Run], command: str) -> Report:
    """The report of condensed runs: a function of them, of the command and of the versions installed."""
    groups = _groups(runs)
    report: Report = {
        "format": FORMAT,
        "version": VERSION,
        "command": command,
        "runs": [{**run, "how": _how(run), "test_accuracy": _last(run, "test_accuracy")} for run in runs],
        "claims": [
            {"title": TITLES[letter], "letter": letter, "rule": RULES[letter], "answers": _answers(letter, groups)}
            for letter in TITLES
        ],
        "distances": [row for run in runs for row in _distances(run)],
        "robustness": [row for run in runs for row in _robustness(run)],
        "norms": [row for run in runs for row in _norms(run)],
        "figures": [figure for i, group in enumerate(groups, 1) for figure in _figures(i, *group)],
        "environment": environment.describe(),
    }
    return report


def write(root: Path, report: Report) -> list[Path]:
    """Write figures, tables, `report.json` and `report.html` below `root`; the paths, the page last.

    UserError where they cannot be written, or where the report is not whole.
    """
    from jinja2 import TemplateError

    try:
        for figure in report["figures"]:
            if not _NAME.fullmatch(figure["id"]) or figure["csv"] != f"data/{figure['id']}.csv":
                raise ValueError(f"figure {figure['id']!r} must be named by letters, digits and dashes")
        drawings = {figure["id"]: draw(figure) for figure in report["figures"]}
        files: dict[str, bytes] = {}
        for figure in report["figures"]:
            files[f"figures/{figure['id']}.svg"] = drawings[figure["id"]].encode("utf-8")
            files[f"data/{figure['id']}.csv"] = dump_csv(figure["columns"], figure["rows"])
        files["report.json"] = dump_json(report)
        files["report.html"] = render(report, drawings).encode("utf-8")
    except (LookupError, TypeError, AttributeError, ValueError, TemplateError) as error:
        words = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{str(root)!r} must hold whole results of training runs; {words}") from None
    try:
        for name, data in files.items():
            (root / name).parent.mkdir(exist_ok=True)
            write_atomic(root / name, data)
    except OSError as error:
        raise UserError(f"report in {str(root)!r} cannot be written ({error.strerror or error})") from None
    return [root / name for name in files]


def render(report: Report, drawings: Mapping[str, str]) -> str:
    """The whole page, self-contained."""
    from markupsafe import Markup

    shown = {
        figure["id"]: {
            **figure,
            "svg": Markup(figures.inline(drawings[figure["id"]], figure["id"], figure["alt"])),
        }
        for figure in report["figures"]
    }
    return page.render("networks.html", report=report, figures=shown, readings=READINGS, ways=_WAYS)


# -- what is gathered -------------------------------------------------------------------------------------------------


def _groups(runs: Sequence[Run]) -> list[tuple[str, dict[str, list[Run]]]]:
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


def _answers(letter: str, groups: Sequence[tuple[str, Mapping[str, Sequence[Run]]]]) -> list[dict[str, Any]]:
    """The answers of every family that has a plain run and, for (b) to (d), another; with what they are about."""
    found = []
    for title, members in groups:
        family, _, data = title.partition(" on ")
        for answer in judge(members, family):
            if answer.claim == letter and answer.verdict != "not run":
                shown = {**dataclasses.asdict(answer), "about": f"{answer.about} on {data}"}
                found.append(shown)
    return found


def _how(run: Run) -> dict[str, str | None]:
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


def _distances(run: Run) -> list[dict[str, Any]]:
    """Statistics of the distances measured at the end of a run, each way with its kind."""
    fields = ("kind", "norm", "box", "images", "found", "mean", "signed_mean", "minimum", "q05", "q05_interval")
    rows = []
    for key, part in final_parts(run).items():
        if key in _WAYS and ("signed_mean" in part or "skipped" in part):
            place = f"runs[{run['name']}].measured.epochs[-1].parts.{key}"
            row = {"run": run["name"], "way": key, "key": place, "skipped": part.get("skipped")}
            rows.append({**row, **{field: part.get(field) for field in (*fields, "violations", "compared")}})
    return rows


def _robustness(run: Run) -> list[dict[str, Any]]:
    """Robust accuracy by eps at the end of a run, each way with its kind, and the share of vanished gradients."""
    rows = []
    for key, part in final_parts(run).items():
        shares = dict(part.get("robust_accuracy", {})) if key in _WAYS else {}
        fixed = {f"{row['eps']:g}": row for row in part.get("rows", [])} if key in _WAYS else {}
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


def _norms(run: Run) -> list[dict[str, Any]]:
    part = final_parts(run).get("norms", {})
    if "product_true" not in part:
        return []
    return [{"run": run["name"], "reshaped": part["product_reshaped"], "true": part["product_true"]}]


def _last(run: Run, name: str) -> float | None:
    curve = run["curves"].get(name)
    return curve[-1] if curve else None


# -- tables behind the figures ----------------------------------------------------------------------------------------


def _figures(place: int, title: str, members: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
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
        [run["name"], _WAYS[row["way"]], row["kind"], row["eps"], row["share"], row["error"], row["images"]]
        for run in first
        for row in _robustness(run)
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
