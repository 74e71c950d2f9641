"""Quadrature on the line by panels that are halved where the integrand has kinks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ._doors import FloatArray

NODES = 16
"""Gauss-Lobatto nodes per panel."""

PANEL_TARGET = 4e-15
"""A panel is done when its rule and the rule on its two halves differ by less (absolute, in probability): a few tens
of times the rounding of the sums involved, so that a hundred panels stay near 1e-13."""

RELATIVE = 1e-12
"""A panel is done, too, when the two differ by less than this times their size: integrands made from logarithms of size
several hundred carry that much rounding, and no halving helps."""

PANELS = 20_000
"""More unfinished panels than this at a time are halved no more: rounding, not kinks, then keeps them unfinished."""

DEPTH = 40
"""A panel is halved at most this often; what is then left is in the reported error."""


@lru_cache(maxsize=16)
def lobatto(count: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Lobatto nodes and weights on [-1, 1]: both ends and the roots of P' for P = P_(count - 1), weights
    2 / (count (count - 1) P(x)^2); exact up to degree 2 count - 3.

    Nodes lie at the ends too, so that a kink close to one is seen; Gauss-Legendre nodes keep off the ends, and there
    missed ten times the stated error of a Bayes risk.

    >>> lobatto(3)[0].tolist()
    [-1.0, 0.0, 1.0]
    """
    top = np.polynomial.legendre.Legendre.basis(count - 1)
    x = np.concatenate([[-1.0], np.sort(top.deriv().roots().real), [1.0]])
    return _shared(x, np.asarray(2.0 / (count * (count - 1) * top(x) ** 2)))


@lru_cache(maxsize=16)
def gauss_legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes and weights on [-1, 1], exact up to degree 2 count - 1."""
    return _shared(*np.polynomial.legendre.leggauss(count))


def _shared(nodes: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The rule as all who ask for it get it: read-only."""
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


@dataclass(frozen=True, slots=True)
class Integral:
    """The sum over all panels, the sum of their last differences (an estimate of the error), and the nodes used."""

    value: float
    error: float
    nodes: int


def integrate(
    values: Callable[[FloatArray], FloatArray], edges: FloatArray, rows: int = 1 << 17, target: float = PANEL_TARGET
) -> Integral:
    """integral of `values` (m,) -> (m,) from edges[0] to edges[-1], at most `rows` nodes per call.

    Every panel between neighbouring edges is halved until its Gauss-Lobatto rule agrees with that of its halves within
    `target` or `RELATIVE`.

    >>> round(integrate(lambda t: abs(t - 0.3), np.array([0.0, 1.0])).value, 12)
    0.29
    """
    x, w = lobatto(NODES)

    def rule(starts: FloatArray, widths: FloatArray) -> FloatArray:
        t = (starts[:, None] + widths[:, None] * (x + 1.0) / 2.0).ravel()
        found = np.concatenate([values(part) for part in np.array_split(t, 1 + t.shape[0] // rows)])
        return np.asarray(widths / 2.0 * (found.reshape(-1, NODES) @ w))

    starts, widths = edges[:-1], np.diff(edges)
    whole = rule(starts, widths)
    done: list[float] = []
    left_over: list[float] = []
    nodes = whole.shape[0] * NODES
    for depth in range(DEPTH):
        widths = np.repeat(widths / 2.0, 2)
        starts = np.repeat(starts, 2)
        starts[1::2] += widths[1::2]
        halves = rule(starts, widths)
        nodes += halves.shape[0] * NODES
        both = halves[::2] + halves[1::2]
        difference = np.abs(both - whole)
        settled = difference <= np.maximum(target, RELATIVE * np.abs(both))
        if depth == DEPTH - 1 or int((~settled).sum()) > PANELS:
            settled[:] = True
        done.extend(both[settled].tolist())
        left_over.extend(difference[settled].tolist())
        again = np.repeat(~settled, 2)
        starts, widths, whole = starts[again], widths[again], halves[again]
        if not again.any():
            break
    return Integral(math.fsum(done), math.fsum(left_over), nodes)
