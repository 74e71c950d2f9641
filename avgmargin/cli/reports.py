"""`reproduce` and `report`: the main job and its pages."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from avgmargin.common.console import print_json, show_pairs, show_table
from avgmargin.common.errors import ExitCode, UserError

from .parser import Parser, backend, data_folder, job_count, json_flag, seed, workers_of


def add_reproduce(parser: Parser) -> None:
    """Arguments of `avgmargin reproduce`."""
    parser.value("--scale", default="quick", metavar="S", help="quick (default), full, or paper: the paper's presets")
    parser.value("--only", metavar="A,B", help="with --scale paper: presets or families (default mnist-lr,mnist-mlp)")
    parser.value("--epochs", type=int, metavar="N", help="with --scale paper: train no more than N epochs")
    parser.value("--images", type=int, metavar="N", help="with --scale paper: test images attacked (default 200)")
    backend(parser, "with --scale paper: ")
    parser.value("--out", metavar="DIR", help="run folder (default runs/reproduce-<scale>)")
    data_folder(parser)
    seed(parser)
    job_count(parser)
    json_flag(parser)


def reproduce(asked: Namespace) -> ExitCode:
    """The main job."""
    if asked.scale == "paper":
        from .sweeps import paper

        return paper(asked)
    for name in ("only", "epochs", "images", "scheduler"):
        if getattr(asked, name) is not None:
            raise UserError(f"--{name} is for --scale paper, not for --scale {asked.scale}")
    from avgmargin.jobs.plan import Request
    from avgmargin.reproduce import reproduce as run

    request = Request(asked.scale, asked.seed, asked.data_dir)
    root = Path(asked.out or f"runs/reproduce-{asked.scale}")
    summary = run(request, root, workers_of(asked.jobs), asked.words)
    if asked.json:
        print_json(summary)
    else:
        show_summary(summary)
    return ExitCode.DONE if summary["status"] == "done" else ExitCode.FAILED


def show_summary(summary: dict[str, Any]) -> None:
    """What a run found, and where its report lies."""
    words = {True: "yes", False: "NO", None: "open"}
    show_table(["claim", "held here"], [[claim["title"], words[claim["holds"]]] for claim in summary["claims"]])
    counts = summary["counts"]
    show_pairs(
        [
            *((f"{row['classes']} classes", verdict_counts(row)) for row in counts["verdicts"]),
            ("certificates", f"{counts['verified']} of {counts['certificates']} verified in a separate process"),
            ("trained", f"{counts['finished']} of {counts['runs']} models"),
            ("time", f"{summary['wall_seconds']:.1f} s"),
            ("report", summary["report"]),
        ]
    )


def verdict_counts(row: dict[str, int]) -> str:
    """How many losses were proved, refuted and left undecided."""
    return f"{row['proved']} proved, {row['refuted']} refuted, {row['undecided']} undecided"


def add_report(parser: Parser) -> None:
    """Arguments of `avgmargin report`."""
    words = "a run folder, or a folder of trained runs; several of `reproduce` are compared"
    parser.add_argument("run", metavar="RUN", nargs="+", help=words)
    parser.value("--out", metavar="FILE", help="with several runs: the page (default comparison.html)")
    json_flag(parser)


def report(asked: Namespace) -> ExitCode:
    """Write the page of a run again, or one that compares several runs."""
    from avgmargin.report import stored as reporting

    if len(asked.run) == 1 and asked.out is not None:
        raise UserError(f"--out {asked.out!r} goes with two runs or more; the page of one run lies in its folder")
    if len(asked.run) == 1:
        page = reporting.write_again(Path(asked.run[0]))
        if asked.json:
            print_json({"report": str(page)})
        else:
            show_pairs([("report", str(page))])
        return ExitCode.DONE
    rows, page = reporting.write_comparison(asked.run, asked.out)
    if asked.json:
        print_json({"report": str(page), "rows": rows})
        return ExitCode.DONE
    differing = [row for row in rows if not row["same"]]
    show_table(["part", "item", *asked.run], [[row["part"], row["item"], *reporting.cells(row)] for row in differing])
    show_pairs([("differ", f"{len(differing)} of {len(rows)} items"), ("report", str(page))])
    return ExitCode.DONE
