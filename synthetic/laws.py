"""Laws of (X, Y) with a known answer: exact posterior, Bayes rule and Bayes risk.

One face for the laws; each family lives in its own module. `names`, `entry` and `get` are the registry.
"""

from __future__ import annotations

from ._band import Band as Band
from ._breakers import breaks_crammer_singer as breaks_crammer_singer
from ._breakers import breaks_naive as breaks_naive
from ._breakers import breaks_released as breaks_released
from ._breakers import breaks_weston_watkins as breaks_weston_watkins
from ._breakers import orbits as orbits
from ._estimate import Estimate as Estimate
from ._exponent import NoiseExponent as NoiseExponent
from ._exponent import massart as massart
from ._exponent import tsybakov as tsybakov
from ._gaussian import GaussianMixture as GaussianMixture
from ._grid import Grid as Grid
from ._law import Law as Law
from ._moons import POSTERIOR_ERROR as POSTERIOR_ERROR
from ._moons import TwoMoons as TwoMoons
from ._noise import InstanceNoise as InstanceNoise
from ._noise import LabelNoise as LabelNoise
from ._noise import class_noise as class_noise
from ._noise import instance_noise as instance_noise
from ._noise import symmetric_noise as symmetric_noise
from ._piecewise import PiecewiseConstant as PiecewiseConstant
from ._piecewise import checkerboard as checkerboard
from ._piecewise import near_ties as near_ties
from ._piecewise import point_mass as point_mass
from ._registry import Entry as Entry
from ._registry import UnknownLaw as UnknownLaw
from ._registry import entry as entry
from ._registry import get as get
from ._registry import names as names
from ._rings import Rings as Rings
from ._student import StudentMixture as StudentMixture
from ._xor import Xor as Xor
