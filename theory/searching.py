"""Float search for counterexamples to the Fisher consistency of a callable: the tier `searched`, never a proof.

A loss without a formula is a callable `loss(scores, y)`: scores (n, c) floats, y (n,) labels 0..c-1, to values (n,).
At a posterior p a class is wrong when p_j < max p, and predicted, ties included, when f_j = max f. The search compares

    wrong(p)   = min C_p(f) over f at which some wrong class has the largest score
    correct(p) = min C_p(f) over f at which every wrong class is at least `lead` below the top

with C_p(f) = sum_y p_y loss(f, y), over |f_k| <= span. A failure is seen where wrong(p) lies below correct(p) by more
than float noise; a gap where it lies above by more than noise; between the two, p is not resolved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._score_search import ScoreLoss, ScoreSearch, draw_posteriors
from ._score_search import SearchReport as SearchReport
from .risk import check_posterior
from .verdict import Status, Tier, Verdict


@dataclass(frozen=True, repr=False)
class SearchVerdict(Verdict):
    """UNDECIDED, tier `searched`, with the `report` of the search; `witness` is a float counterexample or None."""

    report: SearchReport | None = None

    def summary(self) -> dict[str, Any]:
        """The verdict and its report as plain JSON values."""
        return super().summary() | {"search": None if self.report is None else self.report.summary()}


def search(
    loss: ScoreLoss,
    classes: int,
    *,
    rng: np.random.Generator,
    posteriors: int | ArrayLike = 200,
    starts: int = 4,
    span: float = 30.0,
    sum_zero: bool = False,
    name: str | None = None,
) -> SearchVerdict:
    """Search for posteriors at which a wrong score, ties included, is optimal. Evidence in floats; never a proof.

    `posteriors` is their number (drawn inside the simplex, near ties and on faces, after a lattice of simple
    fractions), or an array (m, c) of them; `starts` the number of starting scores of each local search; scores stay
    within [-span, span], and sum to zero with `sum_zero`. The status is UNDECIDED whatever is found; `advice` says it
    in words and `report` in numbers. Raises ValueError for wrong arguments and for a loss that is not finite at the
    scores 0 or whose values have another shape than (n,).

    >>> import numpy as np
    >>> def hinge(scores, y):  # Crammer and Singer's: ties are optimal wherever max p < 1/2
    ...     own = np.take_along_axis(scores, y[:, None], 1)[:, 0]
    ...     others = np.where(np.arange(scores.shape[1]) == y[:, None], -np.inf, scores)
    ...     return np.maximum(0.0, 1.0 - own + others.max(1))
    >>> found = search(hinge, 3, rng=np.random.default_rng(0), posteriors=[[0.4, 0.3, 0.3]])
    >>> found.status.value, found.tier.value, found.report.seen
    ('UNDECIDED', 'searched', True)
    """
    if not 2 <= classes <= 8:
        raise ValueError(f"classes={classes!r} must be a whole number between 2 and 8")
    if starts < 1:
        raise ValueError(f"starts={starts} must be at least 1")
    if not (np.isfinite(span) and span > 0):
        raise ValueError(f"span={span} must be positive and finite")
    if isinstance(posteriors, int):
        if posteriors < 1:
            raise ValueError(f"posteriors={posteriors} must be at least 1")
        p = draw_posteriors(classes, posteriors, rng)
    else:
        p = np.atleast_2d(check_posterior(posteriors))
        if p.shape[-1] != classes:
            raise ValueError(f"posteriors of shape {p.shape} must have {classes} columns")
    p = p[(p < p.max(-1, keepdims=True)).any(-1)]
    if not len(p):
        raise ValueError("posteriors must hold one at which some class is wrong; all of these are uniform")
    label = str(name or getattr(loss, "__name__", type(loss).__name__))
    report = ScoreSearch(loss, classes, rng, starts, span, sum_zero).run(p)
    witness = None
    if report.seen:
        witness = {
            "p": list(report.p),
            "scores": list(report.scores),
            "wrong_class": report.wrong_class,
            "margin": report.margin,
            "at": "searched",
        }
    scope = f"searched: {len(p)} posteriors of {classes} classes, scores in [-{span:g}, {span:g}]"
    scope += " that sum to zero" if sum_zero else ""
    return SearchVerdict(
        label, Status.UNDECIDED, Tier.SEARCHED, scope, witness=witness, advice=_words(report), report=report
    )


def _words(report: SearchReport) -> str:
    p = ", ".join(f"{x:.6g}" for x in report.p)
    scores = ", ".join(f"{x:.6g}" for x in report.scores)
    if report.seen:
        words = (
            f"searched: a failure seen at p = ({p}), scores ({scores}) with the wrong class {report.wrong_class} on "
            f"top, by margin {report.margin:.3g} (noise {report.noise:.1g}); {report.failures} of {report.posteriors} "
            "posteriors fail"
        )
    else:
        words = (
            f"searched: no failure among {report.posteriors} posteriors, smallest gap {-report.margin:.3g} at "
            f"p = ({p}), scores ({scores})"
        )
    if report.unresolved:
        words += f"; {report.unresolved} not resolved by floats"
    if report.at_bound:
        words += f"; the best scores reach the bound {report.span:g}"
    return words + "; float evidence, not a proof: give the loss as a formula to have it decided"
