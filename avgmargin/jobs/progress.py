"""Progress on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from .job import PARTS, TITLES, Job

_LINES_PER_JOB = 5  # epochs told per training when stderr is no terminal


class Progress:
    """Hears of jobs that start, step and finish, and tells on stderr."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._parts = [part for part in PARTS if any(job.part == part for job in jobs)]
        self._steps = {part: sum(job.steps for job in jobs if job.part == part) for part in self._parts}
        self._seen: dict[tuple[str, str], int] = {}
        self._begin = time.monotonic()
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bars

            from avgmargin.common.console import console

            self._bars = Bars(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[words]}", style="dim", markup=False),
                console=console(stderr=True),
            )
            for part in self._parts:
                self._tasks[part] = self._bars.add_task(TITLES[part], total=self._steps[part], words="")
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def reuse(self, job: Job) -> None:
        """The job was done by an earlier run."""
        self._advance(job, job.steps)
        self._line(job, "already done, kept")

    def step(self, job: Job, step: int, words: str) -> None:
        """The job has reached a step (an epoch) or is busy with what `words` say."""
        self._advance(job, min(step, job.steps - 1))
        if self._bars is not None:
            self._bars.update(self._tasks[job.part], words=self._words(job, step, words))
        elif words != "started" and (job.steps == 1 or step % max(1, (job.steps - 1) // _LINES_PER_JOB) == 0):
            self._line(job, self._words(job, step, words, named=False))

    def finish(self, job: Job, seconds: float) -> None:
        """The job is done."""
        self._advance(job, job.steps)
        self._line(job, f"done in {seconds:.1f} s")

    def _words(self, job: Job, step: int, words: str, named: bool = True) -> str:
        text = f"epoch {step}/{job.steps - 1}, {words}" if job.steps > 1 and words != "started" else words
        return f"{job.name}: {text}" if named else text

    def _advance(self, job: Job, step: int) -> None:
        before = self._seen.get((job.part, job.name), 0)
        if step > before:
            self._seen[job.part, job.name] = step
            if self._bars is not None:
                self._bars.advance(self._tasks[job.part], step - before)

    def _line(self, job: Job, text: str) -> None:
        if self._bars is None:
            print(
                f"[{time.monotonic() - self._begin:6.1f} s] {job.part}: {job.name}: {text}", file=sys.stderr, flush=True
            )
