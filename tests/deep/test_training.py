"""Training: what it writes, that it can be interrupted anywhere, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import deep
from deep import (
    Dataset,
    RunFolderError,
    TrainConfig,
    TrainResult,
    load_milestone,
    load_model,
    load_progress,
    load_run,
    train,
)
from theory.margins import linear_label_margins, linear_margins

CONFIG = TrainConfig(name="test", dataset="toy", batch_size=32, epochs=6, lr=0.5, seed=11)
HIDDEN = replace(CONFIG, model="mlp", hidden=9, beta=0.01, weight_decay=1e-3, loss="average-margin-released")
VARIANTS = pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        HIDDEN,
        replace(CONFIG, momentum=0.0, loss="ce"),
        replace(CONFIG, dtype="float64"),
        replace(HIDDEN, optimiser="dca", loss="average-margin", tau=0.7, beta_as="released"),
    ],
    ids=["linear", "mlp", "plain", "float64", "dca"],
)


class Interrupted(Exception):
    """Stands for a killed process."""


def stop_at(epoch: int) -> Callable[[int, Mapping[str, float]], None]:
    def progress(now: int, metrics: Mapping[str, float]) -> None:
        if now == epoch:
            raise Interrupted

    return progress


def timeless(result: TrainResult) -> list[dict[str, float]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in result.metrics]


def weights(folder: Path) -> list[np.ndarray]:
    return [value.numpy() for value in load_model(folder).state_dict().values()]


def assert_same_run(folder: Path, result: TrainResult, other: Path, expected: TrainResult) -> None:
    """Bit for bit: metrics and weights."""
    assert timeless(result) == timeless(expected)
    for found, wanted in zip(weights(folder), weights(other), strict=True):
        np.testing.assert_array_equal(found, wanted)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines == list(result.metrics)


@pytest.fixture(scope="module")
def whole(toy: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainResult]:
    """A run of CONFIG that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, train(CONFIG, toy, folder)


# -- what a run is --------------------------------------------------------------------------------------------------


def test_a_run_learns_and_leaves_what_it_says(toy: Dataset, tmp_path: Path) -> None:
    told: list[int] = []
    result = train(CONFIG, toy, tmp_path / "deep" / "run", lambda epoch, _: told.append(epoch))
    assert told == [record["epoch"] for record in result.metrics] == list(range(7))
    assert result.status == "done"
    assert result.notes == ()
    first, last = result.metrics[0], result.metrics[-1]
    assert last["train_loss"] < 0.7 * first["train_loss"]
    assert last["train_accuracy"] > first["train_accuracy"] + 0.3
    folder = result.folder
    assert sorted(p.name for p in folder.iterdir()) == [
        "checkpoints",
        "config.toml",
        "env.json",
        "manifest.json",
        "metrics.jsonl",
        "milestones",
        "summary.json",
    ]
    assert [p.name for p in sorted((folder / "milestones").glob("*.safetensors"))] == [
        f"epoch-0000{epoch}.safetensors" for epoch in (0, 1, 2, 5)
    ]
    assert sorted(p.name for p in (folder / "checkpoints").glob("*.json")) == ["epoch-00005.json", "epoch-00006.json"]
    assert len(list((folder / "checkpoints").iterdir())) == 6
    assert TrainConfig.from_dict(tomllib.loads((folder / "config.toml").read_text())) == CONFIG
    environment = json.loads((folder / "env.json").read_text())
    assert environment["torch"] == torch.__version__
    assert environment["threads"] == 1
    assert environment["dataset"] == {"name": "toy", "sha256": toy.fingerprint}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["final"] == last
    assert summary["epochs"] == 6


def test_the_manifest_lists_every_file(whole: tuple[Path, TrainResult]) -> None:
    folder, _ = whole
    listed = json.loads((folder / "manifest.json").read_text())["sha256"]
    there = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert listed.keys() == there.keys() - {"manifest.json"}
    for name, digest in listed.items():
        assert hashlib.sha256(there[name].read_bytes()).hexdigest() == digest


