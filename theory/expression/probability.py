"""The log-probability of a class, where a formula has it as a difference of a score and lse."""

from __future__ import annotations

from fractions import Fraction

from .nodes import Add, Call, Const, Expr, Mul, Neg, Sub, Var, with_parts


def log_probabilities(tree: Expr) -> Expr:
    """lse - fy as -log(q), lse - fk as -log(qk), in sums of names: both are real for all scores.

    >>> from .parse import SCORE_NAMES, parse
    >>> str(log_probabilities(parse("sqrt(1 + (lse - fy))", SCORE_NAMES)))
    'sqrt(-1 * log(q) + 1)'
    """
    sums = _linear(tree)
    if sums is None:
        return with_parts(tree, log_probabilities)
    scale = sums.get("lse", Fraction(0))
    for score, probability in (("fy", "q"), ("fk", "qk")):
        if scale != 0 and sums.get(score) == -scale:
            rest = {name: value for name, value in sums.items() if name not in ("lse", score)}
            total: Expr = Const(-scale) * Call("log", Var(probability))
            for name, value in rest.items():
                total = total + (Const(value) * Var(name) if name else Const(value))
            return total
    return tree


def _linear(tree: Expr) -> dict[str, Fraction] | None:
    """The factors of the names in a sum of multiples of names, that of 1 under ""; None for other trees."""
    match tree:
        case Const(value):
            return {"": value}
        case Var(name):
            return {name: Fraction(1)}
        case Neg(u):
            return _scaled(_linear(u), Fraction(-1))
        case Mul(Const(value), u) | Mul(u, Const(value)):
            return _scaled(_linear(u), value)
        case Add(u, v) | Sub(u, v):
            left, right = _linear(u), _linear(v)
            right = _scaled(right, Fraction(-1)) if isinstance(tree, Sub) else right
            if left is None or right is None:
                return None
            return {name: left.get(name, Fraction(0)) + right.get(name, Fraction(0)) for name in {**left, **right}}
    return None


def _scaled(sums: dict[str, Fraction] | None, factor: Fraction) -> dict[str, Fraction] | None:
    return None if sums is None else {name: factor * value for name, value in sums.items()}
