"""The frontier against brute force over directions, its bounds, training paths, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic import frontier as trade
from synthetic.frontier import solver
from theory import catalogue, from_formula

# The solver leaves about 1e-9 of the largest average open; frontier() itself refuses more than CONVERGED.
SOLVER = 1e-6
# Angles of the brute force are 2e-4 apart: a margin of size |z| <= 3 moves by less than 1e-3 between two of them.
ANGLES = np.linspace(0.0, 2.0 * np.pi, 31416, endpoint=False)
ANGLE_STEP = 1e-3
# 1 / log t with its offset fits a path to the SVM over two decades; log log t terms and d > 2 leave a few percent.
RATE_FIT = 0.06

seeds = st.integers(0, 2**32 - 1)
geometries = st.sampled_from(["l2", "linf", "l1"])


def drawn(seed: int, n: int = 30, d: int = 2) -> tuple[np.ndarray, np.ndarray]:
    return trade.two_groups(n, d, np.random.default_rng(seed), share=0.3)


def brute(z: np.ndarray, geometry: str, tail: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Minimum (or tail mean) and average margin of many unit directions of the plane."""
    w = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    w /= np.linalg.norm(w, trade.GEOMETRIES[geometry], axis=1)[:, None]
    margins = w @ z.T
    return np.array([trade.tail_mean(row, tail) for row in margins]), margins.mean(axis=1)


@given(seeds, geometries, st.sampled_from([None, 0.25]))
@settings(max_examples=12, deadline=None)
def test_the_frontier_is_the_upper_edge_of_all_directions(seed: int, geometry: str, tail: float | None) -> None:
    x, y = drawn(seed)
    found = trade.frontier(x, y, geometry=geometry, points=9, tail=tail)
    least, mean = brute(x * y[:, None], geometry, tail)
    assert abs(found.svm_end.minimum - least.max()) < ANGLE_STEP
    assert abs(found.mean_end.average - mean.max()) < ANGLE_STEP
    inside = least <= found.svm_end.minimum
    _, high = found.average_at(least[inside])
    assert (mean[inside] <= high + SOLVER).all()  # no direction lies above
    for point in found.points[1:-1]:  # and what is on it is reached
        near = mean[least >= point.minimum - ANGLE_STEP].max()
        assert abs(point.average - near) < 30 * ANGLE_STEP


@given(seeds, geometries, st.integers(2, 6))
@settings(max_examples=10, deadline=None)
def test_points_are_reached_by_their_weights_and_bounded_by_their_lines(seed: int, geometry: str, d: int) -> None:
    x, y = drawn(seed, 40, d)
    found = trade.frontier(x, y, geometry=geometry, points=7)
    z = x * y[:, None]
    for point in found.points:
        assert np.linalg.norm(point.weights, trade.GEOMETRIES[geometry]) <= 1.0 + 1e-12  # rounding of one norm
        assert (z @ point.weights).min() == pytest.approx(point.minimum, rel=1e-9, abs=1e-12)
        assert 0.0 - SOLVER <= point.residual <= SOLVER * found.mean_end.average
    averages = [point.average for point in found.points]
    assert all(a >= b - SOLVER for a, b in pairwise(averages))
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(500, d)) + found.svm_end.weights * 3.0
    w /= np.linalg.norm(w, trade.GEOMETRIES[geometry], axis=1)[:, None]
    margins = w @ z.T
    assert (margins.min(axis=1) <= found.svm_end.minimum + SOLVER).all()
    low, high = found.distance(margins.min(axis=1), margins.mean(axis=1))
    assert (high >= -SOLVER).all()
    assert (low <= high + SOLVER).all()


@given(seeds, st.floats(0.1, 3.0))
@settings(max_examples=8, deadline=None)
def test_rotation_leaves_the_l2_frontier_alone_and_scaling_scales_it(seed: int, factor: float) -> None:
    x, y = drawn(seed, 25, 3)
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    here = trade.frontier(x, y, points=5)
    there = trade.frontier(factor * x @ turn.T, y, points=5)
    for a, b in zip(here.points, there.points, strict=True):
        assert b.minimum == pytest.approx(factor * a.minimum, abs=1e-5 * factor)  # sqrt of the solver's tolerance
        assert b.average == pytest.approx(factor * a.average, abs=1e-5 * factor)


def test_the_mean_direction_is_the_normalised_sum() -> None:
    x, y = drawn(3, 50, 4)
    total = (x * y[:, None]).sum(axis=0)
    found = trade.frontier(x, y, points=2)
    assert found.mean_end.weights == pytest.approx(total / np.linalg.norm(total), rel=1e-12)


