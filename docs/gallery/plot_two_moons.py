"""
Two moons with their exact posterior
====================================

The posterior is an integral along each arc; the Bayes rule and risk follow.
"""

import numpy as np

from synthetic import laws
from synthetic.plot import law_picture

figure = law_picture(laws.get("two-moons"), rng=np.random.default_rng(4), draws=150)
