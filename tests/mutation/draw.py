"""The modules under test, the tests that guard them, and drawn mutants of their code."""

from __future__ import annotations

import ast
import difflib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
_READERS = (
    "deep/_idx.py",
    "deep/cifar.py",
    "deep/published.py",
    "deep/_folder.py",
    "deep/_milestones.py",
    "deep/_store.py",
)
_CERTIFICATES = ("theory/checker/reading.py", "theory/checker/certificates.py")
PARTS = ("parser", "readers", "checker", "second")
_CERTIFIED = ("theory/test_hostile_certificates", "theory/test_recorded", "theory/test_checker")
_MISSING = "mutation/test_missing"
_FOLDER = (_MISSING, "deep/test_folder", "deep/test_store_machine", "deep/test_training")
GUARDS: dict[str, tuple[str, ...]] = {
    "theory/expression/parse.py": ("theory/test_parse", "theory/test_parse_refusals", _MISSING, "theory/test_losses"),
    "theory/checker/reading.py": _CERTIFIED,
    "theory/checker/certificates.py": _CERTIFIED,
    "theory/checker/binary": ("theory/test_binary_rules", *_CERTIFIED),
    "theory/checker/": ("theory/test_region_signs", "theory/test_checker_parts", *_CERTIFIED),
    "theory/second/": ("theory/test_second",),
    "deep/_idx.py": (_MISSING, "deep/test_reader_limits", "deep/test_data"),
    "deep/cifar.py": (_MISSING, "deep/test_reader_limits", "deep/test_cifar"),
    "deep/published.py": (_MISSING, "deep/test_reader_limits", "deep/test_published"),
    "deep/_folder.py": _FOLDER,
    "deep/_milestones.py": _FOLDER,
    "deep/_store.py": _FOLDER,
}
"""The test files that guard a module, by the first prefix that fits."""
FURTHER: dict[str, tuple[str, ...]] = {
    "theory/checker/calibration": ("theory/test_calibration",),
    "theory/checker/cone_gap": ("theory/test_cone_gap",),
    "theory/checker/cone": ("theory/test_cone_rules", "theory/test_cone", "theory/test_cone_gap"),
    "theory/checker/polyhedral": ("theory/test_cone", "theory/test_multiclass"),
    "theory/checker/arrangement": ("theory/test_cone", "theory/test_multiclass"),
    "theory/checker/binary": ("theory/test_adversary", "theory/test_second"),
    "theory/checker/": ("theory/test_families",),
}
"""Test files that search for proofs, which takes minutes: met by survivors alone, with `--further`."""


@dataclass(frozen=True)
class Mutant:
    """One change of one module: the operator of cosmic-ray, its place, and the code with the change."""

    module: str
    operator: str
    occurrence: int
    code: str
    mutated: str

    @property
    def key(self) -> str:
        """What names it in one version of the code."""
        return f"{self.module} {self.operator} {self.occurrence}"


def modules(part: str) -> list[str]:
    """The files of a part, relative to the source tree."""
    if part == "parser":
        return ["theory/expression/parse.py"]
    if part == "readers":
        return [*_READERS, *_CERTIFICATES]
    found = sorted((HOME / "theory" / part).glob("[!_]*.py"))
    return [name for path in found if (name := path.relative_to(HOME).as_posix()) not in _CERTIFICATES]


def part_of(module: str) -> str:
    """What a module belongs to: the parser, the readers, the checker or the second arithmetic."""
    return next(part for part in PARTS if module in modules(part))


def guards(module: str, *, further: bool = False) -> tuple[str, ...]:
    """The test files that guard a module, or those that only survivors meet."""
    table = FURTHER if further else GUARDS
    names = next((tests for prefix, tests in table.items() if module.startswith(prefix)), ())
    return tuple(f"tests/{name}.py" for name in names)


def lines_of(code: str, mutated: str) -> set[int]:
    """The lines of the statements that a mutant changes: of those that hold others, the lines before the first."""
    changed = {
        number
        for tag, low, high, _, _ in difflib.SequenceMatcher(
            None, code.splitlines(), mutated.splitlines(), autojunk=False
        ).get_opcodes()
        if tag != "equal"
        for number in range(low + 1, max(high, low + 1) + 1)
    }
    found = set()
    for number in changed:
        spans: list[range] = [s for node in ast.walk(ast.parse(code)) if (s := _span(node)) and number in s]
        narrowest = min(spans, key=len) if spans else range(number, number + 1)
        found |= set(narrowest)
    return found


def _span(node: ast.AST) -> range | None:
    if not isinstance(node, (ast.stmt, ast.excepthandler, ast.match_case)):
        return None
    if isinstance(node, ast.match_case):
        return range(node.pattern.lineno, node.body[0].lineno)
    body = getattr(node, "body", None)
    last = (body[0].lineno - 1 if body[0].lineno > node.lineno else node.lineno) if body else node.end_lineno
    decorators = [inner.lineno for inner in getattr(node, "decorator_list", [])]
    return range(min([node.lineno, *decorators]), (last or node.lineno) + 1)


def sample(part: str, count: int, seed: int) -> Iterator[Mutant]:
    """About `count` mutants of a part, each module's share in proportion to its places and at least one.

    A place of the code is drawn, without putting it back, then one of the operators that fit there: a place where many
    operators fit is not drawn more often. The modules take turns, so that a run that stops early has seen all of them.
    """
    codes = {module: (HOME / module).read_text(encoding="utf-8") for module in modules(part)}
    found = {module: _places(code) for module, code in codes.items()}
    total = sum(map(len, found.values()))
    drawn = {}
    for module, places in found.items():
        share = max(1, round(count * len(places) / total)) if places else 0
        drawn[module] = _mutants(module, codes[module], places, share, random.Random(f"{seed} {module}"))
    order = [module for module in drawn for _ in range(max(1, len(found[module])))]
    random.Random(f"{seed} {part}").shuffle(order)
    for module in order:
        if (mutant := next(drawn[module], None)) is not None:
            yield mutant


def _mutants(
    module: str, code: str, places: dict[tuple[int, int], list[tuple[str, int]]], count: int, rng: random.Random
) -> Iterator[Mutant]:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    original = meaning(code)
    order = sorted(places)
    rng.shuffle(order)
    for place in order:
        if count == 0:
            return
        for name, occurrence in rng.sample(places[place], len(places[place])):
            try:
                mutated = mutate_code(code, get_operator(name)(), occurrence)
                if mutated is None or meaning(mutated) == original:
                    continue
            except (SyntaxError, TypeError, ValueError, AttributeError):  # cosmic-ray cannot mutate `except a.B`
                continue
            count -= 1
            yield Mutant(module, name, occurrence, code, mutated)
            break


@cache
def _places(code: str) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """The operators that fit at each place (line, column) of a module, each with its number of occurrence."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    nodes = list(ast_nodes(get_ast(code)))
    found: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for name in sorted(operator_names()):
        try:
            operator = get_operator(name)()
            starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        except TypeError:  # an operator that wants arguments
            continue
        for occurrence, start in enumerate(starts):
            found.setdefault(start, []).append((name, occurrence))
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
