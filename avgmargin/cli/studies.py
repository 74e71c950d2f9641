"""`frontier` and `curves`: two studies that draw a figure."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from avgmargin.common.console import print_json, show_pairs, show_table
from avgmargin.common.errors import ExitCode

from .parser import (
    Parser,
    data_folder,
    json_flag,
    seed,
    tell,
)


def add_frontier(parser: Parser) -> None:
    """Arguments of `avgmargin frontier`."""
    parser.value("--data", default="two-groups", metavar="D", help="two-groups, mnist:A,B or a .npz file with x, y")
    data_folder(parser)
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
    seed(parser)
    parser.value("--out", metavar="DIR", help="folder of frontier.json and frontier.svg (default runs/frontier-<hash>)")
    json_flag(parser)


def frontier(asked: Namespace) -> ExitCode:
    """The trade-off between minimum and average margin."""
    from avgmargin.common.files import check_can_make
    from avgmargin.laws.frontier import DEFAULT_LOSSES, Settings, run

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
    found = run(settings, folder, tell)
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


def add_curves(parser: Parser) -> None:
    """Arguments of `avgmargin curves`."""
    parser.value("--law", default="two-moons", metavar="L", help="as in tsybakov(exponent=2) (default two-moons)")
    parser.value("--loss", action="append", metavar="LOSS", help="a loss, as in average-margin(mu=1,tau=5); repeatable")
    parser.value("--learner", default="histogram", metavar="H", help="histogram (default), features or mlp")
    parser.value(
        "--sizes", default="100,1000,10000,100000", metavar="N,N", help="sample sizes, increasing (default %(default)s)"
    )
    parser.value("--seeds", type=int, default=5, metavar="N", help="samples of each size (default %(default)s)")
    parser.value("--exponent", type=float, metavar="A", help="draw the plug-in rate of this noise exponent")
    seed(parser)
    parser.value("--out", metavar="DIR", help="folder of curves.json and curves.svg (default runs/curves-<hash>)")
    json_flag(parser)


def curves(asked: Namespace) -> ExitCode:
    """Learning curves on a law whose Bayes rule is known."""
    from avgmargin.common.files import check_can_make
    from avgmargin.laws.learning import DEFAULT_LOSSES, Settings, read_sizes, run

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
    found = run(settings, folder, tell)
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
