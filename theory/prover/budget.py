"""What a search may spend."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """How much a search may spend before it ends UNDECIDED: boxes tried, and seconds."""

    boxes: int = 20_000
    seconds: float = 60.0
    spent: int = 0
    start: float = field(default_factory=time.monotonic)

    def spend(self) -> None:
        """Count one box; OutOfBudget when the budget is gone."""
        self.spent += 1
        if self.spent > self.boxes or time.monotonic() - self.start > self.seconds:
            raise OutOfBudget


class OutOfBudget(Exception):
    """The search has spent its boxes or seconds."""
