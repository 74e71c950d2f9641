"""What public functions ask of arguments that many of them have, in one place."""

from __future__ import annotations

import numbers
import operator

from .losses import Loss

__all__ = ["check_budget", "check_classes", "check_loss"]


def check_loss(loss: object) -> None:
    """Raise TypeError for what is not a `Loss`: a name or a formula must be looked up or read first."""
    if not isinstance(loss, Loss):
        made = "catalogue.get(name) or from_formula(text) makes one"
        raise TypeError(f"loss={loss!r:.80} of type {type(loss).__name__} must be a theory.Loss; {made}")


def check_classes(classes: object, most: int | None = None) -> None:
    """Raise TypeError for a number of classes that is no integer, ValueError outside 2, ..., `most` where given."""
    count = _integer("classes", classes)
    if most is not None and not 2 <= count <= most:
        raise ValueError(f"classes={classes} must lie between 2 and {most}")


def check_budget(boxes: object, seconds: object, **further: object) -> None:
    """Raise TypeError for a budget that is no number, ValueError for one that is not positive, each by its name."""
    if isinstance(seconds, bool) or not isinstance(seconds, numbers.Real):
        raise TypeError(f"seconds={seconds!r} must be a number")
    if not float(seconds) > 0:
        raise ValueError(f"seconds={seconds} must be positive")
    for name, value in {"boxes": boxes, **further}.items():
        if _integer(name, value) < 1:
            raise ValueError(f"{name}={value} must be at least 1")


def _integer(name: str, value: object) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}={value!r:.80} must be an integer") from None
