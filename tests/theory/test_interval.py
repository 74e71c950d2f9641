"""Intervals enclose: exactly for rationals, outwards for the rest, at half-lines and in limits too."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import Any

import pytest
from flint import arb, ctx, fmpq
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st

from tests.strategies import binary_trees, rationals
from tests.theory.meaning import _CALLS, MP, at_score, largest, number
from theory.expression import Expr, parse
from theory.expression.enclosure import bound, enclose
from theory.expression.interval import INF, NEG_INF, Interval, Undefined, fraction_of, pi_interval
from theory.expression.nodes import UNARY

PRECISION = 80
# The reference values have 60 digits; nothing is forgiven beyond them.
REFERENCE = number(Fraction(1, 10**55))

SHORT, FINITE = ("closed",), ("closed", "arb")


@pytest.fixture(autouse=True)
def _precision() -> Any:
    with ctx.workprec(PRECISION):
        yield


def number_of(end: Any) -> Any:
    """An end as a Fraction, or plus or minus infinity."""
    exact = fraction_of(end)
    if exact is not None:
        return exact
    assert end in (INF, NEG_INF), f"{end!r} is no end"
    return inf if end > 0 else -inf


def holds(interval: Interval, value: Any, size: Any = 1) -> bool:
    """The property: a value, exact or with 60 digits of the largest number met on the way, lies in the interval."""
    low, high = number_of(interval.lo), number_of(interval.hi)
    if isinstance(value, (Fraction, int)) or value in (inf, -inf):
        return bool(low <= value <= high)
    slack = REFERENCE * max(1, abs(value), size)
    return bool(
        (low == -inf or (low != inf and number(low) - slack <= value))
        and (high == inf or (high != -inf and value <= number(high) + slack))
    )


@st.composite
def boxes(
    draw: st.DrawFn, low: int = -9, high: int = 9, kinds: tuple[str, ...] = ("closed", "arb", "up", "down", "line")
) -> tuple[Interval, list[Fraction]]:
    """An interval with rational, irrational (arb) or infinite ends, and points inside it, ends included."""
    whole = st.integers(low, high).map(Fraction)
    a, b = sorted([draw(st.one_of(whole, rationals(low, high))), draw(st.one_of(whole, rationals(low, high)))])
    shares = [Fraction(0), Fraction(1), *draw(st.lists(rationals(0, 1), min_size=1, max_size=3))]
    kind = draw(st.sampled_from(kinds))
    if kind == "arb":  # ends with long mantissas: neither short rationals nor the points below
        ends = [arb(fmpq(x.numerator, x.denominator)) for x in (a, b)]
        box = Interval(ends[0].lower(), ends[1].upper())
        a, b = number_of(box.lo), number_of(box.hi)
    points = [a + share * (b - a) for share in shares]
    if kind in ("up", "line"):
        points += [b + 1, b * 10**6 + 10**7]
    if kind in ("down", "line"):
        points += [a - 1, a * 10**6 - 10**7]
    if kind in ("up", "down", "line"):
        box = Interval.between(-inf if kind != "up" else a, inf if kind != "down" else b)
    elif kind == "closed":
        box = Interval.between(a, b)
    return box, points


OPERATIONS: dict[str, tuple[Callable[[Interval, Interval], Interval], Callable[[Fraction, Fraction], Fraction]]] = {
    "+": (Interval.__add__, lambda x, y: x + y),
    "-": (Interval.__sub__, lambda x, y: x - y),
    "*": (Interval.__mul__, lambda x, y: x * y),
    "/": (Interval.__truediv__, lambda x, y: x / y),
    "max": (Interval.maximum, max),
    "min": (Interval.minimum, min),
    "hull, left": (Interval.hull, lambda x, y: x),
    "hull, right": (Interval.hull, lambda x, y: y),
}


def operation_encloses(
    operation: Callable[[Interval, Interval], Interval],
    exact: Callable[[Fraction, Fraction], Fraction],
    one: tuple[Interval, list[Fraction]],
    two: tuple[Interval, list[Fraction]],
) -> bool:
    """The property: the operation on intervals holds the exact result of every pair of points inside."""
    try:
        result = operation(one[0], two[0])
    except Undefined:
        return True
    return all(holds(result, exact(x, y)) for x in one[1] for y in two[1])


@pytest.mark.parametrize("name", OPERATIONS)
@given(data=st.data())
def test_operations_enclose(name: str, data: st.DataObject) -> None:
    one, two = data.draw(boxes()), data.draw(boxes())
    if name == "/":
        assume(0 not in two[1])
    assert operation_encloses(*OPERATIONS[name], one, two)


def inwards(operation: Callable[..., Interval]) -> Callable[..., Interval]:
    """The broken twin: the same operation, rounded inwards by 2**-70 of its size."""

    def narrow(*arguments: Interval) -> Interval:
        result = operation(*arguments)
        ends = []
        for end, sign in ((result.lo, 1), (result.hi, -1)):
            value = number_of(end)
            if value in (inf, -inf):
                ends.append(end)
            else:
                value += sign * max(abs(value), Fraction(1, 100)) / 2**70
                ends.append(fmpq(value.numerator, value.denominator))
        return Interval(*ends)

    return narrow


def is_caught(broken: Callable[[st.DataObject], bool]) -> bool:
    """Whether random inputs show a broken twin up."""

    @settings(phases=[Phase.generate], database=None)
    @given(data=st.data())
    def search(data: st.DataObject) -> None:
        assert broken(data)

    try:
        search()
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("name", ["+", "-", "*", "max"])
def test_operations_rounded_inwards_are_caught(name: str) -> None:
    operation, exact = OPERATIONS[name]
    assert is_caught(lambda data: operation_encloses(inwards(operation), exact, data.draw(boxes()), data.draw(boxes())))


def test_a_product_that_forgets_signs_is_caught() -> None:
    def naive(x: Interval, y: Interval) -> Interval:
        return Interval(*sorted([x.lo * y.lo, x.hi * y.hi]))

    exact = OPERATIONS["*"][1]
    assert is_caught(
        lambda data: operation_encloses(naive, exact, data.draw(boxes(kinds=SHORT)), data.draw(boxes(kinds=SHORT)))
    )


@given(boxes(), st.integers(-6, 9))
def test_whole_powers_enclose(box: tuple[Interval, list[Fraction]], n: int) -> None:
    try:
        result = box[0].power(Interval.point(n))
    except Undefined:
        assert n < 0
        assert box[0].contains_zero()
        return
    assert all(holds(result, x**n) for x in box[1] if n >= 0 or x != 0)


@given(
    boxes(0, 9, ("closed", "arb", "up")),
    st.one_of(rationals(-3, 3), st.sampled_from([Fraction(1, 2), Fraction(-3, 2)])),
)
def test_broken_powers_enclose(box: tuple[Interval, list[Fraction]], exponent: Fraction) -> None:
    result = box[0].power(Interval.point(exponent))
    assert all(holds(result, number(x) ** number(exponent)) for x in box[1] if x > 0)
    if box[0].lo == 0:
        assert holds(result, 0 if exponent > 0 else inf)


@given(boxes(1, 9, FINITE), boxes(-4, 4, FINITE))
def test_powers_with_interval_exponents_enclose(
    box: tuple[Interval, list[Fraction]], exponent: tuple[Interval, list[Fraction]]
) -> None:
    result = box[0].power(exponent[0])
    assert all(holds(result, number(x) ** number(e)) for x in box[1] for e in exponent[1])


def function_encloses(
    function: Callable[[Interval], Interval], name: str, box: tuple[Interval, list[Fraction]]
) -> bool:
    """The property: the image of the box holds the value at every point inside."""
    try:
        result = function(box[0])
    except Undefined:
        return True
    points = [x for x in box[1] if abs(x) < 1000 or name not in ("exp", "softplus", "sigmoid")]
    return all(holds(result, _CALLS[name](number(x))) for x in points if name not in ("log", "log1p") or x > 0)


@pytest.mark.parametrize("name", UNARY)
@given(data=st.data())
def test_functions_enclose(name: str, data: st.DataObject) -> None:
    low = {"log": 0, "sqrt": 0, "log1p": -1}.get(name, -9)
    assert function_encloses(lambda x: x.call(name), name, data.draw(boxes(low)))


@pytest.mark.parametrize("name", [name for name in UNARY if name != "abs"])
def test_functions_rounded_inwards_are_caught(name: str) -> None:
    broken = inwards(lambda x: x.call(name))
    assert is_caught(lambda data: function_encloses(broken, name, data.draw(boxes(0))))


def test_a_function_taken_for_increasing_is_caught() -> None:
    def naive(x: Interval) -> Interval:
        return Interval(abs(x.lo), abs(x.hi))

    assert is_caught(lambda data: function_encloses(naive, "abs", data.draw(boxes(kinds=FINITE))))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("log", -2, 1), ("log", -2, -1), ("sqrt", -1, 4), ("sqrt", -4, -1), ("log1p", -3, 0), ("log1p", -3, -2)],
)
def test_functions_outside_their_domain_are_undefined(name: str, low: int, high: int) -> None:
    with pytest.raises(Undefined):
        Interval.between(Fraction(low), Fraction(high)).call(name)


def test_division_by_an_interval_around_zero_is_undefined() -> None:
    one = Interval.point(1)
    for low, high in ((-1, 1), (0, 0)):
        with pytest.raises(Undefined):
            one / Interval.between(Fraction(low), Fraction(high))
    assert holds(one / Interval.between(Fraction(0), Fraction(2)), inf)


# -- exactness -----------------------------------------------------------------------------------------------------


@given(*[rationals(-9, 9)] * 4)
def test_rational_arithmetic_is_exact(a: Fraction, b: Fraction, c: Fraction, d: Fraction) -> None:
    a, b = sorted((a, b))
    c, d = sorted((c, d))
    x, y = Interval.between(a, b), Interval.between(c, d)
    products = [p * q for p in (a, b) for q in (c, d)]
    for found, low, high in (
        (x + y, a + c, b + d),
        (x - y, a - d, b - c),
        (x * y, min(products), max(products)),
        (x.maximum(y), max(a, c), max(b, d)),
        (x.minimum(y), min(a, c), min(b, d)),
        (x.hull(y), min(a, c), max(b, d)),
        (x.power(Interval.point(3)), a**3, b**3),
        (x.power(Interval.point(2)), 0 if a < 0 < b else min(a**2, b**2), max(a**2, b**2)),
    ):
        assert (number_of(found.lo), number_of(found.hi)) == (low, high)


def product(x: Any, y: Any) -> Any:
    """x y for extended reals, where 0 times infinity is 0."""
    if 0 in (x, y):
        return Fraction(0)
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x * y
    return inf if (x > 0) == (y > 0) else -inf


def is_tight(times: Any, one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    """The property: of rational and infinite ends, the product is the least and the largest of the four products."""
    found = times(Interval.between(*one), Interval.between(*other))
    wanted = [product(x, y) for x in one for y in other]
    return (number_of(found.lo), number_of(found.hi)) == (min(wanted), max(wanted))


SIDES = st.tuples(
    st.one_of(st.just(-inf), st.integers(-3, 3).map(Fraction), rationals(-9, 9)),
    st.one_of(st.just(inf), st.integers(-3, 3).map(Fraction), rationals(-9, 9)),
).map(lambda ends: (min(ends), max(ends)))


@given(SIDES, SIDES)
def test_products_are_tight_whatever_the_signs(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    assert is_tight(Interval.__mul__, one, other)


def test_a_product_of_equal_ends_only_is_caught() -> None:
    def for_positive_ones(x: Interval, y: Interval) -> Interval:
        return Interval(x.lo * y.lo, x.hi * y.hi)

    assert is_tight(for_positive_ones, (Fraction(1), Fraction(2)), (Fraction(1), Fraction(3)))
    assert not is_tight(for_positive_ones, (Fraction(1), Fraction(2)), (Fraction(-3), Fraction(-1)))


@given(rationals(-9, 9), rationals(-9, 9))
def test_ties_of_rationals_stay_ties(a: Fraction, b: Fraction) -> None:
    x, y = Interval.point(a), Interval.point(b)
    assert (x + y - y).is_point
    assert number_of((x + y - y).lo) == a
    assert number_of((x * y / y).hi) == a
    assert number_of((x * x).call("sqrt").lo) == abs(a)


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("exp", 0, 1),
        ("log", 1, 0),
        ("log1p", 0, 0),
        ("tanh", 0, 0),
        ("atan", 0, 0),
        ("sigmoid", 0, Fraction(1, 2)),
        ("sqrt", Fraction(4, 9), Fraction(2, 3)),
        ("sqrt", 0, 0),
        ("abs", Fraction(-2, 7), Fraction(2, 7)),
    ],
)
def test_rational_values_are_exact(name: str, point: Fraction, value: Fraction) -> None:
    found = Interval.point(Fraction(point)).call(name)
    assert (number_of(found.lo), number_of(found.hi)) == (value, value)


def test_irrational_values_are_not_called_points() -> None:
    for found in (pi_interval(), Interval.point(2).call("sqrt"), Interval.point(0).call("softplus")):
        assert not found.is_point
    assert holds(pi_interval(), +MP.pi)


# -- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "at_minus", "at_plus"),
    [
        ("exp", 0, inf),
        ("log", None, inf),
        ("log1p", None, inf),
        ("sqrt", None, inf),
        ("softplus", 0, inf),
        ("sigmoid", 0, 1),
        ("tanh", -1, 1),
        ("atan", -MP.pi / 2, MP.pi / 2),
        ("abs", inf, inf),
    ],
)
def test_functions_hold_their_limits_at_infinity(name: str, at_minus: Any, at_plus: Any) -> None:
    for end, value in ((-inf, at_minus), (inf, at_plus)):
        point = Interval.between(end, end)
        if value is None:
            with pytest.raises(Undefined):
                point.call(name)
        else:
            assert holds(point.call(name), value)


LIMITS = [
    ("t - t", inf, 0),
    ("t * exp(-t)", inf, 0),
    ("(exp(t) - t) * exp(-t)", inf, 1),
    ("exp(-t) * (exp(t) + t - t)", inf, 1),
    ("(t - exp(t)) / exp(t)", inf, -1),
    ("(t - 2 * t) * (1 / t)", inf, -1),
    ("t / (1 + t)", inf, 1),
    ("(1 + 1 / t)**t", inf, MP.e),
    ("sqrt(1 + t**2) - t", inf, 0),
    ("softplus(t) - t", inf, 0),
    ("softplus(-t) + t", -inf, 0),
    ("(t + softplus(-t)) * (1 - tanh(t))", -inf, 0),
    ("exp(t) / (1 + exp(t))", inf, 1),
    ("atan(t)", inf, MP.pi / 2),
    ("1/2 - atan(t) / pi", inf, 0),
    ("(atan(t) - pi / 2) * t", inf, -1),
    ("max(0, 1 - t) / (1 + abs(t))", -inf, 1),
    ("(1 - tanh(t) / 2) / (1 + t**2)", -inf, 0),
    ("log(1 + exp(2 * t)) / t", inf, 2),
    ("t**2 - t", inf, inf),
    ("(t**2 - t) * 0", inf, 0),
    ("where(t > 5, t, 1) * exp(-t)", inf, 0),
    ("exp(-t) * max(exp(t) - t, 0)", inf, 1),
    ("min(exp(t) - t, exp(t)) / exp(t)", inf, 1),
    ("(exp(t) - t)**1 / (exp(t) + 1)", inf, 1),
    ("((exp(t) - t) * exp(-t))**2", inf, 1),
    ("exp((t - 2 * t) / t) ", inf, MP.exp(-1)),
    ("tanh((t - 2 * t) * exp(-t)) + 1", inf, 1),
]


@pytest.mark.parametrize(("text", "end", "limit"), LIMITS)
def test_limits_at_infinity_are_held_or_undefined(text: str, end: float, limit: Any) -> None:
    """The formula as it stands, without simplification: the limit is inside, or nothing is claimed."""
    tree = parse(text)
    try:
        found = enclose(tree, {"t": Interval.between(end, end)}).range
    except Undefined:
        found = Interval(NEG_INF, INF)
    assert holds(found, limit)
    side = Interval.between(Fraction(6), inf) if end > 0 else Interval.between(-inf, Fraction(-6))
    try:
        half = bound(tree, "t", side)
    except Undefined:
        return
    assert holds(half.points[1 if end > 0 else 0], limit)
    assert holds(half.range, limit)
    for t in (6, 7, 20, 100):
        assert holds(half.range, at_score(tree, Fraction(t if end > 0 else -t)))


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("(1 / t) * (exp(t) - 1)", 1),
        ("(exp(t) - 1) / t", 1),
        ("t * (1 / t)", 1),
        ("log(t) * t", 0),
        ("t**t", 1),
        ("(log(t) - 1) * (1 / log(t))", 1),
        ("t * (1 / t + log(t))", 1),
        ("tanh(t) * (3 / t)", 3),
        ("sqrt(t) * (2 / sqrt(t))", 2),
    ],
)
def test_limits_from_inside_a_box_are_held(text: str, limit: int) -> None:
    tree = parse(text)
    try:
        found = bound(tree, "t", Interval.between(Fraction(0), Fraction(1, 2)))
    except Undefined:
        return
    assert holds(found.points[0], limit)
    assert holds(found.range, limit)
    for t in (Fraction(1, 10**9), Fraction(1, 7), Fraction(1, 3)):
        assert holds(found.range, at_score(tree, t))


# -- trees ---------------------------------------------------------------------------------------------------------


def bound_encloses(
    enclosure: Callable[[Expr, Interval], Any], tree: Expr, box: tuple[Interval, list[Fraction]]
) -> bool:
    """The property: the range holds the tree at inner points, and each end's limit is held where the end is finite."""
    found = enclosure(tree, box[0])
    low, high = number_of(box[0].lo), number_of(box[0].hi)
    inner = [x for x in box[1] if low < x < high and largest(tree, x) < 1e30]
    dense = [low + (high - low) * Fraction(k, 23) for k in range(1, 23)] if high - low < inf else []
    if not all(holds(found.range, at_score(tree, x), largest(tree, x)) for x in [*inner, *dense] if low < x < high):
        return False
    ends = [(found.points[0], low), (found.points[1], high)]
    return all(abs(x) == inf or low == high or holds(point, at_score(tree, x)) for point, x in ends)


