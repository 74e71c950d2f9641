"""
Label noise where the classes meet
==================================

Concentric rings whose labels are flipped most where the posterior is near one half: the Bayes rule stays, the margin
of the posterior shrinks.
"""

import numpy as np

from synthetic import laws
from synthetic.plot import law_picture

figure = law_picture(laws.get("rings-near-tie-noise"), rng=np.random.default_rng(5), draws=150)
