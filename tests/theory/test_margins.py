"""Margins against definitions written out with loops, their invariances, and their errors."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from theory.margins import functional_margins, linear_label_margins, linear_margins, row_distances

Floats = NDArray[np.float64]

# closed form against closed form, times the cancellation in f_j - f_k and in ||w_j - w_k|| that a draw may bring
CLOSED_FORM = 1e-10


@st.composite
def classifiers(draw: st.DrawFn) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """Weight, bias, images and labels of a classifier in general position."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    c, d, n = draw(st.integers(2, 7)), draw(st.integers(1, 6)), draw(st.integers(1, 9))
    scale = 10.0 ** draw(st.integers(-3, 3))
    weight, bias = scale * rng.normal(size=(c, d)), scale * rng.normal(size=c)
    return weight, bias, rng.normal(size=(n, d)), rng.integers(0, c, n)


def by_loops(weight: Floats, bias: Floats, point: Floats, chosen: int) -> float:
    """min over k of (f_j - f_k) / ||w_j - w_k||, one scalar at a time with exactly rounded sums."""
    scores = [
        math.fsum(w * v for w, v in zip(row, point, strict=True)) + b for row, b in zip(weight, bias, strict=True)
    ]
    best = math.inf
    for k, row in enumerate(weight):
        if k != chosen:
            norm = math.dist(weight[chosen], row)
            best = min(best, (scores[chosen] - scores[k]) / norm)
    return best


@given(classifiers())
def test_functional_margin_is_the_definition(case: tuple[Floats, Floats, Floats, NDArray[np.int64]]) -> None:
    weight, bias, x, labels = case
    scores = x @ weight.T + bias
    expected = [f[y] - max(f[k] for k in range(len(f)) if k != y) for f, y in zip(scores, labels, strict=True)]
    np.testing.assert_array_equal(functional_margins(scores, labels), expected)


@given(classifiers())
def test_distances_are_the_definition(case: tuple[Floats, Floats, Floats, NDArray[np.int64]]) -> None:
    weight, bias, x, labels = case
    predicted = (x @ weight.T + bias).argmax(axis=1)
    size = np.abs(x @ weight.T + bias).max() / row_distances(weight)[~np.eye(len(weight), dtype=bool)].min()
    signed, label = linear_margins(weight, bias, x, labels), linear_label_margins(weight, bias, x, labels)
    for i, point in enumerate(x):
        sign = 1.0 if predicted[i] == labels[i] else -1.0
        expected = sign * by_loops(weight, bias, point, predicted[i])
        assert signed[i] == pytest.approx(expected, rel=CLOSED_FORM, abs=CLOSED_FORM * size)
        expected = by_loops(weight, bias, point, labels[i])
        assert label[i] == pytest.approx(expected, rel=CLOSED_FORM, abs=CLOSED_FORM * size)


@given(classifiers())
def test_readings_agree_where_right_and_are_ordered_where_wrong(
    case: tuple[Floats, Floats, Floats, NDArray[np.int64]],
) -> None:
    weight, bias, x, labels = case
    signed, label = linear_margins(*case), linear_label_margins(*case)
    right = (x @ weight.T + bias).argmax(axis=1) == labels
    np.testing.assert_array_equal(signed[right], label[right])
    assert (signed[right] >= 0).all()
    assert (label[~right] <= signed[~right]).all()
    assert (signed[~right] <= 0).all()


def test_readings_do_differ_where_wrong() -> None:
    # x = 3 lies in class 2, one unit past class 1, and three past class 0: the label's half-space is farther away
    weight, bias = np.array([[0.0], [1.0], [3.0]]), np.array([0.0, 0.0, -4.0])
    case = weight, bias, np.array([[3.0]]), np.array([0])
    assert linear_margins(*case)[0] == -1.0
    assert linear_label_margins(*case)[0] == -3.0


@given(classifiers(), st.integers(-300, 300))
def test_distance_does_not_change_with_the_scale_of_the_scores(
    case: tuple[Floats, Floats, Floats, NDArray[np.int64]], power: int
) -> None:
    weight, bias, x, labels = case
    factor = 2.0**power  # exact; the squares of the larger weights overflow, those of the smaller ones underflow
    for reading in (linear_margins, linear_label_margins):
        np.testing.assert_array_equal(
            reading(weight * factor, bias * factor, x, labels), reading(weight, bias, x, labels)
        )


@given(classifiers(), st.integers(0, 2**32 - 1))
def test_distance_does_not_change_with_the_order_of_classes(
    case: tuple[Floats, Floats, Floats, NDArray[np.int64]], seed: int
) -> None:
    weight, bias, x, labels = case
    order = np.random.default_rng(seed).permutation(len(weight))
    size = np.abs(x @ weight.T + bias).max() / row_distances(weight)[~np.eye(len(weight), dtype=bool)].min()
    there = linear_margins(weight[order], bias[order], x, np.argsort(order)[labels])
    np.testing.assert_allclose(there, linear_margins(*case), rtol=CLOSED_FORM, atol=CLOSED_FORM * size)


