"""Losses of the margin alpha = f_y - max of the other scores, and with it of t for two classes."""

from __future__ import annotations

from . import sources
from .entry import Claim, Entry, Parameter

_POSITIVE = Parameter("1", low="0", low_open=True)
_MU = Parameter("1/10", low="0")
_HEDGE = "scores tie where no p_k exceeds 1/2"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "truncated-hinge",
        "Truncated hinge H_tau - H_s = clip(tau - t, 0, tau - s); s = 0 is the ramp",
        f"{sources.WU_LIU}; s > 0 and c >= 3: {sources.HERE}",
        (
            Claim(False, "constant, or rising in t", ("s >= tau",)),
            Claim(True, "phi(t) < phi(-t) for t > 0", ("classes <= 2",)),
            Claim(True, "clear scores cost (1 - max p)(tau - s) <= tau", ("s >= -tau / (classes - 1)",)),
            Claim(False, "ties cost tau, clear scores more near the uniform posterior", ("s < -tau / (classes - 1)",)),
        ),
        binary="max(0, tau - t) - max(0, s - t)",
        multiclass="max(0, tau - alpha) - max(0, s - alpha)",
        parameters={"tau": _POSITIVE, "s": Parameter("0")},
        gap="max(0, min(tau - max(s, 0), eta * min(2 * tau, tau - s)) - (1 - eta) * min(2 * tau, tau - s))",
        psi="max(0, tau - max(s, 0)) * theta",
        also=({"s": "1/2"}, {"s": "1"}, {"s": "-1/2"}, {"s": "-3/5"}),
        aliases=("ramp",),
    ),
    Entry(
        "perceptron",
        "Perceptron criterion max(0, -t)",
        sources.BARTLETT,
        (Claim(False, "a tie is optimal for every posterior"),),
        binary="max(0, -t)",
        multiclass="max(0, -alpha)",
        minimiser="0",
        psi="0",
    ),
    Entry(
        "clipped-perceptron",
        "Perceptron criterion cut off at tau, clip(-t, 0, tau)",
        sources.HERE,
        (Claim(False, "derived: a tie costs 0 for every posterior"),),
        binary="clip(-t, 0, tau)",
        multiclass="clip(-alpha, 0, tau)",
        parameters={"tau": _POSITIVE},
        minimiser="0",
        psi="0",
    ),
    Entry(
        "crammer-singer",
        "Crammer-Singer hinge max(0, 1 - alpha)",
        f"{sources.LIU}; {sources.ZHANG}; {sources.TEWARI}",
        (
            Claim(True, "the hinge", ("classes <= 2",)),
            Claim(False, _HEDGE, ("classes >= 3",)),
        ),
        binary="max(0, 1 - t)",
        multiclass="max(0, 1 - alpha)",
        minimiser="1",
        psi="theta",
        note="consistent on max p > 1/2",
    ),
    Entry(
        "max-squared-hinge",
        "Squared hinge of the margin, max(0, 1 - alpha)^2",
        sources.AWASTHI,
        (
            Claim(True, "the squared hinge", ("classes <= 2",)),
            Claim(False, _HEDGE, ("classes >= 3",)),
        ),
        multiclass="max(0, 1 - alpha)**2",
        note="consistent on max p > 1/2",
    ),
    Entry(
        "max-logistic",
        "Logistic loss of the margin, log(1 + exp(-alpha))",
        f"{sources.ZHANG}; {sources.TEWARI}; {sources.AWASTHI}",
        (
            Claim(True, "the logistic loss", ("classes <= 2",)),
            Claim(False, _HEDGE, ("classes >= 3",)),
        ),
        multiclass="softplus(-alpha)",
        note="consistent on max p > 1/2",
    ),
    Entry(
        "max-exponential",
        "Exponential loss of the margin, exp(-alpha)",
        f"{sources.ZHANG}; {sources.TEWARI}; {sources.AWASTHI}",
        (
            Claim(True, "the exponential loss", ("classes <= 2",)),
            Claim(False, _HEDGE, ("classes >= 3",)),
        ),
        multiclass="exp(-alpha)",
    ),
    Entry(
        "truncated-logistic",
        "Logistic loss of the margin, cut off at its value at s <= 0",
        sources.WU_LIU,
        (
            Claim(True, "s is not below the bound of the source", ("s >= -log(2**(classes / (classes - 1)) - 1)",)),
            Claim(False, "s is below the bound of the source", ("s < -log(2**(classes / (classes - 1)) - 1)",)),
        ),
        multiclass="min(softplus(-alpha), softplus(-s))",
        parameters={"s": Parameter("0", high="0")},
        also=({"s": "-3/5"}, {"s": "-13/20"}),
    ),
    Entry(
        "cross-entropy-hinge",
        "Cross-entropy + mu max(0, 1 - alpha)",
        f"{sources.BARTLETT}; c >= 3: {sources.HERE}",
        (
            Claim(True, "cross-entropy", ("mu <= 0",)),
            Claim(True, "convex, phi'(0) = -1/2 - mu < 0", ("classes <= 2",)),
            Claim(False, "derived: the hinge ties all scores near the uniform posterior", ("classes >= 3",)),
        ),
        binary="softplus(-t) + mu * max(0, 1 - t)",
        multiclass="lse - fy + mu * max(0, 1 - alpha)",
        parameters={"mu": _MU},
        also=({"mu": "0"},),
    ),
    Entry(
        "cross-entropy-perceptron",
        "Cross-entropy + mu max(0, -alpha): the released loss without truncation",
        f"{sources.BARTLETT}; {sources.HERE}",
        (
            Claim(True, "cross-entropy", ("mu <= 0",)),
            Claim(False, "a corner at ties: two classes tie where |2 eta - 1| <= mu / (1 + mu)", ("mu > 0",)),
        ),
        binary="softplus(-t) + mu * max(0, -t)",
        multiclass="lse - fy + mu * max(0, -alpha)",
        parameters={"mu": _MU},
        also=({"mu": "0"},),
    ),
)
