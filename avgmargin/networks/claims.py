"""The paper's four claims, judged from condensed runs by stated rules; each `as published` and `honest`.

Works on plain JSON values (`condensed.condense`): nothing here trains, measures or knows the command line.

(a) through plain training the average margin falls and the minimum margin rises;
(b) the penalty raises the average margin;  (c) it raises robustness;  (d) accuracy is kept.
Runs are judged once they have come to their end; until then the word is `under way`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .intervals import LEVEL, difference, paired_error
from .readings import Number, Run, Sample, accuracy, margin_through, mean_margin, robustness

__all__ = ["RULES", "TITLES", "Answer", "compare_shares", "families", "glance", "judge"]

_ERRORS = 2.0  # standard errors or deviations that a change must exceed: a chance of about 5% for noise alone
_LATE = 20  # last points of a curve, from which its noise is read
_LOST = 0.01  # of accuracy: what may be lost and still be called kept
_OPEN = "not decided"
_SHORT = "stopped early"
_INTERVAL = (
    f"{LEVEL:.0%} interval, the wider of two: across images (by the differences on the same images where the values of "
    "single images were kept, else as of two samples), and, with two seeds or more on each side, across seeds by "
    "Welch's t"
)
TITLES = {
    "a": "(a) Through plain training the average margin falls and the minimum margin rises",
    "b": "(b) The penalty raises the average margin",
    "c": "(c) It raises robustness",
    "d": "(d) Accuracy is kept",
}
RULES = {
    "a": (
        "From epoch 1 to the end of a finished run. The average falls (rises) where its change is "
        f"below (above) zero by more than {_ERRORS:g} errors: on a curve of every epoch the error is the standard "
        f"deviation over its last {_LATE} points, on sampled images the standard error of the two means, or of "
        "the mean change on the same images where the values of single images were kept. A minimum is a number of the "
        "fixed images that it is taken over, and says nothing of others. Over all training images it "
        "rises where its change exceeds the same noise of its own curve. Over sampled images it has no error bar, and "
        f"is shown beside what decides: the 5% quantile, which rises where its {LEVEL:.0%} order-statistic interval at "
        "the end lies wholly above that of epoch 1. The claim holds where the average falls and the minimum rises, "
        "fails where one of them does the opposite, and is not decided else. With several seeds all must agree. A run "
        f"of fewer epochs than its preset has says nothing of the rest of training: its numbers are shown, as {_SHORT}."
    ),
    "b": (
        "Difference of the mean margins of the two runs (misclassified images count negative) with its "
        f"{_INTERVAL}. It holds where the interval lies above 0, fails where below, and is not decided where it "
        "straddles 0."
    ),
    "c": (
        "Difference of the robust accuracies at each eps above 0 with its interval as in (b), across images by Agresti "
        "and Min's pairs or else binomial, "
        f"and widened so that all eps of one comparison are covered together with {LEVEL:.0%} "
        "(Bonferroni: each at 1 - 5%/k for k values of eps). It holds where an interval lies above 0 and none below, "
        "fails the other way round, is mixed where both occur, and not decided where all straddle 0. Several "
        "comparisons, of other presets or readings, are not corrected for one another."
    ),
    "d": (
        f"Difference of the test accuracies with its interval as in (b). Accuracy is kept where less than {_LOST:g} is "
        f"lost: holds where the interval lies above -{_LOST:g}, fails where below, and is not decided where it "
        f"straddles -{_LOST:g}."
    ),
}


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
    """Every verdict on a family; `not run`, `under way`, `not measured` and the like where something is missing."""
    plain = runs.get(f"{family}-plain", ())
    answers = [_through(plain, f"{family}-plain", reading) for reading in ("as published", "honest")]
    for other in ("constraint", "reg"):
        theirs = runs.get(f"{family}-{other}", ())
        about = f"{family}-{other} against {family}-plain"
        for reading in ("as published", "honest"):
            answers.append(_compare("b", "mean margin on test images", plain, theirs, about, reading))
            answers.append(_compare_robustness(plain, theirs, about, reading))
        answers.append(_compare("d", "test accuracy", plain, theirs, about, "honest"))
    return sorted(answers, key=lambda answer: answer.claim)


def glance(answers: Sequence[Answer], family: str) -> dict[str, dict[str, str]]:
    """Claim letter -> reading -> verdict, on `reg` against `plain` (and on `plain` alone for (a)), of one family."""
    found: dict[str, dict[str, str]] = {letter: {} for letter in TITLES}
    for answer in answers:
        if answer.claim == "a" or answer.about.startswith(f"{family}-reg "):
            found[answer.claim][answer.reading] = answer.verdict
    return found


# -- (a) --------------------------------------------------------------------------------------------------------------


def _through(runs: Sequence[Run], about: str, reading: str) -> Answer:
    quantity = "average and minimum margin from epoch 1 to the last"
    if (word := _unfit(runs)) is not None:
        return Answer("a", about, reading, word, quantity, {})
    found = [_change(margin_through(run, reading), run["epochs_done"]) for run in runs]
    known = [numbers for numbers in found if numbers is not None]
    if len(known) < len(found):
        return Answer("a", about, reading, "not measured", quantity, {})
    words = {_through_word(numbers) for numbers in known}
    verdict = words.pop() if len(words) == 1 else _OPEN
    if not all(map(_whole, runs)):
        verdict = _SHORT
    return Answer("a", about, reading, verdict, quantity, {**known[0], "seeds": len(known)})


def _change(curve: Mapping[str, Any] | None, end: int) -> dict[str, Any] | None:
    """What a curve says from epoch 1 to the end of training; None where it has not both."""
    if curve is None or 1 not in curve["epochs"] or not 1 < curve["epochs"][-1] == end:
        return None
    first, last = curve["epochs"].index(1), len(curve["epochs"]) - 1
    mean, least = ([curve[name][first], curve[name][last]] for name in ("mean", "minimum"))
    if None in mean or None in least:
        return None
    numbers: dict[str, Any] = {
        "epochs": [curve["epochs"][first], curve["epochs"][last]],
        "mean": mean,
        "minimum": least,
        "low": None,
    }
    if curve["low"] is None:
        noise = {name: _noise(curve[name][first + 1 :]) for name in ("mean", "minimum")}
        numbers |= {"error": noise["mean"], "least": _moves(least, noise["minimum"])}
    else:
        errors = [curve["errors"][place] for place in (first, last)]
        paired = _paired(*([curve["samples"][place]] for place in (first, last)))
        numbers |= {"error": paired if paired is not None else None if None in errors else math.hypot(*errors)}
        ends = [curve["low"][place] for place in (first, last)]
        numbers |= {"low": ends, "least": _apart(*(end["interval"] for end in ends))}
    return {**numbers, "average": _moves(mean, numbers["error"]), "kind": curve["kind"], "on": curve["on"]}


def _through_word(numbers: Mapping[str, Any]) -> str:
    if numbers["average"] == "rises" or numbers["least"] == "falls":
        return "fails"
    return "holds" if (numbers["average"], numbers["least"]) == ("falls", "rises") else _OPEN


def _noise(late: Sequence[float | None]) -> float | None:
    """The standard deviation of the last points of a curve; None for fewer than two."""
    points = [value for value in late[-_LATE:] if value is not None]
    return statistics.stdev(points) if len(points) > 1 else None


def _moves(ends: Sequence[float], error: float | None) -> str:
    if error is None:
        return _OPEN
    change = ends[1] - ends[0]
    return "rises" if change > _ERRORS * error else "falls" if change < -_ERRORS * error else "stays within its noise"


def _apart(before: Sequence[float | None] | None, after: Sequence[float | None] | None) -> str:
    """Where one interval lies to the other; not decided where they meet, or an end that decides is not known."""
    if before is None or after is None:
        return _OPEN
    if after[0] is not None and before[1] is not None and after[0] > before[1]:
        return "rises"
    return "falls" if after[1] is not None and before[0] is not None and after[1] < before[0] else _OPEN


# -- (b) to (d) -------------------------------------------------------------------------------------------------------


def _compare(
    claim: str, quantity: str, plain: Sequence[Run], theirs: Sequence[Run], about: str, reading: str
) -> Answer:
    if (word := _unfit(plain, theirs)) is not None:
        return Answer(claim, about, reading, word, quantity, {})
    left, right = (
        [accuracy(run) if claim == "d" else mean_margin(run, reading) for run in side] for side in (plain, theirs)
    )
    found = _difference(left, right)
    if found is None:
        return Answer(claim, about, reading, "not measured", quantity, {})
    return Answer(claim, about, reading, _word(found, -_LOST if claim == "d" else 0.0), quantity, found)


def _compare_robustness(plain: Sequence[Run], theirs: Sequence[Run], about: str, reading: str) -> Answer:
    if (word := _unfit(plain, theirs)) is not None:
        return Answer("c", about, reading, word, "robust accuracy", {})
    sides = [[robustness(run, reading) for run in side] for side in (plain, theirs)]
    return compare_shares(sides[0], sides[1], about, reading)


def compare_shares(
    plain: Sequence[Mapping[str, Number]], theirs: Sequence[Mapping[str, Number]], about: str, reading: str
) -> Answer:
    """Claim (c) from robust accuracies by eps, one mapping for each seed; eps that a run lacks do not count, nor 0."""
    both = [*plain, *theirs]
    shared = [eps for eps in (both[0] if plain and theirs else ()) if float(eps) > 0.0 and all(eps in s for s in both)]
    rows = {
        eps: _difference([side[eps] for side in plain], [side[eps] for side in theirs], len(shared)) for eps in shared
    }
    known = {eps: row for eps, row in rows.items() if row is not None}
    if not known:
        return Answer("c", about, reading, "not measured", "robust accuracy", {})
    words = {_word(row) for row in known.values()}
    if {"holds", "fails"} <= words:
        verdict = "mixed"
    else:
        verdict = next((word for word in ("holds", "fails") if word in words), _OPEN)
    return Answer("c", about, reading, verdict, "robust accuracy", known)


def _unfit(*sides: Sequence[Run]) -> str | None:
    """Why presets cannot be judged, or None: each must have been run to its end, or all for as many epochs."""
    if not all(sides):
        return "not run"
    runs = [run for side in sides for run in side]
    states = {run["status"] for run in runs}
    if states != {"done"}:
        return "diverged" if "diverged" in states else "under way"
    return None if all(map(_whole, runs)) or len({run["epochs_done"] for run in runs}) == 1 else "unequal epochs"


def _whole(run: Run) -> bool:
    return bool(run["epochs_done"] >= run["epochs_wanted"])


def _difference(
    plain: Sequence[Number | None], theirs: Sequence[Number | None], comparisons: int = 1
) -> dict[str, Any] | None:
    """`intervals.difference` of numbers, with their kind; None where one of them was not measured."""
    left, right = [n for n in plain if n is not None], [n for n in theirs if n is not None]
    if len(left) < len(plain) or len(right) < len(theirs):
        return None
    errors = [[number.error for number in side if number.error is not None] for side in (left, right)]
    # the same images for every seed: their error does not shrink with the number of seeds
    means = [statistics.fmean(e) if len(e) == len(s) else None for e, s in zip(errors, (left, right), strict=True)]
    paired = _paired([n.sample for n in left], [n.sample for n in right])
    found = difference([n.value for n in left], [n.value for n in right], (means[0], means[1]), comparisons, paired)
    return None if found is None else {**found, "kind": left[0].kind}


def _paired(left: Sequence[Sample | None], right: Sequence[Sample | None]) -> float | None:
    """Standard error of a difference on the same images, each the mean of its side; None for other images."""
    samples = [sample for sample in (*left, *right) if sample is not None]
    kinds = {(sample.data, len(sample.values), sample.shares) for sample in samples}
    if len(samples) < len(left) + len(right) or len(kinds) != 1:
        return None
    means = [
        [statistics.fmean(image) for image in zip(*(sample.values for sample in side if sample), strict=True)]
        for side in (left, right)
    ]
    return paired_error(*means, shares=samples[0].shares)


def _word(found: Mapping[str, Any], level: float = 0.0) -> str:
    low, high = found["interval"]
    return "holds" if low > level else "fails" if high < level else _OPEN
