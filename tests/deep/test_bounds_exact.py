"""Exact distances of one-hidden-layer nets against enumeration of all pieces, breakpoints on a line, and SCIP."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor, nn

from deep import MLP, Distances, LinearClassifier, exact_relu, linear_distances, load_mnist5k

Floats = NDArray[np.float64]
PROGRAM = 1e-6  # SLSQP's own tolerance, in units of the answer
CLOSED = 1e-7  # the tolerance of branch and bound, and the slack with which a tie counts

seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, d: int, hidden: int, classes: int, n: int = 2) -> tuple[nn.Sequential, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, classes)).double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=g, dtype=torch.float64)
    return model, torch.rand(n, d, generator=g, dtype=torch.float64), torch.randint(classes, (n,), generator=g)


def arrays(model: nn.Sequential) -> tuple[Floats, Floats, Floats, Floats]:
    w1, b1, w2, b2 = (parameter.detach().numpy() for parameter in model.parameters())
    return w1, b1, w2, b2


def on_a_line(model: nn.Sequential, x: float, forgotten: int | None = None) -> float:
    """One input: f is linear between the units' kinks, so the boundary is found piece by piece."""
    w1, b1, w2, b2 = arrays(model)

    def f(t: float) -> Floats:
        scores: Floats = w2 @ np.maximum(w1[:, 0] * t + b1, 0.0) + b2
        return scores

    chosen = int(f(x).argmax())
    kinks = sorted(-b / w for w, b in zip(w1[:, 0], b1, strict=True))
    ends = [kinks[0] - 1.0, *kinks, kinks[-1] + 1.0]
    best = math.inf
    for place, (left, right) in enumerate(itertools.pairwise(ends)):
        middle = 0.5 * (left + right)
        here, rates = f(middle), w2 @ np.where(w1[:, 0] * middle + b1 > 0.0, w1[:, 0], 0.0)
        for j in range(len(b2)):
            if j in (chosen, forgotten):
                continue
            value, slope = float(here[chosen] - here[j]), float(rates[chosen] - rates[j])
            if slope == 0.0 and value > 0.0:
                continue
            bottom = -math.inf if place == 0 else left
            top = math.inf if place == len(ends) - 2 else right
            # where value + slope (t - middle) <= 0, cut to the piece
            root = middle - value / slope if slope else math.inf
            reach = (max(bottom, root), top) if slope < 0.0 else (bottom, min(top, root))
            if reach[0] <= reach[1]:
                best = min(best, max(reach[0] - x, x - reach[1], 0.0))
    return best


def test_units_that_nothing_moves_are_constants() -> None:
    """Rows of zeros, with an infinite radius to begin with: 0 times infinity is no number, and no warning either."""
    for seed in range(4):
        model, x, y = draw(seed, 3, 4, 3)
        model[0].weight.data[:2] = 0.0  # type: ignore[operator, index]
        lighter, _, _ = draw(seed, 3, 2, 3)
        w1, b1, w2, b2 = (parameter.data for parameter in model.parameters())
        for target, value in zip(
            lighter.parameters(), (w1[2:], b1[2:], w2[:, 2:], b2 + w2[:, :2] @ b1[:2].relu()), strict=True
        ):
            target.data = value.clone()
        torch.testing.assert_close(exact_relu(model, x, y).values, exact_relu(lighter, x, y).values)
        model[0].weight.data.zero_()  # type: ignore[operator]
        assert exact_relu(model, x, y).values.tolist() == [math.inf, math.inf]


@settings(max_examples=40)
@given(seeds, st.integers(1, 9), st.integers(2, 5))
def test_on_a_line_every_piece_is_seen(seed: int, hidden: int, classes: int) -> None:
    model, x, y = draw(seed, 1, hidden, classes)
    found = exact_relu(model, x, y)
    assert found.kind == "exact"
    for value, point in zip(found.values.tolist(), x[:, 0].tolist(), strict=True):
        expected = on_a_line(model, point)
        if math.isinf(expected) or math.isinf(value):
            assert value == expected
        else:
            assert value == pytest.approx(expected, rel=CLOSED, abs=1e-9)


def test_a_forgotten_rival_would_fail_that_test() -> None:
    wrong = 0
    for seed in range(20):
        model, x, y = draw(seed, 1, 5, 3, n=1)
        right = float(exact_relu(model, x, y).values[0])
        scores = model(x)[0]
        for j in range(3):
            if j != int(scores.argmax()):
                wrong += on_a_line(model, float(x[0, 0]), forgotten=j) > right * 1.01
    assert wrong > 10


