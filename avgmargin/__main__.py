"""`avgmargin`, and `python -m avgmargin`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .cli import commands
from .common.errors import ExitCode, UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Wrong input (ValueError, OSError, UserError) becomes one line on stderr and code 2, or 4 for
    floats unfit for proofs; anything else is a fault of
    this program and keeps its traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    try:
        return int(_run(words))
    except BrokenPipeError:  # the reader of stdout has gone; nothing is left to be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except (UserError, ValueError, OSError) as error:
        from .common.console import print_error

        print_error(str(error) or type(error).__name__, as_json=as_json)
        return error.code if isinstance(error, UserError) else ExitCode.USAGE
    except KeyboardInterrupt:
        print("avgmargin: interrupted", file=sys.stderr)
        return 130


def _run(words: list[str]) -> ExitCode:
    asked = commands.parse(words)
    if asked.command is None:
        if asked.version:
            from .common.environment import version

            print(f"avgmargin {version()}")
        else:
            print(commands.top_help(), end="")
        return ExitCode.DONE
    code: ExitCode = asked.command.run(asked)
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
