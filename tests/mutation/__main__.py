"""Mutation testing by drawn mutants: `python -m tests.mutation [--each 60] [--seed 0] [--only WORD] [--out FILE]`.

Mutants are cosmic-ray's (operators, comparisons, constants, booleans, conditions, loops, exceptions, decorators). Those
whose syntax tree equals the original's up to type annotations are no mutants and are not drawn. Each is written into a
copy of the source tree, where it meets the tests that run the changed statement, quick ones first, until the first
failure: those of the files that guard its module (`tests/mutation/draw.py`) which take less than `--longest` seconds of
processor time each and `--most` together. One that breaks a test, or takes more than three times the time of the
unharmed tests and some seconds, is killed.

`--each` mutants of each part (parser, readers, checker, second), the parts named by `--only` (by default all but the
last); its other words are parts of file names. The results of a sample are kept by its seed in `--out`, one by one, so
that a run that was stopped goes on. `--again` runs those that survived once more, after tests were added; what dies
then is counted apart, with `--further` too. `--further` gives the survivors to the slow tests of their modules instead,
up to so many seconds each, or to those of them that `--choose` selects (an expression of pytest's -k); a test that then
fails must pass without the mutant. `tests/mutation/survivors.toml` explains survivors by what they change.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import itertools
import json
import math
import os
import platform
import shlex
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.mutation.draw import HOME, PARTS, Mutant, guards, lines_of, modules, part_of, sample
from tests.mutation.trial import copy_tree, load_libraries, run_chosen, run_file, watch_tests
from theory.storage import write_atomic

_FACTOR, _LEAST = 3.0, 8.0  # processor time allowed: times that of the unharmed tests, plus seconds
_NOTES = Path(__file__).with_name("survivors.toml")
_NORMAL = 1.959963984540054  # the 97.5% point of the normal distribution


def main(argv: list[str]) -> int:
    """Draw mutants, run them, keep and print the score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=60, help="mutants of each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="parser,readers,checker", help="parts, or words of file names, by commas")
    parser.add_argument("--minutes", type=float, default=1e9, help="start no mutant after this time")
    parser.add_argument("--longest", type=float, default=4.0, help="processor seconds of a test that mutants meet")
    parser.add_argument("--most", type=float, default=20.0, help="processor seconds of the tests that a mutant meets")
    parser.add_argument("--cache", type=Path, help="folder that keeps which test runs which lines")
    parser.add_argument("--again", action="store_true", help="only run the survivors of this seed in --out again")
    parser.add_argument("--out", type=Path, default=Path("runs/mutation.json"))
    parser.add_argument("--further", type=float, default=0.0, help="processor seconds of slow tests for each survivor")
    parser.add_argument("--choose", default="", help="with --further: which of the slow tests, as pytest's -k has it")
    asked = parser.parse_args(argv)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    stored = json.loads(asked.out.read_text(encoding="utf-8"))["samples"] if asked.out.exists() else []
    others = [kept for kept in stored if kept["seed"] != asked.seed]
    mine = [kept for kept in stored if kept["seed"] == asked.seed]
    found = {row["key"]: row for kept in mine for row in kept["mutants"]}
    commands = [command for kept in mine for command in kept["commands"]] + [told(argv)]
    end = time.monotonic() + 60.0 * asked.minutes
    load_libraries()

    def keep() -> dict[str, Any]:
        made = summary(found, asked.seed, list(dict.fromkeys(commands)))
        samples = sorted([*others, made], key=lambda kept: int(kept["seed"]))
        write_atomic(asked.out, (json.dumps({"samples": samples}, indent=1) + "\n").encode())
        return made

    with tempfile.TemporaryDirectory() as folder:
        trials = _Trials(Path(folder), asked.cache or Path(folder), asked.longest, asked.most)
        for mutant in _todo(asked, found):
            if time.monotonic() > end:
                break
            if asked.further:
                row = found[mutant.key] | trials.further(mutant, asked.further, asked.choose)
            else:
                row = trials.run(mutant) | {"slow_test": False}
            row["after_new_test"] = asked.again and row["killed"]
            found[mutant.key] = row
            keep()
            word = "killed" if row["killed"] else "SURVIVED"
            print(word, mutant.key, row["how"], row["by"], row["cpu_seconds"], *row["change"], sep="\n    ", flush=True)
    made = keep()
    print({name: made[name] for name in ("parts", "total")})
    return 0


