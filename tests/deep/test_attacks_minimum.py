"""The minimum-norm attack against answers that are known: half-spaces, small nets by a grid, foolbox."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deep import MLP, LinearClassifier, load_mnist, load_published
from deep.attacks import minimum_norm
from deep.attacks._field import CONTENT
from deep.attacks._geometry import ball, norms, project, unit

RATIO = 1.0001
"""What a polished attack may exceed the exact distance of a linear classifier by, beside the rounding of its logits."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def drawn_linear(seed: int, features: int = 12, classes: int = 4) -> tuple[LinearClassifier, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    model = LinearClassifier(features, classes, generator=generator)
    x = torch.rand(40, features, generator=generator)
    return model, x, torch.randint(0, classes, (40,), generator=generator)


def exact_linear(model: Any, x: Tensor, box: tuple[float, float] | None) -> Tensor:
    """min over rival classes of the distance to a half-space within the box, by 200 bisections on one multiplier."""
    weight, bias, x = model.fc.weight.detach().double(), model.fc.bias.detach().double(), x.double()
    own = (x @ weight.T + bias).argmax(dim=1)
    best = torch.full((len(x),), math.inf, dtype=torch.float64)
    for k in range(len(bias)):
        g, level = weight[own] - weight[k], bias[k] - bias[own]

        def at(t: Tensor, g: Tensor = g) -> Tensor:
            moved = x - t[:, None] * g
            return moved if box is None else moved.clamp(*box)

        low, high = torch.zeros(len(x), dtype=torch.float64), torch.full((len(x),), 1e6, dtype=torch.float64)
        reachable = ((at(high) * g).sum(dim=1) <= level) & (own != k)
        for _ in range(200):
            middle = 0.5 * (low + high)
            inside = (at(middle) * g).sum(dim=1) <= level
            low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
        best = torch.where(reachable, torch.minimum(best, (at(high) - x).norm(dim=1)), best)
    return best


def rounding(model: LinearClassifier, x: Tensor, dtype: torch.dtype) -> float:
    """The slack that the logit difference must pass zero by, twice, over its least slope: a length."""
    slack = 2.0 * CONTENT * torch.finfo(dtype).eps * float(model(x).detach().abs().max())
    return slack / float(torch.pdist(model.fc.weight.detach()).min())


@pytest.mark.parametrize("box", [None, (0.0, 1.0)])
@pytest.mark.parametrize("dtype", [None, torch.float64])
@pytest.mark.parametrize("starts", [1, 2])
def test_linear_classifiers_reach_the_exact_distance(box: Any, dtype: Any, starts: int) -> None:
    for seed in (11, 12, 13):
        model, x, y = drawn_linear(seed)
        exact = exact_linear(model, x, box)
        found = minimum_norm(model, x, y, box=box, dtype=dtype, starts=starts).distances
        assert torch.equal(torch.isfinite(exact), found.found)
        values, exact = found.values[found.found], exact[found.found]
        off = rounding(model, x, dtype or torch.float32)
        assert float((values - exact * RATIO).max()) <= off
        assert float((exact * (1.0 - 1e-6) - values).max()) <= off


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_published_linear_checkpoint(shared: Path, dtype: torch.dtype) -> None:
    """The least distance is .004: float32 logits differ by a processor's order of sums, float64 ones do not."""
    data = load_mnist(shared / "data" / "mnist")
    model, _ = load_published(shared / "reference" / "MNISTLR_01000.tar")
    x, y = torch.tensor(data.test_x[:100]), torch.tensor(data.test_y[:100])
    assert isinstance(model, LinearClassifier)
    for box in (None, (0.0, 1.0)):
        exact = exact_linear(model, x, box)
        values = minimum_norm(model, x, y, box=box, starts=1, dtype=dtype).distances.values
        assert float((values / exact).min()) > 1.0 - 1e-6
        assert float((values - exact * RATIO).max()) <= (rounding(model, x, dtype) if dtype == torch.float32 else 0.0)


MEANS = {"": 1.412, "_constraint": 1.608, "_reg": 1.697}
"""One per cent above what was measured on the first 100 images: a start that goes astray moves a mean by that."""


@pytest.mark.parametrize("name", MEANS)
def test_the_published_networks(shared: Path, name: str) -> None:
    data = load_mnist(shared / "data" / "mnist")
    model, _ = load_published(shared / "reference" / f"MNISTCNN{name}_00200.tar")
    x, y = torch.tensor(data.test_x[:5]), torch.tensor(data.test_y[:5])
    polished = minimum_norm(model, x, y, starts=1)
    raw = minimum_norm(model, x, y, starts=1, polish_steps=0)
    assert bool(polished.distances.found.all())
    assert polished.distances.mean() < 0.9 * raw.distances.mean()
    with torch.no_grad():  # each alone, in another batch size, still predicted otherwise
        for image, point in zip(x, polished.adversarial, strict=True):
            assert int(model(point[None]).argmax()) != int(model(image[None]).argmax())
    length = torch.linalg.vector_norm(polished.adversarial.double() - x.double(), dim=1)
    torch.testing.assert_close(polished.distances.values, length, rtol=1e-12, atol=0.0)
    assert float(polished.adversarial.min()) >= 0.0
    assert float(polished.adversarial.max()) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", MEANS)