def test_metrics_are_those_of_the_stored_weights(toy: Dataset, whole: tuple[Path, TrainResult]) -> None:
    folder, result = whole
    model, last = load_model(folder), result.metrics[-1]
    assert not model.training
    weight, bias = (value.double().numpy() for value in model.state_dict().values())
    for part, x, y in (("train", toy.train_x, toy.train_y), ("test", toy.test_x, toy.test_y)):
        signed, label = linear_margins(weight, bias, x, y), linear_label_margins(weight, bias, x, y)
        assert last[f"{part}_distance_mean"] == pytest.approx(signed.mean(), rel=1e-12)
        assert last[f"{part}_distance_min"] == signed.min()
        assert last[f"{part}_label_distance_min"] == label.min()
        alpha = deep.margins(model, x, y)
        assert last[f"{part}_margin_min"] == pytest.approx(alpha.min(), rel=1e-6)  # float32
        assert last[f"{part}_accuracy"] == (alpha > 0).mean()


def test_epoch_zero_is_before_training(toy: Dataset, tmp_path: Path) -> None:
    """So it does not depend on how training goes on, but on the seed."""
    runs = [train(replace(CONFIG, lr=lr, epochs=1), toy, tmp_path / str(lr)) for lr in (0.05, 0.7)]
    assert timeless(runs[0])[0] == timeless(runs[1])[0]
    assert timeless(runs[0])[1] != timeless(runs[1])[1]
    other = train(replace(CONFIG, seed=12, epochs=1), toy, tmp_path / "seed")
    assert timeless(other)[0] != timeless(runs[0])[0]


def test_a_step_is_nesterovs(toy: Dataset, tmp_path: Path) -> None:
    """Two steps on the whole data, by hand: v = m v + g, w = w - lr (g + m v), g with weight decay."""
    config = replace(CONFIG, batch_size=150, epochs=2, dtype="float64", weight_decay=0.01, beta=0.02, mu=0.3, tau=0.9)
    train(config, toy, tmp_path / "run")
    job = deep.training._Job(config, toy, None, [])  # type: ignore[arg-type]  # for the initial weights
    parameters = [p.detach().clone().requires_grad_() for p in job.model.parameters()]
    velocity = [torch.zeros_like(p) for p in parameters]
    x, y = torch.tensor(toy.train_x, dtype=torch.float64), torch.tensor(toy.train_y)
    for _ in range(2):
        weight, bias = parameters
        logits = x @ weight.T + bias
        own = logits[torch.arange(150), y]
        alpha = own - logits.masked_fill(nn.functional.one_hot(y, 3).bool(), -math.inf).max(dim=1).values
        objective = (torch.logsumexp(logits, 1) - own + 0.3 * (0.9 - alpha).clamp(0.0, 0.9)).mean()
        objective = objective + 0.02 * ((weight @ weight.T - torch.eye(3, dtype=torch.float64)) ** 2).sum()
        for i, gradient in enumerate(torch.autograd.grad(objective, parameters)):
            step = gradient + 0.01 * parameters[i].detach()
            velocity[i] = step if not velocity[i].any() else 0.9 * velocity[i] + step
            parameters[i] = (parameters[i].detach() - 0.5 * (step + 0.9 * velocity[i])).requires_grad_()
    for found, expected in zip(weights(tmp_path / "run"), parameters, strict=True):
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-12, atol=1e-14)


def test_training_touches_nothing_global(toy: Dataset, tmp_path: Path) -> None:
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    train(replace(CONFIG, epochs=1, threads=threads + 1), toy, tmp_path / "run")
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


# -- taking up a run again ------------------------------------------------------------------------------------------


@VARIANTS
@pytest.mark.parametrize("epoch", [0, 1, 4])
def test_an_interrupted_run_ends_with_the_same_bits(
    toy: Dataset, tmp_path: Path, config: TrainConfig, epoch: int
) -> None:
    expected = train(config, toy, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(config, toy, tmp_path / "run", stop_at(epoch))
    assert not (tmp_path / "run" / "summary.json").exists()
    told: list[int] = []
    result = train(config, toy, tmp_path / "run", lambda now, _: told.append(now))
    assert told == list(range(epoch + 1, 7))
    assert result.notes == (f"taken up after epoch {epoch} of 6",)
    assert_same_run(tmp_path / "run", result, tmp_path / "whole", expected)


def _torn(folder: Path) -> str:
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'{"epoch": 5, "train_lo')
    return "torn last line of 22 bytes was dropped"


