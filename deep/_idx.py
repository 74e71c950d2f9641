"""A reader for IDX files (the format of MNIST and Fashion-MNIST) that trusts nothing in the header.

An IDX file is: two zero bytes, a type code (0x08: unsigned bytes), the number of dimensions, each dimension as four
big-endian bytes, then the data.  What the header announces is compared with what the file holds before room for it is
taken, and a compressed file is unpacked piece by piece up to the announced size and not a byte further.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["DataError", "read_bounded", "read_idx"]

_UNSIGNED_BYTE = 0x08
_PIECE = 1 << 20
_MAX_BYTES = 1 << 28  # 256 MiB: five times the largest file of MNIST


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class DataError(ValueError):
    """A data file that is missing, damaged or not what it should be; the message names the file."""


def read_idx(path: str | os.PathLike[str], *, ndim: int, max_bytes: int = _MAX_BYTES) -> NDArray[np.uint8]:
    """Return the array of unsigned bytes in an IDX file, plain or compressed with gzip; its shape is the file's.

    Parameters
    ----------
    path : the file; compression is recognised by content, not by name.
    ndim : how many dimensions the array must have (3 for images, 1 for labels).
    max_bytes : refuse anything that announces more data than this.

    Raises ``DataError``, in one line, for a missing file, another magic number, another number of dimensions, a
    dimension of zero, too much data announced, a truncated file, bytes after the data, or a damaged gzip stream.
    """
    name = Path(path).name
    try:
        with Path(path).open("rb") as raw:
            if raw.read(2) == b"\x1f\x8b":
                raw.seek(0)
                with gzip.GzipFile(fileobj=raw) as stream:
                    return _parse(stream, name, ndim, max_bytes, size=None)
            raw.seek(0)
            return _parse(raw, name, ndim, max_bytes, size=os.fstat(raw.fileno()).st_size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: gzip stream is damaged ({error}); it must unpack to the end") from error
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: cannot be read ({error.strerror or error})") from error


def read_bounded(stream: _Readable, limit: int) -> bytes:
    """Read at most ``limit`` bytes in pieces, so that room is taken only for bytes that are really there."""
    pieces: list[bytes] = []
    while limit > 0 and (piece := stream.read(min(limit, _PIECE))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def _parse(stream: _Readable, name: str, ndim: int, max_bytes: int, size: int | None) -> NDArray[np.uint8]:
    magic = read_bounded(stream, 4)
    if len(magic) < 4:
        raise DataError(f"{name}: {len(magic)} bytes; an IDX file begins with a magic number of 4")
    expected = bytes((0, 0, _UNSIGNED_BYTE, ndim))
    if magic != expected:
        raise DataError(f"{name}: magic number 0x{magic.hex()} must be 0x{expected.hex()} (bytes, {ndim} dimensions)")
    header = read_bounded(stream, 4 * ndim)
    if len(header) < 4 * ndim:
        raise DataError(f"{name}: header of {4 + len(header)} bytes is truncated; it must have {4 + 4 * ndim}")
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(0, 4 * ndim, 4))
    count = 1
    for dimension in shape:
        count *= dimension
    if count == 0:
        raise DataError(f"{name}: dimensions {shape} must all be at least 1")
    if count > max_bytes:
        raise DataError(f"{name}: dimensions {shape} announce {count} bytes; at most {max_bytes} are read")
    if size is not None and size != 4 + 4 * ndim + count:
        raise DataError(f"{name}: {size} bytes, but dimensions {shape} need exactly {4 + 4 * ndim + count}")
    data = read_bounded(stream, count)
    if len(data) < count:
        raise DataError(f"{name}: truncated after {len(data)} of the {count} bytes that dimensions {shape} announce")
    if stream.read(1):
        raise DataError(f"{name}: more bytes follow the {count} that dimensions {shape} announce")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
