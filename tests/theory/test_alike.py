"""Counterexamples at posteriors whose other classes are all alike: found at once and verified once."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import pytest
from flint import ctx

from tests.theory.test_multiclass import evidence_holds
from theory import Status, catalogue, check, from_formula, prove
from theory.checker import PRECISION
from theory.checker.cone import Cone
from theory.checker.cone_proofs import _same, wrong_risk
from theory.prover.budget import Budget
from theory.prover.cone_refuting import _grow_refutations


@pytest.mark.parametrize(("name", "classes"), [("average-margin-released", 5), ("cross-entropy-hinge", 6)])
def test_hinges_beside_the_cross_entropy_are_refuted_near_the_uniform_posterior(name: str, classes: int) -> None:
    loss = catalogue.get(name)
    verdict = prove(loss, classes=classes)
    assert verdict.status is Status.REFUTED, verdict.advice
    assert evidence_holds(loss, verdict)
    assert len(set(verdict.witness["p"])) == 2  # type: ignore[index]


def _certificate() -> dict[str, Any]:
    """Three classes: two orders of the other two, which weigh the same, and two equal trees."""
    certificate = prove(catalogue.get("average-margin-released"), classes=3).certificate
    assert certificate is not None
    assert certificate["trees"][0] == certificate["trees"][1]
    return copy.deepcopy(certificate)


def test_each_order_needs_its_own_tree_or_the_same() -> None:
    certificate = _certificate()
    whole = check(certificate)
    assert whole.valid
    bare = copy.deepcopy(certificate)
    bare["trees"][1] = ["v"]  # no proof: the whole cone in one box
    assert not check(bare).valid
    shorter = copy.deepcopy(certificate)
    shorter["trees"] = shorter["trees"][:1]
    assert not check(shorter).valid


def test_the_same_tree_does_not_serve_another_order() -> None:
    """Where the other classes weigh differently, the tree of one order fails for the other."""
    loss = from_formula("atan(-alpha)", classes=3)
    p = tuple(Fraction(k, 19) for k in (9, 6, 4))
    wrong = {"scores": ["0", "0", "0"]}
    with ctx.workprec(PRECISION):
        cone = Cone(loss.score_tree, 3, loss.domain.kind, loss.domain.bound)
        trees = _grow_refutations(cone, loss, p, wrong_risk(cone, p, wrong, Fraction), Budget(4000, 60.0))
    certificate = dict(prove(loss, classes=3).certificate or {}) | {
        "p": [str(x) for x in p],
        "wrong": wrong,
        "trees": trees,
    }
    assert check(certificate).valid
    for tree in trees:
        assert not check(certificate | {"trees": [tree, tree]}).valid


def test_trees_are_compared_node_by_node_and_type_by_type() -> None:
    tree = ["w", 1, ["v"], ["r"]]
    assert _same(tree, copy.deepcopy(tree))
    for other in (["w", True, ["v"], ["r"]], ["w", 1, ["v"]], ["w", 1, ["v"], ["o"]], ["w", 1, "v", ["r"]], ("w",)):
        assert not _same(tree, other)
    deep: list[Any] = ["v"]
    for _ in range(50_000):
        deep = ["w", 0, deep, ["v"]]
    assert _same(deep, deep)
    assert not _same(deep, ["w", 0, deep, ["v"]])