def _garbled(folder: Path) -> str:
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_bytes(b"".join([*lines[:2], b"\0\xff\n", *lines[3:]]))
    return "line 3 and what follows it was dropped"


def _twice(folder: Path) -> str:
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_bytes(b"".join([*lines, lines[-1]]))
    return "line 6 and what follows it was dropped"


def _no_metrics(folder: Path) -> str:
    (folder / "metrics.jsonl").unlink()
    return ""


def _no_marker(folder: Path) -> str:
    (folder / "checkpoints" / "epoch-00004.json").unlink()
    return "taken up after epoch 3"


def _flipped_bit(folder: Path) -> str:
    file = folder / "checkpoints" / "epoch-00004.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    return "taken up after epoch 3"


def _broken_marker(folder: Path) -> str:
    (folder / "checkpoints" / "epoch-00004.json").write_text("[1, 2]")
    return "taken up after epoch 3"


def _no_state(folder: Path) -> str:
    (folder / "checkpoints" / "epoch-00004.state.safetensors").unlink()
    return "taken up after epoch 3"


def _no_checkpoints(folder: Path) -> str:
    shutil.rmtree(folder / "checkpoints")
    return "no sound checkpoint: begun again"


def _truncated(folder: Path) -> str:
    file = folder / "checkpoints" / "epoch-00004.state.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    return "taken up after epoch 3"


def _rubbish(folder: Path) -> str:
    (folder / ".metrics.jsonl.abc.tmp").write_bytes(b"left behind")
    (folder / "checkpoints" / ".epoch-00005.safetensors.abc.tmp").write_bytes(b"left behind")
    return "taken up after epoch 4"


def _half_dropped(folder: Path) -> str:
    kept = folder / "checkpoints"
    (kept / "epoch-00001.state.safetensors").write_bytes((kept / "epoch-00003.state.safetensors").read_bytes())
    return "taken up after epoch 4"


def _not_dropped(folder: Path) -> str:
    kept = folder / "checkpoints"
    for file in kept.glob("epoch-00003.*"):
        (kept / file.name.replace("3", "1")).write_bytes(file.read_bytes())
    return "taken up after epoch 4"


@pytest.mark.parametrize(
    "damage",
    [
        _half_dropped,
        _not_dropped,
        _torn,
        _garbled,
        _twice,
        _no_metrics,
        _no_marker,
        _flipped_bit,
        _broken_marker,
        _no_state,
        _no_checkpoints,
        _truncated,
        _rubbish,
    ],
)
def test_a_damaged_half_run_is_taken_up_where_it_is_sound(
    toy: Dataset, tmp_path: Path, whole: tuple[Path, TrainResult], damage: Callable[[Path], str]
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(CONFIG, toy, folder, stop_at(4))
    word = damage(folder)
    result = train(CONFIG, toy, folder)
    assert word in " ".join(result.notes)
    assert_same_run(folder, result, *whole)
    assert not list(folder.rglob(".*"))
    assert len(list((folder / "checkpoints").glob("*.json"))) == 2
    assert len(list((folder / "checkpoints").iterdir())) == 6
    assert load_run(folder) == result


def test_a_run_killed_again_and_again(toy: Dataset, tmp_path: Path, whole: tuple[Path, TrainResult]) -> None:
    for epoch in range(6):
        with pytest.raises(Interrupted):
            train(CONFIG, toy, tmp_path / "run", stop_at(epoch))
    assert_same_run(tmp_path / "run", train(CONFIG, toy, tmp_path / "run"), *whole)


def test_a_run_stopped_while_its_folder_was_made(toy: Dataset, tmp_path: Path, whole: tuple[Path, TrainResult]) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "env.json").write_text("{")
    (tmp_path / ".config.toml.abc.tmp").write_bytes(b"na")
    assert_same_run(tmp_path, train(CONFIG, toy, tmp_path), *whole)


