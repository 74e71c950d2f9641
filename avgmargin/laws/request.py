"""What is asked of the checks of losses against laws: which losses on which laws, and how hard to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import synthetic
import theory
from avgmargin.common.errors import UserError
from avgmargin.proving.resolve import LossRequest, read_calls, read_law, read_parameters, resolve

LawRequest = tuple[str, dict[str, float | list[float]]]


@dataclass(frozen=True)
class Size:
    """How hard to look: labelled draws and points of the rule per law; points and classifiers of the inequality; knots
    and boxes of a certified psi for two classes, and for several."""

    draws: int
    points: int
    few: int
    classifiers: int
    psi: tuple[int, int]
    psi_of_several: tuple[int, int]


SIZES = {
    "tiny": Size(3_000, 2_000, 30, 8, (5, 50_000), (2, 100)),
    "quick": Size(20_000, 90_000, 96, 24, (5, 50_000), (2, 400)),
    "full": Size(200_000, 360_000, 1_500, 100, (65, 500_000), (5, 100_000)),
}


@dataclass(frozen=True)
class Request:
    """Which losses on which laws, how hard to look (`scale`), and whether every loss is proved first (`prove`).

    `thorough`: the searched failing posteriors of two classes are compared with theory's certified ones, and psi of
    several classes is certified for losses that are not piecewise linear too, which takes seconds each.
    """

    losses: tuple[LossRequest, ...]
    laws: tuple[LawRequest, ...]
    scale: str = "quick"
    seed: int = 0
    prove: bool = False
    thorough: bool = False

    def __post_init__(self) -> None:
        if self.scale not in SIZES:
            raise UserError(f"scale {self.scale!r} must be {' or '.join(('quick', 'full'))}")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"seed={self.seed} must lie in 0..2^63 - 1")


def read(
    losses: Sequence[str],
    more: str | None,
    laws: str | None,
    scale: str,
    seed: int,
    prove: bool,
    dimension: int | None = None,
) -> Request:
    """What was typed, checked: every loss and every law is built once. The whole catalogue and all laws by default.

    With `dimension`, only the laws of X in R^dimension; UserError where none of them is.
    """
    asked = [LossRequest(text) for text in losses]
    asked += (
        [LossRequest(name, parameters=read_parameters(pairs)) for name, pairs in read_calls(more)]
        if more is not None
        else []
    )
    thorough = bool(asked) or scale == "full"
    if not asked:
        asked = [LossRequest(name) for name in theory.catalogue.names()]
    chosen = (
        [read_law(name, pairs) for name, pairs in read_calls(laws)]
        if laws is not None
        else [(name, {}) for name in synthetic.laws.names()]
    )
    for loss in asked:
        resolve(loss)
    made = [(request, synthetic.laws.get(request[0], **request[1])) for request in chosen]
    if dimension is not None:
        known = sorted({law.dimension for _, law in made})
        chosen = [request for request, law in made if law.dimension == dimension]
        if not chosen:
            raise UserError(f"dimension={dimension} must be that of a law asked for: {', '.join(map(str, known))}")
    return Request(tuple(asked), tuple(chosen), scale, seed, prove, thorough)
