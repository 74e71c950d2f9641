"""The parts of a measurement by name: the way of each, what of the effort decides it, and the code that computes it.

Importing this module imports torch.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

import deep
from avgmargin.common.errors import UserError
from theory.storage import sha256_of_file

from . import ways
from .effort import Effort
from .ways import Result, Way

__all__ = ["DEFAULT_PARTS", "PARTS", "check_parts", "code_of", "measure_part"]


@dataclass(frozen=True)
class Part:
    """One way of measuring: the work, the effort fields that decide its result, and the modules that compute it."""

    work: Way
    reads: tuple[str, ...]
    modules: tuple[str, ...]
    title: str


def measure_part(name: str, model: nn.Module, dataset: deep.Dataset, effort: Effort, tau: float) -> Result:
    """The result of one part; a method that is not for this model says so under `skipped`.

    `tau` is the truncation of the run's penalty.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return PARTS[name].work(model.eval(), dataset, effort, tau)
    except deep.ModelError as error:
        return {"skipped": str(error)}
    finally:
        torch.set_num_threads(threads)


def check_parts(text: str | None) -> tuple[str, ...]:
    """The parts in a list as typed; None gives the default ones, `all` all. UserError for an unknown name."""
    if text is None:
        return DEFAULT_PARTS
    names = tuple(PARTS) if text == "all" else tuple(word.strip() for word in text.split(","))
    for name in names:
        if name not in PARTS:
            raise UserError(f"part {name!r} must be one of all, {', '.join(PARTS)}")
    return tuple(name for name in PARTS if name in names)


def code_of(name: str) -> str:
    """SHA-256, 16 digits, of the sources that compute a part: its modules and what of ours they name."""
    digest = hashlib.sha256()
    for module in PARTS[name].modules:
        digest.update(_sources(module).encode())
    return digest.hexdigest()[:16]


@cache
def _sources(name: str) -> str:
    seen: dict[str, ModuleType] = {}
    todo = [importlib.import_module(name)]
    while todo:
        module = todo.pop()
        if module.__name__ in seen:
            continue
        seen[module.__name__] = module
        for value in list(vars(module).values()):
            named = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(named, str) and named.split(".")[0] in ("theory", "deep") and named in sys.modules:
                todo.append(sys.modules[named])
    digest = hashlib.sha256()
    for key in sorted(seen):
        # __init__ of the packages themselves only names things, and would make every part depend on every other
        if key not in ("theory", "deep"):
            digest.update(f"{key}\0{sha256_of_file(Path(str(seen[key].__file__)))}\0".encode())
    return digest.hexdigest()


PARTS: Mapping[str, Part] = {
    "functional": Part(ways.functional, (), ("deep.measure",), "functional margin"),
    "penalty": Part(ways.penalty, (), ("deep.measure",), "images on which a penalty has a gradient"),
    "norms": Part(ways.norms, (), ("deep.bounds",), "norms of the layers"),
    "exact": Part(ways.exact, ("images", "eps"), ("deep.bounds", "theory.margins"), "exact distance"),
    "lower": Part(ways.lower, ("images", "eps"), ("deep.bounds",), "rigorous lower bound"),
    "estimate": Part(
        ways.estimate, ("images", "eps", "radius", "samples", "seed"), ("deep.bounds",), "the paper's estimate"
    ),
    "attack": Part(ways.attack((0.0, 1.0)), ("images", "eps", "seed"), ("deep.attacks",), "attack, box [0, 1]"),
    "attack-unboxed": Part(ways.attack(None), ("images", "eps", "seed"), ("deep.attacks",), "attack, unboxed"),
    "pgd": Part(ways.pgd(False), ("images", "pgd_eps", "steps", "step_size"), ("deep.attacks",), "PGD on the margin"),
    "pgd-published": Part(
        ways.pgd(True), ("images", "pgd_eps", "published_steps", "seed"), ("deep.attacks",), "PGD as published"
    ),
}
DEFAULT_PARTS = tuple(name for name in PARTS if not name.startswith("pgd"))
