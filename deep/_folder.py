"""The run folder: what lies where, written so that it can be interrupted at any moment.

    config.toml  env.json  metrics.jsonl  checkpoints/  milestones/  manifest.json  summary.json

``summary.json`` is written last, in one step, and marks a finished run; ``manifest.json`` holds the SHA-256 of every
other file, the coming summary included.  A checkpoint is two safetensors files and a JSON file with their SHA-256,
written last: a checkpoint whose JSON file is absent, or whose bytes do not match it, does not exist.  ``milestones/``
(``_milestones``) keeps weights for good, so that anything can be measured through training afterwards.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from theory.storage import sha256_of_bytes, sha256_of_file, write_atomic

from ._locks import Taken, alone
from ._milestones import Milestones
from ._store import RunFolderError, dump_json, read_object, writing

__all__ = ["RunFolder"]

_KEEP = 2  # checkpoints: the newest, and the one before in case the newest is damaged


class RunFolder:
    """Reading and writing of one run folder; it knows files and bytes, not models."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._checkpoints = self.path / "checkpoints"
        self._metrics = self.path / "metrics.jsonl"
        self.milestones = Milestones(self.path)

    # -- the whole folder ---------------------------------------------------------------------------------------------

    def stored_config(self) -> dict[str, Any] | None:
        """The values in ``config.toml``, or None where there is none; ``RunFolderError`` if unreadable."""
        try:
            return tomllib.loads((self.path / "config.toml").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise RunFolderError(f"{self.path}/config.toml: cannot be read ({error})") from error

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The object in a JSON file of the folder, or None where there is none.  Raises ``RunFolderError``."""
        return read_object(self.path / name)

    def create(self, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Make the folder with its configuration and environment; raises ``RunFolderError`` where it cannot be written.

        A folder that already holds other files, and no configuration, is refused.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            ours = {"env.json", "checkpoints"}  # all that an earlier call, stopped in here, may have left
            foreign = sorted(p.name for p in self.path.iterdir() if not p.name.startswith(".") and p.name not in ours)
            if foreign:
                raise RunFolderError(
                    f"{self.path}: holds {foreign[0]!r} but no config.toml; a run needs its own folder"
                )
            self._checkpoints.mkdir(exist_ok=True)
            write_atomic(self.path / "env.json", dump_json(environment))
            write_atomic(self.path / "config.toml", tomli_w.dumps(dict(config)).encode())
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be written ({error.strerror or error})") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Write in the folder while no other process does; raises ``RunFolderError`` where one does, after a wait."""
        try:
            with alone(self.path):
                yield
        except Taken:
            raise RunFolderError(
                f"{self.path}: another process trains in this folder; wait, or give another one"
            ) from None

    def reopen(self, config: Mapping[str, Any]) -> None:
        """Make a run unfinished, with this configuration in place of the stored one; raises ``RunFolderError``."""
        with writing(self.path / "config.toml"):
            (self.path / "summary.json").unlink(missing_ok=True)
            (self.path / "manifest.json").unlink(missing_ok=True)
            write_atomic(self.path / "config.toml", tomli_w.dumps(dict(config)).encode())

    def check_writable(self) -> None:
        """Raise ``RunFolderError`` unless files can be made in the folder."""
        try:
            self._checkpoints.mkdir(exist_ok=True)
            probe = self._checkpoints / ".probe"
            write_atomic(probe, b"")
            probe.unlink()
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be written ({error.strerror or error})") from error

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write ``manifest.json``, then ``summary.json``: after this the run is done."""
        data = dump_json(summary)
        with writing(self.path / "summary.json"):
            with self._metrics.open("rb") as file:
                os.fsync(file.fileno())
            for left in (*self.path.rglob(".*.tmp"),):
                left.unlink(missing_ok=True)
            files = {str(p.relative_to(self.path).as_posix()): sha256_of_file(p) for p in self._files()}
            files["summary.json"] = sha256_of_bytes(data)
            write_atomic(self.path / "manifest.json", dump_json({"sha256": dict(sorted(files.items()))}))
            write_atomic(self.path / "summary.json", data)

    def verify(self) -> None:
        """Compare every file with ``manifest.json``; raises ``RunFolderError`` with the first that differs."""
        manifest = self.read_json("manifest.json")
        expected = {} if manifest is None else manifest.get("sha256")
        if not isinstance(expected, dict) or "summary.json" not in expected:
            raise RunFolderError(f"{self.path}/manifest.json: must list the SHA-256 of every file of a finished run")
        for name, digest in expected.items():
            file, shown = self.path / name, name if name.isprintable() else repr(name)
            if not file.resolve().is_relative_to(self.path.resolve()) or not file.is_file():
                raise RunFolderError(f"{self.path}/{shown}: is listed in manifest.json and must be there")
            if sha256_of_file(file) != digest:
                raise RunFolderError(
                    f"{self.path}/{shown}: SHA-256 must be the one in manifest.json; the file was altered"
                )

    def _files(self) -> list[Path]:
        skip = {self.path / "manifest.json", self.path / "summary.json"}
        return [p for p in self.path.rglob("*") if p.is_file() and not p.is_symlink() and p not in skip]

    # -- metrics ------------------------------------------------------------------------------------------------------

    def read_metrics(self) -> tuple[list[dict[str, Any]], str]:
        """Return the records of epochs 0, 1, 2, ... as far as they go, and a word about anything dropped after them."""
        if not self._metrics.is_file():
            return [], ""
        *lines, torn = self._metrics.read_bytes().split(b"\n")
        records: list[dict[str, Any]] = []
        for number, line in enumerate(lines):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict) or record.get("epoch") != number:
                return (
                    records,
                    f"metrics.jsonl: line {number + 1} and what follows it was dropped (no record of epoch {number})",
                )
            records.append(record)
        return records, f"metrics.jsonl: a torn last line of {len(torn)} bytes was dropped" if torn else ""

    def rewrite_metrics(self, records: list[dict[str, Any]]) -> None:
        """Replace ``metrics.jsonl`` by these records, in one step."""
        with writing(self._metrics):
            write_atomic(self._metrics, b"".join(map(_line, records)))

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Append one record with a single write (with more where the system takes a part of it)."""
        left = memoryview(_line(record))
        with writing(self._metrics):
            descriptor = os.open(self._metrics, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                while left:
                    left = left[os.write(descriptor, left) :]
            finally:
                os.close(descriptor)

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def save_checkpoint(self, epoch: int, weights: bytes, state: bytes) -> None:
        """Store a checkpoint and drop all but the newest two."""
        files = {f"epoch-{epoch:05d}.safetensors": weights, f"epoch-{epoch:05d}.state.safetensors": state}
        records = self._metrics.read_bytes() if self._metrics.is_file() else b""
        marker = {
            "epoch": epoch,
            "sha256": {name: sha256_of_bytes(data) for name, data in files.items()},
            "metrics": {"bytes": len(records), "sha256": sha256_of_bytes(records)},
            "milestones": dict(self.milestones.sums),
        }
        with writing(self._checkpoints / f"epoch-{epoch:05d}.safetensors"):
            for name, data in files.items():
                write_atomic(self._checkpoints / name, data)
            write_atomic(self._checkpoints / f"epoch-{epoch:05d}.json", dump_json(marker))
            self._keep(self._epochs()[-_KEEP:])

    def drop_checkpoints_after(self, epoch: int) -> None:
        """Delete the checkpoints of later epochs, which a run that goes on from ``epoch`` will write again."""
        self._keep([kept for kept in self._epochs() if kept <= epoch][-_KEEP:])

    def load_checkpoint(self, latest: int | None = None) -> tuple[int, bytes, bytes] | None:
        """Return epoch, weights and state of the newest sound checkpoint, up to epoch ``latest``; None without one.

        Raises ``RunFolderError`` where the records or milestones up to it are not those that were there when it was
        made: they cannot be made again from the checkpoint.
        """
        for epoch in reversed(self._epochs()):
            if latest is not None and epoch > latest:
                continue
            stem = self._checkpoints / f"epoch-{epoch:05d}"
            try:
                marker = json.loads(Path(f"{stem}.json").read_bytes())
                if not isinstance(marker, dict) or not marker.keys() <= {"epoch", "sha256", "metrics", "milestones"}:
                    continue
                sums = marker["sha256"]
                data = [Path(f"{stem}{suffix}").read_bytes() for suffix in (".safetensors", ".state.safetensors")]
                if [sums[f"{stem.name}.safetensors"], sums[f"{stem.name}.state.safetensors"]] == list(
                    map(sha256_of_bytes, data)
                ):
                    self._check_history(marker)
                    return epoch, data[0], data[1]
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None

    def _check_history(self, marker: Mapping[str, Any]) -> None:
        """Compare records and milestones with what a checkpoint lists; folders older than these lists have none."""
        if (expected := marker.get("metrics")) is not None:
            stored = self._metrics.read_bytes()[: int(expected["bytes"])]
            if sha256_of_bytes(stored) != expected["sha256"]:
                raise RunFolderError(f"{self._metrics}: the records of stored epochs were altered; give another folder")
        self.milestones.take(marker.get("milestones", {}))

    def _keep(self, epochs: list[int]) -> None:
        """Delete every file of another checkpoint, its marker first; what a kill has left of one goes with them."""
        kept = {f"epoch-{epoch:05d}" for epoch in epochs}
        others = [file for file in self._checkpoints.glob("epoch-*") if file.name.partition(".")[0] not in kept]
        for file in sorted(others, key=lambda file: file.suffix != ".json"):
            file.unlink(missing_ok=True)

    def _epochs(self) -> list[int]:
        names = (p.name.removesuffix(".json").removeprefix("epoch-") for p in self._checkpoints.glob("epoch-*.json"))
        return sorted(int(name) for name in names if name.isdecimal())


def _line(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, allow_nan=False) + "\n").encode()
