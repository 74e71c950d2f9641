"""Search for certified counterexamples on the cone of sorted scores, and for risks without a lower bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np

from theory._kinks import breakpoints
from theory.checker.binary_rules import limit_at
from theory.checker.cone import Cone
from theory.checker.cone_cells import Cell, Posterior
from theory.checker.cone_proofs import TreeRefused, not_below, wrong_risk
from theory.expression.calculus import differentiate
from theory.expression.expand import expand
from theory.expression.interval import NEG_INF, End, Interval, Undefined, fraction_of
from theory.expression.nodes import Const, Expr, Var, substitute
from theory.expression.rewrite import simplify
from theory.losses import Loss
from theory.risk import multiclass_minimiser

from .branching import Floats, NotClosed, Spans, grow, holds, sample_scores, steepest, widest
from .budget import Budget, OutOfBudget
from .optimal_at import posterior_for

_ZERO = Fraction(0)
_TRIES = 12
_FAR = 30.0
"""Scores of a float search (|f| <= 40) beyond which it is taken to run to infinity."""
_FARTHER, _DIRECTIONS = 500.0, 3
"""How far out directions are compared, and how many are tried at one posterior."""
LEADS = (Fraction(1, 2), Fraction(1, 5), Fraction(1, 20), Fraction(1, 100), Fraction(1, 1000))


def suspicious_posteriors(loss: Loss, classes: int) -> Iterator[tuple[Posterior, Floats]]:
    """Posteriors with class 0 likeliest at which floats see no gap for class 1 on top, with the wrong scores found.

    Near-ties far below any stated margin and faces of the simplex are among those tried, the interior first.  A
    counterexample takes a search for each order of the other classes, and there is one only where they are all alike:
    such a posterior comes first, before others are looked at; then, in turn, one of each number of orders, few before
    many.  Of equally many the one with the clearest lead comes first.
    """
    trials = list(_trials(classes))
    alike = _failing(loss, [p for p in trials if _count_orders(p) == 1 and min(p) > 0])
    yield from alike[:1]
    others = alike[1:] + _failing(loss, [p for p in trials if _count_orders(p) > 1 or min(p) == 0])
    turns: Counter[tuple[bool, int]] = Counter()
    keyed = []
    for p, wrong in sorted(others, key=lambda pair: pair[0][1] / pair[0][0]):
        kind = min(p) == 0, _count_orders(p)
        keyed.append(((kind[0], turns[kind], kind[1]), (p, wrong)))
        turns[kind] += 1
    yield from (pair for _, pair in sorted(keyed, key=lambda each: each[0]))


def _failing(loss: Loss, trials: Sequence[Posterior]) -> list[tuple[Posterior, Floats]]:
    """The posteriors at which floats see no gap, in their order, with the wrong scores."""
    if not trials:
        return []
    p = np.array([[float(x) for x in each] for each in trials])
    _, best = multiclass_minimiser(loss, p, starts=6)
    wrong, value = multiclass_minimiser(loss, p, starts=6, top=1)
    gap = (value - best) / np.maximum(1.0, np.abs(best))
    return [(trials[i], wrong[i]) for i in np.flatnonzero(gap <= 1e-9).tolist()]


def _count_orders(p: Posterior) -> int:
    """In how many different ways the classes other than 0 can be ordered."""
    return len(set(permutations(p[1:])))


def _trials(classes: int) -> Iterator[Posterior]:
    """Posteriors p_0 > p_1, ..., spread from clear to nearly tied, inside and on faces."""
    for size in range(2, classes + 1):
        for lead in LEADS:
            for tilt in (_ZERO, Fraction(1, 9), Fraction(1, 3), Fraction(29, 30))[: 4 if size > 2 else 1]:
                weights = [(1 - tilt) ** max(k - 1, 0) for k in range(size)]
                weights[0] = weights[1] * (1 + lead)
                total = sum(weights)
                yield tuple(w / total for w in weights) + (_ZERO,) * (classes - size)


def refute_on_cone(cone: Cone, loss: Loss, budget: Budget) -> dict[str, Any] | None:
    """A posterior, wrong scores and trees for a certified counterexample; None when none was certified."""
    tried = 0
    for p, found in suspicious_posteriors(loss, cone.classes):
        for wrong in _wrong_scores(cone, loss, p, found):
            tried += 1
            if tried > _TRIES:
                return None
            try:
                refutation = _refute_at(cone, loss, p, wrong, budget)
            except OutOfBudget:
                return None
            if refutation is not None:
                return refutation
    return None


def refute_where_open(cone: Cone, loss: Loss, failure: NotClosed, budget: Budget) -> dict[str, Any] | None:
    """The same where a proof did not close: scores in the open box that are optimal at some posterior."""
    scores = _scores_in(cone, failure)
    p = None if scores is None else posterior_for(loss, scores)
    if scores is None or p is None:
        return None
    try:
        return _refute_at(cone, loss, p, {"scores": [str(score) for score in scores]}, budget)
    except OutOfBudget:
        return None


def _scores_in(cone: Cone, failure: NotClosed) -> Posterior | None:
    """The shortest scores of a box, the likeliest class first, the wrong one second; None for a box far out."""
    if not failure.spans or "a" in cone.names or cone.domain != "all":
        return None
    box = cone.box(failure.spans)
    by_rank = [_ZERO]
    for name in cone.names:
        low, high = fraction_of(box[name].lo), fraction_of(box[name].hi)
        if low is None or high is None:
            return None
        by_rank.append(by_rank[-1] - _shortest(low, high))
    others = [r for r in cone.ranks if r not in (0, failure.rank)]
    return tuple(by_rank[r] for r in (failure.rank, 0, *others))


def _shortest(low: Fraction, high: Fraction) -> Fraction:
    """A short fraction between two numbers, 0 <= low < high."""
    size = 1
    while not low <= (found := ((low + high) / 2).limit_denominator(size)) <= high:
        size *= 2
    return found


def _refute_at(
    cone: Cone, loss: Loss, p: Posterior, wrong: dict[str, list[str]], budget: Budget
) -> dict[str, Any] | None:
    """The certificate's entries for one posterior and wrong scores; None where it does not close."""
    try:
        trees = _grow_refutations(cone, loss, p, wrong_risk(cone, p, wrong, Fraction), budget)
    except (NotClosed, Undefined, TreeRefused):
        return None
    return {"p": [str(x) for x in p], "wrong": wrong, "trees": trees}


