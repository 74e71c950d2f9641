"""Certified operator norms: above the norm in exact arithmetic, tight, and not those of reshaped kernels."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deep import ConvNet, build_model, load_published, operator_norms, reshaped_norms
from deep.bounds._chain import Convolution
from deep.bounds._reading import convolution, read_chain
from deep.bounds.norms import certified_norms, convolution_norm

TIGHT = 1e-9  # what the docstring promises, relatively
LAPACK = 1e-12  # its singular values of small matrices, relatively

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40)
@given(seeds, st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_bounds_are_tight(seed: int, m: int, k: int, complex_: bool) -> None:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(3, m, k)) * 10.0 ** rng.integers(-150, 150)
    if complex_:
        a = a + 1j * rng.normal(size=(3, m, k)) * np.abs(a).max()
    expected = np.linalg.svd(a, compute_uv=False)[:, 0]
    found = certified_norms(a)
    assert (found >= expected * (1.0 - LAPACK)).all()
    assert (found <= expected * (1.0 + TIGHT)).all()


@settings(max_examples=60)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=6), st.lists(st.integers(-9, 9), min_size=1, max_size=6))
def test_bounds_are_above_the_norm_in_exact_arithmetic(u: list[int], v: list[int]) -> None:
    """||u v^T|| = ||u|| ||v||, whose square is an integer."""
    matrix = np.outer(u, v).astype(np.float64)
    exact = Fraction(sum(i * i for i in u)) * sum(i * i for i in v)
    assert Fraction(float(certified_norms(matrix))) ** 2 >= exact


def test_plain_singular_values_fail_that_test() -> None:
    """LAPACK's largest singular value lies below the exact one for some of these matrices."""
    below = 0
    for u, v in itertools.product(itertools.product(range(1, 6), repeat=2), repeat=2):
        exact = Fraction(sum(i * i for i in u)) * sum(i * i for i in v)
        matrix = np.outer(u, v).astype(np.float64)
        below += Fraction(float(np.linalg.svd(matrix, compute_uv=False)[0])) ** 2 < exact
        assert Fraction(float(certified_norms(matrix))) ** 2 >= exact
    assert below > 0


def dense(layer: Convolution) -> torch.Tensor:
    """The convolution without its bias as a matrix, one column for each entry of the image."""
    size = math.prod(layer.shape)
    basis = torch.eye(size, dtype=torch.float64).reshape(size, *layer.shape)
    return (layer(basis) - layer(torch.zeros_like(basis[:1]))).flatten(1).T


@settings(max_examples=30)
@given(
    seeds,
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2]),
    st.integers(0, 2),
    st.sampled_from([1, 2]),
    st.integers(1, 3),
)
def test_convolutions_as_operators(seed: int, groups: int, stride: int, padding: int, dilation: int, taps: int) -> None:
    """Never below the norm of the operator written out; that of the full-size circular one is met."""
    torch.manual_seed(seed)
    module = nn.Conv2d(
        2 * groups, groups, (taps, 2), stride=stride, padding=padding, dilation=dilation, groups=groups
    ).double()
    layer = convolution("it", module, (2 * groups, 6, 7))
    norm = float(torch.linalg.matrix_norm(dense(layer), 2))
    found = convolution_norm(layer)
    assert found >= norm * (1.0 - LAPACK)
    tall, wide = layer.torus
    kernel = np.zeros((groups, 2, tall, wide))
    steps = np.ix_(range(groups), range(2), np.arange(taps) * dilation % tall, np.arange(2) * dilation % wide)
    np.add.at(kernel, steps, module.weight.detach().numpy())
    frequencies = np.moveaxis(np.fft.fft2(kernel), (0, 1), (2, 3))  # an independent transform, group by group
    circular = max(float(np.linalg.svd(frequencies[..., g : g + 1, :], compute_uv=False).max()) for g in range(groups))
    assert found == pytest.approx(circular, rel=TIGHT)


def test_reshaped_norms_are_no_bound() -> None:
    """Broken twin: for a kernel of ones the reshaped norm is 3, the operator's all but 9."""
    module = nn.Conv2d(1, 1, 3, bias=False).double()
    nn.init.constant_(module.weight, 1.0)
    norm = float(torch.linalg.matrix_norm(dense(convolution("it", module, (1, 16, 16))), 2))
    assert reshaped_norms(module)[""] == pytest.approx(3.0, rel=TIGHT)
    assert reshaped_norms(module)[""] < 0.4 * norm
    assert operator_norms(module, image=(1, 16, 16))[""] >= norm


