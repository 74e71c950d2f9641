"""Where words go: results to stdout, progress and errors to stderr. rich is imported only where it is used."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from .errors import one_line

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN_WIDTH = 200  # columns of tables in files and pipes


def console(stderr: bool = False) -> Console:
    """A console that knows NO_COLOR and non-terminals, and takes no markup from what it prints."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def print_json(value: object) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_error(message: str, *, as_json: bool) -> None:
    """One line on stderr; with `as_json` an object {"error": ...} on stdout too."""
    line = one_line(message)
    print(f"avgmargin: error: {line}", file=sys.stderr)
    if as_json:
        print_json({"error": line})


def status_style(status: str) -> str:
    """The colour of a status word."""
    return {"PROVED": "bold green", "REFUTED": "bold red", "VERIFIED": "bold green", "REFUSED": "bold red"}.get(
        status, "bold yellow"
    )


def show_pairs(pairs: list[tuple[str, Any]], styles: dict[str, str] | None = None) -> None:
    """Names and values in two columns on stdout; pairs whose value is None are left out."""
    shown = [(name, one_line(str(value), 2000)) for name, value in pairs if value is not None]
    if not sys.stdout.isatty():
        width = max((len(name) for name, _ in shown), default=0)
        print("\n".join(f"{name:<{width}}  {value}" for name, value in shown))
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in shown:
        grid.add_row(Text(name), Text(value, style=(styles or {}).get(name, "")))
    console().print(grid)


def show_table(columns: list[str], rows: list[list[Any]], status_column: int | None = None) -> None:
    """A table on stdout; the words of `status_column` are coloured."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        cells = [Text(one_line(str(cell), 2000)) for cell in row]
        if status_column is not None:
            cells[status_column].stylize(status_style(str(row[status_column])))
        table.add_row(*cells)
    console().print(table)
