"""Label noise: posteriors transformed exactly, wrappers that compose, rates that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic import (
    GaussianMixture,
    InstanceNoise,
    LabelNoise,
    Law,
    PiecewiseConstant,
    Xor,
    checkerboard,
    class_noise,
    instance_noise,
    point_mass,
    posterior_agreement,
    symmetric_noise,
    tsybakov,
)

SEEDS = st.integers(0, 2**32 - 1)
RATES = st.floats(0.0, 1.0)
ROUNDING = 1e-13  # products of a few small matrices


def draw_base(seed: int) -> Law:
    rng = np.random.default_rng(seed)
    if rng.random() < 0.5:
        means = rng.normal(size=(int(rng.integers(2, 5)), 2))
        return GaussianMixture(np.full(means.shape[0], 1.0 / means.shape[0]), means, np.eye(2))
    return PiecewiseConstant(rng.dirichlet(np.ones(int(rng.integers(2, 5))), size=(3, 2)))


@given(seed=SEEDS, first=RATES, second=RATES)
@settings(max_examples=30, deadline=None)
def test_two_symmetric_flips_are_one(seed: int, first: float, second: float) -> None:
    law = draw_base(seed)
    c = law.classes
    x = law.sample(20, np.random.default_rng(seed))[0]
    twice = symmetric_noise(symmetric_noise(law, first), second)
    slope = (1.0 - c * first / (c - 1)) * (1.0 - c * second / (c - 1))
    rate = min(max((1.0 - slope) * (c - 1) / c, 0.0), 1.0)
    np.testing.assert_allclose(twice.posterior(x), symmetric_noise(law, rate).posterior(x), atol=ROUNDING)
    assert twice.base is law
    np.testing.assert_allclose(twice.transition.sum(axis=1), 1.0, atol=ROUNDING)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_noise_composes_in_the_order_it_is_added(seed: int) -> None:
    rng = np.random.default_rng(seed)
    law = draw_base(seed)
    a, b = rng.dirichlet(np.ones(law.classes), size=(2, law.classes))
    x = law.sample(20, rng)[0]
    wanted = law.posterior(x) @ a @ b
    np.testing.assert_allclose(LabelNoise(LabelNoise(law, a), b).posterior(x), wanted, atol=ROUNDING)
    mixed = LabelNoise(instance_noise(law, 0.3), b)
    np.testing.assert_allclose(mixed.posterior(x), instance_noise(law, 0.3).posterior(x) @ b, atol=ROUNDING)


@given(seed=SEEDS, rate=RATES)
@settings(max_examples=20, deadline=None)
def test_noisy_labels_follow_the_noisy_posterior(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    law = draw_base(seed)
    rates = rng.uniform(size=law.classes)
    for noisy in (symmetric_noise(law, rate), class_noise(law, rates), instance_noise(law, rate)):
        found = posterior_agreement(noisy, 10_000, rng)
        assert found.holds, (noisy, found)
        assert np.array_equal(noisy.extent, law.extent)


@given(rate=st.floats(0.0, 0.49), seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_risks_and_bands_shrink_with_symmetric_noise(rate: float, seed: int) -> None:
    law = Xor(0.9, 0.8)
    noisy = symmetric_noise(law, rate)
    assert noisy.bayes_risk().value == pytest.approx(rate + (1.0 - 2.0 * rate) * law.bayes_risk().value, abs=1e-13)
    assert noisy.bayes_risk().disagrees_with(noisy.quadrature_bayes_risk()) <= 1.0
    ends = sorted(np.random.default_rng(seed).random(2).tolist())
    flat = symmetric_noise(tsybakov(1.7, 1), rate)
    x = ((np.arange(20_000) + 0.5) / 10_000 - 1.0)[:, None]
    eta = flat.posterior(x)[:, 1]
    inside = (eta >= ends[0]) & (eta <= ends[1])
    band = flat.closed_band(*ends)
    assert band is not None
    assert band.mass.value == pytest.approx(float(inside.mean()), abs=4e-4)  # two cells of 1e-4 at each end
    assert band.excess.value == pytest.approx(float((inside * np.abs(2.0 * eta - 1.0)).mean()), abs=4e-4)


def test_much_noise_turns_the_bayes_rule_round() -> None:
    law = point_mass([0.2, 0.5, 0.3])
    noisy = symmetric_noise(law, 0.9)
    assert noisy.bayes_rule([[0.5]]).tolist() == [0]
    assert noisy.bayes_risk().value == pytest.approx(1.0 - (0.2 * 0.1 + 0.8 * 0.45), abs=1e-13)
    assert symmetric_noise(law, 2.0 / 3.0).posterior([[0.5]])[0] == pytest.approx([1 / 3] * 3)


def test_class_noise_moves_the_threshold_where_it_says() -> None:
    noisy = class_noise(tsybakov(1.0, 1), [0.3, 0.1])
    eta = (0.5 - 0.3) / (1.0 - 0.3 - 0.1)
    x = 2.0 * eta - 1.0
    assert noisy.bayes_rule([[x - 1e-6], [x + 1e-6]]).tolist() == [0, 1]
    assert noisy.closed_band(0.4, 0.5) is None


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (lambda: symmetric_noise(Xor(), 1.2), "rate=1.2"),
        (lambda: class_noise(Xor(), [0.1, -0.1]), "rates[1]=-0.1"),
        (lambda: class_noise(Xor(), [0.1]), "rates.shape=(1,)"),
        (lambda: LabelNoise(Xor(), [[0.5, 0.4], [0.0, 1.0]]), "sum(transition[0])=0.9"),
        (lambda: LabelNoise(Xor(), np.eye(3)), "transition.shape=(3, 3)"),
        (lambda: InstanceNoise(Xor(), 0.3), "rate=0.3"),  # type: ignore[arg-type]
        (lambda: InstanceNoise(Xor(), lambda x: 2.0 * x[:, 0] ** 2).posterior([[1.0, 0.0]]), "rate(X) holds 2.0"),
        (lambda: InstanceNoise(Xor(), lambda x: x).posterior([[1.0, 0.0]]), "rate(X).shape=(1, 2)"),
        (lambda: instance_noise(point_mass([0.3, 0.7]), 0.2).bayes_risk(), "rng=None"),
    ],
)
def test_bad_noise_is_refused_in_one_line(call: object, shown: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()  # type: ignore[operator]
    assert shown in str(caught.value)
    assert "must" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_noise_that_varies_within_cells_may_be_wrapped_again() -> None:
    inner = instance_noise(checkerboard(3, 0.8), 0.9)
    for outer in (class_noise(inner, [0.05, 0.6]), instance_noise(inner, 0.3)):
        law = symmetric_noise(outer, 0.1)
        risk = law.bayes_risk(np.random.default_rng(17))
        x, y = law.sample(40_000, np.random.default_rng(23))
        missed = float((law.bayes_rule(x) != y).mean())
        assert risk.kind == "standard error"
        assert abs(missed - risk.value) <= 5.0 * (0.25 / y.size) ** 0.5 + 5.0 * risk.error
        assert law.grid(50, np.random.default_rng(1)).kind == "sample"
