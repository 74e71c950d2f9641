"""The forms of several-class losses that lemmas know, recognised in a formula.

exchange        L_y = Psi(s_y) + sum_k chi(s_k) + a u(s_y) / sum_k u(s_k) + R(alpha_y) + sum_{k != y} phi(f_y - f_k)
                      + A(f_y) + sum_{k != y} B(f_k) + Z(lse), s = softmax(f)
one-versus-all  L_y = A(f_y) + sum_{k != y} B(f_k)

Recognising a form rewrites the formula with fy - lse = log q, fk - lse = log qk only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from theory.expression.enclosure import enclose
from theory.expression.interval import Interval, Undefined
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

from .reading import Refused
from .region import same

SCORES = frozenset({"fy", "alpha", "lse", "q", "fk", "qk"})
_FY, _FK, _LSE, _Q, _QK = (Var(name) for name in ("fy", "fk", "lse", "q", "qk"))


@dataclass
class Parts:
    """The parts of a loss, or None: trees in q (psi, chi, share), alpha (ramp), fy (pairs: f_y - f_k; own, every), lse.

    `weight` is the factor a of the share u(s_y) / sum_k u(s_k), `own` and `every` are A and B, `level` is Z.
    """

    psi: Expr | None = None
    chi: Expr | None = None
    ramp: Expr | None = None
    pairs: Expr | None = None
    share: Expr | None = None
    weight: Expr = ONE
    own: Expr | None = None
    every: Expr | None = None
    level: Expr | None = None


def _plus(old: Expr | None, new: Expr) -> Expr:
    return new if old is None else old + new


def terms(tree: Expr, factor: Expr) -> Iterator[tuple[Expr, Expr]]:
    """(factor without scores, term) whose products sum to the tree times `factor`."""
    match tree:
        case Add(u, v):
            yield from terms(u, factor)
            yield from terms(v, factor)
        case Sub(u, v):
            yield from terms(u, factor)
            yield from terms(v, simplify(Neg(factor)))
        case Neg(u):
            yield from terms(u, simplify(Neg(factor)))
        case Mul(u, v) if not names(u) & SCORES and not has_sum(u):
            yield from terms(v, simplify(factor * u))
        case Mul(u, v) if not names(v) & SCORES and not has_sum(v):
            yield from terms(u, simplify(factor * v))
        case Div(u, v) if not names(v) & SCORES and not has_sum(v):
            yield from terms(u, simplify(factor / v))
        case SumOther(Neg(u)):
            yield from terms(SumOther(u), simplify(Neg(factor)))
        case SumOther(Mul(u, v)) if not names(u) & SCORES:
            yield from terms(SumOther(v), simplify(factor * u))
        case _:
            yield factor, tree


def has_sum(tree: Expr) -> bool:
    """Whether a class sum or maximum stands in the tree."""
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
    return substitute(still, {"qk": _Q}) if not names(still) & (SCORES - {"qk"}) else None


def _difference(body: Expr) -> Expr | None:
    """The body of a class sum as a tree in fy - fk, written in fy."""
    if names(body) & SCORES - {"fy", "fk"}:
        return None
    still = simplify(substitute(body, {"fk": ZERO}))
    return still if same(substitute(body, {"fy": _FY + _FK}), still) else None


def recognise(tree: Expr) -> Parts:
    """The parts of a loss of the form of the exchange lemma; Refused where a term fits none."""
    parts = Parts()
    linear: Expr = ZERO
    for factor, term in terms(_largest_rival(tree), ONE):
        used = names(term) & SCORES
        if has_sum(term):
            if isinstance(term, Div):
                _add_share(parts, factor, term)
            elif isinstance(term, SumOther):
                _add_class_sum(parts, factor, term.body)
            else:
                raise Refused("a class sum inside another operation fits no lemma")
        elif not used:
            continue
        elif "alpha" in used:
            parts.ramp = _plus(parts.ramp, factor * (term if used == {"alpha"} else _alpha_only(term)))
        elif used <= {"fy", "lse"} and isinstance(term, Var):
            linear = linear + factor * term
        elif (found := _in_probability(term)) is not None:
            parts.psi = _plus(parts.psi, factor * found)
        elif used == {"fy"}:
            parts.own = _plus(parts.own, factor * term)
        elif used == {"lse"}:
            parts.level = _plus(parts.level, factor * term)
        else:
            raise Refused("a term depends on more than the probability of the label, its score or lse")
    found = _in_probability(normal_form(linear))
    if found is None:
        raise Refused("the loss changes when all scores move together")
    parts.psi = _plus(parts.psi, found)
    return Parts(
        _varying(parts.psi, "q"),
        _varying(parts.chi, "q"),
        _varying(parts.ramp, "alpha"),
        _varying(parts.pairs, "fy"),
        parts.share,
        parts.weight,
        _varying(parts.own, "fy"),
        _varying(parts.every, "fy"),
        _varying(parts.level, "lse"),
    )


def _varying(part: Expr | None, axis: str) -> Expr | None:
    """The part, or None where it does not depend on its axis: constants say nothing about consistency."""
    if part is None or axis not in names(normal_form(part)):
        return None
    return simplify(part)


def _alpha_only(term: Expr) -> Expr:
    """A term in which fy cancels against the largest rival, as a tree in alpha."""
    still = simplify(substitute(term, {"fy": ZERO}))
    if names(term) & SCORES != {"alpha", "fy"} or not same(term, still):
        raise Refused("a term mixes the margin with other quantities")
    return still


def _add_class_sum(parts: Parts, factor: Expr, body: Expr) -> None:
    pair = _difference(body)
    if pair is not None:
        parts.pairs = _plus(parts.pairs, factor * pair)
    elif (found := _rivals_probability(body)) is not None:
        parts.chi = _plus(parts.chi, factor * found)
        parts.psi = _plus(parts.psi, Neg(factor * found))
    elif names(body) & SCORES == {"fk"}:
        parts.every = _plus(parts.every, factor * substitute(body, {"fk": _FY}))
    elif isinstance(body, (Add, Sub)):
        _add_class_sum(parts, factor, body.left)
        _add_class_sum(parts, factor if isinstance(body, Add) else simplify(Neg(factor)), body.right)
    else:
        raise Refused("a class sum is over neither differences fy - fk, nor the other probabilities, nor their scores")


def _add_share(parts: Parts, factor: Expr, term: Div) -> None:
    """u(q) / (u(q) + the class sum of u(qk)), times a factor."""
    if parts.share is not None:
        raise Refused("the exchange lemma takes one quotient over a class sum")
    parts_of: list[Expr] = [ZERO, ZERO]
    for weight, part in terms(term.right, ONE):
        found: Expr | None = part
        if isinstance(part, SumOther):
            found = None if has_sum(part.body) else _rivals_probability(part.body)
        if found is None or has_sum(found):
            raise Refused("a denominator is no sum of functions of single probabilities")
        parts_of[isinstance(part, SumOther)] += weight * found
    own, over = (None if has_sum(tree) else _one_probability(tree) for tree in (parts_of[0], term.left))
    if own is None or over is None or names(own) != {"q"} or not same(own, parts_of[1]):
        raise Refused("a denominator is no sum of one function of all probabilities, free of parameters")
    (above, top), (below, bottom) = _take_factor(over), _take_factor(own)
    if not same(top, bottom):
        raise Refused("a numerator over a class sum is no multiple of its own term in the sum")
    scale = simplify(above / below)
    parts.share = own if _positive_at_half(own) else simplify(Neg(own))
    parts.weight = simplify(factor * scale)


def _take_factor(tree: Expr) -> tuple[Expr, Expr]:
    """(factor without scores, rest) whose product is the tree."""
    if not names(tree) & SCORES:
        return tree, ONE
    match tree:
        case Neg(u):
            factor, rest = _take_factor(u)
            return simplify(Neg(factor)), rest
        case Mul(u, v):
            (one, left), (other, right) = _take_factor(u), _take_factor(v)
            return simplify(one * other), simplify(left * right)
        case Div(u, v) if not names(v) & SCORES:
            factor, rest = _take_factor(u)
            return simplify(factor / v), rest
    return ONE, tree


def _one_probability(tree: Expr) -> Expr | None:
    """A tree as one in q, its factors left as they stand where that is possible."""
    plain = simplify(tree)
    found = _in_probability(plain)
    found = _in_probability(normal_form(plain)) if found is None else found
    return None if found is None else simplify(found)


def _positive_at_half(tree: Expr) -> bool:
    """Whether a function of q is positive at 1/2; whether it is everywhere, is a hypothesis."""
    try:
        return bool(enclose(tree, {"q": Interval.point(Fraction(1, 2))}).range.lo > 0)
    except Undefined:
        return False
