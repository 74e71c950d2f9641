"""A run in a few kilobytes: configuration, epochs done of wanted, thinned curves, and what was measured of it.

Importing this module imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import deep
from avgmargin.common.errors import UserError
from avgmargin.common.files import read_object

from .intervals import order_interval

__all__ = ["condense", "find_runs", "measured_of", "thinned"]

_POINTS = 100  # of a curve
_DIGITS = 7  # significant ones, as many as float32 has
_CURVES = tuple(
    f"{part}_{name}"
    for part in ("train", "test")
    for name in (
        "loss",
        "accuracy",
        "margin_mean",
        "margin_min",
        "distance_mean",
        "distance_min",
        "label_distance_mean",
        "label_distance_min",
    )
)
_PER_IMAGE = ("values", "correct")
_COMPARED = ("estimate", "attack", "attack-unboxed")  # parts that the claims compare image by image
_LOW = 0.05  # the quantile of signed distances that has its interval


def condense(folder: Path, measured: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a page needs of a run, finished or under way; `measured` is its `measure.json`, where there is one.

    Values of single images are kept as `signed` distances (None: not found) where claims compare them: after epoch 1
    and at the end. The interval of their 5% quantile (`intervals.order_interval`) is kept of every part and epoch.
    Raises UserError for what is no run.
    """
    try:
        found = deep.load_progress(folder)
    except deep.RunFolderError as error:
        raise UserError(str(error)) from None
    summary = read_object(folder / "summary.json") or {}
    data = (read_object(folder / "env.json") or {}).get("dataset")
    chosen = thinned(len(found.metrics))
    curves: dict[str, list[float | None]] = {"epoch": [float(index) for index in chosen]}
    for name in _CURVES:
        if found.metrics and name in found.metrics[0]:
            curves[name] = [_short(found.metrics[index].get(name)) for index in chosen]
    return {
        "name": folder.absolute().name,
        "config": found.config.to_dict(),
        "data": data,
        "status": str(summary.get("status", "under way")),
        "epochs_done": max(0, len(found.metrics) - 1),
        "epochs_wanted": _wanted(found.config),
        "curves": curves,
        "measured": None if measured is None else _measured(measured),
    }


def _wanted(config: deep.TrainConfig) -> int:
    """The epochs of the preset whose name the run bears, where they are more than the run was asked for."""
    known = deep.PRESETS.get(config.name)
    return config.epochs if known is None else max(config.epochs, known.epochs)


def find_runs(places: Sequence[str]) -> list[Path]:
    """The run folders named, and those in the folders named; UserError where there is none."""
    found: list[Path] = []
    for place in map(Path, places):
        if (place / "config.toml").is_file():
            inside = [place]
        elif place.is_dir():
            inside = sorted(p.parent for p in place.glob("*/config.toml"))
        else:
            inside = []
        if not inside:
            raise UserError(f"{str(place)!r} must be a run folder, or a folder of runs; it holds no config.toml")
        found += inside
    return list(dict.fromkeys(found))


def measured_of(folder: Path, root: Path | None = None) -> dict[str, Any] | None:
    """The `measure.json` of a run: below `root` by the run's name, else where `measure` puts it; None without one."""
    base = folder.absolute().parent / "measured" if root is None else root
    return read_object(base / folder.absolute().name / "measure.json")


def thinned(count: int, most: int = _POINTS) -> list[int]:
    """At most `most` of the indices 0..count-1: those that are kept as weights, the last, and others evenly.

    >>> thinned(5)
    [0, 1, 2, 3, 4]
    >>> thinned(1001, 8)
    [0, 1, 2, 5, 10, 500, 1000]
    """
    if count <= most:
        return list(range(count))
    early = [0, 1, 2, 5, 10][: max(0, most - 2)]
    step = math.ceil((count - 1) / max(1, most - len(early) - 1))
    return sorted({*early, *range(0, count, step), count - 1})


def _measured(measured: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = _without_images(measured)
    rows = measured.get("epochs", [])
    for old, new in zip(rows, kept.get("epochs", []), strict=True):
        if old is rows[-1] or old["epoch"] == 1:
            for name in _COMPARED:
                if _has_images(old["parts"].get(name, {})):
                    new["parts"][name]["signed"] = [_short(d) for d in _signed(old["parts"][name])]
    return kept


def _has_images(part: Mapping[str, Any]) -> bool:
    return all(key in part for key in _PER_IMAGE)


def _signed(part: Mapping[str, Any]) -> list[float]:
    far = [math.inf if distance is None else distance for distance in part["values"]]
    return [distance if right else -distance for distance, right in zip(far, part["correct"], strict=True)]


def _short(value: Any) -> float | None:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")


def _without_images(value: Any) -> Any:
    """The value without those of single images; where they were, the interval of their low quantile, signed."""
    if isinstance(value, Mapping):
        kept = {key: _without_images(inner) for key, inner in value.items() if key not in _PER_IMAGE}
        if _has_images(value):
            kept["q05_interval"] = [_short(end) for end in order_interval(_signed(value), _LOW)]
        return kept
    if isinstance(value, list):
        return [_without_images(inner) for inner in value]
    return _short(value) if isinstance(value, float) else value
