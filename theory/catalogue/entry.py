"""What the catalogue knows of a loss: formulas, parameters with ranges, closed forms, claims with their sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from theory.expression import (
    BINARY_NAMES,
    PAIR_NAMES,
    SCORE_NAMES,
    Const,
    Expr,
    Number,
    evaluate_array,
    exact,
    names,
    parse,
    simplify,
    substitute,
)
from theory.expression.arrays import Array
from theory.losses import Domain, Loss

_INDEX = re.compile(r"(?<!\w)k(?!\w)")
_SERIES = re.compile(r"series\(k, (?P<first>\d+), (?P<last>\w+), (?P<term>.*)\)")
_STEPS = 200  # bisection halves an interval this often; about 1100 would exhaust float64
_FAR = 1e4  # minimisers beyond are not searched for


@dataclass(frozen=True)
class Parameter:
    """A parameter's default and the range in which the loss is stated."""

    default: str
    low: str | None = None
    low_open: bool = False
    high: str | None = None
    high_open: bool = False
    excluded: str | None = None
    integer: bool = False

    def check(self, name: str, value: Number, outside: bool = False) -> Fraction:
        """The exact value, or ValueError with name, value and rule; `outside` leaves the range unchecked."""
        number = exact(value)
        if self.integer and number.denominator != 1:
            raise ValueError(f"parameter {name}={value} must be a whole number")
        if self.excluded is not None and number == exact(self.excluded):
            raise ValueError(f"parameter {name}={value} must not be {self.excluded}")
        if outside:
            return number
        if self.low is not None:
            low = exact(self.low)
            if number < low or (self.low_open and number == low):
                raise ValueError(f"parameter {name}={value} must be {'>' if self.low_open else '>='} {self.low}")
        if self.high is not None:
            high = exact(self.high)
            if number > high or (self.high_open and number == high):
                raise ValueError(f"parameter {name}={value} must be {'<' if self.high_open else '<='} {self.high}")
        return number

    @property
    def range(self) -> str:
        """The range in words.

        >>> Parameter("1", low="0", low_open=True, high="2").range
        '> 0, <= 2'
        """
        parts = [] if self.low is None else [f"{'>' if self.low_open else '>='} {self.low}"]
        parts += [] if self.high is None else [f"{'<' if self.high_open else '<='} {self.high}"]
        parts += [] if self.excluded is None else [f"not {self.excluded}"]
        parts += ["whole"] if self.integer else []
        return ", ".join(parts) or "any"


@dataclass(frozen=True)
class Claim:
    """What the literature or a derivation says where every condition of `where` holds.

    A condition is one comparison in the parameters and `classes`. `why` is the reason in a few words. A loss that
    is consistent for all posteriors with positive entries only is not `consistent`; `interior` then says so.
    """

    consistent: bool
    why: str
    where: tuple[str, ...] = ()
    interior: bool = False

    def holds(self, parameters: Mapping[str, Fraction], classes: int) -> bool:
        """Whether every condition holds; exactly, as far as a condition is rational."""
        return all(_true(condition, {**parameters, "classes": Fraction(classes)}) for condition in self.where)

    def __str__(self) -> str:
        words = "consistent" if self.consistent else "not consistent"
        words += " where some p_k = 0, else consistent" if self.interior else ""
        return f"{words} for {', '.join(self.where)} ({self.why})" if self.where else f"{words} ({self.why})"


