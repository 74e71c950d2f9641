"""From an adversarial point to a nearer one: back to the boundary, and along it towards the clean image."""

from __future__ import annotations

import torch
from torch import Tensor

from ._field import Field
from ._geometry import clip, norms, project, rows_dot

__all__ = ["TIGHT", "back_to_boundary", "polish", "retract"]

TIGHT = 1e-6  # relative width at which a bracket of the boundary is done: a hundredth of what is asked of a ratio
_ROUGH = 1e-4  # the same between two steps; the last bracket is tight
_LEAST_STEP = 2.0**-7  # a polish whose step was halved this far has stopped improving
_STILL = 1e-5  # relative improvement below which a whole step counts as none


def back_to_boundary(
    field: Field,
    x: Tensor,
    source: Tensor,
    direction: Tensor,
    inner: Tensor,
    outer: Tensor,
    gaps: tuple[Tensor, Tensor],
    steps: int,
    tight: float = TIGHT,
) -> Tensor:
    """Narrow [inner, outer] about a change of prediction on the path clip(x + s direction); ``outer`` is adversarial.

    Regula falsi in the variant of Illinois, aiming a little behind the root, and bisection where a gap is not finite or
    a step did not halve the bracket.  Returns the last adversarial s; (m,).
    """
    low, high = inner.clone(), outer.clone()
    low_gap, high_gap = gaps[0].clone(), gaps[1].clone()
    slack = torch.zeros_like(low)
    halve = torch.zeros_like(low, dtype=torch.bool)
    side = torch.zeros_like(low)
    for _ in range(steps):
        rows = torch.nonzero(high - low > tight * high)[:, 0]
        if len(rows) == 0:
            break
        a, b, ga, gb = low[rows], high[rows], low_gap[rows], high_gap[rows]
        share = (ga + slack[rows]) / (ga - gb)
        share = torch.where(torch.isfinite(share) & ~halve[rows], share, 0.5).clamp(1e-3, 1.0 - 1e-3)
        s = a + share * (b - a)
        gap, unsure = field.gaps(clip(x[rows] + s[:, None] * direction[rows], field.box), source[rows])
        out = ~(gap >= 0.0)
        slack[rows] = unsure
        halve[rows] = torch.where(out, s - a, b - s) > 0.5 * (b - a)
        high[rows] = torch.where(out, s, b)
        low[rows] = torch.where(out, a, s)
        now = 2.0 * out.to(side) - 1.0
        same = side[rows] == now  # Illinois: the end that stays weighs half
        high_gap[rows] = torch.where(out, gap, torch.where(same, 0.5 * gb, gb))
        low_gap[rows] = torch.where(out, torch.where(same, 0.5 * ga, ga), gap)
        side[rows] = now
    return high


def polish(field: Field, x: Tensor, source: Tensor, start: Tensor, steps: int) -> Tensor:
    """Improve adversarial points; rows of NaN stay as they are.

    At the best point b, just behind the boundary, with the gap's gradient g there: u is the projection of x on the
    half-space gap(b) + <g, u - b> <= 0 within the box.  Go to b + t (u - b), from there along the ray from x until the
    prediction changes but never past the length ||b - x||, and back to the boundary.  What is nearer replaces b; where
    nothing is, t is halved, and doubled again (up to 1) by a success.
    """
    best = start.clone()
    rows = torch.nonzero(torch.isfinite(start).all(dim=1))[:, 0]
    reached, _ = field.gaps(start[rows], source[rows])
    rows = rows[~(reached >= 0.0)]  # what a second pass does not confirm is not polished
    best[rows] = retract(field, x[rows], source[rows], best[rows], _ROUGH)
    first, zero = rows, torch.zeros(len(x), dtype=x.dtype, device=x.device)
    clean_gap = zero.index_copy(0, rows, field.gaps(x[rows], source[rows])[0])
    t = zero + 1.0
    for _ in range(steps):
        if len(rows) == 0:
            break
        new = _step(field, x[rows], source[rows], best[rows], t[rows], clean_gap[rows])
        old_length, length = norms(best[rows] - x[rows]), norms(new - x[rows])
        better = length < old_length
        best[rows] = torch.where(better[:, None], new, best[rows])
        gain = torch.where(better, 1.0 - length / old_length.clamp(min=torch.finfo(x.dtype).tiny), 0.0)
        done = (gain < _STILL) & (t[rows] >= 1.0) & better
        t[rows] = torch.where(gain >= _STILL, (2.0 * t[rows]).clamp(max=1.0), 0.5 * t[rows])
        rows = rows[~done & (t[rows] >= _LEAST_STEP)]
    best[first] = retract(field, x[first], source[first], best[first], TIGHT)
    return best


