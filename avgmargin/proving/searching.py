"""`avgmargin search`: a loss given as Python code, searched in floats. Evidence, never a proof."""

from __future__ import annotations

import importlib.util
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import theory
from avgmargin.common.errors import UserError


def search(asked: Namespace) -> dict[str, Any]:
    """The verdict and the report of the search as plain JSON values, with the seconds it took."""
    loss = _guarded(load(asked.loss), asked.loss)
    options = {"posteriors": asked.posteriors, "starts": asked.starts, "span": asked.span, "name": asked.loss}
    rng = np.random.default_rng(asked.seed)
    start = time.perf_counter()
    if asked.torch:
        import deep

        try:
            verdict = deep.search(loss, asked.classes, rng=rng, **options)
        except TypeError as error:
            raise UserError(str(error)) from None
    else:
        verdict = theory.search(loss, asked.classes, rng=rng, **options)
    return {**verdict.summary(), "seed": asked.seed, "seconds": round(time.perf_counter() - start, 3)}


def _guarded(loss: Any, words: str) -> Callable[..., Any]:
    """The loss with whatever it raises as one line: it is the user's code, not ours."""
    if hasattr(loss, "eval"):
        loss.eval()

    def call(scores: Any, y: Any) -> Any:
        try:
            return loss(scores, y)
        except Exception as error:
            raise UserError(f"loss {words!r} cannot be evaluated: {type(error).__name__}: {error}") from None

    return call


def load(words: str) -> Any:
    """The callable NAME of FILE.py, from the words FILE.py:NAME; the file is run. UserError where there is none."""
    name, colon, attribute = words.rpartition(":")
    path = Path(name)
    if not colon or not attribute.isidentifier() or path.suffix != ".py":
        raise UserError(f"loss {words!r} must be written FILE.py:NAME, a function of scores (n, c) and labels (n,)")
    if not path.is_file():
        raise UserError(f"loss file {name!r} must be a file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UserError(f"loss file {name!r} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"loss file {name!r} cannot be run: {type(error).__name__}: {error}") from None
    loss = getattr(module, attribute, None)
    if not callable(loss):
        raise UserError(f"loss file {name!r} must define a callable {attribute!r}")
    return loss
