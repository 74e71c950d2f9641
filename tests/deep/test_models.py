"""Models: keys, shapes, initial weights, and the published checkpoint."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from deep import MLP, LinearClassifier, build_model, load_mnist
from deep.models import restore_model
from theory.margins import functional_margins, linear_label_margins, linear_margins


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_state_dict_keys_are_the_published_ones() -> None:
    linear, mlp = build_model("linear", generator=generator()), build_model("mlp", generator=generator())
    assert {k: tuple(v.shape) for k, v in linear.state_dict().items()} == {"fc.weight": (10, 784), "fc.bias": (10,)}
    assert {k: tuple(v.shape) for k, v in mlp.state_dict().items()} == {
        "fc1.weight": (1024, 784),
        "fc1.bias": (1024,),
        "fc2.weight": (10, 1024),
        "fc2.bias": (10,),
    }


def test_forward_is_the_formula_and_flattens_images() -> None:
    x = torch.rand((5, 1, 4, 3), generator=generator(), dtype=torch.float64)
    linear = LinearClassifier(12, 4, generator=generator()).double()
    rows = x.reshape(5, 12)
    torch.testing.assert_close(linear(x), rows @ linear.fc.weight.T + linear.fc.bias, rtol=1e-12, atol=1e-12)
    mlp = MLP(12, 4, hidden=6, generator=generator()).double()
    hidden = (rows @ mlp.fc1.weight.T + mlp.fc1.bias).clamp(min=0.0)
    assert (hidden == 0).any()
    torch.testing.assert_close(mlp(x), hidden @ mlp.fc2.weight.T + mlp.fc2.bias, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_initial_weights_come_from_the_generator_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build_model(name, 20, 3, hidden=8, generator=generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
        assert not torch.equal(value, other.state_dict()[key])


@pytest.mark.parametrize("name", ["linear", "mlp", "mnist-cnn"])
def test_the_global_generator_is_no_default(name: str) -> None:
    with pytest.raises(ValueError, match=r"generator=None must be a torch\.Generator"):
        build_model(name, generator=None)  # type: ignore[arg-type]


def test_initial_weights_are_uniform_on_their_interval() -> None:
    weight = build_model("mlp", 784, 10, generator=generator()).state_dict()["fc1.weight"].double().numpy().ravel()
    bound = 1.0 / math.sqrt(784)
    assert np.abs(weight).max() <= bound
    # the second moment of a uniform variable is bound^2 / 3, with standard deviation bound^2 sqrt(4 / 45)
    error = bound**2 * math.sqrt(4.0 / 45.0 / weight.size)
    assert abs((weight**2).mean() - bound**2 / 3.0) < 5 * error
    assert abs(weight.mean()) < 5 * bound / math.sqrt(3.0 * weight.size)


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("liner", (), "model='liner' must be one of 'linear', 'mlp', 'mnist-cnn', 'cifar-cnn'; did you mean 'linear'?"),
        ("MLP", (), "did you mean 'mlp'?"),
        ("resnet18", (), "model='resnet18' must be one of 'linear', 'mlp', 'mnist-cnn', 'cifar-cnn'$"),
        ("linear", (0, 10), "in_features=0 must be at least 1"),
        ("linear", (784, 1), "classes=1 must be at least 2"),
    ],
)
def test_bad_requests_are_named(name: str, sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        build_model(name, *sizes, generator=generator())


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_a_model_is_restored_from_its_weights(name: str) -> None:
    model = build_model(name, 6, 3, hidden=4, generator=generator()).double()
    again = restore_model(name, dict(sorted(model.state_dict().items(), reverse=True)))
    x = torch.rand((5, 6), generator=generator(), dtype=torch.float64)
    assert torch.equal(model(x), again(x))
    with pytest.raises(ValueError, match=f"weights .* of a '{name}' model must be"):
        restore_model(name, {"fc.weight": torch.zeros(3, 6)})


def test_the_published_checkpoint_and_its_exact_distances(shared: Path) -> None:
    """Accuracy and distances of the published logistic regression on the 10,000 test images of MNIST."""
    stored = torch.load(shared / "reference" / "MNISTLR_01000.tar", weights_only=True, map_location="cpu")
    model = build_model("linear", generator=generator())
    model.load_state_dict(stored["model_state_dict"])
    assert isinstance(model, LinearClassifier)
    mnist = load_mnist(shared / "data" / "mnist")
    x = np.round(mnist.test_x.astype(np.float64) * 255.0) / 255.0  # pixels / 255 in float64
    weight, bias = (p.detach().double().numpy() for p in (model.fc.weight, model.fc.bias))
    signed = linear_margins(weight, bias, x, mnist.test_y)
    alpha = functional_margins(x @ weight.T + bias, mnist.test_y)
    label = linear_label_margins(weight, bias, x, mnist.test_y)
    assert ((alpha > 0) == (signed > 0)).all()
    assert ((label > 0) == (signed > 0)).all()
    # The reference gives four digits (three for the minimum): half a unit of the last.  Its signed numbers are those
    # of the label's half-spaces; the signed distance to the predicted class' boundary is another number.
    assert (alpha > 0).mean() == pytest.approx(0.9255, abs=1e-12)
    assert np.abs(signed).mean() == pytest.approx(0.2784, abs=5e-5)
    assert label.mean() == pytest.approx(0.2619, abs=5e-5)
    assert label.min() == pytest.approx(-0.872, abs=5e-4)
    assert signed.mean() > 0.265
    assert signed.min() > -0.46
