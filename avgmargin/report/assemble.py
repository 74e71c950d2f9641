"""The report: numbers gathered from finished jobs, and the page that shows them.

`report.json` holds every number of the page; `report.html` is a pure function of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avgmargin.common.errors import UserError
from avgmargin.common.figures import inline
from avgmargin.common.files import dump_csv, dump_json, read_object
from avgmargin.jobs.job import PARTS, TITLES, Job
from avgmargin.jobs.plan import Request
from avgmargin.laws.verification import compare
from theory.storage import write_atomic

from . import page
from .drawings import NAMES, draw
from .drawn import figure_tables
from .sentences import READINGS, claims, trade_off

FORMAT, VERSION = "avgmargin report", 2
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._+-]*")
Report = dict[str, Any]


def assemble(
    request: Request, jobs: Sequence[Job], records: Sequence[Mapping[str, Any]], environment: Mapping[str, Any]
) -> Report:
    """The report of finished jobs; what may differ between two equal commands is under `timing` and `environment`."""
    results: dict[str, list[Any]] = {part: [] for part in PARTS}
    for job, record in zip(jobs, records, strict=True):
        results[job.part].append(record["result"])
    proofs, (curves,), runs = (results[part] for part in ("proofs", "curves", "training"))
    laws, *records_of_losses = results["synthetic"]
    (learning,), (frontier,) = results["learning"], results["frontier"]
    linear = next((run for run in runs if run["name"] == "linear-ce" and run["status"] == "done"), None)
    report: Report = {
        "format": FORMAT,
        "version": VERSION,
        "request": {"scale": request.scale, "seed": request.seed, "data_dir": request.data_dir},
        "data": runs[0]["data"],
        "proofs": proofs,
        "curves": {"sticking_limit": curves["sticking_limit"]},
        "family": curves["family"],
        "learning": learning,
        "frontier": frontier,
        "synthetic": {
            "laws": laws,
            "losses": records_of_losses,
            "comparison": compare(records_of_losses, proofs),
        },
        "training": {
            "runs": runs,
            "trade_off": None
            if linear is None
            else {reading: trade_off(linear["epochs"], reading) for reading in READINGS},
        },
    }
    report["counts"] = _counts(report)
    report["claims"] = claims(report)
    report["figures"] = figure_tables(report, curves)
    report["timing"] = _timing(jobs, records)
    report["environment"] = dict(environment)
    return report


def failed(report: Mapping[str, Any]) -> list[str]:
    """The checks of a report that failed: refused certificates, contradicted verdicts, broken inequalities."""
    bad = {"certificates", "synthetic", "inequality"}
    return [claim["title"] for claim in report["claims"] if claim["key"] in bad and claim["holds"] is False]


def _counts(report: Mapping[str, Any]) -> dict[str, Any]:
    proofs = report["proofs"]
    verdicts = []
    for classes in sorted({row["classes"] for row in proofs}):
        statuses = [row["status"] for row in proofs if row["classes"] == classes]
        words = {word: statuses.count(word.upper()) for word in ("proved", "refuted", "undecided")}
        verdicts.append({"classes": classes, "losses": len(statuses), **words})
    return {
        "verdicts": verdicts,
        "certificates": sum(row["certificate"] is not None for row in proofs),
        "verified": sum(bool(row["check"] and row["check"]["valid"]) for row in proofs),
        "compared": sum(row["matches"] is not None for row in report["synthetic"]["comparison"]),
        "matching": sum(bool(row["matches"]) for row in report["synthetic"]["comparison"]),
        "classifiers": sum(
            row["classifiers"] for found in report["synthetic"]["losses"] for row in found["inequality"]
        ),
        "violations": sum(row["violations"] for found in report["synthetic"]["losses"] for row in found["inequality"]),
        "runs": len(report["training"]["runs"]),
        "finished": sum(run["status"] == "done" for run in report["training"]["runs"]),
    }


def _timing(jobs: Sequence[Job], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [
        {
            "part": job.part,
            "name": job.name,
            "command": job.command,
            "seconds": record["seconds"],
            "reused": record["reused"],
            "notes": record.get("notes", []),
        }
        for job, record in zip(jobs, records, strict=True)
    ]
    parts = [
        {"part": part, "title": TITLES[part], "seconds": round(sum(r["seconds"] for r in rows if r["part"] == part), 3)}
        for part in PARTS
    ]
    return {"parts": parts, "jobs": rows}


# -- the page -----------------------------------------------------------------------------------------------


def render(report: Mapping[str, Any], drawings: Mapping[str, str] | None = None) -> str:
    """The whole page, self-contained; `drawings` are SVG texts by figure id, drawn here when absent."""
    from markupsafe import Markup

    drawn = drawings or {figure["id"]: draw(figure) for figure in report["figures"]}
    shown = [
        {**figure, "svg": Markup(inline(drawn[figure["id"]], figure["id"], figure["alt"]))}
        for figure in report["figures"]
    ]
    return page.render(
        "report.html",
        words={2: "two", 3: "three", 4: "four", 5: "five", 6: "six"},
        report=report,
        figures={figure["id"]: figure for figure in shown},
        names=NAMES,
    )


def write(report: Mapping[str, Any], root: Path) -> list[Path]:
    """Write figures, CSV tables, `report.json` and `report.html` below `root`; the paths written, the page last."""
    drawings = {figure["id"]: draw(figure) for figure in report["figures"]}
    files: dict[str, bytes] = {}
    for figure in report["figures"]:
        files[f"figures/{figure['id']}.svg"] = drawings[figure["id"]].encode("utf-8")
        files[f"data/{figure['id']}.csv"] = dump_csv(figure["columns"], figure["rows"])
    files |= _run_tables(report["training"]["runs"])
    files["report.json"] = dump_json(report)
    files["report.html"] = render(report, drawings).encode("utf-8")
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, data)
    return [root / name for name in files]


def load(root: Path) -> Report:
    """The report of a run folder; UserError when there is none that this version can show."""
    report = read_object(root / "report.json")
    if report is None:
        raise UserError(f"run folder {str(root)!r} must hold a readable report.json")
    if report.get("format") != FORMAT or report.get("version") != VERSION:
        raise UserError(f"{str(root / 'report.json')!r} must have format {FORMAT!r}, version {VERSION}")
    _check_names(root, report)
    return report


def _check_names(root: Path, report: Mapping[str, Any]) -> None:
    """Names in a report become file names and links below `root`: UserError for one that could leave it."""
    figures_, runs = report.get("figures", ()), report.get("training", {}).get("runs", ())
    names = [entry.get("id") for entry in figures_] + [run.get("name") for run in runs]
    links = [entry.get("csv") for entry in figures_] + [run.get("folder") for run in runs]
    links += [row.get("certificate") for row in report.get("proofs", ())]
    for name in names:
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise UserError(f"{str(root / 'report.json')!r}: name {name!r} must be letters, digits, dots and dashes")
    for link in links:
        if link is not None and not (isinstance(link, str) and all(map(_NAME.fullmatch, link.split("/")))):
            raise UserError(f"{str(root / 'report.json')!r}: file {link!r} must lie below the run folder")


def _run_tables(runs: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    found = {}
    for run in runs:
        if run["epochs"]:
            columns = list(run["epochs"][0])
            found[f"data/{run['name']}.csv"] = dump_csv(columns, [[row[c] for c in columns] for row in run["epochs"]])
    return found
