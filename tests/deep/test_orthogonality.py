"""The orthogonality penalty: values, gradients, the doubled loop of the released code, convolutions as operators."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from deep import ConvNet, build_model, orthogonality, orthogonality_penalty


def generator(seed: int = 4) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_net(seed: int = 4) -> ConvNet:
    return ConvNet(2, 16, (3, 5), 4, classes=3, generator=generator(seed)).double()


def by_the_formula(model: nn.Module) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for weight in model.parameters():
        if weight.ndim >= 2:
            rows = weight.reshape(len(weight), -1)
            total = total + (rows @ rows.T - torch.eye(len(rows), dtype=torch.float64)).pow(2).sum()
    return total


@pytest.mark.parametrize("model", [small_net(), build_model("mlp", 7, 3, hidden=12, generator=generator()).double()])
def test_value_and_gradient_are_those_of_the_formula(model: nn.Module) -> None:
    """Wide and tall weights: fc1 of the mlp is 12 by 7."""
    parameters = [p for p in model.parameters() if p.ndim >= 2]
    found, wanted = orthogonality_penalty(model), by_the_formula(model)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0.0)
    for one, other in zip(
        torch.autograd.grad(0.7 * found, parameters), torch.autograd.grad(0.7 * wanted, parameters), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_the_released_loop_counts_a_layer_again_at_its_bias() -> None:
    """Their loop over the parameters, written out: it holds the last weight seen when it comes to a bias."""
    model = small_net()
    total, last = 0.0, torch.zeros(0)
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            last = parameter.detach().reshape(len(parameter), -1)
        total += float((last @ last.T - torch.eye(len(last), dtype=torch.float64)).pow(2).sum())
    assert orthogonality_penalty(model, doubled=True).item() == pytest.approx(total, rel=1e-12)
    assert orthogonality_penalty(model).item() == pytest.approx(total / 2, rel=1e-12)
    unbiased = nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2)).double()
    first, second = (orthogonality_penalty(unbiased[i]).item() for i in (0, 2))
    assert orthogonality_penalty(unbiased, doubled=True).item() == pytest.approx(first + 2 * second, rel=1e-12)


def test_true_kernels_are_the_mean_over_frequencies() -> None:
    """Parseval, on a torus of 8 by 8, large enough for 3 by 3 kernels; linear layers are as before."""
    model = small_net()
    total = 0.0
    for parameter in model.parameters():
        weight = parameter.detach().numpy()
        if weight.ndim == 2:
            total += ((weight @ weight.T - np.eye(len(weight))) ** 2).sum()
        elif weight.ndim == 4:
            spectrum = np.fft.fft2(weight, s=(8, 8)).transpose(2, 3, 0, 1)
            gram = spectrum @ spectrum.conj().swapaxes(-1, -2) - np.eye(len(weight))
            total += (np.abs(gram) ** 2).sum(axis=(-1, -2)).mean()
    found = orthogonality_penalty(model, "true")
    assert found.item() == pytest.approx(total, rel=1e-12)
    assert abs(found.item() / orthogonality_penalty(model).item() - 1.0) > 0.01
    with pytest.raises(ValueError, match="kernels='flat' must be one of 'reshaped', 'true'"):
        orthogonality_penalty(model, "flat")


OTHERS = [
    nn.Conv2d(2, 4, 3, groups=2),
    nn.Conv2d(2, 4, 3, stride=2),
    nn.Conv2d(2, 4, 3, stride=(1, 2)),
    nn.ConvTranspose2d(2, 4, 3),
    nn.Conv1d(2, 4, 3),
    nn.Conv3d(2, 4, 2),
]


@pytest.mark.parametrize("layer", OTHERS, ids=repr)
def test_kernels_of_another_operator_are_refused(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, dilation=2), nn.BatchNorm2d(2), layer)
    assert orthogonality_penalty(model[:2], "true").item() > 0.0
    assert orthogonality_penalty(model).item() > 0.0  # reshaped: any weight is a matrix
    with pytest.raises(ValueError, match=r"layer '2', Conv.*, must be a Conv2d with stride 1 and groups 1") as caught:
        orthogonality_penalty(model, "true")
    assert "\n" not in str(caught.value)


def test_the_term_of_groups_would_be_another_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two groups of one channel, each an isometry: the operator's term is 0, that of its kernel in one group is not."""
    layer = nn.Conv2d(2, 2, 3, groups=2, bias=False).double()
    layer.weight.data.zero_()
    layer.weight.data[:, 0, 1, 1] = 1.0
    monkeypatch.setattr(orthogonality, "_check_convolutions", lambda model: None)
    assert orthogonality_penalty(layer, "true").item() == 2.0  # the two rows look like one and the same


def test_reshaped_kernels_do_not_bound_the_norm_and_true_ones_see_it() -> None:
    """A kernel of nine equal entries 1/3: a unit row once reshaped, and a sum that triples a constant image."""
    layer = nn.Conv2d(1, 1, 3, bias=False).double()
    layer.weight.data.fill_(1.0 / 3.0)
    assert orthogonality_penalty(layer).item() < 1e-28  # rounding of a sum of nine
    assert layer(torch.ones(1, 1, 5, 5, dtype=torch.float64)).max().item() == pytest.approx(3.0, rel=1e-12)
    assert orthogonality_penalty(layer, "true").item() > 1.0
    shift = torch.zeros_like(layer.weight)
    shift[0, 0, 2, 1] = -1.0  # an isometry
    layer.weight.data = shift
    assert orthogonality_penalty(layer, "true").item() == 0.0
    layer.weight.data[0, 0, 0, 0] = 0.5
    assert torch.autograd.gradcheck(lambda w: _of(layer, w), (layer.weight.detach().requires_grad_(),))


def _of(layer: nn.Conv2d, weight: torch.Tensor) -> torch.Tensor:
    return torch.func.functional_call(_Penalty(layer), {"layer.weight": weight}, ())


class _Penalty(nn.Module):
    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self) -> torch.Tensor:
        return orthogonality_penalty(self.layer, "true")
