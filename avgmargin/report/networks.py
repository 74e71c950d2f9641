"""The page of trained networks: margins through training, robust accuracy with its kinds, and the paper's four claims.

    <root>/<run>/ ...  measured/<run>/measure.json      or      <root>/results/*.json
    -> report.json  report.html  figures/*.svg  data/*.csv

`report.json` holds every number of the page. Gathering imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avgmargin.common import environment, figures
from avgmargin.common.errors import UserError, one_line
from avgmargin.common.files import dump_csv, dump_json, read_object
from avgmargin.networks.claims import RULES, TITLES
from avgmargin.networks.readings import Run
from theory.storage import write_atomic

from . import networks_rows as rows
from . import page
from .networks_figures import draw

__all__ = ["FORMAT", "VERSION", "assemble", "gather", "holds_networks", "render", "write"]

FORMAT, VERSION = "avgmargin networks", 1
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,120}")
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
    groups = rows.groups_of(runs)
    report: Report = {
        "format": FORMAT,
        "version": VERSION,
        "command": command,
        "runs": [
            {**run, "how": rows.how_made(run), "test_accuracy": rows.last_of(run, "test_accuracy")} for run in runs
        ],
        "claims": [
            {"title": TITLES[letter], "letter": letter, "rule": RULES[letter], "answers": rows.answers(letter, groups)}
            for letter in TITLES
        ],
        "distances": [row for run in runs for row in rows.distances(run)],
        "robustness": [row for run in runs for row in rows.robustness(run)],
        "norms": [row for run in runs for row in rows.norms(run)],
        "figures": [figure for i, group in enumerate(groups, 1) for figure in rows.figure_tables(i, *group)],
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
    return page.render("networks.html", report=report, figures=shown, readings=rows.READINGS, ways=rows.WAYS)
