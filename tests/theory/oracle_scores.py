"""The published multiclass formulas, read as plain Python over a list of scores by a small interpreter of our own."""

from __future__ import annotations

import ast
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
}


def _softmax(f: Sequence[float]) -> list[float]:
    powers = [math.exp(x - max(f)) for x in f]
    return [x / sum(powers) for x in powers]


def _logsumexp(f: Sequence[float]) -> float:
    return max(f) + math.log(sum(math.exp(x - max(f)) for x in f))


def _adversarial(f: Sequence[float], y: int) -> float:
    sets = itertools.chain.from_iterable(itertools.combinations(range(len(f)), m + 1) for m in range(len(f)))
    return max((sum(f[j] - f[y] for j in chosen) + len(chosen) - 1) / len(chosen) for chosen in sets)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": sum,
    "range": range,
    "max": max,
    "min": min,
    "exp": math.exp,
    "log": math.log,
    "log1p": math.log1p,
    "softplus": _softplus,
    "sigmoid": lambda x: math.exp(-_softplus(-x)),
    "clamp": lambda x, low, high: min(max(x, low), high),
    "where": lambda condition, yes, no: yes if condition else no,
    "xlogx": lambda x: x * math.log(x) if x > 0 else 0.0,
    "softmax": _softmax,
    "logsoftmax": lambda f: [x - _logsumexp(f) for x in f],
    "rest": lambda f, y: [x for k, x in enumerate(f) if k != y],
    "al01": _adversarial,
}


def score_formula(text: str) -> Callable[[Sequence[float], int, Mapping[str, float]], float]:
    """The function (scores, label, parameters) -> loss that a published formula stands for.

    >>> score_formula("sum(max(0., 1 - (f[y] - f[k])) for k in range(c) if k != y)")([1.0, 0.5, 3.0], 0, {})
    3.5
    """
    tree = ast.parse(text, mode="eval").body
    return lambda f, y, parameters: float(_go(tree, {**parameters, "f": f, "y": y, "c": len(f)}))


def _go(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_go(operand, names)
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return _OPERATORS[type(op)](_go(left, names), _go(right, names))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _go(body if _go(test, names) else other, names)
        case ast.Subscript(value=value, slice=index):
            return _go(value, names)[_go(index, names)]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _FUNCTIONS[name](*(_go(each, names) for each in arguments))
        case ast.GeneratorExp(elt=body, generators=[ast.comprehension(target=ast.Name(id=k)) as loop]):
            return _loop(body, k, loop, names)
    raise ValueError(f"no value of {ast.unparse(node)!r}")


def _loop(body: ast.expr, k: str, loop: ast.comprehension, names: Mapping[str, Any]) -> Iterable[Any]:
    inner = ({**names, k: value} for value in _go(loop.iter, names))
    return [_go(body, each) for each in inner if all(_go(test, each) for test in loop.ifs)]