def _wrong_scores(cone: Cone, loss: Loss, p: Posterior, found: Floats) -> Iterator[dict[str, list[str]]]:
    """Rational score vectors near a float one with class 1 on top, the best first; or directions to infinity."""
    if "a" not in cone.names and cone.domain == "all":
        found = found - found[1]
    if cone.bound is not None or np.abs(found).max() < _FAR:
        near = [scores for scores in dict.fromkeys(_rounded(cone, found)) if scores[1] == max(scores)]
        values = [loss.values([float(x) for x in scores]) for scores in near]
        risks = [round(float(np.dot([float(x) for x in p], value)), 7) for value in values]
        for k in sorted(range(len(near)), key=lambda k: (risks[k], k)):
            yield {"scores": [str(score) for score in near[k]]}
        return
    yield from ({"direction": [str(step) for step in steps]} for steps in _directions(cone, loss, p))


def _directions(cone: Cone, loss: Loss, p: Posterior) -> list[tuple[int, ...]]:
    """The directions to infinity with class 1 on top that look best far out, the best first."""
    free = "a" not in cone.names and cone.domain == "all"  # then only differences count, and the top may stay at 0
    sizes = (0, -1, -2) if free else (1, 0, -1, -2)
    ways = [steps for steps in product(sizes, repeat=cone.classes) if steps[1] == sizes[0] and any(steps)]
    ways = [steps for steps in ways if cone.domain != "sum-zero" or sum(steps) == 0]
    ways.sort(key=lambda steps: steps[0] != sizes[0])  # the likeliest class beside the wrong one first
    with np.errstate(all="ignore"):
        far = loss.values(_FARTHER * np.array(ways, dtype=np.float64)) @ np.array([float(x) for x in p])
        order = np.argsort(np.round(np.nan_to_num(far, nan=np.inf), 2), kind="stable")
    return [ways[i] for i in order[:_DIRECTIONS]]


