"""Exact distances of linear models: theory's numbers, whatever dtype and shape the model takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deep import LinearClassifier, linear_distances
from theory.boxed import boxed_linear_distances
from theory.margins import linear_margins

ROUNDING = 1e-11  # float64 sums of a few terms in another order, times the cancellation in gaps that a draw may bring


def draw(seed: int, n: int = 7, d: int = 6, classes: int = 4) -> tuple[LinearClassifier, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    model = LinearClassifier(d, classes, generator=g)
    return model, torch.rand(n, d, generator=g), torch.randint(classes, (n,), generator=g)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["l2", "linf", "l1"]))
def test_the_numbers_are_theorys(seed: int, norm: str) -> None:
    model, x, y = draw(seed)
    arrays = model.fc.weight.detach().double().numpy(), model.fc.bias.detach().double().numpy(), x.double().numpy()
    found = linear_distances(model, x, y, norm)
    np.testing.assert_allclose(found.signed.numpy(), linear_margins(*arrays, y.numpy(), norm), rtol=0, atol=ROUNDING)
    assert (found.kind, found.norm, found.box) == ("exact", norm, None)
    boxed = linear_distances(model, x, y, norm, box=(0.0, 1.0))
    np.testing.assert_array_equal(boxed.values.numpy(), boxed_linear_distances(*arrays, (0.0, 1.0), norm)[1])
    assert boxed.box == (0.0, 1.0)
    assert (boxed.correct == found.correct).all()


def test_a_float32_margin_would_fail_that_test() -> None:
    model, x, y = draw(3)
    f = model(x).detach()
    rows = torch.cdist(model.fc.weight, model.fc.weight)[f.argmax(1)]
    low = ((f.amax(1, keepdim=True) - f) / rows).nan_to_num(nan=torch.inf).amin(1)
    assert (linear_distances(model, x, y).values - low.double()).abs().max() > ROUNDING


def test_shapes_dtypes_and_many_images_agree() -> None:
    model, x, y = draw(5, n=600, d=12)
    expected = linear_distances(model, x, y).values
    single = torch.cat([linear_distances(model, x[i : i + 1], y[i : i + 1]).values for i in range(600)])
    torch.testing.assert_close(single, expected, rtol=0, atol=ROUNDING)
    wide = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), model.fc)
    torch.testing.assert_close(
        linear_distances(wide, x.reshape(600, 3, 2, 2), y).values, expected, rtol=0, atol=ROUNDING
    )
    assert linear_distances(model.double(), x.double(), y).values.dtype == torch.float64
    assert linear_distances(nn.Linear(12, 3, bias=False), x, y % 3).kind == "exact"


def test_a_tie_is_at_distance_zero_and_counts_as_the_first_class() -> None:
    model = nn.Linear(2, 2)
    nn.init.constant_(model.weight, 0.5)
    nn.init.zeros_(model.bias)
    found = linear_distances(model, torch.rand(2, 2), torch.tensor([0, 1]))
    assert found.values.tolist() == [0.0, 0.0]
    assert found.correct.tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 2))}, r"model=Sequential must be linear"),
        ({"model": nn.Bilinear(2, 2, 2)}, r"model=Bilinear must be one of this package's"),
        ({"x": torch.full((2, 6), torch.nan)}, r"x\[0\] must be finite"),
        ({"x": torch.ones(2, 5)}, r"takes vectors of 6"),
        ({"x": torch.ones(2, 6, dtype=torch.int64)}, r"must be real of shape"),
        ({"y": torch.tensor([0, 4])}, r"y\[1\]=4 must lie in 0..3"),
        ({"y": torch.tensor([0])}, r"y of shape \(1,\)"),
        ({"norm": "l7"}, r"norm='l7' must be one of"),
        ({"box": (0.0, 0.5)}, r"must lie in the box \[0.0, 0.5\]"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    model, _, _ = draw(1)
    good: dict[str, object] = {"model": model, "x": torch.ones(2, 6), "y": torch.tensor([0, 1]), "norm": "l2"}
    linear_distances(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message) as caught:
        linear_distances(**(good | change))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
