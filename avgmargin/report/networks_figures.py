"""Figures of the page of trained networks: tables in, SVG out; nothing touches pyplot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avgmargin.common.figures import FOURTH, PAPER, PLAIN, RELEASED, Table, styled

__all__ = ["FIGURES", "Drawing", "draw"]

_CHANGES = {"legend.fontsize": 8.5, "grid.linewidth": 0.8, "lines.linewidth": 1.5}
"""Of the style of the reports: more curves stand in one picture here."""
_COLOURS = (PLAIN, RELEASED, PAPER, FOURTH)
_OF_KIND = {"plain": PLAIN, "constraint": FOURTH, "reg": PAPER}
_LINES: Mapping[str, Mapping[str, Any]] = {
    "exact": {"linestyle": "-", "linewidth": 2.4},
    "rigorous lower": {"linestyle": "--", "marker": "^"},
    "estimate": {"linestyle": ":", "marker": "s"},
    "upper": {"linestyle": "-", "marker": "v"},
}
_FIXED: Mapping[str, Mapping[str, Any]] = {
    "PGD on the margin": {"linestyle": "", "marker": "+"},
    "PGD on cross-entropy, as published": {"linestyle": "", "marker": "x", "markersize": 8},
}


@dataclass(frozen=True)
class Drawing:
    """How a table is drawn, and its words."""

    work: Callable[[Table], Figure]
    title: str
    alt: str
    caption: str


def draw(figure: Table) -> str:
    """The figure of a table (`draw`, `columns`, `rows`) as SVG text, without a date."""
    return styled(FIGURES[figure["draw"]].work, figure, **_CHANGES)


def _margins(table: Table) -> Figure:
    figure = Figure(figsize=(9.2, 3.6), layout="constrained")
    panels = list(figure.subplots(1, 2))
    colours = _colours(table)
    for run, reading, kind in dict.fromkeys((row[0], row[1], row[2]) for row in table["rows"]):
        rows = [row for row in table["rows"] if (row[0], row[1]) == (run, reading)]
        thin = {"linewidth": 1.0, "linestyle": ":"} if reading == "as published" else {"linewidth": 1.9}
        for panel, column in zip(panels, (5, 6), strict=True):
            points = [(row[4], row[column]) for row in rows if row[column] is not None]
            if points:
                style = thin if len(points) > 1 else {"marker": "o", "linestyle": ""}
                panel.plot(*zip(*points, strict=True), color=colours[run], label=f"{run}, {reading} ({kind})", **style)
    for panel, word in zip(panels, ("average margin", "minimum margin"), strict=True):
        _label(panel, "epoch", word)
        panel.set_xscale("log")
    panels[0].set_ylabel("distance (pixel units, L2)")
    _legend(panels[0])
    return figure


def _robustness(table: Table) -> Figure:
    figure = Figure(figsize=(9.2, 4.0), layout="constrained")
    panel = figure.subplots()
    colours = _colours(table)
    for run, way, kind in dict.fromkeys((row[0], row[1], row[2]) for row in table["rows"]):
        points = sorted((row[3], row[4]) for row in table["rows"] if (row[0], row[1]) == (run, way))
        style = _FIXED.get(way, _LINES.get(kind, {}))
        if way.endswith("unboxed"):
            style = {**style, "alpha": 0.5, "fillstyle": "none"}
        panel.plot(*zip(*points, strict=True), color=colours[run], label=f"{run}: {way} ({kind})", **style)
    _label(panel, "eps (L2, pixel units)", "accuracy that is left at eps, by the way it was measured")
    panel.set_ylim(-0.03, 1.03)
    _legend(panel, outside=True)
    return figure


def _colours(table: Table) -> dict[str, str]:
    """A colour for each run: that of its kind of preset, else the next."""
    following, found = cycle(_COLOURS), {}
    for run in dict.fromkeys(row[0] for row in table["rows"]):
        found[run] = _OF_KIND.get(str(run).rpartition("-")[2]) or next(following)
    return found


def _label(panel: Axes, x: str, title: str) -> None:
    panel.set(xlabel=x, title=title)


def _legend(panel: Axes, *, outside: bool = False) -> None:
    if panel.get_legend_handles_labels()[0]:
        panel.legend(**({"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if outside else {"loc": "best"}))


FIGURES: Mapping[str, Drawing] = {
    "margins": Drawing(
        _margins,
        "margins through training",
        "average and minimum margin by epoch of each run, as published and honest.",
        "Signed distances: misclassified images count negative. As published: of a linear model the exact distance to "
        "the label's half-spaces, of a network the paper's sampled estimate, which bounds from neither side. Honest: "
        "the exact distance to the boundary of the predicted class, or of a network that of the nearest adversarial "
        "example found, an upper bound. The minimum is a number of the images it was taken over.",
    ),
    "robustness": Drawing(
        _robustness,
        "robust accuracy",
        "robust accuracy by eps of each run, with a curve for each way of measuring.",
        "What is true lies at or above a rigorous lower bound, and at or below every curve of an attack, up to the "
        "sampling of images. An estimate bounds from neither side. The crosses are the paper's own attack, which stops "
        "where the softmax saturates.",
    ),
}
