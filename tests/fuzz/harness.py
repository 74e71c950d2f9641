"""The loop that feeds hostile inputs to a reader and judges what it does with them."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

SECONDS = 10.0
"""Seconds of processor time after which an input counts as a hang; the work is milliseconds."""
_WAIT = 6.0  # an input may wait this many times longer by the clock: the machine may be shared

_FORBIDDEN = frozenset(
    [
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "subprocess.Popen",
        "socket.connect",
        "socket.bind",
        "exec",
        "pickle.find_class",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "shutil.rmtree",
        "ctypes.dlopen",
        "webbrowser.open",
    ]
)
_guarded: list[str] | None = None  # events of the input that is being read; None outside of one


@dataclass(frozen=True)
class Target:
    """A reader under test: `draw` makes an input, `read` consumes it, and only `refusals` may come out of it.

    `read` returns whether the input was accepted, and raises AssertionError where it read what is not there.
    """

    name: str
    draw: Callable[[random.Random], bytes | str]
    read: Callable[[Any], bool]
    refusals: tuple[type[Exception], ...]


@dataclass
class Outcome:
    """What became of the inputs of a target: `accepted`, `refused`, and the inputs that broke a rule, with the rule.

    `slowest` is the processor time of the slowest input.
    """

    counts: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[str, str]] = field(default_factory=list)
    slowest: float = 0.0


class Hang(BaseException):
    """An input took longer than `SECONDS`."""


def fuzz(target: Target, count: int, rng: random.Random, *, seconds: float = SECONDS, keep: int = 20) -> Outcome:
    """Feed `count` inputs; a crash, a hang, a refusal in several lines and a forbidden act are broken rules."""
    found = Outcome()
    for _ in range(count):
        given = target.draw(rng)
        start = time.process_time()
        rule = _judge(target, given, found.counts, seconds)
        found.slowest = max(found.slowest, time.process_time() - start)
        if rule:
            found.counts["broken"] += 1
            if len(found.broken) < keep:
                found.broken.append((rule, repr(given)[:2000]))
    return found


def _judge(target: Target, given: bytes | str, counts: Counter[str], seconds: float) -> str:
    try:
        with _alarm(seconds), _no_acts() as acts:
            accepted = target.read(given)
    except target.refusals as refusal:
        counts["refused"] += 1
        return "a refusal in several lines" if "\n" in str(refusal) else ""
    except Hang:
        return f"longer than {seconds:g} s"
    except (Exception, RecursionError) as crash:
        return f"{type(crash).__name__}: {str(crash)[:200]}"
    if acts:
        return f"forbidden: {acts[0]}"
    counts["accepted" if accepted else "refused"] += 1
    return ""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, seconds), (signal.SIGALRM, signal.ITIMER_REAL, _WAIT * seconds))
    before = [signal.signal(number, ring) for number, _, _ in timers]
    for _, timer, after in timers:
        signal.setitimer(timer, after)
    try:
        yield
    finally:
        for (number, timer, _), kept in zip(timers, before, strict=True):
            signal.setitimer(timer, 0.0)
            signal.signal(number, kept)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _guarded is not None and event in _FORBIDDEN:
        _guarded.append(f"{event} {arguments!r}"[:200])


sys.addaudithook(_watch)


@contextmanager
def _no_acts() -> Iterator[list[str]]:
    """Collect what the interpreter reports of acts that no reader of data may do."""
    global _guarded
    _guarded = acts = []
    try:
        yield acts
    finally:
        _guarded = None
