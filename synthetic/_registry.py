"""The named laws: each entry is data, a builder with default parameters."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ._breakers import breaks_crammer_singer, breaks_naive, breaks_released, breaks_weston_watkins
from ._doors import FloatArray, finite_array, whole
from ._exponent import massart, tsybakov
from ._gaussian import GaussianMixture
from ._law import Law
from ._moons import TwoMoons
from ._noise import class_noise, instance_noise, symmetric_noise
from ._piecewise import PiecewiseConstant, checkerboard, near_ties, point_mass
from ._rings import Rings
from ._student import StudentMixture
from ._xor import Xor

NEAR_TIE_GAPS = (0.002, 0.01, 0.02, 0.04, 0.06, 0.08, 0.0901, 0.0917, 0.1, 0.12, 0.16, 0.2, 0.4, 0.8)
"""Leads of the likelier class; 0.0901 and 0.0917 enclose 1/11, the limit of the released loss at mu = 1/10."""


class UnknownLaw(ValueError):
    """A name that is not in the registry."""


@dataclass(frozen=True)
class Entry:
    """One named law: `build` makes it from its parameters, whose defaults are read off its signature."""

    name: str
    title: str
    build: Callable[..., Law]
    parameters: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        defaults = {key: value.default for key, value in inspect.signature(self.build).parameters.items()}
        object.__setattr__(self, "parameters", defaults)

    def make(self, **values: Any) -> Law:
        """The law with the given parameters, the others at their defaults; its name is the entry's."""
        for key in values:
            if key not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ValueError(f"law {self.name!r} has no parameter {key!r}; its parameters are: {known}")
        try:
            law = self.build(**values)
        except TypeError as error:  # text or a list where a number belongs
            raise ValueError(f"law {self.name!r} with {values!r} must have numbers as parameters: {error}") from None
        given = ", ".join(f"{key}={_shown(value)}" for key, value in values.items())
        law.name = f"{self.name}({given})" if given else self.name
        return law


def _shown(value: Any) -> str:
    return "/".join(f"{v:g}" for v in value) if isinstance(value, (list, tuple)) else f"{value:g}"


def _count(name: str, value: float, least: int) -> int:
    """A whole number given as one or as a float, as the command line does."""
    return whole(name, int(value) if float(value).is_integer() else value, least)  # type: ignore[arg-type]


def _gaussian_line(separation: float = 2.0) -> Law:
    half = 0.5 * separation
    return GaussianMixture([0.4, 0.6], [[-half], [half]], [[[1.0]], [[2.0]]])


def _gaussian_shared(
    separation: float = 1.5, weight: float = 0.5, dimension: int = 2, covariance: npt.ArrayLike | None = None
) -> Law:
    """Two classes, means `separation` apart along (1, ..., 1), weight = P(Y = 1); a unit covariance, or d^2 entries."""
    d = _count("dimension", dimension, 1)
    shift = np.full(d, 0.5 * separation / d**0.5)
    return GaussianMixture([1.0 - weight, weight], [-shift, shift], _square(covariance, d))


def _square(entries: npt.ArrayLike | None, d: int) -> FloatArray:
    """A (d, d) covariance from its d^2 entries row by row; the identity for None."""
    if entries is None:
        return np.eye(d)
    found = np.atleast_1d(finite_array("covariance", entries))
    if found.size != d * d:
        raise ValueError(f"len(covariance)={found.size} must be {d * d}: the rows of a ({d}, {d}) matrix")
    return found.reshape(d, d)


def _gaussian_own(weight: float = 0.6) -> Law:
    spread = [[[1.0, 0.3], [0.3, 0.6]], [[0.4, -0.1], [-0.1, 1.5]]]
    return GaussianMixture([1.0 - weight, weight], [[0.1, -0.3], [1.2, 0.8]], spread)


def _gaussian_classes(
    classes: int = 3,
    radius: float = 1.2,
    dimension: int = 2,
    weights: npt.ArrayLike | None = None,
    covariance: npt.ArrayLike | None = None,
) -> Law:
    """Classes on a circle of the first two coordinates, weights in the ratio 1 : 2 : ... : c plus c where not given."""
    c, d = _count("classes", classes, 2), _count("dimension", dimension, 2)
    angle = 2.0 * np.pi * (np.arange(c) + 0.3) / c
    means = np.zeros((c, d))
    means[:, 0], means[:, 1] = radius * np.cos(angle), radius * np.sin(angle)
    ratio = c + np.arange(1.0, c + 1.0)
    return GaussianMixture(ratio / ratio.sum() if weights is None else weights, means, _square(covariance, d))


def _cells() -> Law:
    """Three classes on 4 x 3 cells of unequal mass."""
    tops = np.linspace(0.4, 0.9, 12)
    rows = [np.roll([top, 0.65 * (1.0 - top), 0.35 * (1.0 - top)], k) for k, top in enumerate(tops)]
    mass = np.arange(1.0, 13.0) / 78.0
    return PiecewiseConstant(np.stack(rows).reshape(4, 3, 3), mass.reshape(4, 3))


def _student(degrees: float = 2.0, separation: float = 2.0, weight: float = 0.4) -> Law:
    half = 0.5 * separation
    return StudentMixture([1.0 - weight, weight], [[-half, 0.0], [half, 0.3]], [[1.0, 0.2], [0.2, 0.8]], degrees)