def by_enumeration(model: nn.Sequential, x: Floats) -> float:
    """The least over rivals and all 2^h patterns of a projection on a polyhedron, by SLSQP from a feasible point."""
    w1, b1, w2, b2 = arrays(model)
    p = w1 @ x + b1
    scores = w2 @ np.maximum(p, 0.0) + b2
    chosen, best, d = int(scores.argmax()), math.inf, len(x)
    for j, pattern in itertools.product(range(len(b2)), itertools.product((-1.0, 1.0), repeat=len(p))):
        if j == chosen:
            continue
        signs = np.array(pattern)
        q = np.where(signs > 0, w2[j] - w2[chosen], 0.0)
        rows = np.concatenate([signs[:, None] * w1, (q @ w1)[None]])
        limits = -np.append(signs * p, q @ p + b2[j] - b2[chosen])
        start = optimize.linprog(np.zeros(d), A_ub=-rows, b_ub=-limits, bounds=[(None, None)] * d)
        if start.status != 0:
            continue
        found = optimize.minimize(
            lambda z: float(z @ z),
            start.x,
            jac=lambda z: 2.0 * z,
            method="SLSQP",
            constraints={"type": "ineq", "fun": lambda z, a=rows, b=limits: a @ z - b, "jac": lambda _, a=rows: a},
            options={"ftol": 1e-15, "maxiter": 300},
        )
        if (rows @ found.x >= limits - 1e-8).all():
            best = min(best, float(np.linalg.norm(found.x)))
    return best


@settings(max_examples=10)
@given(seeds, st.integers(2, 4), st.integers(2, 4))
def test_in_several_dimensions_every_pattern_is_seen(seed: int, d: int, hidden: int) -> None:
    model, x, y = draw(seed, d, hidden, 3, n=1)
    found, expected = float(exact_relu(model, x, y).values[0]), by_enumeration(model, x[0].numpy())
    if math.isinf(expected):
        assert math.isinf(found)
    else:
        assert found == pytest.approx(expected, rel=PROGRAM, abs=PROGRAM)


@settings(max_examples=15)
@given(seeds, st.integers(2, 30), st.integers(2, 12))
def test_the_value_is_a_step_that_changes_the_prediction_and_the_bound_is_below(seed: int, d: int, hidden: int) -> None:
    """A certificate: lower and upper meet; no random or gradient direction changes the prediction sooner."""
    model, x, y = draw(seed, d, hidden, 4)
    found = exact_relu(model, x, y)
    lower, upper = (torch.tensor(found.details[key], dtype=torch.float64) for key in ("lower", "upper"))
    assert (lower <= upper).all()
    assert (lower >= upper * (1.0 - found.details["tolerance"])).all()
    g = torch.Generator().manual_seed(seed)
    for i in range(len(x)):
        if not math.isfinite(float(found.values[i])):
            continue
        way = torch.randn(2000, d, generator=g, dtype=torch.float64)
        inside = x[i] + way / way.norm(dim=1, keepdim=True) * float(found.values[i]) * (1.0 - CLOSED)
        assert (model(inside).argmax(dim=1) == model(x[i : i + 1]).argmax()).all()


def test_linear_models_and_ties() -> None:
    g = torch.Generator().manual_seed(3)
    model = LinearClassifier(7, 4, generator=g)
    x, y = torch.rand(5, 7, generator=g), torch.randint(4, (5,), generator=g)
    found, expected = exact_relu(model, x, y), linear_distances(model, x, y)
    torch.testing.assert_close(found.values, expected.values, rtol=1e-9, atol=1e-12)
    assert torch.equal(found.correct, expected.correct)
    tie = MLP(3, 2, 4, generator=g)
    nn.init.zeros_(tie.fc2.weight)
    nn.init.zeros_(tie.fc2.bias)
    assert exact_relu(tie, torch.rand(2, 3), torch.tensor([0, 1])).values.tolist() == [0.0, 0.0]
    nn.init.constant_(tie.fc2.bias[:1].detach(), 1.0)
    never = exact_relu(tie, torch.rand(1, 3), torch.tensor([0]))
    assert (never.values.tolist(), never.kind) == ([math.inf], "exact")


