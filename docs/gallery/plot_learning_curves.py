"""
Where an inconsistent loss levels off
=====================================

On a checkerboard whose cells have eta = 0.7 the released penalty with mu = 4 ties everywhere: its excess risk stays at
2 eta - 1 = 0.4, as predicted (dotted), while consistent losses reach 0.
"""

import numpy as np

from synthetic import laws, learning
from theory import catalogue

losses = [catalogue.get("logistic"), catalogue.get("average-margin-released", mu=4, tau=5)]
curves = learning.learning_curves(
    laws.get("checkerboard", side=2, eta=0.7),
    losses,
    sizes=[30, 100, 300, 1000, 3000],
    seeds=3,
    rng=np.random.default_rng(1),
)
figure = learning.curves_figure(curves)
