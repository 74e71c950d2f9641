"""The modules under test, the tests that guard them, and drawn mutants of their code."""

from __future__ import annotations

import ast
import random
from collections.abc import Generator
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
_RECORDED = ("test_hostile_certificates", "test_recorded")
_CONE = (
    "theory/test_cone_rules::test_a_candidate_that_only_ties_is_enough_at_a_tie_and_nowhere_else",
    "theory/test_cone_rules::test_the_boxes_of_a_verdict_and_of_its_gap_are_added",
)
GUARDS = {  # the first prefix that fits; cheap tests first; nothing that searches for proofs, which costs too much
    "theory/expression/parse.py": ("theory/test_parse", "mutation/test_missing", "theory/test_losses"),
    "theory/checker/region": ("test_regions::test_false_cells_are_noticed", "test_regions::test_known_regions"),
    "theory/checker/calibration": (*_RECORDED, "theory/test_calibration"),
    "theory/checker/cone.py": (*_RECORDED, *_CONE),
    "theory/checker/certificates.py": (*_RECORDED, *_CONE),
    "theory/checker/": _RECORDED,
    "deep/_idx.py": ("mutation/test_missing", "deep/test_data"),
    "deep/cifar.py": ("mutation/test_missing", "deep/test_cifar"),
    "deep/published.py": ("mutation/test_missing", "deep/test_published"),
    "deep/_folder.py": ("deep/test_store_machine", "deep/test_training"),
}
READERS = ("deep/_idx.py", "deep/cifar.py", "deep/published.py", "deep/_folder.py")
SMALL = ("theory/expression/parse.py", *READERS)
"""Read most by strangers' files: `--each` mutants of these, a quarter of that of each module of the checker."""


def modules() -> list[str]:
    """The files under test, relative to the source tree."""
    checker = sorted((HOME / "theory/checker").glob("[!_]*.py"))
    return [SMALL[0], *READERS, *(path.relative_to(HOME).as_posix() for path in checker)]


def guards(module: str) -> tuple[str, ...]:
    """The test files that guard a module."""
    names = next(tests for prefix, tests in GUARDS.items() if module.startswith(prefix))
    parts = [(name if "/" in name else f"theory/{name}").partition("::") for name in names]
    return tuple(f"tests/{file}.py{dots}{test}" for file, dots, test in parts)


def part_of(module: str) -> str:
    """What a module belongs to: the parser, the checker or the readers."""
    return "parser" if module == SMALL[0] else "readers" if module in READERS else "checker"


def mutants(code: str, count: int, rng: random.Random) -> Generator[tuple[str, int, str], None, None]:
    """Up to `count` drawn mutants of a module: an operator, then one of the places where it fits; the mutated code."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    original, left = meaning(code), _places(code)
    drawn = 0
    while drawn < count and left:
        name = rng.choice(sorted(left))
        occurrence = left[name].pop(rng.randrange(len(left[name])))
        if not left[name]:
            del left[name]
        try:
            mutated = mutate_code(code, get_operator(name)(), occurrence)
            if mutated is None or meaning(mutated) == original:
                continue
        except (SyntaxError, TypeError, ValueError, AttributeError):  # cosmic-ray cannot mutate `except a.B`
            continue
        drawn += 1
        yield name, occurrence, mutated


def _places(code: str) -> dict[str, list[int]]:
    """The operators that fit anywhere in a module, with the numbers of their places."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    nodes = list(ast_nodes(get_ast(code)))
    found = {}
    for name in operator_names():
        try:
            operator = get_operator(name)()
            count = sum(1 for node in nodes for _ in operator.mutation_positions(node))
        except TypeError:  # an operator that wants arguments
            continue
        if count:
            found[name] = list(range(count))
    return found


class _Bare(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def meaning(code: str) -> str:
    """The syntax tree without annotations, which decide nothing at run time."""
    return ast.dump(_Bare().visit(ast.parse(code)))
