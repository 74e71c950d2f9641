"""One walk over a tree, for every kind of array.

`evaluate` knows the tree; an `Operations` table knows the arithmetic. NumPy's table is
`theory.expression.arrays.ArrayOps`; torch's lives in `deep`, so that `theory` never imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Protocol, TypeVar

from .nodes import Add, Call, Clip, Const, Div, Expr, Max, MaxOther, Min, Mul, Neg, Pi, Pow, Sub, SumOther, Var, Where

V = TypeVar("V")


class Operations(Protocol[V]):
    """Arithmetic on values of one kind. Every method is elementwise and broadcasts."""

    def constant(self, value: Fraction) -> V: ...
    def pi(self) -> V: ...
    def neg(self, value: V) -> V: ...
    def add(self, left: V, right: V) -> V: ...
    def sub(self, left: V, right: V) -> V: ...
    def mul(self, left: V, right: V) -> V: ...
    def div(self, left: V, right: V) -> V: ...
    def power(self, base: V, exponent: V) -> V: ...
    def call(self, name: str, argument: V) -> V: ...
    def maximum(self, left: V, right: V) -> V: ...
    def minimum(self, left: V, right: V) -> V: ...
    def where(self, comparison: str, left: V, right: V, yes: V, no: V) -> V: ...
    def spread(self, value: V) -> V:
        """The value with a trailing axis of length one, to stand beside values per other class."""
        ...

    def sum_last(self, value: V, count: int) -> V:
        """The sum over the trailing axis, broadcast first to `count` entries."""
        ...

    def max_last(self, value: V) -> V:
        """The maximum over the trailing axis."""
        ...


def evaluate(
    expr: Expr,
    env: Mapping[str, V],
    ops: Operations[V],
    others: Mapping[str, V] | None = None,
    other_count: int = 0,
) -> V:
    """The value of a tree.

    `env` gives every name its value. For multiclass trees `others` gives `fk`, `qk` (and `wk`) with
    one more trailing axis of length `other_count` = c - 1: entry j belongs to the j-th class k != y.
    Raises KeyError for a name without a value.
    """

    def go(node: Expr, table: Mapping[str, V]) -> V:
        match node:
            case Const(value):
                return ops.constant(value)
            case Var(name):
                return table[name]
            case Pi():
                return ops.pi()
            case Neg(operand):
                return ops.neg(go(operand, table))
            case Add(left, right):
                return ops.add(go(left, table), go(right, table))
            case Sub(left, right):
                return ops.sub(go(left, table), go(right, table))
            case Mul(left, right):
                return ops.mul(go(left, table), go(right, table))
            case Div(left, right):
                return ops.div(go(left, table), go(right, table))
            case Pow(base, exponent):
                return ops.power(go(base, table), go(exponent, table))
            case Call(name, argument):
                return ops.call(name, go(argument, table))
            case Max(left, right):
                return ops.maximum(go(left, table), go(right, table))
            case Min(left, right):
                return ops.minimum(go(left, table), go(right, table))
            case Clip(value, low, high):
                return ops.minimum(ops.maximum(go(value, table), go(low, table)), go(high, table))
            case Where(comparison, left, right, yes, no):
                return ops.where(comparison, go(left, table), go(right, table), go(yes, table), go(no, table))
            case SumOther(body):
                return ops.sum_last(go(body, inner()), other_count)
            case MaxOther(body):
                return ops.max_last(go(body, inner()))
        raise TypeError(f"expression node {type(node).__name__!r} must be one of the nodes in theory.expression.nodes")

    def inner() -> Mapping[str, V]:
        if others is None:
            raise KeyError("sum_other and max_other need the values per other class")
        return {**{name: ops.spread(value) for name, value in env.items()}, **others}

    return go(expr, env)
