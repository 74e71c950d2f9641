"""The posteriors of two or three classes at which a searched loss fails: a map of the sorted simplex.

A search of the scores costs too much for every point of a law. The map searches at the corners of cells, and cuts the
cells whose corners answer differently; a posterior inside a cell whose corners agree has their answer, any other is
searched for by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from ._cones import NEAR_TOP
from ._doors import BoolArray, FloatArray, IntArray

LATTICE = 16
"""Even steps per coordinate of the first cells."""

NEAR = (1e-5, 1e-3, 1e-2)
"""Further steps this close to the tie of the two likeliest classes (above `NEAR_TOP`) and to the face p_3 = 0."""

CUTS = 5
"""How often cells whose corners differ are cut in every coordinate: the boundary is then followed to 1/512."""

Search = Callable[[FloatArray], BoolArray]
"""Posteriors (m, c) in decreasing order to (m, c): which ranks are among the top of a minimiser and not most likely."""


@dataclass(frozen=True, eq=False)
class SearchedMap:
    """A tree of boxes in the coordinates p_1 - p_2 and, for three classes, 3 p_3 / (2 p_2 + p_3), of sorted posteriors.

    `axes` are the ends of the first boxes. Per box: `low`, `high` (k, c - 1), `answer` (k, c), which holds for the
    whole box where `agreed` (k,), and `child` (k,), the first of the boxes it was cut into, or -1. `resolution` is the
    widest box that agrees: a failing set inside one goes unseen. `corners` posteriors were searched for, and `spots`
    more off the corners, `spot_failures` of which contradict their box.
    """

    axes: tuple[FloatArray, ...]
    low: FloatArray
    high: FloatArray
    answer: BoolArray
    agreed: BoolArray
    child: IntArray
    resolution: float
    corners: int
    spots: int
    spot_failures: int

    def lookup(self, ordered: FloatArray) -> tuple[BoolArray, BoolArray]:
        """For posteriors (m, c) in decreasing order: the answer (m, c), and where it is known (m,)."""
        points = _coordinates(ordered)
        box = np.zeros(points.shape[0], dtype=np.int64)
        for x, axis in zip(points.T, self.axes, strict=True):
            place = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, axis.shape[0] - 2)
            box = box * (axis.shape[0] - 1) + place
        for _ in range(CUTS):
            inner = np.flatnonzero(self.child[box] >= 0)
            if not inner.size:
                break
            mine = box[inner]
            half = points[inner] >= 0.5 * (self.low[mine] + self.high[mine])
            box[inner] = self.child[mine] + half @ _weights(points.shape[1])
        return self.answer[box], self.agreed[box]

    @property
    def method(self) -> str:
        """How the map was found: posteriors searched, and on how many of its cells all of them agree."""
        leaves = self.child < 0
        agreed = int((self.agreed & leaves).sum())
        return f"search of the cones at {self.corners} posteriors ({agreed} of {int(leaves.sum())} cells agree)"


def searched_map(search: Search, classes: int, rng: np.random.Generator, spots: int = 48) -> SearchedMap:
    """Search the corners, cut the cells whose corners differ up to `CUTS` times, then try `spots` posteriors."""
    even = np.arange(LATTICE + 1) / LATTICE
    lead = np.unique(np.append(even, [x for x in NEAR if x > 2.0 * NEAR_TOP]))
    axes = (lead,) if classes == 2 else (lead, np.unique(np.append(even, NEAR)))
    low = np.array(list(product(*[axis[:-1] for axis in axes])))
    high = np.array(list(product(*[axis[1:] for axis in axes])))
    seen: list[FloatArray] = []
    parts: list[tuple[FloatArray, FloatArray, BoolArray, BoolArray]] = []
    child: list[IntArray] = []
    count = low.shape[0]
    for step in range(CUTS + 1):
        answer, agreed, corners = _ask(search, low, high)
        seen.append(corners)
        parts.append((low, high, answer, agreed))
        cut = ~agreed if step < CUTS else np.zeros_like(agreed)
        children = np.full(agreed.shape[0], -1, dtype=np.int64)
        children[cut] = count + (1 << low.shape[1]) * np.arange(int(cut.sum()))
        child.append(children)
        if not cut.any():
            break
        low, high = _halves(low[cut], high[cut])
        count += low.shape[0]
    lows, highs, answers, agree = (np.concatenate(column) for column in zip(*parts, strict=True))
    widths = (highs - lows)[agree]
    drawn = np.sort(rng.dirichlet(np.ones(classes), spots), axis=1)[:, ::-1]
    made = SearchedMap(
        axes,
        lows,
        highs,
        answers,
        agree,
        np.concatenate(child),
        float(widths.max()) if widths.size else 0.0,
        np.unique(np.concatenate(seen), axis=0).shape[0],
        spots,
        0,
    )
    told, known = made.lookup(drawn)
    wrong = (told & (drawn < drawn[:, :1] - NEAR_TOP)) != search(drawn)
    object.__setattr__(made, "spot_failures", int((wrong.any(axis=1) & known).sum()))
    return made


def _weights(d: int) -> IntArray:
    """What the upper half counts in every coordinate: boxes are numbered like `product([0, 1], repeat=d)`."""
    return np.array([1 << (d - 1 - i) for i in range(d)])


def _posterior(points: FloatArray) -> FloatArray:
    """Sorted posteriors of coordinates (m, c - 1): (m, c)."""
    lead = points[:, 0]
    if points.shape[1] == 1:
        return np.stack([0.5 * (1.0 + lead), 0.5 * (1.0 - lead)], axis=1)
    last = points[:, 1] * (1.0 - lead) / 3.0
    second = 0.5 * np.maximum(1.0 - lead - last, 2.0 * last)
    return np.stack([lead + second, second, last], axis=1)


def _coordinates(ordered: FloatArray) -> FloatArray:
    lead = ordered[:, 0] - ordered[:, 1]
    if ordered.shape[1] == 2:
        return lead[:, None]
    rest = 2.0 * ordered[:, 1] + ordered[:, 2]
    return np.stack([lead, 3.0 * ordered[:, 2] / np.where(rest > 0.0, rest, 1.0)], axis=1)


def _halves(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Every box cut in the middle of every coordinate: (k, d) twice to (k 2^d, d) twice."""
    upper = np.array(list(product([False, True], repeat=low.shape[1])))
    middle = 0.5 * (low + high)
    shape = (-1, low.shape[1])
    first = np.where(upper, middle[:, None], low[:, None]).reshape(shape)
    return first, np.where(upper, high[:, None], middle[:, None]).reshape(shape)


