"""Distances to the decision boundary that are exact, rigorous lower bounds, or the paper's sampled estimate."""

from .exact import exact_relu as exact_relu
from .linear import linear_distances as linear_distances
from .lower import lower_bound as lower_bound
from .norms import operator_norms as operator_norms
from .norms import reshaped_norms as reshaped_norms
from .sampled import sampled_estimate as sampled_estimate
from .sampled import uniform_in_ball as uniform_in_ball
from .sampled import violations as violations
