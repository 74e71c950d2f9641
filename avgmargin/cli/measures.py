"""`measure` and `attack`: margins of one trained model."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avgmargin.common.console import print_json, show_pairs, show_table
from avgmargin.common.errors import ExitCode, UserError

from .effort import effort_of, read_eps
from .parser import Parser, data_folder, json_flag, seed, tell


def _subject(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run folder, finished or not, or a published checkpoint file")
    parser.value("--epoch", type=int, metavar="K", help="the weights after K epochs (default: the last kept)")
    parser.value("--images", type=int, metavar="N", help="the first N test images (default 200)")
    parser.value("--model", metavar="M", help="the network that a checkpoint file must hold, as in mnist-cnn")
    parser.value("--per-class", type=int, metavar="N", help="of a run on the 5,000 digits with its own --per-class")
    data_folder(parser)
    seed(parser)


def add_measure(parser: Parser) -> None:
    """Arguments of `avgmargin measure`."""
    _subject(parser)
    parser.add_argument("--through", action="store_true", help="at every kept epoch: 0, 1, 2, 5, 10, 20, 50, ...")
    parser.value("--parts", metavar="A,B", help="what to measure, or all (default: all but pgd and pgd-published)")
    parser.value("--eps", metavar="E,E", help="radii of robust accuracy (default 0.5,1,1.5,2)")
    parser.value("--radius", type=float, metavar="R", help="ball of the paper's estimate (default 5)")
    parser.value("--samples", type=int, metavar="N", help="its samples (default 256)")
    parser.value("--pgd-eps", metavar="E,E", help="radii of the parts pgd and pgd-published (default 1,2)")
    parser.value("--steps", type=int, metavar="N", help="steps of the part pgd (default 200)")
    parser.value("--published-steps", type=int, metavar="N", help="steps of the part pgd-published (default 1000)")
    where = "<folder of RUN>/measured/<RUN>; of a checkpoint file, runs/measured/<NAME>"
    parser.value("--out", metavar="DIR", help=f"folder of measure.json (default {where})")
    json_flag(parser)


def measure(asked: Namespace) -> ExitCode:
    """Every way of measuring on one run or checkpoint."""
    from avgmargin.networks.measuring import default_folder, epochs_of
    from avgmargin.networks.measuring import measure as run
    from avgmargin.networks.parts import check_parts
    from avgmargin.networks.subjects import load_subject

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


def _show_measured(found: Mapping[str, Any], folder: Path) -> None:
    from avgmargin.networks.parts import PARTS

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


def add_attack(parser: Parser) -> None:
    """Arguments of `avgmargin attack`."""
    _subject(parser)
    parser.value("--eps", metavar="E,E", help="radii of the L2 ball (default 0.5,1,1.5,2)")
    parser.value("--objective", default="margin", metavar="O", help="margin (default) or cross-entropy")
    parser.add_argument("--as-published", action="store_true", help="the paper's own: cross-entropy, 1000 steps of .01")
    parser.value("--steps", type=int, metavar="N", help="gradient steps (default 200)")
    parser.value("--step-size", type=float, metavar="S", help="their length (default 0.05)")
    json_flag(parser)


def attack(asked: Namespace) -> ExitCode:
    """Fixed-eps attacks with their hygiene flags."""
    from avgmargin.networks.attacking import attack as run
    from avgmargin.networks.attacking import show
    from avgmargin.networks.effort import EPS
    from avgmargin.networks.measuring import epochs_of
    from avgmargin.networks.subjects import load_subject

    eps = EPS if asked.eps is None else read_eps(asked.eps)
    effort = effort_of(Namespace(**{**vars(asked), "eps": None, "pgd_eps": None}))
    if asked.objective not in ("margin", "cross-entropy"):
        raise UserError(f"objective={asked.objective!r} must be 'margin' or 'cross-entropy'")
    if asked.as_published:
        for flag, value in (("steps", asked.steps), ("step-size", asked.step_size)):
            if value is not None:
                raise UserError(f"--{flag} {value:g} is not for --as-published, which takes 1000 steps of .01")
    subject = load_subject(asked.run, asked.data_dir, tell, per_class=asked.per_class, published_as=asked.model)
    (epoch,) = epochs_of(subject, asked.epoch, False)
    found = run(subject, epoch, eps, effort, asked.objective, published=asked.as_published, tell=tell)
    if asked.json:
        print_json(found)
    else:
        show(found)
    return ExitCode.DONE
