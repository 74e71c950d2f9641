"""The public face: what it names exists, its examples run, and it stays light."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import synthetic

MODULES = ["synthetic", *(f"synthetic.{found.name}" for found in pkgutil.iter_modules(synthetic.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert doctest.testmod(module).failed == 0


def test_some_examples_were_found() -> None:
    tried = [doctest.testmod(importlib.import_module(name)).attempted for name in MODULES]
    assert sum(tried) >= 5


def test_importing_the_package_loads_neither_torch_nor_matplotlib() -> None:
    code = "import sys, synthetic; print([m for m in ('torch', 'matplotlib', 'deep', 'avgmargin') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
