"""Losses: formulas with exact parameters and a score domain; they add and scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .expression import (
    BINARY_NAMES,
    OTHER_NAMES,
    PAIR_NAMES,
    SCORE_NAMES,
    Const,
    Expr,
    Number,
    Var,
    evaluate_array,
    evaluate_scores,
    exact,
    names,
    parse,
    stabilise,
    substitute,
    to_text,
)
from .expression.arrays import Array

Value = Fraction | tuple[Fraction, ...]


@dataclass(frozen=True)
class Domain:
    """Where the scores may lie: all of R^c, sum-to-zero vectors, |f_k| <= bound, or a ball.

    `ball:B` is {f : sum f = 0, (sum f_k^2)^(1/2) <= B}, for losses of several classes.

    >>> str(Domain.parse("bounded:2"))
    'bounded:2'
    """

    kind: str = "all"
    bound: Fraction | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("all", "sum-zero", "bounded", "ball"):
            raise ValueError(f"domain {self.kind!r} must be all, sum-zero, bounded:B or ball:B")
        if (self.kind in ("bounded", "ball")) != (self.bound is not None):
            raise ValueError(f"domain {self.kind!r} must have a bound exactly when it is bounded")
        if self.bound is not None and self.bound <= 0:
            raise ValueError(f"domain bound={self.bound} must be positive; the domain would be empty or a point")

    @classmethod
    def parse(cls, text: str) -> Domain:
        """The domain written as all, sum-zero, bounded:B or ball:B; ValueError for anything else."""
        kind, colon, bound = text.partition(":")
        if kind in ("bounded", "ball"):
            if not colon:
                raise ValueError(f"domain {kind!r} must name its bound, as in {kind}:2")
            return cls(kind, exact(bound))
        if colon:
            raise ValueError(f"domain {text!r} must be all, sum-zero, bounded:B or ball:B")
        return cls(kind)

    @property
    def words(self) -> str:
        """The domain as a phrase."""
        return {
            "all": "all real scores",
            "sum-zero": "scores that sum to zero",
            "ball": f"scores that sum to zero, of Euclidean norm at most {self.bound}",
        }.get(self.kind, f"scores in [-{self.bound}, {self.bound}]")

    def __str__(self) -> str:
        return self.kind if self.bound is None else f"{self.kind}:{self.bound}"


ALL = Domain()


@dataclass(frozen=True)
class Loss:
    """A margin-based loss in up to three forms that describe the same loss.

    `binary`      tree in t = y f(x), y in {-1, +1}
    `pair`        trees in v = f(x): the loss of v for y = +1 and for y = -1
    `multiclass`  tree in fy, alpha, lse, q, c, and fk, qk inside class sums; any number of classes

    Parameters are exact: rationals, or tuples with one rational per class. Losses add and scale:
    `a + b`, `2 * a`, `"1/10" * a`; a form survives when both sides have it.
    """

    name: str
    binary: Expr | None = None
    pair: tuple[Expr, Expr] | None = None
    multiclass: Expr | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)
    domain: Domain = ALL

    def __post_init__(self) -> None:
        if self.binary is None and self.pair is None and self.multiclass is None:
            raise ValueError(f"loss {self.name!r} must have at least one formula")
        if self.domain.kind == "ball" and (self.binary is not None or self.pair is not None):
            raise ValueError(
                f"domain {str(self.domain)!r} is for losses of several classes; loss {self.name!r} is binary"
            )
        reserved = (BINARY_NAMES if self.binary is not None else frozenset()) | (
            PAIR_NAMES if self.pair is not None else frozenset()
        )
        reserved |= (SCORE_NAMES | OTHER_NAMES) if self.multiclass is not None else frozenset()
        if clash := reserved & self.parameters.keys():
            raise ValueError(f"parameter {min(clash)!r} has the name of a quantity of the formula; choose another name")
        used = frozenset[str]()
        for tree in self.trees():
            used |= names(tree)
        for name in self.parameters:
            if name not in used and f"{name}k" not in used:
                raise ValueError(f"parameter {name!r} is not used by the formula of loss {self.name!r}")

    def __hash__(self) -> int:
        return hash((self.name, self.binary, self.pair, self.multiclass, tuple(self.parameters.items()), self.domain))

    def trees(self) -> tuple[Expr, ...]:
        """Every formula of the loss."""
        return tuple(tree for tree in (self.binary, *(self.pair or ()), self.multiclass) if tree is not None)

    @property
    def pair_form(self) -> tuple[Expr, Expr] | None:
        """The formulas for y = +1 and y = -1 in v; every phi(t) has them too."""
        if self.pair is not None or self.binary is None:
            return self.pair
        return substitute(self.binary, {"t": Var("v")}), substitute(self.binary, {"t": -Var("v")})

    # -- trees with the parameters' values in place -------------------------------------------

    def _instantiate(self, tree: Expr) -> Expr:
        scalars = {name: Const(value) for name, value in self.parameters.items() if isinstance(value, Fraction)}
        return stabilise(substitute(tree, scalars))

    @cached_property
    def margin_tree(self) -> Expr | None:
        """phi as a tree in t with every parameter replaced by its value, or None for a pair."""
        return None if self.binary is None else self._instantiate(self.binary)

    @cached_property
    def pair_trees(self) -> tuple[Expr, Expr]:
        """The losses of the score v for y = +1 and y = -1, with every parameter replaced.

        Raises ValueError when the loss has only a multiclass formula.
        """
        if self.pair is not None:
            return self._instantiate(self.pair[0]), self._instantiate(self.pair[1])
        if self.margin_tree is None:
            raise ValueError(f"loss {self.name!r} has no binary formula; give the number of classes")
        v = Var("v")
        return substitute(self.margin_tree, {"t": v}), stabilise(substitute(self.margin_tree, {"t": -v}))

    @cached_property
    def score_tree(self) -> Expr:
        """The multiclass formula with its scalar parameters replaced (vectors stay names).

        Raises ValueError when the loss has no multiclass formula.
        """
        if self.multiclass is None:
            raise ValueError(f"loss {self.name!r} has no multiclass formula; it is binary")
        return self._instantiate(self.multiclass)

    # -- values ---------------------------------------------------------------------------------

    def phi(self, t: ArrayLike) -> Array:
        """phi(t) in float64 for margins t of any shape; ValueError when the loss is not of the form phi(t)."""
        if self.margin_tree is None:
            raise ValueError(f"loss {self.name!r} is not a function of t = y f(x)")
        return _like(evaluate_array(self.margin_tree, {"t": _real(t, "t")}), t)

    def phi_plus(self, v: ArrayLike) -> Array:
        """The loss of the score v when y = +1, in float64, of the shape of v."""
        return _like(evaluate_array(self.pair_trees[0], {"v": _real(v, "v")}), v)

    def phi_minus(self, v: ArrayLike) -> Array:
        """The loss of the score v when y = -1, in float64, of the shape of v."""
        return _like(evaluate_array(self.pair_trees[1], {"v": _real(v, "v")}), v)

    def values(self, scores: ArrayLike) -> Array:
        """The loss for every label: scores (..., c) to losses (..., c), c >= 2, in float64.

        Raises ValueError for other shapes, scores that are not finite, and a vector parameter of another length.
        """
        array = _real(scores, "scores")
        if array.ndim == 0 or array.shape[-1] < 2:
            raise ValueError(f"scores of shape {array.shape} must have a last axis of c >= 2 classes")
        vectors = {k: np.array([float(x) for x in v]) for k, v in self.parameters.items() if isinstance(v, tuple)}
        for name, vector in vectors.items():
            if len(vector) != array.shape[-1]:
                raise ValueError(
                    f"parameter {name!r} has {len(vector)} entries; it must have one per class, {array.shape[-1]}"
                )
        return evaluate_scores(self.score_tree, array, {}, vectors)

    # -- algebra --------------------------------------------------------------------------------

    def __add__(self, other: Loss) -> Loss:
        if not isinstance(other, Loss):
            return NotImplemented
        if self.domain != other.domain:
            raise ValueError(f"domains {self.domain} and {other.domain} must be equal for losses to be added")
        left, right = self, other
        clash = [
            name
            for name in left.parameters
            if name in right.parameters and left.parameters[name] != right.parameters[name]
        ]
        if clash:
            left, right = left._inline(clash), right._inline(clash)
        binary = None if left.binary is None or right.binary is None else left.binary + right.binary
        pair = None
        if binary is None and left.pair_form is not None and right.pair_form is not None:
            pair = left.pair_form[0] + right.pair_form[0], left.pair_form[1] + right.pair_form[1]
        multiclass = None
        if left.multiclass is not None and right.multiclass is not None:
            multiclass = left.multiclass + right.multiclass
        if binary is None and pair is None and multiclass is None:
            raise ValueError(f"losses {self.name!r} and {other.name!r} must have a form in common to be added")
        values = {**left.parameters, **right.parameters}
        used = frozenset[str]().union(
            *(names(tree) for tree in (binary, *(pair or ()), multiclass) if tree is not None)
        )
        return Loss(
            name=f"{self.name} + {other.name}",
            binary=binary,
            pair=pair,
            multiclass=multiclass,
            parameters={name: value for name, value in values.items() if name in used or f"{name}k" in used},
            domain=self.domain,
        )

    def __mul__(self, weight: Number) -> Loss:
        factor = Const(exact(weight))
        return replace(
            self,
            name=f"{exact(weight)} * ({self.name})" if " " in self.name else f"{exact(weight)} * {self.name}",
            binary=None if self.binary is None else factor * self.binary,
            pair=None if self.pair is None else (factor * self.pair[0], factor * self.pair[1]),
            multiclass=None if self.multiclass is None else factor * self.multiclass,
        )

    __rmul__ = __mul__

    def _inline(self, which: list[str]) -> Loss:
        """The same loss with the named scalar parameters written into the formulas."""
        table: dict[str, Expr | Number] = {}
        for name in which:
            value = self.parameters[name]
            if not isinstance(value, Fraction):
                raise ValueError(f"vector parameter {name!r} has two different values in the sum")
            table[name] = Const(value)
        return replace(
            self,
            binary=None if self.binary is None else substitute(self.binary, table),
            pair=None if self.pair is None else (substitute(self.pair[0], table), substitute(self.pair[1], table)),
            multiclass=None if self.multiclass is None else substitute(self.multiclass, table),
            parameters={name: value for name, value in self.parameters.items() if name not in which},
        )

    # -- text -----------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Formulas, exact parameters and domain as plain JSON values."""
        forms: dict[str, Any] = {}
        if self.binary is not None:
            forms["binary"] = to_text(self.binary)
        if self.pair is not None:
            forms["plus"], forms["minus"] = to_text(self.pair[0]), to_text(self.pair[1])
        if self.multiclass is not None:
            forms["multiclass"] = to_text(self.multiclass)
        values = {
            name: str(value) if isinstance(value, Fraction) else [str(entry) for entry in value]
            for name, value in self.parameters.items()
        }
        return {"name": self.name, **forms, "parameters": values, "domain": str(self.domain)}

    def __str__(self) -> str:
        return self.name


