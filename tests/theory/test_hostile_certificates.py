"""False certificates, one per hypothesis of a rule, must be refused; true controls must pass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.theory.hostile_certificates import CASES
from theory import check


@pytest.mark.parametrize(("honest", "data"), [(case[1], case[2]) for case in CASES], ids=[case[0] for case in CASES])
def test_the_checker_tells_them_apart(honest: bool, data: dict[str, Any]) -> None:
    assert check(data).valid == honest


def test_both_kinds_are_there() -> None:
    assert {case[1] for case in CASES} == {True, False}
