"""Check sums of the data files that are known, and the comparison of a folder with them.

MD5 and SHA-256 are of the content: of the IDX files unpacked, so that a copy compressed anew passes too.  The MD5 of
CIFAR-10 is the one its authors give; the others are those in public loaders; the SHA-256 of MNIST and Fashion-MNIST
were computed from copies with these MD5.  A file is good when size and both sums agree.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ._idx import DataError
from .cifar import CIFAR10_ARCHIVE

__all__ = ["KNOWN_SUMS", "FileSum", "differs", "file_sums", "verify_folder"]

_PIECE = 1 << 20
_MAX_BYTES = 1 << 28

KNOWN_SUMS: dict[str, dict[str, tuple[int, str, str]]] = {
    "mnist": {
        "train-images-idx3-ubyte": (
            47_040_016,
            "6bbc9ace898e44ae57da46a324031adb",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        "train-labels-idx1-ubyte": (
            60_008,
            "a25bea736e30d166cdddb491f175f624",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        "t10k-images-idx3-ubyte": (
            7_840_016,
            "2646ac647ad5339dbf082846283269ea",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        "t10k-labels-idx1-ubyte": (
            10_008,
            "27ae3e4e09519cfbb04c329615203637",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": (
            47_040_016,
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        "train-labels-idx1-ubyte": (
            60_008,
            "9018921c3c673c538a1fc5bad174d6f9",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        "t10k-images-idx3-ubyte": (
            7_840_016,
            "8181f5470baa50b63fa0f6fddb340f0a",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        "t10k-labels-idx1-ubyte": (
            10_008,
            "15d484375f8d13e6eb1aabb0c3f46965",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    },
    "cifar10": {
        CIFAR10_ARCHIVE: (
            170_052_171,
            "c32a1d4ab5d03f1284b67883e8d87530",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    },
}
"""Data set -> file (without .gz for the IDX files) -> (bytes, MD5, SHA-256) of the content."""


@dataclass(frozen=True)
class FileSum:
    """What was found of one file: ``status`` is ``good``, ``missing``, ``damaged`` or ``other`` (another content)."""

    dataset: str
    file: str
    status: str
    bytes: int | None
    md5: str | None
    sha256: str | None
    reason: str


def verify_folder(folder: str | os.PathLike[str], dataset: str | None = None) -> tuple[FileSum, ...]:
    """Compare every file of a data set in ``folder`` with the known sums, one record a file.

    ``dataset`` is one of ``KNOWN_SUMS``; None takes the data set most of whose files are there with the right content.
    Raises ``DataError`` for a folder that is none or holds no file of a known name, ``ValueError`` for a data set that
    is not known.
    """
    root = Path(folder)
    if dataset is not None and dataset not in KNOWN_SUMS:
        raise ValueError(f"dataset={dataset!r} must be one of {', '.join(map(repr, KNOWN_SUMS))}")
    if not root.is_dir():
        raise DataError(f"{root}: must be a folder")
    content: dict[str, tuple[str, int, str, str] | str | None] = {}
    for files in KNOWN_SUMS.values() if dataset is None else (KNOWN_SUMS[dataset],):
        for file in files:
            if file not in content:
                content[file] = _content(root, file)
    if not any(content.values()):
        raise DataError(f"{root}: must hold a data file of a known name, such as {next(iter(content))}")
    tables = [_compare(name, content) for name in (KNOWN_SUMS if dataset is None else (dataset,))]
    return max(
        tables, key=lambda table: (sum(r.status == "good" for r in table), sum(r.bytes is not None for r in table))
    )


def _compare(dataset: str, content: dict[str, tuple[str, int, str, str] | str | None]) -> tuple[FileSum, ...]:
    records = []
    for file, known in KNOWN_SUMS[dataset].items():
        found = content[file]
        if found is None:
            records.append(FileSum(dataset, file, "missing", None, None, None, f"{file} or {file}.gz must be there"))
        elif isinstance(found, str):
            records.append(FileSum(dataset, file, "damaged", None, None, None, found))
        else:
            name, size, md5, sha256 = found
            good = (size, md5, sha256) == known
            reason = (
                "" if good else f"SHA-256 {sha256[:12]}... of {size} bytes must be {known[2][:12]}... of {known[0]}"
            )
            records.append(FileSum(dataset, name, "good" if good else "other", size, md5, sha256, reason))
    return tuple(records)


def _content(root: Path, file: str) -> tuple[str, int, str, str] | str | None:
    """Name, size and sums of a file's content; a reason where it cannot be read; None where it is not there."""
    for path in (root / file, root / f"{file}.gz"):
        if path.is_file():
            break
    else:
        return None
    found = file_sums(path, plain=file == CIFAR10_ARCHIVE)
    return f"{path.name} {found}" if isinstance(found, str) else (path.name, *found)


def file_sums(path: Path, *, plain: bool, limit: int = _MAX_BYTES) -> tuple[int, str, str] | str:
    """Size, MD5 and SHA-256 of a file's content, unpacked where it is gzip unless ``plain``; a reason where it cannot
    be read.  Reading ends a little after ``limit`` bytes: a size above it is a lower bound."""
    try:
        with path.open("rb") as raw:
            packed = not plain and raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not packed:
                return _sums(raw, limit)
            with gzip.GzipFile(fileobj=raw) as stream:
                return _sums(stream, limit)
    except (OSError, EOFError, zlib.error) as error:
        return f"cannot be read ({error})"


def differs(path: Path, plain: bool, sums: tuple[int, str, str]) -> str | None:
    """Why the content of a file is not the known one, or None where it is."""
    found = file_sums(path, plain=plain, limit=sums[0])
    if isinstance(found, str):
        return found
    size, md5, sha256 = found
    if (size, md5, sha256) == sums:
        return None
    more = "more than " if size > sums[0] else ""
    return f"SHA-256 {sha256[:12]}... of {more}{min(size, sums[0])} bytes must be {sums[2][:12]}... of {sums[0]}"


def _sums(stream: IO[bytes] | gzip.GzipFile, limit: int) -> tuple[int, str, str]:
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while size <= limit and (piece := stream.read(_PIECE)):
        md5.update(piece)
        sha256.update(piece)
        size += len(piece)
    return size, md5.hexdigest(), sha256.hexdigest()
