"""The trade-off between the minimum and the average margin of linear classifiers, made exact.

`frontier` solves the convex programs between its two ends, the hard-margin SVM and the mean direction;
`training_path` follows gradient descent on a margin loss and says how far from the frontier it runs;
`figure` draws both. Data are points x in R^d with labels y in {-1, +1}; classifiers are homogeneous
(append a constant column for a bias).
"""

from .data import two_groups as two_groups
from .figure import frontier_figure as frontier_figure
from .paths import Path as Path
from .paths import Rate as Rate
from .paths import path_numbers as path_numbers
from .paths import svm_rate as svm_rate
from .paths import training_path as training_path
from .program import NotSeparable as NotSeparable
from .program import frontier as frontier
from .result import Frontier as Frontier
from .result import Point as Point
from .result import tail_mean as tail_mean
from .solver import GEOMETRIES as GEOMETRIES
from .solver import NotConverged as NotConverged