def parse_parameter(value: Number | tuple[Number, ...] | list[Number]) -> Value:
    """A parameter's exact value: a number, or one number per class written 1,1,2."""
    if isinstance(value, str) and "," in value:
        return tuple(exact(part.strip()) for part in value.split(","))
    if isinstance(value, (tuple, list)):
        return tuple(exact(part) for part in value)
    return exact(value)


def from_formula(
    formula: str,
    *,
    classes: int | None = None,
    parameters: Mapping[str, Number | tuple[Number, ...] | list[Number]] | None = None,
    domain: Domain | str = ALL,
    name: str | None = None,
) -> Loss:
    """A loss from a formula: in t when `classes` is None, else in fy, alpha, lse, q, c (and fk, qk).

    Raises FormulaError, a ValueError with the column, for text outside the language, and ValueError for parameters or a
    domain that do not fit.

    >>> from_formula("max(0, tau - t)", parameters={"tau": "1/2"}).phi(0.25)
    0.25
    """
    values = {key: parse_parameter(value) for key, value in (parameters or {}).items()}
    domain = Domain.parse(domain) if isinstance(domain, str) else domain
    if classes is None:
        _refuse_vectors(values)
        return Loss(
            name or formula, binary=parse(formula, BINARY_NAMES, frozenset(values)), parameters=values, domain=domain
        )
    if classes < 2:
        raise ValueError(f"classes={classes} must be at least 2")
    for key, value in values.items():
        if isinstance(value, tuple) and len(value) != classes:
            raise ValueError(f"parameter {key!r} has {len(value)} entries; it must have one per class, {classes}")
    tree = parse(formula, SCORE_NAMES, frozenset(values))
    return Loss(name or formula, multiclass=tree, parameters=values, domain=domain)


