"""
Margins of a small net
======================

Two nets on two moons, one trained with cross-entropy and one with the average-margin loss: how their functional margins
are distributed over the training points, and what each loss did to the tail.
"""

import numpy as np
import torch

import deep
from synthetic import laws

points, labels = laws.get("two-moons").sample(400, np.random.default_rng(0))
x, y = torch.tensor(points, dtype=torch.float32), torch.tensor(labels)
found = {}
for name, mu in (("cross-entropy", 0.0), ("average margin, mu = 1, tau = 4", 1.0)):
    model = deep.MLP(2, 2, hidden=32, generator=torch.Generator().manual_seed(1))
    loss = deep.AverageMarginLoss(mu=mu, tau=4.0)
    steps = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    for _ in range(400):
        steps.zero_grad()
        loss(model(x), y).backward()
        steps.step()
    found[name] = deep.margins(model, x, y)
figure = deep.plot.distribution(*found.values(), labels=list(found))
