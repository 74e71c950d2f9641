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
    """The catalogue: a table, one entry, or the verdicts on all that were selected."""
    import theory

    from . import listing

    chosen = listing.select(asked.name, asked.kind, asked.status)
    if asked.prove:
        return _decide(asked, chosen)
    if asked.json:
        print_json({"losses": [listing.as_row(entry) for entry in chosen]})
    elif asked.name is not None and theory.catalogue.known(asked.name):
        show_pairs(listing.pairs(theory.catalogue.entry(asked.name)))
    else:
        columns = ["name", "formula", "parameters", "known from the literature or derived"]
        show_table(columns, [listing.table_row(entry) for entry in chosen])
    return ExitCode.DONE


def _decide(asked: Namespace, chosen: list[Any]) -> ExitCode:
    """Verdicts on catalogue entries; 1 where one contradicts what is stated."""
    from .decided import decide
    from .pool import default_workers
    from .proofs import Unfit

    if asked.jobs < 0:
        raise UserError(f"jobs={asked.jobs} must be at least 1, or 0 for the default")
    try:
        found = decide(chosen, Path(asked.out), asked.jobs or default_workers(), asked.boxes, asked.seconds)
    except Unfit as error:
        print_error(str(error), as_json=asked.json)
        return ExitCode.UNFIT
    if asked.json:
        print_json(found)
    else:
        show_table(
            ["verdict", "loss", "classes", "seconds", "stated"],
            [
                [
                    r["status"],
                    " ".join([r["name"], *(f"{k}={v}" for k, v in r["parameters"].items())]),
                    r["classes"],
                    f"{r['seconds']:.1f}",
                    {True: "consistent", False: "not consistent", None: ""}[r["stated"]],
                ]
                for r in found["rows"]
            ],
            status_column=0,
        )
        show_pairs([*found["counts"].items(), ("contradicted", ", ".join(found["contradicted"]) or "none")])
    return ExitCode.FAILED if found["contradicted"] else ExitCode.DONE


def prove(asked: Namespace) -> ExitCode:
    """A verdict and its certificate."""
    from .proofs import Effort, Unfit, prove_and_store
    from .resolve import LossRequest, read_number, read_parameters, resolve

    parameters = read_parameters(asked.param)
    if asked.region and (asked.ranges or asked.classes is not None):
        raise UserError("--region is for one binary loss; leave out --for and --classes")
    try:
        if asked.ranges or asked.classes == "all":
            from .family_proofs import prove_for_all

            found = prove_for_all(asked, parameters)
        else:
            request = LossRequest(asked.loss, asked.plus, asked.minus, parameters, asked.classes, asked.domain)
            delta = asked.delta if asked.delta in (None, "default") else read_number("delta", asked.delta)
            threshold = read_number("threshold", asked.threshold)
            effort = Effort(asked.classes, threshold, asked.boxes, asked.seconds, delta)
            loss = resolve(request)
            found = prove_and_store(loss, effort, Path(asked.out))
            if asked.region:
                from .regions import region_of

                found["region"] = region_of(loss, effort, Path(asked.out))
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
            ("region", found["region"]["words"] if "region" in found else None),
            ("advice", found["advice"]),
            ("certificate", found["certificate"]),
            ("time", f"{found['seconds']:.2f} s"),
        ],
        {"verdict": status_style(found["status"])},
    )


def calibrate(asked: Namespace) -> ExitCode:
    """Bounds of a calibration function."""
    from .calibrate import calibrate as run
    from .calibrate import read, show
    from .proofs import Unfit

    try:
        found = run(*read(asked))
    except Unfit as error:
        print_error(str(error), as_json=asked.json)
        return ExitCode.UNFIT
    if asked.json:
        print_json(found)
    else:
        show(found)
    return ExitCode.DONE if found["tier"] == "certified" else ExitCode.UNDECIDED


def check(asked: Namespace) -> ExitCode:
    """Verify certificates in this process."""
    from .proofs import check_files

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


