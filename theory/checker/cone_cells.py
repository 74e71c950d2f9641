"""Cells of posteriors and boxes of compressed coordinates, and how both are halved: trusted.

A cell is the convex hull of finitely many posteriors, written by rank. A box has one interval of z in [0, 1]
per coordinate; `stretch` tells which score or gap a z stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, permutations

_ZERO = Fraction(0)
Posterior = tuple[Fraction, ...]
Span = tuple[Fraction, Fraction]
"""An interval of a compressed coordinate z in [0, 1]."""
Cell = tuple[Posterior, ...]


def first_cell(classes: int, m: int) -> Cell:
    """The extreme points of {p : p_m >= p_r}: the uniform distributions on sets of ranks that contain m."""
    others = [r for r in range(classes) if r != m]
    sets = [(m, *chosen) for size in range(classes) for chosen in combinations(others, size)]
    return tuple(_uniform(chosen, classes) for chosen in sets)


def split_cell(cell: Cell, classes: int, m: int) -> list[Cell]:
    """The first cell into one simplex per order of the other ranks; a simplex into two across its longest edge."""
    if cell == first_cell(classes, m):
        others = [r for r in range(classes) if r != m]
        return [
            tuple(_uniform((m, *order[:size]), classes) for size in range(classes)) for order in permutations(others)
        ]
    edges = combinations(range(len(cell)), 2)
    i, k = max(edges, key=lambda edge: (_square(cell[edge[0]], cell[edge[1]]), -edge[0], -edge[1]))
    middle = tuple((x + y) / 2 for x, y in zip(cell[i], cell[k], strict=True))
    return [tuple(middle if r == j else x for r, x in enumerate(cell)) for j in (i, k)]


def split_spans(spans: tuple[Span, ...], axis: int, at: Fraction | None = None) -> list[tuple[Span, ...]]:
    """A box of gaps halved along one coordinate, or cut at a number inside it."""
    low, high = spans[axis]
    middle = (low + high) / 2 if at is None else at
    return [(*spans[:axis], half, *spans[axis + 1 :]) for half in ((low, middle), (middle, high))]


def stretch(z: Fraction, both_sides: bool) -> Fraction | float:
    """w = z / (1 - z) in [0, inf]; on both sides of 0, (z - 1/2) / (z (1 - z)) in [-inf, inf]."""
    if z in (0, 1) and (both_sides or z == 1):
        return float("inf") if z == 1 else float("-inf")
    return (z - Fraction(1, 2)) / (z * (1 - z)) if both_sides else z / (1 - z)


def _uniform(chosen: Sequence[int], classes: int) -> Posterior:
    return tuple(Fraction(int(r in chosen), len(chosen)) for r in range(classes))


def _square(x: Posterior, y: Posterior) -> Fraction:
    return sum(((a - b) ** 2 for a, b in zip(x, y, strict=True)), _ZERO)
