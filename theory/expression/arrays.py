"""Trees on NumPy arrays, in float64, and the score quantities a multiclass tree reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .evaluate import evaluate
from .nodes import Expr, names

Array = NDArray[np.float64]


def _sigmoid(u: Array) -> Array:
    from scipy.special import expit  # takes half a second to load, and few processes need it

    return np.asarray(expit(u))


_UNARY: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "softplus": lambda u: np.logaddexp(0.0, u),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "atan": np.arctan,
    "abs": np.abs,
}
_COMPARE: dict[str, Callable[[Array, Array], NDArray[np.bool_]]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


class ArrayOps:
    """The NumPy table of `theory.expression.evaluate.Operations`."""

    def constant(self, value: Fraction) -> Array:
        return np.float64(value)  # type: ignore[return-value]

    def pi(self) -> Array:
        return np.float64(np.pi)  # type: ignore[return-value]

    def neg(self, value: Array) -> Array:
        return -value

    def add(self, left: Array, right: Array) -> Array:
        return left + right

    def sub(self, left: Array, right: Array) -> Array:
        return left - right

    def mul(self, left: Array, right: Array) -> Array:
        return left * right

    def div(self, left: Array, right: Array) -> Array:
        return left / right

    def power(self, base: Array, exponent: Array) -> Array:
        return base**exponent

    def call(self, name: str, argument: Array) -> Array:
        return _UNARY[name](argument)

    def maximum(self, left: Array, right: Array) -> Array:
        return np.maximum(left, right)

    def minimum(self, left: Array, right: Array) -> Array:
        return np.minimum(left, right)

    def where(self, comparison: str, left: Array, right: Array, yes: Array, no: Array) -> Array:
        return np.where(_COMPARE[comparison](left, right), yes, no)

    def spread(self, value: Array) -> Array:
        return np.asarray(value)[..., None] if np.ndim(value) else value

    def sum_last(self, value: Array, count: int) -> Array:
        if np.ndim(value) == 0:
            return value * count
        return value.sum(axis=-1) if value.shape[-1] == count else value[..., 0] * count

    def max_last(self, value: Array) -> Array:
        return value.max(axis=-1) if np.ndim(value) else value


_OPS = ArrayOps()


def evaluate_array(expr: Expr, env: Mapping[str, Array]) -> Array:
    """A tree without class sums on float64 arrays; overflow and invalid branches stay silent."""
    with np.errstate(all="ignore"):
        return evaluate(expr, env, _OPS)


@lru_cache(maxsize=64)
def other_classes(classes: int) -> NDArray[np.intp]:
    """Row y lists the classes k != y; shape (c, c - 1), read-only.

    >>> other_classes(3).tolist()
    [[1, 2], [0, 2], [0, 1]]
    """
    labels = np.arange(classes)
    others = np.array([np.delete(labels, y) for y in labels]).reshape(classes, classes - 1)
    others.flags.writeable = False  # one array for all who ask
    return others


def _log_sum_exp(scores: Array) -> Array:
    """log(sum_k exp(f_k)) over the last axis, which is kept: scipy's `logsumexp` without its cost for few classes."""
    return np.logaddexp.reduce(scores, axis=-1, keepdims=True)


def evaluate_scores(expr: Expr, scores: Array, parameters: Mapping[str, Array], vectors: Mapping[str, Array]) -> Array:
    """A multiclass tree for every label at once: scores (..., c) to losses (..., c).

    `parameters` are scalars; `vectors` have one entry per class and are read as `w` at the label and
    `wk` at the other class. Names: fy, alpha = f_y - max_{k != y} f_k, lse = logsumexp(f),
    q = exp(fy - lse), c; fk and qk inside class sums.
    """
    scores = np.asarray(scores, dtype=np.float64)
    classes = scores.shape[-1]
    index, used = other_classes(classes), names(expr)
    env: dict[str, Array] = {"fy": scores, "c": np.float64(classes), **parameters, **vectors}  # type: ignore[dict-item]
    inner = {f"{name}k": value[index] for name, value in vectors.items()}
    if used & {"alpha", "fk", "qk"}:
        others = scores[..., index]
        env["alpha"], inner["fk"] = scores - others.max(axis=-1), others
    if used & {"lse", "q", "qk"}:  # the slow part, which piecewise-linear losses do without
        lse = _log_sum_exp(scores)
        env |= {"lse": np.broadcast_to(lse, scores.shape), "q": np.exp(scores - lse)}
        if "qk" in used:
            inner["qk"] = np.exp(others - lse[..., None])
    with np.errstate(all="ignore"):
        values = evaluate(expr, env, _OPS, inner, classes - 1)
    return np.broadcast_to(values, scores.shape).astype(np.float64)
