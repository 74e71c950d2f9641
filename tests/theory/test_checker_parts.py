"""Small parts of the checker by themselves, each against its definition."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise, product
from math import inf

import pytest
from flint import arb, ctx, fmpq

from tests.theory.hostile_certificates import certificate
from theory.checker.arrangement import NotPolyhedral, _check_size, _kernel
from theory.checker.calibration_proofs import _ends, check_convex, gap_upper, read_vertices
from theory.checker.calibration_rules import Cell, Knot, Side, above, below, value
from theory.checker.calibration_rules import least as lowest
from theory.checker.cone import MOVES, Cone
from theory.checker.cone_bounds import at_least
from theory.checker.cone_bounds import lower as least
from theory.checker.cone_cells import first_cell, split_cell, split_spans, stretch
from theory.checker.cone_domain import Region as Domain
from theory.checker.cone_slopes import _question, falls, vanishes
from theory.checker.cone_tables import UNIT, _combined, _slope, ceil_units, floor_units, whole_weights
from theory.checker.convexity import _joined, _scaled, _sum, curvature
from theory.checker.covers import (
    Hypothesis,
    falls_everywhere,
    leaf_of,
    rising_slope,
    smooth,
    verify_cover,
    whole_box,
)
from theory.checker.lemmas import hypotheses, make_statement
from theory.checker.polyhedral_rules import Weights, certified_kappa, class_pairs, dot, extreme_posteriors, is_optimal
from theory.checker.ranges import Range
from theory.checker.reading import CertificateError, Refused, read_problem
from theory.checker.realness import real_as_written
from theory.checker.region import Region
from theory.expression import BINARY_NAMES, OTHER_NAMES, SCORE_NAMES, parse
from theory.expression.interval import INF, NEG_INF, Interval, fraction_of
from theory.expression.nodes import Max, Var
from theory.expression.rewrite import simplify

F = Fraction

# -- ranges of parameters -------------------------------------------------------------------------------------------


def test_ranges_hold_what_is_written() -> None:
    points = [F(-1), F(0), F(1, 2), F(1), F(3, 2), F(2), F(10**9)]
    for text, inside in (
        ("[0, 1]", [F(0), F(1, 2), F(1)]),
        ("(0, 1]", [F(1, 2), F(1)]),
        ("[0, 1)", [F(0), F(1, 2)]),
        ("(0, 1)", [F(1, 2)]),
        ("(0, inf)", points[2:]),
        ("[1, inf)", points[3:]),
        ("(-inf, 1]", points[:4]),
        ("(-inf, inf)", points),
        ("[1, 1]", [F(1)]),
    ):
        found = Range.parse(text)
        assert [x for x in points if found.contains(x)] == inside
        assert found.misses_zero == (F(0) not in inside)
        assert found.open_everywhere == (text[0] == "(" and text[-1] == ")")
        assert found.value == (F(1) if text == "[1, 1]" else None)
        assert str(found) == text
        assert Range.parse(f"  {text[0]} {text[1:-1]} {text[-1]} ") == found
        assert (float(found.interval().lo), float(found.interval().hi)) == (float(found.low), float(found.high))
    assert Range.point(F(2, 3)) == Range.parse("[2/3, 2/3]") == Range(F(2, 3), F(2, 3))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[-inf, 1]", "range [-inf, 1] must have a rational lower end, or -inf as an open one"),
        ("(inf, inf)", "range (inf, inf) must have a rational lower end, or -inf as an open one"),
        ("[0, inf]", "range [0, inf] must have a rational upper end, or inf as an open one"),
        ("(-inf, -inf)", "range (-inf, -inf) must have a rational upper end, or inf as an open one"),
        ("[1, 0]", "range [1, 0] is empty"),
        ("(1, 1]", "range (1, 1] is empty"),
        ("[1, 1)", "range [1, 1) is empty"),
        ("(1, 1)", "range (1, 1) is empty"),
        ("0, 1", "range '0, 1' must be written [a, b], (a, b], [a, inf) or the like"),
        ("[0, 1", "range '[0, 1' must be written [a, b], (a, b], [a, inf) or the like"),
        ("0, 1]", "range '0, 1]' must be written [a, b], (a, b], [a, inf) or the like"),
        ("[0]", "range '[0]' must be written [a, b], (a, b], [a, inf) or the like"),
        ("[0, 1, 2]", "range '[0, 1, 2]' must be written [a, b], (a, b], [a, inf) or the like"),
        ("", "range '' must be written [a, b], (a, b], [a, inf) or the like"),
    ],
)
def test_what_is_no_range_is_told_so(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="range") as refusal:
        Range.parse(text)
    assert str(refusal.value) == words


def test_a_range_of_three_hundred_characters_is_read_and_no_longer_one() -> None:
    text = "[0," + " " * 295 + "1]"
    assert len(text) == 300
    assert Range.parse(text).high == 1
    with pytest.raises(ValueError, match="must be written"):
        Range.parse(text.replace("[", "[ "))


# -- bounds in units ------------------------------------------------------------------------------------------------


def test_units_of_rationals_and_balls_are_rounded_outwards_and_by_less_than_one() -> None:
    for q in (F(0), F(1), F(-1), F(1, 3), F(-1, 3), F(10**30, 7), F(-(10**30), 7), F(1, 10**30), F(-1, 10**30)):
        low, high = floor_units(fmpq(q.numerator, q.denominator)), ceil_units(fmpq(q.numerator, q.denominator))
        assert low is not None
        assert high is not None
        assert low <= q * UNIT <= high
        assert high - low == (0 if (q * UNIT).denominator == 1 else 1)
    with ctx.workprec(300):
        for mantissa, exponent in product((1, -1, 5, -5, 12345, -12345), (-200, -70, -64, -63, -1, 0, 1, 70)):
            end = arb(mantissa) * arb(2) ** exponent
            exact = F(mantissa) * F(2) ** exponent * UNIT
            low, high = floor_units(end), ceil_units(end)
            assert low == exact // 1
            assert high == -(-exact // 1)
        tiny = arb(2) ** -100_100
        assert (floor_units(tiny), floor_units(-tiny), ceil_units(tiny), ceil_units(-tiny)) == (0, -1, 1, 0)
        huge = arb(2) ** 9000
        assert (floor_units(huge), floor_units(-huge), ceil_units(-huge), ceil_units(huge)) == (
            1 << 8192,
            None,
            -(1 << 8192),
            None,
        )
    assert (floor_units(INF), floor_units(NEG_INF)) == (1 << 8192, None)
    assert (ceil_units(INF), ceil_units(NEG_INF)) == (None, -(1 << 8192))


def test_sums_of_bounds_need_all_that_count() -> None:
    assert _combined([0, 2], (3, 5, 7), [10, None, -1]) == 23
    assert _combined([0, 1], (3, 5, 7), [10, None, -1]) is None
    assert _combined([], (3, 5), [None, None]) == 0
    assert whole_weights((F(1, 2), F(1, 3), F(1, 6))) == ((3, 2, 1), 6)
    assert whole_weights((F(0), F(1), F(0))) == ((0, 1, 0), 1)


def test_rationals_beside_an_end() -> None:
    with ctx.workprec(400):
        for mantissa, exponent in product(
            (1, -1, 7, -7, 10**60 + 1, -(10**60) - 1), (-700, -400, -321, -320, -1, 0, 9)
        ):
            end, exact = arb(mantissa) * arb(2) ** exponent, F(mantissa) * F(2) ** exponent
            assert end.is_exact()
            low, high = below(end), above(end)
            assert low is not None
            assert high is not None
            assert low <= exact <= high
            assert high - low <= F(1, 2**320)
            if exponent >= -320:
                assert low == high == exact
        assert below(arb(2) ** 330) == F(2) ** 320
        assert below(-(arb(2) ** 330)) is None
        assert above(arb(2) ** 330) is None
        assert above(-(arb(2) ** 330)) == -(F(2) ** 320)
        assert below(arb(2) ** 319) == F(2) ** 319
    assert below(fmpq(-2, 3)) == above(fmpq(-2, 3)) == F(-2, 3)
    assert below(INF) is None
    assert below(NEG_INF) is None


# -- lines and chords of the calibration function -------------------------------------------------------------------


def test_a_cell_is_an_affine_function_and_knows_its_root() -> None:
    cell = Cell(F(1, 4), F(3, 4), F(-1), F(3))
    assert [cell.at(x) for x in (F(1, 4), F(1, 2), F(3, 4))] == [-1, 1, 3]
    assert cell.root() == F(3, 8)
    assert Cell(F(1, 4), F(3, 4), F(3), F(-1)).root() == F(5, 8)
    for low, high in ((0, 1), (1, 0), (1, 2), (-1, -2), (0, 0), (-1, 0), (0, -1)):
        assert Cell(F(1, 4), F(3, 4), F(low), F(high)).root() is None


def test_a_piecewise_linear_function_by_its_vertices() -> None:
    points = [(F(0), F(0)), (F(1, 2), F(1)), (F(1), F(5))]
    asked = (F(0), F(1, 4), F(1, 2), F(3, 4), F(1))
    assert [value(points, x) for x in asked] == [0, F(1, 2), 1, 3, 5]


def side(kappa: int = 1) -> Side:
    knots = (Knot(F(0), F(0), F(0)), Knot(F(1, 2), F(0), F(1)), Knot(F(1), F(0), F(2)))
    cells = (Cell(F(0), F(1, 2), F(-1), F(1, 4)), Cell(F(1, 2), F(1), F(1, 4), F(2)))
    return Side(F(1), knots, cells, 0, None, F(kappa))


def test_lower_bounds_of_a_side() -> None:
    assert [side().lower(x) for x in (F(0), F(1, 4), F(1, 2), F(3, 4), F(1))] == [0, F(1, 4), F(1, 2), F(9, 8), 2]
    assert [side(0).lower(x) for x in (F(0), F(1, 4), F(2, 5), F(1, 2))] == [0, 0, 0, F(1, 4)]


@pytest.mark.parametrize(
    ("kappa", "points", "refused_at"),
    [
        (1, [(0, 0), ("1/2", "1/4"), (1, 2)], None),
        (1, [(0, 0), (1, "1/2")], None),
        (1, [(0, 0), ("1/2", "1/4"), (1, "2001/1000")], "1"),
        (0, [(0, 0), ("2/5", 0), ("1/2", "1/4"), (1, 2)], None),
        (0, [(0, 0), ("2/5", "1/1000"), ("1/2", "1/4"), (1, 2)], "0.4"),
        (0, [(0, 0), ("1/2", "1/4"), (1, 2)], "0.4"),
        (0, [(0, "1/1000"), (1, "1/1000")], "0"),
        (1, [(0, 0), ("1/2", "1/2"), (1, 2)], "0.5"),
        (0, [(0, -1), ("2/5", 0), ("1/2", "1/4"), (1, 2)], None),
    ],
)
def test_a_function_above_the_gap_is_told_where(
    kappa: int, points: list[tuple[object, object]], refused_at: str
) -> None:
    found = side(kappa).supports([(F(str(x)), F(str(y))) for x, y in points])
    assert found == (None if refused_at is None else f"the lower bound at theta={refused_at} is not certified")


def test_bounds_of_psi_must_be_convex_and_hold_zero_at_zero() -> None:
    zero, one = (F(0), F(0)), (F(1), F(1))
    for lower in ([zero, one], [(F(0), F(-1)), one], [zero, (F(1, 2), F(1, 2)), one], [zero, (F(1, 2), F(0)), one]):
        check_convex(lower, [zero, one])
    check_convex([zero, one], [(F(0), F(1)), one])
    for lower, upper, words in (
        ([(F(0), F(1, 1000)), one], [zero, one], "psi(0) is 0, which does not lie between the bounds"),
        ([zero, one], [(F(0), F(-1, 1000)), one], "psi(0) is 0, which does not lie between the bounds"),
        ([zero, (F(1, 2), F(501, 1000)), one], [zero, one], "the lower bound of psi is not convex"),
    ):
        with pytest.raises(Refused) as refusal:
            check_convex(lower, upper)
        assert str(refusal.value) == words


@pytest.mark.parametrize(
    ("points", "span", "words"),
    [
        ([["0", "0"], ["1", "1"]], 1, ""),
        ([["0", "0"], ["1", "1"]], None, ""),
        ([["0", "0"], ["2", "1"]], 1, "the vertices of the lower bound must rise from theta=0 to 1"),
        ([["0", "0"], ["1/2", "1"]], 1, "the vertices of the lower bound must rise from theta=0 to 1"),
        ([["1/9", "0"], ["1", "1"]], 1, "the vertices of the lower bound must rise from theta=0 to 1"),
        ([["-1", "0"], ["1", "1"]], None, "the vertices of the lower bound must rise from theta=0"),
        ([["0", "0"]], None, "the vertices of the lower bound must rise from theta=0"),
        ([["0", "0"], ["1/2", "0"], ["1/2", "1"], ["1", "1"]], 1, "the vertices of the lower bound must rise"),
        ([["0", "0"], ["1", "1"], ["1/2", "1"]], None, "the vertices of the lower bound must rise"),
        ([["0", "0", "0"], ["1", "1"]], 1, "certificate entry 'lower' must hold pairs"),
        ([["0", "0"], "11"], 1, "certificate entry 'lower' must hold pairs"),
    ],
)
def test_vertices_rise_from_zero_to_the_end(points: list[object], span: int | None, words: str) -> None:
    if not words:
        assert read_vertices({"lower": points}, "lower", None if span is None else F(span)) == [(0, 0), (1, 1)]
        return
    with pytest.raises((Refused, CertificateError)) as refusal:
        read_vertices({"lower": points}, "lower", None if span is None else F(span))
    assert str(refusal.value).startswith(words)


def test_boxes_tile_their_scores() -> None:
    assert _ends({"x": ["-inf", "-1", "0"]}, "x", -inf, F(0)) == [-inf, -1, 0]
    for ends in (["-1", "0"], ["-inf", "-1"], ["-inf", "-1", "-1", "0"], ["-inf", "0", "-1", "0"], ["0"], []):
        with pytest.raises(Refused, match="the boxes do not tile the scores from -inf to 0"):
            _ends({"x": ends}, "x", -inf, F(0))


def test_the_upper_bound_of_a_gap_is_that_of_the_better_side() -> None:
    other = Side(F(1), (Knot(F(0), F(0), F(0)), Knot(F(1, 2), F(0), F(1, 3))), (), 0, None, F(0))
    assert gap_upper([side(), other], F(1, 2)) == gap_upper([other, side()], F(1, 2)) == F(1, 3)
    assert gap_upper([side(), other], F(1)) == 2
    with pytest.raises(Refused, match="theta=1/3, which is no knot"):
        gap_upper([side(), other], F(1, 3))


# -- several classes ------------------------------------------------------------------------------------------------


def test_posteriors_that_span_those_with_a_likeliest_class() -> None:
    for classes in (2, 3, 4):
        for best in range(classes):
            found = extreme_posteriors(classes, best)
            assert len(set(found)) == len(found) == 2 ** (classes - 1)
            assert set(found) == set(first_cell(classes, best))
            assert all(sum(p) == 1 and p[best] == max(p) and set(p) <= {F(0), max(p)} for p in found)
    assert class_pairs(3, True) == [(0, 1)]
    assert class_pairs(3, False) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


def test_certified_kappa_is_the_least_lead_over_the_margin() -> None:
    losses = [(F(3), F(1)), (F(0), F(2)), (F(1), F(1))]  # of the two labels, at three vertices

    def kappa(weights: dict[int, F], best: int = 0, rival: int = 1, wrong: int = 0) -> F:
        return certified_kappa(losses, Weights(wrong, best, rival, weights), 2)

    assert kappa({1: F(1)}) == 3  # at (1, 0): 3 - 0; at (1/2, 1/2): 2 - 1 >= 0
    assert kappa({2: F(1)}) == 2
    assert kappa({1: F(1, 2), 2: F(1, 2)}) == F(5, 2)
    assert kappa({0: F(1)}) == 0
    assert kappa({1: F(1)}, wrong=2) == 1
    assert kappa({2: F(1)}, wrong=1) == 0  # at (1, 0) it loses
    assert kappa({1: F(1)}, best=1, rival=0) == 0
    assert certified_kappa([(F(1), F(0)), (F(0), F(2))], Weights(0, 0, 1, {1: F(1)}), 2) == 0  # loses at the tie
    assert certified_kappa([(F(1), F(0)), (F(0), F(1))], Weights(0, 0, 1, {1: F(1)}), 2) == 1  # ties at the tie
    assert dot((F(1), F(2)), (F(3), F(5))) == 13


def test_an_optimal_vertex_has_no_better_one() -> None:
    losses = [(F(3), F(1)), (F(0), F(2))]
    for p, first, second in (
        ((F(1), F(0)), False, True),
        ((F(1, 4), F(3, 4)), True, True),
        ((F(0), F(1)), True, False),
    ):
        assert is_optimal(losses, losses[0], p) is first, p
        assert is_optimal(losses, losses[1], p) is second, p
    for p in ((F(3, 2), F(-1, 2)), (F(1, 2), F(1, 3)), (F(1, 2), F(2, 3))):
        assert not is_optimal(losses, losses[1], p)


def test_halves_of_cells_cover_the_cell() -> None:
    for m in (0, 1, 2):
        parts = split_cell(first_cell(3, m), 3, m)
        assert len(parts) == 2
        assert all(x[m] == max(x) and sum(x) == 1 for part in parts for x in part)
        assert {tuple(sorted(part[-1])) for part in parts} == {(F(1, 3),) * 3}
        orders = [[r for r in (1, 2) if part[1][[k for k in range(3) if k != m][r - 1]] > 0] for part in parts]
        assert sorted(orders) == [[1], [2]]
    simplex = ((F(1), F(0), F(0)), (F(1, 2), F(1, 2), F(0)), (F(1, 3), F(1, 3), F(1, 3)))
    left, right = split_cell(simplex, 3, 0)  # longest edge: from the first corner to the last
    middle = (F(2, 3), F(1, 6), F(1, 6))
    assert {left, right} == {(middle, simplex[1], simplex[2]), (simplex[0], simplex[1], middle)}
    box = ((F(0), F(1)), (F(1, 2), F(3, 4)))
    assert split_spans(box, 0) == [((F(0), F(1, 2)), box[1]), ((F(1, 2), F(1)), box[1])]
    assert split_spans(box, 1) == [(box[0], (F(1, 2), F(5, 8))), (box[0], (F(5, 8), F(3, 4)))]


def test_stretched_coordinates() -> None:
    assert [stretch(z, False) for z in (F(0), F(1, 2), F(2, 3), F(1))] == [0, 1, 2, inf]
    assert [stretch(z, True) for z in (F(0), F(1, 4), F(1, 2), F(3, 4), F(1))] == [-inf, F(-4, 3), 0, F(4, 3), inf]


def domain(kind: str, bound: F | None, *, a: bool) -> Domain:
    names = ("w1", "w2", "a") if a else ("w1", "w2")
    top = Var("a") if a else (Var("w1") * 2 + Var("w2")) / 3
    return Domain(kind, bound, names, [top, top - Var("w1"), top - Var("w1") - Var("w2")])


def test_domains_hold_their_scores_and_no_others() -> None:
    for kind, bound, inside, outside in (
        ("all", None, [(F(9), F(-9), F(4))], []),
        ("sum-zero", None, [(F(9), F(-9), F(0))], [(F(1), F(0), F(0)), (F(-1), F(0), F(0))]),
        ("bounded", F(2), [(F(2), F(-2), F(2))], [(F(2), F(-2), F(9, 4)), (F(0), F(-9, 4), F(0))]),
        ("ball", F(2), [(F(1), F(-1), F(0)), (F(0), F(0), F(0))], [(F(1), F(0), F(0)), (F(2), F(-2), F(0))]),
        ("ball", F(5), [(F(3), F(-3), F(0)), (F(-4), F(2), F(2))], [(F(4), F(-4), F(0))]),
    ):
        found = domain(kind, bound, a=False)
        assert all(found.contains(x) for x in inside), kind
        assert not any(found.contains(x) for x in outside), kind
    assert domain("ball", F(5), a=False).contains((F(5), F(0), F(-5))) is False  # of length 5 sqrt 2
    for kind, limit in (("bounded", None), ("ball", None), ("all", F(1)), ("sum-zero", F(1))):
        with pytest.raises(ValueError, match="must have a bound exactly when"):
            domain(kind, limit, a=False)


def test_a_box_is_outside_only_as_a_whole() -> None:
    free, top, ball = domain("bounded", F(1), a=False), domain("bounded", F(1), a=True), domain("ball", F(1), a=False)
    for w1, w2, out_of_free, out_of_ball in (
        ((F(0), F(1)), (F(0), F(1)), False, False),
        ((F(3, 2), F(2)), (F(1), F(2)), True, True),
        ((F(1), F(2)), (F(1), F(2)), False, True),  # the sum is 2 at a corner, the length is sqrt 2
        ((F(0), F(2)), (F(1, 2), F(2)), False, False),
    ):
        box = {"w1": Interval.between(*w1), "w2": Interval.between(*w2)}
        assert free.outside(box) is out_of_free
        assert ball.outside(box) is out_of_ball
        for a, out in ((F(0), F(1)), False), ((F(5, 4), F(2)), True), ((F(-3), F(-2)), True):
            found = top.outside(box | {"a": Interval.between(*a)})
            assert found is (out or (w1[0] + w2[0] > a[1] + 1))
    box = free.box(((F(0), F(1, 2)), (F(1, 4), F(1))))
    assert [(s.lo, s.hi) for s in (box["w1"], box["w2"])] == [(fmpq(0), fmpq(1)), (fmpq(1, 2), fmpq(2))]
    box = top.box(((F(0), F(1, 2)), (F(1, 4), F(1)), (F(0), F(3, 4))))
    assert (box["a"].lo, box["a"].hi) == (fmpq(-1), fmpq(1, 2))
    box = domain("all", None, a=True).box(((F(0), F(1, 2)), (F(1, 2), F(1)), (F(1, 4), F(1))))
    assert (box["w1"].lo, box["w1"].hi, box["w2"].hi) == (fmpq(0), fmpq(1), INF)
    assert (box["a"].lo, box["a"].hi) == (fmpq(-4, 3), INF)


def test_room_to_move_near_a_tie() -> None:
    inside = {"w1": Interval.point(F(0)), "w2": Interval.between(F(0), F(1)), "a": Interval.between(F(0), F(1, 2))}
    at_top = inside | {"a": Interval.between(F(0), F(1)), "w2": Interval.between(F(0), F(2))}
    at_bottom = inside | {"a": Interval.between(F(-1), F(1, 2))}
    both = ((1, 1), (1, 0), (0, 1), (0, 0))
    assert [domain("sum-zero", None, a=False).has_room(1, inside, *x) for x in both] == [True, False, False, True]
    assert [domain("ball", F(1), a=False).has_room(1, at_top, *x) for x in both] == [True, False, False, True]
    assert [domain("all", None, a=False).has_room(1, at_top, *x) for x in both] == [True] * 4
    assert [domain("bounded", F(1), a=True).has_room(1, inside, *x) for x in both] == [True] * 4
    assert [domain("bounded", F(1), a=True).has_room(1, at_top, *x) for x in both] == [False, False, True, True]
    assert [domain("bounded", F(1), a=True).has_room(1, at_bottom, *x) for x in both] == [False, True, False, True]
    assert [domain("bounded", F(1), a=False).has_room(1, inside, *x) for x in both] == [True] * 4
    assert [domain("bounded", F(1), a=False).has_room(1, at_top, *x) for x in both] == [False, False, True, True]
    assert domain("bounded", F(1), a=False).has_room(2, at_top, 1, 1)  # the gap of ranks above is not in the way


# -- curvature ------------------------------------------------------------------------------------------------------

CURVES = {
    "t": "affine", "k": "affine", "3 - 2*t": "affine", "k*t + m": "affine", "t*t": "?", "t**2": "convex",
    "t**4": "convex", "t**3": "?", "(t + 5)**3": "convex", "(t + 5)**(1/2)": "concave", "(t + 5)**-1": "convex",
    "(t + 5)**1": "affine", "(t + 5)**(3/2)": "convex", "t**(1/2)": "?", "t**-2": "?", "exp(t)": "convex",
    "exp(-t)": "convex", "-exp(t)": "concave", "exp(t**2)": "convex", "exp(-t**2)": "?", "softplus(-t)": "convex",
    "softplus(-exp(t))": "?", "log(t + 5)": "concave", "sqrt(t + 5)": "concave", "log1p(t + 5)": "concave",
    "log(exp(t))": "?", "abs(t)": "convex", "abs(t**2)": "?", "max(t, -t)": "convex", "max(t, log(t + 5))": "?",
    "min(t, 1)": "concave", "min(t, t**2)": "?", "max(t**2, exp(t))": "convex",
    "min(log(t + 5), sqrt(t + 5))": "concave", "clip(t, 0, 1)": "?", "m*exp(t)": "convex", "exp(t)*m": "convex",
    "-m*exp(t)": "concave", "k*exp(t)": "?", "exp(t)*k": "?", "exp(t)/m": "convex", "exp(t)/k": "?",
    "exp(t)/(-m)": "concave", "exp(t) + t**2": "convex", "exp(t) - t**2": "?", "exp(t) - log(t + 5)": "convex",
    "log(t + 5) - exp(t)": "concave", "t + exp(t)": "convex", "exp(t) + t": "convex", "t - exp(t)": "concave",
    "tanh(t)": "?", "1/t": "?", "max(0, 1 - t)**2": "convex", "max(0, 1 - t)**3": "convex", "(t**2 + 1)**(1/2)": "?",
    "0*tanh(t)": "affine", "tanh(t)*0": "affine", "(exp(t) + 1)**-1": "?", "(log(t + 5) + 9)**-1": "convex",
    "exp(t)**2": "convex", "exp(t)**(1/2)": "?", "(t - 5)**3": "?", "(t - 5)**2": "convex",
}  # fmt: skip


@pytest.mark.parametrize("text", CURVES)
def test_curvature_by_composition(text: str) -> None:
    box = {"t": Interval.between(F(-1), F(1)), "k": Interval.between(F(-1), F(1)), "m": Interval.between(F(1), F(2))}
    region = Region(box, "t", True, frozenset(), ("t",))
    tree = simplify(parse(text, BINARY_NAMES, frozenset({"k", "m"})))
    assert curvature(tree, region) == CURVES[text]
    assert curvature(tree, Region(box, None, False, frozenset(), ())) == "affine"


def test_the_algebra_of_curvature() -> None:
    kinds = ("affine", "convex", "concave", "?")
    for x, y in product(kinds, repeat=2):
        both = {x, y} - {"affine"}
        assert _sum(x, y) == (both.pop() if len(both) == 1 else "?" if both else "affine")
        for kind in ("convex", "concave"):
            assert _joined(x, y, kind) == (kind if {x, y} <= {"affine", kind} else "?")
    turned = {"affine": "affine", "convex": "concave", "concave": "convex", "?": "?"}
    for x in kinds:
        for sign in ("+", ">="):
            assert _scaled(x, sign) == x
        for sign in ("-", "<="):
            assert _scaled(x, sign) == turned[x]
        assert _scaled(x, "0") == "affine"
        assert _scaled(x, "?") == ("affine" if x == "affine" else "?")


# -- bounds on boxes of gaps ----------------------------------------------------------------------------------------

GAPS = frozenset({"w1", "w2", "s"})


def gaps(**sides: tuple[object, object]) -> dict[str, Interval]:
    ends = {name: tuple(inf if end == "inf" else F(str(end)) for end in side) for name, side in sides.items()}
    return {name: Interval.between(*side) for name, side in ends.items()}


def test_an_unbounded_factor_is_bounded_together_with_one_that_vanishes() -> None:
    """w exp(-w) lies in [0, 1/e] on [1, inf), so the product with tanh is above -1/e; it is -0.3673 at w = 1."""
    low = least(parse("w1 * exp(-w1) * tanh(w1 - 5)", GAPS), gaps(w1=(1, "inf")), INF)
    assert -0.36788 < float(low) < -0.3673


def test_a_slope_of_one_sign_on_the_box_is_used_where_its_limit_is_not_known() -> None:
    """At w_1 = inf the slope in w_2 is inf / inf beside 2 w_2 - 4 < 0; the infimum is -pi/2 - 15/4, at w_2 = 3/2."""
    tree, box = parse("w2**2 - 4 * w2 - atan(w1 * w2)", GAPS), gaps(w1=(1, "inf"), w2=(1, "3/2"))
    assert -5.33 < float(least(tree, box, INF)) < -5.32


def test_of_two_forms_of_a_slope_the_second_is_asked_where_the_first_leaves_the_sign_open() -> None:
    one, two = parse("w1 - w1**2", GAPS), parse("w1 * (1 - w1)", GAPS)
    assert _slope([one], gaps(w1=(0, 1))) == (-UNIT, UNIT)
    assert _slope([one, two], gaps(w1=(0, 1))) == (0, UNIT)
    assert _slope([two, one], gaps(w1=(0, 1))) == (0, UNIT)
    falling = [parse("w1**2 - w1", GAPS), parse("w1 * (w1 - 1)", GAPS)]
    assert _slope(falling, gaps(w1=(0, 1))) == (-UNIT, 0)


def test_a_slope_that_is_nowhere_positive_vanishes_whatever_its_own_slope_does() -> None:
    """min(sqrt(s) - 1, 0) has no bounded slope in s as written; min(sqrt(s), 1) is above every K s near 0."""
    near = gaps(s=(0, 4))
    assert vanishes(parse("min(s**(1/2) - 1, 0)", GAPS), near)
    assert not vanishes(parse("min(s**(1/2), 1)", GAPS), near)


# -- formulas as written, and a hypothesis --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "real"),
    [
        ("log(sum_other(exp(fk)))", True),
        ("log(-sum_other(exp(fk)))", False),
        ("log(sum_other(-exp(fk)))", False),
        ("log(-sum_other(-exp(fk)))", True),
        ("sqrt(sum_other(fk**2))", True),
        ("log(sum_other(fk**2))", False),
        ("log(max_other(exp(fk - fy)))", True),
        ("log(max_other(-exp(fk - fy)))", False),
        ("log(sum_other(fk))", False),
        ("exp(sum_other(log(fk)))", False),
    ],
)
def test_a_class_sum_has_the_sign_of_its_terms(formula: str, real: bool) -> None:
    assert real_as_written(parse(formula, SCORE_NAMES | OTHER_NAMES), 3, None, {}) is real


@pytest.mark.parametrize(
    ("formula", "real"),
    [
        ("log(5/2 - alpha)", True),
        ("log(3/2 - alpha)", False),
        ("log(5/2 + alpha)", True),
        ("log(3/2 + alpha)", False),
        ("log(2 - fy)", True),
        ("log(1/2 + fk)", False),
    ],
)
def test_leads_reach_twice_the_bound_of_the_scores(formula: str, real: bool) -> None:
    assert real_as_written(parse(formula, SCORE_NAMES | OTHER_NAMES), 3, F(1), {}) is real


@pytest.mark.parametrize("domain", ["all:3", "sum-zero:1", "bounded:0", "bounded:-1", "ball:1", "bounded:"])
def test_domains_of_lemmas_have_a_positive_bound_or_none(domain: str) -> None:
    with pytest.raises((ValueError, CertificateError)):
        make_statement("max(0, 1 - t)", {}, None, domain)
    assert make_statement("max(0, 1 - t)", {}, None, "bounded:1").bound == 1


def test_a_slope_must_be_negative_inside_a_leaf_and_at_its_ends() -> None:
    def holds(text: str) -> bool:
        falls = falls_everywhere(parse(text, BINARY_NAMES), "t")
        hypothesis = Hypothesis("falls", "t", falls, F(-1), F(1))
        return falls(leaf_of(hypothesis, {}, whole_box(hypothesis, {})))

    assert holds("-t - t**3")
    assert not holds("t / 10 - t**3 / 3")  # rises around 0 only
    assert not holds("t**3 / 3 - 99 * t / 100")  # rises at the ends only
    assert not holds("-t**3")  # flat at 0


@pytest.mark.parametrize("sign", [1, -1])
def test_quotients_over_one_denominator_are_bounded_as_one(sign: int) -> None:
    """(w1 + 3 w2) / (w1 + w2) lies between 1 and 3, and no closer, whatever the sign above and below."""
    with ctx.workprec(80):
        w1, w2 = simplify(sign * Var("w1")), simplify(sign * Var("w2"))
        tree = w1 / (w1 + w2) + F(3) * (w2 / (w1 + w2))
        box = {name: Interval(fmpq(0), INF) for name in ("w1", "w2")}
        assert at_least(tree, box, fmpq(1))
        assert not at_least(tree, box, fmpq(1001, 1000))
        assert at_least(simplify(-tree), box, fmpq(-3))
        assert not at_least(simplify(-tree), box, fmpq(-2999, 1000))
        assert at_least(tree, {**box, "w2": Interval(fmpq(1), fmpq(1)), "w1": Interval(fmpq(0), fmpq(1))}, fmpq(2))


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize(("classes", "m"), [(c, m) for c in (2, 3, 4, 5) for m in range(1, c)])
def test_a_strip_holds_the_way_from_the_tie(classes: int, m: int, move: str) -> None:
    """Gaps drawn in a box; ranks 0 and m swapped and moved apart: the distances of the way lie in the strip.

    It is no wider than that between classes that do not move.
    """
    rng, (up, down) = random.Random(f"{classes} {m} {move}"), MOVES[move]
    cone = Cone(parse("fy**2 + lse", SCORE_NAMES), classes, "all")
    sides = [sorted(F(rng.randint(1, 9), rng.randint(10, 12)) for _ in range(2)) for _ in cone.names]
    sides = [[F(0), high] if i < m else [low, high] for i, (low, high) in enumerate(sides)]
    box = cone.box([(low, high) for low, high in sides])
    strip = cone._strip_box(m, box, move)
    assert strip.keys() == {"a", "s", *(f"w{k}" for k in range(2, classes))}
    furthest = sum((fraction_of(box[name].hi) or F(0) for name in cone.names[:m]), F(0)) / (up + down)
    for _ in range(30):
        share = {name: F(rng.randint(0, 8), 8) for name in cone.names}
        ends = {name: (fraction_of(box[name].lo) or F(0), fraction_of(box[name].hi) or F(0)) for name in cone.names}
        at = {name: low + share[name] * (high - low) for name, (low, high) in ends.items()}
        scores = [at["a"]]
        for name in cone.names[:-1]:
            scores.append(scores[-1] - at[name])
        lead = scores[0] - scores[m]
        s = lead / (up + down) + F(rng.randint(0, 8), 8) * (furthest - lead / (up + down))
        meet = scores[0] - up * lead / (up + down)  # where both stand for s = 0
        others = [meet + up * s, *(scores[r] for r in range(classes) if r not in (0, m))]
        way = {"a": meet, "s": s} | {f"w{k}": others[k - 2] - others[k - 1] for k in range(2, classes)}
        held = {name: (strip[name].lo, fmpq(*value.as_integer_ratio()), strip[name].hi) for name, value in way.items()}
        assert all(low <= value <= high for low, value, high in held.values()), held
    ranks = [r for r in range(classes) if r not in (0, m)]
    for k, (one, other) in enumerate(pairwise(ranks), start=3):  # which move with nobody
        assert strip[f"w{k}"].hi == sum(box[f"w{r}"].hi for r in range(one + 1, other + 1))


@pytest.mark.parametrize(
    ("formula", "ends", "words"),
    [
        ("1 - t", (F(0), F(1), inf), r"no lower bound on scores in \[1, inf\]"),
        ("max(0, 1 - t)", (F(0),), "has no box"),
        ("where(t < 1, 1/(1 - t), 0)", (F(0), F(1, 2), F(1)), r"on scores in \[1/2, 1\]"),
    ],
)
def test_a_risk_without_a_lower_bound_is_refused_and_told_where(
    formula: str, ends: tuple[Fraction | float, ...], words: str
) -> None:
    problem = read_problem(certificate("consistent", formula))
    with ctx.workprec(80), pytest.raises(Refused, match=words):
        lowest(problem, F(1), ends)
    with ctx.workprec(80):
        assert lowest(read_problem(certificate("consistent", "max(0, 1 - t)")), F(1), (F(0), F(1), inf)) == 0


def test_what_is_only_zero_does_not_fall() -> None:
    assert falls(parse("-s - 1/9", GAPS), gaps(s=(0, 4)))
    assert not falls(parse("-s", GAPS), gaps(s=(0, 4)))
    assert not falls(parse("min(s - 4, -s)", GAPS), gaps(s=(0, 4)))


def test_planes_are_counted_before_they_are_enumerated() -> None:
    _check_size(40, 3)
    with pytest.raises(NotPolyhedral, match="1000 switching planes in 4 dimensions"):
        _check_size(1000, 4)


def test_a_gap_may_be_positive_by_the_signs_of_its_factors_alone() -> None:
    """phi(-t) - phi(t) = 2 m t exp(-t^2) turns at 0.7, and over m in (0, 1] its enclosure begins at 0."""
    ranges = {"m": Range.parse("(0, 1]")}
    statement = make_statement("-m * t * exp(-t**2)", ranges, None, "bounded:2")
    (gap,) = (each for (each, *_) in hypotheses("reflection", statement) if each.name == "gap")
    cover = {"split": "t", "at": "1/2", "low": ".", "high": "."}
    assert verify_cover(gap, ranges, cover) == 2
    with pytest.raises(Refused, match="'gap' fails"):
        verify_cover(gap, ranges, ".")
    turned = make_statement("m * t * (t - 1) * exp(-t**2)", ranges, None, "bounded:2")
    (even,) = (each for (each, *_) in hypotheses("reflection", turned) if each.name == "gap")
    assert verify_cover(even, ranges, cover) == 2  # t^2 cancels: the gap is the same
    rising = make_statement("m * t * exp(-t**2)", ranges, None, "bounded:2")
    (below,) = (each for (each, *_) in hypotheses("reflection", rising) if each.name == "gap")
    with pytest.raises(Refused, match="'gap' fails"):
        verify_cover(below, ranges, cover)


# -- what decides a maximum, and the line that planes share -----------------------------------------------------------


@pytest.mark.parametrize("factor", [F(-3), F(-1), F(-1, 2), F(-1, 7), F(1, 7), F(1, 2), F(3)])
def test_a_question_has_the_sign_of_its_leading_coefficient(factor: Fraction) -> None:
    """left - right = factor (x - 2 y): the same question for every factor, a positive multiple of it for one sign."""
    x, y = Var("x"), Var("y")
    asked, positive = _question(Max(factor * x, 2 * factor * y))
    assert asked == _question(Max(x, 2 * y))[0]
    assert positive == (_question(Max(x, 2 * y))[1] == (factor > 0))
    assert positive != _question(Max(2 * factor * y, factor * x))[1]


@pytest.mark.parametrize(
    "rows", [[(1, 0, 0), (0, 1, 0)], [(1, 2, 3), (0, 1, -1)], [(0, 0, 2), (1, -1, 5)], [(3, 1)], [(0, 4)]]
)
def test_the_line_that_planes_share_lies_on_all_of_them(rows: list[tuple[int, ...]]) -> None:
    line = _kernel([tuple(map(F, row)) for row in rows], len(rows[0]))
    assert line is not None
    assert any(line)
    assert [sum(a * b for a, b in zip(row, line, strict=True)) for row in rows] == [0] * len(rows)


def test_planes_that_share_more_than_a_line_have_none() -> None:
    assert _kernel([(F(1), F(2), F(3)), (F(2), F(4), F(6))], 3) is None


@pytest.mark.parametrize(
    ("formula", "rises", "concave", "differentiable"),
    [
        ("max(0, t)", True, False, False),
        ("-max(0, t)", False, True, False),
        ("max(0, t)**2", True, True, True),
        ("-max(0, t)**2", False, True, True),
        ("max(-t/2, t/3)", True, False, False),
        ("min(-t/2, t/3)", False, True, False),
        ("3*t", True, True, True),
    ],
)
def test_both_sides_of_a_kink_are_compared(formula: str, rises: bool, concave: bool, differentiable: bool) -> None:
    """At t = 0, an end of both leaves: the slope from the right against the slope from the left."""
    tree = simplify(parse(formula, BINARY_NAMES))
    cover = {"split": "t", "at": "0", "low": ".", "high": "."}
    for check, holds in (
        (rising_slope(tree, "t"), rises),
        (smooth(tree, "t"), concave),
        (smooth(tree, "t", differentiable=True), differentiable),
    ):
        asked = Hypothesis("it", "t", check, F(-1), F(1))
        if holds:
            assert verify_cover(asked, {}, cover) == 2
        else:
            with pytest.raises(Refused, match="'it' fails"):
                verify_cover(asked, {}, cover)
