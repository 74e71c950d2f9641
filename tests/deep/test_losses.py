"""The loss modules at their doors; their values are tied to theory's trees in tests/ties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from deep import MLP, AverageMarginLoss, ExpressionLoss, HingePenaltyLoss, build_model, orthogonality_penalty
from theory import catalogue, from_formula, from_pair

LOGITS = torch.tensor([[1.3, -0.4, 0.2], [0.1, 0.6, -2.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 2])


@given(st.integers(0, 2**32 - 1))
def test_no_penalty_is_cross_entropy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = torch.tensor(rng.normal(size=(4, 3))), torch.tensor(rng.integers(0, 3, 4))
    for penalty in ("paper", "released"):
        assert torch.equal(AverageMarginLoss(0.0, 1.7, penalty)(logits, labels), nn.CrossEntropyLoss()(logits, labels))


def test_the_penalties_fall_on_opposite_sides() -> None:
    """Along t = f_0 - f_1 the paper's penalty falls on (0, tau), the released one on (-tau, 0)."""
    mu, tau, label = 0.7, 2.3, torch.tensor([0])
    for penalty, moving in (("paper", (0.4, 1.9)), ("released", (-1.9, -0.4))):
        for t in (-5.1, -1.9, -0.4, 0.4, 1.9, 5.1):
            logits = torch.tensor([[t, 0.0]], dtype=torch.float64, requires_grad=True)
            difference = AverageMarginLoss(mu, tau, penalty)(logits, label) - nn.CrossEntropyLoss()(logits, label)
            (slope,) = torch.autograd.grad(difference, logits)
            expected = -mu if t in moving else 0.0
            assert slope[0, 0].item() == pytest.approx(expected, abs=1e-15)
            height = {"paper": min(max(tau - t, 0.0), tau), "released": min(max(-t, 0.0), tau)}[penalty]
            assert difference.item() == pytest.approx(mu * height, rel=1e-12, abs=1e-14)


def test_float32_keeps_its_dtype_and_stays_finite_at_large_logits() -> None:
    logits = torch.tensor([[80.0, -70.0, 3.0]], requires_grad=True)
    for module in (AverageMarginLoss(0.1, 5.0), ExpressionLoss(catalogue.get("average-margin"))):
        value = module(logits, torch.tensor([1]))
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(150.5, rel=1e-6)  # float32
        (gradient,) = torch.autograd.grad(value, logits)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("mu", "tau", "penalty", "message"),
    [
        (-0.1, 5.0, "paper", "mu=-0.1 must be finite and at least 0"),
        (math.nan, 5.0, "paper", "mu=nan must be finite"),
        (math.inf, 5.0, "paper", "mu=inf must be finite"),
        (0.1, 0.0, "paper", "tau=0.0 must be finite and above 0"),
        (0.1, math.inf, "paper", "tau=inf must be finite"),
        (0.1, 5.0, "papers", "penalty='papers' must be 'paper' or 'released'"),
        ("a tenth", 5.0, "paper", "mu='a tenth' must be a number"),
        (0.1, None, "paper", "tau=None must be a number"),
    ],
)
def test_parameters_are_checked(mu: Any, tau: Any, penalty: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AverageMarginLoss(mu, tau, penalty)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (LOGITS[0], LABELS, r"logits of shape \(3,\), torch.float64 must be real, \(n, c\)"),
        (LOGITS[:, :1], LABELS, r"logits of shape \(2, 1\)"),
        (LOGITS[:0], LABELS[:0], r"logits of shape \(0, 3\)"),
        (LOGITS.long(), LABELS, r"torch.int64 must be real"),
        (LOGITS, LABELS[:1], r"labels of shape \(1,\), torch.int64 must be int64 of shape \(2,\)"),
        (LOGITS, LABELS.double(), "labels of shape .* torch.float64 must be int64"),
        (LOGITS, LABELS + 1, r"labels in 1\.\.3 must lie in 0\.\.2"),
        (LOGITS, LABELS - 1, r"labels in -1\.\.1 must lie in 0\.\.2"),
        (LOGITS.numpy(), LABELS, r"logits of type ndarray must be a torch.Tensor \(see torch.as_tensor\)"),
        (LOGITS, LABELS.numpy(), "labels of type ndarray must be a torch.Tensor"),
        (LOGITS, [0, 2], "labels of type list must be a torch.Tensor"),
    ],
)
def test_batches_are_checked(logits: Any, labels: Any, message: str) -> None:
    own, tree = AverageMarginLoss(0.1, 5.0), ExpressionLoss(catalogue.get("average-margin"))
    asked = (own, own.convex_part, own.subtracted_part, HingePenaltyLoss(0.1, 5.0), tree, tree.values)
    for call in asked:
        assert torch.isfinite(call(LOGITS, LABELS)).all()
        with pytest.raises(ValueError, match=message) as caught:
            call(logits, labels)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", ["average-margin", None, nn.CrossEntropyLoss()])
