"""Every example of the gallery runs and draws something."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from matplotlib.figure import Figure

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "gallery"
EXAMPLES = sorted(FOLDER.glob("plot_*.py"))


@pytest.mark.skipif(not EXAMPLES, reason="the documentation is not beside these tests")
def test_there_are_examples_with_pictures_and_a_page() -> None:
    page = FOLDER.parent / "gallery.md"
    text = page.read_text(encoding="utf-8")
    assert len(EXAMPLES) >= 8
    for example in EXAMPLES:
        assert f"gallery/{example.stem}.svg" in text
        assert (FOLDER / f"{example.stem}.svg").stat().st_size > 5000


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path) -> None:
    figure = runpy.run_path(str(example))["figure"]
    assert isinstance(figure, Figure)
    assert all(panel.has_data() for panel in figure.axes)
