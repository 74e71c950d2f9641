"""Losses against laws: where minimisers fail, by how much, and whether that is what was predicted and claimed.

The one definition of these checks: `avgmargin synthetic` runs them on what was asked for, `reproduce` on its losses.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

import synthetic
import theory
from avgmargin.common.environment import why_unfit
from avgmargin.common.errors import UserError
from avgmargin.common.processes import one_thread_each
from avgmargin.proving.resolve import LossRequest, label, read_calls, read_law, read_parameters, resolve

from .inequalities import Prepared, inequalities, prepare

LawRequest = tuple[str, dict[str, float | list[float]]]


@dataclass(frozen=True)
class Size:
    """How hard to look: labelled draws and points of the rule per law; points and classifiers of the inequality; knots
    and boxes of a certified psi for two classes, and for several."""

    draws: int
    points: int
    few: int
    classifiers: int
    psi: tuple[int, int]
    psi_of_several: tuple[int, int]


SIZES = {
    "tiny": Size(3_000, 2_000, 30, 8, (5, 50_000), (2, 100)),
    "quick": Size(20_000, 90_000, 96, 24, (5, 50_000), (2, 400)),
    "full": Size(200_000, 360_000, 1_500, 100, (65, 500_000), (5, 100_000)),
}

FEW = 3
"""Up to this many losses one process is faster than two."""


@dataclass(frozen=True)
class Request:
    """Which losses on which laws, how hard to look (`scale`), and whether every loss is proved first (`prove`).

    `thorough`: the searched failing posteriors of two classes are compared with theory's certified ones, and psi of
    several classes is certified for losses that are not piecewise linear too, which takes seconds each.
    """

    losses: tuple[LossRequest, ...]
    laws: tuple[LawRequest, ...]
    scale: str = "quick"
    seed: int = 0
    prove: bool = False
    thorough: bool = False

    def __post_init__(self) -> None:
        if self.scale not in SIZES:
            raise UserError(f"scale {self.scale!r} must be {' or '.join(('quick', 'full'))}")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"seed={self.seed} must lie in 0..2^63 - 1")


def read(
    losses: Sequence[str],
    more: str | None,
    laws: str | None,
    scale: str,
    seed: int,
    prove: bool,
    dimension: int | None = None,
) -> Request:
    """What was typed, checked: every loss and every law is built once. The whole catalogue and all laws by default.

    With `dimension`, only the laws of X in R^dimension; UserError where none of them is.
    """
    asked = [LossRequest(text) for text in losses]
    asked += (
        [LossRequest(name, parameters=read_parameters(pairs)) for name, pairs in read_calls(more)]
        if more is not None
        else []
    )
    thorough = bool(asked) or scale == "full"
    if not asked:
        asked = [LossRequest(name) for name in theory.catalogue.names()]
    chosen = (
        [read_law(name, pairs) for name, pairs in read_calls(laws)]
        if laws is not None
        else [(name, {}) for name in synthetic.laws.names()]
    )
    for loss in asked:
        resolve(loss)
    made = [(request, synthetic.laws.get(request[0], **request[1])) for request in chosen]
    if dimension is not None:
        known = sorted({law.dimension for _, law in made})
        chosen = [request for request, law in made if law.dimension == dimension]
        if not chosen:
            raise UserError(f"dimension={dimension} must be that of a law asked for: {', '.join(map(str, known))}")
    return Request(tuple(asked), tuple(chosen), scale, seed, prove, thorough)


def describe_laws(request: Request) -> list[dict[str, Any]]:
    """Name, what it is, classes, dimension, Bayes risk with its error, and a check of labels against posterior."""
    found = []
    for index, (name, values) in enumerate(request.laws):
        law, rng = synthetic.laws.get(name, **values), np.random.default_rng([request.seed, index, 1])
        sampled = synthetic.posterior_agreement(law, SIZES[request.scale].draws, rng)
        risk = sampled.bayes_risk
        found.append(
            {
                "law": law.name,
                "title": synthetic.laws.entry(name).title,
                "classes": law.classes,
                "dimension": law.dimension,
                "bayes_risk": {"value": risk.value, "error": risk.error, "kind": risk.kind, "method": risk.method},
                "labels_hold": sampled.holds,
                "draws": sampled.n,
                "worst_standard_errors": sampled.worst,
                "allowed_standard_errors": sampled.threshold,
            }
        )
    return found


def run(request: Request, jobs: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Every check, as plain JSON values. The same request gives the same numbers, whatever `jobs`.

    `jobs` worker processes; 0 chooses. UserError below 0.
    """
    if jobs < 0:
        raise UserError(f"jobs={jobs} must be at least 1, or 0 for the default")
    tell(f"{len(request.laws)} laws")
    workers = jobs or (1 if len(request.losses) <= FEW else min(2, os.cpu_count() or 1))
    records = []
    with _records(request, workers) as found:
        laws = describe_laws(request)
        for done, record in enumerate(found, start=1):
            tell(f"{done}/{len(request.losses)} {record['loss']}")
            records.append(record)
    broken = [law["law"] for law in laws if not law["labels_hold"]]
    faults = [f"{record['loss']}: {fault}" for record in records for fault in record["faults"]]
    faults += [f"law {name}: drawn labels disagree with the posterior" for name in broken]
    return {"scale": request.scale, "seed": request.seed, "laws": laws, "losses": records, "faults": faults}


