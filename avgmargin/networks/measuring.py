"""`avgmargin measure`: every way of measuring on one run, at its end or at each kept epoch, with what each number is.

Finished parts lie in `<out>/parts/` and are not measured again while weights, images, settings and code are the same.
`measure.json` is written after each part, in one step. Importing this module imports torch.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from avgmargin.common.errors import UserError
from avgmargin.common.files import check_can_make, dump_json, make_folder, read_object
from deep.distances import Distances
from theory.storage import sha256_of_bytes, write_atomic

from .effort import Effort
from .parts import DEFAULT_PARTS, PARTS, code_of, measure_part
from .subjects import Subject, load_subject, weights_sha256

__all__ = ["Plan", "default_folder", "epochs_of", "measure", "measure_run"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is measured of a run: `final` parts at its end, `through` parts at every kept epoch, with what effort."""

    final: tuple[str, ...] = DEFAULT_PARTS
    through: tuple[str, ...] = ()
    effort: Effort = field(default_factory=Effort)

    def as_values(self) -> dict[str, Any]:
        """The plan as plain values, for a worker."""
        return asdict(self)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Plan:
        """The plan of `as_values`, also after a journey through JSON."""
        effort: dict[str, Any] = {
            key: tuple(v) if isinstance(v, (list, tuple)) else v for key, v in values["effort"].items()
        }
        return cls(tuple(values["final"]), tuple(values["through"]), Effort(**effort))


def measure_run(folder: Path, data_dir: str | None, plan: Plan, out: Path) -> dict[str, Any]:
    """Measure a run folder as a plan says, without a word; see `measure`."""
    subject = load_subject(folder, data_dir, lambda words: None)
    last = subject.last()
    todo: dict[int | None, Sequence[str]] = dict.fromkeys(subject.epochs, plan.through) if plan.through else {}
    todo[last] = [name for name in PARTS if name in {*plan.final, *plan.through}]
    return measure(
        subject, {epoch: todo[epoch] for epoch in sorted(todo, key=_order)}, plan.effort, out, lambda w: None
    )


def default_folder(subject: Subject) -> Path:
    """Beside the run, never in it: `<parent>/measured/<run>`; of a checkpoint file, `runs/measured/<name>`."""
    if subject.done is None:
        return Path("runs") / "measured" / subject.name
    return subject.place.absolute().parent / "measured" / subject.name


def epochs_of(subject: Subject, epoch: int | None, through: bool) -> tuple[int | None, ...]:
    """The epochs to measure; UserError for one whose weights are not kept."""
    if subject.done is None:
        if epoch is not None or through:
            raise UserError(
                f"{subject.name}: a checkpoint file has one set of weights; leave out --epoch and --through"
            )
        return (None,)
    if through:
        if epoch is not None:
            raise UserError(f"--through measures every kept epoch; leave out --epoch {epoch}")
        last = subject.last()
        return tuple(sorted({*subject.epochs, *([last] if last is not None else [])}))
    if epoch is None:
        return (subject.last(),)
    if epoch not in subject.epochs and not (subject.finished and epoch == subject.done):
        kept = ", ".join(map(str, subject.epochs))
        raise UserError(f"epoch={epoch} must be one whose weights are kept: {kept}")
    return (epoch,)


def measure(
    subject: Subject, todo: Mapping[int | None, Iterable[str]], effort: Effort, folder: Path, tell: Tell
) -> dict[str, Any]:
    """Measure the parts of each epoch and store them; returns what `measure.json` holds.

    That is these parts, and what earlier calls measured with the same weights, images, settings and code.

    Raises UserError for a folder that cannot be used.
    """
    open_folder(folder, subject)
    available = len(subject.dataset.test_y)
    if effort.images > available:
        tell(f"images={effort.images}: the test set has {available}")
        effort = Effort(**{**asdict(effort), "images": available})
    made = _frame(subject, effort)
    tau = float((subject.config or {}).get("tau", 5.0))
    rows: dict[int | None, dict[str, Any]] = _stored_rows(folder, subject, effort, tau)
    for epoch, parts in todo.items():
        model = subject.model(epoch)
        weights = weights_sha256(model)
        row = rows.setdefault(epoch, {"epoch": epoch, "weights_sha256": weights, "parts": {}})
        for name in parts:
            if name not in row["parts"]:
                tell(f"{subject.name}: {'' if epoch is None else f'epoch {epoch}, '}{PARTS[name].title}")
                start = time.perf_counter()
                result = measure_part(name, model, subject.dataset, effort, tau)
                spent = round(time.perf_counter() - start, 3)
                key = _key(name, weights, subject, effort, tau)
                path = folder / "parts" / f"{_stem(epoch)}-{name}.json"
                write_atomic(path, dump_json({"key": key, "result": result, "seconds": spent}))
                row["parts"][name] = result | {"seconds": spent}
                write_atomic(folder / "measure.json", dump_json(_filled(made, rows)))
    write_atomic(folder / "measure.json", dump_json(_filled(made, rows)))
    return _filled(made, rows)


