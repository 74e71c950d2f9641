"""
What label noise does to a posterior
====================================

One law on the line under three kinds of noise. Symmetric noise draws the posterior towards one half and keeps the Bayes
rule. Noise that depends on the class moves the point where it crosses one half. Noise that depends on the instance can
be strongest where the classes meet, and the posterior stays known exactly.
"""

import numpy as np
from matplotlib.figure import Figure

from synthetic import class_noise, instance_noise, laws, symmetric_noise

clean = laws.get("gaussian-line")

x = np.linspace(*clean.extent[0], 400)[:, None]
noisy = {
    "clean": clean,
    "symmetric, 0.2": symmetric_noise(clean, 0.2),
    "by class, 0.3 and 0": class_noise(clean, (0.3, 0.0)),
    "near ties, up to 0.4": instance_noise(clean, 0.4),
}
figure = Figure(figsize=(6.8, 3.8), layout="constrained")
axes = figure.add_subplot()
for name, law in noisy.items():
    axes.plot(x[:, 0], law.posterior(x)[:, 1], label=name)
axes.axhline(0.5, color="black", linewidth=0.5)
axes.set(xlabel="x", ylabel="P(Y = 1 given x)", ylim=(0.0, 1.0))
axes.legend(fontsize=8)