@contextmanager
def _records(request: Request, workers: int) -> Iterator[Iterator[dict[str, Any]]]:
    """The records of all losses in order, as they become ready; with workers they are under way from the start."""
    order = range(len(request.losses))
    if workers == 1:
        yield (record(request, index) for index in order)
        return
    context = multiprocessing.get_context("spawn")
    with (
        one_thread_each(),
        ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(request,)) as pool,
    ):
        try:
            yield pool.map(_one, order)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_request: Request


def _start(request: Request) -> None:
    """In a worker: what `_one` is asked about; the laws are drawn at once."""
    global _request
    _request = request
    _prepared(request)


def _one(index: int) -> dict[str, Any]:
    return record(_request, index)


_held: dict[str, Prepared] = {}


def _prepared(request: Request) -> Prepared:
    """Points, draws and classifiers of the laws, kept for the next loss of this process; the last ones only."""
    key = json.dumps([request.laws, request.scale, request.seed])
    if key not in _held:
        _held.clear()
        made = [synthetic.laws.get(name, **values) for name, values in request.laws]
        size = SIZES[request.scale]
        _held[key] = prepare(made, size.draws, size.points, size.few, size.classifiers, request.seed)
    return _held[key]


def record(request: Request, index: int) -> dict[str, Any]:
    """One loss on every law, as plain JSON values; it depends on the loss, not on its place in the request."""
    asked, known = request.losses[index], _prepared(request)
    loss = resolve(asked)
    entry = theory.catalogue.entry(asked.loss) if asked.loss and theory.catalogue.known(asked.loss) else None
    values = dict(asked.parameters)
    threshold = Fraction(1, 2) if entry is None else entry.threshold_at(**values)
    populations = [p for p in known.populations if _has_form(loss, entry, p.law.classes)]
    rng = np.random.default_rng([request.seed, zlib.crc32(label(loss).encode()), 2])
    decided = {c: synthetic.decisions(loss, c, rng) for c in sorted({p.law.classes for p in populations})}
    for c, each in decided.items():
        each.prepare([p.grid_posterior for p in populations if p.law.classes == c and p.cells])
    checks = [_row(synthetic.check(loss, p, decided[p.law.classes]), p) for p in populations]
    answers = [_answer(request, loss, entry, values, c, decided[c], checks, float(threshold)) for c in sorted(decided)]
    psi = {c: _psi(request, loss, each, threshold) for c, each in sorted(decided.items())}
    broken = inequalities(loss, known, decided, psi)
    faults = [f"{row['law']}: measured and predicted differ" for row in checks if not row["as_predicted"]]
    faults += [
        f"{row['law']}: {row['violations']} of {row['classifiers']} classifiers break the excess-risk inequality, "
        f"least C(f) - inf C met {row['pointwise_residual']:.2g}"
        for row in broken
        if not row["holds"]
    ]
    faults += [f"{row['classes']} classes: {row['fault']}" for row in answers if row["fault"]]
    return {
        "loss": loss.name,
        "label": label(loss),
        "threshold": float(threshold),
        "answers": answers,
        "checks": checks,
        "psi": [_psi_row(each) for each in psi.values()],
        "inequality": broken,
        "faults": faults,
    }


