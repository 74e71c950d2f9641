"""User text to expression trees, through a whitelist on Python's own syntax tree.

Nothing is ever evaluated: `ast.parse` builds the syntax tree of one expression, and every node of
it must be on the list below. Length, nesting, size and exponents are limited before anything
depends on them, and an error names the column it found.
"""

from __future__ import annotations

import ast
import difflib
import warnings
from fractions import Fraction
from functools import reduce

from .nodes import (
    UNARY,
    Add,
    Call,
    Clip,
    Const,
    Div,
    Expr,
    Max,
    MaxOther,
    Min,
    Mul,
    Neg,
    Pi,
    Pow,
    Sub,
    SumOther,
    Var,
    Where,
    children,
    exact,
)

MAX_LENGTH = 4000
MAX_DEPTH = 60
MAX_NODES = 1000
MAX_EXPONENT = 100
MAX_ARGUMENTS = 50

BINARY_NAMES = frozenset({"t"})
PAIR_NAMES = frozenset({"v"})
SCORE_NAMES = frozenset({"fy", "alpha", "lse", "q", "c"})
OTHER_NAMES = frozenset({"fk", "qk"})
FUNCTIONS = (*UNARY, "max", "min", "clip", "where", "sum_other", "max_other")

_OPERATORS: dict[type[ast.operator], type[Add | Sub | Mul | Div | Pow]] = {
    ast.Add: Add,
    ast.Sub: Sub,
    ast.Mult: Mul,
    ast.Div: Div,
    ast.Pow: Pow,
}
_COMPARISONS: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


class FormulaError(ValueError):
    """A formula that is malformed, too large, or uses something outside the language."""


def parse(text: str, names: frozenset[str] = BINARY_NAMES, parameters: frozenset[str] = frozenset()) -> Expr:
    """The tree of a formula.

    `names` are the quantities the formula may use (`BINARY_NAMES`, `PAIR_NAMES` or `SCORE_NAMES`;
    with `SCORE_NAMES` the bodies of `sum_other` and `max_other` may use `fk` and `qk` too) and
    `parameters` the further names with values; for a parameter `w`, `wk` is readable inside the
    bodies. Raises `FormulaError`, in one line with the column, for everything else.

    >>> str(parse("max(0, 1 - t)"))
    'max(0, 1 - t)'
    """
    _check_text(text)
    body = text.strip()
    skipped = len(text) - len(text.lstrip())
    try:
        with warnings.catch_warnings():  # of doubtful Python such as `1if`, which is refused below anyway
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(body, mode="eval")
    except SyntaxError as error:
        raise FormulaError(f"formula, column {(error.offset or 1) + skipped}: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError):
        raise FormulaError("formula cannot be read: it is nested too deeply or holds a forbidden character") from None
    return _Reader(body, skipped, names, parameters).read(tree.body, depth=1, inner=False)


def _check_text(text: str) -> None:
    if not text.strip():
        raise FormulaError("formula is empty; it must hold one expression such as log1p(exp(-t))")
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"formula has {len(text)} characters; at most {MAX_LENGTH} are read")
    depth = 0
    for column, character in enumerate(text, start=1):
        if not character.isascii() or (not character.isprintable() and character not in " \t\n"):
            raise FormulaError(f"formula, column {column}: character {character!r} is not plain ASCII")
        depth += (character in "([{") - (character in ")]}")
        if depth > MAX_DEPTH:
            raise FormulaError(f"formula, column {column}: brackets nest deeper than {MAX_DEPTH}")


