"""Pictures of margins: their distribution, their course through training, and robust accuracy against eps.

Every function returns a new `matplotlib.figure.Figure`; nothing touches pyplot or any global state. matplotlib is
imported by this module alone, which nothing else in `deep` imports; its face loads it when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .distances import Distances, check_eps
from .tables import Run

__all__ = ["COLOURS", "Run", "distribution", "robust_accuracy", "through_training"]

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
"""Colours that stay apart for colour-blind readers (P. Tol, qualitative "bright"); reused in turn."""

Floats = NDArray[np.float64]
_LINES = {"exact": "-", "rigorous lower": "--", "estimate": ":", "upper": "-."}


def distribution(
    *measured: Distances | ArrayLike, labels: Sequence[str] | None = None, signed: bool = True, unit: str | None = None
) -> Figure:
    """The distribution of margins: the share of images with a margin of at most x, over x.

    measured : one or more ``Distances`` of n images, or arrays (n,) of functional margins (``deep.margins``); NaN is
               refused. Infinite values count, but are beyond the right end of the picture.
    labels   : a name for each; kind and method are added to those of ``Distances``.
    signed   : with ``Distances``, whether a misclassified image counts with a minus sign.
    unit     : the words at the x axis.

    Raises ``ValueError`` for nothing to draw, for labels that are not one for each, and for an array that is empty, not
    of shape (n,), or holds NaN.

    >>> import torch
    >>> from deep.distances import Distances
    >>> one = Distances(torch.tensor([0.5, 1.0]).double(), torch.tensor([True, False]), "exact")
    >>> [float(x) for x in distribution(one).axes[0].lines[0].get_xdata()]
    [-1.0, -1.0, 0.5]
    """
    names = _labels(measured, labels)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for k, (each, name) in enumerate(zip(measured, names, strict=True)):
        values = _values(each, signed, f"measured[{k}]")
        finite = values[np.isfinite(values)]
        below = int(np.isneginf(values).sum())
        x, y = np.r_[finite[:1], finite], (below + np.arange(len(finite) + 1)) / len(values)
        axes.step(x, y[: len(x)], where="post", color=_colour(k), linestyle=_line(each), label=_title(each, name))
    axes.axvline(0.0, color="black", linewidth=0.5)
    axes.set(xlabel=unit or _unit(measured[0]), ylabel="share of images with at most this margin", ylim=(0.0, 1.0))
    axes.legend(fontsize=8, frameon=False)
    return figure


def robust_accuracy(*measured: Distances, labels: Sequence[str] | None = None, eps: ArrayLike | None = None) -> Figure:
    """Robust accuracy against eps: P(prediction right and distance > eps), all from one set of distances.

    From ``exact`` values it is the robust accuracy, from ``upper`` ones (attacks) an upper bound of it, from ``rigorous
    lower`` ones a lower bound; the line of each kind differs, and the legend names it. ``eps``: where to draw, shape
    (m,), in units of x; 0 to the largest finite distance unless given.

    Raises ``ValueError`` for nothing to draw, labels that are not one for each, an eps that is negative or not finite.
    """
    names = _labels(measured, labels)
    if eps is None:
        largest = max(
            (float(each.values[each.found].max()) for each in measured if bool(each.found.any())), default=1.0
        )
        at = np.linspace(0.0, 1.05 * (largest or 1.0), 201)
    else:
        at = np.atleast_1d(np.asarray(eps, dtype=np.float64))
    for value in at.tolist():
        check_eps(value)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for k, (each, name) in enumerate(zip(measured, names, strict=True)):
        held = [each.robust_accuracy(value) for value in at.tolist()]
        axes.step(at, held, where="post", color=_colour(k), linestyle=_line(each), label=_title(each, name))
    norm = measured[0].norm if len({each.norm for each in measured}) == 1 else "several norms"
    axes.set(xlabel=f"eps ({norm}, units of x)", ylabel="robust accuracy", ylim=(0.0, 1.02))
    axes.legend(fontsize=8, frameon=False)
    return figure


def through_training(
    *runs: Run, labels: Sequence[str] | None = None, part: str = "train", measure: str | None = None
) -> Figure:
    """Average (left) and minimum margin (right) after each epoch, a line for each run; epoch 0 is the untrained model.

    measure : ``distance`` (linear models: exact L2 distances to the predicted class' boundary, units of x),
              ``label_distance`` (the label's half-spaces) or ``margin`` (functional margin, units of score). Unless
              given: ``distance`` where every run has it, else ``margin``.
    part    : ``train`` or ``test`` images.

    Raises ``ValueError`` for no run, labels that are not one for each, and for a run without such metrics.
    """
    names = _labels(runs, labels)
    if measure is None:
        measure = "distance" if all(_has(run, f"{part}_distance_mean") for run in runs) else "margin"
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, 2)
    for axes, statistic, words in zip(panels, ("mean", "min"), ("average", "minimum"), strict=True):
        key = f"{part}_{measure}_{statistic}"
        for k, (run, name) in enumerate(zip(runs, names, strict=True)):
            if not _has(run, key):
                raise ValueError(f"runs[{k}] has no metric {key!r}; part is 'train' or 'test', and measure one it has")
            axes.plot([record[key] for record in run.metrics], color=_colour(k), label=name)
        unit = "units of score" if measure == "margin" else "units of x"
        axes.set(xlabel="epoch", ylabel=f"{words} {measure.replace('_', ' ')}, {part} ({unit})")
    panels[0].legend(fontsize=8, frameon=False)
    return figure


def _has(run: Run, key: str) -> bool:
    return len(run.metrics) > 0 and key in run.metrics[0]


def _labels(things: Sequence[Any], labels: Sequence[str] | None) -> list[str]:
    if not things:
        raise ValueError("there must be at least one thing to draw")
    if labels is not None and len(labels) != len(things):
        raise ValueError(f"labels has {len(labels)} entries; it must have one for each of the {len(things)}")
    return [""] * len(things) if labels is None else [str(label).replace("$", r"\$") for label in labels]


def _values(each: Distances | ArrayLike, signed: bool, name: str) -> Floats:
    """The sorted margins; shape (n,)."""
    if isinstance(each, Distances):
        values = (each.signed if signed else each.values).cpu().numpy()
    else:
        values = np.asarray(each, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or np.isnan(values).any():
        raise ValueError(f"{name} of shape {values.shape} must have shape (n,), n >= 1, and no NaN")
    return np.sort(values)


def _title(each: Distances | ArrayLike, name: str) -> str:
    kind = f"{each.kind}: {each.method}" if isinstance(each, Distances) and each.method else ""
    kind = kind or (each.kind if isinstance(each, Distances) else "functional margin")
    return f"{name} ({kind})" if name else kind


def _unit(each: Distances | ArrayLike) -> str:
    return f"{each.norm} distance (units of x)" if isinstance(each, Distances) else "functional margin (units of score)"


def _line(each: Distances | ArrayLike) -> str:
    return _LINES[each.kind] if isinstance(each, Distances) else "-"


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]
