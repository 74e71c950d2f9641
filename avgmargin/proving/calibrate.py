"""`avgmargin calibrate`: certified bounds of a calibration function, the excess-risk bound they give, a picture."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import theory
from avgmargin.common.console import show_pairs, show_table
from avgmargin.common.environment import check_fit
from avgmargin.common.errors import UserError
from avgmargin.common.files import check_can_make, dump_json
from theory.storage import write_atomic

from .proofs import formula, store
from .resolve import LossRequest, label, parameter_texts, read_number, read_parameters, resolve

CERTIFICATES = Path("runs/certificates")


@dataclass(frozen=True)
class Wanted:
    """What is asked of a calibration function, and what it may cost (see `theory.calibration_function`)."""

    classes: int | None = None
    threshold: str = "1/2"
    points: int | None = None
    boxes: int = 1_000_000
    seconds: float = 60.0
    excess: tuple[str, ...] = ("0.01",)
    out: Path | None = None
    plot: Path | None = None


def read(asked: Namespace) -> tuple[theory.Loss, Wanted]:
    """The loss and the rest of a command line; ValueError or UserError in one line for what cannot be read."""
    request = LossRequest(
        asked.loss, asked.plus, asked.minus, read_parameters(asked.param), asked.classes, asked.domain
    )
    wanted = Wanted(
        asked.classes,
        read_number("threshold", asked.threshold),
        asked.points,
        asked.boxes,
        asked.seconds,
        tuple(read_number("excess", text) for text in asked.excess or ["0.01"]),
        None if asked.out is None else Path(asked.out),
        None if asked.plot is None else Path(asked.plot),
    )
    return resolve(request), wanted


def calibrate(loss: theory.Loss, wanted: Wanted) -> dict[str, Any]:
    """The bounds as plain JSON values; the certificate and the picture are written where they were asked for.

    Raises Unfit before any work when the float environment is unfit, UserError when a file cannot be written, and
    ValueError for a loss or numbers without a calibration function.
    """
    check_fit()
    if wanted.plot is not None and wanted.plot.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise UserError(f"plot {str(wanted.plot)!r} must end in .svg, .png or .pdf")
    for excess in wanted.excess:
        if theory.expression.exact(excess) < 0:
            raise UserError(f"excess={excess} must be at least 0")
    for path in (wanted.out, wanted.plot):
        if path is not None and path.is_dir():
            raise UserError(f"file {str(path)!r} cannot be written: it is a folder")
        check_can_make(CERTIFICATES if path is None else path.parent)
    start = time.perf_counter()
    found = theory.calibration_function(
        loss,
        classes=wanted.classes,
        threshold=wanted.threshold,
        points=wanted.points,
        boxes=wanted.boxes,
        seconds=wanted.seconds,
    )
    spent = time.perf_counter() - start
    path = _keep(found, wanted.out)
    if wanted.plot is not None:
        _draw(found, label(loss), wanted.plot)
    return {
        **found.to_dict(),
        "label": label(loss),
        "formula": formula(loss, wanted.classes),
        "parameters": parameter_texts(loss),
        "excess": [
            {"surrogate": text, "bound": str(found.inverse(text)), "words": found.words(text)} for text in wanted.excess
        ],
        "certificate": None if path is None else str(path),
        "plot": None if wanted.plot is None else str(wanted.plot),
        "seconds": round(spent, 3),
    }


def _keep(found: theory.CalibrationFunction, out: Path | None) -> Path | None:
    if found.certificate is None:
        return None
    if out is None:
        return store(found.certificate, CERTIFICATES)
    _write(out, dump_json(found.certificate))
    return out


def _draw(found: theory.CalibrationFunction, name: str, path: Path) -> None:
    import io

    from avgmargin.common.figures import svg_of
    from theory import plot

    figure = plot.calibration(found, labels=[name])
    kind = path.suffix.lower()[1:]
    if kind == "svg":
        _write(path, svg_of(figure))
        return
    held = io.BytesIO()
    figure.savefig(held, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None)
    _write(path, held.getvalue())


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
    except OSError as error:
        raise UserError(f"file {str(path)!r} cannot be written: {error.strerror or error}") from None


def show(found: dict[str, Any]) -> None:
    """The bounds in words and a table on stdout."""
    certified = found["tier"] == "certified"
    show_pairs(
        [
            ("loss", found["label"]),
            ("formula", None if found["formula"] == found["label"] else found["formula"]),
            ("classes", str(found["classes"])),
            ("threshold", None if found["threshold"] == "1/2" else found["threshold"]),
            ("tier", found["tier"]),
            ("slope of psi at 0", _enclosure(found["slope"]) if certified else None),
            ("slope of the gap at 0", _enclosure(found["gap_slope"])),
            *(("bound", row["words"]) for row in found["excess"] if certified),
            ("advice", found["advice"]),
            ("certificate", found["certificate"]),
            ("plot", found["plot"]),
            ("time", f"{found['seconds']:.2f} s"),
        ]
    )
    if certified:
        name = "eps" if found["classes"] > 2 else "theta"
        rows = [[_short(x), _short(low), _short(high)] for x, low, high in _few(found["gap"])]
        show_table([name, "gap at least", "gap at most"], rows)


def _few(rows: Sequence[Sequence[str]], most: int = 12) -> list[Sequence[str]]:
    """At most so many rows, evenly spread in theta, the last one included."""
    if len(rows) <= most:
        return list(rows)
    values = [float(theory.expression.exact(row[0])) for row in rows]
    wanted = [values[-1] * k / most for k in range(1, most + 1)]
    nearest = {min(range(len(rows)), key=lambda i: abs(values[i] - x)) for x in wanted}
    return [rows[i] for i in sorted(nearest)]


def _enclosure(pair: Sequence[str | None] | None) -> str | None:
    if pair is None:
        return None
    low, high = pair
    return f"in [{_short(low)}, {'inf' if high is None else _short(high)}]"


def _short(text: str | None) -> str:
    """A fraction as a short decimal, for reading."""
    if text is None:
        return "inf"
    top, _, bottom = text.partition("/")
    return f"{int(top) / int(bottom or 1):.10g}"
