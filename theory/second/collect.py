"""Sums with equal terms collected, for the second arithmetic: a few identities, none shared with `theory.expression`.

log(1 + exp(u)) and log1p(exp(u)) are written softplus(u); a sign is taken out of whole powers and `abs`; equal terms of
a sum are added, and go when their weights cancel. Each is an identity wherever the given tree is real.
"""

from __future__ import annotations

from fractions import Fraction

from theory.expression.nodes import Add, Call, Const, Div, Expr, Mul, Neg, Pow, Sub, with_parts

_ONE = Const(Fraction(1))


def collected(tree: Expr) -> Expr:
    """A tree equal to the given one wherever that is real, as a sum of different terms with rational weights."""
    total: Expr | None = None
    for term, weight in _terms(tree).items():
        part = term if weight == 1 else Const(weight) if term == _ONE else Mul(Const(weight), term)
        total = part if total is None else Add(total, part)
    return Const(Fraction(0)) if total is None else total


def _terms(tree: Expr) -> dict[Expr, Fraction]:
    """Terms with their weights; the constant is the weight of 1."""
    match tree:
        case Const(value):
            return {_ONE: value} if value else {}
        case Neg(u):
            return _scaled(_terms(u), Fraction(-1))
        case Add(u, v):
            return _joined(_terms(u), _terms(v))
        case Sub(u, v):
            return _joined(_terms(u), _scaled(_terms(v), Fraction(-1)))
        case Mul(u, v):
            left, right = _terms(u), _terms(v)
            for one, two in ((left, right), (right, left)):
                if not one:
                    return {}
                if set(one) == {_ONE}:
                    return _scaled(two, one[_ONE])
            return _weighed(Mul, left, right)
        case Div(u, v):
            left, right = _terms(u), _terms(v)
            if set(right) == {_ONE}:
                return _scaled(left, 1 / right[_ONE])
            return _weighed(Div, left, right) if right else {tree: Fraction(1)}
        case Pow(u, Const(e)) if e.denominator == 1 and e > 0:
            base, sign = _unsigned(collected(u))
            if isinstance(base, Const) and e <= 100:
                return _terms(Const((sign * base.value) ** int(e)))
            return {Pow(base, Const(e)): Fraction(sign if e % 2 else 1)}
        case Call("abs", u):
            return {Call("abs", _unsigned(collected(u))[0]): Fraction(1)}
        case Call("log", Add(Const(value), Call("exp", u))) | Call("log", Add(Call("exp", u), Const(value))) if (
            value == 1
        ):
            return {Call("softplus", collected(u)): Fraction(1)}
        case Call("log1p", Call("exp", u)):
            return {Call("softplus", collected(u)): Fraction(1)}
    return {with_parts(tree, collected): Fraction(1)}


def _weighed(
    kind: type[Mul] | type[Div], left: dict[Expr, Fraction], right: dict[Expr, Fraction]
) -> dict[Expr, Fraction]:
    """A product or quotient of two sums, the weights of single terms taken out."""
    weight = Fraction(1)
    sides = []
    for i, terms in enumerate((left, right)):
        if len(terms) == 1:
            ((term, value),) = terms.items()
            weight = weight * value if i == 0 or kind is Mul else weight / value
            sides.append(term)
        else:
            sides.append(_rebuilt(terms))
    if not left:
        return {}
    return {kind(sides[0], sides[1]): weight}


def _rebuilt(terms: dict[Expr, Fraction]) -> Expr:
    total: Expr = Const(Fraction(0))
    for i, (term, weight) in enumerate(terms.items()):
        part = term if weight == 1 else Const(weight) if term == _ONE else Mul(Const(weight), term)
        total = part if i == 0 else Add(total, part)
    return total


def _unsigned(tree: Expr) -> tuple[Expr, int]:
    """The tree or its negative, whichever begins with a positive weight, and the sign."""
    terms = _terms(tree)
    first = next(iter(terms.values()), Fraction(0))
    return (_rebuilt(_scaled(terms, Fraction(-1))), -1) if first < 0 else (tree, 1)


def _scaled(terms: dict[Expr, Fraction], factor: Fraction) -> dict[Expr, Fraction]:
    return {term: factor * weight for term, weight in terms.items()} if factor else {}


def _joined(left: dict[Expr, Fraction], right: dict[Expr, Fraction]) -> dict[Expr, Fraction]:
    total = dict(left)
    for term, weight in right.items():
        total[term] = total.get(term, Fraction(0)) + weight
        if not total[term]:
            del total[term]
    return total
