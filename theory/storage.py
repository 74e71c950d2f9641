"""Files written whole or not at all, and their checksums: certificates, run folders and caches use these."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path


def sha256_of_bytes(data: bytes | memoryview) -> str:
    """The SHA-256 of `data` in hexadecimal.

    >>> sha256_of_bytes(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` in one step: a reader sees the old bytes or all the new ones, never a part.

    The bytes go to a temporary file in the same folder, are flushed to disk, and replace `path`.
    Raises OSError where the folder cannot be written; no temporary file stays behind.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
