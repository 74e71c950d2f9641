"""Multiclass losses on the cone of sorted scores, and the rules that discharge boxes of it: trusted.

Ranks 0, ..., c - 1 list the classes by decreasing score; w_1, ..., w_{c-1} >= 0 are the gaps between
neighbours and `a` is the top score (absent where the loss does not depend on it, or the scores sum
to zero). The loss treats all labels alike, so L_r(w), the loss of the class at rank r, serves every
order. A posterior is written by rank too. For each rank m >= 1 the question is whether rank 0 can be
wrong while the likeliest class stands at rank m: p_m >= p_r for all r, and p_0 < p_m.

A cell is the convex hull of finitely many posteriors x with x_m >= x_r. C_p = sum_r p_r L_r is linear
in p, so what holds at the x holds on the cell; where x_0 = x_m a weak inequality is enough, because a
posterior with p_0 < p_m gives positive weight to some x with x_0 < x_m. Rules for a box of gaps:

  exchange   G = L_m - L_0 >= d > 0 on the box. Swapping the scores of ranks 0 and m lowers C_p by (p_m - p_0) G.
  tie        the gaps w_1, ..., w_m between ranks 0 and m start at 0 on the box, and dG/dw_i > 0 for i <= m, so
             G >= k (f_0 - f_m) with k > 0, G being 0 at ties. Swap the two, so that the likeliest class is at
             mid + s and the wrong one at mid - s, and let s grow, the others held: the slope D_x of C_x is
             negative, bounded away from 0, at every x with x_0 < x_m, and at most K s at the others, for all s
             from 0 to half the largest gap. Where the gap is small C falls along this path by an amount that
             depends on p only; elsewhere the swap gains (p_m - p_0) k (f_0 - f_m).
  candidate  C_x(w) - C_x(f) > 0 on the box for one fixed score vector f, at every x (>= 0 where x_0 = x_m).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, permutations

from theory.expression.calculus import differentiate
from theory.expression.enclosure import enclose
from theory.expression.expand import expand
from theory.expression.interval import INF, NEG_INF, End, Interval, Undefined
from theory.expression.nodes import (
    Add,
    Call,
    Clip,
    Const,
    Expr,
    Max,
    MaxOther,
    Min,
    Neg,
    Sub,
    Var,
    Where,
    names,
    rebuild,
    substitute,
    walk,
)
from theory.expression.normal import Monomial, TooLarge, from_polynomial, normal_form, polynomial, same_function
from theory.expression.rewrite import simplify

from .arrangement import sorted_scores

_ZERO, _ONE = Fraction(0), Fraction(1)
Posterior = tuple[Fraction, ...]
Span = tuple[Fraction, Fraction]
"""An interval of a compressed coordinate z in [0, 1]."""
Cell = tuple[Posterior, ...]
_FAR = 2**10_000
"""Stands for every finite number when a tree is tested for poles: beyond what any constant of a formula reaches."""


class Cone:
    """The losses by rank as trees in the gaps, and the rules."""

    def __init__(self, tree: Expr, classes: int, domain: str) -> None:
        self.classes, self.domain, self.tree = classes, domain, tree
        self.names, scores = sorted_scores(classes, domain)
        if "a" in self.names and _shift_invariant(tree, classes):
            self.names = self.names[:-1]
            scores = [simplify(substitute(score, {"a": 0})) for score in scores]
        self.losses = [resolve(expand(tree, rank, scores)) for rank in range(classes)]
        self.gains = [simplify(loss - self.losses[0]) for loss in self.losses]
        self.jumps = any(isinstance(node, Where) for node in walk(tree))
        self._strips: dict[tuple[int, Posterior], tuple[Expr, Expr, Expr]] = {}
        self._risks: dict[Posterior, Expr] = {}

    # -- coordinates ---------------------------------------------------------------------------------

    def box(self, spans: Sequence[Span]) -> dict[str, Interval]:
        """The gaps of a box given in z: w = z / (1 - z), a = (z - 1/2) / (z (1 - z))."""
        return {
            name: Interval.between(*(_stretch(z, name == "a") for z in span))
            for name, span in zip(self.names, spans, strict=True)
        }

    @property
    def ranks(self) -> range:
        """0, ..., c - 1."""
        return range(self.classes)

    def whole(self) -> tuple[Span, ...]:
        """All gaps."""
        return ((_ZERO, _ONE),) * len(self.names)

    # -- rules ---------------------------------------------------------------------------------------

    def exchange(self, m: int, spans: Sequence[Span]) -> bool:
        """L_m - L_0 is bounded below by a positive number on the box."""
        box = self.box(spans)
        return bool(lower(self.gains[m], box) > 0 or lower(_collect(self.gains[m]), box) > 0)

    def tie(self, m: int, spans: Sequence[Span], cell: Cell) -> bool:
        """The rule for boxes that reach a tie of ranks 0 and m."""
        if any(spans[i][0] != 0 or spans[i][1] == 1 for i in range(m)):
            return False
        box = self.box(spans)
        if not all(lower(_derivative(self.gains[m], name), box) > 0 for name in self.names[:m]):
            return False
        if not self._continuous(self.gains[m], box):
            return False
        strip = self._strip_box(m, box)
        for x in cell:
            slopes = self._slopes(m, x, strip)
            if slopes is None:
                return False
            if x[0] < x[m]:
                if not upper(_collect(slopes[0] + slopes[1]), strip) < 0:
                    return False
            elif not (_vanishes(_collect(slopes[0] + slopes[1]), strip) or all(_vanishes(s, strip) for s in slopes)):
                return False
        return True

    def _strip_box(self, m: int, box: dict[str, Interval]) -> dict[str, Interval]:
        """Where the swapped near-ties of the box lie, in the coordinates of `_strip`, and what is passed from there."""
        width = Interval.point(0)
        for name in self.names[:m]:
            width = width + box[name]
        half = width * Interval.point(Fraction(1, 2))
        reach = Interval(Interval.point(0).lo, half.hi)
        gaps = [box[name] for name in self.names if name != "a"]
        # distances between neighbours once ranks 0 and m have left the order
        steps = [gaps[0] + gaps[1], *gaps[2:]] if m == 1 and len(gaps) > 1 else gaps[: m - 1]
        if 1 < m < len(gaps):
            steps += [gaps[m - 1] + gaps[m], *gaps[m + 1 :]]
        table = {"s": reach}
        for k, step in enumerate(steps[: self.classes - 2], start=2):
            table[f"w{k}"] = step + reach if k == 2 else step
        if "a" in self.names:
            table["a"] = box["a"] - reach
        return table

    def _slopes(self, m: int, x: Posterior, strip: Mapping[str, Interval]) -> tuple[Expr, Expr] | None:
        """The slopes of `_strip`, or None where a `where` of the loss may make C_x jump on the strip."""
        smooth, kinked, risk = self._strip(m, x)
        return (smooth, kinked) if self._continuous(risk, strip) else None

    def _continuous(self, tree: Expr, box: Mapping[str, Interval]) -> bool:
        """The tree is finite at every finite point of the box and does not jump there."""
        far = Interval.point(_FAR)
        cut = {name: Interval(side.lo, far.hi) if side.hi == INF else side for name, side in box.items()}
        cut = {name: Interval((-far).lo, side.hi) if side.lo == NEG_INF else side for name, side in cut.items()}
        here = [enclose(tree, each, along=tuple(box)) for each in (box, cut)]
        return here[1].range.is_finite and not (self.jumps and any(found.jumped for found in here))

    def _strip(self, m: int, x: Posterior) -> tuple[Expr, Expr, Expr]:
        """The slope in s of C_x where rank m stands at a + s, rank 0 at a - s and the others at a + s - w_2, ...

        The others stay where they are while s grows. The slopes of the smooth and of the kinked terms of the loss,
        and C_x itself.
        """
        if (m, x) not in self._strips:
            top: Expr = Var("a") if "a" in self.names else Const(_ZERO)
            if self.domain == "sum-zero":
                for k in range(2, self.classes):
                    top = top + Const(Fraction(1, self.classes)) * Var(f"u{k}")
            scores: list[Expr] = [top + Var("s"), top - Var("s")]
            scores += [top - Var(f"u{k}") for k in range(2, self.classes)]
            below: dict[str, Expr] = {}
            depth: Expr = -Var("s")
            for k in range(2, self.classes):
                depth = depth + Var(f"w{k}")
                below[f"u{k}"] = depth
            weights = [x[m], x[0], *(x[r] for r in self.ranks if r not in (0, m))]
            slopes = []
            for part in _smooth_and_kinked(self.tree):
                risk = _weighted(weights, [expand(part, r, scores) for r in self.ranks])
                moved = substitute(differentiate(risk, "s"), below)
                slopes.append(_collect(_resolve_where(resolve(moved))))
            whole = _weighted(weights, [expand(self.tree, r, scores) for r in self.ranks])
            self._strips[m, x] = (slopes[0], slopes[1], resolve(substitute(whole, below)))
        return self._strips[m, x]

    def risk(self, x: Posterior) -> Expr:
        """C_x as a tree in the gaps; labels of probability 0 cost nothing."""
        if x not in self._risks:
            self._risks[x] = _weighted(x, self.losses)
        return self._risks[x]

    def risk_at(self, x: Posterior, scores: Posterior) -> Interval:
        """C_x at explicit scores, by rank of the posterior."""
        points = [Const(score) for score in scores]
        parts = [expand(self.tree, r, points) for r in range(self.classes) if x[r]]
        return enclose(_weighted([w for w in x if w], parts), {}).range

    def lead(self, x: Posterior, spans: Sequence[Span], scores: Posterior) -> End:
        """The least of C_x(w) - C_x(scores) over the box, from below."""
        return (Interval(lower(self.risk(x), self.box(spans)), INF) - self.risk_at(x, scores)).lo

    def candidate(self, m: int, spans: Sequence[Span], cell: Cell, scores: Posterior) -> bool:
        """One score vector beats the whole box at every posterior of the cell with p_0 < p_m."""
        for x in cell:
            lead = self.lead(x, spans, scores)
            if not (lead > 0 or (x[0] == x[m] and lead >= 0)):
                return False
        return True

    def retracts(self, spans: Sequence[Span], ranked: Posterior) -> bool:
        """On a box that reaches the tie of ranks 0 and 1, C does not rise on the way to that tie.

        The way is either lowering rank 0 alone, or moving the two together. `ranked` is the posterior
        by rank, the likeliest class at rank 0.
        """
        if spans[0][0] != 0 or spans[0][1] == 1:
            return False
        box = self.box(spans)
        if self._continuous(self.risk(ranked), box) and lower(_derivative(self.risk(ranked), "w1"), box) >= 0:
            return True
        strip = self._strip_box(1, box)
        slopes = self._slopes(1, (ranked[1], ranked[0], *ranked[2:]), strip)
        return slopes is not None and _rises(_collect(slopes[0] + slopes[1]), strip)

    def floor(self, rank: int, spans: Sequence[Span]) -> bool:
        """The loss of a rank is bounded below on the box."""
        return bool(lower(self.losses[rank], self.box(spans)) > NEG_INF)


def first_cell(classes: int, m: int) -> Cell:
    """The extreme points of {p : p_m >= p_r}: the uniform distributions on sets of ranks that contain m."""
    others = [r for r in range(classes) if r != m]
    sets = [(m, *chosen) for size in range(classes) for chosen in combinations(others, size)]
    return tuple(_uniform(chosen, classes) for chosen in sets)


def split_cell(cell: Cell, classes: int, m: int) -> list[Cell]:
    """The first cell into one simplex per order of the other ranks; a simplex into two across its longest edge."""
    if cell == first_cell(classes, m):
        others = [r for r in range(classes) if r != m]
        return [
            tuple(_uniform((m, *order[:size]), classes) for size in range(classes)) for order in permutations(others)
        ]
    edges = combinations(range(len(cell)), 2)
    i, k = max(edges, key=lambda edge: (_square(cell[edge[0]], cell[edge[1]]), -edge[0], -edge[1]))
    middle = tuple((x + y) / 2 for x, y in zip(cell[i], cell[k], strict=True))
    return [tuple(middle if r == j else x for r, x in enumerate(cell)) for j in (i, k)]


def split_spans(spans: tuple[Span, ...], axis: int) -> list[tuple[Span, ...]]:
    """A box of gaps halved along one coordinate."""
    low, high = spans[axis]
    middle = (low + high) / 2
    return [(*spans[:axis], half, *spans[axis + 1 :]) for half in ((low, middle), (middle, high))]


def _uniform(chosen: Sequence[int], classes: int) -> Posterior:
    return tuple(Fraction(int(r in chosen), len(chosen)) for r in range(classes))


def _square(x: Posterior, y: Posterior) -> Fraction:
    return sum(((a - b) ** 2 for a, b in zip(x, y, strict=True)), _ZERO)


def _stretch(z: Fraction, both_sides: bool) -> Fraction | float:
    if z in (0, 1) and (both_sides or z == 1):
        return float("inf") if z == 1 else float("-inf")
    return (z - Fraction(1, 2)) / (z * (1 - z)) if both_sides else z / (1 - z)


# -- bounds on boxes -----------------------------------------------------------------------------------


def lower(tree: Expr, box: Mapping[str, Interval]) -> End:
    """A lower bound of a tree over a box: coordinates in which it is monotone are set to their better end.

    Where that says nothing because infinite terms meet, the terms are bounded one by one.
    """
    best = _monotone_lower(tree, box)
    if best > NEG_INF:
        return best
    try:
        terms = polynomial(tree)
    except TooLarge:
        return best
    total = Interval.point(0)
    for monomial, value in terms.items():
        part = _monotone_lower(from_polynomial({monomial: value}), box)
        if not part > NEG_INF:
            part = _paired_lower(monomial, value, box)
        if not part > NEG_INF:
            return best
        total = Interval((total + Interval(part, part)).lo, INF)
    return total.lo


def _paired_lower(monomial: Monomial, value: Fraction, box: Mapping[str, Interval]) -> End:
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
        total = Interval(_monotone_lower(pair, box), -_monotone_lower(_negated(pair), box))
        if total.lo > NEG_INF and total.hi < INF:
            for i, other in enumerate(ranges):
                if i not in (wild[0], k):
                    total = total * other
            return (total * Interval.point(value)).lo
    return NEG_INF


def _monotone_lower(tree: Expr, box: Mapping[str, Interval]) -> End:
    open_names = tuple(box)
    try:
        here = enclose(tree, box, along=open_names)
        if here.jumped or here.range.lo > 0:
            return here.range.lo
        best = here.range.lo
    except Undefined:
        best = NEG_INF
    table = dict(box)
    for name in sorted(names(tree)):
        if table[name].is_point:
            continue
        try:
            # branches are decided on the box, values taken at its face: one-sided limits
            found = enclose(_derivative(tree, name), box, [table], along=open_names)
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


def upper(tree: Expr, box: Mapping[str, Interval]) -> End:
    """An upper bound of a tree over a box."""
    return -lower(_negated(tree), box)


def _at_tie(slope: Expr, strip: Mapping[str, Interval]) -> Expr:
    """The limit of a slope as s -> 0, its comparisons decided on the strip; Undefined where one stays open."""

    def settle(node: Expr) -> Expr:
        if not isinstance(node, Where):
            return node
        question = Where(node.comparison, node.left, node.right, Const(_ONE), Const(_ZERO))
        answer = enclose(question, strip, along=tuple(strip))
        if answer.jumped:
            raise Undefined("a comparison that stays open")
        return node.yes if answer.range.lo > 0 else node.no

    return _collect(simplify(substitute(rebuild(slope, settle), {"s": 0})))


def _rises(slope: Expr, strip: Mapping[str, Interval]) -> bool:
    """slope >= 0 on the strip: at once, or because it is at least 0 at s = 0 and rises with s."""
    if lower(slope, strip) >= 0:
        return True
    try:
        if enclose(slope, strip, along=tuple(strip)).jumped:
            return False
        at_tie = _at_tie(slope, strip)
        return bool(lower(at_tie, strip) >= 0 and lower(_derivative(slope, "s"), strip) >= 0)
    except Undefined:
        return False


def _vanishes(slope: Expr, strip: Mapping[str, Interval]) -> bool:
    """slope <= K s on the strip for some K: not positive at all, or at most 0 at s = 0 and Lipschitz in s."""
    if upper(slope, strip) <= 0:
        return True
    try:
        if enclose(slope, strip, along=tuple(strip)).jumped or not upper(_derivative(slope, "s"), strip) < INF:
            return False
        at_tie = _at_tie(slope, strip)
        return bool(upper(at_tie, strip) <= 0)
    except Undefined:
        return False


@lru_cache(maxsize=20_000)
def _derivative(tree: Expr, name: str) -> Expr:
    return _collect(differentiate(tree, name))


@lru_cache(maxsize=20_000)
def _negated(tree: Expr) -> Expr:
    return simplify(Neg(tree))


@lru_cache(maxsize=20_000)
def _collect(tree: Expr) -> Expr:
    """The normal form at the top, when it is no larger than the tree."""
    return normal_form(tree)


def resolve(tree: Expr) -> Expr:
    """The tree with every max and min decided whose sides differ by gaps with coefficients of one sign.

    The names w_k and s stand for numbers >= 0.
    """

    def decide(node: Expr) -> Expr:
        if not isinstance(node, (Max, Min)):
            return node
        sign = _sign_of_gaps(node.left - node.right)
        if sign is None:
            return node
        return node.left if (sign > 0) == isinstance(node, Max) else node.right

    return simplify(rebuild(tree, decide))


def _resolve_where(tree: Expr) -> Expr:
    """The tree with every comparison decided whose sides differ by gaps with coefficients of one sign.

    Sides that are equal everywhere, or only where all those gaps vanish, count by the sign inside the cone.
    """

    def decide(node: Expr) -> Expr:
        if not isinstance(node, Where):
            return node
        sign = _sign_of_gaps(node.left - node.right)
        if sign is None or same_function(node.left, node.right):
            return node
        return node.yes if (sign > 0) == (node.comparison in (">", ">=")) else node.no

    return rebuild(tree, decide)


def _sign_of_gaps(tree: Expr) -> int | None:
    """The sign that a tree certainly has where all gaps are positive, 1 or -1 (an identical 0 counts as 1); else None.

    Gaps are the names w_k and s; sums of terms of one sign, and max and min of such sums, are decided.
    """
    try:
        terms = polynomial(tree)
    except TooLarge:
        return None
    kinks = [monomial[0][0] for monomial in terms if len(monomial) == 1 and isinstance(monomial[0][0], (Max, Min))]
    if kinks and abs(terms.get(((kinks[0], 1),), _ZERO)) == 1:
        return _sign_of_kink(kinks[0], terms[((kinks[0], 1),)] > 0, tree)
    signs = {_sign_of_term(monomial, value) for monomial, value in terms.items()}
    return signs.pop() if len(signs) == 1 else None if signs else 1


def _sign_of_kink(kink: Max | Min, positive: bool, tree: Expr) -> int | None:
    """The sign of kink + rest or rest - kink: the rest is moved into both sides."""
    rest = tree - kink if positive else tree + kink
    sides = [_sign_of_gaps(rest + side if positive else rest - side) for side in (kink.left, kink.right)]
    strong = 1 if isinstance(kink, Max) == positive else -1
    return strong if strong in sides else None if None in sides else -strong


def _sign_of_term(monomial: tuple[tuple[Expr, int], ...], value: Fraction) -> int | None:
    for atom, _ in monomial:
        if not (isinstance(atom, Var) and (atom.name == "s" or atom.name.startswith("w"))):
            return None
    return 1 if value > 0 else -1


def _weighted(weights: Sequence[Fraction], parts: Sequence[Expr]) -> Expr:
    total: Expr = Const(_ZERO)
    for weight, part in zip(weights, parts, strict=True):
        if weight:
            total = total + Const(weight) * part
    return simplify(total)


def _smooth_and_kinked(tree: Expr) -> tuple[Expr, Expr]:
    """The terms of the sum at the top of a tree, those without and those with kinks."""
    zero: Expr = Const(_ZERO)
    parts = [zero, zero]
    for term in _additive(tree):
        kinked = any(
            isinstance(node, (Max, Min, Clip, Where, MaxOther)) or node in (Var("alpha"),) or _is_abs(node)
            for node in walk(term)
        )
        parts[kinked] = parts[kinked] + term
    return parts[0], parts[1]


def _is_abs(node: Expr) -> bool:
    return isinstance(node, Call) and node.name == "abs"


def _additive(tree: Expr) -> list[Expr]:
    """The terms of the sum at the top of a tree."""
    if isinstance(tree, Add):
        return _additive(tree.left) + _additive(tree.right)
    if isinstance(tree, Sub):
        return _additive(tree.left) + [Neg(part) for part in _additive(tree.right)]
    return [tree]


def _shift_invariant(tree: Expr, classes: int) -> bool:
    """True where adding `a` to every score certainly leaves the loss of every label unchanged."""
    points: list[Expr] = [Var(f"f{k}") for k in range(classes)]
    shift = {name: Var(name) + Var("a") for name in ("fy", "fk", "lse")}
    moved = substitute(tree, shift)
    for label in range(classes):
        expanded = rebuild(expand(moved, label, points), normal_form)
        if "a" in names(expanded):
            return False
    return True
