"""Learning curves: exact cell-wise minimisers, where curves go, streams, smooth learners, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic import GaussianMixture, checkerboard, learning
from synthetic._agreement import pointwise_minimisers
from synthetic.learning import curves as module
from theory import binary_minimiser, catalogue, conditional_risk, from_formula

# binary_minimiser's values and a dense grid of scores both come from float sums of the size of the risk.
ROUNDING = 1e-9


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def plane() -> GaussianMixture:
    return GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.3]], [[1.0, 0.2], [0.2, 1.0]])


@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_counts_do_not_depend_on_how_the_sample_is_cut(seed: int, n: int, d: int) -> None:
    rng = generator(seed)
    extent = np.stack([-np.ones(d), np.ones(d)], axis=1)
    x, y = rng.normal(size=(n, d)), rng.integers(0, 3, n)
    grid = learning.Histogram.for_size(extent, 3, n)
    assert grid.cells == int(np.ceil(n ** (1 / (d + 2)) - 1e-9))
    whole = grid.counts(x, y)
    cut = int(rng.integers(0, n + 1))
    assert (whole == grid.counts(x[:cut], y[:cut]) + grid.counts(x[cut:], y[cut:])).all()
    assert whole.sum() == n
    assert (whole.sum(axis=0) == np.bincount(y, minlength=3)).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_no_piecewise_constant_score_has_a_lower_empirical_risk(seed: int) -> None:
    rng = generator(seed)
    loss = catalogue.get("average-margin", mu=1, tau=2)
    counts = rng.integers(1, 30, size=(6, 2))
    eta = counts[:, 1] / counts.sum(axis=1)
    found = pointwise_minimisers(loss, np.stack([1 - eta, eta], axis=1)).scores
    risk = conditional_risk(loss, eta, found[:, 1] - found[:, 0])
    others = conditional_risk(loss, eta[:, None], np.linspace(-6, 6, 241))
    assert (risk <= others.min(axis=1) + ROUNDING).all()
    assert risk == pytest.approx(binary_minimiser(loss, eta).value, abs=ROUNDING)


def test_a_consistent_loss_goes_to_zero_and_an_inconsistent_one_stays_where_predicted() -> None:
    law = checkerboard(2, 0.7)
    losses = [catalogue.get("logistic"), catalogue.get("average-margin-released", mu=4, tau=5)]
    good, bad = learning.learning_curves(law, losses, sizes=[200, 20_000], seeds=3, rng=generator(3))
    assert good.mean[1] == 0.0
    assert good.plateau == 0.0
    # eta = 0.7 lies below P(4, 5): every cell ties at the minimiser, and a tie costs |2 eta - 1| = 0.4
    assert bad.plateau == pytest.approx(0.4, abs=5 * bad.plateau_error + ROUNDING)
    assert bad.mean[1] == pytest.approx(bad.plateau, abs=0.05)


def test_the_rate_is_a_slope_and_a_wrong_sign_is_seen() -> None:
    good, bad = learning.learning_curves(
        plane(), [catalogue.get("hinge"), from_formula("softplus(t)")], sizes=[50, 500, 5000], seeds=4, rng=generator(5)
    )
    assert good.rate is not None
    assert good.rate < -0.3
    assert good.mean[0] > good.mean[-1]
    assert bad.mean[-1] > 0.3  # it predicts the less likely class
    assert bad.plateau > 0.3


def test_more_than_one_chunk_gives_the_law_as_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 64)
    parts = list(module.stream(plane(), 150, generator(1)))
    assert [len(y) for _, y in parts] == [64, 64, 22]
    assert len({tuple(row) for x, _ in parts for row in x}) == 150


@pytest.mark.parametrize("learner", ["features", "mlp"])
def test_smooth_learners_learn_and_see_the_same_randomness(learner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 150)
    monkeypatch.setattr(module, "EVALUATION", 4000)
    losses = [catalogue.get("logistic"), catalogue.get("logistic"), from_formula("softplus(t)")]
    one, two, wrong = learning.learning_curves(
        plane(), losses, sizes=[3000], seeds=1, rng=generator(7), learner=learner
    )
    assert one.excess == two.excess
    assert one.mean[0] < 0.03
    assert wrong.mean[0] > 0.2
    assert np.isnan(one.spread[0])


def test_the_gradient_is_that_of_the_batch_loss() -> None:
    rng = generator(11)
    extent = np.array([[-2.0, 2.0], [-1.0, 3.0]])
    net = learning.Network.fresh(extent, 5, rng)
    net.parts["out"] = rng.normal(size=5)
    x, y = rng.normal(size=(9, 2)), rng.integers(0, 2, 9)
    loss = catalogue.get("logistic")

    def value() -> float:
        t = np.where(y == 1, 1.0, -1.0) * net.scores(x)
        return float(loss.phi(t).mean())

    from theory.expression import differentiate

    slopes = [differentiate(tree, "v") for tree in loss.pair_trees]
    found = net._gradient(net._standard(x), y, slopes)
    for name, place in (("W", (1, 3)), ("b", (2,)), ("out", (4,)), ("bias", ())):
        held, step = net.parts[name].copy(), 1e-3
        sides = []
        for k in (-2, -1, 1, 2):
            net.parts[name] = held.copy()
            net.parts[name][place] = held[place] + k * step
            sides.append(value())
        net.parts[name] = held
        central = (sides[0] - 8 * sides[1] + 8 * sides[2] - sides[3]) / (12 * step)
        assert found[name][place] == pytest.approx(central, rel=5e-6, abs=1e-9)  # central differences of order 4


def test_the_picture_has_error_bars_plateaus_and_the_reference() -> None:
    law = checkerboard(2, 0.7)
    losses = [catalogue.get("hinge"), catalogue.get("average-margin-released", mu=4, tau=5)]
    found = learning.learning_curves(law, losses, sizes=[30, 300], seeds=2, rng=generator(1))
    (axes,) = learning.curves_figure(found, exponent=0.5).axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert len(axes.containers) == 2
    assert "n^(-0.50)" in {text.get_text() for text in axes.get_legend().get_texts()}
    with pytest.raises(ValueError, match=r"curves=\[\] must hold at least one"):
        learning.curves_figure([])


@pytest.mark.parametrize("exponent", [-1.0, 0.0, float("nan"), float("inf")])
def test_an_exponent_that_is_no_exponent_is_refused(exponent: float) -> None:
    with pytest.raises(ValueError, match=r"exponent=.* must lie strictly between"):
        learning.plug_in_rate(exponent, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sizes": [0]}, "sizes=0 must be a whole number, at least 1"),
        ({"sizes": [5, 5]}, r"sizes=\[5, 5\] must be increasing"),
        ({"sizes": []}, r"sizes=\[\] must be increasing and not empty"),
        ({"seeds": 0}, "seeds=0 must be a whole number"),
        ({"learner": "forest"}, "learner='forest' must be one of histogram, features, mlp"),
        ({"rng": 3}, "rng=3 must be a numpy.random.Generator"),
        ({"learner": "mlp", "losses": [from_formula("lse - fy", classes=3)]}, "has no binary form"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], words: str) -> None:
    given_: dict[str, object] = {"sizes": [5], "seeds": 1, "rng": generator(), **change}
    losses = given_.pop("losses", [catalogue.get("hinge")])
    with pytest.raises(ValueError, match=words):
        learning.learning_curves(plane(), losses, **given_)  # type: ignore[arg-type]
