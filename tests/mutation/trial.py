"""Running the guards of a module in a forked process, which has the libraries loaded and none of our modules."""

from __future__ import annotations

import importlib
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

from tests.mutation.draw import HOME

OURS = ("theory", "synthetic", "deep", "avgmargin", "tests")
_LIBRARIES = ("pytest", "hypothesis", "hypothesis.stateful", "numpy", "scipy", "sympy", "flint", "torch", "safetensors")
_QUIET = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # the libraries were imported before, on purpose
_WALL = 900.0  # seconds; the processor's time is what decides, this is for tests that wait


def load_libraries() -> None:
    """Import what every test imports, once."""
    for name in _LIBRARIES:
        importlib.import_module(name)


def copy_tree(tree: Path) -> None:
    """Copy what the tests need."""
    tree.mkdir()
    for name in (*OURS, "docs"):
        shutil.copytree(HOME / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(HOME / name, tree / name)


def run_guards(tree: Path, guards: tuple[str, ...], seconds: float, log: Path) -> tuple[str, str, float]:
    """Run test files in `tree` until the first failure: `passed`, `failed`, `time` or `died`, by which, CPU seconds.

    `seconds` is processor time, so that a busy machine kills no mutant.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pid = os.fork()
    if pid == 0:
        _child(tree, guards, seconds, log)
    status = _wait(pid)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    words = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    failed = [line[:200] for line in words if line.startswith(("FAILED", "ERROR"))]
    by = failed[0] if failed else ""
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return "time", by, spent
    if os.WIFSIGNALED(status):
        return "died", f"signal {os.WTERMSIG(status)}", spent
    code = os.WEXITSTATUS(status)
    return {0: "passed", 1: "failed", 2: "failed"}.get(code, "died"), by or ("" if code == 0 else f"code {code}"), spent


def _child(tree: Path, guards: tuple[str, ...], seconds: float, log: Path) -> None:
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
        os.environ |= {"CI": "true", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree)}
        sys.dont_write_bytecode = True
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 30))
        import pytest

        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--tb=line", *_QUIET, *guards]))
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