@given(binary_trees(jumps=True), boxes())
@example(parse("(exp(t) - t) * exp(-t)"), (Interval.between(Fraction(5), inf), [Fraction(6), Fraction(9)]))
def test_bound_encloses_dense_samples(tree: Expr, box: tuple[Interval, list[Fraction]]) -> None:
    ends = [number_of(end) for end in (box[0].lo, box[0].hi)]
    assume(all(abs(x) == inf or x.denominator > 1 for x in ends))  # off the roots of affine parts, where trees may jump
    try:
        assert bound_encloses(lambda tree, side: bound(tree, "t", side), tree, box)
    except Undefined:
        assume(False)


def test_a_bound_from_the_ends_alone_is_caught() -> None:
    def naive(tree: Expr, side: Interval) -> Any:
        found = bound(tree, "t", side)
        ends = [enclose(tree, {"t": Interval(end, end)}).range for end in (side.lo, side.hi)]
        return type(found)(ends[0].hull(ends[1]), found.points, found.jumped)

    hump, box = parse("t**2 - t / 3"), (Interval.between(Fraction(-1), Fraction(2)), [Fraction(1, 7), Fraction(3, 5)])
    assert bound_encloses(lambda tree, side: bound(tree, "t", side), hump, box)
    assert not bound_encloses(naive, hump, box)