def _student_line(degrees: float = 1.0, separation: float = 2.0, weight: float = 0.5) -> Law:
    half = 0.5 * separation
    return StudentMixture([1.0 - weight, weight], [[-half], [half]], [[[1.0]], [[0.5]]], degrees)


def _near_ties() -> Law:
    return near_ties(NEAR_TIE_GAPS)


def _near_ties_3() -> Law:
    return near_ties((0.01, 0.02, 0.05, 0.1, 0.2, 0.4), 3)


def _point(p: npt.ArrayLike = (0.4, 0.3, 0.3)) -> Law:
    return point_mass(p)


def _checkerboard(side: int = 4, eta: float = 0.9, dimension: int = 2) -> Law:
    return checkerboard(_count("side", side, 1), eta, _count("dimension", dimension, 1))


def _rings(noise: float = 0.35, classes: int = 2, dimension: int = 2) -> Law:
    circles = np.arange(1.0, _count("classes", classes, 2) + 1.0)
    return Rings(circles, noise, dimension=_count("dimension", dimension, 2))


def _rings_3(noise: float = 0.35) -> Law:
    return Rings([0.0, 1.0, 2.0], noise, [0.2, 0.35, 0.45])


def _moons(noise: float = 0.3) -> Law:
    return TwoMoons(noise)


def _xor(corner: float = 1.0, noise: float = 0.7, dimension: int = 2) -> Law:
    return Xor(corner, noise, _count("dimension", dimension, 1))


def _moons_symmetric(rate: float = 0.2, noise: float = 0.3) -> Law:
    return symmetric_noise(TwoMoons(noise), rate)


def _gaussian_class_noise(rates: npt.ArrayLike = (0.3, 0.1)) -> Law:
    return class_noise(_gaussian_shared(), rates)


def _rings_near_tie_noise(rate: float = 0.4) -> Law:
    return instance_noise(_rings(), rate)


def _gaussian_3_symmetric(rate: float = 0.3) -> Law:
    return symmetric_noise(_gaussian_classes(), rate)


ENTRIES: tuple[Entry, ...] = (
    Entry("gaussian-line", "two Gaussian classes on the line, variances 1 and 2", _gaussian_line),
    Entry("gaussian-shared", "two Gaussian classes with a shared covariance, any dimension", _gaussian_shared),
    Entry("gaussian-own", "two Gaussian classes in the plane with their own covariances", _gaussian_own),
    Entry("gaussian-classes", "three (or c) Gaussian classes on a circle, any dimension", _gaussian_classes),
    Entry("checkerboard", "cells whose P(Y = 1) is alternately eta and 1 - eta", _checkerboard),
    Entry("cells-3", "three classes, 4 x 3 cells of unequal mass", _cells),
    Entry("point-mass", "one posterior p for every x", _point),
    Entry("near-ties", "cells whose likelier class leads by 0.002 to 0.8", _near_ties),
    Entry("near-ties-3", "three classes, cells whose likeliest class leads by 0.01 to 0.4", _near_ties_3),
    Entry("rings", "concentric rings with Gaussian noise", _rings),
    Entry("rings-3", "a blob inside two rings", _rings_3),
    Entry("two-moons", "two half circles with Gaussian noise", _moons),
    Entry("xor", "four blobs labelled by the parity of the signs, any dimension", _xor),
    Entry("tsybakov", "P(|2 eta - 1| <= t) = t^exponent", tsybakov),
    Entry("massart", "|2 eta - 1| >= floor", massart),
    Entry("student", "heavy tails: Student t classes in the plane", _student),
    Entry("student-line", "heavy tails: Cauchy (or t) classes on the line", _student_line),
    Entry("moons-symmetric", "two moons, every label flipped with probability `rate`", _moons_symmetric),
    Entry("gaussian-class-noise", "two Gaussian classes, labels flipped at rates 0.3 and 0.1", _gaussian_class_noise),
    Entry("rings-near-tie-noise", "rings, labels flipped most where the classes tie", _rings_near_tie_noise),
    Entry("gaussian-3-symmetric", "three Gaussian classes with symmetric noise", _gaussian_3_symmetric),
    Entry("breaks-crammer-singer", "orders of (0.4, 0.3, 0.3) and (0.7, 0.2, 0.1)", breaks_crammer_singer),
    Entry("breaks-weston-watkins", "orders of (0.4, 0.35, 0.25) and (0.7, 0.2, 0.1)", breaks_weston_watkins),
    Entry("breaks-naive", "orders of (0.6, 0.4, 0), a class being impossible, and of (0.5, 0.3, 0.2)", breaks_naive),
    Entry("breaks-released", "two classes, leads on both sides of mu / (1 + mu)", breaks_released),
)

_BY_NAME = {entry.name: entry for entry in ENTRIES}


def names() -> tuple[str, ...]:
    """The names of the laws, in order."""
    return tuple(_BY_NAME)


def entry(name: str) -> Entry:
    """The entry of a name; UnknownLaw with the nearest name otherwise."""
    if not isinstance(name, str):
        raise UnknownLaw(f"law={name!r} must be a name, such as 'xor'")
    if name not in _BY_NAME:
        close = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UnknownLaw(f"unknown law {name!r}; {hint}known are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def get(name: str, **parameters: Any) -> Law:
    """The named law, with its parameters.

    >>> get("tsybakov", exponent=3.0).bayes_risk().value
    0.125
    """
    return entry(name).make(**parameters)
