"""What is certain of a tree over a region: a box of parameters and one axis.

A region stands for a set of points: every value of each parameter in its closed box (minus an open end at 0 that the
range leaves out), and on the axis either the open interval between two ends (`inside`) or one point. Every answer here
holds at every point of that set. Proofs: docs/theory/families.md, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from theory.expression.calculus import differentiate
from theory.expression.enclosure import enclose
from theory.expression.interval import Interval, Undefined, fraction_of
from theory.expression.nodes import (
    Add,
    Call,
    Const,
    Div,
    Expr,
    Max,
    Min,
    Mul,
    Neg,
    Pow,
    Sub,
    Var,
    Where,
    children,
    names,
    rebuild,
    substitute,
)
from theory.expression.normal import TooLarge, normal_form, polynomial
from theory.expression.rewrite import ONE, ZERO, simplify

RADII = (Fraction(1, 16), Fraction(1, 2**12), Fraction(1, 2**24))
_TURNED = {"+": "-", "-": "+", ">=": "<=", "<=": ">=", "0": "0", "?": "?"}
_SAME_SIGN = ("sqrt", "tanh", "atan", "log1p")


class Unsettled(Exception):
    """A comparison that is not decided on a region, and at whose change of sides the tree may jump."""


@dataclass(frozen=True)
class Region:
    """`box` encloses every name; `inside` means the open interval of `axis`; `nonzero` names are never 0.

    `free` names the quantities of which only interior values are meant, so that a difference that is monotone in one
    of them and keeps its sign weakly is not 0. `half` names those of which one end of the box is left out, with the
    other end, which is not.
    """

    box: dict[str, Interval]
    axis: str | None
    inside: bool
    nonzero: frozenset[str]
    free: tuple[str, ...]
    half: dict[str, Fraction] = field(default_factory=dict)
    known: dict[Expr, str] = field(default_factory=dict, compare=False)

    def at(self, x: Fraction) -> Region:
        """The same parameters, and the one point x of the axis."""
        assert self.axis is not None
        free = tuple(name for name in self.free if name != self.axis)
        return Region(self.box | {self.axis: Interval.point(x)}, self.axis, False, self.nonzero, free, self.half)

    def beside(self, x: Fraction, step: Fraction) -> Region:
        """The same parameters, and the open interval between x and x + step."""
        return self.stretch(x, x + step)

    def stretch(self, start: Fraction | float, stop: Fraction | float) -> Region:
        """The same parameters, and the open interval between two ends in any order."""
        assert self.axis is not None
        side = Interval.between(min(start, stop), max(start, stop))
        free = (self.axis, *(name for name in self.free if name != self.axis))
        return Region(self.box | {self.axis: side}, self.axis, True, self.nonzero, free, self.half)

    def _halves(self, name: str) -> tuple[Region, Region]:
        """The part with `name` strictly between the ends of its box, and the part at the end that belongs to it."""
        rest = {other: end for other, end in self.half.items() if other != name}
        inner = Region(self.box, self.axis, self.inside, self.nonzero, (*self.free, name), rest)
        end = self.box | {name: Interval.point(self.half[name])}
        return inner, Region(end, self.axis, self.inside, self.nonzero, self.free, rest)

    def range(self, tree: Expr) -> Interval | None:
        """An enclosure of the values of a tree, None where it may be undefined."""
        try:
            return enclose(tree, self.box, along=self.free).range
        except Undefined:
            return None

    # -- signs ---------------------------------------------------------------------------------------

    def sign(self, tree: Expr) -> str:
        """'+', '-', '0' at every point of the region, or '>=', '<=' for the weak signs, or '?'."""
        if tree not in self.known:
            self.known[tree] = "?"
            found = self._sign(tree)
            if found not in "+-0":
                collected = normal_form(tree)
                found = found if collected == tree else _stronger(found, self._sign(collected))
            self.known[tree] = found
        return self.known[tree]

    def _sign(self, tree: Expr) -> str:
        found = self.range(tree)
        weak = "?"
        if found is not None:
            if found.lo > 0 or found.hi < 0:
                return "+" if found.lo > 0 else "-"
            if found.lo == 0 and found.hi == 0:
                return "0"
            weak = ">=" if found.lo >= 0 else "<=" if found.hi <= 0 else "?"
            for answer, comparison in (("+", ">"), ("-", "<")):
                if weak != "?" and self._certain(comparison, tree):
                    return answer
        told = _stronger(weak, self._by_parts(tree))
        if told in (">=", "<="):
            for name in self.half.keys() & names(tree):
                signs = {part.sign(tree) for part in self._halves(name)}
                if len(signs) == 1 and signs <= {"+", "-"}:
                    return signs.pop()
        return told

    def _certain(self, comparison: str, tree: Expr) -> bool:
        try:
            found = enclose(Where(comparison, tree, ZERO, ONE, ZERO), self.box, along=self.free)
        except Undefined:
            return False
        return not found.jumped and bool(found.range.lo == 1)

    def _by_parts(self, tree: Expr) -> str:
        """The sign that follows from the signs of the parts."""
        match tree:
            case Var(name) if name in self.nonzero:
                side = self.box[name]
                return "+" if side.lo >= 0 else "-" if side.hi <= 0 else "?"
            case Neg(u):
                return _TURNED[self.sign(u)]
            case Sub(Const(value), Call("sigmoid" | "tanh", _)) if value >= 1:  # both stay below 1
                return "+"
            case Sub(Call("sigmoid" | "tanh", _), Const(value)) if value >= 1:
                return "-"
            case Add(Const(value), Call("tanh", _)) | Add(Call("tanh", _), Const(value)) if value >= 1:
                return "+"
            case Sub(Max(u, v), w):
                return _largest(self.sign(simplify(u - w)), self.sign(simplify(v - w)))
            case Sub(w, Max(u, v)):
                return _TURNED[_largest(self.sign(simplify(u - w)), self.sign(simplify(v - w)))]
            case Sub(Min(u, v), w):
                return _TURNED[_largest(self.sign(simplify(w - u)), self.sign(simplify(w - v)))]
            case Sub(w, Min(u, v)):
                return _largest(self.sign(simplify(w - u)), self.sign(simplify(w - v)))
            case Add(u, v):
                return _plus(self.sign(u), self.sign(v))
            case Sub(u, v):
                return _plus(self.sign(u), _TURNED[self.sign(v)])
            case Mul(u, v):
                return _times(self.sign(u), self.sign(v))
            case Div(u, v):
                below = self.sign(v)
                return _times(self.sign(u), below) if below in "+-" else "?"
            case Pow(u, _) if self.sign(u) == "+":
                return "+"
            case Call("log", u):
                return self.sign(simplify(u - 1))
            case Call(name, u) if name in _SAME_SIGN:
                return self.sign(u)
            case Call("exp" | "sigmoid" | "softplus", _):
                return "+"
            case Max(u, v):
                return _largest(self.sign(u), self.sign(v))
            case Min(u, v):
                return _TURNED[_largest(_TURNED[self.sign(u)], _TURNED[self.sign(v)])]
        return "?"

    def holds(self, comparison: str, left: Expr, right: Expr) -> bool | None:
        """Whether a comparison holds at every point (True) or at none (False); None where that is open."""
        sign = self.sign(simplify(left - right))
        if comparison in (">", ">="):
            sign, comparison = _TURNED[sign], "<" if comparison == ">" else "<="
        if sign == "-" or (comparison == "<=" and sign in ("0", "<=")):
            return True
        if sign == "+" or (comparison == "<" and sign in ("0", ">=")):
            return False
        return None

    # -- realness and continuity ---------------------------------------------------------------------

    def regular(self, tree: Expr) -> bool:
        """Every operation of the tree (both branches of an open `where`) is real, and continuous, at every point."""
        return all(map(self.regular, children(tree))) and self._operation(tree)

    def real(self, tree: Expr) -> bool:
        """The tree as written is real at every point: both sides of every `where`, each branch that may be taken."""
        if isinstance(tree, Where):
            holds = self.holds(tree.comparison, tree.left, tree.right)
            taken = [branch for branch, out in ((tree.yes, False), (tree.no, True)) if holds is not out]
            return all(map(self.real, (tree.left, tree.right, *taken)))
        return all(map(self.real, children(tree))) and self._operation(tree)

    def _operation(self, tree: Expr) -> bool:
        match tree:
            case Div(_, below):
                return self.sign(below) in ("+", "-")
            case Call("log", u):
                return self.sign(u) == "+"
            case Call("log1p", u):
                return self.sign(u) in ("+", "0", ">=") or self.sign(simplify(u + 1)) == "+"
            case Call("sqrt", u):
                return self.sign(u) in ("+", "0", ">=")
            case Pow(base, Const(e)) if e.denominator == 1:
                return e >= 0 or self.sign(base) in ("+", "-")
            case Pow(base, e):
                sign = self.sign(base)
                fixed = self.axis is None or self.axis not in names(e)
                return sign == "+" or (fixed and sign in ("0", ">=") and self.sign(e) == "+")
        return True

    def settle(self, tree: Expr) -> Expr:
        """The tree with the branches that the region selects; Unsettled where a `where` stays open and may jump."""

        def choose(node: Expr) -> Expr:
            if not isinstance(node, Where):
                return node
            holds = self.holds(node.comparison, node.left, node.right)
            if holds is not None:
                return node.yes if holds else node.no
            if self._pasted(node):
                return node
            raise Unsettled(f"{node.comparison!r} is not decided")

        return rebuild(tree, choose)

    def select(self, tree: Expr) -> Expr:
        """As `settle`, but comparisons that are not decided stay."""

        def choose(node: Expr) -> Expr:
            if isinstance(node, Where):
                holds = self.holds(node.comparison, node.left, node.right)
                return node if holds is None else node.yes if holds else node.no
            return node

        return rebuild(tree, choose)

    def _pasted(self, node: Where) -> bool:
        """The comparison does not move along the axis, or its sides meet at one point where both branches agree."""
        if self.axis is None or self.axis not in names(node.left) | names(node.right):
            return True
        difference = simplify(node.left - node.right)
        slope = differentiate(difference, self.axis)
        if self.axis in names(slope) or self.sign(slope) not in ("+", "-"):
            return False
        root = simplify(-substitute(difference, {self.axis: ZERO}) / slope)
        return same(substitute(node.yes, {self.axis: root}), substitute(node.no, {self.axis: root}))


def _stronger(x: str, y: str) -> str:
    """The stronger of two true statements about a sign, or both together."""
    if {x, y} == {">=", "<="}:
        return "0"
    return y if x == "?" or (y in ("+", "-", "0")) else x


def _largest(x: str, y: str) -> str:
    """The sign of the larger of two numbers."""
    if "+" in (x, y):
        return "+"
    if ">=" in (x, y) or "0" in (x, y):
        both = {x, y} <= {"0", "<=", "-"}
        return "0" if both else ">="
    if {x, y} <= {"-", "<="}:
        return "-" if x == y == "-" else "<="
    return "?"


def _plus(x: str, y: str) -> str:
    if x == "0" or y == "0":
        return y if x == "0" else x
    for strict, weak in (("+", ">="), ("-", "<=")):
        if x in (strict, weak) and y in (strict, weak):
            return strict if strict in (x, y) else weak
    return "?"


def _times(x: str, y: str) -> str:
    if x == "0" or y == "0":
        return "0"
    if "?" in (x, y):
        return "?"
    up = (x in ("+", ">=")) == (y in ("+", ">="))
    strict = x in ("+", "-") and y in ("+", "-")
    return ("+" if up else "-") if strict else (">=" if up else "<=")


def same(left: Expr, right: Expr) -> bool:
    """True where both trees are certainly the same function wherever they are real; False says nothing."""
    try:
        return not polynomial(_canonical(simplify(left - right)))
    except TooLarge:
        return False


def _canonical(tree: Expr) -> Expr:
    """log(a / b) of positive integers as log a - log b, and log(1 / u) as -log u."""

    def change(node: Expr) -> Expr:
        match node:
            case Call("log", Const(a)) if a > 0 and a.denominator > 1:
                return _log(a.numerator) - _log(a.denominator)
            case Call("log", Div(Const(a), u)) if a == 1:
                return Neg(Call("log", u))
        return node

    return simplify(rebuild(tree, change))


def _log(n: int) -> Expr:
    return ZERO if n == 1 else Call("log", Const(Fraction(n)))


def germ(tree: Expr, point: Region, side: int) -> Expr:
    """The branch of a tree beside a point of the axis (side = 1: above it), a tree that is real at the point too.

    For each value of the parameters the result agrees with the tree on some interval beside the point, and is
    continuous there up to the point. Raises Unsettled where that is not certain.
    """
    assert point.axis is not None
    at = _place(point)

    def chooser(beside: Region) -> Callable[[Expr], Expr]:
        def choose(node: Expr) -> Expr:
            if not isinstance(node, Where) or point.axis not in names(node.left) | names(node.right):
                return node
            strict = point.sign(simplify(node.left - node.right))
            if strict in ("+", "-") and point.regular(node.left) and point.regular(node.right):
                return node.yes if (strict == "-") == (node.comparison in ("<", "<=")) else node.no
            holds = beside.holds(node.comparison, node.left, node.right)
            if holds is None:
                raise Unsettled(f"{node.comparison!r} is not decided beside {at}")
            return node.yes if holds else node.no

        return choose

    for radius in RADII:
        try:
            found = rebuild(tree, chooser(point.beside(at, side * radius)))
        except Unsettled:
            continue
        if point.regular(found):
            return found
        break
    raise Unsettled(f"no branch is certain beside {at}")


def at_point(tree: Expr, point: Region) -> Expr:
    """The tree at the point of a region, in the parameters, with equal terms collected."""
    assert point.axis is not None
    return normal_form(simplify(substitute(tree, {point.axis: Const(_place(point))})))


def _place(point: Region) -> Fraction:
    assert point.axis is not None
    found = fraction_of(point.box[point.axis].lo)
    assert found is not None
    return found
