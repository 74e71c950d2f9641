"""The text of docs/deep/results.md, from condensed runs and sweeps; words that depend on a result are chosen here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from deep_sweeps import ablation, sweep

from avgmargin.networks.claims import RULES, TITLES, Answer, compare_shares, families, glance, judge
from avgmargin.networks.readings import Number, share_of
from avgmargin.networks.tables import final_parts
from deep import PRESETS

Runs = Mapping[str, Sequence[Mapping[str, Any]]]
_DIGITS = 4  # significant ones shown
_FAMILIES = tuple(dict.fromkeys(name.rsplit("-", 1)[0] for name in PRESETS))


def page(
    runs: Runs,
    others: Sequence[Mapping[str, Any]],
    sweeps: Mapping[str, Mapping[str, Any]],
    published: Mapping[str, Any],
    figures: Sequence[str],
) -> str:
    """The whole page."""
    answers = {family: judge(runs, family) for family in families(runs)}
    every = [answer for found in answers.values() for answer in found]
    parts = [_head(), _overview(answers, runs)]
    for letter, title in TITLES.items():
        parts.append(_claim(letter, title, [answer for answer in every if answer.claim == letter], figures))
    parts += [_activity(runs, others), _norms(runs, others), _estimates(runs, others)]
    parts += [part for name, found in sorted(sweeps.items()) for part in (sweep(name, found), ablation(name, found))]
    parts += [_published(published), _runs(runs, others)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head() -> str:
    return """# Deep experiments: what was run, and which claims survive

This page is built by `docs/scripts/deep_results.py` from the JSON files in `docs/results/deep`; `--check` tells whether
it is current. Each claim of the paper (Wu & Yu 2019, arXiv 1907.11780) is judged twice by a stated rule:

- **as published**: with the paper's own numbers. Margins of networks are its sampled local-Lipschitz *estimate* (which
  bounds from neither side), robustness is L2 PGD on cross-entropy with 1000 steps of .01; margins of linear models are
  exact distances to the label's half-spaces, which is the reading that reproduces the paper's curves.
- **honest**: margins of linear models are exact distances to the boundary of the predicted class, those of networks the
  distance of the nearest adversarial example found, unboxed (an *upper* bound); robustness is the share of images that
  are classified rightly and whose nearest adversarial example in the box [0, 1] lies beyond eps (an *upper* bound).

