"""Bounds of conditional risks on boxes of gaps, shared by all posteriors: trusted.

For one box the losses by rank are bounded once: enclosures of their slopes in each gap, and values at chosen base
points. C_x = sum_r x_r L_r then has a lower bound for every posterior x by a few integer operations (docs, Lemma M2):
a gap in which C_x is certainly monotone is set to its better end; one in which it is not is set to the middle, at the
price |slope| * half the width; and where that price is infinite, each rank is set to its own better end.

Numbers are integers in units of 2^-64, rounded outwards. None stands for an unknown or infinite bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import lcm

from flint import fmpq

from theory.expression.calculus import differentiate
from theory.expression.enclosure import enclose
from theory.expression.interval import INF, NEG_INF, End, Interval, Undefined
from theory.expression.nodes import Expr
from theory.expression.rewrite import simplify
from theory.expression.share import share

from .cone import Cone, Posterior, Span
from .cone_bounds import Box, collected, derivative, lower

BITS = 64
UNIT = 1 << BITS
_LARGEST = 1 << 8192
"""Stands for a lower bound beyond it."""
_DEEPEST = -100_000
"""Binary exponents below it are rounded to the next unit without shifting that far."""
_KEPT = 60_000
_FARTHEST = (10_000, 100)
"""Powers of two that stand for every finite gap when a loss is tested for poles."""

Weights = tuple[tuple[int, ...], int]
"""A posterior as integers and their sum."""
Base = tuple[int, ...]
_LOW, _MIDDLE, _HIGH = 0, 1, 2


@dataclass(frozen=True, slots=True)
class RiskBound:
    """`total` <= (sum of the weights) * inf C_x, in units.

    `price` is what was paid per gap because its slope changes sign; None where each rank was set to its own end.
    """

    total: int | None
    price: tuple[int | None, ...]


class Tables:
    """The losses by rank of one cone, bounded on boxes; boxes and points already bounded are remembered."""

    def __init__(self, cone: Cone) -> None:
        self.cone = cone
        self.slopes = [[derivative(loss, name) for name in cone.names] for loss in cone.losses]
        self.raw_slopes = [[share(differentiate(loss, name)) for name in cone.names] for loss in cone.losses]
        self.gains = [collected(gain) for gain in cone.gains]
        self.steps = [collected(simplify(next_one - loss)) for loss, next_one in pairwise(cone.losses)]
        self._boxes: dict[tuple[Span, ...], BoxBounds] = {}

    def at(self, spans: tuple[Span, ...]) -> BoxBounds:
        """The bounds on a box."""
        found = self._boxes.get(spans)
        if found is None:
            if len(self._boxes) >= _KEPT:
                self._boxes.clear()
            found = self._boxes[spans] = BoxBounds(self, spans)
        return found

    def losses_from_above(self, scores: Posterior) -> list[int | None]:
        """An upper bound of the loss of each label at explicit scores of the domain."""
        order = sorted(range(len(scores)), key=lambda k: -scores[k])
        ranked = [scores[k] for k in order]
        point = {f"w{i}": Interval.point(ranked[i - 1] - ranked[i]) for i in range(1, len(ranked))}
        if "a" in self.cone.names:
            point["a"] = Interval.point(ranked[0])
        above: list[int | None] = [None] * len(ranked)
        for rank, label in enumerate(order):
            try:
                high = enclose(self.cone.losses[rank], point).range.hi
            except Undefined:
                continue
            above[label] = ceil_units(high)
        return above

    def rises(self, r: int, spans: tuple[Span, ...]) -> bool:
        """L_{r+1} >= L_r on a box.

        Where the box reaches w_{r+1} = 0, at which the two are equal, it is enough that the difference grows with it.
        """
        box, trees = self.cone.box(spans), [self.steps[r]]
        if spans[r][0] == 0:
            raw = self.raw_slopes[r + 1][r] - self.raw_slopes[r][r]
            trees += [derivative(self.steps[r], self.cone.names[r]), share(raw)]
        return any(lower(tree, box) >= 0 for tree in trees)

    def is_real(self, rank: int, spans: tuple[Span, ...]) -> bool:
        """The loss of a rank is bounded below on the box, and finite at its finite points."""
        cone = self.cone
        box = cone.box(spans)
        if not lower(cone.losses[rank], box) > NEG_INF:
            return False
        for power in _FARTHEST:
            far = Interval.point(2**power)
            cut = {name: Interval(side.lo, far.hi) if side.hi == INF else side for name, side in box.items()}
            cut = {name: Interval((-far).lo, side.hi) if side.lo == NEG_INF else side for name, side in cut.items()}
            if enclose(cone.losses[rank], cut, along=tuple(box)).range.is_finite:
                return True
        return False


class BoxBounds:
    """What is known of the losses on one box."""

    def __init__(self, tables: Tables, spans: tuple[Span, ...]) -> None:
        self.tables, cone = tables, tables.cone
        self.box = cone.box(spans)
        self.sides = [self.box[name] for name in cone.names]
        pairs = zip(tables.slopes, tables.raw_slopes, strict=True)
        self.slopes = [[_slope(both, self.box) for both in zip(*rows, strict=True)] for rows in pairs]
        self.half = [_half_width(side) for side in self.sides]
        self._values: dict[tuple[int, Base], int | None] = {}
        self._leads: dict[int, int | None] = {}
        self._leasts: dict[int, int | None] = {}

    def risk(self, weights: Sequence[int]) -> RiskBound:
        """A lower bound of sum_r weights_r L_r on the box, weights >= 0; labels of weight 0 cost nothing."""
        ranks = [r for r, weight in enumerate(weights) if weight]
        joint, price = self._joint(ranks, weights)
        if joint is not None and all(paid == 0 for paid in price):
            return RiskBound(joint, price)
        apart = _combined(ranks, weights, [self._least(r) if r in ranks else None for r in self.tables.cone.ranks])
        if apart is None or (joint is not None and joint >= apart):
            return RiskBound(joint, price)
        return RiskBound(apart, (None,) * len(price))

    def _joint(self, ranks: Sequence[int], weights: Sequence[int]) -> tuple[int | None, tuple[int | None, ...]]:
        """The bound from slopes of the weighted sum, and the price paid per gap."""
        base: list[int | None] = []
        price: list[int | None] = []
        for i, half in enumerate(self.half):
            low = _combined(ranks, weights, [row[i][0] for row in self.slopes])
            high = _combined(ranks, weights, [row[i][1] for row in self.slopes])
            place, paid = None, None
            if low is not None and low >= 0:
                place, paid = _LOW, 0
            elif high is not None and high <= 0:
                place, paid = _HIGH, 0
            elif low is not None and high is not None and half is not None:
                place, paid = _MIDDLE, -(-max(-low, high) * half >> BITS)
            base.append(place)
            price.append(paid)
        value = _combined(ranks, weights, [self._value(r, base) if r in ranks else None for r in range(len(weights))])
        return None if value is None else value - sum(paid or 0 for paid in price), tuple(price)

    def _least(self, rank: int) -> int | None:
        """A lower bound of the loss of one rank on the box."""
        if rank not in self._leasts:
            found = self._value(rank, (None,) * len(self.sides))
            if found is None:
                found = _floor(lambda: lower(self.tables.cone.losses[rank], self.box, INF))
            self._leasts[rank] = found
        return self._leasts[rank]

    def lead(self, m: int) -> int | None:
        """A lower bound of L_m - L_0 on the box."""
        if m not in self._leads:
            self._leads[m] = _floor(lambda: lower(self.tables.gains[m], self.box, INF))
        return self._leads[m]

    def _value(self, rank: int, base: Sequence[int | None]) -> int | None:
        """A lower bound of L_rank at the base point, its own better end where the base is open."""
        own = []
        for i, place in enumerate(base):
            if place is None:
                low, high = self.slopes[rank][i]
                if low is not None and low >= 0:
                    place = _LOW
                elif high is not None and high <= 0:
                    place = _HIGH
                else:
                    return None
            own.append(place)
        key = (rank, tuple(own))
        if key not in self._values:
            names = self.tables.cone.names
            point = {name: _place(side, at) for name, side, at in zip(names, self.sides, own, strict=True)}
            tree = self.tables.cone.losses[rank]
            self._values[key] = _floor(lambda: enclose(tree, point).range.lo)
        return self._values[key]


def whole_weights(x: Posterior) -> Weights:
    """A posterior times its common denominator.

    >>> from fractions import Fraction
    >>> whole_weights((Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)))
    ((3, 2, 1), 6)
    """
    size = lcm(*(share.denominator for share in x))
    return tuple(int(share * size) for share in x), size


def floor_units(end: End) -> int | None:
    """The largest integer in units that is certainly not above an end; None where there is none."""
    if isinstance(end, fmpq):
        return (int(end.p) << BITS) // int(end.q)
    if not end.is_finite():
        return _LARGEST if end == INF else None
    mantissa, exponent = (int(part) for part in end.man_exp())
    shift = exponent + BITS
    if shift < _DEEPEST:
        return 0 if mantissa >= 0 else -1
    if shift + mantissa.bit_length() > 8192:
        return _LARGEST if mantissa > 0 else None
    return mantissa << shift if shift >= 0 else mantissa >> -shift


def ceil_units(end: End) -> int | None:
    """The smallest integer in units that is certainly not below an end; None where there is none."""
    value = floor_units(-end)
    return None if value is None else -value


def _floor(bound: Callable[[], End]) -> int | None:
    try:
        return floor_units(bound())
    except Undefined:
        return None


def _slope(trees: Sequence[Expr], box: Box) -> tuple[int | None, int | None]:
    """The range of a derivative; where its sign stays open, that of another form of it is tried too."""
    found: Interval | None = None
    for tree in trees:
        try:
            here = enclose(tree, box, along=tuple(box)).range
        except Undefined:
            continue
        found = here if found is None else found.meet(here)
        if found.lo >= 0 or found.hi <= 0:
            break
    return (None, None) if found is None else (floor_units(found.lo), ceil_units(found.hi))


def _half_width(side: Interval) -> int | None:
    return ceil_units((side.hi - side.lo) / 2) if side.is_finite else None


def _combined(ranks: Sequence[int], weights: Sequence[int], column: Sequence[int | None]) -> int | None:
    total = 0
    for r in ranks:
        value = column[r]
        if value is None:
            return None
        total += weights[r] * value
    return total


def _place(side: Interval, place: int) -> Interval:
    end = side.lo if place == _LOW else side.hi if place == _HIGH else (side.lo + side.hi) / 2
    return Interval(end, end)
