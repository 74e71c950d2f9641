"""Identities that make a tree easier to evaluate: exact folding and stable forms.

Every rule is an identity of real functions, so a rewritten tree is the same loss wherever the given
one is real. `simplify` folds constants and drops neutral elements; `stabilise` also recognises
softplus and sigmoid written out with exp and log, which would overflow in floats and widen in ball
arithmetic, and roots of squares.
"""

from __future__ import annotations

from collections.abc import Callable
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
    return rebuild(expr, fold)


def stabilise(expr: Expr) -> Expr:
    """The simplified tree with log(1 + exp(u)) as softplus(u), 1/(1 + exp(u)) as sigmoid(-u), log(q) as fy - lse.

    >>> from .parse import parse
    >>> str(stabilise(parse("log(1 + exp(-t))")))
    'softplus(-t)'
    """
    return rebuild(expr, lambda node: fold(_stable(fold(node))))


def fold(node: Expr) -> Expr:
    """One node folded, whose children are folded already."""
    rule = _FOLDS.get(type(node))
    return node if rule is None else rule(node)


def _fold_neg(node: Expr) -> Expr:
    match node:
        case Neg(Const(a)):
            return Const(-a)
        case Neg(Neg(u)):
            return u
        case Neg(Sub(u, v)):
            return Sub(v, u)
        case Neg(Mul(Const(a), u)):
            return Mul(Const(-a), u)
    return node


def _fold_add(node: Expr) -> Expr:
    match node:
        case Add(Const(a), Const(b)):
            return Const(a + b)
        case Add(u, Const(Fraction(numerator=0))) | Add(Const(Fraction(numerator=0)), u):
            return u
        case Add(u, Neg(v)):
            return Sub(u, v)
    return node


def _fold_sub(node: Expr) -> Expr:
    match node:
        case Sub(Const(a), Const(b)):
            return Const(a - b)
        case Sub(u, Const(Fraction(numerator=0))):
            return u
        case Sub(u, Neg(v)):
            return Add(u, v)
        case Sub(Const(Fraction(numerator=0)), u):
            return fold(Neg(u))
    return node


def _fold_mul(node: Expr) -> Expr:
    match node:
        case Mul(Const(a), Const(b)):
            return Const(a * b)
        case Mul(Const(a), u) | Mul(u, Const(a)) if a in (0, 1, -1):
            return ZERO if a == 0 else u if a == 1 else fold(Neg(u))
        case Mul(u, Const(a)):
            return fold(Mul(Const(a), u))
        case Mul(Const(a), Mul(Const(b), u)):
            return fold(Mul(Const(a * b), u))
        case Mul(Const(a), Neg(u)):
            return fold(Mul(Const(-a), u))
    return node


def _fold_div(node: Expr) -> Expr:
    match node:
        case Div(Const(a), Const(b)) if b != 0:
            return Const(a / b)
        case Div(u, Div(v, w)):
            return fold(Div(fold(Mul(u, w)), v))
        case Div(u, Const(a)) if a != 0:
            return fold(Mul(Const(1 / a), u))
        case Div(Const(Fraction(numerator=0)), _):
            return ZERO
    return node


def _fold_pow(node: Expr) -> Expr:
    match node:
        case Pow(Const(a), Const(b)) if b.denominator == 1 and abs(b) <= 100 and (a != 0 or b > 0) and _small(a, b):
            return Const(a ** int(b))
        case Pow(u, Const(b)) if b == 1:
            return u
        case Pow(_, Const(Fraction(numerator=0))):
            return ONE
    return node


def _fold_choice(node: Expr) -> Expr:
    match node:
        case Max(Const(a), Const(b)):
            return Const(max(a, b))
        case Min(Const(a), Const(b)):
            return Const(min(a, b))
        case Clip(Const(a), Const(b), Const(c)):
            return Const(min(max(a, b), c))
        case Where(comparison, Const(a), Const(b), yes, no):
            return yes if _HOLDS[comparison](a, b) else no
        case Where(_, _, _, yes, no) if yes == no:
            return yes
    return node


def _fold_call(node: Expr) -> Expr:
    match node:
        case Call("exp", Const(Fraction(numerator=0))):
            return ONE
    return node


_FOLDS: dict[type[Expr], Callable[[Expr], Expr]] = {
    Neg: _fold_neg,
    Add: _fold_add,
    Sub: _fold_sub,
    Mul: _fold_mul,
    Div: _fold_div,
    Pow: _fold_pow,
    Call: _fold_call,
    **dict.fromkeys((Max, Min, Clip, Where), _fold_choice),
}


def _small(base: Fraction, exponent: Fraction) -> bool:
    return max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent) <= 4096


def _one_plus_exp(node: Expr) -> Expr | None:
    """u where the node is 1 + exp(u)."""
    match node:
        case Add(Const(a), Call("exp", u)) | Add(Call("exp", u), Const(a)) if a == 1:
            return u
    return None


def _multiple(node: Expr) -> tuple[Fraction, Expr]:
    """A tree as a number times a tree, so that u, -u and 2 u share their second part."""
    match node:
        case Neg(u):
            factor, base = _multiple(u)
            return -factor, base
        case Mul(Const(a), u) if a != 0:
            factor, base = _multiple(u)
            return a * factor, base
    return Fraction(1), node


