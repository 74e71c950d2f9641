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
             (G is 0 at the tie, so slopes dG/dw_i >= 0 since then and one of them positive are enough.)
  tie        the gaps w_1, ..., w_m between ranks 0 and m start at 0 on the box, and dG/dw_i > 0 for i <= m, so
             G >= k (f_0 - f_m) with k > 0, G being 0 at ties. Swap the two, so that the likeliest class is at
             mid + s and the wrong one at mid - s, and let s grow, the others held: the slope D_x of C_x is
             negative, bounded away from 0, at every x with x_0 < x_m, and at most K s at the others, for all s
             from 0 to half the largest gap. Where the gap is small C falls along this path by an amount that
             depends on p only; elsewhere the swap gains (p_m - p_0) k (f_0 - f_m). Where scores are bounded the
             wrong class may go down alone, or the likeliest one up alone.
  candidate  C_x(w) - C_x(f) > 0 on the box for one fixed score vector f, at every x (>= 0 where x_0 = x_m).
  outside    no point of the box lies in the domain.

All of this is for losses that are real and continuous at every finite point, ties included. `floor` verifies that
they are real and bounded below; without `where` they are continuous then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import product

from theory.expression.calculus import differentiate
from theory.expression.enclosure import enclose
from theory.expression.expand import expand
from theory.expression.interval import INF, NEG_INF, End, Interval
from theory.expression.join import join
from theory.expression.nodes import Const, Expr, Var, Where, substitute, walk
from theory.expression.probability import log_probabilities
from theory.expression.rewrite import simplify
from theory.expression.share import share

from .arrangement import sorted_scores
from .cone_bounds import collected, derivative
from .cone_bounds import lower as lower
from .cone_bounds import upper as upper
from .cone_cells import Cell as Cell
from .cone_cells import Posterior as Posterior
from .cone_cells import Span as Span
from .cone_cells import first_cell as first_cell
from .cone_cells import split_cell as split_cell
from .cone_cells import split_spans as split_spans
from .cone_domain import CENTRED, Region
from .cone_slopes import falls, rises, vanishes
from .cone_trees import resolve, resolve_where, shift_invariant, shorten, smooth_and_kinked, weighted

_ZERO, _ONE = Fraction(0), Fraction(1)
_SHRUNK = Fraction(15, 16)
MOVES: dict[str, tuple[int, int]] = {"t": (1, 1), "d": (0, 1), "u": (1, 0)}
"""How far, in units of s, the likeliest class goes up and the wrong one down after the swap of a tie."""


