"""Checks of losses and laws against each other; each returns its numbers with tolerance and method."""

from __future__ import annotations

from ._agreement import GAP_RESOLUTION as GAP_RESOLUTION
from ._agreement import POSTERIOR_TIE as POSTERIOR_TIE
from ._agreement import SCORE_TIE as SCORE_TIE
from ._agreement import Agreement as Agreement
from ._agreement import Minimisers as Minimisers
from ._agreement import bayes_agreement as bayes_agreement
from ._agreement import is_binary as is_binary
from ._agreement import pointwise_minimisers as pointwise_minimisers
from ._classifiers import Classifier as Classifier
from ._classifiers import random_classifiers as random_classifiers
from ._classifiers import random_scorers as random_scorers
from ._decisions import LIMIT as LIMIT
from ._decisions import MAPPED as MAPPED
from ._decisions import Decisions as Decisions
from ._decisions import decisions as decisions
from ._excess import ExcessBound as ExcessBound
from ._excess import excess_bound as excess_bound
from ._excess import tabulated_psi as tabulated_psi
from ._inequality import ENVELOPE_TOLERANCE as ENVELOPE_TOLERANCE
from ._inequality import SEARCH_TOLERANCE as SEARCH_TOLERANCE
from ._inequality import Inequality as Inequality
from ._inequality import InequalityRow as InequalityRow
from ._inequality import excess_risk_inequality as excess_risk_inequality
from ._inequality import excess_risk_inequality_classes as excess_risk_inequality_classes
from ._inequality import least_binary_risk as least_binary_risk
from ._population import Check as Check
from ._population import Population as Population
from ._population import check as check
from ._population import populate as populate
from ._region import SearchedRegion as SearchedRegion
from ._region import searched_region as searched_region
from ._sampling import PosteriorAgreement as PosteriorAgreement
from ._sampling import posterior_agreement as posterior_agreement
from ._simplex import SearchedMap as SearchedMap
