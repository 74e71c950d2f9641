"""Rigorous lower bounds: below the truth in exact arithmetic and every adversarial point; not so from wrong norms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.utils.parametrizations import spectral_norm

from deep import (
    MLP,
    ConvNet,
    LinearClassifier,
    exact_relu,
    load_published,
    lower_bound,
    minimum_norm,
    operator_norms,
    reshaped_norms,
)

FLOAT64 = 1e-9  # the exact solver's own tolerance

seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, sizes: tuple[int, ...], n: int = 4, scale: float = 1.0) -> tuple[nn.Sequential, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for inner, outer in itertools.pairwise(sizes):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
    model = nn.Sequential(*layers[:-1]).double()
    for parameter in model.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=g, dtype=torch.float64)
    return model, torch.rand(n, sizes[0], generator=g, dtype=torch.float64), torch.randint(sizes[-1], (n,), generator=g)


@settings(max_examples=15)
@given(seeds, st.integers(1, 12), st.integers(1, 10), st.integers(2, 5))
def test_both_bounds_are_below_the_exact_distance(seed: int, d: int, hidden: int, classes: int) -> None:
    model, x, y = draw(seed, (d, hidden, classes))
    exact = exact_relu(model, x, y)
    assert exact.kind == "exact"
    both = lower_bound(model, x, y)
    assert (both.kind, both.norm, both.box) == ("rigorous lower", "l2", None)
    parts = [lower_bound(model, x, y, methods=(method,)).values for method in ("norms", "relaxation")]
    for part in (both.values, *parts):
        assert (part <= exact.values * (1.0 + FLOAT64)).all()
    assert (both.values >= parts[0]).all()
    assert (both.values > 0.0).all()
    assert torch.equal(both.correct, exact.correct)


@settings(max_examples=6)
@given(seeds, st.sampled_from([(3, 5, 4, 3), (6, 4, 4, 4, 3), (2, 8, 8, 2)]))
def test_deeper_nets_keep_their_prediction_within_the_bound(seed: int, sizes: tuple[int, ...]) -> None:
    model, x, y = draw(seed, sizes, n=3)
    g = torch.Generator().manual_seed(seed)
    found = lower_bound(model, x, y, methods=("relaxation",))
    assert (found.values > 0.0).all()
    upper = minimum_norm(model, x, y, box=None).distances.values
    assert (found.values <= upper).all()
    for point, radius in zip(x, found.values, strict=True):
        way = torch.randn(2000, sizes[0], generator=g, dtype=torch.float64)
        inside = point + way / way.norm(dim=1, keepdim=True) * radius * (1.0 - FLOAT64)
        assert (model(inside).argmax(dim=1) == model(point[None]).argmax()).all()


def test_the_relaxation_is_the_better_one_where_units_matter() -> None:
    model, x, y = draw(12, (20, 15, 4), n=12, scale=0.3)
    norms, relaxation = (lower_bound(model, x, y, methods=(m,)) for m in ("norms", "relaxation"))
    assert relaxation.mean() > 1.1 * norms.mean()
    both = lower_bound(model, x, y)
    assert both.details["by_relaxation"] == int((both.values > norms.values).sum()) > 6


@settings(max_examples=30)
@given(seeds, st.integers(0, 18))
def test_rounding_goes_outward(seed: int, decade: int) -> None:
    """Linear nets whose gaps cancel: the squared bound against the exact rational one."""
    model, x, y, exact = cancelling(seed, decade)
    for methods in (("norms",), ("relaxation",), ("norms", "relaxation")):
        found = lower_bound(model, x, y, methods=methods)
        for value, square in zip(found.values.tolist(), exact, strict=True):
            assert Fraction(value) ** 2 <= square


def cancelling(seed: int, decade: int) -> tuple[nn.Module, Tensor, Tensor, list[Fraction]]:
    """A linear net with weights of size 10^decade whose gaps are of size 1, with the exact squared distances.

    Where rounding makes another class the largest than the exact one, the exact distance of leaving the exact class'
    region is asked to be no less than the bound for the class that was taken: which can only be 0.
    """
    g = torch.Generator().manual_seed(seed)
    model = LinearClassifier(6, 3, generator=g).double()
    x = torch.rand(3, 6, generator=g, dtype=torch.float64)
    with torch.no_grad():
        model.fc.weight.mul_(4.0)
        model.fc.weight[:, 0] += 10.0**decade
        model.fc.weight[:, 1] -= 10.0**decade
        x[:, 1] = x[:, 0]
    w = [[Fraction(v) for v in row] for row in model.fc.weight.tolist()]
    b = [Fraction(v) for v in model.fc.bias.tolist()]
    taken = model(x).argmax(dim=1).tolist()
    exact = []
    for point, c in zip(x.tolist(), taken, strict=True):
        f = [sum(a * Fraction(v) for a, v in zip(row, point, strict=True)) + s for row, s in zip(w, b, strict=True)]
        squares = []
        for k in range(3):
            if k != c:
                size = sum((i - j) ** 2 for i, j in zip(w[c], w[k], strict=True))
                gap = max(f[c] - f[k], Fraction(0))
                squares.append(gap**2 / size if size else Fraction(10**40) * (gap > 0))
        exact.append(min(squares))
    return model, x, torch.zeros(3, dtype=torch.long), exact


def test_the_plain_quotient_fails_that_test() -> None:
    above = 0
    for seed in range(40):
        model, x, _, exact = cancelling(seed, 12)
        f, weight = model(x).detach(), model.fc.weight.detach()  # type: ignore[union-attr]
        own = f.argmax(dim=1)
        ratios = (f.amax(dim=1, keepdim=True) - f) / torch.cdist(weight, weight)[own]
        plain = ratios.scatter(1, own[:, None], math.inf).amin(dim=1).tolist()
        above += sum(Fraction(value) ** 2 > square for value, square in zip(plain, exact, strict=True))
    assert above > 10


def test_linear_models_and_ties() -> None:
    model, x, y = draw(4, (5, 3))
    for methods in (("norms",), ("relaxation",)):
        found, exact = lower_bound(model, x, y, methods=methods, steps=40), exact_relu(model, x, y)
        torch.testing.assert_close(found.values, exact.values, rtol=1e-9, atol=0)
        assert (found.values <= exact.values).all()
    tie = MLP(3, 2, 4, generator=torch.Generator().manual_seed(1))
    nn.init.zeros_(tie.fc2.weight)
    nn.init.zeros_(tie.fc2.bias)
    assert lower_bound(tie, torch.rand(2, 3), torch.tensor([0, 1])).values.tolist() == [0.0, 0.0]


def test_logits_that_nothing_moves_have_no_boundary() -> None:
    """A layer of zeros: the constant is 0 and every quotient by it infinite, as the distance is; so is its mean."""
    model, x, y = draw(5, (4, 3, 3))
    model[0].weight.data.zero_()
    for methods in (("norms",), ("norms", "relaxation")):
        found = lower_bound(model, x, y, methods=methods)
        assert found.values.tolist() == [math.inf] * len(x) == exact_relu(model, x, y).values.tolist()
        assert math.isnan(found.mean())
        assert found.summary()["found"] == 0.0


def small_net(seed: int) -> tuple[ConvNet, Tensor, Tensor]:
    """Kernels that are all positive, for which reshaped norms are far too small."""
    g = torch.Generator().manual_seed(seed)
    model = ConvNet(1, 16, (2, 2), 6, 3, generator=g).double()
    for name, parameter in model.named_parameters():
        if "conv" in name:
            parameter.data = 0.2 * parameter.data.abs()
    x = torch.rand(6, 256, generator=g, dtype=torch.float64)
    return model, x, torch.randint(3, (6,), generator=g)


@settings(max_examples=4)
@given(seeds)
def test_convolution_nets_are_below_every_adversarial_point(seed: int) -> None:
    model, x, y = small_net(seed)
    found = lower_bound(model, x, y)
    assert found.method == "operator norms"
    upper = minimum_norm(model, x, y, box=None).distances
    assert (found.values <= upper.values).all()
    assert (found.values > 0.0).all()


def with_reshaped_norms(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The twin: the same bound, had the norms of the reshaped kernels been the operators'."""
    true, reshaped = (math.prod(norms(model).values()) for norms in (operator_norms, reshaped_norms))
    return lower_bound(model, x, y).values * (true / reshaped)


