"""`avgmargin frontier`: the exact trade-off between minimum and average margin, and training paths on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path as File
from typing import Any

import numpy as np

from avgmargin.common.errors import UserError
from avgmargin.common.figures import svg_of
from avgmargin.common.files import dump_json, make_folder
from avgmargin.proving.resolve import label, read_loss
from synthetic import frontier as trade
from synthetic._doors import FloatArray
from theory.storage import sha256_of_bytes, write_atomic

DEFAULT_LOSSES = ("logistic", "exponential", "average-margin(mu=1,tau=1)", "average-margin(mu=1,tau=5)")


@dataclass(frozen=True)
class Settings:
    """What decides a frontier: data, geometry, tail, and the training paths drawn on it."""

    data: str = "two-groups"
    data_dir: str | None = None
    samples: int = 400
    dimension: int = 2
    geometry: str = "l2"
    points: int = 50
    tail: float | None = None
    losses: tuple[str, ...] = DEFAULT_LOSSES
    steps: int = 20_000
    batch: int | None = None
    lr: float | None = None
    ball: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """ValueError for numbers that the paths would refuse, before the frontier is solved."""
        trade.path_numbers(self.steps, lr=self.lr, batch=self.batch, ball=self.ball)

    @property
    def key(self) -> str:
        """The settings' fingerprint, for folder names."""
        return sha256_of_bytes(dump_json(asdict(self)))[:8]


def run(settings: Settings, folder: File, tell: Callable[[str], None]) -> dict[str, Any]:
    """Solve the frontier, follow the paths, write frontier.json and frontier.svg; returns what the JSON holds."""
    result, found, paths = compute(settings, tell)
    make_folder(folder)
    write_atomic(folder / "frontier.svg", svg_of(trade.frontier_figure(found, paths)))
    write_atomic(folder / "frontier.json", dump_json(result))
    return result


def compute(settings: Settings, tell: Callable[[str], None]) -> tuple[dict[str, Any], trade.Frontier, list[trade.Path]]:
    """The frontier and the paths, first as plain values for JSON."""
    losses = [read_loss(text) for text in settings.losses]
    x, y, words = load(settings)

    def progress(done: int, total: int) -> None:
        tell(f"program {done}/{total}")

    try:
        found = trade.frontier(
            x, y, geometry=settings.geometry, points=settings.points, tail=settings.tail, tell=progress
        )
    except trade.NotConverged as error:
        raise UserError(f"{error}; no frontier was drawn") from None
    paths = []
    for k, loss in enumerate(losses):
        for ball in (None,) if settings.ball is None else (None, settings.ball):
            shown = label(loss) if ball is None else f"{label(loss)}, norm <= {ball:g}"
            tell(f"path {shown}")
            rng = np.random.default_rng([settings.seed, 1, k])
            paths.append(
                trade.training_path(
                    x,
                    y,
                    loss,
                    steps=settings.steps,
                    lr=settings.lr,
                    batch=settings.batch,
                    rng=None if settings.batch is None else rng,
                    ball=ball,
                    geometry=settings.geometry,
                    tail=settings.tail,
                    name=shown,
                )
            )
    result: dict[str, Any] = {
        "settings": asdict(settings),
        "data": words,
        "samples": found.samples,
        "dimension": found.dimension,
        "frontier": [
            {"minimum": p.minimum, "average": p.average, "residual": p.residual, "price": p.price, "ceiling": p.ceiling}
            for p in found.points
        ],
        "residual": found.residual,
        "mean_end": {"minimum": found.mean_end.minimum, "average": found.mean_end.average},
        "svm_end": {"minimum": found.svm_end.minimum, "average": found.svm_end.average},
        "paths": [{**path.summary(found), "rate": _rate(path, found)} for path in paths],
    }
    return {key: _plain(value) for key, value in result.items()}, found, paths


def load(settings: Settings) -> tuple[FloatArray, FloatArray, str]:
    """Points, labels in {-1, +1}, and the data in words."""
    if settings.data == "two-groups":
        rng = np.random.default_rng([settings.seed, 0])
        x, y = trade.two_groups(settings.samples, settings.dimension, rng)
        return x, y, f"two groups, {settings.samples} points in R^{settings.dimension}, seed {settings.seed}"
    if settings.data.startswith("mnist:"):
        return _digits(settings)
    if settings.data.endswith(".npz"):
        return _file(File(settings.data))
    raise UserError(f"data={settings.data!r} must be two-groups, mnist:A,B (two digits) or a .npz file with x and y")


def _digits(settings: Settings) -> tuple[FloatArray, FloatArray, str]:
    from deep import data as digits

    parts = settings.data.removeprefix("mnist:").split(",")
    if len(parts) != 2 or not all(part.isdigit() and int(part) <= 9 for part in parts) or parts[0] == parts[1]:
        raise UserError(f"data={settings.data!r} must name two different digits, as in mnist:0,1")
    first, second = int(parts[0]), int(parts[1])
    whole = digits.load_mnist5k(settings.seed) if settings.data_dir is None else digits.load_mnist(settings.data_dir)
    labels = whole.train_y
    keep = (labels == first) | (labels == second)
    images = whole.train_x[keep].astype(np.float64)
    words = (
        f"digits {first} (+1) and {second} (-1), {images.shape[0]} training images of {whole.name}, pixels in [0, 1]"
    )
    return images, np.where(labels[keep] == first, 1.0, -1.0), words


def _file(path: File) -> tuple[FloatArray, FloatArray, str]:
    try:
        with np.load(path, allow_pickle=False) as held:
            x, y = held["x"], held["y"]
    except FileNotFoundError:
        raise UserError(f"data file {str(path)!r} does not exist") from None
    except KeyError:
        raise UserError(f"data file {str(path)!r} must hold the arrays x (n, d) and y (n,)") from None
    except (OSError, ValueError) as error:
        raise UserError(f"data file {str(path)!r} cannot be read as .npz: {type(error).__name__}") from None
    return np.asarray(x), np.asarray(y), path.name


def _rate(path: trade.Path, found: trade.Frontier) -> dict[str, Any] | None:
    """The fit m* - m_t = constant / (log t + offset) over the last two decades; None for a path too short or beyond."""
    try:
        rate = trade.svm_rate(path, found)
    except ValueError:
        return None
    return {"constant": rate.constant, "offset": rate.offset, "residual": rate.residual}


def _plain(value: Any) -> Any:
    """NaN as None: JSON has none."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else None
    return value
