"""Claims in words, decided by the numbers of one run and by nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from avgmargin.proving.proofs import witness_text

Rows = Sequence[Mapping[str, Any]]
READINGS = {
    "label_distance": "distance by the label's half-spaces",
    "distance": "signed distance to the boundary of the predicted class",
}
"""Two readings of the margin of a linear model, equal wherever the prediction is right (theory.margins)."""


@dataclass(frozen=True)
class Claim:
    """`holds` is True, False, or None where the run cannot tell; `text` says what was seen, with its numbers."""

    key: str
    title: str
    holds: bool | None
    text: str


def number(value: float | None, digits: int = 3) -> str:
    """A number for reading, with a real minus sign; an en dash for None.

    >>> number(1234.5678), number(0.00012345), number(None)
    ('1235', '0.000123', '–')
    """
    if value is None:
        return "–"
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    text = re.sub(r"e([+-])0*(\d)", r"e\1\2", text).replace("e+", "e")
    if "e" in text and 1e-5 <= abs(value) < 1e7:
        text = f"{value:.0f}" if abs(value) >= 1 else f"{value:.{digits + 3}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def trade_off(epochs: Rows, reading: str) -> dict[str, Any]:
    """How average and minimum training margin moved after the average's peak: numbers, and whether the claim held.

    The claim of the paper: with plain cross-entropy the average falls while the minimum rises. `holds` compares the
    last epoch with the epoch of the largest average (epochs from 1 on); `from_start` compares it with epoch 1.
    """
    trained = [row for row in epochs if row["epoch"] >= 1]
    mean, least = f"train_{reading}_mean", f"train_{reading}_min"
    if not trained:
        return {"reading": reading, "holds": None, "from_start": None}
    first, last = trained[0], trained[-1]
    peak = max(trained, key=lambda row: float(row[mean]))

    def moved(start: Mapping[str, Any]) -> bool:
        return bool(last[mean] < start[mean] and last[least] > start[least])

    points = {
        name: {"epoch": row["epoch"], "average": row[mean], "minimum": row[least]}
        for name, row in (("first", first), ("peak", peak), ("last", last))
    }
    return {"reading": reading, **points, "holds": moved(peak), "from_start": moved(first)}


def trade_off_text(found: Mapping[str, Any]) -> str:
    """What the average and the minimum did, and the verdict on the claim, from the numbers of `trade_off`."""
    if found["holds"] is None:
        return "No epoch was trained, so nothing can be said."
    first, peak, last = found["first"], found["peak"], found["last"]
    if peak["epoch"] == last["epoch"]:
        return (
            f"The average distance was still at its largest, {number(last['average'])}, at the last epoch "
            f"({last['epoch']}); the minimum went from {number(first['minimum'])} to {number(last['minimum'])}. "
            "The claim did not hold in this run: the average never fell, which may take more epochs."
        )
    fell = f"the average distance fell from {number(peak['average'])} to {number(last['average'])}"
    word = "rose" if last["minimum"] > peak["minimum"] else "did not rise: it went"
    least = f"the minimum {word} from {number(peak['minimum'])} to {number(last['minimum'])}"
    when = f"Between epoch {peak['epoch']}, where the average is largest, and epoch {last['epoch']}"
    verdict = "The claim held in this run" if found["holds"] else "The claim did not hold in this run"
    also = ""
    if found["holds"] and peak["epoch"] > first["epoch"]:
        start = f"epoch 1 (average {number(first['average'])}, minimum {number(first['minimum'])})"
        also = f" Measured from {start} it {'held too' if found['from_start'] else 'did not hold'}."
    return f"{when}, {fell} and {least}. {verdict}.{also}"


def claims(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The claims of a report, as plain JSON values."""
    made = [
        _target(report["proofs"]),
        _released(report["proofs"], report["curves"]["sticking_limit"]),
        _certificates(report["proofs"]),
        _synthetic(report["synthetic"]),
        _inequality(report["synthetic"]["losses"]),
        _trade_off(report["training"]),
        _larger_average(report["training"]),
    ]
    return [asdict(claim) for claim in made if claim is not None]


