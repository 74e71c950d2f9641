"""What every attack asks of its arguments, and tensors made of them."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from deep._inputs import check_model, images_of, labels_of
from deep.distances import Box, box_in, check_box

from ._field import Field

__all__ = ["prepare"]


def prepare(
    model: nn.Module,
    x: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    box: Box | None,
    dtype: torch.dtype | None,
) -> tuple[Field, Tensor, Tensor]:
    """The model as a field, x as flat rows (n, d) and y (n,), on the model's device and in ``dtype``.

    The field's box has its ends in the dtypes of x and of the attack, as the images have their numbers.

    Raises ``ValueError`` in one line for what is no module, a ``dtype`` that is not floating point, an empty box, an
    empty set, images that are not real and finite or leave the box, and labels that are not one integer for each image.
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype={dtype!r} must be a floating-point type")
    check_model(model)
    check_box(box)
    given = images_of(x)
    field = Field(model, tuple(given.shape[1:]), dtype, None)
    if box is not None:
        field.box = box_in(box, given.dtype, field.dtype)
    rows = given.to(device=field.device, dtype=field.dtype).flatten(1)
    if not bool(torch.isfinite(rows).all()):
        raise ValueError(f"x[{int((~torch.isfinite(rows)).any(dim=1).nonzero()[0])}] must be finite")
    if field.box is not None and not (float(rows.min()) >= field.box[0] and float(rows.max()) <= field.box[1]):
        raise ValueError(
            f"x with values in [{float(rows.min()):g}, {float(rows.max()):g}] must lie in box={tuple(box or ())!r}; "
            "normalise inside the model, or give the box of these units"
        )
    return field, rows, labels_of(y, len(rows)).to(field.device)
