"""Piecewise-linear losses, exactly: the finitely many score vectors at which a conditional risk can be least.

A loss built from sums, rational multiples, max, min, clip and abs of affine functions is affine on
the cells of an arrangement of hyperplanes. On the cone where the scores are sorted the cells have
vertices, so a conditional risk that is bounded below is least at a vertex, whatever p is. The
vertices, and the losses of all labels there, are computed in exact rational arithmetic.

Coordinates on the cone of one order of the classes: w_1, ..., w_{c-1} >= 0 are the gaps between neighbours in the
sorted scores, and `a` is the top score; `a` drops out where the loss does not depend on it, and is
(sum of the other gaps) / c on the sum-to-zero domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, permutations
from typing import Any

from theory.expression.evaluate import evaluate
from theory.expression.expand import expand
from theory.expression.nodes import Add, Call, Clip, Const, Div, Expr, Max, Min, Mul, Neg, Sub, Var, substitute
from theory.expression.rewrite import simplify

MAX_PIECES = 400
MAX_SYSTEMS = 400_000

Affine = tuple[Fraction, ...]
"""Constant term, then one coefficient per coordinate."""


class NotPolyhedral(ValueError):
    """The loss is not piecewise linear, or too large for the exact method."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """Exact scores, the loss for every label there, and the classes that attain the maximum."""

    scores: tuple[Fraction, ...]
    losses: tuple[Fraction, ...]
    top: frozenset[int]


@dataclass(frozen=True)
class Arrangement:
    """Every vertex of every order of the classes, and the directions in which cells are unbounded.

    `rays` holds, per direction, the slopes of the losses far out and the classes that stay on top.
    """

    classes: int
    vertices: tuple[Vertex, ...]
    rays: tuple[Vertex, ...]


def sorted_scores(classes: int, domain: str) -> tuple[list[str], list[Expr]]:
    """Coordinate names and the scores of the classes 0, ..., c - 1 in decreasing order.

    >>> [str(score) for score in sorted_scores(3, "all")[1]]
    ['a', 'a - w1', 'a - w1 - w2']
    """
    gaps = [Var(f"w{k}") for k in range(1, classes)]
    top: Expr = Var("a")
    if domain == "sum-zero":
        weighted: Expr = Const(Fraction(0))
        for k, gap in enumerate(gaps, start=1):
            weighted = weighted + Const(Fraction(classes - k, classes)) * gap
        top = simplify(weighted)
    scores = [top]
    for gap in gaps:
        scores.append(simplify(scores[-1] - gap))
    return [gap.name for gap in gaps] + ([] if domain == "sum-zero" else ["a"]), scores


def arrange(
    tree: Expr,
    classes: int,
    domain: str = "all",
    bound: Fraction | None = None,
    vectors: Mapping[str, tuple[Fraction, ...]] | None = None,
) -> Arrangement:
    """The vertices and rays of a piecewise-linear multiclass loss, over every order of the classes.

    `tree` has its scalar parameters replaced. Without `vectors` the loss treats all labels alike, and one order
    stands for all. Raises NotPolyhedral when the loss is not piecewise linear in the sorted scores
    or has too many pieces.
    """
    if domain == "ball":
        raise NotPolyhedral("scores in a Euclidean ball have no vertices")
    return _arranged(tree, classes, domain, bound, tuple(sorted((vectors or {}).items())))


@lru_cache(maxsize=64)
def _arranged(
    tree: Expr, classes: int, domain: str, bound: Fraction | None, vectors: tuple[tuple[str, tuple[Fraction, ...]], ...]
) -> Arrangement:
    """`arrange`, remembered: a loss has the same vertices in every certificate."""
    identity = tuple(range(classes))
    orders = list(permutations(identity)) if vectors else [identity]
    vertices: dict[tuple[Any, ...], Vertex] = {}
    rays: dict[tuple[Any, ...], Vertex] = {}
    for order in orders:
        spread = [order] if vectors else list(permutations(identity))
        parts = _one_order(tree, order, domain, bound, dict(vectors))
        for found, part in zip((vertices, rays), parts, strict=True):
            for vertex in part:
                for other in spread:
                    moved = _moved(vertex, other)
                    found.setdefault((moved.scores, moved.losses, moved.top), moved)
    return Arrangement(classes, tuple(vertices.values()), tuple(rays.values()))


def _moved(vertex: Vertex, order: tuple[int, ...]) -> Vertex:
    """The vertex with the m-th largest score given to class order[m]."""
    place = {label: m for m, label in enumerate(order)}
    return Vertex(
        tuple(vertex.scores[place[k]] for k in range(len(order))),
        tuple(vertex.losses[place[k]] for k in range(len(order))),
        frozenset(k for k in range(len(order)) if place[k] in vertex.top),
    )


def _one_order(
    tree: Expr, order: tuple[int, ...], domain: str, bound: Fraction | None, vectors: dict[str, tuple[Fraction, ...]]
) -> tuple[list[Vertex], list[Vertex]]:
    """Vertices and rays of the cone in which class order[m] has the m-th largest score, listed by rank."""
    classes = len(order)
    names, scores = sorted_scores(classes, domain)
    ranked = {name: [values[k] for k in order] for name, values in vectors.items()}
    trees = [expand(tree, rank, scores, ranked) for rank in range(classes)]
    planes: set[Affine] = set()
    pieces: set[Affine] = set()
    for each in trees:
        pieces |= _pieces(each, names, planes)
    if bound is None and "a" in names and not any(piece[-1] for piece in pieces | planes):
        names = names[:-1]
        planes = {plane[:-1] for plane in planes}
        scores = [simplify(_at(score, {"a": Fraction(0)})) for score in scores]
        trees = [expand(tree, rank, scores, ranked) for rank in range(classes)]
    region = [_unit(k, len(names)) for k in range(classes - 1)]
    if bound is not None:
        region += _box(scores, names, bound)
    planes |= set(region)
    walls = sorted({_scaled(plane) for plane in planes if any(plane[1:])})
    return list(_vertices(walls, region, names, scores, trees)), list(_rays(walls, region, names, scores, trees))


def _unit(k: int, dimension: int) -> Affine:
    return tuple(Fraction(int(i == k + 1)) for i in range(dimension + 1))


def _box(scores: list[Expr], names: list[str], bound: Fraction) -> list[Affine]:
    """bound - f_top >= 0 and bound + f_bottom >= 0."""
    high = _affine(Const(bound) - scores[0], names)
    low = _affine(Const(bound) + scores[-1], names)
    return [high, low]


def losses_at(
    tree: Expr, scores: tuple[Fraction, ...], vectors: Mapping[str, tuple[Fraction, ...]] | None = None
) -> tuple[Fraction, ...]:
    """The exact loss of every label at rational scores."""
    points = [Const(score) for score in scores]
    return tuple(_number(expand(tree, label, points, vectors), {}) for label in range(len(scores)))


# -- affine pieces ---------------------------------------------------------------------------------------


def _affine(tree: Expr, names: list[str]) -> Affine:
    (piece,) = _pieces(tree, names, set())
    return piece


def _pieces(tree: Expr, names: list[str], planes: set[Affine]) -> set[Affine]:
    """Affine functions among which the tree always is one; the planes where it switches are added to `planes`."""
    match tree:
        case Const(value):
            return {(value, *[Fraction(0)] * len(names))}
        case Var(name):
            return {_unit(names.index(name), len(names))}
        case Neg(u):
            return {tuple(-x for x in piece) for piece in _pieces(u, names, planes)}
        case Add(u, v):
            return _combine(_pieces(u, names, planes), _pieces(v, names, planes), 1)
        case Sub(u, v):
            return _combine(_pieces(u, names, planes), _pieces(v, names, planes), -1)
        case Mul(Const(value), u) | Mul(u, Const(value)):
            return {tuple(value * x for x in piece) for piece in _pieces(u, names, planes)}
        case Div(u, Const(value)) if value != 0:
            return {tuple(x / value for x in piece) for piece in _pieces(u, names, planes)}
        case Max(u, v) | Min(u, v):
            left, right = _pieces(u, names, planes), _pieces(v, names, planes)
            planes |= {plane for plane in _combine(left, right, -1) if any(plane[1:])}
            return _limited(left | right)
        case Clip(u, low, high):
            return _pieces(Min(Max(u, low), high), names, planes)
        case Call("abs", u):
            return _pieces(Max(u, Neg(u)), names, planes)
    raise NotPolyhedral(f"the loss is not piecewise linear: it holds {tree}")


def _combine(left: set[Affine], right: set[Affine], sign: int) -> set[Affine]:
    if len(left) * len(right) > MAX_PIECES**2:
        raise NotPolyhedral(f"the loss has more than {MAX_PIECES} affine pieces")
    return _limited({tuple(x + sign * y for x, y in zip(a, b, strict=True)) for a in left for b in right})


def _limited(pieces: set[Affine]) -> set[Affine]:
    if len(pieces) > MAX_PIECES:
        raise NotPolyhedral(f"the loss has more than {MAX_PIECES} affine pieces")
    return pieces


def _scaled(plane: Affine) -> Affine:
    lead = next(x for x in plane[1:] if x)
    return tuple(x / lead for x in plane)


# -- vertices and rays -------------------------------------------------------------------------------------


def _vertices(
    walls: list[Affine], region: list[Affine], names: list[str], scores: list[Expr], trees: list[Expr]
) -> Iterator[Vertex]:
    dimension = len(names)
    _check_size(len(walls), dimension)
    seen = set()
    for chosen in combinations(walls, dimension):
        point = _solve([plane[1:] for plane in chosen], [-plane[0] for plane in chosen])
        if point is None or point in seen or any(_value(plane, point) < 0 for plane in region):
            continue
        seen.add(point)
        yield _vertex(dict(zip(names, point, strict=True)), scores, trees)
    if not seen:
        raise NotPolyhedral("the affine pieces of the loss do not meet in a vertex; the scores are not pinned down")


def _rays(
    walls: list[Affine], region: list[Affine], names: list[str], scores: list[Expr], trees: list[Expr]
) -> Iterator[Vertex]:
    """The edge directions at infinity: the losses' slopes far out along each."""
    dimension = len(names)
    directions = sorted({_scaled((Fraction(0), *plane[1:])) for plane in walls})
    cone = [(Fraction(0), *plane[1:]) for plane in region]
    for chosen in combinations(directions, dimension - 1):
        line = _kernel([plane[1:] for plane in chosen], dimension)
        if line is None:
            continue
        for ray in (line, tuple(-x for x in line)):
            if all(_value(plane, ray) >= 0 for plane in cone):
                yield _slopes(ray, walls, names, scores, trees)


