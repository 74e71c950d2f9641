"""The posteriors at which a loss fails, for `prove --region`: certified intervals and the certificates behind them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import theory

from .proofs import Effort, store


def region_of(loss: theory.Loss, effort: Effort, folder: Path) -> dict[str, Any]:
    """The region as plain JSON values, `words` for a reader, and the paths of its certificates, written to `folder`."""
    start = time.perf_counter()
    found = theory.failing_region(loss, threshold=effort.threshold, boxes=3 * effort.boxes, seconds=effort.seconds)
    spent = time.perf_counter() - start
    paths = [str(store(certificate, folder)) for certificate in found.certificates]
    shown = {"words": found.words(), "certificates": list(dict.fromkeys(paths)), "seconds": round(spent, 3)}
    return {**found.summary(), **shown}
