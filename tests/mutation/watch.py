"""Plug-ins of pytest: which lines each test runs and how long it takes; only chosen tests, in a chosen order."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest


class TooLong(BaseException):
    """A test that takes more processor time than is allowed for one that every mutant may meet."""


class Watch:
    """Writes to `out`, per passing test that takes less than `each` seconds, the lines of `modules` that it runs.

    `coverage` must be started before pytest is.
    """

    def __init__(self, tree: Path, modules: list[str], each: float, out: Path) -> None:
        import coverage

        self.files = {str((tree / module).resolve()): module for module in modules}
        self.each, self.out = each, out
        self.times: dict[str, float] = {}
        self.coverage = coverage.Coverage(data_file=None, include=list(self.files), config_file=False)
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self.coverage.switch_context(item.nodeid)
        before, start = signal.signal(signal.SIGPROF, _ring), _spent()
        signal.setitimer(signal.ITIMER_PROF, self.each)
        try:
            return (yield)
        except TooLong:
            self.failed.add(item.nodeid)
            return True
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            signal.signal(signal.SIGPROF, before)
            self.times[item.nodeid] = _spent() - start
            self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed":
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        data = self.coverage.get_data()
        lines: dict[str, dict[str, list[int]]] = {name: {} for name in ("", *self.times) if name not in self.failed}
        for file in data.measured_files():
            for line, contexts in data.contexts_by_lineno(file).items():
                for name in contexts:
                    if name in lines:
                        lines[name].setdefault(self.files[str(Path(file).resolve())], []).append(line)
        made = {name: {"seconds": round(self.times.get(name, 0.0), 3), "lines": lines[name]} for name in lines}
        self.out.write_text(json.dumps(made), encoding="utf-8")


def _ring(number: int, frame: object) -> None:
    raise TooLong


def _spent() -> float:
    """Processor time of this process and of its ended children."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in spent)


class Chosen:
    """Keeps the tests with these names, in this order."""

    def __init__(self, names: list[str]) -> None:
        self.place = {name: number for number, name in enumerate(names)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.place), key=lambda item: self.place[item.nodeid])
