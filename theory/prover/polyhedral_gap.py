"""The gap of a piecewise-linear loss at its worst posterior: linear programs in floats, then exact arithmetic.

For a wrong vertex u the least value of max_v (C_p(u) - C_p(v)) over p with p_b >= p_k and p_b - p_j >= eps is a linear
program. Its posterior is rounded to fractions that satisfy the constraints; there the gap is exact (Lemma 14).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from theory.checker.arrangement import Arrangement
from theory.checker.polyhedral_rules import Posterior, class_pairs, distinct_losses, dot

_ZERO = Fraction(0)
Witness = tuple[Fraction, Posterior, Posterior, int]
"""The gap, the posterior, wrong scores that attain it, and the wrong class on top of them."""


def polyhedral_witness(found: Arrangement, epsilon: Fraction, symmetric: bool) -> Witness | None:
    """An exact posterior with p_b - p_j >= epsilon and its exact gap, the least that the programs find."""
    losses, _ = distinct_losses(found)
    table = np.array([[float(x) for x in vector] for vector in losses])
    best: Witness | None = None
    for b, j in class_pairs(found.classes, symmetric):
        wrong = [vertex for vertex in found.vertices if j in vertex.top]
        values = {vertex.losses: vertex for vertex in wrong}
        for p in _posteriors(table, [np.array([float(x) for x in each]) for each in values], b, j, epsilon):
            least = min(dot(vector, p) for vector in losses)
            vector = min(values, key=lambda each: dot(each, p))
            gap = dot(vector, p) - least
            if best is None or gap < best[0]:
                best = gap, p, values[vector].scores, j
    return best


def _posteriors(table: np.ndarray, wrong: list[np.ndarray], b: int, j: int, epsilon: Fraction) -> Iterator[Posterior]:
    from scipy.optimize import linprog  # takes half a second to load, and most proofs do without

    classes = table.shape[1]
    rows = [np.eye(classes)[k] - np.eye(classes)[b] for k in range(classes) if k != b]
    rows.append(np.eye(classes)[j] - np.eye(classes)[b])
    limits = [0.0] * (classes - 1) + [-float(epsilon)]
    for vector in wrong:
        gains = vector - table
        result = linprog(
            np.append(np.zeros(classes), 1.0),
            A_ub=np.concatenate(
                [np.column_stack([gains, -np.ones(len(gains))]), np.column_stack([rows, np.zeros(len(rows))])]
            ),
            b_ub=[0.0] * len(gains) + limits,
            A_eq=[[*[1.0] * classes, 0.0]],
            b_eq=[1.0],
            bounds=[(0, None)] * classes + [(None, None)],
        )
        if result.status == 0:
            yield _rounded(result.x[:classes], b, j, epsilon)


def _rounded(found: np.ndarray, b: int, j: int, epsilon: Fraction) -> Posterior:
    """A short rational posterior near a float one with p_b largest and p_b - p_j >= epsilon."""
    shares = [max(Fraction(float(x)).limit_denominator(10**4), _ZERO) for x in found]
    total = sum(shares, _ZERO)
    p = [x / total for x in shares]
    sure = [Fraction(int(k == b)) for k in range(len(p))]
    step = Fraction(1, 10**7)
    while not (p[b] == max(p) and p[b] - p[j] >= epsilon):
        p = [(1 - step) * x + step * y for x, y in zip(p, sure, strict=True)]
        step = min(4 * step, Fraction(1))
    return tuple(p)
