"""`avgmargin reproduce --scale paper`: the table of presets, trained, measured and condensed.

    <out>/<preset>/ ...   measured/<preset>/measure.json   sweep.json, sweep.csv   results/<preset>.json, results.csv

Each preset is a job that is done once; what is half done is taken up. Importing this module imports torch.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deep
from avgmargin.common.errors import UserError
from avgmargin.common.files import dump_csv, dump_json
from avgmargin.networks.condensed import condense, measured_of
from avgmargin.networks.effort import Effort
from avgmargin.networks.experiments import load
from avgmargin.networks.measuring import Plan
from avgmargin.networks.parts import PARTS
from avgmargin.networks.tables import COLUMNS, table
from theory.storage import write_atomic

from .grids import source_of
from .sweeping import run_jobs
from .training_jobs import TrainJob

__all__ = ["PaperRequest", "jobs_of", "reproduce_paper", "select"]

_DEFAULT = ("mnist-lr", "mnist-mlp")
_THROUGH = ("functional", "penalty", "exact", "attack-unboxed", "estimate")


@dataclass(frozen=True)
class PaperRequest:
    """What was asked: presets or families of them, seed, a cap on the epochs, and how many test images are attacked."""

    only: str | None = None
    seed: int = 0
    epochs: int | None = None
    images: int = 200
    data_dir: str | None = None

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 1:
            raise UserError(f"epochs={self.epochs} must be at least 1")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"seed={self.seed} must lie in 0..2^63 - 1")


def select(text: str | None) -> list[str]:
    """The presets of a list of presets and families as typed; the MNIST ones without convolutions where it is None.

    UserError, with the nearest name, for a name that is neither.

    >>> select("mnist-lr")
    ['mnist-lr-plain', 'mnist-lr-constraint', 'mnist-lr-reg']
    """
    families = {name.rsplit("-", 1)[0]: None for name in deep.PRESETS}
    found: dict[str, None] = {}
    for word in _DEFAULT if text is None else (part.strip() for part in text.split(",")):
        members = [name for name in deep.PRESETS if word == name or (word in families and name.startswith(f"{word}-"))]
        if not members:
            near = difflib.get_close_matches(word.lower(), [*families, *deep.PRESETS], n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"--only {word!r} must be a preset, or a family as in mnist-lr (see train --list){hint}")
        found |= dict.fromkeys(members)
    return list(found)


def jobs_of(request: PaperRequest, tell: Callable[[str], None]) -> list[TrainJob]:
    """One job for each preset, in a folder of its name; with a cap, fewer epochs than the paper's."""
    plan = Plan(tuple(PARTS), _THROUGH, Effort(images=request.images, seed=request.seed)).as_values()
    jobs, sums = [], {}
    for name in select(request.only):
        preset = deep.preset(name)
        source = source_of(name, preset.dataset, request.data_dir, tell)
        if source not in sums:
            dataset = load(source)
            sums[source] = dataset.name, dataset.fingerprint
        label, fingerprint = sums[source]
        epochs = preset.epochs if request.epochs is None else min(request.epochs, preset.epochs)
        config = dataclasses.replace(preset, dataset=label, seed=request.seed, epochs=epochs)
        jobs.append(TrainJob(name, config.to_dict(), dataclasses.asdict(source), fingerprint, plan))
    return jobs


def reproduce_paper(
    request: PaperRequest, root: Path, workers: int, backend: str, scheduler: str | None, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Train and measure the presets below `root`, then write their results; returns a summary with the rows.

    Raises UserError, before any work, for a name, a folder or data that cannot be used.
    """
    jobs = jobs_of(request, tell)
    ended = run_jobs(jobs, root, backend=backend, workers=workers, scheduler=scheduler)
    done = [row["name"] for row in ended["runs"] if row["status"] != "failed"]
    results = write_results([root / name for name in done], root / "measured", root / "results")
    return {
        **{key: ended[key] for key in ("jobs", "done", "diverged", "failed")},
        "failures": [{"name": row["name"], "error": row["error"]} for row in ended["runs"] if row["error"]],
        "rows": table(results),
        "results": str(root / "results"),
    }


def write_results(folders: Sequence[Path], measured: Path, out: Path) -> list[dict[str, Any]]:
    """Condense runs into `<out>/<run>.json` and one `results.csv`; returns them."""
    out.mkdir(parents=True, exist_ok=True)
    found = [condense(folder, measured_of(folder, measured)) for folder in folders]
    for run in found:
        write_atomic(out / f"{run['name']}.json", dump_json(run))
    rows = table(found)
    write_atomic(out / "results.csv", dump_csv(COLUMNS, [list(row.values()) for row in rows]))
    return found
