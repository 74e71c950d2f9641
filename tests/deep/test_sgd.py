"""Steps without the optimiser's class: the bits and the state of ``torch.optim.SGD``."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from deep._sgd import PlainSteps

RATES = st.floats(1e-4, 1.0)


def twins(seed: int, **settings: float | bool) -> list[tuple[nn.Module, torch.optim.SGD]]:
    """Two equal models with equal optimisers; the last layer has no part in the objective below."""
    found = []
    for _ in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3), nn.Linear(3, 2))
        found.append((model, torch.optim.SGD(model.parameters(), fused=True, **settings)))  # type: ignore[arg-type]
    return found


def differ(first: tuple[nn.Module, torch.optim.SGD], second: tuple[nn.Module, torch.optim.SGD]) -> bool:
    """Whether parameters or momentum differ in a bit, or one has momentum that the other lacks."""
    for p, q in zip(first[0].parameters(), second[0].parameters(), strict=True):
        ours, theirs = (o.state[w].get("momentum_buffer") for o, w in ((first[1], p), (second[1], q)))
        if not torch.equal(p, q) or (ours is None) != (theirs is None):
            return True
        if ours is not None and not torch.equal(ours, theirs):
            return True
    return False


def take(model: nn.Module, step: object, seed: int, count: int) -> None:
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(seed))
    for _ in range(count):
        for parameter in model.parameters():
            parameter.grad = None
        model[1](model[0](x)).square().mean().backward()  # type: ignore[index]
        step.step()  # type: ignore[attr-defined]


@given(
    lr=RATES,
    momentum=st.one_of(st.just(0.0), st.floats(0.1, 0.95)),
    nesterov=st.booleans(),
    weight_decay=st.one_of(st.just(0.0), st.floats(1e-4, 0.1)),
    maximize=st.booleans(),
    steps=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)
def test_steps_are_those_of_torch(
    lr: float, momentum: float, nesterov: bool, weight_decay: float, maximize: bool, steps: int, seed: int
) -> None:
    settings = {
        "lr": lr,
        "momentum": momentum,
        "nesterov": nesterov and momentum > 0.0,
        "weight_decay": weight_decay,
        "maximize": maximize,
    }
    ours, theirs = twins(seed, **settings)
    take(ours[0], PlainSteps(ours[1]), seed, steps)
    take(theirs[0], theirs[1], seed, steps)
    assert not differ(ours, theirs)
    untouched = twins(seed, **settings)[0]
    assert differ(ours, untouched)  # the comparison sees a step


def test_either_goes_on_where_the_other_stopped() -> None:
    ours, theirs = twins(4, lr=0.1, momentum=0.9)
    take(ours[0], PlainSteps(ours[1]), 1, 2)
    take(ours[0], ours[1], 2, 2)
    take(theirs[0], theirs[1], 1, 2)
    take(theirs[0], PlainSteps(theirs[1]), 2, 2)
    assert not differ(ours, theirs)
    ours[1].param_groups[0]["lr"] = 0.05  # a rate changed in between counts
    take(ours[0], PlainSteps(ours[1]), 3, 1)
    take(theirs[0], PlainSteps(theirs[1]), 3, 1)
    assert differ(ours, theirs)


def test_several_groups_are_refused() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    optimiser = torch.optim.SGD([{"params": first.parameters()}, {"params": second.parameters(), "lr": 0.5}], lr=0.1)
    with pytest.raises(ValueError, match="unpack"):
        PlainSteps(optimiser)
