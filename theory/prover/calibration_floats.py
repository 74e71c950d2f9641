"""Floats for enclosures of calibration functions: where knots and lines are needed. Untrusted, as all search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.checker.binary_rules import Problem
from theory.checker.calibration_rules import line
from theory.losses import Domain, Loss
from theory.risk import binary_minimiser

from .binary import breakpoints

Floats = NDArray[np.float64]
_ZERO = Fraction(0)
_LINES, _CHORDS = 1e-4, 7e-4
"""What lines and covers, and what chords may add to psi, relative, for theta above a tenth of its range. Where psi is
flat at 0, the tolerance grows as 1 / theta^2 below."""
POINTS = 129
"""Knots per side that are enough for these tolerances in most cases; more of them ask for smaller ones."""
_MAX_LINES = 600


class NoEnclosure(Exception):
    """Bounds of the risk at a needed posterior stay infinite."""


@dataclass(frozen=True)
class Curves:
    """Floats on a dense set of theta: H- and H, the scores that reach them, the gap and its convex envelope."""

    thetas: list[Fraction]
    x: Floats
    wrong: Floats
    least: Floats
    wrong_scores: list[Fraction]
    scores: list[Fraction]
    plus: Floats
    minus: Floats
    """The losses of `scores`."""
    gap: Floats
    psi: Floats
    allowed: Floats
    """What lines and covers may add to psi."""
    bent: Floats
    """What chords of psi may add."""


def _dense(span: Fraction) -> list[Fraction]:
    """A few hundred values of theta: even, and geometric towards both ends."""
    even = {span * Fraction(k, 1024) for k in range(1025)}
    near = {Fraction(m, 16 * 2**k) for k in range(1, 21) for m in range(16, 32)}
    near |= {Fraction(m, 64 * 2**k) for k in range(1, 5) for m in range(64, 128)}
    last = {Fraction(m, 8 * 2**k) for k in range(3, 41) for m in range(8, 16)}
    return sorted(even | {span * s for s in near} | {span * (1 - s) for s in last})


def curves_of(problem: Problem, points: int) -> Curves:
    span = 2 * (1 - problem.threshold)
    thetas = _dense(span)
    x = np.array([float(theta) for theta in thetas])
    a = float(problem.threshold)
    eta = a + x / 2
    domain = Domain() if problem.bound is None else Domain("bounded", problem.bound)
    view = Loss("search", pair=(problem.plus, problem.minus), domain=domain)
    with np.errstate(all="ignore"):
        found = binary_minimiser(view, eta[1:], threshold=a)
    kinks = breakpoints(problem)
    wrong_pool = _pool(problem, found.wrong_v, kinks, -1)
    pool = sorted({*_pool(problem, found.right_v, kinks, 1), *wrong_pool}, key=_length)
    wrong, wrong_at, _, _ = _envelope(view, eta, wrong_pool)
    least, at, plus, minus = _envelope(view, eta, pool)
    at[0] = at[1] if a * plus[at[1]] + (1 - a) * minus[at[1]] <= least[0] + 1e-12 * max(1.0, abs(least[0])) else at[0]
    gap = np.maximum(wrong - least, 0.0)
    gap[0] = 0.0
    psi = np.interp(x, x[hull := convex_hull(x, gap)], gap[hull])
    relative = _LINES * min(1.0, (POINTS / points) ** 2)
    with np.errstate(divide="ignore"):
        scale = np.clip(0.1 * float(span) / x, 1.0, 30.0) ** 2
    if psi[1] / x[1] > 1e-3 * psi[-1] / x[-1]:
        scale = np.ones_like(x)
    size = max(float(np.abs(each).max()) for each in (wrong, least, view.phi_plus([0.0]), view.phi_minus([0.0])))
    floor = max(1e-10 * float(psi[-1]), 1e-13 * size, 1e-100)
    allowed = relative * np.minimum(scale, 10.0) * psi + floor
    bent = relative * scale * psi + floor
    wrong_scores, scores = [wrong_pool[i] for i in wrong_at], [pool[i] for i in at]
    return Curves(
        thetas, x, wrong, least, wrong_scores, scores, plus[at], minus[at], gap, psi, allowed, bent
    )  # fmt: skip


def _pool(problem: Problem, found: Floats, kinks: Sequence[Fraction], sign: int) -> list[Fraction]:
    """Scores of one side as short rationals: minimisers found, breakpoints and beside them, powers of two."""
    pool = {_ZERO} | {sign * Fraction(2) ** k for k in range(-8, 41)}
    for v in np.unique(found):
        pool.add(_near(float(v), kinks))
    for kink in kinks:
        pool |= {kink, kink - Fraction(1, 2**40), kink + Fraction(1, 2**40)}
    if problem.bound is not None:
        pool.add(sign * problem.bound)
    return sorted((v for v in pool if sign * v >= 0 and abs(v) <= problem.limit), key=_length)


def _length(score: Fraction) -> tuple[int, Fraction, bool]:
    """Short fractions first."""
    return score.denominator, abs(score), score < 0


def _near(v: float, kinks: Sequence[Fraction]) -> Fraction:
    for kink in kinks:
        if abs(v - kink) < 1e-7 * max(1.0, abs(v)):
            return kink
    return Fraction(v).limit_denominator(10**5) if abs(v) > 1e-3 else Fraction(round(v * 2**40), 2**40)


def _envelope(view: Loss, eta: Floats, pool: Sequence[Fraction]) -> tuple[Floats, NDArray[np.intp], Floats, Floats]:
    """The least risk over the pool per eta, the first score that reaches it, and the losses of the pool."""
    v = np.array([float(score) for score in pool])
    plus, minus = view.phi_plus(v), view.phi_minus(v)
    with np.errstate(all="ignore"):
        risk = np.where(eta[:, None] > 0, eta[:, None] * plus, 0) + np.where(
            eta[:, None] < 1, (1 - eta[:, None]) * minus, 0
        )
    risk = np.where(np.isnan(risk), np.inf, risk)
    least = risk.min(1)
    if not np.isfinite(least).all():
        raise NoEnclosure("no finite bounds of the risk were found in floats")
    noise = 2 * np.finfo(float).eps * np.maximum(1.0, np.abs(least))
    at = (risk <= (least + noise)[:, None]).argmax(1)
    return least, at, plus, minus


def convex_hull(x: Sequence[Any] | Floats, y: Sequence[Any] | Floats) -> list[int]:
    """Indices of the lower convex hull of points with rising x; exact for fractions."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[i] - x[a]) < (y[i] - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return hull


