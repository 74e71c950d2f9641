"""Certificates kept as files, with what the checker said of them and of damage: `python -m tests.theory.recorded`.

That command writes `recorded.json`; do so only when a change of the checker's answers, or of its words, is meant.
Certificates that are in the file stay as they are; with `--prove` all are proved again.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from tests.theory.certificates import at, leaves, put
from theory import (
    CertificateError,
    calibration_function,
    catalogue,
    check,
    from_formula,
    from_pair,
    multiclass_gap,
    prove,
)

FILE = Path(__file__).with_name("recorded.json")
MANY, FEW = 14, 4  # damaged copies of a certificate that is quick to check, and of one that is not
LONG = 4  # times as many in the long form
_QUICK, _SECONDS = 0.05, 0.4  # processor time: quick, and what takes longer to check is left out
_BYTES = 9000
_NUMBERS = ("0", "1", "-1", "1/3", "2", "-5/7", "1/1000", "1000", "inf", "-inf")
_JUNK: tuple[Any, ...] = (None, [], {}, "", "t", 7, -1, True, ["0", "1"], "1/0")


def answer(certificate: dict[str, Any]) -> tuple[str, str]:
    """Valid, refused or malformed, in one letter; and four hexadecimal digits of the words, and of the boxes."""
    try:
        found = check(certificate)
        letter, words = "v" if found.valid else "r", f"{found.claim} {found.boxes} {found.reason}"
    except CertificateError as error:
        letter, words = "m", str(error)
    return letter, hashlib.sha256(words.encode()).hexdigest()[:4]


def damaged(certificate: dict[str, Any], name: str, count: int) -> Iterator[dict[str, Any]]:
    """Drawn damage, the same each time, and the same first copies for a larger count.

    A number moved far or a little, or set to another number of the certificate; an entry of a list doubled, dropped or
    swapped with its neighbour; junk put in.
    """
    for number in range(count):
        made = copy.deepcopy(certificate)
        _damage(made, random.Random(f"{name} {number}"))
        yield made


def _damage(made: dict[str, Any], rng: random.Random) -> None:
    places = [(path, value) for path, value in leaves(made) if path[0] not in ("format", "version")]
    path, value = rng.choice(places)
    above = at(made, path[:-1])
    match rng.choice(("far", "near", "near", "near", "other", "other", "drop", "double", "swap", "junk")):
        case "far":
            put(made, path, rng.choice(_NUMBERS))
        case "near":
            path, value = rng.choice([place for place in places if _is_number(place[1])] or places)
            put(made, path, _near(rng, value) if _is_number(value) else rng.choice(_NUMBERS))
        case "other":
            put(made, path, rng.choice([other for _, other in places if type(other) is type(value)]))
        case "junk":
            put(made, path, rng.choice(_JUNK))
        case kind if isinstance(above, list):
            index = int(path[-1])
            pieces = {"drop": [], "double": above[index : index + 1] * 2, "swap": above[index : index + 2][::-1]}
            above[index : index + (2 if kind == "swap" else 1)] = copy.deepcopy(pieces[kind])
        case _:
            del above[path[-1]]


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"-?\d+(/\d+)?", value) is not None


def _near(rng: random.Random, text: str) -> str:
    value, step = Fraction(text), Fraction(rng.choice((-1, 1)), rng.choice((1, 2, 7, 1000, 10**9)))
    return str(rng.choice((value + step, value * (1 + step), -value, 1 - value)))


def answers(certificate: dict[str, Any], name: str, count: int) -> list[tuple[str, str]]:
    """The checker's answers: to the certificate itself, then to its damaged copies."""
    return [answer(found) for found in (certificate, *damaged(certificate, name, count))]


def _proved() -> Iterator[tuple[str, Callable[[], Any]]]:
    from tests.theory import certificates, test_cone, test_cone_gap, test_families

    for name in certificates.BASES:
        yield f"binary: {name}", partial(certificates.base, name)
    for name in test_families.PROVED:
        yield f"lemma: {name}", partial(test_families.certificate, name)
    for name, classes in (("crammer-singer", 3), ("weston-watkins", 2), ("weston-watkins", 3)):
        yield f"polyhedral: {name}, {classes}", partial(_certificate, catalogue.get(name), classes)
    for name, loss, classes in _CALIBRATED:
        yield f"calibration: {name}", partial(_calibration, loss, classes)
    for name in test_cone.BASES:
        yield f"cone: {name}", partial(test_cone.base, name)
    yield "cone gap: paper", partial(test_cone_gap.base, "paper")
    for name in ("squares, not ordered", "kinked", "probability"):
        yield f"cone gap: {name}", partial(_gap, test_cone_gap.make(name), 3, "2/5")
    yield "cone gap: cross-entropy of two", partial(_gap, catalogue.get("cross-entropy"), 2, "1/3")


def _gap(loss: Any, classes: int, eps: str) -> Any:
    return multiclass_gap(loss, classes, eps).certificate


def _calibration(make: Callable[[], Any], classes: int | None) -> Any:
    several = {} if classes is None else {"classes": classes}
    return calibration_function(make(), points=4, **several).certificate


_CALIBRATED: tuple[tuple[str, Callable[[], Any], int | None], ...] = (
    ("hinge", lambda: catalogue.get("hinge"), None),
    ("logistic", lambda: catalogue.get("logistic"), None),
    ("released", lambda: catalogue.get("average-margin-released", mu="2/7", tau="3/2"), None),
    ("paper", lambda: catalogue.get("average-margin", mu="1/3", tau="7/4"), None),
    ("bounded", lambda: from_formula("1 - t", domain="bounded:2"), None),
    ("pair", lambda: from_pair("2 * max(0, 1 - v)", "max(0, 1 + v)"), None),
    ("jump", lambda: from_formula("where(t < 1/2, softplus(-t), softplus(-t) + 1/100)"), None),
    ("least at infinity", lambda: from_formula("exp(-t)"), None),
    ("steps of three", lambda: from_formula("max(0, 1 - alpha) - max(0, -1/2 - alpha)", classes=3), 3),
    ("cross-entropy of three", lambda: catalogue.get("cross-entropy"), 3),
)


def _certificate(loss: Any, classes: int) -> Any:
    return prove(loss, classes=classes).certificate


def record(*, again: bool) -> None:
    """Prove what is not in the file, keep what is small and quick to check, and write the file."""
    stored = {} if again else json.loads(FILE.read_text(encoding="utf-8"))
    found = {}
    for name, make in _proved():
        try:
            certificate = stored[name]["certificate"] if name in stored else json.loads(json.dumps(make()))
        except Exception as error:
            print(name, "not made:", str(error)[:100])
            continue
        start = time.process_time()
        said = answer(certificate)[0] if certificate else ""
        spent = time.process_time() - start
        keep = said == "v" and spent < _SECONDS and len(json.dumps(certificate)) < _BYTES
        print(name, said, f"{spent:.3f}", len(json.dumps(certificate)), "kept" if keep else "left out", flush=True)
        if keep:
            made = answers(certificate, name, LONG * (MANY if spent < _QUICK else FEW))
            found[name] = {
                "answers": "".join(letter for letter, _ in made),
                "words": "".join(words for _, words in made),
                "certificate": certificate,
            }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in found.items())
    FILE.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    record(again="--prove" in sys.argv)