def test_a_solver_that_stops_short_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(7)
    honest = solver.Solver._solve

    def short(self: solver.Solver, level: float | None) -> tuple[np.ndarray, float, np.ndarray]:
        weights, price, mixture = honest(self, level)
        return weights * (1.0 if level is None else 0.99), price, mixture

    monkeypatch.setattr(solver.Solver, "_solve", short)
    with pytest.raises(trade.NotConverged, match="of the largest average open") as caught:
        trade.frontier(x, y, points=5)
    assert caught.value.residual > solver.CONVERGED


def test_overlapping_classes_are_refused_and_a_tail_mean_helps() -> None:
    x, y = drawn(11, 60)
    y[:2] *= -1.0  # two wrong labels
    with pytest.raises(trade.NotSeparable, match=r"largest minimum margin is .*; use tail=q"):
        trade.frontier(x, y, points=4)
    found = trade.frontier(x, y, points=6, tail=0.5)
    assert found.svm_end.minimum > 0.0
    worst = np.sort((x * y[:, None]) @ found.svm_end.weights)[:30]
    assert found.svm_end.minimum == pytest.approx(worst.mean(), rel=1e-9)
    with pytest.raises(trade.NotSeparable, match=r"tail=0\.02: .*raise tail"):
        trade.frontier(x, y, points=4, tail=0.02)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"geometry": "l3"}, "geometry='l3' must be one of l2, linf, l1"),
        ({"points": 1}, "points=1 must be a whole number, at least 2"),
        ({"tail": 1.5}, "tail=1.5 must lie strictly between 0.0 and 1.0"),
        ({"y": [1, 1, 1]}, "y=1 everywhere"),
        ({"y": [1, -1, 0]}, "y contains 0; labels must be -1 or"),
        ({"y": [1, -1]}, r"y.shape=\(2,\) must be \(3,\)"),
        ({"x": [[1.0, np.nan]] * 3}, r"x\[0, 1\]=nan must be finite"),
        ({"x": np.zeros((0, 2)), "y": []}, r"x.shape=\(0, 2\) must be"),
        ({"geometry": ["l2"]}, r"geometry=\['l2'\] must be one of l2, linf, l1"),
        ({"x": [[1e300, 1.0]] * 3}, r"max\|x\|=1e\+300 must be below 1e\+100"),
        ({"x": np.zeros((3, 0))}, r"x.shape=\(3, 0\) must be"),
        ({"x": [[1.0], [1.0], [0.0]], "y": [1, -1, 1]}, r"sum\(y_i x_i\)=0"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], words: str) -> None:
    given_: dict[str, object] = {"x": [[1.0, 0.0], [-1.0, 0.2], [2.0, 1.0]], "y": [1, -1, 1], "points": 3, **change}
    with pytest.raises(ValueError, match=words):
        trade.frontier(given_.pop("x"), given_.pop("y"), **given_)  # type: ignore[arg-type]


# -- training paths ------------------------------------------------------------------------------------------------


def test_a_path_is_gradient_descent() -> None:
    x, y = drawn(5, 20, 3)
    path = trade.training_path(x, y, catalogue.get("logistic"), steps=7, lr=0.3)
    z, w = x * y[:, None], np.zeros(3)
    for _ in range(7):
        w += 0.3 * (z / (1.0 + np.exp(z @ w))[:, None]).mean(axis=0)
    assert path.weights[-1] == pytest.approx(w, rel=1e-12)
    whole = trade.training_path(
        x, y, catalogue.get("logistic"), steps=7, lr=0.3, batch=20, rng=np.random.default_rng(0)
    )
    assert whole.weights[-1] == pytest.approx(w, rel=1e-12)  # one batch of everything is the same step
    half = trade.training_path(x, y, catalogue.get("logistic"), steps=7, lr=0.3, batch=10, rng=np.random.default_rng(0))
    assert abs(half.weights[-1] - w).max() > 1e-3
    assert half.epochs[-1] == 3.5


def test_the_first_step_is_the_mean_direction_and_no_path_crosses_the_frontier() -> None:
    x, y = drawn(13, 40, 4)
    found = trade.frontier(x, y, points=25)
    for name in ("logistic", "exponential", "average-margin"):
        path = trade.training_path(x, y, catalogue.get(name), steps=400)
        assert path.given_up(found)[0] == pytest.approx(0.0, abs=1e-12)
        low, high = found.distance(path.minimum, path.average)
        assert (high >= -SOLVER).all()
        assert (low <= high).all()
        assert (path.given_up(found) >= -1e-12).all()


