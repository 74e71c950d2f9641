"""How our figures look, and the way from a figure to SVG. Nothing touches pyplot or any global state.

Colours are placeholders that the page turns into CSS variables, so that one drawing serves light and dark pages.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1c2430", "#5d6877", "#dde2e8"
PLAIN, PAPER, RELEASED, FOURTH = "#3b6fb6", "#12876f", "#c8501e", "#8a5fb0"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    PLAIN: "--plain",
    PAPER: "--paper",
    RELEASED: "--released",
    FOURTH: "--fourth",
}
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "avgmargin",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
Table = Mapping[str, Any]


def styled(work: Callable[[Table], Figure], figure: Table, **changes: Any) -> str:
    """What `work` draws of a table in the style of the reports, as SVG text; `changes` of single settings."""
    settings: dict[Any, Any] = {**_SETTINGS, **changes}
    with matplotlib.rc_context(settings):
        return svg_of(work(figure)).decode()


def svg_of(canvas: Figure) -> bytes:
    """A figure as an SVG file: no date, stable ids."""
    with matplotlib.rc_context({"svg.hashsalt": "avgmargin", "svg.fonttype": "none"}):
        held = io.BytesIO()
        canvas.savefig(held, format="svg", metadata={"Date": None})
    return held.getvalue()


def inline(svg: str, figure_id: str, alt: str) -> str:
    """An SVG for the inside of an HTML page: its own ids, colours as CSS variables, a label, nothing from outside.

    The ids of its parts begin with `f-`: an id that began with a digit could not be named in a style.
    """
    from html import escape

    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", body).replace("xlink:href", "href")
    body = re.sub(r'\bid="([^"]+)"', rf'id="f-{figure_id}-\1"', body)
    body = re.sub(r'(href="#|url\(#)', rf"\1f-{figure_id}-", body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--sans)", body)
    opening = re.match(r"<svg([^>]*)>", body)
    assert opening is not None
    box = re.search(r'viewBox="[^"]*"', opening.group(1))
    assert box is not None
    return f'<svg {box.group()} role="img" aria-label="{escape(alt, quote=True)}">{body[opening.end() :]}'
