"""The paper's four claims, judged from condensed runs by stated rules; each `as published` and `honest`.

Works on plain JSON values (`condensed.condense`): nothing here trains, measures or knows the command line.

(a) through plain training the average margin falls and the minimum margin rises;
(b) the penalty raises the average margin;  (c) it raises robustness;  (d) accuracy is kept.
Runs are compared, in (b) to (d), once both have come to their end; until then the word is `under way`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .tables import final_parts

__all__ = [
    "RULES",
    "Answer",
    "Number",
    "accuracy",
    "compare_shares",
    "families",
    "judge",
    "margin_through",
    "mean_margin",
    "robustness",
    "share_of",
]

_ERRORS = 2.0  # standard errors that a difference must exceed: a chance of about 5% for noise alone
_LATE = 20  # last epochs, from which the noise of a curve is read
RULES = {
    "a": (
        "From epoch 1 to the last epoch measured. The average falls (rises) where its change is below (above) zero by "
        f"more than {_ERRORS:g} standard errors; on a curve of every epoch the error is the standard deviation over "
        f"its last {_LATE} points, on sampled images that of the two means. The minimum rises where it is higher at "
        "the end. The claim holds where the average falls and the minimum rises, and fails where one of them does the "
        "opposite."
    ),
    "b": (
        "Difference of the mean margins of the two runs (misclassified images count negative), over its standard "
        f"error: across seeds where there are at least two of each, else across images. It holds above {_ERRORS:g}, "
        f"fails below -{_ERRORS:g}, and is undecided between."
    ),
    "c": (
        "Difference of the robust accuracies at each eps over its standard error (across seeds where there are at "
        f"least two of each, else binomial, on the images attacked). It holds where it exceeds {_ERRORS:g} at one eps "
        f"and falls below -{_ERRORS:g} at none, fails the other way round, is mixed where both occur, and undecided "
        "where neither does."
    ),
    "d": (
        "Difference of the test accuracies over its standard error (as in c). Accuracy is kept where it is not below "
        f"-{_ERRORS:g}."
    ),
}
Run = Mapping[str, Any]


@dataclass(frozen=True)
class Number:
    """A value with its standard error, None where there is no way to tell it, and what it is."""

    value: float
    error: float | None
    kind: str


@dataclass(frozen=True)
class Answer:
    """One verdict: the claim's letter, what it is about, `as published` or `honest`, the word, and the numbers."""

    claim: str
    about: str
    reading: str
    verdict: str
    quantity: str
    numbers: Mapping[str, Any]


