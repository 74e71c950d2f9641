"""Distances in other norms and inside a box, against linear and convex programs that know nothing of the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize

from theory import boxed
from theory.boxed import boxed_linear_distances
from theory.margins import DUAL, distances_from_scores, linear_label_margins, linear_margins, row_distances

Floats = NDArray[np.float64]
Case = tuple[Floats, Floats, Floats]

PROGRAM = 1e-6  # HiGHS' and SLSQP's own tolerances, in units of the answer
CLOSED_FORM = 1e-10  # closed form against closed form, times the cancellation that a draw may bring
NORMS = pytest.mark.parametrize("norm", ["l2", "linf", "l1"])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Weight, bias and images in the unit box, in general position but for a corner now and then."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    c, d = draw(st.integers(2, 5)), draw(st.integers(1, 8))
    x = rng.random((3, d))
    x[0] = np.where(rng.random(d) < 0.4, rng.integers(0, 2, d), x[0])
    return rng.normal(size=(c, d)), 0.5 * rng.normal(size=c), x


def by_program(w: Floats, b: Floats, x: Floats, norm: str, box: tuple[float, float] | None) -> float:
    """The least over the rivals of a linear program (L-infinity, L1) or of a quadratic one (L2), in z - x."""
    scores = w @ x + b
    chosen, d = int(scores.argmax()), len(x)
    best = math.inf
    for k in range(len(b)):
        if k == chosen:
            continue
        a, gap = w[k] - w[chosen], scores[chosen] - scores[k]
        low, high = (np.full(d, -np.inf), np.full(d, np.inf)) if box is None else (box[0] - x, box[1] - x)
        if box is not None and (np.maximum(a * low, a * high)).sum() < gap:
            continue
        if norm == "l2":
            found = optimize.minimize(
                lambda z: float(z @ z),
                np.clip(a * gap / (a @ a), low, high),
                jac=lambda z: 2.0 * z,
                method="SLSQP",
                bounds=list(zip(low, high, strict=True)),
                constraints={"type": "ineq", "fun": lambda z, a=a, g=gap: a @ z - g, "jac": lambda _, a=a: a},
                options={"ftol": 1e-15, "maxiter": 500},
            )
            best = min(best, float(np.linalg.norm(found.x)))
            continue
        # variables z and t >= |z_i| (one t for L-infinity, one for each coordinate in L1)
        t = 1 if norm == "linf" else d
        cover = -np.ones((d, 1)) if norm == "linf" else -np.eye(d)
        rows = np.block([[np.eye(d), cover], [-np.eye(d), cover], [-a[None], np.zeros((1, t))]])
        limits = np.append(np.zeros(2 * d), -gap)
        bounds = [*zip(low, high, strict=True), *[(0.0, None)] * t]
        found = optimize.linprog(np.append(np.zeros(d), np.ones(t)), A_ub=rows, b_ub=limits, bounds=bounds)
        assert found.status == 0, found.message
        best = min(best, float(found.fun))
    return best


@NORMS
@settings(max_examples=25)
@given(case=cases())
def test_distances_are_those_of_the_program(norm: str, case: Case) -> None:
    w, b, x = case
    found = np.abs(linear_margins(w, b, x, np.zeros(len(x), dtype=np.int64), norm))
    for i, point in enumerate(x):
        assert found[i] == pytest.approx(by_program(w, b, point, norm, None), rel=PROGRAM, abs=PROGRAM)


@NORMS
@settings(max_examples=25)
@given(case=cases())
def test_boxed_distances_are_those_of_the_program(norm: str, case: Case) -> None:
    w, b, x = case
    predicted, found = boxed_linear_distances(w, b, x, (0.0, 1.0), norm)
    np.testing.assert_array_equal(predicted, (x @ w.T + b).argmax(axis=1))
    for i, point in enumerate(x):
        assert found[i] == pytest.approx(by_program(w, b, point, norm, (0.0, 1.0)), rel=PROGRAM, abs=PROGRAM)


@pytest.mark.parametrize("norm", ["linf", "l1"])  # L2 is its own dual
def test_the_primal_norm_would_fail_that_test(norm: str) -> None:
    rng = np.random.default_rng(11)
    w, b, x = rng.normal(size=(3, 5)), rng.normal(size=3), rng.random(5)
    scores = w @ x + b
    gaps = scores.max() - scores
    wrong = min(gaps[k] / row_distances(w, norm)[scores.argmax(), k] for k in range(3) if k != scores.argmax())
    assert wrong != pytest.approx(by_program(w, b, x, norm, None), rel=0.1)


@NORMS
def test_cutting_the_free_step_at_the_box_would_fail_that_test(norm: str) -> None:
    """The free way out of (.9, .1) leaves the box; its length is too short for the box, by far."""
    w, b, x = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([-1.0, 0.0]), np.array([[0.9, 0.1]])
    free = float(linear_margins(w, b, x, np.array([0]), norm)[0])
    inside = float(boxed_linear_distances(w, b, x, (0.0, 1.0), norm)[1][0])
    assert inside > 1.1 * free
    assert inside == pytest.approx(by_program(w, b, x[0], norm, (0.0, 1.0)), rel=PROGRAM)


@given(cases(), st.integers(-300, 300))
def test_norms_are_ordered_and_do_not_change_with_the_scale(case: Case, power: int) -> None:
    w, b, x = case
    y, factor = np.zeros(len(x), dtype=np.int64), 2.0**power
    linf, l2, l1 = (np.abs(linear_margins(w, b, x, y, norm)) for norm in ("linf", "l2", "l1"))
    assert (linf <= l2 * (1 + CLOSED_FORM)).all()
    assert (l2 <= l1 * (1 + CLOSED_FORM)).all()
    for norm in DUAL:
        np.testing.assert_array_equal(
            linear_margins(w * factor, b * factor, x, y, norm), linear_margins(w, b, x, y, norm)
        )
        free = np.abs(linear_margins(w, b, x, y, norm))
        boxed = boxed_linear_distances(w, b, x, (0.0, 1.0), norm)[1]
        assert (boxed >= free * (1 - CLOSED_FORM)).all()
        wide = boxed_linear_distances(w, b, x, (-1e6, 1e6), norm)[1]
        np.testing.assert_allclose(wide, free, rtol=1e-8, atol=1e-8)  # 1e6 beside 1: ten digits are left


@given(cases())
def test_from_scores_is_the_same_bits(case: Case) -> None:
    w, b, x = case
    for norm in DUAL:
        predicted, found = distances_from_scores(w, b, x @ w.T + b, norm)
        np.testing.assert_array_equal(found, np.abs(linear_margins(w, b, x, predicted, norm)))


def test_no_way_out_of_the_box_is_infinite_and_a_tie_is_zero() -> None:
    w, b = np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([0.5, 0.0])
    x = np.array([[0.25, 0.75]])
    for norm in DUAL:
        assert boxed_linear_distances(w, b, x, (0.0, 1.0), norm)[1].tolist() == [math.inf]
        assert boxed_linear_distances(w, np.zeros(2), np.zeros((1, 2)), (0.0, 1.0), norm)[1].tolist() == [0.0]
        same = np.array([[0.3, 0.7], [0.3, 0.7]])
        assert boxed_linear_distances(same, b, x, (0.0, 1.0), norm)[1].tolist() == [math.inf]
        assert boxed_linear_distances(same, np.zeros(2), x, (0.0, 1.0), norm)[1].tolist() == [0.0]


def corner(seed: int, d: int = 40) -> tuple[Floats, Floats, dict[str, Floats]]:
    """A classifier without bias and of positive weights, images, and how far they are from 0, its only tie in the box.

    The weight of the last coordinate is below the rounding of the others' sum: a tie to rounding needs no step there.
    """
    rng = np.random.default_rng(seed)
    w, x = np.stack([rng.uniform(0.1, 1.0, d), np.zeros(d)]), rng.random((20, d))
    w[0, -1] = 1e-19
    seen = x[:, :-1]
    return w, x, {"l2": np.linalg.norm(seen, axis=1), "linf": seen.max(axis=1), "l1": seen.sum(axis=1)}


@NORMS
@given(seed=st.integers(0, 2**32 - 1), power=st.integers(-900, 900))
def test_a_boundary_through_a_corner_is_reached_there(norm: str, seed: int, power: int) -> None:
    w, x, wanted = corner(seed)
    found = boxed_linear_distances(np.ldexp(w, power), np.zeros(2), x, (0.0, 1.0), norm)[1]
    np.testing.assert_allclose(found, wanted[norm], rtol=CLOSED_FORM)
    beyond = boxed_linear_distances(w, np.array([1e-9, 0.0]), x, (0.0, 1.0), norm)[1]
    assert np.isinf(beyond).all()  # by far more than rounding, and still by little


@NORMS
def test_no_room_for_rounding_fails_that_test(norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    w, x, wanted = corner(6)
    monkeypatch.setattr(boxed, "_rounding", lambda w, b, x, predicted: np.zeros((len(x), len(b))))
    found = boxed_linear_distances(w, np.zeros(2), x, (0.0, 1.0), norm)[1]
    assert np.isinf(found).any()
    assert not np.allclose(found, wanted[norm], rtol=CLOSED_FORM)


@NORMS
def test_the_end_of_the_box_is_in_the_box(norm: str) -> None:
    """Numbers without rounding: the first rival ties at z = (1, 1) alone, the second at z_1 = 0, farther away."""
    w, b = np.array([[0.0, 0.0], [1.0, 1.0], [-1.0, 0.0]]), np.array([0.0, -2.0, 0.0])
    found = boxed_linear_distances(w, b, np.array([[0.875, 0.75]]), (0.0, 1.0), norm)[1]
    assert found.tolist() == [{"l2": math.hypot(0.125, 0.25), "linf": 0.25, "l1": 0.375}[norm]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.array([[0.5, 1.5]])}, r"x\[0, 1\]=1.5 must lie in the box \[0.0, 1.0\]"),
        ({"x": np.array([[0.5, math.nan]])}, r"x\[0, 1\]=nan must lie in the box"),
        ({"x": np.array([0.5, 0.5])}, r"x of shape \(2,\) must have as many columns"),
        ({"box": (1.0, 1.0)}, r"box=\(1.0, 1.0\) must be two finite numbers, the lower one first"),
        ({"norm": "l3"}, r"norm='l3' must be one of 'l2', 'linf', 'l1'"),
        ({"bias": np.array([0.0, math.inf])}, r"bias\[1\]=inf must be finite"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    good = {"weight": np.eye(2), "bias": np.zeros(2), "x": np.array([[0.25, 0.5]]), "box": (0.0, 1.0), "norm": "l2"}
    assert np.isfinite(boxed_linear_distances(**good)[1]).all()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message) as caught:
        boxed_linear_distances(**(good | change))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_unknown_norms_are_refused_everywhere() -> None:
    w, b, x, y = np.eye(2), np.zeros(2), np.ones((1, 2)), np.array([0])
    for call in (
        lambda: linear_margins(w, b, x, y, "l0"),
        lambda: linear_label_margins(w, b, x, y, "l0"),
        lambda: row_distances(w, "l0"),
        lambda: distances_from_scores(w, b, x, "l0"),
    ):
        with pytest.raises(ValueError, match=r"norm='l0' must be one of"):
            call()
