"""The report: numbers gathered from finished jobs, and the page that shows them.

`report.json` holds every number of the page; `report.html` is a pure function of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avgmargin.common import figures
from avgmargin.common.errors import UserError
from avgmargin.common.files import dump_csv, dump_json, read_object
from avgmargin.jobs.plan import PARTS, TITLES, Job, Request
from avgmargin.laws.curves import TARGETS
from avgmargin.laws.verification import compare
from theory.storage import write_atomic

from . import page
from .sentences import READINGS, claims, number, trade_off

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
    report["figures"] = _figures(report, curves)
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


# -- tables behind the figures ----------------------------------------------------------------------------


def _figures(report: Mapping[str, Any], curves: Mapping[str, Any]) -> list[dict[str, Any]]:
    limit = curves["sticking_limit"]
    made = [
        _figure(
            "near-tie",
            "Conditional risk near the tie",
            "Conditional risk of both losses for posteriors just above one half. "
            + _minima_words(curves["near_tie"]["minima"]),
            "C_η(t) = η φ(t) + (1 − η) φ(−t), shifted to 0 at t = 0; dots mark the searched minimisers. "
            + _minima_words(curves["near_tie"]["minima"]),
            curves["near_tie"],
        ),
        _figure(
            "minimisers",
            "Minimiser against posterior",
            "Minimising score against the posterior for logistic loss and both average-margin losses; "
            f"the released loss stays at 0 up to about {number(limit['searched'], 4)}.",
            f"A minimiser at 0 predicts a tie. Dotted: {limit['formula']}, up to which the formula (1 + 2μ)/(2 + 2μ) "
            "says the released loss sticks at 0, and its mirror image.",
            {**curves["minimisers"], "limit": limit["value"], "limit_text": limit["formula"]},
        ),
        _figure(
            "calibration",
            "Calibration function ψ",
            "Calibration function of four losses for excess risks up to one half.",
            "ψ(θ) is the excess surrogate risk that an excess 0-1 risk of θ costs at least, in floats (searched). "
            "Where ψ is 0, driving the surrogate risk to its minimum guarantees nothing.",
            curves["calibration"],
        ),
        _excess_figure(report["synthetic"]["losses"]),
        _learning_figure(report["learning"]),
        _frontier_figure(report["frontier"]),
        _margin_figure(report["training"]["runs"]),
        _accuracy_figure(report["training"]["runs"]),
    ]
    return [figure for figure in made if figure is not None]


def _figure(key: str, title: str, alt: str, caption: str, table: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": key, "title": title, "alt": alt, "caption": caption, "csv": f"data/{key}.csv", **table}


def _minima_words(minima: Sequence[Mapping[str, Any]]) -> str:
    words = []
    for name in dict.fromkeys(point["loss"] for point in minima):
        points = [point for point in minima if point["loss"] == name]
        stuck = [f"{point['eta']:g}" for point in points if point["v"] == 0]
        moved = [f"{number(point['v'])} (η = {point['eta']:g})" for point in points if point["v"] != 0]
        told = ([f"0 for η = {', '.join(stuck)}"] if stuck else []) + ([", ".join(moved)] if moved else [])
        words.append(f"{name}: minimiser {' and '.join(told)}.")
    return " ".join(words)


def _excess_figure(records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    rows: list[list[Any]] = []
    bounds: dict[str, list[list[float]]] = {}
    laws, kinds = set(), set()
    for record in records:
        held = [row for row in record["inequality"] if "rows" in row and row["classes"] == 2]
        if record["loss"] in TARGETS and held:
            rows += [[record["loss"], *point] for row in held for point in row["rows"]]
            psi = next(each for each in record["psi"] if each["classes"] == 2)
            bounds[record["loss"]] = psi["rows"]
            laws |= {row["law"] for row in held}
            kinds.add(psi["kind"])
    if not rows:
        return None
    return _figure(
        "excess-risk",
        "Excess risks of random classifiers",
        "Excess surrogate risk against excess 0-1 risk of random classifiers, with the bound psi, for both losses.",
        f"Each dot is a random classifier on the law {', '.join(sorted(laws))}; the inequality puts no dot below the "
        f"curve, a lower bound of ψ ({', '.join(sorted(kinds))}).",
        {"columns": ["loss", "excess 0-1 risk", "excess surrogate risk", "bound"], "rows": rows, "bounds": bounds},
    )


def _learning_figure(found: Mapping[str, Any]) -> dict[str, Any]:
    names = [curve["loss"] for curve in found["curves"]]
    columns = [f"{kind}, {name}" for name in names for kind in ("mean", "standard error")]
    sizes = found["settings"]["sizes"]
    rows = [
        [n, *(value for curve in found["curves"] for value in (curve["mean"][i], curve["spread"][i]))]
        for i, n in enumerate(sizes)
    ]
    ends = "; ".join(
        f"{curve['loss']}: {number(curve['mean'][-1], 2)} at n = {sizes[-1]}, limit {number(curve['plateau'], 2)}"
        for curve in found["curves"]
    )
    return _figure(
        "learning",
        "Learning curves of exact histogram minimisers",
        f"Excess 0-1 risk against the number of samples on the law {found['law']}. {ends}.",
        f"Law {found['law']}; bars are standard errors over seeds. Dotted: the excess risk of the pointwise minimiser, "
        f"where a curve must level off. Dashed: the plug-in rate n^(-{number(found['plug_in_rate'], 2)}). {ends}.",
        {
            "columns": ["n", *columns],
            "rows": rows,
            "names": names,
            "plateaus": [curve["plateau"] for curve in found["curves"]],
            "rate": found["plug_in_rate"],
        },
    )


def _frontier_figure(found: Mapping[str, Any]) -> dict[str, Any]:
    rows: list[list[Any]] = [["frontier", None, p["minimum"], p["average"], None] for p in found["frontier"]]
    for path in found["paths"]:
        columns = (path["epochs"], path["minimum"], path["average"], path["given_up"])
        rows += [[path["name"], *values] for values in zip(*columns, strict=True)]
    ends = "; ".join(f"{path['name']}: {number(path['given_up'][-1], 2)}" for path in found["paths"])
    return _figure(
        "frontier",
        "Minimum against average margin of linear classifiers",
        f"The frontier between minimum and average margin and training paths on it. Average margin given up: {ends}.",
        f"Data: {found['data']}. Nothing lies above the black curve; its ends are the mean direction and the "
        f"hard-margin SVM. Average margin given up against the mean direction at the last step: {ends}.",
        {"columns": ["series", "epochs", "minimum margin", "average margin", "average given up"], "rows": rows},
    )


def _margin_figure(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    chosen = {
        run["config"]["loss"]: run["epochs"] for run in runs if run["config"]["model"] == "linear" and run["epochs"]
    }
    if not chosen:
        return None
    kinds = {"average": "train_label_distance_mean", "minimum": "train_label_distance_min"}
    columns = [f"{kind}, {loss}" for kind in kinds for loss in chosen]
    length = max(len(epochs) for epochs in chosen.values())
    rows = []
    for epoch in range(1, length):
        cells = [
            epochs[epoch][key] if epoch < len(epochs) else None for key in kinds.values() for epochs in chosen.values()
        ]
        rows.append([epoch, *cells])
    mean, least = kinds.values()
    ends = "; ".join(
        f"{figures.NAMES[loss]}: average {number(epochs[-1][mean])}, minimum {number(epochs[-1][least])}"
        for loss, epochs in chosen.items()
    )
    return _figure(
        "margins",
        "Margins of the linear model through training",
        f"Average and minimum exact training distance of the linear model per epoch. At the last epoch: {ends}.",
        f"Exact distances (label's half-spaces) of the training images, from epoch 1 on. At the last epoch: {ends}.",
        {"columns": ["epoch", *columns], "rows": rows},
    )


def _accuracy_figure(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    chosen = {f"{run['config']['model']}, {run['config']['loss']}": run["epochs"] for run in runs if run["epochs"]}
    if not chosen:
        return None
    rows = [
        [epoch, *(epochs[epoch]["test_accuracy"] if epoch < len(epochs) else None for epochs in chosen.values())]
        for epoch in range(max(map(len, chosen.values())))
    ]
    ends = "; ".join(f"{name} {100 * epochs[-1]['test_accuracy']:.1f} %" for name, epochs in chosen.items())
    return _figure(
        "accuracy",
        "Test accuracy through training",
        f"Test accuracy per epoch of the linear model and the multilayer perceptron. At the last epoch: {ends}.",
        f"At the last epoch: {ends}.",
        {"columns": ["epoch", *chosen], "rows": rows},
    )


# -- the page -----------------------------------------------------------------------------------------------


def render(report: Mapping[str, Any], drawings: Mapping[str, str] | None = None) -> str:
    """The whole page, self-contained; `drawings` are SVG texts by figure id, drawn here when absent."""
    from markupsafe import Markup

    drawn = drawings or {figure["id"]: figures.draw(figure) for figure in report["figures"]}
    shown = [
        {**figure, "svg": Markup(figures.inline(drawn[figure["id"]], figure["id"], figure["alt"]))}
        for figure in report["figures"]
    ]
    return page.render(
        "report.html",
        words={2: "two", 3: "three", 4: "four", 5: "five", 6: "six"},
        report=report,
        figures={figure["id"]: figure for figure in shown},
        names=figures.NAMES,
    )


def write(report: Mapping[str, Any], root: Path) -> list[Path]:
    """Write figures, CSV tables, `report.json` and `report.html` below `root`; the paths written, the page last."""
    drawings = {figure["id"]: figures.draw(figure) for figure in report["figures"]}
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
