"""Argument checks at the door: every refusal is one line with the name, the value and the rule."""

from __future__ import annotations

import operator
from typing import SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

SUM_TOLERANCE = 1e-12
"""How far weights or probabilities may sum from one: decimals such as 0.1 added in float64 miss one by
a few units in the last place per term, and this leaves room for thousands of terms."""


SMALLEST, LARGEST = 1e-50, 1e50
"""Bounds of a length, such as the spread of noise or a mean: squares of their ratios must not overflow in float64."""

FARTHEST = 1e100
"""Bound of the coordinates of points, for the same reason."""


def length(name: str, value: float) -> float:
    """`value` as a float strictly between `SMALLEST` and `LARGEST`."""
    return real(name, value, SMALLEST, LARGEST)


def whole(name: str, value: SupportsIndex, least: int) -> int:
    """`value` as a Python int, at least `least`.

    >>> whole("n", 3, 1)
    3
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name}={value!r} must be a whole number, at least {least}") from None
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name}={value!r} must be a whole number, at least {least}")
    return number


def real(name: str, value: float, low: float, high: float) -> float:
    """`value` as a float strictly between `low` and `high`."""
    number = number_of(name, value)
    if not low < number < high:
        raise ValueError(f"{name}={value!r} must lie strictly between {low} and {high}")
    return number


def number_of(name: str, value: object) -> float:
    """`value` as a float, nan and infinities included; ValueError for what is no number."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        shown = repr(value).replace("\n", " ")[:60]
        raise ValueError(f"{name}={shown} must be a real number") from None


def generator(name: str, value: object, reason: str) -> np.random.Generator:
    """`value` itself when it is a NumPy Generator; `reason` says what the randomness is for."""
    if not isinstance(value, np.random.Generator):
        raise ValueError(f"{name}={value!r} must be a numpy.random.Generator: {reason}")
    return value


