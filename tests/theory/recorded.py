"""Certificates kept as files, with what the checker said of them and of damage: `python -m tests.theory.recorded`.

That command proves them again and writes `recorded.json`; do so only when a change of the checker's answers is meant.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.theory.certificates import at, leaves, put
from theory import CertificateError, calibration_function, catalogue, check, prove

FILE = Path(__file__).with_name("recorded.json")
MANY, FEW = 14, 4  # damaged copies of a certificate that is quick to check, and of one that is not
_QUICK, _SECONDS = 0.05, 0.25  # processor time: quick, and what takes longer to check is left out
_BYTES = 9000
_NUMBERS = ("0", "1", "-1", "1/3", "2", "-5/7", "1/1000", "1000", "inf", "-inf")
_JUNK: tuple[Any, ...] = (None, [], {}, "", "t", 7, -1, True, ["0", "1"], "1/0")


def answer(certificate: dict[str, Any]) -> str:
    """Valid, refused or malformed: one letter."""
    try:
        return "v" if check(certificate).valid else "r"
    except CertificateError:
        return "m"


def damaged(certificate: dict[str, Any], name: str, count: int) -> Iterator[dict[str, Any]]:
    """Drawn damage, the same each time: a number moved, an entry of a list doubled or dropped, or junk put in."""
    rng = random.Random(name)
    for _ in range(count):
        made = copy.deepcopy(certificate)
        places = [path for path, _ in leaves(made) if path[0] not in ("format", "version")]
        path = places[int(rng.random() * len(places))]
        kind, pick = rng.random(), rng.random()
        if kind < 0.6:
            put(made, path, _NUMBERS[int(pick * len(_NUMBERS))])
        elif kind < 0.8:
            above = at(made, path[:-1])
            if isinstance(above, list):
                above[:] = above[: int(path[-1])] + above[int(path[-1]) + 1 :] if pick < 0.5 else [*above, above[0]]
            else:
                del above[path[-1]]
        else:
            put(made, path, _JUNK[int(pick * len(_JUNK))])
        yield made


def answers(certificate: dict[str, Any], name: str, count: int) -> str:
    """The checker's answers: to the certificate itself, then to its damaged copies."""
    return "".join(answer(found) for found in (certificate, *damaged(certificate, name, count)))


def _proved() -> Iterator[tuple[str, Callable[[], Any]]]:
    from tests.theory import certificates, test_cone, test_cone_gap, test_families

    for name in certificates.BASES:
        yield f"binary: {name}", partial(certificates.base, name)
    for name in test_families.PROVED:
        yield f"lemma: {name}", partial(test_families.certificate, name)
    for name, classes in (("crammer-singer", 3), ("weston-watkins", 2), ("weston-watkins", 3)):
        yield f"polyhedral: {name}, {classes}", partial(_certificate, catalogue.get(name), classes)
    yield "calibration: hinge", lambda: calibration_function(catalogue.get("hinge")).certificate
    for name in test_cone.BASES:
        yield f"cone: {name}", partial(test_cone.base, name)
    yield "cone gap: paper", partial(test_cone_gap.base, "paper")


def _certificate(loss: Any, classes: int) -> Any:
    return prove(loss, classes=classes).certificate


def record() -> None:
    """Prove, keep what is small and quick to check, and write the file."""
    found = {}
    for name, make in _proved():
        try:
            certificate = json.loads(json.dumps(make()))
        except Exception as error:
            print(name, "not made:", str(error)[:100])
            continue
        start = time.process_time()
        said = answer(certificate) if certificate else ""
        spent = time.process_time() - start
        keep = said == "v" and spent < _SECONDS and len(json.dumps(certificate)) < _BYTES
        print(name, said, f"{spent:.3f}", len(json.dumps(certificate)), "kept" if keep else "left out", flush=True)
        if keep:
            found[name] = {
                "answers": answers(certificate, name, MANY if spent < _QUICK else FEW),
                "certificate": certificate,
            }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in found.items())
    FILE.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    record()
