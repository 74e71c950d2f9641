"""Pictures of calibration functions. Returns new figures; nothing touches pyplot or any global state.

matplotlib is imported by this module alone, which nothing else in `theory` imports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .calibration import CalibrationFunction

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
"""Colours that stay apart for colour-blind readers (P. Tol, qualitative "bright"); reused in turn."""

Floats = NDArray[np.float64]


def calibration(
    *functions: CalibrationFunction,
    labels: Sequence[str] | None = None,
    closed_form: Callable[[Floats], Any] | None = None,
    inset: bool = True,
) -> Figure:
    """The certified bounds of one or more calibration functions: a band from lower to upper bound over theta.

    `closed_form` (theta to psi) is drawn as a black dotted line. The inset shows both bounds near 0 on logarithmic
    axes, where a slope of 1 or 2 tells a linear from a quadratic function. `closed_form` gets an array of thetas (k,)
    and returns as many values. Raises ValueError without a function, and for labels that are not one per function.

    >>> import theory, theory.plot
    >>> figure = theory.plot.calibration(theory.calibration_function(theory.catalogue.get("hinge")))
    >>> figure.axes[0].get_ylabel()
    'psi'
    """
    if not functions:
        raise ValueError("functions=() must hold at least one calibration function")
    names = [each.loss for each in functions] if labels is None else list(labels)
    if len(names) != len(functions):
        raise ValueError(f"labels has {len(names)} entries; it must have one per function, {len(functions)}")
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    span = max(float(each.span) for each in functions)
    for k, (function, name) in enumerate(zip(functions, names, strict=True)):
        _band(axes, function, np.linspace(0.0, float(function.span), 401), COLOURS[k % len(COLOURS)], name)
    theta = np.linspace(0.0, span, 401)
    if closed_form is not None:
        axes.plot(theta, np.asarray(closed_form(theta), dtype=float), "k:", linewidth=1.0, label="closed form")
    several = functions[0].classes > 2
    axes.set_xlabel("eps = max p - p_j" if several else "theta = |2 eta - 1|" if span == 1 else "theta = 2 |eta - a|")
    axes.set_ylabel("psi")
    axes.set_xlim(0.0, span)
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="upper left", frameon=False)
    if inset and not several:
        small = axes.inset_axes((0.62, 0.1, 0.35, 0.38))
        for k, function in enumerate(functions):
            _band(small, function, np.geomspace(1e-4, 1e-1, 61) * float(function.span), COLOURS[k % len(COLOURS)], None)
        small.set_xscale("log")
        small.set_yscale("log", nonpositive="mask")
        small.tick_params(labelsize=7)
        small.set_title("near 0", fontsize=8)
    return figure


def _band(axes: Axes, function: CalibrationFunction, theta: Floats, colour: str, label: str | None) -> None:
    bounds = [function(min(x, float(function.span))) for x in theta.tolist()]
    lower = np.array([float(low) for low, _ in bounds])
    upper = np.array([float(high) if isfinite(high) else np.nan for _, high in bounds])
    axes.fill_between(theta, lower, upper, color=colour, alpha=0.25, linewidth=0)
    axes.plot(theta, lower, color=colour, linewidth=1.4, label=label)
    axes.plot(theta, upper, color=colour, linewidth=0.8, linestyle="--")