def test_an_empty_budget_says_so() -> None:
    model, x, y = draw(5, 20, 24, 4)
    full = exact_relu(model, x, y)
    assert full.kind == "exact"
    assert min(full.details["nodes"]) > 3
    for budget in ({"nodes": 1}, {"seconds": 1e-9}):
        part = exact_relu(model, x, y, **budget)  # type: ignore[arg-type]
        lower, upper = (torch.tensor(part.details[key], dtype=torch.float64) for key in ("lower", "upper"))
        assert part.kind == "upper"
        assert not all(part.details["solved"])
        assert (lower <= full.values * (1.0 + CLOSED)).all()
        assert (full.values <= upper * (1.0 + CLOSED)).all()


@pytest.fixture(scope="module")
def digits() -> tuple[nn.Module, Tensor, Tensor]:
    data = load_mnist5k()
    g = torch.Generator().manual_seed(16)
    model = MLP(784, 10, 16, generator=g)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, y = torch.tensor(data.train_x), torch.tensor(data.train_y)
    for _ in range(5):
        for rows in torch.randperm(len(x), generator=g).split(128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
    return model, torch.tensor(data.test_x[:10]), torch.tensor(data.test_y[:10])


def test_trained_nets_on_digits_are_solved(digits: tuple[nn.Module, Tensor, Tensor]) -> None:
    found = exact_relu(*digits)
    assert found.kind == "exact"
    assert 0.1 < found.mean() < 3.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_scip_agrees(seed: int) -> None:
    """The mixed-integer quadratic program, with a binary variable for each unit, in SCIP."""
    scip = pytest.importorskip("pyscipopt")
    model, x, y = draw(seed, 12, 12, 4)
    found = exact_relu(model, x, y)
    w1, b1, w2, b2 = arrays(model)
    for value, image in zip(found.values.tolist(), x.numpy(), strict=True):
        p = w1 @ image + b1
        scores = w2 @ np.maximum(p, 0.0) + b2
        chosen, best, radius = int(scores.argmax()), math.inf, 1.05 * value
        rows, basis = (part.T for part in np.linalg.qr(w1.T)[::-1])  # w1 = rows basis
        reach = radius * np.linalg.norm(w1, axis=1)
        for j in range(4):
            if j == chosen:
                continue
            program = scip.Model()
            program.hideOutput()
            z = [program.addVar(lb=-radius, ub=radius) for _ in basis]
            size = program.addVar(lb=0.0, ub=radius**2)
            program.addCons(scip.quicksum(v * v for v in z) <= size)
            terms = []
            for i in range(len(p)):
                t = scip.quicksum(rows[i, k] * z[k] for k in range(len(z))) + p[i]
                low, high = p[i] - reach[i], p[i] + reach[i]
                if low >= 0.0:
                    terms.append((w2[chosen, i] - w2[j, i]) * t)
                elif high > 0.0:
                    on, h = program.addVar(vtype="B"), program.addVar(lb=0.0, ub=high)
                    program.addCons(h >= t)
                    program.addCons(h <= t - low * (1 - on))
                    program.addCons(h <= high * on)
                    terms.append((w2[chosen, i] - w2[j, i]) * h)
            program.addCons(scip.quicksum(terms) + (b2[chosen] - b2[j]) <= 0.0)
            program.setObjective(size, "minimize")
            program.optimize()
            if program.getStatus() == "optimal":
                best = min(best, math.sqrt(max(program.getObjVal(), 0.0)))
        assert value == pytest.approx(best, rel=1e-4)  # SCIP's gap on the square and its feasibility tolerance


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": 0}, r"nodes=0 must be an integer of at least 1"),
        ({"seconds": -1.0}, r"seconds=-1.0 must be positive"),
        ({"tolerance": 0.0}, r"tolerance=0.0 must be positive"),
        ({"y": torch.tensor([0, 7])}, r"y\[1\]=7 must lie in 0..2"),
        ({"x": torch.full((2, 3), math.inf)}, r"x\[0\] must be finite"),
        (
            {"model": nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3))},
            r"model=Sequential must have one hidden layer",
        ),
        (
            {"model": nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 3))},
            r"layer '1' of type Tanh must be one of",
        ),
    ],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    model, x, y = draw(1, 3, 4, 3)
    good: dict[str, object] = {"model": model, "x": x, "y": y}
    assert isinstance(exact_relu(**good), Distances)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message) as caught:
        exact_relu(**(good | change))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