def _longest(size: int, good: Callable[[int, int], bool]) -> list[int]:
    """Indices 0 = i_0 < i_1 < ... = size - 1, each step as long as `good` seems to allow."""
    chosen = [0]
    while chosen[-1] < size - 1:
        here, step = chosen[-1], 1
        while here + 2 * step < size and good(here, here + 2 * step):
            step *= 2
        low, high = step, min(2 * step, size - 1 - here)
        if low < high and good(here, here + high):
            low = high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if good(here, here + middle) else (low, middle)
        chosen.append(here + low)
    return chosen


def place_knots(curves: Curves, points: int) -> list[int]:
    """Indices of the knots: chords of psi and of H- within what is allowed, which is relaxed to keep to `points`.

    The first theta after 0 is one: it carries the slope at 0 to the lower bound of psi.
    """
    x, factor = curves.x, _CHORDS / _LINES

    def good(i: int, j: int) -> bool:
        part = (x[i + 1 : j] - x[i]) / (x[j] - x[i])
        psi = curves.psi[i] + (curves.psi[j] - curves.psi[i]) * part - curves.psi[i + 1 : j]
        wrong = curves.wrong[i + 1 : j] - curves.wrong[i] - (curves.wrong[j] - curves.wrong[i]) * part
        inside = slice(i + 1, j)
        both = np.maximum(psi, 0) / curves.bent[inside] + np.maximum(wrong, 0) / curves.allowed[inside]
        return bool((both <= factor).all())

    while len(chosen := _longest(len(x), good)) > max(points - 1, 2):
        factor *= 1.5
    return sorted({*chosen, 1}) if points > 2 else chosen


def place_lines(curves: Curves, problem: Problem) -> list[tuple[Fraction, Fraction]]:
    """Scores and the ends of the intervals of theta on which the lines of their risks stand for H; or none."""
    x, factor = curves.x, 1.0
    a = float(problem.threshold)
    with np.errstate(all="ignore"):
        slope = (curves.plus - curves.minus) / 2
        base = a * curves.plus + (1 - a) * curves.minus

    def good(i: int, j: int) -> bool:
        inside = x[i : j + 1]
        with np.errstate(all="ignore"):
            over = np.fmin(base[i] + slope[i] * inside, base[j] + slope[j] * inside) - curves.least[i : j + 1]
        return bool((over <= factor * curves.allowed[i : j + 1]).all())

    while len(chosen := _longest(len(x), good)) > _MAX_LINES:
        factor *= 1.5
    chosen = [i for i in chosen if line(problem, curves.scores[i]) is not None]
    if not chosen:
        return []
    kept_lines: list[tuple[Fraction, Fraction]] = []
    for i, j in pairwise(chosen):
        if curves.scores[i] == curves.scores[j]:
            continue
        with np.errstate(all="ignore"):
            start = (base[j] - base[i]) / (slope[i] - slope[j])
        start = min(max(start, x[i]), x[j]) if np.isfinite(start) else x[j]
        end = Fraction(round(start * 2**44), 2**44)
        if end > (kept_lines[-1][1] if kept_lines else 0):
            kept_lines.append((curves.scores[i], end))
    span = curves.thetas[-1]
    if kept_lines and kept_lines[-1][1] >= span:
        return [*kept_lines[:-1], (kept_lines[-1][0], span)]
    return [*kept_lines, (curves.scores[chosen[-1]], span)]
