"""The tables of docs/synthetic/frontier.md and learning.md, from the JSON files of runs in docs/results.

avgmargin frontier --ball 2                                                        # -> docs/results/frontier.json
avgmargin frontier --data mnist:0,1 --points 30 --steps 20000 --ball 2             # -> docs/results/frontier-mnist.json
avgmargin curves --law "tsybakov(exponent=1)" --sizes 100,1000,10000,100000,1000000 --seeds 5 --exponent 1
python docs/scripts/synthetic_tables.py [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FITS = 0.15
"""Largest relative error at which a rate is shown: beyond, the path is not in its late phase."""

DOCS = Path(__file__).resolve().parent.parent


def frontier() -> str:
    """Ends of both frontiers and the last point of every path."""
    parts = []
    for name in ("frontier", "frontier-mnist"):
        found = _read(name)
        mean, svm = found["mean_end"], found["svm_end"]
        lines = [
            f"**{found['data'][0].upper()}{found['data'][1:]}** (largest residual {found['residual']:.1g}).",
            "",
            "| classifier | minimum margin | average margin | average given up | distance to the frontier | rate |",
            "|---|---|---|---|---|---|",
            f"| mean direction | {mean['minimum']:.4f} | {mean['average']:.4f} | 0 | 0 | |",
            f"| hard-margin SVM | {svm['minimum']:.4f} | {svm['average']:.4f} "
            f"| {mean['average'] - svm['average']:.4f} | 0 | |",
        ]
        for path in found["paths"]:
            last = {key: path[key][-1] for key in ("minimum", "average", "given_up", "distance_high", "steps")}
            far = "" if last["distance_high"] is None else f"<= {max(last['distance_high'], 0.0):.2g}"
            rate = _rate(path["rate"])
            lines.append(
                f"| {path['name']}, {last['steps']} steps | {last['minimum']:.4f} | {last['average']:.4f} "
                f"| {last['given_up']:.4f} | {far} | {rate} |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _rate(fit: dict[str, Any] | None) -> str:
    """The fit of m* - m_t over the last two decades of steps, where it is one."""
    if fit is None or fit["constant"] <= 0 or fit["residual"] > FITS or abs(fit["offset"]) > 20:
        return ""
    return f"{fit['constant']:.3g} / (log t {fit['offset']:+.3g}), within {fit['residual']:.0%}"


def curves() -> str:
    """Mean excess risk and its standard error, slope and predicted limit."""
    found = _read("curves")
    sizes = found["settings"]["sizes"]
    lines = [
        f"Law {found['law']}, {found['settings']['seeds']} seeds; plug-in rate n^(-{found['plug_in_rate']:g}).",
        "",
        "| loss | " + " | ".join(f"n = {n}" for n in sizes) + " | slope | predicted limit |",
        "|---|" + "---|" * (len(sizes) + 2),
    ]
    for curve in found["curves"]:
        cells = [f"{m:.2g} +- {s:.1g}" for m, s in zip(curve["mean"], curve["spread"], strict=True)]
        limit = f"{curve['plateau']:.4g} +- {curve['plateau_error']:.1g}"
        lines.append(f"| {curve['loss']} | {' | '.join(cells)} | {curve['rate']:.2f} | {limit} |")
    return "\n".join(lines)


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "frontier": ("frontier.md", frontier),
    "curves": ("learning.md", curves),
}


def _read(name: str) -> dict[str, Any]:
    found = json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def main(argv: list[str]) -> int:
    stale = False
    for key, (page, build) in TABLES.items():
        path = DOCS / "synthetic" / page
        text = path.read_text(encoding="utf-8")
        begin, end = f"<!-- begin {key} -->", f"<!-- end {key} -->"
        head, rest = text.split(begin)
        new = f"{head}{begin}\n\n{build()}\n\n{end}{rest.split(end)[1]}"
        if new != text:
            stale = True
            if argv != ["--check"]:
                path.write_text(new, encoding="utf-8")
    return int(stale and argv == ["--check"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