@pytest.mark.parametrize("name", ["linear", "mlp", "mnist-cnn"])
def test_every_layer_has_its_name(name: str) -> None:
    model = build_model(name, hidden=20, generator=torch.Generator().manual_seed(1))
    keys = [key.removesuffix(".weight") for key in model.state_dict() if key.endswith("weight")]
    true, reshaped = operator_norms(model), reshaped_norms(model)
    assert list(true) == list(reshaped) == keys
    for key in keys:
        if "fc" in key:
            weight = model.get_submodule(key).weight.detach().double().numpy()  # type: ignore[union-attr]
            assert true[key] == reshaped[key] == pytest.approx(np.linalg.norm(weight, 2), rel=TIGHT)
        else:
            assert reshaped[key] < true[key] < 3.0 * reshaped[key]


def test_the_product_bounds_how_far_outputs_move() -> None:
    g = torch.Generator().manual_seed(2)
    model = ConvNet(2, 16, (3, 4), 8, 5, generator=g).double()
    bound = math.prod(operator_norms(model).values())
    x = torch.rand(40, 512, generator=g, dtype=torch.float64)
    step = 0.01 * torch.randn(40, 512, generator=g, dtype=torch.float64)
    with torch.no_grad():
        ratio = (model(x + step) - model(x)).norm(dim=1) / step.norm(dim=1)
    assert 0.0 < float(ratio.max()) <= bound


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (2, 1), ((3, 2), (1, 2))])
def test_pooling_is_lipschitz_with_the_constant_stated(kernel: int, stride: int) -> None:
    model = nn.Sequential(nn.MaxPool2d(kernel, stride), nn.Flatten(), nn.LazyLinear(2))
    model(torch.zeros(1, 2, 7, 8))
    pool = read_chain(model.double(), (2, 7, 8)).layers[0]
    assert pool.lipschitz >= 1.0  # type: ignore[union-attr]
    g = torch.Generator().manual_seed(3)
    x, z = torch.randn(2, 200, 2, 7, 8, generator=g, dtype=torch.float64)
    z = torch.where(torch.rand(z.shape, generator=g) < 0.1, z, x)
    ratio = (pool(x) - pool(z)).flatten(1).norm(dim=1) / (x - z).flatten(1).norm(dim=1)
    assert float(ratio.max()) <= pool.lipschitz  # type: ignore[union-attr]
    one = torch.zeros(1, 2, 7, 8, dtype=torch.float64)
    one[0, 0, 4, 4] = 1.0  # a single entry in as many windows as there may be
    assert float(pool(one).norm()) == pytest.approx(pool.lipschitz, rel=TIGHT)  # type: ignore[union-attr]


def test_the_constraint_net_is_not_what_its_penalty_says(shared: object) -> None:
    model, _ = load_published(shared / "reference" / "MNISTCNN_constraint_00200.tar")  # type: ignore[operator]
    assert math.prod(reshaped_norms(model).values()) < 1.5
    assert math.prod(operator_norms(model).values()) > 90.0


def test_bad_models_are_named() -> None:
    with pytest.raises(ValueError, match=r"image=None must be \(channels, height, width\)"):
        operator_norms(nn.Conv2d(1, 1, 3))
    for bad in (math.nan, math.inf):
        layer = nn.Sequential(nn.Linear(2, 2))
        layer[0].weight.data[0, 1] = bad  # type: ignore[operator, index]
        for call in (operator_norms, reshaped_norms):
            with pytest.raises(ValueError, match=r"layer '0': weights must be finite"):
                call(layer)
    with pytest.raises(ValueError, match=r"model=ReLU must have a linear layer"):
        reshaped_norms(nn.ReLU())
    with pytest.raises(ValueError, match=r"layer '0' of type Bilinear must be Linear or Conv2d"):
        operator_norms(nn.Sequential(nn.Bilinear(2, 2, 2)))
    with pytest.raises(ValueError, match=r"layer '': padding must be by zeros"):
        operator_norms(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), image=(1, 8, 8))