Distances are L2, in units of pixels / 255. Runs here are one seed each unless a row says otherwise: their verdicts
speak of these networks, not of the distribution over seeds."""


def _overview(answers: Mapping[str, list[Answer]], runs: Runs) -> str:
    lines = ["## At a glance", "", "`reg` against `plain`; as published / honest.", ""]
    lines[2] += (
        " The two differ in learning rate, beta and penalty at once, as published: a verdict here is one on all three. "
        "What each change does by itself is under *One change at a time*, on the ablations."
    )
    lines += [
        "| family | (a) plain training | (b) average margin | (c) robustness | (d) accuracy |",
        "|---|---|---|---|---|",
    ]
    for family in _FAMILIES:
        found = answers.get(family)
        if found is None:
            lines.append(f"| {family} | not run | not run | not run | not run |")
            continue
        cells = [" / ".join(words.values()) for words in glance(found, family).values()]
        lines.append(f"| {family}{_length(runs, family)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _length(runs: Runs, family: str) -> str:
    """How far the runs of a family went, where that is not the whole way."""
    known = [run for name, seeds in runs.items() if name.rsplit("-", 1)[0] == family for run in seeds]
    short = sorted(
        {f"{r['epochs_done']} of {r['epochs_wanted']}" for r in known if r["epochs_done"] < r["epochs_wanted"]}
    )
    return f", {' and '.join(short)} epochs" if short else ""


def _claim(letter: str, title: str, answers: Sequence[Answer], figures: Sequence[str]) -> str:
    lines = [f"## {title}", "", f"Rule: {RULES[letter]}", "", _sentence(letter, answers), ""]
    lines += {"a": _rows_through, "b": _rows_means, "c": _rows_robust, "d": _rows_means}[letter](answers)
    name = {"a": "margins", "c": "robustness"}.get(letter)
    lines += [f"\n![{figure}](../results/deep/{figure}.svg)" for figure in figures if name and figure.endswith(name)]
    return "\n".join(lines)


def _sentence(letter: str, answers: Sequence[Answer]) -> str:
    """The verdicts in words, one sentence for each reading."""
    parts = []
    for reading in ("as published", "honest"):
        mine = [answer for answer in answers if answer.reading == reading]
        if not mine:
            continue
        groups: dict[str, list[str]] = {}
        for answer in mine:
            groups.setdefault(answer.verdict, []).append(answer.about.split(" against ")[0])
        words = "; ".join(f"**{verdict}** for {', '.join(names)}" for verdict, names in groups.items())
        parts.append(f"{reading.capitalize()}: {words}.")
    return " ".join(parts) if parts else "Not run, or not all of it yet."


def _rows_through(answers: Sequence[Answer]) -> list[str]:
    lines = [
        "| run | reading | kind | on | epochs | average margin | error | | minimum margin | 5% quantile, with interval "
        "| minimum | verdict |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for answer in answers:
        n = answer.numbers
        if not n:
            lines.append(f"| {answer.about} | {answer.reading} | | | | | | | | | | {answer.verdict} |")
            continue
        low = "" if n["low"] is None else " to ".join(map(_ranged, n["low"]))
        cells = [answer.about, answer.reading, n["kind"], n["on"], " to ".join(f"{e:g}" for e in n["epochs"])]
        cells += [
            _arrow(n["mean"]),
            "" if n["error"] is None else f"{n['error']:.2g}",
            n["average"],
            _arrow(n["minimum"]),
            low,
            n["least"],
            answer.verdict,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _rows_means(answers: Sequence[Answer]) -> list[str]:
    lines = ["| runs | reading | kind | plain | other | difference | verdict |", "|---|---|---|---|---|---|---|"]
    for answer in answers:
        n = answer.numbers
        cells = ["", "", "", ""] if not n else [n["kind"], f"{n['plain']:.4f}", f"{n['other']:.4f}", _change(n)]
        lines.append(f"| {answer.about} | {answer.reading} | {' | '.join(cells)} | {answer.verdict} |")
    return lines


def _rows_robust(answers: Sequence[Answer]) -> list[str]:
    lines = ["| runs | reading | eps | plain | other | difference | verdict |", "|---|---|---|---|---|---|---|"]
    for answer in answers:
        if not answer.numbers:
            lines.append(f"| {answer.about} | {answer.reading} | | | | | {answer.verdict} |")
        for place, (eps, n) in enumerate(answer.numbers.items()):
            cells = [answer.about, answer.reading] if place == 0 else ["", ""]
            cells += [eps, f"{n['plain']:.3f}", f"{n['other']:.3f}", _change(n), answer.verdict if place == 0 else ""]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _ranged(low: Mapping[str, Any]) -> str:
    value = "" if low["value"] is None else f"{low['value']:.3f}"
    if low["interval"] is None:
        return f"{value} (interval not kept)"
    return f"{value} [{', '.join('?' if end is None else f'{end:.3f}' for end in low['interval'])}]"


def _arrow(pair: Sequence[float | None]) -> str:
    return " to ".join("" if value is None else f"{value:.4f}" for value in pair)


def _change(n: Mapping[str, Any]) -> str:
    seeds = "" if n["spread"] is None else f" ({n['seeds'][0]} and {n['seeds'][1]} seeds)"
    low, high = n["interval"]
    return f"{n['difference']:+.4f} [{low:+.4f}, {high:+.4f}] across {n['by']}{seeds}"


def _activity(runs: Runs, others: Sequence[Mapping[str, Any]]) -> str:
    """On how many training images each penalty has a gradient, through training."""
    lines = ["## On how many images a penalty acts", ""]
    lines.append(
        "`released`, mu clip(-alpha, 0, tau), has a gradient only where -tau < alpha < 0: on misclassified images. "
        "`paper`, mu clip(tau - alpha, 0, tau), has one where 0 < alpha < tau."
    )
    rows, silent = [], []
    for run in _all(runs, others):
        for record in (run.get("measured") or {}).get("epochs", []):
            part = record["parts"].get("penalty")
            if part is None or (record["epoch"] or 0) < 1:
                continue
            shares = [f"{part[key]:.3%}" for key in ("accuracy", "paper", "released")]
            rows.append(f"| {run['name']} | {record['epoch']} | {part['tau']:g} | {' | '.join(shares)} |")
            if part["accuracy"] == 1.0:
                silent.append((run["name"], part["released"]))
    if not rows:
        return "\n".join([*lines, "", "Not measured."])
    if silent:
        names, worst = ", ".join(dict.fromkeys(name for name, _ in silent)), max(share for _, share in silent)
        words = "on no image at all" if worst == 0.0 else f"on up to {worst:.3%} of the images"
        lines += ["", f"Where training accuracy was 100% ({names}), the released penalty had a gradient {words}."]
    else:
        lines += ["", "No measured run had reached a training accuracy of 100%."]
    lines += [
        "",
        "| run | epoch | tau | training accuracy | paper acts on | released acts on |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + rows)


def _norms(runs: Runs, others: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for run in _all(runs, others):
        part = final_parts(run).get("norms", {})
        if "product_true" in part:
            lower = final_parts(run).get("lower", {}).get("mean")
            certificate = "" if lower is None else f"{lower:.4g}"
            rows.append(
                f"| {run['name']} | {part['product_reshaped']:.4g} | {part['product_true']:.4g} | {certificate} |"
            )
    lines = ["## Products of layer norms, and the rigorous certificate", ""]
    lines.append("The paper penalises kernels reshaped to matrices; only the true norms bound a network's slope.")
    if not rows:
        return "\n".join([*lines, "", "Not measured."])
    lines += ["", "| run | reshaped | true | mean rigorous lower bound of the distance |", "|---|---|---|---|"]
    return "\n".join(lines + rows)


def _estimates(runs: Runs, others: Sequence[Mapping[str, Any]]) -> str:
    """How often the paper's estimate exceeds an actual adversarial distance."""
    rows = []
    for run in _all(runs, others):
        part = final_parts(run).get("estimate", {})
        if "violations" in part:
            attack = final_parts(run)["attack-unboxed"]
            rows.append(
                f"| {run['name']} | {part['radius']:g} | {part['samples']} | {part['compared']} | {part['mean']:.4f} "
                f"| {attack['mean']:.4f} | {part['violations']:.1%} |"
            )
    lines = ["## The paper's estimate against actual adversarial examples", ""]
    lines.append(
        "A lower bound would never exceed the distance of a point of another class; violations are that share."
    )
    if not rows:
        return "\n".join([*lines, "", "Not measured."])
    lines += [
        "",
        "| run | R | N | images | estimate, mean | attack, unboxed, mean | violations |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + rows)


def _published(published: Mapping[str, Any]) -> str:
    """The published MNIST convolution networks: claim (c), and what their attacks and bounds gave."""
    lines = ["## The published checkpoints", ""]
    networks = published.get("published", {}).get("networks", {})
    if not networks and "published_bounds" not in published:
        return "\n".join([*lines, "Not measured here."])
    if networks:
        images = published["published"]["images"]
        shares = {name: _shares(row, images) for name, row in networks.items()}
        answers = [
            compare_shares(
                [shares["plain"][reading]], [shares[name][reading]], f"published {name} against plain", reading
            )
            for name in ("constraint", "reg")
            for reading in ("as published", "honest")
            if "plain" in shares and name in shares
        ]
        lines += [f"The first {images} test images (`docs/results/published.json`). {_sentence('c', answers)}", ""]
        lines += [*_rows_robust(answers), ""] if answers else []
        for name, row in networks.items():
            lines += [f"- {name}: {words}" for words in _masking(row)]
        means = [(name, row["nearest/unboxed"]["mean"]) for name, row in networks.items() if "nearest/unboxed" in row]
        lines += [f"- {name}: nearest adversarial example, unboxed, at {mean:.3f} on average" for name, mean in means]
        lines.append("")
    if "published_bounds" in published:
        lines += ["From `docs/results/published_bounds.json`.", ""]
        found = published["published_bounds"].get("results", {})
        ours = {key: value for key, value in found.items() if not key.startswith("small/")}  # networks trained here
        lines += _bounds_table(ours)
    return "\n".join(lines)


def _shares(row: Mapping[str, Any], images: int) -> dict[str, dict[str, Number]]:
    """Robust accuracy by eps of one network: under the paper's attack, and from the minimum-norm attack in the box."""
    nearest = row.get("nearest/boxed", {}).get("robust_accuracy", {})
    theirs = {key: found for key, found in row.items() if key.startswith("published/")}
    return {
        "as published": {
            key.partition("/")[2]: share_of(found["robust_accuracy"], images) for key, found in theirs.items()
        },
        "honest": {eps: share_of(share, images) for eps, share in nearest.items()},
    }


_WITHOUT_THE_FLOOR = (
    ("no-floor", "with a floor of 1e-30"),
    ("floor-0-float64", "without any floor, in float64,"),
    ("margin", "on the margin"),
)


def _masking(row: Mapping[str, Any]) -> list[str]:
    """The paper's attack beside the same objective without the floor, and beside the margin objective, at equal eps."""
    found = []
    for key, theirs in row.items():
        label, _, eps = key.partition("/")
        if label != "published":
            continue
        words = f"as published {theirs['robust_accuracy']:.3f} at eps {eps}, with {theirs['vanished']:.1%} of the first"
        words += " gradients vanished"
        for other, text in _WITHOUT_THE_FLOOR:
            if f"{other}/{eps}" in row:
                words += f"; {text} {row[f'{other}/{eps}']['robust_accuracy']:.3f}"
        found.append(words)
    return found


def _bounds(value: Mapping[str, Any], name: str = "") -> tuple[list[list[str]], list[str]]:
    """Rows of all summaries of distances below a JSON value, and products of the norms of layers, by their keys."""
    rows, products = [], []
    for key, inner in value.items():
        title = f"{name}, {key}" if name else key
        if not isinstance(inner, Mapping):
            continue
        if {"kind", "mean", "signed_mean"} <= set(inner):
            box = "none" if inner.get("box") is None else f"[{', '.join(f'{end:g}' for end in inner['box'])}]"
            numbers = [
                _cell(inner.get(column)) for column in ("images", "mean", "signed_mean", "minimum", "violations")
            ]
            rows.append([title, inner["kind"], str(inner.get("method", "")), str(inner.get("norm", "")), box, *numbers])
        elif "norms/" in key and all(isinstance(norm, float) for norm in inner.values()):
            products.append(f"- {title}: product {math.prod(inner.values()):.4g}")
        else:
            below = _bounds(inner, title)
            rows, products = rows + below[0], products + below[1]
    return rows, products


def _bounds_table(found: Mapping[str, Any]) -> list[str]:
    rows, products = _bounds(found)
    columns = ["what", "kind", "method", "norm", "box", "images", "mean", "signed mean", "minimum", "violations"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), "", *products]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def _runs(runs: Runs, others: Sequence[Mapping[str, Any]]) -> str:
    lines = ["## What was run", "", "All numbers: `docs/results/deep/results.csv`.", ""]
    lines += ["| run | data | seed | epochs | state | test accuracy | measured on |", "|---|---|---|---|---|---|---|"]
    for run in _all(runs, others):
        config, curves = run["config"], run["curves"]
        final = f"{curves['test_accuracy'][-1]:.4f}" if curves.get("test_accuracy") else ""
        images = final_parts(run).get("attack", {}).get("images")
        epochs = f"{run['epochs_done']} of {run['epochs_wanted']}"
        lines.append(
            f"| {run['name']} | {config['dataset']} | {config['seed']} | {epochs} | {run['status']} "
            f"| {final} | {'' if images is None else f'{images} test images'} |"
        )
    missing = [name for name in PRESETS if not runs.get(name)]
    if missing:
        lines += ["", f"Not run: {', '.join(missing)}."]
    return "\n".join(lines)


def _all(runs: Runs, others: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [run for members in runs.values() for run in members] + list(others)
