"""Exit codes, and errors that a user caused and can mend."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process answers to its caller."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNDECIDED = 3
    UNFIT = 4


class UserError(Exception):
    """Wrong input or an unfit place to work in; the message is one line with name, value and rule."""

    code = ExitCode.USAGE
    """With which the command ends."""


class Unfit(UserError):
    """The float environment does not allow proofs."""

    code = ExitCode.UNFIT


class UsageError(UserError):
    """A command line that cannot be read."""


def one_line(text: str, limit: int = 600) -> str:
    r"""`text` on one line of printable characters, cut in the middle where it is longer than `limit`.

    >>> one_line("a\n  b\x1b[0m")
    'a b\\x1b[0m'
    """
    flat = " ".join(str(text).split())
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in flat)
    if len(shown) <= limit:
        return shown
    half = (limit - 5) // 2
    return f"{shown[:half]} ... {shown[-half:]}"
