"""The posteriors of two or three classes at which a searched loss fails: a map of the sorted simplex.

The scores' search costs too much for every point of a law. The map searches at the corners of triangles (three classes;
intervals for two) and cuts those whose corners answer differently; a posterior inside a triangle whose corners agree
has their answer, any other is searched for by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.spatial import Delaunay

from ._cones import NEAR_TOP
from ._doors import BoolArray, FloatArray, IntArray

LATTICE = 20
"""Steps per side of the first, even, set of corners."""

NEAR_FACES = (1e-5, 1e-3, 1e-2)
"""Further corners this close to the ties of the two likeliest classes (from `NEAR_TOP` on) and to the face p_c = 0."""

CUTS = 5
"""How often triangles whose corners differ are cut: the boundary is then followed to 1/640 of the simplex."""

Search = Callable[[FloatArray], BoolArray]
"""Posteriors (m, c) in decreasing order to (m, c): which ranks are among the top of a minimiser and not most likely."""


@dataclass(frozen=True, eq=False)
class SearchedMap:
    """Answers at `corners` (n, c - 1) of `cells` (k, c): one row of corner numbers each.

    Coordinates are p_1 - p_2 and, for three classes, 3 p_3, of the sorted posterior. `answer` (k, c) holds for a whole
    cell where `agreed` (k,). `resolution` is the longest side of a cell: a failing set within a cell goes unseen.
    `spots` posteriors off the corners were searched too, `spot_failures` of them contradict the cells.
    """

    corners: FloatArray
    cells: IntArray
    answer: BoolArray
    agreed: BoolArray
    resolution: float
    spots: int
    spot_failures: int
    _triangles: Delaunay | None

    def lookup(self, ordered: FloatArray) -> tuple[BoolArray, BoolArray]:
        """For posteriors (m, c) in decreasing order: the answer (m, c), and where it is known (m,)."""
        cell = _cell_of(_coordinates(ordered), self.corners, self._triangles)
        known = (cell >= 0) & self.agreed[cell]
        return self.answer[cell], known

    @property
    def method(self) -> str:
        agreed = int(self.agreed.sum())
        return f"search of the cones at {self.corners.shape[0]} posteriors ({agreed} of {self.agreed.size} cells agree)"


def searched_map(search: Search, classes: int, rng: np.random.Generator, spots: int = 48) -> SearchedMap:
    """Search the corners, cut the cells whose corners differ `CUTS` times, then try `spots` posteriors from `rng`."""
    corners = _corners(classes)
    found = search(_posterior(corners))
    for step in range(CUTS + 1):
        triangles = Delaunay(corners) if classes == 3 else None
        cells = _cells(corners, triangles)
        answer, agreed = _agree(found, _free(corners), cells)
        if step == CUTS or agreed.all():
            break
        middles = _middles(corners, found, _free(corners), cells[~agreed])
        found = np.concatenate([found, search(_posterior(middles))])
        corners = np.concatenate([corners, middles])
        if classes == 2:
            order = np.argsort(corners[:, 0])
            corners, found = corners[order], found[order]
    sides = [corners[cells[:, i]] - corners[cells[:, j]] for i, j in combinations(range(classes), 2)]
    resolution = float(max(np.abs(side).max() for side in sides))
    drawn = np.sort(rng.dirichlet(np.ones(classes), spots), axis=1)[:, ::-1]
    made = SearchedMap(corners, cells, answer, agreed, resolution, spots, 0, triangles)
    told, known = made.lookup(drawn)
    wrong = (told & (drawn < drawn[:, :1] - NEAR_TOP)) != search(drawn)
    object.__setattr__(made, "spot_failures", int((wrong.any(axis=1) & known).sum()))
    return made


def _posterior(points: FloatArray) -> FloatArray:
    """Sorted posteriors of coordinates (m, c - 1): (m, c)."""
    lead = points[:, 0]
    if points.shape[1] == 1:
        return np.stack([0.5 * (1.0 + lead), 0.5 * (1.0 - lead)], axis=1)
    last = points[:, 1] / 3.0
    second = 0.5 * np.maximum(1.0 - lead - points[:, 1], 0.0) + last
    return np.stack([lead + second, second, last], axis=1)


def _coordinates(ordered: FloatArray) -> FloatArray:
    lead = ordered[:, 0] - ordered[:, 1]
    return lead[:, None] if ordered.shape[1] == 2 else np.stack([lead, 3.0 * ordered[:, 2]], axis=1)


def _corners(classes: int) -> FloatArray:
    near = [x for x in NEAR_FACES if x > 2.0 * NEAR_TOP]
    even = np.arange(LATTICE + 1) / LATTICE
    if classes == 2:
        return np.unique(np.concatenate([even, near, np.arange(4 * LATTICE + 1) / (4 * LATTICE)]))[:, None]
    lead, last = np.meshgrid(np.append(even, near), np.append(even, NEAR_FACES), indexing="ij")
    points = np.stack([lead.ravel(), last.ravel()], axis=1)
    return np.asarray(points[points.sum(axis=1) <= 1.0 + 1e-12])


def _cells(corners: FloatArray, triangles: Delaunay | None) -> IntArray:
    if triangles is not None:
        return np.asarray(triangles.simplices, dtype=np.int64)
    first = np.arange(corners.shape[0] - 1)
    return np.stack([first, first + 1], axis=1)


def _cell_of(points: FloatArray, corners: FloatArray, triangles: Delaunay | None) -> IntArray:
    """The cell of every point; -1 outside all (rounding at the border)."""
    if triangles is not None:
        return np.asarray(triangles.find_simplex(points), dtype=np.int64)
    place = np.searchsorted(corners[:, 0], points[:, 0], side="right") - 1
    return np.clip(place, 0, corners.shape[0] - 2).astype(np.int64)


def _free(corners: FloatArray) -> BoolArray:
    """Ranks (n, c) that tie with the first by definition (`NEAR_TOP`): whatever is found there decides no cell."""
    ordered = _posterior(corners)
    return np.asarray(ordered >= ordered[:, :1] - NEAR_TOP)


def _agree(found: BoolArray, free: BoolArray, cells: IntArray) -> tuple[BoolArray, BoolArray]:
    """Per cell what a corner that is not free says of each rank (k, c), and whether all such corners agree (k,)."""
    yes: BoolArray = np.any((found & ~free)[cells], axis=1)
    no: BoolArray = np.any((~found & ~free)[cells], axis=1)
    return yes, np.asarray(~np.any(yes & no, axis=1))


def _middles(corners: FloatArray, found: BoolArray, free: BoolArray, cells: IntArray) -> FloatArray:
    """Middles of the sides of `cells` whose ends disagree; a cell split between a free corner and others counts too."""
    pairs = np.concatenate([cells[:, [i, j]] for i, j in combinations(range(cells.shape[1]), 2)])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    i, j = pairs.T
    differ = ((found[i] != found[j]) & ~free[i] & ~free[j]).any(axis=1)
    return np.asarray(0.5 * (corners[i] + corners[j])[differ])
