"""Distances to the decision boundary with what they are: exact, a rigorous lower bound, an estimate or an upper bound.

Every way of measuring in this package returns a ``Distances``, so that no number travels without its kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import torch
from torch import Tensor

from theory import _html

from ._inputs import check_number
from .tables import Table

__all__ = ["KINDS", "NORMS", "Box", "Distances", "box_in", "check_box", "check_eps", "distances_table"]

KINDS = ("exact", "rigorous lower", "estimate", "upper")
"""What a distance can be; `Distances` says what each means."""
NORMS = ("l2", "linf", "l1")
"""In which norm of x."""
Box = tuple[float, float]


@dataclass(frozen=True)
class Distances:
    """How far each x is from the nearest point of another prediction, in a norm, in units of x.

    values  : (n,) float64 and at least 0; the way out of the region of the *predicted* class, whether that is the label
              or not.  ``inf`` where no such point was found (``upper``) or none exists (``exact``); never NaN.
    correct : (n,) bool, whether the prediction is the label.
    kind    : ``exact``; ``rigorous lower``; ``estimate``, which bounds from neither side; or ``upper``, the distance of
              an actual point of another prediction (an adversarial example).
    norm    : ``l2``, ``linf`` or ``l1``.
    box     : the interval that each coordinate of such a point must keep to, or None for the whole space.
    method  : by what it was measured, in a few words.
    details : settings and counts of the method, plain values.

    Raises ``ValueError`` for another shape, dtype, kind or norm, an empty box, or a value that is negative or NaN.
    """

    values: Tensor
    correct: Tensor
    kind: str
    norm: str = "l2"
    box: Box | None = None
    method: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.values.dtype != torch.float64 or len(self.values) == 0:
            raise ValueError(
                f"values of shape {tuple(self.values.shape)}, {self.values.dtype} must be float64 of shape (n,), n >= 1"
            )
        if self.correct.shape != self.values.shape or self.correct.dtype != torch.bool:
            raise ValueError(
                f"correct of shape {tuple(self.correct.shape)}, {self.correct.dtype} must be bool, one for each value"
            )
        if not bool((self.values >= 0.0).all()):
            row = int((~(self.values >= 0.0)).nonzero()[0])
            raise ValueError(f"values[{row}]={self.values[row].item()} must be at least 0; NaN is no distance")
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r} must be one of {', '.join(map(repr, KINDS))}")
        if self.norm not in NORMS:
            raise ValueError(f"norm={self.norm!r} must be one of {', '.join(map(repr, NORMS))}")
        check_box(self.box)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        kept = self.summary()
        method = f", {_html.short(self.method, 40)}" if self.method else ""
        numbers = [_html.number(kept[key]) for key in ("accuracy", "signed_mean", "minimum")]
        return (
            f"<Distances ({self.kind}, {self.norm}{method}): {len(self)} images, accuracy {numbers[0]}, "
            f"signed mean {numbers[1]}, minimum {numbers[2]}>"
        )

    def _repr_html_(self) -> str:
        return distances_table({"distances": self})._repr_html_()

    @property
    def signed(self) -> Tensor:
        """The values with the sign + where the prediction is the label and - elsewhere; (n,)."""
        return torch.where(self.correct, self.values, -self.values)

    @property
    def found(self) -> Tensor:
        """Where the value is finite; (n,) bool."""
        return torch.isfinite(self.values)

    def mean(self, *, signed: bool = False) -> float:
        """Average margin over the finite values; NaN where there is none."""
        chosen = (self.signed if signed else self.values)[self.found]
        return float(chosen.mean()) if len(chosen) else math.nan

    def minimum(self, *, signed: bool = True) -> float:
        """Minimum margin: the least value, with its sign unless told otherwise."""
        return float((self.signed if signed else self.values).min())

    def quantiles(self, q: Sequence[float], *, signed: bool = True) -> list[float]:
        """Quantiles, each an order statistic (no interpolation, so that infinite values do no harm)."""
        chosen = self.signed if signed else self.values
        wanted = torch.tensor(list(q), dtype=torch.float64)
        if not bool(((wanted >= 0.0) & (wanted <= 1.0)).all()):
            raise ValueError(f"q={list(q)!r} must lie in [0, 1]")
        return [float(value) for value in torch.quantile(chosen, wanted, interpolation="lower")]

    def robust_accuracy(self, eps: float) -> float:
        """Share of x with the right prediction and a value above ``eps``: P(correct and distance > eps).

        From ``exact`` values this is the robust accuracy at eps, from ``upper`` ones an upper bound of it, from
        ``rigorous lower`` ones a lower bound (certified accuracy).  Raises ``ValueError`` for eps < 0 or not finite.
        """
        check_eps(eps)
        return float((self.correct & (self.values > eps)).double().mean())

    def summary(self, eps: Sequence[float] = ()) -> dict[str, Any]:
        """The statistics as plain JSON values (None for what is not finite), kind and method included."""
        numbers = {
            "mean": self.mean(),
            "signed_mean": self.mean(signed=True),
            "minimum": self.minimum(),
            **dict(
                zip(("q05", "q25", "median", "q75", "q95"), self.quantiles((0.05, 0.25, 0.5, 0.75, 0.95)), strict=True)
            ),
        }
        return {
            "kind": self.kind,
            "norm": self.norm,
            "box": None if self.box is None else list(self.box),
            "method": self.method,
            "images": len(self),
            "found": float(self.found.double().mean()),
            "accuracy": float(self.correct.double().mean()),
            **{key: value if math.isfinite(value) else None for key, value in numbers.items()},
            "robust_accuracy": {f"{e:g}": self.robust_accuracy(e) for e in eps},
            "details": dict(self.details),
        }


def check_eps(eps: object) -> None:
    """Raise ``ValueError`` unless eps is a finite number of at least 0."""
    check_number("eps", eps)
    if not 0.0 <= float(eps) < math.inf:  # type: ignore[arg-type]
        raise ValueError(f"eps={eps!r} must be finite and at least 0")


def check_box(box: object) -> None:
    """Raise ``ValueError`` unless the box is None or two finite numbers, the lower one first."""
    if box is None:
        return
    ends = [float(end) for end in box if isinstance(end, SupportsFloat)] if isinstance(box, (tuple, list)) else []
    if len(ends) != 2 or not -math.inf < ends[0] < ends[1] < math.inf:
        raise ValueError(f"box={box!r} must be two finite numbers, the lower one first, or None")


def box_in(box: Box, *dtypes: torch.dtype) -> Box:
    """The box with its ends rounded to each dtype in turn: images in it stay in it when they are rounded likewise.

    The 0.3 of a float32 image lies above the 0.3 of Python.  Raises ``ValueError`` where nothing of the box is left.

    >>> box_in((0.0, 0.3), torch.float32)
    (0.0, 0.30000001192092896)
    """
    ends = torch.tensor([float(end) for end in box], dtype=torch.float64)
    for dtype in dtypes:
        ends = ends.to(dtype)
    low, high = ends.double().tolist()
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"box={tuple(box)!r} must hold two finite numbers of {dtypes[-1]} at least")
    return low, high


def distances_table(measured: Mapping[str, Distances], eps: Sequence[float] = ()) -> Table:
    """Statistics of distances side by side, one row each, with their kind; robust accuracy at each ``eps``.

    mean and minimum are signed (minus for a misclassified image), the mean over the finite values, in units of x.
    Raises ``ValueError`` for an eps below 0 or not finite.

    >>> import torch
    >>> one = Distances(torch.tensor([0.5, 1.0]).double(), torch.tensor([True, True]), "exact", method="linear")
    >>> distances_table({"net": one}, eps=[0.7])
    distances
    name  kind   norm  box  images  accuracy  mean  minimum  found  robust at 0.7  method
    net   exact  l2    -    2       1         0.75  0.5      1      0.5            linear
    """
    header = ("name", "kind", "norm", "box", "images", "accuracy", "mean", "minimum", "found")
    rows = []
    for name, each in measured.items():
        kept = each.summary()
        box = None if each.box is None else f"[{each.box[0]:g}, {each.box[1]:g}]"
        front = (name, each.kind, each.norm, box, len(each), kept["accuracy"], kept["signed_mean"], kept["minimum"])
        rows.append((*front, kept["found"], *map(each.robust_accuracy, eps), each.method or None))
    return Table("distances", (*header, *(f"robust at {e:g}" for e in eps), "method"), tuple(rows))