@pytest.mark.parametrize("lost", ["order", "momentum"])
def test_the_comparison_sees_a_lost_generator_or_momentum(
    toy: Dataset, tmp_path: Path, whole: tuple[Path, TrainResult], lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted):
        train(CONFIG, toy, tmp_path / "run", stop_at(2))
    if lost == "order":
        marker, file = (tmp_path / "run/checkpoints" / f"epoch-00002.{end}" for end in ("json", "state.safetensors"))
        state = safetensors.torch.load(file.read_bytes())
        state["order"] = torch.Generator().manual_seed(0).get_state()
        file.write_bytes(safetensors.torch.save(state))
        sums = json.loads(marker.read_text())
        sums["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        marker.write_text(json.dumps(sums))
    else:
        loaded = deep._job.load_tensors
        keep = {"order", "fc.weight", "fc.bias"}
        monkeypatch.setattr(
            deep._job,
            "load_tensors",
            lambda data, where: {name: value for name, value in loaded(data, where).items() if name in keep},
        )
    result = train(CONFIG, toy, tmp_path / "run")
    assert timeless(result)[:3] == timeless(whole[1])[:3]
    assert timeless(result)[3] != timeless(whole[1])[3]


class _Bomb:
    """What a hostile pickle would run."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("kind", ["another network", "pickle", "other tensors"])
def test_a_checkpoint_of_something_else_is_refused_though_its_sums_match(
    toy: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Interrupted):
        train(CONFIG, toy, tmp_path / "run", stop_at(2))
    other = {
        "another network": safetensors.torch.save(
            deep.build_model("mlp", 7, 3, generator=torch.Generator()).state_dict()
        ),
        "pickle": pickle.dumps({"fc.weight": _Bomb()}),
        "other tensors": safetensors.torch.save({"fc.weight": torch.zeros(4, 7), "fc.bias": torch.zeros(4)}),
    }[kind]
    deep._folder.RunFolder(tmp_path / "run").save_checkpoint(2, other, other)
    with pytest.raises(RunFolderError, match=r"checkpoint must be one of this run|must hold weights as") as caught:
        train(CONFIG, toy, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


# -- runs under way, and longer ones --------------------------------------------------------------------------------


def test_progress_and_milestones_can_be_read_at_any_time(
    toy: Dataset, tmp_path: Path, whole: tuple[Path, TrainResult]
) -> None:
    with pytest.raises(Interrupted):
        train(CONFIG, toy, tmp_path, stop_at(3))
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"epoch": 4, "tra')  # a write that another process is at
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    found = load_progress(tmp_path)
    assert (found.folder, found.config, found.finished) == (tmp_path, CONFIG, False)
    assert [record["epoch"] for record in found.metrics] == [0, 1, 2, 3]
    assert list(found.milestones) == [0, 1, 2]
    for epoch in found.milestones:
        model = load_milestone(tmp_path, epoch)
        assert not model.training
        alpha = deep.margins(model, toy.train_x, toy.train_y)
        assert found.metrics[epoch]["train_margin_min"] == pytest.approx(alpha.min(), rel=1e-6)  # float32
    with pytest.raises(RunFolderError, match=r"epoch=3 must be one that is kept: 0, 1, 2$"):
        load_milestone(tmp_path, 3)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    done = load_progress(whole[0])
    assert done.finished
    assert done.metrics == whole[1].metrics
    with pytest.raises(RunFolderError, match=r"must hold a run, with config\.toml"):
        load_progress(tmp_path / "absent")


@pytest.mark.parametrize("old", [False, True])
def test_an_altered_milestone_is_refused(tmp_path: Path, whole: tuple[Path, TrainResult], old: bool) -> None:
    """By the sum beside it; in a folder from before there were such, by the manifest."""
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    file = folder / "milestones" / "epoch-00002.safetensors"
    if old:
        file.with_suffix(".sha256").unlink()
    load_milestone(folder, 2)
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(RunFolderError, match=r"epoch-00002\.safetensors: SHA-256 must be"):
        load_milestone(folder, 2)


@VARIANTS
@pytest.mark.parametrize("finished", [True, False])
def test_a_run_may_grow_and_ends_as_a_longer_one(
    toy: Dataset, tmp_path: Path, config: TrainConfig, finished: bool
) -> None:
    expected = train(config, toy, tmp_path / "whole")
    short = replace(config, epochs=3)
    if finished:
        train(short, toy, tmp_path / "run")
    else:
        with pytest.raises(Interrupted):
            train(short, toy, tmp_path / "run", stop_at(2))
    told: list[int] = []
    result = train(config, toy, tmp_path / "run", lambda now, _: told.append(now))
    assert told == list(range(4 if finished else 3, 7))
    assert result.notes[0] == "extended from 3 to 6 epochs"
    assert_same_run(tmp_path / "run", result, tmp_path / "whole", expected)
    assert load_run(tmp_path / "run") == result
    with pytest.raises(RunFolderError, match="was made with epochs=6, not 3"):
        train(short, toy, tmp_path / "run")


@VARIANTS
@pytest.mark.parametrize("wanted", [3, 4])
def test_a_run_under_way_may_be_cut_where_it_has_not_been_yet(
    toy: Dataset, tmp_path: Path, config: TrainConfig, wanted: int
) -> None:
    expected = train(replace(config, epochs=wanted), toy, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(config, toy, tmp_path / "run", stop_at(3))
    for name in ("safetensors", "sha256"):  # a kill may leave the weights of an epoch that has no record yet
        shutil.copy(tmp_path / f"run/milestones/epoch-00002.{name}", tmp_path / f"run/milestones/epoch-00005.{name}")
    with pytest.raises(RunFolderError, match="was made with epochs=6, not 2"):
        train(replace(config, epochs=2), toy, tmp_path / "run")
    result = train(replace(config, epochs=wanted), toy, tmp_path / "run")
    assert result.notes[0] == f"cut from 6 to {wanted} epochs"
    assert_same_run(tmp_path / "run", result, tmp_path / "whole", expected)
    kept = [set(load_progress(tmp_path / name).milestones) for name in ("run", "whole")]
    assert kept[0] == kept[1]
    with pytest.raises(RunFolderError, match=f"was made with epochs={wanted}, not {wanted - 1}"):  # now it has ended
        train(replace(config, epochs=wanted - 1), toy, tmp_path / "run")


def test_an_altered_run_does_not_grow(toy: Dataset, tmp_path: Path) -> None:
    train(replace(CONFIG, epochs=2), toy, tmp_path)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl: SHA-256 must be"):
        train(CONFIG, toy, tmp_path)


def test_a_folder_of_an_earlier_version_goes_on(toy: Dataset, tmp_path: Path, whole: tuple[Path, TrainResult]) -> None:
    """Its config.toml has none of the younger fields, its milestones no sums, its checkpoints no history."""
    with pytest.raises(Interrupted):
        train(CONFIG, toy, tmp_path, stop_at(4))
    text = (tmp_path / "config.toml").read_text().splitlines()
    young = ("method", "attack_", "trades_", "mma_")
    (tmp_path / "config.toml").write_text("\n".join(line for line in text if not line.startswith(young)))
    for file in (tmp_path / "milestones").glob("*.sha256"):
        file.unlink()
    for file in (tmp_path / "checkpoints").glob("*.json"):
        marker = json.loads(file.read_text())
        file.write_text(json.dumps({key: marker[key] for key in ("epoch", "sha256")}))
    assert load_progress(tmp_path).config == CONFIG
    load_milestone(tmp_path, 2)
    assert_same_run(tmp_path, train(CONFIG, toy, tmp_path), *whole)


def test_another_environment_is_told(toy: Dataset, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(CONFIG, toy, tmp_path, stop_at(2))
    environment = json.loads((tmp_path / "env.json").read_text())
    (tmp_path / "env.json").write_text(json.dumps(environment | {"torch": "1.0"}))
    notes = train(CONFIG, toy, tmp_path).notes
    assert f"torch 1.0 -> {torch.__version__}" in notes[0]
    assert "the same bits are not promised" in notes[0]


# -- finished runs --------------------------------------------------------------------------------------------------


def test_a_finished_run_is_not_done_again(
    toy: Dataset, whole: tuple[Path, TrainResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, result = whole
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    monkeypatch.setattr(deep.training, "_Job", None)
    assert train(CONFIG, toy, folder, stop_at(0)) == load_run(folder) == result
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoints/epoch-00006.safetensors", "env.json", "summary.json"])
def test_an_altered_run_is_refused(toy: Dataset, tmp_path: Path, whole: tuple[Path, TrainResult], name: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    assert load_run(folder).metrics == whole[1].metrics
    content = bytearray((folder / name).read_bytes())
    at = content.index(b".") + 1 if name != "checkpoints/epoch-00006.safetensors" else len(content) - 2
    content[at] = content[at] ^ 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(RunFolderError, match=f"{name}: SHA-256 must be the one in manifest.json"):
        load_model(folder)
    (folder / name).unlink()
    with pytest.raises(RunFolderError, match=f"{name}|must hold a finished run"):
        load_run(folder)


def test_a_manifest_cannot_point_outside(tmp_path: Path, whole: tuple[Path, TrainResult]) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    (tmp_path / "outside").write_bytes(b"")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["../outside"] = hashlib.sha256(b"").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunFolderError, match=r"is listed in manifest\.json and must be there"):
        load_run(folder)


def test_an_unfinished_run_cannot_be_loaded(toy: Dataset, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(CONFIG, toy, tmp_path, stop_at(3))
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RunFolderError, match="must hold a finished run"):
            load_run(folder)


def test_a_run_that_diverges_says_so_and_what_to_try(toy: Dataset, tmp_path: Path) -> None:
    config = replace(CONFIG, lr=50.0, beta=1.0)
    result = train(config, toy, tmp_path)
    assert result.status == "diverged"
    assert "lower lr=50 or beta" in result.advice
    assert len(result.metrics) < 7
    assert all(math.isfinite(value) for record in result.metrics for value in record.values())
    assert train(config, toy, tmp_path) == result
    assert len(caught := json.loads((tmp_path / "summary.json").read_text())["failure"]["images"]) <= 32
    assert f"epoch {len(result.metrics)}, step " in result.advice
    assert f"on a batch of {len(caught)} images ({caught[0]}, {caught[1]}, {caught[2]}" in result.advice


def test_the_first_step_that_is_not_finite_is_named(toy: Dataset, tmp_path: Path) -> None:
    """An image that is not a number spoils the batch it is in, which is known from the order."""
    with pytest.raises(Interrupted):
        train(CONFIG, toy, tmp_path, stop_at(2))
    job = deep.training._Job(CONFIG, toy, deep._folder.RunFolder(tmp_path), [])
    job._resume()
    order = torch.randperm(150, generator=job.order.clone_state())
    job.train_x[order[70]] = math.nan  # in batches of 32: of step 3
    failure = job._epoch(3)
    assert failure is not None
    assert (failure.epoch, failure.step) == (3, 3)
    assert math.isnan(failure.value)
    assert failure.images == tuple(order[64:96].tolist())


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_steps_that_are_looked_at_late_are_all_looked_at(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: the first of several bad steps is found, whenever that is."""

    class Elsewhere(deep.devices.Place):
        device = torch.device("meta")

    monkeypatch.setattr(deep._watch, "_CHECK_EVERY", every)
    batches = torch.split(torch.arange(15) * 10, 3)
    for values, step in (([1.0, math.inf, math.nan, 2.0, 0.5], 2), ([1.0, 2.0, 3.0, 4.0, math.nan], 5)):
        watch = deep._watch.Watch(4, batches, Elsewhere())
        seen = [watch.see(number, torch.tensor(value)) for number, value in enumerate(values)]
        found = next(failure for failure in (*seen, watch.last()) if failure is not None)
        assert (found.step, found.images) == (step, tuple(batches[step - 1].tolist()))
    watch = deep._watch.Watch(4, batches, Elsewhere())
    assert [watch.see(number, torch.tensor(1.0)) for number in range(5)] == [None] * 5
    assert watch.last() is None


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("done", [True, False])
def test_a_folder_of_another_configuration_is_refused(toy: Dataset, tmp_path: Path, done: bool) -> None:
    if done:
        train(replace(CONFIG, epochs=2), toy, tmp_path)
    else:
        with pytest.raises(Interrupted):
            train(replace(CONFIG, epochs=2), toy, tmp_path, stop_at(2))
    for change, message in (({"lr": 0.06}, "lr=0.5, not 0.06"), ({"epochs": 1}, "epochs=2, not 1")):
        with pytest.raises(RunFolderError, match=f"was made with {message}; give another folder"):
            train(replace(CONFIG, **({"epochs": 2} | change)), toy, tmp_path)


def test_other_data_of_the_same_name_are_refused(toy: Dataset, tmp_path: Path) -> None:
    train(replace(CONFIG, epochs=1), toy, tmp_path)
    other = Dataset("toy", toy.train_x[::-1], toy.train_y[::-1], toy.test_x, toy.test_y)
    with pytest.raises(RunFolderError, match="was made with other data of the name 'toy'"):
        train(replace(CONFIG, epochs=1), other, tmp_path)


def test_data_of_another_name_are_refused(toy: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset\.name='toy' must be 'mnist5k'"):
        train(replace(CONFIG, dataset="mnist5k"), toy, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(toy: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunFolderError, match="cannot be written"):
            train(CONFIG, toy, folder, stop_at(0))


def test_a_folder_of_somebody_else_is_refused(toy: Dataset, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"holds 'thesis.tex' but no config.toml; a run needs its own folder"):
        train(CONFIG, toy, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_broken_config_file_is_refused(toy: Dataset, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("lr = ")
    with pytest.raises(RunFolderError, match=r"config.toml: cannot be read"):
        train(CONFIG, toy, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../up"}, "name='../up' must be 1 to 100 letters"),
        ({"dataset": ""}, "dataset='' must be"),
        ({"model": "mpl"}, "model='mpl' must be one of 'linear', 'mlp', .*; did you mean 'mlp'"),
        ({"loss": "average_margin"}, "loss='average_margin' must be one of .*did you mean 'average-margin'"),
        ({"mu": -0.1}, "mu=-0.1 must be finite and at least 0"),
        ({"mu": math.nan}, "mu=nan must be a finite number"),
        ({"tau": 0}, "tau=0.0 must be finite and above 0"),
        ({"beta": -1.0}, "beta=-1.0 must be at least 0"),
        ({"lr": 0.0}, "lr=0.0 must be above 0"),
        ({"lr": "0.1"}, "lr='0.1' must be a finite number"),
        ({"lr": True}, "lr=True must be a finite number"),
        ({"momentum": 1.0}, r"momentum=1.0 must lie in \[0, 1\)"),
        ({"weight_decay": -1e-4}, "weight_decay=-0.0001 must be at least 0"),
        ({"batch_size": 0}, "batch_size=0 must be an integer in 1.."),
        ({"epochs": 2.0}, "epochs=2.0 must be an integer"),
        ({"hidden": 0}, "hidden=0 must be an integer"),
        ({"seed": -1}, "seed=-1 must be an integer in 0.."),
        ({"threads": True}, "threads=True must be an integer"),
        ({"optimiser": "dac"}, "optimiser='dac' must be one of 'direct', 'dca'; did you mean 'dca'"),
        ({"optimiser": "dca", "loss": "ce"}, "optimiser='dca' must go with a loss that has a penalty to split"),
        ({"beta_as": "paper"}, "beta_as='paper' must be one of 'formula', 'released'"),
        ({"kernels": "flat"}, "kernels='flat' must be one of 'reshaped', 'true'"),
        ({"dtype": "float16"}, "dtype='float16' must be one of 'float32', 'float64'"),
    ],
)
def test_a_configuration_checks_itself(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        replace(CONFIG, **change)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_configuration_survives_its_dictionary() -> None:
    assert TrainConfig.from_dict(HIDDEN.to_dict()) == HIDDEN
    assert replace(CONFIG, mu=0, lr=1) == replace(CONFIG, mu=0.0, lr=1.0)
    with pytest.raises(ValueError, match="'learning_rate' must be a field of TrainConfig"):
        TrainConfig.from_dict({"learning_rate": 0.1})
    with pytest.raises(ValueError, match="did you mean 'epochs'"):
        TrainConfig.from_dict({"epoch": 3})
