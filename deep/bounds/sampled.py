"""The paper's sampled local-Lipschitz estimate of the distance (as in CLEVER).  It bounds from neither side."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from deep._inputs import (
    ask,
    check_count,
    check_generator,
    check_labels,
    check_model,
    check_number,
    images_of,
    labels_of,
)
from deep.distances import NORMS, Distances
from deep.measure import evaluation_mode
from theory.margins import DUAL

__all__ = ["sampled_estimate", "uniform_in_ball", "violations"]

_BLOCK = 1024  # samples drawn at a time: part of what a seed means, and never of how they are worked through
_FIRST = 16  # samples that every rival sees; the fewer, the quicker on networks of the paper's size


def sampled_estimate(
    model: nn.Module,
    x: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    *,
    radius: float = 5.0,
    samples: int = 256,
    generator: torch.Generator,
    norm: str = "l2",
    chunk: int = 32,
    spread: float = 4.0,
    dtype: torch.dtype | None = None,
) -> Distances:
    """Return the sampled local-Lipschitz estimate of the distance of each x of (n, ...); kind ``estimate``.

        min( min over j != c of (f_c - f_j)(x) / max over s of ||grad (f_c - f_j)(x_s)||_*,  R ),

    with c the prediction, x_1, ..., x_N uniform in the ball of radius R about x (``uniform_in_ball``), the same for all
    rivals j, and ||.||_* the dual norm.  Were the maximum taken over the whole ball, and not over N of its points, this
    would be a lower bound of the distance; as it is, it is none: see ``violations``.  The balls are not cut at the box.

    Parameters
    ----------
    radius, samples : R and N.  Published: samples 50 x 1024 = 51200.
    generator : on the CPU; draws for image after image, in blocks of 1024 (the last one shorter).
    norm      : of the ball and the distance: ``l2`` (published), ``linf`` or ``l1``.
    chunk     : samples of one forward pass and its c - 1 backward passes, after a first one of 16 at most; changes
                nothing but time and memory.
    spread    : a rival is given up when it can no longer win even if its largest gradient norm so far were exceeded by
                ``spread`` standard deviations of its norms so far, judged after each chunk from 16 samples on; none is
                given up where most of the first norms coincide (few linear pieces: one not seen yet may have any
                gradient).  The value is that of all rivals unless a later norm lies above even that, which no sample
                excludes; ``docs/deep/bounds.md`` says how often it was seen.  ``inf`` gives up none.
    dtype     : of model and samples; None for the model's own.

    The model, of any kind, runs in evaluation mode on its device, and is left as it was.  Rivals with
    (f_c - f_j)(x) = 0 give 0; with a gradient of zero throughout, R.
    Raises ``ValueError`` for settings out of range, labels that do not fit, logits or gradients that are not finite.
    Source: Wu & Yu (2019), arXiv 1907.11780; Weng et al. (2018), arXiv 1801.10578.
    """
    check_model(model)
    check_generator(generator)
    _check(radius, samples, chunk, spread, norm)
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype={dtype!r} must be a floating-point type")
    like = next(model.parameters(), torch.zeros(()))
    kind = like.dtype if dtype is None else dtype
    images = images_of(x).to(device=like.device, dtype=kind)
    labels = labels_of(y, len(images)).cpu()
    seed = generator.initial_seed()
    if kind != like.dtype:
        model = copy.deepcopy(model).to(kind)
    with evaluation_mode(model):
        logits = torch.cat([ask(model, rows, type(model).__name__) for rows in torch.split(images, 256)])
        if not bool(torch.isfinite(logits).all()):
            row = int((~torch.isfinite(logits)).any(dim=1).nonzero()[0])
            raise ValueError(f"logits[{row}]={logits[row].tolist()} must be finite")
        check_labels(labels, logits.shape[1])
        predicted = logits.argmax(dim=1)
        settings = radius, samples, norm, chunk, spread
        found = [
            _one_image(model, image, f.double(), settings, generator) for image, f in zip(images, logits, strict=True)
        ]
    passes = sum(count for _, count in found)
    details = {
        "radius": radius,
        "samples": samples,
        "seed": seed,
        "sampling": f"uniform in the {norm} ball, not cut at the box",
        "spread": None if math.isinf(spread) else spread,
        "gradients": passes,
        "dtype": str(kind).removeprefix("torch."),
    }
    values = torch.tensor([value for value, _ in found], dtype=torch.float64)
    correct = predicted.cpu() == labels
    return Distances(values, correct, "estimate", norm, None, "sampled local Lipschitz constant", details)


def uniform_in_ball(
    generator: torch.Generator,
    n: int,
    d: int,
    radius: float = 1.0,
    norm: str = "l2",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return n points drawn uniformly from the ball of a radius about 0 in d dimensions; (n, d), on the CPU.

    L2: a normal vector over its length, times R u^(1/d), u uniform.  L-infinity: each coordinate uniform in [-R, R].
    L1: E_1, ..., E_d over E_1 + ... + E_(d+1), the E exponential, with random signs, times R.

    Since u^(1/d) is all but 1 for images, nearly all points of the L2 ball lie near its sphere.
    """
    if norm == "linf":
        return (2.0 * torch.rand(n, d, generator=generator, dtype=dtype) - 1.0) * radius
    if norm == "l2":
        normal = torch.randn(n, d, generator=generator, dtype=dtype)
        length = torch.rand(n, 1, generator=generator, dtype=dtype) ** (1.0 / d)
        point: Tensor = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True) * (length * radius)
        return point
    sign = torch.randint(0, 2, (n, d), generator=generator).to(dtype) * 2.0 - 1.0
    size = torch.empty(n, d + 1, dtype=dtype).exponential_(generator=generator)
    return sign * size[:, :d] / size.sum(dim=1, keepdim=True) * radius


