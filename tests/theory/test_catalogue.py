"""The catalogue as data: names, ranges, claims against the prover, closed forms against the float search."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.theory.oracle_rows import ENTRIES as PUBLISHED
from theory import Loss, Status, binary_minimiser, catalogue, conditional_risk, prove, psi
from theory.catalogue import Claim, Entry, Parameter
from theory.expression import BINARY_NAMES, PAIR_NAMES, SCORE_NAMES, exact, parse

# Searched least values are good to about sqrt(machine epsilon) times a slope of size 1.
SEARCHED = 1e-7
# Proofs are to end by their budget in boxes, which is the same on every machine.
SECONDS = 200.0
# An infimum at infinity is read off at |v| = 1e4, where the slowest loss here (arctan) is 1 / (pi v) above it.
FAR = 4e-5

NAMES = catalogue.names()
SLOWLY_TO_INFINITY = {"arctan"}
CLOSED = [entry.name for entry in catalogue.ENTRIES if entry.psi is not None]
MINIMISED = [entry.name for entry in catalogue.ENTRIES if entry.minimiser is not None or entry.link is not None]


def drawn(entry: Entry, rng: np.random.Generator) -> dict[str, Fraction]:
    """Parameters inside their ranges, off the ends, at most 3 above the lower one."""
    values = {}
    for name, spec in entry.parameters.items():
        low = Fraction(-1) if spec.low is None else exact(spec.low)
        high = low + 3 if spec.high is None else min(low + 3, exact(spec.high))
        values[name] = low + (high - low) * Fraction(int(rng.integers(150, 900)), 997)
        if spec.integer:
            values[name] = Fraction(int(rng.integers(int(low), int(high) + 1)))
    return values


# -- names and text ------------------------------------------------------------------------------------------------


def test_names_are_kebab_case_and_mean_one_loss_each() -> None:
    every = [*NAMES, *chain.from_iterable(entry.aliases for entry in catalogue.ENTRIES)]
    assert len(every) == len(set(every))
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in every)
    assert all(name in (catalogue.entry(name).name, *catalogue.entry(name).aliases) for name in every)
    assert all(map(catalogue.known, every))
    assert not catalogue.known("no-such-loss")
    assert set(catalogue.CORE) <= set(NAMES)


def same_loss(one: Entry, other: Entry) -> bool:
    """Whether two entries have the same formulas and domain, however spaced."""
    return forms(one) == forms(other)


def forms(entry: Entry) -> tuple[object, ...]:
    """The formulas as trees, and the domain."""
    known = frozenset(entry.parameters)
    texts = ((entry.binary, BINARY_NAMES), (entry.plus, PAIR_NAMES), (entry.minus, PAIR_NAMES))
    multiclass = entry.multiclass
    if multiclass is not None and not multiclass.startswith("series"):
        return (*(t and parse(t, n, known) for t, n in texts), parse(multiclass, SCORE_NAMES, known), entry.domain)
    return (*(t and parse(t, n, known) for t, n in texts), multiclass, entry.domain)


def test_no_loss_is_written_twice() -> None:
    seen: dict[tuple[object, ...], str] = {}
    for entry in catalogue.ENTRIES:
        assert forms(entry) not in seen, f"{entry.name} is {seen[forms(entry)]}"
        seen[forms(entry)] = entry.name
    hinge = catalogue.entry("hinge")
    assert same_loss(hinge, replace(hinge, name="twin", binary="max( 0,1-t )"))
    assert not same_loss(hinge, catalogue.entry("crammer-singer"))  # the same binary formula, another loss


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_says_what_it_is(name: str) -> None:
    entry = catalogue.entry(name)
    assert entry.title
    assert entry.source
    assert entry.strength.startswith(("consistent", "not consistent", "see prove"))
    assert (entry.plus is None) == (entry.minus is None)
    assert all(claim.why for claim in entry.claims)
    loss = entry.build()
    assert set(loss.parameters) <= set(entry.parameters)
    assert entry.kind in ("binary", "multiclass", "both")
    assert (loss.multiclass is None) == (entry.kind == "binary")
    assert entry.claim(2) is not None or not entry.claims or entry.only


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.ENTRIES if entry.parameters])
def test_ranges_are_kept_and_can_be_left(name: str) -> None:
    entry = catalogue.entry(name)
    for key, spec in entry.parameters.items():
        for end, step, is_open in ((spec.low, -1, spec.low_open), (spec.high, 1, spec.high_open)):
            if end is None:
                continue
            outside = exact(end) if is_open else exact(end) + step
            with pytest.raises(ValueError, match=rf"\Aparameter {key}=\S+ must be [<>][^\n]*{re.escape(end)}\Z"):
                entry.build(**{key: outside})
            if not is_open:
                assert entry.build(**{key: exact(end)})
        assert spec.range in ("any",) or spec.range[0] in "<>nw"


def test_single_values_can_be_left_out_of_a_range() -> None:
    with pytest.raises(ValueError, match=r"\Aparameter a=1 must not be 1\Z"):
        catalogue.get("alpha-loss", a=1)
    with pytest.raises(ValueError, match=r"\Aparameter order=2.5 must be a whole number\Z"):
        catalogue.get("taylor-cross-entropy", order="2.5")
    assert Parameter("2", low="0", low_open=True, excluded="1").range == "> 0, not 1"
    assert catalogue.entry("average-margin").build_outside(mu=-1).parameters["mu"] == -1


def test_a_series_is_written_out() -> None:
    scores = np.array([[0.3, -1.2, 0.7]])
    q = np.exp(scores) / np.exp(scores).sum()
    for order in (1, 4):
        found = catalogue.get("taylor-cross-entropy", order=order).values(scores)
        wanted = sum((1 - q) ** k / k for k in range(1, order + 1))
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert not np.allclose(found, (1 - q) + (1 - q) ** 2 / 2, rtol=1e-3)


def test_domains_take_their_bound_from_a_parameter() -> None:
    assert str(catalogue.get("unhinged", bound="5/2").domain) == "bounded:5/2"
    assert str(catalogue.get("lee-lin-wahba").domain) == "sum-zero"


# -- claims --------------------------------------------------------------------------------------------------------


def test_claims_change_where_the_literature_says() -> None:
    ramp = catalogue.entry("truncated-hinge")
    assert [ramp.claim(3, s=s).consistent for s in ("-1/2", "-0.51", "0.99", "1")] == [True, False, True, False]  # type: ignore[union-attr]
    assert [ramp.claim(c, s="-0.4").consistent for c in (2, 3, 4)] == [True, True, False]  # type: ignore[union-attr]
    assert [ramp.claim(3, s="-0.6", tau=tau).consistent for tau in (1, 2)] == [False, True]  # type: ignore[union-attr]
    clipped = catalogue.entry("truncated-logistic")  # the bound is -log(2^(3/2) - 1) = -0.6035
    assert [clipped.claim(3, s=s).consistent for s in ("-0.603", "-0.604")] == [True, False]  # type: ignore[union-attr]
    mixed = catalogue.entry("active-passive")
    assert replace(mixed, claims=mixed.claims[:1]).claim(3) is None
    assert str(Claim(False, "because", ("a > 1", "classes >= 3"))) == "not consistent for a > 1, classes >= 3 (because)"


def status(entry: Entry, classes: int, loss: Loss) -> Status:
    """What the prover finds for the entry's threshold."""
    threshold = entry.threshold_at()
    return prove(loss, classes=None if classes == 2 else classes, threshold=threshold, seconds=SECONDS).status


