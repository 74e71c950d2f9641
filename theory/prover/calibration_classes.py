"""Calibration functions of several classes: `multiclass_gap` on a grid of epsilon, and its envelope. Untrusted."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import pairwise
from typing import Any

from theory.checker import FORMAT, VERSION, check
from theory.losses import Loss

from .calibration import Vertices, rounded_down, rounded_up
from .calibration_floats import convex_hull
from .gap import GapBound, multiclass_gap

_ZERO, _ONE = Fraction(0), Fraction(1)
_LEAST_SECONDS = 0.05


def enclose_classes(loss: Loss, classes: int, *, points: int, boxes: int, seconds: float) -> dict[str, Any] | str:
    """A certificate that `check` has verified, or why there is none."""
    start, spent, why = time.monotonic(), 0, "nothing was tried"
    found: list[GapBound] = []
    for k in range(points, 0, -1):  # large epsilon first: they cost least
        left = seconds - (time.monotonic() - start)
        if left < _LEAST_SECONDS or spent >= boxes:
            why = f"out of budget; raise boxes={boxes} or seconds={seconds:g}"
            break
        gap = multiclass_gap(loss, classes, Fraction(k, points), boxes=boxes - spent, seconds=left)
        spent += gap.boxes
        if gap.certificate is None:
            why = gap.advice or "no bound was certified"
            break
        found.append(gap)
    if not found:
        return why
    found.reverse()
    kappa = found[0].certificate.get("kappa") if found[0].certificate is not None else None
    body = _weighed(found) if kappa is not None else _stepped(found)
    header = {"format": FORMAT, "version": VERSION, "loss": loss.to_dict(), "classes": classes}
    certificate = header | body | {"claim": "calibration"}
    result = check(certificate)
    return certificate if result.valid else f"the certificate was refused: {result.reason}"


def _weighed(found: list[GapBound]) -> dict[str, Any]:
    """Piecewise linear losses: kappa theta, and exact gaps of single posteriors."""
    certificate = found[0].certificate
    assert certificate is not None
    kappa = Fraction(certificate["kappa"])
    points = []
    for gap in found:
        if gap.witness is not None:
            points.append({"epsilon": str(gap.eps), "p": gap.witness["p"], "scores": gap.witness["scores"]})
    rows = [(gap.eps, kappa * gap.eps, Fraction(gap.upper)) for gap in found if gap.witness is not None]
    return {"kappa": certificate["kappa"], "weights": certificate["weights"], "points": points} | _claims(
        [(_ZERO, _ZERO), (_ONE, kappa)], rows
    )


def _stepped(found: list[GapBound]) -> dict[str, Any]:
    """Bounds at single epsilon, each good for all larger ones."""
    blocks = [gap.certificate["calibration_bound"] for gap in found if gap.certificate is not None]
    heights, height = [], _ZERO
    for block in blocks:
        height = max(height, Fraction(block["gap"]))
        heights.append((Fraction(block["epsilon"]), height))
    ends = [_ZERO, *(eps for eps, _ in heights), _ONE]
    steps = [_ZERO, *(height for _, height in heights)]
    corners = {_ZERO: _ZERO}
    for (left, right), step in zip(pairwise(ends), steps, strict=True):
        if left < right:
            corners[right] = step
    x = sorted(corners)
    y = [rounded_down(corners[each]) for each in x]
    rows = []
    for block, (eps, height) in zip(blocks, heights, strict=True):
        if block.get("upper") is not None:
            rows.append((eps, height, Fraction(block["upper"]["value"])))
    return {"bounds": blocks} | _claims([(x[i], y[i]) for i in convex_hull(x, y)], rows)


def _claims(lower: Vertices, rows: list[tuple[Fraction, Fraction, Fraction]]) -> dict[str, Any]:
    x, y = [_ZERO, *(eps for eps, _, _ in rows)], [_ZERO, *(rounded_up(top) for _, _, top in rows)]
    upper = [(x[i], y[i]) for i in convex_hull(x, y)]
    psi = {key: [[str(a), str(b)] for a, b in each] for key, each in (("lower", lower), ("upper", upper))}
    gap = [[str(eps), str(rounded_down(low)), str(rounded_up(top))] for eps, low, top in rows]
    return {"psi": psi, "gap": gap}
