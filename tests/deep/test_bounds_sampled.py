"""The sampled estimate against the published loop written out, and what it is not: a bound."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deep import MLP, ConvNet, Distances, linear_distances, sampled_estimate, violations
from deep.bounds import sampled, uniform_in_ball
from theory.margins import DUAL

RADIUS = 2.5
ORDERS = {"l2": 2.0, "linf": math.inf, "l1": 1.0}
# Gradients of a batch and of single points: float64 sums of tens of terms in another order.
ROUNDING = 1e-12
seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, classes: int = 4) -> tuple[nn.Module, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    model = MLP(5, classes, 9, generator=g).double()
    for parameter in model.parameters():
        parameter.data.mul_(4.0)
    return model, torch.rand(3, 5, generator=g, dtype=torch.float64), torch.randint(classes, (3,), generator=g)


def obvious(
    model: nn.Module, x: Tensor, samples: int, seed: int, norm: str = "l2", radius: float = RADIUS, capped: bool = True
) -> list[float]:
    """The published number, for one image, one rival and one sample at a time."""
    generator = torch.Generator().manual_seed(seed)
    values = []
    for image in x:
        points = image + uniform_in_ball(generator, samples, len(image), radius, norm, x.dtype)
        scores = model(image[None])[0].detach()
        chosen = int(scores.argmax())
        best = math.inf
        for j in range(len(scores)):
            if j == chosen:
                continue
            largest = 0.0
            for point in points:
                z = point[None].clone().requires_grad_()
                f = model(z)[0]
                (f[chosen] - f[j]).backward()
                assert z.grad is not None
                largest = max(largest, float(torch.linalg.vector_norm(z.grad, ORDERS[DUAL[norm]])))
            best = min(best, float(scores[chosen] - scores[j]) / largest if largest else math.inf)
        values.append(min(best, radius) if capped else best)
    return values


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
@settings(max_examples=8)
@given(seed=seeds)
def test_the_same_samples_give_the_published_values(norm: str, seed: int) -> None:
    model, x, y = draw(seed)
    expected = obvious(model, x, 30, seed, norm)
    for spread in (math.inf, 4.0):
        found = sampled_estimate(
            model,
            x,
            y,
            radius=RADIUS,
            samples=30,
            generator=torch.Generator().manual_seed(seed),
            norm=norm,
            chunk=7,
            spread=spread,
        )
        assert found.values.tolist() == pytest.approx(expected, rel=ROUNDING)
    assert (found.kind, found.norm, found.box) == ("estimate", norm, None)
    assert (found.details["radius"], found.details["samples"], found.details["seed"]) == (RADIUS, 30, seed)


def test_broken_twins_fail_that_test() -> None:
    """Without the cap, and with the norm itself in place of its dual."""
    model, x, y = draw(3)
    gentle = MLP(5, 4, 9, generator=torch.Generator().manual_seed(1)).double()  # its estimates reach the cap
    found = sampled_estimate(gentle, x, y, radius=0.125, samples=20, generator=torch.Generator().manual_seed(0))
    assert float(found.values.max()) == 0.125
    assert max(obvious(gentle, x, 20, 0, radius=0.125, capped=False)) > 0.15
    found = sampled_estimate(
        model, x, y, radius=RADIUS, samples=20, generator=torch.Generator().manual_seed(0), norm="linf"
    )
    z = uniform_in_ball(torch.Generator().manual_seed(0), 20, 5, RADIUS, "linf", x.dtype) + x[0]
    z.requires_grad_()
    scores = model(x[:1])[0].detach()
    chosen, f = int(scores.argmax()), model(z)
    primal = min(
        float(scores[chosen] - scores[j])
        / float(torch.autograd.grad((f[:, chosen] - f[:, j]).sum(), z, retain_graph=True)[0].abs().amax())
        for j in range(4)
        if j != chosen
    )
    assert primal > 1.3 * float(found.values[0])


@settings(max_examples=10)
@given(seeds)
def test_chunks_and_rivals_given_up_change_nothing(seed: int) -> None:
    model, x, y = draw(seed, classes=6)

    def estimate(**options: float) -> Distances:
        g = torch.Generator().manual_seed(seed)
        return sampled_estimate(model, x, y, radius=RADIUS, samples=200, generator=g, **options)  # type: ignore[arg-type]

    full = estimate(spread=math.inf, chunk=200)
    assert full.details["gradients"] == 3 * 5 * 200
    for found in (estimate(spread=math.inf, chunk=64), estimate(chunk=64), estimate(chunk=3)):
        torch.testing.assert_close(found.values, full.values, rtol=ROUNDING, atol=0)
    assert estimate().details["gradients"] <= full.details["gradients"]


def test_too_hasty_a_spread_fails_that_test() -> None:
    """Giving up every rival but the best of the first chunk changes some values; the kind stays an estimate."""
    changed = 0
    for seed in range(12):
        model, x, y = draw(seed, classes=6)
        full, hasty = (
            sampled_estimate(
                model, x, y, radius=6.0, samples=60, generator=torch.Generator().manual_seed(seed), chunk=2, spread=s
            ).values
            for s in (math.inf, 0.0)
        )
        assert (hasty >= full * (1.0 - ROUNDING)).all()
        changed += int((hasty > full * 1.001).sum())
    assert changed > 0


def test_few_linear_pieces_give_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hidden units: 16 samples meet two pieces, where the rival that wins has the smallest gradients by far."""
    g = torch.Generator().manual_seed(205)
    torch.randint(2, 9, (3,), generator=g)
    model = MLP(2, 7, 3, generator=g).double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=g, dtype=torch.float64)
    x, y = torch.rand(5, 2, generator=g, dtype=torch.float64), torch.zeros(5, dtype=torch.long)

    def estimate(spread: float) -> Tensor:
        g = torch.Generator().manual_seed(205)
        return sampled_estimate(model, x, y, radius=5.0, samples=512, generator=g, spread=spread).values

    full = estimate(math.inf)
    torch.testing.assert_close(estimate(4.0), full, rtol=ROUNDING, atol=0)
    monkeypatch.setattr(sampled._Rival, "may_win", lambda rival, least, spread: rival.ratio(spread) <= least)
    assert float(estimate(4.0)[3]) > 1.02 * float(full[3])


