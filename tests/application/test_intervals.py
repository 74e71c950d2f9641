"""Intervals cover what they say, and Welch's degrees of freedom count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from avgmargin.networks.condensed import _without_images
from avgmargin.networks.intervals import LEVEL, difference, order_interval, paired_error, share_error

DRAWS = 400


def test_welch_is_scipys() -> None:
    rng = np.random.default_rng(5)
    left, right = rng.normal(0.3, 1.0, 4), rng.normal(0.9, 0.2, 3)
    theirs = stats.ttest_ind(right, left, equal_var=False).confidence_interval(LEVEL)
    mine = difference(left.tolist(), right.tolist(), (None, None))
    assert mine is not None
    assert mine["interval"] == pytest.approx([theirs.low, theirs.high], rel=1e-9)  # the same formula in floats
    wider = difference(left.tolist(), right.tolist(), (None, None), comparisons=4)
    assert wider is not None
    theirs = stats.ttest_ind(right, left, equal_var=False).confidence_interval(1.0 - 0.05 / 4)
    assert wider["interval"] == pytest.approx([theirs.low, theirs.high], rel=1e-9)


def test_the_wider_of_seeds_and_images_counts_and_what_is_unknown_is_none() -> None:
    assert difference([], [1.0], (0.1, 0.1)) is None
    assert difference([0.5], [0.6], (None, 0.1)) is None  # one seed, and no error across images
    images = difference([0.5, 0.5001], [0.6, 0.6001], (0.1, 0.1))
    seeds = difference([0.2, 0.8], [0.3, 0.9], (1e-6, 1e-6))
    assert images is not None
    assert seeds is not None
    assert (images["by"], seeds["by"]) == ("images", "seeds")
    same = difference([0.5, 0.5], [0.6, 0.6], (0.02, 0.02))  # no spread at all is not certainty
    assert same is not None
    assert same["by"] == "images"


def test_four_intervals_together_cover_as_often_as_they_say() -> None:
    # the family-wise error of four independent comparisons of equal shares, with and without the correction
    rng = np.random.default_rng(11)
    images, missed = 200, {1: 0, 4: 0}
    for _ in range(DRAWS):
        shares = rng.binomial(images, 0.37, size=(4, 2)) / images
        for comparisons in missed:
            rows = [
                difference([a], [b], (share_error(a, images), share_error(b, images)), comparisons) for a, b in shares
            ]
            missed[comparisons] += any(row is not None and row["interval"][0] * row["interval"][1] > 0 for row in rows)
    tolerance = 5.0 * math.sqrt(0.05 * 0.95 / DRAWS)  # five standard errors of the count
    assert missed[4] / DRAWS < 0.05 + tolerance
    assert missed[1] / DRAWS > 0.05 + tolerance  # the broken twin: no correction


def outside(interval: list[float], true: float) -> bool:
    return not interval[0] <= true <= interval[1]


def test_what_two_runs_do_on_the_same_images_covers_and_is_narrower_than_two_samples() -> None:
    """Hard images are hard for both: the spread that is common to them does not blur the difference."""
    rng, images, true = np.random.default_rng(17), 60, 0.1
    missed, widths = 0, []
    for _ in range(DRAWS):
        ease = rng.normal(1.0, 0.6, images)
        left, right = ease + rng.normal(0.0, 0.1, images), ease + true + rng.normal(0.0, 0.1, images)
        errors = (float(left.std(ddof=1)) / math.sqrt(images), float(right.std(ddof=1)) / math.sqrt(images))
        paired = paired_error(left.tolist(), right.tolist(), shares=False)
        found = [difference([left.mean()], [right.mean()], errors, paired=p) for p in (paired, None)]
        assert found[0] is not None
        assert found[1] is not None
        assert (found[0]["by"], found[1]["by"]) == ("the same images", "images")
        missed += outside(found[0]["interval"], true)
        widths.append(found[0]["error"] / found[1]["error"])
    assert missed / DRAWS < 0.05 + 5.0 * math.sqrt(0.05 * 0.95 / DRAWS)
    assert max(widths) < 0.3  # sqrt(.1^2 + .1^2) against sqrt(2 (.6^2 + .1^2)) is .16


@pytest.mark.parametrize("chances", [(0.02, 0.08), (0.0, 0.05), (0.2, 0.3)])
def test_shares_of_the_same_images_cover(chances: tuple[float, float]) -> None:
    """`chances` of an image to be lost and to be won; few of either are where an unguarded error is 0, or nearly."""
    rng, images = np.random.default_rng(23), 60
    missed, unguarded = 0, 0
    for _ in range(DRAWS):
        kind = rng.choice(3, images, p=[*chances, 1.0 - sum(chances)])
        left, right = (kind != 1).astype(float), (kind != 0).astype(float)
        error = paired_error(left.tolist(), right.tolist(), shares=True)
        assert error is not None
        assert error > 0.0
        true = chances[1] - chances[0]
        for guarded, one in ((True, error), (False, paired_error(left.tolist(), right.tolist(), shares=False))):
            found = difference([left.mean()], [right.mean()], (None, None), paired=one)
            assert found is not None
            missed += guarded and outside(found["interval"], true)
            unguarded += not guarded and outside(found["interval"], true)
    tolerance = 5.0 * math.sqrt(0.05 * 0.95 / DRAWS)
    assert missed / DRAWS < 0.05 + tolerance
    assert unguarded / DRAWS > 0.05 + tolerance or chances != (0.0, 0.05)  # the broken twin, where few images decide


def test_one_image_has_no_spread() -> None:
    assert paired_error([0.3], [0.5], shares=False) is None
    with pytest.raises(ValueError, match=r"zip\(\)"):
        paired_error([0.3, 0.4], [0.5], shares=False)


def test_an_order_interval_covers_the_quantile_of_what_was_drawn() -> None:
    rng, true = np.random.default_rng(3), float(stats.lognorm(0.8).ppf(0.05))
    outside = sum(
        not low <= true <= high
        for low, high in (order_interval(rng.lognormal(0.0, 0.8, 150).tolist(), 0.05) for _ in range(DRAWS))
        if low is not None and high is not None
    )
    assert outside / DRAWS < 0.05 + 5.0 * math.sqrt(0.05 * 0.95 / DRAWS)
    assert order_interval([1.0] * 20, 0.05)[0] is None  # 20 values cannot bound a 5% quantile from below


def test_condensed_parts_keep_the_interval_of_the_signed_values() -> None:
    values = [float(i) for i in range(1, 121)] + [None]
    correct = [i % 2 == 0 for i in range(121)]
    kept = _without_images({"values": values, "correct": correct, "q05": -1.0})
    far = [math.inf if value is None else value for value in values]
    signed = [value if right else -value for value, right in zip(far, correct, strict=True)]
    assert kept == {"q05": -1.0, "q05_interval": order_interval(signed, 0.05)}
    assert kept["q05_interval"][0] < 0.0
