"""What a result depends on besides the command: versions, machine, threads; and whether floats can be trusted."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .errors import Unfit
from .processes import THREAD_VARIABLES

_LIBRARIES = ("numpy", "scipy", "sympy", "python-flint", "torch", "safetensors", "mlxtend", "matplotlib", "jinja2")


def version() -> str:
    """The installed version of avgmargin, or "unknown" in an uninstalled checkout."""
    try:
        return importlib.metadata.version("avgmargin")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def why_unfit() -> str | None:
    """Why the float environment is unfit for proofs, or None: denormals must survive and rounding must be to nearest.

    Both are tried by arithmetic, in Python and in NumPy: some libraries switch them for a whole process or thread.
    """
    least = np.array([sys.float_info.min, -sys.float_info.min])
    half = least * np.array([0.5, 0.5])
    if not (np.all(half != 0.0) and np.array_equal(half + half, least)) or float(least[0]) * 0.5 == 0.0:
        return "denormal numbers are flushed to zero"
    one, little = np.array([1.0, -1.0]), np.array([2.0**-54, -(2.0**-54)])
    if not (np.array_equal(one + little, one) and np.array_equal(one - little, one)):
        return "floats are not rounded to nearest"
    return None


def check_fit() -> None:
    """Raise Unfit where floats cannot be trusted (`why_unfit`)."""
    if (reason := why_unfit()) is not None:
        raise Unfit(f"float environment is unfit for proofs: {reason}; start a fresh process")


@cache
def code_fingerprint(package: str) -> str:
    """SHA-256, 16 digits, over the Python sources of a package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"package {package!r} must be installed")
    root = Path(next(iter(spec.submodule_search_locations)))
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def describe() -> dict[str, Any]:
    """Versions, machine and threads, as plain JSON values; nothing that changes from run to run."""
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            libraries[name] = "absent"
    return {
        "avgmargin": version(),
        "code": {name: code_fingerprint(name) for name in ("theory", "synthetic", "deep", "avgmargin")},
        "python": platform.python_version(),
        "libraries": libraries,
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": {name: os.environ.get(name, "unset") for name in THREAD_VARIABLES},
        "denormals": "kept" if why_unfit() is None else why_unfit(),
    }
