"""Mutation testing by drawn mutants: `python -m tests.mutation [--each 12] [--seed 0] [--only WORD] [--out FILE]`.

Mutants are cosmic-ray's (operators, comparisons, constants, booleans, conditions, exceptions, decorators). Those whose
syntax tree equals the original's up to type annotations are no mutants and are not drawn. Each is written into a copy
of the source tree, where the tests that guard its module run until the first failure. A mutant that breaks a test, or
takes more than four times the processor time of the unharmed module, is killed. Results are kept one by one in `--out`,
so that a run that was stopped goes on; a mutant of an earlier version of a line is drawn again. `--again` runs those
that survived once more, after tests were added. `tests/mutation/survivors.toml` explains survivors by what they change.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import platform
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.mutation.draw import HOME, SMALL, guards, modules, mutants, part_of
from tests.mutation.trial import copy_tree, load_libraries, run_guards
from theory.storage import write_atomic

_FACTOR, _LEAST = 4.0, 10.0  # processor time allowed: times that of the unharmed module, plus seconds
_NOTES = Path(__file__).with_name("survivors.toml")


def main(argv: list[str]) -> int:
    """Draw mutants, run them, keep and print the score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=12, help="mutants per module, a quarter of it in the checker's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--minutes", type=float, default=1e9, help="start no mutant after this time")
    parser.add_argument("--again", action="store_true", help="only run the survivors of --out again")
    parser.add_argument("--out", default="runs/mutation.json")
    asked = parser.parse_args(argv)
    out = Path(asked.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    kept: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["mutants"] if out.exists() else []
    found = {row["key"]: row for row in kept}
    end = time.monotonic() + 60.0 * asked.minutes
    load_libraries()
    todo = _todo(asked, found)
    with tempfile.TemporaryDirectory() as folder:
        tree, log = Path(folder) / "tree", Path(folder) / "log"
        copy_tree(tree)
        unharmed: dict[tuple[str, ...], float] = {}
        for module, key, code, mutated in todo:
            if time.monotonic() > end:
                break
            tests = guards(module)
            if tests not in unharmed:
                how, by, spent = run_guards(tree, tests, 1000.0, log)
                unharmed[tests] = spent if how == "passed" else -1.0
                print(f"{module}: unharmed {how} in {spent:.1f} s {by}", flush=True)
            if unharmed[tests] < 0:
                continue  # tests that fail without a mutant say nothing about mutants
            (tree / module).write_text(mutated, encoding="utf-8")
            how, by, spent = run_guards(tree, tests, _FACTOR * unharmed[tests] + _LEAST, log)
            (tree / module).write_text(code, encoding="utf-8")
            row = {"key": key, "module": module, "killed": how != "passed", "how": how, "by": by, "again": asked.again}
            found[key] = row | {"change": _change(code, mutated), "cpu_seconds": round(spent, 2)}
            write_atomic(out, (json.dumps(summary(found, asked.seed), indent=1) + "\n").encode())
            print("killed" if row["killed"] else "SURVIVED", key, how, *found[key]["change"], sep="\n    ", flush=True)
    made = summary(found, asked.seed)
    write_atomic(out, (json.dumps(made, indent=1) + "\n").encode())
    print({name: made[name] for name in ("parts", "total")})
    return 0


def _todo(asked: argparse.Namespace, found: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """Module, key, code and mutated code of the mutants to run: a share of each module, then the next share of each."""
    again = {key for key, row in found.items() if not row["killed"]} if asked.again else set()
    drawn = {}
    for module in (name for name in modules() if asked.only in name):
        each = asked.each if module in SMALL else max(1, asked.each // 4)
        code = (HOME / module).read_text(encoding="utf-8")
        drawn[module] = code, mutants(code, each, random.Random(f"{asked.seed} {module}"))
    while drawn:
        for module, (code, coming) in list(drawn.items()):
            for operator, occurrence, mutated in itertools.islice(coming, 4 if module in SMALL else 1):
                key = f"{module} {operator} {occurrence}"
                if key in again if asked.again else key not in found:
                    yield module, key, code, mutated
            if coming.gi_frame is None:
                del drawn[module]


def _change(code: str, mutated: str) -> list[str]:
    lines = difflib.unified_diff(code.splitlines(), mutated.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def summary(found: dict[str, dict[str, Any]], seed: int) -> dict[str, Any]:
    """What the file holds: the mutants, why survivors survive, and the score of each part, with and without them."""
    notes = tomllib.loads(_NOTES.read_text(encoding="utf-8"))["survivor"] if _NOTES.exists() else []
    rows = []
    for key, row in sorted(found.items()):
        fitting = [n for n in notes if n["module"] == row["module"] and n["change"] in row["change"]]
        note = (
            {} if row["killed"] or not fitting else {"why": fitting[0]["why"], "equivalent": fitting[0]["equivalent"]}
        )
        bare = {name: value for name, value in row.items() if name not in ("why", "equivalent")}
        rows.append({**bare, **note, "key": key})
    parts: dict[str, dict[str, Any]] = {}
    for row in rows:
        for name in (part_of(row["module"]), "total"):
            score = parts.setdefault(
                name, dict.fromkeys(("mutants", "killed", "after_new_test", "equivalent", "unexplained"), 0)
            )
            score["mutants"] += 1
            score["killed"] += row["killed"]
            score["after_new_test"] += bool(row["killed"] and row.get("again"))
            score["equivalent"] += bool(row.get("equivalent"))
            score["unexplained"] += not row["killed"] and "why" not in row
    for score in parts.values():
        first = score["killed"] - score["after_new_test"]
        score["first_share"] = round(first / score["mutants"], 4)
        score["share"] = round(score["killed"] / score["mutants"], 4)
        score["share_without_equivalent"] = round(score["killed"] / max(1, score["mutants"] - score["equivalent"]), 4)
    total = parts.pop("total", {})
    seconds = round(sum(row["cpu_seconds"] for row in rows))
    about = {"command": "python -m tests.mutation --each 12", "seed": seed, "python": platform.python_version()}
    return {**about, "cpu_seconds": seconds, "parts": parts, "total": total, "mutants": rows}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