MOST_CERTIFIED = 4
"""Classes for which theory is asked for a psi: beyond, its search spends the whole budget and ends with the bound 0."""


def _psi(
    request: Request, loss: theory.Loss, decided: synthetic.Decisions, threshold: Fraction
) -> synthetic.ExcessBound:
    """The certified psi where the budget of the scale reaches one, in an environment fit for proofs."""
    size, classes = SIZES[request.scale], decided.classes
    binary = classes == 2 and synthetic.is_binary(loss)
    knots, boxes = size.psi if binary else size.psi_of_several
    why = why_unfit()
    if why is None and not (binary or decided.vertices is not None or request.thorough):
        why = "psi of several classes was certified for piecewise linear losses only; name the loss, or --scale full"
    if why is None and classes > MOST_CERTIFIED:
        why = f"no psi of more than {MOST_CERTIFIED} classes is reached within the budget of this check"
    return synthetic.excess_bound(
        loss, classes=classes, threshold=threshold if binary else Fraction(1, 2), points=knots, boxes=boxes, spare=why
    )


def _psi_row(psi: synthetic.ExcessBound) -> dict[str, Any]:
    theta = np.linspace(0.0, psi.span, 41)
    rows = np.stack([theta, psi.values(theta)], axis=1).tolist()
    return {"classes": psi.classes, "kind": psi.kind, "top": psi.top, "method": psi.method, "rows": rows}


def _has_form(loss: theory.Loss, entry: Any, classes: int) -> bool:
    if entry is not None and entry.only and classes not in entry.only:
        return False
    if any(isinstance(value, tuple) and len(value) != classes for value in loss.parameters.values()):
        return False
    return loss.multiclass is not None or (classes == 2 and synthetic.is_binary(loss))


def _row(found: synthetic.Check, population: synthetic.Population) -> dict[str, Any]:
    return {
        "law": found.law,
        "classes": found.classes,
        "fails": found.fails,
        "words": found.words,
        "as_predicted": found.as_predicted,
        "distance": found.distance if np.isfinite(found.distance) else None,
        "disagreement": {"predicted": _estimate(found.mass), "measured": _estimate(found.measured_mass)},
        "excess_risk": {"predicted": _estimate(found.excess), "measured": _estimate(found.measured_excess)},
        "tied": found.tied,
        "faces": population.cells and bool((population.grid_posterior == 0.0).any()),
        "worst_posterior": None if found.worst_posterior is None else list(found.worst_posterior),
        "points": found.points,
        "draws": found.draws,
        "method": found.method,
    }


def _estimate(estimate: synthetic.Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "error": estimate.error, "kind": estimate.kind}


