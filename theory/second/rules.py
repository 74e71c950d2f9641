"""The rules of docs/theory/lemmas.md, verified in rational interval arithmetic on pieces of each box."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from theory.expression.nodes import Expr, Var, substitute

from .collect import collected
from .elementary import NEG_INF, End
from .germs import bounds, germ, limit, slopes
from .jets import jet, resolve
from .question import Cannot, Question, infinite, show
from .rational import NotReal, Range

_ZERO, _ONE = Fraction(0), Fraction(1)
MAX_DEPTH = 10
"""How often a box of a certificate is halved."""


def _cut(box: Range) -> Fraction:
    if isinstance(box.lo, Fraction) and isinstance(box.hi, Fraction):
        return (box.lo + box.hi) / 2
    end = box.lo if isinstance(box.lo, Fraction) else box.hi
    if not isinstance(end, Fraction):
        return _ZERO
    away = 1 if infinite(box.hi) else -1
    return 4 * end if end * away > 0 else Fraction(away)


def everywhere(question: Question, box: Range, holds: Callable[[Range], bool], depth: int = MAX_DEPTH) -> bool:
    """Whether `holds` on pieces that tile the box (with the cuts themselves, where the losses may jump)."""
    question.look()
    try:
        if holds(box):
            return True
    except NotReal:
        if box.exact is not None:
            return False
    if depth == 0 or box.exact is not None:
        return False
    cut = _cut(box)
    pieces = [Range(box.lo, cut), Range(cut, box.hi)] + ([Range.at(cut)] if question.jumps else [])
    return all(everywhere(question, piece, holds, depth - 1) for piece in reversed(pieces))


def above(question: Question, tree: Expr, box: Range, floor: End, strict: bool) -> bool:
    def holds(piece: Range) -> bool:
        low = bounds(tree, "v", piece).lo
        return low > floor or (not strict and low >= floor)

    return everywhere(question, box, holds)


def value(tree: Expr, v: Fraction) -> Range:
    return jet(tree, "v", Range.at(v)).value


def candidate(question: Question, cell: Range, box: Range, at: Fraction, gap: Fraction | None) -> bool:
    """Lemmas 7 and 8."""
    assert isinstance(cell.lo, Fraction)
    assert isinstance(cell.hi, Fraction)
    for eta in (cell.hi, cell.lo):
        risk = question.risk(eta)
        least = (value(risk, at) + Range.at(gap or 0)).hi
        strict = gap is None and not (eta == cell.lo == question.threshold)
        if not above(question, risk, box, least, strict):
            return False
    return gap is None or gap > 0


def reflect(question: Question, box: Range) -> bool:
    """Lemma 9."""
    return question.phi is not None and above(question, question.reflection, -box, _ZERO, True)


def tie(question: Question, box: Range) -> bool:
    """Lemma 10, the one-sided derivatives at 0 by forward mode."""
    if question.phi is None or box.hi != 0 or not isinstance(box.lo, Fraction) or not box.lo < 0:
        return False
    right = Range(_ZERO, -box.lo)
    after, before = resolve(question.phi, "v", right), resolve(question.phi, "v", box)
    if after is None or before is None:
        return False
    if not (jet(after, "v", right).value.finite and jet(before, "v", box).value.finite):
        return False
    if question.jumps:
        joins = value(after, _ZERO), value(before, _ZERO), value(question.phi, _ZERO)
        if any(value.exact is None or value != joins[0] for value in joins):
            return False
    reflection = collected(substitute(before, {"v": -Var("v")}) - after)

    def grows(piece: Range) -> bool:
        slope = slopes(jet(reflection, "v", piece), reflection, "v", piece)
        return slope is not None and slope.lo > 0

    if not everywhere(question, right, grows):
        return False
    a, b = germ(after, "v", _ZERO, 1), germ(before, "v", _ZERO, -1)
    smooth = after == before and not a.kinked and not b.kinked
    return bool(a.slope.hi < 0 and (smooth or a.slope.hi <= b.slope.lo))


def _falls(question: Question, tree: Expr, box: Range, strictly: bool) -> bool:
    """Every difference quotient of a tree without `where` is <= 0 (or below a negative number) on the box."""

    def holds(piece: Range) -> bool:
        found = jet(tree, "v", piece)
        slope = slopes(found, tree, "v", piece)
        if slope is None:
            return False
        if slope.hi < 0 or (not strictly and slope.hi <= 0):
            return True
        convex = not strictly and found.bend is not None and found.bend.lo >= 0 and isinstance(piece.hi, Fraction)
        return bool(convex and germ(tree, "v", piece.hi, -1).slope.hi <= 0)  # type: ignore[arg-type]

    return everywhere(question, box, holds)


def slide(question: Question, cell: Range, box: Range) -> bool:
    """Lemma 11."""
    if question.jumps or cell.lo != question.threshold or not isinstance(box.lo, Fraction):
        return False
    assert isinstance(cell.lo, Fraction)
    assert isinstance(cell.hi, Fraction)
    weak, strict = question.risk(cell.lo), question.risk(cell.hi)
    for tree in (question.plus, question.minus):
        if not jet(tree, "v", box).value.finite:
            return False
    if not (_falls(question, weak, box, False) and _falls(question, strict, box, True)):
        return False
    if box.hi != 0:
        return True
    after = germ(weak, "v", _ZERO, 1), germ(strict, "v", _ZERO, 1)
    return bool(after[0].slope.hi <= 0 and after[1].slope.hi < 0)


def floor(question: Question, box: Range) -> bool:
    """Lemma 6."""

    def holds(piece: Range) -> bool:
        return all(bounds(question.risk(eta), "v", piece).lo > NEG_INF for eta in (question.threshold, _ONE))

    return everywhere(question, box, holds)


def rise(question: Question, risk: Expr, box: Range) -> bool:
    """Lemma 13; the one-sided derivative at the left end of every piece by forward mode."""
    if box.lo != 0 or not isinstance(box.hi, Fraction):
        return False
    plain = resolve(risk, "v", box)
    if plain is None or not jet(plain, "v", box).value.finite:
        return False
    if question.jumps and not value(plain, _ZERO).lo >= value(risk, _ZERO).hi:
        return False

    def holds(piece: Range) -> bool:
        found = jet(plain, "v", piece)
        slope = slopes(found, plain, "v", piece)
        if slope is None:
            return False
        if slope.lo >= 0:
            return True
        convex = found.bend is not None and found.bend.lo >= 0 and isinstance(piece.lo, Fraction)
        return bool(convex and germ(plain, "v", piece.lo, 1).slope.lo >= 0)  # type: ignore[arg-type]

    return everywhere(question, box, holds)


def limit_at_minus_infinity(risk: Expr) -> Range:
    for start in (1, 64, 4096):
        plain = resolve(risk, "v", Range(NEG_INF, Fraction(-start)))
        if plain is not None:
            jet(plain, "v", Range(NEG_INF, Fraction(-start)))  # real on the half-line
            return limit(plain, "v", NEG_INF)
    raise NotReal("the limit at -inf")


def check_real(question: Question, boxes: Iterable[Range]) -> None:
    """Every node of both formulas is real on the boxes and at their ends, and finite on bounded pieces (E0)."""

    def holds(piece: Range) -> bool:
        values = [jet(tree, "v", piece).value for tree in question.written]
        return all(value.finite for value in values) or not piece.finite

    for box in boxes:
        points = [Range.at(end) for end in (box.lo, box.hi) if isinstance(end, Fraction)] if question.jumps else []
        if not all(everywhere(question, piece, holds) for piece in (box, *points)):
            raise Cannot(f"see that the loss is a real number on {show(box)}")
