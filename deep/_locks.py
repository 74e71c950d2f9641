"""Locks by which processes keep out of each other's way; a system or a file system without locks keeps nobody out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Taken", "alone", "take"]

_PATIENCE = 10.0  # seconds: a worker whose parent was killed needs a moment to notice and end


class Taken(Exception):
    """Another process holds the lock."""


def take(file: int) -> bool:
    """Lock an open file or folder until it is closed, or the process ends in whatever way; False where it is taken."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


@contextmanager
def alone(folder: Path, patience: float = _PATIENCE) -> Iterator[None]:
    """Hold a folder that exists; ``Taken`` where another process, or another call in this one, holds it so long."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # a system that does not open folders
        yield
        return
    try:
        end = time.monotonic() + patience
        while not take(handle):
            if time.monotonic() > end:
                raise Taken(folder)
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)
