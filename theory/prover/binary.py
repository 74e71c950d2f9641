"""The binary prover: float search proposes, the checker's rules dispose, and a certificate records what held.

Nothing here needs to be trusted: every box is accepted by a rule of `theory.checker.binary_rules`, and the
certificate is verified again, from its JSON form, before a verdict is given.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from flint import ctx

from theory.checker import FORMAT, PRECISION, VERSION, check
from theory.checker.binary_rules import Problem
from theory.expression import substitute
from theory.expression.enclosure import enclose
from theory.expression.interval import INF, NEG_INF, Interval, Undefined
from theory.expression.nodes import Const
from theory.losses import Loss
from theory.verdict import Status, Tier, Verdict

from .binary_covers import GAP_THETA, Failed, cover_right, cover_side, real_ends
from .binary_search import breakpoints as breakpoints
from .binary_search import float_failures, unbounded, witness_order, wrong_scores
from .budget import Budget, OutOfBudget

_HALF, _ZERO = Fraction(1, 2), Fraction(0)
_REAL = "a loss must be real on its whole domain"


def prove_binary(loss: Loss, *, threshold: Fraction = _HALF, boxes: int = 20_000, seconds: float = 60.0) -> Verdict:
    """Prove or refute that a binary loss is Fisher consistent, for every posterior eta != threshold.

    Consistent means: for every eta, inf of C_eta over the wrong scores (0 included) is above
    inf of C_eta. PROVED and REFUTED come with a certificate that `theory.check` has verified.
    """
    problem = problem_of(loss, threshold)
    budget = Budget(boxes, seconds)
    with ctx.workprec(PRECISION):
        if (reason := unbounded(problem)) is not None:
            return _undecided(loss, f"no verdict: {reason}; bound the scores, as in domain bounded:2")
        sides = [problem] if problem.phi is not None else [problem, problem.mirrored()]
        failures: list[list[Fraction]] | None = None
        try:
            header = _header(loss, threshold) | real_ends(problem, budget)
            failures = [float_failures(side) for side in sides]
            refuted = _refute_sides(sides, failures, budget)
            if refuted is not None:
                return _refuted(loss, header, *refuted)
            covers = [cover_side(side, budget) for side in sides]
        except OutOfBudget:
            return _undecided(
                loss, f"out of budget after {budget.spent} boxes; raise boxes={boxes} or seconds={seconds:g}"
            )
        except Failed as failure:
            return _undecided(loss, _advice(failures, failure))
    certificate = header | {"claim": "consistent", "sides": [cover for cover, _ in covers]}
    if not (result := check(certificate)).valid:
        return _undecided(loss, f"the certificate was refused: {result.reason}")
    gaps = [gap for _, gap in covers]
    gap = None if any(g is None for g in gaps) else float(min(g for g in gaps if g is not None))
    scope = f"every posterior eta in [0, 1] except the tie eta = {threshold}; {loss.domain.words}"
    region = None if gap is None else _gap_region(threshold, one_sided=len(sides) == 1 and threshold != _HALF)
    return Verdict(loss.name, Status.PROVED, Tier.CERTIFIED, scope, gap, region, certificate=certificate)


def _advice(failures: list[list[Fraction]] | None, failure: Failed) -> str:
    if failures is None:
        return f"no verdict: the loss is not shown to be a real number everywhere: {failure}"
    seen = f"floats show no gap near eta = {_near(failures)}" if any(failures) else "floats show a gap everywhere"
    return f"{seen}, but neither a proof nor a counterexample closes: {failure}"


def _gap_region(threshold: Fraction, one_sided: bool) -> str:
    """Where the stated gap holds, in words."""
    high = threshold + (1 - threshold) * GAP_THETA
    return f"eta >= {high}" if one_sided else f"eta >= {high} or eta <= {threshold * (1 - GAP_THETA)}"


# -- setting up ---------------------------------------------------------------------------------------


def problem_of(loss: Loss, threshold: Fraction) -> Problem:
    """The binary question of a loss; ValueError where it certainly is no number, or the threshold is not in (0, 1)."""
    if not 0 < threshold < 1:
        raise ValueError(f"threshold={threshold} must lie strictly between 0 and 1")
    plus, minus = loss.pair_trees
    check_real(loss)
    assert loss.pair_form is not None
    values = {name: Const(value) for name, value in loss.parameters.items() if isinstance(value, Fraction)}
    written = (substitute(loss.pair_form[0], values), substitute(loss.pair_form[1], values))
    problem = Problem(plus, minus, threshold, loss.domain.bound, written)
    for score in {_ZERO, *breakpoints(problem)}:
        for tree in written:
            try:
                found = enclose(tree, {"v": Interval.point(score)}).range
            except Undefined:
                found = Interval(NEG_INF, INF)
            if not (found.lo > NEG_INF and found.hi < INF) and abs(score) <= problem.limit:
                raise ValueError(f"loss {loss.name!r} is not a real number at score {score}; {_REAL}")
    return problem


def check_real(loss: Loss) -> None:
    """ValueError when a binary loss is not a number somewhere on a float grid of its domain."""
    limit = 100.0 if loss.domain.bound is None else float(loss.domain.bound)
    grid = np.concatenate(
        [np.linspace(-limit, limit, 401), np.geomspace(1e-6, limit, 100), -np.geomspace(1e-6, limit, 100)]
    )
    for values in (loss.phi_plus(grid), loss.phi_minus(grid)):
        if (bad := np.isnan(values)).any():
            raise ValueError(f"loss {loss.name!r} is not a real number at score {grid[bad][0]:g}; {_REAL}")


def _header(loss: Loss, threshold: Fraction) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "loss": loss.to_dict(), "threshold": str(threshold)}


def _undecided(loss: Loss, advice: str) -> Verdict:
    return Verdict(loss.name, Status.UNDECIDED, Tier.SEARCHED, loss.domain.words, advice=advice)


def _near(failures: list[list[Fraction]]) -> str:
    """The first failure in the coordinates of the loss."""
    etas = [eta if i == 0 else 1 - eta for i, side in enumerate(failures) for eta in side]
    return f"{float(etas[0]):.6g}"


# -- refutation -------------------------------------------------------------------------------------------


def _refute_sides(
    sides: list[Problem], failures: list[list[Fraction]], budget: Budget
) -> tuple[str, dict[str, Any], Fraction, Fraction | float, float] | None:
    """The first certified counterexample on either side of the threshold."""
    for name, side, etas in zip(("above", "below"), sides, failures, strict=False):
        if etas and (found := _refute(side, etas, budget)) is not None:
            return name, *found
    return None


def _refute(
    problem: Problem, etas: list[Fraction], budget: Budget
) -> tuple[dict[str, Any], Fraction, Fraction | float, float] | None:
    """A certified counterexample: certificate entries, eta, wrong score, gap; None when none was certified."""
    for eta in witness_order(problem, etas):
        scores, gap = wrong_scores(problem, eta)
        for wrong in scores:
            try:
                entries = cover_right(problem, eta, wrong, gap, budget)
            except (Failed, Undefined):
                continue
            return {"eta": str(eta), "wrong": str(wrong), **entries}, eta, wrong, float(Fraction(entries["gap"]))
    return None


def _refuted(
    loss: Loss,
    header: dict[str, Any],
    side: str,
    entries: dict[str, Any],
    eta: Fraction,
    wrong: Fraction | float,
    gap: float,
) -> Verdict:
    certificate = header | {"claim": "inconsistent", "side": side} | entries
    if not (result := check(certificate)).valid:
        return _undecided(loss, f"the certificate was refused: {result.reason}")
    if side == "below":
        eta, wrong = 1 - eta, -wrong
    witness = {
        "eta": str(eta),
        "p": [str(eta), str(1 - eta)],
        "score": str(wrong),
        "at": "limit" if isinstance(wrong, float) else "attained",
    }
    scope = f"refuted at eta = {eta}: the wrong score {wrong} is optimal; {loss.domain.words}"
    return Verdict(loss.name, Status.REFUTED, Tier.CERTIFIED, scope, gap, "at the witness", witness, certificate)
