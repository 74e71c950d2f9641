"""Hypotheses of lemmas, and their covers: trees of splits over one axis and the parameters.

A cover is "." (a leaf) or {"split": name, "at": number, "low": cover, "high": cover}; it begins at the whole domain,
so it has no holes: what a certificate says is only where to split. At a leaf the predicate of the hypothesis must hold
on the leaf's box. Proofs: docs/theory/families.md, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from typing import Any

from theory.expression.calculus import differentiate
from theory.expression.enclosure import enclose
from theory.expression.interval import INF, NEG_INF, Interval, Undefined, fraction_of
from theory.expression.nodes import Expr, Mul, names
from theory.expression.normal import normal_form
from theory.expression.rewrite import ONE, simplify

from .ranges import Range
from .reading import MAX_BOXES, CertificateError, Refused, get, number
from .region import RADII, Region, Unsettled, at_point, germ, same

Box = dict[str, tuple[Fraction | float, Fraction | float]]
_MAX_DEPTH = 200
_STARTS = (Fraction(0), Fraction(1), Fraction(64), Fraction(4096))


@dataclass(frozen=True)
class Leaf:
    """One box of a cover: `inside` its axis, `ends` the points at which the axis is closed; `whole` without an axis.

    Where there is no axis of its own, `axis` names the one along which the predicate looks.
    """

    inside: Region | None
    ends: tuple[Region, ...]
    low: Fraction | float
    high: Fraction | float

    @property
    def parts(self) -> tuple[Region, ...]:
        """All regions of the leaf."""
        return self.ends if self.inside is None else (self.inside, *self.ends)


@dataclass(frozen=True)
class Hypothesis:
    """One condition: `holds` at every leaf. The axis runs over [low, high], open where the flag is set or infinite.

    `trees` are the trees whose kinks are good places to split; they matter to the search only.
    """

    name: str
    axis: str
    holds: Callable[[Leaf], bool]
    low: Fraction | float = Fraction(0)
    high: Fraction | float = Fraction(0)
    low_open: bool = False
    high_open: bool = False
    trees: tuple[Expr, ...] = field(default=(), compare=False)


def whole_box(hypothesis: Hypothesis, ranges: Mapping[str, Range]) -> Box:
    """The box that a cover of the hypothesis begins with."""
    return {name: (r.low, r.high) for name, r in ranges.items()} | {hypothesis.axis: (hypothesis.low, hypothesis.high)}


def leaf_of(hypothesis: Hypothesis, ranges: Mapping[str, Range], box: Box) -> Leaf:
    """The leaf of a box."""
    nonzero = frozenset(name for name, r in ranges.items() if r.misses_zero)
    free: list[str] = []
    half: dict[str, Fraction] = {}
    for name, r in ranges.items():
        low, high = box[name]
        closed = [
            e for e, out in ((low, r.low_open and low == r.low), (high, r.high_open and high == r.high)) if not out
        ]
        if not closed:
            free.append(name)
        elif len(closed) == 1 and low < high:
            half[name] = Fraction(closed[0])
    low, high = box[hypothesis.axis]
    region = Region(
        {name: Interval.between(*ends) for name, ends in box.items()},
        hypothesis.axis,
        True,
        nonzero,
        (hypothesis.axis, *free),
        half,
    )
    ends = []
    for end, own, is_open in (
        (low, hypothesis.low, hypothesis.low_open),
        (high, hypothesis.high, hypothesis.high_open),
    ):
        if isinstance(end, Fraction) and not (end == own and is_open):
            ends.append(region.at(end))
    return Leaf(region if low < high else None, tuple(ends) if low < high else tuple(ends[:1]), low, high)


def verify_cover(hypothesis: Hypothesis, ranges: Mapping[str, Range], cover: Any) -> int:
    """The number of leaves of a cover at all of which the hypothesis holds; Refused otherwise."""
    pending = [(cover, whole_box(hypothesis, ranges), 0)]
    count = 0
    while pending:
        node, box, depth = pending.pop()
        if node == ".":
            count += 1
            if count > MAX_BOXES:
                raise CertificateError(f"certificate has more than {MAX_BOXES} boxes in one cover")
            if not holds(hypothesis, leaf_of(hypothesis, ranges, box)):
                raise Refused(f"hypothesis {hypothesis.name!r} fails on {show(box)}")
            continue
        name, at = get(node, "split", str), number(get(node, "at", str), "at")
        if depth >= _MAX_DEPTH:
            raise CertificateError(f"certificate cover nests deeper than {_MAX_DEPTH}")
        if name not in box or not box[name][0] < at < box[name][1]:
            raise Refused(f"cover of {hypothesis.name!r} splits {name[:20]!r} at {at}, not inside {show(box)}")
        for side, ends in (("low", (box[name][0], at)), ("high", (at, box[name][1]))):
            if side not in node:
                raise Refused(f"cover of {hypothesis.name!r} has a hole: no {side} half of {name!r} at {at}")
            pending.append((node[side], box | {name: ends}, depth + 1))
    return count


def holds(hypothesis: Hypothesis, leaf: Leaf) -> bool:
    """The predicate at a leaf; what cannot be decided or enclosed does not hold."""
    try:
        return hypothesis.holds(leaf)
    except (Unsettled, Undefined):
        return False


def show(box: Box) -> str:
    """A box in words."""
    return ", ".join(f"{name} in [{ends[0]}, {ends[1]}]" for name, ends in box.items())


# -- predicates --------------------------------------------------------------------------------------


def continuous(tree: Expr) -> Callable[[Leaf], bool]:
    """The tree is real on the leaf and, for each value of the parameters, continuous on its stretch of the axis."""

    def check(leaf: Leaf) -> bool:
        if not all(part.real(tree) for part in leaf.parts):
            return False
        if leaf.inside is None:
            return all(point.regular(point.settle(tree)) for point in leaf.ends)
        inner = leaf.inside.settle(tree)
        if not leaf.inside.regular(inner):
            return False
        for point in leaf.ends:
            outer = point.settle(tree)
            if not (point.regular(inner) and point.regular(outer)):
                return False
            if outer != inner and not _equal_at(point, point.settle(inner), outer):
                return False
        return True

    return check


def _equal_at(point: Region, one: Expr, other: Expr) -> bool:
    if same(at_point(one, point), at_point(other, point)):
        return True
    a, b = point.range(one), point.range(other)
    return a is not None and b is not None and a.is_point and b.is_point and bool(a.lo == b.lo)


def slope_sign(tree: Expr, axis: str, allowed: str) -> Callable[[Leaf], bool]:
    """The derivative has one of the allowed signs (separated by blanks) inside the leaf."""
    slope = differentiate(tree, axis)
    forms = (slope, normal_form(slope))

    def check(leaf: Leaf) -> bool:
        region = leaf.inside
        if region is None:
            return True
        return any(region.sign(form) in allowed.split() for form in (*forms, region.select(slope)))

    return check


def smooth(
    tree: Expr, axis: str, falls: bool = False, differentiable: bool = False, kinked: bool = False
) -> Callable[[Leaf], bool]:
    """One-sided derivatives exist, with (right) <= (left), or equal if `differentiable`; negative if it `falls`.

    With `kinked` they only exist.
    """
    slope = differentiate(tree, axis)
    jump = ("0",) if differentiable else ("-", "0", "<=")

    def check(leaf: Leaf) -> bool:
        region = leaf.inside
        if region is not None:
            inner = region.settle(slope)
            if not region.regular(inner) or (falls and not _any_sign(region, inner, ("-",))):
                return False
        for point in leaf.ends:
            if _smooth_around(slope, point, falls):
                continue
            right, left = germ(slope, point, 1), germ(slope, point, -1)
            if falls and point.sign(at_point(right, point)) != "-":
                return False
            if kinked or right == left:
                continue
            if point.sign(normal_form(at_point(right, point) - at_point(left, point))) not in jump:
                return False
        return True

    return check


def _smooth_around(slope: Expr, point: Region, falls: bool) -> bool:
    """The derivative is continuous, and negative if it should be, on an interval around the point."""
    assert point.axis is not None
    at = fraction_of(point.box[point.axis].lo)
    assert at is not None
    for radius in RADII:
        around = point.stretch(at - radius, at + radius)
        try:
            found = around.settle(slope)
        except Unsettled:
            continue
        if around.regular(found) and (not falls or _any_sign(around, found, ("-",))):
            return True
    return False


def falls_everywhere(tree: Expr, axis: str) -> Callable[[Leaf], bool]:
    """The derivative is negative at every point of the leaf (the tree being differentiable)."""
    slope = differentiate(tree, axis)
    forms = (slope, normal_form(slope))

    def check(leaf: Leaf) -> bool:
        if leaf.inside is not None and not any(leaf.inside.sign(form) == "-" for form in forms):
            return False
        return all(point.sign(at_point(germ(slope, point, 1), point)) == "-" for point in leaf.ends)

    return check


def rising_slope(tree: Expr, axis: str) -> Callable[[Leaf], bool]:
    """The derivative does not fall: inside the leaf, and from one side to the other at its ends."""
    slope = differentiate(tree, axis)

    def check(leaf: Leaf) -> bool:
        region = leaf.inside
        if region is not None:
            inner = region.settle(slope)
            second = differentiate(inner, axis)
            if not region.regular(inner) or not _any_sign(region, second, ("+", "0", ">=")):
                return False
        for point in leaf.ends:
            right, left = germ(slope, point, 1), germ(slope, point, -1)
            jump = normal_form(at_point(right, point) - at_point(left, point))
            if right != left and point.sign(jump) not in ("+", "0", ">="):
                return False
        return True

    return check


def _any_sign(region: Region, tree: Expr, allowed: tuple[str, ...]) -> bool:
    return region.sign(tree) in allowed or region.sign(normal_form(tree)) in allowed


def floor(tree: Expr, axis: str, side: int) -> Callable[[Leaf], bool]:
    """The tree is bounded below from some number on, towards plus (side = 1) or minus infinity."""
    check = _bounded_on(tree, axis, side)
    return lambda leaf: any(check(region) for region in _half_lines(leaf, side))


def floor_near(tree: Expr, axis: str, end: Fraction, side: int) -> Callable[[Leaf], bool]:
    """The tree is bounded below beside a finite end, above it for side = 1."""
    check = _bounded_on(tree, axis, -side)
    return lambda leaf: any(check(leaf.parts[0].beside(end, side * radius)) for radius in RADII)


def _half_lines(leaf: Leaf, side: int) -> Iterator[Region]:
    for start in _STARTS:
        yield leaf.parts[0].stretch(side * start, side * inf)


def _bounded_on(tree: Expr, axis: str, side: int) -> Callable[[Region], bool]:
    """On a stretch: a lower bound of the values; or rising towards `side`; or, if it is finite, of the slopes.

    A factor that does not depend on the axis and is not negative is left out, as in `grows`.
    """
    slope, collected = differentiate(tree, axis), normal_form(tree)
    forms = [(tree, slope), (collected, normal_form(slope))]
    factor, rest = _without_factors(collected, axis)
    bare = (rest, normal_form(differentiate(rest, axis)))

    def check(region: Region) -> bool:
        finite = region.box[axis].is_finite
        for form, slope in [*forms, *([bare] if region.sign(factor) in ("+", "0", ">=") else [])]:
            values, slopes = region.range(form), region.range(slope)
            if values is not None and values.lo > NEG_INF:
                return True
            if region.sign(slope) in (("+", "0", ">=") if side > 0 else ("-", "0", "<=")):
                return True
            if finite and slopes is not None and slopes.is_finite:
                return True
        return False

    return check


def _without_factors(tree: Expr, axis: str) -> tuple[Expr, Expr]:
    """(factor in names other than the axis, rest) whose product is the tree; numbers belong to the rest."""
    used = names(tree)
    if used and axis not in used:
        return tree, ONE
    if isinstance(tree, Mul):
        (one, left), (other, right) = _without_factors(tree.left, axis), _without_factors(tree.right, axis)
        return simplify(one * other), simplify(left * right)
    return ONE, tree


def grows(tree: Expr, axis: str, side: int) -> Callable[[Leaf], bool]:
    """The tree tends to plus infinity towards plus (side = 1) or minus infinity: its limit, or slopes off 0, tell.

    A positive factor that does not depend on the axis is left out: for each value of the parameters it is one number.
    """
    if isinstance(tree, Mul) and axis not in names(tree.left):
        rest = grows(tree.right, axis, side)
        factor = tree.left
        return lambda leaf: leaf.parts[0].sign(factor) == "+" and rest(leaf)
    slope = differentiate(tree, axis)

    def check(leaf: Leaf) -> bool:
        for region in _half_lines(leaf, side):
            end = Interval.between(side * inf, side * inf)
            try:
                found = enclose(tree, region.box, [region.box | {axis: end}], along=region.free)
            except Undefined:
                continue
            if not found.jumped and found.points[0].lo == INF:
                return True
            slopes = region.range(slope)
            if slopes is not None and (slopes.lo > 0 if side > 0 else slopes.hi < 0):
                return True
        return False

    return check


def one_way_near(tree: Expr, axis: str, end: Fraction, side: int) -> Callable[[Leaf], bool]:
    """The tree is monotone beside a finite end, so that it has a limit there."""
    slope = differentiate(tree, axis)

    def check(leaf: Leaf) -> bool:
        beside = (leaf.parts[0].beside(end, side * radius) for radius in RADII)
        return any(region.sign(slope) in ("+", "-", "0", ">=", "<=") for region in beside)

    return check


def one_way_far(tree: Expr, axis: str, side: int) -> Callable[[Leaf], bool]:
    """The tree is monotone from some number on, towards plus (side = 1) or minus infinity: it has a limit there."""
    slope = differentiate(tree, axis)
    forms = (slope, normal_form(slope))

    def check(leaf: Leaf) -> bool:
        regions = _half_lines(leaf, side)
        return any(_any_sign(region, form, ("+", "-", "0", ">=", "<=")) for region in regions for form in forms)

    return check
