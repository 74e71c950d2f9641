"""Certified bounds of the calibration function on the cone of sorted scores: trusted.

The claim is gap <= delta(epsilon), the infimum of inf { C_p(f): f_j = max f } - inf C_p over all posteriors p and
classes j with max p - p_j >= epsilon; with an upper bound also delta(epsilon) <= value. A block of a certificate holds

    epsilon, gap    in (0, 1] and above 0
    floors          one tree per rank: on its leaves ["f"] the loss of the rank is real and bounded below
    ordered         null, or one tree per r < c - 1 with leaves ["o"]: L_{r+1} - L_r >= 0. Then only posteriors with
                    p_1 >= ... >= p_{c-1} (by rank, rank 0 being the wrong class j) need to be treated (Lemma M1)
    candidates      score vectors, by rank
    trees           for m = 1 if ordered, else for each rank m of a likeliest class: one tree per cell of `gap_cells`
    upper           null, or a posterior p, wrong scores, level <= inf C_p and value (Lemma M5)

Nodes are ["w", axis, left, right], a gap halved, and ["p", left, right], the cell cut across its longest edge. Leaves
of `trees`: ["x"], the exchange (Lemma M3): (x_m - x_0) inf (L_m - L_0) >= gap at the posteriors x that span the cell;
and ["c", k] (Lemma M4): inf C_x - C_x(candidate k) >= gap at those x. Leaves of the trees of `upper` are ["v"].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import permutations
from typing import Any

from theory.expression.interval import Undefined

from .cone import Cell, Cone, Posterior, Span, split_cell, split_spans
from .cone_proofs import MAX_LEAVES, Number, TreeRefused, read_scores
from .cone_tables import UNIT, Tables, Weights, whole_weights

_ZERO = Fraction(0)
Leaf = Callable[[list[Any], tuple[Span, ...], Cell], bool]


class GapRules:
    """The rules for one cone: what holds on a box of gaps and a cell of posteriors."""

    def __init__(self, cone: Cone) -> None:
        self.cone, self.tables = cone, Tables(cone)
        self._weights: dict[Posterior, Weights] = {}

    def weights(self, x: Posterior) -> Weights:
        """The posterior in integers."""
        found = self._weights.get(x)
        if found is None:
            found = self._weights[x] = whole_weights(x)
        return found

    def exchange(self, m: int, spans: tuple[Span, ...], cell: Cell, gap: Fraction) -> bool:
        """(x_m - x_0) (L_m - L_0) >= gap on the box and the cell."""
        lead = self.tables.at(spans).lead(m)
        return lead is not None and lead >= 0 and min(x[m] - x[0] for x in cell) * lead >= gap * UNIT

    def candidate(self, spans: tuple[Span, ...], cell: Cell, above: Sequence[int | None], gap: Fraction) -> bool:
        """C_x - C_x(candidate) >= gap on the box and the cell; `above` bounds the losses of the candidate."""
        bounds = self.tables.at(spans)
        for x in cell:
            weights, size = self.weights(x)
            cost = risk_from_above(weights, above)
            low = bounds.risk(weights).total
            if cost is None or low is None or not (low - cost) >= gap * size * UNIT:
                return False
        return True

    def above(self, x: Posterior, spans: tuple[Span, ...], level: Fraction) -> bool:
        """C_x >= level on the box."""
        weights, size = self.weights(x)
        low = self.tables.at(spans).risk(weights).total
        return low is not None and low >= level * size * UNIT


def risk_from_above(weights: Sequence[int], above: Sequence[int | None]) -> int | None:
    """An upper bound of the weighted sum of losses, in units; labels of weight 0 cost nothing."""
    total = 0
    for weight, value in zip(weights, above, strict=True):
        if weight:
            if value is None:
                return None
            total += weight * value
    return total


def gap_cells(classes: int, m: int, epsilon: Fraction, ordered: bool) -> list[Cell]:
    """Simplices that cover {p : p_m >= p_r for all r, p_m - p_0 >= epsilon}; with p_1 >= ... >= p_{c-1} if `ordered`.

    The first set is the union, over the orders of the ranks other than m, of the simplices spanned by the uniform
    distributions on m and the first k of the order; each is clipped at p_m - p_0 = epsilon.

    >>> [[[str(share) for share in x] for x in cell] for cell in gap_cells(2, 1, Fraction(1, 4), True)]
    [[['0', '1'], ['3/8', '5/8']]]
    """
    others = [r for r in range(classes) if r != m]
    kept: list[Cell] = []
    flat: list[Cell] = []
    for order in permutations(others):
        behind = [r for r in order if r != 0]
        if ordered and behind != sorted(behind):
            continue
        prefixes = [(m, *order[:size]) for size in range(classes)]
        corners = tuple(tuple(Fraction(int(r in first), len(first)) for r in range(classes)) for first in prefixes)
        _clip(corners, lambda x: x[m] - x[0] - epsilon, kept, flat)
    for face in flat:
        if not any(set(face) <= set(cell) for cell in kept):
            kept.append(face)
    return kept


def _clip(simplex: Cell, height: Callable[[Posterior], Fraction], kept: list[Cell], flat: list[Cell]) -> None:
    """Simplices that cover the part of a simplex with height >= 0: edges that cross 0 are cut there, one by one."""
    pending = [simplex]
    while pending:
        cell = pending.pop()
        heights = [height(x) for x in cell]
        up = [i for i, value in enumerate(heights) if value > 0]
        down = [i for i, value in enumerate(heights) if value < 0]
        if not down:
            kept.append(cell)
        elif not up:
            face = tuple(x for x, value in zip(cell, heights, strict=True) if value == 0)
            if face:
                flat.append(face)
        else:
            i, k = up[0], down[0]
            share = heights[i] / (heights[i] - heights[k])
            cut = tuple(x + share * (y - x) for x, y in zip(cell[i], cell[k], strict=True))
            pending += [tuple(cut if r == j else x for r, x in enumerate(cell)) for j in (k, i)]


def verify_gap(cone: Cone, block: Any, number: Number) -> int:
    """Verify the claim of a block; returns the number of leaves."""
    if not isinstance(block, dict):
        raise TreeRefused("the bound of the calibration function must be an object")
    if cone.domain not in ("all", "sum-zero") or cone.jumps:
        raise TreeRefused("bounds of the calibration function are for unbounded scores and losses that do not jump")
    epsilon, gap = number(block.get("epsilon")), number(block.get("gap"))
    if not (0 < epsilon <= 1 and gap > 0):
        raise TreeRefused("epsilon must lie in (0, 1] and gap must be positive")
    rules = GapRules(cone)
    real = [_leaf("f", lambda spans, rank=rank: rules.tables.is_real(rank, spans)) for rank in cone.ranks]  # type: ignore[misc]
    leaves = _grove(block, "floors", cone, real)
    steps = range(cone.classes - 1)
    ordered = block.get("ordered") is not None
    if ordered:
        rising = [_leaf("o", lambda spans, r=r: rules.tables.rises(r, spans)) for r in steps]  # type: ignore[misc]
        leaves += _grove(block, "ordered", cone, rising)
    candidates = _list(block, "candidates", None)
    if len(candidates) > MAX_LEAVES:
        raise TreeRefused("too many candidates")
    scores = [read_scores(cone, each, number) for each in candidates]
    above: dict[int, list[int | None]] = {}
    ranks = [1] if ordered else list(range(1, cone.classes))
    for m, trees in zip(ranks, _list(block, "trees", len(ranks)), strict=True):
        cells = gap_cells(cone.classes, m, epsilon, ordered)
        if not isinstance(trees, list) or len(trees) != len(cells):
            raise TreeRefused(f"rank {m} needs one tree per cell, {len(cells)}")

        def rule(leaf: list[Any], spans: tuple[Span, ...], cell: Cell, m: int = m) -> bool:
            if leaf == ["x"]:
                return rules.exchange(m, spans, cell, gap)
            if len(leaf) == 2 and leaf[0] == "c" and type(leaf[1]) is int and 0 <= leaf[1] < len(scores):
                if leaf[1] not in above:
                    above[leaf[1]] = rules.tables.losses_from_above(scores[leaf[1]])
                return rules.candidate(spans, cell, above[leaf[1]], gap)
            return False

        for tree, cell in zip(trees, cells, strict=True):
            leaves += walk(tree, cone, m, cell, rule)
    if block.get("upper") is not None:
        leaves += _verify_upper(rules, block["upper"], epsilon, ordered, number)
    return leaves


def _verify_upper(rules: GapRules, upper: Any, epsilon: Fraction, ordered: bool, number: Number) -> int:
    """One posterior, wrong scores, and trees that bound inf C_p from below (Lemma M5)."""
    cone = rules.cone
    if not isinstance(upper, dict):
        raise TreeRefused("an upper bound must be an object")
    p = read_posterior(_list(upper, "p", cone.classes), number)
    value, level = number(upper.get("value")), number(upper.get("level"))
    scores = read_scores(cone, upper.get("scores"), number)
    if not any(scores[j] == max(scores) and max(p) - p[j] >= epsilon for j in cone.ranks):
        raise TreeRefused("no class on top at the scores of the upper bound is wrong by epsilon")
    weights, size = rules.weights(p)
    cost = risk_from_above(weights, rules.tables.losses_from_above(scores))
    if cost is None or not cost <= (value + level) * size * UNIT:
        raise TreeRefused("the wrong scores of the upper bound cost more than it says")
    leaves = 0
    orders = posterior_orders(p, ordered)
    for ranked, tree in zip(orders, _list(upper, "trees", len(orders)), strict=True):
        leaf = _leaf("v", lambda spans, ranked=ranked: rules.above(ranked, spans, level))  # type: ignore[misc]
        leaves += walk(tree, cone, 0, (), leaf)
    return leaves


def posterior_orders(p: Posterior, ordered: bool) -> list[Posterior]:
    """The posterior in every order that scores can give its classes; the decreasing one stands for all if `ordered`."""
    return [tuple(sorted(p, reverse=True))] if ordered else sorted(set(permutations(p)), reverse=True)


def read_posterior(values: list[Any], number: Number) -> Posterior:
    """A rational posterior."""
    p = tuple(number(value) for value in values)
    if sum(p) != 1 or min(p) < 0:
        raise TreeRefused("a posterior must have entries >= 0 that sum to 1")
    return p


def _leaf(name: str, holds: Callable[[tuple[Span, ...]], bool]) -> Leaf:
    return lambda leaf, spans, _: leaf == [name] and holds(spans)


def _list(block: Mapping[str, Any], key: str, size: int | None) -> list[Any]:
    found = block.get(key)
    if not isinstance(found, list) or (size is not None and len(found) != size):
        raise TreeRefused(f"{key} must be a list" + ("" if size is None else f" of {size}"))
    return found


def _grove(block: Mapping[str, Any], key: str, cone: Cone, rules: Sequence[Leaf]) -> int:
    """Verify one tree over all gaps per rule."""
    trees = _list(block, key, len(rules))
    return sum(walk(tree, cone, 0, (), rule) for tree, rule in zip(trees, rules, strict=True))


def walk(tree: Any, cone: Cone, m: int, cell: Cell, rule: Leaf) -> int:
    """Visit every leaf with the box and the cell that the splits above it give; returns the number of leaves."""
    leaves = 0
    pending = [(tree, cone.whole(), cell)]
    while pending:
        node, spans, part = pending.pop()
        if not isinstance(node, list) or not node or leaves > MAX_LEAVES:
            raise TreeRefused("a tree node must be a list that names a split or a rule")
        if node[0] == "w" and len(node) == 4 and type(node[1]) is int and 0 <= node[1] < len(spans):
            pending += zip(node[2:], split_spans(spans, node[1]), (part, part), strict=True)
        elif node[0] == "p" and len(node) == 3 and len(part) > 1:
            pending += zip(node[1:], (spans, spans), split_cell(part, cone.classes, m), strict=True)
        else:
            leaves += 1
            try:
                holds = rule(node, spans, part)
            except Undefined:
                holds = False
            if not holds:
                raise TreeRefused(f"rule {str(node[0])[:20]!r} fails on the gaps [{_show(spans)}]")
    return leaves


def _show(spans: tuple[Span, ...]) -> str:
    return ", ".join(f"({float(low):.6g}, {float(high):.6g})" for low, high in spans)
