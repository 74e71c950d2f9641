"""
Minimisers against the Bayes rule
=================================

The best score of four losses at every posterior. Shaded: the wrong side. The released penalty stays at 0 around one
half, which counts as an error; the hinge jumps, the others pass through 0 only at one half.
"""

from synthetic.plot import minimiser_picture
from theory import catalogue

losses = [
    catalogue.get("logistic"),
    catalogue.get("hinge"),
    catalogue.get("average-margin", mu=1, tau=2),
    catalogue.get("average-margin-released", mu=1, tau=2),
]
figure = minimiser_picture(losses)
