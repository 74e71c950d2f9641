"""Signs of slopes on a strip next to a tie, one branch of their comparisons at a time: trusted.

A slope is that of a continuous function along s. Its comparisons, maxima and minima ask for the sign of differences.
A branch answers each open question one way, everywhere in the tree; off the surfaces where a difference is 0 the slope
is one of its branches, and the function, being continuous, changes by no more than slopes off those surfaces allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from theory.expression.enclosure import enclose
from theory.expression.interval import INF, NEG_INF, Interval, Undefined
from theory.expression.nodes import Expr, Max, Min, Where, rebuild, substitute, walk
from theory.expression.normal import TooLarge, normal_form, polynomial
from theory.expression.rewrite import simplify
from theory.expression.share import share

from .cone_bounds import derivative, lower, upper

_MAX_BRANCHES = 64
Box = Mapping[str, Interval]
Question = frozenset[object]
"""The terms of a difference, scaled: differences that are positive multiples of each other, or negative ones, agree."""


def rises(slope: Expr, strip: Box) -> bool:
    """slope >= 0 on the strip: at once, or because each branch is at least 0 at s = 0 and rises with s."""
    if lower(slope, strip) >= 0:
        return True
    try:
        return all(
            _at_tie(branch, strip, lambda tree: lower(tree, strip) >= 0) and lower(derivative(branch, "s"), strip) >= 0
            for branch in _branches(slope, strip, (Where,))
        )
    except Undefined:
        return False


def vanishes(slope: Expr, strip: Box) -> bool:
    """slope <= K s on the strip for some K: not positive at all, or each branch at most 0 at s = 0, Lipschitz in s."""
    if upper(slope, strip) <= 0:
        return True
    try:
        return all(
            _at_tie(branch, strip, lambda tree: upper(tree, strip) <= 0)
            and upper(derivative(branch, "s"), strip, INF) < INF
            for branch in _branches(slope, strip, (Where,))
        )
    except Undefined:
        return False


def falls(slope: Expr, strip: Box) -> bool:
    """slope <= -e < 0 on the strip: at once, or each branch from its value at s = 0 and its slope in s."""
    if upper(slope, strip) < 0:
        return True
    if not strip["s"].is_finite:
        return False

    def below(branch: Expr) -> bool:
        bend = upper(derivative(branch, "s"), strip, NEG_INF)
        if not bend < INF:
            return False
        growth = Interval(bend, bend).maximum(Interval.point(0)) * strip["s"]
        return _at_tie(branch, strip, lambda tree: (_ceiling(tree, strip) + growth).hi < 0)

    try:
        return all(below(branch) for branch in _branches(slope, strip, (Where,)))
    except Undefined:
        return False


def _ceiling(tree: Expr, strip: Box) -> Interval:
    high = upper(tree, strip, NEG_INF)
    return Interval(high, high)


def _at_tie(branch: Expr, strip: Box, test: Callable[[Expr], object]) -> bool:
    """Whether the limit of a branch as s -> 0 passes a test, at once or in each branch of its maxima and minima.

    Undefined where s = 0 leaves no number, as in s / s.
    """
    there = substitute(branch, {"s": 0})
    enclose(there, strip, along=tuple(strip))  # before anything cancels
    limit = share(normal_form(simplify(there)))
    return bool(test(limit)) or all(test(part) for part in _branches(limit, strip, (Max, Min)))


def _branches(tree: Expr, strip: Box, kinds: tuple[type[Expr], ...]) -> Iterator[Expr]:
    """The tree with the questions of some kinds of nodes answered; one tree per choice where some stay open.

    Undefined where there are too many.
    """
    pending, done = [tree], 0
    while pending:
        part = pending.pop()
        node = next((each for each in walk(part) if isinstance(each, kinds) and _is_inner(each, kinds)), None)
        if node is None:
            done += 1
            if done + len(pending) > _MAX_BRANCHES:
                raise Undefined("too many open comparisons")
            yield share(normal_form(simplify(part)))
            continue
        assert isinstance(node, (Where, Max, Min))
        question, _ = _question(node)
        difference = enclose(simplify(node.left - node.right), strip, along=tuple(strip)).range
        answers = [True] if difference.lo >= 0 else [False] if difference.hi <= 0 else [True, False]
        pending += [_answered(part, node, question, answer) for answer in answers]


def _is_inner(node: Expr, kinds: tuple[type[Expr], ...]) -> bool:
    """Whether the sides of a node ask no question themselves, so that equal questions are seen as such."""
    assert isinstance(node, (Where, Max, Min))
    return not any(isinstance(each, kinds) for side in (node.left, node.right) for each in walk(side))


def _question(node: Where | Max | Min) -> tuple[Question, bool]:
    """What decides a node, and whether left - right is a positive multiple of it."""
    try:
        terms = polynomial(node.left - node.right)
    except TooLarge:
        return frozenset([node.left, node.right]), True
    if not terms:
        return frozenset(), True
    lead = terms[min(terms, key=repr)]
    return frozenset((monomial, value / lead) for monomial, value in terms.items()), lead > 0


def _answered(tree: Expr, asked: Where | Max | Min, question: Question, larger: bool) -> Expr:
    """The tree where left - right of a node is known to be positive (negative): all nodes of the same question too."""
    _, same = _question(asked)

    def decide(node: Expr) -> Expr:
        if not isinstance(node, (Where, Max, Min)):
            return node
        if node == asked:
            above = larger
        else:
            here, positive = _question(node)
            if here != question or (here and any(isinstance(part, Expr) for part in here)):
                return node
            above = larger == (positive == same)
        if isinstance(node, Where):
            if not question:  # sides that are equal everywhere
                return node.yes if node.comparison in ("<=", ">=") else node.no
            return node.yes if (node.comparison in (">", ">=")) == above else node.no
        return node.left if above == isinstance(node, Max) else node.right

    return rebuild(tree, decide)
