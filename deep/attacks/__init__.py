"""Attacks: the nearest adversarial point, fixed-size attacks, the paper's own, a black-box baseline, and hygiene."""

from .fixed import FixedEps as FixedEps
from .fixed import pgd as pgd
from .fixed import published_pgd as published_pgd
from .minimum import MinimumNorm as MinimumNorm
from .minimum import minimum_norm as minimum_norm