def test_means_on_a_hundred_images(shared: Path, name: str) -> None:
    if not os.environ.get("AVGMARGIN_SLOW"):
        pytest.skip("slow: set AVGMARGIN_SLOW=1")
    data = load_mnist(shared / "data" / "mnist")
    model, _ = load_published(shared / "reference" / f"MNISTCNN{name}_00200.tar")
    found = minimum_norm(model, torch.tensor(data.test_x[:100]), torch.tensor(data.test_y[:100])).distances
    assert float(found.values[found.correct].mean()) < MEANS[name]


def trained(seed: int, features: int, hidden: int, classes: int) -> tuple[nn.Module, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    model = MLP(features, classes, hidden, generator=generator)
    centres = torch.rand(2 * classes, features, generator=generator)
    which = torch.randint(0, 2 * classes, (300,), generator=generator)
    x = (centres[which] + 0.1 * torch.randn(300, features, generator=generator)).clamp(0.0, 1.0)
    y = which % classes
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model, x[:60], y[:60]


GRID = 801  # points a side: the nearest grid point is at most a diagonal of a cell behind the boundary


@pytest.mark.parametrize("seed", [3, 4])
def test_small_nets_against_a_grid(seed: int) -> None:
    model, x, y = trained(seed, 2, 10, 3)
    side = torch.linspace(0.0, 1.0, GRID)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        own, there = model(x).argmax(dim=1), model(grid).argmax(dim=1)
    apart = torch.cdist(x.double(), grid.double()).masked_fill(own[:, None] == there[None, :], math.inf)
    best = apart.min(dim=1).values
    generator = torch.Generator().manual_seed(seed)
    found = minimum_norm(model, x, y, starts=4, generator=generator, dtype=torch.float64).distances.values
    cell = math.sqrt(2.0) / (GRID - 1)
    close = found <= best + cell
    assert float(close.double().mean()) >= 0.95  # the rest: the nearest other region has no start of its own
    near = torch.minimum(found, best)
    assert float((found / near)[near > 20 * cell].mean()) <= 1.005 + cell / 0.05


@given(seed=st.integers(0, 10**6), boxed=st.booleans())
@settings(max_examples=8, deadline=None)
def test_every_success_is_one(seed: int, boxed: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    model = MLP(5, 3, 7, generator=generator)
    x = torch.rand(9, 5, generator=generator)
    y = torch.randint(0, 3, (9,), generator=generator)
    found = minimum_norm(model, x, y, box=(0.0, 1.0) if boxed else None, steps=15, rows=5)
    kept = found.distances.found
    with torch.no_grad():
        assert bool((model(found.adversarial[kept]).argmax(dim=1) != model(x[kept]).argmax(dim=1)).all())
        assert torch.equal(model(x).argmax(dim=1) == y, found.distances.correct)
    assert bool(torch.isnan(found.adversarial[~kept]).all())
    if boxed:
        assert float(found.adversarial[kept].clamp(0.0, 1.0).sub(found.adversarial[kept]).abs().sum()) == 0.0


def test_a_result_that_does_not_depend_on_the_batch() -> None:
    model, x, y = trained(5, 6, 16, 3)
    whole, parts = (minimum_norm(model, x, y, dtype=torch.float64, rows=r).distances.values for r in (256, 7))
    assert torch.equal(torch.isfinite(whole), torch.isfinite(parts))
    same = torch.isclose(whole, parts, rtol=1e-5)  # the width of a bracket, tenfold
    assert float(same.double().mean()) >= 0.95  # a row whose search turns on rounding may end elsewhere


def test_shapes_modes_and_weights_are_left_as_they_were() -> None:
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(2 * 9, 3))
    model.train()
    model[3].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = minimum_norm(model, torch.rand(6, 1, 5, 5, generator=generator), torch.zeros(6, dtype=torch.int64))
    assert found.adversarial.shape == (6, 1, 5, 5)
    assert [part.training for part in model] == [True, True, True, False, True]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


class Only(nn.Module):
    """Logits by a function."""

    def __init__(self, call: Any) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x)  # type: ignore[no-any-return]


def test_a_constant_model_has_no_other_prediction() -> None:
    found = minimum_norm(Only(lambda x: 0.0 * x + torch.tensor([1.3, 0.2])), torch.rand(5, 2), torch.zeros(5).long())
    assert not bool(found.distances.found.any())
    assert bool(torch.isnan(found.adversarial).all())
    assert found.distances.details["missing"] == 5


