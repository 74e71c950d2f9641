"""
The loss in your own training loop
==================================

``deep.AverageMarginLoss(mu, tau)(logits, labels)`` takes the place of ``torch.nn.CrossEntropyLoss``: a plain loop over
digits, and both margins after each epoch. Nothing else of the package is needed to train.
"""

import numpy as np
import torch
from matplotlib.figure import Figure

import deep

digits = deep.load_mnist5k()
x, y = torch.tensor(digits.train_x[:2000]), torch.tensor(digits.train_y[:2000])
figure = Figure(figsize=(8.4, 3.4), layout="constrained")
panels = figure.subplots(1, 2)
for name, loss in (
    ("cross-entropy", torch.nn.CrossEntropyLoss()),
    ("average margin", deep.AverageMarginLoss(0.1, 5.0)),
):
    model = torch.nn.Sequential(torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_((torch.rand(weight.shape, generator=draw) - 0.5) / 8.0)
    steps = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    seen = []
    for _ in range(20):
        for batch in torch.randperm(len(x), generator=draw).split(128):
            steps.zero_grad()
            loss(model(x[batch]), y[batch]).backward()
            steps.step()
        alpha = deep.margins(model, x, y)
        seen.append((alpha.mean(), alpha.min()))
    for panel, values in zip(panels, np.array(seen).T, strict=True):
        panel.plot(values, label=name)
for panel, words in zip(panels, ("average", "minimum"), strict=True):
    panel.set(xlabel="epoch", ylabel=f"{words} functional margin (units of score)")
panels[0].legend(frameon=False)
