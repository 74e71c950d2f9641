"""
Another geometry: distances in the maximum norm
===============================================

For perturbations bounded in every coordinate the weights live in an l1 ball, and the programs are linear.
"""

import numpy as np

from synthetic import frontier as trade

x, y = trade.two_groups(200, 5, np.random.default_rng(3))
figure = trade.frontier_figure(trade.frontier(x, y, geometry="linf", points=25))
