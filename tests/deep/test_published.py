"""Checkpoints in the authors' format: what they say when measured, and that nothing unsound or unsafe is loaded."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from deep import CheckpointError, Dataset, build_model, load_mnist, load_published
from deep.measure import logits_of
from deep.published import PUBLISHED_SHA256

REPORTED = {
    "MNISTCNN_00200.tar": ("mnist-cnn", 0.9914),
    "MNISTCNN_constraint_00200.tar": ("mnist-cnn", 0.9929),
    "MNISTCNN_reg_00200.tar": ("mnist-cnn", 0.9925),
    "MNISTLR_01000.tar": ("linear", 0.9255),
}
SLOW = pytest.mark.skipif(not os.environ.get("AVGMARGIN_SLOW"), reason="twelve seconds each: set AVGMARGIN_SLOW=1")


@pytest.fixture(scope="module")
def mnist(shared: Path) -> Dataset:
    return load_mnist(shared / "data" / "mnist")


@pytest.mark.parametrize(
    "name",
    [
        "MNISTLR_01000.tar",
        "MNISTCNN_00200.tar",
        pytest.param("MNISTCNN_constraint_00200.tar", marks=SLOW),
        pytest.param("MNISTCNN_reg_00200.tar", marks=SLOW),
    ],
)
def test_the_published_accuracies(shared: Path, mnist: Dataset, name: str) -> None:
    """Counted on the 10,000 test images: exactly the number that the paper's authors stored."""
    kind, reported = REPORTED[name]
    model, numbers = load_published(shared / "reference" / name, kind)
    assert not model.training
    assert numbers["test_acc"] == reported
    predicted = logits_of(model, torch.tensor(mnist.test_x)).argmax(dim=1)
    assert int((predicted == torch.tensor(mnist.test_y)).sum()) == round(10_000 * reported)


def test_every_published_file_has_its_sum(shared: Path) -> None:
    assert sorted(PUBLISHED_SHA256) == sorted(REPORTED) == sorted(p.name for p in shared.glob("reference/*.tar"))


def test_where_no_sum_is_known_the_command_says_so(tmp_path: Path, shared: Path) -> None:
    from avgmargin.networks.subjects import load_subject

    said: list[str] = []
    mine = tmp_path / "mine.tar"
    mine.write_bytes((shared / "reference" / "MNISTLR_01000.tar").read_bytes())
    load_subject(mine, None, said.append)
    assert any("mine.tar: no SHA-256 is known" in words for words in said)
    said.clear()
    load_subject(shared / "reference" / "MNISTLR_01000.tar", None, said.append)
    assert not any("SHA-256" in words for words in said)


def test_a_flipped_bit_in_a_published_file_is_seen(shared: Path, tmp_path: Path) -> None:
    """The format has no sum of its own: under another name, and without a sum, the same bytes load."""
    data = bytearray((shared / "reference" / "MNISTLR_01000.tar").read_bytes())
    data[len(data) // 2] ^= 1
    for name in ("MNISTLR_01000.tar", "mine.tar"):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=r"MNISTLR_01000.tar: SHA-256 \w+ must be \w+; the file was altered"):
        load_published(tmp_path / "MNISTLR_01000.tar")
    load_published(tmp_path / "mine.tar")
    with pytest.raises(CheckpointError, match=r"mine.tar: SHA-256"):
        load_published(tmp_path / "mine.tar", sha256=PUBLISHED_SHA256["MNISTLR_01000.tar"])


# -- without the shared files ---------------------------------------------------------------------------------------


def weights(name: str = "linear", features: int = 6) -> dict[str, torch.Tensor]:
    return build_model(name, features, 3, hidden=4, generator=torch.Generator().manual_seed(8)).state_dict()


def save(path: Path, value: object, *, old: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not old)
    return path


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
@pytest.mark.parametrize("bare", [False, True])
def test_a_checkpoint_comes_back(tmp_path: Path, old: bool, bare: bool) -> None:
    state = weights("mlp")
    stored = state if bare else {"model_state_dict": state, "test_acc": 0.25, "epochs": 7, "optmizer_state_dict": {}}
    model, numbers = load_published(save(tmp_path / "a.tar", stored, old=old))
    assert numbers == ({} if bare else {"test_acc": 0.25, "epochs": 7.0})
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])


