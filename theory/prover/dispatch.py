"""One door for every kind of loss: `prove`."""

from __future__ import annotations

from fractions import Fraction

from theory.expression import Number, exact
from theory.losses import Loss
from theory.verdict import Verdict

from .binary import prove_binary
from .multiclass import prove_multiclass


def prove(
    loss: Loss,
    *,
    classes: int | None = None,
    threshold: Number = Fraction(1, 2),
    boxes: int = 20_000,
    seconds: float = 60.0,
) -> Verdict:
    """Prove or refute that a loss is Fisher consistent.

    Binary losses (`classes` None or 2 with a binary formula): for every eta = P(Y = +1 | x) other
    than `threshold`, the infimum of the conditional risk over wrong scores, ties included, must be
    above its infimum. With `classes`, the multiclass formula is decided on the closed simplex. The
    search ends UNDECIDED after `boxes` boxes or `seconds` seconds.

    >>> from theory import catalogue
    >>> prove(catalogue.get("perceptron")).witness["score"]
    '0'
    """
    if boxes < 1 or not seconds > 0:
        raise ValueError(f"budget boxes={boxes}, seconds={seconds} must be positive")
    if classes is not None and (classes != 2 or loss.multiclass is not None):
        if exact(threshold) != Fraction(1, 2):
            raise ValueError(f"threshold={threshold} is for binary losses; leave it out for {classes} classes")
        return prove_multiclass(loss, classes, boxes=boxes, seconds=seconds)
    return prove_binary(loss, threshold=exact(threshold), boxes=boxes, seconds=seconds)
