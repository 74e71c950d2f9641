"""What an attack of a fixed size climbs, and its gradient without denormal numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from ._field import Field

__all__ = ["OBJECTIVES", "slope"]

OBJECTIVES = ("margin", "cross-entropy")


def slope(field: Field, points: Tensor, y: Tensor, objective: str) -> tuple[Tensor, Tensor, Tensor]:
    """The logits, and the gradient of what the attack climbs as a tensor and a factor; (m, c), (m, d), (m,).

    The gradient with respect to the logits of a saturated cross-entropy is so small that the backward pass would run in
    denormal numbers, slowly and coarsely.  It is scaled by a power of two for the pass, and the factor undoes that:
    what it rounds to zero before, as 1 - softmax(f)_y does in float32, stays zero.
    """
    with torch.enable_grad():
        leaf = points.detach().requires_grad_()
        logits = field.logits(leaf)
        own = y[:, None]
        if objective == "cross-entropy":
            outer = logits.detach().softmax(dim=1)
            outer = outer.scatter_add(1, own, torch.full_like(outer[:, :1], -1.0)).double()
        else:
            rival = logits.detach().scatter(1, own, -torch.inf).argmax(dim=1, keepdim=True)
            outer = torch.zeros_like(logits, dtype=torch.float64).scatter(1, rival, 1.0).scatter(1, own, -1.0)
        outer = torch.nan_to_num(outer)
        _, exponent = torch.frexp(outer.abs().amax(dim=1))
        factor = torch.exp2(exponent.double())
        weighted = (logits * (outer / factor[:, None]).to(logits.dtype)).nan_to_num(0.0, 0.0, 0.0)
        return logits.detach(), field.pull(weighted, leaf), factor
