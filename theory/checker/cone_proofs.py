"""Certificates on the cone of sorted scores: reading and verifying them. Trusted, beside `theory.checker`.

A proof is, for each rank m of the likeliest class, a tree that starts at all gaps and all posteriors with that class
likeliest. Its nodes are lists: ["w", axis, left, right] halves a gap, ["k", axis, at, left, right] cuts it at a number,
as at a kink, ["p", parts...] splits the posteriors, and the leaves ["x"], ["t"], ["c", scores] name a rule of
`theory.checker.cone`.

A refutation gives a posterior p whose likeliest class, 0, is unique, and a wrong score vector (or a
direction to infinity with the limit of the risk). For each order of the other classes a tree over all gaps
below class 0 has leaves ["v"]: the risk is nowhere below the wrong one; and ["r"]: on a box that reaches
the tie of class 0 with the next class, the risk does not rise on the way to that tie, so it is not below
the infimum over ties, which are wrong. A leaf ["s"] says the same of the part of the way inside the box: the rest is
for the boxes that the way enters.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import permutations
from typing import Any

from theory.expression.interval import NEG_INF, Interval, Undefined
from theory.expression.nodes import Const, Expr, Var
from theory.expression.rewrite import simplify

from .binary_rules import limit_at
from .cone import MOVES, Cone
from .cone_bounds import at_least
from .cone_cells import Cell, Posterior, Span, first_cell, split_cell, split_spans

MAX_LEAVES = 500_000
_ZERO = Fraction(0)

Number = Callable[[Any], Fraction]


class TreeRefused(Exception):
    """A tree whose leaves do not hold, or that is malformed."""


def verify_proof(cone: Cone, trees: Any, floors: Any, number: Number) -> int:
    """Verify the proof trees of every rank and the trees that bound the losses below; returns the number of leaves."""
    classes = cone.classes
    if not (isinstance(trees, list) and len(trees) == classes - 1):
        raise TreeRefused("a proof needs one tree per rank of the likeliest class")
    leaves = verify_floors(cone, floors, number)

    for m, tree in enumerate(trees, start=1):

        def rule(leaf: list[Any], spans: tuple[Span, ...], cell: Cell, m: int = m) -> bool:
            if leaf == ["x"]:
                return cone.exchange(m, spans)
            if leaf == ["o"]:
                return cone.outside(spans)
            if len(leaf) == 1 and leaf[0] in MOVES:
                return cone.tie(m, spans, cell, leaf[0])
            if len(leaf) == 2 and leaf[0] == "c":
                return cone.candidate(m, spans, cell, read_scores(cone, leaf[1], number))
            return False

        leaves += _walk(tree, cone, m, cone.whole(), first_cell(classes, m), rule, number)
    return leaves


def verify_floors(cone: Cone, floors: Any, number: Number) -> int:
    """Verify that the loss of every rank is real and bounded below on the domain; returns the number of leaves."""
    if not isinstance(floors, list) or len(floors) != cone.classes:
        raise TreeRefused("a certificate needs one tree of lower bounds per rank")
    leaves = 0
    for rank, tree in enumerate(floors):

        def bounded(leaf: list[Any], spans: tuple[Span, ...], _: Cell, rank: int = rank) -> bool:
            return cone.outside(spans) if leaf == ["o"] else leaf == ["f"] and cone.floor(rank, spans)

        leaves += _walk(tree, cone, 0, cone.whole(), (), bounded, number)
    return leaves


def verify_refutation(cone: Cone, p: Posterior, wrong: Any, trees: Any, floors: Any, number: Number) -> int:
    """Verify that wrong scores or ties are as good as every correct score vector at p; returns the number of leaves."""
    classes = cone.classes
    if sum(p) != 1 or min(p) < 0 or max(p[1:]) >= p[0]:
        raise TreeRefused("class 0 must be the one likeliest class of the posterior")
    risk = wrong_risk(cone, p, wrong, number)
    orders = list(permutations(range(1, classes)))
    if not isinstance(trees, list) or len(trees) != len(orders):
        raise TreeRefused("a refutation needs one tree per order of the other classes")
    leaves = verify_floors(cone, floors, number)
    verified: dict[Posterior, tuple[Any, int]] = {}
    for order, tree in zip(orders, trees, strict=True):
        ranked = (p[0], *(p[k] for k in order))
        if ranked in verified and _same(verified[ranked][0], tree):  # equal weights: the same question again
            leaves += verified[ranked][1]
            continue

        def rule(leaf: list[Any], spans: tuple[Span, ...], _: Cell, ranked: Posterior = ranked) -> bool:
            if leaf == ["v"]:
                return not_below(cone, ranked, spans, risk)
            if leaf == ["o"]:
                return cone.outside(spans)
            if leaf == ["s"]:
                return cone.slides(spans, ranked)
            return leaf == ["r"] and cone.retracts(spans, ranked)

        verified[ranked] = tree, _walk(tree, cone, 1, cone.whole(), (), rule, number)
        leaves += verified[ranked][1]
    return leaves


def _same(verified: Any, tree: Any) -> bool:
    """Whether a tree is one that was verified, node by node and type by type; trees may be deep."""
    pending = [(verified, tree)]
    while pending:
        one, other = pending.pop()
        if type(one) is not type(other):
            return False
        if not isinstance(one, list):
            if one != other:
                return False
        elif len(one) != len(other):
            return False
        else:
            pending += zip(one, other, strict=True)
    return True


def not_below(cone: Cone, ranked: Posterior, spans: tuple[Span, ...], risk: Interval) -> bool:
    """The conditional risk on the box is certainly at least the given one."""
    return at_least(cone.risk(ranked), cone.box(spans), risk.hi)


def wrong_risk(cone: Cone, p: Posterior, wrong: Any, number: Number) -> Interval:
    """The risk of the wrong score vector, or its limit along a direction in which a wrong class is on top."""
    if not isinstance(wrong, dict) or not wrong or not wrong.keys() <= {"scores", "direction"}:
        raise TreeRefused("the wrong scores must be given as scores, as a direction, or as both")
    start = read_scores(cone, wrong["scores"], number) if "scores" in wrong else (_ZERO,) * cone.classes
    if "direction" not in wrong:
        risk, end = cone.risk_at(p, start), start
    else:
        if cone.bound is not None:
            raise TreeRefused("bounded scores have no direction to infinity")
        steps = read_scores(cone, wrong["direction"], number)
        way = zip(start, steps, strict=True)
        points: list[Expr] = [simplify(Const(at) + Const(step) * Var("t")) for at, step in way]
        risk = limit_at(cone.risk_along(p, points), "t", float("inf"))
        end = tuple(at if step == max(steps) else min(start) - 1 for at, step in zip(start, steps, strict=True))
    if not any(end[k] == max(end) for k in range(1, cone.classes)):
        raise TreeRefused("no wrong class is on top at the wrong scores")
    if not risk.hi > NEG_INF:
        raise TreeRefused("the risk at the wrong scores must be finite; below every bound there is no verdict")
    return risk


def read_scores(cone: Cone, values: Any, number: Number) -> Posterior:
    """A rational score vector of the domain."""
    if not isinstance(values, list) or len(values) != cone.classes:
        raise TreeRefused(f"scores must be a list of {cone.classes} numbers")
    scores = tuple(number(value) for value in values)
    if not cone.contains(scores):
        raise TreeRefused("scores must lie in the domain of the loss")
    return scores


def _walk(
    tree: Any,
    cone: Cone,
    m: int,
    spans: tuple[Span, ...],
    cell: Cell,
    rule: Callable[[list[Any], tuple[Span, ...], Cell], bool],
    number: Number,
) -> int:
    """Visit every leaf with the box and the cell that the splits above it give."""
    leaves = 0
    pending = [(tree, spans, cell)]
    while pending:
        node, box, part = pending.pop()
        if not isinstance(node, list) or not node or leaves > MAX_LEAVES:
            raise TreeRefused("a tree node must be a list that names a split or a rule")
        if node[0] == "w" and len(node) == 4 and type(node[1]) is int and 0 <= node[1] < len(box):
            pending += zip(node[2:], split_spans(box, node[1]), (part, part), strict=True)
        elif node[0] == "k" and len(node) == 5 and type(node[1]) is int and 0 <= node[1] < len(box):
            at = number(node[2])
            if not box[node[1]][0] < at < box[node[1]][1]:
                raise TreeRefused(f"a cut at {at} must lie inside the box {_show(box)}")
            pending += zip(node[3:], split_spans(box, node[1], at), (part, part), strict=True)
        elif node[0] == "p" and part:
            parts = split_cell(part, cone.classes, m)
            if len(node) != len(parts) + 1:
                raise TreeRefused("a split of the posteriors has the wrong number of parts")
            pending += [(each, box, piece) for each, piece in zip(node[1:], parts, strict=True)]
        else:
            leaves += 1
            try:
                holds = rule(node, box, part)
            except Undefined:
                holds = False
            if not holds:
                raise TreeRefused(f"rule {str(node[0])[:20]!r} fails on the gaps {_show(box)}")
    return leaves


def _show(spans: tuple[Span, ...]) -> str:
    return ", ".join(f"[{low}, {high}]" for low, high in spans)
