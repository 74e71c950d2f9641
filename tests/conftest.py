"""Set-up shared by every test: import path, Hypothesis profiles, one thread, the shared material.

Imports between test modules (`from tests.strategies import etas`) work in two settings, both under
`--import-mode=importlib`, which leaves `sys.path` alone, and under xdist: in the checkout, and for a copy of
this folder in an empty folder against an installed wheel. `tests` is a regular package (a namespace package
could lose to somebody else's `tests` in site-packages), and the folder that holds it is put first on
`sys.path` here, before any test module is imported. In an empty folder that adds nothing but `tests`
itself, so that the four packages come from the wheel.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

# Two busy processes with two threads each are many times slower than with one; read when torch or BLAS is loaded.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

_HOME = str(Path(__file__).resolve().parent.parent)
if sys.path[:1] != [_HOME]:
    sys.path.insert(0, _HOME)

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

# Machines are shared: neither a single slow example nor slow drawing is a failure; pytest-timeout guards the whole.
_CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", max_examples=50, derandomize=True, print_blob=True, **_CALM)
settings.register_profile("dev", max_examples=50, **_CALM)
settings.register_profile("brief", max_examples=10, derandomize=True, **_CALM)
settings.register_profile("nightly", max_examples=2000, print_blob=True, **_CALM)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") == "true" else "dev"))


def pytest_collection_finish() -> None:
    """Torch, SymPy and the tests are loaded by now, and stay: the collector need not walk them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """One torch thread, where torch is loaded; it is not loaded for this."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads") and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of material given from outside (oracle, data, published results), or a skip."""
    named = os.environ.get("AVGMARGIN_SHARED")
    folder = Path(named) if named else Path(_HOME).parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no shared material: {folder} is not a folder; set AVGMARGIN_SHARED to it")
    return folder
