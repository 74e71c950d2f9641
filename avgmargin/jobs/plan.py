"""What `reproduce` does at each scale, as plain frozen values: a plan is a list of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from avgmargin.common.errors import UserError

from .job import Job

SCALES = ("quick", "full")
CLASSES = (2, 3)
TRAINED = ("ce", "average-margin", "average-margin-released")


@dataclass(frozen=True)
class Size:
    """How much each part does.

    `laws` are those of the population checks, None for all, at the scale `population` of `avgmargin synthetic`.
    `losses` and `three` are the losses proved for two and three classes, None for all; `three_budget` is the budget
    of a three-class proof in boxes and seconds. Boxes should run out first: seconds depend on the machine.
    `learning` is sample sizes and seeds, `frontier` programs and gradient steps.
    """

    losses: tuple[str, ...] | None
    three: tuple[str, ...] | None
    three_budget: tuple[int, float]
    laws: tuple[str, ...] | None
    population: str
    linear_epochs: int
    mlp_epochs: int
    hidden: int
    per_class: int
    curve_points: int
    learning: tuple[tuple[int, ...], int]
    frontier: tuple[int, int]


_SIZES = {
    "tiny": Size(
        losses=("perceptron", "average-margin", "average-margin-released"),
        three=("perceptron",),
        three_budget=(100, 60.0),
        laws=("gaussian-shared", "near-ties", "near-ties-3", "breaks-naive"),
        population="tiny",
        linear_epochs=6,
        mlp_epochs=2,
        hidden=16,
        per_class=20,
        curve_points=40,
        learning=((50, 200), 2),
        frontier=(5, 60),
    ),
    "quick": Size(
        losses=None,
        three=None,
        three_budget=(1000, 45.0),
        laws=None,
        population="quick",
        linear_epochs=120,
        mlp_epochs=24,
        hidden=1024,
        per_class=400,
        curve_points=250,
        learning=((100, 1000, 10_000, 100_000), 3),
        frontier=(25, 5000),
    ),
    "full": Size(
        losses=None,
        three=None,
        three_budget=(20_000, 1800.0),
        laws=None,
        population="full",
        linear_epochs=300,
        mlp_epochs=100,
        hidden=1024,
        per_class=400,
        curve_points=500,
        learning=((100, 1000, 10_000, 100_000, 1_000_000), 5),
        frontier=(50, 20_000),
    ),
}
_IDX_EPOCHS = {"tiny": (1, 1), "quick": (20, 4), "full": (50, 20)}
"""Epochs (linear, mlp) on IDX files, whose 60,000 images make an epoch 15 times longer."""


@dataclass(frozen=True)
class Request:
    """What was asked of `reproduce`."""

    scale: str = "quick"
    seed: int = 0
    data_dir: str | None = None
    data_name: str = "mnist5k"
    data_sha256: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_scale(self.scale)
        check_seed(self.seed)


def check_scale(scale: str) -> None:
    """UserError unless the scale is known."""
    if scale not in _SIZES:
        raise UserError(f"scale {scale!r} must be {' or '.join(SCALES)}")


def check_seed(seed: int) -> None:
    """UserError unless the seed can be one."""
    if not 0 <= seed < 2**63:
        raise UserError(f"seed={seed} must lie in 0..2^63 - 1")


def jobs(request: Request, losses: Mapping[str, tuple[int, ...]]) -> list[Job]:
    """The jobs of a request in the order of the report; `losses` are names with the class counts to be proved."""
    size = _SIZES[request.scale]
    names = tuple(losses) if size.losses is None else size.losses
    three = names if size.three is None else size.three
    found = [proof_job(name, 2, 20_000, 60.0) for name in names if 2 in losses[name]]
    found += [proof_job(name, 3, *size.three_budget) for name in three if 3 in losses[name]]
    found.append(Job("curves", "near-tie", {"points": size.curve_points}, "part of avgmargin reproduce"))
    found += population_jobs(request.scale, request.seed, tuple(names))
    found += [learning_job(request), frontier_job(request)]
    return found + training_jobs(request)


def proof_job(loss: str, classes: int, boxes: int, seconds: float) -> Job:
    """The proof of a catalogue loss; two classes mean the binary form."""
    settings = {"loss": loss, "classes": classes, "boxes": boxes, "seconds": seconds}
    name = loss if classes == 2 else f"{loss}-{classes}-classes"
    many = "" if classes == 2 else f" --classes {classes}"
    return Job("proofs", name, settings, f"avgmargin prove {loss}{many} --boxes {boxes} --seconds {seconds:g}")


def population_jobs(scale: str, seed: int, losses: tuple[str, ...]) -> list[Job]:
    """The laws, and one job per loss on all of them: the checks of `avgmargin synthetic`."""
    check_scale(scale)
    check_seed(seed)
    size = _SIZES[scale]
    laws = None if size.laws is None else list(size.laws)
    settings = {"laws": laws, "scale": size.population, "seed": seed}
    words = "" if laws is None else f" --laws {','.join(laws)}"
    words += f" --scale {size.population} --seed {seed}"
    found = [Job("synthetic", "laws", settings, f"avgmargin synthetic --list{words}")]
    for loss in losses:
        found.append(Job("synthetic", loss, {"loss": loss, **settings}, f"avgmargin synthetic {loss}{words}"))
    return found


def learning_job(request: Request) -> Job:
    """Learning curves of the two targets and the logistic loss."""
    sizes, seeds = _SIZES[request.scale].learning
    losses = ["logistic", _at("average-margin"), _at("average-margin-released")]
    law = "tsybakov(exponent=1)"
    settings = {
        "law": law,
        "sizes": list(sizes),
        "seeds": seeds,
        "exponent": 1.0,
        "losses": losses,
        "seed": request.seed,
    }
    words = f"avgmargin curves --law '{law}' --sizes {','.join(map(str, sizes))} --seeds {seeds} --exponent 1"
    words += "".join(f" --loss '{loss}'" for loss in losses) + f" --seed {request.seed}"
    return Job("learning", "learning-curves", settings, words)


def frontier_job(request: Request) -> Job:
    """The frontier of the two-group data with paths of the logistic and the paper's loss, free and in a ball."""
    points, steps = _SIZES[request.scale].frontier
    losses = ["logistic", _at("average-margin")]
    settings = {"points": points, "steps": steps, "losses": losses, "ball": 2.0, "seed": request.seed}
    words = f"avgmargin frontier --points {points} --steps {steps} --ball 2"
    words += "".join(f" --loss '{loss}'" for loss in losses) + f" --seed {request.seed}"
    return Job("frontier", "frontier", settings, words)


