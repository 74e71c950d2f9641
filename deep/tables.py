"""Tables of measured distances and of runs, for a terminal (`print`) and for a notebook (HTML, everything escaped)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from theory import _html

from .distances import Distances
from .plot import Run

__all__ = ["Table", "distances_line", "distances_table", "run_table"]

_METRICS = ("loss", "accuracy", "margin_mean", "margin_min", "distance_mean", "distance_min")


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


def distances_line(each: Distances) -> str:
    """Distances in one line: kind, norm, method, how many, and mean and minimum with their signs, in units of x.

    >>> import torch
    >>> from deep.distances import Distances
    >>> distances_line(Distances(torch.tensor([0.5, 1.0]).double(), torch.tensor([True, False]), "exact"))
    '<Distances (exact, l2): 2 images, accuracy 0.5, signed mean -0.25, minimum -1>'
    """
    kept = each.summary()
    method = f", {_html.short(each.method, 40)}" if each.method else ""
    numbers = [_html.number(kept[key]) for key in ("accuracy", "signed_mean", "minimum")]
    return (
        f"<Distances ({each.kind}, {each.norm}{method}): {len(each)} images, accuracy {numbers[0]}, "
        f"signed mean {numbers[1]}, minimum {numbers[2]}>"
    )


def distances_table(measured: Mapping[str, Distances], eps: Sequence[float] = ()) -> Table:
    """Statistics of distances side by side, one row each, with their kind; robust accuracy at each ``eps``.

    mean and minimum are signed (minus for a misclassified image), the mean over the finite values, in units of x.
    Raises ``ValueError`` for an eps below 0 or not finite.

    >>> import torch
    >>> from deep.distances import Distances
    >>> one = Distances(torch.tensor([0.5, 1.0]).double(), torch.tensor([True, True]), "exact", method="linear")
    >>> distances_table({"net": one}, eps=[0.7])
    distances
    name  kind   norm  box  images  accuracy  mean  minimum  found  robust at 0.7  method
    net   exact  l2    -    2       1         0.75  0.5      1      0.5            linear
    """
    header = ("name", "kind", "norm", "box", "images", "accuracy", "mean", "minimum", "found")
    rows = []
    for name, each in measured.items():
        kept = each.summary(eps)
        box = None if each.box is None else f"[{each.box[0]:g}, {each.box[1]:g}]"
        front = (name, each.kind, each.norm, box, len(each), kept["accuracy"], kept["signed_mean"], kept["minimum"])
        rows.append((*front, kept["found"], *kept["robust_accuracy"].values(), each.method or None))
    return Table("distances", (*header, *(f"robust at {e:g}" for e in eps), "method"), tuple(rows))


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
