"""Bounds of trees over boxes of gaps, from derivatives of one sign and term by term: trusted.

The functions remember what they derive from a tree (derivatives, normal form, terms), by identity of the tree: ask
for bounds of the same object again and again.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from theory.expression.calculus import differentiate
from theory.expression.enclosure import enclose
from theory.expression.interval import INF, NEG_INF, End, Interval, Undefined, fraction_of
from theory.expression.nodes import Expr, Neg, names
from theory.expression.normal import Monomial, TooLarge, from_polynomial, normal_form, polynomial
from theory.expression.quotient import excess
from theory.expression.rewrite import simplify
from theory.expression.share import share

_ZERO, _ONE = Fraction(0), Fraction(1)
_MAX_KNOWN = 20_000
Box = Mapping[str, Interval]


class _Known:
    """What has been derived from one tree; each part once."""

    __slots__ = ("_collected", "_excess", "_negated", "_slopes", "_terms", "names", "tree")

    def __init__(self, tree: Expr) -> None:
        self.tree = share(tree)
        self.names = sorted(names(tree))
        self._slopes: dict[str, Expr] = {}
        self._negated: Expr | None = None
        self._collected: Expr | None = None
        self._excess: dict[Fraction, tuple[Expr, Expr] | None] = {}
        self._terms: list[list[tuple[Monomial, Fraction, Expr]] | None] = []  # at most one entry, None for too many

    def slope(self, name: str) -> Expr:
        """The derivative in one name."""
        if name not in self._slopes:
            self._slopes[name] = share(normal_form(differentiate(self.tree, name)))
        return self._slopes[name]

    @property
    def negated(self) -> Expr:
        """The tree with the other sign."""
        if self._negated is None:
            self._negated = share(simplify(Neg(self.tree)))
        return self._negated

    @property
    def collected(self) -> Expr:
        """The normal form."""
        if self._collected is None:
            self._collected = share(normal_form(self.tree))
        return self._collected

    def excess(self, value: Fraction) -> tuple[Expr, Expr] | None:
        """N and D with tree - value = N / D, or None."""
        if value not in self._excess:
            found = excess(self.tree, value)
            self._excess[value] = None if found is None else (share(found[0]), share(found[1]))
        return self._excess[value]

    @property
    def terms(self) -> list[tuple[Monomial, Fraction, Expr]] | None:
        """The monomials of the tree, their coefficients, and the products; None where there are too many."""
        if not self._terms:
            try:
                parts = polynomial(self.tree).items()
                self._terms.append([(m, value, share(from_polynomial({m: value}))) for m, value in parts])
            except TooLarge:
                self._terms.append(None)
        return self._terms[0]


_known: dict[int, tuple[Expr, _Known]] = {}  # a key is an identity, so its tree is kept alive


def _about(tree: Expr) -> _Known:
    found = _known.get(id(tree))
    if found is None:
        if len(_known) > _MAX_KNOWN:
            _known.clear()
        found = _known[id(tree)] = tree, _Known(tree)
    return found[1]


def collected(tree: Expr) -> Expr:
    """The normal form of a tree, or the tree where that is too large."""
    return _about(tree).collected


def derivative(tree: Expr, name: str) -> Expr:
    """The derivative of a tree in one name, in normal form."""
    return _about(tree).slope(name)


def lower(tree: Expr, box: Box, goal: End = 0) -> End:
    """A lower bound of a tree over a box: coordinates in which it is monotone are set to their better end.

    Where that says nothing because infinite terms meet, the terms are bounded one by one. A bound above `goal` is
    not improved.
    """
    best = _monotone_lower(tree, box, goal)
    if best > NEG_INF:
        return best
    terms = _about(tree).terms
    if terms is None:
        return best
    total = Interval.point(0)
    for monomial, value, product in terms:
        part = _monotone_lower(product, box, INF)
        if not part > NEG_INF:
            part = _paired_lower(monomial, value, box)
        if not part > NEG_INF:
            return best
        total = Interval((total + Interval(part, part)).lo, INF)
    return total.lo


def upper(tree: Expr, box: Box, goal: End = 0) -> End:
    """An upper bound of a tree over a box; one below `goal` is not improved."""
    return -lower(_about(tree).negated, box, -goal)


def at_least(tree: Expr, box: Box, value: End) -> bool:
    """Whether a tree is certainly at least `value` wherever it is real on a box: over one denominator, or by its bound.

    Quotients that share a denominator, N_1 / D + N_2 / D, are far better bounded as one. Where the tree is real, D is
    not 0, so that D >= 0 means D > 0.
    """
    exact = fraction_of(value)
    parts = None if exact is None else _about(tree).excess(exact)
    if parts is not None:
        over, below = parts
        if (lower(below, box) >= 0 and lower(over, box) >= 0) or (upper(below, box) <= 0 and upper(over, box) <= 0):
            return True
    return bool(lower(tree, box, value) >= value)


def _paired_lower(monomial: Monomial, value: Fraction, box: Box) -> End:
    """A lower bound of a product with one unbounded factor, which is bounded together with one that vanishes."""
    factors = [from_polynomial({(factor,): _ONE}) for factor in monomial]
    try:
        ranges = [enclose(factor, box, along=tuple(box)).range for factor in factors]
    except Undefined:
        return NEG_INF
    wild = [i for i, found in enumerate(ranges) if found.lo == NEG_INF or found.hi == INF]
    if len(wild) != 1:
        return NEG_INF
    for k, found in enumerate(ranges):
        if k == wild[0] or (found.lo != 0 and found.hi != 0):
            continue
        pair = simplify(factors[wild[0]] * factors[k])
        total = Interval(_monotone_lower(pair, box, INF), -_monotone_lower(simplify(Neg(pair)), box, INF))
        if total.lo > NEG_INF and total.hi < INF:
            for i, other in enumerate(ranges):
                if i not in (wild[0], k):
                    total = total * other
            return (total * Interval.point(value)).lo
    return NEG_INF


def _monotone_lower(tree: Expr, box: Box, goal: End) -> End:
    known = _about(tree)
    tree = known.tree
    open_names = tuple(box)
    try:
        here = enclose(tree, box, along=open_names)
        if here.jumped or here.range.lo > goal:
            return here.range.lo
        best = here.range.lo
    except Undefined:
        best = NEG_INF
    table = dict(box)
    for name in known.names:
        if table[name].is_point:
            continue
        try:
            # branches are decided on the box, values taken at its face: one-sided limits
            found = enclose(known.slope(name), box, [table], along=open_names)
            slope = found.range if found.range.lo >= 0 or found.range.hi <= 0 else found.points[0]
        except Undefined:
            continue
        if slope.lo >= 0 or slope.hi <= 0:
            end = table[name].lo if slope.lo >= 0 else table[name].hi
            trial = table | {name: Interval(end, end)}
            try:
                (value,) = enclose(tree, box, [trial], along=open_names).points
            except Undefined:
                continue
            if value.lo > NEG_INF:
                table = trial
    try:
        found = enclose(tree, box, [table], along=open_names)
    except Undefined:
        return best
    low = found.points[0].lo
    return low if low > best and not found.jumped else best