def test_what_is_no_loss_of_theory_is_refused(what: Any) -> None:
    with pytest.raises(ValueError, match=r"loss=.* must be a theory.Loss \(see theory.catalogue.get"):
        ExpressionLoss(what)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_refused_on_request(bad: float) -> None:
    logits = LOGITS.clone()
    logits[1, 0] = bad
    loss = catalogue.get("average-margin")
    for module in (AverageMarginLoss(0.1, 5.0, check=True), ExpressionLoss(loss, check=True)):
        assert math.isfinite(module(LOGITS, LABELS))
        with pytest.raises(ValueError, match=r"logits\[1\] must be finite"):
            module(logits, LABELS)


def test_nan_is_passed_on_where_nobody_asked() -> None:
    assert math.isnan(AverageMarginLoss(0.1, 5.0)(LOGITS * math.nan, LABELS))


def test_repr_names_the_parameters() -> None:
    assert repr(AverageMarginLoss(0.1, 5)) == "AverageMarginLoss(mu=0.1, tau=5, penalty='paper')"
    assert repr(ExpressionLoss(catalogue.get("cross-entropy"))) == "ExpressionLoss('cross-entropy')"


# -- domains and forms of a loss ------------------------------------------------------------------------------------


def test_a_loss_without_scores_is_refused() -> None:
    for loss in (catalogue.get("exponential"), from_pair("exp(-v)", "exp(v)")):
        with pytest.raises(ValueError, match="has no multiclass formula"):
            ExpressionLoss(loss)


def test_a_vector_parameter_fixes_the_classes() -> None:
    module = ExpressionLoss(from_formula("w * (lse - fy)", classes=3, parameters={"w": (1, 2, 5)}))
    plain = ExpressionLoss(catalogue.get("cross-entropy")).values(LOGITS, LABELS)
    torch.testing.assert_close(module.values(LOGITS, LABELS), plain * torch.tensor([1.0, 5.0]), rtol=1e-12, atol=0.0)
    with pytest.raises(ValueError, match=r"logits of shape \(2, 2\) must have 3 columns, as parameter 'w'"):
        module(LOGITS[:, :2], torch.tensor([0, 1]))


def test_sum_zero_scores_are_parametrised_by_any_logits() -> None:
    module = ExpressionLoss(from_formula("sum_other(max(0, 1 + fk))", classes=3, domain="sum-zero"))
    shifted = module.values(LOGITS + torch.tensor([[3.7], [-1.2]]), LABELS)
    torch.testing.assert_close(shifted, module.values(LOGITS, LABELS), rtol=1e-12, atol=1e-12)
    centred = LOGITS - LOGITS.mean(dim=1, keepdim=True)
    expected = [
        sum(max(0.0, 1.0 + f[k]) for k in range(3) if k != y) for f, y in zip(centred.tolist(), (0, 2), strict=True)
    ]
    assert module.values(LOGITS, LABELS).tolist() == pytest.approx(expected, rel=1e-12)


def test_bounded_scores_are_refused_outside_their_bound() -> None:
    module = ExpressionLoss(from_formula("-fy", classes=3, domain="bounded:2"))
    assert module(LOGITS, LABELS).item() == pytest.approx(0.35, rel=1e-12)
    for bad in (2.01, -2.01, math.nan):
        logits = LOGITS.clone()
        logits[0, 1] = bad
        with pytest.raises(ValueError, match=r"max \|logit\|=.* must be at most 2, the domain of '-fy'"):
            module(logits, LABELS)


# -- orthogonality --------------------------------------------------------------------------------------------------


def test_orthogonality_is_the_sum_over_layers() -> None:
    model = MLP(5, 3, hidden=4, generator=torch.Generator().manual_seed(1)).double()
    expected = sum(
        np.linalg.norm(w @ w.T - np.eye(len(w)), "fro") ** 2
        for w in (model.fc1.weight.detach().numpy(), model.fc2.weight.detach().numpy())
    )
    assert orthogonality_penalty(model).item() == pytest.approx(expected, rel=1e-12)


def test_orthogonality_reshapes_kernels_and_vanishes_on_orthonormal_rows() -> None:
    layer = nn.utils.skip_init(nn.Conv2d, 2, 4, 3, dtype=torch.float64)
    rows = torch.linalg.qr(torch.randn(18, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))[0].T
    with torch.no_grad():
        layer.weight.copy_(rows.reshape(4, 2, 3, 3))
    assert orthogonality_penalty(layer).item() < 1e-28  # 16 entries, each a rounding of about 1e-15, squared
    with torch.no_grad():
        layer.weight.mul_(2.0)
    assert orthogonality_penalty(layer).item() == pytest.approx(4 * 9.0, rel=1e-12)


def test_orthogonality_needs_a_weight() -> None:
    assert orthogonality_penalty(build_model("linear", 4, 2, generator=torch.Generator())).item() > 0
    with pytest.raises(ValueError, match="model=ReLU must have a weight"):
        orthogonality_penalty(nn.ReLU())
