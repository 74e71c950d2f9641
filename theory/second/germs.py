"""Values at the ends of a box: one-sided derivatives at a point, limits at infinity, and ranges that use both."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from theory.expression.nodes import (
    Add,
    Call,
    Clip,
    Const,
    Div,
    Expr,
    Max,
    Min,
    Mul,
    Neg,
    Pi,
    Pow,
    Sub,
    Var,
    Where,
    names,
)

from .elementary import INF, NEG_INF, pi_bounds
from .jets import Box, Jet, call, inverse, jet, minus, plus, power, resolve, times
from .rational import NotReal, Range, limit_product, limit_sum


@dataclass(frozen=True, slots=True)
class Germ:
    """A tree without `where` next to a rational point, on one side: its value there and its one-sided derivative.

    `kinked` tells that the derivatives of the two sides may differ.
    """

    value: Range
    slope: Range
    kinked: bool


def germ(tree: Expr, name: str, at: Fraction, direction: int) -> Germ:
    """Value and derivative at a point, from the right (direction 1) or the left (-1)."""
    kinked = False

    def larger(x: Jet, y: Jet) -> Jet:
        nonlocal kinked
        if x.value.lo > y.value.hi:
            return x
        if y.value.lo > x.value.hi:
            return y
        if x.slope is None or y.slope is None:
            raise NotReal("a derivative at a kink")
        kinked = True
        value = x.value.maximum(y.value)
        if x.value.exact is None or x.value != y.value:
            return Jet(value, x.slope.hull(y.slope), None)
        return Jet(value, x.slope.maximum(y.slope) if direction > 0 else x.slope.minimum(y.slope), None)

    point = Range.at(at)

    def go(node: Expr) -> Jet:
        match node:
            case Max(u, v):
                return larger(go(u), go(v))
            case Min(u, v):
                return minus(larger(minus(go(u)), minus(go(v))))
            case Clip(u, low, high):
                return minus(larger(minus(larger(go(u), go(low))), minus(go(high))))
            case Call("abs", u):
                inner = go(u)
                return larger(inner, minus(inner))
            case Neg(u):
                return minus(go(u))
            case Add(u, v):
                return plus(go(u), go(v))
            case Sub(u, v):
                return plus(go(u), minus(go(v)))
            case Mul(u, v):
                return times(go(u), go(v))
            case Div(u, v):
                return times(go(u), inverse(go(v)))
            case Pow(u, v):
                return power(go(u), go(v), v)
            case Call(function, u):
                return call(function, go(u))
            case Where():
                raise NotReal("a derivative at a jump")
        return jet(node, name, point)

    found = go(tree)
    if found.slope is None:
        raise NotReal("a derivative at a point")
    return Germ(found.value, found.slope, kinked)


def limit(tree: Expr, name: str, end: float) -> Range:
    """Bounds of all accumulation points of a tree without `where` at an infinite end; NotReal where none are seen."""

    def go(node: Expr) -> Range:
        match node:
            case Const(value):
                return Range.at(value)
            case Pi():
                return Range(*pi_bounds())
            case Var():
                return Range(end, end)
            case Neg(u):
                return -go(u)
            case Add(u, v):
                return limit_sum(go(u), go(v))
            case Sub(u, v):
                return limit_sum(go(u), -go(v))
            case Mul(u, v):
                return limit_product(go(u), go(v))
            case Div(u, v):
                return limit_product(go(u), go(v).inverse())
            case Pow(u, v):
                return raised(go(u), None if names(v) else go(v).exact)
            case Max(u, v):
                return go(u).maximum(go(v))
            case Min(u, v):
                return go(u).minimum(go(v))
            case Clip(u, low, high):
                return go(u).maximum(go(low)).minimum(go(high))
            case Call(function, u):
                return call(function, Jet(go(u), None, None)).value
        raise NotReal(f"the limit of {type(node).__name__}")

    def raised(base: Range, e: Fraction | None) -> Range:
        if e is None:
            raise NotReal("the limit of a power that varies")
        return base.whole_power(int(e)) if e.denominator == 1 else base.real_power(e)

    return go(tree)


def bounds(tree: Expr, name: str, box: Box) -> Range:
    """The range of a tree on the open box (or at the single point), using slopes and, at infinity, limits."""
    here = jet(tree, name, box)
    found = here.value
    if box.exact is not None or here.slope is None:
        return found
    plain = resolve(tree, name, box)
    if plain is None:
        return found
    slope = slopes(here, plain, name, box)
    assert slope is not None
    left = _end(plain, name, box.lo)
    right = _end(plain, name, box.hi)
    if slope.lo >= 0:
        found = found.meet(Range(left.lo, right.hi))
    if slope.hi <= 0:
        found = found.meet(Range(right.lo, left.hi))
    if slope.lo < 0 < slope.hi and isinstance(box.lo, Fraction) and isinstance(box.hi, Fraction):
        half = (box.hi - box.lo) / 2
        centre = jet(plain, name, Range.at(box.lo + half)).value
        found = found.meet(centre + slope * Range(-half, half))
    return found


def slopes(found: Jet, plain: Expr, name: str, box: Box) -> Range | None:
    """The slopes of a tree without `where` on a box, sharpened by its curvature: from the middle, or the finite end."""
    if found.slope is None or found.bend is None or box.exact is not None:
        return found.slope
    low, high = box.lo, box.hi
    try:
        if isinstance(low, Fraction) and isinstance(high, Fraction):
            half = (high - low) / 2
            centre, reach = jet(plain, name, Range.at(low + half)).slope, Range(-half, half)
        elif isinstance(low, Fraction):
            centre, reach = germ(plain, name, low, 1).slope, Range(Fraction(0), INF)
        elif isinstance(high, Fraction):
            centre, reach = germ(plain, name, high, -1).slope, Range(NEG_INF, Fraction(0))
        else:
            return found.slope
    except NotReal:
        return found.slope
    return found.slope if centre is None else found.slope.meet(centre + found.bend * reach)


def _end(tree: Expr, name: str, end: Fraction | float) -> Range:
    try:
        return jet(tree, name, Range.at(end)).value if isinstance(end, Fraction) else limit(tree, name, end)
    except NotReal:
        return Range(NEG_INF, INF)
