"""The loss of arXiv 1907.11780 and that of the code released with it."""

from __future__ import annotations

from . import sources
from .entry import Claim, Entry, Parameter

_PARAMETERS = {"mu": Parameter("0.1", low="0"), "tau": Parameter("5", low="0", low_open=True)}

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "average-margin",
        "The paper's loss: cross-entropy + mu (H_tau - H_0)(margin)",
        f"{sources.WU_YU}; {sources.HERE}",
        (
            Claim(
                True, "derived: both terms fall when the best class is put on top, any number of classes", ("mu >= 0",)
            ),
            Claim(False, "derived: near-ties are predicted as ties", ("mu < 0",)),
        ),
        binary="softplus(-t) + mu * (max(0, tau - t) - max(0, -t))",
        multiclass="lse - fy + mu * (max(0, tau - alpha) - max(0, -alpha))",
        parameters=_PARAMETERS,
        also=({"mu": "1", "tau": "1"}, {"mu": "10", "tau": "1/10"}),
    ),
    Entry(
        "average-margin-released",
        "The loss of the released code: cross-entropy + mu clip(-margin, 0, tau)",
        f"code released with {sources.WU_YU}; {sources.HERE}",
        (
            Claim(False, "derived: near-ties are predicted as ties", ("mu > 0",)),
            Claim(True, "cross-entropy", ("mu <= 0",)),
        ),
        binary="softplus(-t) + mu * clip(-t, 0, tau)",
        multiclass="lse - fy + mu * clip(-alpha, 0, tau)",
        parameters=_PARAMETERS,
        also=({"mu": "0"}, {"mu": "1", "tau": "1"}),
        note="two classes: 0 is optimal wherever max(eta, 1 - eta) <= P(mu, tau)",
    ),
)
