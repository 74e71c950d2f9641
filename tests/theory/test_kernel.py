"""The checker stays small and alone: what its package imports, and how long its files are."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import theory.checker

ALLOWED = ("theory.expression", "theory.checker", "flint", "__future__")
LONGEST = 400
"""Lines of one file of the trusted package: what a reader takes in at one sitting."""


def foreign_imports(source: str) -> set[str]:
    """The modules a file of `theory.checker` imports from outside the kernel and the standard library."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(f"theory.checker.{node.module}" if node.level == 1 else str(node.module))
    return {
        name
        for name in found
        if not any(name == allowed or name.startswith(allowed + ".") for allowed in ALLOWED)
        and name.split(".")[0] not in sys.stdlib_module_names
    }


def files() -> list[Path]:
    return sorted(Path(str(theory.checker.__file__)).parent.glob("*.py"))


def test_the_checker_imports_the_expression_tree_flint_and_the_standard_library_only() -> None:
    assert len(files()) >= 5
    assert {file.name: foreign_imports(file.read_text(encoding="utf-8")) for file in files()} == {
        file.name: set() for file in files()
    }


def test_a_foreign_import_is_seen() -> None:
    assert foreign_imports("import numpy as np\nfrom theory.risk import psi\nfrom .cone import Cone") == {
        "numpy",
        "theory.risk",
    }


def test_importing_the_checker_parses_formulas_with_the_standard_library_alone() -> None:
    for file in sorted((files()[0].parent.parent / "expression").glob("*.py")):
        if file.name in ("arrays.py", "symbolic.py", "__init__.py"):
            continue  # evaluation on NumPy arrays and in SymPy: the checker does not import them
        assert foreign_imports(file.read_text(encoding="utf-8").replace("from .", "from theory.expression.")) == set()