def _slopes(ray: Affine, walls: list[Affine], names: list[str], scores: list[Expr], trees: list[Expr]) -> Vertex:
    far = Fraction(1)
    for plane in walls:
        speed = _value((Fraction(0), *plane[1:]), ray)
        if speed:
            far = max(far, -plane[0] / speed)
    near, later = (
        _vertex({name: t * x for name, x in zip(names, ray, strict=True)}, scores, trees) for t in (far + 1, far + 2)
    )
    direction = tuple(y - x for x, y in zip(near.scores, later.scores, strict=True))
    slopes = tuple(y - x for x, y in zip(near.losses, later.losses, strict=True))
    return Vertex(direction, slopes, later.top)


def _check_size(planes: int, dimension: int) -> None:
    systems = 1
    for k in range(dimension):
        systems = systems * (planes - k) // (k + 1)
    if systems > MAX_SYSTEMS:
        raise NotPolyhedral(f"the loss has {planes} switching planes in {dimension} dimensions, too many to enumerate")


def _vertex(point: dict[str, Fraction], scores: list[Expr], trees: list[Expr]) -> Vertex:
    values = tuple(_number(score, point) for score in scores)
    losses = tuple(_number(tree, point) for tree in trees)
    return Vertex(values, losses, frozenset(k for k, value in enumerate(values) if value == values[0]))


