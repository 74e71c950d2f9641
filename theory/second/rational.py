"""Outward-rounded intervals on Python fractions: the arithmetic of the second checker.

Nothing of python-flint and nothing of `theory.expression.interval` is used. An end is a `Fraction`, or one of the two
float infinities, which are never attained. Limits at infinity have an arithmetic of their own (`limit_sum`,
`limit_product`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from .elementary import (
    INF,
    NEG_INF,
    Bounds,
    End,
    atan_bounds,
    exp_bounds,
    log_bounds,
    pi_bounds,
    rounded,
    sqrt_bounds,
)

_ZERO, _ONE = Fraction(0), Fraction(1)


class NotReal(ArithmeticError):
    """A value that need not be a real number, or a limit that the arithmetic cannot tell."""


def _sum(x: End, y: End, up: bool) -> End:
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return rounded(x + y, up)
    return x if isinstance(x, float) else y


def _product(x: End, y: End, up: bool) -> End:
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return rounded(x * y, up)
    if x == 0 or y == 0:
        return _ZERO  # an infinite end is never attained; limits are kept apart (`limit_product`)
    return INF if (x > 0) == (y > 0) else NEG_INF


@dataclass(frozen=True, slots=True)
class Range:
    """The closed interval [lo, hi]; an infinite end is not attained."""

    lo: End
    hi: End

    @classmethod
    def at(cls, value: Fraction | int) -> Range:
        """One rational."""
        return cls(Fraction(value), Fraction(value))

    @property
    def exact(self) -> Fraction | None:
        """The rational that the interval is, if it is one."""
        return self.lo if isinstance(self.lo, Fraction) and self.lo == self.hi else None

    @property
    def finite(self) -> bool:
        """Whether both ends are rationals."""
        return isinstance(self.lo, Fraction) and isinstance(self.hi, Fraction)

    def hull(self, other: Range) -> Range:
        """The smallest interval that holds both."""
        return Range(min(self.lo, other.lo), max(self.hi, other.hi))

    def meet(self, other: Range) -> Range:
        """The intersection of two enclosures of one set."""
        return Range(max(self.lo, other.lo), min(self.hi, other.hi))

    def __neg__(self) -> Range:
        return Range(-self.hi, -self.lo)

    def __add__(self, other: Range) -> Range:
        return Range(_sum(self.lo, other.lo, False), _sum(self.hi, other.hi, True))

    def __sub__(self, other: Range) -> Range:
        return self + -other

    def __mul__(self, other: Range) -> Range:
        if self.lo >= 0 and other.lo >= 0:
            return Range(_product(self.lo, other.lo, False), _product(self.hi, other.hi, True))
        for one, two in ((self, other), (other, self)):
            if one.hi <= 0 < -one.lo:
                return -(-one * two)
            if one.lo >= 0:  # the other side is negative somewhere
                below = _product(one.hi, two.lo, False)
                return Range(below, _product(one.hi if two.hi >= 0 else one.lo, two.hi, True))
        pairs = ((self.lo, other.lo), (self.lo, other.hi), (self.hi, other.lo), (self.hi, other.hi))
        return Range(min(_product(x, y, False) for x, y in pairs), max(_product(x, y, True) for x, y in pairs))

    def inverse(self) -> Range:
        """1 / x; NotReal unless the interval misses 0."""
        if self.hi < 0:
            return -(-self).inverse()
        if not self.lo > 0:
            raise NotReal("division by an interval that may hold 0")
        low = _ZERO if isinstance(self.hi, float) else rounded(1 / self.hi, False)
        high = _ZERO if isinstance(self.lo, float) else rounded(1 / self.lo, True)
        return Range(low, high)

    def maximum(self, other: Range) -> Range:
        """max(x, y)."""
        return Range(max(self.lo, other.lo), max(self.hi, other.hi))

    def minimum(self, other: Range) -> Range:
        """min(x, y)."""
        return Range(min(self.lo, other.lo), min(self.hi, other.hi))

    def size(self) -> Range:
        """|x|."""
        if self.lo >= 0:
            return self
        return -self if self.hi <= 0 else Range(_ZERO, max(-self.lo, self.hi))

    def whole_power(self, n: int) -> Range:
        """x ** n for an integer n."""
        if n < 0:
            return self.whole_power(-n).inverse()
        if n == 0:
            return Range(_ONE, _ONE)
        base = self.size() if n % 2 == 0 else self
        return Range(_power(base.lo, n, False), _power(base.hi, n, True))

    def real_power(self, e: Fraction) -> Range:
        """x ** e for a rational e that is no integer and x >= 0 (x > 0 where e < 0)."""
        if e < 0:
            return self.real_power(-e).inverse()
        if not self.lo >= 0:
            raise NotReal("a power with a fractional exponent of a base that may be negative")
        return Range(_real_power(self.lo, e)[0], _real_power(self.hi, e)[1])

    def image(self, bounds: Callable[[Fraction], Bounds], at_minus: End, at_plus: End) -> Range:
        """The image under an increasing function with the given limits at the two infinities."""
        ends = [
            bounds(end) if isinstance(end, Fraction) else (at_plus, at_plus) if end > 0 else (at_minus, at_minus)
            for end in (self.lo, self.hi)
        ]
        return Range(ends[0][0], ends[1][1])

    def exp(self) -> Range:
        """exp(x)."""
        return self.image(exp_bounds, _ZERO, INF)

    def log(self) -> Range:
        """log(x); NotReal unless x > 0."""
        if not self.lo > 0:
            raise NotReal("log of a number that may be 0 or negative")
        return self.image(log_bounds, NEG_INF, INF)

    def sqrt(self) -> Range:
        """sqrt(x); NotReal unless x >= 0."""
        if not self.lo >= 0:
            raise NotReal("square root of a number that may be negative")
        return self.image(sqrt_bounds, _ZERO, INF)

    def atan(self) -> Range:
        """atan(x)."""
        half = Range(*pi_bounds()) * Range.at(Fraction(1, 2))
        ends = [
            Range(*atan_bounds(end)) if isinstance(end, Fraction) else half if end > 0 else -half
            for end in (self.lo, self.hi)
        ]
        return Range(ends[0].lo, ends[1].hi)

    def softplus(self) -> Range:
        """log(1 + exp(x))."""
        return self.image(_softplus_bounds, _ZERO, INF)

    def sigmoid(self) -> Range:
        """1 / (1 + exp(-x))."""
        return self.image(_sigmoid_bounds, _ZERO, _ONE)

    def tanh(self) -> Range:
        """tanh(x) = 2 sigmoid(2 x) - 1."""
        twice = self + self
        return twice.sigmoid() * Range.at(2) - Range.at(1)


def _power(end: End, n: int, up: bool) -> End:
    if isinstance(end, float):
        return INF if end > 0 or n % 2 == 0 else NEG_INF
    result = _ONE
    low_size = end < 0 and n % 2 == 1  # rounding the size of a negative number goes the other way
    size = abs(end)
    for _ in range(n):
        result = rounded(result * size, up != low_size)
    return -result if low_size else result


def _real_power(end: End, e: Fraction) -> Bounds:
    if isinstance(end, float):
        return INF, INF
    if end in (0, 1):
        return end, end
    found = (Range(*log_bounds(end)) * Range.at(e)).exp()
    return found.lo, found.hi


def _softplus_bounds(x: Fraction) -> Bounds:
    found = (Range(*exp_bounds(-abs(x))) + Range.at(1)).log()
    found = found + Range.at(x) if x > 0 else found
    return found.lo, found.hi


def _sigmoid_bounds(x: Fraction) -> Bounds:
    found = (Range(*exp_bounds(-x)) + Range.at(1)).inverse()
    return found.lo, found.hi


# -- limits ---------------------------------------------------------------------------------------------------------


def limit_sum(x: Range, y: Range) -> Range:
    """Limits added; NotReal where inf - inf may be meant."""
    if (x.hi == INF and y.lo == NEG_INF) or (x.lo == NEG_INF and y.hi == INF):
        raise NotReal("inf - inf")
    return x + y


def limit_product(x: Range, y: Range) -> Range:
    """Limits multiplied; NotReal where 0 * inf may be meant."""
    for one, two in ((x, y), (y, x)):
        if not one.finite and two.lo <= 0 <= two.hi:
            raise NotReal("0 * inf")
    return x * y
