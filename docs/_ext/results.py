"""Numbers for the pages, read from docs/results when the documentation is built. Nothing here is typed in by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def substitutions(folder: Path) -> dict[str, Any]:
    """The names that pages may write as {{ name }}, from the JSON files of the folder."""
    return {}
