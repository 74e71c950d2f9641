"""The paper's training method: differences of convex functions (DCA), one linearisation per epoch.

The loss is G - H with G = CE + mu H_tau and H = mu H_0, where H_s(u) = max(0, s - u) is taken of the margin.  At the
start of an epoch h = grad H is taken over the whole training set; each step then follows grad G of its batch minus h.
Source: Wu & Yu (2019), arXiv 1907.11780.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .losses import AverageMarginLoss

__all__ = ["subtracted_gradient"]


def subtracted_gradient(
    model: nn.Module, loss: AverageMarginLoss, x: Tensor, y: Tensor, rows: int = 512
) -> list[Tensor]:
    """Return the gradient of the mean of H over all images, one tensor per parameter, ``rows`` images at a time.

    At the weights where it is taken, grad of the mean of G minus this is the gradient of the mean of the loss.
    The model runs in the mode it is in, so dropout draws new masks; gradients stored in the parameters are left alone.
    """
    parameters = list(model.parameters())
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for images, labels in zip(torch.split(x, rows), torch.split(y, rows), strict=True):
        part = loss.subtracted_part(model(images), labels) * (len(labels) / len(y))
        if part.item() == 0.0:  # no image of these is beyond the kink: nothing to add
            continue
        for sum_, gradient in zip(total, torch.autograd.grad(part, parameters), strict=True):
            sum_.add_(gradient)
    return total