def _at(loss: str) -> str:
    return f"{loss}(mu=1,tau=5)"


def training_jobs(request: Request) -> list[Job]:
    """One job per model and loss."""
    size = _SIZES[request.scale]
    epochs = {"linear": size.linear_epochs, "mlp": size.mlp_epochs}
    if request.data_dir is not None:
        epochs = dict(zip(("linear", "mlp"), _IDX_EPOCHS[request.scale], strict=True))
    source = {"folder": request.data_dir, "name": request.data_name, "seed": request.seed, "per_class": size.per_class}
    found = []
    for model in ("linear", "mlp"):
        for loss in TRAINED:
            config = {
                "name": f"{model}-{loss}",
                "dataset": request.data_name,
                "model": model,
                "loss": loss,
                "hidden": size.hidden,
                "epochs": epochs[model],
                "seed": request.seed,
            }
            words = ["avgmargin train", "--model", model, "--loss", loss, "--epochs", epochs[model]]
            words += ["--hidden", size.hidden] if model == "mlp" else []
            words += ["--seed", request.seed]
            words += ["--per-class", size.per_class] if request.data_dir is None else ["--data-dir", request.data_dir]
            settings = {"config": config, "source": source, "sha256": request.data_sha256}
            found.append(Job("training", f"{model}-{loss}", settings, " ".join(map(str, words)), epochs[model] + 1))
    return found


def as_config(request: Request, chosen: list[Job]) -> dict[str, Any]:
    """The resolved configuration, for config.toml: TOML knows no null, so absent values are left out."""
    asked = {key: value for key, value in asdict(request).items() if value not in (None, "")}
    return {"request": asked, "jobs": [{"part": job.part, "name": job.name, **_known(job.settings)} for job in chosen]}


def _known(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _known(value) if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if value not in (None, "")
    }
