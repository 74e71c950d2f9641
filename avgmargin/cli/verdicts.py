"""`losses`, `prove` and `search`: the catalogue, and verdicts."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from avgmargin.common.console import print_json, show_pairs, show_table, status_style
from avgmargin.common.errors import ExitCode, UserError

from .parser import (
    Parser,
    budget,
    json_flag,
    seed,
    workers_of,
)

_CODES = {"PROVED": ExitCode.DONE, "REFUTED": ExitCode.FAILED, "UNDECIDED": ExitCode.UNDECIDED}


def add_losses(parser: Parser) -> None:
    """Arguments of `avgmargin losses`."""
    parser.add_argument("name", nargs="?", metavar="WORDS", help="a name, shown in full, or part of one, or of a title")
    parser.value("--kind", metavar="K", help="binary or multiclass: losses with a formula of the kind")
    parser.value("--status", metavar="S", help="consistent, not-consistent or unknown: what is stated at the defaults")
    parser.add_argument("--prove", action="store_true", help="decide what was selected, for two and for three classes")
    parser.value("--jobs", type=int, default=0, metavar="N", help="with --prove: worker processes (default: 2, or 1)")
    parser.value("--out", default="runs/catalogue", metavar="DIR", help="folder of --prove (default %(default)s)")
    budget(parser)
    json_flag(parser)


def losses(asked: Namespace) -> ExitCode:
    """The catalogue: a table, one entry, or the verdicts on all that were selected."""
    import theory
    from avgmargin.proving import listing

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
    from avgmargin.jobs.decided import decide

    found = decide(chosen, Path(asked.out), workers_of(asked.jobs), asked.boxes, asked.seconds)
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


def add_prove(parser: Parser) -> None:
    """Arguments of `avgmargin prove`."""
    parser.add_argument("loss", nargs="?", metavar="LOSS", help="catalogue name, or a formula in t = y f(x)")
    parser.value("--plus", metavar="F", help="with --minus, instead of LOSS: the loss of the score v for y = +1")
    parser.value("--minus", metavar="F", help="the loss of the score v for y = -1")
    parser.value("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter, such as mu=0.1")
    parser.value(
        "--for",
        action="append",
        default=[],
        dest="ranges",
        metavar="NAME=RANGE",
        help="prove it for every value in a range: mu=[0,100], tau=(0,inf)",
    )
    parser.value("--classes", type=_classes, metavar="C", help="number of classes, or all; binary when absent")
    parser.value("--domain", metavar="D", help="scores: all, sum-zero, bounded:B (default: that of the loss, or all)")
    parser.value("--threshold", default="1/2", metavar="A", help="decide +1 where P(Y = +1 | x) > A (default 1/2)")
    parser.value(
        "--out", default="runs/certificates", metavar="DIR", help="folder of the certificate (default %(default)s)"
    )
    parser.add_argument("--region", action="store_true", help="binary: the posteriors at which it fails, certified")
    parser.value(
        "--delta", metavar="D", help="with --classes C: certify the gap where max p - p_j >= D; or default (1/20, 1/10)"
    )
    budget(parser)
    json_flag(parser)


def _classes(text: str) -> int | str:
    """A number of classes, or the word all."""
    try:
        return "all" if text == "all" else int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} must be a whole number, or all") from None


def prove(asked: Namespace) -> ExitCode:
    """A verdict and its certificate."""
    from avgmargin.proving.proofs import Effort, prove_and_store
    from avgmargin.proving.resolve import LossRequest, read_number, read_parameters, resolve

    parameters = read_parameters(asked.param)
    if asked.region and (asked.ranges or asked.classes is not None):
        raise UserError("--region is for one binary loss; leave out --for and --classes")
    if asked.ranges or asked.classes == "all":
        from avgmargin.proving.families import prove_for_all

        found = prove_for_all(asked, parameters)
    else:
        request = LossRequest(asked.loss, asked.plus, asked.minus, parameters, asked.classes, asked.domain)
        delta = asked.delta if asked.delta in (None, "default") else read_number("delta", asked.delta)
        threshold = read_number("threshold", asked.threshold)
        effort = Effort(asked.classes, threshold, asked.boxes, asked.seconds, delta)
        loss = resolve(request)
        found = prove_and_store(loss, effort, Path(asked.out))
        if asked.region:
            from avgmargin.proving.regions import region_of

            found["region"] = region_of(loss, effort, Path(asked.out))
    if asked.json:
        print_json(found)
    else:
        show_verdict(found)
    return _CODES[found["status"]]


def show_verdict(found: dict[str, Any]) -> None:
    """A verdict in words on stdout."""
    from avgmargin.proving.proofs import witness_text

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


def add_search(parser: Parser) -> None:
    """Arguments of `avgmargin search`."""
    parser.add_argument(
        "loss", metavar="FILE.py:NAME", help="a Python function of scores (n, c), labels (n,); it is run"
    )
    parser.value("--classes", type=int, required=True, metavar="C", help="number of classes")
    parser.add_argument("--torch", action="store_true", help="the function takes and returns torch tensors")
    parser.value("--posteriors", type=int, default=200, metavar="N", help="how many are tried (default %(default)s)")
    parser.value("--starts", type=int, default=4, metavar="N", help="starting scores of each (default %(default)s)")
    parser.value("--span", type=float, default=30.0, metavar="S", help="scores stay in [-S, S] (default %(default)s)")
    seed(parser)
    json_flag(parser)


def search(asked: Namespace) -> ExitCode:
    """Float evidence on a loss given as code."""
    from avgmargin.proving.searching import search as run

    found = run(asked)
    if asked.json:
        print_json(found)
    else:
        words = [("loss", found["loss"]), ("verdict", found["status"]), ("tier", "searched: float evidence, no proof")]
        words += [("scope", found["scope"]), ("found", found["advice"]), ("time", f"{found['seconds']:.2f} s")]
        show_pairs(words, {"verdict": status_style(found["status"])})
    return ExitCode.UNDECIDED
