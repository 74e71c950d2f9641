"""The run folder by itself, without a model: what each method reads, keeps, drops and refuses, and in which words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deep._folder import RunFolder
from deep._store import RunFolderError, dump_json
from theory.storage import sha256_of_bytes

CONFIG = {"dataset": "toy", "epochs": 3}
ENVIRONMENT = {"python": "3"}


def made(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.create(CONFIG, ENVIRONMENT)
    return folder


def trained(path: Path, epochs: int = 6) -> RunFolder:
    """A folder as after so many epochs: records from epoch 0, a milestone where one is due, a checkpoint each."""
    folder = made(path)
    for epoch in range(epochs + 1):
        folder.append_metrics({"epoch": epoch, "loss": 1.5})
        folder.milestones.save(epoch, b"weights %d" % epoch)
        if epoch:
            folder.save_checkpoint(epoch, b"weights %d" % epoch, b"state %d" % epoch)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_folder_holds_its_configuration_and_its_environment(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "deep" / "run")
    assert folder.stored_config() is None
    assert folder.read_json("env.json") is None
    folder.create(CONFIG, ENVIRONMENT)
    assert names(folder.path) == ["checkpoints", "config.toml", "env.json"]
    assert folder.stored_config() == CONFIG
    assert folder.read_json("env.json") == ENVIRONMENT
    assert RunFolder(tmp_path / "deep" / "run" / "env.json").stored_config() is None  # a file in place of the folder
    assert (folder.path / "env.json").read_bytes() == b'{\n  "python": "3"\n}\n'


def test_what_an_earlier_call_has_left_is_no_obstacle_and_anything_else_is(tmp_path: Path) -> None:
    for name in ("env.json", ".hidden"):
        (tmp_path / name).write_bytes(b"{}")
    (tmp_path / "checkpoints").mkdir()
    RunFolder(tmp_path).create(CONFIG, ENVIRONMENT)
    (tmp_path / "config.toml").unlink()
    for name in ("zeta", "alpha"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(RunFolderError) as refusal:
        RunFolder(tmp_path).create(CONFIG, ENVIRONMENT)
    assert str(refusal.value) == f"{tmp_path}: holds 'alpha' but no config.toml; a run needs its own folder"


@pytest.mark.parametrize(
    ("name", "content", "call", "words"),
    [
        ("config.toml", b"= 1", lambda f: f.stored_config(), "config.toml: cannot be read ("),
        ("config.toml", b"\xff", lambda f: f.stored_config(), "config.toml: cannot be read ("),
        ("a.json", b"{", lambda f: f.read_json("a.json"), "a.json: cannot be read ("),
        ("a.json", b"[]", lambda f: f.read_json("a.json"), "a.json: must hold a JSON object"),
    ],
)
def test_what_cannot_be_read_is_named(
    name: str, content: bytes, call: Callable[[RunFolder], Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunFolderError) as refusal:
        call(RunFolder(tmp_path))
    assert str(refusal.value).startswith(f"{tmp_path}/{words}")
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(RunFolderError, match=rf"{name}: cannot be read \("):
        call(RunFolder(tmp_path))


def test_a_folder_that_cannot_be_written_is_named_with_the_words_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for call in (lambda f: f.create(CONFIG, ENVIRONMENT), lambda f: f.check_writable()):
        with pytest.raises(RunFolderError, match=r"cannot be written \((Not a directory|File exists)\)$"):
            call(RunFolder(tmp_path / "file"))
    kept = "what was stored before is kept, and the same run goes on from there when it is asked for again"
    folder = RunFolder(tmp_path / "absent")
    for name, call in (
        ("config.toml", lambda f: f.reopen(CONFIG)),
        ("summary.json", lambda f: f.finish({})),
        ("metrics.jsonl", lambda f: f.append_metrics({"epoch": 0})),
        ("metrics.jsonl", lambda f: f.rewrite_metrics([])),
        ("epoch-00002.safetensors", lambda f: f.milestones.save(2, b"")),
        ("epoch-00003.safetensors", lambda f: f.save_checkpoint(3, b"", b"")),
    ):
        with pytest.raises(RunFolderError) as refusal:
            call(folder)
        assert f"{name}: cannot be written (No such file or directory); {kept}" in str(refusal.value)


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    folder.check_writable()
    assert names(tmp_path / "run" / "checkpoints") == []


def test_no_number_that_is_none_is_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        dump_json({"loss": float("nan")})


# -- finished runs --------------------------------------------------------------------------------------------------


def test_a_finished_run_is_as_its_manifest_says_and_any_change_is_named(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run")
    (folder.path / ".left.tmp").write_bytes(b"half")
    (folder.path / "checkpoints" / ".left.tmp").write_bytes(b"half")
    folder.finish({"accuracy": 0.5})
    folder.verify()
    listed = json.loads((folder.path / "manifest.json").read_bytes())["sha256"]
    files = {p.relative_to(folder.path).as_posix() for p in folder.path.rglob("*") if p.is_file()}
    assert set(listed) == files - {"manifest.json"}
    assert list(listed) == sorted(listed)
    assert folder.read_json("summary.json") == {"accuracy": 0.5}
    for name in sorted(listed):
        raw = (folder.path / name).read_bytes()
        (folder.path / name).write_bytes(raw + b" ")
        with pytest.raises(RunFolderError) as refusal:
            folder.verify()
        words = "SHA-256 must be the one in manifest.json; the file was altered"
        assert str(refusal.value) == f"{folder.path}/{name}: {words}"
        (folder.path / name).unlink()
        with pytest.raises(RunFolderError) as refusal:
            folder.verify()
        assert str(refusal.value) == f"{folder.path}/{name}: is listed in manifest.json and must be there"
        (folder.path / name).write_bytes(raw)
    folder.verify()
    folder.reopen({"epochs": 9})
    assert folder.stored_config() == {"epochs": 9}
    assert not {"manifest.json", "summary.json"} & set(names(folder.path))
    folder.reopen({"epochs": 9})  # once more is no error


@pytest.mark.parametrize("manifest", ["absent", {}, {"sha256": []}, {"sha256": {"env.json": "0"}}])
def test_a_manifest_must_list_the_summary(manifest: Any, tmp_path: Path) -> None:
    folder = made(tmp_path)
    if manifest != "absent":
        (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(RunFolderError) as refusal:
        folder.verify()
    words = "must list the SHA-256 of every file of a finished run"
    assert str(refusal.value) == f"{tmp_path}/manifest.json: {words}"


@pytest.mark.parametrize("outside", ["../outside", "link"])
def test_files_outside_of_the_folder_are_not_looked_at(outside: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "run" / "link").symlink_to(tmp_path / "outside")
    folder.append_metrics({"epoch": 0})
    folder.finish({})
    folder.verify()  # a link is not a file of the run
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_bytes())
    assert "link" not in manifest["sha256"]
    manifest["sha256"][outside] = sha256_of_bytes(b"secret")
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(RunFolderError, match=f"{outside}: is listed in manifest.json and must be there"):
        folder.verify()


# -- metrics --------------------------------------------------------------------------------------------------------


def test_records_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    folder = made(tmp_path)
    assert folder.read_metrics() == ([], "")
    records = [{"epoch": n, "loss": n / 2} for n in range(3)]
    for record in records:
        folder.append_metrics(record)
    file = tmp_path / "metrics.jsonl"
    whole = file.read_bytes()
    assert folder.read_metrics() == (records, "")
    for cut in range(1, 5):
        file.write_bytes(whole[:-cut])
        found, word = folder.read_metrics()
        left = whole[:-cut].rpartition(b"\n")[2]
        assert found == records[:2]
        assert word == f"metrics.jsonl: a torn last line of {len(left)} bytes was dropped"
    for number, wrong in ((0, b"{}"), (1, b"[1]"), (1, b'{"epoch": 2}'), (2, b"{"), (2, b'{"epoch": 1}')):
        lines = whole.splitlines()
        lines[number] = wrong
        file.write_bytes(b"\n".join(lines) + b"\n")
        words = f"line {number + 1} and what follows it was dropped (no record of epoch {number})"
        assert folder.read_metrics() == (records[:number], f"metrics.jsonl: {words}")
    folder.rewrite_metrics(records[:2])
    assert file.read_bytes() == b'{"epoch": 0, "loss": 0.0}\n{"epoch": 1, "loss": 0.5}\n'


def test_a_record_that_the_system_takes_in_parts_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = made(tmp_path), os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))
    folder.append_metrics({"epoch": 0, "loss": 0.25})
    monkeypatch.undo()
    assert folder.read_metrics() == ([{"epoch": 0, "loss": 0.25}], "")
    assert oct((tmp_path / "metrics.jsonl").stat().st_mode & 0o777) in ("0o644", "0o640", "0o600")


# -- milestones -----------------------------------------------------------------------------------------------------


def test_milestones_are_kept_with_their_sums(tmp_path: Path) -> None:
    folder = trained(tmp_path, 11)
    assert list(folder.milestones.files()) == [0, 1, 2, 5, 10]
    assert folder.milestones.read(10) == b"weights 10"
    text = (tmp_path / "milestones" / "epoch-00010.sha256").read_text(encoding="ascii")
    assert text == f"{sha256_of_bytes(b'weights 10')}  epoch-00010.safetensors\n"
    (tmp_path / "milestones" / "epoch-last.safetensors").write_bytes(b"no number")
    assert list(folder.milestones.files()) == [0, 1, 2, 5, 10]
    with pytest.raises(RunFolderError) as refusal:
        folder.milestones.read(3)
    assert str(refusal.value) == f"{tmp_path}: epoch=3 must be one that is kept: 0, 1, 2, 5, 10"
    with pytest.raises(RunFolderError, match="epoch=0 must be one that is kept: none"):
        made(tmp_path / "other").milestones.read(0)
    (tmp_path / "milestones" / "epoch-00005.safetensors").write_bytes(b"weights 6")
    with pytest.raises(RunFolderError) as refusal:
        folder.milestones.read(5)
    expected = sha256_of_bytes(b"weights 5")
    file = tmp_path / "milestones" / "epoch-00005.safetensors"
    assert str(refusal.value) == f"{file}: SHA-256 must be {expected}; the file was altered"
    for content in (b"", b"\xff"):
        file.with_suffix(".sha256").write_bytes(content)
        with pytest.raises(RunFolderError, match=r"epoch-00005\.sha256: cannot be read \("):
            folder.milestones.read(5)


def test_in_a_folder_without_sums_of_milestones_the_manifest_has_them(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    for file in (tmp_path / "milestones").glob("*.sha256"):
        file.unlink()
    assert folder.milestones.read(5) == b"weights 5"  # nothing says otherwise
    folder.finish({})
    assert folder.milestones.read(5) == b"weights 5"
    (tmp_path / "milestones" / "epoch-00005.safetensors").write_bytes(b"weights 6")
    with pytest.raises(RunFolderError, match=r"epoch-00005\.safetensors: SHA-256 must be "):
        folder.milestones.read(5)


# -- checkpoints ----------------------------------------------------------------------------------------------------


def test_the_two_newest_checkpoints_are_kept_and_a_damaged_one_is_passed_over(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    pieces = [".json", ".safetensors", ".state.safetensors"]
    kept = tmp_path / "checkpoints"
    assert names(kept) == sorted(f"epoch-0000{n}{piece}" for n in (5, 6) for piece in pieces)
    assert folder.load_checkpoint() == (6, b"weights 6", b"state 6")
    assert folder.load_checkpoint(6) == (6, b"weights 6", b"state 6")
    assert folder.load_checkpoint(5) == (5, b"weights 5", b"state 5")
    assert folder.load_checkpoint(4) is None
    marker = json.loads((kept / "epoch-00006.json").read_bytes())
    assert set(marker["milestones"]) == {
        f"epoch-0000{n}.{kind}" for n in (0, 1, 2, 5) for kind in ("safetensors", "sha256")
    }
    for piece in pieces:
        raw = (kept / f"epoch-00006{piece}").read_bytes()
        for damaged in (raw[:-3], b"", b"[]", b'{"epoch": 6}', b"null"):
            (kept / f"epoch-00006{piece}").write_bytes(damaged)
            assert folder.load_checkpoint() == (5, b"weights 5", b"state 5"), (piece, damaged)
        (kept / f"epoch-00006{piece}").write_bytes(raw)
    (kept / "epoch-00006.json").write_bytes(json.dumps({**marker, "extra": 1}).encode())
    assert folder.load_checkpoint() == (5, b"weights 5", b"state 5")
    (kept / "epoch-00006.json").write_bytes(json.dumps({**marker, "sha256": {}}).encode())
    assert folder.load_checkpoint() == (5, b"weights 5", b"state 5")
    (kept / "epoch-00006.json").write_bytes(json.dumps(marker).encode())
    (kept / "epoch-x.json").write_bytes(b"{}")
    assert folder.load_checkpoint() == (6, b"weights 6", b"state 6")
    folder.drop_checkpoints_after(6)
    assert names(kept) == sorted(f"epoch-0000{n}{piece}" for n in (5, 6) for piece in pieces)
    folder.drop_checkpoints_after(5)
    assert names(kept) == sorted(f"epoch-00005{piece}" for piece in pieces)
    folder.drop_checkpoints_after(4)
    assert names(kept) == []


def test_a_marker_goes_before_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, gone, unlink = trained(tmp_path), [], Path.unlink

    def noted(path: Path, **options: Any) -> None:
        gone.append(path.name)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", noted)
    folder.drop_checkpoints_after(5)
    assert gone[0] == "epoch-00006.json"
    assert sorted(gone[1:]) == ["epoch-00006.safetensors", "epoch-00006.state.safetensors"]


@pytest.mark.parametrize("metrics", [True, False])
def test_what_a_checkpoint_cannot_make_again_must_be_as_it_was(metrics: bool, tmp_path: Path) -> None:
    folder = trained(tmp_path)
    file = tmp_path / ("metrics.jsonl" if metrics else "milestones/epoch-00002.safetensors")
    raw = file.read_bytes()
    if metrics:
        file.write_bytes(raw + b'{"epoch": 7')  # what came after the checkpoint does not matter
        assert folder.load_checkpoint() == (6, b"weights 6", b"state 6")
    file.write_bytes(raw[:-2] + b"7\n")
    with pytest.raises(RunFolderError) as refusal:
        RunFolder(tmp_path).load_checkpoint()
    words = "the records of stored epochs were altered" if metrics else "must be there as it was written"
    assert str(refusal.value) == f"{file}: {words}; give another folder"
    if not metrics:
        file.unlink()
        with pytest.raises(RunFolderError, match="must be there as it was written"):
            RunFolder(tmp_path).load_checkpoint()


def test_a_checkpoint_without_lists_of_the_past_is_loaded(tmp_path: Path) -> None:
    """Folders from before these lists have none."""
    folder = trained(tmp_path)
    file = tmp_path / "checkpoints" / "epoch-00006.json"
    marker = json.loads(file.read_bytes())
    del marker["metrics"], marker["milestones"]
    file.write_bytes(json.dumps(marker).encode())
    (tmp_path / "metrics.jsonl").write_bytes(b"")
    assert folder.load_checkpoint() == (6, b"weights 6", b"state 6")


def test_milestones_listed_before_a_stop_stay_listed_after_it(tmp_path: Path) -> None:
    trained(tmp_path)
    again = RunFolder(tmp_path)
    assert again.load_checkpoint() is not None
    again.save_checkpoint(7, b"weights 7", b"state 7")
    marker = json.loads((tmp_path / "checkpoints" / "epoch-00007.json").read_bytes())
    assert len(marker["milestones"]) == 8
    assert marker["metrics"] == {
        "bytes": (tmp_path / "metrics.jsonl").stat().st_size,
        "sha256": sha256_of_bytes((tmp_path / "metrics.jsonl").read_bytes()),
    }
