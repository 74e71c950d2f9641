"""The torch losses against theory's trees on NumPy, against differences, and against SymPy's derivatives."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
import torch
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deep import AverageMarginLoss, ExpressionLoss
from deep._torch_ops import TorchOps
from theory import Domain, Loss, catalogue, from_formula
from theory.expression import Expr, children, evaluate, evaluate_array, parse, to_sympy, to_text, walk
from theory.expression.nodes import Call, Clip, Const, Div, Max, Min, Pow, Var, Where

Floats = NDArray[np.float64]

# The same formula twice in float64; the trees write clip as a difference of hinges, which cancels |alpha| < 30.
SAME = {"rtol": 1e-12, "atol": 1e-13}
# Central differences of order 4 in float64 (house tolerance for gradients).
DIFFERENCES = 5e-6
# SymPy's derivative, evaluated with 20 digits, against float64 on trees whose nodes stay below LARGEST.
DERIVATIVE, LARGEST = 1e-9, 1e3
# How far from a kink a test point must stay: above the step of the differences.
OFF_KINKS = 1e-2

MULTICLASS = [name for name in catalogue.names() if catalogue.entry(name).multiclass is not None]
OPS = TorchOps(torch.float64, torch.device("cpu"))


@st.composite
def batches(draw: st.DrawFn) -> tuple[Floats, NDArray[np.int64]]:
    """Logits of any size between 1/100 and 10, and labels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, c = draw(st.integers(1, 6)), draw(st.integers(2, 6))
    return 10.0 ** draw(st.floats(-2, 1)) * rng.normal(size=(n, c)), rng.integers(0, c, n)


def inside(domain: Domain, logits: Floats) -> Floats:
    """The nearest logits of the domain that need no care."""
    if domain.kind == "sum-zero":
        return np.asarray(logits - logits.mean(axis=1, keepdims=True))
    if domain.bound is not None:
        return np.asarray(logits * (0.9 * float(domain.bound) / np.abs(logits).max()))
    return logits


def tree_mean(loss: Loss, logits: Floats, labels: NDArray[np.int64]) -> float:
    """The batch mean of theory's own values."""
    return float(np.take_along_axis(loss.values(logits), labels[:, None], axis=1).mean())


def torch_gradient(module: torch.nn.Module, logits: Floats, labels: NDArray[np.int64]) -> tuple[float, Floats]:
    f = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    value = module(f, torch.tensor(labels))
    (gradient,) = torch.autograd.grad(value, f)
    return float(value.detach()), gradient.numpy()


def differences(loss: Loss, logits: Floats, labels: NDArray[np.int64], step: float = 1e-3) -> Floats:
    """Central differences of order 4 of ``tree_mean``."""
    out = np.zeros_like(logits)
    for index in np.ndindex(*logits.shape):
        unit = np.zeros_like(logits)
        unit[index] = step
        one = tree_mean(loss, logits + unit, labels) - tree_mean(loss, logits - unit, labels)
        two = tree_mean(loss, logits + 2 * unit, labels) - tree_mean(loss, logits - 2 * unit, labels)
        out[index] = (8.0 * one - two) / (12.0 * step)
    return out


def off_kinks(logits: Floats, labels: NDArray[np.int64], *levels: float) -> bool:
    """Whether every score stays away from +-level, and every difference of two of a row from that and from 0."""
    gaps = logits[:, :, None] - logits[:, None, :]
    gaps = gaps[:, ~np.eye(logits.shape[1], dtype=bool)]
    alone = all(np.abs(np.abs(logits) - level).min() > OFF_KINKS for level in levels)
    return alone and all(np.abs(np.abs(gaps) - level).min() > OFF_KINKS for level in (0.0, *levels))


# -- the hand-written loss ------------------------------------------------------------------------------------------


@given(batches(), st.sampled_from(["paper", "released"]), st.floats(0, 3), st.floats(0.05, 8))
def test_average_margin_is_the_tree(
    batch: tuple[Floats, NDArray[np.int64]], penalty: str, mu: float, tau: float
) -> None:
    logits, labels = batch
    loss = catalogue.get({"paper": "average-margin", "released": "average-margin-released"}[penalty], mu=mu, tau=tau)
    value, gradient = torch_gradient(AverageMarginLoss(mu, tau, penalty), logits, labels)
    np.testing.assert_allclose(value, tree_mean(loss, logits, labels), **SAME)
    by_tree, tree_gradient = torch_gradient(ExpressionLoss(loss), logits, labels)
    np.testing.assert_allclose(value, by_tree, **SAME)
    assume(off_kinks(logits, labels, tau))
    np.testing.assert_allclose(gradient, tree_gradient, **SAME)
    np.testing.assert_allclose(gradient, differences(loss, logits, labels), rtol=DIFFERENCES, atol=DIFFERENCES)


