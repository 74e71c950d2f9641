"""The frontier and the paths on it, drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from synthetic._doors import FloatArray
from synthetic.plot import COLOURS

from .paths import Path
from .result import Frontier


def frontier_figure(found: Frontier, paths: Sequence[Path] = ()) -> Figure:
    """Average margin against minimum margin (or tail mean): the frontier, its two ends, training paths.

    Below the frontier lies what linear classifiers can reach, above it nothing. Second panel: the average
    margin that each path gives up against the mean direction, by epoch.
    """
    figure = Figure(figsize=(10.0 if paths else 5.4, 4.4), layout="constrained")
    left = figure.add_subplot(1, 2 if paths else 1, 1)
    right = figure.add_subplot(1, 2, 2) if paths else None
    order = sorted(found.points, key=lambda point: point.minimum)
    m, a = np.array([p.minimum for p in order]), np.array([p.average for p in order])
    left.plot(m, a, color="black", linewidth=1.6, label="frontier")
    for end, words, marker in ((found.mean_end, "mean direction", "^"), (found.svm_end, "hard-margin SVM", "s")):
        shown = words if found.tail is None or marker == "^" else f"largest lower {found.tail:g} tail mean"
        left.plot([end.minimum], [end.average], marker, color="black", markersize=7, label=shown, zorder=5)
    for k, path in enumerate(paths):
        colour = COLOURS[k % len(COLOURS)]
        left.plot(path.minimum, path.average, "-", color=colour, linewidth=1.3, label=path.name)
        left.plot(path.minimum[-1:], path.average[-1:], "o", color=colour, markersize=4)
        if right is not None:
            right.plot(path.epochs, path.given_up(found), color=colour, label=path.name)
    below = "minimum margin" if found.tail is None else f"mean of the smallest {found.tail:.0%} of margins"
    left.set_xlabel(f"{below} (distance, {found.geometry})")
    left.set_ylabel("average margin (distance)")
    left.legend(fontsize=8)
    _frame(left, m, a, paths)
    if right is not None:
        right.set_xscale("log")
        right.set_xlabel("epochs")
        right.set_ylabel("average margin given up")
        right.axhline(found.mean_end.average - found.svm_end.average, color="black", linestyle=":", linewidth=1)
        right.legend(fontsize=8)
    return figure


def _frame(axes: Axes, minimum: FloatArray, average: FloatArray, paths: Sequence[Path]) -> None:
    """Limits that show the frontier large; paths may leave the picture where they are far from it."""
    width, height = minimum[-1] - minimum[0], max(average.max() - average.min(), 1e-3 * abs(average.max()))
    ends = [minimum[0], *(path.minimum[-1] for path in paths)]
    floors = [average.min(), *(path.average[-1] for path in paths)]
    axes.set_xlim(max(min(ends), minimum[0] - width) - 0.08 * width, minimum[-1] + 0.08 * width)
    axes.set_ylim(max(min(floors), average.min() - 2.0 * height) - 0.25 * height, average.max() + 0.15 * height)
