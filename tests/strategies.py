"""Hypothesis strategies for posteriors, scores, expression trees, formulas and losses.

Rational points have the prime denominator `PRIME` and are never whole: they miss 0, 1, 1/2 and every root of
an affine term with the short decimals used as constants, so that no drawn point lies on a kink or on a
symmetry by accident. Trees are real wherever they are evaluated, by construction: logarithms, roots,
denominators and bases of fractional powers are sums of a constant >= 1/4 and a non-negative tree.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st

from theory import Loss, catalogue
from theory.expression import Expr, Var
from theory.expression.nodes import (
    COMPARISONS,
    Add,
    Call,
    Clip,
    Const,
    Div,
    Max,
    MaxOther,
    Min,
    Mul,
    Neg,
    Pi,
    Pow,
    Sub,
    SumOther,
    Where,
)

PRIME = 997


# -- numbers -------------------------------------------------------------------------------------------------------


def rationals(low: int = -8, high: int = 8) -> st.SearchStrategy[Fraction]:
    """n / 997 between two whole numbers, never whole itself."""
    return (
        st.integers(low * PRIME + 1, high * PRIME - 1)
        .filter(lambda n: n % PRIME != 0)
        .map(lambda n: Fraction(n, PRIME))
    )


def etas() -> st.SearchStrategy[Fraction]:
    """Posteriors of two classes, in (0, 1), off 1/2."""
    return rationals(0, 1)


def posteriors(classes: int, largest: int = 1000) -> st.SearchStrategy[tuple[Fraction, ...]]:
    """Points of the open simplex without ties, exactly summing to one."""
    counts = st.lists(st.integers(1, largest), min_size=classes, max_size=classes, unique=True)
    return counts.map(lambda n: tuple(Fraction(k, sum(n)) for k in n))


def scores(classes: int, size: int = 4) -> st.SearchStrategy[tuple[Fraction, ...]]:
    """Score vectors without ties."""
    return st.lists(rationals(-size, size), min_size=classes, max_size=classes, unique=True).map(tuple)


def decimals(low: int = -300, high: int = 300) -> st.SearchStrategy[Fraction]:
    """n / 100, not 0: constants that a short literal writes."""
    return st.integers(low, high).filter(bool).map(lambda n: Fraction(n, 100))


# -- trees ---------------------------------------------------------------------------------------------------------


def literal(value: Fraction) -> Expr:
    """The tree that the parser makes of a number: literals have no sign."""
    return Const(value) if value >= 0 else Neg(Const(-value))


def _affine(name: str) -> st.SearchStrategy[Expr]:
    v = Var(name)
    slope, offset = decimals(-200, 200).map(literal), decimals().map(literal)
    return st.one_of(
        st.just(v),
        st.builds(lambda a: Mul(a, v), slope),
        st.builds(lambda a, b: Add(Mul(a, v), b), slope, offset),
        st.builds(lambda b: Sub(b, v), offset),
        st.builds(lambda b: Sub(v, b), offset),
        st.just(Neg(v)),
        st.builds(lambda b: Div(v, literal(abs(b) + 1)), decimals()),
    )


def _above_quarter(part: Expr, offset: Fraction, kind: str) -> Expr:
    """offset plus a non-negative tree."""
    match kind:
        case "square":
            return Add(literal(offset), Pow(part, Const(Fraction(2))))
        case "hinge":
            return Add(Max(Const(Fraction(0)), part), literal(offset))
        case "ramp":
            return Add(literal(offset), Clip(part, Const(Fraction(0)), Const(Fraction(3))))
        case "pi":
            return Mul(Pi(), Add(Call("sigmoid", part), literal(offset)))
    return Add(literal(offset), Call(kind, part))


def _grow(leaves: st.SearchStrategy[Expr], kinks: bool, jumps: bool) -> Callable[[int], st.SearchStrategy[Expr]]:
    offsets = st.integers(25, 400).map(lambda n: Fraction(n, 100))
    non_negative = ["square", "softplus", "sigmoid", "pi"] + (["abs", "hinge", "ramp"] if kinks else [])
    exponents = st.sampled_from([Fraction(k, 10) for k in (-15, -5, 5, 7, 15, 22)])

    def grow(depth: int) -> st.SearchStrategy[Expr]:
        if depth == 0:
            return leaves
        part = st.deferred(lambda: grow(depth - 1))
        small = part.map(lambda u: Call("tanh", u))
        positive = st.builds(_above_quarter, part, offsets, st.sampled_from(non_negative))
        choices = [
            leaves,
            st.builds(Add, part, part),
            st.builds(Sub, part, part),
            st.builds(lambda c, u: Mul(literal(c), u), decimals(), part),
            st.builds(Mul, small, part),
            st.builds(Neg, part),
            st.builds(Call, st.sampled_from(["softplus", "sigmoid", "tanh", "atan"]), part),
            st.builds(lambda u: Call("exp", u), small),
            st.builds(lambda u: Call("exp", Neg(Call("softplus", u))), part),
            st.builds(Div, part, positive),
            st.builds(lambda u: Call("log", u), positive),
            st.builds(lambda u: Call("log1p", Sub(u, Const(Fraction(1, 5)))), positive),
            st.builds(lambda u: Call("sqrt", u), positive),
            st.builds(lambda u, e: Pow(u, literal(e)), positive, exponents),
            st.builds(lambda u, n: Pow(u, Const(Fraction(n))), part, st.sampled_from([2, 3])),
            st.builds(lambda u: Pow(Const(Fraction(2)), u), small),
        ]
        if kinks:
            choices += [
                st.builds(Max, part, part),
                st.builds(Min, part, part),
                st.builds(lambda u, a: Clip(u, literal(-abs(a)), literal(abs(a))), part, decimals()),
                st.builds(lambda u: Call("abs", u), part),
                st.builds(lambda u: Max(Const(Fraction(0)), u), part),
            ]
        if jumps:
            choices.append(
                st.builds(Where, st.sampled_from(COMPARISONS), leaves, st.just(Const(Fraction(0))), part, part)
            )
        return st.one_of(choices)

    return grow


def binary_trees(
    *, kinks: bool = True, jumps: bool = False, depth: int = 3, name: str = "t"
) -> st.SearchStrategy[Expr]:
    """Trees in one variable, in the shape the parser gives them; smooth unless kinks or jumps are asked for."""
    return _grow(_affine(name), kinks, jumps)(depth)


def multiclass_trees(*, depth: int = 2, vector: str | None = None) -> st.SearchStrategy[Expr]:
    """Trees in fy, alpha, lse, q, c with class sums over fk, qk; with `vector`, that parameter's w and wk too."""
    own = [st.just(Var(name)) for name in ("fy", "alpha", "lse", "q", "c")]
    other = [st.just(Var(name)) for name in ("fk", "qk")]
    if vector is not None:
        own.append(st.just(Var(vector)))
        other.append(st.just(Var(f"{vector}k")))
    inside = _grow(st.one_of(*own, *other, st.just(Sub(Var("fy"), Var("fk")))), True, False)(1)
    sums = st.builds(lambda kind, body: kind(body), st.sampled_from([SumOther, MaxOther]), inside)
    return _grow(st.one_of(*own, sums, sums, sums), True, False)(depth)


