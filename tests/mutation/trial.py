"""Running tests in a forked process, which has the libraries loaded and none of our modules."""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.mutation.draw import HOME
from tests.mutation.watch import Chosen, Watch

OURS = ("theory", "synthetic", "deep", "avgmargin", "tests")
_LIBRARIES = (
    "pytest", "hypothesis", "hypothesis.stateful", "coverage", "numpy", "scipy", "sympy", "flint", "torch",
    "safetensors.torch", "cvxpy", "joblib",
)  # fmt: skip
_QUIET = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # the libraries were imported before, on purpose
_WALL = 1800.0  # seconds; the processor's time is what decides, this is for tests that wait


def load_libraries() -> None:
    """Import what every test imports, once."""
    for name in _LIBRARIES:
        importlib.import_module(name)


def copy_tree(tree: Path) -> None:
    """Copy what the tests need."""
    tree.mkdir(parents=True)
    for name in (*OURS, "docs"):
        shutil.copytree(HOME / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(HOME / name, tree / name)


def watch_tests(tree: Path, file: str, modules: Iterable[str], each: float, log: Path) -> dict[str, Any]:
    """Of every passing test of a file that takes less than `each` CPU seconds: its seconds, the lines it runs.

    What `modules` run when they are imported stands under the empty name. Keeps the byte code for the runs that follow.
    """
    found = log.with_suffix(".json")
    found.unlink(missing_ok=True)
    _run(tree, [file], Watch(tree, list(modules), each, found), 3600.0, log, keep=True)
    if not found.exists():
        raise RuntimeError(f"{file}: no test could be run: {log.read_text(errors='replace')[-2000:]}")
    made: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return made


def run_chosen(tree: Path, chosen: Mapping[str, float], seconds: float, log: Path) -> tuple[str, str, float]:
    """Run tests in this order until the first failure: `passed`, `failed`, `time` or `died`, by which, CPU seconds.

    `seconds` is processor time, so that a busy machine kills no mutant.
    """
    files = list(dict.fromkeys(name.partition("::")[0] for name in chosen))
    return _outcome(_run(tree, files, Chosen(list(chosen)), seconds, log, keep=False), log)


def run_file(tree: Path, file: str, seconds: float, log: Path, choose: str = "") -> tuple[str, str, float]:
    """Run the tests of a file, in its order, until the first failure or until the processor time is spent.

    `choose` selects tests as pytest's -k does.
    """
    words = [file, *(["-k", choose] if choose else [])]
    return _outcome(_run(tree, words, object(), seconds, log, keep=False), log)


def _outcome(ended: tuple[int | None, float], log: Path) -> tuple[str, str, float]:
    status, spent = ended
    words = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    failed = [line.partition(" - ")[0][:200] for line in words if line.startswith(("FAILED", "ERROR"))]
    by = failed[0] if failed else ""
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return "time", by, spent
    if os.WIFSIGNALED(status):
        return "died", f"signal {os.WTERMSIG(status)}", spent
    code = os.WEXITSTATUS(status)
    return {0: "passed", 1: "failed", 2: "failed"}.get(code, "died"), by or ("" if code == 0 else f"code {code}"), spent


def _run(
    tree: Path, words: list[str], plugin: object, seconds: float, log: Path, *, keep: bool
) -> tuple[int | None, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pid = os.fork()
    if pid == 0:
        _child(tree, words, plugin, seconds, log, keep)
    status = _wait(pid)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return status, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _child(tree: Path, chosen: list[str], plugin: object, seconds: float, log: Path, keep: bool) -> None:
    code = 70
    try:
        os.setsid()
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
            del sys.modules[name]
        os.chdir(tree)
        sys.path[:] = [str(tree), *(place for place in sys.path if place not in ("", str(HOME)))]
        os.environ |= {"HYPOTHESIS_PROFILE": "mutation", "PYTHONPATH": str(tree)}
        os.environ |= {} if keep else {"PYTHONDONTWRITEBYTECODE": "1"}
        sys.dont_write_bytecode = not keep
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 30))
        import pytest
        from hypothesis import HealthCheck, Phase, settings

        settings.register_profile(  # the same examples for each mutant, and no time spent on smaller ones
            "mutation",
            derandomize=True,
            deadline=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=[HealthCheck.too_slow],
        )
        if isinstance(plugin, Watch):
            plugin.coverage.start()  # before the first conftest is read, which imports our modules
        stop = () if keep else ("-x",)
        words = [*stop, "-q", "-rf", "-p", "no:cacheprovider", "-o", "timeout=0", "--tb=line", *_QUIET, *chosen]
        code = int(pytest.main(words, plugins=[plugin]))
        sys.stdout.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _wait(pid: int) -> int | None:
    """The status of a process, or None where it had to be ended after `_WALL` seconds."""
    end = time.monotonic() + _WALL
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None
