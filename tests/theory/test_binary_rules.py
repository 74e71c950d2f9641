"""The rules of the binary checker, each hypothesis failing alone: the rule must then not apply."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction as Exact
from math import inf

import pytest

from tests.theory.hostile_certificates import certificate
from theory.checker.binary_rules import Box, Problem
from theory.checker.reading import read_problem
from theory.expression.interval import NEG_INF, Undefined

HALF = (Exact(1, 2), Exact(1))
NEAR: Box = (Exact(-1), Exact(0))


def of(formula: str, **entries: str) -> Problem:
    return read_problem(certificate("consistent", formula, **entries))


def of_pair(plus: str, minus: str) -> Problem:
    return read_problem(certificate("consistent", pair=(plus, minus)))


def applies(rule: Callable[..., bool], *arguments: object) -> bool:
    """Whether a rule applies; a loss that cannot be enclosed is refused by the checker too."""
    try:
        found = rule(*arguments)
    except Undefined:
        return False
    assert isinstance(found, bool)
    return found


TIES = {
    "max(0, 1 - t)": True,
    "softplus(-t)": True,
    "1 - t**3": True,
    "where(t < 0, 1 - 2*t, 1 - 2*t)": True,
    "1 + t": False,  # rises
    "t**2": False,  # even
    "1 - t + 1/(t + 1/2)/1000": False,  # no finite range on the left
    "1 - t + 1/(t - 1/2)/1000": False,  # nor on the right
    "1 - t + 1/(t + 1)/1000": False,  # nor at the ends
    "1 - t - 1/(t - 1)/1000": False,
    "where(t < -1/4, 5 - t, 1 - t)": False,  # jumps on the left
    "where(t < -1/4, 1 - t/2, 1 - t)": False,  # the same, both branches joining 1 - t at 0
    "where(t > 1/4, -t, 1 - t)": False,  # jumps on the right
    "where(t < 0, 1 - t, 1/2 - t)": False,  # jumps at 0
    "where(t <= 0, 1 - t, 1/2 - t)": False,
    "where(t < 0, 1 - t, where(t <= 0, 2, 1 - t))": False,  # another value at 0
    "where(t < 0, 1 - t, 1)": False,  # does not fall right of 0
    "where(t < 0, 1 - 2*t, 1 - t)": False,  # falls faster on the wrong side
    "where(t < 0, 1 - t, 1 - 2*t)": True,
    "1 - t - max(0, t - 1/2)": True,  # the kink hides the derivatives at 0, but phi(t) + phi(-t) does not rise
    "max(1 - t, 1/2)": False,  # there it does
    "where(t < 0, 1 + t**2, 1 - t**2)": True,
    "where(t < 0, 1 + 2*t**2, 1 - t**2)": False,
}


@pytest.mark.parametrize("formula", TIES)
def test_a_tie_needs_all_its_hypotheses(formula: str) -> None:
    assert applies(of(formula).tie, NEAR) is TIES[formula]


def test_a_tie_is_a_bounded_box_that_ends_at_zero_of_one_function() -> None:
    hinge = of("max(0, 1 - t)")
    for box in ((Exact(-1), Exact(-1, 2)), (-inf, Exact(0)), (Exact(0), Exact(0)), (Exact(-1), Exact(1))):
        assert hinge.tie(box) is False
    assert of_pair("max(0, 1 - v)", "max(0, 1 + 2*v)").tie(NEAR) is False


def test_reflection_is_for_one_function_and_looks_at_the_mirrored_box() -> None:
    hinge = of("max(0, 1 - t)")
    assert hinge.reflect((Exact(-2), Exact(-1, 2))) > 0
    assert not hinge.reflect((Exact(-2), Exact(0))) > 0
    assert of("max(0, 1 + t)").reflect((Exact(-2), Exact(-1, 2))) < 0
    assert of_pair("max(0, 1 - v)", "max(0, 1 + 2*v)").reflect((Exact(-2), Exact(-1))) == NEG_INF
    one_sided = of("max(0, t)")  # on t in (1/2, 2): phi(-t) - phi(t) = -t
    assert float(one_sided.reflect((Exact(-2), Exact(-1, 2)))) == -2


def test_a_candidate_must_be_better_in_the_whole_cell_and_may_tie_at_the_threshold_alone() -> None:
    hinge = of("max(0, 1 - t)")
    box = (Exact(-1), Exact(-1, 2))
    at = Exact(1)
    assert hinge.candidate(HALF, box, at) is True  # C = 1 + (1 - 2 eta) v, and 2 (1 - eta) at 1: a tie at 1/2
    assert hinge.candidate((Exact(3, 5), Exact(1)), box, at) is True
    assert hinge.candidate((Exact(1, 3), Exact(1)), box, at) is False
    flat = of("1 + 0*t")
    assert flat.candidate(HALF, box, at) is False  # a tie at the upper end
    assert of("where(t < 0, 0, 0) + 1").candidate((Exact(3, 5), Exact(1)), box, at) is False
    third = read_problem({**certificate("consistent", "max(0, 1 - t)"), "threshold": "1/3"})
    assert third.candidate(HALF, box, at) is False  # a tie at 1/2, which is not the threshold


SLIDES = {
    ("-v", "0*v"): True,
    ("exp(-v)", "max(0, 1 + v)/10"): True,
    ("v", "0*v"): False,  # rises
    ("0*v", "-v"): False,  # does not fall at eta = 1
    ("-v", "2*v"): False,  # rises at the threshold
    ("v", "-3*v"): False,  # falls at the threshold, rises at eta = 1
    ("-v", "(1/100)/(1/2 - v)"): False,  # not finite right of 0, as far as the box reaches left
    ("-v", "(1/100)/(1 - v)"): False,  # nor just there
    ("-v", "(1/100)/(v + 1/2)"): False,  # not finite in the box
    ("-v", "where(v < 1/2, 0, 1)"): False,  # may jump
    ("max(-v, 0)", "0*v"): False,  # does not fall right of 0
    ("max(-v, -v/2)", "0*v"): False,  # the slope right of the kink is not seen
    ("-v - v**2", "0*v"): False,  # rises at the left end
    ("v**3 - v**2*0", "0*v"): False,
    ("-v**3", "0*v"): True,  # the third derivative decides
    ("-v", "max(0, 2*v)"): False,  # right of 0 it rises at the threshold
    ("-v", "max(0, v/2)"): True,
}


@pytest.mark.parametrize("pair", SLIDES, ids=map(str, SLIDES))
def test_a_slide_needs_all_its_hypotheses(pair: tuple[str, str]) -> None:
    assert applies(of_pair(*pair).slide, HALF, NEAR) is SLIDES[pair]


def test_a_slide_is_a_bounded_box_at_the_threshold() -> None:
    falling = of_pair("-v", "0*v")
    assert falling.slide(HALF, (Exact(-2), Exact(-1))) is True
    assert falling.slide(HALF, (-inf, Exact(-1))) is False
    assert falling.slide((Exact(3, 5), Exact(1)), NEAR) is False
    assert of_pair("v", "-3*v").slide(HALF, (Exact(-2), Exact(-1))) is False  # rises at eta = 1
    # away from 0 nothing is asked of the scores right of 0
    assert of_pair("-v", "(1/100)/(1/2 - v)").slide(HALF, (Exact(-2), Exact(-1))) is True
    assert of_pair("max(-v, 0)", "0*v").slide(HALF, (Exact(-2), Exact(-1))) is True


RISES = {
    ("v", "v"): True,
    ("v**2", "v**2"): True,  # flat at 0
    ("v - v**2/2", "0*v"): True,
    ("-v", "0*v"): False,
    ("v - v**2", "0*v"): False,  # falls in the end, though it rises at 0
    ("v**3 - v**2", "0*v"): False,
    ("v + (1/100)/(v - 1/2)", "0*v"): False,  # not finite
    ("v + (1/100)/(1 - v)", "0*v"): False,
    ("where(v <= 0, 1, v)", "0*v"): False,  # jumps down right of 0
    ("where(v <= 0, -1, v)", "0*v"): True,  # jumps up
    ("where(v < 1/2, v, v - 1/4)", "0*v"): False,  # may jump inside
}


@pytest.mark.parametrize("pair", RISES, ids=map(str, RISES))
def test_a_rise_needs_all_its_hypotheses(pair: tuple[str, str]) -> None:
    assert applies(of_pair(*pair).rise, Exact(1), (Exact(0), Exact(1))) is RISES[pair]


def test_a_rise_begins_at_zero_and_ends() -> None:
    rising = of_pair("v", "v")
    assert rising.rise(Exact(1), (Exact(1, 2), Exact(1))) is False
    assert rising.rise(Exact(1), (Exact(0), inf)) is False
    assert rising.rise(Exact(0), (Exact(0), Exact(1))) is True
    assert of_pair("v", "-v").rise(Exact(1, 3), (Exact(0), Exact(1))) is False


@pytest.mark.parametrize(
    ("plus", "minus", "box", "bounded"),
    [
        ("exp(-v)", "exp(v)", (Exact(0), inf), True),
        ("-v", "0*v", (Exact(0), inf), False),
        ("0*v", "-v", (Exact(0), inf), False),
        ("v", "-v", (Exact(0), inf), True),  # at 1/2 it is 0, beyond it rises
        ("v", "-2*v", (Exact(0), inf), False),  # at 1/2 it falls
        ("-v", "v", (Exact(0), Exact(1)), True),
        ("-log(v)", "0*v", (Exact(0), Exact(1)), False),  # bounded below, but not finite at a finite end
        ("0*v", "1/v**2", (Exact(0), Exact(1)), False),
        ("1/v**2", "0*v", (Exact(0), Exact(1)), False),
        ("0*v", "0*v", (Exact(1), Exact(1)), True),
    ],
)
def test_a_floor_is_a_lower_bound_and_finite_losses(plus: str, minus: str, box: Box, bounded: bool) -> None:
    assert of_pair(plus, minus).floor(box) is bounded
