"""Float evidence on a binary question: where the gap closes, which scores to propose, what falls without bound.

Nothing here is trusted: the rules of `theory.checker.binary_rules` decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from theory._descent import mixed
from theory._kinks import breakpoints as _breakpoints
from theory.checker.binary_rules import Problem, limit_at
from theory.expression import Expr
from theory.expression.arrays import Array
from theory.expression.boxes import derivative
from theory.expression.enclosure import enclose, plain_bound
from theory.expression.interval import INF, NEG_INF, Interval, Undefined
from theory.expression.nodes import Var
from theory.expression.normal import TooLarge, polynomial
from theory.losses import Domain, Loss
from theory.risk import BinaryMinimiser, binary_minimiser

_ZERO, _ONE = Fraction(0), Fraction(1)
_FARTHEST = Fraction(64)
"""A candidate lies within this, or beyond the last breakpoint."""


def breakpoints(problem: Problem) -> list[Fraction]:
    """The rational scores where a comparison, max, min, clip or abs of a problem's losses switches."""
    return list(_breakpoints((problem.plus, problem.minus), "v"))


def etas_of(threshold: Fraction) -> list[Fraction]:
    """Posteriors above the threshold at which floats look for a gap, dense near the threshold."""
    span = 1 - threshold
    near = [threshold + span / 2**k for k in range(24, 0, -1)]
    return sorted({*near, *(threshold + span * Fraction(k, 20) for k in range(1, 21))})


def search(problem: Problem, etas: Iterable[Fraction]) -> BinaryMinimiser:
    """The float search over both sides of 0 at the problem's own threshold."""
    domain = Domain() if problem.bound is None else Domain("bounded", problem.bound)
    view = Loss("search", pair=(problem.plus, problem.minus), domain=domain)
    return binary_minimiser(view, [float(eta) for eta in etas], threshold=float(problem.threshold))


def lead(found: BinaryMinimiser) -> np.ndarray[Any, Any]:
    """How far the best wrong score lies above the best correct one, per eta."""
    return np.asarray(found.wrong_value - found.right_value)


def float_failures(problem: Problem) -> list[Fraction]:
    """The etas at which floats, or the limit at the far wrong end, show no gap below the correct scores."""
    etas = etas_of(problem.threshold)
    found = search(problem, etas)
    far, near_far = (_far_limits(problem, np.array([float(eta) for eta in etas]), end) for end in (-np.inf, np.inf))
    noise = 64 * np.finfo(float).eps * np.maximum(1.0, np.abs(found.value))
    lost = np.minimum(found.wrong_value, far) - np.minimum(found.right_value, near_far) <= noise
    return [eta for eta, bad in zip(etas, lost, strict=True) if bad]


def _far_limits(problem: Problem, etas: Array, end: float) -> Array:
    """The limits of C_eta at an infinite end, or +inf where there is none to see."""
    limits = [_far_limit(tree, end) for tree in (problem.plus, problem.minus)]
    if problem.bound is not None:
        return np.full(etas.shape, np.inf)
    return np.nan_to_num(mixed(etas, *(np.full(etas.shape, limit) for limit in limits)), nan=np.inf, posinf=np.inf)


def _far_limit(tree: Expr, end: float) -> float:
    try:
        limit = limit_at(tree, "v", end)
    except Undefined:
        return float("nan")
    return float(limit.hi) if limit.hi < INF else float("inf")


def witness_order(problem: Problem, etas: list[Fraction]) -> list[Fraction]:
    """Posteriors to try: the clearest failures first; among ties, short fractions well inside the failing range."""
    gap = lead(search(problem, etas))
    if gap.min() < -1e-7:  # larger than one step of the float grid above 0
        best = [etas[i] for i in np.argsort(gap)]
        return sorted(best[:3], key=lambda eta: eta.denominator) + best[3:]
    middle = (etas[0] + etas[-1]) / 2
    inner = sorted(etas, key=lambda eta: (eta.denominator > 100, abs(eta - middle), eta.denominator))
    return inner[:8]


