"""Runs that are killed, interrupted or out of disk, at any moment: what is left, and that they end with the same bits.

Processes are forked from a server that has imported torch already; each runs code of its own.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest

import deep
from deep import Dataset, RunFolderError, TrainConfig, load_model, load_progress, load_run, train

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and limits as on Linux")
SMALL = TrainConfig(
    name="test", dataset="toy", batch_size=32, epochs=2, lr=0.3, seed=5, model="mlp", hidden=5, beta=0.01
)


class Stopped(BaseException):
    """Stands for the end of a process: nothing of ours catches it."""


@pytest.fixture(scope="module")
def server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["deep", "avgmargin.__main__", "avgmargin.experiments"])
    return context


def run(server: ForkServerContext, code: str) -> multiprocessing.process.BaseProcess:
    process = server.Process(target=exec, args=(code, {}))
    process.start()
    return process


def same(folder: Path, other: Path) -> None:
    for found, wanted in zip(
        load_model(folder).state_dict().values(), load_model(other).state_dict().values(), strict=True
    ):
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    one, two = (
        [{k: v for k, v in record.items() if k != "seconds"} for record in load_run(f).metrics] for f in (folder, other)
    )
    assert one == two


# -- kill -9 --------------------------------------------------------------------------------------------------------


def test_killed_at_drawn_moments_a_run_ends_with_the_same_bits(
    toy: Dataset, tmp_path: Path, server: ForkServerContext
) -> None:
    """SIGKILL, from outside, some milliseconds after the folder has grown."""
    config = replace(SMALL, epochs=30)
    train(config, toy, tmp_path / "whole")
    rng = np.random.default_rng(17)
    folder, kills, epochs = tmp_path / "run", 0, []
    while kills < 5 and not (folder / "summary.json").exists():
        process = server.Process(target=train, args=(config, toy, folder))
        process.start()
        before = _epochs(folder)
        while process.is_alive() and _epochs(folder) < before + 2:
            time.sleep(0.001)
        time.sleep(float(rng.uniform(0.0, 0.02)))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        epochs.append(load_progress(folder).metrics[-1]["epoch"])
    assert kills >= 3
    assert epochs == sorted(epochs)
    result = train(config, toy, folder)
    last = epochs[-1]  # its checkpoint may not have been written any more
    assert " ".join(result.notes) in {f"taken up after epoch {epoch} of 30" for epoch in (last, last - 1)}
    same(folder, tmp_path / "whole")
    assert not list(folder.rglob(".*"))


def _epochs(folder: Path) -> int:
    try:
        return (folder / "metrics.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _operations(monkeypatch: pytest.MonkeyPatch, hook: Callable[[str], None]) -> None:
    """Call ``hook`` before every operation by which a run changes its folder."""
    for owner, name in (
        (os, "write"),
        (os, "fsync"),
        (os, "replace"),
        (os, "unlink"),
        (Path, "replace"),
        (Path, "unlink"),
    ):
        real = getattr(owner, name)

        def changed(*args: object, _real: Callable[..., object] = real, _name: str = name, **more: object) -> object:
            hook(_name)
            return _real(*args, **more)

        monkeypatch.setattr(owner, name, changed)


def test_stopped_before_any_single_write_a_run_ends_with_the_same_bits(
    toy: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every operation in turn: in the making of the folder, a milestone, the metrics, a checkpoint, the summary."""
    train(SMALL, toy, tmp_path / "whole")
    seen: list[str] = []
    with monkeypatch.context() as patch:
        _operations(patch, seen.append)
        train(SMALL, toy, tmp_path / "counted")
    assert len(seen) > 30
    for number in range(len(seen)):
        folder, left = tmp_path / f"run{number}", iter(range(number))

        def hook(name: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Stopped

        with monkeypatch.context() as patch:
            _operations(patch, hook)
            with pytest.raises(Stopped):
                train(SMALL, toy, folder)
        train(SMALL, toy, folder)
        same(folder, tmp_path / "whole")


# -- a full disk ----------------------------------------------------------------------------------------------------


def test_on_a_full_disk_there_is_one_line_and_the_earlier_checkpoint(
    toy: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write from one on fails: in the making of the folder, in each epoch, in the summary."""
    train(SMALL, toy, tmp_path / "whole")
    for allowed in (1, 4, 9, 15, 19):
        folder, writes = tmp_path / f"run{allowed}", iter(range(allowed))

        def hook(name: str, writes: Iterator[int] = writes) -> None:
            if name in ("write", "fsync") and next(writes, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            _operations(patch, hook)
            with pytest.raises(RunFolderError, match="cannot be written \\(No space left on device\\)") as caught:
                train(SMALL, toy, folder)
        assert "\n" not in str(caught.value)
        assert str(folder) in str(caught.value)
        train(SMALL, toy, folder)
        same(folder, tmp_path / "whole")


def test_a_write_that_takes_a_part_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:5]))
    deep._folder.RunFolder(tmp_path).append_metrics({"epoch": 0, "loss": 0.25})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch": 0, "loss": 0.25}\n'


# -- the command line -----------------------------------------------------------------------------------------------

COMMAND = """
import os, sys, resource
sys.stderr = open({err!r}, "w", buffering=1)
sys.stdout = open(os.devnull, "w")
os.chdir({here!r})
if {limit}:
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from avgmargin.__main__ import main
words = "train --model mlp --hidden {hidden} --epochs 4000 --per-class 8 --lr 0.001 --out run"
sys.exit(main(words.split()))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_with_a_line_and_its_code(
    tmp_path: Path, server: ForkServerContext, number: signal.Signals, code: int
) -> None:
    process = run(server, COMMAND.format(err=str(tmp_path / "err"), here=str(tmp_path), limit=0, hidden=4))
    wait(lambda: _epochs(tmp_path / "run") > 3, process)
    os.kill(process.pid or 0, number)
    process.join(60)
    assert process.exitcode == code
    told = (tmp_path / "err").read_text()
    assert "Traceback" not in told
    line = f"avgmargin: stopped by {number.name}; the epochs stored in run are kept, and the same command goes on"
    assert sum(line in words for words in told.splitlines()) == 1
    found = load_progress(tmp_path / "run")
    assert not found.finished
    assert deep._folder.RunFolder(tmp_path / "run").load_checkpoint(len(found.metrics)) is not None


def test_a_limit_on_file_size_ends_the_command_with_one_line(tmp_path: Path, server: ForkServerContext) -> None:
    """A checkpoint of 40 hidden units takes more than 100 kB; that of epoch 0 is the first."""
    process = run(server, COMMAND.format(err=str(tmp_path / "err"), here=str(tmp_path), limit=100_000, hidden=40))
    process.join(100)
    assert process.exitcode == 2
    told = (tmp_path / "err").read_text()
    assert "Traceback" not in told
    assert "cannot be written (File too large); what was stored before is kept" in told.splitlines()[-1]


def wait(ready: Callable[[], bool], process: multiprocessing.process.BaseProcess, seconds: float = 100.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert process.is_alive(), f"ended with {process.exitcode}"
        assert time.monotonic() < end
        time.sleep(0.01)


def test_importing_deep_does_not_import_lightning(tmp_path: Path, server: ForkServerContext) -> None:
    code = f"import sys, json, deep; open({str(tmp_path / 'names')!r}, 'w').write(json.dumps(sorted(sys.modules)))"
    process = run(server, code)
    process.join(60)
    names = json.loads((tmp_path / "names").read_text())
    assert "deep.training" in names
    assert not [name for name in names if name.startswith("lightning")]
