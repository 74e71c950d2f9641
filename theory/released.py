"""The tie regions of the released loss, CE + mu clip(-margin, 0, tau), in closed form and with certain rounding.

docs/theory/released.md proves both statements: for two classes t = 0 minimises C_eta iff max(eta, 1 - eta) <= P, with
P = min(P1, P2), P1 = (1 + 2 mu) / (2 (1 + mu)) and P2 the root in (1/2, 1) of h(p) + mu tau (1 - p) = log 2 (h the
entropy in nats); for several classes and tau above a bound that depends on p the two likeliest classes share the
largest score iff p1 - p2 <= mu / (1 + mu).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import arb, ctx, fmpq

from .expression import Number, exact

_PRECISION = 160
_STEPS = 80


def _arb(value: Fraction) -> arb:
    return arb(fmpq(value.numerator, value.denominator))


def _parameters(mu: Number, tau: Number) -> tuple[Fraction, Fraction]:
    weight, length = exact(mu), exact(tau)
    if weight <= 0:
        raise ValueError(f"mu={mu} must be > 0; at mu = 0 the loss is the cross-entropy, which never ties")
    if length <= 0:
        raise ValueError(f"tau={tau} must be > 0; the penalty would vanish")
    return weight, length


def _excess(p: Fraction, mu: Fraction, tau: Fraction) -> arb:
    """W(p) = h(p) + mu tau (1 - p) - log 2, for 0 < p < 1."""
    x, y = _arb(p), _arb(1 - p)
    return -(x * x.log()) - y * y.log() + _arb(mu * tau) * y - arb(2).log()


def released_threshold(mu: Number, tau: Number) -> tuple[Fraction, Fraction]:
    """Certain bounds (lower, upper) of P(mu, tau): a tie is optimal, for two classes, iff max(eta, 1 - eta) <= P.

    Theorem 1 of docs/theory/released.md. The two are equal where P = P1 is rational; else they are at most 2^-80 apart.
    Raises ValueError unless mu > 0 and tau > 0.

    >>> released_threshold("0.1", 5)
    (Fraction(6, 11), Fraction(6, 11))
    >>> low, high = released_threshold(1, "0.1")
    >>> float(low) == float(high) < 3 / 4
    True
    """
    weight, length = _parameters(mu, tau)
    first = (1 + 2 * weight) / (2 * (1 + weight))
    with ctx.workprec(_PRECISION):
        low, high = Fraction(1, 2), Fraction(1)  # W(1/2) = mu tau / 2 > 0 and W(1) = -log 2 < 0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            excess = _excess(middle, weight, length)
            if excess > 0:
                low = middle
            elif excess < 0:
                high = middle
            else:
                break
            if first <= low:
                break
    return min(first, low), min(first, high)


def released_tie(p: Sequence[Number], mu: Number, tau: Number) -> bool | None:
    """Whether the two likeliest classes share the largest score at the minimiser of C_p; None where no theorem says.

    Two classes: Theorem 1, for every mu > 0, tau > 0 (at the border itself a tie is one of the minimisers). More
    classes: Theorem 3, p1 - p2 <= mu / (1 + mu), which holds for tau > (V - E) / (mu min p): V the least risk of the
    penalty that is never cut off, E the entropy of p, in nats. For smaller tau, and where a class has probability 0,
    the criterion may be false and the answer is None.

    `p` has c >= 2 entries >= 0 with sum exactly 1 (decimals are read as written: 0.1 is 1/10), in any order;
    ValueError for others, and for mu <= 0 or tau <= 0.

    >>> released_tie(["0.4", "0.35", "0.25"], mu="0.1", tau=5), released_tie(["0.5", "0.3", "0.2"], mu="0.1", tau=5)
    (True, False)
    >>> released_tie(["0.69", "0.21", "0.1"], mu=1, tau=1) is None
    True
    """
    weight, length = _parameters(mu, tau)
    ranked = sorted((exact(x) for x in p), reverse=True)
    if len(ranked) < 2 or ranked[-1] < 0 or sum(ranked) != 1:
        raise ValueError(f"p={[str(x) for x in ranked]} must have at least two entries >= 0 with sum exactly 1")
    if len(ranked) == 2:
        low, high = released_threshold(weight, length)
        return True if ranked[0] <= low else False if ranked[0] > high else None
    if ranked[-1] == 0:
        return None
    with ctx.workprec(_PRECISION):
        enough = _never_cut(ranked, weight)
        if not _arb(weight * length * ranked[-1]) > enough:
            return None
    return ranked[0] - ranked[1] <= weight / (1 + weight)


def _never_cut(p: list[Fraction], mu: Fraction) -> arb:
    """V - E for the uncut penalty: (1) of docs/theory/released.md gives the minimiser f = log q, with lse f = 0."""
    size = 1
    level = (1 + mu) * p[0] - mu
    for m in range(2, len(p) + 1):
        mean = ((1 + mu) * sum(p[:m]) - mu) / m
        if (1 + mu) * p[m - 1] < mean:
            break
        size, level = m, mean
    q = [level] * size + [(1 + mu) * x for x in p[size:]]
    risk = _arb(mu) * _arb(level).log()
    for share, each in zip(p, q, strict=True):
        risk -= _arb((1 + mu) * share) * _arb(each).log()
        risk += _arb(share) * _arb(share).log()  # minus the entropy
    return risk
