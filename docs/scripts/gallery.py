"""Run every example of docs/gallery and write its picture and one page: `python docs/scripts/gallery.py [--out DIR]`.

Each example is a Python file named plot_*.py with a title and a text in its docstring; it leaves a matplotlib figure in
the name `figure`. The page docs/gallery.md and the pictures in docs/gallery/*.svg are made by this script.
"""

from __future__ import annotations

import argparse
import ast
import runpy
import sys
from pathlib import Path

import matplotlib

DOCS = Path(__file__).resolve().parent.parent


def examples() -> list[Path]:
    """The example files, in order."""
    return sorted((DOCS / "gallery").glob("plot_*.py"))


def run(example: Path, out: Path) -> str:
    """Execute one example, save its figure, and return its part of the page."""
    figure = runpy.run_path(str(example))["figure"]
    out.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "avgmargin", "svg.fonttype": "none"}):
        figure.savefig(out / f"{example.stem}.svg", metadata={"Date": None})
    source = example.read_text(encoding="utf-8")
    title, _, rest = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
    text = rest.lstrip("=\n")
    body = source.split('"""', 2)[2].strip()
    return f"## {title}\n\n{text}\n\n![{title}](gallery/{example.stem}.svg)\n\n```python\n{body}\n```\n"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(DOCS / "gallery"))
    asked = parser.parse_args(argv)
    parts = [run(example, Path(asked.out)) for example in examples()]
    page = "# Gallery\n\nEvery picture is made by the code below it: `python docs/scripts/gallery.py`.\n\n" + "\n".join(
        parts
    )
    (Path(asked.out).parent / "gallery.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