def search(asked: Namespace) -> ExitCode:
    """Float evidence on a loss given as code."""
    from .searching import search as run

    found = run(asked)
    if asked.json:
        print_json(found)
    else:
        words = [("loss", found["loss"]), ("verdict", found["status"]), ("tier", "searched: float evidence, no proof")]
        words += [("scope", found["scope"]), ("found", found["advice"]), ("time", f"{found['seconds']:.2f} s")]
        show_pairs(words, {"verdict": status_style(found["status"])})
    return ExitCode.UNDECIDED


def synthetic(asked: Namespace) -> ExitCode:
    """Losses on laws whose Bayes rule is known."""
    from . import population

    request = population.read(asked.losses, asked.more, asked.laws, asked.scale, asked.seed, asked.prove)
    if asked.jobs < 0:
        raise UserError(f"jobs={asked.jobs} must be at least 1, or 0 for the default")
    if asked.show:
        laws = population.describe_laws(request)
        if asked.json:
            print_json({"laws": laws})
        else:
            _show_law_list(laws)
        return ExitCode.DONE if all(law["labels_hold"] for law in laws) else ExitCode.FAILED
    found = population.run(request, asked.jobs, lambda words: print(words, file=sys.stderr))
    if asked.json:
        print_json(found)
    else:
        _show_population(found)
    return ExitCode.FAILED if found["faults"] else ExitCode.DONE


def _show_law_list(laws: list[dict[str, Any]]) -> None:
    show_table(
        ["law", "what it is", "classes", "d", "Bayes risk", "error", "kind"],
        [
            [
                law["law"],
                law["title"],
                law["classes"],
                law["dimension"],
                f"{law['bayes_risk']['value']:.8g}",
                f"{law['bayes_risk']['error']:.1g}",
                law["bayes_risk"]["kind"],
            ]
            for law in laws
        ],
    )


def _show_population(found: dict[str, Any]) -> None:
    """What fails where, then one line per loss, then what is wrong."""
    _show_law_list(found["laws"])
    failing = [
        [
            row["law"],
            record["loss"],
            f"{row['disagreement']['predicted']['value']:.4f}",
            f"{row['disagreement']['measured']['value']:.4f}",
            f"{row['excess_risk']['predicted']['value']:.5f}",
            f"{row['excess_risk']['measured']['value']:.5f}",
            f"+- {row['excess_risk']['measured']['error']:.5f}",
            "yes" if row["as_predicted"] else "NO",
        ]
        for record in found["losses"]
        for row in record["checks"]
        if row["fails"] or not row["as_predicted"]
    ]
    if failing:
        columns = ["law", "loss that fails", "mass", "measured", "excess risk", "measured", "", "as predicted"]
        show_table(columns, failing)
    rows = []
    for record in found["losses"]:
        for answer, psi in zip(record["answers"], record["psi"], strict=True):
            tries = [row for row in record["inequality"] if row["classes"] == answer["classes"]]
            tried, broken = (sum(row[key] for row in tries) for key in ("classifiers", "violations"))
            region = "; ".join(f"{low:.6g} .. {high:.6g}" for low, high in answer["region"] or [])
            rows.append(
                [
                    record["label"],
                    answer["classes"],
                    answer["verdict"] or answer["claim"] or "",
                    f"{len(answer['failing_laws'])} of {answer['laws']}",
                    region,
                    f"{broken} of {tried}" if tried else "",
                    psi["kind"],
                    "no" if answer["fault"] is None else "YES",
                ]
            )
    columns = ["loss", "classes", "what is said of it", "fails on laws", "at eta", "inequality broken", "psi", "fault"]
    show_table(columns, rows)
    for fault in found["faults"]:
        print(f"FAULT {fault}")


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


