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
    operator_norms,
    orthogonality_penalty,
    pgd,
    published_pgd,
    reshaped_norms,
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


@pytest.mark.parametrize("what", [None, "net", abs, torch.nn.functional.relu])
@pytest.mark.parametrize("name", MEASURES)
def test_what_is_no_model_is_one_line(name: str, what: Any) -> None:
    with pytest.raises(ValueError, match=r"model of type \w+ must be a torch.nn.Module") as caught:
        MEASURES[name](what, X, Y)
    assert "\n" not in str(caught.value)


def test_a_model_must_be_one_for_norms_and_penalties_too() -> None:
    for call in (orthogonality_penalty, operator_norms, reshaped_norms):
        with pytest.raises(ValueError, match=r"model of type function must be a torch.nn.Module"):
            call(lambda x: x)  # type: ignore[arg-type]


NUMBERS: dict[str, tuple[Callable[..., Any], str]] = {
    "eps": (lambda value: pgd(drawn_model(), X, Y, value), "eps"),
    "step size": (lambda value: pgd(drawn_model(), X, Y, 0.1, step_size=value), "step_size"),
    "floor": (lambda value: pgd(drawn_model(), X, Y, 0.1, floor=value), "floor"),
    "radius": (lambda value: sampled_estimate(drawn_model(), X, Y, radius=value, generator=generator()), "radius"),
    "spread": (lambda value: sampled_estimate(drawn_model(), X, Y, spread=value, generator=generator()), "spread"),
    "seconds": (lambda value: exact_relu(drawn_model(), X, Y, seconds=value), "seconds"),
    "tolerance": (lambda value: exact_relu(drawn_model(), X, Y, tolerance=value), "tolerance"),
}


@pytest.mark.parametrize("value", ["a tenth", None, np.array([0.1, 0.2]), 10**400], ids=["word", "none", "two", "long"])
@pytest.mark.parametrize("which", NUMBERS)
def test_what_is_no_number_is_one_line(which: str, value: Any) -> None:
    call, name = NUMBERS[which]
    call(0.25)
    with pytest.raises(ValueError, match=rf"{name}=.* must be a number") as caught:
        call(value)
    assert "\n" not in str(caught.value)


def test_what_is_no_generator_is_one_line() -> None:
    model, none_of_them = drawn_model(), np.random.default_rng(0)
    calls: tuple[Callable[[Any], Any], ...] = (
        lambda g: pgd(model, X, Y, 0.1, random_start=True, generator=g),
        lambda g: published_pgd(model, X, Y, 0.1, generator=g),
        lambda g: minimum_norm(model, X, Y, starts=3, generator=g),
        lambda g: decision_search(model, X, Y, generator=g),
        lambda g: sampled_estimate(model, X, Y, generator=g),
        lambda g: flags(model, X, Y, generator=g),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r"generator=.* must be a torch.Generator, as"):
            call(none_of_them)


def test_a_door_left_open_fails_that_test() -> None:
    x, y, message = WRONG["bytes"]
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"), pytest.raises(ValueError, match=message):
        drawn_model()(torch.as_tensor(x).double())[torch.arange(5), y]


IMAGES = torch.rand(5, 2, 4, 4, generator=generator())


