"""Mutation testing by drawn mutants: `python -m tests.mutation [--each 12] [--seed 0] [--only WORD] [--out FILE]`.

Mutants are cosmic-ray's (operators, comparisons, constants, booleans, conditions, exceptions, decorators). Those whose
syntax tree equals the original's up to type annotations are no mutants and are not drawn. Each is written into a copy
of the source tree, where the tests that guard its module run until the first failure. A mutant that breaks a test, or
runs into the time limit, is killed. Results are kept one by one in `--out`, so that a run that was stopped goes on;
`tests/mutation/survivors.toml` explains survivors by what they change.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from theory.storage import write_atomic

HOME = Path(__file__).resolve().parents[2]
SECONDS = 900.0
_CHECKER = ("test_hostile_certificates", "test_hostile")
GUARDS = {  # the first prefix that fits; cheap tests first
    "theory/expression/parse.py": ("theory/test_parse", "theory/test_losses"),
    "theory/checker/binary": (*_CHECKER, "test_checker"),
    "theory/checker/calibration": ("test_calibration",),
    "theory/checker/cone_gap": ("test_cone_gap", "test_calibration"),
    "theory/checker/cone": (*_CHECKER, "test_cone_rules", "test_cone"),
    "theory/checker/arrangement": (*_CHECKER, "test_multiclass"),
    "theory/checker/polyhedral": (*_CHECKER, "test_multiclass"),
    "theory/checker/region": ("test_regions",),
    "theory/checker/lemmas": ("test_families",),
    "theory/checker/exchange": ("test_families",),
    "theory/checker/convexity": ("test_families",),
    "theory/checker/": (*_CHECKER, "test_families", "test_checker"),
    "deep/_idx.py": ("deep/test_data",),
    "deep/cifar.py": ("deep/test_cifar",),
    "deep/published.py": ("deep/test_published",),
}


def modules() -> list[str]:
    """The files under test, relative to the source tree."""
    checker = sorted((HOME / "theory/checker").glob("[!_]*.py"))
    names = ["theory/expression/parse.py", *(path.relative_to(HOME).as_posix() for path in checker)]
    return [*names, "deep/_idx.py", "deep/cifar.py", "deep/published.py"]


def guards(module: str) -> list[str]:
    """The test files that guard a module."""
    names = next(tests for prefix, tests in GUARDS.items() if module.startswith(prefix))
    return [f"tests/{name if '/' in name else f'theory/{name}'}.py" for name in names]


def mutants(code: str, count: int, rng: random.Random) -> Iterator[tuple[str, int, str]]:
    """Up to `count` drawn mutants of a module: operator, occurrence and mutated code."""
    from cosmic_ray import plugins
    from cosmic_ray.mutating import mutate_code

    original, names = _meaning(code), sorted(plugins.operator_names())
    seen = set()
    drawn, misses = 0, 0
    while drawn < count and misses < 2000:
        name, occurrence = rng.choice(names), rng.randrange(40)
        if (name, occurrence) in seen:
            misses += 1
            continue
        seen.add((name, occurrence))
        try:
            mutated = mutate_code(code, plugins.get_operator(name)(), occurrence)
            if mutated is None or _meaning(mutated) == original:
                misses += 1
                continue
        except (SyntaxError, TypeError, ValueError):
            misses += 1
            continue
        drawn += 1
        yield name, occurrence, mutated


def _meaning(code: str) -> str:
    """The syntax tree without annotations and docstrings, which decide nothing at run time."""

    class Bare(ast.NodeTransformer):
        def visit_arg(self, node: ast.arg) -> ast.arg:
            node.annotation = None
            return node

        def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
            node.annotation = ast.Constant(None)
            return self.generic_visit(node)  # type: ignore[return-value]

        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
            node.returns = None
            return self.generic_visit(node)  # type: ignore[return-value]

    return ast.dump(Bare().visit(ast.parse(code)))


def killed(tree: Path, module: str, mutated: str) -> tuple[bool, str]:
    """Whether the tests notice the mutant, and how."""
    original = (tree / module).read_text(encoding="utf-8")
    (tree / module).write_text(mutated, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *guards(module)]
    environment = os.environ | {"CI": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return True, "time"
    finally:
        (tree / module).write_text(original, encoding="utf-8")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return done.returncode != 0, failed[0][:160] if failed else ("" if done.returncode == 0 else "no collection")


def main(argv: list[str]) -> int:
    """Draw mutants, run them, keep and print the score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=12, help="mutants per module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", default="runs/mutation.json")
    asked = parser.parse_args(argv)
    out = Path(asked.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        for name in ("theory", "synthetic", "deep", "avgmargin", "tests", "docs"):
            shutil.copytree(HOME / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(HOME / name, tree / name)
        for module in (name for name in modules() if asked.only in name):
            code = (HOME / module).read_text(encoding="utf-8")
            for operator, occurrence, mutated in mutants(code, asked.each, random.Random(f"{asked.seed} {module}")):
                key = f"{module} {operator} {occurrence}"
                if key in found:
                    continue
                start = time.perf_counter()
                dead, by = killed(tree, module, mutated)
                changed = [line for line in difflib.ndiff(code.splitlines(), mutated.splitlines()) if line[0] in "+-"]
                found[key] = {"killed": dead, "by": by, "change": changed, "seconds": time.perf_counter() - start}
                write_atomic(out, (json.dumps(found, indent=1) + "\n").encode())
                print("killed" if dead else "SURVIVED", key, *([] if dead else changed), sep="\n    ", flush=True)
    share = sum(row["killed"] for row in found.values()) / max(1, len(found))
    print(f"{len(found)} mutants, {share:.1%} killed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
