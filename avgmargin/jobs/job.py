"""A job of `reproduce`: one piece of work of one part, with a key that promises its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avgmargin.common.environment import code_fingerprint
from theory.storage import sha256_of_bytes

PARTS = ("proofs", "curves", "synthetic", "learning", "frontier", "training")
TITLES = {
    "proofs": "proofs and certificates",
    "curves": "conditional risk near the tie",
    "synthetic": "synthetic laws",
    "learning": "learning curves",
    "frontier": "minimum against average margin",
    "training": "training on images",
}
_CODE = {
    "proofs": ("theory", "synthetic"),
    "curves": ("theory",),
    "synthetic": ("theory", "synthetic"),
    "learning": ("theory", "synthetic"),
    "frontier": ("theory", "synthetic"),
    "training": ("theory", "deep"),
}


@dataclass(frozen=True)
class Job:
    """One piece of work: `settings` decide its result, `steps` is its length for the progress bar."""

    part: str
    name: str
    settings: Mapping[str, Any]
    command: str
    steps: int = 1
    code: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", tuple(code_fingerprint(package) for package in _CODE[self.part]))

    @property
    def key(self) -> str:
        """Part, settings and the code that runs it, hashed: an equal key promises an equal result."""
        text = json.dumps([self.part, self.name, self.settings, self.code], sort_keys=True)
        return sha256_of_bytes(text.encode())[:16]
