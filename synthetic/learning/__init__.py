"""Learning curves: empirical risk minimisers in rich classes, their excess 0-1 risk against the sample size.

`learning_curves` trains on samples of a law for growing n and several seeds and compares with the law's exact Bayes
rule; consistent losses go to 0, inconsistent ones level off at the excess risk of the pointwise minimiser.
"""

from .curves import Curve as Curve
from .curves import Evaluation as Evaluation
from .curves import learning_curves as learning_curves
from .curves import merged as merged
from .curves import plug_in_rate as plug_in_rate
from .figure import curves_figure as curves_figure
from .histogram import Histogram as Histogram
from .network import Network as Network
from .network import random_features as random_features
