"""Sums of quotients over one denominator, and the bounds that the checker takes from it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from flint import ctx, fmpq
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import binary_trees, rationals
from theory import catalogue, check, from_formula, prove
from theory.checker import PRECISION
from theory.checker.cone_bounds import at_least, lower
from theory.expression.arrays import evaluate_array
from theory.expression.interval import INF, Interval
from theory.expression.nodes import Call, Const, Expr, Neg, Var
from theory.expression.quotient import excess
from theory.expression.rewrite import simplify

ROUNDING = 1e-9
"""Of float values of drawn trees, relative to the terms of the sum."""
POINTS = np.array([-1.37, -0.41, 0.23, 0.77, 2.19])
Split = Callable[[Expr, Fraction], tuple[Expr, Expr] | None]


def _sum(weights: list[Fraction], parts: list[Expr], below: Expr, rest: Expr) -> Expr:
    total = rest
    for weight, part in zip(weights, parts, strict=True):
        total = total + Const(weight) * (part / below)
    return total


def is_the_excess(expr: Expr, value: Fraction, split: Split = excess) -> bool:
    """The property: N / D is expr - value at points where all of them are finite."""
    found = split(expr, value)
    if found is None:
        return False
    with np.errstate(all="ignore"):
        env = {"t": POINTS}
        wanted = evaluate_array(expr, env) - float(value)
        over, below = (evaluate_array(part, env) for part in found)
        size = 1 + np.abs(wanted) + np.abs(float(value))
        apart = np.abs(np.broadcast_to(over / below, POINTS.shape) - wanted)
        return bool((~np.isfinite(wanted) | (apart <= ROUNDING * size * (1 + 1 / np.abs(below)))).all())


@given(st.lists(binary_trees(depth=2), min_size=1, max_size=4), st.lists(rationals(), min_size=5, max_size=5))
def test_a_sum_of_quotients_is_one_quotient(parts: list[Expr], numbers: list[Fraction]) -> None:
    """Also where the denominator is the sum of the numerators, written in another order, and constants are added."""
    below: Expr = Const(Fraction(1))
    for part in parts:
        below = Call("exp", Call("tanh", part)) + below
    expr = _sum(numbers[: len(parts)], parts, below, Const(numbers[4]) + Call("atan", Var("t")))
    assert is_the_excess(expr, numbers[4] + Fraction(1, 3))


def test_an_excess_over_another_value_is_noticed() -> None:
    t = Var("t")
    expr = t / (Const(Fraction(2)) + t * t) + Const(Fraction(3))
    assert is_the_excess(expr, Fraction(1, 3))
    assert not is_the_excess(expr, Fraction(1, 3), lambda tree, value: excess(tree, value + Fraction(1, 1000)))


def test_quotients_over_different_denominators_have_no_excess() -> None:
    t = Var("t")
    assert excess(t / (t + 1) + t / (t + 2), Fraction(0)) is None
    assert excess(t * t, Fraction(0)) is None
    assert excess(t / (t + 1) + t / (1 + t), Fraction(0)) is not None


@pytest.mark.parametrize("sign", [1, -1])
@given(st.lists(st.fractions(1, 9, max_denominator=20), min_size=3, max_size=3))
def test_a_mean_is_at_least_its_least_value(sign: int, p: list[Fraction]) -> None:
    """Of 1, w1, w2 as weights, on all w >= 0; whatever the sign of the denominator. Nothing above passes."""
    weights: list[Expr] = [Const(Fraction(1)), Var("w1"), Var("w2")]
    total = simplify(weights[0] + weights[1] + weights[2])
    if sign < 0:
        weights, total = [simplify(Neg(weight)) for weight in weights], simplify(Neg(total))
    mean = simplify(_sum(p, weights, total, Const(Fraction(0))))
    box = {"w1": Interval(fmpq(0), INF), "w2": Interval(fmpq(0), INF)}
    least = fmpq(min(p).numerator, min(p).denominator)
    with ctx.workprec(PRECISION):
        assert at_least(mean, box, least)
        assert not at_least(mean, box, least + fmpq(1, 10**9))
        assert not at_least(simplify(Neg(mean)), box, -least) or len(set(p)) == 1
        assert lower(mean, box, least) < least or len(set(p)) == 1  # the parts alone do not show it


def test_normalised_losses_are_refuted_at_infinity() -> None:
    """The least likely class is dropped, and the order of the others ceases to count."""
    for formula, classes in (
        (str(catalogue.get("normalised-cross-entropy").multiclass), 3),
        (str(catalogue.get("normalised-cross-entropy").multiclass), 4),
        ("((1 - q)**2 * log(q)) / ((1 - q)**2 * log(q) + sum_other((1 - qk)**2 * log(qk)))", 3),
        ("softplus(-fy) / (softplus(-fy) + sum_other(softplus(-fk)))", 3),
    ):
        verdict = prove(from_formula(formula, classes=classes), classes=classes)
        assert verdict.status == "REFUTED", formula
        assert verdict.certificate is not None
        assert check(verdict.certificate).valid
        assert verdict.witness is not None
        assert verdict.witness["at"] == "limit"
        p, falls = ([Fraction(x) for x in verdict.witness[key]] for key in ("p", "scores"))
        assert min(falls) < 0
        assert p[falls.index(min(falls))] == min(p)
