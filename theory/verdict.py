"""What a proof attempt returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from . import _html


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

    def __repr__(self) -> str:
        """One line: status, tier, loss, gap and scope; never the certificate.

        >>> import theory
        >>> theory.prove(theory.catalogue.get("average-margin"), classes=3)
        <Verdict PROVED (symbolic): average-margin, every posterior of the closed simplex, c = 3; mu = 1/10, tau = 5>
        """
        gap = "" if self.gap is None else f", gap >= {_html.at_least(self.gap)}"
        head = f"{type(self).__name__} {self.status} ({self.tier}): {_html.short(self.loss)}"
        return f"<{head}{gap}, {_html.short(self.scope, 70)}>"

    def _repr_html_(self) -> str:
        """A table of what is known, for notebooks; names and formulas are escaped."""
        gap = None if self.gap is None else f">= {_html.at_least(self.gap)} ({self.gap_region or 'see scope'})"
        rows: list[tuple[str, object]] = [("tier", self.tier), ("scope", self.scope), ("gap", gap)]
        rows += [(f"witness: {name}", _shown(value)) for name, value in (self.witness or {}).items()]
        evidence = None if self.certificate is None else "theory.check(verdict.certificate) verifies it again"
        rows += [("certificate", evidence), ("advice", self.advice)]
        return _html.pairs(f"{self.loss}: {self.status}", rows)


def _shown(value: object) -> str:
    return "(" + ", ".join(map(_html.number, value)) + ")" if isinstance(value, (list, tuple)) else _html.number(value)
