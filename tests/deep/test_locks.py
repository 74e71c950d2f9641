"""Two processes in one run folder: the second is kept out, and a killed one keeps nobody out."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import deep
from deep import _folder, _locks
from deep._folder import RunFolder

pytest.importorskip("fcntl")

HOLD = """
import sys, time
from pathlib import Path
from deep._locks import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_folder, "alone", lambda path: _locks.alone(path, 0.1))


def toy() -> deep.Dataset:
    rng = np.random.default_rng(5)
    x, y = rng.random((60, 4), dtype=np.float32), rng.integers(0, 3, 60)
    return deep.Dataset("toy", x, y, x[:9], y[:9])


def config(epochs: int) -> deep.TrainConfig:
    return deep.TrainConfig(name="toy", dataset="toy", model="linear", epochs=epochs, batch_size=20)


def test_a_second_call_is_refused_before_it_writes(tmp_path: Path, impatient: None) -> None:
    deep.train(config(2), toy(), tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with RunFolder(tmp_path / "run").alone():
        with pytest.raises(deep.RunFolderError, match=r"run: another process trains in this folder"):
            deep.train(config(3), toy(), tmp_path / "run")
        assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
        assert len(deep.train(config(2), toy(), tmp_path / "run").metrics) == 3  # what is stored can be read meanwhile
    assert len(deep.train(config(3), toy(), tmp_path / "run").metrics) == 4


def test_a_killed_process_holds_nothing(tmp_path: Path, impatient: None) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(_locks.Taken), _locks.alone(tmp_path, 0.1):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()  # type: ignore[union-attr]
    with _locks.alone(tmp_path, 0.1):
        assert list(tmp_path.iterdir()) == []


def test_what_was_read_before_the_folder_was_free_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process extends the run to four epochs while this call, which asks for three, waits for the folder."""
    deep.train(config(2), toy(), tmp_path / "run")
    waiting = _locks.alone

    @contextlib.contextmanager
    def extended_meanwhile(path: Path) -> Iterator[None]:
        monkeypatch.setattr(_folder, "alone", waiting)
        deep.train(config(4), toy(), path)
        with waiting(path):
            yield

    monkeypatch.setattr(_folder, "alone", extended_meanwhile)
    with pytest.raises(deep.RunFolderError, match="was made with epochs=4, not 3"):
        deep.train(config(3), toy(), tmp_path / "run")
    assert len(deep.train(config(4), toy(), tmp_path / "run").metrics) == 5
