"""Trees written out for labels, their normal forms, and the vertices of piecewise-linear losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from flint import ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import binary_trees, multiclass_trees, posteriors, rationals, scores
from theory import Status, from_formula, multiclass_minimiser, multiclass_risk, prove
from theory.checker.arrangement import Arrangement, arrange, losses_at
from theory.expression.arrays import evaluate_array, evaluate_scores
from theory.expression.enclosure import enclose
from theory.expression.expand import expand
from theory.expression.interval import Interval
from theory.expression.nodes import Const, Expr, Var
from theory.expression.normal import TooLarge, normal_form, polynomial, same_function
from theory.expression.parse import SCORE_NAMES, parse

# Digits lost where terms of drawn trees, up to about 1e4, cancel in float64.
CANCELLATION = 1e-9
# A pattern search that stops at steps of 1e-9; a piecewise-linear value is good to slopes times that.
SEARCH = 1e-7


# -- expansion -----------------------------------------------------------------------------------------------------

NAMES = ("x0", "x1", "x2", "x3")
WEIGHTS = (Fraction(3, 7), Fraction(-5, 4), Fraction(2), Fraction(11, 13))


def close(left: np.ndarray, right: np.ndarray) -> bool:
    """Equal but for rounding, NaN equal to NaN."""
    size = 1 + np.abs(left)
    with np.errstate(invalid="ignore"):
        return bool(np.all((left == right) | (np.abs(left - right) <= CANCELLATION * size) | np.isnan(left)))


def expansion_agrees(tree: Expr, f: Sequence[Fraction], write_out: Callable[..., Expr] = expand) -> bool:
    """`expand` for every label, evaluated at the scores, is what `evaluate_scores` gives."""
    c = len(f)
    values = np.array([float(x) for x in f])
    vector = np.array([float(x) for x in WEIGHTS[:c]])
    wanted = evaluate_scores(tree, values, {}, {"w": vector})
    env = {name: np.asarray(x) for name, x in zip(NAMES, values, strict=False)}
    points = [Var(name) for name in NAMES[:c]]
    trees = [write_out(tree, label, points, {"w": WEIGHTS[:c]}) for label in range(c)]
    return close(wanted, np.array([float(evaluate_array(each, env)) for each in trees]))


@settings(max_examples=150)
@given(tree=multiclass_trees(vector="w"), data=st.data(), c=st.integers(2, 4))
def test_expansion_is_the_loss_of_every_label(tree: Expr, data: st.DataObject, c: int) -> None:
    assert expansion_agrees(tree, data.draw(scores(c)))


def test_an_expansion_for_another_label_is_noticed() -> None:
    def off_by_one(tree: Expr, label: int, points: list[Expr], vectors: dict[str, tuple[Fraction, ...]]) -> Expr:
        return expand(tree, (label + 1) % len(points), points, vectors)

    f = (Fraction(3, 7), Fraction(-2, 9), Fraction(5, 4))
    for text in ("lse - fy", "sum_other(qk**2)", "max_other(wk * (fk - fy))", "w", "alpha"):
        tree = parse(text, SCORE_NAMES, frozenset({"w"}))
        assert expansion_agrees(tree, f)
        assert not expansion_agrees(tree, f, off_by_one)


@settings(max_examples=40)
@given(f=scores(3))
def test_exact_losses_are_the_float_losses(f: tuple[Fraction, ...]) -> None:
    loss = from_formula(
        "w * max(0, 1 - alpha) + sum_other(clip(fk - wk * fy, -1, 2))", classes=3, parameters={"w": WEIGHTS[:3]}
    )
    exact = losses_at(loss.score_tree, f, {"w": WEIGHTS[:3]})
    assert close(np.array([float(x) for x in exact]), loss.values([float(x) for x in f]))


@pytest.mark.parametrize("name", ["w", "v", "w0", "w1", "a"])
def test_the_name_of_a_vector_parameter_does_not_matter(name: str) -> None:
    """The coordinates of the exact method have names too; a parameter with such a name must not meet them."""
    formula = f"sum_other(clip(1 - (fy - fk), 0, 1)) + {name}"
    verdict = prove(from_formula(formula, classes=3, parameters={name: (5, 0, 0)}), classes=3)
    assert verdict.status == Status.PROVED


# -- normal forms --------------------------------------------------------------------------------------------------


def same_at(left: Expr, right: Expr, t: Fraction) -> bool:
    """Enclosures of 300 bits at an exact point meet, and are narrow enough to tell functions apart."""
    with ctx.workprec(300):
        box = {"t": Interval.point(t)}
        difference = enclose(left, box).range - enclose(right, box).range
        narrow = difference.hi - difference.lo < Interval.point(Fraction(1, 10**9)).lo
        return bool(narrow and not difference.lo > 0 and not difference.hi < 0)


@settings(max_examples=120)
@given(tree=binary_trees(), points=st.lists(rationals(-4, 4), min_size=3, max_size=3))
def test_the_normal_form_is_the_same_function(tree: Expr, points: list[Fraction]) -> None:
    normal = normal_form(tree)
    assert all(same_at(tree, normal, t) for t in points)
    assert not any(same_at(tree, normal + Const(Fraction(1, 1000)), t) for t in points)


@settings(max_examples=60)
@given(
    tree=binary_trees(kinks=False),
    other=binary_trees(depth=2),
    points=st.lists(rationals(-4, 4), min_size=3, max_size=3),
)
def test_same_function_is_never_said_wrongly(tree: Expr, other: Expr, points: list[Fraction]) -> None:
    for right in (other, normal_form(tree), tree + other - other, other * tree / 2):
        if same_function(tree, right):
            assert all(same_at(tree, right, t) for t in points)


@settings(max_examples=60)
@given(tree=binary_trees(depth=2), value=rationals(-1, 1))
def test_same_function_knows_rearrangements_and_their_broken_twins(tree: Expr, value: Fraction) -> None:
    shift = Const(value)
    try:
        polynomial((tree + shift) * (tree + shift))
    except TooLarge:
        return
    square = tree * tree + Const(2 * value) * tree + Const(value * value)
    assert same_function((tree + shift) * (tree + shift), square)
    assert not same_function((tree + shift) * (tree + shift), square + Const(Fraction(1, 10**30)))
    assert not same_function(tree, tree + shift)


def test_normal_forms_cancel() -> None:
    for text, normal in [
        ("(1 + t)**3 - (1 - t)**3 - 2 * t**3", "6 * t"),
        ("exp(t)**2 / exp(t)", "exp(t)"),
        ("(t**2 - 1) / (1 + exp(t)) + 1 / (1 + exp(t))", "t**2 * (1 / (1 + exp(t)))"),
    ]:
        assert same_function(parse(text), parse(normal)), text
    assert not same_function(parse("exp(t)**3 / exp(t)"), parse("exp(t)"))
    assert not same_function(parse("(1 + t)**3 - (1 - t)**3 - 2 * t**3"), parse("6 * t + 1/1000"))


# -- vertices ------------------------------------------------------------------------------------------------------

LOSSES = {
    "crammer-singer": ("max(0, 1 - alpha)", "all"),
    "weston-watkins": ("sum_other(max(0, 1 - (fy - fk)))", "all"),
    "lee-lin-wahba": ("sum_other(max(0, fk + 1 / (c - 1)))", "sum-zero"),
    "ramp": ("clip(3/4 - alpha, 0, 4/5)", "all"),
}


def least(found: Arrangement, p: Sequence[Fraction], top: int | None = None) -> Fraction:
    """The least conditional risk over the vertices, or over those with a class on top."""
    vertices = [v for v in found.vertices if top is None or top in v.top]
    return min(sum((x * y for x, y in zip(p, v.losses, strict=True)), Fraction(0)) for v in vertices)


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=8)
@given(p=posteriors(3))
def test_vertices_hold_the_minimiser(name: str, p: tuple[Fraction, ...]) -> None:
    formula, domain = LOSSES[name]
    loss = from_formula(formula, classes=3, domain=domain)
    found = arrange(loss.score_tree, 3, domain)
    row = np.array([[float(x) for x in p]])
    assert abs(float(least(found, p)) - multiclass_minimiser(loss, row)[1][0]) <= SEARCH
    for top in range(3):
        assert abs(float(least(found, p, top)) - multiclass_minimiser(loss, row, top=top)[1][0]) <= SEARCH


@pytest.mark.parametrize("name", LOSSES)
def test_vertices_have_the_losses_they_state(name: str) -> None:
    formula, domain = LOSSES[name]
    loss = from_formula(formula, classes=3, domain=domain)
    p = np.array([0.47, 0.32, 0.21])
    found = arrange(loss.score_tree, 3, domain)
    for v in found.vertices:
        stated = float(sum(Fraction(x) * y for x, y in zip((47, 32, 21), v.losses, strict=True)) / 100)
        assert abs(stated - multiclass_risk(loss, p, [float(x) for x in v.scores])) <= CANCELLATION
        assert v.top == {k for k in range(3) if v.scores[k] == max(v.scores)}
        assert domain == "all" or sum(v.scores) == 0


def test_a_missing_vertex_is_noticed() -> None:
    loss = from_formula("max(0, 1 - alpha)", classes=3)
    found = arrange(loss.score_tree, 3)
    p = (Fraction(3, 5), Fraction(3, 10), Fraction(1, 10))
    best = least(found, p)
    fewer = replace(found, vertices=tuple(v for v in found.vertices if v.top != {0}))
    assert least(fewer, p) > best + Fraction(1, 100)
