"""The kill matrix: `python -m tests.reliability [--each 20] [--long 5] [--seed 0] [--out docs/results/kills.json]`.

Kills each command `--each` times (`--long` times where it starts workers), looks at what is left, and runs it again.
The exit code is 1 where a rule was broken or an outcome differs. `--only report,twin` runs these rows alone (a row is
the first word of its command; `twin` is the broken writer) and keeps the other rows of `--out`.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.reliability.matrix import Server, commands, long_commands, matrix
from theory.storage import write_atomic


def main(argv: list[str]) -> int:
    """Run the matrix, and keep and print its counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--long", type=int, default=5, help="kills of commands that start workers")
    parser.add_argument("--report", type=Path, help="a finished run whose page is written (default: one is made)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="rows to run, between commas; the others of --out are kept")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(argv)
    names = [command.name.split()[0] for command in [*commands(Path()), *long_commands()]]
    chosen = [name for name in asked.only.split(",") if name] or [*names, "twin"]
    if unknown := sorted(set(chosen) - {*names, "twin"}):
        parser.error(f"--only {unknown[0]}: no such row; there are {', '.join(names)} and twin")
    kept = asked.only and asked.out is not None and asked.out.exists()
    made: dict[str, Any] = json.loads(asked.out.read_text(encoding="utf-8")) if kept else {}
    line = f"python -m tests.reliability --each {asked.each} --long {asked.long} --seed {asked.seed}"
    line += f" --only {asked.only}" if asked.only else ""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with Server(place / "cache") as server:
            report = asked.report
            if report is None and "report" in chosen:
                (place / "first").mkdir()
                server.run(long_commands()[1].words, place / "first")
                report = place / "first" / "run"
            rows = [
                *[(command, asked.each) for command in commands(report)],
                *[(c, asked.long) for c in long_commands()],
            ]
            for command, count in rows:
                name = command.name.split()[0]
                if name not in chosen or not count:
                    continue
                begin, rng = time.perf_counter(), random.Random(f"{asked.seed} {name}")
                row = matrix(server, [command], count, rng, place / name)[command.name]
                shutil.rmtree(place / name, ignore_errors=True)
                entry = {**row.as_values(), "seconds": round(time.perf_counter() - begin, 1), "by": line}
                print(command.name, entry, flush=True)
                made = _merge(made, "commands", {command.name: entry}, asked.out)
            if "twin" in chosen:
                twin = matrix(
                    server, commands(), max(4, asked.each // 4), random.Random(asked.seed), place / "t", twin=True
                )
                caught = {n: {"kills": row.counts["kills"], "caught": len(row.broken)} for n, row in twin.items()}
                made = _merge(made, "broken_twin", caught, asked.out)
    print(
        {name: made[name] for name in ("kills", "in_mid_work", "in_a_write", "resumed_equal", "wrong", "broken_twin")}
    )
    return int(made["wrong"] > 0)


def _merge(made: dict[str, Any], part: str, new: dict[str, Any], out: Path | None) -> dict[str, Any]:
    """The results with new rows in one part and the sums made anew, written to `out`."""
    parts = {name: dict(made.get(name, {})) for name in ("commands", "broken_twin")}
    parts[part] |= new
    rows = parts["commands"].values()
    merged = {
        "python": platform.python_version(),
        "system": platform.system(),
        **{
            name: sum(row.get(name, 0) for row in rows)
            for name in ("kills", "in_mid_work", "in_a_write", "resumed_equal")
        },
        "wrong": sum(len(row["broken"]) + len(row["unequal"]) for row in rows),
        **parts,
    }
    if out is not None:
        write_atomic(out, (json.dumps(merged, indent=1) + "\n").encode())
    return merged


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
