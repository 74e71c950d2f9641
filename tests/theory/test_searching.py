"""The searched tier: what it must see, what it must not claim, and its arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from theory import Loss, SearchVerdict, Status, Tier, _score_search, catalogue, multiclass_risk, released_tie, search
from theory._score_search import ScoreSearch, draw_posteriors

MU = Fraction(1, 10)
# A search of few posteriors: enough to meet each kind, little enough for a test.
FEW = {"posteriors": 24, "starts": 2}


def as_callable(loss: Loss) -> Callable[[Any, Any], Any]:
    """A tree as a callable of scores and labels, as a user without a formula would write it."""

    def values(scores: Any, y: Any) -> Any:
        return np.take_along_axis(loss.values(scores), y[:, None], 1)[:, 0]

    values.__name__ = loss.name
    return values


def run(name: str, classes: int, seed: int = 3, **options: Any) -> SearchVerdict:
    return search(as_callable(catalogue.get(name)), classes, rng=np.random.default_rng(seed), **{**FEW, **options})


def honest(verdict: SearchVerdict) -> bool:
    """Whatever was found, it is undecided float evidence, in words and numbers that agree, and JSON."""
    report = verdict.report
    assert report is not None
    words = str(verdict.advice)
    return (
        verdict.status == Status.UNDECIDED
        and verdict.tier == Tier.SEARCHED
        and verdict.certificate is None
        and words.startswith("searched: a failure seen" if report.seen else "searched: no failure among")
        and (verdict.witness is not None) == report.seen == (report.failures > 0)
        and "not a proof" in words
        and json.loads(json.dumps(verdict.summary()))["search"]["p"] == list(report.p)
    )


def counterexample_holds(loss: Loss, verdict: SearchVerdict) -> bool:
    """The reported scores have a wrong class on top and the risks that the report states."""
    report = verdict.report
    assert report is not None
    p, f = np.array(report.p), np.array(report.scores)
    j = report.wrong_class
    risks = [float(multiclass_risk(loss, p, np.array(each))) for each in (report.scores, report.correct_scores)]
    wrong_tops = np.flatnonzero(p < p.max())
    correct = np.array(report.correct_scores)
    lead = correct.max() - correct[wrong_tops].max()
    return bool(
        p[j] < p.max()
        and f[j] == f.max()
        and risks == [report.wrong_risk, report.correct_risk]
        and lead >= 0.9 * report.lead
        and report.margin == risks[1] - risks[0] > report.noise
    )


# -- what it sees ------------------------------------------------------------------------------------------------------


def test_crammer_singer_fails_at_a_known_posterior() -> None:
    verdict = run("crammer-singer", 3, posteriors=[[0.4, 0.3, 0.3]])
    assert verdict.report is not None
    assert verdict.report.seen
    assert honest(verdict)
    assert counterexample_holds(catalogue.get("crammer-singer"), verdict)


@pytest.mark.parametrize(("name", "classes"), [("average-margin-released", 2), ("average-margin-released", 3)])
def test_the_released_loss_fails_near_ties(name: str, classes: int) -> None:
    verdict = run(name, classes)
    assert verdict.report is not None
    assert verdict.report.failures >= 3
    assert honest(verdict)
    assert counterexample_holds(catalogue.get(name), verdict)


@pytest.mark.parametrize(("name", "classes"), [("cross-entropy", 2), ("average-margin", 2), ("average-margin", 3)])
def test_consistent_losses_have_no_failure(name: str, classes: int) -> None:
    verdict = run(name, classes)
    assert verdict.report is not None
    assert not verdict.report.seen
    assert verdict.report.unresolved == 0
    assert honest(verdict)


def test_a_gap_that_closes_at_infinity_is_reported_as_small_and_at_the_bound() -> None:
    """exp(-f_y) with scores that sum to zero: where p_3 = 0, f_3 -> -inf makes every risk 0, right or wrong."""

    def loss(scores: Any, y: Any) -> Any:
        return np.exp(-np.take_along_axis(scores, y[:, None], 1)[:, 0])

    rng = np.random.default_rng(1)
    face = search(loss, 3, rng=rng, posteriors=[[0.6, 0.4, 0.0]], sum_zero=True).report
    inside = search(loss, 3, rng=rng, posteriors=[[0.5, 0.3, 0.2]], sum_zero=True).report
    assert face is not None
    assert inside is not None
    assert face.at_bound
    assert -1e-6 < face.margin < 0  # (e^-15 / 10)-ish: exp(-span / 2) times the gap of the two classes
    assert inside.margin < -1e-3
    assert not inside.at_bound
    assert abs(sum(face.correct_scores)) < 1e-9


def test_the_failing_posteriors_are_those_of_the_theorem() -> None:
    rng = np.random.default_rng(8)
    loss = catalogue.get("average-margin-released", mu=MU, tau=30)
    judged = 0
    for row in draw_posteriors(3, 12, rng):
        p = [Fraction(float(x)).limit_denominator(10**6) for x in row]
        p[2] = 1 - p[0] - p[1]
        ranked = sorted(p, reverse=True)
        tie = released_tie(p, MU, 30) if min(p) > 0 else None
        if tie is None or ranked[0] == ranked[1]:
            continue
        report = search(as_callable(loss), 3, rng=rng, posteriors=[[float(x) for x in p]], starts=2).report
        assert report is not None
        judged += 1
        assert report.seen == tie, (p, report)
    assert judged >= 3


def test_a_search_that_forgets_ties_misses_the_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin raises a class strictly above the others, so that ties never count as wrong."""
    allowed = ScoreSearch.allowed

    def strict(self: ScoreSearch, scores: Any, p: Any, top: Any) -> Any:
        own = np.arange(self.classes) == top[..., None]
        return np.where(own, allowed(self, scores, p, top) + 1e-3, allowed(self, scores, p, top))

    assert run("average-margin-released", 2).report.seen  # type: ignore[union-attr]
    monkeypatch.setattr(ScoreSearch, "allowed", strict)
    assert not run("average-margin-released", 2).report.seen  # type: ignore[union-attr]


