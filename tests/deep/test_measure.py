"""Measured margins: the model's mode, bad logits, and the statistics of exact distances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import deep
from deep import MLP, Dataset, LinearClassifier, measure
from theory.margins import functional_margins, linear_label_margins, linear_margins


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(9)


class Fixed(nn.Module):
    """Returns the logits it was given."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


def test_margins_of_a_model_are_the_functional_margins(toy: Dataset) -> None:
    model = MLP(7, 3, hidden=5, generator=generator()).double()
    x, y = toy.test_x, toy.test_y
    expected = functional_margins(model(torch.tensor(x, dtype=torch.float64)).detach().numpy(), y)
    np.testing.assert_array_equal(deep.margins(model, x, y), expected)
    np.testing.assert_array_equal(deep.margins(model, torch.tensor(x), torch.tensor(y)), expected)


def test_margins_are_taken_in_evaluation_mode_and_every_mode_is_restored(toy: Dataset) -> None:
    head = LinearClassifier(7, 3, generator=generator())
    frozen = nn.BatchNorm1d(7)
    model = nn.Sequential(frozen, nn.Dropout(0.5), head)
    model.train()
    frozen.eval()
    statistics = frozen.running_mean
    assert statistics is not None
    before = statistics.clone()
    first, again = (deep.margins(model, toy.test_x, toy.test_y) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert [part.training for part in model.modules()] == [True, False, True, True, True]
    assert torch.equal(statistics, before)
    assert all(p.grad is None for p in model.parameters())


def test_the_mode_is_restored_after_an_error(toy: Dataset) -> None:
    model = LinearClassifier(8, 3, generator=generator())
    with pytest.raises(ValueError, match=r"images of shape \(7,\), torch.float32 must be what model=LinearClassifier"):
        deep.margins(model, toy.test_x, toy.test_y)
    assert model.training


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_no_margins(bad: float) -> None:
    model = Fixed(torch.tensor([[1.0, 2.0], [0.5, bad], [bad, 0.5]]))
    with pytest.raises(ValueError, match=r"logits\[1\]=.* must be finite; 2 rows are not"):
        deep.margins(model, np.zeros((3, 4)), [0, 1, 1])


@pytest.mark.parametrize(
    ("logits", "x", "y", "message"),
    [
        (torch.zeros(3), np.zeros((3, 4)), [0, 0, 0], r"logits of shape \(3,\) must have shape \(3, c\)"),
        (torch.zeros(2, 5), np.zeros((3, 4)), [0, 0, 0], r"logits of shape \(2, 5\) must have shape \(3, c\)"),
        (torch.zeros(3, 5), np.zeros(3), [0, 0, 0], r"x of shape \(3,\), torch.float64 must be real of shape"),
        (torch.zeros(3, 5), np.zeros((0, 4)), [], r"x of shape \(0, 4\)"),
        (torch.zeros(3, 5), np.zeros((3, 4)), [0, 0], r"labels of shape \(2,\)"),
        (torch.zeros(3, 5), np.zeros((3, 4)), [0, 5, 0], r"labels\[1\]=5 must lie in 0..4"),
    ],
)
def test_bad_requests_are_named(logits: Tensor, x: np.ndarray, y: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        deep.margins(Fixed(logits), x, y)


def test_statistics_of_distances_are_those_of_the_exact_ones(toy: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LinearClassifier(7, 3, generator=generator())
    weight, bias = (p.detach().double().numpy() for p in (model.fc.weight, model.fc.bias))
    x, y = toy.train_x, toy.train_y
    signed, label = linear_margins(weight, bias, x, y), linear_label_margins(weight, bias, x, y)
    assert 0 < (signed > 0).sum() < len(y)
    expected = {
        "p_distance_mean": signed.mean(),
        "p_distance_min": signed.min(),
        "p_distance_correct_mean": signed[signed > 0].mean(),
        "p_label_distance_mean": label.mean(),
        "p_label_distance_min": label.min(),
    }
    assert len(set(expected.values())) == 5
    for name, values in (("distance", signed), ("label_distance", label)):
        for key, q in measure.QUANTILES.items():
            expected[f"p_{name}_{key}"] = np.quantile(values, q)
    for rows in (len(y), 64, 7):  # a chunk of images changes nothing but the rounding of a matrix product
        monkeypatch.setattr(measure, "_EXACT_ROWS", rows)
        assert measure.distances(model, x, y, "p") == pytest.approx(expected, rel=1e-12)


def test_statistics_without_a_right_answer() -> None:
    model = LinearClassifier(1, 2, generator=generator())
    with torch.no_grad():
        model.fc.weight.copy_(torch.tensor([[2.0], [0.0]]))
        model.fc.bias.zero_()
    found = measure.distances(model, np.array([[0.5]], dtype=np.float32), np.array([1]), "p")
    assert found["p_distance_correct_mean"] == 0.0
    assert found["p_distance_mean"] == found["p_label_distance_min"] == -0.5


def test_evaluation_is_the_definition(toy: Dataset) -> None:
    model = LinearClassifier(7, 3, generator=generator()).double()
    x, y = torch.tensor(toy.test_x, dtype=torch.float64), torch.tensor(toy.test_y)
    logits = model(x).detach().numpy()
    alpha = functional_margins(logits, toy.test_y)
    found = measure.evaluate(model, nn.CrossEntropyLoss(), x, y, "p")
    log_q = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert found == pytest.approx(
        {
            "p_loss": -np.take_along_axis(log_q, toy.test_y[:, None], axis=1).mean(),
            "p_accuracy": (alpha > 0).mean(),
            "p_margin_mean": alpha.mean(),
            "p_margin_min": alpha.min(),
            **{f"p_margin_{key}": np.quantile(alpha, q) for key, q in measure.QUANTILES.items()},
        },
        rel=1e-12,
    )
