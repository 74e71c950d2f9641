#!/usr/bin/env bash
# Builds the wheel, installs it with its test dependencies into a fresh environment, and runs a copy of the tests in an
# empty folder, where only the wheel's packages can be imported. Run by `make wheel-test`.
# Arguments go to pytest, such as a folder of tests.
#   PYTHON  a Python with the package "build"     JOBS  test processes (2)
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
jobs=${JOBS:-2}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

if [ -z "${AVGMARGIN_SHARED:-}" ] && [ -d "$root/../shared" ]; then
    AVGMARGIN_SHARED=$(cd "$root/../shared" && pwd)
    export AVGMARGIN_SHARED
fi
unset PYTHONPATH

echo "wheel-test: building"
"$python" -m build --wheel --outdir "$place/dist" "$root" >"$place/build.log" 2>&1 || {
    cat "$place/build.log" >&2
    exit 1
}
wheels=("$place"/dist/avgmargin-*.whl)

echo "wheel-test: installing ${wheels[0]##*/} into a fresh environment"
"$python" -m venv "$place/venv"
bin=$place/venv/bin
"$bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" torch
"$bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" "${wheels[0]}[test]"

mkdir "$place/empty"
cp -r "$root/tests" "$place/empty/tests"
find "$place/empty" -name __pycache__ -type d -prune -exec rm -rf {} +
# The project's own pytest settings, without the path that would find a checkout.
"$bin/python" - "$root/pyproject.toml" "$place/empty/pytest.ini" <<'END'
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    settings = tomllib.load(file)["tool"]["pytest"]["ini_options"]
settings.pop("pythonpath", None)
lines = ["[pytest]"]
for key, value in settings.items():
    if isinstance(value, list):
        lines += [f"{key} =", *(f"    {entry}" for entry in value)]
    else:
        lines.append(f"{key} = {str(value).lower() if isinstance(value, bool) else value}")
with open(sys.argv[2], "w", encoding="utf-8") as file:
    file.write("\n".join(lines) + "\n")
END

cd "$place/empty"
"$bin/python" - "$place/venv" <<'END'
import pathlib
import sys

import avgmargin
import deep
import synthetic
import theory

for package in (theory, synthetic, deep, avgmargin):
    path = pathlib.Path(package.__file__).resolve()
    assert "site-packages" in path.parts, f"{path} is not in site-packages"
    assert path.is_relative_to(pathlib.Path(sys.argv[1]).resolve()), f"{path} is not from the fresh environment"
END
"$bin/avgmargin" --version

echo "wheel-test: running the tests in an empty folder"
"$bin/python" -m pytest -n "$jobs" --dist worksteal -q "$@"
