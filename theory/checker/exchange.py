"""The lemmas for several classes: what each part of a recognised form must satisfy.

The forms are those of `theory.checker.forms`. Proofs: docs/theory/families.md, Lemmas F7 and F8.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import inf

from theory.expression.calculus import differentiate
from theory.expression.interval import Interval
from theory.expression.nodes import Const, Div, Expr, Mul, Neg, Pow, SumOther, Var, names, substitute
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
    one_way_far,
    one_way_near,
    slope_sign,
    smooth,
)
from .forms import SCORES, Parts, has_sum, recognise, terms
from .reading import Refused
from .realness import SUMS, real_on
from .region import Region, same

_HALF, _ONE = Fraction(1, 2), Fraction(1)
Alternatives = tuple[Hypothesis, ...]


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
    if parts.share is not None:
        found += _of_share(parts.share, parts.weight, low)
    asked: list[Alternatives] = [(hypothesis,) for hypothesis in found]
    return asked + _of_scores(parts)


def _of_share(u: Expr, weight: Expr, low: Fraction) -> list[Hypothesis]:
    """What is asked of a share a u(s_y) / sum_k u(s_k)."""
    return [
        Hypothesis("a not negative", "q", lambda leaf: _all(leaf, weight, ("+", "0", ">=")), _HALF, _HALF),
        Hypothesis("u continuous", "q", continuous(u), high=_ONE, low_open=True, high_open=True, trees=(u,)),
        Hypothesis("u positive", "q", lambda leaf: _all(leaf, u, ("+",)), high=_ONE, low_open=True, high_open=True),
        Hypothesis("u does not rise", "q", slope_sign(u, "q", "- 0 <="), high=_ONE, low_open=True, high_open=True),
        Hypothesis(
            "u differentiable", "q", smooth(u, "q", differentiable=True), low, _HALF, low_open=low == 0, trees=(u,)
        ),
        Hypothesis("q u' / u bounded near 0", "q", floor_near(_log_rate(u), "q", Fraction(0), 1)),
    ]


def _log_rate(u: Expr) -> Expr:
    """q u'(q) / u(q), the derivative of log u in log q, factor by factor."""
    match u:
        case Neg(v):
            return _log_rate(v)
        case Mul(v, w):
            return simplify(_log_rate(v) + _log_rate(w))
        case Div(v, w):
            return simplify(_log_rate(v) - _log_rate(w))
        case Pow(v, Const() as power):
            return simplify(power * _log_rate(v))
    return simplify(Div(normal_form(Var("q") * differentiate(u, "q")), u))


def _all(leaf: Leaf, tree: Expr, allowed: tuple[str, ...]) -> bool:
    return all(part.sign(tree) in allowed for part in leaf.parts)


def _of_scores(parts: Parts) -> list[Alternatives]:
    """What is asked of terms in single scores, A(f_y) + sum_{k != y} B(f_k), and in lse."""
    own, every = parts.own or ZERO, parts.every or ZERO
    found: list[Alternatives] = []
    if parts.every is not None:
        found += [(hypothesis,) for hypothesis in _extends("B", every, "fy")]
    if parts.level is not None:
        found += [(hypothesis,) for hypothesis in _extends("Z", parts.level, "lse", kinked=True)]
    apart = simplify(own - every)
    if not same(apart, ZERO):
        line = (-inf, inf)
        a_grows, b_grows = grows(own, "fy", -1), grows(every, "fy", 1)
        found += [(hypothesis,) for hypothesis in _extends("A", own, "fy")] if parts.own is not None else []
        found += [
            (Hypothesis("A - B does not rise", "fy", slope_sign(apart, "fy", "- 0 <="), *line, trees=(apart,)),),
            (Hypothesis("A - B smooth", "fy", smooth(apart, "fy"), *line, trees=(apart,)),),
            (
                Hypothesis("A - B bounded below", "fy", floor(apart, "fy", 1)),
                Hypothesis("A and B grow", "fy", lambda leaf: a_grows(leaf) and b_grows(leaf)),
            ),
        ]
    return found


def _extends(name: str, tree: Expr, axis: str, kinked: bool = False) -> list[Hypothesis]:
    """Continuous, without convex kinks unless `kinked`, with limits above -infinity at both infinities."""
    ends = [(floor(tree, axis, side), one_way_far(tree, axis, side)) for side in (-1, 1)]
    return [
        Hypothesis(f"{name} continuous", axis, continuous(tree), -inf, inf, trees=(tree,)),
        Hypothesis(f"{name} smooth", axis, smooth(tree, axis, kinked=kinked), -inf, inf, trees=(tree,)),
        Hypothesis(f"{name} far", axis, lambda leaf: all(low(leaf) and way(leaf) for low, way in ends)),
    ]


def _limit_near(tree: Expr, end: Fraction, side: int) -> Callable[[Leaf], bool]:
    bounded, monotone = floor_near(tree, "q", end, side), one_way_near(tree, "q", end, side)
    return lambda leaf: bounded(leaf) and monotone(leaf)


def one_versus_all(raw: Expr, tree: Expr, classes: int | None, domain: str) -> list[Alternatives]:
    """What the lemma on one-versus-all losses asks of A and B (Lemma F8)."""
    if domain != "all":
        raise Refused("the lemma on one-versus-all losses is for unconstrained scores")
    own: Expr = ZERO
    other: Expr = ZERO
    for factor, term in terms(tree, ONE):
        used = names(term) & SCORES
        if isinstance(term, SumOther) and used == {"fk"} and not has_sum(term.body):
            other = other + factor * substitute(term.body, {"fk": Var("fy")})
        elif used == {"fy"} and not has_sum(term):
            own = own + factor * term
        elif used or has_sum(term):
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
    """The formula as written is real for all scores: each name in it ranges over all values it can take."""

    def holds(leaf: Leaf) -> bool:
        return all(real_on(raw, _with_scores(part)) for part in leaf.parts)

    return Hypothesis("real", "q", holds, high=_ONE, low_open=True, high_open=True, trees=(raw,))


def _with_scores(region: Region) -> Region:
    """The region with every score free to take any real value, and the other probabilities any in (0, 1)."""
    line, unit = Interval.between(-inf, inf), Interval.between(Fraction(0), _ONE)
    scores = dict.fromkeys(("fy", "fk", "lse", "alpha"), line) | {"qk": unit} | SUMS
    return Region(
        region.box | scores, region.axis, region.inside, region.nonzero, (*region.free, "qk", "plus"), region.half
    )