class Unsure(nn.Module):
    """A net of the user's own, with a batch norm, dropout and strides."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(8)
        self.parts = nn.Sequential(
            nn.Conv2d(2, 3, 2, stride=2), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(12, 3)
        )
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=g)
        self.parts[1].running_mean = torch.randn(3, generator=g)
        with torch.no_grad():  # so that more classes than one are predicted
            self.parts[-1].bias -= self.eval()(IMAGES).mean(dim=0)
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        return self.parts(x)  # type: ignore[no-any-return]


ASKED = [name for name in MEASURES if name not in ("lower_bound", "exact_relu") and "linear" not in name]


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("x", [IMAGES[:, :1], IMAGES.flatten(1), IMAGES[..., None]], ids=["channel", "flat", "deep"])
def test_images_that_a_model_does_not_take_are_one_line(name: str, x: Tensor) -> None:
    with pytest.raises(
        ValueError, match=r"must be what model=Unsure takes; it says: [A-Z]\w+.*\d|expected 4D"
    ) as caught:
        MEASURES[name](Unsure(), x, Y)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_is_not_about_shapes_keeps_its_own_error() -> None:
    model = Unsure()
    model.forward = lambda x: model.parts[9](x)  # type: ignore[method-assign, operator]
    with pytest.raises(ValueError, match=r"it says: index 9 is out of range"):
        margins(model, IMAGES, Y)
    model.forward = lambda x: x.no_such_thing()  # type: ignore[method-assign]
    with pytest.raises(AttributeError, match="no_such_thing"):
        margins(model, IMAGES, Y)
    model.forward = lambda x: (x, x)  # type: ignore[assignment, method-assign]
    for name in ASKED:
        with pytest.raises(ValueError, match=r"logits of shape tuple must have shape \(5, c\) with c >= 2"):
            MEASURES[name](model, IMAGES, Y)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ASKED)
def test_models_in_half_precision_are_measured(name: str, dtype: torch.dtype) -> None:
    found = MEASURES[name](Unsure().to(dtype), IMAGES.to(dtype), Y).double()
    assert torch.isfinite(found).any()
    if name == "margins":
        torch.testing.assert_close(
            found, MEASURES[name](Unsure(), IMAGES, Y), rtol=0.0, atol=16 * torch.finfo(dtype).eps
        )
    if name == "minimum_norm":  # an upper bound still, and a near one where the attack is told to compute in float32
        wanted = MEASURES[name](Unsure(), IMAGES, Y)
        assert (found.abs() > 0.8 * wanted.abs()).all()
        near = minimum_norm(Unsure().to(dtype), IMAGES.to(dtype), Y, dtype=torch.float32).distances.signed
        torch.testing.assert_close(near, wanted, rtol=0.15, atol=0.0)


def test_lengths_are_those_of_the_points_as_they_are() -> None:
    """In half precision a difference of points is itself rounded, by up to a part in a thousand."""
    model, x = Unsure().to(torch.float16), IMAGES.to(torch.float16)
    found = minimum_norm(model, x, Y)
    apart = found.adversarial.double() - x.double()
    torch.testing.assert_close(apart.flatten(1).norm(dim=1), found.distances.values, rtol=1e-12, atol=0.0)
    rounded = (found.adversarial - x).double().flatten(1).norm(dim=1)
    assert not torch.allclose(rounded, found.distances.values, rtol=1e-9, atol=0.0)


@pytest.mark.parametrize("form", ["channels last", "strided", "turned"])
@pytest.mark.parametrize("name", ASKED)
def test_where_the_numbers_lie_does_not_matter(name: str, form: str) -> None:
    x = {
        "channels last": IMAGES.contiguous(memory_format=torch.channels_last),
        "strided": torch.stack([IMAGES, IMAGES + 1.0], dim=-1)[..., 0],
        "turned": IMAGES.transpose(2, 3).contiguous().transpose(2, 3),
    }[form]
    torch.testing.assert_close(
        MEASURES[name](Unsure(), x, Y), MEASURES[name](Unsure(), IMAGES, Y), rtol=1e-4, atol=1e-5
    )


BOXED = {name: call for name, call in MEASURES.items() if name.startswith(("min", "dec", "pgd", "pub", "flags"))}


def boxed(name: str, x: Any, box: Any) -> Any:
    g, model = generator(), drawn_model().to(torch.as_tensor(x).dtype)
    calls: dict[str, Callable[[], Any]] = {
        "minimum_norm": lambda: minimum_norm(model, x, Y, box=box).adversarial,
        "decision_search": lambda: decision_search(model, x, Y, generator=g, box=box).adversarial,
        "pgd": lambda: pgd(model, x, Y, 0.2, steps=5, box=box, random_start=True, generator=g).adversarial,
        "published_pgd": lambda: published_pgd(model, x, Y, 0.2, steps=5, generator=g, box=box).adversarial,
        "flags": lambda: flags(model, x, Y, steps=5, generator=g, box=box),
        "linear_distances": lambda: linear_distances(model, x, Y, box=box),
    }
    return calls[name]()


@pytest.mark.parametrize("name", [*BOXED, "linear_distances"])
def test_a_box_has_its_ends_in_the_dtype_of_the_images(name: str) -> None:
    """Images clipped to [0.1, 0.3] in float32 reach 0.3000000119."""
    x = (0.1 + 0.4 * X.float()).clamp(0.1, 0.3)
    assert float(x.max()) > 0.3
    found = boxed(name, x, (0.1, 0.3))
    if isinstance(found, Tensor):
        kept = found[~found.isnan().any(dim=1)]
        assert len(kept)
        assert torch.equal(kept, kept.clamp(0.1, 0.3))
    with pytest.raises(ValueError, match="must lie in"):
        boxed(name, x.double(), (0.1, 0.3))  # in float64 there is a 0.3 to keep to


@pytest.mark.parametrize("box", [0.5, (0.0,), (0.0, 1.0, 2.0), ("0", "1"), (1.0, 0.0), (0.5, 0.5), (0.0, torch.inf)])
@pytest.mark.parametrize("name", [*BOXED, "linear_distances"])
def test_what_is_no_box_is_one_line(name: str, box: Any) -> None:
    with pytest.raises(ValueError, match=r"box=.* must be two finite numbers, the lower one first, or None") as caught:
        boxed(name, X, box)
    assert "\n" not in str(caught.value)


def test_a_box_that_its_dtype_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"box=\(0.5, 0.500000001\) must hold two finite numbers of torch.float32"):
        pgd(drawn_model().float(), torch.full((5, 4), 0.5), Y, 0.1, box=(0.5, 0.500000001))


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
