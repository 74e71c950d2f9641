"""What a formula means, read off its nodes with mpmath: slow, plain, and independent of `theory`'s evaluators."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath

from theory.expression import Expr, nodes

# 60 digits: far below every double and below the 80 bits of the enclosures.
MP = mpmath.mp.clone()
MP.dps = 60

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_CALLS = {
    "exp": MP.exp,
    "log": MP.log,
    "log1p": lambda u: MP.log(1 + u),
    "sqrt": MP.sqrt,
    "softplus": lambda u: MP.log(1 + MP.exp(u)),
    "sigmoid": lambda u: 1 / (1 + MP.exp(-u)),
    "tanh": MP.tanh,
    "atan": MP.atan,
    "abs": abs,
}


def number(value: Fraction) -> Any:
    """A rational as a 60-digit number."""
    return MP.mpf(value.numerator) / value.denominator


def meaning(tree: Expr, names: Mapping[str, Any], others: Sequence[Mapping[str, Any]] = ()) -> Any:
    """The value of a tree; `others` has the names of each other class, for sum_other and max_other."""

    def go(node: Any) -> Any:
        match type(node).__name__:
            case "Const":
                return number(node.value)
            case "Pi":
                return +MP.pi
            case "Var":
                return names[node.name]
            case "Neg":
                return -go(node.operand)
            case "Add":
                return go(node.left) + go(node.right)
            case "Sub":
                return go(node.left) - go(node.right)
            case "Mul":
                return go(node.left) * go(node.right)
            case "Div":
                return go(node.left) / go(node.right)
            case "Pow":
                return go(node.base) ** go(node.exponent)
            case "Call":
                return _CALLS[node.name](go(node.argument))
            case "Max":
                return max(go(node.left), go(node.right))
            case "Min":
                return min(go(node.left), go(node.right))
            case "Clip":
                return min(max(go(node.value), go(node.low)), go(node.high))
            case "Where":
                return go(node.yes if _COMPARE[node.comparison](go(node.left), go(node.right)) else node.no)
            case "SumOther":
                return sum(meaning(node.body, {**names, **other}) for other in others)
            case "MaxOther":
                return max(meaning(node.body, {**names, **other}) for other in others)
        raise TypeError(type(node).__name__)

    return go(tree)


def at_score(tree: Expr, t: Fraction, name: str = "t") -> Any:
    """A tree of one variable at a rational point."""
    return meaning(tree, {name: number(t)})


def at_scores(
    tree: Expr,
    scores: Sequence[Fraction],
    label: int,
    parameters: Mapping[str, Fraction | tuple[Fraction, ...]] | None = None,
) -> Any:
    """The multiclass loss of one label, by the definition of each name."""
    f = [number(score) for score in scores]
    total = sum(MP.exp(score) for score in f)
    rivals = [k for k in range(len(f)) if k != label]
    names: dict[str, Any] = {
        "fy": f[label],
        "alpha": f[label] - max(f[k] for k in rivals),
        "lse": MP.log(total),
        "q": MP.exp(f[label]) / total,
        "c": MP.mpf(len(f)),
    }
    others: list[dict[str, Any]] = [{"fk": f[k], "qk": MP.exp(f[k]) / total} for k in rivals]
    for name, value in (parameters or {}).items():
        if isinstance(value, tuple):
            names[name] = number(value[label])
            for other, k in zip(others, rivals, strict=True):
                other[f"{name}k"] = number(value[k])
        else:
            names[name] = number(value)
    return meaning(tree, names, others)


def largest(tree: Expr, t: Fraction, name: str = "t") -> float:
    """The largest absolute value among all nodes at a point: the size that rounding errors are relative to."""
    return float(max(abs(at_score(node, t, name)) for node in nodes.walk(tree)))


def closest_comparison(tree: Expr, t: Fraction, name: str = "t") -> float:
    """How far the nearest decision (comparison, max, min, clip, abs) is from a tie at a point; inf without any."""
    gaps = [float("inf")]
    for node in nodes.walk(tree):
        match node:
            case nodes.Max(u, v) | nodes.Min(u, v) | nodes.Where(_, u, v, _, _):
                gaps.append(abs(at_score(u, t, name) - at_score(v, t, name)))
            case nodes.Call("abs", u):
                gaps.append(abs(at_score(u, t, name)))
            case nodes.Clip(u, low, high):
                x, a, b = (at_score(part, t, name) for part in (u, low, high))
                gaps += [abs(x - a), abs(x - b)]
    return float(min(gaps))