def told(argv: list[str]) -> str:
    """The command without the words that say where files are kept."""
    words = iter(argv)
    kept = []
    for word in words:
        name, _, value = word.partition("=")
        if name not in ("--out", "--cache"):
            kept.append(word)
        elif not value:
            next(words, "")
    return " ".join(["python -m tests.mutation", *map(shlex.quote, kept)])


def _todo(asked: argparse.Namespace, found: Mapping[str, Mapping[str, Any]]) -> Iterator[Mutant]:
    words = asked.only.split(",")
    for part in PARTS:
        if not any(word == part or word not in PARTS for word in words):
            continue
        for mutant in sample(part, asked.each, asked.seed):
            if part not in words and not any(word in mutant.module for word in words):
                continue
            row = found.get(mutant.key)
            if row is None and not asked.again and not asked.further:
                yield mutant
            elif row is not None and (asked.again or asked.further) and not row["killed"]:
                if row["change"] == change(mutant):
                    yield mutant
                else:
                    print(f"{mutant.key}: the code has changed since this mutant was drawn; left as it is", flush=True)


class _Trials:
    """A copy of the source tree, and which of its tests run which lines in how much processor time."""

    def __init__(self, folder: Path, cache: Path, longest: float, most: float) -> None:
        self.tree, self.log, self.cache = folder / "tree", folder / "log", cache
        self.longest, self.most = longest, most
        self.maps: dict[tuple[str, str], dict[str, Any]] = {}
        copy_tree(self.tree)
        cache.mkdir(parents=True, exist_ok=True)

    def _map(self, file: str, part: str) -> dict[str, Any]:
        if (file, part) not in self.maps:
            digest = hashlib.sha256(f"{self.longest} {sys.version}".encode())
            beside = sorted(path for path in (HOME / file).parent.iterdir() if path.is_file())
            helpers = [path for path in beside if not path.name.startswith("test_")]  # what tests are made from
            for path in (HOME / file, *helpers, *(HOME / name for name in modules(part))):
                digest.update(path.read_bytes())
            kept = self.cache / f"{Path(file).stem}-{part}-{digest.hexdigest()[:16]}.json"
            if not kept.exists():
                start = time.process_time() + sum(os.times()[2:4])
                made = watch_tests(self.tree, file, modules(part), self.longest, self.log)
                kept.write_text(json.dumps(made), encoding="utf-8")
                spent = time.process_time() + sum(os.times()[2:4]) - start
                print(f"{file}: {len(made) - 1} tests watched in {spent:.0f} s of processor time", flush=True)
            self.maps[file, part] = json.loads(kept.read_text(encoding="utf-8"))
        return self.maps[file, part]

    def _meets(self, mutant: Mutant) -> tuple[dict[str, float], int]:
        """The tests that a mutant meets, with their seconds, and how many run its lines."""
        lines, part = lines_of(mutant.code, mutant.mutated), part_of(mutant.module)
        running: dict[str, float] = {}
        for file in guards(mutant.module):
            found = self._map(file, part)
            at_import = bool(lines & set(found[""]["lines"].get(mutant.module, ())))
            for name, row in found.items():
                if name and (at_import or lines & set(row["lines"].get(mutant.module, ()))):
                    running[name] = row["seconds"]
        chosen, left = {}, self.most
        for name, seconds in sorted(running.items(), key=lambda item: item[1]):
            left -= seconds
            if left < 0:
                break
            chosen[name] = seconds
        return chosen, len(running)

    def run(self, mutant: Mutant) -> dict[str, Any]:
        """The row of a mutant."""
        chosen, running = self._meets(mutant)
        path, how, by, spent = self.tree / mutant.module, "passed", "", 0.0
        for kept in path.parent.glob(f"__pycache__/{path.stem}.*"):
            kept.unlink()  # of the same size and second as a mutant, it might be taken for it
        if chosen:
            path.write_text(mutant.mutated, encoding="utf-8")
            allowed = _FACTOR * sum(chosen.values()) + _LEAST
            how, by, spent = run_chosen(self.tree, chosen, allowed, self.log)
            path.write_text(mutant.code, encoding="utf-8")
        return {
            "key": mutant.key,
            "module": mutant.module,
            "killed": how != "passed",
            "how": how if running else "run by no test",
            "by": by,
            "tests": len(chosen),
            "tests_that_run_it": running,
            "change": change(mutant),
            "cpu_seconds": round(spent, 2),
        }

    def further(self, mutant: Mutant, seconds: float, choose: str = "") -> dict[str, Any]:
        """What the slow tests of its module make of a survivor; only one that passes without it kills it."""
        path = self.tree / mutant.module
        for file in guards(mutant.module, further=True):
            path.write_text(mutant.mutated, encoding="utf-8")
            how, by, spent = run_file(self.tree, file, seconds, self.log, choose)
            path.write_text(mutant.code, encoding="utf-8")
            name = by.removeprefix("FAILED ")
            if how == "failed" and name.startswith("tests/"):
                alone, _, more = run_chosen(self.tree, {name: 0.0}, 10 * seconds, self.log)
                print(f"{mutant.key}: {name} without the mutant: {alone}, {spent + more:.0f} s", flush=True)
                if alone == "passed":
                    return {"killed": True, "slow_test": True, "how": how, "by": by}
        return {}


