"""Run the commands that a page shows and put their output beneath: `python docs/scripts/transcripts.py README.md`.

A transcript is an indented block whose first line begins with `$ `; everything below, up to the end of the block, is
output. All commands of a page run in one new folder, in order, with this Python's `avgmargin` first on the path.
`--check` writes nothing and exits with code 1 where a verdict, tier, scope or witness would change.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

INDENT = "    "
_STEADY = re.compile(r"^(verdict|tier|scope|witness|claim)\b|VERIFIED|REFUSED|\"status\"")
"""Lines that must not change; times and file names may."""


def rewrite(text: str, folder: str) -> str:
    """The page with every transcript run again."""
    out: list[str] = []
    lines = text.splitlines()
    i = 0
    while i < len(lines):
        line = lines[i]
        out.append(line)
        i += 1
        if not line.startswith(f"{INDENT}$ "):
            continue
        while i < len(lines) and lines[i].startswith(INDENT) and not lines[i].startswith(f"{INDENT}$ "):
            i += 1
        out += [f"{INDENT}{each}".rstrip() for each in _run(line.removeprefix(f"{INDENT}$ "), folder)]
    return "\n".join(out) + "\n"


def _run(command: str, folder: str) -> list[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "150"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    return [line.rstrip() for line in done.stdout.splitlines()]


def steady(text: str) -> list[str]:
    """What a page claims and must go on claiming."""
    return [line for line in map(str.strip, text.splitlines()) if _STEADY.search(line)]


def main(argv: list[str]) -> int:
    stale = False
    for name in (word for word in argv if word != "--check"):
        page = Path(name)
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            new = rewrite(text, folder)
        if "--check" in argv:
            stale |= steady(new) != steady(text)
        else:
            page.write_text(new, encoding="utf-8")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