# -- formulas ------------------------------------------------------------------------------------------------------

_NUMBERS = (
    "0",
    "1",
    "2",
    "0.1",
    ".5",
    "3.",
    "1e-2",
    "2E3",
    "0.333",
    "10",
    "7e0",
    "12_000",
    "00.25",
    "1e-40",
    "0e5",
    "1.50",
)
_SPACES = ("", "", "", " ", "  ", "\t")


@st.composite
def formulas(draw: st.DrawFn, depth: int = 4) -> str:
    """Formulas in t as text, in any spelling that the language allows; not necessarily real anywhere."""

    def space() -> str:
        return draw(st.sampled_from(_SPACES))

    def text(depth: int) -> str:
        kind = draw(st.integers(0, 9 if depth else 2))
        if kind == 0:
            return "t"
        if kind == 1:
            return draw(st.sampled_from(_NUMBERS))
        if kind == 2:
            return draw(st.sampled_from(["t", "pi"]))
        if kind == 3:
            return f"({space()}{text(depth - 1)}{space()})"
        if kind in (4, 5):
            sign = draw(st.sampled_from(["+", "-", "*", "/"]))
            return f"{text(depth - 1)}{space()}{sign}{space()}{text(depth - 1)}"
        if kind == 6:
            base = draw(st.sampled_from(["t", "(1 - t)", "2", "-t", "-2", "(-2)", "exp(t)", "abs(t)"]))
            power = draw(st.sampled_from(["2", "3", "-1", "0.5", "t", "-t", "(2 / 3)", "2**2", "-(1)", "+2"]))
            return f"{base}{space()}**{space()}{power}"
        if kind == 7:
            return f"{draw(st.sampled_from(['-', '+', '- ', '--', '-+']))}{text(depth - 1)}"
        if kind == 8:
            name = draw(st.sampled_from(["exp", "log", "log1p", "sqrt", "softplus", "sigmoid", "tanh", "atan", "abs"]))
            return f"{name}{space()}({text(depth - 1)})"
        name, count = draw(st.sampled_from([("max", 2), ("min", 2), ("max", 4), ("clip", 3), ("where", 4)]))
        parts = [text(depth - 1) for _ in range(count)]
        if name == "where":
            parts = [f"{parts[0]}{space()}{draw(st.sampled_from(COMPARISONS))}{space()}{parts[1]}", *parts[2:]]
        return f"{name}({f'{space()},{space()}'.join(parts)})"

    return text(depth)


# -- losses --------------------------------------------------------------------------------------------------------


@st.composite
def catalogue_losses(draw: st.DrawFn, *, form: str | None = None) -> Loss:
    """A loss of the catalogue with drawn parameters; `form` is "binary" or "multiclass" to ask for that formula."""
    known = [name for name in catalogue.names() if form is None or getattr(catalogue.entry(name), form) is not None]
    name = draw(st.sampled_from(known))
    return catalogue.get(name, **{key: draw(_values(spec)) for key, spec in catalogue.entry(name).parameters.items()})


def _values(spec: catalogue.Parameter) -> st.SearchStrategy[Fraction]:
    """Values in a parameter's range, up to 6 above its lower end, off an excluded value."""
    low = Fraction(-3 if spec.low is None else spec.low)
    high = low + 6 if spec.high is None else Fraction(spec.high)
    if spec.integer:
        return st.integers(int(low), int(min(high, low + 6))).map(Fraction)
    # a tenth off an open end, where powers and quotients grow beyond all bounds
    first = Fraction(1, 10) if spec.low_open else Fraction(0)
    share = rationals(0, 1).map(lambda x: low + (high - low) * (first + (Fraction(9, 10) - first) * x))
    return share.filter(lambda x: spec.excluded is None or abs(x - Fraction(spec.excluded)) > Fraction(1, 100))
