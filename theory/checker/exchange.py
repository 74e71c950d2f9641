"""The lemmas for several classes: forms recognised in a formula, and what each part must satisfy.

exchange        L_y = Psi(s_y) + sum_k chi(s_k) + R(alpha_y) + sum_{k != y} phi(f_y - f_k), s = softmax(f)
one-versus-all  L_y = A(f_y) + sum_{k != y} B(f_k)

Recognising a form rewrites the formula with fy - lse = log q, fk - lse = log qk only. Proofs: docs/theory/families.md,
Lemmas F7 and F8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import inf

from theory.expression.interval import Interval
from theory.expression.nodes import (
    Add,
    Call,
    Div,
    Expr,
    MaxOther,
    Mul,
    Neg,
    Sub,
    SumOther,
    Var,
    names,
    rebuild,
    substitute,
    walk,
)
from theory.expression.normal import normal_form
from theory.expression.rewrite import ONE, ZERO, simplify

from .covers import (
    Hypothesis,
    Leaf,
    continuous,
    falls_everywhere,
    floor,
    floor_near,
    grows,
    one_way_near,
    real,
    slope_sign,
    smooth,
)
from .reading import Refused
from .region import Region, same

_SCORES = frozenset({"fy", "alpha", "lse", "q", "fk", "qk"})
_HALF, _ONE = Fraction(1, 2), Fraction(1)
_FY, _FK, _LSE, _Q, _QK = (Var(name) for name in ("fy", "fk", "lse", "q", "qk"))
Alternatives = tuple[Hypothesis, ...]


@dataclass
class Parts:
    """The parts of a loss: trees in q (psi, chi), alpha (ramp), fy = the difference f_y - f_k (pairs), or None."""

    psi: Expr | None = None
    chi: Expr | None = None
    ramp: Expr | None = None
    pairs: Expr | None = None


def _plus(old: Expr | None, new: Expr) -> Expr:
    return new if old is None else old + new


def _terms(tree: Expr, factor: Expr) -> Iterator[tuple[Expr, Expr]]:
    """(factor without scores, term) whose products sum to the tree times `factor`."""
    match tree:
        case Add(u, v):
            yield from _terms(u, factor)
            yield from _terms(v, factor)
        case Sub(u, v):
            yield from _terms(u, factor)
            yield from _terms(v, simplify(Neg(factor)))
        case Neg(u):
            yield from _terms(u, simplify(Neg(factor)))
        case Mul(u, v) if not names(u) & _SCORES and not _has_sum(u):
            yield from _terms(v, simplify(factor * u))
        case Mul(u, v) if not names(v) & _SCORES and not _has_sum(v):
            yield from _terms(u, simplify(factor * v))
        case Div(u, v) if not names(v) & _SCORES and not _has_sum(v):
            yield from _terms(u, simplify(factor / v))
        case SumOther(Neg(u)):
            yield from _terms(SumOther(u), simplify(Neg(factor)))
        case SumOther(Mul(u, v)) if not names(u) & _SCORES:
            yield from _terms(SumOther(v), simplify(factor * u))
        case _:
            yield factor, tree


def _has_sum(tree: Expr) -> bool:
    return any(isinstance(node, (SumOther, MaxOther)) for node in walk(tree))


def _tidy(tree: Expr) -> Expr:
    """exp(log u) as u, exp(-log u) as 1 / u: the same wherever the given tree is real."""

    def change(node: Expr) -> Expr:
        match node:
            case Call("exp", Call("log", u)):
                return u
            case Call("exp", Neg(Call("log", u))):
                return Div(ONE, u)
        return node

    return simplify(rebuild(simplify(tree), change))


def _largest_rival(tree: Expr) -> Expr:
    """max over k != y of fk, or of fk - fy, in terms of alpha."""

    def change(node: Expr) -> Expr:
        match node:
            case MaxOther(Var("fk")):
                return Sub(_FY, Var("alpha"))
            case MaxOther(Sub(Var("fk"), Var("fy"))):
                return Neg(Var("alpha"))
        return node

    return rebuild(tree, change)


def _in_probability(tree: Expr) -> Expr | None:
    """A tree in fy, lse, q (alpha aside) as a tree in q; None where it is none."""
    if not names(tree) & {"fy", "lse"}:
        return tree
    value = Call("log", _Q)
    moved = substitute(tree, {"fy": value + _LSE})
    still = _tidy(substitute(tree, {"fy": value, "lse": ZERO}))
    return still if same(_tidy(moved), still) else None


def _rivals_probability(body: Expr) -> Expr | None:
    """The body of a class sum as a tree in qk, written in q."""
    value = Call("log", _QK)
    still = _tidy(substitute(body, {"fk": value, "lse": ZERO}))
    if names(body) & {"fk", "lse"} and not same(_tidy(substitute(body, {"fk": value + _LSE})), still):
        return None
    return substitute(still, {"qk": _Q}) if not names(still) & (_SCORES - {"qk"}) else None


def _difference(body: Expr) -> Expr | None:
    """The body of a class sum as a tree in fy - fk, written in fy."""
    if names(body) & _SCORES - {"fy", "fk"}:
        return None
    still = simplify(substitute(body, {"fk": ZERO}))
    return still if same(substitute(body, {"fy": _FY + _FK}), still) else None


def recognise(tree: Expr) -> Parts:
    """The parts of a loss of the form of the exchange lemma; Refused where a term fits none."""
    parts = Parts()
    linear: Expr = ZERO
    for factor, term in _terms(_largest_rival(tree), ONE):
        used = names(term) & _SCORES
        if _has_sum(term):
            if not isinstance(term, SumOther):
                raise Refused("a class sum inside another operation fits no lemma")
            _add_class_sum(parts, factor, term.body)
        elif not used:
            continue
        elif "alpha" in used:
            parts.ramp = _plus(parts.ramp, factor * (term if used == {"alpha"} else _alpha_only(term)))
        elif used <= {"fy", "lse"} and isinstance(term, Var):
            linear = linear + factor * term
        else:
            found = _in_probability(term)
            if found is None:
                raise Refused("a term depends on more than the probability of the label")
            parts.psi = _plus(parts.psi, factor * found)
    found = _in_probability(normal_form(linear))
    if found is None:
        raise Refused("the loss changes when all scores move together")
    parts.psi = _plus(parts.psi, found)
    return Parts(
        _varying(parts.psi, "q"),
        _varying(parts.chi, "q"),
        _varying(parts.ramp, "alpha"),
        _varying(parts.pairs, "fy"),
    )


def _varying(part: Expr | None, axis: str) -> Expr | None:
    """The part, or None where it does not depend on its axis: constants say nothing about consistency."""
    if part is None or axis not in names(normal_form(part)):
        return None
    return simplify(part)


def _alpha_only(term: Expr) -> Expr:
    """A term in which fy cancels against the largest rival, as a tree in alpha."""
    still = simplify(substitute(term, {"fy": ZERO}))
    if names(term) & _SCORES != {"alpha", "fy"} or not same(term, still):
        raise Refused("a term mixes the margin with other quantities")
    return still


def _add_class_sum(parts: Parts, factor: Expr, body: Expr) -> None:
    pair = _difference(body)
    if pair is not None:
        parts.pairs = _plus(parts.pairs, factor * pair)
    elif (found := _rivals_probability(body)) is not None:
        parts.chi = _plus(parts.chi, factor * found)
        parts.psi = _plus(parts.psi, Neg(factor * found))
    elif isinstance(body, (Add, Sub)):
        _add_class_sum(parts, factor, body.left)
        _add_class_sum(parts, factor if isinstance(body, Add) else simplify(Neg(factor)), body.right)
    else:
        raise Refused("a class sum is neither over differences fy - fk nor over the other probabilities")


def exchange(raw: Expr, tree: Expr, classes: int | None, domain: str) -> list[Alternatives]:
    """What the exchange lemma asks of the parts (Lemma F7)."""
    parts = recognise(tree)
    low = _HALF if classes == 2 else Fraction(0)
    found = [_realness(raw)]
    if parts.psi is None and parts.pairs is None:
        raise Refused("the loss is a function of the margin alone; the exchange lemma needs a part that falls strictly")
    if parts.psi is not None:
        psi = parts.psi
        found += [
            Hypothesis("Psi continuous", "q", continuous(psi), high=_ONE, low_open=True, high_open=True, trees=(psi,)),
            Hypothesis("Psi falls", "q", slope_sign(psi, "q", "-"), high=_ONE, low_open=True, high_open=True),
            Hypothesis("Psi bounded below", "q", floor_near(psi, "q", _ONE, -1)),
            Hypothesis("Psi smooth", "q", smooth(psi, "q", falls=True), low, _HALF, low_open=low == 0, trees=(psi,)),
        ]
    if parts.chi is not None:
        chi = parts.chi
        found += [
            Hypothesis("chi continuous", "q", continuous(chi), high=_ONE, low_open=True, high_open=True, trees=(chi,)),
            Hypothesis("chi smooth", "q", smooth(chi, "q"), low, _HALF, low_open=low == 0, trees=(chi,)),
            Hypothesis("chi near 0", "q", _limit_near(chi, Fraction(0), 1)),
            Hypothesis("chi near 1", "q", _limit_near(chi, _ONE, -1)),
        ]
    if parts.ramp is not None:
        ramp = parts.ramp
        found += [
            Hypothesis("R continuous", "alpha", continuous(ramp), -inf, inf, trees=(ramp,)),
            Hypothesis("R does not rise", "alpha", slope_sign(ramp, "alpha", "- 0 <="), -inf, inf, trees=(ramp,)),
            Hypothesis("R constant left of 0", "alpha", slope_sign(ramp, "alpha", "0"), -inf, trees=(ramp,)),
            Hypothesis("R bounded below", "alpha", floor(ramp, "alpha", 1)),
        ]
    if parts.pairs is not None:
        phi = parts.pairs
        found += [
            Hypothesis("phi continuous", "fy", continuous(phi), -inf, inf, trees=(phi,)),
            Hypothesis("phi does not rise", "fy", slope_sign(phi, "fy", "- 0 <="), -inf, inf, trees=(phi,)),
            Hypothesis("phi smooth", "fy", smooth(phi, "fy"), -inf, inf, trees=(phi,)),
            Hypothesis("phi falls at 0", "fy", smooth(phi, "fy", falls=True)),
            Hypothesis("phi bounded below", "fy", floor(phi, "fy", 1)),
        ]
    return [(hypothesis,) for hypothesis in found]


def _limit_near(tree: Expr, end: Fraction, side: int) -> Callable[[Leaf], bool]:
    bounded, monotone = floor_near(tree, "q", end, side), one_way_near(tree, "q", end, side)
    return lambda leaf: bounded(leaf) and monotone(leaf)


def one_versus_all(raw: Expr, tree: Expr, classes: int | None, domain: str) -> list[Alternatives]:
    """What the lemma on one-versus-all losses asks of A and B (Lemma F8)."""
    if domain != "all":
        raise Refused("the lemma on one-versus-all losses is for unconstrained scores")
    own: Expr = ZERO
    other: Expr = ZERO
    for factor, term in _terms(tree, ONE):
        used = names(term) & _SCORES
        if isinstance(term, SumOther) and used == {"fk"} and not _has_sum(term.body):
            other = other + factor * substitute(term.body, {"fk": _FY})
        elif used == {"fy"} and not _has_sum(term):
            own = own + factor * term
        elif used or _has_sum(term):
            raise Refused("a term is neither a function of fy nor a class sum of functions of fk")
    own, other = simplify(own), simplify(other)
    found = [_realness(raw)]
    for name, part, away in (("A", own, -1), ("B", other, 1)):
        found += [
            Hypothesis(f"{name} continuous", "fy", continuous(part), -inf, inf, trees=(part,)),
            Hypothesis(
                f"{name} differentiable", "fy", smooth(part, "fy", differentiable=True), -inf, inf, trees=(part,)
            ),
            Hypothesis(f"{name} grows", "fy", grows(part, "fy", away)),
            Hypothesis(f"{name} bounded below", "fy", floor(part, "fy", -away)),
        ]
    apart = simplify(own - other)
    found.append(Hypothesis("A - B falls", "fy", falls_everywhere(apart, "fy"), -inf, inf, trees=(apart,)))
    return [(hypothesis,) for hypothesis in found]


def _realness(raw: Expr) -> Hypothesis:
    """The formula as written is real for all scores: each name in it ranges over all values it can take.

    The value of a class sum or maximum may be any real number, in the operation that it stands in.
    """
    pieces: list[Expr] = []

    def cut(node: Expr) -> Expr:
        if isinstance(node, (SumOther, MaxOther)):
            pieces.append(node.body)
            return _LSE
        return node

    pieces.append(rebuild(raw, cut))
    checks = [real(piece) for piece in pieces]

    def holds(leaf: Leaf) -> bool:
        inside = None if leaf.inside is None else _with_scores(leaf.inside)
        opened = Leaf(inside, tuple(map(_with_scores, leaf.ends)), leaf.low, leaf.high)
        return all(check(opened) for check in checks)

    return Hypothesis("real", "q", holds, high=_ONE, low_open=True, high_open=True, trees=tuple(pieces))


def _with_scores(region: Region) -> Region:
    """The region with every score free to take any real value, and the other probabilities any in (0, 1)."""
    line = Interval.between(-inf, inf)
    scores = dict.fromkeys(("fy", "fk", "lse", "alpha"), line) | {"qk": Interval.between(Fraction(0), _ONE)}
    return Region(region.box | scores, region.axis, region.inside, region.nonzero, (*region.free, "qk"), region.half)
