"""`train` and `data`: one run, and the images it needs."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from avgmargin.common.console import print_json, show_pairs
from avgmargin.common.errors import ExitCode

from .parser import (
    Parser,
    data_folder,
    json_flag,
    seed,
    tell,
)


def add_train(parser: Parser) -> None:
    """Arguments of `avgmargin train`."""
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
    seed(parser)
    data_folder(parser)
    parser.value(
        "--per-class",
        type=int,
        default=400,
        metavar="N",
        help="training digits per class of the 5,000 (default %(default)s)",
    )
    parser.value("--out", metavar="DIR", help="run folder (default runs/train/<model>-<loss>-<hash>)")
    json_flag(parser)


def train(asked: Namespace) -> ExitCode:
    """One training run, or the list of presets."""
    import dataclasses

    from avgmargin.common.files import check_can_make, dump_json, slug
    from avgmargin.networks import presets
    from avgmargin.networks.experiments import run_training, stoppable
    from theory.storage import sha256_of_bytes

    if asked.show:
        presets.show_list(as_json=asked.json)
        return ExitCode.DONE
    config, source = presets.settings(asked, tell)
    key = sha256_of_bytes(dump_json([config, dataclasses.asdict(source)]))[:8]
    folder = Path(asked.out or f"runs/train/{slug(config['name'])}-{key}")
    check_can_make(folder)

    def tell_epoch(epoch: int, words: str) -> None:
        print(f"epoch {epoch}/{config['epochs']}: {words}", file=sys.stderr)

    with stoppable(folder):
        found = run_training(config, source, folder, tell_epoch, presets.hardware(asked))
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


def add_data(parser: Parser) -> None:
    """Arguments of `avgmargin data`."""
    parser.add_argument("action", metavar="list|fetch|verify|path", help="what to do")
    parser.add_argument(
        "folder", nargs="?", metavar="WHAT", help="with verify: the folder of a data set; with fetch: its name"
    )
    parser.value("--dataset", metavar="D", help="with verify: mnist, fashion-mnist or cifar10 (default: best match)")
    parser.value("--data-dir", metavar="DIR", help="with fetch: the folder of data sets (see data path)")
    parser.add_argument("--offline", action="store_true", help="with fetch: never touch the network")
    parser.value("--mirror", action="append", metavar="URL", help="with fetch: a folder of the files; repeatable")
    parser.value("--timeout", type=float, default=30.0, metavar="S", help="seconds to wait for a server (default 30)")
    json_flag(parser)


def data(asked: Namespace) -> ExitCode:
    """The data sets, or the check sums of a folder."""
    from avgmargin.networks.datasets import run

    return run(asked)