def from_pair(
    plus: str,
    minus: str,
    *,
    parameters: Mapping[str, Number] | None = None,
    domain: Domain | str = ALL,
    name: str | None = None,
) -> Loss:
    """A binary loss from two formulas in the score v: for y = +1 and for y = -1."""
    values = {key: parse_parameter(value) for key, value in (parameters or {}).items()}
    _refuse_vectors(values)
    trees = parse(plus, PAIR_NAMES, frozenset(values)), parse(minus, PAIR_NAMES, frozenset(values))
    domain = Domain.parse(domain) if isinstance(domain, str) else domain
    return Loss(name or f"({plus}, {minus})", pair=trees, parameters=values, domain=domain)


def _refuse_vectors(values: Mapping[str, Value]) -> None:
    for key, value in values.items():
        if isinstance(value, tuple):
            raise ValueError(f"parameter {key!r} must be one number in a binary loss, not {len(value)}")


def _real(value: ArrayLike, name: str) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; it holds NaN or infinity")
    return array


def _like(value: Array, given: ArrayLike) -> Array:
    """`value` with the shape of the input (a constant formula gives a scalar), floats for floats."""
    full = np.broadcast_to(value, np.shape(given))
    return float(full) if np.ndim(given) == 0 else np.array(full)  # type: ignore[return-value]
