"""Progress of trainings that run elsewhere, read off their folders: lines on stderr, a few for each run."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

__all__ = ["Watcher"]

_LINES = 5  # told of a run on its way
_PAUSE = 1.0  # seconds between looks


class Watcher:
    """Tells how many epochs each run has done; `runs` maps a folder's name to its number of epochs."""

    def __init__(self, root: Path, runs: Mapping[str, int]) -> None:
        self._root, self._runs = root, dict(runs)
        self._told = {name: self._epoch(name) // self._stride(name) for name in runs}
        self._ended: set[str] = set()
        self._begin = time.monotonic()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=2 * _PAUSE)

    def end(self, name: str, words: str) -> None:
        """The run has ended, as `words` say."""
        with self._lock:
            self._ended.add(name)
        self.say(f"[{len(self._ended)}/{len(self._runs)}] {name}: {words}")

    def say(self, words: str) -> None:
        """A line on stderr."""
        print(f"[{time.monotonic() - self._begin:7.1f} s] {words}", file=sys.stderr, flush=True)

    def _look(self) -> None:
        while not self._stop.wait(_PAUSE):
            for name, epochs in self._runs.items():
                with self._lock:
                    if name in self._ended:
                        continue
                epoch = self._epoch(name)
                step = epoch // self._stride(name)
                if step > self._told[name]:
                    self._told[name] = step
                    self.say(f"{name}: epoch {epoch}/{epochs}")

    def _stride(self, name: str) -> int:
        return max(1, self._runs[name] // _LINES)

    def _epoch(self, name: str) -> int:
        try:
            return max(0, (self._root / name / "metrics.jsonl").read_bytes().count(b"\n") - 1)
        except OSError:
            return 0