def test_ties_and_nan_are_no_prediction() -> None:
    x = torch.tensor([[0.3, 0.3], [0.7, 0.2], [0.9, 0.1]])
    found = minimum_norm(Only(lambda z: torch.where(z[:, :1] > 0.8, torch.nan, z)), x, torch.tensor([0, 0, 0]))
    assert found.distances.correct.tolist() == [False, True, False]
    assert found.distances.values[0] == 0.0
    assert found.distances.values[2] == 0.0
    assert 0.0 < float(found.distances.values[1]) <= 0.5 / math.sqrt(2.0) * RATIO
    assert found.distances.robust_accuracy(0.0) == pytest.approx(1.0 / 3.0)


def test_without_gradients_other_images_are_the_start() -> None:
    """A rounded input cuts every gradient; the attack still reports what it can show."""
    generator = torch.Generator().manual_seed(8)
    x = torch.rand(30, 2, generator=generator)
    model = Only(lambda z: torch.stack([z[:, 0], z[:, 1]], dim=1).mul(20.0).round() + torch.tensor([0.5, 0.0]))
    found = minimum_norm(model, x, torch.zeros(30).long())
    assert bool(found.distances.found.all())
    assert found.distances.details["only_from_other_images"] == 30


def test_geometry() -> None:
    generator = torch.Generator().manual_seed(21)
    x = torch.rand(30, 7, generator=generator, dtype=torch.float64)
    g = torch.randn(30, 7, generator=generator, dtype=torch.float64)
    inside = torch.rand(30, 7, generator=generator, dtype=torch.float64)
    level = (g * inside).sum(dim=1)
    u = project(x, g, level, (0.0, 1.0))
    assert float(((g * u).sum(dim=1) - level).max()) < 1e-12  # rounding
    assert float(u.clamp(0.0, 1.0).sub(u).abs().max()) == 0.0
    # The nearest point u of a convex set has <x - u, v - u> <= 0 for every v of it; x + (u - x) / 2 would not do.
    for _ in range(20):
        v = torch.rand(30, 7, generator=generator, dtype=torch.float64)
        member = (g * v).sum(dim=1) <= level
        assert float(((x - u) * (v - u)).sum(dim=1)[member].max()) < 1e-12
    tiny = torch.full((2, 3), 1e-30)
    assert torch.allclose(norms(unit(tiny, 0.0)), torch.ones(2))
    assert float(norms(unit(tiny, 1e-6)).max()) < 1e-20
    assert torch.allclose(norms(ball(g, 0.3)).clamp(max=0.3), norms(ball(g, 0.3)))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"x": torch.rand(0, 4)}, "x of shape"),
    ({"x": torch.rand(3, 4) + 2.0}, "box"),
    ({"x": torch.full((3, 4), torch.nan)}, "finite"),
    ({"y": torch.tensor([0, 1, 7])}, r"y\[2\]=7 must lie in 0..1"),
    ({"y": torch.tensor([0, -1, 1])}, r"y\[1\]=-1 must lie in 0..1"),
    ({"y": torch.tensor([0, 1])}, "3 integers"),
    ({"y": torch.tensor([0.0, 1.0, 1.0])}, "3 integers"),
    ({"box": (1.0, 0.0)}, "box="),
    ({"steps": 0}, "steps=0"),
    ({"polish_steps": -1}, "polish_steps=-1"),
    ({"starts": 3}, "generator=None"),
    ({"starts": 0}, "starts=0"),
    ({"rows": 0}, "rows=0"),
    ({"dtype": torch.int64}, "dtype="),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_wrong_arguments(change: dict[str, Any], message: str) -> None:
    given_: dict[str, Any] = {"x": torch.rand(3, 4), "y": torch.tensor([0, 1, 1]), **change}
    model = LinearClassifier(4, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=message) as caught:
        minimum_norm(model, given_.pop("x"), given_.pop("y"), **given_)
    assert "\n" not in str(caught.value)


def test_never_worse_than_foolbox(shared: Path) -> None:
    """On average; foolbox's attacks are DDN and DeepFool, 100 and 50 steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports names that scipy deprecates
        foolbox = pytest.importorskip("foolbox", exc_type=ImportError)
    data = load_mnist(shared / "data" / "mnist")
    model, _ = load_published(shared / "reference" / "MNISTCNN_00200.tar")
    x, y = torch.tensor(data.test_x[:8]).reshape(-1, 1, 28, 28), torch.tensor(data.test_y[:8])
    ours = minimum_norm(model, x, y).distances.mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = foolbox.PyTorchModel(model, bounds=(0.0, 1.0))
        for attack in (foolbox.attacks.DDNAttack(steps=100), foolbox.attacks.L2DeepFoolAttack()):
            _, points, success = attack(wrapped, x, y, epsilons=None)
            theirs = (points - x).flatten(1).norm(dim=1)[success]
            assert len(theirs) > 0
            assert ours <= float(theirs.mean())
