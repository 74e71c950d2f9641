"""`avgmargin curves`: learning curves, one seed at a time, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from avgmargin.common.errors import UserError
from avgmargin.common.figures import svg_of
from avgmargin.common.files import dump_json, make_folder, read_object
from avgmargin.proving.resolve import label, read_calls, read_law, read_loss
from synthetic import laws, learning
from theory.storage import sha256_of_bytes, write_atomic

DEFAULT_LOSSES = ("logistic", "hinge", "average-margin(mu=1,tau=5)", "average-margin-released(mu=1,tau=5)")


@dataclass(frozen=True)
class Settings:
    """What decides the curves."""

    law: str
    losses: tuple[str, ...]
    learner: str
    sizes: tuple[int, ...]
    seeds: int
    exponent: float | None
    seed: int

    @property
    def key(self) -> str:
        """The fingerprint of what decides each seed's numbers: all but how many seeds, and the reference line."""
        return sha256_of_bytes(dump_json(asdict(replace(self, seeds=1, exponent=None))))[:8]


def read_sizes(text: str) -> tuple[int, ...]:
    """Sample sizes from N,N,...

    >>> read_sizes("100,1000")
    (100, 1000)
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) <= 9 for part in parts):
        raise UserError(f"sizes={text!r} must be whole numbers below 10^9 separated by commas, as in 100,1000")
    return tuple(int(part) for part in parts)


def run(settings: Settings, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Compute the missing seeds, then write curves.json and curves.svg; returns what the JSON holds."""
    result, curves = compute(settings, folder / "seeds", tell)
    figure = learning.curves_figure(curves, exponent=result["plug_in_rate"])
    write_atomic(folder / "curves.svg", svg_of(figure))
    write_atomic(folder / "curves.json", dump_json(result))
    return result


def compute(
    settings: Settings, seeds: Path | None, tell: Callable[[str], None]
) -> tuple[dict[str, Any], list[learning.Curve]]:
    """The curves, first as plain values for JSON; with a folder, each seed is kept there and not computed again."""
    if settings.seeds < 1:
        raise UserError(f"seeds={settings.seeds} must be at least 1")
    calls = read_calls(settings.law)
    if len(calls) != 1:
        raise UserError(f"law={settings.law!r} must name one law")
    name, values = read_law(*calls[0])
    law = laws.entry(name).make(**values)
    losses = [replace(loss, name=label(loss)) for loss in map(read_loss, settings.losses)]
    rate = None if settings.exponent is None else learning.plug_in_rate(settings.exponent, law.dimension)
    per_seed = []
    for j in range(settings.seeds):
        part = None if seeds is None else seeds / f"{settings.key}-{j}.json"
        held = None if part is None else read_object(part)
        found = None if held is None else _read(held)
        if found is None:
            found = learning.learning_curves(
                law,
                losses,
                sizes=settings.sizes,
                seeds=1,
                rng=np.random.default_rng([settings.seed, j]),
                learner=settings.learner,
                tell=lambda words, j=j: tell(f"seed {j + 1}/{settings.seeds}: {words}"),  # type: ignore[misc]
            )
            if part is not None:
                make_folder(part.parent)
                write_atomic(part, dump_json({"curves": [asdict(curve) for curve in found]}))
        per_seed.append(found)
    curves = [learning.merged(each) for each in zip(*per_seed, strict=True)]
    result = {
        "settings": asdict(settings),
        "law": law.name,
        "plug_in_rate": rate,
        "curves": [curve.summary() for curve in curves],
    }
    return result, curves


def _read(held: dict[str, Any]) -> list[learning.Curve] | None:
    """The curves of one seed from their file; None where it holds something else."""
    try:
        rows = [dict(row) for row in held["curves"]]
        for row in rows:
            row["sizes"] = tuple(row["sizes"])
            row["excess"] = tuple(tuple(float(value) for value in values) for values in row["excess"])
        return [learning.Curve(**row) for row in rows]
    except (KeyError, TypeError, ValueError):
        return None
