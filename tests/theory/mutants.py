"""The one loop that mutates certificates and judges those that pass."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from theory import CertificateError, CheckResult

Certificate = dict[str, Any]
SECONDS = 20.0
"""CPU seconds within which a mutant must be decided."""


def lies_among(
    original: Certificate,
    mutate: Callable[[random.Random, Certificate], Certificate],
    judge: Callable[[Certificate], bool],
    verify: Callable[[Certificate], CheckResult],
    count: int,
    rng: random.Random,
) -> tuple[list[Certificate], Counter[str]]:
    """The mutants of a certificate that pass although brute force contradicts their claim; and what became of all."""
    lies, outcomes = [], Counter[str]()
    while outcomes.total() < count:
        mutant = mutate(rng, original)
        if mutant == original:
            continue
        start = time.process_time()
        try:
            valid = verify(mutant).valid
        except CertificateError as error:
            outcomes["malformed" if "\n" not in str(error) else "malformed, in several lines"] += 1
            continue
        assert time.process_time() - start < SECONDS
        outcomes["accepted" if valid else "refused"] += 1
        if valid and not judge(mutant):
            lies.append(mutant)
    return lies, outcomes