def test_noise_is_not_called_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 the gap of the cross-entropy near a tie drowns: unresolved, not a failure."""

    def coarse(scores: Any, y: Any) -> Any:
        return as_callable(catalogue.get("cross-entropy"))(scores, y).astype(np.float32)

    p = [[0.50001, 0.49999], [0.8, 0.2]]
    report = search(coarse, 2, rng=np.random.default_rng(0), posteriors=p, starts=2).report
    assert report is not None
    assert (report.seen, report.unresolved) == (False, 1)
    monkeypatch.setattr(_score_search, "_NOISE_ULPS", 0)
    careless = search(coarse, 2, rng=np.random.default_rng(0), posteriors=p, starts=2).report
    assert careless is not None
    assert careless.seen or careless.unresolved == 0


def test_the_same_seed_gives_the_same_report() -> None:
    assert run("crammer-singer", 2, seed=5) == run("crammer-singer", 2, seed=5)


def test_posteriors_of_every_kind_are_drawn() -> None:
    p = draw_posteriors(3, 200, np.random.default_rng(2))
    assert p.shape == (200, 3)
    assert np.allclose(p.sum(-1), 1, rtol=0, atol=1e-12)  # sums of three floats
    ranked = np.sort(p, axis=-1)
    lead = ranked[:, 2] - ranked[:, 1]
    assert (p == 0).any(-1).sum() >= 10
    assert ((lead > 0) & (lead < 1e-3)).sum() >= 10
    assert (np.isclose(p * 10, np.round(p * 10)).all(-1)).sum() >= 10


# -- arguments ---------------------------------------------------------------------------------------------------------


def mean(scores: Any, y: Any) -> Any:
    return as_callable(catalogue.get("cross-entropy"))(scores, y).mean()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": 1}, "classes=1 must be"),
        ({"starts": 0}, "starts=0 must be at least 1"),
        ({"span": -1.0}, "span=-1.0 must be positive"),
        ({"posteriors": 0}, "posteriors=0 must be at least 1"),
        ({"posteriors": [[0.5, 0.5, 0.0]]}, "must have 2 columns"),
        ({"posteriors": [[0.5, 0.5]]}, "some class is wrong"),
        ({"posteriors": [[0.5, 0.6]]}, "sum to 1"),
        ({"loss": mean}, "one value per row"),
        ({"loss": lambda scores, y: np.full(len(y), np.inf)}, "finite at the scores 0"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(options: dict[str, Any], words: str) -> None:
    given = {"loss": as_callable(catalogue.get("cross-entropy")), "classes": 2, "rng": np.random.default_rng(0)}
    call = {**given, **FEW, **options}
    with pytest.raises(ValueError, match=words) as caught:
        search(call.pop("loss"), call.pop("classes"), **call)
    assert "\n" not in str(caught.value)
