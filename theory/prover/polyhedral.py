"""Piecewise-linear multiclass losses decided exactly, for every posterior of the closed simplex.

C_p is least at a vertex of the arrangement, so consistency is a finite set of linear questions. Let
class 0 be a likeliest class, P = {p : p_0 >= p_k} (its extreme points are the uniform distributions
on sets of classes that contain 0), and w a vertex at which a class j attains the largest score. If
weights lambda_v >= 0 that sum to 1 give

    sum_v lambda_v (C_p(w) - C_p(v)) >= kappa (p_0 - p_j)   at every extreme point p of P

with kappa > 0, then the same holds on P, and some vertex beats w by kappa (p_0 - p_j). When the best
kappa is 0, linear duality gives a posterior with p_0 > p_j at which w is optimal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from theory.checker.arrangement import Arrangement, Vertex
from theory.checker.polyhedral_rules import (
    Posterior,
    Weights,
    certified_kappa,
    class_pairs,
    distinct_losses,
    extreme_posteriors,
    is_optimal,
    wrong_vertices,
)

_ZERO = Fraction(0)
_TOLERANCE = 1e-9
"""Below this a float kappa counts as 0; everything it suggests is then verified exactly."""


@dataclass(frozen=True)
class Decision:
    """`kappa` > 0 with weights for every wrong vertex, or a posterior `p` at which the vertex `wrong` is optimal."""

    kappa: Fraction | None
    weights: tuple[Weights, ...] = ()
    p: Posterior | None = None
    wrong: Vertex | None = None
    label: int | None = None
    interior_consistent: bool = False


def decide(arrangement: Arrangement, symmetric: bool) -> Decision:
    """Decide consistency; `symmetric` losses need one pair of best and wrong class."""
    classes = arrangement.classes
    pairs = class_pairs(classes, symmetric)
    losses, owner = distinct_losses(arrangement)
    weights: list[Weights] = []
    failures: list[tuple[Posterior, Vertex, int]] = []
    for best, rival in pairs:
        extremes = extreme_posteriors(classes, best)
        for wrong in sorted({owner[vector] for vector in wrong_vertices(arrangement, rival)}):
            found = _weigh(losses, wrong, best, rival, extremes)
            if found is not None:
                weights.append(found)
                continue
            p = _posterior(losses, wrong, best, rival, extremes)
            if p is not None:
                vertex = next(v for v in arrangement.vertices if v.losses == losses[wrong] and rival in v.top)
                failures.append((p, vertex, rival))
    if not failures:
        return Decision(
            min((certified_kappa(losses, each, classes) for each in weights), default=Fraction(1)), tuple(weights)
        )
    p, vertex, rival = max(failures, key=lambda failure: (min(failure[0]) > 0, _simple(failure[0])))
    return Decision(None, (), p, vertex, rival, all(min(p) == 0 for p, _, _ in failures))


def _simple(p: Posterior) -> int:
    return -max(x.denominator for x in p)


def _leads(losses: list[Posterior], wrong: int, extremes: list[Posterior]) -> np.ndarray[Any, Any]:
    """C_p(wrong) - C_p(v) at the extreme posteriors: shape (posteriors, vertices)."""
    table = np.array([[float(x) for x in vector] for vector in losses])
    points = np.array([[float(x) for x in p] for p in extremes])
    return np.asarray(points @ (table[wrong] - table).T)


def _weigh(losses: list[Posterior], wrong: int, best: int, rival: int, extremes: list[Posterior]) -> Weights | None:
    """Exact weights with kappa > 0, or None."""
    from scipy.optimize import linprog  # takes half a second to load, and most proofs do without

    leads = _leads(losses, wrong, extremes)
    margin = np.array([float(p[best] - p[rival]) for p in extremes])
    count = leads.shape[1]
    result = linprog(
        np.append(np.zeros(count), -1.0),
        A_ub=np.column_stack([-leads, margin]),
        b_ub=np.zeros(len(extremes)),
        A_eq=[[*[1.0] * count, 0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * count + [(None, 1e6)],
    )
    if result.status != 0 or -result.fun <= _TOLERANCE:
        return None
    for size in (1, 12, 60, 1000, 10**6, 10**9):
        rounded = {v: Fraction(float(x)).limit_denominator(size) for v, x in enumerate(result.x[:-1]) if x > 1e-12}
        total = sum(rounded.values(), _ZERO)
        if total <= 0:
            continue
        weights = Weights(wrong, best, rival, {v: x / total for v, x in rounded.items() if x})
        if certified_kappa(losses, weights, len(extremes[0])) > 0:
            return weights
    return None


def _posterior(
    losses: list[Posterior], wrong: int, best: int, rival: int, extremes: list[Posterior]
) -> Posterior | None:
    """An exact posterior with p_best > p_rival at which `wrong` is optimal, inside the simplex if there is one."""
    from scipy.optimize import linprog

    leads = _leads(losses, wrong, extremes)
    margin = np.array([float(p[best] - p[rival]) for p in extremes])
    points = np.array([[float(x) for x in p] for p in extremes])
    count = len(extremes)
    for inside in (True, False):
        rows = [np.append(leads.T, np.zeros((leads.shape[1], 1)), axis=1), np.append(-margin, 1.0)[None, :]]
        if inside:
            rows.append(np.append(-points.T, np.ones((points.shape[1], 1)), axis=1))
        table = np.concatenate(rows)
        result = linprog(
            np.append(np.zeros(count), -1.0),
            A_ub=table,
            b_ub=np.zeros(len(table)),
            A_eq=[[*[1.0] * count, 0.0]],
            b_eq=[1.0],
            bounds=[(0, None)] * count + [(None, None)],
        )
        if result.status != 0 or -result.fun <= _TOLERANCE:
            continue
        p = points.T @ result.x[:-1]
        for candidate in _round_posteriors(p):
            if is_optimal(losses, losses[wrong], candidate) and candidate[best] > candidate[rival]:
                return candidate
    return None


def _round_posteriors(p: np.ndarray[Any, Any]) -> Iterator[Posterior]:
    """Rational posteriors near a float one, short ones first."""
    for size in (10, 20, 40, 100, 360, 1000, 10**4, 10**6):
        whole = [round(float(x) * size) for x in p]
        whole[0] += size - sum(whole)
        yield tuple(Fraction(x, size) for x in whole)
        near = [Fraction(float(x)).limit_denominator(size) for x in p]
        if sum(near) == 1:
            yield tuple(near)
