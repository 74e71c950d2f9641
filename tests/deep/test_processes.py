"""Other places to compute: mixed precision, and two processes, whose weights are those of one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deep import Dataset, Hardware, RunFolderError, TrainConfig, load_model, load_progress, train
from deep.devices import Place, make_place

SLOW = pytest.mark.skipif(not os.environ.get("AVGMARGIN_SLOW"), reason="takes minutes; set AVGMARGIN_SLOW=1")
CONFIG = TrainConfig(name="test", dataset="toy", batch_size=31, epochs=3, lr=0.2, seed=3, dtype="float64")
ORDER = 1e-11  # float64: sums of a batch in another order, through three epochs of steps
TWO = Hardware(processes=2)


def apart(folder: Path, other: Path) -> float:
    """The largest difference of a weight, in units of the largest weight of its layer."""
    one, two = (load_model(f).state_dict() for f in (folder, other))
    return max(float((one[k] - two[k]).abs().max() / one[k].abs().max()) for k in one)


# -- one process ----------------------------------------------------------------------------------------------------


def test_mixed_precision_is_near_float32_and_goes_on_with_the_same_bits(toy: Dataset, tmp_path: Path) -> None:
    config = replace(CONFIG, model="mlp", hidden=16, dtype="bf16-mixed", epochs=4, beta=1e-3)
    train(config, toy, tmp_path / "whole")
    train(replace(config, epochs=2), toy, tmp_path / "run")
    train(config, toy, tmp_path / "run")
    assert apart(tmp_path / "run", tmp_path / "whole") == 0.0
    train(replace(config, dtype="float32"), toy, tmp_path / "full")
    assert 0.0 < apart(tmp_path / "full", tmp_path / "whole") < 0.1
    assert next(load_model(tmp_path / "run").parameters()).dtype == torch.float32


def test_shares_are_a_partition() -> None:
    for processes in (1, 2, 3, 7):
        for count in (1, 2, 5, 31, 128):
            rows: list[int] = []
            for rank in range(processes):
                place = Place()
                place.rank, place.processes = rank, processes
                rows += range(count)[place.share(count)]
            assert rows == list(range(count))


def test_plain_torch_is_enough_for_one_processor() -> None:
    assert type(make_place(Hardware(), "float32")) is Place
    assert type(make_place(Hardware(), "bf16-mixed")) is not Place


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accelerator": "gpu"}, "accelerator='gpu' must be one of 'cpu', 'cuda'"),
        ({"processes": 0}, r"processes=0 must be an integer in 1\.\.1024"),
        ({"processes": True}, "processes=True must be an integer"),
        (
            {"accelerator": "cuda", "processes": 1000},
            f"processes=1000 must be at most {torch.cuda.device_count()}, the number of GPUs here",
        ),
    ],
)
def test_refusals(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Hardware(**change)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_dropout_that_would_depend_on_the_number_of_processes_is_refused(tmp_path: Path) -> None:
    x, y = np.zeros((4, 3072), dtype=np.float32), np.arange(4)
    config = replace(CONFIG, model="cifar-cnn", loss="ce", method="mma")
    with pytest.raises(ValueError, match="processes=2 must be 1 for method='mma' on a model with dropout"):
        train(config, Dataset("toy", x, y, x, y), tmp_path / "run", hardware=TWO)
    assert not (tmp_path / "run").exists()


# -- two processes --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_have_the_weights_of_one(toy: Dataset, tmp_path: Path) -> None:
    """With odd shares, a last batch of 26, the penalty and DCA; the second half of the epochs after a new start."""
    config = replace(CONFIG, model="mlp", hidden=8, beta=1e-3, optimiser="dca", tau=0.5)
    train(config, toy, tmp_path / "one")
    told: list[int] = []
    first = train(replace(config, epochs=1), toy, tmp_path / "two", lambda epoch, _: told.append(epoch), TWO)
    assert first.status == "done"
    assert told == [0, 1]
    result = train(config, toy, tmp_path / "two", None, TWO)
    assert result.notes[0] == "extended from 1 to 3 epochs"
    assert apart(tmp_path / "two", tmp_path / "one") < ORDER
    train(replace(config, batch_size=30), toy, tmp_path / "other")
    assert apart(tmp_path / "other", tmp_path / "one") > 1e4 * ORDER  # what a wrong share would do


@SLOW
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"batch_size": 1, "epochs": 1},  # a process without an image at every step
        {"method": "adversarial", "attack_eps": 0.1, "attack_steps": 3},
        {"method": "trades", "attack_eps": 0.1, "attack_steps": 3},
        {"method": "mma", "mma_limit": 0.2, "attack_steps": 3},
        {"dtype": "float32"},
    ],
    ids=lambda change: "-".join(map(str, change.values())) or "plain",
)
def test_two_processes_have_the_weights_of_one_by_every_method(
    toy: Dataset, tmp_path: Path, change: dict[str, object]
) -> None:
    config = replace(CONFIG, **change)  # type: ignore[arg-type]
    train(config, toy, tmp_path / "one")
    train(config, toy, tmp_path / "two", None, TWO)
    assert apart(tmp_path / "two", tmp_path / "one") < (1e-5 if config.dtype == "float32" else ORDER)


@SLOW
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_masks_of_dropout_are_those_of_one_process(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.random((13, 3072), dtype=np.float32), rng.integers(0, 4, 13)
    data, config = Dataset("toy", x, y, x, y), replace(CONFIG, model="cifar-cnn", batch_size=5)
    for name, hardware in (("one", Hardware()), ("two", TWO)):
        train(config, data, tmp_path / name, None, hardware)
    assert apart(tmp_path / "two", tmp_path / "one") < ORDER


@SLOW
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_goes_wrong_in_a_process_is_told_here(toy: Dataset, tmp_path: Path) -> None:
    diverging = replace(CONFIG, lr=50.0, beta=1.0, dtype="float32")
    one, two = (train(diverging, toy, tmp_path / n, None, h) for n, h in (("one", Hardware()), ("two", TWO)))
    assert two.status == "diverged"
    assert two.advice.split(" of ")[0].split(":")[0] == one.advice.split(" of ")[0].split(":")[0]  # the same step

    def stop(epoch: int, metrics: Mapping[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(replace(CONFIG, epochs=2000), toy, tmp_path / "stopped", stop, TWO)
    assert not load_progress(tmp_path / "stopped").finished
    train(replace(CONFIG, epochs=1), toy, tmp_path / "run")
    checkpoints = tmp_path / "run" / "checkpoints"
    for file in checkpoints.iterdir():
        file.unlink()
    (tmp_path / "run" / "summary.json").unlink()
    (tmp_path / "run" / "metrics.jsonl").unlink()
    (tmp_path / "run" / "metrics.jsonl").mkdir()
    with pytest.raises(RunFolderError, match="cannot be written"):
        train(replace(CONFIG, epochs=1), toy, tmp_path / "run", None, TWO)
