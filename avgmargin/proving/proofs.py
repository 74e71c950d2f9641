"""Verdicts with stored certificates, and their re-verification in a process that knows nothing but the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import theory
from avgmargin.common.environment import check_fit
from avgmargin.common.errors import UserError
from avgmargin.common.files import check_can_make, dump_json, slug
from theory.storage import sha256_of_bytes, write_atomic

from .resolve import label, parameter_texts

_CHECK_SECONDS = 900


@dataclass(frozen=True)
class Effort:
    """What a proof may cost and which decision it is about (see `theory.prove`)."""

    classes: int | None = None
    threshold: str = "1/2"
    boxes: int = 20_000
    seconds: float = 60.0
    delta: str | None = None


def prove_and_store(loss: theory.Loss, effort: Effort, folder: Path) -> dict[str, Any]:
    """The verdict as plain JSON values, with the path of its certificate, written atomically into `folder`.

    `certificate` is None, and `folder` is left alone, where the verdict has none. Raises Unfit before any work when the
    float environment is unfit, UserError when the folder cannot be written, ValueError for what cannot be proved.
    """
    check_fit()
    check_can_make(folder)
    start = time.perf_counter()
    verdict = theory.prove(
        loss,
        classes=effort.classes,
        threshold=effort.threshold,
        delta=effort.delta,
        boxes=effort.boxes,
        seconds=effort.seconds,
    )
    spent = time.perf_counter() - start
    path = None if verdict.certificate is None else store(verdict.certificate, folder)
    return {
        **verdict.summary(),
        "label": label(loss),
        "classes": effort.classes or 2,
        "formula": formula(loss, effort.classes),
        "parameters": parameter_texts(loss),
        "certificate": None if path is None else str(path),
        "seconds": round(spent, 3),
    }


def store(certificate: dict[str, Any], folder: Path) -> Path:
    """Write a certificate as <loss>-<first 8 digits of its SHA-256>.json; UserError where that is not possible."""
    data = dump_json(certificate)
    path = folder / f"{slug(str(certificate['loss']['name']))}-{sha256_of_bytes(data)[:8]}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
    except OSError as error:
        raise UserError(f"certificate {str(path)!r} cannot be written: {error.strerror or error}") from None
    return path


def formula(loss: theory.Loss, classes: int | None) -> str:
    """The formula that a proof is about: the multiclass one when classes are named and the loss has it."""
    forms = loss.to_dict()
    if classes is not None and "multiclass" in forms:
        return str(forms["multiclass"])
    if "plus" in forms:
        return f"y = +1: {forms['plus']}; y = -1: {forms['minus']}"
    return str(forms.get("binary") or forms["multiclass"])


def witness_text(witness: Mapping[str, Any]) -> str:
    """The exact witness of a refutation in words: posterior and wrong score or scores."""
    reached = {"limit": " (in the limit)", "ties": " (near the best tied scores)"}.get(str(witness.get("at")), "")
    if "eta" in witness:
        return f"\u03b7 = {witness['eta']}, score {witness['score']}{reached}"
    scores = ", ".join(map(str, witness.get("scores", ())))
    wrong = f", wrong class {witness['wrong_class']} on top" if "wrong_class" in witness else ""
    return f"p = ({', '.join(map(str, witness['p']))}), scores ({scores}){wrong}{reached}"


def check_files(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Verify certificates in this process: one record per file, `error` set where it cannot be read.

    A record has `path`, `valid`, `claim`, `loss`, `boxes`, `reason`, `error`.
    """
    return [_check_file(path) for path in paths]


def _check_file(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = {"path": str(path), "valid": False, "claim": None, "loss": None, "boxes": 0}
    try:
        result = theory.check(path)
    except ValueError as error:
        return record | {"reason": None, "error": str(error)}
    found = {"valid": result.valid, "claim": result.claim, "loss": result.loss, "boxes": result.boxes}
    return record | found | {"reason": result.reason, "error": None}


def check_elsewhere(path: Path) -> dict[str, Any]:
    """Verify one certificate in a fresh process, `python -m avgmargin check`; its record, as in `check_files`.

    A process that fails, or answers anything but a record, counts as a refusal with its last words as the reason.
    """
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    command = [sys.executable, "-m", "avgmargin", "check", "--json", "--", str(path)]
    refused = {"path": str(path), "valid": False, "claim": None, "loss": None, "boxes": 0, "error": None}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_CHECK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return refused | {"reason": f"not verified within {_CHECK_SECONDS} s"}
    try:
        record = json.loads(done.stdout)["results"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        words = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no answer"]
        return refused | {"reason": f"the checking process ended with code {done.returncode}: {words[-1][:200]}"}
    if bool(record["valid"]) != (done.returncode == 0):
        return refused | {"reason": f"the checking process ended with code {done.returncode}"}
    return {**record, "path": str(path)}
