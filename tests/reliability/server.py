"""A process that has the libraries loaded and forks one child per command: `python -m tests.reliability.server`.

It reads one JSON request per line and answers `{"pid": ...}` at the start of the child, `{"status": ...}` at its end.
The child leads a process group of its own, so that a kill reaches its workers too. A request may ask that the child's
group is killed by SIGKILL just before its `stop`-th act on the files below its folder (opened for writing, written to
the second half of its bytes, flushed to disk, renamed, removed, folder made), and that files are written in two pieces,
not in one step: the broken twin.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

_ACTS = frozenset(["open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"])
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_WARM = (
    "avgmargin.__main__",
    "deep",
    "deep.plot",
    "synthetic",
    "mlxtend.data",
    "joblib",
    "jinja2",
    "scipy.optimize",
    "scipy.special",
    "torch._dynamo",  # two seconds of the first optimiser
)


class Counter:
    """Counts acts on files below a folder, and kills its own process group before a chosen one.

    `second` counts only the beginnings of second pieces, which the broken twin writes.
    """

    def __init__(self, folder: str, stop: int | None, second: bool) -> None:
        self.folder, self.stop, self.second, self.acts = folder, stop, second, 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _ACTS or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        if self.second and (event != "open" or "a" not in str(arguments[1] or "")):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES):
            return
        self.act(os.path.abspath(os.fsdecode(arguments[0])))

    def act(self, path: str) -> None:
        """An act on a file that is about to happen."""
        if path.startswith(self.folder):
            self.acts += 1
            if self.acts == self.stop:
                os.killpg(0, signal.SIGKILL)


class Halves:
    """A file opened by its descriptor, whose bytes reach the system in two halves with an act between them."""

    def __init__(self, file: Any, counter: Counter) -> None:
        self._file, self._counter = file, counter

    def __enter__(self) -> Halves:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        half = len(data) // 2
        self._file.write(data[:half])
        self._file.flush()
        self._counter.act(_path_of(self._file.fileno()))
        self._file.write(data[half:])
        return len(data)


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def watch_writer(counter: Counter) -> None:
    """Count also what the interpreter reports nothing of: the middle of a write by descriptor, and a flush to disk."""
    open_descriptor, flush = os.fdopen, os.fsync

    def fdopen(descriptor: int, mode: str = "r", *rest: Any, **named: Any) -> Any:
        file = open_descriptor(descriptor, mode, *rest, **named)
        return Halves(file, counter) if mode == "wb" else file

    def fsync(descriptor: int) -> None:
        counter.act(_path_of(descriptor))
        flush(descriptor)

    os.fdopen, os.fsync = fdopen, fsync  # type: ignore[assignment]


def write_in_two_pieces(path: Path, data: bytes) -> None:
    """What `theory.storage.write_atomic` must not be."""
    half = len(data) // 2
    path.write_bytes(data[:half])
    with path.open("ab") as file:
        file.write(data[half:])


def break_writer() -> None:
    """Put the broken writer in place of the sound one, in every module that has it."""
    storage = importlib.import_module("theory.storage")
    sound = storage.write_atomic
    for module in list(sys.modules.values()):
        if getattr(module, "write_atomic", None) is sound:
            module.write_atomic = write_in_two_pieces  # type: ignore[attr-defined]


def child(request: dict[str, Any]) -> None:
    """Run one command and end this process; the number of its acts goes to the file `acts`."""
    code = 70
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for number, descriptor in ((0, null), (1, log), (2, log)):
            os.dup2(descriptor, number)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - lives as long as the process
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        os.chdir(request["folder"])
        if request["twin"]:
            break_writer()
        counter = Counter(os.path.join(request["folder"], ""), request["stop"], request["twin"])
        sys.addaudithook(counter)
        if not request["twin"]:
            watch_writer(counter)
        from avgmargin.__main__ import main

        code = main(request["words"])
        sys.stdout.flush()
        Path(request["acts"]).write_text(str(counter.acts), encoding="ascii")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)


def serve() -> None:
    """Answer requests until the end of the input."""
    for name in _WARM:
        importlib.import_module(name)
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(request)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    serve()