def curves(asked: Namespace) -> ExitCode:
    """Learning curves on a law whose Bayes rule is known."""
    from .files import check_can_make
    from .learning import DEFAULT_LOSSES, Settings, read_sizes, run

    settings = Settings(
        law=asked.law,
        losses=tuple(asked.loss or DEFAULT_LOSSES),
        learner=asked.learner,
        sizes=read_sizes(asked.sizes),
        seeds=asked.seeds,
        exponent=asked.exponent,
        seed=asked.seed,
    )
    folder = Path(asked.out or f"runs/curves-{settings.key}")
    check_can_make(folder)
    found = run(settings, folder, lambda words: print(words, file=sys.stderr))
    if asked.json:
        print_json({**found, "folder": str(folder)})
        return ExitCode.DONE
    show_table(
        ["loss", *(f"n = {n}" for n in settings.sizes), "slope", "levels off at"],
        [
            [
                curve["loss"],
                *(f"{value:.2g}" for value in curve["mean"]),
                "" if curve["rate"] is None else f"{curve['rate']:.2f}",
                f"{curve['plateau']:.3g} +- {curve['plateau_error']:.1g}",
            ]
            for curve in found["curves"]
        ],
    )
    show_pairs([("law", found["law"]), ("learner", settings.learner), ("figure", str(folder / "curves.svg"))])
    return ExitCode.DONE


def train(asked: Namespace) -> ExitCode:
    """One training run, or the list of presets."""
    import dataclasses

    from theory.storage import sha256_of_bytes

    from . import presets
    from .experiments import run_training, stoppable
    from .files import check_can_make, dump_json, slug

    if asked.show:
        presets.show_list(as_json=asked.json)
        return ExitCode.DONE
    config, source = presets.settings(asked, lambda words: print(words, file=sys.stderr))
    key = sha256_of_bytes(dump_json([config, dataclasses.asdict(source)]))[:8]
    folder = Path(asked.out or f"runs/train/{slug(config['name'])}-{key}")
    check_can_make(folder)

    def tell(epoch: int, words: str) -> None:
        print(f"epoch {epoch}/{config['epochs']}: {words}", file=sys.stderr)

    with stoppable(folder):
        found = run_training(config, source, folder, tell, presets.hardware(asked))
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


def measure(asked: Namespace) -> ExitCode:
    """Every way of measuring on one run or checkpoint."""
    from .deep_commands import measure as run

    return run(asked)


def attack(asked: Namespace) -> ExitCode:
    """Fixed-eps attacks on one run or checkpoint."""
    from .deep_commands import attack as run

    return run(asked)


def sweep(asked: Namespace) -> ExitCode:
    """A grid of trainings."""
    from .deep_commands import sweep as run

    return run(asked)


def table(asked: Namespace) -> ExitCode:
    """Runs side by side."""
    from .deep_commands import table as run

    return run(asked)


def reproduce(asked: Namespace) -> ExitCode:
    """The main job."""
    if asked.scale == "paper":
        from .deep_commands import paper

        return paper(asked)
    for name in ("only", "epochs", "images", "scheduler"):
        if getattr(asked, name) is not None:
            raise UserError(f"--{name} is for --scale paper, not for --scale {asked.scale}")
    from .plan import Request
    from .pool import default_workers
    from .proofs import Unfit
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


def data(asked: Namespace) -> ExitCode:
    """The data sets, or the check sums of a folder."""
    from .datasets import run

    return run(asked)


def report(asked: Namespace) -> ExitCode:
    """Write the page of a run again, or one that compares several runs."""
    from . import reporting

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


RUN: dict[str, Callable[[Namespace], ExitCode]] = {
    "losses": losses,
    "prove": prove,
    "calibrate": calibrate,
    "check": check,
    "search": search,
    "synthetic": synthetic,
    "frontier": frontier,
    "curves": curves,
    "train": train,
    "measure": measure,
    "attack": attack,
    "sweep": sweep,
    "table": table,
    "reproduce": reproduce,
    "data": data,
    "report": report,
}
