"""Bounds of a tree of one variable over an interval, finite or not: natural range, slopes, equal trees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

from flint import fmpq

from .boxes import WHOLE, Box, derivative
from .boxes import Enclosure as Enclosure
from .boxes import enclose as enclose
from .boxes import restrict as restrict
from .boxes import sign_inside as _sign_inside
from .interval import INF, NEG_INF, Interval, Undefined, fraction_of
from .nodes import Expr
from .normal import normal_form
from .tails import enclose_tail

_ZERO = fmpq(0)


@lru_cache(maxsize=4096)
def _collected(expr: Expr) -> Expr:
    return normal_form(expr)


def bound(expr: Expr, name: str, side: Interval) -> Enclosure:
    """Enclose a tree of one variable over the interior of an interval, using its derivative too.

    The natural range is met with the monotone range (when the derivative keeps its sign) and with
    the mean-value ranges from both ends. `points` are the limits at the two ends, from inside.
    Ends may be infinite: a function that decreases on [a, inf) is at most its value at a there.
    Where a range or a limit stays open, equal trees are enclosed too: the normal form, in which terms
    that cancel have gone, and on half-lines the form with the growth taken out.
    """
    here = plain_bound(expr, name, side)
    if here.jumped or side.is_point:
        return here
    found, left, right = here.range, *here.points
    slope = _slope(expr, name, side)
    if slope is not None:
        if slope.lo >= 0:
            found = found.meet(Interval(left.lo, right.hi))
        if slope.hi <= 0:
            found = found.meet(Interval(right.lo, left.hi))
        if slope.contains_zero() and side.lo > NEG_INF and side.hi < INF:
            span = Interval(_ZERO, (Interval(side.hi, side.hi) - Interval(side.lo, side.lo)).hi)
            found = found.meet(left + slope * span).meet(right - slope * span)
    return Enclosure(found, (left, right), False, here.real)


def plain_bound(expr: Expr, name: str, side: Interval) -> Enclosure:
    """The same without slopes: the natural range and the limits at both ends, and those of equal trees."""
    here = enclose(expr, {name: side}, [{name: Interval(end, end)} for end in (side.lo, side.hi)], along=name)
    if here.jumped or side.is_point:
        return here
    found, left, right = here.range, *here.points
    for other in _equal(expr, name, side):
        if not _open(found, left, right):
            break
        if not other.jumped:
            found = found.meet(other.range)
            left, right = left.meet(other.points[0]), right.meet(other.points[1])
    return Enclosure(found, (left, right), False, here.real)


def _open(found: Interval, *limits: Interval) -> bool:
    """Whether a limit is not known, or the range is infinite where no limit is."""
    if any(limit.lo == NEG_INF and limit.hi == INF for limit in limits):
        return True
    low, high = all(limit.lo > NEG_INF for limit in limits), all(limit.hi < INF for limit in limits)
    return bool((found.lo == NEG_INF and low) or (found.hi == INF and high))


def _equal(expr: Expr, name: str, side: Interval) -> Iterator[Enclosure]:
    """Enclosures of trees equal to the given one, with limits at both ends."""
    collected = _collected(expr)
    if collected != expr:
        with suppress(Undefined):
            ends = [{name: Interval(end, end)} for end in (side.lo, side.hi)]
            yield enclose(collected, {name: side}, ends, along=name)
    for tree in dict.fromkeys((expr, collected)):
        if (found := _tail(tree, name, side)) is not None:
            limits = (found.points[0], WHOLE) if side.lo == NEG_INF else (WHOLE, found.points[0])
            yield Enclosure(found.range, limits, found.jumped)


def _tail(tree: Expr, name: str, side: Interval) -> Enclosure | None:
    """The enclosure of the scaled form, on a half-line that stays away from 0."""
    up, down = side.hi == INF, side.lo == NEG_INF
    start = fraction_of(side.lo if up else side.hi)
    if up == down or start is None or not (start if up else -start) >= 1:
        return None
    return enclose_tail(tree, name, bool(up), abs(start))


def _slope(expr: Expr, name: str, side: Interval) -> Interval | None:
    """The range of the derivative; while its sign stays open, equal trees are enclosed too."""
    found: Interval | None = None
    for slope in _slopes(derivative(expr, name), name, side):
        found = slope if found is None else found.meet(slope)
        if found.lo >= 0 or found.hi <= 0:
            break
    return found


def _slopes(tree: Expr, name: str, side: Interval) -> Iterator[Interval]:
    box: Box = {name: side}
    with suppress(Undefined):
        yield enclose(tree, box, along=name).range
    collected = _collected(tree)
    if collected != tree:
        with suppress(Undefined):
            yield enclose(collected, box, along=name).range
    for each in dict.fromkeys((tree, collected)):
        if (found := _tail(each, name, side)) is not None:
            yield found.range


def sign_inside(expr: Expr, name: str, side: Interval) -> int:
    """The certain sign of a tree everywhere inside an interval, also where it tends to 0 at an end; else 0.

    It speaks of the points at which the tree is real.
    """
    for tree in dict.fromkeys((expr, _collected(expr))):
        with suppress(Undefined):
            if sign := _sign_inside(tree, {name: side}, name):
                return sign
    return 0
