"""A stateful machine over the run folder: kills, cuts, flips and deletions, and what training makes of what is left.

The promise: whatever happens to the files, taking the run up again ends in the very bits of an undisturbed run, or in
one named error.  Never in other weights or other numbers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from deep import Dataset, RunFolderError, TrainConfig, load_run, train
from deep._folder import RunFolder

CONFIG = TrainConfig(dataset="toy", model="mlp", hidden=3, epochs=5, batch_size=8, beta=0.01, seed=7)
CALLS = ("os.open", "os.write", "os.fsync", "pathlib.Path.replace", "pathlib.Path.unlink", "pathlib.Path.mkdir",
         "tempfile.mkstemp")  # fmt: skip
MOST_CALLS = 120  # an undisturbed run makes about as many


PLACES = st.integers(0, 2**20)  # taken modulo what there is: sizes differ from run to run, with the times in records


class Killed(BaseException):
    """The process is no more."""


def _toy() -> Dataset:
    rng = np.random.default_rng(3)
    x = rng.random((24, 4), dtype=np.float32)
    y = rng.integers(0, 3, 24)
    return Dataset("toy", x, y, x[:9].copy(), y[:9].copy())


TOY = _toy()


@contextmanager
def killed_at(call: int) -> Iterator[None]:
    """Raise `Killed` at the file-system call of this number and at every later one: the dead clean nothing up."""
    count = 0

    def dying(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count >= call:
                raise Killed
            return original(*arguments, **options)

        return wrapper

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            owner, attribute = name.rsplit(".", 1)
            home: Any = {"os": os, "tempfile": tempfile, "pathlib.Path": Path}[owner]
            patch.setattr(home, attribute, dying(getattr(home, attribute)))
        yield


def content(folder: Path) -> tuple[bytes, dict[str, bytes], list[dict[str, float]]]:
    """The final weights, the milestones, and the metrics without their times, of a finished run."""
    records = [{k: v for k, v in record.items() if k != "seconds"} for record in load_run(folder).metrics]
    weights = (folder / "checkpoints" / f"epoch-{CONFIG.epochs:05d}.safetensors").read_bytes()
    milestones = {file.name: file.read_bytes() for file in sorted((folder / "milestones").iterdir())}
    return weights, milestones, records


class Store(RuleBasedStateMachine):
    """One run folder and everything that may befall it."""

    expected: Any = None

    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.folder = self.home / "run"
        if Store.expected is None:
            train(CONFIG, TOY, self.home / "undisturbed")
            Store.expected = content(self.home / "undisturbed")

    def teardown(self) -> None:
        if hasattr(self, "home"):
            shutil.rmtree(self.home)

    @rule(call=st.integers(1, MOST_CALLS))
    def kill(self, call: int) -> None:
        try:
            with killed_at(call):
                train(CONFIG, TOY, self.folder)
        except (Killed, RunFolderError) as end:
            self._one_line(end)

    @rule()
    def take_up(self) -> None:
        try:
            result = train(CONFIG, TOY, self.folder)
        except RunFolderError as error:
            self._one_line(error)
            shutil.rmtree(self.folder)  # refused: the user starts anew
            return
        assert result.status == "done"
        assert content(self.folder) == Store.expected

    @precondition(lambda self: self._files())
    @rule(which=PLACES, where=PLACES)
    def cut(self, which: int, where: int) -> None:
        file = self._one(which)
        os.truncate(file, where % max(1, file.stat().st_size))

    @precondition(lambda self: self._files())
    @rule(which=PLACES, where=PLACES, bit=st.integers(0, 7))
    def flip(self, which: int, where: int, bit: int) -> None:
        file = self._one(which)
        raw = bytearray(file.read_bytes())
        if raw:
            raw[where % len(raw)] ^= 1 << bit
            file.write_bytes(raw)

    @precondition(lambda self: self._files())
    @rule(which=PLACES)
    def delete(self, which: int) -> None:
        self._one(which).unlink()

    @precondition(lambda self: self._files("checkpoints/*"))
    @rule()
    def delete_the_latest(self) -> None:
        newest = max(self._files("checkpoints/*"), key=lambda file: file.name)
        newest.unlink()

    @invariant()
    def a_finished_run_is_right_or_refused(self) -> None:
        if hasattr(self, "folder") and (self.folder / "summary.json").exists():
            try:
                found = content(self.folder)
            except RunFolderError as error:
                self._one_line(error)
            else:
                assert found == Store.expected

    def _files(self, pattern: str = "**/*") -> list[Path]:
        if not hasattr(self, "folder"):
            return []
        return sorted(path for path in self.folder.glob(pattern) if path.is_file() and not path.name.startswith("."))

    def _one(self, which: int) -> Path:
        files = self._files()
        return files[which % len(files)]

    def _one_line(self, end: BaseException) -> None:
        assert isinstance(end, Killed) or ("\n" not in str(end) and str(self.folder) in str(end)), end


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=40, stateful_step_count=12)


def _stopped(folder: Path) -> None:
    """A run that was killed in its fourth epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deep._folder.RunFolder.save_checkpoint", _dying_save(4))
        with pytest.raises(Killed):
            train(CONFIG, TOY, folder)


def _dying_save(epoch: int) -> Callable[..., None]:
    original = RunFolder.save_checkpoint

    def save(self: RunFolder, at: int, weights: bytes, state: bytes) -> None:
        if at >= epoch:
            raise Killed
        original(self, at, weights, state)

    return save


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "milestones/epoch-00001.safetensors", "milestones/epoch-00002.sha256"]
)
def test_what_cannot_be_made_again_is_guarded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stopped(tmp_path / "run")
    file = tmp_path / "run" / name
    raw = bytearray(file.read_bytes())
    place = raw.index(b"0.") + 2 if name == "metrics.jsonl" else len(raw) - 2
    raw[place] ^= 1
    file.write_bytes(raw)
    with pytest.raises(RunFolderError, match=file.name):
        train(CONFIG, TOY, tmp_path / "run")
    # The broken twin: without the guard the run ends as if nothing had happened, with something else in it.
    monkeypatch.setattr(RunFolder, "_check_history", lambda self, marker: None)
    train(CONFIG, TOY, tmp_path / "run")
    train(CONFIG, TOY, tmp_path / "undisturbed")
    assert content(tmp_path / "run") != content(tmp_path / "undisturbed")


def test_a_manifest_with_a_name_of_two_lines_is_refused_in_one(tmp_path: Path) -> None:
    run = train(CONFIG, TOY, tmp_path / "run").folder
    text = (run / "manifest.json").read_text(encoding="utf-8").replace("env.json", "en\\nv.json")
    (run / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunFolderError) as refusal:
        load_run(run)
    assert "\n" not in str(refusal.value)
