"""Tables, for a terminal (`print`) and for a notebook (HTML, everything escaped)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from theory import _html

__all__ = ["Run", "Table", "run_table"]

_METRICS = ("loss", "accuracy", "margin_mean", "margin_min", "distance_mean", "distance_min")


class Run(Protocol):
    """What has metrics by epoch: `TrainResult`, `TrainProgress`, or anything of that shape."""

    @property
    def metrics(self) -> tuple[Mapping[str, float], ...]:
        """``metrics[k]`` belongs to epoch k."""


@dataclass(frozen=True, repr=False)
class Table:
    """Rows of values under a header. ``repr`` is aligned text, and a notebook shows an HTML table.

    rows : each with as many entries as ``header``; numbers, texts, or None for what was not measured.
    Raises ``ValueError`` for a row of another length.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    def __post_init__(self) -> None:
        for k, row in enumerate(self.rows):
            if len(row) != len(self.header):
                raise ValueError(f"rows[{k}] has {len(row)} entries; it must have {len(self.header)}, as the header")

    def __repr__(self) -> str:
        cells = [self.header, *(tuple(_html.number(cell) for cell in row) for row in self.rows)]
        flat = [tuple(" ".join(str(cell).split()) for cell in row) for row in cells]
        widths = [max(len(row[k]) for row in flat) for k in range(len(self.header))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in flat]
        return "\n".join([" ".join(self.title.split()), *lines])

    def _repr_html_(self) -> str:
        return _html.table(self.title, self.header, self.rows)


def run_table(runs: Mapping[str, Run], part: str = "test") -> Table:
    """The last epoch of each run, one row each: loss, accuracy, functional margins, exact distances where they are.

    part : ``train`` or ``test``, the images that the numbers are of.
    Raises ``ValueError`` for another part.
    """
    if part not in ("train", "test"):
        raise ValueError(f"part={part!r} must be 'train' or 'test'")
    rows = []
    for name, run in runs.items():
        last = run.metrics[-1] if run.metrics else {}
        found = [last.get(f"{part}_{metric}") for metric in _METRICS]
        kept = [value if value is not None and math.isfinite(value) else None for value in found]
        rows.append((name, getattr(run, "status", None), max(len(run.metrics) - 1, 0), *kept))
    words = tuple(metric.replace("_", " ") for metric in _METRICS)
    return Table(f"runs, {part} images", ("run", "status", "epochs", *words), tuple(rows))