class _Reader:
    def __init__(self, text: str, skipped: int, names: frozenset[str], parameters: frozenset[str]) -> None:
        self.text = text
        self.skipped = skipped
        self.names = names
        self.parameters = parameters
        self.nodes = 0

    def error(self, node: ast.AST, message: str) -> FormulaError:
        return FormulaError(f"formula, column {getattr(node, 'col_offset', 0) + 1 + self.skipped}: {message}")

    def read(self, node: ast.expr, depth: int, inner: bool) -> Expr:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.error(node, f"more than {MAX_NODES} nodes")
        if depth > MAX_DEPTH:
            raise self.error(node, f"nested deeper than {MAX_DEPTH}")
        match node:
            case ast.Constant():
                return self.constant(node)
            case ast.Name(id=name):
                return self.name(node, name, inner)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Neg(self.read(operand, depth + 1, inner))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.read(operand, depth + 1, inner)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                parts = self.read(left, depth + 1, inner), self.read(right, depth + 1, inner)
                if isinstance(operator, ast.Pow):
                    self.check_exponent(right, parts[1])
                return _OPERATORS[type(operator)](*parts)
            case ast.Call():
                return self.call(node, depth, inner)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
            raise self.error(node, "the operator ^ is not part of the formula language; write ** for powers")
        raise self.error(node, f"{type(node).__name__} is not part of the formula language")

    def constant(self, node: ast.Constant) -> Expr:
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            raise self.error(node, f"constant {node.value!r} must be a number")
        written = (ast.get_source_segment(self.text, node) or repr(node.value)).replace("_", "")
        if written[:2].lower() in ("0x", "0o", "0b"):
            raise self.error(node, f"number {written!r} must be written in decimal")
        try:
            return Const(exact(written))
        except ValueError as error:
            raise self.error(node, str(error)) from None

    def name(self, node: ast.Name, name: str, inner: bool) -> Expr:
        allowed = set(self.names | self.parameters)
        if inner:
            allowed |= OTHER_NAMES | {f"{parameter}k" for parameter in self.parameters}
        if name in allowed:
            return Var(name)
        if name == "pi":
            return Pi()
        if name in OTHER_NAMES:
            raise self.error(node, f"name {name!r} is known only inside sum_other(...) and max_other(...)")
        if name in SCORE_NAMES | OTHER_NAMES and "fy" not in self.names:
            raise self.error(node, f"name {name!r} belongs to multiclass formulas; give the number of classes")
        if name in BINARY_NAMES | PAIR_NAMES:
            raise self.error(
                node, f"name {name!r} is not known here; this kind of formula is written in {_list(self.names)}"
            )
        raise self.error(
            node,
            f"unknown name {name!r}{_suggest(name, [*allowed, *FUNCTIONS])}; known are {_list(allowed)}, "
            "and a parameter needs a value",
        )

    def check_exponent(self, node: ast.expr, exponent: Expr) -> None:
        value = _constant_value(exponent)
        if value is not None and abs(value) > MAX_EXPONENT:
            raise self.error(node, f"exponent must lie in [-{MAX_EXPONENT}, {MAX_EXPONENT}]")

    def call(self, node: ast.Call, depth: int, inner: bool) -> Expr:
        if not isinstance(node.func, ast.Name):
            raise self.error(node, "only the named functions of the formula language can be called")
        name = node.func.id
        if name not in FUNCTIONS:
            raise self.error(node, f"unknown function {name!r}{_suggest(name, list(FUNCTIONS))}")
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.error(node, f"{name} takes plain arguments only")
        if name == "where":
            return self.where(node, depth, inner)
        if name in ("sum_other", "max_other"):
            return self.over_others(node, name, depth, inner)
        arguments = [self.read(argument, depth + 1, inner) for argument in node.args]
        if name in ("max", "min"):
            good = 2 <= len(arguments) <= MAX_ARGUMENTS
            self.check_count(node, name, len(arguments), f"two to {MAX_ARGUMENTS} arguments", good)
            return reduce(Max if name == "max" else Min, arguments)
        if name == "clip":
            self.check_count(node, name, len(arguments), "three arguments: value, low, high", len(arguments) == 3)
            return Clip(*arguments)
        self.check_count(node, name, len(arguments), "one argument", len(arguments) == 1)
        return Call(name, arguments[0])

    def over_others(self, node: ast.Call, name: str, depth: int, inner: bool) -> Expr:
        if "fy" not in self.names:
            raise self.error(node, f"{name} belongs to multiclass formulas; give the number of classes")
        if inner:
            raise self.error(node, f"{name} cannot stand inside sum_other or max_other")
        self.check_count(node, name, len(node.args), "one argument", len(node.args) == 1)
        body = self.read(node.args[0], depth + 1, inner=True)
        return SumOther(body) if name == "sum_other" else MaxOther(body)

    def where(self, node: ast.Call, depth: int, inner: bool) -> Expr:
        self.check_count(node, "where", len(node.args), "three arguments: condition, a, b", len(node.args) == 3)
        condition, yes, no = node.args
        match condition:
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _COMPARISONS:
                return Where(
                    _COMPARISONS[type(operator)],
                    self.read(left, depth + 1, inner),
                    self.read(right, depth + 1, inner),
                    self.read(yes, depth + 1, inner),
                    self.read(no, depth + 1, inner),
                )
        raise self.error(condition, "the condition of where must be one comparison with <, <=, > or >=")

    def check_count(self, node: ast.Call, name: str, count: int, rule: str, good: bool) -> None:
        if not good:
            raise self.error(node, f"{name} has {count} arguments; it takes {rule}")


def _constant_value(expr: Expr) -> Fraction | None:
    """The value of a tree of literals, or None where it has names; a tower of powers counts as too large."""
    if isinstance(expr, Const):
        return expr.value
    if isinstance(expr, Neg):
        inner = _constant_value(expr.operand)
        return None if inner is None else -inner
    parts = [_constant_value(part) for part in children(expr)]
    if not isinstance(expr, (Pow, Add, Sub, Mul, Div)) or parts[0] is None or parts[1] is None:
        return None
    left, right = parts[0], parts[1]
    match expr:
        case Pow():
            return _bounded_power(left, right)
        case Add():
            return left + right
        case Sub():
            return left - right
        case Mul():
            return left * right
        case Div():
            return left / right if right != 0 else None


def _bounded_power(base: Fraction, exponent: Fraction) -> Fraction:
    """base ** exponent where that is short; otherwise a number beyond every limit."""
    try:
        size = abs(float(base) ** float(exponent))
    except (OverflowError, ZeroDivisionError):
        return Fraction(MAX_EXPONENT + 1)
    if exponent.denominator == 1 and size < 1e6 and abs(exponent) <= MAX_EXPONENT and (base != 0 or exponent > 0):
        return base ** int(exponent)
    return Fraction(size) if size < 1e6 else Fraction(MAX_EXPONENT + 1)


def _suggest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _list(names: set[str] | frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
