"""Training paths: gradient descent and SGD on a margin loss, seen from the frontier.

For z_i = y_i x_i and a loss phi the step is w <- w - lr mean_i phi'(z_i . w) z_i, from w = 0. What counts as margins is
w / ||w||_*, so a path is recorded by its direction: minimum (or tail mean) and average of z_i . w / ||w||_*.
On separable data, gradient descent on the logistic or exponential loss converges in direction to the
hard-margin SVM, the minimum margin at the rate 1 / log t (Soudry et al. 2018, JMLR 19(70), Theorem 3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from synthetic import _doors as doors
from synthetic._doors import FloatArray, IntArray
from theory import Loss
from theory.expression import differentiate
from theory.expression.arrays import evaluate_array

from .program import signed_points
from .result import Frontier, share_of, tail_mean
from .solver import GEOMETRIES, geometry_of


@dataclass(frozen=True)
class Path:
    """A training path at recorded steps, each array of shape (k,).

    `steps`          gradient steps taken; `epochs` the same in passes over the data
    `minimum`        minimum margin (or tail mean) of the normalised weights, units of distance
    `average`        average margin of the normalised weights, units of distance
    `norms`          ||w||_* before normalising: the scale of the scores
    `functional`     minimum of z_i . w: past tau the truncated hinge has no gradient
    `weights`        (k, d), not normalised
    """

    name: str
    steps: IntArray
    epochs: FloatArray
    minimum: FloatArray
    average: FloatArray
    norms: FloatArray
    functional: FloatArray
    weights: FloatArray = field(repr=False)

    def given_up(self, found: Frontier) -> FloatArray:
        """Average margin given up against the mean direction, per recorded step."""
        return np.asarray(found.mean_end.average - self.average)

    def summary(self, found: Frontier) -> dict[str, Any]:
        """Numbers for machines: per recorded step the margins, the average given up, bounds on the distance."""
        low, high = found.distance(self.minimum, self.average)
        return {
            "name": self.name,
            "steps": self.steps.tolist(),
            "epochs": self.epochs.tolist(),
            "minimum": self.minimum.tolist(),
            "average": self.average.tolist(),
            "norms": self.norms.tolist(),
            "functional_minimum": self.functional.tolist(),
            "given_up": self.given_up(found).tolist(),
            "distance_low": low.tolist(),
            "distance_high": high.tolist(),
        }


@dataclass(frozen=True)
class Rate:
    """How a path nears the SVM: the fit m* - m_t = constant / (log t + offset) over its last decades.

    The limit is constant / log t; the offset, which log t outgrows only slowly, is fitted and not left out. `steps`
    and `gaps` (m* - m_t, units of distance) are what was fitted; `residual` is the largest relative error of the fit.
    """

    steps: IntArray
    gaps: FloatArray
    constant: float
    offset: float
    residual: float


def path_numbers(
    steps: SupportsIndex, *, lr: float | None = None, batch: SupportsIndex | None = None, ball: float | None = None
) -> tuple[int, float | None, int | None, float | None]:
    """`steps`, `lr`, `batch` and `ball` of `training_path`, checked: before there is any data, where that takes long.

    Raises ValueError unless steps and batch are whole numbers of at least 1, lr and ball finite and above 0.

    >>> path_numbers(60, lr=0.5)
    (60, 0.5, None, None)
    """
    return (
        doors.whole("steps", steps, 1),
        None if lr is None else doors.real("lr", lr, 0.0, np.inf),
        None if batch is None else doors.whole("batch", batch, 1),
        None if ball is None else doors.real("ball", ball, 0.0, np.inf),
    )


def training_path(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: Loss,
    *,
    steps: int,
    lr: float | None = None,
    batch: int | None = None,
    rng: np.random.Generator | None = None,
    ball: float | None = None,
    geometry: str = "l2",
    tail: float | None = None,
    records: int = 120,
    name: str | None = None,
) -> Path:
    """Gradient descent (or, with `batch` and `rng`, SGD over shuffled epochs) on mean_i phi(z_i . w), from w = 0.

    `x` (n, d), `y` (n,) in {-1, +1}, z_i = y_i x_i.

    `lr` defaults to 1 / (largest eigenvalue of mean z z^T), within twice the reach of a loss of curvature 1; `ball`
    projects w onto ||w||_2 <= ball after each step. Recorded at about `records` steps, evenly spaced in the
    logarithm, the first and the last among them. Raises ValueError for bad input or when w stops being finite.
    """
    z = signed_points(x, y)
    geometry_of(geometry)
    share_of(tail, z.shape[0])
    count, given, size, radius = path_numbers(steps, lr=lr, batch=batch, ball=ball)
    slope = _slope_of(loss)
    rate = 1.0 / float(np.linalg.eigvalsh(z.T @ z / z.shape[0])[-1]) if given is None else given
    order = None if size is None else _Batches(z.shape[0], size, rng)
    wanted = _record_steps(count, doors.whole("records", records, 2))
    kept: list[FloatArray] = []
    w = np.zeros(z.shape[1])
    next_at = 0
    for step in range(1, count + 1):
        rows = z if order is None else z[order.take()]
        with np.errstate(over="ignore", invalid="ignore"):  # steps that are too large are refused below
            w = w - rate * (slope(rows @ w) @ rows) / rows.shape[0]
        if radius is not None and (norm := float(np.linalg.norm(w))) > radius:
            w *= radius / norm
        if step == wanted[next_at]:
            if not np.isfinite(w).all():
                raise ValueError(f"lr={rate:g} is too large: the weights are not finite at step {step}")
            kept.append(w.copy())
            next_at += 1
    return _measured(name or loss.name, z, np.array(wanted), kept, order, geometry, tail)


def svm_rate(path: Path, found: Frontier, *, decades: float = 2.0) -> Rate:
    """The rate at which the minimum margin of a path nears that of the hard-margin SVM, over the last decades.

    Raises ValueError where fewer than 3 recorded steps lie there below the SVM's margin.
    """
    late = (path.steps >= path.steps[-1] / 10.0**decades) & (path.steps > 2)
    steps, gaps = path.steps[late], found.svm_end.minimum - path.minimum[late]
    if steps.size < 3 or not (gaps > 0.0).all():
        raise ValueError(f"decades={decades} leaves {steps.size} steps below the SVM's margin; at least 3 are needed")
    logs = np.log(steps.astype(np.float64))
    slope, intercept = (float(value) for value in np.polyfit(logs, 1.0 / gaps, 1))
    fitted = 1.0 / (slope * logs + intercept)
    return Rate(steps, gaps, 1.0 / slope, intercept / slope, float(np.abs(fitted / gaps - 1.0).max()))


class _Batches:
    """Row numbers of successive batches, each epoch a new permutation."""

    def __init__(self, samples: int, size: int, rng: np.random.Generator | None) -> None:
        self.rng = doors.generator("rng", rng, "the batches are drawn at random")
        self.samples, self.size = samples, min(size, samples)
        self.left: IntArray = np.empty(0, dtype=np.int64)

    def take(self) -> IntArray:
        """The next batch; the last one of an epoch may be short."""
        if self.left.size == 0:
            self.left = self.rng.permutation(self.samples)
        taken, self.left = self.left[: self.size], self.left[self.size :]
        return taken


def _slope_of(loss: Loss) -> Any:
    """phi' on arrays."""
    tree = loss.margin_tree
    if tree is None:
        raise ValueError(f"loss {loss.name!r} has no binary formula in t; a training path needs one")
    derivative = differentiate(tree, "t")

    def slope(t: FloatArray) -> FloatArray:
        return np.asarray(evaluate_array(derivative, {"t": t}) + np.zeros_like(t))

    return slope


def _record_steps(count: int, records: int) -> list[int]:
    spaced = np.geomspace(1.0, float(count), records).tolist()
    return sorted({*(round(step) for step in spaced), count})


def _measured(
    name: str,
    z: FloatArray,
    steps: IntArray,
    kept: list[FloatArray],
    order: _Batches | None,
    geometry: str,
    tail: float | None,
) -> Path:
    weights = np.stack(kept)
    norms = np.linalg.norm(weights, GEOMETRIES[geometry], axis=1)
    margins = weights @ z.T
    scaled = margins / np.where(norms > 0.0, norms, 1.0)[:, None]
    per_epoch = 1.0 if order is None else float(-(-order.samples // order.size))
    return Path(
        name,
        steps,
        steps / per_epoch,
        np.array([tail_mean(row, tail) for row in scaled]),
        scaled.mean(axis=1),
        norms,
        margins.min(axis=1),
        weights,
    )
