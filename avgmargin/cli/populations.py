"""`synthetic`: losses on laws whose Bayes rule is known."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from avgmargin.common.console import print_json, show_table
from avgmargin.common.errors import ExitCode

from .parser import (
    Parser,
    json_flag,
    scale,
    seed,
    tell,
)


def add_synthetic(parser: Parser) -> None:
    """Arguments of `avgmargin synthetic`."""
    parser.add_argument(
        "losses", nargs="*", metavar="LOSS", help="catalogue names or formulas in t (default: the catalogue)"
    )
    parser.value(
        "--losses", dest="more", metavar="A,B", help="the same as a list, as in hinge,average-margin(mu=1,tau=2)"
    )
    parser.value("--laws", metavar="A,B", help="laws, as in xor,tsybakov(exponent=2),point-mass(p=0.4/0.3/0.3)")
    parser.value("--dimension", type=int, metavar="D", help="only the laws in R^D, as in 2 for those in the plane")
    parser.add_argument("--prove", action="store_true", help="prove or refute every loss and compare with what is seen")
    parser.add_argument("--list", action="store_true", dest="show", help="only list the laws, with their Bayes risks")
    scale(parser)
    seed(parser)
    parser.value(
        "--jobs", type=int, default=0, metavar="N", help="worker processes (default: 2, or 1 for a few losses)"
    )
    json_flag(parser)


def synthetic(asked: Namespace) -> ExitCode:
    """Losses on laws whose Bayes rule is known."""
    from avgmargin.laws import population, request

    wanted = request.read(asked.losses, asked.more, asked.laws, asked.scale, asked.seed, asked.prove, asked.dimension)
    if asked.show:
        laws = population.describe_laws(wanted)
        if asked.json:
            print_json({"laws": laws})
        else:
            _show_law_list(laws)
        return ExitCode.DONE if all(law["labels_hold"] for law in laws) else ExitCode.FAILED
    found = population.run(wanted, asked.jobs, tell)
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


_BESIDE = {None: "", True: ", but at near ties", False: ", nor at near ties"}


def _not_seen(tied: float) -> str:
    """The part of a predicted mass that no draw can show, where it would be noticed."""
    return f" ({tied:.4f} too near the tie to be seen)" if tied >= 5e-5 else ""


def _show_population(found: dict[str, Any]) -> None:
    """What fails where, then one line per loss, then what is wrong."""
    _show_law_list(found["laws"])
    failing = [
        [
            row["law"],
            record["loss"],
            f"{row['disagreement']['predicted']['value']:.4f}" + _not_seen(row["tied"]),
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
                    f"{len(answer['failing_laws'])} of {answer['laws']}" + _BESIDE[answer["fails_beside"]],
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
