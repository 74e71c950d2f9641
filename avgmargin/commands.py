"""One function per command: arguments in, exit code out. Libraries are imported by the command that needs them."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .console import print_error, print_json, show_pairs, show_table, status_style
from .errors import ExitCode, UserError

_VERDICT_CODES = {"PROVED": ExitCode.DONE, "REFUTED": ExitCode.FAILED, "UNDECIDED": ExitCode.UNDECIDED}


def losses(asked: Namespace) -> ExitCode:
    """The catalogue."""
    import theory

    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "title": entry.title,
            "binary": entry.binary,
            "multiclass": entry.multiclass,
            "parameters": {name: {"default": p.default, "range": _range(p)} for name, p in entry.parameters.items()},
            "strength": entry.strength,
            "source": entry.source,
        }
        for entry in theory.catalogue.ENTRIES
    ]
    if asked.json:
        print_json({"losses": rows})
        return ExitCode.DONE
    table = []
    for row in rows:
        values = ", ".join(f"{name} = {p['default']} ({p['range']})" for name, p in row["parameters"].items())
        table.append([row["name"], row["binary"] or "", values, row["strength"]])
    show_table(["name", "binary formula in t = y f(x)", "parameters", "known from the literature or derived"], table)
    return ExitCode.DONE


def _range(parameter: Any) -> str:
    if parameter.low is None:
        return "any"
    return f"{'>' if parameter.low_open else '>='} {parameter.low}"


def prove(asked: Namespace) -> ExitCode:
    """A verdict and its certificate."""
    from .proofs import Effort, Unfit, prove_and_store
    from .resolve import LossRequest, read_number, read_parameters, resolve

    parameters = read_parameters(asked.param)
    loss = resolve(LossRequest(asked.loss, asked.plus, asked.minus, parameters, asked.classes, asked.domain))
    effort = Effort(asked.classes, read_number("threshold", asked.threshold), asked.boxes, asked.seconds)
    try:
        found = prove_and_store(loss, effort, Path(asked.out))
    except Unfit as error:
        print_error(str(error), as_json=asked.json)
        return ExitCode.UNFIT
    if asked.json:
        print_json(found)
    else:
        show_verdict(found)
    return _VERDICT_CODES[found["status"]]


def show_verdict(found: dict[str, Any]) -> None:
    """A verdict in words on stdout."""
    from .proofs import witness_text

    shown = None if found["witness"] is None else witness_text(found["witness"])
    gap = None if found["gap"] is None else f">= {found['gap']:.6g} ({found['gap_region'] or 'everywhere'})"
    show_pairs(
        [
            ("loss", found["label"]),
            ("formula", None if found["formula"] == found["label"] else found["formula"]),
            ("verdict", found["status"]),
            ("tier", found["tier"] + (": float evidence, no proof" if found["tier"] == "searched" else "")),
            ("scope", found["scope"]),
            ("gap", gap),
            ("witness", shown),
            ("advice", found["advice"]),
            ("certificate", found["certificate"]),
            ("time", f"{found['seconds']:.2f} s"),
        ],
        {"verdict": status_style(found["status"])},
    )


def check(asked: Namespace) -> ExitCode:
    """Verify certificates in this process."""
    from .proofs import check_files

    records = check_files([Path(name) for name in asked.certificates])
    errors = [record for record in records if record["error"] is not None]
    if asked.json:
        failed = {"error": errors[0]["error"]} if errors else {}
        print_json({"valid": all(record["valid"] for record in records), "results": records} | failed)
    else:
        words = {True: "VERIFIED", False: "REFUSED"}
        show_table(
            ["certificate", "answer", "claim", "loss", "boxes", "reason"],
            [
                [r["path"], words[r["valid"]], r["claim"], r["loss"], r["boxes"], r["reason"] or ""]
                for r in records
                if r["error"] is None
            ],
            status_column=1,
        ) if len(errors) < len(records) else None
    for record in errors:
        print_error(record["error"], as_json=False)
    if errors:
        return ExitCode.USAGE
    return ExitCode.DONE if all(record["valid"] for record in records) else ExitCode.FAILED


def synthetic(asked: Namespace) -> ExitCode:
    """Losses on laws whose Bayes rule is known."""
    import theory

    from .plan import law_jobs
    from .resolve import LossRequest, resolve
    from .verification import LawSettings, compare, run_law, seen_to_fail

    names = asked.losses or list(theory.catalogue.CORE)
    chosen = [resolve(LossRequest(name)) for name in names]
    jobs = law_jobs(asked.scale, asked.seed, tuple(loss.name for loss in chosen))
    proofs = []
    for loss in chosen:
        for classes in (2, 3) if loss.multiclass is not None else (2,):
            print(f"proving {loss.name}, {classes} classes", file=sys.stderr)
            verdict = theory.prove(loss, classes=None if classes == 2 else classes)
            proofs.append(
                {**verdict.summary(), "classes": classes, "witness_seen": seen_to_fail(loss, verdict.witness)}
            )
    laws = []
    for job in jobs:
        print(f"law {job.name}", file=sys.stderr)
        laws.append(run_law(LawSettings(**{**job.settings, "losses": ()}), chosen, lambda words: None))
    compared = compare(laws, proofs)
    if asked.json:
        print_json({"seed": asked.seed, "scale": asked.scale, "laws": laws, "comparison": compared})
    else:
        _show_laws(laws, compared)
    broken = any(not row["holds"] for law in laws for row in law["inequality"])
    return ExitCode.FAILED if broken or any(row["matches"] is False for row in compared) else ExitCode.DONE


def _show_laws(laws: list[dict[str, Any]], compared: list[dict[str, Any]]) -> None:
    rows = []
    for law in laws:
        inequality = {row["loss"]: row for row in law["inequality"]}
        for row in law["agreement"]:
            span = row["failing_range"]
            other = inequality.get(row["loss"])
            rows.append(
                [
                    law["law"],
                    row["loss"],
                    "agrees" if row["holds"] else f"fails at {row['failing_points']} of {row['points']}",
                    f"{row['disagreement']['value']:.4f}",
                    "" if span is None else f"{span[0]:.4f} .. {span[1]:.4f}",
                    "" if other is None else f"{other['violations']} of {other['classifiers']}",
                ]
            )
    show_table(
        ["law", "loss", "minimiser against Bayes rule", "failing mass", "failing max p", "inequality broken"], rows
    )
    words = {True: "yes", False: "NO", None: "cannot tell"}
    show_table(
        ["loss", "classes", "verdict", "seen on the laws as the verdict says"],
        [[row["loss"], row["classes"], row["status"], words[row["matches"]]] for row in compared],
        status_column=2,
    )


def frontier(asked: Namespace) -> ExitCode:
    """The trade-off between minimum and average margin."""
    from .files import check_can_make
    from .frontier import DEFAULT_LOSSES, Settings, run

    settings = Settings(
        data=asked.data,
        data_dir=asked.data_dir,
        samples=asked.samples,
        dimension=asked.dimension,
        geometry=asked.geometry,
        points=asked.points,
        tail=asked.tail,
        losses=tuple(asked.loss or DEFAULT_LOSSES),
        steps=asked.steps,
        batch=asked.batch,
        lr=asked.lr,
        ball=asked.ball,
        seed=asked.seed,
    )
    folder = Path(asked.out or f"runs/frontier-{settings.key}")
    check_can_make(folder)
    found = run(settings, folder, lambda words: print(words, file=sys.stderr))
    if asked.json:
        print_json({**found, "folder": str(folder)})
        return ExitCode.DONE
    ends = [("mean direction", found["mean_end"]), ("hard-margin SVM", found["svm_end"])]
    below = "minimum margin" if settings.tail is None else f"lower {settings.tail:g} tail mean"
    show_table(["end", below, "average margin"], [[n, f"{e['minimum']:.6g}", f"{e['average']:.6g}"] for n, e in ends])
    show_table(
        ["path", below, "average", "given up", "distance to the frontier"],
        [
            [
                path["name"],
                f"{path['minimum'][-1]:.6g}",
                f"{path['average'][-1]:.6g}",
                f"{path['given_up'][-1]:.3g}",
                "" if path["distance_high"][-1] is None else f"<= {path['distance_high'][-1]:.3g}",
            ]
            for path in found["paths"]
        ],
    )
    show_pairs(
        [
            ("data", found["data"]),
            ("largest residual", f"{found['residual']:.2g}"),
            ("figure", str(folder / "frontier.svg")),
        ]
    )
    return ExitCode.DONE


def train(asked: Namespace) -> ExitCode:
    """One training run."""
    import dataclasses

    from theory.storage import sha256_of_bytes

    from .files import check_can_make, dump_json, slug

    if asked.data_dir is not None:
        name = slug(Path(asked.data_dir).absolute().name)
    else:
        name = "mnist5k"
    from .experiments import DataSource, run_training

    source = DataSource(asked.data_dir, name, asked.seed, asked.per_class)
    config = {
        "name": f"{asked.model}-{asked.loss}",
        "dataset": name,
        "model": asked.model,
        "loss": asked.loss,
        "mu": asked.mu,
        "tau": asked.tau,
        "beta": asked.beta,
        "lr": asked.lr,
        "epochs": asked.epochs,
        "batch_size": asked.batch_size,
        "hidden": asked.hidden,
        "seed": asked.seed,
    }
    key = sha256_of_bytes(dump_json([config, dataclasses.asdict(source)]))[:8]
    folder = Path(asked.out or f"runs/train/{slug(config['name'])}-{key}")
    check_can_make(folder)

    def tell(epoch: int, words: str) -> None:
        print(f"epoch {epoch}/{asked.epochs}: {words}", file=sys.stderr)

    found = run_training(config, source, folder, tell)
    found["folder"] = str(folder)
    if asked.json:
        print_json(found)
    elif found["epochs"]:
        last = found["epochs"][-1]
        show_pairs(
            [("run", str(folder)), ("status", found["status"]), ("advice", found["advice"] or None)]
            + [(name, f"{value:.6g}") for name, value in last.items()]
        )
    return ExitCode.DONE if found["status"] == "done" else ExitCode.FAILED


def reproduce(asked: Namespace) -> ExitCode:
    """The main job."""
    from .plan import Request
    from .proofs import Unfit
    from .reproduce import default_workers
    from .reproduce import reproduce as run

    if asked.jobs < 0:
        raise UserError(f"jobs={asked.jobs} must be at least 1, or 0 for the default")
    request = Request(asked.scale, asked.seed, asked.data_dir)
    root = Path(asked.out or f"runs/reproduce-{asked.scale}")
    try:
        summary = run(request, root, asked.jobs or default_workers(), asked.words)
    except Unfit as error:
        print_error(str(error), as_json=asked.json)
        return ExitCode.UNFIT
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


def report(asked: Namespace) -> ExitCode:
    """Write the page of a run again."""
    from jinja2 import TemplateError

    from .files import refresh_manifest
    from .report import load, write

    root = Path(asked.run)
    found = load(root)
    try:
        written = write(found, root)
    except (LookupError, TypeError, AttributeError, TemplateError) as error:
        kind = type(error).__name__
        raise UserError(f"{str(root / 'report.json')!r} must be a whole report; {kind}: {error}") from None
    refresh_manifest(root, written)
    if asked.json:
        print_json({"report": str(written[-1])})
    else:
        show_pairs([("report", str(written[-1]))])
    return ExitCode.DONE


RUN: dict[str, Callable[[Namespace], ExitCode]] = {
    "losses": losses,
    "prove": prove,
    "check": check,
    "synthetic": synthetic,
    "frontier": frontier,
    "train": train,
    "reproduce": reproduce,
    "report": report,
}
