"""`avgmargin table`: one row for each run, blank where a thing was not measured. Works on condensed runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["COLUMNS", "as_row", "final_parts", "measures_of", "table"]

_EPS = ("0.5", "1", "1.5", "2")
COLUMNS = (
    "run",
    "data",
    "model",
    "loss",
    "mu",
    "tau",
    "beta",
    "lr",
    "seed",
    "epochs",
    "epochs wanted",
    "test accuracy",
    "functional margin, mean",
    "functional margin, minimum, train",
    "average margin, attack, unboxed",
    "average margin, attack, box",
    "exact distance, mean",
    "exact distance, minimum, train",
    "exact distance, minimum, test",
    "rigorous lower bound, mean",
    "paper's estimate, mean",
    "its N",
    "its R",
    "its violations",
    *(f"robust accuracy at {eps}" for eps in _EPS),
    "images",
    "PGD as published",
    "its vanished gradients",
    "norms, product, reshaped",
    "norms, product, true",
)


def table(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of condensed runs (`condensed.condense`)."""
    return [as_row(run) for run in runs]


def final_parts(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parts measured after the last epoch of a condensed run; {} where nothing was measured there."""
    rows = (run.get("measured") or {}).get("epochs") or []
    return rows[-1]["parts"] if rows and rows[-1]["epoch"] == run["epochs_done"] else {}


def measures_of(parts: Mapping[str, Any]) -> dict[str, float]:
    """The single numbers of the parts of a measurement, by name: means and minima, and accuracy by attack and eps.

    >>> measures_of({"attack": {"mean": 1.5, "robust_accuracy": {"1": 0.5}}, "lower": {"skipped": "why"}})
    {'attack mean': 1.5, 'attack accuracy at 1': 0.5}
    """
    found: dict[str, float | None] = {}
    for name, part in parts.items():
        if name in ("functional", "penalty", "norms"):
            continue
        for key in ("mean", "minimum"):
            if key in part:
                found[f"{name} {key}"] = part[key]
        for eps, share in part.get("robust_accuracy", {}).items():
            found[f"{name} accuracy at {eps}"] = share
        for row in part.get("rows", []):
            found[f"{name} accuracy at {row['eps']:g}"] = row["robust_accuracy"]
    return {name: value for name, value in found.items() if value is not None}


def as_row(run: Mapping[str, Any]) -> dict[str, Any]:
    """One row: a value for each of `COLUMNS`, None where it was not measured or has no meaning."""
    config, parts, curves = run["config"], final_parts(run), run["curves"]
    attack = parts.get("attack", {})
    estimate, exact, norms = parts.get("estimate", {}), parts.get("exact", {}), parts.get("norms", {})
    reads = config["loss"] != "ce"
    pgd = parts.get("pgd-published", {}).get("rows", [])
    values = [
        run["name"],
        config["dataset"],
        config["model"],
        config["loss"],
        config["mu"] if reads else None,
        config["tau"] if reads else None,
        config["beta"],
        config["lr"],
        config["seed"],
        run["epochs_done"],
        run["epochs_wanted"],
        _last(curves, "test_accuracy"),
        _last(curves, "test_margin_mean"),
        _last(curves, "train_margin_min"),
        parts.get("attack-unboxed", {}).get("mean"),
        attack.get("mean"),
        exact.get("mean", _last(curves, "test_distance_mean")),
        exact.get("train", {}).get("minimum", _last(curves, "train_distance_min")),
        exact.get("minimum", _last(curves, "test_distance_min")),
        parts.get("lower", {}).get("mean"),
        estimate.get("mean"),
        estimate.get("samples"),
        estimate.get("radius"),
        estimate.get("violations"),
        *(attack.get("robust_accuracy", {}).get(eps) for eps in _EPS),
        attack.get("images"),
        "; ".join(f"{row['robust_accuracy']:.3f} at {row['eps']:g}" for row in pgd) or None,
        max((row["vanished"] for row in pgd), default=None),
        norms.get("product_reshaped"),
        norms.get("product_true"),
    ]
    return dict(zip(COLUMNS, values, strict=True))


def _last(curves: Mapping[str, Sequence[Any]], name: str) -> Any:
    return curves[name][-1] if curves.get(name) else None
