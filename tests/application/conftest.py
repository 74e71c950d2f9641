"""Runs of the command line as separate processes, and one small `reproduce` that all tests of the report share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import avgmargin

from .warm import run_warm

Run = Callable[..., "subprocess.CompletedProcess[str]"]
_WAIT = 220  # seconds another xdist worker may take for the shared run

_ROOT = str(Path(avgmargin.__file__).resolve().parent.parent)


def environment(cache: Path | None = None) -> dict[str, str]:
    """The environment of a child: packages found as here, one thread, no colours asked for, a cache of its own."""
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR", "PYTHONPATH")
    }
    path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    own = {} if cache is None else {"AVGMARGIN_CACHE": str(cache)}
    return {**inherited, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **one, **own}


def call(*words: str, cwd: Path, cache: Path | None = None, timeout: float = 200) -> subprocess.CompletedProcess[str]:
    """`avgmargin WORDS`, run in `cwd` by a process of its own (`warm.py`)."""
    with tempfile.TemporaryDirectory() as place:
        return run_warm(words, cwd, environment(cache), Path(place), timeout)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command line in an empty folder."""
    return lambda *words, **options: call(*words, cwd=tmp_path, **options)


@pytest.fixture
def python(tmp_path: Path) -> Run:
    """Run Python code in a fresh process in an empty folder."""
    return lambda code: subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all xdist workers of this session see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def reproduced(shared_folder: Path) -> dict[str, Any]:
    """Two runs of the same command, with two workers and with one: `first`, `second` folders and what they printed."""
    place = shared_folder / "avgmargin-reproduced"
    marker = place / "done.json"
    try:
        place.mkdir()
    except FileExistsError:
        end = time.monotonic() + _WAIT
        while not marker.exists() and time.monotonic() < end:
            time.sleep(0.2)
    else:
        told: dict[str, Any] = {}
        for name, workers in (("first", "2"), ("second", "1")):
            words = ("reproduce", "--scale", "tiny", "--out", name, "--jobs", workers, "--json")
            done = call(*words, cwd=place, cache=place / "cache")
            told[name] = {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        part = place / "part.json"
        part.write_text(json.dumps(told), encoding="utf-8")
        part.replace(marker)
    told = json.loads(marker.read_text(encoding="utf-8"))
    return {**told, "place": place, "folders": {name: place / name for name in ("first", "second")}}
