"""Intervals with exact ends, rounded outwards: rationals while they stay rational, arb points otherwise.

An end is an `fmpq` (exact), or an `arb` of radius zero, or plus or minus infinity. Sums, products,
quotients, maxima and integer powers of rationals are exact, so a tie that holds exactly is seen as
exact. Half-lines are ordinary intervals: every function here is continued to its limits.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from typing import Any

from flint import arb, fmpq

End = Any  # fmpq | arb; python-flint ships no types

INF: End = arb.pos_inf()
NEG_INF: End = arb.neg_inf()
_ZERO, _ONE = fmpq(0), fmpq(1)


class Undefined(ArithmeticError):
    """A value that need not be a real number: log of a negative number, division by zero, a limit inf - inf."""


def _down(value: End) -> End:
    if type(value) is fmpq:
        return value
    value = value.lower()
    return NEG_INF if value.is_nan() else value


def _up(value: End) -> End:
    if type(value) is fmpq:
        return value
    value = value.upper()
    return INF if value.is_nan() else value


def _finite(value: End) -> bool:
    return type(value) is fmpq or bool(value.is_finite())


def _least(x: End, y: End) -> End:
    """A lower bound of both ends, equal to their minimum up to rounding."""
    if x <= y:
        return x
    return y if y <= x else _down(arb(x).min(arb(y)))


def _greatest(x: End, y: End) -> End:
    """An upper bound of both ends, equal to their maximum up to rounding."""
    if x >= y:
        return x
    return y if y >= x else _up(arb(x).max(arb(y)))


def _product(x: End, y: End, rounding: Callable[[End], End]) -> End:
    """x y rounded, where 0 times infinity is 0: an infinite end bounds finite numbers. A product 0 is rational."""
    value = x * y
    if type(value) is fmpq:
        return value
    if value.is_finite():
        return _ZERO if value.is_zero() else rounding(value)
    if x == 0 or y == 0:
        return _ZERO
    return INF if (x > 0) == (y > 0) else NEG_INF


class Interval:
    """A closed interval [lo, hi] of extended reals."""

    __slots__ = ("hi", "lo")

    def __init__(self, lo: End, hi: End) -> None:
        self.lo = lo
        self.hi = hi

    @classmethod
    def point(cls, value: Fraction | int) -> Interval:
        """The degenerate interval of a rational."""
        end = fmpq(value.numerator, value.denominator)
        return cls(end, end)

    @classmethod
    def between(cls, low: Fraction | float, high: Fraction | float) -> Interval:
        """[low, high] with rational ends; floats only as -inf and inf."""
        ends = [
            fmpq(e.numerator, e.denominator) if isinstance(e, Fraction) else (INF if e > 0 else NEG_INF)
            for e in (low, high)
        ]
        return cls(*ends)

    def __repr__(self) -> str:
        return f"[{self.lo}, {self.hi}]"

    @property
    def is_point(self) -> bool:
        """True where both ends are the same number."""
        return bool(self.lo == self.hi)

    def contains_zero(self) -> bool:
        """True unless the interval certainly misses 0."""
        return not (self.lo > 0 or self.hi < 0)

    def hull(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        return Interval(_least(self.lo, other.lo), _greatest(self.hi, other.hi))

    def meet(self, other: Interval) -> Interval:
        """The intersection of two enclosures of the same set."""
        lo = other.lo if other.lo > self.lo else self.lo
        hi = other.hi if other.hi < self.hi else self.hi
        return self if lo > hi else Interval(lo, hi)

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo)

    def __add__(self, other: Interval) -> Interval:
        return Interval(_down(self.lo + other.lo), _up(self.hi + other.hi))

    def __sub__(self, other: Interval) -> Interval:
        return Interval(_down(self.lo - other.hi), _up(self.hi - other.lo))

    def __mul__(self, other: Interval) -> Interval:
        """The products of two of the ends, chosen by their signs; of four where both intervals reach across 0."""
        a, b, c, d = self.lo, self.hi, other.lo, other.hi
        if a >= 0:
            low, high = (a if c >= 0 else b, c), (b if d >= 0 else a, d)
        elif b <= 0:
            low, high = (a if d >= 0 else b, d), (b if c >= 0 else a, c)
        elif c >= 0:
            low, high = (a, d), (b, d)
        elif d <= 0:
            low, high = (b, c), (a, c)
        else:
            return Interval(
                _least(_product(a, d, _down), _product(b, c, _down)),
                _greatest(_product(a, c, _up), _product(b, d, _up)),
            )
        return Interval(_product(*low, _down), _product(*high, _up))

    def reciprocal(self) -> Interval:
        """1 / x; Undefined where the interval holds 0 in its interior or is 0."""
        if self.lo >= 0 and self.hi > 0:
            low = _ZERO if not _finite(self.hi) else _down(1 / self.hi)
            return Interval(low, INF if self.lo == 0 else _ZERO if not _finite(self.lo) else _up(1 / self.lo))
        if self.hi <= 0 and self.lo < 0:
            return -(-self).reciprocal()
        raise Undefined("division by an interval around 0")

    def __truediv__(self, other: Interval) -> Interval:
        return self * other.reciprocal()

    def maximum(self, other: Interval) -> Interval:
        """max(x, y)."""
        return Interval(_greatest_down(self.lo, other.lo), _greatest(self.hi, other.hi))

    def minimum(self, other: Interval) -> Interval:
        """min(x, y)."""
        return -(-self).maximum(-other)

    def increasing(self, function: Callable[[End], End], at_minus: End, at_plus: End) -> Interval:
        """The image under an increasing function with the given limits at the two infinities."""
        low = _apply(function, self.lo, at_minus, at_plus, _down)
        return Interval(low, _apply(function, self.hi, at_minus, at_plus, _up))

    def call(self, name: str) -> Interval:
        """The image under one of the named functions of the formula language."""
        return FUNCTIONS[name](self)

    @property
    def is_finite(self) -> bool:
        """True where both ends are finite."""
        lo, hi = self.lo, self.hi
        return (type(lo) is fmpq or bool(lo.is_finite())) and (type(hi) is fmpq or bool(hi.is_finite()))

    def power(self, exponent: Interval) -> Interval:
        """x ** e: integer e for any base, other e for bases >= 0 (Undefined below 0)."""
        if exponent.is_point and isinstance(exponent.lo, fmpq):
            if exponent.lo.q == 1:
                return self._integer_power(int(exponent.lo.p))
            return self._real_power(exponent.lo)
        return (exponent * self.call("log")).call("exp")

    def _integer_power(self, n: int) -> Interval:
        if n < 0:
            return self._integer_power(-n).reciprocal()
        if n == 0:
            return Interval(_ONE, _ONE)
        if n % 2 == 0:
            if self.hi <= 0 and self.lo < 0:
                return (-self)._integer_power(n)
            if self.lo < 0:
                return Interval(_ZERO, _greatest(_whole_power(-self.lo, n, _up), _whole_power(self.hi, n, _up)))
        return Interval(_whole_power(self.lo, n, _down), _whole_power(self.hi, n, _up))

    def _real_power(self, exponent: End) -> Interval:
        if not self.lo >= 0:
            raise Undefined("a power with a fractional exponent of a base that may be negative")
        positive = exponent > 0

        def raise_end(end: End, rounding: Callable[[End], End]) -> End:
            if end == 0 or not _finite(end):
                return _ZERO if (end == 0) == positive else INF
            if end == 1:
                return _ONE
            return rounding(arb(end) ** arb(exponent))

        if positive:
            return Interval(raise_end(self.lo, _down), raise_end(self.hi, _up))
        return Interval(raise_end(self.hi, _down), raise_end(self.lo, _up))


def limit_add(x: Interval, y: Interval) -> Interval:
    """Limits added: Undefined where inf - inf may be meant."""
    if (x.hi == INF and y.lo == NEG_INF) or (x.lo == NEG_INF and y.hi == INF):
        raise Undefined("inf - inf")
    return x + y


def limit_sub(x: Interval, y: Interval) -> Interval:
    """Limits subtracted: Undefined where inf - inf may be meant."""
    return limit_add(x, -y)


def limit_mul(x: Interval, y: Interval) -> Interval:
    """Limits multiplied: Undefined where 0 * inf may be meant. Sets of finite numbers need no such care."""
    if (not x.is_finite and y.contains_zero()) or (not y.is_finite and x.contains_zero()):
        raise Undefined("0 * infinity")
    return x * y


def limit_div(x: Interval, y: Interval) -> Interval:
    """Limits divided."""
    return limit_mul(x, y.reciprocal())


def limit_power(x: Interval, y: Interval) -> Interval:
    """A limit raised to a power; a power that varies needs the limit of exponent * log."""
    if y.is_point and isinstance(y.lo, fmpq):
        return x.power(y)
    return limit_mul(y, x.call("log")).call("exp")


def _greatest_down(x: End, y: End) -> End:
    if x >= y:
        return x
    if y >= x:
        return y
    return _down(arb(x).max(arb(y)))


def _whole_power(end: End, n: int, rounding: Callable[[End], End]) -> End:
    if not _finite(end):
        return INF if end > 0 or n % 2 == 0 else NEG_INF
    if isinstance(end, fmpq) and n * max(int(end.p).bit_length(), int(end.q).bit_length()) > 4096:
        end = arb(end)
    return rounding(end**n)


def _apply(
    function: Callable[[End], End], end: End, at_minus: End, at_plus: End, rounding: Callable[[End], End]
) -> End:
    if not _finite(end):
        return at_plus if end > 0 else at_minus
    return rounding(function(end))


def _exact_at(point: int, value: int, function: Callable[[arb], arb]) -> Callable[[End], End]:
    """`function` on arb points, except for one rational point where its value is rational."""

    def apply(end: End) -> End:
        return fmpq(value) if end == point else function(arb(end))

    return apply


_exp = _exact_at(0, 1, lambda x: x.exp())
_tanh = _exact_at(0, 0, lambda x: x.tanh())
_atan = _exact_at(0, 0, lambda x: x.atan())
_log1p = _exact_at(0, 0, lambda x: x.log1p())
_log = _exact_at(1, 0, lambda x: x.log())


def _atan_end(end: End, rounding: Callable[[End], End]) -> End:
    if _finite(end):
        return rounding(_atan(end))
    half = arb.pi() / 2
    return rounding(half) if end > 0 else rounding(-half)


def _sigmoid(end: End) -> End:
    return fmpq(1, 2) if end == 0 else 1 / (1 + (-arb(end)).exp())


def _softplus(end: End) -> End:
    x = arb(end)
    return x + (-x).exp().log1p() if end > 0 else x.exp().log1p()


def _sqrt(end: End) -> End:
    if isinstance(end, fmpq):
        p, q = int(end.p), int(end.q)
        roots = isqrt(p), isqrt(q)
        if roots[0] ** 2 == p and roots[1] ** 2 == q:
            return fmpq(*roots)
    return arb(end).sqrt()


def _log_interval(x: Interval) -> Interval:
    if not x.lo >= 0 or not x.hi > 0:
        raise Undefined("log of a number that may be negative or 0")
    return Interval(
        NEG_INF if x.lo == 0 else _apply(_log, x.lo, NEG_INF, INF, _down), _apply(_log, x.hi, NEG_INF, INF, _up)
    )


def _log1p_interval(x: Interval) -> Interval:
    if not x.lo > -1:
        return _log_interval(x + Interval(_ONE, _ONE))
    return x.increasing(_log1p, NEG_INF, INF)


def _sqrt_interval(x: Interval) -> Interval:
    if not x.lo >= 0:
        raise Undefined("square root of a number that may be negative")
    return x.increasing(_sqrt, NEG_INF, INF)


def _abs_interval(x: Interval) -> Interval:
    if x.lo >= 0:
        return x
    if x.hi <= 0:
        return -x
    return Interval(_ZERO, _greatest(-x.lo, x.hi))


def _positive(x: Interval) -> Interval:
    """exp and sigmoid never reach below 0, whatever the rounding."""
    return x if x.lo >= 0 else Interval(_ZERO, x.hi)


FUNCTIONS: dict[str, Callable[[Interval], Interval]] = {
    "exp": lambda x: _positive(x.increasing(_exp, _ZERO, INF)),
    "log": _log_interval,
    "log1p": _log1p_interval,
    "sqrt": _sqrt_interval,
    "softplus": lambda x: _positive(x.increasing(_softplus, _ZERO, INF)),
    "sigmoid": lambda x: _positive(x.increasing(_sigmoid, _ZERO, _ONE)),
    "tanh": lambda x: x.increasing(_tanh, fmpq(-1), _ONE),
    "atan": lambda x: Interval(_atan_end(x.lo, _down), _atan_end(x.hi, _up)),
    "abs": _abs_interval,
}
"""The image of an interval under each named function of the formula language."""


def pi_interval() -> Interval:
    """An enclosure of pi."""
    value = arb.pi()
    return Interval(_down(value), _up(value))


def fraction_of(end: End) -> Fraction | None:
    """The rational of an exact end, or None at infinity."""
    if isinstance(end, fmpq):
        return Fraction(int(end.p), int(end.q))
    if not _finite(end):
        return None
    mantissa, exponent = end.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
