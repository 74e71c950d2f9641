"""The kill matrix: `python -m tests.reliability [--each 20] [--long 5] [--seed 0] [--out docs/results/kills.json]`.

Kills each command `--each` times (`--long` times where it starts workers), looks at what is left, and runs it again.
The exit code is 1 where a rule was broken or an outcome differs.
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

from tests.reliability.matrix import Row, Server, commands, long_commands, matrix
from theory.storage import write_atomic


def main(argv: list[str]) -> int:
    """Run the matrix, and keep and print its counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--long", type=int, default=5, help="kills of commands that start workers")
    parser.add_argument("--report", type=Path, help="a finished run whose page is written (default: one is made)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out")
    asked = parser.parse_args(argv)
    rng, begin = random.Random(asked.seed), time.perf_counter()
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with Server(place / "cache") as server:
            report = asked.report
            if report is None and asked.long:
                (place / "first").mkdir()
                server.run(long_commands()[1].words, place / "first")
                report = place / "first" / "run"
            for command in [*commands(report), *long_commands()]:
                count = asked.long if command in long_commands() else asked.each
                rows |= matrix(server, [command] if count else [], count, rng, place / "matrix")
                shutil.rmtree(place / "matrix", ignore_errors=True)
                if count:
                    print(command.name, rows[command.name].as_values(), flush=True)
                    _keep(asked, rows, {}, begin)
            twin = matrix(server, commands(), max(4, asked.each // 4), rng, place / "twin", twin=True)
    made = _keep(asked, rows, twin, begin)
    print({name: made[name] for name in ("kills", "in_mid_work", "resumed_equal", "wrong", "broken_twin")})
    return int(made["wrong"] > 0)


def _keep(asked: argparse.Namespace, rows: dict[str, Row], twin: dict[str, Row], begin: float) -> dict[str, Any]:
    """What is known so far, written to `--out`."""
    total = {name: sum(row.counts[name] for row in rows.values()) for name in ("kills", "in_mid_work", "resumed_equal")}
    made = {
        "command": f"python -m tests.reliability --each {asked.each} --long {asked.long} --seed {asked.seed}",
        "python": platform.python_version(),
        "system": platform.system(),
        "seconds": round(time.perf_counter() - begin, 1),
        **total,
        "wrong": sum(len(row.broken) + len(row.unequal) for row in rows.values()),
        "commands": {name: row.as_values() for name, row in rows.items()},
        "broken_twin": {n: {"kills": row.counts["kills"], "caught": len(row.broken)} for n, row in twin.items()},
    }
    if asked.out:
        write_atomic(Path(asked.out), (json.dumps(made, indent=1) + "\n").encode())
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
