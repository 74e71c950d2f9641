"""Rigorous enclosures of a tree over a box, with the values at chosen points on the same branches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from .normal import normal_form

Box = Mapping[str, Interval]
Rule = Callable[..., Interval]
Values = list[Interval | None]
"""The value over the box, then at each probe; None where a limit is not known."""

_WHOLE = Interval(NEG_INF, INF)
_ZERO = fmpq(0)


@dataclass(frozen=True, slots=True)
class Enclosure:
    """What is certain about a tree on the interior of a box.

    `range` holds every value; `points[i]` the limit of the tree at the i-th probe point, from inside
    the box; `jumped` tells that a `where` could not be decided on the box, so the tree may be
    discontinuous there.
    """

    range: Interval
    points: tuple[Interval, ...]
    jumped: bool


def enclose(expr: Expr, box: Box, probes: Sequence[Box] = (), along: str | Sequence[str] = ()) -> Enclosure:
    """Enclose a tree without class sums over the interior of a box.

    `probes` are points of the closed box. A comparison that holds on the box's interior only (its
    sides touch at the boundary) is decided when the difference of the sides is strictly monotone in
    one of the variables named by `along`; the probe values then belong to the branch taken inside,
    that is, they are one-sided limits. Raises Undefined where the tree need not be real.
    """
    envs = (box, *probes)
    limits = [any(side.is_point and not side.is_finite for side in box.values()), *(True for _ in probes)]
    open_names = (along,) if isinstance(along, str) else tuple(along)
    jumped = False
    memo: dict[int, Values] = {}
    kept: list[Expr] = []

    def each(function: Rule, limit: Rule, *values: Values) -> Values:
        """Apply an operation to the box and to every probe; a probe whose limit is not known stays unknown."""
        out: Values = []
        for i, is_limit in enumerate(limits):
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

    def same(function: Rule, *values: Values) -> Values:
        return each(function, function, *values)

    def go(node: Expr) -> Values:
        found = memo.get(id(node))
        if found is None:
            found = memo[id(node)] = compute(node)
        return found

    def compute(node: Expr) -> Values:
        nonlocal jumped
        kind = type(node)
        if kind is Const:
            return [_constant(node)] * len(envs)
        if kind is Var:
            return [env[node.name] for env in envs]  # type: ignore[attr-defined]
        rules = _BINARY.get(kind)
        if rules is not None:
            left, right = _SIDES[kind](node)
            return each(*rules, go(left), go(right))
        match node:
            case Neg(u):
                return same(Interval.__neg__, go(u))
            case Call(name, u):
                return same(lambda x: x.call(name), go(u))
            case Clip(u, low, high):
                return same(lambda x, a, b: x.maximum(a).minimum(b), go(u), go(low), go(high))
            case Pi():
                return [pi_interval()] * len(envs)
            case Where(comparison, left, right, yes, no):
                holds = decide(comparison, left, right)
                if holds is not None:
                    return go(yes if holds else no)
                jumped = True
                return same(Interval.hull, go(yes), go(no))
        raise TypeError(f"expression node {kind.__name__!r} cannot be enclosed; expand class sums first")

    def range_of(node: Expr) -> Interval:
        kept.append(node)  # memo keys are identities, so a node must outlive its entry
        found = go(node)[0]
        assert found is not None
        return found

    def decide(comparison: str, left: Expr, right: Expr) -> bool | None:
        difference = range_of(Sub(left, right))
        if comparison in (">", ">="):
            difference = -difference
            strict = comparison == ">"
        else:
            strict = comparison == "<"
        if difference.hi < 0 or (not strict and difference.hi <= 0):
            return True
        if difference.lo > 0 or (strict and difference.lo >= 0):
            return False
        if difference.hi <= 0 or difference.lo >= 0:
            for name in open_names:
                if not box[name].is_point and strictly_monotone(Sub(left, right), name):
                    return bool(difference.hi <= 0)
        return None

    def strictly_monotone(tree: Expr, name: str) -> bool:
        try:
            return not range_of(_derivative(tree, name)).contains_zero()
        except Undefined:
            return False

    whole = range_of(expr)
    return Enclosure(whole, tuple(_WHOLE if value is None else value for value in go(expr)[1:]), jumped)


@lru_cache(maxsize=4096)
def _constant(node: Const) -> Interval:
    return Interval.point(node.value)


@lru_cache(maxsize=4096)
def _derivative(expr: Expr, name: str) -> Expr:
    return differentiate(expr, name)


@lru_cache(maxsize=4096)
def _collected_derivative(expr: Expr, name: str) -> Expr:
    return normal_form(_derivative(expr, name))


@lru_cache(maxsize=4096)
def _collected(expr: Expr) -> Expr:
    return normal_form(expr)


def _meet_collected(found: Interval, expr: Expr, box: Box, name: str) -> Interval:
    """An infinite range met with that of the normal form, where terms that cancel have gone."""
    try:
        other = enclose(_collected(expr), box, along=name)
    except Undefined:
        return found
    return found if other.jumped else found.meet(other.range)


def _slope(expr: Expr, name: str, box: Box) -> Interval | None:
    """The range of the derivative; when its sign stays open, its normal form is tried too."""
    found = None
    for derivative in (_derivative, _collected_derivative):
        try:
            slope = enclose(derivative(expr, name), box, along=name).range
        except Undefined:
            continue
        found = slope if found is None else found.meet(slope)
        if found.lo >= 0 or found.hi <= 0:
            break
    return found


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


def bound(expr: Expr, name: str, side: Interval, env: Box | None = None) -> Enclosure:
    """Enclose a tree of one variable over the interior of an interval, using its derivative too.

    The natural range is met with the monotone range (when the derivative keeps its sign) and with
    the mean-value ranges from both ends. `points` are the limits at the two ends, from inside.
    Ends may be infinite: a function that decreases on [a, inf) is at most its value at a there.
    """
    table = dict(env or {})
    ends = [table | {name: Interval(end, end)} for end in (side.lo, side.hi)]
    here = enclose(expr, table | {name: side}, ends, along=name)
    if here.jumped or side.is_point:
        return here
    slope = _slope(expr, name, table | {name: side})
    left, right = here.points
    found = here.range
    if found.lo == NEG_INF or found.hi == INF:
        found = _meet_collected(found, expr, table | {name: side}, name)
    if slope is None:
        return Enclosure(found, here.points, False)
    if slope.lo >= 0:
        found = found.meet(Interval(left.lo, right.hi))
    if slope.hi <= 0:
        found = found.meet(Interval(right.lo, left.hi))
    if slope.contains_zero() and side.lo > NEG_INF and side.hi < INF:
        span = Interval(_ZERO, (Interval(side.hi, side.hi) - Interval(side.lo, side.lo)).hi)
        found = found.meet(left + slope * span).meet(right - slope * span)
    return Enclosure(found, here.points, False)
