"""What a worker process does for each kind of job; everything heavy is imported here, in the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from theory.storage import sha256_of_bytes

from .job import Job

Tell = Callable[[int, str], None]


def execute(job: Job, root: Path, tell: Tell) -> dict[str, Any]:
    """Do one job; the answer has its `result` and the `files` it made, as paths below `root` with their SHA-256."""
    return _KINDS[job.part](job, root, tell)


def _proof(job: Job, root: Path, tell: Tell) -> dict[str, Any]:
    import theory
    from avgmargin.laws.verification import seen_to_fail
    from avgmargin.proving.proofs import Effort, check_elsewhere, check_files, prove_and_store

    entry, given = theory.catalogue.entry(job.settings["loss"]), job.settings.get("parameters", {})
    loss = entry.build(**given)
    classes = None if job.settings["classes"] == 2 else job.settings["classes"]
    threshold = str(entry.threshold_at(**given))
    effort = Effort(classes, threshold, boxes=job.settings["boxes"], seconds=job.settings["seconds"])
    found = prove_and_store(loss, effort, root / "certificates")
    spent = found.pop("seconds")
    checked = None
    if found["certificate"] is not None:
        tell(0, f"{found['status'].lower()}; checking the certificate")
        path = Path(found["certificate"])
        found["certificate"] = f"certificates/{path.name}"
        # "here" saves the start of a process, a second for each of some hundred certificates
        answer = check_files([path])[0] if job.settings.get("check") == "here" else check_elsewhere(path)
        checked = {**answer, "path": found["certificate"]}
    literature = {"title": entry.title, "strength": entry.strength, "source": entry.source}
    seen = seen_to_fail(loss, found["witness"])
    result = {**found, "literature": literature, "check": checked, "witness_seen": seen}
    return {"result": result, "search_seconds": spent, "files": _files(root, found["certificate"])}


def _curves(job: Job, root: Path, tell: Tell) -> dict[str, Any]:
    from avgmargin.laws import curves

    points = job.settings["points"]
    result = {
        "near_tie": curves.near_tie(points),
        "minimisers": curves.minimisers(points),
        "calibration": curves.calibration(points),
        "sticking_limit": curves.sticking_limit(),
        "family": curves.family(),
    }
    return {"result": result, "files": {}}


def _population(job: Job, root: Path, tell: Tell) -> dict[str, Any]:
    from avgmargin.laws import population, records
    from avgmargin.laws.request import read
    from avgmargin.proving.resolve import LossRequest

    asked = job.settings
    request = read([], None, None, asked["scale"], asked["seed"], False)
    laws = request.laws if asked["laws"] is None else tuple((name, {}) for name in asked["laws"])
    if "loss" not in asked:
        return {"result": population.describe_laws(replace(request, laws=laws)), "files": {}}
    losses = (LossRequest(asked["loss"]),)
    wanted = replace(request, losses=losses, laws=laws, thorough=True)
    return {"result": records.record(wanted, 0), "files": {}}


def _learning(job: Job, root: Path, tell: Tell) -> dict[str, Any]:
    from avgmargin.laws.learning import Settings, compute

    asked = {**job.settings, "losses": tuple(job.settings["losses"]), "sizes": tuple(job.settings["sizes"])}
    result, _ = compute(Settings(learner="histogram", **asked), None, lambda words: tell(0, words))
    return {"result": result, "files": {}}


def _frontier(job: Job, root: Path, tell: Tell) -> dict[str, Any]:
    from avgmargin.laws.frontier import Settings, compute

    settings = Settings(**{**job.settings, "losses": tuple(job.settings["losses"])})
    result, _, _ = compute(settings, lambda words: tell(0, words))
    return {"result": result, "files": {}}


def _training(job: Job, root: Path, tell: Tell) -> dict[str, Any]:
    from avgmargin.networks.experiments import DataSource, run_training

    folder = f"deep/{job.name}-{job.key[:8]}"
    (root / "deep").mkdir(exist_ok=True)
    result = run_training(job.settings["config"], DataSource(**job.settings["source"]), root / folder, tell)
    notes = result.pop("notes")
    result["folder"] = folder
    files = _files(
        root, *(f"{folder}/{name}" for name in ("config.toml", "metrics.jsonl", "manifest.json", "summary.json"))
    )
    return {"result": result, "notes": notes, "files": files}


def _files(root: Path, *names: str | None) -> dict[str, str]:
    return {name: sha256_of_bytes((root / name).read_bytes()) for name in names if name is not None}


_KINDS: dict[str, Callable[[Job, Path, Tell], dict[str, Any]]] = {
    "proofs": _proof,
    "curves": _curves,
    "synthetic": _population,
    "learning": _learning,
    "frontier": _frontier,
    "training": _training,
}
