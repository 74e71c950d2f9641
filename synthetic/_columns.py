"""Reductions of tall arrays along their few columns: column by column, which is many times faster than along rows."""

from __future__ import annotations

from functools import reduce

import numpy as np

from ._doors import BoolArray, FloatArray


def row_max(table: FloatArray) -> FloatArray:
    """The largest entry of every row: (m, c) to (m,)."""
    return np.asarray(reduce(np.maximum, table.T))


def row_min(table: FloatArray) -> FloatArray:
    """The smallest entry of every row: (m, c) to (m,)."""
    return np.asarray(reduce(np.minimum, table.T))


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