def test_rivals_are_given_up_where_it_is_clear() -> None:
    model, x, y = draw(8, classes=4)
    with torch.no_grad():
        model.fc2.bias[2] = -500.0  # type: ignore[union-attr, index, operator]
    found = sampled_estimate(model, x, y, samples=128, generator=torch.Generator().manual_seed(0))
    assert found.details["gradients"] <= 3 * (3 * 64 + 2 * 64)


def test_linear_models_are_exact_and_zero_gradients_reach_the_cap() -> None:
    model = nn.Linear(6, 3).double()
    x, y = torch.rand(4, 6, dtype=torch.float64), torch.zeros(4, dtype=torch.long)
    for norm in ("l2", "linf", "l1"):
        found = sampled_estimate(model, x, y, samples=1, generator=torch.Generator(), norm=norm, radius=100.0)
        torch.testing.assert_close(found.values, linear_distances(model, x, y, norm).values, rtol=1e-12, atol=1e-12)
    constant = nn.Linear(6, 3).double()
    nn.init.zeros_(constant.weight)
    assert sampled_estimate(constant, x, y, samples=5, generator=torch.Generator()).values.tolist() == [5.0] * 4
    nn.init.zeros_(constant.bias)
    assert sampled_estimate(constant, x, y, samples=5, generator=torch.Generator()).values.tolist() == [0.0] * 4


