"""
Three Gaussian classes
======================

The Bayes class fades to white where the top posterior falls to one third.
"""

import numpy as np

from synthetic import laws
from synthetic.plot import law_picture

figure = law_picture(laws.get("gaussian-classes"), rng=np.random.default_rng(6), draws=200)
