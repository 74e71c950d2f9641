"""The pictures of the gallery: the matplotlib figure that an example leaves in the name `figure`. No pyplot."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figure of an example once, at the block that makes it; the text that shows it."""
    figure = block_vars["example_globals"].get("figure")
    if not isinstance(figure, Figure) or getattr(figure, "_shown", None) == block_vars["src_file"]:
        return ""
    figure._shown = block_vars["src_file"]  # type: ignore[attr-defined]
    path = next(block_vars["image_path_iterator"])
    figure.savefig(path, dpi=120)
    return figure_rst([path], gallery_conf["src_dir"])
