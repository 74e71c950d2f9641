"""Every example of the gallery runs and draws something."""

from __future__ import annotations

import ast
import os
import runpy
from pathlib import Path

import pytest
from matplotlib.figure import Figure

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "gallery"
EXAMPLES = sorted(FOLDER.glob("plot_*.py"))
SLOW = {"plot_failing_region", "plot_gap_three_classes", "plot_witness_simplex", "plot_drop_in", "plot_learning_curves"}
"""Above two seconds each; they run when the documentation is built, and here with AVGMARGIN_SLOW=1."""


@pytest.mark.skipif(not EXAMPLES, reason="the documentation is not beside these tests")
def test_there_are_examples_with_a_title_and_a_text() -> None:
    assert len(EXAMPLES) >= 15
    assert {path.stem for path in EXAMPLES} >= SLOW
    for example in EXAMPLES:
        tree = ast.parse(example.read_text(encoding="utf-8"))
        title, _, rest = (ast.get_docstring(tree) or "").partition("\n")
        assert title, example
        assert len(rest.split()) > 10, example
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert "pyplot" not in example.read_text(encoding="utf-8"), example
        assert "seed" not in used, example


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path) -> None:
    if example.stem in SLOW and not os.environ.get("AVGMARGIN_SLOW"):
        pytest.skip("slow: set AVGMARGIN_SLOW=1; `make docs` runs it too")
    figure = runpy.run_path(str(example))["figure"]
    assert isinstance(figure, Figure)
    assert all(panel.has_data() for panel in figure.axes)
