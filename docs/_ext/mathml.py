"""Formulas as static MathML: no script, no font and no image has to be loaded to read them.

A formula that the converter does not know is a warning, and so an error of the build, never a wrong picture.
"""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
_NAMES = re.compile(r"\\(arg|argmax|argmin|sgn|sign|conv|dist|diag|rank|Var)(?![A-Za-z])")
_TAG = re.compile(r"\\tag\{([^{}]*)\}")


class Untranslated(ValueError):
    """A formula with a command that the converter let through."""


def mathml(formula: str, display: bool = False) -> str:
    r"""The MathML of a LaTeX formula. Raises Untranslated for what the converter does not know.

    >>> mathml(r"\mu \ge 0")  # doctest: +ELLIPSIS
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline" alttext="\\mu \\ge 0">...</math>'
    """
    body = _TAG.sub(r"\\qquad \\text{(\1)}", formula.strip())
    body = _NAMES.sub(r"\\operatorname{\1}", body)
    if len(re.findall(r"(?<!\\)\{", body)) != len(re.findall(r"(?<!\\)\}", body)):
        raise Untranslated(f"formula {formula!r} has braces that do not pair")
    try:
        found = convert(body, display="block" if display else "inline")
    except Exception as error:  # the converter raises many kinds
        raise Untranslated(f"formula {formula!r} cannot be read ({type(error).__name__}: {error})") from error
    if left := re.search(r"\\[A-Za-z]+|<mi>\\</mi>|<merror", found):
        raise Untranslated(f"formula {formula!r} holds {left[0]!r}, which the converter does not know")
    kind = "block" if display else "inline"
    said = html.escape(formula.strip(), quote=True)
    return found.replace(f'display="{kind}">', f'display="{kind}" alttext="{said}">', 1)


def _render(translator: Any, node: nodes.Element, display: bool) -> str:
    try:
        return mathml(node.astext(), display)
    except Untranslated as error:
        logger.warning("%s", error, location=node)
        return f"<code>{html.escape(node.astext())}</code>"


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write an inline formula."""
    translator.body.append(_render(translator, node, False))
    raise nodes.SkipNode


def visit_display(translator: Any, node: nodes.math_block) -> None:
    """Write a formula on a line of its own."""
    translator.body.append(f'<div class="formula">{_render(translator, node, True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
