"""The second arithmetic: rounding outwards, slopes through kinks, certificates verified without python-flint."""

from __future__ import annotations

import ast
import json
import os
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from flint import arb, ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

import theory
from tests.strategies import binary_trees, rationals
from tests.theory.certificates import BASES, base, claim_is_true, mutated
from tests.theory.hostile_certificates import CASES
from tests.theory.oracle import binary_rows
from theory import catalogue, check, check_second, prove
from theory.expression import Expr, Var
from theory.expression.nodes import Call, Const, Max, Mul
from theory.second import checking, elementary, germs, jets, rational, rules
from theory.second.rational import NotReal, Range

SLOW = os.environ.get("AVGMARGIN_SLOW") == "1"
TRUTH_BITS = 600
"""Precision of the arb value that a bound must hold: far beyond the 112 bits of the bound."""
FUNCTIONS = {
    "exp": (elementary.exp_bounds, arb.exp),
    "log": (elementary.log_bounds, arb.log),
    "atan": (elementary.atan_bounds, arb.atan),
    "sqrt": (elementary.sqrt_bounds, arb.sqrt),
}


def ball(value: Fraction) -> arb:
    return arb(fmpq(value.numerator, value.denominator))


def holds_truth(name: str, x: Fraction) -> bool:
    """Whether both bounds of a function are on their sides of the value by arb."""
    bounds, truth = FUNCTIONS[name]
    low, high = bounds(x)
    with ctx.workprec(TRUTH_BITS):
        value = truth(ball(x))
        return not (value < ball(low) or (isinstance(high, Fraction) and value > ball(high)))


arguments = st.builds(
    lambda n, k, d: Fraction(n, d) * Fraction(10) ** k,
    st.integers(-(10**9), 10**9).filter(bool),
    st.integers(-14, 0),
    st.integers(1, 10**4),
)


@given(st.sampled_from(sorted(FUNCTIONS)), arguments)
@settings(max_examples=300)
def test_bounds_hold_the_value(name: str, x: Fraction) -> None:
    x = abs(x) if name in ("log", "sqrt") else x
    assert holds_truth(name, x)
    low, high = FUNCTIONS[name][0](x)
    # 2**-100: twelve bits above one unit in the last of 112 bits, which is what the guard bits leave
    within = name != "exp" or abs(x) <= elementary.LARGEST
    assert not within or high - low <= max(abs(low), abs(high)) / 2**100


def _clear() -> None:
    for cached in (elementary.exp_bounds, elementary.log_bounds, elementary.atan_bounds):
        cached.cache_clear()


def test_rounding_to_nearest_loses_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def nearest(value: Fraction, up: bool) -> Fraction:
        low = rounded(value, False)
        high = rounded(value, True)
        return low if value - low <= high - value else high

    rounded = elementary.rounded
    rng = random.Random(4)
    points = [Fraction(rng.randrange(1, 10**9), rng.randrange(1, 10**6)) for _ in range(60)]
    monkeypatch.setattr(elementary, "EXACT_BITS", 100)  # every result is rounded
    _clear()
    assert all(holds_truth(name, x) for name in FUNCTIONS for x in points if name != "exp" or x < elementary.LARGEST)
    monkeypatch.setattr(elementary, "rounded", nearest)
    _clear()
    lost = [x for x in points if not holds_truth("log", x)]
    _clear()
    assert len(lost) > 20


ends = st.one_of(rationals(-6, 6), st.integers(-3, 3).map(Fraction))


def _interval(a: Fraction, b: Fraction, open_low: bool, open_high: bool) -> Range:
    low, high = sorted((a, b))
    return Range(-rational.INF if open_low else low, rational.INF if open_high else high)


@given(ends, ends, st.booleans(), st.booleans(), ends, ends, st.booleans(), st.booleans(), st.data())
def test_products_hold_products(
    a: Fraction, b: Fraction, s: bool, t: bool, c: Fraction, d: Fraction, u: bool, v: bool, data: st.DataObject
) -> None:
    left, right = _interval(a, b, s, t), _interval(c, d, u, v)
    x, y = (data.draw(ends.filter(lambda e, side=side: side.lo <= e <= side.hi)) for side in (left, right))
    for found, value in ((left * right, x * y), (left + right, x + y), (left - right, x - y)):
        assert found.lo <= value <= found.hi


