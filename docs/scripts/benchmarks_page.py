"""The page docs/benchmarks.md and its pictures, from docs/results/benchmarks.json (`make bench`).

python docs/scripts/benchmarks_page.py             # writes them; --check: exit code 1 where the page is stale

`LINES` holds what was asked of each part and where its number stands in the file; whether it holds is computed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent
PAGE, RUN, PICTURES = DOCS / "benchmarks.md", DOCS / "results" / "benchmarks.json", DOCS / "_static" / "benchmarks"


@dataclass(frozen=True)
class Line:
    """A speed line: what is measured, the limit, and how its number is read; `least` where it must not be below."""

    words: str
    limit: float
    unit: str
    read: Callable[[Mapping[str, Any]], float | None]
    least: bool = False

    def row(self, run: Mapping[str, Any]) -> tuple[str, str, str, str]:
        """What, limit, measured, and whether it holds."""
        try:
            value = self.read(run)
        except (KeyError, IndexError, TypeError, ValueError):
            value = None
        limit = f"{'at least' if self.least else 'at most'} {self.limit:g} {self.unit}".strip()
        if value is None or not math.isfinite(value):
            return self.words, limit, "not measured yet", "-"
        holds = value >= self.limit if self.least else value <= self.limit
        return self.words, limit, f"{value:.3g} {self.unit}".strip(), "yes" if holds else "**no**"


def _path(*keys: str | int) -> Callable[[Mapping[str, Any]], float | None]:
    def read(run: Mapping[str, Any]) -> float:
        found: Any = run
        for key in keys:
            found = found[key]
        return float(found)

    return read


def _some(section: str, name: str, wanted: Mapping[str, Any], value: str, pick: Callable[..., float] = max) -> Any:
    """The largest (or least) `value` of the rows of a list that have what is wanted."""

    def read(run: Mapping[str, Any]) -> float:
        rows = [row for row in run[section][name] if all(row.get(key) == each for key, each in wanted.items())]
        return pick(float(row[value]) for row in rows if row.get(value) is not None)

    return read


def _each(section: str, name: str, value: str, pick: Callable[..., float]) -> Any:
    def read(run: Mapping[str, Any]) -> float:
        return pick(float(row[value]) for row in run[section][name].values())

    return read


def _largest(section: str, name: str) -> Any:
    return lambda run: max(map(float, run[section][name].values()))


def _posterior(two_moons: bool) -> Any:
    def read(run: Mapping[str, Any]) -> float:
        rows = [row for row in run["laws"]["laws"] if row["law"].startswith(("two-moons", "moons")) == two_moons]
        return max(float(row["posterior"]) * 1e6 / float(row["points"]) for row in rows)

    return read


def _step(model: str, name: str = "average-margin + orthogonality") -> Any:
    def read(run: Mapping[str, Any]) -> float:
        row = next(row for row in run["training"]["steps"] if row["model"] == model)
        return float(row["ratio"][name])

    return read


def _seconds(classes: int, eps: str, value: str) -> Any:
    def read(run: Mapping[str, Any]) -> float:
        name = {3: "three", 4: "four"}[classes]
        rows = [row for row in run["multiclass"][name] if str(row.get("eps")) == eps]
        return max(float(row[value]) for row in rows if row.get(value) is not None)

    return read


def _rows(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object at any depth."""
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _rows(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _rows(inner)


LINES: dict[str, tuple[Line, ...]] = {
    "Prover": (
        Line("the paper's loss, binary: proof with certificate", 1.0, "s", _path("prover", "target", "binary_prove")),
        Line("... checked again", 0.2, "s", _path("prover", "target", "binary_check")),
        Line("c = 3, gap for delta = 1/20 over the closed simplex", 10.0, "s", _seconds(3, "1/20", "seconds")),
        Line("... checked again", 5.0, "s", _seconds(3, "1/20", "check_seconds")),
        Line("c = 3, delta = 1/50", 60.0, "s", _seconds(3, "1/50", "seconds")),
        Line("c = 4, delta = 1/10", 300.0, "s", _seconds(4, "1/10", "seconds")),
        Line(
            "every binary entry of the catalogue, 2 processes",
            600.0,
            "s",
            _path("prover", "catalogue", "two_processes"),
        ),
        Line("2 processes against one", 1.7, "times", _path("prover", "catalogue", "ratio"), least=True),
    ),
    "Laws": (
        Line(
            "the whole catalogue on all laws in the plane: processor seconds per core of two",
            60.0,
            "s",
            _path("laws", "population", "per_core"),
        ),
        Line("posterior of 10^6 points in the plane, slowest law but moons", 1.0, "s", _posterior(False)),
        Line("... two moons", 5.0, "s", _posterior(True)),
        Line("... growth with the points n: the exponent of n", 1.2, "", _some("laws", "laws", {}, "growth")),
        Line(
            "minimisers against a loop of scipy searches",
            50.0,
            "times",
            _each("minimiser", "losses", "ratio", min),
            True,
        ),
        Line("... excess of the value found", 1e-8, "", _each("minimiser", "losses", "excess", max)),
    ),
    "Frontier": (
        Line(
            "50 points, n = 2,000, d = 100, l2",
            20.0,
            "s",
            _some("frontier", "frontier", {"n": 2000, "geometry": "l2"}, "seconds"),
        ),
        Line("... linf", 20.0, "s", _some("frontier", "frontier", {"n": 2000, "geometry": "linf"}, "seconds")),
        Line("... l1", 20.0, "s", _some("frontier", "frontier", {"n": 2000, "geometry": "l1"}, "seconds")),
        Line("... growth with n, steepest: the exponent of n", 1.2, "", _largest("frontier", "growth")),
        Line("10^7 samples as a stream: memory", 2.0, "GiB", _path("frontier", "peak_gib")),
    ),
    "Training": (
        Line(
            "an LR epoch of 60,000 images against a DataLoader with transforms",
            20.0,
            "times",
            _path("training", "epoch", "ratio", "usual"),
            True,
        ),
        Line("step of the loss + orthogonality against cross-entropy, MLP", 1.3, "times", _step("mlp")),
        Line("... CNN", 1.15, "times", _step("mnist-cnn")),
    ),
    "Margins and attacks": (
        Line(
            "exact margins of 70,000 images against the bare product",
            1.5,
            "times",
            _path("bounds", "asked", "product"),
        ),
        Line("... against a NumPy loop", 30.0, "times", _path("bounds", "asked", "loop"), True),
        Line(
            "sampled estimate against the obvious loop, 256 samples",
            8.0,
            "times",
            _path("bounds", "asked", "estimate", "256"),
            True,
        ),
        Line("... 1,024 samples", 8.0, "times", _path("bounds", "asked", "estimate", "1024"), True),
        Line("robust accuracy against a plain PGD", 3.0, "times", _path("attacks", "leaving", "ratio"), True),
        Line("margins of the whole test set: memory", 4.0, "GiB", _path("bounds", "asked", "peak_gib")),
    ),
}


def page(run: Mapping[str, Any], pictures: list[str]) -> str:
    """The page, as Markdown."""
    machine = run.get("machine", {})
    parts = [
        "# Benchmarks",
        "Every speed line that was asked for, its limit, and what the last run of `make bench` measured "
        f"({machine.get('cores', '?')} cores, {machine.get('system', '?')}, Python {machine.get('python', '?')}). "
        "Ratios are within one run. Built by `docs/scripts/benchmarks_page.py` from `docs/results/benchmarks.json`.",
    ]
    for title, lines in LINES.items():
        rows = [line.row(run) for line in lines]
        parts += [f"## {title}", _table(("measured", "limit", "found", "holds"), rows)]
    bound = run.get("training", {}).get("mlp_bound")
    if bound:
        parts.append(
            f"The orthogonality penalty of the MLP is two products of its weight matrix with itself. As sums of "
            f"products in float32, at the {bound['flops_per_second'] / 1e9:.0f} GFLOP/s that this machine reaches and "
            f"at batch 128, the step costs at least {bound['ratio']:.3g} times cross-entropy "
            "([why](deep/training.md))."
        )
    grid = run.get("prover", {}).get("grid")
    if grid:
        parts += [
            "## Beside it: a float grid",
            f"Differential evolution over wrong and over right scores at {grid['posteriors']} posteriors, for the same "
            f"binary losses: {grid['seconds']:.0f} s and {grid['wrong']} wrong verdicts"
            + (f" ({', '.join(f'`{name}`' for name in grid['wrong_names'])})." if grid["wrong"] else "."),
        ]
    costs = [
        (f"`{name}`", *(f"{cost[key]:g}" for key in ("wall_seconds", "cpu_seconds", "peak_mib", "load")))
        for name, cost in sorted(run.get("cost", {}).items())
    ]
    if costs:
        header = ("benchmark", "wall s", "processor s", "peak MiB", "load before")
        parts += ["## What the benchmarks cost", _table(header, costs)]
    failed = [name for name, value in run.items() if isinstance(value, Mapping) and "error" in value]
    if failed:
        parts += ["## Failed", ", ".join(f"`{name}`: {run[name]['error']}" for name in failed)]
    if pictures:
        parts += ["## Growth", *(f"![{name}](_static/benchmarks/{name}.svg)" for name in pictures)]
    return "\n\n".join(parts) + "\n"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("|" + "|".join(cell if cell == "---" else f" {cell} " for cell in line) + "|" for line in lines)


def series(run: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, list[tuple[float, float]]]]]:
    """What can be drawn from the file: by picture, the words at its x axis and its lines."""
    found: dict[str, tuple[str, dict[str, list[tuple[float, float]]]]] = {}
    sources = (
        ("frontier", "samples n", _rows(run.get("frontier", {}).get("frontier")), "geometry", "n", "seconds"),
        ("stream", "samples", _rows(run.get("frontier", {}).get("histogram_stream")), "", "samples", "seconds"),
        ("cells", "leaves of the certificate", _rows(run.get("multiclass")), "classes", "leaves", "cpu"),
        ("classes", "classes", _rows(run.get("multiclass", {}).get("by_classes")), "eps", "classes", "cpu"),
        ("images", "images", _rows(run.get("bounds", {}).get("linear", {}).get("growth")), "", "images", "seconds"),
        ("processes", "processes", _rows(run.get("multiclass", {}).get("processes")), "", "processes", "seconds"),
    )
    for name, words, rows, group, x, y in sources:
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            if isinstance(row.get(x), (int, float)) and isinstance(row.get(y), (int, float)):
                label = f"{group} {row.get(group)}" if group else y
                lines.setdefault(label, []).append((float(row[x]), float(row[y])))
        lines = {label: sorted(set(points)) for label, points in lines.items() if len({p[0] for p in points}) > 1}
        if lines:
            found[name] = (words, lines)
    return found


def draw(run: Mapping[str, Any], folder: Path) -> list[str]:
    """Draw every series as an SVG of `folder`; their names."""
    import matplotlib
    from matplotlib.figure import Figure

    drawn = series(run)
    for name, (words, lines) in drawn.items():
        figure = Figure(figsize=(5.6, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for label, points in lines.items():
            axes.plot(*zip(*points, strict=True), "o-", label=label)
        axes.set(xscale="log", yscale="log", xlabel=words, ylabel="seconds")
        axes.legend(fontsize=8, frameon=False)
        folder.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context({"svg.hashsalt": "avgmargin", "svg.fonttype": "none"}):
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return list(drawn)


def main(argv: list[str]) -> int:
    """Write the page, or compare it."""
    run = json.loads(RUN.read_text(encoding="utf-8"))
    if "--check" in argv:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page(run, list(series(run))))
    PAGE.write_text(page(run, draw(run, PICTURES)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