def violations(estimate: Distances, upper: Distances, *, rtol: float = 0.0) -> float:
    """Return the share of images whose estimate exceeds the distance of an actual point of another prediction.

    A lower bound exceeds no upper one: one violation shows that the estimate is no bound.  ``upper`` has kind ``upper``
    or ``exact``; the images are those where it found something (NaN where it found nothing at all), and its box may be
    anything, since a point in a box is a point.  Counted are values above (1 + rtol) times the upper ones.
    Raises ``ValueError`` for another kind, norm, or number of images.
    """
    if upper.kind not in ("upper", "exact"):
        raise ValueError(f"upper.kind={upper.kind!r} must be 'upper' or 'exact'")
    if estimate.norm != upper.norm or len(estimate) != len(upper):
        raise ValueError(
            f"estimate ({estimate.norm}, {len(estimate)} images) must be of upper's norm and images "
            f"({upper.norm}, {len(upper)})"
        )
    found = upper.found
    above = estimate.values[found] > (1.0 + rtol) * upper.values[found]
    return float(above.double().mean()) if bool(found.any()) else math.nan


def _one_image(
    model: nn.Module,
    image: Tensor,
    logits: Tensor,
    settings: tuple[float, int, str, int, float],
    generator: torch.Generator,
) -> tuple[float, int]:
    """The estimate at one image, and how many gradients it took."""
    radius, samples, norm, chunk, spread = settings
    chosen = int(logits.argmax())
    rivals = {j: _Rival(float(logits[chosen] - logits[j])) for j in range(len(logits)) if j != chosen}
    going = dict(rivals)
    count = 0
    for start in range(0, samples, _BLOCK):
        size = min(_BLOCK, samples - start)
        block = uniform_in_ball(generator, size, image.numel(), radius, norm, image.dtype)
        for part in _parts(block, chunk, min(_FIRST, chunk) if start == 0 else 0):
            points = (part.to(image.device).reshape(-1, *image.shape) + image).requires_grad_()
            with torch.enable_grad():
                f = model(points)
            for j, rival in going.items():
                weights = torch.zeros_like(f)
                weights[:, chosen], weights[:, j] = 1.0, -1.0
                if f.requires_grad:
                    (gradient,) = torch.autograd.grad(f, points, weights, retain_graph=True, materialize_grads=True)
                else:  # logits that do not depend on x
                    gradient = torch.zeros_like(points)
                rival.add(_norms(gradient.flatten(1), DUAL[norm]))
                count += len(part)
            least = min(radius, *(rival.ratio() for rival in rivals.values()))
            going = {j: rival for j, rival in going.items() if rival.may_win(least, spread)}
    return min(radius, *(rival.ratio() for rival in rivals.values())), count


def _parts(block: Tensor, chunk: int, first: int) -> list[Tensor]:
    """The block in parts: one of ``first``, then of ``chunk``, as far as there are rows."""
    return [part for part in (block[:first], *torch.split(block[first:], chunk)) if len(part)]


@dataclass
class _Rival:
    """A rival's gap at the image and what its gradient norms on the samples were so far."""

    gap: float
    largest: float = 0.0
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    first: list[str] = field(default_factory=list)

    def add(self, norms: Tensor) -> None:
        values = norms.double()
        if not bool(torch.isfinite(values).all()):
            raise ValueError("gradients on the samples must be finite; one is not")
        if self.count < _FIRST:
            self.first += [f"{norm:.6g}" for norm in values.tolist()]
        self.count += len(values)
        self.total += float(values.sum())
        self.squares += float((values**2).sum())
        self.largest = max(self.largest, float(values.max()))

    def ratio(self, spread: float = 0.0) -> float:
        """gap over the largest norm, or over that and so many standard deviations; 0 for no gap, inf for no norm."""
        if self.gap == 0.0:
            return 0.0
        variance = max(self.squares / self.count - (self.total / self.count) ** 2, 0.0)
        size = self.largest + spread * math.sqrt(variance)
        return self.gap / size if size > 0.0 else math.inf

    def may_win(self, least: float, spread: float) -> bool:
        """Whether its ratio may come to lie at or below the least one, as far as the norms tell."""
        few = self.count < _FIRST or 2 * len(set(self.first)) < len(self.first)
        return few or math.isinf(spread) or self.ratio(spread) <= least


def _norms(rows: Tensor, norm: str) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(rows, {"l2": 2.0, "linf": math.inf, "l1": 1.0}[norm], dim=1)
    return found


def _check(radius: float, samples: int, chunk: int, spread: float, norm: str) -> None:
    for name, number in (("radius", radius), ("spread", spread)):
        check_number(name, number)
    if not (math.isfinite(radius) and radius > 0.0):
        raise ValueError(f"radius={radius!r} must be finite and positive")
    for name, value in (("samples", samples), ("chunk", chunk)):
        check_count(name, value, 1)
    if not spread >= 0.0:
        raise ValueError(f"spread={spread!r} must be at least 0; inf gives up no rival")
    if norm not in NORMS:
        raise ValueError(f"norm={norm!r} must be one of {', '.join(map(repr, NORMS))}")
