"""One training run as a job: a value with a key, and `run(job, root) -> record` that may be called again at any time.

A job's folder is `<root>/<name>`; whoever runs it holds `<root>/.locks/<name>`, so that a second process waits and then
finds the run done. What is half done is taken up at its last checkpoint (`deep.train`). Importing this module does not
import torch.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from avgmargin.common.errors import UserError, one_line
from theory.storage import sha256_of_bytes

__all__ = ["TrainJob", "effective", "failed", "run", "run_guarded", "with_measure"]

Record = dict[str, Any]
Tell = Callable[[int, str], None]
_WATCH = 0.5  # seconds between looks at whether the parent is still there


@dataclass(frozen=True)
class TrainJob:
    """A configuration (every field of `deep.TrainConfig`), where its images come from, and the folder's name.

    `sha256` is the fingerprint of the data. `measure` says what is measured afterwards (`measuring.Plan` as plain
    values), into `<root>/measured/<name>`; None for nothing. `key` hashes what decides the trained weights: the
    configuration without its name and without the fields that it does not read, and the data; not the code. `rows` are
    the rows of a comparison (`deep.ROWS`) that the run is.
    """

    name: str
    config: Mapping[str, Any]
    source: Mapping[str, Any]
    sha256: str
    measure: Mapping[str, Any] | None = None
    rows: Sequence[str] = ()

    @property
    def key(self) -> str:
        """16 hexadecimal digits; equal keys promise equal results."""
        return sha256_of_bytes(json.dumps([effective(self.config), self.sha256], sort_keys=True).encode())[:16]

    def as_values(self) -> dict[str, Any]:
        """The job as plain values, which is how it travels to a worker."""
        return asdict(self)


def with_measure(jobs: Iterable[TrainJob], plan: Mapping[str, Any]) -> list[TrainJob]:
    """The jobs, each followed by a measurement."""
    return [replace(job, measure=plan) for job in jobs]


def effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that decide its result: not the name, nor numbers that its loss does not read.

    >>> effective({"name": "a", "loss": "ce", "mu": 0.1, "tau": 5.0, "model": "mlp", "hidden": 9, "lr": 0.1})
    {'loss': 'ce', 'model': 'mlp', 'hidden': 9, 'lr': 0.1}
    """
    unread = {"name"}
    if config.get("loss") == "ce":
        unread |= {"mu", "tau"}
    if config.get("model") != "mlp":
        unread.add("hidden")
    if not config.get("beta"):
        unread |= {"beta_as", "kernels"}
    if config.get("method", "erm") == "erm":
        unread |= {name for name in config if name.startswith(("attack_", "trades_", "mma_"))}
    return {key: value for key, value in config.items() if key not in unread}


def run(values: Mapping[str, Any], root: str, tell: Tell | None = None) -> Record:
    """Do a job, or take it up, or read it, below `root`; the record has its last metrics and where the weights lie.

    `values` is `TrainJob.as_values()`. Raises what training raises: UserError, ValueError, OSError.
    """
    from avgmargin.networks.experiments import DataSource, run_training

    job = TrainJob(**values)
    with _held(Path(root) / ".locks" / job.name):
        found = run_training(
            job.config, DataSource(**job.source), Path(root) / job.name, tell or (lambda epoch, words: None)
        )
        if found["data"]["sha256"] != job.sha256:
            raise UserError(f"{job.name}: data of fingerprint {found['data']['sha256'][:12]} must be {job.sha256[:12]}")
        measured, measures = None, {}
        if job.measure is not None and found["status"] == "done":
            from avgmargin.networks.measuring import Plan, measure_run
            from avgmargin.networks.tables import measures_of

            place = Path("measured") / job.name
            folder = job.source["folder"]
            plan = Plan.from_values(job.measure)
            known = measure_run(Path(root) / job.name, folder, plan, Path(root) / place)
            measured, measures = place.as_posix(), measures_of(known["epochs"][-1]["parts"])
    return {
        "key": job.key,
        "name": job.name,
        "folder": job.name,
        "rows": list(job.rows),
        "config": found["config"],
        "data": found["data"],
        "status": found["status"],
        "advice": found["advice"],
        "notes": found["notes"],
        "epochs": len(found["epochs"]) - 1,
        "final": found["epochs"][-1] if found["epochs"] else None,
        "measured": measured,
        "measures": measures,
        "error": None,
    }


def run_guarded(values: Mapping[str, Any], root: str, parent: int | None = None) -> Record:
    """`run`, with a failure as a record of status `failed`; ends with the process `parent`, if one is given."""
    if parent is not None and parent != os.getpid():
        _end_with(parent)
    try:
        return run(values, root)
    except Exception as error:  # whatever stops one job is told of, and must not stop the others
        return failed(values, error)


def failed(values: Mapping[str, Any], error: BaseException) -> Record:
    """The record of a job that did not come to an end."""
    job = TrainJob(**values)
    words = one_line(str(error) or type(error).__name__)
    if not isinstance(error, (UserError, ValueError, OSError)):
        words = f"{type(error).__name__}: {words}"
    empty: Record = {"data": None, "advice": "", "notes": [], "epochs": 0, "final": None}
    empty |= {"measured": None, "measures": {}}
    return {
        "key": job.key,
        "name": job.name,
        "folder": job.name,
        "rows": list(job.rows),
        "config": dict(job.config),
        "status": "failed",
        **empty,
        "error": words,
    }


_watched: set[int] = set()


def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone, even by SIGKILL; once for each parent."""
    if parent in _watched:
        return
    _watched.add(parent)

    def watch() -> None:
        while _alive(parent):
            time.sleep(_WATCH)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a file lock; wait where another process has it. Where the system has no such locks, nothing is held."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
