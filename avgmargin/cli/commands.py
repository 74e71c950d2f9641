"""Every command, and from the words on the command line to one of them with its arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from avgmargin.common.errors import UsageError

from . import certificates, measures, populations, reports, studies, sweeps, training, verdicts
from .parser import Command, Parser, hint, normalised

_EPILOG = """exit codes: 0 proved or done, 1 refuted or a failed check, 2 usage or input, 3 undecided within budget,
4 float environment unfit for proofs. Results go to stdout, progress and errors to stderr."""


COMMANDS = (
    Command(
        "reproduce",
        "the main job: proofs, synthetic checks, training, report",
        reports.add_reproduce,
        reports.reproduce,
    ),
    Command("losses", "the catalogue of losses", verdicts.add_losses, verdicts.losses),
    Command(
        "prove", "prove or refute that a loss is Fisher consistent", verdicts.add_prove, verdicts.prove, formulas=True
    ),
    Command(
        "calibrate",
        "certified bounds of the calibration function and excess risk",
        certificates.add_calibrate,
        certificates.calibrate,
        formulas=True,
    ),
    Command("check", "verify certificates from their files alone", certificates.add_check, certificates.check),
    Command(
        "search",
        "look for failures of a loss given as Python code: float evidence, no proof",
        verdicts.add_search,
        verdicts.search,
    ),
    Command(
        "synthetic",
        "check losses on laws whose Bayes rule is known",
        populations.add_synthetic,
        populations.synthetic,
        formulas=True,
    ),
    Command(
        "frontier",
        "minimum against average margin of linear classifiers, exactly",
        studies.add_frontier,
        studies.frontier,
    ),
    Command(
        "curves",
        "learning curves: excess risk of empirical minimisers against the sample size",
        studies.add_curves,
        studies.curves,
    ),
    Command("train", "train one model on digits and measure its margins", training.add_train, training.train),
    Command(
        "measure",
        "every margin of a trained model: exact, bounds, the paper's estimate, attacks",
        measures.add_measure,
        measures.measure,
    ),
    Command(
        "attack",
        "fixed-eps attacks on a trained model, with checks of their health",
        measures.add_attack,
        measures.attack,
    ),
    Command(
        "sweep",
        "many trainings over mu, tau, beta, lr, seeds, here or on a Dask cluster",
        sweeps.add_sweep,
        sweeps.sweep,
    ),
    Command("table", "trained runs side by side, as a table, CSV or JSON", sweeps.add_table, sweeps.table),
    Command("data", "data sets: list, fetch from mirrors, verify by check sums", training.add_data, training.data),
    Command("report", "write report.html of a run again, or compare several runs", reports.add_report, reports.report),
)
_BY_NAME = {command.name: command for command in COMMANDS}


def top_help() -> str:
    """The text of `avgmargin --help`."""
    lines = [f"  {command.name:<11}{command.help}" for command in COMMANDS]
    return "\n".join(
        [
            "usage: avgmargin COMMAND ...",
            "",
            "Prove, refute and verify margin-based classification losses.",
            "",
            "commands:",
            *lines,
            "",
            "avgmargin COMMAND --help describes one command; avgmargin --version prints the version.",
            "",
            _EPILOG,
            "",
        ]
    )


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command and its arguments; `command` is None where help or the version was asked of the program itself.

    Raises UsageError in one line; SystemExit(0) after printing the help of a command.
    """
    if not argv:
        raise UsageError(f"COMMAND is missing; it must be one of {', '.join(_BY_NAME)} (see avgmargin --help)")
    first, rest = argv[0], list(argv[1:])
    if first in ("-h", "--help", "--version"):
        return argparse.Namespace(command=None, version=first == "--version", json=False)
    command = _BY_NAME.get(first)
    if command is None:
        raise UsageError(f"command {first!r} must be one of {', '.join(_BY_NAME)}{hint(first, list(_BY_NAME))}")
    parser = Parser(prog=f"avgmargin {command.name}", description=command.help + ".", epilog=_EPILOG)
    command.add(parser)
    options = {name for action in parser._actions for name in action.option_strings}
    namespace, unknown = parser.parse_known_args(normalised(rest, parser.valued, options, command.formulas))
    if unknown:
        meant = hint(unknown[0], sorted(options)) if unknown[0].startswith("-") else ""
        raise UsageError(f"argument {unknown[0]!r} is not known to {command.name}{meant}")
    namespace.command, namespace.words = command, list(argv)
    return namespace
