"""The tables in the pages on laws are those that the kept runs give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "scripts" / "synthetic_tables.py"


@pytest.mark.skipif(not SCRIPT.exists(), reason="the documentation is not beside these tests")
def test_the_tables_are_built_from_the_runs(tmp_path: Path) -> None:
    import shutil

    assert subprocess.run([sys.executable, str(SCRIPT), "--check"], check=False).returncode == 0
    copy = tmp_path / "docs"
    shutil.copytree(SCRIPT.parents[1], copy)
    page = copy / "synthetic" / "learning.md"
    text = page.read_text(encoding="utf-8")
    assert "| hinge | 0." in text
    page.write_text(text.replace("| hinge | 0.", "| hinge | 1."), encoding="utf-8")  # a number typed by hand
    twin = copy / "scripts" / SCRIPT.name
    assert subprocess.run([sys.executable, str(twin), "--check"], check=False).returncode == 1