class Bomb:
    """A pickle that makes a file where it is executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
def test_code_is_refused_and_never_executed(tmp_path: Path, old: bool) -> None:
    file = save(tmp_path / "bad.tar", {"model_state_dict": weights(), "extra": Bomb(tmp_path / "executed")}, old=old)
    with pytest.raises(CheckpointError, match=r"bad\.tar: must hold tensors and plain values only"):
        load_published(file)
    assert not (tmp_path / "executed").exists()
    torch.load(file, weights_only=False)  # the twin: what a careless reader would do
    assert (tmp_path / "executed").exists()


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(pickle.dumps(Bomb(tmp_path / "executed")))
    with pytest.raises(CheckpointError, match=r"bad\.tar: "):
        load_published(tmp_path / "bad.tar")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
def test_truncated_files_are_refused(tmp_path: Path, old: bool) -> None:
    data = save(tmp_path / "whole.tar", {"model_state_dict": weights()}, old=old).read_bytes()
    for share in (0.0, 0.03, 0.2, 0.5, 0.8, 0.99):
        (tmp_path / "cut.tar").write_bytes(data[: int(share * len(data))])
        with pytest.raises(CheckpointError, match=r"cut.tar: ") as caught:
            load_published(tmp_path / "cut.tar")
        assert "\n" not in str(caught.value)


def test_any_flipped_byte_of_a_zip_is_refused_or_harmless(tmp_path: Path) -> None:
    """A byte outside what is read (padding, times) may change nothing; a weight never changes."""
    state = weights()
    data = save(tmp_path / "whole.tar", {"model_state_dict": state}).read_bytes()
    refused = 0
    for at in range(0, len(data), 7):
        broken = bytearray(data)
        broken[at] ^= 0x10
        (tmp_path / "flipped.tar").write_bytes(broken)
        try:
            model, _ = load_published(tmp_path / "flipped.tar")
        except CheckpointError:
            refused += 1
            continue
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert refused > len(data) // 7 // 4


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.tar", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(300 << 20))
    assert (tmp_path / "bomb.tar").stat().st_size < 1 << 20
    with pytest.raises(CheckpointError, match=r"bomb\.tar: unpacks to more than"):
        load_published(tmp_path / "bomb.tar")


@pytest.mark.parametrize(
    ("change", "model", "message"),
    [
        ({}, "mlp", "weights .* of a 'mlp' model must be"),
        ({}, "mnist-cnn", "weights .* of a 'mnist-cnn' model must be"),
        ({"extra.weight": torch.zeros(2)}, None, "must be those of one of 'linear'"),
        ({"fc.bias": torch.zeros(4)}, None, r"weights fc.bias of a 'linear' model: .* must be float32 of shape \(3,\)"),
        ({"fc.bias": torch.zeros(3).double()}, None, "weights fc.bias of a 'linear' model: float64"),
        ({"fc.weight": torch.zeros(3)}, None, "weights of a 'linear' model must be real matrices"),
        ({"fc.weight": torch.zeros(3, 6, dtype=torch.int64)}, None, "must be real matrices"),
        ({"fc.bias": torch.tensor([0.0, torch.nan, 1.0])}, None, "fc.bias must be finite"),
        ({"fc.bias": "no tensor"}, None, "must hold tensors by name"),
    ],
)
def test_other_networks_are_named(tmp_path: Path, change: dict[str, object], model: str | None, message: str) -> None:
    file = save(tmp_path / "a.tar", {"model_state_dict": weights() | change})
    with pytest.raises(CheckpointError, match=f"a.tar: .*{message}") as caught:
        load_published(file, model)
    assert "\n" not in str(caught.value)


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.tar: cannot be read"):
        load_published(tmp_path / "absent.tar")
    with pytest.raises(CheckpointError, match="must hold a dictionary, not list"):
        load_published(save(tmp_path / "list.tar", [1, 2]))
    with pytest.raises(ValueError, match="did you mean 'linear'"):
        load_published(tmp_path / "absent.tar", "liner")