def test_the_two_penalties_are_told_apart() -> None:
    logits, labels = np.array([[1.3, -0.4, 0.2]]), np.array([0])
    paper = catalogue.get("average-margin", mu="0.1", tau=5)
    value, gradient = torch_gradient(AverageMarginLoss(0.1, 5.0, "released"), logits, labels)
    assert abs(value - tree_mean(paper, logits, labels)) > 0.1
    assert np.abs(gradient - differences(paper, logits, labels)).max() > 0.05


# -- any loss -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MULTICLASS)
@given(batch=batches())
@settings(max_examples=25)
def test_every_multiclass_loss_of_the_catalogue(name: str, batch: tuple[Floats, NDArray[np.int64]]) -> None:
    loss = catalogue.get(name)
    logits, labels = inside(loss.domain, batch[0]), batch[1]
    module = ExpressionLoss(loss)
    values = module.values(torch.tensor(logits), torch.tensor(labels)).numpy()
    np.testing.assert_allclose(values, np.take_along_axis(loss.values(logits), labels[:, None], axis=1)[:, 0], **SAME)
    levels = [float(v) for v in loss.parameters.values() if isinstance(v, Fraction)]
    if loss.domain.kind == "all" and off_kinks(logits, labels, 1.0, 1.0 / (logits.shape[1] - 1), *levels):
        value, gradient = torch_gradient(module, logits, labels)
        expected = differences(loss, logits, labels)
        scale = 1.0 + abs(value)  # the rounding of the values, over the step, is what the differences carry
        np.testing.assert_allclose(gradient, expected, rtol=DIFFERENCES, atol=DIFFERENCES * scale)


FORMULAS = [
    "-log(q)",
    "sum_other(max(0, 1 + fk - fy)) / (c - 1)",
    "max_other(softplus(w * (fk - fy)) + wk * qk)",
    "(1 - q) ** 2 * (lse - fy) + c * sum_other(qk ** 3)",
    "where(alpha > 0, log1p(exp(-alpha)), softplus(-alpha) + mu * abs(alpha))",
    "sum_other(where(fk < fy, atan(fk - fy), tanh(alpha * (fk - fy))))",
    "sqrt(2 + sum_other(exp(clip(fk - fy, -3, 3)))) * pi",
    "max_other(1) + sum_other(2) + c",
]


