"""Run every benchmark and keep what it printed: `python -m benchmarks [--out docs/results/benchmarks.json]`.

Each runs in a process of its own. A benchmark that fails is recorded with its error, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from theory.storage import write_atomic

HERE = Path(__file__).resolve().parent
OPTIONS = {"prover": ["--catalogue", "--grid"], "laws": ["--scaling"]}


def main(argv: list[str]) -> int:
    names = sorted(path.stem for path in HERE.glob("[!_]*.py"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="docs/results/benchmarks.json")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(names)} (default: all)")
    asked = parser.parse_args(argv)
    if unknown := set(asked.names) - set(names):
        parser.error(f"benchmark {sorted(unknown)[0]!r} must be one of {', '.join(names)}")
    out = Path(asked.out)
    found = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    found["machine"] = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.system()}
    failed = False
    for name in asked.names or names:
        print(name, file=sys.stderr)
        command = [sys.executable, str(HERE / f"{name}.py"), *OPTIONS.get(name, [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent)
        try:
            found[name] = json.loads(done.stdout)
        except ValueError:
            found[name] = {"error": (done.stderr.strip().splitlines() or ["no output"])[-1]}
            failed = True
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, (json.dumps(found, indent=2) + "\n").encode())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
