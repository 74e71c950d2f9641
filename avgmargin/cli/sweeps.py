"""`sweep` and `table`, and the scale `paper` of `reproduce`: many trainings."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avgmargin.common.console import print_json, show_pairs, show_table
from avgmargin.common.errors import ExitCode, UserError

from .effort import effort_of
from .parser import Parser, backend, data_folder, job_count, json_flag, tell, workers_of


def add_sweep(parser: Parser) -> None:
    """Arguments of `avgmargin sweep`."""
    parser.add_argument("presets", nargs="+", metavar="PRESET", help="runs to start from (see train --list)")
    for name, text in (("mu", "weights"), ("tau", "truncations"), ("beta", "weights"), ("lr", "learning rates")):
        parser.value(f"--{name}", metavar="V,V", help=f"{text} of {name}, as in 0.01,0.1")
    parser.value("--penalty", metavar="P,P", help="none, paper, released")
    parser.value(
        "--over",
        action="append",
        default=[],
        metavar="FIELD=V,V",
        help="any other field, or rows of a comparison (see train --list), as in row=ce,trades or row=all",
    )
    parser.value("--seeds", default="0", metavar="S", help="as in 0,1,2 or 0-4 (default %(default)s)")
    parser.value("--epochs", type=int, metavar="N", help="epochs of every run (default: the preset's)")
    parser.value("--measure", metavar="A,B", help="parts to measure after each run (see measure --parts), or default")
    parser.value("--images", type=int, metavar="N", help="with --measure: the first N test images (default 200)")
    job_count(parser)
    backend(parser)
    data_folder(parser)
    parser.value("--out", default="runs/sweep", metavar="DIR", help="folder of the runs (default %(default)s)")
    json_flag(parser)


def sweep(asked: Namespace) -> ExitCode:
    """A grid of trainings; 1 where one failed or diverged."""
    from avgmargin.common.files import check_can_make
    from avgmargin.networks.measuring import Plan
    from avgmargin.networks.parts import check_parts
    from avgmargin.sweeps.grids import PENALTIES, grid, read_seeds, read_values
    from avgmargin.sweeps.sweeping import run_jobs
    from avgmargin.sweeps.training_jobs import with_measure

    axes = [(name, read_values(name, text)) for name, text in _axes(asked)]
    if asked.penalty is not None:
        words = list(dict.fromkeys(word.strip() for word in asked.penalty.split(",")))
        for word in words:
            if word not in PENALTIES:
                raise UserError(f"penalty={word!r} must be one of {', '.join(map(repr, PENALTIES))}")
        axes.append(("loss", [PENALTIES[word] for word in words]))
    if len({name for name, _ in axes}) < len(axes):
        raise UserError("a field of a sweep is given twice; give each once, and --penalty or the loss, not both")
    fixed = {} if asked.epochs is None else {"epochs": asked.epochs}
    root = Path(asked.out)
    check_can_make(root)
    workers = workers_of(asked.jobs)
    jobs = grid(asked.presets, axes, read_seeds(asked.seeds), fixed, asked.data_dir, tell)
    if asked.measure is not None:
        plan = Plan(check_parts(None if asked.measure == "default" else asked.measure), (), effort_of(asked))
        jobs = with_measure(jobs, plan.as_values())
    tell(f"{len(jobs)} runs in {root}")
    found = run_jobs(jobs, root, backend=asked.backend, workers=workers, scheduler=asked.scheduler)
    if asked.json:
        print_json({**found, "folder": str(root)})
    else:
        _show_sweep(found, root)
    return ExitCode.DONE if found["done"] == len(jobs) else ExitCode.FAILED


def _axes(asked: Namespace) -> list[tuple[str, str]]:
    named = [(name, getattr(asked, name)) for name in ("mu", "tau", "beta", "lr") if getattr(asked, name) is not None]
    for pair in asked.over:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UserError(f"--over {pair!r} must be written FIELD=VALUE,VALUE as in weight_decay=0,1e-4")
        named.append((name.strip().replace("-", "_"), text))
    return named


def _show_sweep(found: Mapping[str, Any], root: Path) -> None:
    groups = found["groups"]
    rows = ["rows"] if any("rows" in group for group in groups) else []
    varied = [
        name
        for name in (groups[0]["config"] if groups else {})
        if len({str(group["config"].get(name)) for group in groups}) > 1
    ]
    shown = ("test_accuracy", "test_margin_mean", "train_margin_min", "train_label_distance_mean")
    measured = ("attack mean", "attack accuracy at 1")
    metrics = [name for name in (*shown, *measured) if any(name in group["metrics"] for group in groups)]
    show_table(
        [*rows, *varied, "seeds", *metrics],
        [
            [
                *(", ".join(group.get("rows", [])) for _ in rows),
                *(group["config"].get(name) for name in varied),
                f"{group['done']} of {group['runs']}",
                *(_spread(group["metrics"].get(name)) for name in metrics),
            ]
            for group in groups
        ],
    )
    for row in found["runs"]:
        if row["status"] != "done":
            tell(f"{row['name']}: {row['status']}: {row['error'] or row['advice']}")
    counts = ", ".join(f"{found[name]} {name}" for name in ("done", "diverged", "failed"))
    show_pairs([("runs", f"{counts} of {found['jobs']}"), ("stored", str(root / "sweep.json"))])


def _spread(metric: Mapping[str, Any] | None) -> str:
    if metric is None:
        return ""
    return f"{metric['mean']:.5g}" + ("" if metric["std"] is None else f" +- {metric['std']:.2g}")


def add_table(parser: Parser) -> None:
    """Arguments of `avgmargin table`."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or folders of runs")
    parser.value("--measured", metavar="DIR", help="where the measurements lie (default <folder of RUN>/measured)")
    parser.add_argument("--csv", action="store_true", help="print CSV")
    json_flag(parser)


