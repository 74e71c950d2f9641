"""Certificates of piecewise-linear losses of several classes.

They hold, for every vertex of the arrangement at which a wrong class is on top, weights of vertices that
beat it together (`theory.checker.polyhedral_rules`), or one posterior at which such a vertex is optimal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from theory.expression.join import join

from .arrangement import Arrangement, arrange, losses_at
from .polyhedral_rules import (
    Posterior,
    Weights,
    certified_kappa,
    class_pairs,
    distinct_losses,
    is_optimal,
    unbounded_label,
    wrong_vertices,
)
from .reading import Refused, get, number, read_multiclass, vector


def verify_polyhedral(data: Mapping[str, Any], claim: str) -> int:
    tree, classes, kind, limit, vectors = read_multiclass(data)
    tree = join(tree)
    found = arrange(tree, classes, kind, limit, vectors)
    if unbounded_label(found) is not None:
        raise Refused("the conditional risk is unbounded below")
    if claim == "consistent":
        return _check_weights(data, found, symmetric=not vectors)
    p, scores = vector(data, "p", classes), vector(data, "scores", classes)
    if (kind == "sum-zero" and sum(scores) != 0) or (limit is not None and max(map(abs, scores)) > limit):
        raise Refused("the wrong scores lie outside the domain")
    if not any(p[k] < max(p) for k in range(classes) if scores[k] == max(scores)):
        raise Refused("no wrong class is on top at the stated scores")
    if not is_optimal(distinct_losses(found)[0], losses_at(tree, scores, vectors), p):
        raise Refused("the wrong scores are not optimal at the stated posterior")
    return len(found.vertices)


def _check_weights(data: Mapping[str, Any], found: Arrangement, symmetric: bool) -> int:
    classes = found.classes
    losses, place = distinct_losses(found)
    kappa = number(get(data, "kappa", str), "kappa")
    if kappa <= 0:
        raise Refused("kappa must be positive")
    given: dict[tuple[int, int, Posterior], Weights] = {}
    for entry in get(data, "weights", list):
        best, rival = get(entry, "best", int), get(entry, "rival", int)
        wrong = vector(entry, "losses", classes)
        beaten = {vector(each, "losses", classes): each for each in get(entry, "beaten_by", list)}
        if not {wrong, *beaten} <= place.keys():
            raise Refused("an entry names losses that no vertex has")
        weights = {place[vector]: number(get(each, "weight", str), "weight") for vector, each in beaten.items()}
        given[best, rival, wrong] = Weights(place[wrong], best, rival, weights)
    for best, rival in class_pairs(classes, symmetric):
        for wrong_losses in wrong_vertices(found, rival):
            entry_ = given.get((best, rival, wrong_losses))
            if entry_ is None:
                raise Refused("a vertex with the wrong class on top has no weights")
            parts = entry_.weights.values()
            if sum(parts) != 1 or min(parts) < 0 or certified_kappa(losses, entry_, classes) < kappa:
                raise Refused(f"the weights of a wrong vertex do not certify kappa = {kappa}")
    return len(found.vertices)
