"""The least L2 perturbation that changes a prediction, searched from several starts: an upper bound of the distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from deep._inputs import check_count, check_generator, check_labels
from deep.distances import Box, Distances

from ._checks import prepare
from ._field import Field, strict_prediction
from ._geometry import chunks, clip, norms
from ._polish import TIGHT, polish
from ._starts import deepfool, fast_minimum_norm, other_images, random_points

__all__ = ["ROWS", "MinimumNorm", "confirmed", "minimum_norm"]

ROWS = 256
"""Images attacked at a time: bounds memory; results agree for any other value up to rounding."""

_DEEPFOOL_STEPS = 30
_AIMS = 3
_SHORT = 6  # steps of polish of each start, before the nearest is polished on
_NUDGES = 8  # the last one about a hundredth of the length


@dataclass(frozen=True)
class MinimumNorm:
    """What a least-perturbation attack found.

    distances   : ``Distances`` of kind ``upper``: the length of ``adversarial - x``, computed in float64.
    adversarial : (n, ...), in the attack's dtype; for a row without success, NaN.
    """

    distances: Distances
    adversarial: Tensor


def minimum_norm(
    model: nn.Module,
    x: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    *,
    box: Box | None = (0.0, 1.0),
    steps: int = 50,
    polish_steps: int = 20,
    starts: int = 2,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    rows: int = ROWS,
) -> MinimumNorm:
    """Return the nearest points found, in L2 and within ``box``, that the model predicts otherwise than x.

    An upper bound of min { ||z - x|| : argmax f(z) != argmax f(x), z in the box }.  Starts: DeepFool, aimed at each of
    the three rival classes whose linearised boundaries are nearest, and ``steps`` steps of the fast minimum-norm attack
    (FMN).  Each is polished for a few steps, the nearest of them for ``polish_steps`` more.  ``starts=1`` is DeepFool
    alone; ``starts`` above 2 add FMN from random points near x and need ``generator``.  A row where all starts fail
    begins at the nearest of the other images of another prediction.

    model : maps (n, ...) to logits (n, c); runs in evaluation mode and is left in the mode it was in.
    x, y  : (n, ...) in the box, and labels, which only say whether the prediction is correct.
    box   : the interval of every coordinate, or None for the whole space (the paper's margin).
    dtype : of the attack; None for the model's own.  float64 never changes the model.  For one in half precision take
            float32: in its own, ``CONTENT`` units are 2% (bfloat16: 12%) of the largest logit, and it finds far ones.
    rows  : images at a time.

    A point counts only where a last forward pass, fresh, gives the clean class a logit below the largest other one; its
    length is that of the very tensor that passed.  During the search the logit difference must pass zero by
    ``CONTENT`` units of rounding, so that a pass in a batch of another size agrees.  A point whose logits hold NaN has
    no prediction and counts too.  Where x itself has no prediction, by a tie or a NaN, the distance is 0 and
    ``correct`` False.  Raises ``ValueError`` for wrong arguments.

    Sources: Moosavi-Dezfooli, Fawzi & Frossard (2016); Pintor, Roli, Brendel & Biggio (2021); the polish is ours.
    """
    for name, value, least in (("steps", steps, 1), ("polish_steps", polish_steps, 0), ("starts", starts, 1)):
        check_count(name, value, least)
    check_count("rows", rows, 1)
    if starts > 2 and generator is None:
        raise ValueError(f"generator=None must be a torch.Generator for starts={starts}: the third start is random")
    if generator is not None:
        check_generator(generator)
    field, flat, labels = prepare(model, x, y, box, dtype)
    noise = [  # drawn for all images at once, so that it does not depend on ``rows``
        torch.randn(flat.shape, generator=generator, dtype=torch.float64, device=generator.device).to(flat)
        for _ in range(starts - 2)
        if generator is not None
    ]
    parts: list[Tensor] = []
    with field.running():
        batches = chunks(len(flat), rows, flat.device)
        predicted = torch.cat([_predict(field, flat[at], labels) for at in batches])
        for at in batches:
            parts.append(
                _nearest(field, flat[at], predicted[at], [part[at] for part in noise], (starts, steps, polish_steps))
            )
        found = torch.cat(parts)
        lost = torch.nonzero(torch.isnan(found).any(dim=1))[:, 0]
        for part in chunks(len(lost), rows, flat.device):
            at = lost[part]
            first = other_images(flat[at], predicted[at], flat, predicted)
            found[at] = polish(field, flat[at], predicted[at], first, 5 * polish_steps)
        values = torch.cat([confirmed(field, flat[at], predicted[at], found[at]) for at in batches])
        for nudge in range(_NUDGES):  # rounding beyond what the slack allows for: go a little further along the ray
            again = torch.nonzero(torch.isinf(values) & ~torch.isnan(found).any(dim=1))[:, 0]
            if len(again) == 0:
                break
            grown = 1.0 + TIGHT * 4.0**nudge
            found[again] = clip(flat[again] + grown * (found[again] - flat[again]), field.box)
            for part in chunks(len(again), rows, flat.device):
                at = again[part]
                values[at] = confirmed(field, flat[at], predicted[at], found[at])
    missing = torch.isinf(values)
    found[missing] = torch.nan
    distances = Distances(
        values.cpu(),
        (predicted == labels).cpu(),
        "upper",
        "l2",
        box,
        "minimum-norm attack",
        {
            "starts": starts,
            "steps": steps,
            "polish_steps": polish_steps,
            "dtype": str(field.dtype).removeprefix("torch."),
            "missing": int(missing.sum()),
            "only_from_other_images": int((~missing[lost]).sum()),
            "forwards_per_image": round(field.forwards / len(flat), 1),
            "backwards_per_image": round(field.backwards / len(flat), 1),
        },
    )
    return MinimumNorm(distances, found.reshape(len(flat), *field.shape))


def _predict(field: Field, flat: Tensor, labels: Tensor) -> Tensor:
    logits = field.logits(flat)
    check_labels(labels, logits.shape[1])
    return strict_prediction(logits)


def _nearest(field: Field, x: Tensor, predicted: Tensor, noise: list[Tensor], counts: tuple[int, int, int]) -> Tensor:
    """The nearest point of all starts; NaN where none was found, x itself where x has no prediction."""
    starts, steps, polish_steps = counts
    best = x.clone()
    rows = torch.nonzero(predicted >= 0)[:, 0]
    if len(rows) == 0:
        return best
    inner, source = x[rows], predicted[rows]
    points = deepfool(field, inner, source, _DEEPFOOL_STEPS, _AIMS)
    if starts > 1:
        points.append(fast_minimum_norm(field, inner, source, steps))
    for part in noise:
        points.append(fast_minimum_norm(field, inner, source, steps, random_points(field, inner, part[rows])))
    short = min(_SHORT, polish_steps)
    polished = torch.stack([polish(field, inner, source, point, short) for point in points])
    length = torch.nan_to_num(torch.stack([norms(point - inner) for point in polished]), nan=torch.inf)
    nearest = polished[length.argmin(dim=0), torch.arange(len(rows), device=x.device)]
    best[rows] = polish(field, inner, source, nearest, polish_steps) if polish_steps else nearest
    return best


def confirmed(field: Field, x: Tensor, predicted: Tensor, point: Tensor) -> Tensor:
    """||point - x|| in float64 where a fresh forward pass predicts otherwise at the point, ``inf`` elsewhere; (m,)."""
    present = ~torch.isnan(point).any(dim=1)
    logits = field.logits(torch.where(present[:, None], point, x))
    own = logits.gather(1, predicted.clamp(min=0)[:, None])[:, 0]
    rival = logits.scatter(1, predicted.clamp(min=0)[:, None], -torch.inf).amax(dim=1)
    left = torch.isnan(logits).any(dim=1) | (own < rival) | (predicted < 0)
    length = torch.linalg.vector_norm(point.double() - x.double(), dim=1)
    return torch.where(present & left, length, torch.inf)
