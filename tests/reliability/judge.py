"""What may lie in a folder at any moment, and what of a finished one must not depend on how often it was disturbed."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

import theory
from deep import RunFolderError, load_model, load_progress
from deep._folder import RunFolder
from theory.storage import sha256_of_bytes, sha256_of_file

_TIMES = frozenset(
    ["seconds", "wall_seconds", "search_seconds", "timing", "notes", "reused", "files", "environment", "metrics"]
)
"""Names of JSON entries that hold times, or sums of files that hold times, or say that a run was taken up."""


def files(folder: Path) -> dict[str, Path]:
    """The files that a reader would look at: no temporary ones, no locks."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if not any(p.startswith(".") for p in Path(name).parts)}


def unfinished(folder: Path) -> list[Path]:
    """The temporary files that a writer stopped in mid-write has left; no reader looks at them."""
    return [path for path in sorted(folder.rglob(".*.tmp")) if path.is_file()]


def faults(folder: Path) -> list[str]:
    """Every broken rule, in words: files neither complete nor absent, proofs and checkpoints that do not hold."""
    found = []
    for name, path in files(folder).items():
        try:
            _whole(path)
        except (ValueError, LookupError, RuntimeError, AssertionError, SafetensorError) as error:
            found.append(f"{name}: {type(error).__name__}: {str(error)[:120]}")
    for marker in sorted(folder.rglob("checkpoints")):
        try:
            _run(marker.parent)
        except (RunFolderError, ValueError, LookupError, AssertionError, SafetensorError) as error:
            found.append(f"{marker.parent.relative_to(folder)}: {type(error).__name__}: {str(error)[:160]}")
    for name, path in files(folder).items():
        if path.name == "summary.json" and (manifest := path.with_name("manifest.json")).exists():
            listed = json.loads(manifest.read_bytes())["sha256"]
            wrong = [n for n, digest in listed.items() if _sum(path.parent / n) != digest]
            found += [f"{name}: {n} is not as the manifest says" for n in wrong]
        elif path.name == "summary.json":
            found.append(f"{name}: no manifest beside it")
    return found


def _sum(path: Path) -> str | None:
    return sha256_of_file(path) if path.is_file() else None


def _whole(path: Path) -> None:
    data = path.read_bytes()
    match path.suffix:
        case ".json":
            json.loads(data)
            if path.parent.name == "certificates":
                assert theory.check(path).valid, "the certificate does not verify"
        case ".jsonl":
            assert not data or data.endswith(b"\n"), "a torn last line"
            assert all(json.loads(line) for line in data.splitlines())
        case ".toml":
            tomllib.loads(data.decode())
        case ".csv":
            assert data.endswith(b"\n"), "a torn last line"
            assert len({len(row) for row in csv.reader(data.decode().splitlines())}) == 1, "rows of different lengths"
        case ".html" | ".svg":
            assert data.rstrip().endswith(f"</{path.suffix[1:]}>".encode()), "the end is missing"
        case ".safetensors":
            load_tensors(data)
        case ".sha256":
            digest, name = data.decode().split()
            kept = path.with_name(name)
            assert len(digest) == 64, "no SHA-256"
            assert not kept.exists() or sha256_of_file(kept) == digest, "not the sum of its file"
        case _:
            raise AssertionError("a file that no rule is about")


def _run(run: Path) -> None:
    """Checkpoints whose marker is there load, and a run that says it is finished is as its manifest says."""
    stored = RunFolder(run)
    markers = sorted((run / "checkpoints").glob("epoch-*.json"))
    found = stored.load_checkpoint()
    assert found is not None or not markers, "no checkpoint can be loaded"
    if found is not None:
        assert found[0] == json.loads(markers[-1].read_bytes())["epoch"], "the newest checkpoint cannot be loaded"
        load_tensors(found[1])
        load_tensors(found[2])
    if (run / "config.toml").exists():
        load_progress(run)
    if (run / "summary.json").exists():
        stored.verify()
        load_model(run)


def steady(folder: Path) -> dict[str, Any]:
    """Of a finished folder, by file: what must come out the same however often the command was killed."""
    return {name: _steady(path) for name, path in files(folder).items() if path.name != "env.json"}


def unmarked(path: Path) -> bool:
    """Whether a file is a piece of a checkpoint without its marker, which makes it no checkpoint."""
    stem = path.name.split(".")[0]
    return path.parent.name == "checkpoints" and path.suffix != ".json" and not path.with_name(f"{stem}.json").exists()


def _steady(path: Path) -> Any:
    data = path.read_bytes()
    if path.parent.name == "certificates" or path.suffix not in (".json", ".jsonl", ".html"):
        return sha256_of_bytes(data)
    if path.suffix == ".html":
        return "there" if (path.parent / "env.json").exists() else sha256_of_bytes(data)  # a whole run shows its times
    if path.name == "manifest.json":
        return sorted(json.loads(data)["sha256"])
    return _timeless([json.loads(line) for line in data.splitlines()] if path.suffix == ".jsonl" else json.loads(data))


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in _TIMES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value