def _find(proofs: Rows, name: str, classes: int = 2) -> Mapping[str, Any] | None:
    return next((row for row in proofs if row["loss"] == name and row["classes"] == classes), None)


def _three(proofs: Rows, name: str) -> str:
    """A sentence on the same loss for three classes, or nothing where it was not tried."""
    row = _find(proofs, name, 3)
    if row is None:
        return ""
    if row["status"] == "UNDECIDED" or not _verified(row):
        return " For three classes: undecided in this run."
    if row["status"] == "PROVED":
        return f" For three classes: proved ({row['tier']})."
    return f" For three classes: refuted ({row['tier']}) by {witness_text(row['witness'])}."


def _name(row: Mapping[str, Any]) -> str:
    return str(row["loss"]) if row["classes"] == 2 else f"{row['loss']} ({row['classes']} classes)"


def _verified(row: Mapping[str, Any]) -> bool:
    return bool(row["check"] and row["check"]["valid"])


def _target(proofs: Rows) -> Claim | None:
    row = _find(proofs, "average-margin")
    if row is None:
        return None
    title = "The paper's loss, cross-entropy + μ clip(τ − margin, 0, τ), is Fisher consistent for two classes"
    if row["status"] == "UNDECIDED" or not _verified(row):
        return Claim("target", title, None, f"Undecided in this run: {row['advice'] or 'no verified certificate'}.")
    if row["status"] == "REFUTED":
        return Claim("target", title, False, f"Refuted: {row['scope']}.")
    gap = f", with a gap of at least {number(row['gap'])} where {row['gap_region']}" if row["gap"] is not None else ""
    text = f"{row['label']}: proved ({row['tier']}) for {row['scope']}{gap}.{_three(proofs, row['loss'])}"
    return Claim("target", title, True, text)


def _released(proofs: Rows, limit: Mapping[str, Any]) -> Claim | None:
    row = _find(proofs, "average-margin-released")
    if row is None:
        return None
    title = "The released code's loss, cross-entropy + μ clip(−margin, 0, τ), is another function and is not consistent"
    if row["status"] == "UNDECIDED" or not _verified(row):
        return Claim("released", title, None, f"Undecided in this run: {row['advice'] or 'no verified certificate'}.")
    if row["status"] == "PROVED":
        return Claim("released", title, False, f"The loss was proved consistent here: {row['scope']}.")
    witness = witness_text(row["witness"])
    text = (
        f"{row['label']}: refuted ({row['tier']}) by the exact witness {witness}, where that wrong score is optimal."
        f"{_three(proofs, row['loss'])} In floats (searched, no proof) the binary score sticks at 0 for every η in "
        f"(1/2, {number(limit['searched'], 6)}]; the formula (1 + 2μ)/(2 + 2μ) gives {limit['formula']} = "
        f"{number(limit['value'], 6)}."
    )
    return Claim("released", title, True, text)


def _certificates(proofs: Rows) -> Claim:
    held = [row for row in proofs if row["certificate"] is not None]
    good = [row for row in held if _verified(row)]
    bare = [_name(row) for row in proofs if row["certificate"] is None]
    text = f"{len(good)} of {len(held)} certificates were verified by a separate process from the file alone."
    if bare:
        text += f" Without a certificate, hence undecided: {', '.join(bare)}."
    if bad := [_name(row) for row in held if not _verified(row)]:
        text += f" Refused: {', '.join(bad)}."
    return Claim("certificates", "Every certificate verifies independently", len(good) == len(held), text)