def table(asked: Namespace) -> ExitCode:
    """Runs side by side."""
    from avgmargin.common.files import dump_csv
    from avgmargin.networks.condensed import condense, find_runs, measured_of
    from avgmargin.networks.tables import COLUMNS
    from avgmargin.networks.tables import table as rows_of

    root = None if asked.measured is None else Path(asked.measured)
    rows = rows_of([condense(folder, measured_of(folder, root)) for folder in find_runs(asked.runs)])
    if asked.json:
        print_json({"columns": list(COLUMNS), "rows": rows})
    elif asked.csv:
        sys.stdout.write(dump_csv(COLUMNS, [list(row.values()) for row in rows]).decode("utf-8"))
    else:
        _show_rows(COLUMNS, rows)
    return ExitCode.DONE


def _show_rows(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Runs as columns: there are more things measured than runs."""
    names = [name for name in columns[1:] if any(row[name] is not None for row in rows)]
    cells = [[name, *("" if row[name] is None else _cell(row[name]) for row in rows)] for name in names]
    show_table(["", *(str(row["run"]) for row in rows)], cells)


def _cell(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def paper(asked: Namespace) -> ExitCode:
    """`reproduce --scale paper`; 1 where a run failed or diverged."""
    from avgmargin.networks.tables import COLUMNS
    from avgmargin.report.stored import write_networks
    from avgmargin.sweeps.paper import PaperRequest, reproduce_paper

    images = {} if asked.images is None else {"images": asked.images}
    request = PaperRequest(asked.only, asked.seed, asked.epochs, data_dir=asked.data_dir, **images)
    root = Path(asked.out or "runs/reproduce-paper")
    found = reproduce_paper(request, root, workers_of(asked.jobs), asked.backend, asked.scheduler, tell)
    found["report"] = str(write_networks(root)) if found["rows"] else None
    if asked.json:
        print_json({**found, "folder": str(root)})
    else:
        if found["rows"]:
            _show_rows(COLUMNS, found["rows"])
        counts = ", ".join(f"{found[name]} {name}" for name in ("done", "diverged", "failed"))
        show_pairs(
            [
                ("runs", f"{counts} of {found['jobs']}"),
                ("results", found["results"]),
                ("report", found["report"] or "none: no run ended"),
            ]
        )
    return ExitCode.DONE if found["done"] == found["jobs"] else ExitCode.FAILED
