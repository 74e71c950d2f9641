"""Exact facts about piecewise-linear losses that search and checker share: trusted."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from .arrangement import Arrangement

_ZERO = Fraction(0)
Posterior = tuple[Fraction, ...]
"""Exact probabilities of the classes; also used for the losses of all labels at one score vector."""


@dataclass(frozen=True)
class Weights:
    """For one wrong vertex: which vertices beat it together, and with what weight."""

    wrong: int
    best: int
    rival: int
    weights: dict[int, Fraction]


def unbounded_label(arrangement: Arrangement) -> int | None:
    """A label whose own loss falls without bound along some ray, or None."""
    for ray in arrangement.rays:
        for label, slope in enumerate(ray.losses):
            if slope < 0:
                return label
    return None


def extreme_posteriors(classes: int, best: int) -> list[Posterior]:
    """The extreme points of {p in the simplex: p_best >= p_k for every k}.

    >>> [[str(x) for x in p] for p in extreme_posteriors(2, 0)]
    [['1', '0'], ['1/2', '1/2']]
    """
    others = [k for k in range(classes) if k != best]
    sets = [(best, *chosen) for size in range(classes) for chosen in combinations(others, size)]
    return [tuple(Fraction(int(k in chosen), len(chosen)) for k in range(classes)) for chosen in sets]


def distinct_losses(arrangement: Arrangement) -> tuple[list[Posterior], dict[Posterior, int]]:
    """The distinct loss vectors in a fixed order, and their places."""
    losses = sorted({vertex.losses for vertex in arrangement.vertices})
    return losses, {vector: place for place, vector in enumerate(losses)}


def wrong_vertices(arrangement: Arrangement, rival: int) -> set[Posterior]:
    """The loss vectors of the vertices at which `rival` attains the largest score."""
    return {vertex.losses for vertex in arrangement.vertices if rival in vertex.top}


def class_pairs(classes: int, symmetric: bool) -> list[tuple[int, int]]:
    """The pairs (likeliest class, wrong class) that must be treated: one where the loss treats all labels alike."""
    return [(0, 1)] if symmetric else [(b, j) for b in range(classes) for j in range(classes) if b != j]


def dot(left: Posterior, right: Posterior) -> Fraction:
    """The sum of products: a conditional risk C_p."""
    return sum((x * y for x, y in zip(left, right, strict=True) if x and y), _ZERO)


def certified_kappa(losses: list[Posterior], weights: Weights, classes: int) -> Fraction:
    """The largest kappa that the weights certify exactly; 0 where they certify none."""
    best: Fraction | None = None
    for p in extreme_posteriors(classes, weights.best):
        lead = dot(losses[weights.wrong], p) - sum((x * dot(losses[v], p) for v, x in weights.weights.items()), _ZERO)
        margin = p[weights.best] - p[weights.rival]
        if margin == 0:
            if lead < 0:
                return _ZERO
        else:
            best = lead / margin if best is None else min(best, lead / margin)
    return best if best is not None and best > 0 else _ZERO


def is_optimal(losses: list[Posterior], vector: Posterior, p: Posterior) -> bool:
    """True where p is a posterior and no vertex has a smaller conditional risk than the losses `vector`."""
    if min(p) < 0 or sum(p) != 1:
        return False
    risk = dot(vector, p)
    return all(risk <= dot(other, p) for other in losses)
