"""Where the scores of a cone may lie, in the coordinates of the cone: trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from theory.expression.interval import Interval
from theory.expression.nodes import Const, Expr
from theory.expression.share import share

from .cone_bounds import lower
from .cone_cells import Posterior, Span, stretch

CENTRED = ("sum-zero", "ball")
"""Domains of scores that sum to zero."""


class Region:
    """All scores, sum-zero ones, a box |f_k| <= bound, or a ball {sum f = 0, |f| <= bound}.

    `names` are the gaps w_1, ..., w_{c-1}, and the top score `a` unless moving all scores together is free;
    `scores` are the scores by rank in these names.
    """

    def __init__(self, kind: str, bound: Fraction | None, names: Sequence[str], scores: Sequence[Expr]) -> None:
        if (kind in ("bounded", "ball")) != (bound is not None):
            raise ValueError(f"domain {kind!r} must have a bound exactly when it is bounded or a ball")
        self.kind, self.bound, self.names = kind, bound, tuple(names)
        self._excess = [share(tree) for tree in self._beyond(scores)]

    def _beyond(self, scores: Sequence[Expr]) -> list[Expr]:
        """Trees in the names of which one is positive exactly where the scores leave the domain."""
        if self.bound is None:
            return []
        limit = Const(self.bound)
        if self.kind == "ball":
            square: Expr = Const(Fraction(0))
            for score in scores:
                square = square + score * score
            return [square - limit * limit]
        if "a" in self.names:
            return [scores[0] - limit, -limit - scores[-1]]
        return [scores[0] - scores[-1] - limit - limit]

    def box(self, spans: Sequence[Span]) -> dict[str, Interval]:
        """The intervals of the names: w = z / (1 - z), a = (z - 1/2) / (z (1 - z)); w = 2 B z, a = B (2 z - 1)."""
        found = {}
        for name, span in zip(self.names, spans, strict=True):
            if self.bound is None:
                found[name] = Interval.between(*(stretch(z, name == "a") for z in span))
            else:
                found[name] = Interval.between(*(self.bound * (2 * z - (name == "a")) for z in span))
        return found

    def outside(self, box: Mapping[str, Interval]) -> bool:
        """No point of the box lies in the domain."""
        return any(lower(excess, box) > 0 for excess in self._excess)

    def contains(self, scores: Posterior) -> bool:
        """True where explicit scores lie in the domain."""
        if self.kind in CENTRED and sum(scores) != 0:
            return False
        if self.bound is None:
            return True
        if self.kind == "ball":
            return sum((score * score for score in scores), Fraction(0)) <= self.bound**2
        return max(map(abs, scores)) <= self.bound

    def has_room(self, m: int, box: Mapping[str, Interval], up: int, down: int) -> bool:
        """Near the tie of ranks 0 and m one class may go up and the other down a little, at these speeds.

        In a ball they may after rescaling.
        """
        if self.kind in CENTRED:
            return up == down
        if self.bound is None:
            return True
        limit = Interval.point(self.bound)
        if "a" in self.names:
            return bool((not up or box["a"].hi < limit.hi) and (not down or box["a"].lo > (-limit).lo))
        spread = Interval.point(0)
        for name in self.names[m:]:
            spread = spread + box[name]
        return bool(not up or spread.hi < (limit + limit).lo)
