"""Weights kept for good: those of epochs 0, 1, 2, 5, 10, 20, 50, ..., each with its SHA-256 in a file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from theory.storage import sha256_of_bytes, sha256_of_file, write_atomic

from ._store import RunFolderError, read_object, writing

__all__ = ["Milestones", "is_milestone"]


def is_milestone(epoch: int) -> bool:
    """Whether the weights of an epoch are kept for good: 0, 1, 2, 5, 10, 20, 50, ...

    >>> [epoch for epoch in range(60) if is_milestone(epoch)]
    [0, 1, 2, 5, 10, 20, 50]
    """
    return epoch == 0 or str(epoch).rstrip("0") in ("1", "2", "5")


class Milestones:
    """The folder ``milestones/`` of a run folder.

    sums : the files in it that this process wrote or found listed, with their SHA-256, as every checkpoint lists them.
    """

    def __init__(self, run: Path) -> None:
        self._run, self._path = run, run / "milestones"
        self.sums: dict[str, str] = {}

    def save(self, epoch: int, weights: bytes) -> None:
        """Keep these weights for good if ``epoch`` is 0 or has the digits 1, 2 or 5 and zeros; and their SHA-256."""
        if is_milestone(epoch):
            file = self._path / f"epoch-{epoch:05d}.safetensors"
            with writing(file):
                self._path.mkdir(exist_ok=True)
                line = f"{sha256_of_bytes(weights)}  {file.name}\n".encode()
                for path, data in ((file.with_suffix(".sha256"), line), (file, weights)):
                    write_atomic(path, data)
                    self.sums[path.name] = sha256_of_bytes(data)

    def drop_after(self, epoch: int) -> None:
        """Delete what is kept of later epochs, half-written ones too; raises ``RunFolderError``."""
        for file in self._path.glob("epoch-*.*"):
            number = file.stem.removeprefix("epoch-")
            if number.isdecimal() and int(number) > epoch:
                self.sums.pop(file.name, None)
                with writing(file):
                    file.unlink()

    def files(self) -> dict[int, Path]:
        """The kept weights by epoch, in order."""
        names = {file.stem.removeprefix("epoch-"): file for file in self._path.glob("epoch-*.safetensors")}
        return {epoch: names[name] for epoch, name in sorted((int(n), n) for n in names if n.isdecimal())}

    def read(self, epoch: int) -> bytes:
        """The kept weights of an epoch; ``RunFolderError`` where there are none, or altered ones."""
        kept = self.files()
        if epoch not in kept:
            raise RunFolderError(
                f"{self._run}: epoch={epoch!r} must be one that is kept: {', '.join(map(str, kept)) or 'none'}"
            )
        data = kept[epoch].read_bytes()
        if (expected := self._sum_of(kept[epoch])) not in (None, sha256_of_bytes(data)):
            raise RunFolderError(f"{kept[epoch]}: SHA-256 must be {expected}; the file was altered")
        return data

    def take(self, sums: Mapping[str, str]) -> None:
        """Take up the files that a checkpoint lists; ``RunFolderError`` unless each is there with its SHA-256."""
        self.sums = dict(sums)
        for name, digest in self.sums.items():
            file = self._path / Path(name).name
            if not file.is_file() or sha256_of_file(file) != digest:
                raise RunFolderError(f"{file}: must be there as it was written; give another folder")

    def _sum_of(self, file: Path) -> str | None:
        """From the file beside it; in a folder older than those, from the manifest of a finished run, else None."""
        try:
            return file.with_suffix(".sha256").read_text(encoding="ascii").split()[0]
        except FileNotFoundError:
            listed = (read_object(self._run / "manifest.json") or {}).get("sha256", {})
            found = listed.get(file.relative_to(self._run).as_posix())
            return None if found is None else str(found)
        except (OSError, ValueError, IndexError) as error:
            raise RunFolderError(f"{file.with_suffix('.sha256')}: cannot be read ({error})") from error
