"""The tests with the lowest versions that pyproject.toml allows: `python -m tests.lowest [--out FILE] [PYTEST WORDS]`.

Every `name>=version` of the dependencies, and of the extra `test` where the chosen tests need it, is installed as
`name==version` into an environment of its own outside the source tree. What constraints.txt pins (torch: one build is
available for all) stays as pinned there.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from theory.storage import write_atomic

HOME = Path(__file__).resolve().parents[1]
_TOOLS = ("pytest", "pytest-xdist", "pytest-timeout", "pytest-cov", "hypothesis")
_BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([0-9][^,;]*)")


def pins(project: dict[str, Any], constraints: str) -> dict[str, str]:
    """The lowest allowed version of each dependency and of the test tools; pinned ones as pinned.

    >>> pins({"dependencies": ["a>=1.2,<2", "b>=3"], "optional-dependencies": {"test": ["pytest>=8"]}}, "b==4.0")
    {'a': '1.2', 'b': '4.0', 'pytest': '8'}
    """
    tools = [text for text in project["optional-dependencies"]["test"] if _split(text)[0] in _TOOLS]
    found = dict(map(_split, [*project["dependencies"], *tools]))
    fixed = dict(line.strip().split("==") for line in constraints.splitlines() if "==" in line and line[:1] != "#")
    return {name: fixed.get(name, version) for name, version in found.items()}


def _split(requirement: str) -> tuple[str, str]:
    match = _BOUND.match(requirement)
    if match is None:
        raise ValueError(f"requirement {requirement!r} must name its lowest version as in name>=1.2")
    return match[1], match[2]


def main(argv: list[str]) -> int:
    """Install, run, and keep the versions and counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", help="keep the environment here (default: a temporary folder)")
    parser.add_argument("--out")
    asked, words = parser.parse_known_args(argv)
    words = words or ["tests/theory", "tests/synthetic"]
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = pins(project, (HOME / "constraints.txt").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(asked.venv or f"{folder}/venv")
        python = str(place / "bin" / "python")
        if not Path(python).exists():
            venv.create(place, with_pip=True)
        quiet = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*quiet, *(f"{name}=={version}" for name, version in wanted.items())], check=True)
        subprocess.run([*quiet, "--no-deps", "--editable", str(HOME)], check=True)
        report = Path(folder) / "report.xml"
        options = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", "-o", "junit_family=xunit1"]
        code = subprocess.run([python, "-m", "pytest", *options, *words], cwd=HOME, check=False).returncode
        suite = ElementTree.parse(report).getroot().find("testsuite")
        counts = {} if suite is None else {n: int(suite.attrib[n]) for n in ("tests", "failures", "errors", "skipped")}
    made = {"command": f"python -m tests.lowest {' '.join(words)}", "code": code, **counts, "versions": wanted}
    if asked.out:
        write_atomic(Path(asked.out), (json.dumps(made, indent=1) + "\n").encode())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
