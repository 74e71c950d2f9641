"""The excess-risk inequality of one loss on every law, with theory's certified psi where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import synthetic
import theory

DETAILED = ("gaussian-shared",)
"""Laws whose single classifiers are kept, for the picture."""

SEVERAL = 48
"""Points of a law of several classes that is not constant on cells: every one costs a search of inf C_p."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A law with drawn classifiers, known on the points of its grid: every loss is tried on the same scores."""

    grid: synthetic.Grid
    posterior: Any
    binary: tuple[synthetic.Classifier, ...]
    scorers: tuple[synthetic.Classifier, ...]


@dataclass(frozen=True, eq=False)
class Prepared:
    """The laws with points and draws, and with classifiers."""

    populations: tuple[synthetic.Population, ...]
    trials: tuple[Trial, ...]


def prepare(laws: Sequence[synthetic.Law], draws: int, points: int, few: int, count: int, seed: int) -> Prepared:
    """Draw what every loss is tried on: `draws` labelled draws and `points` points of every law; `count` classifiers on
    about `few` points (`SEVERAL` for more than two classes). A law's draws depend on its place."""
    populations, trials = [], []
    for index, law in enumerate(laws):
        populations.append(synthetic.populate(law, draws, np.random.default_rng([seed, index, 0]), points))
        rng = np.random.default_rng([seed, index, 3])
        grid = law.grid(few if law.classes == 2 else SEVERAL, rng)
        posterior = law.posterior(grid.points)
        binary = synthetic.random_classifiers(law, count, rng) if law.classes == 2 else ()
        scorers = synthetic.random_scorers(law, count, rng)
        held = [tuple(_remembered(each(grid.points)) for each in drawn) for drawn in (binary, scorers)]
        trials.append(Trial(grid, posterior, held[0], held[1]))
    return Prepared(tuple(populations), tuple(trials))


def _remembered(scores: Any) -> synthetic.Classifier:
    return lambda points: scores


def inequalities(
    loss: theory.Loss,
    known: Prepared,
    decided: Mapping[int, synthetic.Decisions],
    psi: Mapping[int, synthetic.ExcessBound],
) -> list[dict[str, Any]]:
    """One row per law of as many classes as `decided` has; none where no psi is known for that many."""
    found = []
    for classes, bound in psi.items():
        if bound.kind == "none":
            continue
        places = [i for i, p in enumerate(known.populations) if p.law.classes == classes]
        least = _least(loss, [known.trials[i].posterior for i in places], decided[classes])
        for i, infima in zip(places, least, strict=True):
            law, trial = known.populations[i].law, known.trials[i]
            if classes == 2 and synthetic.is_binary(loss):
                result = synthetic.excess_risk_inequality(loss, law, trial.binary, trial.grid, psi=bound, least=infima)
            else:
                result = synthetic.excess_risk_inequality_classes(
                    loss, law, trial.scorers, trial.grid, psi=bound, least=infima
                )
            found.append(_row(result, classes, law.name in DETAILED))
    return found


def _least(loss: theory.Loss, posteriors: Sequence[Any], decided: synthetic.Decisions) -> list[Any]:
    """The least conditional risks at all points, one search for all laws."""
    if not posteriors:
        return []
    rows = np.concatenate(posteriors)
    if decided.classes == 2 and synthetic.is_binary(loss):
        values = synthetic.least_binary_risk(loss, rows[:, 1])
    else:
        values = decided.least(rows)
    return np.split(values, np.cumsum([part.shape[0] for part in posteriors])[:-1])


def _row(found: synthetic.Inequality, classes: int, keep: bool) -> dict[str, Any]:
    worst = found.worst
    row = {
        "law": found.law,
        "classes": classes,
        "psi": found.psi,
        "holds": found.holds,
        "classifiers": len(found.rows),
        "violations": found.violations,
        "worst_residual": worst.residual,
        "allowed": worst.allowed,
        "largest_bound": found.largest_bound,
        "pointwise_residual": found.pointwise_residual,
    }
    shown = [[r.excess.value, r.surrogate.value, r.bound] for r in found.rows if np.isfinite(r.surrogate.value)]
    return row | ({"rows": shown} if keep else {})
