"""Learning curves, drawn on logarithmic axes with error bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from synthetic.plot import COLOURS

from .curves import Curve


def curves_figure(curves: Sequence[Curve], *, exponent: float | None = None) -> Figure:
    """Mean excess 0-1 risk against n with one standard error over seeds; dotted: where a loss must level off.

    `exponent`: a reference slope n^(-exponent), such as the plug-in rate, drawn dashed from the first curve's start.
    Raises ValueError without a curve.
    """
    if not curves:
        raise ValueError("curves=[] must hold at least one curve")
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.add_subplot()
    positive = [value for curve in curves for value in (*curve.mean, curve.plateau) if value > 0.0]
    floor = 0.5 * min(positive, default=1e-6)
    for k, curve in enumerate(curves):
        colour, mean = COLOURS[k % len(COLOURS)], np.maximum(curve.mean, floor)
        spread = np.nan_to_num(curve.spread)
        low = np.minimum(spread, mean - 0.5 * floor)
        label = curve.loss if curve.rate is None else f"{curve.loss}: slope {curve.rate:.2f}"
        axes.errorbar(curve.sizes, mean, yerr=[low, spread], color=colour, marker="o", markersize=3.5, label=label)
        if curve.plateau > 0.0:
            axes.axhline(curve.plateau, color=colour, linestyle=":", linewidth=1.2)
    if exponent is not None:
        n = np.array([curves[0].sizes[0], curves[0].sizes[-1]], dtype=np.float64)
        line = max(curves[0].mean[0], floor) * (n / n[0]) ** -exponent
        axes.plot(n, line, color="black", linestyle="--", linewidth=1.0, label=f"n^(-{exponent:.2f})")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("samples n")
    axes.set_ylabel("excess 0-1 risk")
    axes.set_title(f"{curves[0].law}, {curves[0].learner}", fontsize=10)
    axes.legend(fontsize=8)
    return figure