def test_rows_that_coincide_are_no_boundary() -> None:
    row = np.array([0.3, -0.7, 1.1])
    weight, bias = np.stack([row, row]), np.array([0.25, -0.5])
    x, labels = np.array([[2.0, 0.1, -0.4], [1.7, 0.2, 0.9]]), np.array([0, 1])
    np.testing.assert_array_equal(linear_margins(weight, bias, x, labels), [math.inf, -math.inf])
    np.testing.assert_array_equal(linear_label_margins(weight, bias, x, labels), [math.inf, -math.inf])


def test_rows_that_coincide_with_equal_bias_are_a_tie_everywhere() -> None:
    rng = np.random.default_rng(5)
    row, other = rng.normal(size=(2, 37))
    weight, bias = np.stack([row, other, row]), np.array([0.3, -50.0, 0.3])
    x = rng.normal(size=(25, 37))
    for labels in (np.zeros(25, dtype=np.int64), np.full(25, 2)):
        np.testing.assert_array_equal(np.abs(linear_margins(weight, bias, x, labels)), np.zeros(25))
        np.testing.assert_array_equal(np.abs(linear_label_margins(weight, bias, x, labels)), np.zeros(25))


def test_a_third_class_bounds_a_pair_that_coincides() -> None:
    weight, bias = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]), np.array([0.5, 0.0, 0.5])
    np.testing.assert_array_equal(linear_margins(weight, bias, [[3.0, 9.0]], [0]), [3.0])


@given(st.integers(0, 2**32 - 1), st.integers(-12, 0))
def test_row_distances_of_rows_close_together(seed: int, decade: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.normal(size=20) + 3.0
    weight = np.stack([base, base + 10.0**decade * rng.normal(size=20), rng.normal(size=20)])
    found = row_distances(weight)
    for j in range(3):
        for k in range(3):
            square = sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(weight[j], weight[k], strict=True))
            assert found[j, k] == pytest.approx(math.sqrt(square), rel=1e-12)  # closed form against exact arithmetic
    np.testing.assert_array_equal(found, found.T)


def test_the_plain_gram_matrix_would_fail_that_test() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(size=20) + 3.0
    weight = np.stack([base, base + 1e-9 * rng.normal(size=20)])
    gram = weight @ weight.T
    plain = math.sqrt(max(gram[0, 0] + gram[1, 1] - 2.0 * gram[0, 1], 0.0))
    exact = math.sqrt(sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(*weight, strict=True)))
    assert plain != pytest.approx(exact, rel=1e-3)
    assert row_distances(weight)[0, 1] == pytest.approx(exact, rel=1e-12)


def test_no_images_give_no_margins() -> None:
    assert linear_margins(np.eye(3), np.zeros(3), np.zeros((0, 3)), np.zeros(0, dtype=np.int64)).shape == (0,)
    assert functional_margins(np.zeros((0, 3)), []).shape == (0,)


W, B, X, Y = np.eye(3), np.zeros(3), np.ones((2, 3)), np.array([0, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": np.where(W > 0, np.nan, W)}, r"weight\[0, 0\]=nan must be finite"),
        ({"weight": np.ones(3)}, r"weight of shape \(3,\) must have 2 dimensions"),
        ({"weight": W > 0}, r"weight of dtype bool must hold real numbers"),
        ({"weight": W * 1e308, "x": X * 1e10}, r"must leave the scores x W\^T \+ b finite"),
        ({"bias": np.array([0.0, np.inf, 0.0])}, r"bias\[1\]=inf must be finite"),
        ({"bias": np.zeros(4)}, r"bias of shape \(4,\) must have one entry for each of the 3 rows"),
        ({"x": np.ones((2, 4))}, r"x of shape \(2, 4\) must have as many columns"),
        ({"x": X * np.nan}, r"x\[0, 0\]=nan must be finite"),
        ({"labels": np.array([0, 3])}, r"labels\[1\]=3 must lie in 0..2"),
        ({"labels": np.array([-1, 0])}, r"labels\[0\]=-1 must lie in 0..2"),
        ({"labels": np.array([0, 1, 2])}, r"labels of shape \(3,\) must have shape \(2,\)"),
        ({"labels": np.array([0.0, 1.0])}, r"labels of dtype float64 must be integers"),
        ({"weight": W[:1], "bias": B[:1]}, r"c=1 classes: a margin needs at least 2"),
    ],
)
def test_bad_input_is_named(change: dict[str, Floats], message: str) -> None:
    good = {"weight": W, "bias": B, "x": X, "labels": Y}
    for reading in (linear_margins, linear_label_margins):
        assert np.isfinite(reading(**good)).all()
        with pytest.raises(ValueError, match=message) as caught:
            reading(**(good | change))
        assert "\n" not in str(caught.value)


def test_functional_margins_refuse_bad_scores() -> None:
    with pytest.raises(ValueError, match=r"scores\[1, 0\]=nan must be finite"):
        functional_margins([[0.0, 1.0], [math.nan, 2.0]], [0, 1])
    with pytest.raises(ValueError, match="c=1 classes"):
        functional_margins([[0.0]], [0])
