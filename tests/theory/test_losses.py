"""Losses add, scale and print; what does not fit together is refused in one line."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.strategies import catalogue_losses, decimals, rationals, scores
from tests.theory.meaning import at_score, at_scores
from theory import Domain, Loss, catalogue, from_formula, from_pair
from theory.expression import SCORE_NAMES, Const, FormulaError, exact, parse, substitute
from theory.losses import parse_parameter

# Two ways to write a sum of a few terms in float64.
ROUNDING = 1e-12


def same_values(one: Loss, two: Loss, t: float, f: Any) -> bool:
    """The property: two losses agree, in every form that the first one has."""

    def near(a: Any, b: Any) -> bool:
        return bool(np.allclose(a, b, rtol=ROUNDING, atol=ROUNDING))

    agree = [near(one.phi(t), two.phi(t))] if one.binary is not None else []
    if one.binary is not None or one.pair is not None:
        agree += [near(one.phi_plus(t), two.phi_plus(t)), near(one.phi_minus(t), two.phi_minus(t))]
    if one.multiclass is not None:
        agree.append(near(one.values(f), two.values(f)))
    assert agree
    return all(agree)


def floats(values: tuple[Fraction, ...]) -> list[float]:
    return [float(value) for value in values]


# -- algebra -------------------------------------------------------------------------------------------------------


@given(rationals(0, 9), rationals(0, 9), rationals(), scores(4))
def test_the_papers_loss_is_cross_entropy_plus_a_truncated_hinge(
    mu: Fraction, tau: Fraction, t: Fraction, f: tuple[Fraction, ...]
) -> None:
    built = catalogue.get("cross-entropy") + mu * catalogue.get("truncated-hinge", tau=tau, s=0)
    wanted = catalogue.get("average-margin", mu=mu, tau=tau)
    assert same_values(wanted, built, float(t), floats(f))
    released = catalogue.get("average-margin-released", mu=mu, tau=tau)
    if 0 < t < tau:
        assert not same_values(released, built, float(t), floats(f))


@given(catalogue_losses(), catalogue_losses(), rationals(0, 5), rationals(), scores(3))
def test_sums_and_multiples_are_those_of_the_values(
    one: Loss, two: Loss, weight: Fraction, t: Fraction, f: tuple[Fraction, ...]
) -> None:
    assume(one.domain == two.domain)
    scaled = weight * one
    assert same_values(one, (1 / weight) * scaled, float(t), floats(f))
    if one.binary is not None and two.binary is not None:
        total = one + weight * two
        assert total.phi(float(t)) == pytest.approx(one.phi(float(t)) + float(weight) * two.phi(float(t)), rel=ROUNDING)
        assert total.phi_minus(float(t)) == pytest.approx(total.phi(-float(t)), rel=ROUNDING)
    if one.multiclass is not None and two.multiclass is not None:
        total = one + weight * two
        wanted = one.values(floats(f)) + float(weight) * two.values(floats(f))
        assert total.values(floats(f)) == pytest.approx(wanted, rel=ROUNDING, abs=ROUNDING)


@given(rationals(0, 4), rationals(0, 4), rationals())
def test_one_parameter_name_with_two_values(a: Fraction, b: Fraction, t: Fraction) -> None:
    one = from_formula("max(0, tau - t)", parameters={"tau": a})
    two = from_formula("max(0, tau - t)**2 + tau", parameters={"tau": b})
    total = one + two
    wanted = max(Fraction(0), a - t) + max(Fraction(0), b - t) ** 2 + b
    assert total.phi(float(t)) == pytest.approx(float(wanted), rel=ROUNDING, abs=ROUNDING)
    assert ("tau" in total.parameters) == (a == b)
    assert (total + one).phi(float(t)) == pytest.approx(
        float(wanted + max(Fraction(0), a - t)), rel=ROUNDING, abs=ROUNDING
    )


def test_pairs_add_to_pairs() -> None:
    one, two = from_pair("exp(-v)", "max(0, 1 + v)"), from_pair("max(0, a - v)", "v**2", parameters={"a": 2})
    total = one + 3 * two
    v = np.array([-1.37, 0.21, 2.93])
    assert total.phi_plus(v) == pytest.approx(np.exp(-v) + 3 * np.maximum(0, 2 - v), rel=ROUNDING)
    assert total.phi_minus(v) == pytest.approx(np.maximum(0, 1 + v) + 3 * v**2, rel=ROUNDING)
    with pytest.raises(ValueError, match="not a function of t"):
        total.phi(0.3)


def test_a_margin_loss_adds_to_a_pair() -> None:
    """Every phi(t) is the pair phi(v), phi(-v)."""
    total = catalogue.get("hinge") + from_pair("exp(-v)", "v**2")
    assert total.phi_plus(0.3) == pytest.approx(0.7 + np.exp(-0.3), rel=ROUNDING)
    assert total.phi_minus(0.3) == pytest.approx(1.3 + 0.09, rel=ROUNDING)


def test_a_form_that_only_one_side_has_is_dropped() -> None:
    total = catalogue.get("hinge") + catalogue.get("cross-entropy")
    assert total.binary is not None
    assert total.multiclass is None
    with pytest.raises(ValueError, match="no multiclass formula"):
        total.values([1.0, 0.0])


def test_parameters_of_a_dropped_form_are_dropped_too() -> None:
    names = frozenset({"b"})
    both = Loss(
        "both", binary=parse("t"), multiclass=parse("b * fy", SCORE_NAMES, names), parameters={"b": Fraction(2)}
    )
    total = both + catalogue.get("hinge")
    assert total.phi(0.5) == pytest.approx(1.0)


def test_losses_without_a_common_form_do_not_add() -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        catalogue.get("hinge") + from_formula("lse - fy", classes=3)


@pytest.mark.parametrize("other", [1, 0.5, "hinge", None])
def test_only_losses_add(other: Any) -> None:
    with pytest.raises(TypeError):
        catalogue.get("hinge") + other


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), "two", True, None])
def test_only_numbers_scale(weight: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        weight * catalogue.get("hinge")


def test_weights_are_exact() -> None:
    for weight in (0.1, "0.1", "1/10", Fraction(1, 10)):
        assert (weight * catalogue.get("hinge")).to_dict()["binary"] == "0.1 * max(0, 1 - t)"
    assert str(0.1 * (catalogue.get("hinge") + catalogue.get("logistic"))) == "1/10 * (hinge + logistic)"


# -- what does not fit ---------------------------------------------------------------------------------------------


def test_domains_must_agree() -> None:
    one = from_formula("1 - t", domain="bounded:2")
    with pytest.raises(ValueError, match=r"\Adomains bounded:2 and all must be equal[^\n]*\Z"):
        one + catalogue.get("hinge")
    with pytest.raises(ValueError, match=r"domains bounded:2 and bounded:3 "):
        one + from_formula("1 - t", domain="bounded:3")
    assert str((one + from_formula("exp(-t)", domain="bounded:2")).domain) == "bounded:2"


def test_a_parameter_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\Aparameter 'mu' is not used[^\n]*\Z"):
        from_formula("max(0, 1 - t)", parameters={"mu": 1})


def test_a_place_without_a_parameter_is_refused() -> None:
    with pytest.raises(FormulaError, match="unknown name 'mu'"):
        from_formula("mu * max(0, 1 - t)")


def test_parameters_named_like_quantities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\Aparameter 't' has the name of a quantity[^\n]*\Z"):
        from_formula("t", parameters={"t": 1})
    with pytest.raises(ValueError, match=r"\Aparameter 'v' has the name of a quantity[^\n]*\Z"):
        from_pair("v", "-v", parameters={"v": 1})
    for name in ("alpha", "fy", "q", "c", "lse", "fk", "qk"):
        with pytest.raises(ValueError, match=rf"\Aparameter '{name}' has the name of a quantity[^\n]*\Z"):
            from_formula(f"{name} * lse", classes=3, parameters={name: 1})
    assert from_formula("alpha * t", parameters={"alpha": 3}).phi(2.0) == 6.0


def test_binary_losses_take_no_vectors() -> None:
    with pytest.raises(ValueError, match=r"\Aparameter 'w' must be one number in a binary loss, not 2\Z"):
        from_formula("w * t", parameters={"w": (1, 2)})
    with pytest.raises(ValueError, match="one number"):
        from_pair("w * v", "v", parameters={"w": "1,2"})  # type: ignore[dict-item]


@pytest.mark.parametrize("classes", [1, 0, -2])
def test_losses_need_two_classes(classes: int) -> None:
    with pytest.raises(ValueError, match=rf"\Aclasses={classes} must be at least 2\Z"):
        from_formula("lse - fy", classes=classes)


def test_a_loss_needs_a_formula() -> None:
    with pytest.raises(ValueError, match="at least one formula"):
        Loss("nothing")


@pytest.mark.parametrize(
    "text",
    ["bounded", "bounded:", "bounded:0", "bounded:-1", "bounded:x", "all:2", "sum-zero:1", "ALL", "", "bounded:1/0"],
)
def test_domains_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        Domain.parse(text)
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        from_formula("1 - t", domain=text)


@given(st.sampled_from(["all", "sum-zero", "bounded:2", "bounded:1/3"]))
def test_domains_come_back(text: str) -> None:
    assert str(Domain.parse(text)) == text
    assert Domain.parse(str(Domain.parse(text))) == Domain.parse(text)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), [0.0, float("nan")]])
def test_values_of_what_is_no_number_are_refused(bad: Any) -> None:
    for call in (catalogue.get("hinge").phi, catalogue.get("hinge").phi_plus, catalogue.get("hinge").phi_minus):
        with pytest.raises(ValueError, match="must be finite"):
            call(bad)


@pytest.mark.parametrize("shape", [(), (1,), (3, 1)])
def test_scores_need_a_class_axis(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must have a last axis of c >= 2 classes"):
        catalogue.get("cross-entropy").values(np.zeros(shape))


# -- vectors -------------------------------------------------------------------------------------------------------


@given(st.data(), scores(3))
def test_vector_parameters_are_read_per_class(data: st.DataObject, f: tuple[Fraction, ...]) -> None:
    w = tuple(data.draw(decimals()) for _ in range(3))
    loss = from_formula("w * (lse - fy) + sum_other(max(0, wk - (fy - fk)))", classes=3, parameters={"w": w})
    assert loss.multiclass is not None
    wanted = [at_scores(loss.multiclass, f, y, {"w": w}) for y in range(3)]
    assert loss.values(floats(f)) == pytest.approx([float(x) for x in wanted], rel=ROUNDING, abs=ROUNDING)
    if len(set(w)) == 3:
        turned = from_formula("w * (lse - fy)", classes=3, parameters={"w": w[1:] + w[:1]})
        straight = from_formula("w * (lse - fy)", classes=3, parameters={"w": w})
        assert not np.allclose(turned.values(floats(f)), straight.values(floats(f)))


def test_vectors_may_be_written_as_text() -> None:
    assert parse_parameter("1, 1/2,0.25") == (Fraction(1), Fraction(1, 2), Fraction(1, 4))
    one = from_formula("w * (lse - fy)", classes=3, parameters={"w": "1,2,3"})
    assert one == from_formula("w * (lse - fy)", classes=3, parameters={"w": (1, 2, 3)})


def test_vectors_have_one_entry_per_class() -> None:
    with pytest.raises(ValueError, match=r"\Aparameter 'w' has 2 entries; it must have one per class, 3\Z"):
        from_formula("w * (lse - fy)", classes=3, parameters={"w": (1, 2)})
    loss = from_formula("w * (lse - fy)", classes=3, parameters={"w": (1, 2, 3)})
    with pytest.raises(ValueError, match=r"\Aparameter 'w' has 3 entries; it must have one per class, 4\Z"):
        loss.values(np.zeros(4))


def test_two_vectors_of_one_name_do_not_add() -> None:
    one = from_formula("w * (lse - fy)", classes=2, parameters={"w": (1, 2)})
    two = from_formula("w * (lse - fy)", classes=2, parameters={"w": (1, 3)})
    with pytest.raises(ValueError, match=r"\A[^\n]*'w'[^\n]*\Z"):
        one + two
    assert (one + one).values([0.3, -0.2]) == pytest.approx(2 * one.values([0.3, -0.2]), rel=ROUNDING)


# -- text ----------------------------------------------------------------------------------------------------------


def read_back(data: dict[str, Any]) -> Loss:
    """A loss from its own dictionary, through the public constructors."""
    names = frozenset(data["parameters"])
    values = {k: tuple(map(exact, v)) if isinstance(v, list) else exact(v) for k, v in data["parameters"].items()}
    return Loss(
        data["name"],
        binary=parse(data["binary"], frozenset({"t"}), names) if "binary" in data else None,
        pair=(parse(data["plus"], frozenset({"v"}), names), parse(data["minus"], frozenset({"v"}), names))
        if "plus" in data
        else None,
        multiclass=parse(data["multiclass"], SCORE_NAMES, names) if "multiclass" in data else None,
        parameters=values,
        domain=Domain.parse(data["domain"]),
    )


@given(catalogue_losses())
def test_dictionaries_come_back(loss: Loss) -> None:
    assert read_back(loss.to_dict()) == loss


@pytest.mark.parametrize(
    "loss",
    [
        from_pair("a * exp(-v)", "max(0, 1 + v)", parameters={"a": "2/3"}, domain="bounded:5/7"),
        from_formula("w * (lse - fy) + sum_other(wk * qk)", classes=3, parameters={"w": "1,1/3,2"}, domain="sum-zero"),
        from_formula("e * max(0, 1 - t)", parameters={"e": "1e-40"}),
    ],
    ids=str,
)
def test_dictionaries_of_other_losses_come_back(loss: Loss) -> None:
    assert read_back(json.loads(json.dumps(loss.to_dict()))) == loss


def test_dictionaries_keep_a_scaled_sum() -> None:
    loss = catalogue.get("cross-entropy") + "2/3" * catalogue.get("truncated-hinge", tau="1/3", s=0)
    again = read_back(loss.to_dict())
    t = np.array([-2.3, 0.17, 1.9])
    assert again.phi(t) == pytest.approx(loss.phi(t), rel=ROUNDING)


@given(catalogue_losses(form="binary"), rationals())
def test_parameters_are_exact(loss: Loss, t: Fraction) -> None:
    """The tree with its values in place has the value of the formula with those values by name."""
    assert loss.binary is not None
    assert loss.margin_tree is not None
    table = {name: Const(value) for name, value in loss.parameters.items() if isinstance(value, Fraction)}
    wanted = at_score(substitute(loss.binary, table), t)
    assert abs(at_score(loss.margin_tree, t) - wanted) <= 1e-40 * max(1, abs(wanted))


def test_losses_are_values() -> None:
    one, two = catalogue.get("average-margin", mu=0.1), catalogue.get("average-margin", mu="1/10")
    assert one == two
    assert hash(one) == hash(two)
    assert one != catalogue.get("average-margin", mu=0.2)
    with pytest.raises(AttributeError):
        one.name = "other"  # type: ignore[misc]


# -- shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_binary_values_keep_the_shape(shape: tuple[int, ...]) -> None:
    t = np.full(shape, 0.37)
    for loss in (catalogue.get("hinge"), from_formula("2"), from_formula("where(t < 1, 1, 2)")):
        for values in (loss.phi(t), loss.phi_plus(t), loss.phi_minus(t)):
            assert np.shape(values) == shape
            assert np.asarray(values).dtype == np.float64


@pytest.mark.parametrize("shape", [(2,), (4, 3), (2, 5, 4), (0, 3)])
def test_multiclass_values_keep_the_shape(shape: tuple[int, ...]) -> None:
    scores = np.random.default_rng(3).normal(size=shape)
    for text in ("lse - fy", "2", "c", "sum_other(1)", "max_other(fk) - fy", "alpha"):
        values = from_formula(text, classes=shape[-1]).values(scores)
        assert values.shape == shape
        assert values.dtype == np.float64
    if 0 not in shape:
        assert from_formula("sum_other(1)", classes=shape[-1]).values(scores).flat[0] == shape[-1] - 1


# -- the catalogue -------------------------------------------------------------------------------------------------


def test_the_catalogue_refuses_what_it_does_not_know() -> None:
    with pytest.raises(catalogue.UnknownLoss, match="did you mean 'hinge'"):
        catalogue.get("hing")
    with pytest.raises(ValueError, match=r"\Aloss 'hinge' has no parameter 'mu'[^\n]*none\Z"):
        catalogue.get("hinge", mu=1)
    with pytest.raises(ValueError, match=r"\Aparameter tau=0 must be > 0\Z"):
        catalogue.get("average-margin", tau=0)
    with pytest.raises(ValueError, match=r"\Aparameter mu=-0.1 must be >= 0\Z"):
        catalogue.get("average-margin", mu=-0.1)


def test_only_losses_that_name_it_pay_for_a_logarithm_of_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    from theory.expression import arrays

    calls = []
    scores = np.array([[0.3, -1.2, 0.8], [2.0, 0.1, 0.4]])
    true = arrays._log_sum_exp
    monkeypatch.setattr(arrays, "_log_sum_exp", lambda scores: calls.append(1) or true(scores))
    hinge = from_formula("max(0, 1 - alpha) + sum_other(max(0, fk))", classes=3)
    expected = [[1.5 + 0.8 + 0.0, 3.0 + 0.3 + 0.8, 0.5 + 0.3], [0.0 + 0.5, 2.9 + 2.4, 2.6 + 2.1]]
    assert hinge.values(scores) == pytest.approx(np.array(expected), rel=1e-12)
    assert calls == []
    for words in ("lse - fy", "-log(q)", "sum_other(qk)"):
        from_formula(words, classes=3).values(scores)
    assert len(calls) == 3
