"""What the claims of the paper are judged by, read off one condensed run; each `as published` and `honest`.

Works on plain JSON values (`condensed.condense`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .intervals import share_error
from .tables import final_parts

__all__ = ["Number", "Run", "Sample", "accuracy", "margin_through", "mean_margin", "robustness", "share_of"]

Run = Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """Values on single images, in order: the first test images of the data with fingerprint `data`.

    `shares` says that each is 0 or 1, so that their mean is a share of images.
    """

    data: str
    values: tuple[float, ...]
    shares: bool = False


@dataclass(frozen=True)
class Number:
    """A value with its standard error across images, None where there is no way to tell it, and what it is.

    `sample` has the values on single images whose mean it is, where they were kept.
    """

    value: float
    error: float | None
    kind: str
    sample: Sample | None = None


def mean_margin(run: Run, reading: str) -> Number | None:
    """The mean margin at the end, on test images, signed; None where it was not measured.

    Of a linear model both readings are exact: `as published` the distance to the label's half-spaces, which is what
    reproduces the paper's curves, `honest` that to the boundary of the predicted class. Of other models the paper's
    sampled estimate, and the distance of an adversarial example, unboxed, which is an upper bound.
    """
    parts = final_parts(run)
    if run["config"]["model"] == "linear":
        part = parts.get("exact", {})
        part = part.get("label", {}) if reading == "as published" else part
    else:
        part = parts.get("estimate" if reading == "as published" else "attack-unboxed", {})
    if part.get("signed_mean") is None:
        return None
    return Number(part["signed_mean"], _error(part), part["kind"], _sample(run, part))


def robustness(run: Run, reading: str) -> dict[str, Number]:
    """Robust accuracy by eps: under the paper's own PGD, or from the minimum-norm attack, in the box; {} without."""
    parts = final_parts(run)
    if reading == "honest":
        part = parts.get("attack", {})
        shares, sample = part.get("robust_accuracy", {}), _sample(run, part)
        return {eps: share_of(share, part["images"], _beyond(sample, float(eps))) for eps, share in shares.items()}
    part = parts.get("pgd-published", {})
    return {
        f"{row['eps']:g}": share_of(row["robust_accuracy"], part["images"], _standing(run, row))
        for row in part.get("rows", [])
    }


def share_of(share: float, images: int, sample: Sample | None = None) -> Number:
    """A robust accuracy under an attack on so many images, which is an upper bound, with its binomial error."""
    return Number(share, share_error(share, images), "upper", sample)


def accuracy(run: Run) -> Number | None:
    """Accuracy on the whole test set after the last epoch."""
    value = _end(run["curves"], "test_accuracy")
    images = final_parts(run).get("functional", {}).get("test", {}).get("images", 10_000)
    return None if value is None else Number(value, share_error(value, images), "exact")


def margin_through(run: Run, reading: str) -> dict[str, Any] | None:
    """By epoch: `epochs`, `mean` and `minimum` margin, `errors`, `samples`, `low`, `kind`, `on`; None without.

    Of a linear model every stored epoch, on the training images, exactly; of others the kept epochs that were measured,
    on the test images that were attacked; `low` is then their 5% quantile with its interval (`condense`), by epoch.
    """
    if run["config"]["model"] == "linear":
        name = "train_label_distance" if reading == "as published" else "train_distance"
        curves = run["curves"]
        if not curves.get(f"{name}_mean"):
            return None
        return {
            "epochs": curves["epoch"],
            "mean": curves[f"{name}_mean"],
            "minimum": curves[f"{name}_min"],
            "errors": None,
            "samples": None,
            "low": None,
            "kind": "exact",
            "on": "all training images",
        }
    name = "estimate" if reading == "as published" else "attack-unboxed"
    rows = [row for row in (run.get("measured") or {}).get("epochs", []) if "mean" in row["parts"].get(name, {})]
    rows = [row for row in rows if row["parts"][name]["signed_mean"] is not None and row["epoch"] is not None]
    if not rows:
        return None
    parts = [row["parts"][name] for row in rows]
    return {
        "epochs": [row["epoch"] for row in rows],
        "mean": [part["signed_mean"] for part in parts],
        "minimum": [part["minimum"] for part in parts],
        "errors": [_error(part) for part in parts],
        "samples": [_sample(run, part) for part in parts],
        "low": [{"value": part.get("q05"), "interval": part.get("q05_interval")} for part in parts],
        "kind": parts[0]["kind"],
        "on": f"{parts[0]['images']} test images",
    }


def _sample(run: Run, part: Mapping[str, Any]) -> Sample | None:
    """The signed distances of single images; None where they were not kept, or one of them was not found."""
    signed, data = part.get("signed"), _data(run)
    return None if data is None or not signed or None in signed else Sample(data, tuple(signed))


def _beyond(sample: Sample | None, eps: float) -> Sample | None:
    """1 where a signed distance exceeds eps, else 0."""
    return None if sample is None else Sample(sample.data, tuple(float(v > eps) for v in sample.values), shares=True)


def _standing(run: Run, row: Mapping[str, Any]) -> Sample | None:
    """1 where an image withstood an attack of a fixed size, else 0."""
    robust, data = row.get("robust"), _data(run)
    return None if data is None or not robust else Sample(data, tuple(map(float, robust)), shares=True)


def _data(run: Run) -> str | None:
    """The fingerprint of the images that were measured; None where it was not kept, so that nothing is paired."""
    found = ((run.get("measured") or {}).get("data") or {}).get("sha256")
    return None if found is None else str(found)


def _error(part: Mapping[str, Any]) -> float | None:
    """Standard error of a mean over images."""
    if part.get("std") is None or not part.get("images"):
        return None
    return float(part["std"] / math.sqrt(max(1.0, part["images"] * part["found"])))


def _end(curves: Mapping[str, Sequence[Any]], name: str) -> float | None:
    return float(curves[name][-1]) if curves.get(name) and curves[name][-1] is not None else None