# -- slopes ------------------------------------------------------------------------------------------------------------


def value_of(tree: Expr, x: Fraction) -> Range:
    return jets.jet(tree, "t", Range.at(x)).value


def jet_is_right(tree: Expr, points: list[Fraction]) -> bool:
    """Values and difference quotients at points of the box that they span lie in its jet (where it has one)."""
    box = Range(min(points), max(points))
    try:
        found, tight = jets.jet(tree, "t", box), germs.bounds(tree, "t", box)
    except NotReal:
        return True
    values = [value_of(tree, x) for x in sorted(points)]
    if any(v.lo > side.hi or v.hi < side.lo for v in values for side in (found.value, tight)):
        return False
    if found.slope is None:
        return True
    for i, x in enumerate(sorted(points)):
        for j in range(i):
            y = sorted(points)[j]
            quotient = (values[i] - values[j]) * Range.at(1 / (x - y))
            if quotient.lo > found.slope.hi or quotient.hi < found.slope.lo:
                return False
    return True


@given(binary_trees(kinks=True), st.lists(rationals(-3, 3), min_size=3, max_size=5, unique=True))
@settings(max_examples=60)
def test_jets_hold_values_and_difference_quotients(tree: Expr, points: list[Fraction]) -> None:
    assert jet_is_right(tree, points)


def test_slopes_of_one_side_only_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Max(Mul(Const(Fraction(-2)), Var("t")), Call("tanh", Var("t")))
    points = [Fraction(-5, 7), Fraction(1, 3), Fraction(6, 7)]
    assert jet_is_right(tree, points)
    larger = jets._larger
    monkeypatch.setattr(jets, "_larger", lambda x, y: jets.Jet(larger(x, y).value, x.slope, None))
    assert not jet_is_right(tree, points)


def test_one_sided_derivatives_at_a_kink() -> None:
    tree = Max(Mul(Const(Fraction(-2)), Var("t")), Call("tanh", Var("t")))
    right, left = (germs.germ(tree, "t", Fraction(0), side) for side in (1, -1))
    assert (right.slope, left.slope) == (Range.at(1), Range.at(-2))
    assert right.kinked
    hidden = Call("sqrt", Mul(Var("t"), Var("t")))  # |t|: the chain rule has 0 * infinity
    with pytest.raises(NotReal):
        germs.germ(hidden, "t", Fraction(0), 1)


def test_limits_are_not_guessed() -> None:
    from theory.expression import parse

    assert germs.limit(parse("exp(t) + atan(t)"), "t", -rational.INF).hi < Fraction(-15707, 10000)
    for text in ("exp(-t) + t", "exp(t) * t", "exp(-t) ** exp(t)", "t / t"):
        with pytest.raises(NotReal):
            germs.limit(parse(text), "t", -rational.INF)


# -- certificates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["average-margin", "average-margin-released"])
def test_the_two_losses_of_the_paper_are_verified_by_both(name: str) -> None:
    certificate = json.loads(json.dumps(prove(catalogue.get(name)).certificate))
    first, second = check(certificate), check_second(certificate)
    assert first.valid
    assert second.verified
    assert first.boxes == second.boxes
    assert first.claim == second.claim == ("consistent" if name == "average-margin" else "inconsistent")


@pytest.mark.parametrize("name", BASES)
def test_every_kind_of_rule_is_verified(name: str) -> None:
    assert check_second(base(name)) == checking.SecondResult(True, base(name)["claim"], check(base(name)).boxes)


def test_certificates_of_the_published_table_are_verified(shared: Path) -> None:
    rows = binary_rows(shared)
    chosen = rows if SLOW else rows[3::40]
    missed = {}
    for row in chosen:
        certificate = prove(row.loss()).certificate
        found = check_second(certificate)
        if not found.verified:
            missed[row.label] = found.reason
    assert missed == {}