def test_reshaped_norms_are_caught_above_an_adversarial_point(shared: object) -> None:
    """On the net that the paper trained to have orthogonal reshaped kernels."""
    from deep import load_mnist

    model, _ = load_published(shared / "reference" / "MNISTCNN_constraint_00200.tar")  # type: ignore[operator]
    data = load_mnist(shared / "data" / "mnist")  # type: ignore[operator]
    x, y = torch.tensor(data.test_x[:4]), torch.tensor(data.test_y[:4])
    upper = minimum_norm(model, x, y, box=None, starts=1).distances.values
    assert (lower_bound(model, x, y).values <= upper).all()
    assert (with_reshaped_norms(model, x, y) > upper).any()


def test_reshaped_norms_are_caught_on_a_net_of_few_weights() -> None:
    """One convolution with equal weights: its norm is all but 3 times that of the reshaped kernel."""
    model = nn.Sequential(nn.Conv2d(1, 1, 3, bias=False), nn.Flatten(), nn.Linear(196, 2)).double()
    nn.init.constant_(model[0].weight, 1.0 / 9.0)  # type: ignore[arg-type]
    with torch.no_grad():
        model[2].weight.copy_(torch.stack([torch.ones(196), -torch.ones(196)]))  # type: ignore[operator, union-attr]
        model[2].bias.zero_()  # type: ignore[operator, union-attr]
    x, y = torch.full((1, 1, 16, 16), 0.5, dtype=torch.float64), torch.tensor([0])
    upper = minimum_norm(model, x, y, box=None).distances.values
    true = operator_norms(model, image=(1, 16, 16))["0"]
    found = lower_bound(model, x, y).values
    assert (found <= upper).all()
    assert (found * true / reshaped_norms(model)["0"] > 1.5 * upper).all()


