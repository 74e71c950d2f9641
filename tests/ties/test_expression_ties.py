"""One tree, many readings: NumPy, balls, SymPy, rewritten, differentiated, per class. All must be one function."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from flint import ctx
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from tests.strategies import binary_trees, catalogue_losses, decimals, multiclass_trees, rationals, scores
from tests.theory.meaning import at_score, at_scores, closest_comparison, largest, number
from theory.expression import (
    SCORE_NAMES,
    Expr,
    Var,
    differentiate,
    evaluate_array,
    evaluate_scores,
    names,
    parse,
    simplify,
    stabilise,
    substitute,
    to_sympy,
    walk,
)
from theory.expression.enclosure import enclose
from theory.expression.interval import Interval, fraction_of
from theory.expression.nodes import UNARY, Call, Clip, Max, MaxOther, Min, SumOther, Where

# float64 on trees of a few dozen nodes: each rounds once, relative to the largest node, and the denominators,
# logarithms and roots that the strategies build magnify an error by at most a few thousand in all.
FLOAT = 1e-10
# Trees with larger intermediate values are not compared: their cancellation is their own.
LARGEST = 1e4
# SymPy is asked for 30 digits; at nodes below LARGEST it keeps at least 20 of them.
SYMPY = 1e-20
# Central differences of order 4 (house tolerance for gradients, relative to the largest node of the tree).
DIFFERENCES, STEP = 5e-6, 1e-3
# Bits of the enclosures, as in the checker, and how tight they then are at a point: 2**-80 = 8e-25 per node.
PRECISION, TIGHT = 80, 1e-18
# How far from a kink or jump a point must stay where differences are taken across it.
OFF_KINKS = 2e-2


def floats(tree: Expr, *points: Fraction) -> np.ndarray[Any, Any]:
    """The tree in float64 at rational points."""
    values = evaluate_array(tree, {"t": np.array([float(t) for t in points])})
    return np.broadcast_to(values, len(points))


def ball(tree: Expr, t: Fraction) -> tuple[Fraction, Fraction]:
    """The rational ends of the enclosure at a point."""
    with ctx.workprec(PRECISION):
        found = enclose(tree, {"t": Interval.point(t)}).range
    low, high = fraction_of(found.lo), fraction_of(found.hi)
    assert low is not None
    assert high is not None
    return low, high


def agree(value: float, tree: Expr, t: Fraction) -> bool:
    """The property: a float is the tree's value, up to rounding."""
    return bool(abs(value - at_score(tree, t)) <= FLOAT * max(1.0, largest(tree, t)))


def moderate(tree: Expr, t: Fraction) -> None:
    """Keep to points where every node is of moderate size and no jump is within rounding."""
    assume(largest(tree, t) < LARGEST)
    assume(not any(isinstance(node, Where) for node in walk(tree)) or closest_comparison(tree, t) > 1e-9)


CLASS_SUMS = (SumOther, MaxOther)
TREES = binary_trees(jumps=True)
POINTS = rationals(-8, 8)


@given(TREES, POINTS)
def test_numpy_is_the_meaning(tree: Expr, t: Fraction) -> None:
    moderate(tree, t)
    assert agree(floats(tree, t)[0], tree, t)


@given(TREES, POINTS)
def test_balls_hold_the_meaning(tree: Expr, t: Fraction) -> None:
    moderate(tree, t)
    low, high = ball(tree, t)
    value = at_score(tree, t)
    slack = number(Fraction(1, 10**45)) * largest(tree, t)  # of the 60 digits that `value` has itself
    assert number(low) - slack <= value <= number(high) + slack
    assert number(high - low) <= TIGHT * max(1.0, largest(tree, t))


@given(TREES, POINTS)
def test_numpy_lies_in_the_ball(tree: Expr, t: Fraction) -> None:
    moderate(tree, t)
    low, high = ball(tree, t)
    slack = FLOAT * max(1.0, largest(tree, t))
    assert float(low) - slack <= floats(tree, t)[0] <= float(high) + slack


def test_agreement_can_say_no() -> None:
    tree, t = parse("softplus(-t) + max(0, 1 - t)"), Fraction(311, 997)
    assert agree(floats(tree, t)[0], tree, t)
    for twin in ("softplus(t) + max(0, 1 - t)", "softplus(-t) + max(0, 1 + t)", "softplus(-t) * max(0, 1 - t)"):
        assert not agree(floats(parse(twin), t)[0], tree, t)
    assert not agree(floats(tree, t)[0] * (1 + 1e-9), tree, t)


