"""The binary question and the rules that discharge boxes of scores: trusted, and used by search and checker alike.

The setting is binary. plus(v), minus(v) are the losses of the score v for y = +1 and y = -1,
eta = P(Y = +1 | x), a the threshold (1/2 for the Bayes rule), C_eta = eta plus + (1 - eta) minus.
For eta > a the scores v <= 0 are wrong, ties included. Only eta > a is treated; eta < a is the same
question for the mirrored pair minus(-v), plus(-v) with threshold 1 - a. Where a plus(v) = (1 - a) minus(-v),
as for every phi(t) with a = 1/2, write phi = plus: C_eta is proportional to r phi(v) + phi(-v) with r > 1
exactly for eta > a, and the mirrored question is the same one.

Claim `consistent`: inf of C_eta over wrong v is above inf of C_eta, for every eta in (a, 1], and C_eta
is bounded below. Cells of eta cover [a, 1]; in each, boxes cover the wrong scores. C_eta is linear in eta,
so what holds at both ends of a cell holds inside. A box is discharged by one of the rules

  candidate  C(v) - C(at) >= gap > 0 on the box at both ends of the cell (without a stated gap, >= 0 is enough at
             eta = a, which is not claimed);
  reflect    phi(-t) - phi(t) >= d > 0 for all -t in the box: then C(-t) - C(t) >= (eta - (1 - eta) a / (1 - a)) d;
  tie        the box is [-r, 0]: phi continuous, phi(-t) - phi(t) rises strictly from 0, and C falls to the right of 0,
             because the first derivatives of phi at 0 that do not vanish say so, or phi falls on (0, r) and
             phi(t) + phi(-t) does not rise: points left of 0 lose to their reflections, and 0 itself to points beyond;
  slide      a chain of boxes up to 0 on which C_a falls weakly and C at the cell's upper end falls strictly
             (both trees without `where`, hence continuous), and so to the right of 0.

Either claim needs a loss that is real on its domain: pieces of the domain, and the scores between them, on which no
denominator, logarithm or power of the formula, as written, meets a singular point.

Claim `inconsistent`: at one rational eta > a a wrong score (or the limit v -> -inf) has risk <= C(v) for all v > 0:

  value      the lower bound of C on the box is at least the wrong score's risk;
  rise       the wrong score is 0, the box starts at 0, and C rises weakly on it (C' >= 0, or C'(0+) >= 0 and C'' >= 0).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property

from theory.expression.boxes import derivative
from theory.expression.enclosure import Enclosure, bound, enclose, plain_bound, restrict, sign_inside
from theory.expression.interval import INF, NEG_INF, End, Interval, Undefined
from theory.expression.nodes import Const, Expr, Var, Where, substitute, walk
from theory.expression.normal import normal_form, same_function
from theory.expression.rewrite import simplify, stabilise

_ZERO, _ONE = Fraction(0), Fraction(1)
MAX_ORDER = 6
"""Derivatives at 0 that the rules `tie` and `slide` look at."""
Pair = tuple[Expr, Expr]
Box = tuple[Fraction | float, Fraction | float]
"""An interval of scores; the two infinities are floats."""


class Problem:
    """One binary question: the two losses of the score, the threshold, the domain |v| <= bound (or R).

    `written` are the losses before any rewriting (by default `plus` and `minus`): where these are real, all are.
    """

    def __init__(
        self, plus: Expr, minus: Expr, threshold: Fraction, bound_: Fraction | None, written: Pair | None = None
    ) -> None:
        self.plus, self.minus, self.threshold, self.bound = plus, minus, threshold, bound_
        self.written = (plus, minus) if written is None else written
        balanced = Const(threshold) * plus - Const(1 - threshold) * stabilise(substitute(minus, {"v": -Var("v")}))
        self.phi = substitute(plus, {"v": Var("t")}) if same_function(balanced, Const(_ZERO)) else None
        self.jumps = any(isinstance(node, Where) for tree in (plus, minus) for node in walk(tree))
        self._risks: dict[Fraction, Expr] = {}
        self._points: dict[tuple[Fraction, Fraction | float], Interval] = {}
        self._lows: dict[tuple[Fraction, Box], End] = {}

    @property
    def limit(self) -> Fraction | float:
        """The largest score: the domain's bound or infinity."""
        return float("inf") if self.bound is None else self.bound

    def mirrored(self) -> Problem:
        """The question for eta < a, in the coordinates 1 - eta and -v."""
        flip = {"v": -Var("v")}
        plus, minus = stabilise(substitute(self.minus, flip)), stabilise(substitute(self.plus, flip))
        return Problem(plus, minus, 1 - self.threshold, self.bound)

    def risk(self, eta: Fraction) -> Expr:
        """C_eta as a tree in v."""
        if eta not in self._risks:
            tree = simplify(Const(eta) * self.plus + Const(1 - eta) * self.minus)
            collected = normal_form(tree)
            self._risks[eta] = collected if isinstance(collected, Const) else tree
        return self._risks[eta]

    @cached_property
    def reflection(self) -> Expr:
        """phi(-t) - phi(t) as a tree in t."""
        assert self.phi is not None
        return stabilise(substitute(self.phi, {"t": -Var("t")}) - self.phi)

    def risk_at(self, eta: Fraction, v: Fraction | float) -> Interval:
        """C_eta at one score; at an infinite one, the limit (Undefined where the arithmetic cannot tell)."""
        if (eta, v) not in self._points:
            if isinstance(v, Fraction):
                self._points[eta, v] = enclose(self.risk(eta), {"v": Interval.between(v, v)}).range
            else:
                self._points[eta, v] = limit_at(self.risk(eta), "v", v)
        return self._points[eta, v]

    def real(self, box: Box) -> bool:
        """Both losses, as written, certainly have a value everywhere inside the box; at the point, for one point."""
        return all(enclose(tree, {"v": Interval.between(*box)}, along="v").real for tree in self.written)

    # -- rules for `consistent` --------------------------------------------------------------------

    def lead(self, eta: Fraction, box: Box, at: Fraction) -> End:
        """The least of C(v) - C(at) over the box, from below."""
        return (Interval(self._low(eta, box), INF) - self.risk_at(eta, at)).lo

    def candidate(self, cell: tuple[Fraction, Fraction], box: Box, at: Fraction) -> bool:
        """C(v) - C(at) > 0 on the box inside the cell: positive at its upper end, and at its lower end or 0 at a."""
        if not self.lead(cell[1], box, at) > 0:
            return False
        low = self.lead(cell[0], box, at)
        return bool(low > 0 or (cell[0] == self.threshold and low >= 0))

    def _low(self, eta: Fraction, box: Box) -> End:
        """The least of C over the box, from below; several candidates and cells ask for the same."""
        if (eta, box) not in self._lows:
            self._lows[eta, box] = bound(self.risk(eta), "v", Interval.between(*box)).range.lo
        return self._lows[eta, box]

    def reflect(self, box: Box) -> End:
        """The least of phi(-t) - phi(t) for -t in the box, from below; -inf where the rule does not apply."""
        if self.phi is None:
            return NEG_INF
        return bound(self.reflection, "t", Interval.between(-box[1], -box[0])).range.lo

    def tie(self, box: Box) -> bool:
        """The rule for phi on [-r, 0]."""
        r = -box[0]
        if self.phi is None or box[1] != 0 or not isinstance(r, Fraction) or r <= 0:
            return False
        left, right = (-r, _ZERO), (_ZERO, r)
        pieces = [enclose_between(self.phi, "t", side) for side in (left, right)]
        if not (pieces[0].range.is_finite and pieces[1].range.is_finite):
            return False
        if pieces[0].jumped or pieces[1].jumped:
            return False
        if not self._joins_at_zero(pieces) and not _continuous(self.phi, "t", (-r, r)):
            return False
        if sign_inside(derivative(self.reflection, "t"), "t", Interval.between(*right)) <= 0:
            return False
        return _certain(lambda: self._leading_term_falls(r)) or _certain(lambda: self._falls_evenly(right))

    def _falls_evenly(self, right: Box) -> bool:
        """phi falls strictly on (0, r), and phi(t) + phi(-t) does not rise."""
        assert self.phi is not None
        side = Interval.between(*right)
        here, mirrored = (
            restrict(tree, {"t": side}, "t") for tree in (self.phi, substitute(self.phi, {"t": -Var("t")}))
        )
        even = normal_form(derivative(normal_form(stabilise(here + mirrored)), "t"))
        return bool(
            enclose(even, {"t": side}, along="t").range.hi <= 0 and sign_inside(derivative(here, "t"), "t", side) < 0
        )

    def _leading_term_falls(self, r: Fraction) -> bool:
        """phi^(j)(0+) = phi^(j)(0-) = 0 for j < n, phi^(n)(0+) < 0, and the n-th term of phi(t) + phi(-t) is <= 0."""
        assert self.phi is not None
        slope = self.phi
        for n in range(1, MAX_ORDER + 1):
            slope = derivative(slope, "t") if n == 1 else normal_form(derivative(slope, "t"))
            left, right = (enclose_between(slope, "t", side) for side in ((-r, _ZERO), (_ZERO, r)))
            if left.jumped or right.jumped:
                return False
            before, after = left.points[1], right.points[0]
            if after.hi < 0:
                weak = after.hi <= before.lo if n % 2 else (after + before).hi <= 0
                return bool(weak) or _continuous(slope, "t", (-r, r))
            if not all(end == 0 for point in (before, after) for end in (point.lo, point.hi)):
                return False
        return False

    def _joins_at_zero(self, pieces: list[Enclosure]) -> bool:
        assert self.phi is not None
        values = (pieces[0].points[1], pieces[1].points[0], enclose(self.phi, {"t": Interval.point(0)}).range)
        return all(value.is_point and value.lo == values[0].lo for value in values)

    def slide(self, cell: tuple[Fraction, Fraction], box: Box) -> bool:
        """C falls on the box for every eta in the cell above a; next to 0 it falls to the right of 0 too."""
        if self.jumps or cell[0] != self.threshold or not isinstance(box[0], Fraction):
            return False
        reach: Box = (box[0], -box[0]) if box[1] == 0 else box
        if not all(enclose_between(tree, "v", reach).range.is_finite for tree in (self.plus, self.minus)):
            return False
        weak, strict = (derivative(self.risk(eta), "v") for eta in cell)
        if not sign_inside(strict, "v", Interval.between(*box)) < 0 or not self._falls(weak, box):
            return False
        return box[1] != 0 or self._falls_beyond(weak, strict, -box[0])

    @staticmethod
    def _falls_beyond(weak: Expr, strict: Expr, r: Fraction) -> bool:
        """The first derivatives at 0+ that do not vanish are <= 0 (of `weak`) and < 0 (of `strict`), of one order."""
        for _ in range(MAX_ORDER):
            after = [enclose_between(tree, "v", (_ZERO, r)) for tree in (weak, strict)]
            if any(x.jumped for x in after):
                return False
            slopes = [x.points[0] for x in after]
            if slopes[1].hi < 0:
                return bool(slopes[0].hi <= 0)
            if not all(end == 0 for point in slopes for end in (point.lo, point.hi)):
                return False
            weak, strict = (normal_form(derivative(tree, "v")) for tree in (weak, strict))
        return False

    @staticmethod
    def _falls(slope: Expr, box: Box) -> bool:
        found = enclose_between(slope, "v", box)
        if found.range.hi <= 0:
            return True
        return bool(
            not found.jumped
            and found.points[1].hi <= 0
            and enclose_between(derivative(slope, "v"), "v", box).range.lo >= 0
        )

    def floor(self, box: Box) -> bool:
        """C_eta is bounded below on the box, for every eta in [a, 1]; both losses are finite where the box is."""
        if all(isinstance(end, Fraction) for end in box) and box[0] != box[1]:
            for tree in (self.plus, self.minus):
                if not enclose_between(tree, "v", box).range.is_finite:
                    return False
        return all(self._low(eta, box) > NEG_INF for eta in (self.threshold, _ONE))

    # -- rules for `inconsistent` ------------------------------------------------------------------

    def value(self, eta: Fraction, box: Box, wrong: Fraction | float) -> End:
        """The least of C(v) - C(wrong) over the box, from below."""
        return (Interval(self._low(eta, box), INF) - self.risk_at(eta, wrong)).lo

    def rise(self, eta: Fraction, box: Box) -> bool:
        """C >= C(0) on (0, r]."""
        r = box[1]
        if box[0] != 0 or not isinstance(r, Fraction):
            return False
        inside = enclose_between(self.risk(eta), "v", box)
        if not inside.range.is_finite:
            return False
        if self.jumps and (inside.jumped or not inside.points[0].lo >= self.risk_at(eta, _ZERO).hi):
            return False
        slope = derivative(self.risk(eta), "v")
        found = enclose_between(slope, "v", box)
        if found.range.lo >= 0:
            return True
        if found.jumped or not found.points[0].lo >= 0:
            return False
        return bool(enclose_between(derivative(slope, "v"), "v", box).range.lo >= 0)


def limit_at(tree: Expr, name: str, end: float) -> Interval:
    """The limit of a tree at an infinite end, on the branches of a half-line; Undefined where none is seen."""
    for start in (1, 64, 4096):
        try:
            side = (Fraction(start), end) if end > 0 else (end, Fraction(-start))
            found = plain_bound(tree, name, Interval.between(*side))
        except Undefined:
            continue
        if not found.jumped:
            return found.points[1 if end > 0 else 0]
    raise Undefined(f"the limit at {end}")


def _continuous(tree: Expr, name: str, box: Box) -> bool:
    """The tree is certainly real and continuous inside the box."""
    return _certain(lambda: not enclose_between(tree, name, box).jumped)


def _certain(test: Callable[[], bool]) -> bool:
    """The answer of a test that may meet what cannot be enclosed."""
    try:
        return test()
    except Undefined:
        return False


def enclose_between(tree: Expr, name: str, box: Box) -> Enclosure:
    """The enclosure of a tree over an interval, with its limits at both ends."""
    side = Interval.between(*box)
    return enclose(tree, {name: side}, [{name: Interval(end, end)} for end in (side.lo, side.hi)], along=name)
