"""The sweeps on docs/deep/results.md: their tables, and what an ablation says of each change, others held fixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from avgmargin.networks.intervals import LEVEL, difference, paired_difference, share_error

_BASE, _ROBUST = "ce", "attack accuracy at 1"  # the row that others are compared with, and in what
_LOSSES = {"ce": "none", "average-margin": "paper", "average-margin-released": "released"}
_CHANGES = (("loss", "ce"), ("loss", "average-margin-released"), ("lr", None), ("beta", None))
_READ = (  # what a change is read in: the sweep's metric, and its name here; of two of one name the first that is there
    ("attack mean", "mean distance, by attack"),
    ("test_distance_mean", "mean distance, exact"),
    (_ROBUST, "robust accuracy at 1"),
    ("test_accuracy", "test accuracy"),
)


def sweep(name: str, found: Mapping[str, Any]) -> str:
    """Mean and spread of every group of a sweep, as a section."""
    groups = [group for group in found["groups"] if group["done"]]
    rows = any("rows" in group for group in groups)
    fields = [key for key in groups[0]["config"] if len({str(g["config"].get(key)) for g in groups}) > 1]
    metrics = [key for key in groups[0]["metrics"] if all(key in g["metrics"] for g in groups)]
    measured = [key for key in metrics if key.startswith(("attack ", "estimate mean", "lower mean", "pgd"))]
    metrics = [key for key in metrics if key in ("train_accuracy", "test_accuracy", *measured) or not measured]
    epochs = sorted({group["config"]["epochs"] for group in groups})
    data = sorted({group["config"]["dataset"] for group in groups})
    lines = [f"## Sweep: {name}", ""]
    lines.append(
        f"{found['done']} runs done, {found['diverged']} diverged, {found['failed']} failed; "
        f"{', '.join(map(str, epochs))} epochs on {', '.join(data)}{_sizes(groups)}. Mean and standard deviation over "
        "seeds; the same images and the same seeds in every row."
    )
    if found.get("measure"):
        images = found["measure"]["effort"]["images"]
        lines[-1] += (
            f" `attack` is the minimum-norm attack in the box on the first {images} test images: distances and "
            "accuracies are *upper* bounds. `estimate` is the paper's sampled number."
        )
    if rows:
        return "\n".join([*lines, "", *_row_table(groups, metrics, found), *_sweep_figure(name, groups)])
    lines += ["", f"| {' | '.join([*fields, 'seeds', *metrics])} |", "|---" * (len(fields) + len(metrics) + 1) + "|"]
    for group in groups:
        cells = [str(group["config"].get(field)) for field in fields] + [str(group["done"])]
        lines.append(f"| {' | '.join([*cells, *(_spread(group['metrics'].get(key)) for key in metrics)])} |")
    return "\n".join([*lines, *_sweep_figure(name, groups)])


def _sizes(groups: Sequence[Mapping[str, Any]]) -> str:
    hidden = sorted({group["config"]["hidden"] for group in groups if group["config"]["model"] == "mlp"})
    return f", {', '.join(map(str, hidden))} hidden units" if hidden else ""


def _spread(metric: Mapping[str, Any] | None) -> str:
    if metric is None:
        return ""
    return f"{metric['mean']:.4f}" + ("" if metric["std"] is None else f" +- {metric['std']:.2g}")


def _row_table(groups: Sequence[Mapping[str, Any]], metrics: Sequence[str], found: Mapping[str, Any]) -> list[str]:
    """The rows of a comparison, the most robust first, with the difference from `ce` at the eps of the comparison."""
    base = next((group for group in groups if _BASE in group.get("rows", [])), None)
    shown = [key for key in metrics if not key.endswith(("minimum", "at 1.5"))]
    lines = []
    if base is not None and _ROBUST in base["metrics"]:
        groups = sorted(groups, key=lambda group: -group["metrics"][_ROBUST]["mean"])
        lines.append(
            f"Last column: difference of `{_ROBUST}` from the row `{_BASE}` (cross-entropy alone at the learning rate "
            "of the preset), with its interval, the wider of across images and across seeds (Welch's t), all "
            f"{len(groups) - 1} covered together (Bonferroni). A learning rate five times larger is another run, not "
            "another penalty: compare within a learning rate."
        )
        lines.append("")
    header = ["row", "lr", "beta", "seeds", *shown, f"against {_BASE}"]
    lines += [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for group in groups:
        config = group["config"]
        cells = [", ".join(group.get("rows", [])), f"{config['lr']:g}", f"{config['beta']:g}", str(group["done"])]
        cells += [_spread(group["metrics"].get(key)) for key in shown]
        cells.append("" if base is None or group is base else _against(base, group, found, len(groups) - 1))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _against(base: Mapping[str, Any], group: Mapping[str, Any], found: Mapping[str, Any], comparisons: int) -> str:
    sides = [each["metrics"].get(_ROBUST) for each in (base, group)]
    if sides[0] is None or sides[1] is None or not found.get("measure"):
        return ""
    images = found["measure"]["effort"]["images"]
    errors = (share_error(sides[0]["mean"], images), share_error(sides[1]["mean"], images))
    row = difference(sides[0]["values"], sides[1]["values"], errors, comparisons)
    if row is None:
        return ""
    low, high = row["interval"]
    word = "higher" if low > 0.0 else "lower" if high < 0.0 else "not decided"
    return f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}] {word}"


def _sweep_figure(name: str, groups: Sequence[Mapping[str, Any]]) -> list[str]:
    if not all(_ROBUST in group["metrics"] for group in groups):
        return []
    return ["", f"![sweep-{name}](../results/deep/sweep-{name}.svg)"]


# -- one change at a time ---------------------------------------------------------------------------------------------


def ablation(name: str, found: Mapping[str, Any]) -> str:
    """What each change does with the others held fixed, seed by seed; empty for a sweep that is no full ablation."""
    groups = {_place(group): group for group in found["groups"] if "rows" not in group}
    axes = [sorted({place[k] for place in groups}, key=str) for k in range(3)]
    if set(axes[0]) != set(_LOSSES) or len(axes[1]) != 2 or len(axes[2]) != 2 or len(groups) != 12:
        return ""
    if any(group["done"] != group["runs"] for group in groups.values()):
        return ""
    metrics = [pair for pair in _READ if all(pair[0] in group["metrics"] for group in groups.values())]
    seeds = sorted({group["done"] for group in groups.values()})
    lines = [f"### One change at a time: {name}", ""]
    lines.append(
        f"Differences of two runs that share seed, images and all settings but one, over {', '.join(map(str, seeds))} "
        f"seeds, with the interval of Student's t across seeds; all rows of a column are covered together with "
        f"{LEVEL:.0%} (Bonferroni). They speak of these images and this number of epochs. The lower learning rate also "
        "trains less far in them; the two penalties are compared at equal learning rate and beta."
    )
    rows = [row for change in _CHANGES for row in _pairs(change, axes)]
    table = [
        f"| change | held fixed | {' | '.join(title for _, title in metrics)} |",
        "|---" * (len(metrics) + 2) + "|",
    ]
    counted: dict[str, dict[str, Counter[str]]] = {}
    for change, fixed, before, after in rows:
        cells = []
        for key, title in metrics:
            numbers, word = _paired(groups[before], groups[after], key, len(rows))
            counted.setdefault(change, {}).setdefault(title, Counter())[word] += 1
            cells.append(f"{numbers} {word}")
        table.append(f"| {change} | {fixed} | {' | '.join(cells)} |")
    lines += ["", *_summary(counted), *_shares_of_the_gain(groups, axes, metrics), "", *table]
    return "\n".join(lines)


def _summary(counted: Mapping[str, Mapping[str, Counter[str]]]) -> list[str]:
    """For each change, in how many of its settings each number rises, falls, or is not decided."""
    lines = []
    for change, columns in counted.items():
        words = "; ".join(
            f"{title} {', '.join(f'{word} in {count}' for word, count in found.most_common())} of {found.total()}"
            for title, found in columns.items()
        )
        lines.append(f"- {change}: {words}.")
    return lines


def _place(group: Mapping[str, Any]) -> tuple[str, float, float]:
    config = group["config"]
    return config["loss"], config["beta"], config["lr"]


def _pairs(change: tuple[str, str | None], axes: Sequence[Sequence[Any]]) -> list[tuple[str, str, Any, Any]]:
    """Words for a change, for what is held fixed, and the two places, for every setting of the rest."""
    kind, against = change
    betas, rates = sorted(axes[1]), sorted(axes[2], reverse=True)
    found = []
    if kind == "loss" and against == "ce":
        for loss, beta, rate in product(("average-margin", "average-margin-released"), betas, rates):
            words = f"{_LOSSES[loss]} penalty for none"
            found.append((words, f"lr {rate:g}, beta {beta:g}", ("ce", beta, rate), (loss, beta, rate)))
    elif kind == "loss":
        for beta, rate in product(betas, rates):
            before, after = (str(against), beta, rate), ("average-margin", beta, rate)
            found.append(("paper penalty for released", f"lr {rate:g}, beta {beta:g}", before, after))
    elif kind == "lr":
        for loss, beta in product(_LOSSES, betas):
            words = f"lr {rates[1]:g} for {rates[0]:g}"
            fixed = f"penalty {_LOSSES[loss]}, beta {beta:g}"
            found.append((words, fixed, (loss, beta, rates[0]), (loss, beta, rates[1])))
    else:
        for loss, rate in product(_LOSSES, rates):
            words = f"beta {betas[1]:g} for {betas[0]:g}"
            fixed = f"penalty {_LOSSES[loss]}, lr {rate:g}"
            found.append((words, fixed, (loss, betas[0], rate), (loss, betas[1], rate)))
    return found


def _paired(before: Mapping[str, Any], after: Mapping[str, Any], key: str, comparisons: int) -> tuple[str, str]:
    """A difference with its interval, and the verdict in a word."""
    row = paired_difference(before["metrics"][key]["values"], after["metrics"][key]["values"], comparisons)
    if row is None:
        return "", "not decided"
    if row["interval"] is None:
        return f"{row['difference']:+.4f} [alike in all pairs]", "not decided"
    low, high = row["interval"]
    word = "rises" if low > 0.0 else "falls" if high < 0.0 else "not decided"
    return f"{row['difference']:+.4f} [{low:+.4f}, {high:+.4f}]", word


def _shares_of_the_gain(
    groups: Mapping[Any, Mapping[str, Any]], axes: Sequence[Sequence[Any]], metrics: Sequence[tuple[str, str]]
) -> list[str]:
    """The whole way from plain to all three changes, and how much of it each change makes alone."""
    betas, rates = sorted(axes[1]), sorted(axes[2], reverse=True)
    plain, whole = ("ce", betas[0], rates[0]), ("average-margin", betas[1], rates[1])
    alone = {
        f"lr {rates[1]:g}": ("ce", betas[0], rates[1]),
        f"beta {betas[1]:g}": ("ce", betas[1], rates[0]),
        "the paper's penalty": ("average-margin", betas[0], rates[0]),
        "the released penalty": ("average-margin-released", betas[0], rates[0]),
    }
    lines = []
    for key, title in metrics:
        mean = {place: group["metrics"][key]["mean"] for place, group in groups.items()}
        words = ", ".join(f"{name} {mean[place] - mean[plain]:+.4f}" for name, place in alone.items())
        lines.append(
            f"- {title}: all three changes (lr, beta, the paper's penalty) together "
            f"{mean[whole] - mean[plain]:+.4f}; each alone: {words}."
        )
    return lines
