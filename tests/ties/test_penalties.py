"""Both average-margin penalties: torch's against theory's trees, and the two parts of DCA against the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deep import AverageMarginLoss, ConvNet, Dataset, ExpressionLoss, TrainConfig, build_model
from deep._torch_ops import label_scores
from deep.dca import subtracted_gradient
from deep.losses import PENALTIES
from deep.training import _Job
from theory import catalogue

RTOL = 1e-12  # the same sums in another order, in float64
NAMES = {"paper": "average-margin", "released": "average-margin-released"}
PENALTY = pytest.mark.parametrize("penalty", PENALTIES)


def draw(seed: int, n: int = 40, features: int = 6, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.rand((n, features), generator=g, dtype=torch.float64), torch.randint(classes, (n,), generator=g)


def full_gradient(model: nn.Module, value: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(value, list(model.parameters())))


@PENALTY
@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=1, max_size=6),
    mu=st.sampled_from([0.125, 0.75, 3.0]),
    tau=st.sampled_from([1, 2, 5]),
)
def test_modules_are_theorys_trees_at_kinks_and_ties(penalty: str, rows: list[list[int]], mu: float, tau: int) -> None:
    """Integer scores meet alpha = 0, alpha = tau and ties of the rivals all the time.

    Values agree there too. At a kink the module takes one side and the tree the mean of both, so gradients are compared
    where the margin is off the kinks; ties of the rivals share the gradient in both.
    """
    logits = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(len(rows)) % 3
    module = AverageMarginLoss(mu, tau, penalty)
    tree = ExpressionLoss(catalogue.get(NAMES[penalty], mu=mu, tau=tau))
    found, wanted = module(logits, labels), tree(logits, labels)
    torch.testing.assert_close(found, wanted, rtol=RTOL, atol=1e-15)
    own = logits.detach().gather(1, labels[:, None])[:, 0]
    alpha = own - logits.detach().scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    kinks = (0.0, float(tau)) if penalty == "paper" else (0.0, float(-tau))
    smooth = (alpha != kinks[0]) & (alpha != kinks[1])
    one, other = (torch.autograd.grad(v, logits)[0] for v in (found, wanted))
    torch.testing.assert_close(one[smooth], other[smooth], rtol=RTOL, atol=1e-15)


@PENALTY
@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(-4, 4), min_size=3, max_size=3), min_size=1, max_size=6),
    tau=st.sampled_from([1, 2, 5]),
)
def test_the_parts_are_the_loss_with_its_gradients_at_kinks_too(penalty: str, rows: list[list[int]], tau: int) -> None:
    logits = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    labels = (torch.arange(len(rows)) + 1) % 3
    loss = AverageMarginLoss(0.375, tau, penalty)
    whole = loss(logits, labels)
    parts = loss.convex_part(logits, labels) - loss.subtracted_part(logits, labels)
    torch.testing.assert_close(parts, whole, rtol=RTOL, atol=1e-15)
    torch.testing.assert_close(
        torch.autograd.grad(parts, logits)[0], torch.autograd.grad(whole, logits)[0], rtol=RTOL, atol=1e-15
    )


@PENALTY
@pytest.mark.parametrize("model_name", ["linear", "mlp", "cnn"])
def test_at_the_start_of_an_epoch_the_two_part_gradient_is_that_of_the_penalty(penalty: str, model_name: str) -> None:
    """Whole set, in chunks that do not divide it; the twin without the subtraction, and the other penalty, differ."""
    g = torch.Generator().manual_seed(21)
    if model_name == "cnn":
        model: nn.Module = ConvNet(1, 16, (2, 3), 5, classes=4, generator=g)
        x, y = draw(3, features=256)
    else:
        model = build_model(model_name, 6, 4, hidden=5, generator=g)
        x, y = draw(3)
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0)  # margins on both sides of every kink
    own, rivals = label_scores(model(x).detach(), y)
    tau = float((own - rivals.amax(dim=1)).abs().median())
    loss = AverageMarginLoss(0.6, tau, penalty)
    held = subtracted_gradient(model, loss, x, y, rows=7)
    wanted = full_gradient(model, loss(model(x), y))
    convex = full_gradient(model, loss.convex_part(model(x), y))
    scale = max(float(gradient.abs().max()) for gradient in wanted)
    for one, part, other in zip(convex, held, wanted, strict=True):
        torch.testing.assert_close(one - part, other, rtol=RTOL, atol=RTOL * scale)
    assert max(float((one - other).abs().max()) for one, other in zip(convex, wanted, strict=True)) > 1e-3 * scale
    twin = AverageMarginLoss(0.6, tau, next(p for p in PENALTIES if p != penalty))
    other = subtracted_gradient(model, twin, x, y)
    assert max(float((one - two).abs().max()) for one, two in zip(held, other, strict=True)) > 1e-3 * scale


def job(optimiser: str, **changes: object) -> _Job:
    x, y = draw(9, n=30)
    data = Dataset("drawn", x.float().numpy(), y.numpy(), x.float().numpy(), y.numpy())
    values: dict[str, object] = {"dataset": "drawn", "mu": 2.0, "tau": 0.4, "lr": 0.5, "dtype": "float64", "seed": 5}
    return _Job(TrainConfig(**(values | {"optimiser": optimiser} | changes)), data, None, [])  # type: ignore[arg-type]


def apart(one: _Job, other: _Job) -> float:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return max(float((p - q).abs().max()) for p, q in pairs)


def test_the_first_full_batch_step_is_the_same_and_later_ones_are_not() -> None:
    """One step an epoch: h belongs to the weights it is used at. With three steps it is stale at the second."""
    for batch_size, same in ((30, True), (10, False)):
        direct, dca = job("direct", batch_size=batch_size, beta=0.01), job("dca", batch_size=batch_size, beta=0.01)
        for one in (direct, dca):
            one._epoch()
        assert (apart(direct, dca) < 1e-12) is same


def test_an_epoch_of_dca_is_the_papers_by_hand() -> None:
    """Steps along grad G(batch) - h with h from the weights at the start, plain gradient descent, in NumPy."""
    dca = job("dca", batch_size=8, momentum=0.0)
    w, b = (p.detach().clone() for p in dca.model.parameters())
    order = torch.Generator()
    order.set_state(dca.order.get_state())
    x, y = dca.train_x.numpy(), dca.train_y.numpy()
    weight, bias = w.numpy().copy(), b.numpy().copy()

    def slopes(rows: np.ndarray, level: float) -> np.ndarray:
        """d/df of mu H_level(alpha), one row an image."""
        f = x[rows] @ weight.T + bias
        index = np.arange(len(rows))
        rivals = f.copy()
        rivals[index, y[rows]] = -np.inf
        top, active = rivals.argmax(axis=1), level - (f[index, y[rows]] - rivals.max(axis=1)) > 0
        found = np.zeros_like(f)
        found[index, y[rows]] -= 2.0 * active
        found[index, top] += 2.0 * active
        return found

    def entropy(rows: np.ndarray) -> np.ndarray:
        f = x[rows] @ weight.T + bias
        p = np.exp(f - f.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(rows)), y[rows]] -= 1.0
        return p

    everything = np.arange(len(y))
    h = slopes(everything, 0.0) / len(y)
    assert np.abs(h).max() > 0
    held = h.T @ x, h.sum(axis=0)
    for batch in torch.split(torch.randperm(len(y), generator=order), 8):
        rows = batch.numpy()
        g = (entropy(rows) + slopes(rows, 0.4)) / len(rows)
        step = g.T @ x[rows] - held[0], g.sum(axis=0) - held[1]
        weight -= 0.5 * step[0]
        bias -= 0.5 * step[1]
    dca._epoch()
    found = [p.detach().numpy() for p in dca.model.parameters()]
    np.testing.assert_allclose(found[0], weight, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found[1], bias, rtol=1e-10, atol=1e-12)


def test_a_released_beta_is_a_doubled_beta() -> None:
    released = job("direct", beta=0.02, beta_as="released", model="mlp", hidden=7)
    doubled, plain = (job("direct", beta=beta, model="mlp", hidden=7) for beta in (0.04, 0.02))
    for each in (released, doubled, plain):
        each._epoch()
    assert apart(released, doubled) < 1e-12 < 1e-4 < apart(released, plain)