@pytest.mark.parametrize(
    ("text", "low", "high", "touching"),
    [
        ("where(t < 1, t, 9)", -1, 1, False),
        ("where(t < 1, t, 9)", 1, 2, False),
        ("where(t < 1, t, 9)", 0, 2, True),
        ("where(t <= 0, 1, 0)", 0, 3, False),
        ("where(t <= 0, 1, 0)", -3, 0, False),
        ("where(3 * t >= 1, 1, 0)", 0, Fraction(1, 3), False),
        ("where(3 * t >= 1, 1, 0)", 0, Fraction(1, 2), True),
        ("where(t**2 < 1, t, 9)", Fraction(1, 2), 1, False),
    ],
)
def test_jumps_are_seen_inside_and_decided_at_ends(text: str, low: Any, high: Any, touching: bool) -> None:
    tree = parse(text)
    found = bound(tree, "t", Interval.between(Fraction(low), Fraction(high)))
    assert found.jumped is touching
    inside = [Fraction(low) + (Fraction(high) - low) * Fraction(k, 101) for k in range(1, 101)]
    assert all(holds(found.range, at_score(tree, t)) for t in inside)
    if not touching:
        near = (Fraction(high) - low) / 10**40
        for point, t in zip(found.points, (low + near, high - near), strict=True):
            assert point.is_point
            assert abs(number(number_of(point.lo)) - at_score(tree, t)) <= 1e-35


def test_half_lines_have_infinite_ends() -> None:
    assert number_of(Interval.between(-inf, Fraction(1, 10)).hi) == Fraction(1, 10)
    assert Interval.between(-inf, inf).contains_zero()
    assert not Interval.between(Fraction(1, 10), inf).contains_zero()
