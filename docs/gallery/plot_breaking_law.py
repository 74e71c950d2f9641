"""
A law made to break Crammer-Singer
==================================

Orders of (0.4, 0.3, 0.3): the minimiser of the Crammer-Singer loss is a tie of all three scores there. Weston-Watkins
has the right class on top at this posterior, and fails at (0.4, 0.35, 0.25).
"""

import numpy as np
from matplotlib.figure import Figure

from theory import catalogue, multiclass_minimiser

posteriors = np.array([[0.4, 0.3, 0.3], [0.4, 0.35, 0.25], [0.6, 0.25, 0.15]])
names = ("cross-entropy", "crammer-singer", "weston-watkins", "average-margin")
figure = Figure(figsize=(9.0, 3.0), layout="constrained")
for panel, p in zip(figure.subplots(1, 3, sharey=True), posteriors, strict=True):
    for k, name in enumerate(names):
        scores, _ = multiclass_minimiser(catalogue.get(name), p[None, :], starts=8)
        panel.bar(np.arange(3) + 0.2 * k, scores[0] - scores[0].mean(), 0.18, label=name)
    panel.set_title(f"p = {tuple(float(x) for x in p)}")
    panel.set_xticks([0.3, 1.3, 2.3], ["class 0", "class 1", "class 2"])
panel.legend(fontsize=7)
