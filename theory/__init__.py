"""What is claimed: losses, conditional risks, proofs and refutations, exact margins. No torch."""

from . import catalogue as catalogue
from .checker import CertificateError as CertificateError
from .checker import CheckResult as CheckResult
from .checker import check as check
from .losses import Domain as Domain
from .losses import Loss as Loss
from .losses import from_formula as from_formula
from .losses import from_pair as from_pair
from .margins import functional_margins as functional_margins
from .margins import linear_label_margins as linear_label_margins
from .margins import linear_margins as linear_margins
from .margins import row_distances as row_distances
from .prover import prove as prove
from .risk import BinaryMinimiser as BinaryMinimiser
from .risk import binary_minimiser as binary_minimiser
from .risk import conditional_risk as conditional_risk
from .risk import multiclass_minimiser as multiclass_minimiser
from .risk import multiclass_risk as multiclass_risk
from .risk import psi as psi
from .verdict import Status as Status
from .verdict import Tier as Tier
from .verdict import Verdict as Verdict
