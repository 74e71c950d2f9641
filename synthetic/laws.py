"""Laws of (X, Y) with a known answer: exact posterior, Bayes rule and Bayes risk.

One face for the laws; each family lives in its own module.
"""

from __future__ import annotations

from ._estimate import Estimate as Estimate
from ._gaussian import GaussianMixture as GaussianMixture
from ._grid import Grid as Grid
from ._law import Law as Law
from ._piecewise import PiecewiseConstant as PiecewiseConstant
from ._piecewise import checkerboard as checkerboard
from ._piecewise import near_ties as near_ties
from ._piecewise import point_mass as point_mass
