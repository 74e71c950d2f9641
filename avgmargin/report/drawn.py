"""What the figures of the report show: titles, captions and the tables behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avgmargin.laws.curves import TARGETS

from .drawings import NAMES
from .sentences import number


def figure_tables(report: Mapping[str, Any], curves: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every figure of a report: id, title, text for those who do not see it, caption, and the numbers behind it."""
    limit = curves["sticking_limit"]
    made = [
        _figure(
            "near-tie",
            "Conditional risk near the tie",
            "Conditional risk of both losses for posteriors just above one half. "
            + _minima_words(curves["near_tie"]["minima"]),
            "C_η(t) = η φ(t) + (1 − η) φ(−t), shifted to 0 at t = 0; dots mark the searched minimisers. "
            + _minima_words(curves["near_tie"]["minima"]),
            curves["near_tie"],
        ),
        _figure(
            "minimisers",
            "Minimiser against posterior",
            "Minimising score against the posterior for logistic loss and both average-margin losses; "
            f"the released loss stays at 0 up to about {number(limit['searched'], 4)}.",
            f"A minimiser at 0 predicts a tie. Dotted: {limit['formula']}, up to which the formula (1 + 2μ)/(2 + 2μ) "
            "says the released loss sticks at 0, and its mirror image.",
            {**curves["minimisers"], "limit": limit["value"], "limit_text": limit["formula"]},
        ),
        _figure(
            "calibration",
            "Calibration function ψ",
            "Calibration function of four losses for excess risks up to one half.",
            "ψ(θ) is the excess surrogate risk that an excess 0-1 risk of θ costs at least, in floats (searched). "
            "Where ψ is 0, driving the surrogate risk to its minimum guarantees nothing.",
            curves["calibration"],
        ),
        _excess_figure(report["synthetic"]["losses"]),
        _learning_figure(report["learning"]),
        _frontier_figure(report["frontier"]),
        _margin_figure(report["training"]["runs"]),
        _accuracy_figure(report["training"]["runs"]),
    ]
    return [figure for figure in made if figure is not None]


