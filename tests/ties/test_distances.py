"""Everything measured in `deep` against each other, and against theory and synthetic.

DCA's two-part gradient and both penalties' torch modules against theory's trees have their ties in `test_penalties.py`
and `test_torch_trees.py`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deep import (
    AverageMarginLoss,
    Distances,
    LinearClassifier,
    exact_relu,
    linear_distances,
    lower_bound,
    minimum_norm,
    pgd,
    sampled_estimate,
    violations,
)
from deep.measure import distances as tracked
from synthetic import laws
from theory import Loss, catalogue
from theory.margins import linear_margins
from theory.risk import multiclass_minimiser, multiclass_risk

EXACT = 1e-8  # tolerance of branch and bound, relative
FOUND = 1e-4  # attack over optimum on linear models: the boundary is passed by a few units of rounding, no more
RATIO = 1.05  # attack over optimum on these small nets: local minima are allowed, this far on average

seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, d: int, hidden: int, classes: int, n: int = 4) -> tuple[nn.Module, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, classes)] if hidden else [nn.Linear(d, classes)]
    model = nn.Sequential(*layers).double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=g, dtype=torch.float64)
    return model, torch.rand(n, d, generator=g, dtype=torch.float64), torch.randint(classes, (n,), generator=g)


@settings(max_examples=8)
@given(seeds, st.integers(2, 12), st.integers(1, 10), st.integers(2, 4))
def test_lower_is_below_exact_is_below_upper(seed: int, d: int, hidden: int, classes: int) -> None:
    model, x, y = draw(seed, d, hidden, classes)
    lower, exact = lower_bound(model, x, y), exact_relu(model, x, y)
    upper, boxed = (minimum_norm(model, x, y, box=box).distances for box in (None, (0.0, 1.0)))
    assert exact.kind == "exact"
    assert (lower.values <= exact.values * (1.0 + EXACT)).all()
    assert (exact.values <= upper.values * (1.0 + EXACT)).all()
    assert (exact.values <= boxed.values * (1.0 + EXACT)).all()
    assert violations(lower, upper) in (0.0, pytest.approx(math.nan, nan_ok=True))
    for other in (exact, upper, boxed):
        assert torch.equal(other.correct, lower.correct)
    for eps in (0.01, 0.1, 0.5):
        assert lower.robust_accuracy(eps) <= exact.robust_accuracy(eps * (1.0 - 1e-7))
        assert exact.robust_accuracy(eps) <= upper.robust_accuracy(eps * (1.0 - 1e-7))


def test_attacks_are_near_the_optimum_on_average() -> None:
    ratios = []
    for seed in range(4):
        model, x, y = draw(seed, 10, 8, 3)
        exact, upper = exact_relu(model, x, y), minimum_norm(model, x, y, box=None).distances
        kept = exact.found & upper.found
        ratios += (upper.values / exact.values)[kept].tolist()
    assert len(ratios) > 9
    assert np.mean(ratios) < RATIO


def test_a_solver_that_forgets_a_rival_is_caught() -> None:
    """Broken twin: without the nearest rival's row, `exact` lies above an attack's actual point."""
    caught = 0
    for seed in range(8):
        model, x, y = draw(seed, 6, 7, 4, n=1)
        scores = model(x)[0]
        upper = float(minimum_norm(model, x, y, box=None).distances.values[0])
        for j in range(4):
            if j != int(scores.argmax()):
                kept = [k for k in range(4) if k != j]
                smaller = nn.Sequential(model[0], model[1], nn.Linear(7, 3)).double()  # type: ignore[index]
                with torch.no_grad():
                    smaller[2].weight.copy_(model[2].weight[kept])  # type: ignore[index, operator, union-attr]
                    smaller[2].bias.copy_(model[2].bias[kept])  # type: ignore[index, operator, union-attr]
                caught += float(exact_relu(smaller, x, torch.tensor([0])).values[0]) > upper * (1.0 + EXACT)
    assert caught >= 4


@settings(max_examples=6)
@given(seeds, st.integers(2, 20), st.integers(2, 6))
def test_all_methods_agree_on_linear_models(seed: int, d: int, classes: int) -> None:
    model, x, y = draw(seed, d, 0, classes)
    exact = linear_distances(model, x, y)
    weight, bias = (p.detach().numpy() for p in model.parameters())
    np.testing.assert_allclose(
        exact.signed.numpy(), linear_margins(weight, bias, x.numpy(), y.numpy()), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(exact_relu(model, x, y).values, exact.values, rtol=EXACT, atol=1e-12)
    lower = lower_bound(model, x, y).values
    assert (lower <= exact.values).all()
    torch.testing.assert_close(lower, exact.values, rtol=1e-9, atol=1e-12)
    guess = sampled_estimate(model, x, y, radius=1e6, samples=2, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(guess.values, exact.values, rtol=1e-9, atol=1e-12)
    upper = minimum_norm(model, x, y, box=None).distances.values
    torch.testing.assert_close(upper, exact.values, rtol=FOUND, atol=1e-9)
    boxed = minimum_norm(model, x, y).distances
    inside = linear_distances(model, x, y, box=(0.0, 1.0))
    torch.testing.assert_close(boxed.values[inside.found], inside.values[inside.found], rtol=FOUND, atol=1e-9)


def test_an_estimate_without_the_dual_norm_is_caught_there() -> None:
    model, x, y = draw(5, 9, 0, 3)
    exact = linear_distances(model, x, y, "linf")
    guess = sampled_estimate(model, x, y, radius=1e6, samples=2, generator=torch.Generator(), norm="linf")
    torch.testing.assert_close(guess.values, exact.values, rtol=1e-9, atol=1e-12)
    rows = model[0].weight.detach()  # type: ignore[index, union-attr, operator]
    f = model(x).detach()
    own = f.argmax(dim=1)
    primal = (f.amax(dim=1, keepdim=True) - f) / (rows[own][:, None] - rows[None]).abs().amax(dim=2)
    wrong = primal.scatter(1, own[:, None], math.inf).amin(dim=1)
    assert (wrong > 1.5 * exact.values).any()


@settings(max_examples=3)
@given(seeds)
def test_robust_accuracy_does_not_rise_with_eps(seed: int) -> None:
    model, x, _ = draw(seed, 6, 8, 3, n=12)
    y = model(x).argmax(dim=1)
    y[0] = (y[0] + 1) % 3
    levels = [0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    upper = minimum_norm(model, x, y).distances
    for found in (lower_bound(model, x, y), exact_relu(model, x, y), upper):
        shares = [found.robust_accuracy(eps) for eps in levels]
        assert shares == sorted(shares, reverse=True)
        assert shares[0] <= 11 / 12
    attacked = [pgd(model, x, y, eps, steps=20, step_size=0.2 * eps) for eps in levels[1:]]
    exact = exact_relu(model, x, y)
    for eps, fixed in zip(levels[1:], attacked, strict=True):
        assert exact.robust_accuracy(eps * (1.0 + 1e-6)) <= fixed.accuracy + 1e-12  # no attack breaks what is exact


def test_robust_accuracy_that_rises_would_be_caught() -> None:
    """Broken twin: counting values below eps."""
    found = Distances(torch.tensor([0.1, 0.3]).double(), torch.tensor([True, True]), "exact")
    shares = [float((found.values < eps).double().mean()) for eps in (0.05, 0.2, 0.4)]
    assert shares != sorted(shares, reverse=True)


@settings(max_examples=10)
@given(seeds)
def test_the_margins_tracked_in_training_are_the_exact_distances(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    model = LinearClassifier(8, 3, generator=g)
    x, y = torch.rand(40, 8, generator=g), torch.randint(3, (40,), generator=g)
    row, found = tracked(model, x.numpy(), y.numpy(), "test"), linear_distances(model, x, y)
    assert row["test_distance_mean"] == pytest.approx(found.mean(signed=True), rel=1e-12, abs=1e-14)
    assert row["test_distance_min"] == pytest.approx(found.minimum(), rel=1e-12, abs=1e-14)


# Where training stops: Adam's last steps are 1e-7 long, and at a kink the risk changes by its slope (at most 1 + mu)
# times that.  Risks are compared, since minimisers need not be unique.
REACHED = 1e-5


@pytest.mark.parametrize("mu", [0.0, 0.1, 0.75])
def test_free_logits_on_a_law_reach_theorys_minimiser(mu: float) -> None:
    """Cells of a law with labels drawn from it, and one row of logits for each cell, trained as any network is."""
    labels, posterior = cells()
    loss = catalogue.get("average-margin", mu=mu, tau=2) if mu else catalogue.get("cross-entropy")
    best, value = multiclass_minimiser(loss, posterior)
    logits = trained(AverageMarginLoss(mu, 2.0, "paper"), labels, posterior, loss)
    reached = multiclass_risk(loss, posterior, logits)
    assert (reached <= value + REACHED).all()
    assert (reached >= value - REACHED).all()
    np.testing.assert_array_equal(logits.argmax(axis=1), posterior.argmax(axis=1))
    np.testing.assert_array_equal(best.argmax(axis=1), posterior.argmax(axis=1))


def test_the_other_penalty_does_not_reach_it() -> None:
    """Broken twin: the released penalty's minimisers have another risk under the paper's loss."""
    labels, posterior = cells()
    loss = catalogue.get("average-margin", mu=0.75, tau=2)
    value = multiclass_minimiser(loss, posterior)[1]
    logits = trained(AverageMarginLoss(0.75, 2.0, "released"), labels, posterior, loss)
    assert (multiclass_risk(loss, posterior, logits) > value + 100.0 * REACHED).any()


def cells(count: int = 5, size: int = 29) -> tuple[np.ndarray, np.ndarray]:
    """Labels (count, size) drawn from a mixture's posterior at points of its own, and their frequencies."""
    law = laws.GaussianMixture([0.3, 0.45, 0.25], [[0.0, 0.0], [0.9, 0.2], [0.3, 1.0]], np.eye(2))
    rng = np.random.default_rng(12)
    points, _ = law.sample(20 * count, rng)
    mixed = law.posterior(points)
    mixed = mixed[mixed.min(axis=1) > 0.15][:count]
    labels = np.array([rng.choice(3, size, p=p) for p in mixed])
    frequency = np.stack([(labels == k).mean(axis=1) for k in range(3)], axis=1)
    assert frequency.min() > 0.0  # minimisers are finite
    top = np.sort(frequency, axis=1)
    assert (top[:, -1] > top[:, -2]).all()  # no ties: the Bayes class is one
    return labels, frequency


def trained(module: nn.Module, labels: np.ndarray, posterior: np.ndarray, judge: Loss) -> np.ndarray:
    """Logits (cells, c) of least risk over several starts: Adam on the batch mean, with steps that shrink to 1e-7."""
    starts, steps = 6, 1500
    count, classes = posterior.shape
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(starts, count, classes, generator=g, dtype=torch.float64).requires_grad_()
    batch = torch.tensor(labels).repeat(starts, 1).flatten()
    optimiser = torch.optim.Adam([logits], lr=0.1)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimiser, 1e-6 ** (1.0 / steps))
    for _ in range(steps):
        optimiser.zero_grad()
        rows = logits.flatten(0, 1).repeat_interleave(labels.shape[1], dim=0)
        module(rows, batch).backward()
        optimiser.step()
        decay.step()
    found: np.ndarray = logits.detach().numpy()
    risks = multiclass_risk(judge, np.broadcast_to(posterior, found.shape), found)
    return found[risks.argmin(axis=0), np.arange(count)]