def families(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """The families of the presets that have runs, as in mnist-lr, in order; `runs` maps a preset to its seeds."""
    return list(dict.fromkeys(name.rsplit("-", 1)[0] for name in runs))


def judge(runs: Mapping[str, Sequence[Run]], family: str) -> list[Answer]:
    """Every verdict on a family; `not run`, or `not measured`, where something is missing."""
    plain = runs.get(f"{family}-plain", ())
    answers = [_through(plain, family, reading) for reading in ("as published", "honest")]
    for other in ("constraint", "reg"):
        theirs = runs.get(f"{family}-{other}", ())
        about = f"{family}-{other} against {family}-plain"
        for reading in ("as published", "honest"):
            answers.append(_compare_means(plain, theirs, about, reading))
            answers.append(_compare_robustness(plain, theirs, about, reading))
        answers.append(_compare_accuracy(plain, theirs, about))
    return sorted(answers, key=lambda answer: answer.claim)


# -- readings of one run ----------------------------------------------------------------------------------------------


def mean_margin(run: Run, reading: str) -> Number | None:
    """The mean margin at the end, on test images, signed; None where it was not measured.

    Of a linear model both readings are exact: `as published` the distance to the label's half-spaces, which is what
    reproduces the paper's curves, `honest` that to the boundary of the predicted class. Of other models the paper's
    sampled estimate, and the distance of an adversarial example, unboxed, which is an upper bound.
    """
    parts = final_parts(run)
    if run["config"]["model"] == "linear":
        part = parts.get("exact", {})
        part = part.get("label", {}) if reading == "as published" else part
    else:
        part = parts.get("estimate" if reading == "as published" else "attack-unboxed", {})
    if part.get("signed_mean") is None:
        return None
    return Number(part["signed_mean"], _error(part), part["kind"])


def robustness(run: Run, reading: str) -> dict[str, Number]:
    """Robust accuracy by eps: under the paper's own PGD, or from the minimum-norm attack, in the box; {} without."""
    parts = final_parts(run)
    if reading == "honest":
        part = parts.get("attack", {})
        shares = part.get("robust_accuracy", {})
        return {eps: share_of(share, part["images"]) for eps, share in shares.items()}
    part = parts.get("pgd-published", {})
    return {f"{row['eps']:g}": share_of(row["robust_accuracy"], part["images"]) for row in part.get("rows", [])}


def share_of(share: float, images: int) -> Number:
    """A robust accuracy under an attack on so many images, which is an upper bound, with its binomial error."""
    return Number(share, _binomial(share, images), "upper")


def accuracy(run: Run) -> Number | None:
    """Accuracy on the whole test set after the last epoch."""
    value = _end(run["curves"], "test_accuracy")
    images = final_parts(run).get("functional", {}).get("test", {}).get("images", 10_000)
    return None if value is None else Number(value, _binomial(value, images), "exact")


def margin_through(run: Run, reading: str) -> dict[str, Any] | None:
    """Average and minimum margin by epoch: `epochs`, `mean`, `minimum`, `errors`, `kind`, `on`; None without.

    Of a linear model every stored epoch, on the training images, exactly; of others the kept epochs that were measured,
    on the test images that were attacked.
    """
    if run["config"]["model"] == "linear":
        name = "train_label_distance" if reading == "as published" else "train_distance"
        curves = run["curves"]
        if not curves.get(f"{name}_mean"):
            return None
        return {
            "epochs": curves["epoch"],
            "mean": curves[f"{name}_mean"],
            "minimum": curves[f"{name}_min"],
            "errors": None,
            "kind": "exact",
            "on": "all training images",
        }
    name = "estimate" if reading == "as published" else "attack-unboxed"
    rows = [row for row in (run.get("measured") or {}).get("epochs", []) if "mean" in row["parts"].get(name, {})]
    rows = [row for row in rows if row["parts"][name]["signed_mean"] is not None and row["epoch"] is not None]
    if not rows:
        return None
    parts = [row["parts"][name] for row in rows]
    return {
        "epochs": [row["epoch"] for row in rows],
        "mean": [part["signed_mean"] for part in parts],
        "minimum": [part["minimum"] for part in parts],
        "errors": [_error(part) for part in parts],
        "kind": parts[0]["kind"],
        "on": f"{parts[0]['images']} test images",
    }


# -- verdicts ---------------------------------------------------------------------------------------------------------


def _through(runs: Sequence[Run], family: str, reading: str) -> Answer:
    about, quantity = f"{family}-plain", "average and minimum margin from epoch 1 to the last"
    if not runs:
        return Answer("a", about, reading, "not run", quantity, {})
    curve = margin_through(runs[0], reading)
    if curve is None or 1 not in curve["epochs"] or curve["epochs"][-1] <= 1:
        return Answer("a", about, reading, "not measured", quantity, {})
    first, last = curve["epochs"].index(1), len(curve["epochs"]) - 1
    change = curve["mean"][last] - curve["mean"][first]
    if curve["errors"] is None:
        late = [value for value in curve["mean"][first + 1 :][-_LATE:] if value is not None]
        error = statistics.pstdev(late) if len(late) > 1 else 0.0
    else:
        error = math.hypot(curve["errors"][first] or 0.0, curve["errors"][last] or 0.0)
    falls, rises = change < -_ERRORS * error, change > _ERRORS * error
    low, high = curve["minimum"][first], curve["minimum"][last]
    if falls and high > low:
        verdict = "holds"
    elif rises or high < low:
        verdict = "fails"
    else:
        verdict = "undecided"
    numbers = {
        "epochs": [curve["epochs"][first], curve["epochs"][last]],
        "mean": [curve["mean"][first], curve["mean"][last]],
        "error": error,
        "minimum": [low, high],
        "average": "falls" if falls else "rises" if rises else "stays",
        "least": "rises" if high > low else "falls" if high < low else "stays",
        "kind": curve["kind"],
        "on": curve["on"],
    }
    return Answer("a", about, reading, verdict, quantity, numbers)


def _compare_means(plain: Sequence[Run], theirs: Sequence[Run], about: str, reading: str) -> Answer:
    quantity = "mean margin on test images"
    if (word := _unfit(plain, theirs)) is not None:
        return Answer("b", about, reading, word, quantity, {})
    found = _difference([mean_margin(r, reading) for r in plain], [mean_margin(r, reading) for r in theirs])
    if found is None:
        return Answer("b", about, reading, "not measured", quantity, {})
    return Answer("b", about, reading, _word(found["ratio"]), quantity, found)


def _compare_robustness(plain: Sequence[Run], theirs: Sequence[Run], about: str, reading: str) -> Answer:
    quantity = "robust accuracy"
    if (word := _unfit(plain, theirs)) is not None:
        return Answer("c", about, reading, word, quantity, {})
    return compare_shares(
        [robustness(run, reading) for run in plain], [robustness(run, reading) for run in theirs], about, reading
    )


def compare_shares(
    plain: Sequence[Mapping[str, Number]], theirs: Sequence[Mapping[str, Number]], about: str, reading: str
) -> Answer:
    """Claim (c) from robust accuracies by eps, one mapping for each seed; eps that one side lacks do not count."""
    quantity = "robust accuracy"
    rows = {}
    for eps in plain[0] if plain else ():
        found = _difference([row.get(eps) for row in plain], [row.get(eps) for row in theirs])
        if found is not None:
            rows[eps] = found
    if not rows:
        return Answer("c", about, reading, "not measured", quantity, {})
    words = {_word(row["ratio"]) for row in rows.values()}
    if {"holds", "fails"} <= words:
        verdict = "mixed"
    else:
        verdict = next((word for word in ("holds", "fails") if word in words), "undecided")
    return Answer("c", about, reading, verdict, quantity, rows)


def _compare_accuracy(plain: Sequence[Run], theirs: Sequence[Run], about: str) -> Answer:
    quantity = "test accuracy"
    if (word := _unfit(plain, theirs)) is not None:
        return Answer("d", about, "honest", word, quantity, {})
    found = _difference([accuracy(run) for run in plain], [accuracy(run) for run in theirs])
    if found is None:
        return Answer("d", about, "honest", "not measured", quantity, {})
    return Answer("d", about, "honest", "fails" if _word(found["ratio"]) == "fails" else "holds", quantity, found)


def _unfit(plain: Sequence[Run], theirs: Sequence[Run]) -> str | None:
    """Why two presets cannot be compared, or None: each must have been run, to its end."""
    if not plain or not theirs:
        return "not run"
    states = {run["status"] for run in (*plain, *theirs)}
    return None if states == {"done"} else "diverged" if "diverged" in states else "under way"


def _difference(plain: Sequence[Number | None], theirs: Sequence[Number | None]) -> dict[str, Any] | None:
    """Means over seeds, their difference, its standard error and the ratio; None where not enough was measured."""
    left, right = [n for n in plain if n is not None], [n for n in theirs if n is not None]
    if not left or not right:
        return None
    means = [statistics.fmean(number.value for number in side) for side in (left, right)]
    change = means[1] - means[0]
    if len(left) > 1 and len(right) > 1:
        spreads = [statistics.stdev(number.value for number in side) for side in (left, right)]
        error = math.hypot(spreads[0] / math.sqrt(len(left)), spreads[1] / math.sqrt(len(right)))
    else:
        spreads, own = None, (left[0].error, right[0].error)
        if own[0] is None or own[1] is None:
            return None
        error = math.hypot(own[0], own[1])
    return {
        "plain": means[0],
        "other": means[1],
        "difference": change,
        "error": error,
        "ratio": change / error if error > 0.0 else math.copysign(1e9, change) if change else 0.0,
        "seeds": [len(left), len(right)],
        "spread": spreads,
        "kind": left[0].kind,
    }


def _word(ratio: float) -> str:
    return "holds" if ratio > _ERRORS else "fails" if ratio < -_ERRORS else "undecided"


def _error(part: Mapping[str, Any]) -> float | None:
    """Standard error of a mean over images."""
    if part.get("std") is None or not part.get("images"):
        return None
    return float(part["std"] / math.sqrt(max(1.0, part["images"] * part["found"])))


def _binomial(share: float, images: int) -> float:
    """Standard error of a share of images, never 0: at 0 or 1 as for half an image more or less."""
    guarded = min(max(share, 0.5 / images), 1.0 - 0.5 / images)
    return math.sqrt(guarded * (1.0 - guarded) / images)


def _end(curves: Mapping[str, Sequence[Any]], name: str) -> float | None:
    return float(curves[name][-1]) if curves.get(name) and curves[name][-1] is not None else None