def finite_array(name: str, value: npt.ArrayLike) -> FloatArray:
    """A float64 copy of `value`, every entry finite."""
    try:
        array = np.array(value)
        array = np.array([] if np.iscomplexobj(array) else array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _no_numbers(name, value) from None
    if array.size == 0 and np.size(value) > 0:
        raise _no_numbers(name, value)
    bad = np.argwhere(~np.isfinite(array))
    if bad.size:
        place = tuple(int(i) for i in bad[0])
        raise ValueError(f"{name}{list(place)}={float(array[place])!r} must be finite")
    return array


def _no_numbers(name: str, value: object) -> ValueError:
    shown = repr(value).replace("\n", " ")[:60]
    return ValueError(f"{name}={shown} must be an array of real numbers")


def points(name: str, value: npt.ArrayLike, dimension: int) -> FloatArray:
    """Points as a float64 array of shape (n, dimension), n >= 1, every entry finite."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of several lengths
        raise _no_numbers(name, value) from None
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] != dimension:
        raise ValueError(f"{name}.shape={array.shape} must be (n, {dimension}) with n >= 1")
    if array.dtype != np.float64 or not bool(array.min() > -FARTHEST and array.max() < FARTHEST):
        array = finite_array(name, array)
        far = float(array.flat[int(np.abs(array).argmax())])
        if not -FARTHEST < far < FARTHEST:
            raise ValueError(f"{name} holds {far!r}: every coordinate must lie between {-FARTHEST} and {FARTHEST}")
    return array


def masses(name: str, value: npt.ArrayLike, *, zero_allowed: bool) -> FloatArray:
    """Nonnegative (or positive) numbers that sum to one within `SUM_TOLERANCE`; any shape."""
    array = finite_array(name, value)
    if array.size == 0:
        raise ValueError(f"{name}.shape={array.shape} must hold at least one number")
    low = float(array.min())
    if low < 0.0 or (low == 0.0 and not zero_allowed):
        place = [int(i) for i in np.unravel_index(int(array.argmin()), array.shape)]
        raise ValueError(f"{name}{place}={low!r} must be {'at least' if zero_allowed else 'greater than'} 0")
    total = float(array.sum())
    if abs(total - 1.0) > SUM_TOLERANCE:
        raise ValueError(f"sum({name})={total!r} must be 1 within {SUM_TOLERANCE}")
    return array


def simplex(name: str, value: npt.ArrayLike) -> FloatArray:
    """Probabilities over at least two classes along the last axis: each row nonnegative with sum one."""
    array = finite_array(name, value)
    if array.ndim < 1 or array.shape[-1] < 2 or array.size == 0:
        raise ValueError(f"{name}.shape={array.shape} must be (..., c) with c >= 2 classes")
    if float(array.min()) < 0.0:
        place = [int(i) for i in np.unravel_index(int(array.argmin()), array.shape)]
        raise ValueError(f"{name}{place}={float(array.min())!r} must be at least 0")
    off = np.abs(array.sum(axis=-1) - 1.0)
    if float(off.max()) > SUM_TOLERANCE:
        place = [int(i) for i in np.unravel_index(int(off.argmax()), off.shape)]
        total = float(array[tuple(place)].sum())
        raise ValueError(f"sum({name}{place if place else ''})={total!r} must be 1 within {SUM_TOLERANCE}")
    return array


def mixture(weights: npt.ArrayLike, means: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Positive weights (c,), c >= 2, that sum to one, and centres (c, d), d >= 1."""
    prior = masses("weights", weights, zero_allowed=False)
    if prior.ndim != 1 or prior.shape[0] < 2:
        raise ValueError(f"weights.shape={prior.shape} must be (c,) with c >= 2 classes")
    centres = finite_array("means", means)
    if centres.ndim != 2 or centres.shape[0] != prior.shape[0] or centres.shape[1] < 1:
        raise ValueError(f"means.shape={centres.shape} must be ({prior.shape[0]}, d) with d >= 1")
    if not float(np.abs(centres).max()) < LARGEST:
        raise ValueError(f"max|means|={float(np.abs(centres).max())!r} must be below {LARGEST}")
    return prior, centres


def covariances(name: str, value: npt.ArrayLike, classes: int, dimension: int) -> FloatArray:
    """Covariances of shape (d, d) (shared) or (c, d, d), symmetric and positive definite in float64.

    The smallest eigenvalue must exceed d * eps * the largest one: below that float64 cannot tell the
    matrix from a singular one, and a posterior computed from it would be rounding noise.
    """
    array = finite_array(name, value)
    if array.shape not in ((dimension, dimension), (classes, dimension, dimension)):
        rule = f"({dimension}, {dimension}) or ({classes}, {dimension}, {dimension})"
        raise ValueError(f"{name}.shape={array.shape} must be {rule}")
    stack = array.reshape(-1, dimension, dimension)
    eps = float(np.finfo(np.float64).eps)
    for k, matrix in enumerate(stack):
        label = name if array.ndim == 2 else f"{name}[{k}]"
        asymmetry = float(np.abs(matrix - matrix.T).max())
        if asymmetry > 8.0 * dimension * eps * float(np.abs(matrix).max()):  # rounding of a product A A^T
            raise ValueError(f"max|{label} - {label}^T|={asymmetry!r} must be 0: a covariance is symmetric")
        low, high = np.linalg.eigvalsh(matrix)[[0, -1]]
        if not low > dimension * eps * high:
            raise ValueError(
                f"smallest eigenvalue of {label}={float(low)!r} must exceed rounding: not positive definite"
            )
        if not (float(np.diagonal(matrix).min()) > SMALLEST**2 and float(np.abs(matrix).max()) < LARGEST**2):
            raise ValueError(
                f"variances of {label}={np.diagonal(matrix).tolist()!r} must lie between {SMALLEST**2} and {LARGEST**2}"
            )
    return (array + np.swapaxes(array, -1, -2)) / 2.0


def frozen(array: FloatArray) -> FloatArray:
    """The same array, made read-only."""
    array.setflags(write=False)
    return array
