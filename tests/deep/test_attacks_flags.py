"""Each flag on a model that must raise it and on one that must not; the black box behind two of them."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deep.attacks import Flag, decision_search, flags, minimum_norm
from deep.attacks.flags import ADVICE


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Model(nn.Module):
    """Three classes of points of the square; with a dropout that evaluation mode switches off."""

    def __init__(self, then: Any = None, before: Any = None) -> None:
        super().__init__()
        self.then, self.before = then, before
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        z = x if self.before is None else self.before(x)
        z = self.dropout(torch.stack([4.0 * z[:, 0] - 1.9, 4.0 * z[:, 1] - 2.1, 3.0 - 3.0 * z.sum(dim=1)], dim=1))
        return z if self.then is None else self.then(z)  # type: ignore[no-any-return]


class Straight(torch.autograd.Function):
    """Rounding to a sixtieth whose gradient points the wrong way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x * 60.0).round() / 60.0

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return -g


def raised(model: nn.Module, **options: Any) -> dict[str, Flag]:
    generator = torch.Generator().manual_seed(12)
    x = torch.rand(24, 2, generator=generator)
    with torch.no_grad():
        y = torch.nan_to_num(Model().eval()(x)).argmax(dim=1)
    options = {"steps": 40, "step_size": 0.02, "queries": 120, **options}
    found = flags(model, x, y, generator=generator, **options)
    assert [flag.name for flag in found] == list(ADVICE)
    assert all(flag.raised == (flag.number > flag.limit) for flag in found)
    return {flag.name: flag for flag in found}


def test_a_sound_model_raises_none() -> None:
    found = raised(Model().eval())
    assert [name for name, flag in found.items() if flag.raised] == []


def noise(z: Tensor) -> Tensor:
    return z + 0.1 * torch.randn(z.shape, generator=NOISE)


NOISE = torch.Generator().manual_seed(99)

BROKEN: list[tuple[str, nn.Module, dict[str, Any]]] = [
    ("train mode", Model().train(), {}),
    ("randomness", Model(noise).eval(), {}),
    ("probabilities", Model(lambda z: z.softmax(dim=1)).eval(), {}),
    ("not finite", Model(lambda z: torch.where(z[:, :1] > 1.0, torch.nan, z)).eval(), {}),
    ("vanishing cross-entropy", Model(lambda z: 3000.0 * z).eval(), {}),
    ("zero gradient", Model(before=lambda x: (x * 60.0).round() / 60.0).eval(), {}),
    ("PGD not converged", Model().eval(), {"steps": 3, "step_size": 0.02}),
    ("PGD misses", Model().eval(), {"steps": 2, "step_size": 0.004}),
    ("unbounded", Model(before=lambda x: (x * 60.0).round() / 60.0).eval(), {}),
    ("black box", Model(before=Straight.apply).eval(), {}),
]


@pytest.mark.parametrize(("name", "model", "options"), BROKEN, ids=[name for name, *_ in BROKEN])
def test_a_broken_model_raises_its_flag(name: str, model: nn.Module, options: dict[str, Any]) -> None:
    assert raised(model, **options)[name].raised


def test_what_two_runs_say_of_each_other() -> None:
    """The three flags that compare distances, from made-up results."""
    from deep import Distances
    from deep.attacks import FixedEps, MinimumNorm
    from deep.attacks.flags import _compared

    def nearest(*values: float) -> MinimumNorm:
        tensor = torch.tensor(values, dtype=torch.float64)
        return MinimumNorm(Distances(tensor, torch.ones(len(values), dtype=torch.bool), "upper"), torch.zeros(3, 1))

    def standing(*robust: bool) -> FixedEps:
        return FixedEps(torch.tensor(robust), torch.zeros(3, 1), 1.0, "l2", None, 0.0)

    none, every = standing(False, False, False), standing(True, True, True)
    base = nearest(1.3, 1.7, 2.1)
    far = nearest(9.0, 9.0, 9.0)
    options = (far, every, every, none, 1.0)
    assert _compared(base, base, *options)["nearest not converged"] == 0.0
    assert _compared(base, nearest(1.0, 1.4, 2.1), *options)["nearest not converged"] > 0.1
    assert _compared(base, nearest(1.3, 1.7, 2.9), *options)["weaker with more steps"] > 0.1
    assert _compared(nearest(1.3, math.inf, 2.1), base, *options)["nearest not converged"] == pytest.approx(1.0 / 3.0)
    assert _compared(base, base, far, every, none, none, 1.0)["nearest misses"] == 1.0
    assert _compared(base, base, *options)["nearest misses"] == 0.0
    assert _compared(base, base, nearest(1.2, 9.0, 9.0), every, every, none, 1.0)["black box"] == pytest.approx(1 / 3)


def test_the_mode_is_left_as_it_was() -> None:
    model = Model().train()
    raised(model)
    assert model.training
    assert model.dropout.training


def test_a_flag_is_frozen_and_labels_are_checked() -> None:
    with pytest.raises(FrozenInstanceError):
        Flag("a", True, 1.0, 0.0, "b").number = 2.0  # type: ignore[misc]
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match=r"y\[2\]=3 must lie in 0..2"):
        flags(Model(), torch.rand(3, 2), torch.tensor([0, 1, 3]), generator=generator, rows=1)
    with pytest.raises(ValueError, match="eps=-1"):
        flags(Model(), torch.rand(3, 2), torch.tensor([0, 1, 2]), generator=generator, eps=-1.0)
    with pytest.raises(ValueError, match="x of shape"):
        flags(Model(), torch.rand(0, 2), torch.zeros(0).long(), generator=generator)


@pytest.mark.parametrize("box", [None, (0.0, 1.0)])
def test_the_black_box_is_sound_and_weak(box: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(20, 2, generator=generator)
    model = Model().eval()
    with torch.no_grad():
        y = model(x).argmax(dim=1)
    black = decision_search(model, x, y, generator=generator, queries=200, box=box)
    white = minimum_norm(model, x, y, box=box)
    with torch.no_grad():
        assert bool((model(black.adversarial).argmax(dim=1) != y).all())
    ratio = black.distances.values / white.distances.values
    assert float(ratio.min()) > 0.999  # the white box is at the optimum; float32
    assert float(ratio.mean()) < 1.5  # in the plane, two hundred queries come near
    with pytest.raises(ValueError, match="queries=3"):
        decision_search(model, x, y, generator=generator, queries=3)


def test_the_black_box_needs_no_gradient() -> None:
    generator = torch.Generator().manual_seed(6)
    x = torch.rand(20, 2, generator=generator)
    model = Model(before=lambda z: (z * 60.0).round() / 60.0).eval()
    black = decision_search(model, x, torch.zeros(20).long(), generator=generator, queries=200)
    sound = minimum_norm(Model().eval(), x, torch.zeros(20).long())
    cell = math.sqrt(2.0) / 60.0  # what rounding may move a boundary by
    assert float((black.distances.values - 1.6 * sound.distances.values).max()) < 2.0 * cell
