"""The named losses. Each entry is data: formulas, parameters with their ranges, and what is known of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from .expression import BINARY_NAMES, SCORE_NAMES, Number, exact, parse
from .losses import ALL, Domain, Loss


@dataclass(frozen=True)
class Parameter:
    """A parameter's default and the range in which the loss is stated."""

    default: str
    low: str | None = None
    low_open: bool = False

    def check(self, name: str, value: Number) -> Fraction:
        """The exact value, or ValueError with name, value and rule."""
        number = exact(value)
        if self.low is not None:
            low = exact(self.low)
            if number < low or (self.low_open and number == low):
                raise ValueError(f"parameter {name}={value} must be {'>' if self.low_open else '>='} {self.low}")
        return number


@dataclass(frozen=True)
class Entry:
    """One named loss.

    `binary` is a formula in t = y f(x), `multiclass` one in fy, alpha, lse, q, c (and fk, qk);
    `minimiser` and `strength` are what the literature or a derivation says, for reading, never for
    deciding; verdicts come from `theory.prove`.
    """

    name: str
    title: str
    binary: str | None
    multiclass: str | None
    strength: str
    source: str
    minimiser: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    domain: Domain = ALL

    def build(self, **values: Number) -> Loss:
        """The loss at the given parameter values; the others keep their defaults."""
        for name in values:
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ValueError(f"loss {self.name!r} has no parameter {name!r}; its parameters are: {known}")
        exacts = {name: spec.check(name, values.get(name, spec.default)) for name, spec in self.parameters.items()}
        known_names = frozenset(exacts)
        return Loss(
            name=self.name,
            binary=None if self.binary is None else parse(self.binary, BINARY_NAMES, known_names),
            multiclass=None if self.multiclass is None else parse(self.multiclass, SCORE_NAMES, known_names),
            parameters=exacts,
            domain=self.domain,
        )


_MU = Parameter("0.1", low="0")
_TAU = Parameter("5", low="0", low_open=True)

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "cross-entropy",
        "Cross-entropy of the softmax; for two classes the logistic loss log(1 + exp(-t))",
        binary="softplus(-t)",
        multiclass="lse - fy",
        minimiser="binary: log(eta / (1 - eta)); multiclass: log p + constant",
        strength="consistent",
        source="Zhang (2004), JMLR 5:1225-1251; Bartlett, Jordan & McAuliffe (2006), JASA 101:138-156",
    ),
    Entry(
        "logistic",
        "Logistic loss log(1 + exp(-t))",
        binary="softplus(-t)",
        multiclass=None,
        minimiser="log(eta / (1 - eta))",
        strength="consistent (convex, phi'(0) = -1/2 < 0)",
        source="Bartlett, Jordan & McAuliffe (2006), JASA 101:138-156, Theorem 2",
    ),
    Entry(
        "hinge",
        "Hinge max(0, 1 - t) of the support vector machine",
        binary="max(0, 1 - t)",
        multiclass=None,
        minimiser="sign(2 eta - 1)",
        strength="consistent (convex, phi'(0) = -1 < 0)",
        source="Lin (2002), Data Mining and Knowledge Discovery 6:259-275",
    ),
    Entry(
        "truncated-hinge",
        "Truncated hinge H_tau - H_s = clip(tau - t, 0, tau - s)",
        binary="max(0, tau - t) - max(0, s - t)",
        multiclass="max(0, tau - alpha) - max(0, s - alpha)",
        minimiser="binary: any t >= tau at the likelier label (s <= 0)",
        strength="binary: consistent for s < tau; c classes, tau = 1: consistent for -1/(c-1) <= s < 1",
        source="Wu & Liu (2007), JASA 102:974-983; the range s > 0 derived here",
        parameters={"tau": Parameter("1", low="0", low_open=True), "s": Parameter("0")},
    ),
    Entry(
        "exponential",
        "Exponential loss exp(-t) of AdaBoost",
        binary="exp(-t)",
        multiclass=None,
        minimiser="log(eta / (1 - eta)) / 2",
        strength="consistent (convex, phi'(0) = -1 < 0)",
        source="Bartlett, Jordan & McAuliffe (2006), JASA 101:138-156",
    ),
    Entry(
        "perceptron",
        "Perceptron criterion max(0, -t)",
        binary="max(0, -t)",
        multiclass="max(0, -alpha)",
        minimiser="0 minimises for every eta",
        strength="not consistent: t = 0 is optimal for every posterior",
        source="Bartlett, Jordan & McAuliffe (2006), JASA 101:138-156",
    ),
    Entry(
        "crammer-singer",
        "Crammer-Singer hinge max(0, 1 - alpha)",
        binary="max(0, 1 - t)",
        multiclass="max(0, 1 - alpha)",
        minimiser="all scores tied where max p < 1/2",
        strength="binary consistent; c >= 3 not consistent, consistent on max p > 1/2",
        source="Liu (2007), AISTATS; Tewari & Bartlett (2007), JMLR 8:1007-1025",
    ),
    Entry(
        "weston-watkins",
        "Weston-Watkins hinge, sum over k != y of max(0, 1 - (f_y - f_k))",
        binary="max(0, 1 - t)",
        multiclass="sum_other(max(0, 1 - (fy - fk)))",
        minimiser="ties the two likeliest classes at p = (0.4, 0.35, 0.25)",
        strength="binary consistent; c >= 3 not consistent",
        source="Liu (2007), AISTATS; Wang & Scott (2020), NeurIPS",
    ),
    Entry(
        "average-margin",
        "The paper's loss: cross-entropy + mu (H_tau - H_0)(margin)",
        binary="softplus(-t) + mu * (max(0, tau - t) - max(0, -t))",
        multiclass="lse - fy + mu * (max(0, tau - alpha) - max(0, -alpha))",
        strength="consistent for mu >= 0, tau > 0 and any number of classes",
        source="Wu & Yu (2019), arXiv 1907.11780; verdict derived here",
        parameters={"mu": _MU, "tau": _TAU},
    ),
    Entry(
        "average-margin-released",
        "The loss of the released code: cross-entropy + mu clip(-margin, 0, tau)",
        binary="softplus(-t) + mu * clip(-t, 0, tau)",
        multiclass="lse - fy + mu * clip(-alpha, 0, tau)",
        minimiser="0 wherever max(eta, 1 - eta) <= P(mu, tau)",
        strength="not consistent for mu > 0: near-ties are predicted as ties",
        source="code released with Wu & Yu (2019), arXiv 1907.11780; verdict derived here",
        parameters={"mu": _MU, "tau": _TAU},
    ),
)

_BY_NAME = {entry.name: entry for entry in ENTRIES}


class UnknownLoss(ValueError):
    """A name that is not in the catalogue."""


def names() -> tuple[str, ...]:
    """The names of the catalogue, in order."""
    return tuple(_BY_NAME)


def entry(name: str) -> Entry:
    """The entry of a name; UnknownLoss with the nearest name otherwise."""
    if name not in _BY_NAME:
        close = difflib.get_close_matches(name, _BY_NAME, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UnknownLoss(f"unknown loss {name!r}; {hint}known are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def get(name: str, **parameters: Number) -> Loss:
    """The named loss, with parameters as exact numbers (0.1 is 1/10).

    >>> round(get("average-margin", mu="0.1", tau=5).phi(5.0), 6)
    0.006715
    """
    return entry(name).build(**parameters)
