"""Ranges of parameters: intervals with exact rational ends, each end open or closed, infinite ends open."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf

from theory.expression.interval import Interval
from theory.expression.nodes import exact

_MAX_TEXT = 300


@dataclass(frozen=True)
class Range:
    """A nonempty interval of one parameter.

    >>> str(Range.parse("(0, inf)")), str(Range.parse(" [0.1,1e2] ")), Range.parse("[2, 2]").value
    ('(0, inf)', '[1/10, 100]', Fraction(2, 1))
    """

    low: Fraction | float
    high: Fraction | float
    low_open: bool = False
    high_open: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.low, float) and not (self.low == -inf and self.low_open):
            raise ValueError(f"range {self} must have a rational lower end, or -inf as an open one")
        if isinstance(self.high, float) and not (self.high == inf and self.high_open):
            raise ValueError(f"range {self} must have a rational upper end, or inf as an open one")
        if self.low > self.high or (self.low == self.high and (self.low_open or self.high_open)):
            raise ValueError(f"range {self} is empty")

    @classmethod
    def parse(cls, text: str) -> Range:
        """The range written [a, b], (a, b], [a, inf), ...; ValueError in one line otherwise."""
        body = text.strip()
        ends = body[1:-1].split(",")
        if len(body) > _MAX_TEXT or body[:1] not in ("[", "(") or body[-1:] not in ("]", ")") or len(ends) != 2:
            raise ValueError(f"range {text[:60]!r} must be written [a, b], (a, b], [a, inf) or the like")
        low, high = (_end(end.strip()) for end in ends)
        return cls(low, high, body[0] == "(", body[-1] == ")")

    @classmethod
    def point(cls, value: Fraction) -> Range:
        """The range of one value."""
        return cls(value, value)

    @property
    def value(self) -> Fraction | None:
        """The only value of a degenerate range, else None."""
        return self.low if self.low == self.high and isinstance(self.low, Fraction) else None

    @property
    def open_everywhere(self) -> bool:
        """True where neither end belongs to the range."""
        return self.low_open and self.high_open

    @property
    def misses_zero(self) -> bool:
        """True where 0 is not in the range."""
        return not self.contains(Fraction(0))

    def contains(self, value: Fraction) -> bool:
        """True where `value` lies in the range."""
        above = self.low < value or (self.low == value and not self.low_open)
        return above and (value < self.high or (value == self.high and not self.high_open))

    def interval(self) -> Interval:
        """The closed interval that encloses the range."""
        return Interval.between(self.low, self.high)

    def __str__(self) -> str:
        return f"{'(' if self.low_open else '['}{self.low}, {self.high}{')' if self.high_open else ']'}"


def _end(text: str) -> Fraction | float:
    if text in ("inf", "+inf"):
        return inf
    return -inf if text == "-inf" else exact(text)
