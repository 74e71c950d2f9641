"""How much to measure, as typed: radii, samples, steps. Shared by `measure`, `attack` and `sweep`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from avgmargin.common.errors import UserError

if TYPE_CHECKING:
    from avgmargin.networks.effort import Effort


def effort_of(asked: Namespace) -> Effort:
    """The effort in the flags; UserError for a value outside its range."""
    from avgmargin.networks.effort import Effort

    chosen: dict[str, Any] = {}
    for name in ("images", "radius", "samples", "steps", "step_size", "published_steps", "seed"):
        if getattr(asked, name, None) is not None:
            chosen[name] = getattr(asked, name)
    if not 0 <= chosen.get("seed", 0) < 2**63:
        raise UserError(f"seed={chosen['seed']} must be an integer in 0..{2**63 - 1}")
    for name in ("eps", "pgd_eps"):
        if getattr(asked, name, None) is not None:
            chosen[name] = read_eps(getattr(asked, name))
    return Effort(**chosen)


def read_eps(text: str) -> tuple[float, ...]:
    """Radii as typed, each once; UserError unless each is a number, finite and at least 0, and differs from the others.

    >>> read_eps("0.5,1")
    (0.5, 1.0)
    """
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UserError(f"eps={text!r} must be numbers as in 0.5,1") from None
    for value in found:
        if not 0.0 <= value < float("inf"):
            raise UserError(f"eps={value:g} must be finite and at least 0")
    found = tuple(dict.fromkeys(found))
    if len({f"{value:g}" for value in found}) < len(found):  # as which they name their results
        raise UserError(f"eps={text!r} must be numbers that differ in their first six digits")
    return found
