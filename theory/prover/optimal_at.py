"""Posteriors at which given wrong scores are optimal: linear programs over the simplex, cuts from a float search."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from theory.checker.cone_cells import Posterior
from theory.losses import Loss
from theory.risk import multiclass_minimiser

from .branching import Floats

_ROUNDS = 40
_CLEAR = 1e-7
"""A risk that is lower by this is a cut; a lead below it is none."""
_LONGEST = 1000
"""Denominators of the posterior."""


def posterior_for(loss: Loss, scores: Posterior) -> Posterior | None:
    """A posterior with class 0 likeliest at which the scores, another class on top, minimise the risk in floats.

    The risk is linear in p: sum_y p_y (L_y(f) - L_y(scores)) >= 0 for every f. The largest lead of class 0 over the
    others that this allows is found first; then, at half of it, a posterior far from all the constraints. None where
    no lead is left.

    >>> from theory import from_formula
    >>> loss = from_formula("lse - fy + sum_other(max(0, 1 - (fy - fk))) / 10", classes=3)
    >>> p = posterior_for(loss, (Fraction(0), Fraction(0), Fraction(-1)))
    >>> p is not None and p[0] > p[1] > p[2]
    True
    """
    program = _Program(loss, np.array([float(score) for score in scores]))
    lead = program.solve(None)
    if lead is None or not lead[0] > _CLEAR:
        return None
    roomy = program.solve(lead[0] / 2)
    if roomy is None or not roomy[0] > 0:
        return None
    return next((p for p in _rationals(roomy[1]) if program.lower_than(np.array(list(map(float, p)))) is None), None)


class _Program:
    """Cuts that posteriors must satisfy: rows (L(f) - L(scores)) / min(1, |f - scores|)."""

    def __init__(self, loss: Loss, scores: Floats) -> None:
        self.loss, self.scores = loss, scores
        self.base = loss.values(scores)
        rng = np.random.default_rng(0)
        near = [scores + size * rng.normal(size=(40, len(scores))) for size in (1e-3, 0.1, 1.0, 4.0)]
        self.cuts = self._rows(np.concatenate(near))

    def _rows(self, f: Floats) -> Floats:
        with np.errstate(all="ignore"):
            size = np.minimum(1.0, np.linalg.norm(f - self.scores, axis=-1, keepdims=True))
            rows = (self.loss.values(f) - self.base) / size
        return np.asarray(rows[np.isfinite(rows).all(-1)])

    def lower_than(self, p: Floats) -> Floats | None:
        """Scores with a risk that is clearly lower than that of the given ones, (1, c), if a search finds some."""
        best, value = multiclass_minimiser(self.loss, p[None, :], starts=6)
        here = float(p @ self.base)
        return best if value[0] < here - _CLEAR * max(1.0, abs(here)) else None

    def solve(self, lead: float | None) -> tuple[float, Floats] | None:
        """The largest lead; or, given a lead, the largest distance from the cuts; and its posterior."""
        for _ in range(_ROUNDS):
            found = self._solve(lead)
            if found is None:
                return None
            best = self.lower_than(found[1])
            if best is None:
                return found
            self.cuts = np.concatenate([self.cuts, self._rows(best)])
        return None

    def _solve(self, lead: float | None) -> tuple[float, Floats] | None:
        """Maximise x over (p, x): p in the simplex, p_0 - p_k >= x (or the lead), p . cut >= 0 (or x)."""
        from scipy.optimize import linprog

        c = len(self.base)
        leads = np.hstack([np.full((c - 1, 1), -1.0), np.eye(c - 1), np.full((c - 1, 1), 1.0 if lead is None else 0.0)])
        cuts = np.hstack([-self.cuts, np.full((len(self.cuts), 1), 0.0 if lead is None else 1.0)])
        upper = np.concatenate([np.full(c - 1, 0.0 if lead is None else -lead), np.zeros(len(cuts))])
        total = np.array([[1.0] * c + [0.0]])
        goal = np.array([0.0] * c + [-1.0])
        bounds = [(0.0, 1.0)] * c + [(None, None)]
        found = linprog(goal, A_ub=np.vstack([leads, cuts]), b_ub=upper, A_eq=total, b_eq=[1.0], bounds=bounds)
        return (float(found.x[-1]), np.asarray(found.x[:-1])) if found.status == 0 else None


def _rationals(p: Floats) -> Iterator[Posterior]:
    """Fractions near a float posterior, short ones first, with class 0 still the likeliest."""
    for size in (16, 32, 64, 256, _LONGEST):
        others = [Fraction(round(float(x) * size), size) for x in p[1:]]
        first = 1 - sum(others, Fraction(0))
        if first > max(others):
            yield (first, *others)