@pytest.mark.parametrize("formula", FORMULAS)
@given(batch=batches())
@settings(max_examples=25)
def test_user_formulas(formula: str, batch: tuple[Floats, NDArray[np.int64]]) -> None:
    logits, labels = batch
    classes = logits.shape[1]
    values: dict[str, object] = {"w": tuple(Fraction(k + 2, 3) for k in range(classes)), "mu": Fraction(3, 7)}
    loss = from_formula(formula, classes=classes, parameters={k: v for k, v in values.items() if f"{k} " in formula})
    found = ExpressionLoss(loss).values(torch.tensor(logits), torch.tensor(labels)).numpy()
    expected = np.take_along_axis(loss.values(logits), labels[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * (1.0 + np.abs(expected).max()))


def test_a_loss_read_at_another_label_is_told_apart() -> None:
    loss = catalogue.get("cross-entropy")
    logits = np.array([[1.3, -0.4, 0.2]])
    found = ExpressionLoss(loss)(torch.tensor(logits), torch.tensor([1])).item()
    assert abs(found - tree_mean(loss, logits, np.array([0]))) > 1.0


@pytest.mark.parametrize(
    ("formula", "at", "expected"),
    [
        ("where(t > 0, exp(-t), 1 - t)", -1000.0, -1.0),  # exp(1000) is infinite on the branch not taken
        ("where(t > 0, log(t), t)", -2.0, 1.0),
        ("where(t > 0, sqrt(t) / t, 3 * t)", 0.0, 3.0),
        ("min(exp(2 * t), 7 + t)", 800.0, 1.0),
        ("clip(t ** 3 * exp(t), -5, 5)", 800.0, 0.0),
    ],
)
def test_the_branch_not_taken_leaves_no_nan(formula: str, at: float, expected: float) -> None:
    t = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    evaluate(parse(formula), {"t": t}, OPS).backward()
    assert t.grad is not None
    assert t.grad.item() == expected


def test_plain_autograd_would_leave_a_nan() -> None:
    t = torch.tensor(-1000.0, dtype=torch.float64, requires_grad=True)
    torch.where(t > 0, torch.exp(-t), 1 - t).backward()
    assert t.grad is not None
    assert math.isnan(t.grad.item())


# -- derivatives ----------------------------------------------------------------------------------------------------

# (3 n + 1) / 21 is never 0, 1/2 or 1.
_NUMBERS = st.integers(-21, 20).map(lambda n: Fraction(3 * n + 1, 21))


def _grow(parts: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    smooth = st.builds(Call, st.sampled_from(["exp", "softplus", "sigmoid", "tanh", "atan", "abs"]), parts)
    positive = parts.map(lambda e: Call("softplus", e) + Fraction(1, 3))
    return st.one_of(
        smooth,
        st.builds(Call, st.sampled_from(["log", "log1p", "sqrt"]), positive),
        st.builds(lambda a, b: a + b, parts, parts),
        st.builds(lambda a, b: a - b, parts, parts),
        st.builds(lambda a, b: a * b, parts, parts),
        st.builds(Div, parts, positive),
        st.builds(Pow, parts, st.sampled_from([Const(Fraction(2)), Const(Fraction(3))])),
        st.builds(Max, parts, parts),
        st.builds(Min, parts, parts),
        st.builds(lambda e, a, b: Clip(e, Const(min(a, b)), Const(max(a, b))), parts, _NUMBERS, _NUMBERS),
        st.builds(Where, st.sampled_from(["<", "<=", ">", ">="]), parts, parts, parts, parts),
    )


TREES = st.recursive(st.one_of(st.just(Var("t")), st.builds(Const, _NUMBERS)), _grow, max_leaves=7)


def tame(expr: Expr, t: Floats) -> bool:
    """Whether every node is of moderate size at t, and every kink and jump is away from t."""
    if not abs(evaluate_array(expr, {"t": t})) < LARGEST:
        return False
    kinks: list[tuple[Expr, Expr]] = []
    match expr:
        case Max(u, v) | Min(u, v) | Where(_, u, v, _, _):
            kinks = [(u, v)]
        case Clip(u, low, high):
            kinks = [(u, low), (u, high)]
        case Call("abs", u):
            kinks = [(u, Const(Fraction(0)))]
    for u, v in kinks:
        if not abs(evaluate_array(u, {"t": t}) - evaluate_array(v, {"t": t})) > OFF_KINKS:
            return False
    return all(tame(part, t) for part in children(expr))


def sympy_derivative(expr: Expr, t: Fraction) -> float:
    symbol = sympy.Symbol("t", real=True)
    at = {symbol: sympy.Rational(t.numerator, t.denominator)}
    return float(sympy.diff(to_sympy(expr, {"t": symbol}), symbol).subs(at).evalf(20))


@given(TREES, _NUMBERS)
@settings(max_examples=200, deadline=None)
def test_torch_gradient_is_sympys_derivative(expr: Expr, at: Fraction) -> None:
    assume(tame(expr, np.array(float(at))))
    event(f"{len(list(walk(expr))) // 4} {type(expr).__name__}")
    t = torch.tensor(float(at), dtype=torch.float64, requires_grad=True)
    value = evaluate(expr, {"t": t}, OPS)
    found = 0.0
    if value.requires_grad:
        value.backward()
        assert t.grad is not None
        found = t.grad.item()
    assert found == pytest.approx(sympy_derivative(expr, at), rel=DERIVATIVE, abs=DERIVATIVE), to_text(expr)


def test_a_wrong_sign_is_told_apart() -> None:
    expr, twin = parse("softplus(-t) + max(0, 1 - t)"), parse("softplus(-t) + max(0, 1 + t)")
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    evaluate(twin, {"t": t}, OPS).backward()
    assert t.grad is not None
    assert abs(t.grad.item() - sympy_derivative(expr, Fraction(3, 10))) > 1.0
