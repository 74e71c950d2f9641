"""Single files of a run folder: JSON as bytes and back, and what is said where one cannot be read or written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["RunFolderError", "dump_json", "read_object", "writing"]


class RunFolderError(RuntimeError):
    """A run folder that cannot be written, holds another run, or has been altered; the message names it."""


def dump_json(value: object) -> bytes:
    """Return ``value`` as indented JSON with a final newline; raises ``ValueError`` for NaN or infinity."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def read_object(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None where there is no file.  Raises ``RunFolderError``."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise RunFolderError(f"{path}: must hold a JSON object")
    return value


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the failure to write a file of a run that is under way into one line that says what is left."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be written ({error.strerror or error}); what was stored before is kept, and the same run"
            " goes on from there when it is asked for again"
        ) from error
