"""Exact margins of linear classifiers f(x) = W x + b, in NumPy.

Two margins are met in the literature, and both are offered:

* the *functional* margin alpha = f_y - max_{k != y} f_k, in units of score;
* the *distance* of x to a decision boundary in L2, L-infinity or L1, in units of x, which for a linear classifier is
  exact: in a norm, the distance to a half-space is the gap over the *dual* norm of its normal (``DUAL``).

The distance itself has two signed readings, which agree wherever the prediction is right (see ``linear_margins`` and
``linear_label_margins``).  All images and all class pairs come out of one matrix product, X W^T.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DUAL",
    "distances_from_scores",
    "functional_margins",
    "linear_label_margins",
    "linear_margins",
    "row_distances",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# ||u - v||^2 from the Gram matrix keeps about 16 - log10(1 / _CANCELLED) digits as long as it is at least _CANCELLED
# times ||u||^2 + ||v||^2; below that it is computed again from u - v itself.
_CANCELLED = 1e-3
# The dual norm of each norm: sup of <a, z> over ||z|| <= 1.
DUAL = {"l2": "l2", "linf": "l1", "l1": "linf"}


def functional_margins(scores: ArrayLike, labels: ArrayLike) -> Floats:
    """Return alpha_i = f_y - max_{k != y} f_k for every row i; shape (n,), units of score.

    Parameters
    ----------
    scores : (n, c) finite scores f, c >= 2.
    labels : (n,) integers in 0..c-1.

    Raises ``ValueError`` for another shape, a non-finite score or a label out of range.
    Source: Wu & Yu (2019), arXiv 1907.11780 (definition of the margin).

    >>> functional_margins([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]], [0, 2])
    array([ 1.5, -2. ])
    """
    f = _finite("scores", scores, 2)
    y = _labels(labels, *f.shape)
    own = np.take_along_axis(f, y[:, None], axis=1)[:, 0]
    rivals = f.copy()
    np.put_along_axis(rivals, y[:, None], -np.inf, axis=1)
    with np.errstate(over="ignore"):
        alpha: Floats = own - rivals.max(axis=1)
    return alpha


def linear_margins(weight: ArrayLike, bias: ArrayLike, x: ArrayLike, labels: ArrayLike, norm: str = "l2") -> Floats:
    """Return the signed distance of each x to the boundary of its *predicted* class; shape (n,), units of x.

    With j = argmax_k f_k(x) the predicted class, the distance is

        min over k != j of (f_j - f_k) / ||w_j - w_k||_*,

    which is exact: the region where j is predicted is the intersection of the half-spaces f_j >= f_k, and the shortest
    way out of an intersection of half-spaces, from inside, is the shortest way out of one of them.  The sign is + where
    j is the label and - where x is misclassified: there the number is how far x must move before the wrong prediction
    changes, to whatever class.  The alternative reading, by the label's own half-spaces, is ``linear_label_margins``;
    the two agree on every correctly classified x, and the label reading is the smaller one on the others.

    Parameters
    ----------
    weight : (c, d) rows w_k, c >= 2.
    bias   : (c,).
    x      : (n, d).
    labels : (n,) integers in 0..c-1.
    norm   : ``l2``, ``linf`` or ``l1``; ||.||_* is its dual: L2, L1, L-infinity.

    Everything is computed in float64.  Rows that coincide (w_j = w_k) are no boundary: they give distance ``inf`` when
    b_j > b_k and 0 when the two classes tie everywhere.  The error is about d eps max|f| / ||w_j - w_k||.
    Raises ``ValueError`` for another shape or norm, a non-finite number or a label out of range.
    Source: elementary geometry; Wu & Yu (2019), arXiv 1907.11780, measure it through training.

    >>> linear_margins([[3.0, 4.0], [0.0, 0.0]], [0.0, 0.0], [[3.0, 4.0], [3.0, 4.0]], [0, 1])
    array([ 5., -5.])
    >>> linear_margins([[3.0, 4.0], [0.0, 0.0]], [0.0, 0.0], [[3.0, 4.0], [7.0, 7.0]], [0, 1], "linf").round(12)
    array([ 3.57142857, -7.        ])
    """
    w, b, f, y = _linear(weight, bias, x, labels)
    predicted = f.argmax(axis=1).astype(np.int64)
    # Rounding may give two classes with one and the same row different scores: the true gap is never negative here.
    distance = np.maximum(_distance_to_rivals(w, b, f, predicted, norm), 0.0)
    signed: Floats = np.where(predicted == y, distance, -distance)
    return signed


def linear_label_margins(
    weight: ArrayLike, bias: ArrayLike, x: ArrayLike, labels: ArrayLike, norm: str = "l2"
) -> Floats:
    """Return min over k != y of (f_y - f_k) / ||w_y - w_k||_* for the *label* y; shape (n,), units of x.

    Where x is classified rightly this is the exact distance to the boundary.  Where it is not, its absolute value is
    the distance to the farthest violated half-space f_y >= f_k: x must move at least that far to be predicted y, and
    exactly that far when the other half-spaces happen to hold at that point (always for two classes).  It is the
    reading that reproduces the paper's logistic-regression curves.

    Arguments, errors and the treatment of coinciding rows as in ``linear_margins``; a label whose row coincides with
    that of a class of larger bias can never win, and gets ``-inf``.

    >>> linear_label_margins([[3.0, 4.0], [0.0, 0.0]], [0.0, 0.0], [[3.0, 4.0], [3.0, 4.0]], [0, 1])
    array([ 5., -5.])
    """
    w, b, f, y = _linear(weight, bias, x, labels)
    return _distance_to_rivals(w, b, f, y, norm)


def distances_from_scores(
    weight: ArrayLike, bias: ArrayLike, scores: ArrayLike, norm: str = "l2"
) -> tuple[Integers, Floats]:
    """Return predicted classes j and distances (at least 0) of ``linear_margins`` from scores at hand; both (n,).

    For callers whose product X W^T was made elsewhere.  scores : (n, c) finite, f = x W^T + b in float64.
    Raises ``ValueError`` for another shape or norm, or a non-finite number.

    >>> distances_from_scores([[3.0, 4.0], [0.0, 0.0]], [0.0, 0.0], [[25.0, 0.0]])
    (array([0]), array([5.]))
    """
    w, b, f = _finite("weight", weight, 2), _finite("bias", bias, 1), _finite("scores", scores, 2)
    if len(b) != len(w) or f.shape[1] != len(w) or len(w) < 2:
        raise ValueError(f"scores of shape {f.shape}, bias {b.shape}, weight {w.shape} must have one c, at least 2")
    predicted = f.argmax(axis=1).astype(np.int64)
    return predicted, np.maximum(_distance_to_rivals(w, b, f, predicted, norm), 0.0)


def row_distances(weight: ArrayLike, norm: str = "l2") -> Floats:
    """Return the matrix of ||w_j - w_k|| for the rows of ``weight``; shape (c, c), symmetric, zero diagonal.

    L2: the Gram matrix gives ||w_j - w_k||^2 = G_jj + G_kk - 2 G_jk in one product.  It cancels for rows that are close
    together, so the mean row is taken off first and the pairs that still cancel are computed from their difference.
    ``linf`` and ``l1``: from the differences themselves.  Raises ``ValueError`` for another norm.

    >>> row_distances([[0.0, 0.0], [3.0, 4.0]])
    array([[0., 5.],
           [5., 0.]])
    >>> row_distances([[0.0, 0.0], [3.0, 4.0]], "l1")
    array([[0., 7.],
           [7., 0.]])
    """
    if norm not in DUAL:
        raise ValueError(f"norm={norm!r} must be one of {', '.join(map(repr, DUAL))}")
    w = _finite("weight", weight, 2)
    largest = float(np.abs(w).max(initial=0.0))
    if largest == 0.0:
        return np.zeros((len(w), len(w)))
    # Scaling by a power of two is exact and keeps the squares away from overflow and underflow.
    _, exponent = np.frexp(largest)
    rows = np.ldexp(w, -int(exponent))
    if norm != "l2":
        return np.ldexp(_absolute_distances(rows, norm), int(exponent))
    centred = rows - rows.mean(axis=0)
    gram = centred @ centred.T
    squares = np.diag(gram)
    size = squares[:, None] + squares[None, :]
    distances = np.sqrt(np.maximum(size - 2.0 * gram, 0.0))
    close = np.triu(distances**2 <= _CANCELLED * size, k=1)
    for j, k in zip(*np.nonzero(close), strict=True):
        distances[j, k] = _norm(rows[j] - rows[k])
    upper = np.triu(distances, k=1)
    result: Floats = np.ldexp(upper + upper.T, int(exponent))
    return result


def _norm(v: Floats) -> float:
    largest = float(np.abs(v).max(initial=0.0))
    return largest * float(np.linalg.norm(v / largest)) if largest > 0.0 else 0.0


def _absolute_distances(rows: Floats, norm: str) -> Floats:
    """The matrix of sums (l1) or maxima (linf) of |rows_j - rows_k|."""
    found = np.zeros((len(rows), len(rows)))
    for j, row in enumerate(rows):
        size = np.abs(rows[j + 1 :] - row)
        found[j, j + 1 :] = size.sum(axis=1) if norm == "l1" else size.max(axis=1, initial=0.0)
    result: Floats = found + found.T
    return result


def _distance_to_rivals(w: Floats, b: Floats, f: Floats, chosen: Integers, norm: str) -> Floats:
    """min over k != j of (f_j - f_k) / ||w_j - w_k||_*, with j = chosen[i] for row i of the scores f."""
    if norm not in DUAL:
        raise ValueError(f"norm={norm!r} must be one of {', '.join(map(repr, DUAL))}")
    norms, rows = row_distances(w, DUAL[norm]), np.arange(len(f))
    ratios = f[rows, chosen][:, None] - f
    if np.count_nonzero(norms) == len(w) * (len(w) - 1):  # no two rows coincide
        np.fill_diagonal(norms, 1.0)
        with np.errstate(over="ignore"):
            ratios /= norms[chosen]
        ratios[rows, chosen] = np.inf
        return ratios.min(axis=1)  # type: ignore[no-any-return]
    gaps, sizes = ratios, norms[chosen]
    # A row that coincides with the chosen one differs from it by the bias alone, at every x.
    coincide = sizes == 0.0
    gaps = np.where(coincide, (b[:, None] - b[None, :])[chosen], gaps)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratios = np.where(coincide & (gaps == 0.0), 0.0, gaps / sizes)
    np.put_along_axis(ratios, chosen[:, None], np.inf, axis=1)
    nearest: Floats = ratios.min(axis=1)
    return nearest


def _linear(
    weight: ArrayLike, bias: ArrayLike, x: ArrayLike, labels: ArrayLike
) -> tuple[Floats, Floats, Floats, Integers]:
    """Check the arguments of a linear classifier and return weight, bias, scores and labels."""
    w, b, points = _finite("weight", weight, 2), _finite("bias", bias, 1), _real("x", x, 2)
    if len(b) != len(w):
        raise ValueError(f"bias of shape {b.shape} must have one entry for each of the {len(w)} rows of weight")
    if points.shape[1] != w.shape[1]:
        raise ValueError(f"x of shape {points.shape} must have as many columns as weight of shape {w.shape}")
    y = _labels(labels, len(points), len(w))
    with np.errstate(over="ignore", invalid="ignore"):
        f = points @ w.T + b
    if not np.isfinite(f).all():  # as it is wherever x is not: 0 times infinity and NaN are NaN
        _finite("x", points, 2)
        raise ValueError(f"max |weight|={np.abs(w).max():.3g} must leave the scores x W^T + b finite in float64")
    return w, b, f, y


def _finite(name: str, value: ArrayLike, ndim: int) -> Floats:
    array = _real(name, value, ndim)
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name}[{', '.join(map(str, where))}]={array[where]} must be finite")
    return array


def _real(name: str, value: ArrayLike, ndim: int) -> Floats:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} of dtype {array.dtype} must hold real numbers")
    array = array.astype(np.float64, copy=False)
    if array.ndim != ndim:
        raise ValueError(f"{name} of shape {array.shape} must have {ndim} dimension{'s' if ndim > 1 else ''}")
    return array


def _labels(labels: ArrayLike, n: int, c: int) -> Integers:
    if c < 2:
        raise ValueError(f"c={c} classes: a margin needs at least 2")
    y = np.asarray(labels)
    if y.shape != (n,):
        raise ValueError(f"labels of shape {y.shape} must have shape ({n},), one for each row")
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    if y.dtype.kind not in "iu":
        raise ValueError(f"labels of dtype {y.dtype} must be integers")
    bad = (y < 0) | (y >= c)
    if bad.any():
        where = int(np.argmax(bad))
        raise ValueError(f"labels[{where}]={int(y[where])} must lie in 0..{c - 1}")
    return y.astype(np.int64)
