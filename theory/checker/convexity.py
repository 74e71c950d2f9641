"""Convexity by composition: rules that need no cover. Proofs: docs/theory/families.md, Lemma F4."""

from __future__ import annotations

from fractions import Fraction

from theory.expression.calculus import differentiate
from theory.expression.nodes import Add, Call, Clip, Const, Div, Expr, Max, Min, Mul, Neg, Pow, Sub, names

from .region import Region

_TURNED = {"affine": "affine", "convex": "concave", "concave": "convex", "?": "?"}
_CONVEX_RISING = ("exp", "softplus")
_CONCAVE_RISING = ("log", "log1p", "sqrt")


def curvature(tree: Expr, region: Region) -> str:
    """'affine', 'convex', 'concave' along the region's axis for every value of its parameters, or '?'."""
    axis = region.axis
    if axis is None or axis not in names(tree):
        return "affine"
    match tree:
        case Neg(u):
            return _TURNED[curvature(u, region)]
        case Add(u, v):
            return _sum(curvature(u, region), curvature(v, region))
        case Sub(u, v):
            return _sum(curvature(u, region), _TURNED[curvature(v, region)])
        case Mul(u, v) if axis not in names(u):
            return _scaled(curvature(v, region), region.sign(u))
        case Mul(u, v) if axis not in names(v):
            return _scaled(curvature(u, region), region.sign(v))
        case Div(u, v) if axis not in names(v):
            return _scaled(curvature(u, region), region.sign(v))
        case Max(u, v):
            return _joined(curvature(u, region), curvature(v, region), "convex")
        case Min(u, v):
            return _joined(curvature(u, region), curvature(v, region), "concave")
        case Clip(u, low, high):
            return curvature(Min(Max(u, low), high), region)
        case Call("abs", u) if curvature(u, region) == "affine":
            return "convex"
        case Call(name, u) if name in _CONVEX_RISING:
            return "convex" if curvature(u, region) in ("affine", "convex") else "?"
        case Call(name, u) if name in _CONCAVE_RISING:
            return "concave" if curvature(u, region) in ("affine", "concave") else "?"
        case Pow(u, Const(e)):
            return _power(u, e, region)
    return "affine" if axis not in names(differentiate(tree, axis)) and _plain(tree) else "?"


def _power(u: Expr, e: Fraction, region: Region) -> str:
    inner = curvature(u, region)
    if e == 1:
        return inner
    if inner == "affine" and e >= 2 and e.denominator == 1 and e.numerator % 2 == 0:
        return "convex"
    sign = region.sign(u)
    if e >= 1 and inner in ("affine", "convex") and sign in ("+", "0", ">="):
        return "convex"
    if e < 0 and inner in ("affine", "concave") and sign == "+":
        return "convex"
    if 0 < e <= 1 and inner in ("affine", "concave") and sign in ("+", "0", ">="):
        return "concave"
    return "?"


def _plain(tree: Expr) -> bool:
    """Sums and products only: a derivative without the axis then means an affine tree."""
    match tree:
        case Add(u, v) | Sub(u, v) | Mul(u, v):
            return _plain(u) and _plain(v)
        case Neg(u):
            return _plain(u)
    return not isinstance(tree, (Call, Max, Min, Clip, Pow, Div)) and type(tree).__name__ in ("Const", "Var", "Pi")


def _sum(x: str, y: str) -> str:
    if x == "affine" or x == y:
        return y
    return x if y == "affine" else "?"


def _scaled(found: str, sign: str) -> str:
    if found == "affine" or sign == "0":
        return "affine"
    if sign in ("+", ">="):
        return found
    return _TURNED[found] if sign in ("-", "<=") else "?"


def _joined(x: str, y: str, kind: str) -> str:
    return kind if {x, y} <= {"affine", kind} else "?"
