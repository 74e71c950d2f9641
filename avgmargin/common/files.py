"""Small file habits: JSON without NaN, tables, names, folders that are checked before any work."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from theory.storage import sha256_of_bytes, write_atomic

from .errors import UserError


def slug(text: str, limit: int = 40) -> str:
    """A file name made of `text`: lower-case letters, digits and single hyphens.

    >>> slug("max(0, 1 - t)")
    'max-0-1-t'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].strip("-") or "loss"


def dump_json(value: object) -> bytes:
    """`value` as indented JSON with a final newline; ValueError for NaN or infinity."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode("ascii")


def dump_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A table as CSV with a header; numbers are written so that they read back exactly, None as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def check_can_make(folder: Path) -> None:
    """UserError unless `folder` is, or can become, a folder that can be written; nothing is made."""
    place = folder.absolute()
    while not place.exists() and not place.is_symlink():
        place = place.parent
    if not place.is_dir():
        raise UserError(f"output folder {str(folder)!r} cannot be made: {str(place)!r} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"output folder {str(folder)!r} cannot be written: no permission in {str(place)!r}")


def make_folder(folder: Path) -> None:
    """Make `folder` and prove by a file that it can be written; UserError otherwise."""
    check_can_make(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        write_atomic(probe, b"")
        probe.unlink()
    except OSError as error:
        raise UserError(f"output folder {str(folder)!r} cannot be written: {error.strerror or error}") from None


def refresh_manifest(root: Path, paths: Iterable[Path]) -> None:
    """Enter the present SHA-256 of rewritten files into the manifest of a run folder, where it has one."""
    manifest = read_object(root / "manifest.json")
    if manifest is not None and isinstance(manifest.get("sha256"), dict):
        for path in paths:
            manifest["sha256"][path.relative_to(root).as_posix()] = sha256_of_bytes(path.read_bytes())
        write_atomic(root / "manifest.json", dump_json(manifest))


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is none or it cannot be read."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