def retract(field: Field, x: Tensor, source: Tensor, point: Tensor, tight: float = TIGHT) -> Tensor:
    """Move adversarial points straight towards x, back to the boundary; they stay adversarial."""
    one = torch.ones(len(x), dtype=x.dtype, device=x.device)
    gaps = field.gaps(x, source)[0], field.gaps(point, source)[0]
    kept = torch.nonzero(~(gaps[1] >= 0.0) & (gaps[0] >= 0.0))[:, 0]
    result = point.clone()
    if len(kept):
        x, ray, source, one = x[kept], (point - x)[kept], source[kept], one[kept]
        s = back_to_boundary(field, x, source, ray, 0.0 * one, one, (gaps[0][kept], gaps[1][kept]), 40, tight)
        result[kept] = torch.where((s < 1.0)[:, None], clip(x + s[:, None] * ray, field.box), point[kept])
    return result


def _step(field: Field, x: Tensor, source: Tensor, best: Tensor, t: Tensor, clean_gap: Tensor) -> Tensor:
    """One step of ``polish``: a new adversarial point for each row, or ``best`` itself where none was nearer."""
    gap, g, slack = field.gradient(best, source)
    behind = rows_dot(g, best) - gap - slack  # on the linearised boundary, by one more slack
    u = project(x, g, behind, field.box)
    direction = best + t[:, None] * (u - best) - x
    length, limit = norms(direction), norms(best - x)
    live = (length < limit) & (length > 0.0)
    result = best.clone()
    rows = torch.nonzero(live)[:, 0]
    if len(rows) == 0:
        return result
    x, source, direction, clean_gap = x[rows], source[rows], direction[rows], clean_gap[rows]
    last = _reach(x, direction, limit[rows], field.box)
    low, high, gaps = _bracket(field, x, source, direction, rows_dot(g[rows], direction), last, clean_gap)
    ok = torch.nonzero(~(gaps[1] >= 0.0))[:, 0]
    ends = gaps[0][ok], gaps[1][ok]
    s = back_to_boundary(field, x[ok], source[ok], direction[ok], low[ok], high[ok], ends, 12, _ROUGH)
    result[rows[ok]] = clip(x[ok] + s[:, None] * direction[ok], field.box)
    return result


def _bracket(
    field: Field, x: Tensor, source: Tensor, direction: Tensor, slope: Tensor, last: Tensor, clean_gap: Tensor
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Ends of s and their gaps that enclose a change of prediction on clip(x + s direction), 0 <= s <= last.

    Probes s = 1, where the gap and ``slope`` there put the root, and where both are inside, ``last``.  Where that is
    inside too, the gap of the upper end is not negative.
    """
    low, low_gap, high = torch.zeros_like(last), clean_gap, torch.ones_like(last)
    high_gap, unsure = field.gaps(clip(x + direction, field.box), source)
    inside = high_gap >= 0.0
    guess = 1.0 - 1.5 * (high_gap + 2.0 * unsure) / slope.clamp(max=0.0)
    guess = torch.where(torch.isfinite(guess), guess, torch.where(inside, last, 0.5))
    guess = torch.minimum(guess.clamp(min=0.5), torch.where(inside, last, 1.0 - 1e-3))
    gap, _ = field.gaps(clip(x + guess[:, None] * direction, field.box), source)
    lower = ~inside & (gap >= 0.0)  # the root lies between the guess and 1
    low, low_gap = (
        torch.where(inside, high, torch.where(lower, guess, low)),
        torch.where(inside, high_gap, torch.where(lower, gap, low_gap)),
    )
    high, high_gap = torch.where(lower, high, guess), torch.where(lower, high_gap, gap)
    again = torch.nonzero((high_gap >= 0.0) & (high < last))[:, 0]
    if len(again):
        low[again], low_gap[again], high[again] = high[again], high_gap[again], last[again]
        high_gap[again], _ = field.gaps(clip(x[again] + last[again, None] * direction[again], field.box), source[again])
    return low, high, (low_gap, high_gap)


def _reach(x: Tensor, direction: Tensor, limit: Tensor, box: tuple[float, float] | None) -> Tensor:
    """The s >= 1 at which the path clip(x + s direction) is as long as ``limit``, from below; (m,)."""
    high = limit / norms(direction)
    if box is None:
        return high
    low = high.clone()  # a clipped path is shorter than the ray, so that its s is at least this
    for _ in range(20):
        high = torch.where(norms(clip(x + high[:, None] * direction, box) - x) < limit, 2.0 * high, high)
        if bool((norms(clip(x + high[:, None] * direction, box) - x) >= limit).all()):
            break
    for _ in range(20):
        middle = 0.5 * (low + high)
        short = norms(clip(x + middle[:, None] * direction, box) - x) < limit
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return low
