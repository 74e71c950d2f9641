"""`avgmargin`, and `python -m avgmargin`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from . import arguments
from .errors import ExitCode, UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Wrong input (ValueError, OSError, UserError) becomes one line on stderr and code 2; anything else is a fault of
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
        from .console import print_error

        print_error(str(error) or type(error).__name__, as_json=as_json)
        return ExitCode.USAGE
    except KeyboardInterrupt:
        print("avgmargin: interrupted", file=sys.stderr)
        return 130


def _run(words: list[str]) -> ExitCode:
    arguments_read = arguments.parse(words)
    if arguments_read.command is None:
        if arguments_read.version:
            from .environment import version

            print(f"avgmargin {version()}")
        else:
            print(arguments.top_help(), end="")
        return ExitCode.DONE
    from . import commands

    code = commands.RUN[arguments_read.command](arguments_read)
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
