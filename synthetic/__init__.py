"""Laws with a known answer, and the verification of losses on them.

Laws give samples, the exact posterior, the density, the Bayes rule and the Bayes risk with its error. Checks compare
the pointwise minimisers of a loss with the Bayes rule and test the excess-risk inequality with theory's calibration
function. Everything here is float evidence (tier `searched`), never a proof. Pictures live in `synthetic.plot`.
"""

from __future__ import annotations

from . import laws as laws
from .checks import ENVELOPE_TOLERANCE as ENVELOPE_TOLERANCE
from .checks import GAP_RESOLUTION as GAP_RESOLUTION
from .checks import LIMIT as LIMIT
from .checks import MAPPED as MAPPED
from .checks import POSTERIOR_TIE as POSTERIOR_TIE
from .checks import SCORE_TIE as SCORE_TIE
from .checks import SEARCH_TOLERANCE as SEARCH_TOLERANCE
from .checks import Agreement as Agreement
from .checks import Check as Check
from .checks import Classifier as Classifier
from .checks import Decisions as Decisions
from .checks import ExcessBound as ExcessBound
from .checks import Inequality as Inequality
from .checks import InequalityRow as InequalityRow
from .checks import Minimisers as Minimisers
from .checks import Population as Population
from .checks import PosteriorAgreement as PosteriorAgreement
from .checks import SearchedMap as SearchedMap
from .checks import SearchedRegion as SearchedRegion
from .checks import bayes_agreement as bayes_agreement
from .checks import check as check
from .checks import decisions as decisions
from .checks import excess_bound as excess_bound
from .checks import excess_risk_inequality as excess_risk_inequality
from .checks import excess_risk_inequality_classes as excess_risk_inequality_classes
from .checks import is_binary as is_binary
from .checks import least_binary_risk as least_binary_risk
from .checks import pointwise_minimisers as pointwise_minimisers
from .checks import populate as populate
from .checks import posterior_agreement as posterior_agreement
from .checks import random_classifiers as random_classifiers
from .checks import random_scorers as random_scorers
from .checks import searched_region as searched_region
from .checks import tabulated_psi as tabulated_psi
from .laws import Band as Band
from .laws import Estimate as Estimate
from .laws import GaussianMixture as GaussianMixture
from .laws import Grid as Grid
from .laws import InstanceNoise as InstanceNoise
from .laws import LabelNoise as LabelNoise
from .laws import Law as Law
from .laws import NoiseExponent as NoiseExponent
from .laws import PiecewiseConstant as PiecewiseConstant
from .laws import Rings as Rings
from .laws import StudentMixture as StudentMixture
from .laws import TwoMoons as TwoMoons
from .laws import UnknownLaw as UnknownLaw
from .laws import Xor as Xor
from .laws import checkerboard as checkerboard
from .laws import class_noise as class_noise
from .laws import instance_noise as instance_noise
from .laws import massart as massart
from .laws import near_ties as near_ties
from .laws import point_mass as point_mass
from .laws import symmetric_noise as symmetric_noise
from .laws import tsybakov as tsybakov
