"""Figures of the report: the table of each in, SVG out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avgmargin.common.figures import FOURTH, INK, MUTED, PAPER, PLAIN, RELEASED, Table, styled

STYLES: Mapping[str, tuple[str, str]] = {
    "logistic": (PLAIN, "-"),
    "ce": (PLAIN, "-"),
    "average-margin": (PAPER, "--"),
    "average-margin-released": (RELEASED, "-."),
    "hinge": (FOURTH, ":"),
}
NAMES = {
    "ce": "plain cross-entropy",
    "average-margin": "average-margin (paper)",
    "average-margin-released": "average-margin-released",
}


def draw(figure: Table) -> str:
    """The figure of a table (`id`, `columns`, `rows`, and what else its drawing needs) as SVG text, without a date."""
    return styled(_DRAWINGS[figure["id"]], figure)


def _columns(figure: Table) -> dict[str, list[Any]]:
    return {name: [row[i] for row in figure["rows"]] for i, name in enumerate(figure["columns"])}


def _panels(count: int, height: float = 3.4, **options: Any) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9.2, height), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False, **options)[0]
    return figure, list(axes)


def _near_tie(table: Table) -> Figure:
    figure, axes = _panels(2, sharey=True)
    values = _columns(table)
    names = list(dict.fromkeys(point["loss"] for point in table["minima"]))
    for panel, name in zip(axes, names, strict=True):
        colour = STYLES[name][0]
        points = [point for point in table["minima"] if point["loss"] == name]
        for point, opacity in zip(points, (1.0, 0.8, 0.6, 0.45), strict=True):
            label = f"η = {point['eta']:g}"
            panel.plot(values["t"], values[f"{name}, eta = {point['eta']:g}"], color=colour, alpha=opacity, label=label)
            panel.plot(point["v"], point["value"], "o", color=colour, alpha=opacity, markersize=6)
        panel.axvline(0.0, color=MUTED, linewidth=0.8)
        panel.set(title=NAMES[name], xlabel="score t (units of score)", ylim=(-0.05, 0.08))
        panel.legend(loc="lower left")
    axes[0].set_ylabel("C_η(t) − C_η(0)  (units of loss)")
    return figure


def _curves(panel: Axes, table: Table) -> None:
    """The further columns against the first, each in the style of its name."""
    values = _columns(table)
    first, *names = table["columns"]
    for name in names:
        colour, line = STYLES[name]
        panel.plot(values[first], values[name], line, color=colour, label=NAMES.get(name, name))


def _minimisers(table: Table) -> Figure:
    figure, (panel,) = _panels(1)
    _curves(panel, table)
    panel.axvline(0.5, color=MUTED, linewidth=0.8)
    panel.axhline(0.0, color=MUTED, linewidth=0.8)
    for x in (table["limit"], 1.0 - table["limit"]):
        panel.axvline(x, color=RELEASED, linewidth=0.8, linestyle=":")
    panel.annotate(
        f"η = {table['limit_text']}",
        (table["limit"], panel.get_ylim()[0]),
        xytext=(5, 6),
        textcoords="offset points",
        color=RELEASED,
        fontsize=9.5,
    )
    panel.set(xlabel="posterior η = P(Y = +1 | x)", ylabel="minimising score (units of score)")
    panel.legend(loc="upper left")
    return figure


def _calibration(table: Table) -> Figure:
    figure, (panel,) = _panels(1)
    _curves(panel, table)
    panel.set(
        xlabel="excess 0-1 risk θ (probability)", ylabel="ψ(θ) (units of loss)", xlim=(0.0, 0.3), ylim=(-0.004, 0.15)
    )
    panel.legend(loc="upper left")
    return figure


def _excess(table: Table) -> Figure:
    names = list(dict.fromkeys(row[0] for row in table["rows"]))
    figure, axes = _panels(len(names), sharey=True)
    for panel, name in zip(axes, names, strict=True):
        colour = STYLES[name][0]
        points = sorted((row[1], row[2], row[3]) for row in table["rows"] if row[0] == name)
        excess, surrogate, _ = zip(*points, strict=True)
        curve = [(x, y) for x, y in table["bounds"][name] if x <= excess[-1]]
        panel.plot(excess, surrogate, "o", color=colour, markersize=4.5, alpha=0.75, label="random classifiers")
        panel.plot(*zip(*curve, strict=True), "-", color=INK, linewidth=1.4, label="bound ψ(θ)")
        panel.set(title=NAMES.get(name, name), xlabel="excess 0-1 risk θ (probability)")
        panel.set_yscale("symlog", linthresh=0.01)
        panel.set_ylim(bottom=-0.001)
    axes[0].set_ylabel("excess surrogate risk (units of loss)")
    axes[0].legend(loc="upper left")
    return figure


def _learning(table: Table) -> Figure:
    figure, (panel,) = _panels(1)
    values = _columns(table)
    n = values["n"]
    means = [value for name in table["names"] for value in values[f"mean, {name}"]]
    floor = 0.5 * min((value for value in [*means, *table["plateaus"]] if value > 0), default=1e-6)
    for k, (name, plateau) in enumerate(zip(table["names"], table["plateaus"], strict=True)):
        colour = (PLAIN, PAPER, RELEASED, FOURTH)[k % 4]
        mean = [max(m, floor) for m in values[f"mean, {name}"]]
        spread = [s or 0.0 for s in values[f"standard error, {name}"]]
        low = [min(s, m - 0.5 * floor) for s, m in zip(spread, mean, strict=True)]
        panel.errorbar(n, mean, yerr=[low, spread], color=colour, marker="o", markersize=4, label=name)
        if plateau > 0:
            panel.axhline(plateau, color=colour, linestyle=":", linewidth=1.0)
    first = max(values[f"mean, {table['names'][0]}"][0], floor)
    reference = [first * (x / n[0]) ** -table["rate"] for x in n]
    panel.plot(n, reference, "--", color=MUTED, linewidth=1.0, label="plug-in rate")
    panel.set(xscale="log", yscale="log", xlabel="samples n", ylabel="excess 0-1 risk")
    panel.legend(loc="lower left")
    return figure


def _frontier(table: Table) -> Figure:
    figure, axes = _panels(2)
    series = dict.fromkeys(row[0] for row in table["rows"])
    edge = [(row[2], row[3]) for row in table["rows"] if row[0] == "frontier"]
    axes[0].plot(*zip(*sorted(edge), strict=True), color=INK, linewidth=1.6, label="frontier")
    for k, name in enumerate(name for name in series if name != "frontier"):
        rows = [row for row in table["rows"] if row[0] == name]
        colour, line = (PLAIN, PAPER)[k // 2 % 2], ("-", ":")[k % 2]
        axes[0].plot([row[2] for row in rows], [row[3] for row in rows], line, color=colour)
        axes[0].plot(rows[-1][2], rows[-1][3], "os"[k % 2], color=colour, markersize=6, label=name)
        axes[1].plot([row[1] for row in rows], [row[4] for row in rows], line, color=colour, label=name)
    axes[0].set(xlabel="minimum margin (distance)", ylabel="average margin (distance)")
    axes[1].set(xscale="log", xlabel="epochs", ylabel="average margin given up")
    for panel in axes:
        panel.legend(loc="best")
    return figure


def _margins(table: Table) -> Figure:
    figure, axes = _panels(2)
    values = _columns(table)
    for panel, kind in zip(axes, ("average", "minimum"), strict=True):
        for name in ("ce", "average-margin", "average-margin-released"):
            if f"{kind}, {name}" in values:
                colour, line = STYLES[name]
                panel.plot(values["epoch"], values[f"{kind}, {name}"], line, color=colour, label=NAMES[name])
        panel.set(title=f"{kind} over the training images", xlabel="epoch", ylabel="exact distance (pixel units, L2)")
    axes[0].legend(loc="best")
    return figure


def _accuracy(table: Table) -> Figure:
    figure, axes = _panels(2, sharey=True)
    values = _columns(table)
    lowest = 1.0
    for panel, model in zip(axes, ("linear", "mlp"), strict=True):
        for name in ("ce", "average-margin", "average-margin-released"):
            if (column := f"{model}, {name}") in values:
                seen = [
                    (e, a) for e, a in zip(values["epoch"], values[column], strict=True) if a is not None and e >= 1
                ]
                colour, line = STYLES[name]
                panel.plot(*zip(*seen, strict=True), line, color=colour, label=NAMES[name])
                lowest = min(lowest, sorted(a for _, a in seen)[min(2, len(seen) - 1)])
        title = {"linear": "linear model (logistic regression)", "mlp": "multilayer perceptron"}[model]
        panel.set(title=title, xlabel="epoch")
    axes[0].set_ylabel("accuracy on test images (fraction)")
    axes[0].set_ylim(bottom=max(0.0, lowest - 0.05))
    axes[1].legend(loc="lower right")
    return figure


_DRAWINGS: dict[str, Callable[[Table], Figure]] = {
    "near-tie": _near_tie,
    "minimisers": _minimisers,
    "calibration": _calibration,
    "excess-risk": _excess,
    "learning": _learning,
    "frontier": _frontier,
    "margins": _margins,
    "accuracy": _accuracy,
}