def test_training_mode_and_dtype_do_not_matter() -> None:
    g = torch.Generator().manual_seed(5)
    model = ConvNet(1, 16, (2, 3), 5, 3, dropout=0.5, generator=g).train()
    x, y = torch.rand(2, 256, generator=g), torch.tensor([0, 1])
    found = lower_bound(model, x, y)
    assert model.training
    for other in (
        lower_bound(model.eval(), x.reshape(2, 1, 16, 16), y),
        lower_bound(model.double(), x.double(), y),
    ):
        torch.testing.assert_close(other.values, found.values, rtol=1e-12, atol=0)  # sums of hundreds of terms


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 2))
    model[0].register_forward_hook(lambda _, __, out: 2.0 * out)
    return model


class Twice(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * super().forward(x)


class Steep(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(100.0 * x)


def _steep_layer(model: MLP) -> Any:
    model.fc1.__class__ = Steep


def _own_forward(model: MLP) -> Any:
    model.forward = lambda x: MLP.forward(model, 100.0 * x)  # type: ignore[method-assign]


def _own_forward_of_a_layer(model: MLP) -> Any:
    model.fc1.forward = lambda x: nn.Linear.forward(model.fc1, 100.0 * x)  # type: ignore[method-assign]


ALTERED: dict[str, tuple[Callable[[MLP], Any], str]] = {
    "a layer of another type": (_steep_layer, "layer 'fc1' of type Steep must be one that a rigorous bound knows"),
    "a hook on the model": (
        lambda m: m.register_forward_pre_hook(lambda _, given: (100.0 * given[0],)),
        "model=MLP must have no forward hooks",
    ),
    "hooks on all modules": (
        lambda m: register_module_forward_pre_hook(lambda of, given: (100.0 * given[0],) if of is m else None),
        "torch must have no forward hooks on all modules",
    ),
    "a forward of its own": (_own_forward, "model=MLP must have the forward of its type, MLP"),
    "a layer's own forward": (_own_forward_of_a_layer, "layer 'fc1' must have the forward of its type, Linear"),
}


@pytest.mark.parametrize("how", ALTERED)
def test_a_known_model_that_computes_something_else_is_refused(how: str) -> None:
    g = torch.Generator().manual_seed(7)
    model = MLP(6, 3, hidden=8, generator=g)
    x, y = torch.rand(4, 6, generator=g), torch.tensor([0, 1, 2, 0])
    before = lower_bound(model, x, y).values
    alter, message = ALTERED[how]
    handle = alter(model)
    try:
        # The alteration matters: a point of another prediction is nearer than the bound of the weights alone.
        nearest = minimum_norm(model, x, y, box=None, dtype=torch.float64).distances.values
        assert (nearest < before).any()
        for method in (lower_bound, exact_relu):
            with pytest.raises(ValueError, match=message) as caught:
                method(model, x, y)
            assert "\n" not in str(caught.value)
    finally:
        if handle is not None:
            handle.remove()


def test_parametrised_weights_are_those_of_evaluation_and_reading_changes_nothing() -> None:
    torch.manual_seed(0)  # torch's own layers take no generator
    model = nn.Sequential(spectral_norm(nn.Linear(30, 20)), nn.ReLU(), nn.Linear(20, 3)).train()
    stored = {name: value.clone() for name, value in model.state_dict().items()}
    x, y = torch.rand(4, 30), torch.tensor([0, 1, 2, 0])
    found = lower_bound(model, x, y).values
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())
    assert model[0].training
    assert torch.equal(found, lower_bound(model.eval(), x, y).values)
    model.train()(x)  # what reading in training mode would have done
    assert not all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())