def found_as_claimed(entry: Entry, classes: int, loss: Loss) -> bool:
    """The property: the claim at the default parameters is what the prover finds on `loss`."""
    claim = entry.claim(classes)
    assert claim is not None
    return status(entry, classes, loss) == (Status.PROVED if claim.consistent else Status.REFUTED)


ELSEWHERE = {catalogue.entry(name).name for row, (name, _) in PUBLISHED.items() if row.startswith("b")}
BINARY = [e.name for e in catalogue.ENTRIES if e.kind != "multiclass" and e.claim(2) and e.name not in ELSEWHERE]
IN_ROWS = {catalogue.entry(name).name for row, (name, _) in PUBLISHED.items() if row.startswith("m")}
MULTICLASS = [e.name for e in catalogue.ENTRIES if e.kind != "binary" and e.claim(3) and e.name not in IN_ROWS]


OPEN: dict[str, str] = {}
"""Claims on three classes that the prover leaves undecided, and why."""

NOT_MET = {"mu < 0", "classes <= 4"}
"""Conditions of claims outside the range of a parameter, or on more than three classes: `test_oracle` has them."""


@pytest.mark.parametrize("name", BINARY)
def test_claims_on_two_classes_are_what_the_prover_finds(name: str) -> None:
    """For losses that the published table, and so `test_oracle`, does not have."""
    entry = catalogue.entry(name)
    assert found_as_claimed(entry, 2, entry.build())


@pytest.mark.parametrize("name", MULTICLASS)
def test_claims_on_three_classes_are_what_the_prover_finds(name: str) -> None:
    """One that is open must be UNDECIDED: as soon as it is decided it must leave the list."""
    entry = catalogue.entry(name)
    if name in OPEN:
        assert status(entry, 3, entry.build()) == Status.UNDECIDED, "take it off the list of open ones"
    else:
        assert found_as_claimed(entry, 3, entry.build())