def _figure(key: str, title: str, alt: str, caption: str, table: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": key, "title": title, "alt": alt, "caption": caption, "csv": f"data/{key}.csv", **table}


def _minima_words(minima: Sequence[Mapping[str, Any]]) -> str:
    words = []
    for name in dict.fromkeys(point["loss"] for point in minima):
        points = [point for point in minima if point["loss"] == name]
        stuck = [f"{point['eta']:g}" for point in points if point["v"] == 0]
        moved = [f"{number(point['v'])} (η = {point['eta']:g})" for point in points if point["v"] != 0]
        told = ([f"0 for η = {', '.join(stuck)}"] if stuck else []) + ([", ".join(moved)] if moved else [])
        words.append(f"{name}: minimiser {' and '.join(told)}.")
    return " ".join(words)


def _excess_figure(records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    rows: list[list[Any]] = []
    bounds: dict[str, list[list[float]]] = {}
    laws, kinds = set(), set()
    for record in records:
        held = [row for row in record["inequality"] if "rows" in row and row["classes"] == 2]
        if record["loss"] in TARGETS and held:
            rows += [[record["loss"], *point] for row in held for point in row["rows"]]
            psi = next(each for each in record["psi"] if each["classes"] == 2)
            bounds[record["loss"]] = psi["rows"]
            laws |= {row["law"] for row in held}
            kinds.add(psi["kind"])
    if not rows:
        return None
    return _figure(
        "excess-risk",
        "Excess risks of random classifiers",
        "Excess surrogate risk against excess 0-1 risk of random classifiers, with the bound psi, for both losses.",
        f"Each dot is a random classifier on the law {', '.join(sorted(laws))}; the inequality puts no dot below the "
        f"curve, a lower bound of ψ ({', '.join(sorted(kinds))}).",
        {"columns": ["loss", "excess 0-1 risk", "excess surrogate risk", "bound"], "rows": rows, "bounds": bounds},
    )


def _learning_figure(found: Mapping[str, Any]) -> dict[str, Any]:
    names = [curve["loss"] for curve in found["curves"]]
    columns = [f"{kind}, {name}" for name in names for kind in ("mean", "standard error")]
    sizes = found["settings"]["sizes"]
    rows = [
        [n, *(value for curve in found["curves"] for value in (curve["mean"][i], curve["spread"][i]))]
        for i, n in enumerate(sizes)
    ]
    ends = "; ".join(
        f"{curve['loss']}: {number(curve['mean'][-1], 2)} at n = {sizes[-1]}, limit {number(curve['plateau'], 2)}"
        for curve in found["curves"]
    )
    return _figure(
        "learning",
        "Learning curves of exact histogram minimisers",
        f"Excess 0-1 risk against the number of samples on the law {found['law']}. {ends}.",
        f"Law {found['law']}; bars are standard errors over seeds. Dotted: the excess risk of the pointwise minimiser, "
        f"where a curve must level off. Dashed: the plug-in rate n^(-{number(found['plug_in_rate'], 2)}). {ends}.",
        {
            "columns": ["n", *columns],
            "rows": rows,
            "names": names,
            "plateaus": [curve["plateau"] for curve in found["curves"]],
            "rate": found["plug_in_rate"],
        },
    )


def _frontier_figure(found: Mapping[str, Any]) -> dict[str, Any]:
    rows: list[list[Any]] = [["frontier", None, p["minimum"], p["average"], None] for p in found["frontier"]]
    for path in found["paths"]:
        columns = (path["epochs"], path["minimum"], path["average"], path["given_up"])
        rows += [[path["name"], *values] for values in zip(*columns, strict=True)]
    ends = "; ".join(f"{path['name']}: {number(path['given_up'][-1], 2)}" for path in found["paths"])
    return _figure(
        "frontier",
        "Minimum against average margin of linear classifiers",
        f"The frontier between minimum and average margin and training paths on it. Average margin given up: {ends}.",
        f"Data: {found['data']}. Nothing lies above the black curve; its ends are the mean direction and the "
        f"hard-margin SVM. Average margin given up against the mean direction at the last step: {ends}.",
        {"columns": ["series", "epochs", "minimum margin", "average margin", "average given up"], "rows": rows},
    )


def _margin_figure(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    chosen = {
        run["config"]["loss"]: run["epochs"] for run in runs if run["config"]["model"] == "linear" and run["epochs"]
    }
    if not chosen:
        return None
    kinds = {"average": "train_label_distance_mean", "minimum": "train_label_distance_min"}
    columns = [f"{kind}, {loss}" for kind in kinds for loss in chosen]
    length = max(len(epochs) for epochs in chosen.values())
    rows = []
    for epoch in range(1, length):
        cells = [
            epochs[epoch][key] if epoch < len(epochs) else None for key in kinds.values() for epochs in chosen.values()
        ]
        rows.append([epoch, *cells])
    mean, least = kinds.values()
    ends = "; ".join(
        f"{NAMES[loss]}: average {number(epochs[-1][mean])}, minimum {number(epochs[-1][least])}"
        for loss, epochs in chosen.items()
    )
    return _figure(
        "margins",
        "Margins of the linear model through training",
        f"Average and minimum exact training distance of the linear model per epoch. At the last epoch: {ends}.",
        f"Exact distances (label's half-spaces) of the training images, from epoch 1 on. At the last epoch: {ends}.",
        {"columns": ["epoch", *columns], "rows": rows},
    )


def _accuracy_figure(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    chosen = {f"{run['config']['model']}, {run['config']['loss']}": run["epochs"] for run in runs if run["epochs"]}
    if not chosen:
        return None
    rows = [
        [epoch, *(epochs[epoch]["test_accuracy"] if epoch < len(epochs) else None for epochs in chosen.values())]
        for epoch in range(max(map(len, chosen.values())))
    ]
    ends = "; ".join(f"{name} {100 * epochs[-1]['test_accuracy']:.1f} %" for name, epochs in chosen.items())
    return _figure(
        "accuracy",
        "Test accuracy through training",
        f"Test accuracy per epoch of the linear model and the multilayer perceptron. At the last epoch: {ends}.",
        f"At the last epoch: {ends}.",
        {"columns": ["epoch", *chosen], "rows": rows},
    )
