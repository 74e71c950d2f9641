"""Rigorous enclosures of a tree over a box, with the values at chosen points on the same branches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from flint import fmpq

from .calculus import differentiate
from .interval import (
    INF,
    NEG_INF,
    Interval,
    Undefined,
    limit_add,
    limit_div,
    limit_mul,
    limit_power,
    limit_sub,
    pi_interval,
)
from .nodes import Add, Call, Clip, Const, Div, Expr, Max, Min, Mul, Neg, Pi, Pow, Sub, Var, Where
from .rewrite import ONE, ZERO

Box = Mapping[str, Interval]
Rule = Callable[..., Interval]
Values = list[Interval | None]
"""The value over the box, then at each probe; None where a limit is not known."""

WHOLE = Interval(NEG_INF, INF)
"""What encloses a limit that is not known."""


@dataclass(frozen=True, slots=True)
class Enclosure:
    """What is certain about a tree on the interior of a box.

    `range` holds every value; `points[i]` the limit of the tree at the i-th probe point, from inside
    the box. `real` tells that the tree certainly has a value inside: no denominator, logarithm or
    power meets a singular point. `jumped` tells that it may be discontinuous there: a `where` could
    not be decided, or the tree need not be real.
    """

    range: Interval
    points: tuple[Interval, ...]
    jumped: bool
    real: bool = False


def enclose(expr: Expr, box: Box, probes: Sequence[Box] = (), along: str | Sequence[str] = ()) -> Enclosure:
    """Enclose a tree without class sums over the interior of a box.

    `probes` are points of the closed box. A comparison that holds on the box's interior only (its
    sides touch at the boundary) is decided when the difference of the sides is strictly monotone in
    one of the variables named by `along`; the probe values then belong to the branch taken inside,
    that is, they are one-sided limits. Raises Undefined where the tree is certainly not enclosed, as
    for a division by an interval around 0.
    """
    walk = _Walk(box, probes, (along,) if isinstance(along, str) else tuple(along))
    found = walk.values(expr)
    whole = found[0]
    assert whole is not None
    points = tuple(WHOLE if value is None else value for value in found[1:])
    return Enclosure(whole, points, walk.jumped or not walk.real, walk.real)


def sign_inside(expr: Expr, box: Box, along: str | Sequence[str] = ()) -> int:
    """1 or -1 where the tree certainly has that sign at every point inside the box at which it is real; else 0."""
    walk = _Walk(box, (), (along,) if isinstance(along, str) else tuple(along))
    found = walk.range_of(expr)
    if not (found.lo >= 0 or found.hi <= 0) or not walk.never_zero(expr):
        return 0
    return 1 if found.lo >= 0 else -1


def restrict(expr: Expr, box: Box, along: str | Sequence[str] = ()) -> Expr:
    """A tree that agrees with `expr` inside the box, without the comparisons, max, min and abs decided there."""
    walk = _Walk(box, (), (along,) if isinstance(along, str) else tuple(along))

    def one(node: Expr) -> Expr:
        match node:
            case Where(comparison, left, right, yes, no):
                holds = walk.decide(comparison, left, right)
                return node if holds is None else yes if holds else no
            case Max(left, right):
                holds = walk.decide(">=", left, right)
                return node if holds is None else left if holds else right
            case Min(left, right):
                holds = walk.decide("<=", left, right)
                return node if holds is None else left if holds else right
            case Clip(value, low, high):
                return one(Min(one(Max(value, low)), high))
            case Call("abs", u):
                holds = walk.decide(">=", u, ZERO)
                return node if holds is None else u if holds else Neg(u)
        return node

    def down(node: Expr) -> Expr:
        if isinstance(node, Where):  # a branch that is not taken need not be real inside the box
            holds = walk.decide(node.comparison, node.left, node.right)
            if holds is not None:
                return down(node.yes if holds else node.no)
        parts = {f.name: getattr(node, f.name) for f in fields(node)}  # type: ignore[arg-type]
        return one(type(node)(**{name: down(part) if isinstance(part, Expr) else part for name, part in parts.items()}))

    return down(expr)


class _Walk:
    """One evaluation: the values of every node met, and what was seen on the way."""

    __slots__ = ("_aside", "_box", "_envs", "_kept", "_limits", "_memo", "_names", "jumped", "real")

    def __init__(self, box: Box, probes: Sequence[Box], names: tuple[str, ...]) -> None:
        self._box, self._envs, self._names = box, (box, *probes), names
        self._limits = [any(side.is_point and not side.is_finite for side in box.values()), *(True for _ in probes)]
        self._memo: dict[int, Values] = {}
        self._kept: list[Expr] = []  # memo keys are identities, so a node must outlive its entry
        self._aside: _Walk | None = None
        self.jumped, self.real = False, True

    def values(self, node: Expr) -> Values:
        found = self._memo.get(id(node))
        if found is None:
            found = self._memo[id(node)] = self._compute(node)
        return found

    def range_of(self, node: Expr) -> Interval:
        self._kept.append(node)
        found = self.values(node)[0]
        assert found is not None
        return found

    def _each(self, function: Rule, limit: Rule, *values: Values) -> Values:
        """Apply an operation to the box and to every probe; a probe whose limit is not known stays unknown."""
        out: Values = []
        for i, is_limit in enumerate(self._limits):
            arguments = [value[i] for value in values]
            if None in arguments:
                out.append(None)
                continue
            try:
                out.append((limit if is_limit else function)(*arguments))
            except Undefined:
                if i == 0:
                    raise
                out.append(None)
        return out

    def _same(self, function: Rule, *values: Values) -> Values:
        return self._each(function, function, *values)

    def _compute(self, node: Expr) -> Values:
        kind = type(node)
        if kind is Const:
            return [_constant(node)] * len(self._envs)
        if kind is Var:
            return [env[node.name] for env in self._envs]  # type: ignore[attr-defined]
        rules = _BINARY.get(kind)
        if rules is not None:
            left, right = _SIDES[kind](node)
            values = self._each(*rules, self.values(left), self.values(right))
            if kind is Div:
                self._watch(right)
            elif kind is Pow:
                self._watch_power(left, right)
            return values
        match node:
            case Neg(u):
                return self._same(Interval.__neg__, self.values(u))
            case Call(name, u):
                values = self._same(lambda x: x.call(name), self.values(u))
                if name == "log":
                    self._watch(u)
                elif name == "log1p" and not self.range_of(u).lo > -1:
                    self._watch(Add(u, ONE))
                return values
            case Clip(u, low, high):
                return self._same(
                    lambda x, a, b: x.maximum(a).minimum(b), self.values(u), self.values(low), self.values(high)
                )
            case Pi():
                return [pi_interval()] * len(self._envs)
            case Where(comparison, left, right, yes, no):
                holds = self.decide(comparison, left, right)
                if holds is not None:
                    return self.values(yes if holds else no)
                self.jumped = True
                return self._same(Interval.hull, self.values(yes), self.values(no))
        raise TypeError(f"expression node {kind.__name__!r} cannot be enclosed; expand class sums first")

    def _watch(self, node: Expr) -> None:
        """The tree is real only where `node` is not 0."""
        if self.real and not self.never_zero(node):
            self.real = False

    def _watch_power(self, base: Expr, exponent: Expr) -> None:
        power = self.range_of(exponent)
        if not power.is_point or not isinstance(power.lo, fmpq) or power.lo < 0:
            self._watch(base)

    def never_zero(self, node: Expr) -> bool:
        """Whether the tree, where real, is certainly not 0 inside the box: exp, for one, never reaches 0."""
        found = self.range_of(node)
        if not found.contains_zero():
            return True
        match node:
            case Call("exp" | "sigmoid" | "softplus", _):
                return True
            case Neg(u) | Div(u, _) | Pow(u, Const(_)) | Call("sqrt" | "abs" | "tanh" | "atan" | "log1p", u):
                return self.never_zero(u)
            case Mul(u, v):
                return self.never_zero(u) and self.never_zero(v)
            case Add(Call("tanh", _), Const(c)) | Add(Const(c), Call("tanh", _)) if abs(c) >= 1:
                return True
            case Sub(Call("tanh", _), Const(c)) | Sub(Const(c), Call("tanh", _)) if abs(c) >= 1:
                return True
            case Sub(Call("sigmoid", _), Const(c)) | Sub(Const(c), Call("sigmoid", _)) if not 0 < c < 1:
                return True
            case Add(u, v) if self._one_sign(u, v, same=True) and (self.never_zero(u) or self.never_zero(v)):
                return True
            case Sub(u, v) if self._one_sign(u, v, same=False) and (self.never_zero(u) or self.never_zero(v)):
                return True
            case Max(u, v) if any(self.range_of(x).lo >= 0 and self.never_zero(x) for x in (u, v)):
                return True
            case Min(u, v) if any(self.range_of(x).hi <= 0 and self.never_zero(x) for x in (u, v)):
                return True
            case Max(u, v) | Min(u, v):
                return self.never_zero(u) and self.never_zero(v)
            case Where(comparison, left, right, yes, no):
                holds = self.decide(comparison, left, right)
                return all(self.never_zero(x) for x, out in ((yes, False), (no, True)) if holds is not out)
        return bool(found.lo >= 0 or found.hi <= 0) and self._monotone(node)

    def _one_sign(self, u: Expr, v: Expr, same: bool) -> bool:
        """Both terms of a sum weakly of one sign (of a difference: of opposite signs)."""
        x, y = self.range_of(u), self.range_of(v) if same else -self.range_of(v)
        return bool((x.lo >= 0 and y.lo >= 0) or (x.hi <= 0 and y.hi <= 0))

    def decide(self, comparison: str, left: Expr, right: Expr) -> bool | None:
        """Whether a comparison holds everywhere inside the box (True), nowhere (False), or neither for certain."""
        difference = self.range_of(Sub(left, right))
        if comparison in (">", ">="):
            difference = -difference
            strict = comparison == ">"
        else:
            strict = comparison == "<"
        if difference.hi < 0 or (not strict and difference.hi <= 0):
            return True
        if difference.lo > 0 or (strict and difference.lo >= 0):
            return False
        if (difference.hi <= 0 or difference.lo >= 0) and self._monotone(Sub(left, right)):
            return bool(difference.hi <= 0)
        return None

    def _monotone(self, tree: Expr) -> bool:
        """Whether the tree is certainly strictly monotone inside the box in one of the open variables."""
        if self._aside is None:  # derivatives are not part of the tree: what they meet is not seen on the way
            self._aside = _Walk(self._box, (), self._names)
        for name in self._names:
            if not self._box[name].is_point:
                try:
                    if not self._aside.range_of(derivative(tree, name)).contains_zero():
                        return True
                except Undefined:
                    continue
        return False


@lru_cache(maxsize=4096)
def _constant(node: Const) -> Interval:
    return Interval.point(node.value)


@lru_cache(maxsize=4096)
def derivative(expr: Expr, name: str) -> Expr:
    """`differentiate`, remembered."""
    return differentiate(expr, name)


_BINARY: dict[type[Expr], tuple[Rule, Rule]] = {
    Add: (Interval.__add__, limit_add),
    Sub: (Interval.__sub__, limit_sub),
    Mul: (Interval.__mul__, limit_mul),
    Div: (Interval.__truediv__, limit_div),
    Pow: (Interval.power, limit_power),
    Max: (Interval.maximum, Interval.maximum),
    Min: (Interval.minimum, Interval.minimum),
}
_SIDES: dict[type[Expr], Callable[..., tuple[Expr, Expr]]] = {
    **dict.fromkeys((Add, Sub, Mul, Div, Max, Min), lambda node: (node.left, node.right)),
    Pow: lambda node: (node.base, node.exponent),
}
