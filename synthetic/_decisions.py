"""Which wrong classes a loss may choose at a posterior: by region, by vertices, or by search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from theory.checker.arrangement import NotPolyhedral, arrange
from theory.losses import Loss

from ._agreement import POSTERIOR_TIE, is_binary
from ._columns import ranks, row_max
from ._cones import NEAR_TOP, VALUE_TOLERANCE, least_risks
from ._doors import BoolArray, FloatArray, IntArray
from ._region import SearchedRegion, searched_region
from ._simplex import SearchedMap, searched_map

VERTEX_TOLERANCE = 1e-12
"""Relative to 1 + |risk|: risks of vertices closer than this are equal. Cause: rounding of sums of a few products."""

MANY = 2_000
"""Posteriors searched at once."""

MAPPED = 40_000
"""Points, and draws, of a law without cells on which a loss with a map of the simplex is checked."""

LIMIT = 64
"""The same for more than three classes, where every posterior costs a search of its own."""

FEW = 12
"""The same for more than four, where each such search takes about a second: rows of such laws say little."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """The decisions of one loss for one number of classes; searched posteriors are remembered.

    `region` for two classes and one score; `vertices` (losses (V, c), tops (V, c)) for a piecewise linear loss, exact
    up to rounding; else the least risk with every class on top is searched for: at single posteriors, and with `maps`
    (one per order of the classes, or a single one for a loss that treats them alike) for whole cells of posteriors.
    """

    loss: Loss
    classes: int
    region: SearchedRegion | None
    vertices: tuple[FloatArray, BoolArray] | None
    maps: dict[tuple[int, ...], SearchedMap] = field(default_factory=dict)
    _memory: dict[bytes, tuple[BoolArray, float]] = field(default_factory=dict)

    @property
    def fast(self) -> bool:
        """Whether any number of posteriors can be decided at once."""
        return self.region is not None or self.vertices is not None

    @property
    def limit(self) -> int:
        """How many points, and draws, of a law without cells are checked where `fast` does not hold."""
        return MAPPED if self.maps else LIMIT if self.classes <= 4 else FEW

    @property
    def spot_failures(self) -> int:
        """Posteriors that contradict the region or a map."""
        return (0 if self.region is None else self.region.spot_failures) + sum(
            each.spot_failures for each in self.maps.values()
        )

    @property
    def method(self) -> str:
        """How minimisers are found, in words."""
        if self.region is not None:
            return self.region.method
        if self.vertices is not None:
            return f"{self.vertices[0].shape[0]} vertices of the loss"
        return next(iter(self.maps.values())).method if self.maps else "search of the cones with a class on top"

    def wrong(self, posterior: FloatArray) -> BoolArray:
        """For every row p of (m, c): the classes that are not most probable and yet among the top of a minimiser."""
        if self.region is not None:
            return np.asarray(self.region.holds(posterior[:, 1])[:, None] & (posterior < row_max(posterior)[:, None]))
        if self.vertices is not None:
            return self._by_vertices(posterior)
        if not self.maps:
            return self.searched(posterior)
        out = np.zeros(posterior.shape, dtype=bool)
        left = np.ones(posterior.shape[0], dtype=bool)
        place = ranks(posterior)
        ordered = np.empty_like(posterior)
        np.put_along_axis(ordered, place, posterior, axis=1)
        for labels, found in self.maps.items():
            mine = slice(None) if len(self.maps) == 1 else np.flatnonzero((place == np.argsort(labels)).all(axis=1))
            answer, known = found.lookup(ordered[mine])
            out[mine] = np.take_along_axis(answer & known[:, None], place[mine], axis=1)
            left[mine] = ~known
        out[left] = self.searched(posterior[left])
        return np.asarray(out & (posterior < row_max(posterior)[:, None] - NEAR_TOP))

    def _by_vertices(self, posterior: FloatArray) -> BoolArray:
        assert self.vertices is not None
        losses, tops = self.vertices
        out = np.zeros(posterior.shape, dtype=bool)
        chunk = max(1, 4_000_000 // losses.shape[0])
        for start in range(0, posterior.shape[0], chunk):
            part = slice(start, start + chunk)
            risk = losses @ posterior[part].T
            least = risk.min(axis=0)
            allowed = least + VERTEX_TOLERANCE * (1.0 + np.abs(least))
            for k in range(self.classes):
                if tops[:, k].any():
                    out[part, k] = risk[tops[:, k]].min(axis=0) <= allowed
        return np.asarray(out & (posterior < row_max(posterior)[:, None] - POSTERIOR_TIE))

    def searched(self, posterior: FloatArray) -> BoolArray:
        """The same by a search at every posterior; ones met before are remembered."""
        found = self._search(posterior)
        return np.stack([wrong for wrong, _ in found]) if found else np.zeros(posterior.shape, dtype=bool)

    def least(self, posterior: FloatArray) -> FloatArray:
        """inf C_p for every row (m, c), for a loss with one score per class: (m,)."""
        if self.vertices is not None:
            return np.asarray((self.vertices[0] @ posterior.T).min(axis=0))
        return np.array([value for _, value in self._search(posterior)])

    def _search(self, posterior: FloatArray) -> list[tuple[BoolArray, float]]:
        keys = [row.tobytes() for row in np.round(posterior, 12)]  # a law with symmetries repeats itself up to rounding
        fresh = list({key: i for i, key in enumerate(keys) if key not in self._memory}.items())
        for start in range(0, len(fresh), MANY):
            part = fresh[start : start + MANY]
            rows = posterior[[i for _, i in part]]
            values = least_risks(self.loss, rows)
            least = values.min(axis=1, keepdims=True)
            found = (values <= least + VALUE_TOLERANCE * (1.0 + np.abs(least))) & (
                rows < rows.max(axis=1, keepdims=True) - NEAR_TOP
            )
            self._memory.update(
                (key, (wrong, float(low))) for (key, _), wrong, low in zip(part, found, least[:, 0], strict=True)
            )
        return [self._memory[key] for key in keys]

    def prepare(self, posteriors: Sequence[FloatArray]) -> None:
        """Search for all these posteriors at once, which is faster than law by law; nothing to do where `fast`."""
        if not self.fast and posteriors:
            self._search(np.unique(np.concatenate(list(posteriors)), axis=0))

    def open_at(self, posterior: FloatArray) -> BoolArray:
        """Where the answer may go either way because the posterior is within rounding of an end of the region."""
        if self.region is None:
            return np.zeros(posterior.shape[0], dtype=bool)
        return self.region.near_an_end(posterior[:, 1])


def decisions(loss: Loss, classes: int, rng: np.random.Generator, *, mapped: bool = True) -> Decisions:
    """How to decide for `loss` with `classes` classes; `rng` draws the spot checks of a region or a map.

    `mapped` False makes no maps: posteriors are then searched one by one.

    ValueError where the loss has no form for that many classes.
    """
    if classes == 2 and is_binary(loss):
        return Decisions(loss, 2, searched_region(loss, rng), None)
    if loss.multiclass is None:
        raise ValueError(f"loss={loss.name!r} must have a multiclass formula for a law with {classes} classes")
    vectors = {name: value for name, value in loss.parameters.items() if isinstance(value, tuple)}
    loss.values(np.zeros(classes))  # refuses vectors of another length
    if classes <= 4:
        try:
            found = arrange(loss.score_tree, classes, loss.domain.kind, loss.domain.bound, vectors)
        except NotPolyhedral:
            found = None
        if found is not None and all(min(ray.losses) >= 0 for ray in found.rays):
            losses = np.array([[float(x) for x in v.losses] for v in found.vertices])
            tops = np.array([[k in v.top for k in range(classes)] for v in found.vertices])
            return Decisions(loss, classes, None, (losses, tops))
    bare = Decisions(loss, classes, None, None)
    if not mapped or classes > 3:
        return bare
    alike = not vectors
    for labels in [tuple(range(classes))] if alike else list(permutations(range(classes))):
        back = np.argsort(labels)

        def search(ordered: FloatArray, labels: tuple[int, ...] = labels, back: IntArray = back) -> BoolArray:
            return bare.searched(ordered[:, back])[:, labels]

        bare.maps[labels] = searched_map(search, classes, rng)
    return bare
