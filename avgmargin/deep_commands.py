"""The commands on trained models: `measure`, `attack`, `sweep`, `table`. Importing this module imports torch."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .console import print_json, show_pairs, show_table
from .errors import ExitCode, UserError
from .files import check_can_make, dump_csv
from .measuring import Plan, default_folder, epochs_of
from .parts import EPS, PARTS, Effort, check_parts
from .subjects import load_subject


def tell(words: str) -> None:
    """A line on stderr."""
    print(words, file=sys.stderr, flush=True)


def measure(asked: Namespace) -> ExitCode:
    """Every way of measuring on one run or checkpoint."""
    from .measuring import measure as run

    effort = effort_of(asked)
    parts = check_parts(asked.parts)
    subject = load_subject(asked.run, asked.data_dir, tell, per_class=asked.per_class, published_as=asked.model)
    epochs = epochs_of(subject, asked.epoch, asked.through)
    folder = Path(asked.out) if asked.out is not None else default_folder(subject)
    found = run(subject, dict.fromkeys(epochs, parts), effort, folder, tell)
    if asked.json:
        print_json({**found, "folder": str(folder)})
    else:
        _show_measured(found, folder)
    return ExitCode.DONE


def effort_of(asked: Namespace) -> Effort:
    """The effort in the flags; UserError for a value outside its range."""
    chosen: dict[str, Any] = {}
    for name in ("images", "radius", "samples", "steps", "step_size", "published_steps", "seed"):
        if getattr(asked, name, None) is not None:
            chosen[name] = getattr(asked, name)
    for name in ("eps", "pgd_eps"):
        if getattr(asked, name, None) is not None:
            chosen[name] = read_eps(getattr(asked, name))
    return Effort(**chosen)


def read_eps(text: str) -> tuple[float, ...]:
    """Radii as typed; UserError unless each is a number, finite and at least 0.

    >>> read_eps("0.5,1")
    (0.5, 1.0)
    """
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UserError(f"eps={text!r} must be numbers as in 0.5,1") from None
    for value in found:
        if not 0.0 <= value < float("inf"):
            raise UserError(f"eps={value:g} must be finite and at least 0")
    return tuple(dict.fromkeys(found))


def _show_measured(found: Mapping[str, Any], folder: Path) -> None:
    done = None if found["epochs_done"] is None else f"{found['epochs_done']} of {found['epochs_wanted']}"
    show_pairs([("run", found["name"]), ("data", found["data"]["name"]), ("epochs trained", done)])
    rows, robust, notes = [], [], []
    for record in found["epochs"]:
        epoch = "" if record["epoch"] is None else record["epoch"]
        for name, result in record["parts"].items():
            title = PARTS[name].title
            if "skipped" in result:
                notes.append((title, f"not measured: {result['skipped']}"))
            elif name == "functional":
                for part in ("train", "test"):
                    rows.append([epoch, f"{title}, {part}", result["kind"], *_numbers(result[part], signed=False)])
            elif "mean" in result:
                rows.append([epoch, title, result["kind"], *_numbers(result, signed=True)])
                shares = [f"{result['robust_accuracy'][f'{e:g}']:.3f}" for e in found["effort"]["eps"]]
                robust.append([epoch, title, result["kind"], *shares])
                if "train" in result:
                    rows.append([epoch, f"{title}, train", result["kind"], *_numbers(result["train"], signed=True)])
            else:
                notes += [(f"{title}{f', epoch {epoch}' if epoch != '' else ''}", words) for words in _words(result)]
        estimate = record["parts"].get("estimate", {})
        if "violations" in estimate:
            words = f"above an actual adversarial distance on {estimate['violations']:.1%} of {estimate['compared']}"
            notes.append(("the paper's estimate", f"R={estimate['radius']:g}, N={estimate['samples']}, {words}"))
    columns = ["epoch", "what", "kind", "images", "mean", "signed mean", "minimum", "5%", "median", "95%"]
    show_table(columns, rows)
    if robust:
        show_table(["epoch", "share of images right and beyond", "kind", *map(str, found["effort"]["eps"])], robust)
    show_pairs([*notes, ("stored", str(folder / "measure.json"))])


def _numbers(result: Mapping[str, Any], *, signed: bool) -> list[str]:
    mean = result.get("signed_mean") if signed else None
    values = [result["mean"], mean, result["minimum"], result["q05"], result["median"], result["q95"]]
    return [str(result["images"]), *("" if value is None else f"{value:.5g}" for value in values)]


def _words(result: Mapping[str, Any]) -> list[str]:
    if "product_true" in result:
        return [f"product {result['product_reshaped']:.4g} of reshaped kernels, {result['product_true']:.4g} true"]
    if "rows" in result:
        settings = (
            f"{result['objective']}, {result['steps']} steps of {result['step_size']:g}, {result['images']} images"
        )
        return [
            f"eps {row['eps']:g}: robust accuracy {row['robust_accuracy']:.3f}, gradients vanished on "
            f"{row['vanished']:.1%} ({settings})"
            for row in result["rows"]
        ]
    return [
        f"paper {result['paper']:.2%}, released {result['released']:.2%} of {result['images']} (tau={result['tau']:g})"
    ]


def sweep(asked: Namespace) -> ExitCode:
    """A grid of trainings; 1 where one failed or diverged."""
    from .grids import PENALTIES, grid, read_seeds, read_values
    from .sweeping import run_jobs
    from .training_jobs import with_measure

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
    workers = _workers(asked.jobs)
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


def _workers(jobs: int) -> int:
    from .pool import default_workers

    if jobs < 0:
        raise UserError(f"jobs={jobs} must be at least 1, or 0 for the default")
    return jobs or default_workers()


def _show_sweep(found: Mapping[str, Any], root: Path) -> None:
    groups = found["groups"]
    varied = [
        name
        for name in (groups[0]["config"] if groups else {})
        if len({str(group["config"].get(name)) for group in groups}) > 1
    ]
    shown = ("test_accuracy", "test_margin_mean", "train_margin_min", "train_label_distance_mean")
    metrics = [name for name in shown if any(name in group["metrics"] for group in groups)]
    show_table(
        [*varied, "seeds", *metrics],
        [
            [
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


def table(asked: Namespace) -> ExitCode:
    """Runs side by side."""
    from .condensed import condense, find_runs, measured_of
    from .tables import COLUMNS
    from .tables import table as rows_of

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
    from .paper import PaperRequest, reproduce_paper
    from .tables import COLUMNS

    images = {} if asked.images is None else {"images": asked.images}
    request = PaperRequest(asked.only, asked.seed, asked.epochs, data_dir=asked.data_dir, **images)
    root = Path(asked.out or "runs/reproduce-paper")
    found = reproduce_paper(request, root, _workers(asked.jobs), asked.backend, asked.scheduler, tell)
    if asked.json:
        print_json({**found, "folder": str(root)})
    else:
        if found["rows"]:
            _show_rows(COLUMNS, found["rows"])
        counts = ", ".join(f"{found[name]} {name}" for name in ("done", "diverged", "failed"))
        show_pairs([("runs", f"{counts} of {found['jobs']}"), ("results", found["results"])])
    return ExitCode.DONE if found["done"] == found["jobs"] else ExitCode.FAILED


def attack(asked: Namespace) -> ExitCode:
    """Fixed-eps attacks with their hygiene flags."""
    from .attacking import attack as run
    from .attacking import show

    eps = EPS if asked.eps is None else read_eps(asked.eps)
    effort = effort_of(Namespace(**{**vars(asked), "eps": None, "pgd_eps": None}))
    if asked.objective not in ("margin", "cross-entropy"):
        raise UserError(f"objective={asked.objective!r} must be 'margin' or 'cross-entropy'")
    subject = load_subject(asked.run, asked.data_dir, tell, per_class=asked.per_class, published_as=asked.model)
    (epoch,) = epochs_of(subject, asked.epoch, False)
    found = run(subject, epoch, eps, effort, asked.objective, published=asked.as_published, tell=tell)
    if asked.json:
        print_json(found)
    else:
        show(found)
    return ExitCode.DONE
