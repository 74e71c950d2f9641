"""Reports of stored runs: the page of one again, or several side by side with what differs between them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avgmargin.common.errors import UserError, one_line
from avgmargin.common.files import read_object, refresh_manifest
from theory.storage import write_atomic

from . import networks, page
from .assemble import Report, load, write
from .sentences import number

_MEASURED = {
    "test_accuracy": "test accuracy",
    "train_label_distance_mean": "average distance",
    "train_label_distance_min": "minimum distance",
    "train_margin_mean": "average functional margin",
}
_HELD = {True: "HELD", False: "DID NOT HOLD", None: "OPEN"}
Row = dict[str, Any]


def write_again(root: Path) -> Path:
    """Write figures, tables and page of a run from its report.json; UserError where that is not whole.

    Of a folder of training runs, or of results of them, gather them first (`networks.gather`).
    """
    from jinja2 import TemplateError

    if (known := read_object(root / "report.json")) is None or known.get("format") == networks.FORMAT:
        return write_networks(root, known)
    found = load(root)
    try:
        written = write(found, root)
    except (LookupError, TypeError, AttributeError, TemplateError) as error:
        raise _not_whole(root, error) from None
    refresh_manifest(root, written)
    return written[-1]


def write_networks(root: Path, known: Mapping[str, Any] | None = None) -> Path:
    """Write the page of the training runs in a folder; from `known`, its report.json, where they are there no more."""
    if networks.holds_networks(root):
        try:
            report = networks.assemble(networks.gather(root), shlex.join(["avgmargin", "report", str(root)]))
        except (LookupError, TypeError, AttributeError) as error:
            words = one_line(f"{type(error).__name__}: {error}")
            raise UserError(f"{str(root)!r} must hold whole results of training runs; {words}") from None
    elif known is not None and known.get("version") == networks.VERSION:
        report = dict(known)
    elif (root / "config.toml").is_file():
        raise UserError(
            f"{str(root)!r} is one training run; the page is of the folder that it lies in: {str(root.parent)!r}"
        )
    else:
        raise UserError(f"run folder {str(root)!r} must hold a readable report.json, or training runs")
    return networks.write(root, report)[-1]


def write_comparison(names: Sequence[str], out: str | None) -> tuple[list[Row], Path]:
    """Write the page that compares runs, `comparison.html` unless told otherwise; its rows and its path."""
    if len(set(names)) < len(names):
        raise UserError(f"runs {', '.join(map(repr, names))} must be different folders")
    reports: dict[str, Report] = {name: load(Path(name)) for name in names}
    try:
        rows = compare(reports)
    except (LookupError, TypeError, AttributeError) as error:
        raise _not_whole(Path(", ".join(names)), error) from None
    path = Path(out or "comparison.html")
    links = {name: Path(os.path.relpath(Path(name) / "report.html", path.parent)).as_posix() for name in names}
    shown = [{**row, "cells": cells(row)} for row in rows]
    text = page.render("comparison.html", names=list(names), links=links, rows=shown)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be written ({error.strerror or error})") from None
    return rows, path


def compare(reports: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row per claim, verdict and final number of any run: `part`, `item`, `values` by run (None where absent).

    `same` says whether all runs that have the item agree on it; numbers are compared as they are stored.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, report in reports.items():
        for key, value in _items(report):
            found.setdefault(key, {})[name] = value
    return [
        {
            "part": part,
            "item": item,
            "values": {name: values.get(name) for name in reports},
            "same": len({repr(value) for value in values.values()}) == 1,
        }
        for (part, item), values in found.items()
    ]


def cells(row: Row) -> list[str]:
    """The values of a row as words."""
    return ["-" if v is None else number(v, 5) if isinstance(v, float) else str(v) for v in row["values"].values()]


def _items(report: Mapping[str, Any]) -> list[tuple[tuple[str, str], Any]]:
    items: list[tuple[tuple[str, str], Any]] = [
        (("claim", claim["title"]), _HELD[claim["holds"]]) for claim in report["claims"]
    ]
    for row in report["proofs"]:
        items.append((("verdict", f"{row['loss']}, {row['classes']} classes"), row["status"]))
    for run in report["training"]["runs"]:
        what = f"{run['config']['model']}, {run['config']['loss']}"
        items.append((("training", f"{what}: epochs"), run["epochs"][-1]["epoch"] if run["epochs"] else 0))
        last = run["epochs"][-1] if run["epochs"] else {}
        items += [(("training", f"{what}: {words}"), last[key]) for key, words in _MEASURED.items() if key in last]
    return items


def _not_whole(root: Path, error: Exception) -> UserError:
    return UserError(f"{str(root / 'report.json')!r} must be a whole report; {type(error).__name__}: {error}")