@dataclass(frozen=True)
class Entry:
    """One named loss.

    `binary` is a formula in t = y f(x); `plus` and `minus` are the losses of the score v for y = +1 and y = -1;
    `multiclass` is a formula in fy, alpha, lse, q, c (and fk, qk), for the class counts `only` where it is not general.
    `domain` is all, sum-zero, bounded:NAME or ball:NAME with a parameter as the bound. `threshold` is the decision
    threshold of P(Y = +1 | x), a formula in the parameters.

    Closed forms are formulas too: `minimiser` in eta > 1/2, or `link`, the posterior at which the score t is optimal;
    `gap` and its convex envelope `psi` (the same unless given) in theta = 2 eta - 1 and eta. They are floats for
    reading and for tests; verdicts come from `theory.prove`. `also` names settings worth deciding besides the defaults.
    `note` is what else is known.
    """

    name: str
    title: str
    source: str
    claims: tuple[Claim, ...] = ()
    binary: str | None = None
    plus: str | None = None
    minus: str | None = None
    multiclass: str | None = None
    only: tuple[int, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    domain: str = "all"
    threshold: str = "1/2"
    minimiser: str | None = None
    link: str | None = None
    gap: str | None = None
    psi: str | None = None
    also: tuple[Mapping[str, str], ...] = ()
    note: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def strength(self) -> str:
        """The claims in words, or "see prove" where none is made."""
        return "; ".join(map(str, self.claims)) or "see prove"

    @property
    def kind(self) -> str:
        """binary, multiclass, or both."""
        if self.multiclass is None:
            return "binary"
        return "multiclass" if self.binary is None and self.plus is None else "both"

    @property
    def formula(self) -> str:
        """The formula most worth reading: the multiclass one, else that in t, else the pair."""
        return self.multiclass or self.binary or f"y = +1: {self.plus}; y = -1: {self.minus}"

    def build(self, **given: Number) -> Loss:
        """The loss at the given parameter values; the others keep their defaults.

        Raises ValueError for an unknown name and for a value off the range in which the loss is stated.
        """
        return self._build(self._values(given))

    def build_outside(self, **given: Number) -> Loss:
        """The loss at values that may lie outside the range in which it is stated."""
        return self._build(self._values(given, outside=True))

    def _values(self, given: Mapping[str, Number], outside: bool = False) -> dict[str, Fraction]:
        for name in given:
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ValueError(f"loss {self.name!r} has no parameter {name!r}; its parameters are: {known}")
        return {
            name: spec.check(name, given.get(name, spec.default), outside) for name, spec in self.parameters.items()
        }

    def _build(self, values: Mapping[str, Fraction]) -> Loss:
        pair = None
        if self.plus is not None and self.minus is not None:
            pair = _tree(self.plus, PAIR_NAMES, values), _tree(self.minus, PAIR_NAMES, values)
        binary = None if self.binary is None else _tree(self.binary, BINARY_NAMES, values)
        multiclass = None if self.multiclass is None else _tree(self.multiclass, SCORE_NAMES, values)
        used = frozenset[str]().union(*(names(tree) for tree in (binary, *(pair or ()), multiclass) if tree))
        kind, colon, bound = self.domain.partition(":")
        return Loss(
            name=self.name,
            binary=binary,
            pair=pair,
            multiclass=multiclass,
            parameters={name: value for name, value in values.items() if name in used},
            domain=Domain.parse(f"{kind}:{values[bound]}" if colon else kind),
        )

    def claim(self, classes: int = 2, /, **given: Number) -> Claim | None:
        """The first claim that covers the parameters and the number of classes, or None: see `theory.prove`.

        Parameters may lie outside the range in which the loss is stated.

        >>> from theory import catalogue
        >>> catalogue.entry("truncated-hinge").claim(3, s="-0.6").consistent
        False
        """
        values = self._values(given, outside=True)
        return next((claim for claim in self.claims if claim.holds(values, classes)), None)

    def threshold_at(self, **given: Number) -> Fraction:
        """The decision threshold of P(Y = +1 | x) for which a loss of two classes is meant; TypeError if irrational."""
        tree = parse(self.threshold, frozenset(), frozenset(self.parameters))
        tree = simplify(substitute(tree, _constants(self._values(given))))
        if not isinstance(tree, Const):
            raise TypeError(f"threshold {self.threshold!r} of loss {self.name!r} must be rational")
        return tree.value

    # -- closed forms ---------------------------------------------------------------------------

    def minimiser_at(self, eta: ArrayLike, /, **given: Number) -> Array:
        """A score that minimises the binary conditional risk at eta, in floats, by its closed form.

        With `link` alone the posterior is inverted by bisection on |v| <= 10^4. A loss of the margin has the opposite
        minimiser at 1 - eta. Raises ValueError for eta outside (0, 1) and where no closed form is known.

        >>> from theory import catalogue
        >>> float(catalogue.entry("squared-hinge").minimiser_at(0.25))
        -0.5
        """
        array = np.asarray(eta, dtype=np.float64)
        if not ((array > 0) & (array < 1)).all():
            raise ValueError(f"eta={eta!r} must lie strictly between 0 and 1; at 0 or 1 minimisers may be infinite")
        upper = array if self.plus is not None else np.maximum(array, 1 - array)
        if self.minimiser is not None:
            found = self._closed(self.minimiser, given, eta=upper)
        elif self.link is not None:
            found = self._inverted(self.link, given, upper)
        else:
            raise ValueError(f"loss {self.name!r} has no closed form of its minimiser; see theory.binary_minimiser")
        return np.where(upper == array, found, -found)

    def gap_at(self, theta: ArrayLike, /, **given: Number) -> Array:
        """The least risk over wrong scores minus the least risk at eta = (1 + theta) / 2, 0 <= theta < 1, in floats.

        Has the shape of theta. Raises ValueError for theta outside [0, 1) and where no closed form is known.
        """
        return self._of_theta(self.gap or self.psi, theta, given)

    def psi_at(self, theta: ArrayLike, /, **given: Number) -> Array:
        """The calibration function: the convex envelope of `gap_at`, by its closed form, in floats; shape of theta.

        >>> from theory import catalogue
        >>> float(catalogue.entry("exponential").psi_at(0.6))
        0.19999999999999996
        """
        return self._of_theta(self.psi, theta, given)

    def _of_theta(self, text: str | None, theta: ArrayLike, given: Mapping[str, Number]) -> Array:
        array = np.asarray(theta, dtype=np.float64)
        if not ((array >= 0) & (array < 1)).all():
            raise ValueError(f"theta={theta!r} must lie in [0, 1)")
        if text is None:
            raise ValueError(f"loss {self.name!r} has no closed form of its calibration function; see theory.psi")
        return self._closed(text, given, theta=array, eta=(1 + array) / 2)

    def _closed(self, text: str, given: Mapping[str, Number], **at: Array) -> Array:
        tree = parse(text, frozenset(at), frozenset(self.parameters))
        tree = substitute(tree, _constants(self._values(given)))
        shape = next(iter(at.values())).shape
        found: Array = np.zeros(shape) + evaluate_array(tree, at)
        return found

    def _inverted(self, link: str, given: Mapping[str, Number], eta: Array) -> Array:
        low: Array = np.full(eta.shape, -_FAR)
        high: Array = np.full(eta.shape, _FAR)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for _ in range(_STEPS):
                middle = (low + high) / 2
                below = self._closed(link, given, t=middle) < eta
                low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2)


def _constants(values: Mapping[str, Fraction]) -> dict[str, Expr | Number]:
    return {name: Const(value) for name, value in values.items()}


def _tree(text: str, allowed: frozenset[str], values: Mapping[str, Fraction]) -> Expr:
    return parse(_written_out(text, values), allowed, frozenset(values))


def _written_out(text: str, values: Mapping[str, Fraction]) -> str:
    """The formula itself, or the sum that `series(k, first, LAST, term)` stands for, LAST a whole parameter."""
    match = _SERIES.fullmatch(text)
    if match is None:
        return text
    first, last = int(match["first"]), int(values[match["last"]])
    return " + ".join(f"({_INDEX.sub(str(k), match['term'])})" for k in range(first, last + 1))


def _true(condition: str, values: Mapping[str, Fraction]) -> bool:
    tree = parse(f"where({condition}, 1, 0)", frozenset(), frozenset(values))
    tree = simplify(substitute(tree, _constants(values)))
    return bool(tree.value == 1) if isinstance(tree, Const) else bool(evaluate_array(tree, {}) == 1)
