"""Exact distances of linear classifiers against projections that know nothing of the formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize

from theory.margins import linear_label_margins, linear_margins, row_distances

Floats = NDArray[np.float64]
Case = tuple[Floats, Floats, Floats, int]

# SLSQP stops when the squared distance changes by less than its ftol of 1e-15: about sqrt of that in the distance.
PROGRAM = 1e-6
# A point on a boundary, moved by this share of its distance, is on one side for certain.
ASIDE = 1e-7


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Weight, bias, one image and a label, in general position."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    c, d = draw(st.integers(2, 6)), draw(st.integers(1, 8))
    return rng.normal(size=(c, d)), rng.normal(size=c), 2.0 * rng.normal(size=d), draw(st.integers(0, c - 1))


def distance_to(constraints: list[tuple[Floats, float]], x: Floats) -> float | None:
    """Distance of x to {z : a z + b >= 0 for all (a, b)}, as a quadratic program; None if no such z was found."""
    rows, shifts = np.array([a for a, _ in constraints]), np.array([b for _, b in constraints])
    found = optimize.minimize(
        lambda z: float((z - x) @ (z - x)),
        x,
        jac=lambda z: 2.0 * (z - x),
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda z: rows @ z + shifts, "jac": lambda _: rows},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    feasible = (rows @ found.x + shifts >= -1e-9).all()
    return float(np.linalg.norm(found.x - x)) if feasible else None


def is_empty(constraints: list[tuple[Floats, float]]) -> bool:
    """Whether no z has a z + b > 0 for all (a, b), up to a slack, as a linear program."""
    rows, shifts = np.array([a for a, _ in constraints]), np.array([b for _, b in constraints])
    found = optimize.linprog(
        np.append(np.zeros(rows.shape[1]), -1.0),
        A_ub=np.column_stack([-rows, np.ones(len(rows))]),
        b_ub=shifts,
        bounds=[(None, None)] * rows.shape[1] + [(None, 1.0)],
    )
    assert found.status == 0, found.message
    return bool(found.x[-1] < PROGRAM)


def predicted(weight: Floats, bias: Floats, x: Floats) -> int:
    return int(np.argmax(weight @ x + bias))


def leaves_at(weight: Floats, bias: Floats, x: Floats, distance: float, rng: np.random.Generator) -> bool:
    """Whether x leaves its region at ``distance`` exactly: never before, and past it in the nearest direction."""
    j = predicted(weight, bias, x)
    directions = rng.normal(size=(200, len(x)))
    directions = np.concatenate([directions, weight - weight[j], weight[j] - weight])
    directions = directions[np.linalg.norm(directions, axis=1) > 0]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    inside = (x + (1.0 - ASIDE) * distance * directions) @ weight.T + bias
    outside = (x + (1.0 + ASIDE) * distance * directions) @ weight.T + bias
    return bool((inside.argmax(axis=1) == j).all() and (outside.argmax(axis=1) != j).any())


@given(cases())
def test_distance_is_where_the_prediction_changes(case: Case) -> None:
    weight, bias, x, label = case
    distance = abs(linear_margins(weight, bias, x[None], [label])[0])
    assert leaves_at(weight, bias, x, distance, np.random.default_rng(7))


@given(cases(), st.sampled_from([0.5, 0.999, 1.001, 2.0]))
def test_any_other_distance_is_rejected(case: Case, factor: float) -> None:
    weight, bias, x, label = case
    distance = factor * abs(linear_margins(weight, bias, x[None], [label])[0])
    assert not leaves_at(weight, bias, x, distance, np.random.default_rng(7))


def test_dividing_by_the_norm_of_one_row_is_rejected() -> None:
    rng = np.random.default_rng(11)
    weight, bias, x = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    scores = weight @ x + bias
    j = predicted(weight, bias, x)
    twin = min((scores[j] - scores[k]) / np.linalg.norm(weight[j]) for k in range(4) if k != j)
    assert not leaves_at(weight, bias, x, twin, rng)


@settings(max_examples=40)
@given(cases())
def test_leaving_the_region_is_leaving_one_half_space(case: Case) -> None:
    """One program per rival class; the region's complement is the union of the rivals' half-spaces."""
    weight, bias, x, label = case
    j = predicted(weight, bias, x)
    programs = [distance_to([(weight[k] - weight[j], bias[k] - bias[j])], x) for k in range(len(weight)) if k != j]
    closed = [
        float((weight[j] - weight[k]) @ x + bias[j] - bias[k]) / float(np.linalg.norm(weight[j] - weight[k]))
        for k in range(len(weight))
        if k != j
    ]
    np.testing.assert_allclose(programs, closed, rtol=PROGRAM, atol=PROGRAM)
    distance = abs(linear_margins(weight, bias, x[None], [label])[0])
    assert distance == pytest.approx(min(closed), rel=1e-9)


@settings(max_examples=40)
@given(cases())
def test_entering_the_label_region_takes_at_least_the_label_distance(case: Case) -> None:
    """The label's region is an intersection: its farthest violated half-space is a lower bound, tight for c = 2."""
    weight, bias, x, label = case
    reading = linear_label_margins(weight, bias, x[None], [label])[0]
    if reading >= 0.0:
        assert predicted(weight, bias, x) == label
        return
    region = [(weight[label] - weight[k], bias[label] - bias[k]) for k in range(len(weight)) if k != label]
    entering = distance_to(region, x)
    if entering is None:
        assert is_empty(region), "the program found no way into a region that is not empty"
        return
    assert entering >= -reading - PROGRAM * (1.0 + entering)
    if len(weight) == 2:
        assert entering == pytest.approx(-reading, rel=PROGRAM, abs=PROGRAM)


def test_entering_can_take_longer_than_the_label_distance() -> None:
    """In a wedge of 30 degrees the corner is farther than either side: the reading is a bound, not the distance."""
    a, b = np.array([np.sin(0.26), np.cos(0.26)]), np.array([np.sin(0.26), -np.cos(0.26)])
    weight, bias = np.stack([np.zeros(2), -a, -b]), np.zeros(3)
    x = np.array([-1.0, 0.0])
    reading = linear_label_margins(weight, bias, x[None], [0])[0]
    entering = distance_to([(a, 0.0), (b, 0.0)], x)
    assert entering == pytest.approx(1.0, rel=PROGRAM)
    assert -reading == pytest.approx(np.sin(0.26), rel=1e-12)
    assert row_distances(weight)[0, 1] == pytest.approx(1.0, rel=1e-12)
