"""The readers under test, each with good inputs to start from.  Everything lives in a folder that is passed in."""

from __future__ import annotations

import encodings.cp437  # noqa: F401 - zipfile loads it for odd member names, and loading a module is an `exec`
import gzip
import io
import json
import random
import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import theory
from deep import (
    CheckpointError,
    DataError,
    Dataset,
    RunFolderError,
    TrainConfig,
    load_cifar10,
    load_published,
    load_run,
    read_idx,
    train,
)
from tests.fuzz.harness import Target
from tests.fuzz.mutate import bytes_near, formula, json_near
from theory.expression import BINARY_NAMES, SCORE_NAMES, FormulaError, parse
from theory.losses import from_formula
from theory.second import check_second

FORMULAS = {
    BINARY_NAMES: (
        "log1p(exp(-t))", "max(0, 1 - t)**2", "log1p(exp(-t)) + clip(5 - t, 0, 5)/10", "where(t < 0, 1, exp(-t**2))",
        "1/(1 + exp(2*t)) - tanh(t/3)", "min(1, max(0, 1/2 - t/2)) + abs(t)/7", "softplus(1 - 3/2*t)",
    ),
    SCORE_NAMES: (
        "lse - fy", "lse - fy + clip(5 - alpha, 0, 5)/10", "sum_other(max(0, 1 + fk - fy))", "max_other(1 + fk - fy)",
        "1 - q + sum_other(qk**2)", "-log(q)*(1 - q)**2",
    ),
}  # fmt: skip
PROVED = {
    "logistic": ("log1p(exp(-t))", None),
    "hinge": ("max(0, 1 - t)", None),
    "perceptron": ("max(0, -t)", None),
    "ramp": ("clip(1 - t, 0, 2)", None),
    "cross-entropy": ("lse - fy", 3),
    "crammer-singer": ("max(0, 1 - alpha)", 3),
}


def targets(folder: Path) -> list[Target]:
    """Every target, its files below `folder`."""
    return [
        *(_formulas(names) for names in FORMULAS),
        _certificates("certificate", lambda value: theory.check(value).valid),
        _certificates("certificate, second arithmetic", lambda value: check_second(value).verified),
        _certificate_bytes(folder / "certificate.json"),
        *(_idx(folder / f"idx-{kind}", kind) for kind in ("plain", "gzip")),
        *(_cifar(folder / f"cifar-{kind}", kind) for kind in ("files", "archive")),
        _published(folder / "weights.tar"),
        *(_run_folder(folder, name) for name in ("manifest.json", "summary.json", "config.toml", "metrics.jsonl")),
    ]


def _formulas(names: frozenset[str]) -> Target:
    good = FORMULAS[names]

    def read(text: str) -> bool:
        tree = parse(text, names)
        again = parse(str(tree), names)  # what was read can be written, and is read as the same
        assert str(again) == str(tree), (str(again), str(tree))
        return True

    kind = "binary" if names == BINARY_NAMES else "scores"
    return Target(f"formula, {kind}", lambda rng: formula(rng, good), read, (FormulaError,))


def _proofs() -> list[dict[str, Any]]:
    found = []
    for text, classes in PROVED.values():
        verdict = theory.prove(from_formula(text, classes=classes), classes=classes)
        assert verdict.certificate is not None
        found.append(json.loads(json.dumps(verdict.certificate)))
    return found


def _certificates(name: str, check: Callable[[Any], bool]) -> Target:
    good = _proofs()

    def draw(rng: random.Random) -> str:
        return json.dumps(json_near(rng, rng.choice(good)))

    def read(text: str) -> bool:
        return check(json.loads(text))

    return Target(name, draw, read, (theory.CertificateError,))


def _certificate_bytes(path: Path) -> Target:
    good = [json.dumps(proof).encode() for proof in _proofs()]

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        return theory.check(path).valid

    return Target("certificate file", lambda rng: bytes_near(rng, rng.choice(good)), read, (theory.CertificateError,))


def _idx(path: Path, kind: str) -> Target:
    images = struct.pack(">BBBB3I", 0, 0, 8, 3, 3, 4, 5) + bytes(range(60))
    good = images if kind == "plain" else gzip.compress(images)

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        assert read_idx(path, ndim=3, max_bytes=1 << 20).nbytes <= 1 << 20
        return True

    return Target(f"IDX, {kind}", lambda rng: bytes_near(rng, good), read, (DataError,))


def _cifar(folder: Path, kind: str) -> Target:
    folder.mkdir(parents=True, exist_ok=True)
    names = [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]
    record = bytes([3]) + bytes(3072)
    if kind == "files":
        good = record
        for name in names:
            (folder / name).write_bytes(record)
    else:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for name in names:
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = len(record)
                archive.addfile(member, io.BytesIO(record))
        good = stream.getvalue()
    path = folder / (names[2] if kind == "files" else "cifar-10-binary.tar.gz")

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        return len(load_cifar10(folder, records=1).train_y) == 5

    return Target(f"CIFAR-10, {kind}", lambda rng: bytes_near(rng, good), read, (DataError,))


def _published(path: Path) -> Target:
    stream = io.BytesIO()
    weights = {"fc.weight": torch.arange(12.0).reshape(3, 4), "fc.bias": torch.zeros(3)}
    torch.save({"model_state_dict": weights, "test_acc": 0.5}, stream)
    good = stream.getvalue()

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        load_published(path)
        return True

    return Target("published checkpoint", lambda rng: bytes_near(rng, good), read, (CheckpointError,))


def _run_folder(home: Path, name: str) -> Target:
    run = home / f"run-{name.split('.')[0]}"
    shutil.rmtree(run, ignore_errors=True)
    pixels = np.linspace(0.0, 1.0, 24, dtype=np.float32).reshape(6, 4)
    data = Dataset("toy", pixels, np.arange(6) % 2, pixels, np.arange(6) % 2)
    train(TrainConfig(dataset="toy", epochs=1, batch_size=3), data, run)
    good = (run / name).read_bytes()

    def read(given: bytes) -> bool:
        (run / name).write_bytes(given)
        load_run(run)
        assert name == "manifest.json" or given == good, "an altered file was accepted"
        return True

    return Target(f"run folder, {name}", lambda rng: bytes_near(rng, good), read, (RunFolderError,))