def test_every_claim_is_met_by_a_setting_worth_deciding() -> None:
    """The defaults and the settings of `also` reach every claim on two or three classes; none is named twice."""
    for entry in catalogue.ENTRIES:
        chosen = [entry.build(**given) for given in ({}, *entry.also)]
        assert len(set(chosen)) == len(chosen)
        met = {entry.claim(c, **given) for given in ({}, *entry.also) for c in entry.only or (2, 3)}
        assert all(claim in met for claim in entry.claims if not NOT_MET & set(claim.where)), entry.name


def test_wrong_claims_are_noticed() -> None:
    hinge = catalogue.entry("crammer-singer")
    assert found_as_claimed(hinge, 3, hinge.build())
    assert not found_as_claimed(replace(hinge, claims=(Claim(True, "twin"),)), 3, hinge.build())
    assert not found_as_claimed(catalogue.entry("perceptron"), 2, catalogue.get("hinge"))


def test_a_threshold_is_part_of_the_claim() -> None:
    entry = catalogue.entry("weighted-logistic")
    assert entry.threshold_at(w="1/3") == Fraction(3, 4)
    assert not found_as_claimed(replace(entry, threshold="1/2"), 2, entry.build())


# -- closed forms --------------------------------------------------------------------------------------------------


def optimal(entry: Entry, loss: Loss, given: dict[str, Fraction], eta: NDArray[np.float64]) -> bool:
    """The property: the closed form's score has the least risk that a search finds, at the eta given."""
    found = conditional_risk(loss, eta, entry.minimiser_at(eta, **given))
    least = binary_minimiser(loss, eta).value
    return bool((np.abs(found - least) <= SEARCHED * np.maximum(1.0, np.abs(least))).all())


@pytest.mark.parametrize("name", MINIMISED)
def test_closed_minimisers_have_the_least_risk(name: str) -> None:
    entry, rng = catalogue.entry(name), np.random.default_rng(11)
    for given in ({}, drawn(entry, rng)):
        eta = rng.uniform(0.03, 0.97, 12)
        assert optimal(entry, entry.build(**given), given, eta)
        wrong = replace(entry, link=None, minimiser="-3 / 10 - sqrt(eta)")
        assert not optimal(wrong, entry.build(**given), given, eta)


@pytest.mark.parametrize("name", CLOSED)
def test_closed_calibration_functions_are_those_of_the_search(name: str) -> None:
    entry, rng = catalogue.entry(name), np.random.default_rng(12)
    slack = FAR if name in SLOWLY_TO_INFINITY else SEARCHED
    for given in ({}, drawn(entry, rng)):
        loss, theta = entry.build(**given), rng.uniform(0.05, 0.95, 12)
        gap = binary_minimiser(loss, (1 + theta) / 2).gap
        size = slack * np.maximum(1.0, float(abs(loss.phi_plus(0.0))))
        assert (np.abs(entry.gap_at(theta, **given) - gap) <= size).all()
        nodes = np.linspace(0, 1, 401)[[20, 77, 150, 301, 380]]  # where the hull of theory.psi is exact
        hull = psi(loss, nodes)
        assert (np.abs(entry.psi_at(nodes, **given) - hull) <= size).all()
        if entry.psi != "0" and gap.max() > 0.01:
            assert (np.abs(1.1 * entry.gap_at(theta, **given) - gap) > size).any()


def test_closed_forms_know_their_limits() -> None:
    logistic = catalogue.entry("logistic")
    with pytest.raises(ValueError, match=r"\Aeta=1.0 must lie strictly between 0 and 1[^\n]*\Z"):
        logistic.minimiser_at(1.0)
    with pytest.raises(ValueError, match=r"\Atheta=-0.1 must lie in \[0, 1\)\Z"):
        logistic.psi_at(-0.1)
    with pytest.raises(ValueError, match=r"\Aloss 'tanh' has no closed form of its minimiser[^\n]*\Z"):
        catalogue.entry("tanh").minimiser_at(0.7)
    with pytest.raises(ValueError, match=r"\Aloss 'focal' has no closed form of its calibration function[^\n]*\Z"):
        catalogue.entry("focal").psi_at(0.7)
    with pytest.raises(ValueError, match=r"\Aloss 'lum' has no parameter 'b'; its parameters are: a, c\Z"):
        catalogue.entry("lum").psi_at(0.7, b=1)


# -- the page ------------------------------------------------------------------------------------------------------


def test_the_page_is_what_the_entries_and_the_run_make_it() -> None:
    script = Path(__file__).resolve().parents[2] / "docs" / "scripts" / "catalogue_table.py"
    if not script.is_file():
        pytest.skip("no docs beside these tests")
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "up to date\n", "")
