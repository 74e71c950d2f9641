"""Tall arrays with few columns, column by column and many rows at a time: far faster than row by row."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from ._doors import BoolArray, FloatArray, IntArray


def row_max(table: FloatArray) -> FloatArray:
    """The largest entry of every row: (m, c) to (m,)."""
    return np.asarray(reduce(np.maximum, table.T))


def row_min(table: FloatArray) -> FloatArray:
    """The smallest entry of every row: (m, c) to (m,)."""
    return np.asarray(reduce(np.minimum, table.T))


def all_but_largest(table: FloatArray) -> FloatArray:
    """The sum of every row without its largest entry, 1 - max p without the cancellation: (m, c) to (m,)."""
    if table.shape[1] == 2:
        return row_min(table)
    return np.asarray(np.sort(table, axis=1)[:, :-1].sum(axis=1))


def row_lead(table: FloatArray) -> tuple[FloatArray, IntArray]:
    """The largest entry of every row less the second largest, and where the largest is: (m, c) to (m,) twice."""
    if table.shape[1] == 2:
        ahead = table[:, 1] - table[:, 0]
        return np.abs(ahead), (ahead > 0.0).astype(np.int64)
    ordered = np.sort(table, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2]), np.asarray(table.argmax(axis=1), dtype=np.int64)


def row_any(table: BoolArray) -> BoolArray:
    """Whether any entry of a row holds: (m, c) to (m,)."""
    return np.asarray(reduce(np.logical_or, table.T))


def worst_loss(posterior: FloatArray, wrong: BoolArray) -> FloatArray:
    """max p - p_j over the wrong classes j of every row, 0 where there is none: (m, c) twice to (m,)."""
    if not wrong.any():
        return np.zeros(posterior.shape[0])
    best = row_max(posterior)
    return np.asarray(
        reduce(np.maximum, [np.where(w, best - p, 0.0) for p, w in zip(posterior.T, wrong.T, strict=True)])
    )


def ranks(table: FloatArray) -> IntArray:
    """The place of every entry in its row in decreasing order, equal ones from the left: (m, c) to (m, c)."""
    columns = table.T
    out = np.empty(table.shape, dtype=np.int64)
    for j, mine in enumerate(columns):
        before = [other >= mine if k < j else other > mine for k, other in enumerate(columns) if k != j]
        out[:, j] = reduce(np.add, [each.view(np.int8) for each in before])
    return out


def distance_rounding(covariance: FloatArray) -> float:
    """Relative rounding of a Mahalanobis distance in float64: 4 d eps times the condition number of the correlations.

    Cholesky's factorisation is backward stable, and scaling the coordinates does not change its error (Higham 2002,
    Theorem 10.6): with correlations near one, distances lose digits.
    """
    unit = 1.0 / np.sqrt(np.diagonal(covariance))
    low, high = np.linalg.eigvalsh(covariance * unit * unit[:, None])[[0, -1]]
    eps = float(np.finfo(np.float64).eps)
    small, large = float(low), float(high)
    condition = large / small if small > 0.0 else 1.0 / eps
    return 4.0 * len(covariance) * eps * condition


ROWS = 1 << 16
"""Points at once: the temporary arrays stay near the processor, and a call of NumPy is not noticed."""


def in_pieces(call: Callable[[FloatArray], FloatArray], points: FloatArray, columns: int) -> FloatArray:
    """call(points) of shape (n, columns), computed for `ROWS` points at a time."""
    out = np.empty((points.shape[0], columns))
    for start in range(0, points.shape[0], ROWS):
        out[start : start + ROWS] = call(points[start : start + ROWS])
    return out


def normalised(logs: FloatArray) -> FloatArray:
    """exp(logs) over its row sums: logarithms (n, c) up to a term per row to probabilities, in place."""
    columns = np.ascontiguousarray(logs.T)
    columns -= columns.max(axis=0)
    np.exp(columns, out=columns)
    columns /= columns.sum(axis=0)
    logs[:] = columns.T
    return logs


def square_norms(z: FloatArray) -> FloatArray:
    """|z|^2 of every row: (n, d) to (n,)."""
    return np.asarray(reduce(np.add, [column * column for column in z.T]))
