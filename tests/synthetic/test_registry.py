"""The registry: every name builds, parameters are checked, wrong ones are told what they could have been."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import Law, Rings, StudentMixture, TwoMoons, Xor, laws, massart, tsybakov
from synthetic._breakers import breaks_released, orbits


def test_names_build_and_parameters_reach_the_law() -> None:
    assert len(laws.names()) >= 20
    for name in laws.names():
        assert isinstance(laws.get(name), Law)
        assert laws.entry(name).title
    assert laws.get("tsybakov", exponent=3.0).bayes_risk().value == pytest.approx(0.125)
    assert laws.get("xor", dimension=3).dimension == 3
    assert laws.get("xor", dimension=3).name == "xor(dimension=3)"
    assert laws.get("point-mass", p=[0.2, 0.8]).classes == 2
    assert laws.get("gaussian-shared", dimension=5).bayes_risk().kind == "exact"


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (lambda: laws.get("two-moon"), "did you mean 'two-moons'?"),
        (lambda: laws.get("gausian-line"), "did you mean 'gaussian-line'?"),
        (lambda: laws.get("xor", sigma=1.0), "its parameters are: corner, noise, dimension"),
        (lambda: laws.get("xor", noise=-1.0), "noise=-1.0"),
        (lambda: laws.get("xor", dimension=2.5), "dimension=2.5"),
        (lambda: laws.get("point-mass", p=[0.4, 0.4]), "sum(p)=0.8"),
        (lambda: laws.get("massart", floor=1.0), "floor=1.0"),
        (lambda: laws.get("rings", noise=[0.1, 0.2]), "must"),
        (lambda: TwoMoons(0.0), "noise=0.0"),
        (lambda: TwoMoons().posterior([[1.0, 2.0, 3.0]]), "X.shape=(1, 3)"),
        (lambda: TwoMoons().sample(0, np.random.default_rng(0)), "n=0"),
        (lambda: Rings([1.0]), "radii.shape=(1,)"),
        (lambda: Rings([1.0, 1.0]), "distinct"),
        (lambda: Rings([1.0, 2.0], 0.3, [0.5, 0.4]), "sum(weights)=0.9"),
        (lambda: Rings([1.0, 2.0], 0.3, dimension=1), "dimension=1"),
        (lambda: Rings().sample(3, 7), "rng=7"),  # type: ignore[arg-type]
        (lambda: StudentMixture([0.5, 0.5], [[0.0], [1.0]], [[-1.0]]), "not positive definite"),
        (lambda: StudentMixture([0.5, 0.5], [[0.0], [1.0]], [[1.0]], 0.0), "degrees=0.0"),
        (lambda: StudentMixture([0.5, 0.4], [[0.0], [1.0]], [[1.0]]), "sum(weights)=0.9"),
        (lambda: Rings(dimension=3).grid(9), "rng=None"),
        (lambda: Xor(dimension=0), "dimension=0"),
        (lambda: tsybakov(0.0), "exponent=0.0"),
        (lambda: massart(-0.1), "floor=-0.1"),
        (lambda: tsybakov().posterior([[0.0, 1.5]]), "X holds 1.5"),
        (lambda: orbits([[0.5, 0.6]]), "sum(rows[0])=1.1"),
        (lambda: orbits([[0.5, 0.5]], [0.3]), "sum(shares)=0.3"),
        (lambda: orbits([[0.2] * 5]), "at most 4"),
        (lambda: breaks_released(0.0), "mu=0.0"),
    ],
)
def test_bad_laws_are_refused_in_one_line(call: object, shown: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()  # type: ignore[operator]
    assert shown in str(caught.value)
    assert "\n" not in str(caught.value)