class Cone:
    """The losses by rank as trees in the gaps, and the rules.

    `domain` is all, sum-zero, bounded (|f_k| <= bound) or ball (sum f = 0, |f| <= bound in the Euclidean norm).
    """

    def __init__(self, tree: Expr, classes: int, domain: str, bound: Fraction | None = None) -> None:
        self.classes, self.domain, self.bound = classes, domain, bound
        self.tree = join(tree)
        self._centred = domain in CENTRED
        self.names, scores = sorted_scores(classes, "sum-zero" if self._centred else "all")
        if "a" in self.names and shift_invariant(self.tree, classes):
            self.names = self.names[:-1]
            scores = [simplify(substitute(score, {"a": 0})) for score in scores]
        if "a" in self.names:  # so that the top score goes away where it can
            tree = log_probabilities(tree)
            self.tree = join(tree)
        self._written = tree
        self._region = Region(domain, bound, self.names, scores)
        self.losses = [share(shorten(resolve(expand(self.tree, rank, scores)))) for rank in range(classes)]
        self._plain = [share(expand(tree, rank, scores)) for rank in range(classes)]
        self.gains = [share(simplify(loss - self.losses[0])) for loss in self.losses]
        self.jumps = any(isinstance(node, Where) for node in walk(self.tree))
        self._paths: dict[str, tuple[list[Expr], list[Expr], list[Expr]]] = {}
        self._strips: dict[tuple[int, Posterior, str], list[Expr]] = {}
        self._risks: dict[Posterior, Expr] = {}
        self._retreats: dict[Posterior, list[tuple[str | None, Expr]]] = {}
        self._at: dict[tuple[Posterior, Posterior], Interval] = {}

    # -- coordinates ---------------------------------------------------------------------------------

    def box(self, spans: Sequence[Span]) -> dict[str, Interval]:
        """The gaps of a box given in z: w = z / (1 - z), a = (z - 1/2) / (z (1 - z)).

        Where scores are bounded by B, w = 2 B z and a = B (2 z - 1).
        """
        return self._region.box(spans)

    @property
    def ranks(self) -> range:
        """0, ..., c - 1."""
        return range(self.classes)

    def whole(self) -> tuple[Span, ...]:
        """All gaps."""
        return ((_ZERO, _ONE),) * len(self.names)

    # -- the domain ----------------------------------------------------------------------------------

    def outside(self, spans: Sequence[Span]) -> bool:
        """No point of the box lies in the domain."""
        return self._region.outside(self.box(spans))

    def contains(self, scores: Posterior) -> bool:
        """True where explicit scores lie in the domain."""
        return self._region.contains(scores)

    # -- rules ---------------------------------------------------------------------------------------

    def exchange(self, m: int, spans: Sequence[Span]) -> bool:
        """L_m - L_0 is bounded below by a positive number on the box: at once, or by its slopes since the tie."""
        box, gain = self.box(spans), self.gains[m]
        if lower(gain, box) > 0 or lower(collected(gain), box) > 0:
            return True
        zero = Interval.point(0)
        since = {name: zero.hull(side) if name in self.names[:m] else side for name, side in box.items()}
        slopes = {name: lower(derivative(gain, name), since, INF) for name in self.names[:m]}
        rising = any(box[name].lo > 0 and slope > 0 for name, slope in slopes.items())
        return rising and all(slope >= 0 for slope in slopes.values())

    def tie(self, m: int, spans: Sequence[Span], cell: Cell, move: str = "t") -> bool:
        """The rule for boxes that reach a tie of ranks 0 and m."""
        if any(spans[i][0] != 0 for i in range(m)):
            return False
        box = self.box(spans)
        if not all(box[name].is_finite for name in self.names[:m]) or not self._region.has_room(m, box, *MOVES[move]):
            return False
        if not all(lower(derivative(self.gains[m], name), box) > 0 for name in self.names[:m]):
            return False
        strip = self._strip_box(m, box, move)
        if self.domain == "ball":  # a path that would leave the ball follows its surface, shrunk towards 0
            strip = {name: side.hull(side * Interval.point(_SHRUNK)) for name, side in strip.items()}
        for x in cell:
            slope = self._slope(m, x, move)
            if self.domain == "ball" and not self._lipschitz(m, x, strip):
                return False
            if x[0] < x[m]:
                if not falls(slope[0], strip):
                    return False
            elif not (vanishes(slope[0], strip) or all(vanishes(part, strip) for part in slope[1:])):
                return False
        return True

    def _strip_box(self, m: int, box: dict[str, Interval], move: str) -> dict[str, Interval]:
        """Where the swapped near-ties of the box lie, in the coordinates of `_path`, and what is passed from there."""
        up, down = MOVES[move]
        width = Interval.point(0)
        for name in self.names[:m]:
            width = width + box[name]
        far = width * Interval.point(Fraction(1, up + down))
        reach = Interval(Interval.point(0).lo, far.hi)
        gaps = [box[name] for name in self.names if name != "a"]
        # distances between neighbours once ranks 0 and m have left the order
        steps = [gaps[0] + gaps[1], *gaps[2:]] if m == 1 and len(gaps) > 1 else gaps[: m - 1]
        if 1 < m < len(gaps):
            steps += [gaps[m - 1] + gaps[m], *gaps[m + 1 :]]
        table = {"s": reach}
        for k, step in enumerate(steps[: self.classes - 2], start=2):
            table[f"w{k}"] = step + reach if k == 2 and up else step
        if "a" in self.names:
            table["a"] = box["a"] - reach if up else box["a"]
        return table

    def _slope(self, m: int, x: Posterior, move: str) -> list[Expr]:
        """The slope in s of C_x on the strip, and those of its smooth and of its kinked terms."""
        if (m, x, move) not in self._strips:
            _, smooth, kinked = self._path(move)
            weights = self._by_place(m, x)
            parts = [share(collected(weighted(weights, part))) for part in (smooth, kinked)]
            total = collected(parts[0] + parts[1])
            self._strips[m, x, move] = [share(total), *parts]
        return self._strips[m, x, move]

    def _by_place(self, m: int, x: Posterior) -> list[Fraction]:
        """The weights of the likeliest class, of the wrong one, and of the others in their order."""
        return [x[m], x[0], *(x[r] for r in self.ranks if r not in (0, m))]

    def _lipschitz(self, m: int, x: Posterior, strip: Mapping[str, Interval]) -> bool:
        """C_x has bounded slopes on the strip."""
        risk = share(weighted(self._by_place(m, x), self._path("t")[0]))
        slopes = [derivative(risk, name) for name in strip]
        return all(upper(slope, strip, INF) < INF and lower(slope, strip, NEG_INF) > NEG_INF for slope in slopes)

    def _path(self, move: str) -> tuple[list[Expr], list[Expr], list[Expr]]:
        """The losses where the likeliest class stands at a + up s, the wrong one at a - down s, others at
        a + up s - w_2, ..., and the slopes in s of their smooth and of their kinked terms, the others held."""
        if move not in self._paths:
            up, down = MOVES[move]
            top: Expr = Var("a") if "a" in self.names else Const(_ZERO)
            if self._centred:
                for k in range(2, self.classes):
                    top = top + Const(Fraction(1, self.classes)) * Var(f"u{k}")
            scores: list[Expr] = [simplify(top + Const(Fraction(up)) * Var("s"))]
            scores.append(simplify(top - Const(Fraction(down)) * Var("s")))
            scores += [top - Var(f"u{k}") for k in range(2, self.classes)]
            below: dict[str, Expr] = {}
            depth: Expr = simplify(Const(Fraction(-up)) * Var("s"))
            for k in range(2, self.classes):
                depth = simplify(depth + Var(f"w{k}"))
                below[f"u{k}"] = depth
            whole = [resolve(substitute(expand(self.tree, r, scores), below)) for r in self.ranks]
            smooth, kinked = (
                [self._moved(differentiate(share(shorten(expand(part, r, scores))), "s"), below) for r in self.ranks]
                for part in smooth_and_kinked(self._written)
            )
            self._paths[move] = whole, smooth, kinked
        return self._paths[move]

    @staticmethod
    def _moved(slope: Expr, below: Mapping[str, Expr]) -> Expr:
        """A slope taken with the other scores held, in the coordinates of the strip; joined where it is continuous."""
        return shorten(resolve(join(resolve_where(resolve(substitute(slope, below))))))

    def risk(self, x: Posterior) -> Expr:
        """C_x as a tree in the gaps; labels of probability 0 cost nothing."""
        if x not in self._risks:
            self._risks[x] = share(weighted(x, self.losses))
        return self._risks[x]

    def risk_at(self, x: Posterior, scores: Posterior) -> Interval:
        """C_x at explicit scores, by rank of the posterior."""
        if (x, scores) not in self._at:
            self._at[x, scores] = enclose(self.risk_along(x, [Const(score) for score in scores]), {}).range
        return self._at[x, scores]

    def risk_along(self, x: Posterior, points: Sequence[Expr]) -> Expr:
        """C_x as a tree in the variables of given scores."""
        return weighted([w for w in x if w], [expand(self.tree, r, points) for r in self.ranks if x[r]])

    def lead(self, x: Posterior, spans: Sequence[Span], scores: Posterior) -> End:
        """The least of C_x(w) - C_x(scores) over the box, from below."""
        here = self.risk_at(x, scores)
        return (Interval(lower(self.risk(x), self.box(spans), here.hi), INF) - here).lo

    def candidate(self, m: int, spans: Sequence[Span], cell: Cell, scores: Posterior) -> bool:
        """One score vector of the domain beats the whole box at every posterior of the cell with p_0 < p_m."""
        for x in cell:
            lead = self.lead(x, spans, scores)
            if not (lead > 0 or (x[0] == x[m] and lead >= 0)):
                return False
        return self.contains(scores)

    def retracts(self, spans: Sequence[Span], ranked: Posterior) -> bool:
        """On a box that reaches the tie of ranks 0 and 1, C does not rise on the way to that tie.

        The way is lowering rank 0, raising rank 1, raising all others, or moving the two together; each stays in the
        domain. `ranked` is the posterior by rank, the likeliest class at rank 0.
        """
        box, zero = self.box(spans), Interval.point(0)
        if spans[0][0] != 0 or not box["w1"].is_finite:
            return False
        width = zero.hull(box["w1"])
        for moving, slope in self._ways(ranked):
            # what shrinks with w_1, or grows as it shrinks, leaves its side of the box on the way
            passed = dict(box)
            if moving == "a":
                passed["a"] = (box["a"] - width).hull(box["a"])
            elif moving == "w2":
                passed["w2"] = (box["w2"] + width).hull(box["w2"])
            if lower(slope, passed) >= 0:
                return True
        strip = self._strip_box(1, box, "t")
        return rises(self._slope(1, (ranked[1], ranked[0], *ranked[2:]), "t")[0], strip)

    def slides(self, spans: Sequence[Span], ranked: Posterior) -> bool:
        """C does not rise on the way towards the tie of ranks 0 and 1 as long as the way stays in the box.

        The way leaves the box with a smaller w_1, and with other coordinates that only go one way, or ends in the tie.
        """
        box = self.box(spans)
        return any(lower(slope, box) >= 0 for _, slope in self._ways(ranked))

    def _ways(self, ranked: Posterior) -> list[tuple[str | None, Expr]]:
        """The slopes of C where w_1 grows: alone; `a` along with it (rank 0 moves); w_2 against it (rank 1 moves)."""
        if ranked not in self._retreats:
            slope = {name: derivative(self.risk(ranked), name) for name in self.names}
            ways: list[tuple[str | None, Expr]] = [(None, slope["w1"])]
            if "a" in slope:
                ways.append(("a", share(collected(slope["w1"] + slope["a"]))))
            if "w2" in slope and not self._centred:
                ways.append(("w2", share(collected(slope["w1"] - slope["w2"]))))
            self._retreats[ranked] = ways
        return self._retreats[ranked]

    def floor(self, rank: int, spans: Sequence[Span]) -> bool:
        """The loss of a rank is bounded below on the box, and real at every point of it, faces included."""
        loss, box = self.losses[rank], self.box(spans)
        if not lower(loss, box, NEG_INF) > NEG_INF:
            return False
        options = [[side, *(Interval(end, end) for end in _finite_ends(side))] for side in box.values()]
        faces = (dict(zip(box, chosen, strict=True)) for chosen in product(*options))
        return all(enclose(self._plain[rank], face, along=tuple(face)).real for face in faces)


def _finite_ends(side: Interval) -> list[End]:
    return [end for end in (side.lo, side.hi) if end > NEG_INF and end < INF]
