"""`calibrate` and `check`: certificates made and verified."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from avgmargin.common.console import print_error, print_json, show_table
from avgmargin.common.errors import ExitCode

from .parser import (
    Parser,
    json_flag,
)


def add_calibrate(parser: Parser) -> None:
    """Arguments of `avgmargin calibrate`."""
    parser.add_argument("loss", nargs="?", metavar="LOSS", help="catalogue name, or a formula in t = y f(x)")
    parser.value("--plus", metavar="F", help="with --minus, instead of LOSS: the loss of the score v for y = +1")
    parser.value("--minus", metavar="F", help="the loss of the score v for y = -1")
    parser.value("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter, such as mu=0.1")
    parser.value("--classes", type=int, metavar="C", help="number of classes; binary when absent")
    parser.value("--domain", metavar="D", help="scores: all, sum-zero, bounded:B (default: that of the loss, or all)")
    parser.value("--threshold", default="1/2", metavar="A", help="decide +1 where P(Y = +1 | x) > A (default 1/2)")
    parser.value("--excess", action="append", metavar="E", help="bound R - R* for this surrogate excess (default 0.01)")
    parser.value("--points", type=int, metavar="N", help="knots in theta or eps (default 129, or 10 for more classes)")
    parser.value("--out", metavar="FILE", help="the certificate (default: a new file in runs/certificates)")
    parser.value("--plot", metavar="FILE", help="a picture: .svg, .png or .pdf")
    parser.value("--boxes", type=int, default=1_000_000, metavar="N", help="budget in boxes (default %(default)s)")
    parser.value("--seconds", type=float, default=60.0, metavar="S", help="budget in seconds (default %(default)s)")
    json_flag(parser)


def calibrate(asked: Namespace) -> ExitCode:
    """Bounds of a calibration function."""
    from avgmargin.proving.calibrate import calibrate as run
    from avgmargin.proving.calibrate import read, show

    found = run(*read(asked))
    if asked.json:
        print_json(found)
    else:
        show(found)
    return ExitCode.DONE if found["tier"] == "certified" else ExitCode.UNDECIDED


def add_check(parser: Parser) -> None:
    """Arguments of `avgmargin check`."""
    parser.add_argument("certificates", nargs="+", metavar="CERT", help="certificate files")
    parser.add_argument("--second", action="store_true", help="verify them in a second arithmetic, too (binary ones)")
    json_flag(parser)


def check(asked: Namespace) -> ExitCode:
    """Verify certificates in this process."""
    from avgmargin.proving.proofs import check_files

    records = check_files([Path(name) for name in asked.certificates])
    if asked.second:
        _look_again(records)
    errors = [record for record in records if record["error"] is not None]
    if asked.json:
        failed = {"error": errors[0]["error"]} if errors else {}
        print_json({"valid": all(record["valid"] for record in records), "results": records} | failed)
    else:
        words = {True: "VERIFIED", False: "REFUSED"}
        show_table(
            ["certificate", "answer", "claim", "loss", "boxes", "reason"],
            [
                [r["path"], words[r["valid"]], r["claim"], r["loss"], r["boxes"], _reasons(r)]
                for r in records
                if r["error"] is None
            ],
            status_column=1,
        ) if len(errors) < len(records) else None
    for record in errors:
        print_error(record["error"], as_json=False)
    if errors:
        return ExitCode.USAGE
    if not all(record["valid"] for record in records):
        return ExitCode.FAILED
    unseen = any("second" in record and not record["second"]["verified"] for record in records)
    return ExitCode.UNDECIDED if unseen else ExitCode.DONE


def _look_again(records: list[dict[str, Any]]) -> None:
    """What the second arithmetic says of each certificate that could be read: `verified`, or what it cannot do."""
    from theory import check_second

    for record in records:
        if record["error"] is None:
            found = check_second(record["path"])
            record["second"] = {"verified": found.verified, "reason": found.reason}


def _reasons(record: dict[str, Any]) -> str:
    reason = record["reason"] or ""
    if "second" not in record:
        return reason
    second = "verified too" if record["second"]["verified"] else record["second"]["reason"]
    return "; ".join(filter(None, [reason, f"second arithmetic: {second}"]))
