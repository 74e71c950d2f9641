"""The matrix: for each command, kills at drawn moments, what is left, and what the same command makes of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import avgmargin
import tests
from tests.reliability.judge import faults, files, steady, unfinished, unmarked

_LATE = 1.1  # the clock's kills are drawn up to this part of an undisturbed run


@dataclass(frozen=True)
class Command:
    """A command under test: its words, and what is put into its folder before."""

    name: str
    words: tuple[str, ...]
    prepare: Callable[[Path], None] = lambda folder: None


@dataclass
class Row:
    """Counts for one command. `broken` says which rules did not hold, `unequal` which files came out otherwise.

    `left_over` are files of a checkpoint that a kill kept from being dropped: no reader takes them for a checkpoint.
    A kill is `in_mid_work` when the command had left anything in its folder, be it a file that is not finished, and
    `in_a_write` when it left one of those.
    """

    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)

    def as_values(self) -> dict[str, Any]:
        """The row as JSON values."""
        moments = ("before_start", "in_mid_work", "in_a_write", "after_end")
        names = ("kills", "by_clock", "at_an_act", *moments, "resumed_equal")
        return {
            **{name: self.counts[name] for name in names},
            **{n: getattr(self, n) for n in ("broken", "unequal", "left_over")},
        }


def commands(report: Path | None = None) -> list[Command]:
    """The commands of the matrix with small jobs; `report` is a finished run whose page is written again."""
    found = [
        Command("train", _words("train --model mlp --hidden 4 --epochs 12 --per-class 8 --lr 0.01 --out run")),
        Command("sweep", _words("sweep mnist-lr-reg --mu 0.05,0.1 --epochs 2 --jobs 1 --out runs")),
        Command("prove", _words("prove average-margin --out certificates")),
    ]
    if report is not None:
        found.append(Command("report", ("report", "run"), lambda folder: _unwritten(report, folder / "run")))
    return found


def long_commands() -> list[Command]:
    """Commands that start workers of their own, each of which loads its libraries."""
    return [
        Command("losses --prove", _words("losses clipped-perceptron --prove --jobs 1 --out catalogue")),
        Command("reproduce", _words("reproduce --scale tiny --jobs 1 --out run")),
    ]


def _words(line: str) -> tuple[str, ...]:
    return tuple(line.split())


def _unwritten(report: Path, folder: Path) -> None:
    """A finished run whose page, figures and tables are gone."""
    shutil.copytree(report, folder)
    for name in ("figures", "data"):
        shutil.rmtree(folder / name)
    (folder / "report.html").unlink()
    (folder / "summary.json").unlink()  # it would promise that all of them are there
    (folder / "env.json").unlink()


class Server:
    """The forking process, and one command at a time in it."""

    def __init__(self, cache: Path) -> None:
        roots = [str(Path(module.__file__ or "").resolve().parents[1]) for module in (tests, avgmargin)]
        path = os.pathsep.join(dict.fromkeys(filter(None, [*roots, os.environ.get("PYTHONPATH", "")])))
        one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.server"],
            env={**os.environ, **one, "PYTHONPATH": path, "AVGMARGIN_CACHE": str(cache)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(60)
        self._process.stdout.close()  # type: ignore[union-attr]

    def _answer(self) -> dict[str, int]:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        assert line, "the server has ended"
        found: dict[str, int] = json.loads(line)
        return found

    def run(
        self,
        words: tuple[str, ...],
        folder: Path,
        *,
        stop: int | None = None,
        after: float | None = None,
        twin: bool = False,
    ) -> tuple[int, int]:
        """Exit status (negative: the signal) and acts of a command; killed before act `stop` or `after` seconds."""
        log, acts = folder.with_suffix(".log"), folder.with_suffix(".acts")
        acts.unlink(missing_ok=True)
        request = {"words": words, "folder": str(folder), "stop": stop, "twin": twin, "log": str(log)}
        self._process.stdin.write(json.dumps({**request, "acts": str(acts)}) + "\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        pid = self._answer()["pid"]
        if after is not None:
            time.sleep(after)
            _kill(pid)
        status = self._answer()["status"]
        _kill(pid)  # workers that outlived it
        return status, int(acts.read_text(encoding="ascii")) if acts.exists() else 0


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def matrix(
    server: Server, chosen: list[Command], each: int, rng: random.Random, place: Path, *, twin: bool = False
) -> dict[str, Row]:
    """Kill each command `each` times: half by the clock from outside, half just before a drawn act on its files."""
    return {command.name: _row(server, command, each, rng, place / command.name, twin) for command in chosen}


def _row(server: Server, command: Command, each: int, rng: random.Random, place: Path, twin: bool) -> Row:
    place.mkdir(parents=True)
    row, whole = Row(), place / "whole"
    _fresh(command, whole)
    start = time.perf_counter()
    status, acts = server.run(command.words, whole, twin=twin)
    lasted = time.perf_counter() - start
    assert status in (0, 1, 3), f"{command.name}: {status}: {whole.with_suffix('.log').read_text()[-500:]}"
    assert faults(whole) == []
    wanted = steady(whole)
    for number in range(each):
        folder = place / f"run{number}"
        _fresh(command, folder)
        before = set(files(folder))
        by_clock = number % 2 == 0 and not twin
        after = rng.uniform(0.0, _LATE * lasted) if by_clock else None
        stop = None if by_clock else rng.randrange(1, acts + 1)
        ended, _ = server.run(command.words, folder, stop=stop, after=after, twin=twin)
        row.counts["kills"] += 1
        row.counts["by_clock" if by_clock else "at_an_act"] += 1
        torn = len(unfinished(folder)) > 0
        begun = torn or set(files(folder)) != before
        row.counts["after_end" if ended != -signal.SIGKILL else "in_mid_work" if begun else "before_start"] += 1
        row.counts["in_a_write"] += torn and ended == -signal.SIGKILL
        moment = f"after {after:.3f} s" if after is not None else f"before act {stop} of {acts}"
        row.broken += [f"{moment}: {fault}" for fault in faults(folder)]
        if twin:
            continue
        again, _ = server.run(command.words, folder)
        found = steady(folder)
        left = sorted(name for name in found.keys() - wanted.keys() if unmarked(folder / name))
        row.left_over += [f"{moment}: {name}" for name in left]
        for name in (name for name in found if name.endswith("manifest.json") and isinstance(found[name], list)):
            found[name] = [n for n in found[name] if (Path(name).parent / n).as_posix() not in left]
        found = {name: value for name, value in found.items() if name not in left}
        differ = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        if again != status or differ:
            row.unequal.append(f"{moment}: code {again}, {', '.join(differ)[:200]}")
        else:
            row.counts["resumed_equal"] += 1
        row.broken += [f"{moment}, and run again: {fault}" for fault in faults(folder)]
        shutil.rmtree(folder)
    return row


def _fresh(command: Command, folder: Path) -> None:
    folder.mkdir()
    command.prepare(folder)
