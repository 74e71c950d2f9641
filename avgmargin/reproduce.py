"""The main job: every part, the report, and a run folder that can be taken up again.

    config.toml env.json parts/ certificates/ deep/<run>/ data/*.csv figures/
    report.json report.html manifest.json summary.json

`summary.json` is written last and marks a finished run.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

import theory
from theory.storage import sha256_of_bytes, write_atomic

from .common.environment import check_fit, describe
from .common.errors import UserError
from .common.files import dump_json, make_folder, slug
from .jobs import plan
from .jobs.pool import run_jobs
from .jobs.progress import Progress
from .report import assemble as report

_FILES = ("config.toml", "env.json", "report.json", "report.html", "manifest.json", "summary.json")
_FOLDERS = ("parts", "certificates", "deep", "data", "figures")


def reproduce(request: plan.Request, root: Path, workers: int, words: Sequence[str]) -> dict[str, Any]:
    """Do all parts below `root` and write the report; returns the summary, which is the last file written.

    Raises, before any work, Unfit for a float environment unfit for proofs and UserError or ValueError for a folder
    that cannot be used or data that cannot be read. `words` is the command as typed, for the report.
    """
    check_fit()
    begin = time.perf_counter()
    request = _with_data(request)
    jobs = plan.jobs(request, _catalogue())
    _open(root)
    environment = describe() | {"command": shlex.join(["avgmargin", *words]), "workers": workers}
    write_atomic(root / "config.toml", tomli_w.dumps(plan.as_config(request, jobs)).encode("utf-8"))
    write_atomic(root / "env.json", dump_json(environment))
    with Progress(jobs) as progress:
        records = run_jobs(jobs, root, workers, progress)
    made = report.assemble(request, jobs, records, environment)
    made["timing"]["wall_seconds"] = round(time.perf_counter() - begin, 3)
    report.write(made, root)
    return _close(root, made, records)


def _catalogue() -> dict[str, tuple[int, ...]]:
    """The losses and the class counts for which each has a formula."""
    return {
        entry.name: tuple(c for c in plan.CLASSES if (entry.binary if c == 2 else entry.multiclass) is not None)
        for entry in map(theory.catalogue.entry, theory.catalogue.CORE)
    }


def _with_data(request: plan.Request) -> plan.Request:
    """The request with name and fingerprint of the IDX files, which are read here so that damage is found at once."""
    if request.data_dir is None:
        return request
    from .networks.experiments import DataSource, load

    name = slug(Path(request.data_dir).absolute().name)
    dataset = load(DataSource(folder=request.data_dir, name=name))
    return replace(request, data_name=name, data_sha256=dataset.fingerprint)


def _open(root: Path) -> None:
    """Make or take up a run folder; one with foreign files in it is refused."""
    make_folder(root)
    found = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
    foreign = [name for name in found if name not in (*_FILES, *_FOLDERS)]
    if foreign or (found and "config.toml" not in found):
        raise UserError(f"output folder {str(root)!r} holds {(foreign or found)[0]!r}; a run needs a folder of its own")
    for name in ("summary.json", "manifest.json"):
        (root / name).unlink(missing_ok=True)
    for left in root.rglob(".*.tmp"):
        left.unlink(missing_ok=True)


def _close(root: Path, made: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Drop what earlier configurations left, then write the manifest and, last, the summary."""
    current = {str(Path(name).parts[1]) for record in records for name in record["files"]}
    for file in (root / "certificates").glob("*.json"):
        if file.name not in current:
            file.unlink()
    names = [p for p in root.rglob("*") if p.is_file() and not p.is_symlink()]
    digests = {p.relative_to(root).as_posix(): sha256_of_bytes(p.read_bytes()) for p in names}
    write_atomic(root / "manifest.json", dump_json({"sha256": dict(sorted(digests.items()))}))
    summary = {
        "status": "failed" if report.failed(made) else "done",
        "failed": report.failed(made),
        "counts": made["counts"],
        "claims": [{key: claim[key] for key in ("key", "title", "holds", "text")} for claim in made["claims"]],
        "report": str(root / "report.html"),
        "wall_seconds": made["timing"]["wall_seconds"],
    }
    write_atomic(root / "summary.json", dump_json(summary))
    return summary
