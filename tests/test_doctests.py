"""Every example in a docstring is run: what a docstring shows is true today."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

PACKAGES = ("theory", "synthetic", "deep", "avgmargin")


def modules() -> list[str]:
    """The names of all modules of the four packages."""
    found = []
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        found += [package, *(info.name for info in pkgutil.walk_packages(path, f"{package}."))]
    return sorted(name for name in found if not name.endswith("__main__"))


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_examples_exist_and_can_fail() -> None:
    tried = sum(doctest.testmod(importlib.import_module(name)).attempted for name in modules())
    assert tried >= 25
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    wrong = parser.get_doctest(">>> 1 + 1\n3\n", {}, "twin", None, None)
    assert runner.run(wrong, out=lambda _: None).failed == 1
