"""Text to trees and back; which names a formula may use."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.strategies import binary_trees, formulas, multiclass_trees
from tests.theory.meaning import at_score, largest
from theory.expression import (
    BINARY_NAMES,
    PAIR_NAMES,
    SCORE_NAMES,
    Call,
    Const,
    Expr,
    FormulaError,
    Max,
    SumOther,
    Var,
    parse,
    substitute,
    to_text,
)
from theory.expression.nodes import Add, Div, Mul, Neg, Pi, Pow, Sub, parts, walk
from theory.expression.parse import MAX_DEPTH

# 60-digit arithmetic on the same tree written twice; the trees lose far fewer than 20 digits.
DIGITS = 1e-40


def comes_back(
    tree: Expr, text: str, names: frozenset[str] = BINARY_NAMES, extra: frozenset[str] = frozenset()
) -> bool:
    """The property: the text reads as the tree."""
    return parse(text, names, extra) == tree


@given(formulas())
@example("1e-31 * t")
@example("0.1234567890123456789012345678901 * t")
@example("1e70 * t")
@example("-t**-2**2")
@example("(t**2)**3 - -(t - (1 - t)) / (2 / 3)")
def test_text_comes_back(text: str) -> None:
    tree = parse(text)
    assert comes_back(tree, to_text(tree))


@given(binary_trees(jumps=True))
def test_trees_come_back(tree: Expr) -> None:
    assert comes_back(tree, to_text(tree))


@given(multiclass_trees(vector="w"))
def test_multiclass_trees_come_back(tree: Expr) -> None:
    assert comes_back(tree, to_text(tree), SCORE_NAMES, frozenset({"w"}))


@given(binary_trees())
def test_pair_trees_come_back(tree: Expr) -> None:
    tree = substitute(tree, {"t": Var("v")})
    assert comes_back(tree, to_text(tree), PAIR_NAMES)


@pytest.mark.parametrize(
    ("tree", "wrong"),
    [
        (Sub(Var("t"), Sub(Var("t"), Const(Fraction(1)))), "t - t - 1"),
        (Div(Var("t"), Mul(Var("t"), Const(Fraction(2)))), "t / t * 2"),
        (Pow(Neg(Var("t")), Const(Fraction(2))), "-t**2"),
        (Pow(Pow(Var("t"), Const(Fraction(2))), Const(Fraction(3))), "t**2**3"),
        (Neg(Add(Var("t"), Const(Fraction(1)))), "-t + 1"),
    ],
)
def test_a_printer_that_forgets_brackets_is_caught(tree: Expr, wrong: str) -> None:
    assert comes_back(tree, to_text(tree))
    assert not comes_back(tree, wrong)


@given(
    st.fractions(-9, 9, max_denominator=10**6),
    st.fractions(Fraction(1, 9), 7, max_denominator=10**4),
    st.integers(-5, 5),
)
def test_constants_that_no_literal_writes_keep_their_value(a: Fraction, t: Fraction, n: int) -> None:
    for tree in (
        Const(a) - Const(-a) * Var("t"),
        Const(a) / (Const(a + 10) / Var("t")),
        Var("t") ** Const(Fraction(n, 3)),
        Pow(Const(abs(a) + 1), Const(-abs(a) / 10**6)),
        -Const(a) / Const(Fraction(-2, 3)),
    ):
        scale = max(1.0, largest(tree, t))
        assert abs(at_score(parse(to_text(tree)), t) - at_score(tree, t)) <= DIGITS * scale


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("t", Var("t")),
        ("-t**2", Neg(Pow(Var("t"), Const(Fraction(2))))),
        ("2**-t", Pow(Const(Fraction(2)), Neg(Var("t")))),
        ("0.1", Const(Fraction(1, 10))),
        ("1e-3", Const(Fraction(1, 1000))),
        (".50", Const(Fraction(1, 2))),
        ("+t", Var("t")),
        ("pi", Pi()),
        ("max(t, 1, 2)", Max(Max(Var("t"), Const(Fraction(1))), Const(Fraction(2)))),
        ("t - 1 - 2", Sub(Sub(Var("t"), Const(Fraction(1))), Const(Fraction(2)))),
        ("(t\n + 1)", Add(Var("t"), Const(Fraction(1)))),
    ],
)
def test_what_text_means(text: str, tree: Expr) -> None:
    assert parse(text) == tree


# -- names ---------------------------------------------------------------------------------------------------------


def test_binary_formulas_know_t_and_their_parameters() -> None:
    assert parse("t + alpha", BINARY_NAMES, frozenset({"alpha"})) == Var("t") + Var("alpha")
    for wrong in ("v", "fy", "alpha", "lse", "q", "c", "fk", "qk", "mu", "sum_other(t)", "max_other(t)"):
        with pytest.raises(FormulaError, match=r"^formula, column 1: "):
            parse(wrong)


def test_pair_formulas_know_v() -> None:
    assert parse("v", PAIR_NAMES) == Var("v")
    for wrong in ("t", "fy", "alpha"):
        with pytest.raises(FormulaError, match=r"^formula, column 1: "):
            parse(wrong, PAIR_NAMES)


def test_multiclass_formulas_know_their_names() -> None:
    for name in ("fy", "alpha", "lse", "q", "c"):
        assert parse(name, SCORE_NAMES) == Var(name)
    for wrong in ("t", "v", "k", "y", "f"):
        with pytest.raises(FormulaError, match=r"^formula, column 1: "):
            parse(wrong, SCORE_NAMES)


@pytest.mark.parametrize("name", ["fk", "qk", "wk"])
def test_names_of_the_other_class_stay_inside_class_sums(name: str) -> None:
    extra = frozenset({"w"})
    inside = parse(f"sum_other({name} - fy)", SCORE_NAMES, extra)
    assert inside == SumOther(Var(name) - Var("fy"))
    assert parse(f"max_other({name}) * w", SCORE_NAMES, extra) is not None
    for wrong in (name, f"sum_other(fk) + {name}", f"max(fy, {name})"):
        with pytest.raises(FormulaError, match="column"):
            parse(wrong, SCORE_NAMES, extra)


def test_a_vector_needs_its_parameter() -> None:
    with pytest.raises(FormulaError, match="'wk'"):
        parse("sum_other(wk)", SCORE_NAMES)


def test_class_sums_do_not_nest() -> None:
    with pytest.raises(FormulaError, match="cannot stand inside"):
        parse("sum_other(max_other(fk))", SCORE_NAMES)


@pytest.mark.parametrize(
    ("text", "column"), [("t + foo", 5), ("max(t, 1, bar)", 11), ("   t + foo", 8), ("(t)(t)", 1), ("t ** 101", 6)]
)
def test_errors_name_the_column(text: str, column: int) -> None:
    with pytest.raises(FormulaError, match=rf"^formula, column {column}: "):
        parse(text)


def test_errors_suggest_the_nearest_name() -> None:
    with pytest.raises(FormulaError, match="did you mean 'softplus'"):
        parse("softpls(t)")
    with pytest.raises(FormulaError, match="did you mean 'alpha'"):
        parse("alfa", SCORE_NAMES)


def test_a_call_is_not_a_name() -> None:
    assert parse("exp(t)") == Call("exp", Var("t"))
    for wrong in ("exp", "t(1)", "pi(1)"):
        with pytest.raises(FormulaError, match="column"):
            parse(wrong)


# -- limits, at and beyond them; found wanting by mutation testing -------------------------------------------------


_NESTINGS = {
    "sums to the left": lambda depth: "t" + " + t" * (depth - 1),
    "powers to the right": lambda depth: "t ** " * (depth - 1) + "2",
    "signs": lambda depth: "-" * (depth - 1) + "t",
    "pluses": lambda depth: "+" * (depth - 1) + "t",
    "calls": lambda depth: "exp(" * (depth - 1) + "t" + ")" * (depth - 1),
    "where, left of the comparison": lambda depth: "where(" * (depth - 1) + "t" + " < 1, 2, 3)" * (depth - 1),
    "where, right of it": lambda depth: "where(1 < " * (depth - 1) + "t" + ", 2, 3)" * (depth - 1),
    "where, first value": lambda depth: "where(t < 1, " * (depth - 1) + "t" + ", 3)" * (depth - 1),
    "where, second value": lambda depth: "where(t < 1, 2, " * (depth - 1) + "t" + ")" * (depth - 1),
}


@pytest.mark.parametrize("nesting", list(_NESTINGS))
def test_every_way_to_nest_ends_at_the_same_depth(nesting: str) -> None:
    made = _NESTINGS[nesting]
    if nesting != "powers to the right":  # the exponents of such a tower are refused before
        parse(made(MAX_DEPTH))
    with pytest.raises(FormulaError, match=r"^formula, column \d+: ") as refusal:
        parse(made(MAX_DEPTH + 1))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["t +", "max(t, 1", "t t", "1 +* t", "exp(t))", ")t("])
def test_what_python_cannot_read_is_a_formula_error(text: str) -> None:
    with pytest.raises(FormulaError, match=r"^formula, column \d+: "):
        parse(text)


@pytest.mark.parametrize("arguments", ["t < 1", "t < 1, 2", "t < 1, 2, 3, 4", ""])
def test_where_takes_three_arguments(arguments: str) -> None:
    with pytest.raises(FormulaError, match="three arguments"):
        parse(f"where({arguments})")


def test_exponents_are_read_through_their_arithmetic() -> None:
    for text in (
        "t ** (10 * 11)",
        "t ** (2 ** 7)",
        "t ** (1 / (1 - 1/100) * 100)",
        "t ** (0 ** (-1))",
        "t ** -(200 / 1)",
    ):
        with pytest.raises(FormulaError, match="exponent"):
            parse(text)
    for text in ("t ** (10 * 10)", "t ** (2 ** 6)", "t ** (0 ** 2 + 1)", "t ** (0 ** 0)", "t ** (101 - 1)"):
        parse(text)


def test_a_hash_is_taken_once_and_does_not_travel() -> None:
    """Hashes of names differ from process to process, so that none may lie in a pickle."""
    tree = parse("softplus(-t) + max(0, 1 - t) ** 2 / 3")
    assert not hasattr(tree, "_hash")
    once = hash(tree)
    assert tree._hash == once
    twin = pickle.loads(pickle.dumps(tree))
    assert not hasattr(twin, "_hash")
    assert twin == tree
    assert hash(twin) == once
    assert hash(copy.deepcopy(tree)) == once
    assert hash(replace(tree, right=tree.left)) != once


def test_a_leaf_is_what_has_no_subtree() -> None:
    tree = parse("where(t > pi, -t, clip(t, 0, 1)) + exp(t)")
    leaves = {type(node).__name__ for node in walk(tree) if not any(isinstance(part, Expr) for part in parts(node))}
    assert leaves == {"Const", "Pi", "Var"}
    assert all(node._is_leaf == (type(node).__name__ in leaves) for node in walk(tree))
