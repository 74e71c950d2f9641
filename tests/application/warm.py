"""Commands in processes of their own that need not load torch each time: forks of a server that has loaded everything.

A call costs what the command does. What a fresh interpreter must do by itself (start fast, load little, survive a kill)
is tested with real processes elsewhere.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# What the commands load when they run, the slow parts of them.
_LOADED = [
    "avgmargin.__main__",
    "avgmargin.laws.population",
    "avgmargin.networks.measuring",
    "avgmargin.reproduce",
    "avgmargin.sweeps.paper",
    "cvxpy",
    "deep.attacks",
    "deep.bounds",
    "deep.plot",
    "scipy.optimize",
    "scipy.special",
    "sympy",
    "synthetic.learning",
    "torch._dynamo",  # two seconds of the first optimiser
]
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(_LOADED)


def run_warm(
    words: Sequence[str], cwd: Path, environment: Mapping[str, str], place: Path, timeout: float
) -> subprocess.CompletedProcess[str]:
    """`avgmargin WORDS` in a fork; what it prints goes through two files in the folder `place`.

    subprocess.TimeoutExpired where it takes more than `timeout` seconds; the child is killed then.
    """
    out, err = place / "stdout", place / "stderr"
    child = _server.Process(target=_command, args=(list(words), str(cwd), dict(environment), str(out), str(err)))
    child.start()
    child.join(timeout)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise subprocess.TimeoutExpired(["avgmargin", *words], timeout)
    code = child.exitcode
    child.close()
    said = [file.read_text(encoding="utf-8") if file.exists() else "" for file in (out, err)]
    return subprocess.CompletedProcess(["avgmargin", *words], code, *said)


def _command(words: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> None:
    for number, name in ((1, out), (2, err)):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["avgmargin", *words]
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
    from avgmargin.__main__ import main

    sys.exit(main())