def _times(factor: Fraction, base: Expr) -> Expr:
    return fold(Mul(Const(factor), base))


def _shared(node: Mul) -> Expr:
    """exp(-j u) sigmoid(u)**p as sigmoid(-u)**j sigmoid(u)**(p - j), which neither overflows nor cancels."""
    for first, second in ((node.left, node.right), (node.right, node.left)):
        match first, second:
            case Call("exp", a), Call("sigmoid", u):
                power = Fraction(1)
            case Call("exp", a), Pow(Call("sigmoid", u), Const(power)):
                pass
            case _:
                continue
        (j, base), (k, other) = _multiple(a), _multiple(u)
        if base != other or (j / k).denominator != 1 or not power >= -j / k >= 1:
            continue
        count = -j / k
        mirrored = fold(Pow(Call("sigmoid", _times(-k, base)), Const(count)))
        return fold(Mul(mirrored, fold(Pow(Call("sigmoid", u), Const(power - count)))))
    return node


def _log_of_share(node: Expr) -> Expr | None:
    """log of sigmoid(u), 1 - sigmoid(u) and 1 + tanh(u), times a positive constant, by softplus."""
    match node:
        case Call("sigmoid", u):
            return Neg(Call("softplus", fold(Neg(u))))
        case Sub(Const(a), Call("sigmoid", u)) if a == 1:
            return Neg(Call("softplus", u))
        case Add(Const(a), Call("tanh", u)) | Add(Call("tanh", u), Const(a)) if a == 1:
            return Sub(Call("log", Const(Fraction(2))), Call("softplus", fold(Mul(Const(Fraction(-2)), u))))
        case Sub(Const(a), Call("tanh", u)) if a == 1:
            return Sub(Call("log", Const(Fraction(2))), Call("softplus", fold(Mul(Const(Fraction(2)), u))))
        case Mul(Const(a), u) if a > 0 and (inner := _log_of_share(u)) is not None:
            return Add(Call("log", Const(a)), inner)
    return None


def _exponential(node: Expr) -> tuple[Fraction, Expr] | None:
    """c and u where the node is c exp(u), c > 0 and u is not a constant."""
    match node:
        case Call("exp", u) if not isinstance(u, Const):
            return Fraction(1), u
        case Mul(Const(c), Call("exp", u)) if c > 0 and not isinstance(u, Const):
            return c, u
    return None


def _log_of_exponentials(left: Expr, right: Expr) -> Expr | None:
    """log(c exp(u) + d exp(v)) as u + log(c) + softplus(v - u + log(d / c))."""
    first, second = _exponential(left), _exponential(right)
    if first is None or second is None:
        return None
    (c, u), (d, v) = first, second
    (j, base), (k, other) = _multiple(u), _multiple(v)
    apart = _times(k - j, base) if base == other else fold(Sub(v, u))
    if c != d:
        apart = fold(Add(apart, Call("log", Const(d / c))))
    start = u if c == 1 else Add(u, Call("log", Const(c)))
    return fold(Add(start, Call("softplus", apart)))


def _stable(node: Expr) -> Expr:
    match node:
        case Call("log1p", Call("exp", u)):
            return Call("softplus", u)
        case Call("log", u) if (found := _log_of_share(u)) is not None:
            return found
        case Call("log", Add(u, v)) if (found := _log_of_exponentials(u, v)) is not None:
            return found
        case Call("log", Call("exp", u)) | Call("exp", Call("log", u)):
            return u
        case Call("sqrt", Pow(u, Const(b))) if b.denominator == 1 and b % 2 == 0 and b > 0:
            return fold(Pow(Call("abs", u), Const(b / 2)))
        case Call("sqrt", Mul(u, v)) if u == v:
            return Call("abs", u)
        case Pow(Call("sqrt", u), Const(b)) if b == 2:
            return u
        case Pow(Call("abs", u), Const(b)) if b.denominator == 1 and b % 2 == 0:
            return Pow(u, Const(b))
        case Call("abs", Call("abs", u)):
            return Call("abs", u)
        case Call("log", Var("q")):
            return Sub(Var("fy"), Var("lse"))
        case Call("log", Var("qk")):
            return Sub(Var("fk"), Var("lse"))
        case Call("log", argument) if (inner := _one_plus_exp(argument)) is not None:
            return Call("softplus", inner)
        case Div(above, below) if (inner := _one_plus_exp(below)) is not None:
            return fold(_shared(Mul(above, Call("sigmoid", fold(Neg(inner))))))
        case Div(above, Pow(base, exponent)) if (inner := _one_plus_exp(base)) is not None:
            return fold(_shared(Mul(above, Pow(Call("sigmoid", fold(Neg(inner))), exponent))))
        case Div(above, Pow(Call("sigmoid", u), exponent)):
            return fold(_shared(Mul(above, fold(Pow(Call("sigmoid", u), fold(Neg(exponent)))))))
        case Mul(_, _):
            return _shared(node)
        case Pow(base, exponent) if (inner := _one_plus_exp(base)) is not None:
            return Pow(Call("sigmoid", fold(Neg(inner))), fold(Neg(exponent)))
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
