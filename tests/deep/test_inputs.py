"""Every measurement has one door: tensors, arrays, lists alike, and one line for what is not real images or labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deep import (
    decision_search,
    exact_relu,
    flags,
    linear_distances,
    lower_bound,
    margins,
    minimum_norm,
    pgd,
    published_pgd,
    sampled_estimate,
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def drawn_model() -> nn.Module:
    model = nn.Linear(4, 3, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(), dtype=torch.float64))
    return model


MEASURES: dict[str, Callable[[nn.Module, Any, Any], Any]] = {
    "margins": lambda m, x, y: torch.from_numpy(margins(m, x, y)),
    "linear_distances": lambda m, x, y: linear_distances(m, x, y).signed,
    "linear_distances, boxed": lambda m, x, y: linear_distances(m, x, y, box=(0.0, 1.0)).signed,
    "lower_bound": lambda m, x, y: lower_bound(m, x, y).signed,
    "exact_relu": lambda m, x, y: exact_relu(m, x, y).signed,
    "sampled_estimate": lambda m, x, y: sampled_estimate(m, x, y, samples=8, generator=generator()).signed,
    "minimum_norm": lambda m, x, y: minimum_norm(m, x, y).distances.signed,
    "decision_search": lambda m, x, y: decision_search(m, x, y, generator=generator()).distances.signed,
    "pgd": lambda m, x, y: pgd(m, x, y, 0.2, steps=5).adversarial,
    "published_pgd": lambda m, x, y: published_pgd(m, x, y, 0.2, steps=5, generator=generator()).adversarial,
    "flags": lambda m, x, y: torch.tensor([flag.number for flag in flags(m, x, y, steps=5, generator=generator())]),
}

X = torch.rand(5, 4, generator=generator(), dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 1, 0])


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array = array.copy()
    array.flags.writeable = False
    return array


FORMS: dict[str, Callable[[Tensor], Any]] = {
    "array": lambda t: t.numpy(),
    "read-only": lambda t: read_only(t.numpy()),
    "backwards": lambda t: t.numpy()[::-1].copy()[::-1],
    "other byte order": lambda t: t.numpy().astype(t.numpy().dtype.newbyteorder(">")),
    "list": lambda t: t.tolist(),
    "with a gradient": lambda t: t.clone().requires_grad_() if t.is_floating_point() else t,
    "short labels": lambda t: t if t.is_floating_point() else t.to(torch.uint8),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MEASURES)
def test_the_form_of_the_numbers_does_not_matter(name: str, form: str) -> None:
    model, measure = drawn_model(), MEASURES[name]
    wanted = measure(model, X, Y)
    assert torch.isfinite(wanted).any()
    assert torch.equal(measure(model, FORMS[form](X), FORMS[form](Y)), wanted)


WRONG: dict[str, tuple[Any, Any, str]] = {
    "bytes": ((X * 255).to(torch.uint8), Y, r"x of shape \(5, 4\), torch.uint8 must be real of shape \(n, \.\.\.\)"),
    "bytes of an array": ((X * 255).numpy().astype("u1"), Y, "torch.uint8 must be real"),
    "bools": (X > 0.5, Y, "torch.bool must be real"),
    "complex": (X.to(torch.complex64), Y, "torch.complex64 must be real"),
    "empty": (X[:0], Y[:0], r"x of shape \(0, 4\), torch.float64 must be real of shape \(n, \.\.\.\) with n >= 1"),
    "no pixels": (X[:, :0], Y, r"x of shape \(5, 0\)"),
    "one image without n": (X[0], Y[:1], r"x of shape \(4,\)"),
    "words": ("images", Y, "x of type str must be a tensor or an array of numbers"),
    "nothing": (None, Y, "x of type NoneType must be"),
    "not a number": (X.where(X.min() < X, torch.nan), Y, "must be finite|must lie in the box"),
    "label too large": (X, Y + 1, r"\[2\]=3 must lie in 0..2"),
    "label too small": (X, Y - 1, r"\[0\]=-1 must lie in 0..2"),
    "labels of reals": (X, Y.double(), "torch.float64 must be 5 integers|must be integers"),
    "labels of bools": (X, Y > 0, "torch.bool must be 5 integers|bool must be integers"),
    "too few labels": (X, Y[:3], r"shape \(3,\)"),
    "one-hot": (X, nn.functional.one_hot(Y), r"shape \(5, 3\)"),
    "no labels": (X, None, "NoneType|object must be integers|shape"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", MEASURES)
def test_what_is_no_image_or_label_is_one_line(name: str, what: str) -> None:
    x, y, message = WRONG[what]
    with pytest.raises(ValueError, match=message) as caught:
        MEASURES[name](drawn_model(), x, y)
    assert "\n" not in str(caught.value)


def test_a_door_left_open_fails_that_test() -> None:
    x, y, message = WRONG["bytes"]
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"), pytest.raises(ValueError, match=message):
        drawn_model()(torch.as_tensor(x).double())[torch.arange(5), y]


class Constant(nn.Module):
    """Logits that do not depend on x: ties, or one class everywhere."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


def test_logits_without_a_gradient_are_measured_too() -> None:
    x, y = X.float(), torch.zeros(5, dtype=torch.int64)
    tied = sampled_estimate(Constant(0.0, 0.0), x, y, samples=8, generator=generator())
    assert tied.values.tolist() == [0.0] * 5
    flat = sampled_estimate(Constant(1.0, 0.0), x, y, samples=8, radius=3.0, generator=generator())
    assert flat.values.tolist() == [3.0] * 5  # no gradient: the cap
    assert minimum_norm(Constant(1.0, 0.0), x, y).distances.found.sum() == 0
