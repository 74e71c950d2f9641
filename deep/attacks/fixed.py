"""Attacks of a fixed size: projected gradient descent (PGD) on either objective, and the paper's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from deep._inputs import check_count, check_generator, check_labels, check_number
from deep.distances import Box, check_eps

from ._checks import prepare
from ._field import Field, strict_prediction
from ._geometry import ball, chunks, clip, norms, unit
from ._objective import OBJECTIVES, slope
from .minimum import ROWS

__all__ = ["OBJECTIVES", "PUBLISHED_FLOOR", "VANISHED", "FixedEps", "pgd", "published_pgd"]

PUBLISHED_FLOOR = 1e-6
"""What the attack library of the published experiments divides a gradient by at least: it stops the attack on saturated
models."""

VANISHED = 1e-6
"""A gradient of a smaller L2 norm counts as vanished."""


@dataclass(frozen=True)
class FixedEps:
    """What an attack of a fixed size left standing.

    robust      : (n,) bool; at no point that the attack visited was the prediction other than the label.
    adversarial : (n, ...); where not robust, a point of another prediction than the label (x itself where x is
                  misclassified); elsewhere the last point visited.
    eps, norm, box : the ball around x and the interval of each coordinate that all points keep to.
    vanished    : share of images whose gradient of the objective at the first step has an L2 norm below ``VANISHED``.
    details     : settings and counts, plain values.

    This is not a distance: a robust row says that *this* attack failed at *this* eps.  Robust accuracy at every eps
    comes from ``minimum_norm(...).distances.robust_accuracy``.
    """

    robust: Tensor
    adversarial: Tensor
    eps: float
    norm: str
    box: Box | None
    vanished: float
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_eps(self.eps)
        if self.robust.ndim != 1 or self.robust.dtype != torch.bool or len(self.robust) != len(self.adversarial):
            raise ValueError(
                f"robust of shape {tuple(self.robust.shape)}, {self.robust.dtype} must be bool, one for each image"
            )

    @property
    def accuracy(self) -> float:
        """Share of robust images: an upper bound of the robust accuracy at eps."""
        return float(self.robust.double().mean())


def pgd(
    model: nn.Module,
    x: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    eps: float,
    *,
    norm: str = "l2",
    objective: str = "margin",
    steps: int = 200,
    step_size: float = 0.05,
    random_start: bool = False,
    box: Box | None = (0.0, 1.0),
    floor: float = 0.0,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    rows: int = ROWS,
    leave: bool = True,
) -> FixedEps:
    """Projected gradient descent from the label, within the ball of radius eps and the box; x (n, ...), y (n,).

    delta <- ball_eps(clip(x + delta + step_size d) - x), with d = g / max(||g||, floor) for ``l2`` and sign(g) for
    ``linf`` (Madry et al. 2018), g the gradient of

        margin         max_{k != y} f_k - f_y          (cannot saturate)
        cross-entropy  -log softmax(f)_y               (vanishes from a margin of about 100 in float32, 700 in float64)

    ``floor``        : below it the step shrinks with g; a saturated cross-entropy stands still. There for comparison.

    ``random_start`` : delta uniform in the ball of the norm, clipped to the box, from ``generator``.
    ``leave``        : images leave the batch once broken.  The answer is the same without (the random start is drawn
                       for all images at once), up to rounding of batches of other sizes; False is there to show it.

    An image is broken by any visited point, x and the start included, where the label's logit is not strictly the
    largest: ties and NaN count as wrong, so that NaN logits are never robust.  The gradient at the first step is taken
    of every image, for ``vanished``.  Raises ``ValueError`` for wrong arguments.
    """
    if random_start and generator is None:
        raise ValueError("generator=None must be a torch.Generator with random_start=True")
    if generator is not None:
        check_generator(generator)
    settings = _Settings(eps, norm, objective, steps, step_size, floor, rows, leave)
    at, flat, labels = prepare(model, x, y, box, dtype)
    start = flat
    if random_start and generator is not None:
        start = clip(flat + eps * _unit_ball(flat.shape, norm, generator).to(flat), at.box)
    return _run(at, flat, labels, start, settings, "random in the ball" if random_start else "x")


def published_pgd(
    model: nn.Module,
    x: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    eps: float,
    *,
    generator: torch.Generator,
    steps: int = 1000,
    step_size: float = 0.01,
    box: Box = (0.0, 1.0),
    rows: int = ROWS,
) -> FixedEps:
    """The paper's robustness test: L2 PGD on cross-entropy, random start, 1000 steps of .01, for comparison only.

    In the model's own dtype, with the gradient's norm floored at ``PUBLISHED_FLOOR``; the start is uniform in the box,
    drawn back to distance eps from x, both as in the attack library used there.  ``vanished`` says on how many images
    the first gradient is below that floor: there the attack hardly moves, and what it reports is gradient masking.
    Two differences to the published script: it looks at the last point only, this at every point visited, which can
    only find more; and images that are broken leave the batch.  x is of shape (n, ...), y of shape (n,).

    Raises ``ValueError`` without a box, in which the start is drawn, and as ``pgd`` does.

    Source: Wu & Yu (2019), section 5; eps 2.0 for the MNIST convolution nets (1.0 for constraint), 1.0 for the MLP, .4
    for the CIFAR convolution net.
    """
    check_generator(generator)
    settings = _Settings(eps, "l2", "cross-entropy", steps, step_size, PUBLISHED_FLOOR, rows, True)
    if box is None:
        raise ValueError("box=None must be two numbers: the published random start is uniform in the box")
    at, flat, labels = prepare(model, x, y, box, None)
    noise = torch.rand(flat.shape, generator=generator, dtype=torch.float64, device=generator.device).to(flat)
    low, high = box
    start = clip(flat + ball(low + (high - low) * noise - flat, eps), at.box)
    return _run(at, flat, labels, start, settings, "random in the box, drawn back to the ball")


@dataclass(frozen=True)
class _Settings:
    eps: float
    norm: str
    objective: str
    steps: int
    step_size: float
    floor: float
    rows: int
    leave: bool

    def __post_init__(self) -> None:
        check_eps(self.eps)
        if self.norm not in ("l2", "linf"):
            raise ValueError(f"norm={self.norm!r} must be 'l2' or 'linf'")
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective={self.objective!r} must be one of {', '.join(map(repr, OBJECTIVES))}")
        check_count("steps", self.steps, 1)
        check_count("rows", self.rows, 1)
        for name in ("step_size", "floor"):
            value = getattr(self, name)
            check_number(name, value)
            if not 0.0 <= value < float("inf") or (name == "step_size" and value == 0.0):
                rule = "above 0" if name == "step_size" else "at least 0"
                raise ValueError(f"{name}={value!r} must be finite and {rule}")


def _unit_ball(shape: torch.Size, norm: str, generator: torch.Generator) -> Tensor:
    """Uniform points of the unit ball, float64."""
    if norm == "linf":
        return 2.0 * torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device) - 1.0
    normal = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)
    radius = torch.rand(shape[:1], generator=generator, dtype=torch.float64, device=generator.device)
    return unit(normal, 0.0) * (radius ** (1.0 / shape[1]))[:, None]


def _run(field: Field, x: Tensor, y: Tensor, start: Tensor, settings: _Settings, start_name: str) -> FixedEps:
    robust, points, vanished = [], [], 0
    with field.running():
        for at in chunks(len(x), settings.rows, x.device):
            part, labels, first = x[at], y[at], start[at]
            logits = field.logits(part)
            check_labels(y, logits.shape[1])
            standing, point, small = _descend(field, part, labels, first, strict_prediction(logits), settings)
            robust.append(standing)
            points.append(point)
            vanished += small
    details = {
        "attack": "PGD",
        "objective": settings.objective,
        "steps": settings.steps,
        "step_size": settings.step_size,
        "floor": settings.floor,
        "start": start_name,
        "dtype": str(field.dtype).removeprefix("torch."),
        "backwards_per_image": round(field.backwards / len(x), 1),
    }
    found = torch.cat(points).reshape(len(x), *field.shape)
    return FixedEps(torch.cat(robust).cpu(), found, settings.eps, settings.norm, field.box, vanished / len(x), details)


def _descend(
    field: Field, x: Tensor, y: Tensor, start: Tensor, predicted: Tensor, settings: _Settings
) -> tuple[Tensor, Tensor, int]:
    """Which rows stood, where each ended, and how many first gradients had vanished."""
    standing, result = predicted == y, start.clone()
    result[~standing] = x[~standing]
    logits, g, factor = slope(field, start, y, settings.objective)
    vanished = int((factor * norms(g).double() < VANISHED).sum())
    rows, point = torch.arange(len(x), device=x.device), start
    for step in range(settings.steps + 1):
        hit = (strict_prediction(logits) != y[rows]) & standing[rows]
        result[rows[hit]] = point[hit]
        standing[rows[hit]] = False
        if settings.leave:
            kept = standing[rows]
            rows, point, g, factor = rows[kept], point[kept], g[kept], factor[kept]
        if step == settings.steps or len(rows) == 0:
            break
        move = g.sign()
        if settings.norm == "l2":  # g / max(||g||, floor), with the factor on both
            move = (
                unit(g, 0.0) * (factor * norms(g).double() / max(settings.floor, 5e-324)).clamp(max=1.0).to(g)[:, None]
            )
        delta = clip(point + settings.step_size * move, field.box) - x[rows]
        point = clip(x[rows] + ball(delta, settings.eps, settings.norm), field.box)
        if step + 1 < settings.steps:
            logits, g, factor = slope(field, point, y[rows], settings.objective)
        else:
            logits = field.logits(point)
    up = standing[rows]
    result[rows[up]] = point[up]
    broken = torch.nonzero(~standing)[:, 0]
    if len(broken):  # a fresh pass recounts every success
        again = strict_prediction(field.logits(result[broken])) != y[broken]
        standing[broken[~again]] = True
    return standing, result, vanished
