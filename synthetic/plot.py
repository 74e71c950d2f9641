"""Pictures: a law with its Bayes rule, and minimisers of losses against the Bayes rule.

Every function returns a new `matplotlib.figure.Figure`; nothing touches pyplot or any global state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from theory.losses import Loss

from . import _doors as doors
from ._agreement import pointwise_minimisers, top_classes
from ._doors import FloatArray
from ._law import Law

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
"""Class colours that stay apart for colour-blind readers (P. Tol, qualitative "bright"); reused in turn."""


def law_picture(law: Law, resolution: int = 241, rng: np.random.Generator | None = None, draws: int = 200) -> Figure:
    """A law on the line or in the plane: densities, posterior, Bayes rule; with `rng`, `draws` sampled points.

    Line: w_k p(x given k) per class above, the posterior of each class below. Plane: the Bayes class as a hue that
    fades to white where the top posterior falls to 1/c, the Bayes boundary as a black line, contours of the density.
    Raises ValueError for a law of more than two dimensions, a resolution below 16 or draws below 1.
    """
    if law.dimension > 2:
        raise ValueError(f"law.dimension={law.dimension} must be 1 or 2 for a picture")
    steps = doors.whole("resolution", resolution, 16)
    figure = Figure(figsize=(6.0, 4.6), layout="constrained")
    drawn = None if rng is None else law.sample(doors.whole("draws", draws, 1), rng)
    low, high = law.extent.T
    # cell midpoints: on the edges of a piecewise-constant law the picture would be a matter of rounding
    axes = [a + (b - a) * (np.arange(steps) + 0.5) / steps for a, b in zip(low, high, strict=True)]
    if law.dimension == 1:
        _line(figure, law, axes[0])
    else:
        _plane(figure.add_subplot(), law, axes[0], axes[1])
    first = figure.axes[0]
    if drawn is not None:
        x, y = drawn
        for k in range(law.classes):
            mine = x[y == k]
            height = np.zeros(mine.shape[0]) if law.dimension == 1 else mine[:, 1]
            marker = "|" if law.dimension == 1 else "."
            first.plot(mine[:, 0], height, marker, color=_colour(k), markersize=5.0, markeredgewidth=0.8)
        first.set_xlim(low[0], high[0])
        if law.dimension == 2:
            first.set_ylim(low[1], high[1])
    risk = law.bayes_risk(rng)
    first.set_title(f"{law.name}: R* = {risk.value:.6g} ({risk.kind}, error {risk.error:.1g})", fontsize=10)
    return figure


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def _line(figure: Figure, law: Law, x: FloatArray) -> None:
    top, bottom = figure.subplots(2, 1, sharex=True)
    posterior, density = law.posterior(x[:, None]), law.density(x[:, None])
    rule = posterior.argmax(axis=1)
    for k in range(law.classes):
        top.plot(x, density * posterior[:, k], color=_colour(k), label=f"class {k}")
        bottom.plot(x, posterior[:, k], color=_colour(k))
        bottom.fill_between(x, 0.0, 1.0, where=(rule == k).tolist(), color=_colour(k), alpha=0.12, linewidth=0.0)
    top.set_ylabel("density of (x, k)")
    top.legend(fontsize=8)
    bottom.set(xlabel="x", ylabel="posterior, Bayes rule", ylim=(0.0, 1.0))


def _plane(axes: Axes, law: Law, x: FloatArray, y: FloatArray) -> None:
    points = np.stack(np.meshgrid(x, y, indexing="xy"), axis=-1).reshape(-1, 2)
    shape = (y.shape[0], x.shape[0])
    posterior = law.posterior(points)
    rule = posterior.argmax(axis=1)
    hues = np.array([to_rgb(_colour(k)) for k in range(law.classes)])
    surplus = (posterior.max(axis=1, keepdims=True) * law.classes - 1.0) / (law.classes - 1.0)
    shades = np.clip(1.0 - surplus * (1.0 - hues[rule]), 0.0, 1.0)
    low, high = law.extent.T
    box = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    axes.imshow(shades.reshape(*shape, 3), origin="lower", extent=box, aspect="auto", interpolation="nearest")
    for k in range(law.classes):
        lead = posterior[:, k] - np.delete(posterior, k, axis=1).max(axis=1)
        if 0 < int((rule == k).sum()) < rule.shape[0]:
            axes.contour(x, y, lead.reshape(shape), levels=[0.0], colors="black", linewidths=0.8)
        axes.plot([], [], "o", color=_colour(k), label=f"class {k}")
    density = law.density(points).reshape(shape)
    if float(np.ptp(density)) > 1e-9 * float(density.max()):
        axes.contour(x, y, density, levels=5, colors="grey", linewidths=0.5)
    axes.legend(fontsize=8, loc="upper right")
    axes.set(xlabel="x1", ylabel="x2")
    if float((high - low).max()) < 3.0 * float((high - low).min()):
        axes.set_aspect("equal")


def minimiser_picture(losses: Sequence[Loss], points: int = 400) -> Figure:
    """Searched minimisers v*(eta) of binary losses against the Bayes rule sign(2 eta - 1).

    Shaded: the wrong side, ties included. Crosses on the axis: posteriors at which the check calls the minimiser
    wrong or tied. The eta drawn are cell midpoints of (0, 1), never 1/2 for even `points`. Scores on a symlog axis.

    Raises ValueError without a loss or for fewer than 2 points.
    """
    count = doors.whole("points", points, 2)
    if not losses:
        raise ValueError(f"len(losses)={len(losses)} must be at least 1")
    eta = (np.arange(count) + 0.5) / count
    posterior = np.stack([1.0 - eta, eta], axis=1)
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("symlog", linthresh=1.0)
    for k, loss in enumerate(losses):
        scores = pointwise_minimisers(loss, posterior).scores
        axes.plot(eta, scores[:, 1] - scores[:, 0], color=_colour(k), label=loss.name)
        tops = top_classes(scores)
        wrong = np.where(eta > 0.5, tops[:, 0], tops[:, 1]) & (eta != 0.5)
        axes.plot(eta[wrong], np.zeros(int(wrong.sum())), "x", color=_colour(k), markersize=4.0)
    low, high = axes.get_ylim()
    axes.fill_between([0.0, 0.5], 0.0, max(high, 1.0), color="black", alpha=0.07, linewidth=0.0)
    axes.fill_between([0.5, 1.0], min(low, -1.0), 0.0, color="black", alpha=0.07, linewidth=0.0)
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set(xlabel="eta = P(Y = 1 given x)", ylabel="minimising score v", xlim=(0.0, 1.0))
    axes.legend(fontsize=8)
    return figure
