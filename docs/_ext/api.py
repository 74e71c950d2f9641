"""The API reference: `.. api:: theory` describes every public name of a page, and fails the build for gaps.

A name without a text, an error or a shape that its text does not mention (docs/_ext/faces.py) is a warning, and `make
docs` makes warnings errors.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar

import docstrings
import faces
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


class Api(SphinxDirective):
    """Describe the public names of a page of `faces.FACES`."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """The descriptions, module by module."""
        page = self.arguments[0]
        lines: list[str] = []
        shown = None
        for name in faces.names(faces.FACES[page]):
            if name.face != shown:
                shown = name.face
                lines += [f".. rubric:: {shown}", ""]
            lines += describe(name)
            for gap in faces.gaps(name):
                logger.warning("public name without its text: %s", gap, location=self.get_location())
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=False)


def describe(name: faces.Name) -> list[str]:
    """The directive that describes one public name."""
    if name.kind == "function":
        return [f".. autofunction:: {name.path}", ""]
    if name.kind == "class":
        options = ["   :members:", "   :show-inheritance:"]
        if issubclass(name.value, enum.Enum):
            options = ["   :members:", "   :undoc-members:"]
        return [f".. autoclass:: {name.path}", *options, ""]
    value = repr(name.value)
    shown = value if len(value) <= 60 else f"{type(name.value).__name__} of {len(name.value)}"
    text = docstrings.to_rst(faces.constant_text(name).splitlines())
    return [f".. py:data:: {name.path}", f"   :value: {shown}", "", *(f"   {line}" for line in text), ""]


def _process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what == "class" and not faces.class_text(obj):
        lines[:] = []
        return
    lines[:] = docstrings.to_rst(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the reading of docstrings."""
    app.add_directive("api", Api)
    app.connect("autodoc-process-docstring", _process)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
