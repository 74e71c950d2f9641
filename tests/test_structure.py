"""Who imports whom: packages and the folders of the application look down only, and there is no circle of modules."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGES = ("theory", "synthetic", "deep", "avgmargin")
MAY_IMPORT = {"theory": (), "synthetic": ("theory",), "deep": ("theory",), "avgmargin": ("theory", "synthetic", "deep")}
FOLDERS = ("common", "proving", "laws", "networks", "sweeps", "jobs", "report", "reproduce", "cli", "__main__")
"""Of `avgmargin`, from the ground up."""


def place(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def modules() -> dict[str, Path]:
    """Dotted names of all modules of ours, with their files."""
    found = {}
    for package in PACKAGES:
        root = place(package)
        for path in root.rglob("*.py"):
            parts = [package, *path.relative_to(root).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, source: str, is_package: bool, known: Mapping[str, object]) -> Iterator[str]:
    """The modules of ours that a source imports anywhere in it, inside functions too; not those for types only."""
    tree = ast.parse(source)
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".")
            kept = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*kept, *filter(None, [node.module])])
            for alias in node.names:
                target = f"{base}.{alias.name}"
                if target in known:
                    yield target
                elif base in known:
                    yield base


def graph(sources: Mapping[str, tuple[str, bool]]) -> dict[str, set[str]]:
    """From each module to what it imports; a package is no part of what its own modules import."""
    arrows: dict[str, set[str]] = {}
    for name, (source, is_package) in sources.items():
        found = set(imported(name, source, is_package, sources))
        arrows[name] = {other for other in found if other != name and not name.startswith(f"{other}.")}
    return arrows


def ours() -> dict[str, set[str]]:
    files = modules()
    return graph({name: (path.read_text(encoding="utf-8"), path.stem == "__init__") for name, path in files.items()})


def circle(arrows: Mapping[str, set[str]]) -> list[str]:
    """A circle of imports, or nothing."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def looking_up(arrows: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Imports of a package that it may not know, and of a folder of the application by one below it."""
    found = []
    for name, targets in arrows.items():
        for target in targets:
            (top, *rest), (other, *others) = name.split("."), target.split(".")
            if top != other:
                upward = other not in MAY_IMPORT[top]
            else:
                upward = bool(top == "avgmargin" and rest and others and floor(rest) < floor(others))
            if upward:
                found.append((name, target))
    return found


def floor(parts: list[str]) -> int:
    return FOLDERS.index(parts[0])


def test_no_circle_of_imports() -> None:
    arrows = ours()
    assert len(arrows) > 200
    assert circle(arrows) == []


def test_imports_look_down() -> None:
    arrows = ours()
    assert sum(map(len, arrows.values())) > 300
    assert looking_up(arrows) == []


@pytest.mark.parametrize(
    ("name", "source", "upward"),
    [
        ("theory.risk", "from synthetic import laws", True),
        ("deep.losses", "def f():\n    from synthetic.laws import get", True),
        ("avgmargin.laws.population", "from avgmargin.cli.parser import tell", True),
        ("avgmargin.common.files", "from ..jobs.pool import run_jobs", True),
        ("avgmargin.cli.reports", "from avgmargin.common.errors import UserError", False),
    ],
)
def test_a_forbidden_import_is_seen(name: str, source: str, upward: bool) -> None:
    files = {other: ("", path.stem == "__init__") for other, path in modules().items()}
    assert bool(looking_up(graph({**files, name: (source, False)}))) == upward


def test_a_circle_is_seen() -> None:
    sources = {
        "deep": ("from .tables import Table", True),
        "deep.tables": ("def f():\n    from deep.runs import load_run", False),
        "deep.runs": ("from .tables import Table", False),
    }
    assert set(circle(graph(sources))) == {"deep.tables", "deep.runs"}
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from deep.runs import load_run"
    assert circle(graph({**sources, "deep.tables": (types, False)})) == []