def _ask(search: Search, low: FloatArray, high: FloatArray) -> tuple[BoolArray, BoolArray, FloatArray]:
    """Per box what its corners say of each rank (k, c), whether they agree on all ranks but the first, which is never
    wrong (k,), and the corners. Ranks that decide nothing at a corner do not count there (`_free`)."""
    upper = np.array(list(product([False, True], repeat=low.shape[1])))
    all_corners = np.where(upper, high[:, None], low[:, None])
    corners, back = np.unique(all_corners.reshape(-1, low.shape[1]), axis=0, return_inverse=True)
    ordered = _posterior(corners)
    found, free = search(ordered), _free(ordered)
    index = back.reshape(low.shape[0], -1)
    yes: BoolArray = np.any((found & ~free)[index], axis=1)
    no: BoolArray = np.any((~found & ~free)[index], axis=1)
    return yes, np.asarray(np.all(yes[:, 1:] != no[:, 1:], axis=1)), corners


def _free(ordered: FloatArray) -> BoolArray:
    """Ranks (n, c) that decide nothing: they tie with the first by definition (`NEAR_TOP`), or with each other, so that
    what holds of one there holds of both."""
    free = np.asarray(ordered >= ordered[:, :1] - NEAR_TOP)
    if ordered.shape[1] == 3:
        free[:, 1:] |= (ordered[:, 1] - ordered[:, 2] < NEAR_TOP)[:, None]
    return free
