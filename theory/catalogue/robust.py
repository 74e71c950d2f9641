"""Bounded and other non-convex losses of two classes."""

from __future__ import annotations

from . import sources
from .entry import Claim, Entry, Parameter

_POSITIVE = Parameter("1", low="0", low_open=True)

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "zero-one",
        "The 0-1 loss itself; ties cost 1",
        sources.BARTLETT,
        (Claim(True, "it is what is to be minimised"),),
        binary="where(t <= 0, 1, 0)",
        minimiser="1",
        psi="theta",
    ),
    Entry(
        "psi-learning",
        "2 for t < 0, falling linearly to 0 at t = 1: twice a ramp",
        "Shen, Tseng, Zhang & Wong (2003), JASA 98:724-734; Liu & Shen (2006), JASA 101:500-509",
        (Claim(True, "phi(t) < phi(-t) for t > 0"),),
        binary="2 * clip(1 - t, 0, 1)",
        minimiser="1",
        psi="2 * theta",
    ),
    Entry(
        "rho-margin",
        "Ramp clip(1 - t / rho, 0, 1)",
        sources.AWASTHI_BINARY,
        (Claim(True, "bounded by 0 and 1 with equality from t = rho and up to t = 0"),),
        binary="clip(1 - t / rho, 0, 1)",
        parameters={"rho": _POSITIVE},
        minimiser="rho",
        psi="theta",
    ),
    Entry(
        "tanh",
        "1 - tanh(k t)",
        sources.BARTLETT,
        (Claim(True, "phi(t) + phi(-t) = 2 and phi falls"),),
        binary="1 - tanh(k * t)",
        parameters={"k": _POSITIVE},
        psi="theta",
    ),
    Entry(
        "sigmoid",
        "1 / (1 + exp(k t))",
        "Mason, Baxter, Bartlett & Frean (1999), NIPS; " + sources.CHAROENPHAKDEE_SYMMETRIC,
        (Claim(True, "derived: phi(t) + phi(-t) = 1 and phi falls, so the risk is 1 - eta + (2 eta - 1) phi(t)"),),
        binary="sigmoid(-k * t)",
        parameters={"k": _POSITIVE},
        psi="theta / 2",
    ),
    Entry(
        "arctan",
        "1/2 - atan(t) / pi, which nears its limits as slowly as 1 / t",
        sources.CHAROENPHAKDEE_SYMMETRIC,
        (Claim(True, "phi(t) + phi(-t) = 1 and phi falls"),),
        binary="1 / 2 - atan(t) / pi",
        psi="theta / 2",
    ),
    Entry(
        "savage",
        "Savage loss 1 / (1 + exp(2 t))^2",
        "Masnadi-Shirazi & Vasconcelos (2008), NIPS",
        (Claim(True, "least risk eta (1 - eta)"),),
        binary="sigmoid(-2 * t)**2",
        minimiser="log(eta / (1 - eta)) / 2",
        psi="theta**2 / 4",
        aliases=("savageboost",),
    ),
    Entry(
        "tangent",
        "Tangent loss (2 atan(t) - 1)^2",
        "Masnadi-Shirazi, Mahadevan & Vasconcelos (2010), CVPR",
        (Claim(True, "least risk 4 eta (1 - eta)"),),
        binary="(2 * atan(t) - 1)**2",
        link="1 / 2 + atan(t)",
        psi="theta**2",
        note="the minimiser is tan(eta - 1/2)",
        aliases=("tangentboost",),
    ),
    Entry(
        "correntropy",
        "C-loss: 1 - exp(-(1 - t)^2 / (2 s^2)), scaled to 1 at t = 0",
        f"Singh, Pokharel & Principe (2014), Pattern Recognition 47:441-453; {sources.LIN_NOTE}",
        (Claim(True, "phi(t) < phi(-t) for t > 0 and phi'(0) < 0"),),
        binary="(1 - exp(-(1 - t)**2 / (2 * s**2))) / (1 - exp(-1 / (2 * s**2)))",
        parameters={"s": Parameter("1/2", low="0", low_open=True)},
        aliases=("c-loss", "welsch"),
    ),
    Entry(
        "double-well",
        "Logistic loss with a well of depth h at t = -1: a trap for local minimisers",
        f"built here; {sources.LIN_NOTE}",
        (
            Claim(True, "phi(t) < phi(-t) for t > 0, in floats up to h = 0.995", ("h <= 99/100",)),
            Claim(False, "eta = 0.51 has its minimiser near -1", ("h >= 6/5",)),
        ),
        binary="softplus(-t) - h * exp(-50 * (t + 1)**2)",
        parameters={"h": Parameter("3/5", low="0")},
        also=({"h": "6/5"},),
    ),
    Entry(
        "vanishing-at-both-ends",
        "(1 - tanh(t) / 2) / (1 + t^2): no minimiser exists, and both ends have the infimum 0",
        f"built here; {sources.HERE}",
        (Claim(False, "the infimum 0 is approached at both ends for every eta"),),
        binary="(1 - tanh(t) / 2) / (1 + t**2)",
    ),
)