# -- SymPy ---------------------------------------------------------------------------------------------------------


def sympy_value(expression: Any, t: Fraction) -> Any:
    """A SymPy expression at a rational point, with 30 digits."""
    point = sympy.Rational(t.numerator, t.denominator)
    value = sympy.sympify(expression).subs(sympy.Symbol("t", real=True), point).evalf(30)
    return number(Fraction(int(sympy.Integer(sympy.Rational(value).p)), int(sympy.Rational(value).q)))


@settings(max_examples=settings().max_examples // 2)  # SymPy is slow
@given(binary_trees(jumps=True, depth=2), POINTS)
def test_sympy_is_the_meaning(tree: Expr, t: Fraction) -> None:
    moderate(tree, t)
    value = sympy_value(to_sympy(tree), t)
    assert abs(value - at_score(tree, t)) <= SYMPY * max(1.0, largest(tree, t))


@settings(max_examples=settings().max_examples // 2)  # SymPy is slow
@given(binary_trees(depth=2), POINTS)
def test_derivatives_are_those_of_sympy(tree: Expr, t: Fraction) -> None:
    assume(largest(tree, t) < LARGEST)
    assume(closest_comparison(tree, t) > 1e-9)
    slope = differentiate(tree, "t")
    assume(closest_comparison(slope, t) > 1e-9)
    theirs = sympy_value(sympy.diff(to_sympy(tree), sympy.Symbol("t", real=True)), t)
    assert abs(theirs - at_score(slope, t)) <= SYMPY * max(1.0, largest(slope, t)) ** 2


def difference_error(tree: Expr, slope: Expr, t: Fraction) -> float:
    """|slope - central difference of order 4|, relative to the sizes of both trees."""
    h = float(t) + STEP * np.array([-2.0, -1.0, 1.0, 2.0])
    values = evaluate_array(tree, {"t": h}) * np.ones(4)
    numeric = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
    size = max(1.0, largest(tree, t), largest(slope, t))
    return float(abs(numeric - floats(slope, t)[0])) / size


def curvature(tree: Expr, t: Fraction) -> float:
    """The size of the fifth derivative, which the differences leave out, from floats on a wide stencil."""
    h = float(t) + 0.01 * np.arange(-4, 5)
    return float(np.abs(np.diff(evaluate_array(tree, {"t": h}) * np.ones(9), n=5)).max()) / 0.01**5


@given(binary_trees(jumps=True), POINTS)
def test_derivatives_are_central_differences(tree: Expr, t: Fraction) -> None:
    near = [t + Fraction(k, 50) for k in range(-2, 3)]
    assume(all(largest(tree, u) < LARGEST for u in near))
    assume(min(closest_comparison(tree, u) for u in near) > OFF_KINKS * largest(tree, t))
    assume(curvature(tree, t) * STEP**4 < 1e-6 * max(1.0, largest(tree, t)))
    assert difference_error(tree, differentiate(tree, "t"), t) <= DIFFERENCES


def test_wrong_derivatives_are_caught() -> None:
    t = Fraction(-411, 997)
    for text, wrong in [
        ("softplus(-t)", "sigmoid(-t)"),
        ("max(0, 1 - t)**2", "2 * max(0, 1 - t)"),
        ("tanh(t) * t", "tanh(t)"),
        ("(2 + t**2)**1.5", "1.5 * (2 + t**2)**0.5"),
    ]:
        tree = parse(text)
        assert difference_error(tree, differentiate(tree, "t"), t) <= DIFFERENCES
        assert difference_error(tree, parse(wrong), t) > DIFFERENCES
        theirs = sympy_value(sympy.diff(to_sympy(tree), sympy.Symbol("t", real=True)), t)
        assert abs(theirs - at_score(parse(wrong), t)) > SYMPY


# -- rewriting -----------------------------------------------------------------------------------------------------


def same_at(one: Expr, two: Expr, t: Fraction) -> bool:
    """The property: two trees are equal at a point, in 60 digits, and their enclosures there overlap."""
    a, b = at_score(one, t), at_score(two, t)
    (low, high), (low2, high2) = ball(one, t), ball(two, t)
    return bool(abs(a - b) <= 1e-40 * max(1.0, largest(one, t))) and low <= high2 and low2 <= high


@given(TREES, POINTS)
def test_simplify_and_stabilise_keep_the_function(tree: Expr, t: Fraction) -> None:
    moderate(tree, t)
    for rewritten in (simplify(tree), stabilise(tree)):
        assert same_at(tree, rewritten, t)
        assert agree(floats(rewritten, t)[0], tree, t)


RULES = [
    "log(1 + exp(-t))",
    "log(exp(2 * t) + 1)",
    "log1p(exp(t - 1))",
    "1 / (1 + exp(t))",
    "3 / (exp(-t) + 1)",
    "exp(t) / (1 + exp(t))",
    "exp(-t) / (1 + exp(-t))**2",
    "t / (1 + exp(t))**2.5",
    "(1 + exp(2 * t))**-2",
    "(1 + exp(t))**(1/2)",
    "log(1 / (1 + exp(t)))",
    "log(exp(t - 1))",
    "log(sigmoid(t))",
    "tanh(-t)",
    "atan(-t)",
    "abs(-t)",
    "(-t)**2",
    "(-t)**3",
    "(-t)**-3",
    "-(t - 1)",
    "-(2 * t)",
    "--t",
    "0 - t",
    "t - -1",
    "t + -(t)",
    "t / 4 / 3",
    "2 * (3 * t)",
    "2 * -t",
    "t * 0 + 0 / t",
    "t**1 + t**0",
    "where(-t < 1, t, -t)",
    "where(-t <= 0.5, t, -t)",
    "where(-t > -1, t, 2)",
    "where(-t >= -0.25, t, 2)",
    "where(2 > 1, t, 0)",
    "where(t < 0, t, t)",
    "t / (1 + t)",
    "t / (t + 3)",
    "abs(t) / (1 + abs(t))",
    "t**2 / (2 + t**2)",
    "max(1, 2) * min(3, 4) + clip(5, 0, 1)",
    "(2/3)**3 * t",
]


@given(st.sampled_from(RULES), decimals(-200, 200), decimals(), POINTS)
def test_every_rewriting_rule_is_an_identity(text: str, a: Fraction, b: Fraction, t: Fraction) -> None:
    inner = Var("t") * a + b
    tree = substitute(parse(text), {"t": inner})
    assume(all(abs(value) > 1e-6 for value in (a * t + b, a * t + b + 1, a * t + b + 3)))
    assume(closest_comparison(tree, t) > 1e-9)
    for rewritten in (simplify(tree), stabilise(tree)):
        assert same_at(tree, rewritten, t)


def test_a_rule_that_is_no_identity_is_caught() -> None:
    t = Fraction(291, 997)
    for text, twin in [("log(1 + exp(-t))", "softplus(t)"), ("1 / (1 + exp(t))", "sigmoid(t)"), ("(-t)**3", "t**3")]:
        assert same_at(parse(text), stabilise(parse(text)), t)
        assert not same_at(parse(text), parse(twin), t)


@pytest.mark.parametrize("text", ["log(1 + exp(-t))", "log(1 + exp(t))", "1 / (1 + exp(t))", "exp(t) / (1 + exp(t))"])
def test_stable_forms_survive_large_scores(text: str) -> None:
    for t in (Fraction(-900), Fraction(900)):
        assert agree(floats(stabilise(parse(text)), t)[0], parse(text), t)


# -- several classes -----------------------------------------------------------------------------------------------


def by_hand(tree: Expr, f: tuple[Fraction, ...], w: tuple[Fraction, ...] | None) -> list[Any]:
    """The losses of all labels by a loop over the definition."""
    return [at_scores(tree, f, y, None if w is None else {"w": w}) for y in range(len(f))]


def class_losses_agree(values: np.ndarray[Any, Any], wanted: list[Any], size: float = 1.0) -> bool:
    """The property: an array of losses per label is the list by hand, up to rounding at nodes of the given size."""
    scale = max(size, *(float(abs(value)) for value in wanted))
    return all(abs(a - b) <= FLOAT * scale for a, b in zip(values, wanted, strict=True))


@given(st.data(), multiclass_trees(vector="w"), st.integers(2, 5))
def test_multiclass_trees_are_the_loop_over_labels(data: st.DataObject, tree: Expr, classes: int) -> None:
    f = data.draw(scores(classes))
    w = tuple(data.draw(st.lists(decimals(), min_size=classes, max_size=classes)))
    wanted = by_hand(tree, f, w)
    # sums of other classes are counted by their value; what stands inside them is at most a few times larger
    outside = [node for node in walk(tree) if not names(node) & {"fk", "qk", "wk"} or isinstance(node, CLASS_SUMS)]
    size = max(1.0, *(float(abs(value)) for node in outside for value in by_hand(node, f, w)))
    assume(size < LARGEST)
    vectors = {"w": np.array([float(x) for x in w])}
    for form in (tree, stabilise(tree)):
        values = evaluate_scores(form, np.array([float(x) for x in f]), {}, vectors)
        assert class_losses_agree(values, wanted, 100 * size)


def test_multiclass_twins_are_caught() -> None:
    """fk read at the label, alpha without its maximum, lse without the label: none passes for the loss."""
    f = (Fraction(311, 997), Fraction(-1203, 997), Fraction(1711, 997))
    array = np.array([float(x) for x in f])
    for text, twins in {
        "sum_other(max(0, 1 - (fy - fk)))": ["max_other(max(0, 1 - (fy - fk)))", "max(0, 1 - alpha)"],
        "lse - fy": ["lse - alpha", "-log(1 - q)"],
        "sum_other(qk * fk)": ["q * fy", "sum_other(qk * fy)"],
        "max_other(fk)": ["fy", "fy + alpha"],
        "c * q": ["2 * q", "(c - 1) * q"],
    }.items():
        tree = parse(text, SCORE_NAMES)
        assert class_losses_agree(evaluate_scores(tree, array, {}, {}), by_hand(tree, f, None))
        for twin in twins:
            wrong = evaluate_scores(parse(twin, SCORE_NAMES), array, {}, {})
            assert not class_losses_agree(wrong, by_hand(tree, f, None))


@given(st.data(), catalogue_losses(form="multiclass"), st.integers(2, 5), st.integers(1, 3))
def test_catalogue_losses_by_hand_and_in_batches(data: st.DataObject, loss: Any, classes: int, rows: int) -> None:
    batch = [data.draw(scores(classes)) for _ in range(rows)]
    values = loss.values(np.array([[float(x) for x in f] for f in batch]))
    assert values.shape == (rows, classes)
    for row, f in zip(values, batch, strict=True):
        wanted = [at_scores(loss.multiclass, f, y, dict(loss.parameters)) for y in range(classes)]
        assert all(abs(a - b) <= FLOAT * max(1.0, float(abs(b))) for a, b in zip(row, wanted, strict=True))


@given(catalogue_losses(form="binary"), POINTS)
def test_two_classes_are_the_binary_loss(loss: Any, t: Fraction) -> None:
    """With scores (t, 0) the margin of label 0 is t and that of label 1 is -t."""
    assume(loss.multiclass is not None)
    values = loss.values(np.array([float(t), 0.0]))
    assert abs(values[0] - loss.phi(float(t))) <= FLOAT * max(1.0, abs(values[0]))
    assert abs(values[1] - loss.phi(-float(t))) <= FLOAT * max(1.0, abs(values[1]))
    assert loss.phi_plus(float(t)) == pytest.approx(loss.phi(float(t)), rel=FLOAT, abs=FLOAT)
    assert loss.phi_minus(float(t)) == pytest.approx(loss.phi(-float(t)), rel=FLOAT, abs=FLOAT)


def test_the_strategies_reach_every_node() -> None:
    """What is drawn covers the language: every kind of node and every named function, given enough draws."""
    seen: set[str] = set()

    @settings(max_examples=600, database=None, derandomize=True, phases=[Phase.generate])
    @given(binary_trees(jumps=True), multiclass_trees(vector="w"))
    def look(tree: Expr, other: Expr) -> None:
        for node in (*walk(tree), *walk(other)):
            seen.add(node.name if isinstance(node, Call) else type(node).__name__)

    look()
    kinds = {"Add", "Sub", "Mul", "Div", "Pow", "Neg", "Pi", "SumOther", "MaxOther"}
    assert seen >= {*UNARY, *kinds, *(kind.__name__ for kind in (Max, Min, Clip, Where))}
