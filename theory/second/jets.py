"""Forward mode over an interval: the range of a tree of one variable, with enclosures of its slopes and its curvature.

A `Jet` on a box (l, h) holds `value`, which contains T(x) for every real x of the box; `slope`, which contains
(T(y) - T(x)) / (y - x) for all x < y of the box, or None where T may jump; `bend`, which contains T'' on the box, or
None where T may have a kink. Kinks need no generalised derivative: difference quotients obey the chain rule through max
and min too (docs/theory/second.md, Lemma S2). Boxes are open, unless they are single points; off a `where` every
enclosure holds at finite ends too, because the ends belong to the closed intervals that the arithmetic works with.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    parts,
)

from .elementary import pi_bounds
from .rational import NotReal, Range

_ZERO, _ONE, _TWO = Range.at(0), Range.at(1), Range.at(2)
Box = Range


@dataclass(frozen=True, slots=True)
class Jet:
    """Value, slopes and second derivative of a tree on a box."""

    value: Range
    slope: Range | None
    bend: Range | None


def _constant(value: Range) -> Jet:
    return Jet(value, _ZERO, _ZERO)


def plus(x: Jet, y: Jet) -> Jet:
    slope = None if x.slope is None or y.slope is None else x.slope + y.slope
    bend = None if x.bend is None or y.bend is None else x.bend + y.bend
    return Jet(x.value + y.value, slope, bend)


def minus(x: Jet) -> Jet:
    return Jet(-x.value, None if x.slope is None else -x.slope, None if x.bend is None else -x.bend)


def times(x: Jet, y: Jet) -> Jet:
    value = x.value * y.value
    if x.slope is None or y.slope is None:
        return Jet(value, None, None)
    slope = x.value * y.slope + y.value * x.slope
    if x.bend is None or y.bend is None:
        return Jet(value, slope, None)
    return Jet(value, slope, x.value * y.bend + y.value * x.bend + _TWO * x.slope * y.slope)


def _chain(x: Jet, value: Range, first: Range | None, second: Range | None) -> Jet:
    """g(x) where g' lies in `first` and g'' in `second` on the range of x; None where g' is unknown."""
    if x.slope is None or first is None:
        return Jet(value, None, None)
    slope = first * x.slope
    if x.bend is None or second is None:
        return Jet(value, slope, None)
    return Jet(value, slope, second * x.slope.whole_power(2) + first * x.bend)


def inverse(x: Jet) -> Jet:
    value = x.value.inverse()
    square = value.whole_power(2)
    return _chain(x, value, -square, _TWO * square * value)


def call(name: str, x: Jet) -> Jet:
    v = x.value
    match name:
        case "exp":
            e = v.exp()
            return _chain(x, e, e, e)
        case "log":
            first = v.inverse()
            return _chain(x, v.log(), first, -first.whole_power(2))
        case "log1p":
            first = (v + _ONE).inverse()
            return _chain(x, (v + _ONE).log(), first, -first.whole_power(2))
        case "sqrt":
            root = v.sqrt()
            if not root.lo > 0:
                return _chain(x, root, None, None)
            first = (_TWO * root).inverse()
            return _chain(x, root, first, -(first * (_TWO * v).inverse()))
        case "softplus":
            s, rest = v.sigmoid(), (-v).sigmoid()
            return _chain(x, v.softplus(), s, s * rest)
        case "sigmoid":
            s, rest = v.sigmoid(), (-v).sigmoid()
            first = s * rest
            return _chain(x, s, first, first * (rest - s))
        case "tanh":
            s, rest = (v + v).sigmoid(), (-(v + v)).sigmoid()
            first = Range.at(4) * s * rest
            return _chain(x, v.tanh(), first, _TWO * first * (rest - s))
        case "atan":
            below = (v.whole_power(2) + _ONE).inverse()
            return _chain(x, v.atan(), below, -(_TWO * v * below.whole_power(2)))
        case "abs":
            return _larger(x, minus(x))
    raise NotReal(f"the function {name[:20]!r}")


def _larger(x: Jet, y: Jet) -> Jet:
    """max(x, y)."""
    if x.value.lo >= y.value.hi:
        return x
    if y.value.lo >= x.value.hi:
        return y
    slope = None if x.slope is None or y.slope is None else x.slope.hull(y.slope)
    return Jet(x.value.maximum(y.value), slope, None)


def power(x: Jet, y: Jet, exponent: Expr) -> Jet:
    e = y.value.exact
    if e is None or names(exponent):
        return call("exp", times(y, call("log", x)))
    if e.denominator == 1:
        n = int(e)
        if abs(n) > 1000:
            raise NotReal(f"the power {n}")
        if n < 0 or n > 1:
            first = Range.at(n) * x.value.whole_power(n - 1)
            return _chain(x, x.value.whole_power(n), first, Range.at(n * (n - 1)) * x.value.whole_power(n - 2))
        return x if n == 1 else _constant(_ONE)
    value = x.value.real_power(e)
    slope = Range.at(e) * x.value.real_power(e - 1) if e > 1 or x.value.lo > 0 else None
    bend = Range.at(e * (e - 1)) * x.value.real_power(e - 2) if e > 2 or x.value.lo > 0 else None
    return _chain(x, value, slope, bend)


def jet(tree: Expr, name: str, box: Box) -> Jet:
    """The jet of a tree in the variable `name`; NotReal where the tree need not be real on the box."""

    def go(node: Expr) -> Jet:
        match node:
            case Const(value):
                return _constant(Range.at(value))
            case Pi():
                return _constant(Range(*pi_bounds()))
            case Var(found) if found == name:
                return Jet(box, _ONE, _ZERO)
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
            case Max(u, v):
                return _larger(go(u), go(v))
            case Min(u, v):
                return minus(_larger(minus(go(u)), minus(go(v))))
            case Clip(u, low, high):
                raised = _larger(go(u), go(low))
                return minus(_larger(minus(raised), minus(go(high))))
            case Where(comparison, left, right, yes, no):
                holds = _decide(comparison, plus(go(left), minus(go(right))), box)
                if holds is not None:
                    return go(yes if holds else no)
                return Jet(go(yes).value.hull(go(no).value), None, None)
        raise NotReal(f"the node {type(node).__name__}")

    return go(tree)


def _decide(comparison: str, difference: Jet, box: Box) -> bool | None:
    """Whether `difference comparison 0` holds everywhere, or nowhere, on the box; None when that is open."""
    d = difference.value if comparison in ("<", "<=") else -difference.value
    strict = comparison in ("<", ">")
    if d.hi < 0 or (not strict and d.hi <= 0):
        return True
    if d.lo > 0 or (strict and d.lo >= 0):
        return False
    slope = difference.slope
    monotone = slope is not None and (slope.lo > 0 or slope.hi < 0)
    if box.exact is None and monotone and (d.hi <= 0 or d.lo >= 0):
        return d.hi <= 0  # strictly monotone, so not 0 inside an open box that does not cross 0
    return None


def resolve(tree: Expr, name: str, box: Box) -> Expr | None:
    """The tree without `where` that it equals on the box; None when a comparison stays open."""
    match tree:
        case Const() | Pi() | Var():
            return tree
        case Where(comparison, left, right, yes, no):
            sides = resolve(left, name, box), resolve(right, name, box)
            if sides[0] is None or sides[1] is None:
                return None
            holds = _decide(comparison, jet(sides[0] - sides[1], name, box), box)
            return None if holds is None else resolve(yes if holds else no, name, box)
    resolved = []
    for part in parts(tree):
        found = resolve(part, name, box) if isinstance(part, Expr) else part
        if found is None:
            return None
        resolved.append(found)
    return type(tree)(*resolved)
