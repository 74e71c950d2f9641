"""Certain bounds of elementary functions at one rational number, in Python integers.

A fraction is kept as it is while numerator and denominator together have at most `EXACT_BITS` bits (so that ties of
rationals stay exact) and is rounded outwards to `PRECISION` significant bits beyond that. `exp`, `log` and `atan` are
Taylor series in fixed point whose rounding and remainder are bounded by a count of units in the last place;
docs/theory/second.md proves each count.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

PRECISION = 112
"""Significant bits of a rounded end."""
EXACT_BITS = 320
"""Fractions up to this size are not rounded."""
GUARD = 40
"""Fixed-point bits beyond the precision."""
LARGEST = 4096
"""exp is evaluated on [-LARGEST, LARGEST] and bounded by monotonicity beyond."""

End = Fraction | float
"""A rational, or -inf, or inf."""
INF, NEG_INF = math.inf, -math.inf
_ZERO, _ONE = Fraction(0), Fraction(1)


def rounded(value: Fraction, up: bool) -> Fraction:
    """The value itself while it is short; else the nearest number of PRECISION bits below (or above) it."""
    n, d = value.numerator, value.denominator
    if n.bit_length() + d.bit_length() <= EXACT_BITS:
        return value
    shift = PRECISION - n.bit_length() + d.bit_length()
    top = -n if up else n
    low = (top << shift) // d if shift >= 0 else top // (d << -shift)
    low = -low if up else low
    return Fraction(low, 1 << shift) if shift >= 0 else Fraction(low << -shift)


Bounds = tuple[End, End]


def _fractions(found: Bounds) -> tuple[Fraction, Fraction]:
    low, high = found
    assert isinstance(low, Fraction)
    assert isinstance(high, Fraction)
    return low, high


def _outward(low: Fraction, high: Fraction) -> Bounds:
    return rounded(low, False), rounded(high, True)


@lru_cache(maxsize=20_000)
def exp_bounds(x: Fraction) -> Bounds:
    """Bounds of exp(x): Taylor series at x / 2**j with |x| / 2**j <= 1/64, squared j times."""
    if x == 0:
        return _ONE, _ONE
    if abs(x) > LARGEST:
        low, high = exp_bounds(Fraction(LARGEST if x > 0 else -LARGEST))
        return (low, INF) if x > 0 else (_ZERO, high)
    size = abs(x)
    j = max(0, math.ceil(size).bit_length() + 6)
    w = PRECISION + GUARD + j
    y = (size.numerator << w) // (size.denominator << j)  # floor: 0 <= |x| / 2**j - y / 2**w < 2**-w
    terms = w // 6 + 2
    total = term = 1 << w
    for i in range(1, terms):
        term = (term * y >> w) // i
        total += term
    low, high = total, total + 3 * terms + 4
    for _ in range(j):
        low, high = low * low >> w, -(-high * high >> w)
    one = 1 << w
    return (
        _outward(Fraction(low, one), Fraction(high, one))
        if x > 0
        else _outward(Fraction(one, high), Fraction(one, low))
    )


def _odd_series(z: Fraction, sign: int, w: int) -> tuple[int, int]:
    """Bounds of 2**w sum_i sign**i z**(2 i + 1) / (2 i + 1) for 0 <= z <= 1/2: atanh(z) for sign 1, atan(z) for -1."""
    base = (z.numerator << w) // z.denominator
    square = base * base >> w
    terms = w // 2 + 2
    power, total = base, 0
    for i in range(terms):
        total += (sign**i) * (power // (2 * i + 1))
        power = power * square >> w
    slack = 6 * terms + 8
    return total - slack, total + slack


@lru_cache(maxsize=64)
def _log_two(w: int) -> tuple[int, int]:
    low, high = _odd_series(Fraction(1, 3), 1, w)
    return 2 * low, 2 * high


@lru_cache(maxsize=20_000)
def log_bounds(x: Fraction) -> Bounds:
    """Bounds of log(x), x > 0: x = 2**k m with m in [2/3, 4/3], log m = 2 atanh((m - 1) / (m + 1))."""
    if x == 1:
        return _ZERO, _ZERO
    k = x.numerator.bit_length() - x.denominator.bit_length()
    m = x / Fraction(2) ** k  # in (1/2, 2)
    while m > Fraction(4, 3):
        m, k = m / 2, k + 1
    while m < Fraction(2, 3):
        m, k = m * 2, k - 1
    z = (m - 1) / (m + 1)
    extra = 0 if z == 0 else z.denominator.bit_length() - abs(z.numerator).bit_length() + 1
    w = PRECISION + GUARD + max(0, extra)
    low, high = _odd_series(abs(z), 1, w)
    low, high = (2 * low, 2 * high) if z >= 0 else (-2 * high, -2 * low)
    two = _log_two(w)
    low, high = (low + k * two[0], high + k * two[1]) if k >= 0 else (low + k * two[1], high + k * two[0])
    return _outward(Fraction(low, 1 << w), Fraction(high, 1 << w))


@lru_cache(maxsize=64)
def _quarter_pi(w: int) -> tuple[int, int]:
    """Machin: pi / 4 = 4 atan(1/5) - atan(1/239)."""
    five, rest = _odd_series(Fraction(1, 5), -1, w), _odd_series(Fraction(1, 239), -1, w)
    return 4 * five[0] - rest[1], 4 * five[1] - rest[0]


def pi_bounds() -> Bounds:
    """Bounds of pi."""
    w = PRECISION + GUARD
    low, high = _quarter_pi(w)
    return _outward(Fraction(4 * low, 1 << w), Fraction(4 * high, 1 << w))


@lru_cache(maxsize=20_000)
def atan_bounds(x: Fraction) -> Bounds:
    """Bounds of atan(x): pi/4 - atan((1 - x) / (1 + x)) for x in (1/2, 1], pi/2 - atan(1 / x) for x > 1."""
    if x < 0:
        low, high = atan_bounds(-x)
        return -high, -low
    if x == 0:
        return _ZERO, _ZERO
    w = PRECISION + GUARD
    if x > 1:
        inner = _fractions(atan_bounds(1 / x))
        below, above = _quarter_pi(w)
        return _outward(Fraction(2 * below, 1 << w) - inner[1], Fraction(2 * above, 1 << w) - inner[0])
    if 2 * x > 1:
        low, high = _odd_series((1 - x) / (1 + x), -1, w)
        below, above = _quarter_pi(w)
        return _outward(Fraction(below - high, 1 << w), Fraction(above - low, 1 << w))
    w += x.denominator.bit_length() - x.numerator.bit_length()
    low, high = _odd_series(x, -1, w)
    return _outward(Fraction(low, 1 << w), Fraction(high, 1 << w))


def sqrt_bounds(x: Fraction) -> Bounds:
    """Bounds of sqrt(x), x >= 0: integer square roots; exact for squares of rationals."""
    n, d = math.isqrt(x.numerator), math.isqrt(x.denominator)
    if n * n == x.numerator and d * d == x.denominator:
        return Fraction(n, d), Fraction(n, d)
    w = PRECISION + max(0, x.denominator.bit_length() - x.numerator.bit_length())
    root = math.isqrt((x.numerator << 2 * w) // x.denominator)
    return _outward(Fraction(root, 1 << w), Fraction(root + 1, 1 << w))
