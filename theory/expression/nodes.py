"""The expression tree of a loss: frozen nodes, exact constants, operators that build trees.

A tree is a value: two trees are equal when they have the same shape, and nothing in a tree is
mutable. Numbers are exact rationals from the start (`exact`), so that the NumPy, torch, SymPy and
ball evaluations of one tree all start from the same real numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from math import isfinite
from operator import is_
from typing import Any, ClassVar, TypeVar, dataclass_transform

Number = int | float | str | Fraction

MAX_DIGITS = 64
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)")
_SMALLEST = Fraction(1, 10**300)

UNARY = ("exp", "log", "log1p", "sqrt", "softplus", "sigmoid", "tanh", "atan", "abs")
COMPARISONS = ("<", "<=", ">", ">=")


def exact(value: Number) -> Fraction:
    """The rational number that `value` writes: 0.1 and "0.1" both give 1/10, not the nearest double.

    Raises ValueError for NaN, infinities and text that is not a number.

    >>> exact(0.1), exact("1e-3"), exact("2/3")
    (Fraction(1, 10), Fraction(1, 1000), Fraction(2, 3))
    """
    if isinstance(value, bool):
        raise ValueError(f"number {value!r} must be an integer, a decimal or a fraction, not a truth value")
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"number {value!r} must be finite")
        return Fraction(repr(float(value)))
    if isinstance(value, str):
        exponent = _EXPONENT.search(value)
        length = len(value) if exponent is None else exponent.start()
        if length > MAX_DIGITS or len(value) > 2 * MAX_DIGITS:
            raise ValueError(f"number of {len(value)} characters must have at most {MAX_DIGITS}")
        if exponent is not None and abs(int(exponent[1])) > 300:
            raise ValueError(f"number {value!r} must lie between 1e-300 and 1e300 in size")
    try:
        number = Fraction(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"number {value!r} must be an integer, a decimal or a fraction such as 2/3") from None
    if number != 0 and not _SMALLEST <= abs(number) <= 1 / _SMALLEST:
        raise ValueError("number must be 0 or lie between 1e-300 and 1e300 in size")
    return number


_formulas: list[Callable[[Expr], str]] = [repr]


def print_with(to_text: Callable[[Expr], str]) -> None:
    """Let `str(tree)` give formulas: the printer, which knows all nodes, registers itself here."""
    _formulas[0] = to_text


class Expr:
    """A node of the tree. Arithmetic operators and `where` build larger trees."""

    __slots__ = ("_hash",)
    __match_args__: tuple[str, ...] = ()
    _is_leaf: ClassVar[bool] = True
    _hash: int

    def __add__(self, other: Expr | Number) -> Expr:
        return Add(self, as_expr(other))

    def __radd__(self, other: Number) -> Expr:
        return Add(as_expr(other), self)

    def __sub__(self, other: Expr | Number) -> Expr:
        return Sub(self, as_expr(other))

    def __rsub__(self, other: Number) -> Expr:
        return Sub(as_expr(other), self)

    def __mul__(self, other: Expr | Number) -> Expr:
        return Mul(self, as_expr(other))

    def __rmul__(self, other: Number) -> Expr:
        return Mul(as_expr(other), self)

    def __truediv__(self, other: Expr | Number) -> Expr:
        return Div(self, as_expr(other))

    def __rtruediv__(self, other: Number) -> Expr:
        return Div(as_expr(other), self)

    def __pow__(self, other: Expr | Number) -> Expr:
        return Pow(self, as_expr(other))

    def __neg__(self) -> Expr:
        return Neg(self)

    def __str__(self) -> str:
        return _formulas[0](self)


Node = TypeVar("Node", bound=Expr)


@dataclass_transform(frozen_default=True)
def _node(cls: type[Node]) -> type[Node]:
    """A frozen dataclass that takes its hash, a walk over the tree, once; copies and pickles take their own."""
    made = dataclass(frozen=True, slots=True)(cls)
    take = made.__hash__

    def hash_once(self: Node) -> int:
        try:
            return self._hash
        except AttributeError:
            found = take(self)
            object.__setattr__(self, "_hash", found)
            return found

    made.__hash__ = hash_once  # type: ignore[assignment]
    made._is_leaf = all(field.type != Expr.__name__ for field in fields(made))  # type: ignore[arg-type]
    return made


@_node
class Const(Expr):
    """An exact rational constant."""

    value: Fraction


@_node
class Pi(Expr):
    """The constant pi."""


@_node
class Var(Expr):
    """A named quantity: `t`, `v`, a score name, or a parameter."""

    name: str


@_node
class Neg(Expr):
    """-operand."""

    operand: Expr


@_node
class Add(Expr):
    """left + right."""

    left: Expr
    right: Expr


@_node
class Sub(Expr):
    """left - right."""

    left: Expr
    right: Expr


@_node
class Mul(Expr):
    """left * right."""

    left: Expr
    right: Expr


@_node
class Div(Expr):
    """left / right."""

    left: Expr
    right: Expr


@_node
class Pow(Expr):
    """base ** exponent."""

    base: Expr
    exponent: Expr


@_node
class Call(Expr):
    """A smooth function or `abs` of one argument; `name` is one of `UNARY`."""

    name: str
    argument: Expr


@_node
class Max(Expr):
    """The larger of two values."""

    left: Expr
    right: Expr


@_node
class Min(Expr):
    """The smaller of two values."""

    left: Expr
    right: Expr


@_node
class Clip(Expr):
    """min(max(value, low), high), which is what clip(value, low, high) writes."""

    value: Expr
    low: Expr
    high: Expr


@_node
class Where(Expr):
    """`yes` where `left comparison right` holds, else `no`."""

    comparison: str
    left: Expr
    right: Expr
    yes: Expr
    no: Expr


@_node
class SumOther(Expr):
    """The sum of `body` over the classes k != y, with `fk`, `qk` (and `wk`) read at k."""

    body: Expr


@_node
class MaxOther(Expr):
    """The maximum of `body` over the classes k != y, with `fk`, `qk` (and `wk`) read at k."""

    body: Expr


def as_expr(value: Expr | Number) -> Expr:
    """`value` itself when it is a tree, else its exact constant."""
    return value if isinstance(value, Expr) else Const(exact(value))


def parts(expr: Expr) -> list[Any]:
    """What a node is made of, in order: its sub-trees, and the number of a constant or the name of a function."""
    return [getattr(expr, name) for name in expr.__match_args__]


def children(expr: Expr) -> tuple[Expr, ...]:
    """The sub-trees directly below `expr`, in order."""
    return () if expr._is_leaf else tuple(part for part in parts(expr) if isinstance(part, Expr))


def with_parts(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The node with `change` applied to its sub-trees; the node itself where it leaves each of them as it is."""
    if expr._is_leaf:
        return expr
    old = parts(expr)
    new = [change(part) if isinstance(part, Expr) else part for part in old]
    return expr if all(map(is_, old, new)) else type(expr)(*new)


def walk(expr: Expr) -> Iterator[Expr]:
    """Every node of the tree, parents before children."""
    pending = [expr]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(children(node)))


def names(expr: Expr) -> frozenset[str]:
    """The names that occur in the tree."""
    return frozenset(node.name for node in walk(expr) if isinstance(node, Var))


def rebuild(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The same tree with `change` applied to every node, children first; a part that is one object is done once."""
    done: dict[int, Expr] = {}

    def go(node: Expr) -> Expr:
        found = done.get(id(node))
        if found is None:
            found = done[id(node)] = change(with_parts(node, go))
        return found

    return go(expr)


def substitute(expr: Expr, values: Mapping[str, Expr | Number]) -> Expr:
    """The tree with every name in `values` replaced.

    >>> str(substitute(Var("t") + 1, {"t": -Var("t")}))
    '-t + 1'
    """
    table = {name: as_expr(value) for name, value in values.items()}
    return rebuild(expr, lambda node: table.get(node.name, node) if isinstance(node, Var) else node)
