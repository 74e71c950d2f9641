"""PGD: constraints, objectives, leaving the batch, the published attack and how its floor stops it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deep import MLP, LinearClassifier, load_mnist, load_published
from deep.attacks import FixedEps, minimum_norm, pgd, published_pgd
from deep.attacks._checks import prepare
from deep.attacks._objective import slope

FLOAT32 = 1e-5
"""Relative rounding of a norm of some hundred float32 entries."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def drawn(seed: int, scale: float = 1.0) -> tuple[MLP, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    model = MLP(8, 4, 12, generator=generator)
    with torch.no_grad():
        x = torch.rand(25, 8, generator=generator)
        model.fc2.bias.sub_(model(x).mean(dim=0))  # so that each class is predicted somewhere near
        model.fc2.weight.mul_(scale)
        model.fc2.bias.mul_(scale)
        y = model(x).argmax(dim=1)
    y[::6] = (y[::6] + 1) % 4  # some are misclassified
    return model, x, y


@given(
    seed=st.integers(0, 10**6),
    norm=st.sampled_from(["l2", "linf"]),
    objective=st.sampled_from(["margin", "cross-entropy"]),
    boxed=st.booleans(),
    random_start=st.booleans(),
    eps=st.floats(0.0, 0.7),
)
@settings(max_examples=25, deadline=None)
def test_points_keep_to_ball_and_box(
    seed: int, norm: str, objective: str, boxed: bool, random_start: bool, eps: float
) -> None:
    model, x, y = drawn(seed)
    box = (0.0, 1.0) if boxed else None
    found = pgd(
        model, x, y, eps, norm=norm, objective=objective, steps=8, step_size=0.1, box=box,
        random_start=random_start, generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    delta = found.adversarial - x
    length = delta.abs().amax(dim=1) if norm == "linf" else delta.norm(dim=1)
    assert float(length.max()) <= eps * (1.0 + FLOAT32) + FLOAT32
    if boxed:
        assert float(found.adversarial.min()) >= 0.0
        assert float(found.adversarial.max()) <= 1.0
    with torch.no_grad():
        there = model(found.adversarial).argmax(dim=1)
    assert bool((there[~found.robust] != y[~found.robust]).all())
    assert bool((there[found.robust] == y[found.robust]).all())
    with torch.no_grad():
        assert not bool((found.robust & (model(x).argmax(dim=1) != y)).any())


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("objective", ["margin", "cross-entropy"])
@pytest.mark.parametrize("random_start", [False, True])
def test_leaving_the_batch_changes_nothing(norm: str, objective: str, random_start: bool) -> None:
    model, x, y = drawn(77)
    found = [
        pgd(
            model, x, y, 0.2 if norm == "l2" else 0.07, norm=norm, objective=objective, steps=30, step_size=0.02,
            dtype=torch.float64, random_start=random_start, generator=torch.Generator().manual_seed(5),
            leave=leave, rows=rows,
        )
        for leave, rows in ((True, 256), (False, 256), (True, 4))
    ]  # fmt: skip
    assert 0.0 < found[0].accuracy < 0.8
    assert found[0].details["backwards_per_image"] < found[1].details["backwards_per_image"]
    for other in found[1:]:
        assert torch.equal(found[0].robust, other.robust)
        assert torch.allclose(found[0].adversarial, other.adversarial, atol=1e-9)  # float64, thirty steps of rounding
        assert found[0].vanished == other.vanished


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_linear_classifier_breaks_exactly_where_it_must(norm: str) -> None:
    """Two classes, no box: broken at eps if and only if the distance, by the dual norm, is below eps."""
    generator = torch.Generator().manual_seed(31)
    model = LinearClassifier(6, 2, generator=generator)
    x = torch.randn(60, 6, generator=generator)
    w = (model.fc.weight[0] - model.fc.weight[1]).detach().double()
    with torch.no_grad():
        f = model(x).double()
    y = f.argmax(dim=1)
    distance = (f[:, 0] - f[:, 1]).abs() / (w.abs().sum() if norm == "linf" else w.norm())
    eps = float(distance.median())
    found = pgd(model, x, y, eps, norm=norm, box=None, dtype=torch.float64, steps=300, step_size=0.01)
    sure = (distance - eps).abs() > 1e-4 * eps
    assert torch.equal(found.robust[sure], (distance > eps)[sure])


def test_saturation_masks_cross_entropy_and_not_the_margin() -> None:
    model, x, y = drawn(9, scale=3000.0)
    options: dict[str, Any] = {"steps": 60, "step_size": 0.02}
    masked = pgd(model, x, y, 0.5, objective="cross-entropy", floor=1e-6, **options)
    sound = pgd(model, x, y, 0.5, **options)
    assert masked.vanished > 0.5
    assert sound.vanished == 0.0
    assert masked.accuracy > sound.accuracy + 0.2
    lifted = pgd(model, x, y, 0.5, objective="cross-entropy", floor=0.0, dtype=torch.float64, **options)
    assert lifted.accuracy < masked.accuracy


def test_the_smallest_floor_masks_a_margin_of_hundreds() -> None:
    """A margin of 69 leaves a gradient of e^-69, about 1e-30; by default nothing stands under the gradient's norm."""
    model, x, y = drawn(9, scale=2000.0)
    found = {
        floor: pgd(
            model, x, y, 0.5, objective="cross-entropy", dtype=torch.float64, steps=60, step_size=0.02, **options
        )
        for floor, options in (("none", {}), ("tiny", {"floor": 1e-30}))
    }
    assert found["none"].accuracy < found["tiny"].accuracy - 0.2
    assert found["none"].details["floor"] == 0.0


@pytest.mark.parametrize("objective", ["margin", "cross-entropy"])
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_the_scaled_backward_pass_is_the_gradient(objective: str, scale: float) -> None:
    """Against automatic differentiation of the objective as it is written."""
    model, x, y = drawn(19, scale)
    model = model.double()
    field, rows, labels = prepare(model, x, y, None, torch.float64)
    logits, g, factor = slope(field, rows, labels, objective)
    leaf = rows.clone().requires_grad_()
    out = model(leaf)
    if objective == "cross-entropy":
        value = nn.functional.cross_entropy(out, labels, reduction="sum")
    else:
        value = (out.scatter(1, labels[:, None], -math.inf).amax(dim=1) - out.gather(1, labels[:, None])[:, 0]).sum()
    (expected,) = torch.autograd.grad(value, leaf)
    assert torch.equal(logits, out.detach())
    assert torch.allclose(factor[:, None] * g, expected, rtol=1e-9, atol=1e-14)  # float64, 1 - softmax cancels


def test_the_published_attack_starts_at_random_and_repeats() -> None:
    model, x, y = drawn(41)
    first, again, other = (
        published_pgd(model, x, y, 0.3, generator=torch.Generator().manual_seed(seed), steps=15) for seed in (1, 1, 2)
    )
    assert torch.equal(first.adversarial, again.adversarial)
    assert not torch.equal(first.adversarial, other.adversarial)
    assert first.details["floor"] == 1e-6
    assert first.details["objective"] == "cross-entropy"
    assert first.details["steps"] == 15


def test_nan_and_ties_are_not_robust() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            low = torch.where(x[:, :1] > 0.5, torch.nan, 0.0 * x[:, :1])
            return torch.cat([low + x[:, 1:2], 0.0 * x[:, :1] + 0.25], dim=1)

    x = torch.tensor([[0.9, 0.7], [0.1, 0.7], [0.2, 0.25], [0.49, 0.7]])
    found = pgd(Broken(), x, torch.zeros(4).long(), 0.05, steps=5, random_start=True,
                generator=torch.Generator().manual_seed(0), norm="linf")  # fmt: skip
    assert found.robust.tolist()[:3] == [False, True, False]
    assert pgd(Broken(), x, torch.zeros(4).long(), 0.0, steps=1).robust.tolist() == [False, True, False, True]


def test_at_eps_zero_it_is_the_accuracy() -> None:
    model, x, y = drawn(3)
    assert pgd(model, x, y, 0.0).accuracy == minimum_norm(model, x, y, steps=5).distances.robust_accuracy(0.0)
    with torch.no_grad():
        assert pgd(model, x, y, 0.0).accuracy == float((model(x).argmax(dim=1) == y).double().mean())


def test_a_success_that_a_second_pass_contradicts_is_none() -> None:
    class Once(nn.Module):
        """Another prediction in its second pass only."""

        def __init__(self) -> None:
            super().__init__()
            self.passes = 0

        def forward(self, x: Tensor) -> Tensor:
            self.passes += 1
            sign = -1.0 if self.passes == 2 else 1.0
            return sign * torch.stack([x.sum(dim=1) + 1.0, -x.sum(dim=1) - 1.0], dim=1)

    assert pgd(Once(), torch.rand(3, 2), torch.zeros(3).long(), 0.1, steps=1).accuracy == 1.0


BAD: list[tuple[dict[str, Any], str]] = [
    ({"eps": -0.1}, "eps=-0.1"),
    ({"eps": math.nan}, "eps=nan"),
    ({"eps": math.inf}, "eps=inf"),
    ({"norm": "l1"}, "norm='l1'"),
    ({"objective": "dlr"}, "objective='dlr'"),
    ({"steps": 0}, "steps=0"),
    ({"step_size": 0.0}, "step_size=0.0"),
    ({"step_size": math.nan}, "step_size=nan"),
    ({"floor": -1.0}, "floor=-1.0"),
    ({"random_start": True}, "generator=None"),
    ({"x": torch.rand(0, 8), "y": torch.zeros(0).long()}, "x of shape"),
    ({"x": torch.rand(25, 8) - 3.0}, "box="),
    ({"y": torch.full((25,), 4)}, r"y\[0\]=4 must lie in 0..3"),
    ({"y": torch.eye(25)[24].long() * 4, "rows": 4}, r"y\[24\]=4 must lie in 0..3"),  # of all, not of its batch
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_wrong_arguments(change: dict[str, Any], message: str) -> None:
    model, x, y = drawn(1)
    arguments: dict[str, Any] = {"x": x, "y": y, "eps": 0.1, **change}
    with pytest.raises(ValueError, match=message) as caught:
        pgd(model, **arguments)
    assert "\n" not in str(caught.value)


def test_wrong_arguments_of_the_published_attack_and_of_results() -> None:
    model, x, y = drawn(1)
    with pytest.raises(ValueError, match="eps=-1"):
        published_pgd(model, x, y, -1.0, generator=torch.Generator())
    with pytest.raises(ValueError, match="robust of shape"):
        FixedEps(torch.zeros(3), torch.zeros(3, 2), 0.1, "l2", None, 0.0)
    with pytest.raises(ValueError, match="logits of shape"):
        pgd(nn.Flatten(0), x, y, 0.1)


def test_the_published_networks(shared: Path) -> None:
    """Masking on the checkpoint itself: cross-entropy with the library's floor leaves most standing, the margin few."""
    data = load_mnist(shared / "data" / "mnist")
    model, _ = load_published(shared / "reference" / "MNISTCNN_reg_00200.tar")
    x, y = torch.tensor(data.test_x[:12]), torch.tensor(data.test_y[:12])
    published = published_pgd(model, x, y, 2.0, generator=torch.Generator().manual_seed(0), steps=60)
    margin = pgd(model, x, y, 2.0, steps=60)
    assert published.vanished > 0.5
    assert published.accuracy > margin.accuracy + 0.3