def _rounded(cone: Cone, found: Floats) -> Iterator[Posterior]:
    """Score vectors of the domain near a float one, short ones first."""
    for size in (1, 8, 4096):
        scores = [Fraction(float(score)).limit_denominator(size) for score in found]
        if cone.domain in ("sum-zero", "ball"):
            others = [k for k in range(cone.classes) if scores[k] != max(scores)] or [cone.classes - 1]
            scores[others[-1]] -= sum(scores)
        if cone.domain == "bounded":
            assert cone.bound is not None
            scores = [min(max(score, -cone.bound), cone.bound) for score in scores]
        if cone.contains(tuple(scores)):
            yield tuple(scores)


def _grow_refutations(cone: Cone, loss: Loss, p: Posterior, risk: Interval, budget: Budget) -> list[list[Any]]:
    """A tree for each order of the other classes, the same one where the posterior is the same."""
    found: dict[Posterior, list[Any]] = {}
    cuts = _kinks(cone)
    orders = [(p[0], *(p[k] for k in order)) for order in permutations(range(1, cone.classes))]
    for ranked in orders:
        if ranked not in found:
            found[ranked] = _grow_refutation(cone, loss, ranked, risk, budget, cuts)
    return [found[ranked] for ranked in orders]


def _grow_refutation(
    cone: Cone, loss: Loss, ranked: Posterior, risk: Interval, budget: Budget, cuts: list[list[Fraction]]
) -> list[Any]:
    weights = np.array([float(x) for x in ranked])

    def rule(spans: Spans, _: Cell) -> list[Any] | None:
        if cone.bound is not None and holds(lambda: cone.outside(spans)):
            return ["o"]
        if holds(lambda: not_below(cone, ranked, spans, risk)):
            return ["v"]
        if holds(lambda: cone.retracts(spans, ranked)):
            return ["r"]
        return ["s"] if holds(lambda: cone.slides(spans, ranked)) else None

    def choose(spans: Spans, cell: Cell) -> int:
        if spans[0][0] == 0:
            return widest(spans, cell)
        with np.errstate(all="ignore"):
            return steepest(spans, loss.values(sample_scores(cone, spans)) @ weights)

    return grow(cone, 1, (), rule, choose, budget, cuts)


def _kinks(cone: Cone) -> list[list[Fraction]]:
    """Where the losses bend along each coordinate while the other gaps are 0, in the coordinates of boxes."""
    found = []
    for name in cone.names:
        rest = {other: 0 for other in cone.names if other != name}
        trees = tuple(simplify(substitute(tree, rest)) for tree in cone.losses)
        bends = [] if name == "a" else [w for w in breakpoints(trees, name) if w > 0]
        found.append([w / (1 + w) if cone.bound is None else w / (2 * cone.bound) for w in bends])
    return found


def unbounded_direction(cone: Cone, loss: Loss) -> tuple[int, ...] | None:
    """A direction along which the loss of class 0 certainly falls below every number; None where none was seen.

    The conditional risk is unbounded below then where class 0 is certain.
    """
    if cone.bound is not None:
        return None
    steps = [s for s in product((0, 1, -1, 2, -2), repeat=cone.classes) if any(s)]
    steps = [s for s in steps if cone.domain != "sum-zero" or sum(s) == 0]
    with np.errstate(all="ignore"):
        near, far, farther = (loss.values(t * np.array(steps, dtype=np.float64))[:, 0] for t in (10.0, 30.0, 90.0))
        falling = np.nonzero((far < near - 1) & (farther < far - 1))[0]
    for i in falling:
        points = [simplify(Const(Fraction(step)) * Var("t")) for step in steps[i]]
        along = simplify(expand(cone.tree, 0, points))
        if any(holds(lambda tree=tree, to=to: _falls(tree, to)) for tree, to in _signs_of_falling(along)):  # type: ignore[misc]
            return steps[i]
    return None


def _signs_of_falling(along: Expr) -> list[tuple[Expr, End]]:
    """Trees in t and what their limits must reach: the loss itself, and its slope."""
    return [(along, NEG_INF), (differentiate(along, "t"), 0)]


def _falls(tree: Expr, to: End) -> bool:
    """Whether a loss tends to -inf, or its slope to a negative limit."""
    limit = limit_at(tree, "t", float("inf")).hi
    return bool(limit == to if to == NEG_INF else limit < to)
