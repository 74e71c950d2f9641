"""The posteriors at which a binary loss fails, and those at which it does not, as certified intervals.

At eta > a (the threshold) a loss fails when inf of C_eta over the wrong scores v <= 0 is not above inf of C_eta;
C_eta = eta phi_plus + (1 - eta) phi_minus is linear in eta. So two certificates, at the ends of a cell of posteriors
and with the same score, settle the whole cell (docs/theory/regions.md):

  failing     one wrong score w with C_eta(v) >= C_eta(w) for all correct v at both ends;
  consistent  one correct score z with C_eta(v) >= C_eta(z) + gap for all wrong v at both ends, gap > 0. As a
              certificate of the same format: the loss with its score flipped, phi(-t), is inconsistent, with -z as its
              witness.

What is neither is `undecided`: the seams, and whatever the budget did not reach.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from flint import ctx

from ._asked import check_budget, check_loss
from ._region_search import CONSISTENT, FAILING, UNDECIDED, Cell, Certificate, Side, Spending, score_of
from .checker import PRECISION, check
from .expression import Number, exact
from .losses import Loss
from .prover.binary import prove_binary
from .verdict import Status

_ZERO, _ONE, _HALF = Fraction(0), Fraction(1), Fraction(1, 2)


@dataclass(frozen=True)
class FailingRegion:
    """The cells of the posteriors [0, 1] of a binary loss in order; the threshold itself belongs to none."""

    loss: str
    threshold: Fraction
    tol: Fraction
    cells: tuple[Cell, ...]
    advice: str | None = None

    def intervals(self, kind: str) -> list[tuple[Fraction, Fraction]]:
        """The cells of one kind, neighbours joined: `failing`, `consistent` or `undecided`.

        Cells on the two sides of the threshold are not joined.
        """
        found: list[tuple[Fraction, Fraction]] = []
        for cell in self.cells:
            if cell.kind != kind:
                continue
            if found and found[-1][1] == cell.low != self.threshold:
                found[-1] = found[-1][0], cell.high
            else:
                found.append((cell.low, cell.high))
        return found

    @property
    def widest_seam(self) -> Fraction:
        """The length of the longest undecided interval; 0 when every posterior is decided."""
        return max((high - low for low, high in self.intervals(UNDECIDED)), default=_ZERO)

    @property
    def certificates(self) -> list[Certificate]:
        """Every certificate of the cells."""
        return [certificate for cell in self.cells for certificate in cell.certificates]

    def check(self) -> bool:
        """Whether `theory.check` verifies every certificate again."""
        return all(check(certificate).valid for certificate in self.certificates)

    def summary(self) -> dict[str, Any]:
        """The intervals as plain JSON values, exact."""
        kinds = {kind: [[str(a), str(b)] for a, b in self.intervals(kind)] for kind in (FAILING, CONSISTENT, UNDECIDED)}
        return {
            "loss": self.loss,
            "threshold": str(self.threshold),
            "tol": str(self.tol),
            **kinds,
            "widest_seam": str(self.widest_seam),
            "advice": self.advice,
        }

    def words(self) -> str:
        """The failing posteriors in one line."""
        failing = self.intervals(FAILING)
        shown = " and ".join(f"{float(a):.9g} <= eta <= {float(b):.9g}" for a, b in failing)
        head = f"fails at {shown} except eta = {self.threshold}" if failing else "fails nowhere that was certified"
        seam = float(self.widest_seam)
        return f"{head}; " + (f"undecided seams at most {seam:.3g} wide" if seam else "no posterior left undecided")


def failing_region(
    loss: Loss, *, threshold: Number = _HALF, tol: Number = "1e-6", boxes: int = 60_000, seconds: float = 60.0
) -> FailingRegion:
    """The posteriors at which a wrong score (ties included) is optimal, as certified intervals.

    `tol` is the length of an undecided seam that the search aims at. The search stops after `boxes` boxes or `seconds`
    seconds and leaves the rest undecided, with `advice`. Raises ValueError for a tolerance outside (0, 1/4], a
    threshold outside (0, 1), a budget that is not positive, and a loss without a binary formula or not real on its
    domain; TypeError for what is not a Loss.

    >>> from theory import catalogue
    >>> region = failing_region(catalogue.get("perceptron"))
    >>> region.intervals("failing")
    [(Fraction(0, 1), Fraction(1, 2)), (Fraction(1, 2), Fraction(1, 1))]
    """
    check_loss(loss)
    check_budget(boxes, seconds)
    a, width = exact(threshold), exact(tol)
    if not 0 < width <= Fraction(1, 4):
        raise ValueError(f"tol={tol} must lie in (0, 1/4]")
    verdict = prove_binary(loss, threshold=a, boxes=boxes, seconds=seconds)
    if verdict.status == Status.PROVED:
        assert verdict.certificate is not None
        whole = (verdict.certificate,)
        cells = (Cell(_ZERO, a, CONSISTENT, certificates=whole), Cell(a, _ONE, CONSISTENT, certificates=whole))
        return FailingRegion(loss.name, a, width, cells)
    if verdict.status == Status.UNDECIDED and (verdict.advice or "").startswith("no verdict"):
        return FailingRegion(loss.name, a, width, (Cell(_ZERO, a, UNDECIDED), Cell(a, _ONE, UNDECIDED)), verdict.advice)
    budget = Spending(boxes, seconds)
    pieces = (verdict.certificate or {}).get("real")
    with ctx.workprec(PRECISION):
        above = list(Side(loss, a, "above", width, budget, pieces).cells())
        if loss.binary is not None and a == _HALF:
            below = [_mirror(cell) for cell in reversed(above)]
        else:
            mirrored = list(Side(loss, a, "below", width, budget, pieces).cells())
            below = [_in_place(cell) for cell in reversed(mirrored)]
    region = FailingRegion(loss.name, a, width, (*below, *above))
    if region.widest_seam <= width:
        return region
    advice = f"an undecided interval is {float(region.widest_seam):.3g} wide: neither kind of certificate closes there"
    if budget.spent:
        advice = f"out of budget; raise boxes={boxes} or seconds={seconds:g}"
    return replace(region, advice=advice)


def _mirror(cell: Cell) -> Cell:
    """The same cell of a loss phi(t) below 1/2: its certificates with the other side named."""
    turned = tuple(
        certificate | {"side": "below", "threshold": str(1 - Fraction(certificate["threshold"]))}
        for certificate in cell.certificates
    )
    if not all(check(certificate).valid for certificate in turned):
        return Cell(1 - cell.high, 1 - cell.low, UNDECIDED)
    return _in_place(Cell(cell.low, cell.high, cell.kind, cell.score, cell.gap, turned))


def _in_place(cell: Cell) -> Cell:
    """A cell in the coordinates 1 - eta, -v in those of the loss."""
    score = None if cell.score is None else str(-score_of(cell.score))
    return Cell(1 - cell.high, 1 - cell.low, cell.kind, score, cell.gap, cell.certificates)
