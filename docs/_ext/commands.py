"""The reference of the command line: `.. commands::` shows the help of every command, taken from the parser itself."""

from __future__ import annotations

import os
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from avgmargin.cli.commands import COMMANDS, top_help
from avgmargin.cli.parser import Parser


def help_of(name: str) -> str:
    """What `avgmargin NAME --help` prints, at 100 columns."""
    command = next(each for each in COMMANDS if each.name == name)
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        parser = Parser(prog=f"avgmargin {name}", description=f"{command.help}.")
        command.add(parser)
        return parser.format_help()
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


class Commands(SphinxDirective):
    """One section per command."""

    def run(self) -> list[nodes.Node]:
        """The top help and that of each command."""
        found: list[nodes.Node] = [nodes.literal_block(text=top_help(), language="text")]
        for command in COMMANDS:
            section = nodes.section(ids=[nodes.make_id(f"command-{command.name}")])
            section += nodes.title(text=f"avgmargin {command.name}")
            section += nodes.literal_block(text=help_of(command.name), language="text")
            found.append(section)
        return found


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
