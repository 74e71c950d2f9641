"""Identities that make a tree easier to evaluate: exact folding and stable forms.

Every rule is an identity of real functions, so a rewritten tree is the same loss. `simplify` folds
constants and drops neutral elements; `stabilise` also recognises softplus and sigmoid written out
with exp and log, which would overflow in floats and widen in ball arithmetic.
"""

from __future__ import annotations

from fractions import Fraction

from .nodes import Add, Call, Clip, Const, Div, Expr, Max, Min, Mul, Neg, Pow, Sub, Var, Where, rebuild

ZERO, ONE = Const(Fraction(0)), Const(Fraction(1))
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_HOLDS = {"<": Fraction.__lt__, "<=": Fraction.__le__, ">": Fraction.__gt__, ">=": Fraction.__ge__}


def simplify(expr: Expr) -> Expr:
    """The tree with constants folded exactly and neutral elements removed.

    >>> str(simplify(Const(Fraction(2)) * Var("t") ** 1 + 0))
    '2 * t'
    """
    return rebuild(expr, _fold)


def stabilise(expr: Expr) -> Expr:
    """The simplified tree with log(1 + exp(u)) as softplus(u), 1/(1 + exp(u)) as sigmoid(-u), log(q) as fy - lse.

    >>> from .parse import parse
    >>> str(stabilise(parse("log(1 + exp(-t))")))
    'softplus(-t)'
    """
    return rebuild(expr, lambda node: _fold(_stable(_fold(node))))


def _fold(node: Expr) -> Expr:
    match node:
        case Neg(Const(a)):
            return Const(-a)
        case Neg(Neg(u)):
            return u
        case Neg(Sub(u, v)):
            return Sub(v, u)
        case Neg(Mul(Const(a), u)):
            return Mul(Const(-a), u)
        case Add(Const(a), Const(b)):
            return Const(a + b)
        case Sub(Const(a), Const(b)):
            return Const(a - b)
        case Mul(Const(a), Const(b)):
            return Const(a * b)
        case Div(Const(a), Const(b)) if b != 0:
            return Const(a / b)
        case Pow(Const(a), Const(b)) if b.denominator == 1 and abs(b) <= 100 and (a != 0 or b > 0) and _small(a, b):
            return Const(a ** int(b))
        case Add(u, Const(Fraction(numerator=0))) | Sub(u, Const(Fraction(numerator=0))):
            return u
        case Add(Const(Fraction(numerator=0)), u):
            return u
        case Add(u, Neg(v)):
            return Sub(u, v)
        case Sub(u, Neg(v)):
            return Add(u, v)
        case Sub(Const(Fraction(numerator=0)), u):
            return _fold(Neg(u))
        case Mul(Const(a), u) | Mul(u, Const(a)) if a in (0, 1, -1):
            return ZERO if a == 0 else u if a == 1 else _fold(Neg(u))
        case Mul(u, Const(a)):
            return _fold(Mul(Const(a), u))
        case Mul(Const(a), Mul(Const(b), u)):
            return _fold(Mul(Const(a * b), u))
        case Mul(Const(a), Neg(u)):
            return _fold(Mul(Const(-a), u))
        case Div(u, Div(v, w)):
            return _fold(Div(_fold(Mul(u, w)), v))
        case Div(u, Const(a)) if a != 0:
            return _fold(Mul(Const(1 / a), u))
        case Div(Const(Fraction(numerator=0)), _):
            return ZERO
        case Pow(u, Const(b)) if b == 1:
            return u
        case Pow(_, Const(Fraction(numerator=0))):
            return ONE
        case Max(Const(a), Const(b)):
            return Const(max(a, b))
        case Min(Const(a), Const(b)):
            return Const(min(a, b))
        case Clip(Const(a), Const(b), Const(c)):
            return Const(min(max(a, b), c))
        case Call("exp", Const(Fraction(numerator=0))):
            return ONE
        case Where(comparison, Const(a), Const(b), yes, no):
            return yes if _HOLDS[comparison](a, b) else no
        case Where(_, _, _, yes, no) if yes == no:
            return yes
    return node


def _small(base: Fraction, exponent: Fraction) -> bool:
    return max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent) <= 4096


def _one_plus_exp(node: Expr) -> Expr | None:
    """u where the node is 1 + exp(u)."""
    match node:
        case Add(Const(a), Call("exp", u)) | Add(Call("exp", u), Const(a)) if a == 1:
            return u
    return None


def _stable(node: Expr) -> Expr:
    match node:
        case Call("log1p", Call("exp", u)):
            return Call("softplus", u)
        case Call("log", Call("sigmoid", u)):
            return Neg(Call("softplus", _fold(Neg(u))))
        case Call("log", Call("exp", u)):
            return u
        case Call("log", Var("q")):
            return Sub(Var("fy"), Var("lse"))
        case Call("log", Var("qk")):
            return Sub(Var("fk"), Var("lse"))
        case Call("log", argument) if (inner := _one_plus_exp(argument)) is not None:
            return Call("softplus", inner)
        case Div(Call("exp", v), below) if _one_plus_exp(below) == v:
            return Call("sigmoid", v)
        case Div(above, below) if (inner := _one_plus_exp(below)) is not None:
            return _fold(Mul(above, Call("sigmoid", _fold(Neg(inner)))))
        case Div(above, Pow(base, exponent)) if (inner := _one_plus_exp(base)) is not None:
            return _fold(Mul(above, Pow(Call("sigmoid", _fold(Neg(inner))), exponent)))
        case Div(above, Pow(Call("sigmoid", u), exponent)):
            return _fold(Mul(above, Pow(Call("sigmoid", u), _fold(Neg(exponent)))))
        case Pow(base, exponent) if (inner := _one_plus_exp(base)) is not None:
            return Pow(Call("sigmoid", _fold(Neg(inner))), _fold(Neg(exponent)))
        case Call("tanh", Neg(u)):
            return Neg(Call("tanh", u))
        case Call("atan", Neg(u)):
            return Neg(Call("atan", u))
        case Pow(Neg(u), Const(b)) if b.denominator == 1:
            return Pow(u, Const(b)) if b % 2 == 0 else Neg(Pow(u, Const(b)))
        case Where(comparison, Neg(u), Const(a), yes, no):
            return Where(_FLIPPED[comparison], u, Const(-a), yes, no)
        case Div(u, Add(Const(a), v)) | Div(u, Add(v, Const(a))) if u == v:
            return Sub(ONE, Div(Const(a), Add(Const(a), u)))
        case Call("abs", Neg(u)):
            return Call("abs", u)
    return node