def change(mutant: Mutant) -> list[str]:
    """The lines that differ, with their signs."""
    lines = difflib.unified_diff(mutant.code.splitlines(), mutant.mutated.splitlines(), n=0, lineterm="")
    return [line for line in itertools.islice(lines, 2, None) if line[:1] in "+-"]


def wilson(killed: int, of: int) -> tuple[float, float]:
    """Wilson's interval of a share, at 95%.

    >>> [round(end, 4) for end in wilson(18, 20)]
    [0.699, 0.9721]
    """
    if of == 0:
        return 0.0, 1.0
    share, square = killed / of, _NORMAL**2 / of
    middle, half = share + square / 2, math.sqrt(square) * math.sqrt(share * (1 - share) + square / 4)
    return (middle - half) / (1 + square), (middle + half) / (1 + square)


def summary(found: Mapping[str, dict[str, Any]], seed: int, commands: list[str]) -> dict[str, Any]:
    """A sample: what made it, its mutants, why survivors survive, and the score of each part without equivalent ones.

    `killed` are those that died by tests that were there when the sample was drawn, `after_new_test` the others.
    """
    notes = tomllib.loads(_NOTES.read_text(encoding="utf-8"))["survivor"] if _NOTES.exists() else []
    rows = []
    for key, row in sorted(found.items()):
        fitting = [n for n in notes if n["module"] == row["module"] and n["change"] in row["change"]]
        note = {n: fitting[0][n] for n in ("why", "equivalent")} if fitting and not row["killed"] else {}
        rows.append({**{n: v for n, v in row.items() if n not in ("why", "equivalent")}, **note, "key": key})
    scores = {part: _score([row for row in rows if part_of(row["module"]) == part]) for part in PARTS}
    return {
        "commands": commands,
        "seed": seed,
        "python": platform.python_version(),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows)),
        "parts": {part: score for part, score in scores.items() if score["mutants"]},
        "total": _score(rows),
        "mutants": rows,
    }


def _score(rows: list[dict[str, Any]]) -> dict[str, Any]:
    late = sum(bool(row.get("after_new_test")) for row in rows)
    dead = sum(bool(row["killed"]) for row in rows)
    equivalent = sum(bool(row.get("equivalent")) for row in rows)
    real = len(rows) - equivalent
    return {
        "mutants": len(rows),
        "killed": dead - late,
        "killed_by_slow_tests": sum(bool(row.get("slow_test")) for row in rows),
        "after_new_test": late,
        "equivalent": equivalent,
        "explained": sum("why" in row and not row["equivalent"] for row in rows),
        "unexplained": sum(not row["killed"] and "why" not in row for row in rows),
        "share": round((dead - late) / max(1, real), 4),
        "interval": [round(end, 4) for end in wilson(dead - late, real)],
        "share_in_the_end": round(dead / max(1, real), 4),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
