"""Polynomial normal form over atoms: exact cancellation and common factors.

An atom is anything that is not a sum, product or small integer power: a name, a function value, a
maximum, a `where`. Two trees with the same normal form are the same function.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from .nodes import Add, Call, Const, Div, Expr, Mul, Neg, Pi, Pow, Sub, Var, with_parts
from .rewrite import ONE, simplify

Monomial = tuple[tuple[Expr, int], ...]
Polynomial = dict[Monomial, Fraction]

MAX_TERMS = 60


class TooLarge(Exception):
    """The expansion has too many terms to be useful."""


def normal_form(expr: Expr) -> Expr:
    """The tree with equal terms collected and a factor common to all terms taken out.

    Returns the tree unchanged when its expansion would have more than `MAX_TERMS` terms.

    >>> from .parse import parse
    >>> str(normal_form(parse("2 * (1 + t) + 2 * (1 - t)")))
    '4'
    """
    try:
        return _normal(expr)
    except TooLarge:
        return expr


@lru_cache(maxsize=50_000)
def _normal(expr: Expr) -> Expr:
    return from_polynomial(polynomial(expr))


def same_function(left: Expr, right: Expr) -> bool:
    """True when the normal forms of two trees agree; False says nothing."""
    try:
        return not polynomial(left - right)
    except TooLarge:
        return False


def polynomial(expr: Expr) -> Polynomial:
    """The terms of a tree: monomials in its atoms with rational coefficients."""
    return _Expansion().of(expr)


class _Expansion:
    """Trees as polynomials in atoms; a part that is one object is done once."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Expr, Polynomial]] = {}  # a key is an identity, so its node is kept alive
        self._normal: dict[int, tuple[Expr, Expr]] = {}

    def of(self, expr: Expr) -> Polynomial:
        """The terms of a tree."""
        found = self._done.get(id(expr))
        if found is None:
            found = self._done[id(expr)] = expr, self._terms(expr)
        return found[1]

    def normal(self, expr: Expr) -> Expr:
        """The normal form of a part, or the part itself where it has too many terms."""
        found = self._normal.get(id(expr))
        if found is None:
            try:
                found = expr, from_polynomial(self.of(expr))
            except TooLarge:
                found = expr, expr
            self._normal[id(expr)] = found
        return found[1]

    def _power(self, expr: Expr, count: int) -> Polynomial:
        result: Polynomial = {(): Fraction(1)}
        for _ in range(count):
            result = _product(result, self.of(expr))
        return result

    def _inverse(self, monomial: Monomial, value: Fraction) -> Polynomial:
        """1 / (value * monomial); sums that come out of a denominator are expanded."""
        result: Polynomial = {tuple((atom, -power) for atom, power in monomial if power > 0): 1 / value}
        for atom, power in monomial:
            if power < 0:
                result = _product(result, self._power(atom, -power))
        return result

    def _terms(self, expr: Expr) -> Polynomial:
        match expr:
            case Const(value):
                return {(): value} if value else {}
            case Neg(u):
                return {monomial: -value for monomial, value in self.of(u).items()}
            case Add(u, v):
                return _sum(self.of(u), self.of(v), 1)
            case Sub(u, v):
                return _sum(self.of(u), self.of(v), -1)
            case Mul(u, v):
                return _product(self.of(u), self.of(v))
            case Div(u, v):
                below = self.of(v)
                if len(below) == 1:
                    ((monomial, value),) = below.items()
                    return _product(self.of(u), self._inverse(monomial, value))
                return _product(self.of(u), {((self.normal(v), -1),): Fraction(1)})
            case Pow(u, Const(value)) if value.denominator == 1 and 1 <= value <= 8:
                return self._power(u, int(value))
            case Pow(u, Const(value)) if value.denominator == 1 and -8 <= value <= -1:
                return {((self.normal(u), int(value)),): Fraction(1)}
        atom = expr if isinstance(expr, (Var, Pi)) else simplify(self._atom(expr))
        if type(atom) is not type(expr):
            return self.of(atom)
        return {((atom, 1),): Fraction(1)}

    def _atom(self, expr: Expr) -> Expr:
        """An atom with its own arguments in normal form, so that equal functions are equal atoms more often."""
        return with_parts(expr, self.normal)


def _sum(left: Polynomial, right: Polynomial, sign: int) -> Polynomial:
    result = dict(left)
    for monomial, value in right.items():
        total = result.get(monomial, Fraction(0)) + sign * value
        if total:
            result[monomial] = total
        else:
            result.pop(monomial, None)
    return _limited(result)


def _product(left: Polynomial, right: Polynomial) -> Polynomial:
    result: Polynomial = {}
    if len(left) * len(right) > 4 * MAX_TERMS:
        raise TooLarge
    for first, x in left.items():
        for second, y in right.items():
            powers = dict(first)
            for atom, power in second:
                powers[atom] = powers.get(atom, 0) + power
            factors = _merge_exponentials([(atom, power) for atom, power in powers.items() if power])
            result = _sum(result, {tuple(sorted(factors, key=_order)): x * y}, 1)
    return _limited(result)


def _merge_exponentials(factors: list[tuple[Expr, int]]) -> list[tuple[Expr, int]]:
    """exp(u)**m * exp(v)**n as exp(m u + n v)."""
    found = [(atom, power) for atom, power in factors if isinstance(atom, Call) and atom.name == "exp"]
    if not found or (len(found) == 1 and found[0][1] == 1):
        return factors
    total: Polynomial = {}
    for atom, power in found:
        assert isinstance(atom, Call)
        scaled = {monomial: power * value for monomial, value in polynomial(atom.argument).items()}
        total = _sum(total, scaled, 1)
    rest = [factor for factor in factors if factor not in found]
    return [*rest, (Call("exp", from_polynomial(total)), 1)] if total else rest


def _order(factor: tuple[Expr, int]) -> tuple[str, int]:
    return repr(factor[0]), factor[1]


def _limited(terms: Polynomial) -> Polynomial:
    if len(terms) > MAX_TERMS:
        raise TooLarge
    return terms


def from_polynomial(terms: Polynomial) -> Expr:
    """The tree of a polynomial in atoms, a factor common to all terms taken out."""
    if not terms:
        return Const(Fraction(0))
    shared = dict(next(iter(terms)))
    for monomial in terms:
        powers = dict(monomial)
        shared = {
            atom: min(power, powers[atom], key=abs) for atom, power in shared.items() if power * powers.get(atom, 0) > 0
        }
    inner: Expr | None = None
    for monomial, value in sorted(terms.items(), key=lambda item: (len(item[0]), repr(item[0]))):
        rest = tuple((atom, power - shared.get(atom, 0)) for atom, power in monomial if power != shared.get(atom, 0))
        term = simplify(Mul(Const(value), _monomial(rest)))
        inner = term if inner is None else Add(inner, term)
    assert inner is not None
    return simplify(Mul(_monomial(tuple(sorted(shared.items(), key=_order))), inner))


def _monomial(powers: Monomial) -> Expr:
    result: Expr = ONE
    for atom, power in powers:
        base = atom if power > 0 else Div(ONE, atom)
        result = Mul(result, Pow(base, Const(Fraction(abs(power)))) if abs(power) != 1 else base)
    return result
