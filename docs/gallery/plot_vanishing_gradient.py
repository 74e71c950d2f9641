"""
Which points a penalty still moves
==================================

The slope of each penalty over the margin. The paper's ramp pulls at points with a margin in (0, tau), which are right
already; the released one pulls only at points that are wrong, so that nothing is left of it once every training point
is right. The gradients come from torch, through the modules that train.
"""

import torch
from matplotlib.figure import Figure

import deep

tau = 2.0
alpha = torch.linspace(-4.0, 4.0, 801, requires_grad=True)
logits = torch.stack([alpha, torch.zeros_like(alpha)], dim=1)
labels = torch.zeros(801, dtype=torch.int64)
plain = deep.AverageMarginLoss(0.0, tau)
figure = Figure(figsize=(6.8, 3.6), layout="constrained")
axes = figure.add_subplot()
for name in ("paper", "released"):
    penalty = deep.AverageMarginLoss(1.0, tau, penalty=name)(logits, labels) - plain(logits, labels)
    (slope,) = torch.autograd.grad(penalty * 801, alpha, retain_graph=True)
    axes.plot(alpha.detach(), -slope.numpy(), label=f"{name} penalty, tau = {tau:g}")
axes.axvspan(0.0, 4.0, color="black", alpha=0.06, linewidth=0)
axes.annotate("classified right", (2.6, 0.45))
axes.set(xlabel="margin alpha (units of score)", ylabel="pull on the margin, per unit of mu", ylim=(-0.1, 1.2))
axes.legend(frameon=False, loc="upper left")
