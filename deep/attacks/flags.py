"""Hygiene: what would make a number of an attack worthless, looked for automatically."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from deep._inputs import check_count, check_generator, check_labels, check_model
from deep.distances import Box, check_eps

from ._checks import prepare
from ._field import CONTENT, Field, strict_prediction
from ._geometry import chunks, norms
from ._objective import slope
from .blackbox import decision_search
from .fixed import VANISHED, FixedEps, pgd
from .minimum import ROWS, MinimumNorm, minimum_norm

__all__ = ["Flag", "flags"]

_SUM = 1e-3
"""By how much a row of probabilities may miss 1: float32 rows of a thousand classes miss it by less."""

_MORE = 4  # times the steps, for what should have converged
_NEARER = 0.99  # a black box beats an attack where it is nearer by one per cent


@dataclass(frozen=True, slots=True)
class Flag:
    """One check: ``raised`` where ``number`` is above ``limit``; ``advice`` says what that means and what to do."""

    name: str
    raised: bool
    number: float
    limit: float
    advice: str


ADVICE: dict[str, tuple[float, str]] = {
    "train mode": (
        0.0,
        "modules in training mode; the attacks here switch to evaluation mode, other code may not: call model.eval()",
    ),
    "randomness": (
        0.0,
        "largest logit difference of two equal passes, beyond rounding; average the gradients over draws, or fix them",
    ),
    "probabilities": (
        0.99,
        "share of rows that are nonnegative with sum 1; give logits: after a softmax every objective saturates",
    ),
    "not finite": (0.0, "share of images with NaN or infinite logits; they count as not robust: look for overflow"),
    "vanishing cross-entropy": (
        0.1,
        f"share of images whose cross-entropy gradient is below {VANISHED:g}; use the margin objective, or float64",
    ),
    "zero gradient": (
        0.02,
        "share of images whose logit difference has a zero gradient; gradient attacks are blind there: use a black box",
    ),
    "PGD not converged": (
        0.02,
        f"robust accuracy lost by {_MORE} times the steps; use more steps, or smaller ones",
    ),
    "nearest not converged": (
        0.02,
        f"share by which the mean distance falls with {_MORE} times the steps; use more steps",
    ),
    "weaker with more steps": (
        0.02,
        f"share by which the mean distance rises with {_MORE} times the steps; take the nearer of the two runs",
    ),
    "PGD misses": (
        0.05,
        "share of images that PGD left standing at eps though a nearer point is known; do not quote PGD alone",
    ),
    "nearest misses": (
        0.02,
        "share of images that PGD broke at eps though the minimum-norm attack found nothing that near; add starts",
    ),
    "unbounded": (
        0.02,
        "share of images that an attack without bound on eps does not break; it is blind, or the model is constant",
    ),
    "black box": (
        0.02,
        "share of images on which predictions alone beat a gradient attack; gradients are masked: trust neither number",
    ),
}
"""By name: the limit above which the flag is raised, and the advice."""


def flags(
    model: nn.Module,
    x: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    *,
    generator: torch.Generator,
    eps: float | None = None,
    box: Box | None = (0.0, 1.0),
    steps: int = 50,
    step_size: float = 0.05,
    queries: int = 300,
    dtype: torch.dtype | None = None,
    rows: int = ROWS,
) -> tuple[Flag, ...]:
    """Look for what makes attacks on this model untrustworthy; one ``Flag`` for each name in ``ADVICE``, in that order.

    Runs, in L2: the minimum-norm attack at ``steps`` and four times as many; PGD on the margin at ``eps`` (None: the
    median of the distances found) likewise, and once with an eps that is no bound; a decision-only search.  Shares are
    of the images that the model classifies correctly, but for the first five, which are of all.  A few dozen images
    are enough.  No flag raised is not a proof of anything.  x is of shape (n, ...), y of shape (n,).

    Raises ``ValueError`` for wrong arguments, labels out of range among them.
    """
    check_model(model)
    check_generator(generator)
    check_count("steps", steps, 1)
    if eps is not None:
        check_eps(eps)
    training = float(sum(module.training for module in model.modules()))
    field, flat, labels = prepare(model, x, y, box, dtype)
    with field.running():
        numbers = {"train mode": training, **_passes(field, flat, labels, rows)}
    options = {"box": box, "dtype": dtype, "rows": rows}
    few = minimum_norm(model, x, y, steps=steps, **options)  # type: ignore[arg-type]
    many = minimum_norm(model, x, y, steps=_MORE * steps, polish_steps=40, **options)  # type: ignore[arg-type]
    size = _median(few.distances.values[few.distances.found]) if eps is None else eps
    black = decision_search(model, x, y, generator=generator, queries=queries, **options)  # type: ignore[arg-type]
    short, long, free = (
        pgd(model, x, y, bound, steps=count, step_size=pace, **options)  # type: ignore[arg-type]
        for bound, count, pace in (
            (size, steps, step_size),
            (size, _MORE * steps, step_size),
            (1e3 * _diameter(flat, box), steps, 0.02 * _diameter(flat, box)),
        )
    )
    numbers |= _compared(few, many, black, short, long, free, size)
    return tuple(
        Flag(name, numbers[name] > limit, numbers[name], limit, text) for name, (limit, text) in ADVICE.items()
    )


def _passes(field: Field, flat: Tensor, labels: Tensor, rows: int) -> dict[str, float]:
    """What two forward passes and the first gradients say."""
    apart, probable, broken, vanished, zero = 0.0, 0, 0, 0, 0
    for at in chunks(len(flat), rows, flat.device):
        part, own = flat[at], labels[at]
        first, second = field.logits(part), field.logits(part)
        check_labels(labels, first.shape[1])
        finite = torch.isfinite(first).all(dim=1)
        rounding = CONTENT * torch.finfo(first.dtype).eps * first[finite].abs().amax() if bool(finite.any()) else 0.0
        differing = (first - second)[finite & torch.isfinite(second).all(dim=1)].abs()
        if differing.numel() and float(differing.max()) > float(rounding):
            apart = max(apart, float(differing.max()))
        probable += int(((first >= 0.0).all(dim=1) & ((first.sum(dim=1) - 1.0).abs() < _SUM)).sum())
        broken += int((~finite).sum())
        _, g, factor = slope(field, part, own, "cross-entropy")
        vanished += int((factor * norms(g).double() < VANISHED).sum())
        _, g, _ = field.gradient(part, strict_prediction(first).clamp(min=0))
        zero += int((norms(g) == 0.0).sum())
    shares = {
        "probabilities": probable,
        "not finite": broken,
        "vanishing cross-entropy": vanished,
        "zero gradient": zero,
    }
    return {"randomness": apart, **{name: count / len(flat) for name, count in shares.items()}}


def _compared(
    few: MinimumNorm, many: MinimumNorm, black: MinimumNorm, short: FixedEps, long: FixedEps, free: FixedEps, eps: float
) -> dict[str, float]:
    """What attacks say of each other, on correctly classified images."""
    right = few.distances.correct
    one, two, other = (found.distances.values[right] for found in (few, many, black))
    both = torch.isfinite(one) & torch.isfinite(two)
    change = float(two[both].mean() / one[both].mean()) - 1.0 if bool((one[both] > 0.0).any()) else 0.0
    gained = (torch.isinf(one) & torch.isfinite(two)).double().sum() / max(1, len(one))
    nearest = torch.minimum(one, two)
    beaten = (other < _NEARER * nearest) | ((other <= eps) & long.robust[right])
    return {
        "PGD not converged": short.accuracy - long.accuracy,
        "nearest not converged": max(-change, float(gained)),
        "weaker with more steps": change,
        "PGD misses": _share((one <= _NEARER * eps) & long.robust[right]),
        "nearest misses": _share((nearest > eps) & ~long.robust[right]),
        "unbounded": _share(free.robust[right]),
        "black box": _share(beaten),
    }


def _share(rows: Tensor) -> float:
    return float(rows.double().mean()) if len(rows) else 0.0


def _median(values: Tensor) -> float:
    return float(values.median()) if len(values) else 1.0


def _diameter(flat: Tensor, box: Box | None) -> float:
    """Of the box, or what is far without one: ten times the largest image, at least 10."""
    if box is not None:
        return (box[1] - box[0]) * math.sqrt(flat.shape[1])
    return max(10.0, 10.0 * float(norms(flat).max()))
