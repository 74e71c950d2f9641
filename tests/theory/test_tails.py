"""Half-lines, singular points, signs and restrictions: what an enclosure knows beyond ranges."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

import pytest
from flint import ctx
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.strategies import binary_trees, rationals
from tests.theory.meaning import MP, at_score, largest, meaning, number
from tests.theory.test_interval import holds
from theory.expression import Expr, parse
from theory.expression.enclosure import bound, enclose, restrict, sign_inside
from theory.expression.interval import Interval, Undefined
from theory.expression.tails import enclose_tail, tail_form

# Two evaluations with 60 digits, relative to the largest number met on the way.
ROUNDING = 1e-50


@pytest.fixture(autouse=True)
def _precision() -> Any:
    with ctx.workprec(80):
        yield


# -- the scaled form on half-lines ---------------------------------------------------------------------------------


def scaled_value(tree: Expr, up: bool, start: Fraction, w: Fraction) -> Any:
    """w^k N at |x| = w; None where there is no form, or one with unknown ratios."""
    found = tail_form(tree, "t", up, start)
    if found is None or found[2]:
        return None
    power, inner, _ = found
    far = number(w)
    return far ** number(power) * meaning(inner, {"far": far, "near": 1 / far, "slow": MP.log(far) / far})


def agrees(tree: Expr, up: bool, start: Fraction, w: Fraction, shift: int = 0) -> bool:
    """The property: the scaled form is the tree, at one point of the half-line."""
    x = w if up else -w
    size = largest(tree, x)
    value = scaled_value(tree, up, start, w)
    if value is None or size > 1e25:
        return True
    wanted = at_score(tree, x)
    return bool(abs(value * number(w) ** shift - wanted) <= ROUNDING * max(1, size) * number(w) ** 8)


@given(binary_trees(jumps=True), st.booleans(), rationals(3, 9), rationals(0, 30))
@example(parse("t / sqrt(1 + t**2)"), False, Fraction(7, 2), Fraction(1, 3))
@example(parse("(t**2 + 1) * exp(-t)"), True, Fraction(7, 2), Fraction(13, 3))
@example(parse("t * log(1 + t**2) + softplus(t)"), True, Fraction(7, 2), Fraction(13, 3))
def test_the_scaled_form_is_the_tree(tree: Expr, up: bool, start: Fraction, more: Fraction) -> None:
    assert agrees(tree, up, start, start + more)


def test_a_form_of_another_power_is_noticed() -> None:
    tree, start, w = parse("t / sqrt(1 + t**2) - 2"), Fraction(7, 2), Fraction(41, 7)
    assert agrees(tree, True, start, w)
    assert not agrees(tree, True, start, w, shift=1)


@given(binary_trees(jumps=True), st.booleans(), rationals(3, 9), st.lists(rationals(0, 30), min_size=1, max_size=3))
@example(parse("t * softplus(-t)"), True, Fraction(7, 2), [Fraction(1, 3), Fraction(20, 3)])
@example(parse("t * sigmoid(-t) + exp(t)"), True, Fraction(7, 2), [Fraction(1, 3), Fraction(20, 3)])
def test_scaled_forms_enclose(tree: Expr, up: bool, start: Fraction, more: list[Fraction]) -> None:
    found = enclose_tail(tree, "t", up, start)
    assume(found is not None)
    assert found is not None
    for step in more:
        x = start + step if up else -start - step
        size = largest(tree, x)
        assume(size < 1e25)
        assert holds(found.range, at_score(tree, x), size)


LIMITS = [
    ("t / sqrt(1 + t**2)", -inf, -1),
    ("(1 - t) / (1 + abs(t))", inf, -1),
    ("max(0, 1 - t)**2 / (3 + t**2)", -inf, 1),
    ("t**4 - t**3 - t / 100", inf, inf),
    ("t**3 - t**4", -inf, -inf),
    ("t**2 * exp(-t / 3)", inf, 0),
    ("(1 - t) * exp(t)", -inf, 0),
    ("t * softplus(-t)", inf, 0),
    ("t**3 * sigmoid(t)", -inf, 0),
    ("exp(t) - t**2", inf, inf),
    ("t - log(1 + t**2)", inf, inf),
    ("log(1 + t**2) / t", inf, 0),
    ("softplus(2 * t) / t", inf, 2),
    ("sqrt(softplus(-t)) / (1 + sqrt(abs(t)))", -inf, 1),
    ("t**2 / (1 + t**4)**0.5", inf, 1),
    ("max(t, t**2) / (1 + t**2)", -inf, 1),
    ("where(t > 2, t / (1 + t), 5)", inf, 1),
]


@pytest.mark.parametrize(("text", "end", "limit"), LIMITS)
def test_limits_are_found(text: str, end: float, limit: float) -> None:
    tree = parse(text)
    side = Interval.between(Fraction(8), inf) if end > 0 else Interval.between(-inf, Fraction(-8))
    found = bound(tree, "t", side)
    point = found.points[1 if end > 0 else 0]
    assert not found.jumped
    assert point.is_point
    assert holds(point, limit)
    for x in (9, 17, 60):
        assert holds(found.range, at_score(tree, Fraction(x if end > 0 else -x)), 1e20)


# -- real, or not shown to be --------------------------------------------------------------------------------------


def is_real(text: str, low: Fraction | float, high: Fraction | float) -> bool:
    try:
        return enclose(parse(text), {"t": Interval.between(low, high)}, along="t").real
    except Undefined:
        return False


@pytest.mark.parametrize(
    "text",
    [
        "1 / exp(-t)",
        "log(exp(t) + exp(-t))",
        "log(1 - sigmoid(t))",
        "1 / (1 + tanh(t))",
        "log1p(exp(-t))",
        "1 / (2 * softplus(t) + max(0, t))",
        "(sigmoid(t) * exp(t))**-0.5",
        "log(softplus(t)) / sqrt(1 / sigmoid(-t))",
        "exp(t)**(1 / (2 + tanh(t)))",
        "abs(t)**1.5",
        "where(abs(t) <= 1, 0, 1 / (t**2 + 1/9))",
        "log(max(exp(t), t))",
    ],
)
def test_trees_that_are_real_everywhere_are_seen(text: str) -> None:
    assert is_real(text, -inf, inf)


SINGULAR = [
    "1 / t",
    "1 / t**2",
    "t / t",
    "0 / t",
    "log(t)",
    "log(t**2)",
    "log1p(abs(t) - 1)",
    "abs(t)**-0.5",
    "t**-2",
    "atan(t / t**2)",
    "exp(-1 / t**2)",
    "where(t < 1, atan(1 / t), 1 / t)",
    "1 / (exp(t) - 1)",
    "1 / (tanh(t) * exp(t))",
    "1 / (abs(t) + t**2)",
    "1 / min(1, abs(t))",
    "1 / max(-1, t)",
    "1 / where(t > 0, exp(t), t)",
]


@pytest.mark.parametrize("text", SINGULAR)
@pytest.mark.parametrize(("low", "high"), [(Fraction(-1), Fraction(2)), (-inf, inf), (Fraction(0), Fraction(0))])
def test_singular_points_inside_are_seen(text: str, low: Fraction | float, high: Fraction | float) -> None:
    assert not is_real(text, low, high)


@pytest.mark.parametrize("text", ["1 / t", "log(t)", "t**-2", "where(t > 0, 1 / t, 0)", "abs(t)**-0.5", "1 / (t * t)"])
def test_singular_points_at_an_end_do_no_harm_inside(text: str) -> None:
    assert is_real(text, Fraction(0), Fraction(1, 3))
    assert is_real(text, Fraction(0), inf)
    found = enclose(parse(text), {"t": Interval.between(Fraction(0), Fraction(1, 3))}, along="t")
    assert not found.jumped


# -- signs and restrictions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "low", "high", "sign"),
    [
        ("t**2", 0, 1, 1),
        ("-3 * t**2 * exp(-t**3)", 0, 1, -1),
        ("t**2", -1, 1, 0),
        ("t * abs(t - 1/3)", 0, 1, 0),
        ("max(0, t - 1/3)", 0, 1, 0),
        ("sigmoid(-t)", 0, inf, 1),
        ("t**2 + t**4", -1, 0, 1),
        ("t**2 - t**4", 0, 2, 0),
        ("0 * t", 0, 1, 0),
        ("where(t < 1/3, t, 0)", 0, 1, 0),
    ],
)
def test_signs_inside(text: str, low: int, high: float, sign: int) -> None:
    side = Interval.between(Fraction(low), high if high == inf else Fraction(high))
    assert sign_inside(parse(text), "t", side) == sign


@given(binary_trees(jumps=True), rationals(-3, 2), rationals(0, 1), st.lists(rationals(0, 1), min_size=2, max_size=4))
@example(parse("where(t > 0, sqrt(t), -sqrt(-t))"), Fraction(0), Fraction(1, 2), [Fraction(1, 3), Fraction(2, 3)])
def test_restrictions_agree_inside(tree: Expr, low: Fraction, width: Fraction, shares: list[Fraction]) -> None:
    side = Interval.between(low, low + width)
    try:
        here = restrict(tree, {"t": side}, "t")
    except Undefined:
        assume(False)
    for share in shares:
        x = low + share * width
        assert at_score(here, x) == at_score(tree, x)


def test_a_restriction_to_another_interval_is_noticed() -> None:
    tree, side = parse("max(0, 1 - t)"), Interval.between(Fraction(1), Fraction(3))
    here = restrict(tree, {"t": side}, "t")
    assert at_score(here, Fraction(1, 3)) != at_score(tree, Fraction(1, 3))