def _stored_rows(folder: Path, subject: Subject, effort: Effort, tau: float) -> dict[int | None, dict[str, Any]]:
    """What earlier calls measured with the same weights, images, settings and code, by epoch."""
    rows: dict[int | None, dict[str, Any]] = {}
    epochs = (None,) if subject.done is None else sorted({*subject.epochs, int(subject.last() or 0)})
    for epoch in epochs:
        files = {name: folder / "parts" / f"{_stem(epoch)}-{name}.json" for name in PARTS}
        stored = {name: found for name, file in files.items() if (found := read_object(file)) is not None}
        if not stored:
            continue
        weights = weights_sha256(subject.model(epoch))
        parts = {
            name: found["result"] | {"seconds": found["seconds"]}
            for name, found in stored.items()
            if found.get("key") == _key(name, weights, subject, effort, tau)
        }
        if parts:
            rows[epoch] = {"epoch": epoch, "weights_sha256": weights, "parts": parts}
    return rows


def _filled(made: dict[str, Any], rows: Mapping[int | None, dict[str, Any]]) -> dict[str, Any]:
    """The frame with its rows by epoch, parts in their order, violations counted."""
    full = []
    for epoch in sorted(rows, key=_order):
        parts = {name: rows[epoch]["parts"][name] for name in PARTS if name in rows[epoch]["parts"]}
        _violations(parts)
        full.append({**rows[epoch], "parts": parts})
    return {**made, "epochs": full}


def _stem(epoch: int | None) -> str:
    return "final" if epoch is None else f"epoch-{epoch:05d}"


def open_folder(folder: Path, subject: Subject) -> None:
    """Make or take up the output folder; UserError for one inside the run, or one that holds something else."""
    place, run = folder.resolve(), subject.place.resolve()
    if place == run or run in place.parents:
        raise UserError(f"output folder {str(folder)!r} must lie outside the run, whose manifest lists its files")
    check_can_make(folder)
    known = ("measure.json", "parts", "attack.json")
    foreign = [] if not folder.is_dir() else [p.name for p in folder.iterdir() if not p.name.startswith(".")]
    foreign = sorted(name for name in foreign if name not in known)
    if foreign:
        raise UserError(f"output folder {str(folder)!r} holds {foreign[0]!r}; a measurement needs a folder of its own")
    make_folder(folder)
    (folder / "parts").mkdir(exist_ok=True)


def _frame(subject: Subject, effort: Effort) -> dict[str, Any]:
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(effort).items()}
    return {
        "name": subject.name,
        "config": subject.config,
        "data": {"name": subject.dataset.name, "sha256": subject.dataset.fingerprint},
        "finished": subject.finished,
        "epochs_done": subject.done,
        "epochs_wanted": subject.wanted,
        "stored": None if subject.numbers is None else dict(subject.numbers),
        "effort": settings,
        "epochs": [],
    }


def _key(name: str, weights: str, subject: Subject, effort: Effort, tau: float) -> str:
    settings = [getattr(effort, field) for field in PARTS[name].reads] + ([tau] if name == "penalty" else [])
    text = json.dumps([name, weights, subject.dataset.fingerprint, settings, code_of(name)])
    return sha256_of_bytes(text.encode())[:16]


def _violations(parts: dict[str, Any]) -> None:
    """Share of images whose estimate exceeds the distance of an actual point of another class (`deep.bounds`)."""
    estimate, attack = _distances(parts.get("estimate", {})), _distances(parts.get("attack-unboxed", {}))
    if estimate is None or attack is None or len(estimate) != len(attack) or not bool(attack.found.any()):
        return
    from deep.bounds import violations

    compared = int(attack.found.sum())
    parts["estimate"] = parts["estimate"] | {"violations": violations(estimate, attack), "compared": compared}


def _distances(part: Mapping[str, Any]) -> Distances | None:
    """The distances of a stored part, where each image's value was kept."""
    if "values" not in part:
        return None
    values = torch.tensor([math.inf if v is None else v for v in part["values"]], dtype=torch.float64)
    return Distances(values, torch.tensor(part["correct"], dtype=torch.bool), part["kind"])


def _order(epoch: int | None) -> int:
    return -1 if epoch is None else epoch
