"""The tables of docs/catalogue.md, built from the entries of the catalogue and the verdicts of a run.

avgmargin losses --prove --out runs/catalogue      # makes runs/catalogue/catalogue.json; copy it to docs/results/
python docs/scripts/catalogue_table.py             # writes the page again; --check: exit code 1 where it is stale
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from theory import catalogue
from theory.catalogue import Entry, constrained, convex, margin, pairwise, robust, softmax, this_paper

DOCS = Path(__file__).resolve().parent.parent
PAGE, RUN = DOCS / "catalogue.md", DOCS / "results" / "catalogue.json"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
FAMILIES = (
    ("The paper's loss and the released one", this_paper),
    ("Two classes, convex", convex),
    ("Two classes, bounded or not convex", robust),
    ("Functions of the softmax", softmax),
    ("Functions of the margin", margin),
    ("Sums over differences of scores", pairwise),
    ("Functions of the scores: constrained, one against all", constrained),
)


def tables(run: dict[str, Any]) -> str:
    """The generated part of the page."""
    parts = [summary(run)]
    for title, family in FAMILIES:
        parts += [f"## {title}", _table(("loss", "parameters", "known", "decided"), _rows(family.ENTRIES, run))]
    parts += ["## Closed forms", "In eta > 1/2 and theta = 2 eta - 1; for pairs in eta in (0, 1)."]
    parts.append(_table(("loss", "minimiser", "gap, where it is not psi", "psi"), _closed()))
    parts += ["## Left undecided", undecided(run)]
    return "\n\n".join(parts)


def summary(run: dict[str, Any]) -> str:
    """What the run did, in a sentence."""
    counts = run["counts"]
    return (
        f"{len(catalogue.ENTRIES)} losses. The run decided {len(run['rows'])} settings: {counts['PROVED']} proved, "
        f"{counts['REFUTED']} refuted, {counts['UNDECIDED']} undecided, "
        f"{len(run['contradicted'])} against what is known; "
        f"{run['search_seconds']:.0f} s of search in {run['workers']} processes, "
        f"budget {run['boxes']} boxes and {run['seconds']:g} s each."
    )


def undecided(run: dict[str, Any]) -> str:
    """The settings that ended UNDECIDED, with the prover's own advice."""
    rows = [
        (f"`{row['name']}`", _values(row), str(row["classes"]), row["advice"])
        for row in run["rows"]
        if row["status"] == "UNDECIDED"
    ]
    return _table(("loss", "parameters", "classes", "advice"), rows) if rows else "None."


def _rows(entries: Iterable[Entry], run: dict[str, Any]) -> list[tuple[str, ...]]:
    found = []
    for entry in entries:
        ranges = ", ".join(f"{name} {spec.range}" for name, spec in entry.parameters.items())
        names = f"`{entry.name}`" + (
            f" (also {', '.join(f'`{alias}`' for alias in entry.aliases)})" if entry.aliases else ""
        )
        formula = f"`{entry.formula}`" + ("" if entry.domain == "all" else f", scores {entry.domain}")
        known = f"{entry.strength}. {entry.source}" + (
            f". {entry.note[0].upper()}{entry.note[1:]}" if entry.note else ""
        )
        verdicts = [
            f"{row['status']}, c = {row['classes']}" + (f", {values}" if (values := _values(row)) else "")
            for row in run["rows"]
            if row["name"] == entry.name
        ]
        found.append((f"{names}: {entry.title}. {formula}", ranges, known, "; ".join(verdicts)))
    return found


def _values(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in row["parameters"].items())


def _closed() -> list[tuple[str, ...]]:
    return [
        (
            f"`{entry.name}`",
            _code(entry.minimiser) or (f"eta = {_code(entry.link)} at t" if entry.link else ""),
            _code(entry.gap),
            _code(entry.psi),
        )
        for entry in catalogue.ENTRIES
        if entry.minimiser or entry.link or entry.psi
    ]


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows])


def main(words: list[str]) -> int:
    """Write the page, or with --check compare."""
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    wanted = f"{head}{BEGIN}\n\n{tables(json.loads(RUN.read_text(encoding='utf-8')))}\n\n{END}{tail}"
    if "--check" in words:
        print("up to date" if wanted == page else "stale")
        return int(wanted != page)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
