"""What a proof attempt returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The answer. UNDECIDED is an honest answer: nothing was proved either way within the budget."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    UNDECIDED = "UNDECIDED"


class Tier(StrEnum):
    """How strong the evidence is. `searched` is float evidence and never a proof."""

    SYMBOLIC = "symbolic"
    CERTIFIED = "certified"
    SEARCHED = "searched"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a loss.

    `scope`    the posteriors (and parameters) the verdict speaks of, in words
    `gap`      PROVED: a certified lower bound of inf C over wrong scores minus inf C on the region that
               `gap_region` names; REFUTED: a certified lower bound of inf C over correct scores minus
               the wrong witness's risk (>= 0); in units of the loss; None where no number is claimed
    `witness`  REFUTED: the exact posterior and wrong scores; `at` says whether they are optimal (`attained`), are a
               direction whose `limit` is, or lie near `ties` whose infimum no correct score undercuts
    `certificate`  the evidence for `theory.check`, as plain JSON values; None when there is none
    `advice`   what to try next, or what the verdict does not say
    """

    loss: str
    status: Status
    tier: Tier
    scope: str
    gap: float | None = None
    gap_region: str | None = None
    witness: dict[str, Any] | None = None
    certificate: dict[str, Any] | None = field(default=None, repr=False)
    advice: str | None = None

    def summary(self) -> dict[str, Any]:
        """The verdict without its certificate, as plain JSON values."""
        return {
            "loss": self.loss,
            "status": self.status.value,
            "tier": self.tier.value,
            "scope": self.scope,
            "gap": self.gap,
            "gap_region": self.gap_region,
            "witness": self.witness,
            "advice": self.advice,
        }
