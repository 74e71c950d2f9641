"""A reader for CIFAR-10 in its binary version, from the unpacked folder or from the archive, which is never unpacked.

A file is a row of records: one byte of label in 0..9, then 3072 bytes of pixels, the red, green and blue planes of 32
by 32, row by row.  Pixels keep that order, so that an image of shape (3, 32, 32) is ``x.reshape(3, 32, 32)``.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._idx import DataError, read_bounded
from .data import Dataset, dataset_of_bytes

__all__ = ["CIFAR10_ARCHIVE", "load_cifar10"]

CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"
_INNER = "cifar-10-batches-bin"
_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = "test_batch.bin"
_RECORD = 1 + 3 * 32 * 32
_PIECE = 1 << 20

Bytes = NDArray[np.uint8]


def load_cifar10(folder: str | os.PathLike[str], name: str = "cifar10", *, records: int = 10_000) -> Dataset:
    """Return CIFAR-10 from its six files of ``records`` images each: 50,000 to train on, 10,000 to test.

    ``folder`` holds ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``, or the folder
    ``cifar-10-batches-bin`` with them, or the archive ``cifar-10-binary.tar.gz``.
    Raises ``DataError``, in one line with the file's name, for a file that is missing, of another size, damaged, or has
    a label above 9; ``ValueError`` for ``records`` below 1.
    """
    if records < 1:
        raise ValueError(f"records={records!r} must be at least 1")
    root, size = Path(folder), records * _RECORD
    if not root.is_dir():
        raise DataError(f"{root}: must be a folder that holds {_TRAIN[0]} or {CIFAR10_ARCHIVE}")
    place = next((p for p in (root, root / _INNER) if (p / _TRAIN[0]).exists() or (p / _TEST).exists()), None)
    if place is not None:
        files = {file: _read_file(place / file, size) for file in (*_TRAIN, _TEST)}
    elif (root / CIFAR10_ARCHIVE).is_file():
        files = _read_archive(root / CIFAR10_ARCHIVE, size)
    else:
        raise DataError(f"{root}: must hold {_TRAIN[0]}, {_INNER}/{_TRAIN[0]} or {CIFAR10_ARCHIVE}")
    tables = {file: _table(file, data, records) for file, data in files.items()}
    train = np.concatenate([tables[file] for file in _TRAIN])
    return dataset_of_bytes(name, train[:, 1:], train[:, 0], tables[_TEST][:, 1:], tables[_TEST][:, 0])


def _read_file(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            if (found := os.fstat(file.fileno()).st_size) != size:
                raise _wrong_size(path.name, found, size)
            return read_bounded(file, size)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read_archive(path: Path, size: int) -> dict[str, bytes]:
    """The six files by name: members are read by exact name and announced size, in the order of the archive."""
    wanted = {f"{_INNER}/{file}": file for file in (*_TRAIN, _TEST)}
    found: dict[str, bytes] = {}
    try:
        # gzip by itself: tarfile's own reader of gzip does not compare the check sum at the end
        with (
            gzip.open(path, "rb") as raw,
            tarfile.open(fileobj=(source := _Limited(raw, 7 * size)), mode="r|") as archive,  # type: ignore[call-overload]
        ):
            for member in archive:
                file = wanted.get(member.name.removeprefix("./"))
                if file is None:
                    continue
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None or file in found:
                    raise DataError(f"{path.name}: {member.name} must be there once, as a plain file")
                if member.size != size:
                    raise _wrong_size(f"{path.name}: {member.name}", member.size, size)
                found[file] = read_bounded(stream, size)
            while source.read(_PIECE):  # to the end, where the sum is
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path.name}: archive is damaged ({str(error) or type(error).__name__})") from error
    for member_name, file in wanted.items():
        if file not in found:
            raise DataError(f"{path.name}: must hold {member_name}")
    return found


class _Limited:
    """A stream that refuses to unpack more than the six files and as much as one for the rest."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream, self._left = stream, limit + _PIECE

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise DataError(f"{CIFAR10_ARCHIVE}: unpacks to more than the six files and a little more")
        return data


def _table(name: str, data: bytes, records: int) -> Bytes:
    if len(data) != records * _RECORD:
        raise _wrong_size(name, len(data), records * _RECORD)
    table = np.frombuffer(data, dtype=np.uint8).reshape(records, _RECORD)
    if (labels := table[:, 0]).max() > 9:
        row = int(np.flatnonzero(labels > 9)[0])
        raise DataError(f"{name}: label {labels[row]} of record {row} must lie in 0..9")
    return table


def _wrong_size(name: str, found: int, size: int) -> DataError:
    rest = f"; record {found // _RECORD} is truncated" if found % _RECORD else ""
    return DataError(f"{name}: {found} bytes must be {size}, {size // _RECORD} records of {_RECORD}{rest}")
