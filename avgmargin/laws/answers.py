"""What theory says of one loss for one number of classes, beside what was seen of it, and whether they go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import synthetic
import theory

from .request import Request
from .verification import seen_to_fail

LEADS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
MOST_BROKEN = 3
"""Classes up to which some named law, or a near tie, is known to break every refuted loss; beyond, that a loss was not
seen to fail on the laws somebody chose is told and is no fault."""


def answer(
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
