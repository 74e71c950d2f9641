"""How much is measured of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from avgmargin.common.errors import UserError

__all__ = ["EPS", "Effort"]

EPS = (0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Effort:
    """How much is measured: the number of test images, robust accuracy at which eps, and the settings of each method.

    images            : the first so many of the test set, for all that is not exact and cheap.
    eps               : radii of robust accuracy, read off the distances; `pgd_eps`: those of fixed-eps attacks.
    radius, samples   : R and N of the paper's estimate.
    steps, step_size  : of PGD with the margin as objective; `published_steps` of .01 of the paper's own.
    seed              : of everything drawn.
    """

    images: int = 200
    eps: tuple[float, ...] = EPS
    pgd_eps: tuple[float, ...] = (1.0, 2.0)
    radius: float = 5.0
    samples: int = 256
    steps: int = 200
    step_size: float = 0.05
    published_steps: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("images", 1), ("samples", 1), ("steps", 1), ("published_steps", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name}={getattr(self, name)} must be at least {least}")
        for name in ("eps", "pgd_eps"):
            for value in getattr(self, name):
                if not (math.isfinite(value) and value >= 0.0):
                    raise UserError(f"{name}={value!r} must be finite and at least 0")
        for name in ("radius", "step_size"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise UserError(f"{name}={getattr(self, name)!r} must be finite and above 0")