# -- exact arithmetic ----------------------------------------------------------------------------------------


class FractionOps:
    """The table of `theory.expression.evaluate.Operations` for exact rationals, piecewise-linear trees only."""

    def constant(self, value: Fraction) -> Fraction:
        return value

    def pi(self) -> Fraction:
        raise NotPolyhedral("pi is not rational")

    def neg(self, value: Fraction) -> Fraction:
        return -value

    def add(self, left: Fraction, right: Fraction) -> Fraction:
        return left + right

    def sub(self, left: Fraction, right: Fraction) -> Fraction:
        return left - right

    def mul(self, left: Fraction, right: Fraction) -> Fraction:
        return left * right

    def div(self, left: Fraction, right: Fraction) -> Fraction:
        return left / right

    def power(self, base: Fraction, exponent: Fraction) -> Fraction:
        raise NotPolyhedral("a power is not piecewise linear")

    def call(self, name: str, argument: Fraction) -> Fraction:
        if name != "abs":
            raise NotPolyhedral(f"{name} is not piecewise linear")
        return abs(argument)

    def maximum(self, left: Fraction, right: Fraction) -> Fraction:
        return max(left, right)

    def minimum(self, left: Fraction, right: Fraction) -> Fraction:
        return min(left, right)

    def where(self, comparison: str, left: Fraction, right: Fraction, yes: Fraction, no: Fraction) -> Fraction:
        raise NotPolyhedral("where may jump")

    def spread(self, value: Fraction) -> Fraction:
        return value

    def sum_last(self, value: Fraction, count: int) -> Fraction:
        raise NotPolyhedral("class sums are expanded first")

    def max_last(self, value: Fraction) -> Fraction:
        raise NotPolyhedral("class sums are expanded first")


_OPS = FractionOps()


def _number(tree: Expr, point: dict[str, Fraction]) -> Fraction:
    return evaluate(tree, point, _OPS)


def _at(tree: Expr, values: dict[str, Fraction]) -> Expr:
    return substitute(tree, dict(values))


def _value(plane: Affine, point: tuple[Fraction, ...]) -> Fraction:
    return plane[0] + sum((x * y for x, y in zip(plane[1:], point, strict=True) if x), Fraction(0))


def _solve(matrix: list[Affine], right: list[Fraction]) -> tuple[Fraction, ...] | None:
    """The unique solution of a square rational system, or None."""
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for column in range(size):
        pivot = next((r for r in range(column, size) if rows[r][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        lead = rows[column][column]
        rows[column] = [x / lead for x in rows[column]]
        for r in range(size):
            factor = rows[r][column]
            if r != column and factor:
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[column], strict=True)]
    return tuple(row[-1] for row in rows)


def _kernel(matrix: list[Affine], dimension: int) -> Affine | None:
    """A direction spanning the kernel of dimension - 1 rows, or None where the kernel is larger."""
    for free in range(dimension):
        unit = tuple(Fraction(int(k == free)) for k in range(dimension))
        line = _solve([*matrix, unit], [Fraction(0)] * len(matrix) + [Fraction(1)])
        if line is not None:
            return line
    return None
