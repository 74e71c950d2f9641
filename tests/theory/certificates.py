"""Certificates to break, random ways to break them, and a judge that knows nothing of certificates' rules."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from tests.theory import brute
from theory import Loss, catalogue, from_formula, from_pair, prove

Certificate = dict[str, Any]
Path = tuple[Any, ...]

# Sums of a few float64 numbers of the size of the risk.
ROUNDING = 1e-12
# A limit at infinity is compared at |v| = 1e5; the losses below are within 1e-8 of their limits there.
AT_INFINITY = 1e-7

BASES: dict[str, tuple[Callable[[], Loss], str]] = {
    "logistic (tie, reflect, candidate)": (lambda: from_formula("softplus(-t)"), "1/2"),
    "hinge": (lambda: catalogue.get("hinge"), "1/2"),
    "paper": (lambda: catalogue.get("average-margin", mu="1/3", tau="7/4"), "1/2"),
    "step (points)": (lambda: from_formula("where(t <= 1/3, 1, 0)"), "1/2"),
    "pair (slide)": (lambda: from_pair("exp(-v)", "max(0, 1 + v)"), "1/2"),
    "unhinged on a bounded domain": (lambda: from_formula("1 - t", domain="bounded:2"), "1/2"),
    "perceptron (rise, value)": (lambda: catalogue.get("perceptron"), "1/2"),
    "released": (lambda: catalogue.get("average-margin-released", mu="2/7", tau="3/2"), "1/2"),
    "wrong sign (gap)": (lambda: from_formula("0.4 * softplus(-t) + 0.6 * softplus(t)"), "1/2"),
    "infimum at both ends": (lambda: from_formula("(1 - tanh(t) / 2) / (1 + t**2)"), "1/2"),
    "one point": (lambda: from_formula("where(t < 0, 1, where(t <= 0, 0, 1/2))"), "1/2"),
    "pair, refuted below": (lambda: from_pair("max(0, 1 - 2 * v)", "max(0, 1 + v)"), "1/2"),
}


@cache
def _base(name: str) -> Certificate:
    make, threshold = BASES[name]
    certificate = prove(make(), threshold=threshold).certificate
    assert certificate is not None
    return certificate


def base(name: str) -> Certificate:
    """A fresh copy of a valid certificate."""
    return copy.deepcopy(_base(name))


# -- mutations -----------------------------------------------------------------------------------------------------


def leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar of the certificate with the way to it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path, node


def at(node: Any, path: Path) -> Any:
    """What lies at a path."""
    for step in path:
        node = node[step]
    return node


def put(node: Any, path: Path, value: Any) -> None:
    """Replace what lies at a path."""
    at(node, path[:-1])[path[-1]] = value


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"-?\d+(/\d+)?", value) is not None


def _moved(rng: random.Random, text: str) -> str:
    """Another number: a little or a lot away, of the other sign, or a limit."""
    value = Fraction(text)
    nudge = Fraction(rng.choice([1, -1]), rng.choice([2, 7, 64, 1000, 10**9]))
    options = [value + nudge, value * (1 + nudge), -value, value * 2, value / 2, 1 - value, Fraction(0), Fraction(1)]
    return rng.choice([*(str(option) for option in options), "inf", "-inf"])


def _number(rng: random.Random, c: Certificate) -> None:
    """One number moves."""
    path, text = rng.choice([item for item in leaves(c) if _is_number(item[1]) and item[0][0] != "format"])
    put(c, path, _moved(rng, text))


def _shared_end(rng: random.Random, c: Certificate) -> None:
    """One number moves wherever it stands in a cover, so that boxes or cells still tile."""
    covers = [path[:-1] for path, _ in leaves(c) if path[-1] == "rule"]
    parents = sorted({path[:-1] for path in covers}, key=str)
    if "sides" in c:
        parents += [("sides", i, "cells") for i in range(len(c["sides"]))]
    parent = rng.choice(parents)
    ends = [
        (path, text) for path, text in leaves(at(c, parent)) if {"v", "eta"} & set(path[-2:-1]) and _is_number(text)
    ]
    if not ends:
        return
    _, old = rng.choice(ends)
    new = _moved(rng, old)
    for path, text in ends:
        if text == old:
            put(at(c, parent), path, new)


def _lists(c: Certificate) -> list[Any]:
    found = [c["boxes"]] if "boxes" in c else []
    for side in c.get("sides", []):
        found += [side["cells"], side["floor"]["boxes"], *(cell["boxes"] for cell in side["cells"])]
    return [*found, *([c["sides"]] if "sides" in c else [])]


def _remove(rng: random.Random, c: Certificate) -> None:
    entries = rng.choice([entries for entries in _lists(c) if entries])
    entries.pop(rng.randrange(len(entries)))


def _duplicate(rng: random.Random, c: Certificate) -> None:
    entries = rng.choice([entries for entries in _lists(c) if entries])
    entries.insert(rng.randrange(len(entries) + 1), copy.deepcopy(rng.choice(entries)))


def _swap(rng: random.Random, c: Certificate) -> None:
    entries = rng.choice([entries for entries in _lists(c) if entries])
    i, j = rng.randrange(len(entries)), rng.randrange(len(entries))
    entries[i], entries[j] = entries[j], entries[i]


def _merge(rng: random.Random, c: Certificate) -> None:
    """Two neighbours become one that covers both."""
    entries = rng.choice([entries for entries in _lists(c) if entries])
    if len(entries) < 2:
        return
    i = rng.randrange(len(entries) - 1)
    key = "eta" if "eta" in entries[i] else "v"
    if key in entries[i] and key in entries[i + 1]:
        entries[i][key][1] = entries[i + 1][key][1]
        entries.pop(i + 1)


def _rule(rng: random.Random, c: Certificate) -> None:
    path, _ = rng.choice([item for item in leaves(c) if item[0][-1] == "rule"])
    put(c, path, rng.choice(["tie", "reflect", "candidate", "slide", "rise", "value"]))


def _gap(rng: random.Random, c: Certificate) -> None:
    path, value = rng.choice([item for item in leaves(c) if item[0][-1] == "gap"])
    put(c, path, rng.choice([None, "0", "1/1000000", "-1", "1", _moved(rng, value if _is_number(value) else "1/10")]))


def _formula(rng: random.Random, c: Certificate) -> None:
    """A constant, a sign or a function of the loss changes."""
    loss = c["loss"]
    key = rng.choice([key for key in ("binary", "plus", "minus") if key in loss])
    places = list(re.finditer(r"\d+(\.\d+)?|[+*<>-]|\b(softplus|tanh|exp|max|min)\b", loss[key]))
    place = rng.choice(places)
    old = place.group()
    if old[0].isdigit():
        new = rng.choice(["0", "1", "2", "3", "0.5", f"({old} + 0.01)", f"({old} - 0.01)", f"(-{old})"])
    elif old in "+-*<>":
        new = {"+": "-", "-": "+", "*": "+", "<": ">", ">": "<"}[old]
    else:
        new = rng.choice(["softplus", "tanh", "exp", "max", "min"])
    loss[key] = loss[key][: place.start()] + new + loss[key][place.end() :]


def _parameter(rng: random.Random, c: Certificate) -> None:
    parameters = c["loss"]["parameters"]
    if parameters:
        name = rng.choice(sorted(parameters))
        parameters[name] = _moved(rng, parameters[name] if _is_number(parameters[name]) else "1/3")


def _question(rng: random.Random, c: Certificate) -> None:
    """The threshold, the domain, the side or the claim changes."""
    kind = rng.randrange(5)
    if kind == 0:
        c["threshold"] = rng.choice(["1/3", "49/100", "51/100", "2/3"])
        for side in c.get("sides", []):
            side["cells"][0]["eta"][0] = c["threshold"]
    elif kind == 1:
        c["loss"]["domain"] = rng.choice(["all", "bounded:1", "bounded:2", "bounded:1/100", "bounded:100", "sum-zero"])
    elif kind == 2:
        c["claim"] = "inconsistent" if c["claim"] == "consistent" else "consistent"
    elif kind == 3 and "side" in c:
        c["side"] = "above" if c["side"] == "below" else "below"
    elif "sides" in c:
        c["sides"] = c["sides"][:1] * rng.choice([1, 2])


MUTATIONS = [
    *(_number, _number, _shared_end, _shared_end, _remove, _duplicate, _swap, _merge, _rule, _gap),
    *(_formula, _formula, _parameter, _question),
]


def mutated(rng: random.Random, certificate: Certificate) -> Certificate:
    """The certificate after one to three random mutations."""
    result = copy.deepcopy(certificate)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        with suppress(IndexError):  # nothing of that kind is left to break
            rng.choice(MUTATIONS)(rng, result)
    return result


# -- the judge -----------------------------------------------------------------------------------------------------


def claim_is_true(certificate: Mapping[str, Any]) -> bool:
    """Whether brute force on floats finds nothing against the claim, its gaps included."""
    data = certificate["loss"]
    used = "\n".join(data[key] for key in ("binary", "plus", "minus") if key in data)
    parameters = {k: v for k, v in data["parameters"].items() if re.search(rf"\b{k}\b", used)}
    if "binary" in data:
        loss = from_formula(data["binary"], parameters=parameters, domain=data["domain"])
    else:
        loss = from_pair(data["plus"], data["minus"], parameters=parameters, domain=data["domain"])
    threshold = Fraction(certificate["threshold"])
    if certificate["claim"] == "consistent":
        return _consistent(loss, threshold, certificate)
    return _inconsistent(loss, threshold, certificate)


def _float(text: str) -> float:
    return float(text) if "inf" in text else float(Fraction(text))


def _size(loss: Loss) -> float:
    return max(1.0, float(abs(loss.phi_plus(0.0))), float(abs(loss.phi_minus(0.0))))


def _consistent(loss: Loss, threshold: Fraction, certificate: Mapping[str, Any]) -> bool:
    """No posterior of the grid lacks a gap, and no cell of posteriors has less than it states."""
    _, found = brute.gaps(loss, threshold)
    if not found.min() >= -ROUNDING * _size(loss):
        return False
    for index, side in enumerate(certificate["sides"]):
        for cell in side["cells"]:
            if cell["gap"] is not None:
                ends = [_float(end) for end in cell["eta"]]
                etas = np.array([ends[0] + 1e-9, sum(ends) / 2, ends[1]])
                etas = etas if index == 0 else 1 - etas
                left, zero, right = brute.least_risks(loss, etas)
                wrong, correct = (left, right) if index == 0 else (right, left)
                least = np.minimum(wrong, zero)
                if (least - np.minimum(least, correct) < _float(cell["gap"]) - 1e-8 * _size(loss)).any():
                    return False
    return True


def _inconsistent(loss: Loss, threshold: Fraction, certificate: Mapping[str, Any]) -> bool:
    """At the stated posterior the stated wrong score is as good as every correct one of the grid."""
    below = certificate["side"] == "below"
    if "inf" in certificate["eta"]:
        return False
    eta, wrong = Fraction(certificate["eta"]), _float(certificate["wrong"])
    if not (1 - threshold if below else threshold) < eta <= 1 or wrong > 0:
        return False
    if below:
        eta, wrong = 1 - eta, -wrong
    far = abs(wrong) == float("inf")
    if far:
        wrong = brute.FAR if wrong > 0 else -brute.FAR
    elif loss.domain.bound is not None and abs(wrong) > loss.domain.bound:
        return False
    left, _, right = brute.least_risks(loss, np.array([float(eta)]))
    risk = (float(eta) * float(loss.phi_plus(wrong)) if eta > 0 else 0.0) + (
        float(1 - eta) * float(loss.phi_minus(wrong)) if eta < 1 else 0.0
    )
    lead = float((left if below else right)[0]) - risk
    return lead >= _float(certificate["gap"]) - (AT_INFINITY if far else ROUNDING) * _size(loss)
