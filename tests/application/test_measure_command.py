"""`avgmargin measure`, `attack` and `table` as a user meets them, on a small run and on a published checkpoint."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import deep
from avgmargin.__main__ import main
from avgmargin.networks.effort import Effort
from avgmargin.networks.parts import measure_part
from avgmargin.networks.presets import data_folder

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of the linear model and one of a small network, on the embedded digits."""
    place = tmp_path_factory.mktemp("runs")
    common = {"batch_size": 200, "loss": "average-margin", "mu": 0.1, "tau": 3.0, "dataset": "mnist5k", "seed": 3}
    data = deep.load_mnist5k(3)
    deep.train(deep.TrainConfig(name="lr", model="linear", epochs=3, **common), data, place / "lr")
    deep.train(deep.TrainConfig(name="net", model="mlp", hidden=6, epochs=2, **common), data, place / "net")
    return place


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    """Run the command line in this process, in an empty folder: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AVGMARGIN_DATA", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(words))
        return code, *capsys.readouterr()

    return call


def test_kinds_lie_in_their_order_and_a_second_call_measures_nothing(here: Here, runs: Path, tmp_path: Path) -> None:
    words = ("measure", str(runs / "lr"), "--images", "12", "--samples", "16", "--out", "o", "--json")
    code, out, err = here(*words)
    assert code == 0, err
    found = json.loads(out)
    assert found == {**json.loads((tmp_path / "o" / "measure.json").read_text()), "folder": "o"}
    (row,) = found["epochs"]
    parts = row["parts"]
    assert row["epoch"] == 3
    kinds = {name: parts[name]["kind"] for name in ("exact", "lower", "estimate", "attack", "attack-unboxed")}
    assert list(kinds.values()) == ["exact", "rigorous lower", "estimate", "upper", "upper"]
    data = deep.load_mnist5k(3)
    model = deep.load_model(runs / "lr")
    weight, bias = (p.detach().double().numpy() for p in (model.fc.weight, model.fc.bias))
    scores = data.test_x.astype(np.float64) @ weight.T + bias
    best = scores.argmax(axis=1)
    gaps = np.take_along_axis(scores, best[:, None], 1) - scores
    slopes = np.linalg.norm(weight[best][:, None, :] - weight[None], axis=2)
    slopes[np.arange(len(best)), best], gaps[np.arange(len(best)), best] = 1.0, np.inf
    distance = (gaps / slopes).min(axis=1)
    assert parts["exact"]["mean"] == pytest.approx(distance.mean(), rel=1e-5)  # float32 weights and pixels
    attack = np.array(parts["attack-unboxed"]["values"], dtype=float)
    assert (attack >= distance[:12] * (1 - 1e-5)).all()  # an upper bound, up to float32
    assert (np.array(parts["lower"]["values"], dtype=float) <= distance[:12] * (1 + 1e-5)).all()
    assert parts["attack"]["mean"] >= parts["attack-unboxed"]["mean"]  # the box only takes points away
    shares = list(parts["attack"]["robust_accuracy"].values())
    assert shares == sorted(shares, reverse=True)
    assert parts["estimate"]["compared"] == 12
    alpha = deep.margins(model, data.train_x, data.train_y)
    assert parts["penalty"]["released"] == pytest.approx(((alpha < 0) & (alpha > -3)).mean())
    assert parts["penalty"]["paper"] == pytest.approx(((alpha > 0) & (alpha < 3)).mean())
    assert parts["norms"]["product_true"] == pytest.approx(np.linalg.norm(weight, 2), rel=1e-4)

    code, again, err = here(*words)
    assert code == 0
    assert json.loads(again) == found
    assert err == ""  # nothing was measured
    torn = tmp_path / "o" / "parts" / "epoch-00003-penalty.json"
    torn.write_bytes(torn.read_bytes()[:50])
    code, again, err = here(*words)
    assert code == 0
    assert err.count("\n") == 1
    assert json.loads(again)["epochs"][0]["parts"]["attack"] == parts["attack"]


def test_through_training_is_a_curve_and_table_puts_runs_side_by_side(here: Here, runs: Path) -> None:
    words = ("--images", "3", "--parts", "functional,penalty,attack-unboxed")
    for name in ("lr", "net"):
        code, out, err = here("measure", str(runs / name), "--through", *words, "--json")
        assert code == 0, err
        epochs = [row["epoch"] for row in json.loads(out)["epochs"]]
        assert epochs == ([0, 1, 2, 3] if name == "lr" else [0, 1, 2])  # epoch 3 is not kept, but it is the last
    assert (runs / "measured" / "lr" / "measure.json").is_file()
    deep.load_run(runs / "lr")  # the run itself is as its manifest says
    code, out, err = here("table", str(runs), "--csv")
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["run"] for row in rows] == ["lr", "net"]
    assert all(row["average margin, attack, unboxed"] and not row["average margin, attack, box"] for row in rows)
    assert rows[0]["exact distance, mean"]
    assert not rows[1]["exact distance, mean"]
    code, out, _ = here("table", str(runs / "net"), "--json")
    assert code == 0
    assert len(json.loads(out)["rows"]) == 1
    code, out, _ = here("measure", str(runs / "lr"), "--through", *words)
    assert code == 0
    assert "upper" in out


def test_attack_prints_its_settings_and_flags(here: Here, runs: Path) -> None:
    code, out, err = here("attack", str(runs / "net"), "--eps", "0,0.3,3", "--steps", "10", "--images", "10", "--json")
    assert code == 0, err
    found = json.loads(out)
    accuracies = [row["accuracy"] for row in found["rows"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[-1] < accuracies[0]
    assert (found["objective"], found["steps"], found["kind"]) == ("margin", 10, "upper")
    assert {"name", "raised", "number", "limit", "advice"} <= set(found["flags"][0])
    code, out, err = here("attack", str(runs / "net"), "--eps", "0.3", "--as-published", "--images", "4")
    assert code == 0, err
    assert "1000 steps of 0.01" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["attack", "RUN", "--eps", "-1"], "eps=-1 must be finite and at least 0"),
        (["attack", "RUN", "--eps", "x"], "eps='x' must be numbers"),
        (["attack", "RUN", "--eps", "nan"], "eps=nan"),
        (["attack", "RUN", "--eps", "0.1234567,0.1234568"], "must be numbers that differ in their first six digits"),
        (
            ["attack", "RUN", "--seed", str(2**63)],
            "seed=9223372036854775808 must be an integer in 0..9223372036854775807",
        ),
        (["attack", "RUN", "--as-published", "--steps", "3"], "--steps 3 is not for --as-published"),
        (["attack", "RUN", "--as-published", "--step-size", ".5"], "--step-size 0.5 is not for --as-published"),
        (["measure", "RUN", "--seed", "-1"], "seed=-1 must be an integer in 0.."),
        (["attack", "RUN", "--images", "0"], "images=0 must be at least 1"),
        (["attack", "RUN", "--objective", "hinge"], "objective='hinge'"),
        (["attack", "NONE"], "must be a run folder or a checkpoint file"),
        (["measure", "RUN", "--epoch", "7"], "epoch=7 must be one whose weights are kept: 0, 1, 2"),
        (["measure", "RUN", "--epoch", "1", "--through"], "leave out --epoch"),
        (["measure", "RUN", "--parts", "exact,speed"], "part 'speed' must be one of"),
        (["measure", "RUN", "--out", "RUN/measured"], "must lie outside the run"),
        (["measure", "RUN", "--out", "FULL"], "holds 'mine.txt'"),
        (["measure", "EMPTY"], "config.toml"),
        (["measure", "DAMAGED"], "damaged"),
        (["table", "EMPTY"], "holds no config.toml"),
        (["table", "NONE"], "holds no config.toml"),
    ],
)
def test_bad_input_is_one_line(here: Here, runs: Path, tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    (tmp_path / "damaged.tar").write_bytes(b"PK\3\4 no checkpoint")
    places = {"RUN": runs / "lr", "NONE": "none", "EMPTY": "empty", "FULL": "full", "DAMAGED": "damaged.tar"}
    for short, place in places.items():
        words = [word.replace(short, str(place)) for word in words]
    code, out, err = here(*words)
    assert code == 2
    assert said in err.splitlines()[-1]
    assert out == ""
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"


def test_a_run_on_other_images_and_altered_weights_are_refused(here: Here, runs: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(runs / "net", copy)
    code, _, err = here("measure", str(copy), "--per-class", "100")
    assert code == 2
    assert "trained on other images" in err
    file = copy / "milestones" / "epoch-00001.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    code, _, err = here("measure", str(copy), "--parts", "functional")
    assert code == 2
    assert "SHA-256" in err


def test_a_published_checkpoint_is_measured_like_a_run(here: Here, shared: Path) -> None:
    file = shared / "reference" / "MNISTLR_01000.tar"
    if not file.is_file():
        pytest.skip("the published checkpoints are not here")
    words = ("--parts", "exact,functional", "--images", "5", "--data-dir", str(shared / "data" / "mnist"), "--out", "p")
    code, out, err = here("measure", str(file), *words, "--json")
    assert code == 0, err
    found = json.loads(out)
    exact = found["epochs"][0]["parts"]["exact"]
    assert found["epochs"][0]["epoch"] is None
    assert exact["accuracy"] == pytest.approx(0.9255)
    assert round(exact["mean"], 4) == 0.2784  # what is known of this file, to four digits
    assert round(exact["label"]["signed_mean"], 4) == 0.2619
    assert round(exact["label"]["minimum"], 3) == -0.872
    code, _, err = here("measure", str(file), "--through", *words)
    assert code == 2
    assert "has one set of weights" in err


def test_what_a_failed_download_leaves_is_no_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVGMARGIN_DATA", str(tmp_path))
    assert data_folder("mnist") is None
    (tmp_path / "mnist").mkdir()
    assert data_folder("mnist") is None
    (tmp_path / "mnist" / ".train-images-idx3-ubyte.gz.01234567.part").write_bytes(b"begun")
    assert data_folder("mnist") is None
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"whole")
    assert data_folder("mnist") == tmp_path / "mnist"


def test_only_a_model_that_a_method_is_not_for_is_skipped() -> None:
    data = deep.load_mnist5k(3)
    curved = torch.nn.Sequential(torch.nn.Linear(784, 4), torch.nn.Tanh(), torch.nn.Linear(4, 10))
    effort = Effort(images=4)
    found = measure_part("lower", curved, data, effort, 5.0)
    assert found["skipped"].startswith("layer '1' of type Tanh must be one of this package's, or nn.Sequential")
    assert "product_true" in measure_part("norms", curved, data, effort, 5.0)  # which need no known functions between
    with torch.no_grad():
        curved[2].bias[3] = torch.nan
    with pytest.raises(ValueError, match=r"logits\[0\]=.* must be finite"):  # a fault, and no part that is not for it
        measure_part("functional", curved, data, effort, 5.0)
