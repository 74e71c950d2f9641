"""Run every benchmark and keep what it printed: `python -m benchmarks [--out docs/results/benchmarks.json]`.

Each runs in a process of its own, whose wall and processor seconds, peak memory and the load of the machine before it
stand under `cost`. A benchmark that fails is recorded with its error, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from theory.storage import write_atomic

HERE = Path(__file__).resolve().parent
OPTIONS = {
    "prover": ["--catalogue", "--grid"],
    "multiclass": ["--four", "--processes"],
    "laws": ["--scaling"],
}


def measured(name: str) -> tuple[dict[str, Any], dict[str, float]]:
    """What one benchmark printed, or its error, and what it cost; the memory is that of its largest process."""
    load, start = os.getloadavg()[0], time.perf_counter()
    command = [sys.executable, "-m", f"{HERE.name}.{name}", *OPTIONS.get(name, [])]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(command, stdout=out, stderr=err, cwd=HERE.parent)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        for stream in (out, err):
            stream.seek(0)
        said, told = out.read(), err.read()
    cost = {
        "wall_seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(used.ru_maxrss / 1024),
        "load": round(load, 2),
    }
    try:
        return json.loads(said), cost
    except ValueError:
        return {"error": (told.strip().splitlines() or ["no output"])[-1]}, cost


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
        found[name], cost = measured(name)
        found.setdefault("cost", {})[name] = cost
        failed = failed or "error" in found[name]
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, (json.dumps(found, indent=2) + "\n").encode())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
