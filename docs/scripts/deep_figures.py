"""The figures of docs/deep/results.md, from condensed runs: SVG text without a date."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avgmargin.networks.claims import families
from avgmargin.networks.readings import margin_through, robustness

_STYLES = {"plain": ("#3b6fb6", "-"), "constraint": ("#8a5fb0", ":"), "reg": ("#12876f", "--")}
_SETTINGS: dict[Any, Any] = {"svg.hashsalt": "avgmargin", "svg.fonttype": "none", "font.size": 9, "axes.grid": True}
_SHOWN = ("test_accuracy", "attack accuracy at 1")
_OF_LR = {0.01: "#3b6fb6", 0.002: "#12876f"}
Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def draw_all(runs: Runs) -> dict[str, str]:
    """SVG text by name: margins through training of each family, and robust accuracy where it was measured."""
    found = {}
    with matplotlib.rc_context(_SETTINGS):
        for family in families(runs):
            for name, drawing in (("margins", _margins), ("robustness", _robustness)):
                figure = drawing(runs, family)
                if figure is not None:
                    text = io.StringIO()
                    figure.savefig(text, format="svg", metadata={"Date": None})
                    found[f"{family}-{name}"] = text.getvalue()
    return found


def draw_sweeps(sweeps: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """SVG text by name, of each sweep whose runs were attacked: accuracy and robust accuracy, a dot for each seed."""
    found = {}
    with matplotlib.rc_context(_SETTINGS):
        for name, sweep in sweeps.items():
            groups = [group for group in sweep["groups"] if group["done"]]
            if groups and all(_SHOWN[1] in group["metrics"] for group in groups):
                text = io.StringIO()
                _sweep(groups).savefig(text, format="svg", metadata={"Date": None})
                found[f"sweep-{name}"] = text.getvalue()
    return found


def _sweep(groups: Sequence[Mapping[str, Any]]) -> Figure:
    groups = sorted(groups, key=lambda group: float(group["metrics"][_SHOWN[1]]["mean"]))
    varied = [k for k in groups[0]["config"] if len({str(group["config"].get(k)) for group in groups}) > 1]
    names = [
        ", ".join(group.get("rows") or (f"{key}={group['config'].get(key)}" for key in varied)) for group in groups
    ]
    figure = Figure(figsize=(8.0, 0.6 + 0.27 * len(groups)), layout="constrained")
    for panel, metric in zip(figure.subplots(1, 2, sharey=True), _SHOWN, strict=True):
        for place, group in enumerate(groups):
            values = group["metrics"][metric]["values"]
            colour = _OF_LR.get(group["config"]["lr"], "#5d6877")
            panel.plot(values, [place] * len(values), "o", color=colour, alpha=0.6, markersize=4)
            panel.plot([group["metrics"][metric]["mean"]], [place], "|", color=colour, markersize=12)
        panel.set_yticks(range(len(groups)), names, fontsize=7)
        _label(panel, "", metric.replace("_", " "))
    figure.supxlabel("a dot for each seed, a bar for their mean; blue lr .01, green lr .002", fontsize=8)
    return figure


def _members(runs: Runs, family: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [(kind, runs[f"{family}-{kind}"][0]) for kind in _STYLES if runs.get(f"{family}-{kind}")]


def _margins(runs: Runs, family: str) -> Figure | None:
    """Average and minimum margin by epoch, as published (thin) and honest (thick)."""
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    drawn = 0
    for kind, run in _members(runs, family):
        colour, line = _STYLES[kind]
        for reading, width in (("as published", 0.8), ("honest", 1.8)):
            curve = margin_through(run, reading)
            if curve is None:
                continue
            points = [i for i, epoch in enumerate(curve["epochs"]) if epoch >= 1 and curve["mean"][i] is not None]
            epochs = [curve["epochs"][i] for i in points]
            for axes, values in ((left, curve["mean"]), (right, curve["minimum"])):
                label = f"{kind}, {reading} ({curve['kind']})"
                axes.plot(epochs, [values[i] for i in points], line, color=colour, linewidth=width, label=label)
            drawn += 1
    if not drawn:
        return None
    _label(left, "epoch", f"{family}: average margin")
    _label(right, "epoch", "minimum margin")
    left.set_xscale("log")
    right.set_xscale("log")
    left.legend(fontsize=6.5, frameon=False)
    return figure


def _robustness(runs: Runs, family: str) -> Figure | None:
    """Robust accuracy by eps: under the paper's own attack (crosses), and from the minimum-norm attack (lines)."""
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axes = figure.subplots()
    drawn = 0
    for kind, run in _members(runs, family):
        colour, line = _STYLES[kind]
        for reading in ("as published", "honest"):
            found = robustness(run, reading)
            if not found:
                continue
            x, y = [float(eps) for eps in found], [number.value for number in found.values()]
            style = (
                {"linestyle": "", "marker": "x"} if reading == "as published" else {"linestyle": line, "marker": "."}
            )
            axes.plot(x, y, color=colour, label=f"{kind}, {reading}", **style)
            drawn += 1
    if not drawn:
        return None
    _label(axes, "eps (L2)", f"{family}: accuracy under attack")
    axes.set_ylim(-0.03, 1.03)
    axes.legend(fontsize=6.5, frameon=False)
    return figure


def _label(axes: Axes, x: str, title: str) -> None:
    axes.set_xlabel(x)
    axes.set_title(title, fontsize=9)