def test_any_model_runs_and_is_left_as_it_was() -> None:
    g = torch.Generator().manual_seed(4)
    model = ConvNet(1, 16, (2, 3), 5, 4, dropout=0.5, generator=g).train()
    x, y = torch.rand(2, 256, generator=g), torch.tensor([0, 1])
    state = {key: value.clone() for key, value in model.state_dict().items()}
    low = sampled_estimate(model, x, y, samples=40, generator=torch.Generator().manual_seed(1))
    high = sampled_estimate(model, x, y, samples=40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert (low.details["dtype"], high.details["dtype"]) == ("float32", "float64")
    smooth = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    assert len(sampled_estimate(smooth, torch.rand(2, 6), y, samples=8, generator=torch.Generator())) == 2


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
def test_samples_are_uniform_in_the_ball(norm: str) -> None:
    """The norm to the power d over R^d is uniform on [0, 1], and all orthants are as likely."""
    n, d, radius = 20_000, 3, 1.5
    points = uniform_in_ball(torch.Generator().manual_seed(6), n, d, radius, norm, torch.float64)
    size = torch.linalg.vector_norm(points, ORDERS[norm], dim=1) / radius
    assert float(size.max()) <= 1.0 + 1e-12
    levels = (size**d).sort().values
    steps = torch.arange(1, n + 1, dtype=torch.float64) / n
    five_errors = 5.0 * 0.5 / math.sqrt(n)  # of an empirical distribution function, at its widest
    assert float((levels - steps).abs().max()) < five_errors
    orthant = ((points > 0).double() @ torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)).long()
    share = torch.bincount(orthant, minlength=8) / n
    assert float((share - 0.125).abs().max()) < 5.0 * math.sqrt(0.125 * 0.875 / n)
    mean_square = float((points**2).mean()) / radius**2
    expected = {"l2": 1 / 5, "linf": 1 / 3, "l1": 1 / 10}[norm]  # E x_1^2 in the unit ball of 3 dimensions
    assert mean_square == pytest.approx(expected, abs=5.0 * math.sqrt(1.0 / (3 * n)))


def test_a_normal_cloud_fails_that_test() -> None:
    points = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    size = torch.linalg.vector_norm(points, dim=1) / 1.5
    assert float(size.max()) > 1.0 + 1e-12


def test_violations_are_counted_where_something_was_found() -> None:
    right = torch.tensor([True, True, False, True])
    guess = Distances(torch.tensor([1.0, 2.0, 3.0, 4.0]).double(), right, "estimate")
    upper = Distances(torch.tensor([1.5, 1.5, 3.0, math.inf]).double(), right, "upper")
    assert violations(guess, upper) == pytest.approx(1 / 3)
    assert violations(guess, upper, rtol=0.5) == 0.0
    nothing = Distances(torch.full((4,), math.inf).double(), right, "upper")
    assert math.isnan(violations(guess, nothing))
    with pytest.raises(ValueError, match=r"upper.kind='estimate' must be 'upper' or 'exact'"):
        violations(guess, guess)
    with pytest.raises(ValueError, match=r"must be of upper's norm and images"):
        violations(guess, Distances(upper.values, right, "upper", "linf"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": 0.0}, r"radius=0.0 must be finite and positive"),
        ({"samples": 0}, r"samples=0 must be an integer of at least 1"),
        ({"chunk": 0}, r"chunk=0 must be an integer of at least 1"),
        ({"spread": -1.0}, r"spread=-1.0 must be at least 0"),
        ({"spread": math.nan}, r"spread=nan must be at least 0"),
        ({"norm": "l4"}, r"norm='l4' must be one of"),
        ({"y": torch.tensor([0, 9, 0])}, r"y\[1\]=9 must lie in 0..3"),
        ({"y": torch.tensor([0])}, r"must be 3 integers, of shape \(3,\)"),
        ({"x": torch.full((3, 5), math.nan, dtype=torch.float64)}, r"logits\[0\]=.* must be finite"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    model, x, y = draw(0)
    good: dict[str, object] = {"x": x, "y": y, "samples": 2}
    sampled_estimate(model, generator=torch.Generator(), **good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message) as caught:
        sampled_estimate(model, generator=torch.Generator(), **(good | change))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


class Jump(nn.Module):
    """Logits are finite, gradients at 0 are not: sqrt |x| has an infinite slope there."""

    def forward(self, x: Tensor) -> Tensor:
        root = (x * 0.0).abs().sum(dim=1, keepdim=True).sqrt()
        return torch.cat([x[:, :1] + 9.0, root], dim=1)


def test_gradients_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="gradients on the samples must be finite"):
        sampled_estimate(Jump(), torch.ones(1, 2), torch.tensor([0]), samples=4, generator=torch.Generator())
