"""Attacks: the nearest adversarial point, attacks of a fixed size, the paper's own, a black box, and hygiene."""

from .blackbox import decision_search as decision_search
from .fixed import FixedEps as FixedEps
from .fixed import pgd as pgd
from .fixed import published_pgd as published_pgd
from .flags import Flag as Flag
from .flags import flags as flags
from .minimum import MinimumNorm as MinimumNorm
from .minimum import minimum_norm as minimum_norm
