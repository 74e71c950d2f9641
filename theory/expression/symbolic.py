"""Trees as SymPy expressions. SymPy is imported on first use; user text never reaches it."""

from __future__ import annotations

from typing import Any

from .nodes import Add, Call, Clip, Const, Div, Expr, Max, Min, Mul, Neg, Pi, Pow, Sub, Var, Where


def to_sympy(expr: Expr, symbols: dict[str, Any] | None = None) -> Any:
    """The SymPy expression of a tree; names become real symbols unless `symbols` gives them.

    Class sums have no SymPy form before they are expanded (TypeError).

    >>> from .parse import parse
    >>> to_sympy(parse("softplus(-t)"))
    log(1 + exp(-t))
    """
    import sympy

    table = {} if symbols is None else symbols

    def go(node: Expr) -> Any:
        match node:
            case Const(value):
                return sympy.Rational(value.numerator, value.denominator)
            case Pi():
                return sympy.pi
            case Var(name):
                return table.setdefault(name, sympy.Symbol(name, real=True))
            case Neg(u):
                return -go(u)
            case Add(u, v):
                return go(u) + go(v)
            case Sub(u, v):
                return go(u) - go(v)
            case Mul(u, v):
                return go(u) * go(v)
            case Div(u, v):
                return go(u) / go(v)
            case Pow(u, v):
                return go(u) ** go(v)
            case Max(u, v):
                return sympy.Max(go(u), go(v))
            case Min(u, v):
                return sympy.Min(go(u), go(v))
            case Clip(u, low, high):
                return sympy.Min(sympy.Max(go(u), go(low)), go(high))
            case Where(comparison, left, right, yes, no):
                relation = {"<": sympy.Lt, "<=": sympy.Le, ">": sympy.Gt, ">=": sympy.Ge}[comparison]
                return sympy.Piecewise((go(yes), relation(go(left), go(right))), (go(no), True))
            case Call("softplus", u):
                return sympy.log(1 + sympy.exp(go(u)))
            case Call("sigmoid", u):
                return 1 / (1 + sympy.exp(-go(u)))
            case Call("log1p", u):
                return sympy.log(1 + go(u))
            case Call("abs", u):
                return sympy.Abs(go(u))
            case Call(name, u):
                return getattr(sympy, name)(go(u))
        raise TypeError(f"expression node {type(node).__name__!r} has no SymPy form; expand class sums first")

    return go(expr)