def test_gradient_descent_nears_the_svm_like_one_over_log_t_and_in_a_ball_it_does_not() -> None:
    x, y = drawn(17, 8)
    found = trade.frontier(x, y, points=3)
    free = trade.training_path(x, y, catalogue.get("logistic"), steps=60_000)
    bounded = trade.training_path(x, y, catalogue.get("logistic"), steps=5_000, ball=3.0)
    assert trade.svm_rate(free, found).residual < RATE_FIT
    assert trade.svm_rate(bounded, found).residual > 1.5 * RATE_FIT
    assert bounded.norms.max() <= 3.0 + 1e-12
    assert (np.diff(free.norms) > 0.0).all()


def test_past_tau_the_truncated_hinge_pulls_no_more_and_cross_entropy_decides() -> None:
    x, y = drawn(19, 30)
    found = trade.frontier(x, y, points=9)
    loss = catalogue.get("average-margin", mu=1, tau=2)
    free = trade.training_path(x, y, loss, steps=20_000)
    held = trade.training_path(x, y, loss, steps=20_000, ball=1.0)
    past = free.functional > 2.0
    assert past.any()
    plain = trade.training_path(x, y, catalogue.get("logistic"), steps=20_000)
    assert free.given_up(found)[-1] == pytest.approx(plain.given_up(found)[-1], rel=0.2)  # both near the SVM
    assert held.functional.max() < 2.0
    assert held.given_up(found)[-1] < 0.2 * free.given_up(found)[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps=0 must be a whole number, at least 1"),
        ({"batch": 4}, "rng=None must be a numpy.random.Generator"),
        ({"ball": -1.0}, "ball=-1.0 must lie strictly between 0.0"),
        ({"geometry": "l3"}, "geometry='l3' must be one of l2, linf, l1"),
        ({"tail": 2.0}, "tail=2.0 must lie strictly between 0.0 and 1.0"),
        ({"lr": 0.0}, "lr=0.0 must lie strictly between 0.0"),
        ({"loss": "lse - fy"}, "has no binary formula in t"),
    ],
)
def test_bad_paths_are_named(options: dict[str, object], words: str) -> None:
    x, y = drawn(23)
    given_: dict[str, object] = {"steps": 5, **options}
    formula = given_.pop("loss", None)
    loss = catalogue.get("logistic") if formula is None else from_formula(str(formula), classes=3)
    with pytest.raises(ValueError, match=words):
        trade.training_path(x, y, loss, **given_)  # type: ignore[arg-type]


def test_a_step_too_large_is_said() -> None:
    x, y = drawn(29)
    with pytest.raises(ValueError, match=r"lr=1e\+20 is too large: the weights are not finite at step"):
        trade.training_path(-x, y, catalogue.get("exponential"), steps=50, lr=1e20)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.floats(0.01, 0.99))
def test_the_tail_mean_lies_between_the_minimum_and_the_quantile(values: list[float], tail: float) -> None:
    mean = trade.tail_mean(values, tail)
    rounding = 1e-12 * 5
    assert min(values) - rounding <= mean <= np.quantile(values, tail, method="inverted_cdf") + rounding
    assert trade.tail_mean(values, None) == min(values)


def test_the_picture_shows_both_ends_and_every_path() -> None:
    x, y = drawn(31)
    found = trade.frontier(x, y, points=5)
    paths = [trade.training_path(x, y, catalogue.get("logistic"), steps=50)]
    left, right = trade.frontier_figure(found, paths).axes
    labels = {text.get_text() for text in left.get_legend().get_texts()}
    assert labels == {"frontier", "mean direction", "hard-margin SVM", "logistic"}
    assert right.get_xscale() == "log"
    assert len(trade.frontier_figure(found).axes) == 1


@pytest.mark.parametrize("geometry", trade.GEOMETRIES)
@pytest.mark.parametrize("factor", [1e-200, 1e90])
def test_very_small_and_very_large_data_have_the_frontier_of_ordinary_ones(geometry: str, factor: float) -> None:
    x, y = drawn(37, 20, 3)
    plain, scaled = (trade.frontier(k * x, y, geometry=geometry, points=3) for k in (1.0, factor))
    assert scaled.svm_end.minimum == pytest.approx(factor * plain.svm_end.minimum, rel=1e-6)
    assert scaled.mean_end.average == pytest.approx(factor * plain.mean_end.average, rel=1e-12)


@pytest.mark.parametrize("margins", [[], [[1.0, 2.0]], [1.0, float("nan")]])
def test_the_tail_mean_of_what_is_no_row_of_numbers_is_refused(margins: list[float]) -> None:
    with pytest.raises(ValueError, match="margins"):
        trade.tail_mean(margins, None)
