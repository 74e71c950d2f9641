"""Rigorous enclosures of a tree over a box, with the values at chosen points on the same branches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flint import fmpq

from .calculus import differentiate
from .interval import (
    FUNCTIONS,
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
from .nodes import Add, Call, Clip, Const, Div, Expr, Max, Min, Mul, Neg, Pi, Pow, Sub, Var, Where, with_parts
from .rewrite import ONE, ZERO

Box = Mapping[str, Interval]
Rule = Callable[..., Interval]
Rules = tuple[Rule, Rule]
"""An operation on sets of numbers, and on limits."""
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
        return one(with_parts(node, down))

    return down(expr)


class _Walk:
    """One evaluation: the values of every node met, and what was seen on the way."""

    __slots__ = ("_aside", "_box", "_envs", "_kept", "_memo", "_names", "_whole_rule", "jumped", "real")

    def __init__(self, box: Box, probes: Sequence[Box], names: tuple[str, ...]) -> None:
        self._box, self._envs, self._names = box, (box, *probes), names
        self._whole_rule = int(any(side.is_point and not side.is_finite for side in box.values()))
        self._memo: dict[int, Values] = {}
        self._kept: list[Expr] = []  # memo keys are identities, so a node must outlive its entry
        self._aside: _Walk | None = None
        self.jumped, self.real = False, True

    def values(self, node: Expr) -> Values:
        found = self._memo.get(id(node))
        if found is None:
            rule = _NODES.get(type(node), _Walk._unknown)
            found = self._memo[id(node)] = rule(self, node)
        return found

    def range_of(self, node: Expr) -> Interval:
        self._kept.append(node)
        found = self.values(node)[0]
        assert found is not None
        return found

    def _each(self, rules: Rules, *values: Values) -> Values:
        """Apply an operation to the box and to every probe; a probe whose limit is not known stays unknown."""
        function = rules[1]
        places = zip(*values, strict=True)
        found: Values = [rules[self._whole_rule](*next(places))]
        for arguments in places:
            try:
                found.append(None if None in arguments else function(*arguments))
            except Undefined:
                found.append(None)
        return found

    def _alike(self, value: Interval) -> Values:
        return [value] * len(self._envs)

    def _var(self, node: Var) -> Values:
        return [env[node.name] for env in self._envs]

    def _call(self, node: Call) -> Values:
        found = self._each(_CALLS[node.name], self.values(node.argument))
        if node.name == "log":
            self._watch(node.argument)
        elif node.name == "log1p" and not self.range_of(node.argument).lo > -1:
            self._watch(Add(node.argument, ONE))
        return found

    def _div(self, node: Div) -> Values:
        found = self._each(_DIV, self.values(node.left), self.values(node.right))
        self._watch(node.right)
        return found

    def _pow(self, node: Pow) -> Values:
        found = self._each(_POW, self.values(node.base), self.values(node.exponent))
        power = self.range_of(node.exponent)
        if not power.is_point or not isinstance(power.lo, fmpq) or power.lo < 0:
            self._watch(node.base)
        return found

    def _where(self, node: Where) -> Values:
        holds = self.decide(node.comparison, node.left, node.right)
        if holds is not None:
            return self.values(node.yes if holds else node.no)
        self.jumped = True
        return self._each(_HULL, self.values(node.yes), self.values(node.no))

    def _unknown(self, node: Expr) -> Values:
        raise TypeError(f"expression node {type(node).__name__!r} cannot be enclosed; expand class sums first")

    def _watch(self, node: Expr) -> None:
        """The tree is real only where `node` is not 0."""
        if self.real and not self.never_zero(node):
            self.real = False

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
    """`differentiate`, remembered: rules ask for the same derivative box by box."""
    return differentiate(expr, name)


def _same(function: Rule) -> Rules:
    return function, function


_DIV = Interval.__truediv__, limit_div
_POW = Interval.power, limit_power
_HULL = _same(Interval.hull)
_NEG = _same(Interval.__neg__)
_CLIP = _same(lambda x, low, high: x.maximum(low).minimum(high))
_CALLS = {name: _same(function) for name, function in FUNCTIONS.items()}


def _sides(rules: Rules) -> Callable[[_Walk, Any], Values]:
    """How a node with the parts `left` and `right` gets its values."""
    return lambda walk, node: walk._each(rules, walk.values(node.left), walk.values(node.right))


_NODES: dict[type[Expr], Callable[[_Walk, Any], Values]] = {
    Const: lambda walk, node: walk._alike(_constant(node)),
    Pi: lambda walk, node: walk._alike(pi_interval()),
    Var: _Walk._var,
    Neg: lambda walk, node: walk._each(_NEG, walk.values(node.operand)),
    Add: _sides((Interval.__add__, limit_add)),
    Sub: _sides((Interval.__sub__, limit_sub)),
    Mul: _sides((Interval.__mul__, limit_mul)),
    Max: _sides(_same(Interval.maximum)),
    Min: _sides(_same(Interval.minimum)),
    Div: _Walk._div,
    Pow: _Walk._pow,
    Call: _Walk._call,
    Clip: lambda walk, node: walk._each(_CLIP, *map(walk.values, (node.value, node.low, node.high))),
    Where: _Walk._where,
}
