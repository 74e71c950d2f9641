"""
Where the released penalty fails
================================

At each weight mu the posteriors at which the released loss prefers a tie, as certified intervals: red is proved to
fail, green is proved not to, and the seams in between are too thin to see. The line is the closed form.
"""

import numpy as np
from matplotlib.figure import Figure

from theory import catalogue, failing_region, released_threshold

tau = 2
figure = Figure(figsize=(6.4, 4.0), layout="constrained")
axes = figure.add_subplot()
weights = ["0.1", "0.3", "0.6", "1", "1.5", "2", "3"]
for k, mu in enumerate(weights):
    region = failing_region(catalogue.get("average-margin-released", mu=mu, tau=tau), tol="1e-2")
    for kind, colour in (("failing", "#cc3311"), ("consistent", "#228833"), ("undecided", "#bbbbbb")):
        for low, high in region.intervals(kind):
            axes.fill_between([k - 0.35, k + 0.35], float(low), float(high), color=colour, linewidth=0, alpha=0.6)
closed = np.array([[float(end) for end in released_threshold(mu, tau)] for mu in weights]).mean(axis=1)
axes.plot(range(len(weights)), closed, "k.-", linewidth=0.8, label="closed form P(mu, tau) and 1 - P")
axes.plot(range(len(weights)), 1.0 - closed, "k.-", linewidth=0.8)
axes.set_xticks(range(len(weights)), weights)
axes.set(xlabel=f"mu (tau = {tau})", ylabel="eta = P(Y = 1 given x)", ylim=(0.0, 1.0))
axes.legend(fontsize=8, loc="upper right")
