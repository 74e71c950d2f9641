"""Arguments of the wrong kind: one line with the name, the value and the rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import theory
from theory import catalogue
from theory._asked import check_budget, check_classes, check_loss

HINGE, SOFTMAX = catalogue.get("hinge"), catalogue.get("cross-entropy")
TAKING_A_LOSS: dict[str, Callable[[Any], object]] = {
    "prove": theory.prove,
    "calibration_function": theory.calibration_function,
    "failing_region": theory.failing_region,
    "multiclass_gap": lambda loss: theory.multiclass_gap(loss, 3, "1/2"),
    "conditional_risk": lambda loss: theory.conditional_risk(loss, 0.3, 1.0),
    "multiclass_risk": lambda loss: theory.multiclass_risk(loss, [0.5, 0.5], [0.0, 0.0]),
    "binary_minimiser": lambda loss: theory.binary_minimiser(loss, 0.3),
    "multiclass_minimiser": lambda loss: theory.multiclass_minimiser(loss, [0.5, 0.5]),
    "psi": lambda loss: theory.psi(loss, 0.5),
}


@pytest.mark.parametrize("name", sorted(TAKING_A_LOSS))
@pytest.mark.parametrize("given", ["hinge", None, 3.0])
def test_a_name_is_no_loss(name: str, given: object) -> None:
    with pytest.raises(TypeError, match=r"^loss=.* of type \w+ must be a theory\.Loss; .*from_formula") as refused:
        TAKING_A_LOSS[name](given)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"classes": "3"}, TypeError, "classes='3' must be an integer"),
        ({"classes": 3.0}, TypeError, "classes=3.0 must be an integer"),
        ({"classes": True}, TypeError, "classes=True must be an integer"),
        ({"boxes": 2.5}, TypeError, "boxes=2.5 must be an integer"),
        ({"boxes": 0}, ValueError, "boxes=0 must be at least 1"),
        ({"seconds": "60"}, TypeError, "seconds='60' must be a number"),
        ({"seconds": 0.0}, ValueError, "seconds=0.0 must be positive"),
        ({"seconds": math.nan}, ValueError, "seconds=nan must be positive"),
    ],
)
def test_counts_and_budgets(options: dict[str, Any], error: type[Exception], words: str) -> None:
    for call in (theory.prove, theory.calibration_function):
        with pytest.raises(error) as refused:
            call(SOFTMAX, **options)  # type: ignore[operator]
        assert str(refused.value) == words


def test_what_is_right_passes() -> None:
    check_loss(HINGE)
    check_classes(np.int64(3), 6)
    check_budget(np.int32(5), np.float64(2.5), processes=1)
    with pytest.raises(ValueError, match="classes=7 must lie between 2 and 6"):
        check_classes(7, 6)
    with pytest.raises(ValueError, match="processes=0 must be at least 1"):
        theory.multiclass_gap(SOFTMAX, 3, "1/2", processes=0)
