"""The page of results says of each change what it does with the others held fixed, pair by pair of seeds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from avgmargin.networks.intervals import LEVEL, paired_difference, share_interval

SCRIPTS = Path(__file__).resolve().parents[2] / "docs" / "scripts"
LOSSES = ("ce", "average-margin", "average-margin-released")
SEEDS = (0.31, -0.52, 0.17, 0.05)  # what a seed alone adds to a distance, more than any change does


def test_pairs_are_scipys() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.normal(0.3, 1.0, 5), rng.normal(0.9, 1.2, 5)
    for comparisons in (1, 7):
        theirs = stats.ttest_rel(right, left).confidence_interval(1.0 - (1.0 - LEVEL) / comparisons)
        mine = paired_difference(left.tolist(), right.tolist(), comparisons)
        assert mine is not None
        assert mine["interval"] == pytest.approx([theirs.low, theirs.high], rel=1e-9)  # the same formula in floats
        unpaired = stats.ttest_ind(right, left, equal_var=False).confidence_interval()
        assert mine["interval"] != pytest.approx([unpaired.low, unpaired.high], rel=1e-2)


def test_what_shows_no_spread_decides_nothing() -> None:
    assert paired_difference([0.5], [0.9]) is None
    alike = paired_difference([0.5, 0.6, 0.7], [0.501, 0.601, 0.701])
    assert alike is not None
    assert alike["interval"] is None
    with pytest.raises(ValueError, match="zip"):
        paired_difference([0.5, 0.6], [0.5])


@pytest.mark.parametrize(("count", "images"), [(0, 50), (19, 100), (32, 100), (50, 50)])
def test_the_interval_of_a_share_is_scipys(count: int, images: int) -> None:
    theirs = stats.binomtest(count, images).proportion_ci(LEVEL, method="exact")
    assert share_interval(count, images) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    wilson = stats.binomtest(count, images).proportion_ci(LEVEL, method="wilson")
    assert share_interval(count, images) != pytest.approx((wilson.low, wilson.high), rel=1e-6)


def sweep_of(effect: Callable[[str, float, float], float], noise: float = 1e-3) -> dict[str, Any]:
    """A full ablation whose distance is what the seed adds, what the setting adds, and a little noise."""
    rng = np.random.default_rng(8)
    groups = []
    for loss, beta, rate in product(LOSSES, (0.0, 0.001), (0.01, 0.002)):
        values = [1.0 + seed + effect(loss, beta, rate) + noise * rng.normal() for seed in SEEDS]
        metrics = {"attack mean": {"mean": float(np.mean(values)), "std": 0.4, "values": values}}
        config = {"loss": loss, "beta": beta, "lr": rate}
        groups.append({"config": config, "runs": len(SEEDS), "done": len(SEEDS), "metrics": metrics})
    return {"groups": groups}


@pytest.fixture
def ablation(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, Any]], str]:
    if not SCRIPTS.exists():
        pytest.skip("the documentation is not beside these tests")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import deep_sweeps

    assert Path(deep_sweeps.__file__).parent == SCRIPTS
    try:
        return deep_sweeps.ablation  # type: ignore[no-any-return]
    finally:
        sys.modules.pop("deep_sweeps")


def test_each_change_is_told_from_the_others(ablation: Callable[[str, dict[str, Any]], str]) -> None:
    gains = {"ce": 0.0, "average-margin": 0.05, "average-margin-released": -0.02}
    page = ablation("drawn", sweep_of(lambda loss, beta, rate: gains[loss] + 0.2 * (rate == 0.002)))
    assert "- paper penalty for none: mean distance, by attack rises in 4 of 4." in page
    assert "- released penalty for none: mean distance, by attack falls in 4 of 4." in page
    assert "- paper penalty for released: mean distance, by attack rises in 4 of 4." in page
    assert "- lr 0.002 for 0.01: mean distance, by attack rises in 6 of 6." in page
    assert "- beta 0.001 for 0: mean distance, by attack not decided in 6 of 6." in page
    assert "together +0.25" in page


def test_seeds_in_another_order_hide_it(ablation: Callable[[str, dict[str, Any]], str]) -> None:
    found = sweep_of(lambda loss, beta, rate: 0.05 * (loss == "average-margin"))
    assert "- paper penalty for none: mean distance, by attack rises in 4 of 4." in ablation("drawn", found)
    for group in found["groups"]:
        if group["config"]["loss"] == "average-margin":
            values = group["metrics"]["attack mean"]["values"]
            values.append(values.pop(0))  # the pairs are none any more
    assert "- paper penalty for none: mean distance, by attack not decided in 4 of 4." in ablation("drawn", found)


def test_what_is_no_full_ablation_has_no_such_table(ablation: Callable[[str, dict[str, Any]], str]) -> None:
    found = sweep_of(lambda *_: 0.0)
    assert ablation("drawn", found)
    assert ablation("drawn", {"groups": found["groups"][:-1]}) == ""
    found["groups"][0]["done"] -= 1
    assert ablation("drawn", found) == ""
