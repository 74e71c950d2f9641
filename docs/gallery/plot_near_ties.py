"""
Kinks and germs: what happens near a tie
========================================

The conditional risk of the paper's loss and of the released one around the score 0, at a posterior close to one half.
The paper's penalty has a slope through 0 that pulls the minimiser to the right side. The released one has a kink there,
and the kink wins: a tie is optimal although one class is more probable.
"""

import numpy as np
from matplotlib.figure import Figure

from theory import binary_minimiser, catalogue, conditional_risk

eta = 0.53
t = np.linspace(-1.5, 1.5, 601)
figure = Figure(figsize=(8.0, 3.4), layout="constrained")
for panel, name in zip(figure.subplots(1, 2), ("average-margin", "average-margin-released"), strict=True):
    for mu, colour in (("0.1", "#4477aa"), ("0.5", "#ee6677")):
        loss = catalogue.get(name, mu=mu, tau=1)
        risk = conditional_risk(loss, eta, t)
        panel.plot(t, risk - risk.min(), color=colour, label=f"mu = {mu}")
        best = binary_minimiser(loss, eta)
        panel.plot(best.v, best.value - risk.min(), "o", color=colour)
    panel.set(title=name, xlabel="score t", ylabel="risk above its least value", ylim=(-0.005, 0.2))
    panel.axvline(0.0, color="black", linewidth=0.5)
    panel.legend(fontsize=8, frameon=False)
