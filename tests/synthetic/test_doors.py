"""Every refusal is one ValueError line with the name, the value and the rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from synthetic import (
    GaussianMixture,
    PiecewiseConstant,
    bayes_agreement,
    checkerboard,
    excess_risk_inequality,
    near_ties,
    point_mass,
    posterior_agreement,
    random_classifiers,
)
from theory.catalogue import get
from theory.losses import from_formula

EYE = np.eye(2)
MEANS = [[0.0, 0.0], [1.0, 2.0]]
LAW = GaussianMixture([0.3, 0.7], MEANS, EYE)
THREE = point_mass([0.4, 0.3, 0.3])
RNG = np.random.default_rng(0)

BAD: dict[str, tuple[Callable[[], object], str]] = {
    "weights that sum to 0.9": (lambda: GaussianMixture([0.2, 0.7], MEANS, EYE), "sum(weights)=0.8999"),
    "a negative weight": (lambda: GaussianMixture([-0.3, 1.3], MEANS, EYE), "weights[0]=-0.3"),
    "a weight of zero": (lambda: GaussianMixture([0.0, 1.0], MEANS, EYE), "weights[0]=0.0"),
    "one class": (lambda: GaussianMixture([1.0], [[0.0, 0.0]], EYE), "weights.shape=(1,)"),
    "a weight that is nan": (lambda: GaussianMixture([np.nan, 1.0], MEANS, EYE), "weights[0]=nan"),
    "weights that are words": (lambda: GaussianMixture(["a", "b"], MEANS, EYE), "weights=['a', 'b']"),
    "means for other classes": (lambda: GaussianMixture([0.5, 0.5], [[0.0]], [[1.0]]), "means.shape=(1, 1)"),
    "an infinite mean": (lambda: GaussianMixture([0.5, 0.5], [[0.0], [np.inf]], [[1.0]]), "means[1, 0]=inf"),
    "covariance shape": (lambda: GaussianMixture([0.3, 0.7], MEANS, np.eye(3)), "covariances.shape=(3, 3)"),
    "indefinite": (lambda: GaussianMixture([0.3, 0.7], MEANS, [[1.0, 2.0], [2.0, 1.0]]), "covariances=-1.0"),
    "singular": (lambda: GaussianMixture([0.3, 0.7], MEANS, [EYE, [[1.0, 1.0], [1.0, 1.0]]]), "covariances[1]"),
    "asymmetric": (lambda: GaussianMixture([0.3, 0.7], MEANS, [[1.0, 0.2], [0.0, 1.0]]), "|covariances"),
    "an empty sample": (lambda: LAW.sample(0, RNG), "n=0"),
    "a sample of 2.5": (lambda: LAW.sample(2.5, RNG), "n=2.5"),  # type: ignore[arg-type]
    "a sample of True": (lambda: LAW.sample(True, RNG), "n=True"),
    "an empty sample of cells": (lambda: THREE.sample(0, RNG), "n=0"),
    "a seed for a generator": (lambda: LAW.sample(3, 7), "rng=7"),  # type: ignore[arg-type]
    "points of another dimension": (lambda: LAW.posterior([[1.0, 2.0, 3.0]]), "X.shape=(1, 3)"),
    "one point as a vector": (lambda: LAW.posterior([1.0, 2.0]), "X.shape=(2,)"),
    "no points": (lambda: LAW.density(np.empty((0, 2))), "X.shape=(0, 2)"),
    "a point at infinity": (lambda: LAW.posterior([[1.0, np.inf]]), "X[0, 1]=inf"),
    "a point that is nan": (lambda: LAW.density([[np.nan, 1.0]]), "X[0, 0]=nan"),
    "a point outside the cube": (lambda: THREE.posterior([[-0.25]]), "X holds -0.25"),
    "a grid of size 0": (lambda: LAW.grid(0), "size=0"),
    "a posterior off the simplex": (lambda: PiecewiseConstant([[0.5, 0.6]]), "sum(posterior[0])=1.1"),
    "a negative posterior": (lambda: PiecewiseConstant([[-0.1, 1.1]]), "posterior[0, 0]=-0.1"),
    "one class in the cells": (lambda: PiecewiseConstant([[1.0], [1.0]]), "posterior.shape=(2, 1)"),
    "cells without an axis": (lambda: PiecewiseConstant([0.5, 0.5]), "posterior.shape=(2,)"),
    "mass off one": (lambda: PiecewiseConstant([[0.5, 0.5], [0.1, 0.9]], [0.5, 0.4]), "sum(mass)=0.9"),
    "mass of another shape": (lambda: PiecewiseConstant([[0.5, 0.5]], [[1.0]]), "mass.shape=(1, 1)"),
    "eta of a checkerboard": (lambda: checkerboard(3, 1.0), "eta=1.0"),
    "an empty checkerboard": (lambda: checkerboard(0, 0.8), "side=0"),
    "a point law off the simplex": (lambda: point_mass([0.4, 0.4]), "sum(p)=0.8"),
    "a table for a point law": (lambda: point_mass([[0.4, 0.6]]), "p.shape=(1, 2)"),
    "a gap of 1": (lambda: near_ties([0.5, 1.0]), "gap=1.0"),
    "no gaps": (lambda: near_ties([]), "gaps.shape=(0,)"),
    "a tiny posterior check": (lambda: posterior_agreement(LAW, 10, RNG), "n=10"),
    "a binary loss and three classes": (lambda: bayes_agreement(get("hinge"), THREE, THREE.grid(1)), "loss='hinge'"),
    "no classifiers": (lambda: excess_risk_inequality(get("hinge"), LAW, [], LAW.grid(9)), "len(classifiers)=0"),
    "classifiers for three classes": (lambda: random_classifiers(THREE, 2, RNG), "law.classes=3"),
    "the inequality with three classes": (
        lambda: excess_risk_inequality(get("hinge"), THREE, [lambda x: x[:, 0]], THREE.grid(1)),
        "law.classes=3",
    ),
    "the inequality with a multiclass formula": (
        lambda: excess_risk_inequality(from_formula("lse - fy", classes=2), LAW, [lambda x: x[:, 0]], LAW.grid(9)),
        "loss='lse - fy'",
    ),
    "scores of another shape": (
        lambda: excess_risk_inequality(get("hinge"), LAW, [lambda x: x], LAW.grid(9)),
        "classifiers[0]",
    ),
    "scores that are nan": (
        lambda: excess_risk_inequality(get("hinge"), LAW, [lambda x: x[:, 0] * np.nan], LAW.grid(9)),
        "scores of classifiers[0][0]=nan",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_refused_in_one_line(case: str) -> None:
    call, shown = BAD[case]
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert shown in message
    assert "must" in message
    assert "\n" not in message


def test_what_is_given_is_copied_and_frozen() -> None:
    weights = np.array([0.3, 0.7])
    law = GaussianMixture(weights, MEANS, EYE)
    weights[0] = 0.9
    assert law.weights.tolist() == [0.3, 0.7]
    with pytest.raises(ValueError, match="read-only"):
        law.weights[0] = 0.5
