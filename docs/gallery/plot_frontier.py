"""
The frontier between minimum and average margin
===============================================

Gradient descent begins at the mean direction and drifts towards the hard-margin SVM. With the norm of the weights
bounded, the average-margin loss stays at the mean direction.
"""

import numpy as np

from synthetic import frontier as trade
from theory import catalogue

x, y = trade.two_groups(400, 2, np.random.default_rng(0))
found = trade.frontier(x, y, points=30)
loss = catalogue.get("average-margin", mu=1, tau=5)
paths = [
    trade.training_path(x, y, catalogue.get("logistic"), steps=3000),
    trade.training_path(x, y, loss, steps=3000, name="average-margin"),
    trade.training_path(x, y, loss, steps=3000, ball=2.0, name="average-margin, norm <= 2"),
]
figure = trade.frontier_figure(found, paths)