def _synthetic(synthetic: Mapping[str, Any]) -> Claim:
    rows = [row for row in synthetic["comparison"] if row["status"] != "UNDECIDED"]
    good = [row for row in rows if row["matches"]]
    bad = [_name(row) for row in rows if row["matches"] is False]
    unseen = [_name(row) for row in rows if row["matches"] is None]
    seen = sum(len(row["failing_laws"]) for row in rows)
    text = (
        f"On {len(synthetic['laws'])} laws the searched minimisers agree with {len(good)} of {len(rows)} verdicts. To "
        "agree, a proved loss must follow the Bayes rule on every law with as many classes; a refuted one must be seen "
        "to fail, on a law or at its witness; and on every law what it fails on, and the excess risk there, must be "
        "what its failing posteriors predict, as far as independent labelled draws can tell (five standard errors). "
        f"Failures as predicted: {seen} pairs of loss and law. This is float evidence, not a proof."
    )
    broken = [law["law"] for law in synthetic["laws"] if not law["labels_hold"]]
    if broken:
        text += f" Drawn labels disagree with the posterior of: {', '.join(broken)}."
    if bad:
        text += f" At odds with their verdict: {', '.join(bad)}."
    if unseen:
        text += f" Refuted, but not seen to fail in floats: {', '.join(unseen)}."
    holds = False if bad or broken else None if unseen else True
    return Claim("synthetic", "On laws with a known Bayes rule, losses behave as their verdicts say", holds, text)


def _inequality(records: Rows) -> Claim:
    rows = [row for found in records for row in found["inequality"]]
    tried, broken = sum(row["classifiers"] for row in rows), sum(row["violations"] for row in rows)
    sure = sum(row["classifiers"] for row in rows if row["psi"] == "certified")
    empty = sum(row["classifiers"] for row in rows if row["largest_bound"] <= 0)
    none = [
        f"{found['loss']} ({psi['classes']} classes)"
        for found in records
        for psi in found["psi"]
        if psi["kind"] == "none"
    ]
    text = (
        f"ψ(R − R*) ≤ Rφ − Rφ* was tried {tried:,} times (loss, law and random classifier) and broken {broken:,} "
        f"times. In {sure:,} of them ψ is a certified lower bound, in the others it is searched in floats, which "
        f"proves nothing; in {empty:,} the bound is 0 for every classifier tried, so that nothing was promised."
    )
    if none:
        text += f" No ψ was certified for {', '.join(none)}."
    return Claim(
        "inequality", "The excess-risk inequality holds on random classifiers", all(row["holds"] for row in rows), text
    )


def _run(training: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return next((run for run in training["runs"] if run["name"] == name and run["status"] == "done"), None)


def _trade_off(training: Mapping[str, Any]) -> Claim:
    title = "Paper: with plain cross-entropy the average margin of a linear model falls while the minimum rises"
    found = training["trade_off"]
    if found is None:
        return Claim("trade-off", title, None, "The run with plain cross-entropy did not finish.")
    main = found["label_distance"]
    other = {True: "agrees", False: "does not agree"}[found["distance"]["holds"] == main["holds"]]
    text = f"{trade_off_text(main)} The other reading of the margin ({READINGS['distance']}) {other}."
    return Claim("trade-off", title, main["holds"], text)


def _larger_average(training: Mapping[str, Any]) -> Claim:
    title = "Training a linear model with the paper's loss ends with a larger average margin than plain cross-entropy"
    plain, ours = _run(training, "linear-ce"), _run(training, "linear-average-margin")
    if plain is None or ours is None:
        return Claim("average", title, None, "One of the two runs did not finish.")
    a, b = plain["epochs"][-1], ours["epochs"][-1]
    mean, least = "train_label_distance_mean", "train_label_distance_min"
    text = (
        f"After {b['epoch']} epochs the average training distance is {number(b[mean])} against {number(a[mean])}, the "
        f"minimum {number(b[least])} against {number(a[least])}, test accuracy {100 * b['test_accuracy']:.1f} % "
        f"against {100 * a['test_accuracy']:.1f} % (one seed)."
    )
    return Claim("average", title, bool(b[mean] > a[mean]), text)