def _answer(
    request: Request,
    loss: theory.Loss,
    entry: Any,
    values: dict[str, str],
    classes: int,
    decided: synthetic.Decisions,
    checks: Sequence[dict[str, Any]],
    threshold: float,
) -> dict[str, Any]:
    """What theory says of the loss for so many classes, what was seen, and a fault where they do not go together."""
    claim = None if entry is None else entry.claim(classes, **values)
    status = None if claim is None else ("inconsistent" if not claim.consistent else "consistent")
    witness, verdict, certified = None, None, None
    if (request.prove or request.thorough) and decided.region is not None:
        certified = theory.failing_region(loss)
    if request.prove:
        from .verification import seen_to_fail

        proof = theory.prove(loss, classes=None if classes == 2 and synthetic.is_binary(loss) else classes)
        verdict = proof.status.value
        status = {"PROVED": "consistent", "REFUTED": "inconsistent"}.get(verdict, status)
        witness = seen_to_fail(loss, proof.witness)
    rows = [row for row in checks if row["classes"] == classes]
    failing = [row["law"] for row in rows if row["fails"]]
    region = decided.region
    fault, beside = None, None
    if decided.spot_failures:
        fault = f"{decided.spot_failures} posteriors off the grid contradict the failing set that was searched"
    elif region is not None and certified is not None and (off := contradictions(region, certified)):
        fault = f"the searched failing posteriors contradict the certified ones at eta = {off[0]:.6g}"
    elif classes == 2 and threshold != 0.5:
        wanted = ((min(threshold, 0.5), max(threshold, 0.5)),)
        if region is None or not np.allclose(region.intervals, wanted, rtol=0.0, atol=2.0 * region.tolerance):
            fault = f"the 0-1 decision must fail exactly between {threshold:g} and 1/2"
    elif status == "consistent" and failing:
        fault = f"said to be consistent, fails on {', '.join(failing)}"
    elif claim is not None and claim.interior and verdict is None:
        fault = _off_faces(rows)
    elif status == "inconsistent" and not (failing or witness or (region is not None and region.intervals)):
        beside = None if region is not None else _fails_at_near_ties(loss, classes)
        if not beside and classes <= MOST_BROKEN:
            fault = "said to be inconsistent, but nothing here was seen to fail"
    return {
        "classes": classes,
        "claim": None if claim is None else str(claim),
        "verdict": verdict,
        "witness_seen": witness,
        "region": None if region is None else [list(interval) for interval in region.intervals],
        "certified_region": None if certified is None else certified.summary(),
        "failing_laws": failing,
        "fails_beside": beside,
        "no_mass": [row["law"] for row in rows if not row["fails"]] if region is not None and region.intervals else [],
        "laws": len(rows),
        "method": decided.method,
        "fault": fault,
    }


LEADS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
MOST_BROKEN = 3
"""Classes up to which some named law, or a near tie, is known to break every refuted loss; beyond, that a loss was not
seen to fail on the laws somebody chose is told and is no fault."""


def _fails_at_near_ties(loss: theory.Loss, classes: int) -> bool:
    """Whether the loss fails where the likeliest of so many classes leads by little, on whatever laws it does not."""
    law = synthetic.near_ties(LEADS, classes)
    return not synthetic.bayes_agreement(loss, law, law.grid(1)).holds


def contradictions(region: synthetic.SearchedRegion, certified: theory.FailingRegion) -> list[float]:
    """Posteriors that theory certified as failing (consistent) and the search did not find to fail (to be right).

    Tried: the middle of every certified interval and its ends moved inside by the search's tolerance.
    """
    found = []
    for kind, fails in (("failing", True), ("consistent", False)):
        for low, high in certified.intervals(kind):
            step = 2.0 * region.tolerance + synthetic.POSTERIOR_TIE
            inside = [float(low) + step, 0.5 * float(low + high), float(high) - step]
            eta = np.array([e for e in inside if float(low) < e < float(high)])
            found.extend(eta[region.holds(eta) != fails].tolist())
    return found


UNSEEN = 1e-6
"""The gap of a loss that fails on faces only is of the order of the least probability times the square of the lead of
the likeliest class; below this, times a constant, a float search cannot tell it from 0 (1e-9 of the risk)."""


def _off_faces(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """A loss said to fail only where some class is impossible: a fault where it fails elsewhere, or not there."""
    for row in rows:
        worst = row["worst_posterior"]
        if not row["fails"] or worst is None:
            continue
        least, *_, second, best = sorted(worst)
        if least * (best - second) ** 2 > UNSEEN:
            return f"said to fail only where some p_k = 0, fails on {row['law']}"
    if any(row["faces"] for row in rows) and not any(row["fails"] for row in rows if row["faces"]):
        return "said to fail where some p_k = 0, but nothing was seen to fail there"
    return None
