"""`avgmargin attack`: robust accuracy under fixed-eps attacks, with the flags of their health. Imports torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from avgmargin.common.console import show_pairs, show_table
from deep import attacks

from .effort import Effort
from .subjects import Subject, weights_sha256

__all__ = ["attack", "show"]

_BOX = (0.0, 1.0)
_PUBLISHED_STEP = 0.01
_FLAGGED = 40  # images that the flags are looked for on


def attack(
    subject: Subject,
    epoch: int | None,
    eps: Sequence[float],
    effort: Effort,
    objective: str,
    *,
    published: bool,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Attack the first test images at each eps and return the settings, the accuracies and the flags as plain values.

    `published` is the paper's own attack: cross-entropy, a random start, 1000 steps of .01, gradients normalised with
    a floor; else PGD on `objective` (`margin` or `cross-entropy`). Accuracy under attack is an upper bound of the
    robust accuracy, whatever the attack. Raises ValueError as the attacks do.
    """
    model = subject.model(epoch)
    images = min(effort.images, len(subject.dataset.test_y))
    like = next(model.parameters())
    x = torch.tensor(subject.dataset.test_x[:images], dtype=like.dtype)
    y = torch.tensor(subject.dataset.test_y[:images])
    rows = []
    for radius in eps:
        tell(f"{subject.name}: eps {radius:g} on {images} images")
        generator = torch.Generator().manual_seed(effort.seed)
        if published:
            found = attacks.published_pgd(model, x, y, radius, generator=generator, steps=effort.published_steps)
        else:
            found = attacks.pgd(
                model,
                x,
                y,
                radius,
                objective=objective,
                steps=effort.steps,
                step_size=effort.step_size,
                generator=generator,
            )
        rows.append({"eps": radius, "accuracy": float(found.accuracy), "vanished": float(found.vanished)})
    tell(f"{subject.name}: flags")
    flags = attacks.flags(model, x[:_FLAGGED], y[:_FLAGGED], generator=torch.Generator().manual_seed(effort.seed))
    return {
        "run": subject.name,
        "epoch": epoch,
        "weights_sha256": weights_sha256(model),
        "data": {"name": subject.dataset.name, "sha256": subject.dataset.fingerprint},
        "images": images,
        "kind": "upper",
        "norm": "l2",
        "box": list(_BOX),
        "objective": "cross-entropy" if published else objective,
        "as_published": published,
        "steps": effort.published_steps if published else effort.steps,
        "step_size": _PUBLISHED_STEP if published else effort.step_size,
        "seed": effort.seed,
        "rows": rows,
        "flags": [dataclasses.asdict(flag) for flag in flags],
    }


def show(found: Mapping[str, Any]) -> None:
    """The answer on stdout."""
    how = f"{found['objective']}, {found['steps']} steps of {found['step_size']:g}, box [0, 1], L2"
    if found["as_published"]:
        how += ", as published: random start, normalised with a floor"
    epoch = None if found["epoch"] is None else found["epoch"]
    show_pairs([("run", found["run"]), ("epoch", epoch), ("attack", how), ("images", found["images"])])
    show_table(
        ["eps", "accuracy under attack (upper bound of robust accuracy)", "vanished gradients at the first step"],
        [[f"{row['eps']:g}", f"{row['accuracy']:.4f}", f"{row['vanished']:.1%}"] for row in found["rows"]],
    )
    if found["flags"]:
        columns = list(found["flags"][0])
        show_table(columns, [[_cell(flag[column]) for column in columns] for flag in found["flags"]])


def _cell(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
