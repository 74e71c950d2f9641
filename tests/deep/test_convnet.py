"""The convolution nets: keys, shapes, dropout from its own generator, and training that can be taken up again."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from deep import ConvNet, Dataset, TrainConfig, build_model, load_model, train
from deep._layers import Dropout
from deep.measure import logits_of
from deep.models import guess_model, restore_model

PIXELS = {"mnist-cnn": 784, "cifar-cnn": 3072}
SHAPES = {
    "mnist-cnn": {
        "conv1": (32, 1, 3, 3),
        "conv2": (32, 32, 3, 3),
        "conv3": (64, 32, 3, 3),
        "conv4": (64, 64, 3, 3),
        "fc1": (200, 1024),
        "fc2": (200, 200),
        "fc3": (10, 200),
    },
    "cifar-cnn": {
        "conv1": (64, 3, 3, 3),
        "conv2": (64, 64, 3, 3),
        "conv3": (128, 64, 3, 3),
        "conv4": (128, 128, 3, 3),
        "fc1": (256, 3200),
        "fc2": (256, 256),
        "fc3": (10, 256),
    },
}
NAMES = pytest.mark.parametrize("name", sorted(SHAPES))


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@NAMES
def test_keys_and_shapes(name: str) -> None:
    state = build_model(name, PIXELS[name], generator=generator()).state_dict()
    expected = {f"{layer}.weight": shape for layer, shape in SHAPES[name].items()}
    expected |= {f"{layer}.bias": shape[:1] for layer, shape in SHAPES[name].items()}
    assert {key: tuple(value.shape) for key, value in state.items()} == expected


@NAMES
def test_forward_is_the_formula(name: str) -> None:
    """Against NumPy: correlation by shifted products, maxima over 2 by 2, three products."""
    model = build_model(name, PIXELS[name], generator=generator()).double().eval()
    assert isinstance(model, ConvNet)
    x = torch.rand((2, *model.image), generator=generator(), dtype=torch.float64)
    found = model(x).detach().numpy()
    torch.testing.assert_close(model(x.flatten(1)), model(x), rtol=0.0, atol=0.0)
    w = {key: value.numpy() for key, value in model.state_dict().items()}
    z = x.numpy()
    for number in (1, 2, 3, 4):
        n = z.shape[2] - 2
        z = sum(
            np.einsum("bihw,oi->bohw", z[:, :, i : i + n, j : j + n], w[f"conv{number}.weight"][:, :, i, j])
            for i in range(3)
            for j in range(3)
        )
        z = np.maximum(z + w[f"conv{number}.bias"][:, None, None], 0.0)
        if number in (2, 4):
            z = z.reshape(*z.shape[:2], n // 2, 2, n // 2, 2).max(axis=(3, 5))
    z = z.reshape(2, -1)
    for number in (1, 2):
        z = np.maximum(z @ w[f"fc{number}.weight"].T + w[f"fc{number}.bias"], 0.0)
    np.testing.assert_allclose(found, z @ w["fc3.weight"].T + w["fc3.bias"], rtol=1e-12, atol=1e-12)


@NAMES
def test_images_one_by_one_and_gradients_of_each(name: str) -> None:
    """vmap over images, and over the gradients of every logit, as users take them."""
    model = build_model(name, PIXELS[name], generator=generator()).eval().double()
    x = torch.rand(3, PIXELS[name], generator=generator(6), dtype=torch.float64)

    def alone(image: torch.Tensor) -> torch.Tensor:
        return model(image[None])[0]  # type: ignore[no-any-return]

    torch.testing.assert_close(torch.func.vmap(alone)(x), model(x), rtol=1e-10, atol=1e-12)
    jacobians = torch.func.vmap(torch.func.jacrev(alone))(x)
    points = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(points)[:, 4].sum(), points)
    torch.testing.assert_close(jacobians[:, 4], gradient, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(jacobians[:, 3], gradient)


@NAMES
def test_a_net_is_restored_and_recognised(name: str) -> None:
    model = build_model(name, PIXELS[name], generator=generator()).eval()
    weights = model.state_dict()
    assert guess_model(weights) == name
    x = torch.rand((3, PIXELS[name]), generator=generator())
    assert torch.equal(restore_model(name, weights).eval()(x), model(x))
    other = next(n for n in SHAPES if n != name)
    with pytest.raises(ValueError, match=f"weights conv1.weight of a '{other}' model: .* must be float32 of shape"):
        restore_model(other, weights)
    with pytest.raises(ValueError, match=f"weights .* of a '{name}' model must be"):
        restore_model(name, {key: value for key, value in weights.items() if key != "conv3.bias"})
    with pytest.raises(ValueError, match=r"must be those of one of 'linear'"):
        guess_model({"layer.weight": torch.zeros(1)})


def test_bad_sizes_are_named() -> None:
    with pytest.raises(ValueError, match="in_features=784 must be 3072, 3 x 32 x 32, for 'cifar-cnn'"):
        build_model("cifar-cnn", 784, generator=generator())
    with pytest.raises(ValueError, match="side=15 must be at least 16"):
        ConvNet(1, 15, (2, 3), 4, generator=generator())
    model = ConvNet(2, 16, (2, 3), 4, generator=generator())
    assert model(torch.rand(3, 512)).shape == (3, 10)
    for shape in ((3, 511), (3, 1, 16, 32), (512,)):
        with pytest.raises(ValueError, match=r"x of shape .* must be \(n, 512\) or \(n, 2, 16, 16\)"):
            model(torch.zeros(shape))


def test_initial_weights_come_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build_model("mnist-cnn", generator=generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    bound = 1.0 / np.sqrt(9 * 32)
    assert 0.99 * bound < first.state_dict()["conv2.weight"].abs().max() <= bound  # 9,216 draws
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
        assert not torch.equal(value, other.state_dict()[key])


# -- dropout --------------------------------------------------------------------------------------------------------


def test_dropout_is_inverted_and_leaves_the_global_generator() -> None:
    layer, x = Dropout(0.3, generator()), torch.rand((400, 300), generator=generator(1), dtype=torch.float64) + 0.5
    before = torch.random.get_rng_state()
    y = layer(x)
    assert torch.equal(torch.random.get_rng_state(), before)
    kept = y != 0
    torch.testing.assert_close(y[kept], x[kept] / 0.7, rtol=1e-12, atol=0.0)
    error = np.sqrt(0.3 * 0.7 / kept.numel())
    assert abs(float(kept.double().mean()) - 0.7) < 5 * error
    assert not torch.equal(layer(x), y)
    layer.eval()
    assert layer(x) is x
    assert Dropout(0.0, generator())(x) is x
    for p in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"p=.* must lie in \[0, 1\)"):
            Dropout(p, generator())


def test_a_copy_draws_the_same_masks() -> None:
    model = ConvNet(1, 16, (2, 3), 40, dropout=0.5, generator=generator())
    twin, x = copy.deepcopy(model), torch.rand((4, 256), generator=generator(2))
    assert torch.equal(model(x), twin(x))
    assert not torch.equal(model(x), model.eval()(x))


# -- training -------------------------------------------------------------------------------------------------------


class Interrupted(Exception):
    """Stands for a killed process."""


@pytest.fixture(scope="module")
def photographs() -> Dataset:
    """Two classes of 3 by 32 by 32 noise, brighter above or below: 12 to train on, 4 to test."""
    rng = np.random.default_rng(77)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(n) % 2
        x = 0.5 * rng.random((n, 3, 32, 32))
        x[y == 1, :, :16] += 0.4
        return x.reshape(n, -1).astype(np.float32), y.astype(np.int64)

    return Dataset("photographs", *draw(12), *draw(4))


CONFIG = TrainConfig(
    name="cnn", dataset="photographs", model="cifar-cnn", batch_size=5, epochs=3, lr=0.02, beta=1e-3, seed=3
)


@pytest.fixture(scope="module")
def whole(photographs: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("cnn") / "run"
    assert train(CONFIG, photographs, folder).status == "done"
    return load_model(folder).state_dict()


def interrupted(photographs: Dataset, folder: Path, config: TrainConfig = CONFIG, epoch: int = 2) -> None:
    def progress(now: int, metrics: Mapping[str, float]) -> None:
        if now == epoch:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(config, photographs, folder, progress)


def test_taken_up_again_with_dropout_it_ends_with_the_same_bits(
    photographs: Dataset, tmp_path: Path, whole: dict[str, torch.Tensor]
) -> None:
    interrupted(photographs, tmp_path / "run")
    train(CONFIG, photographs, tmp_path / "run")
    found = load_model(tmp_path / "run")
    assert not found.training
    for key, value in found.state_dict().items():
        assert torch.equal(value, whole[key]), key


def test_the_comparison_sees_a_lost_generator_of_dropout(
    photographs: Dataset, tmp_path: Path, whole: dict[str, torch.Tensor]
) -> None:
    interrupted(photographs, tmp_path / "run")
    marker, file = (tmp_path / "run/checkpoints" / f"epoch-00002.{end}" for end in ("json", "state.safetensors"))
    state = safetensors.torch.load(file.read_bytes())
    state["dropout"] = generator(0).get_state()
    file.write_bytes(safetensors.torch.save(state))
    sums = json.loads(marker.read_text())
    sums["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    marker.write_text(json.dumps(sums))
    train(CONFIG, photographs, tmp_path / "run")
    assert not torch.equal(load_model(tmp_path / "run").state_dict()["fc1.weight"], whole["fc1.weight"])


def test_a_net_for_other_images_is_refused_before_any_work(photographs: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in_features=3072 must be 784"):
        train(replace(CONFIG, model="mnist-cnn"), photographs, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_older_than_a_field_of_the_configuration(photographs: Dataset, tmp_path: Path) -> None:
    """What the field's default says is what such a run did."""
    interrupted(photographs, tmp_path / "run", epoch=1)
    file = tmp_path / "run" / "config.toml"
    kept = [line for line in file.read_text().splitlines() if not line.startswith(("optimiser", "beta_as", "kernels"))]
    assert len(kept) == len(CONFIG.to_dict()) - 3
    file.write_text("\n".join(kept) + "\n")
    with pytest.raises(ValueError, match=r"was made with|optimiser"):
        train(replace(CONFIG, optimiser="dca", loss="ce"), photographs, tmp_path / "run")
    assert train(CONFIG, photographs, tmp_path / "run").status == "done"


def test_logits_do_not_depend_on_the_rows_at_a_time() -> None:
    model = ConvNet(1, 16, (2, 3), 5, dropout=0.5, generator=generator()).double()
    x = torch.rand((700, 256), generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(logits_of(model, x), model.eval()(x), rtol=1e-12, atol=1e-12)