@pytest.mark.parametrize("name", ["paper", "released", "pair (slide)", "step (points)", "infimum at both ends"])
def test_damaged_certificates_are_verified_by_neither_unless_true(name: str) -> None:
    rng = random.Random(len(name))
    verified = 0
    for _ in range(400 if SLOW else 10):
        mutant = mutated(rng, base(name))
        if mutant == base(name):
            continue
        found = check_second(mutant)
        verified += found.verified
        assert not found.verified or claim_is_true(mutant)
        assert found.verified == (found.reason is None)
    assert verified < (400 if SLOW else 10)


def test_false_claims_about_the_losses_of_the_paper() -> None:
    proved, refuted = base("paper"), base("released")
    swapped = proved | {"loss": refuted["loss"]}
    moved = refuted | {"eta": "3/4"}
    stolen = refuted | {"loss": proved["loss"]}
    negative = proved | {"loss": proved["loss"] | {"parameters": {"mu": "-9/10", "tau": "7/4"}}}
    for lie in (swapped, moved, stolen, negative):
        assert not check(lie).valid
        assert not check_second(lie).verified


def test_a_checker_that_believes_bounds_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    lie = base("released") | {"eta": "3/4"}
    monkeypatch.setattr(rules, "bounds", lambda tree, name, box: Range(Fraction(10**6), Fraction(10**6)))
    monkeypatch.setattr(checking, "rise", lambda question, risk, box: True)
    assert check_second(lie).verified  # so the refusals above come from the bounds


def test_hostile_certificates() -> None:
    for name, honest, data in CASES:
        found = check_second(data)
        assert honest or not found.verified, name
    assert sum(check_second(data).verified for _, honest, data in CASES if honest) >= 2


@pytest.mark.parametrize("claim", ["calibration", "gap"])
def test_what_it_does_not_treat_it_names(claim: str) -> None:
    assert check_second(base("hinge") | {"claim": claim}).reason == "cannot treat calibration functions"


def test_what_cannot_be_read_is_a_reason(tmp_path: Path) -> None:
    good = base("hinge")
    torn = tmp_path / "torn.json"
    torn.write_text(json.dumps(good)[:100])
    broken = [
        torn,
        tmp_path / "absent.json",
        {},
        good | {"version": 2},
        good | {"classes": 3},
        good | {"threshold": "1/0"},
        good | {"loss": good["loss"] | {"binary": "max(0, 1 - x)"}},
        good | {"loss": good["loss"] | {"domain": "ball:2"}},
        good | {"sides": [{}]},
        good | {"sides": good["sides"] * 2},
    ]
    for each in broken:
        found = check_second(each)
        assert not found.verified
        assert found.reason is not None
        assert "\n" not in found.reason


# -- independence ------------------------------------------------------------------------------------------------------

FLINTLESS = """
import importlib.abc, json, sys, types
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "flint" or name.startswith("theory.checker"):
            raise ImportError(name)
sys.meta_path.insert(0, Block())
for name, folder in (("theory", sys.argv[1]), ("theory.expression", sys.argv[1] + "/expression")):
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package
from theory.second import check_second
print(check_second(json.load(sys.stdin)).verified, "flint" in sys.modules)
"""


def test_it_works_where_flint_cannot_be_imported() -> None:
    """The package's own __init__, which imports the first checker, is left out; the files are the ones under test."""
    folder = str(Path(str(theory.__file__)).parent)
    command = [sys.executable, "-c", FLINTLESS, folder]
    for name in ("hinge", "perceptron (rise, value)"):
        text = json.dumps(base(name))
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
        assert done.stdout.split() == ["True", "False"], done.stderr


def test_imports_are_the_standard_library_nodes_and_parser() -> None:
    allowed = {"theory.expression.nodes", "theory.expression.parse"}
    for file in sorted(Path(str(checking.__file__)).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module in allowed or str(node.module).split(".")[0] in sys.stdlib_module_names
