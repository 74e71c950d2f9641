"""
Excess risk and the plug-in rate
================================

A law with Tsybakov noise exponent 1 on the plane: exact histogram minimisers of three consistent losses against the
rate n^(-(1 + alpha)/(2 + d)).
"""

import numpy as np

from synthetic import laws, learning
from theory import catalogue

law = laws.get("tsybakov", exponent=1)
losses = [catalogue.get(name) for name in ("hinge", "exponential", "average-margin")]
curves = learning.learning_curves(law, losses, sizes=[100, 1000, 10_000], seeds=3, rng=np.random.default_rng(2))
figure = learning.curves_figure(curves, exponent=learning.plug_in_rate(1.0, law.dimension))
