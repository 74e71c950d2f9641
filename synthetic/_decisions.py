"""Which wrong classes a loss may choose at a posterior: by region, by vertices, or by search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from theory.checker.arrangement import NotPolyhedral, arrange
from theory.losses import Loss

from ._agreement import POSTERIOR_TIE, is_binary
from ._cones import NEAR_TOP, VALUE_TOLERANCE, least_risks
from ._doors import BoolArray, FloatArray
from ._region import SearchedRegion, searched_region

VERTEX_TOLERANCE = 1e-12
"""Relative to 1 + |risk|: risks of vertices closer than this are equal. Cause: rounding of sums of a few products."""

MANY = 2_000
"""At most this many posteriors are searched at once; losses decided by region or vertices have no such limit."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """The decisions of one loss for one number of classes; searched posteriors are remembered.

    `region` for two classes; `vertices` (losses (V, c), tops (V, c)) for a piecewise linear loss, exact up to rounding;
    else the least risk with every class on top is searched for.
    """

    loss: Loss
    classes: int
    region: SearchedRegion | None
    vertices: tuple[FloatArray, BoolArray] | None
    _memory: dict[bytes, BoolArray] = field(default_factory=dict)

    @property
    def fast(self) -> bool:
        """Whether any number of posteriors can be decided at once."""
        return self.region is not None or self.vertices is not None

    @property
    def method(self) -> str:
        if self.region is not None:
            return self.region.method
        if self.vertices is not None:
            return f"{self.vertices[0].shape[0]} vertices of the loss"
        return "search of the cones with a class on top"

    def wrong(self, posterior: FloatArray) -> BoolArray:
        """For every row p of (m, c): the classes that are not most probable and yet among the top of a minimiser."""
        best = posterior.max(axis=1, keepdims=True)
        if self.region is not None:
            return np.asarray(self.region.holds(posterior[:, 1])[:, None] & (posterior < best))
        if self.vertices is not None:
            losses, tops = self.vertices
            out = np.empty(posterior.shape, dtype=bool)
            chunk = max(1, 4_000_000 // losses.shape[0])
            for start in range(0, posterior.shape[0], chunk):
                part = slice(start, start + chunk)
                risk = posterior[part] @ losses.T
                least = risk.min(axis=1)
                allowed = (least + VERTEX_TOLERANCE * (1.0 + np.abs(least)))[:, None]
                for k in range(self.classes):
                    out[part, k] = (risk[:, tops[:, k]] <= allowed).any(axis=1) if tops[:, k].any() else False
            return np.asarray(out & (posterior < best - POSTERIOR_TIE))
        keys = [row.tobytes() for row in posterior]
        fresh = {key: i for i, key in enumerate(keys) if key not in self._memory}
        if len(fresh) > MANY:
            raise ValueError(f"{len(fresh)} posteriors for {self.loss.name!r} must be at most {MANY}: each is searched")
        if fresh:
            rows = posterior[list(fresh.values())]
            values = least_risks(self.loss, rows)
            least = values.min(axis=1, keepdims=True)
            found = (values <= least + VALUE_TOLERANCE * (1.0 + np.abs(least))) & (
                rows < rows.max(axis=1, keepdims=True) - NEAR_TOP
            )
            self._memory.update(zip(fresh, found, strict=True))
        return np.stack([self._memory[key] for key in keys])

    def prepare(self, posteriors: Sequence[FloatArray]) -> None:
        """Search for all these posteriors at once, which is faster than law by law; nothing to do where `fast`."""
        if not self.fast and posteriors:
            rows = np.unique(np.concatenate(list(posteriors)), axis=0)
            for start in range(0, rows.shape[0], MANY):
                self.wrong(rows[start : start + MANY])

    def open_at(self, posterior: FloatArray) -> BoolArray:
        """Where the answer may go either way because the posterior is within rounding of an end of the region."""
        if self.region is None:
            return np.zeros(posterior.shape[0], dtype=bool)
        return self.region.near_an_end(posterior[:, 1])


def decisions(loss: Loss, classes: int, rng: np.random.Generator) -> Decisions:
    """How to decide for `loss` with `classes` classes; `rng` draws the spot checks of a region.

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
    return Decisions(loss, classes, None, None)