def wrong_scores(problem: Problem, eta: Fraction) -> tuple[list[Fraction | float], float]:
    """Wrong scores to try as witnesses at one posterior, and how far below the correct ones they may lie."""
    found = search(problem, [eta])
    below = float(np.clip(-0.5 * lead(found)[0], 0.0, 1e6))
    return list(dict.fromkeys(_round_scores(float(found.wrong_v[0]), problem.limit))), below


def _round_scores(v: float, limit: Fraction | float) -> Iterator[Fraction | float]:
    """Short rationals near a float score, then the limit itself."""
    if abs(v) < 1e-6:
        yield _ZERO
    if abs(v) < 1e3:
        for size in (1, 4, 64, 4096, 10**9):
            score = Fraction(v).limit_denominator(size)
            if -limit <= score <= 0:
                yield score
    else:
        yield from (Fraction(-(4**k)) for k in range(1, 6) if 4**k < limit)
    yield _ZERO
    yield -limit


def candidates(problem: Problem, best: Array) -> list[Fraction]:
    """Short rationals near the given best correct scores, within the domain; beyond a jump, well beyond it."""
    bends = [x for x in breakpoints(problem) if 0 < x <= problem.limit]
    farthest = max([_FARTHEST, *(2 * x for x in bends)])
    scores: list[Fraction] = []
    for v in best.tolist():
        score = Fraction(float(np.clip(v, 1 / 256, float(farthest)))).limit_denominator(256)
        scores.append(min(score, problem.bound) if problem.bound is not None else score)
        near = [x for x in bends if abs(float(x) - v) <= 1e-6 * max(1.0, abs(v))]
        for x in near if problem.jumps else []:
            above = min([y for y in bends if y > x], default=min(2 * x, problem.limit))
            scores += [x, (x + Fraction(above)) / 2]
    return list(dict.fromkeys(scores))


# -- risks that fall without bound ----------------------------------------------------------------------


def unbounded(problem: Problem) -> str | None:
    """Why the conditional risk is unbounded below, when a limit at infinity certainly shows it."""
    if problem.bound is not None:
        return None
    ends = [end for end in (float("inf"), float("-inf")) if not _bounded_below(problem, end)]
    for eta in (_ONE, Fraction(3, 4), problem.threshold, Fraction(1, 4), _ZERO):
        for end in ends:
            for tail in (_limit, _slope_limit, _leading_term):
                if tail(problem.risk(eta), end):
                    return f"the conditional risk at eta = {eta} is unbounded below as the score goes to {end}"
    return None


def _bounded_below(problem: Problem, end: float) -> bool:
    """Both losses certainly stay above a number on the half-line beyond +-1, so that no risk falls without bound."""
    side = Interval.between(_ONE, end) if end > 0 else Interval.between(end, -_ONE)
    try:
        return all(plain_bound(tree, "v", side).range.lo > NEG_INF for tree in (problem.plus, problem.minus))
    except Undefined:
        return False


def _limit(risk: Expr, end: float) -> bool:
    try:
        return bool(limit_at(risk, "v", end).hi == NEG_INF)
    except Undefined:
        return False


def _leading_term(risk: Expr, end: float) -> bool:
    """A polynomial risk whose leading term falls to -inf at the given end."""
    try:
        terms = polynomial(risk)
    except TooLarge:
        return False
    degrees: dict[int, Fraction] = {}
    for monomial, value in terms.items():
        if any(atom != Var("v") or power < 0 for atom, power in monomial):
            return False
        degrees[monomial[0][1] if monomial else 0] = value
    top = max(degrees, default=0)
    return top > 0 and degrees[top] * (-1 if end < 0 and top % 2 else 1) < 0


def _slope_limit(risk: Expr, end: float) -> bool:
    far = 1000
    side = Interval.between(Fraction(far), end) if end > 0 else Interval.between(end, Fraction(-far))
    try:
        slope = enclose(derivative(risk, "v"), {"v": side}, along="v").range
        jumped = enclose(risk, {"v": side}, along="v").jumped
    except Undefined:
        return False
    return not jumped and bool(slope.hi < 0 if end > 0 else slope.lo > 0)
