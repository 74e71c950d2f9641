"""The door of the checker: decides from a certificate alone whether its claim holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from flint import ctx

from theory.expression.interval import Undefined

from .arrangement import NotPolyhedral
from .binary_proofs import verify_consistent, verify_inconsistent
from .calibration_classes import verify_calibration_classes
from .calibration_proofs import verify_calibration
from .cone import Cone
from .cone_gap import verify_gap
from .cone_proofs import TreeRefused, verify_proof, verify_refutation
from .lemmas import verify_lemma
from .polyhedral_proofs import verify_polyhedral
from .reading import (
    FORMAT,
    PRECISION,
    VERSION,
    CertificateError,
    Refused,
    get,
    load,
    number,
    read_multiclass,
    read_problem,
    vector,
)


@dataclass(frozen=True)
class CheckResult:
    """`valid` tells whether the claim was verified; `reason` why not; `boxes` how many boxes were verified."""

    valid: bool
    claim: str
    loss: str
    boxes: int
    reason: str | None = None


def check(certificate: Mapping[str, Any] | str | Path) -> CheckResult:
    """Verify a certificate (a JSON object, or the path of its file) from nothing but itself.

    Raises CertificateError when it cannot be read; otherwise the result says whether the claim was
    verified, and if not, which part failed.
    """
    data = load(certificate) if isinstance(certificate, (str, Path)) else certificate
    if get(data, "format", str) != FORMAT or get(data, "version", int) != VERSION:
        raise CertificateError(f"certificate must be of format {FORMAT!r}, version {VERSION}")
    claim, name = get(data, "claim", str), str(get(get(data, "loss", dict), "name", str))
    if claim not in ("consistent", "inconsistent", "calibration", "gap"):
        raise CertificateError(
            f"certificate claim {claim[:40]!r} must be 'consistent', 'inconsistent', 'calibration' or 'gap'"
        )
    with ctx.workprec(PRECISION):
        try:
            if data.get("method") == "lemma":
                return CheckResult(True, claim, name, verify_lemma(data, claim))
            if claim == "calibration":
                several = "classes" in data
                count = verify_calibration_classes(data) if several else verify_calibration(data, read_problem(data))
                return CheckResult(True, claim, name, count)
            if "classes" in data or claim == "gap":
                verify_classes = _check_cone if claim == "gap" or data.get("method") == "cone" else verify_polyhedral
                return CheckResult(True, claim, name, verify_classes(data, claim))
            verify = verify_consistent if claim == "consistent" else verify_inconsistent
            return CheckResult(True, claim, name, verify(data, read_problem(data)))
        except (Refused, TreeRefused) as refusal:
            return CheckResult(False, claim, name, 0, str(refusal))
        except Undefined as undefined:
            return CheckResult(False, claim, name, 0, f"a value cannot be enclosed: {undefined}")
        except NotPolyhedral as reason:
            return CheckResult(False, claim, name, 0, str(reason))
        except RecursionError:
            return CheckResult(False, claim, name, 0, "an entry is nested too deeply")
        except CertificateError:
            raise
        except ValueError as error:  # splits thousands deep make fractions that Python will not write out
            return CheckResult(False, claim, name, 0, f"a number is out of bounds: {error}")


def _check_cone(data: Mapping[str, Any], claim: str) -> int:
    tree, classes, kind, limit, vectors = read_multiclass(data)
    if vectors:
        raise Refused("trees on the cone are for losses that treat all labels alike")
    cone = Cone(tree, classes, kind, limit)
    if cone.jumps:
        raise Refused("the loss may jump, and the faces between boxes of gaps are not covered")

    def score(text: Any) -> Fraction:
        return number(text, "scores")

    if claim == "gap":
        return verify_gap(cone, data.get("calibration_bound"), score)
    if claim == "consistent":
        leaves = verify_proof(cone, data.get("trees"), data.get("floors"), score)
        return leaves + (verify_gap(cone, data["calibration_bound"], score) if "calibration_bound" in data else 0)
    p = vector(data, "p", classes)
    return verify_refutation(cone, p, data.get("wrong"), data.get("trees"), data.get("floors"), score)