def test_rows_that_differ_by_less_than_a_square_can_show_are_no_equal_rows() -> None:
    model = nn.Linear(1, 2, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0], [1e-200]], dtype=torch.float64))
        model.bias.copy_(torch.tensor([1e-190, 0.0], dtype=torch.float64))
    x, y = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([0])
    assert model(torch.full((1, 1), 2e10, dtype=torch.float64)).argmax() == 1  # a finite distance, then
    assert float(lower_bound(model, x, y, methods=("norms",)).values) < 2e10
    model.weight.data.zero_()
    assert float(lower_bound(model, x, y).values) == math.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ()}, r"methods=\(\) must be one or more of 'norms', 'relaxation'"),
        ({"methods": ("crown",)}, r"methods=\('crown',\) must be"),
        ({"steps": -1}, r"steps=-1 must be an integer of at least 0"),
        (
            {"model": nn.Sequential(nn.Linear(3, 2), nn.Softmax(1))},
            r"layer '1' of type Softmax must be one of this",
        ),
        ({"model": nn.Sequential(nn.Linear(3, 2), nn.ReLU())}, r"model=Sequential must end in a linear layer"),
        ({"model": nn.Linear(3, 1)}, r"model=Linear must end in a linear layer with at least two outputs"),
        ({"model": hooked()}, r"layer '0' must have no forward hooks"),
        ({"model": Twice(3, 2)}, r"model=Twice must be one of this package's"),
        ({"x": torch.full((2, 3), math.nan)}, r"x\[0\] must be finite"),
        ({"y": torch.tensor([2, 0])}, r"y\[0\]=2 must lie in 0..1"),
        ({"x": torch.ones(2, 3, dtype=torch.uint8)}, r"torch.uint8 must be real of shape .* bytes divided by 255"),
        ({"x": "images"}, r"x of type str must be a tensor or an array of numbers"),
        ({"y": None}, r"y of type NoneType must be a tensor or an array of numbers"),
        ({"model": nn.Linear(3, 2, dtype=torch.complex64)}, r"weights of torch.complex64 on cpu must be real"),
        ({"model": nn.Linear(3, 2, device="meta")}, r"weights of torch.float32 on meta must be real, and at hand"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"model": nn.Linear(3, 2), "x": torch.ones(2, 3), "y": torch.tensor([0, 1])}
    lower_bound(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message) as caught:
        lower_bound(**(good | change))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
