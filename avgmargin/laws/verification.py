"""Verdicts of theory against what `population` saw on laws whose Bayes rule is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import synthetic
import theory


def expected_failures(loss: theory.Loss) -> tuple[Fraction, Fraction] | None:
    """The range (low, high] of max(eta, 1 - eta) in which theory says a binary loss fails, or None.

    perceptron: t = 0 minimises C_eta for every eta. average-margin-released: C_eta'(0+) = 1/2 - eta + mu (1 - eta)
    is >= 0 exactly for eta <= (1 + 2 mu) / (2 + 2 mu), and then t = 0 minimises as long as t > tau does not pay.
    """
    half = Fraction(1, 2)
    if loss.name == "perceptron":
        return half, Fraction(1)
    mu = loss.parameters.get("mu")
    if loss.name == "average-margin-released" and isinstance(mu, Fraction):
        return half, (1 + 2 * mu) / (2 + 2 * mu)
    return None


def seen_to_fail(loss: theory.Loss, witness: Mapping[str, Any] | None) -> bool | None:
    """Whether the searched minimiser fails at the witness of a refutation; None without one, or out of floats' reach.

    The law is a point mass at the witness's posterior; for two classes theory writes the label +1 first.
    """
    if witness is None:
        return None
    p = [Fraction(entry) for entry in witness["p"]]
    if len(p) == 2 and abs(p[0] - p[1]) <= 2 * synthetic.POSTERIOR_TIE:
        return None
    law = synthetic.point_mass([float(entry) for entry in (reversed(p) if len(p) == 2 else p)])
    return not synthetic.bayes_agreement(loss, law, law.grid(1)).holds


def compare(records: Sequence[Mapping[str, Any]], proofs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Verdicts of theory against the records of `records.record`, one row per proof.

    A loss with a fault in its record is at odds. PROVED: it may fail on no law (one meant for another threshold a than
    1/2: exactly between the two, which is part of the record's faults). REFUTED: it must be seen to fail by the
    predicted amount, on a law or at its witness. `matches` is None where there is no verdict, or nothing was seen, to
    compare with.
    """
    rows = []
    for proof in proofs:
        name, status, classes = proof["loss"], proof["status"], proof["classes"]
        record = next((found for found in records if found["loss"] == name), None)
        answers = [] if record is None else [a for a in record["answers"] if a["classes"] == classes]
        failing = [law for answer in answers for law in answer["failing_laws"]]
        faults = [] if record is None or not answers else _faults(record, answers[0], classes)
        matches = None
        if faults:
            matches = False
        elif status == "PROVED" and answers and record is not None:
            matches = not failing or record["threshold"] != 0.5
        elif status == "REFUTED" and (failing or proof["witness_seen"]):
            matches = True
        found = {"loss": name, "classes": classes, "status": status, "matches": matches, "failing_laws": failing}
        laws = answers[0]["laws"] if answers else 0
        rows.append(found | {"laws": laws, "faults": faults, "witness_seen": proof["witness_seen"]})
    return rows


def _faults(record: Mapping[str, Any], answer: Mapping[str, Any], classes: int) -> list[str]:
    """What contradicts the prediction for so many classes; broken inequalities are a claim of their own."""
    rows = [row for row in record["checks"] if row["classes"] == classes and not row["as_predicted"]]
    found = [f"{row['law']}: measured and predicted differ" for row in rows]
    return found + ([answer["fault"]] if answer["fault"] else [])


def binary_only(loss: theory.Loss) -> theory.Loss:
    """The same loss without its multiclass form, so that theory's risk functions read scores as binary."""
    return replace(loss, multiclass=None) if loss.binary is not None or loss.pair is not None else loss
