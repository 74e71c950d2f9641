"""Our docstrings as reStructuredText. They are plain text with `code`, tables of terms, and examples.

term   a text, aligned or after a colon, with its continuation indented     a definition list
>>> an example                                                             a doctest block
anything else with a layout of its own                                     a literal block
sentences                                                                  a paragraph; nothing in it is markup but code
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_CODE = re.compile(r"``([^`]+)``|`([^`]+)`")
_TERM = re.compile(r"^(?P<term>\S(?:.*?\S)??)(?:\s+:\s+|\s{2,})(?P<text>\S.*)$")
_GAP = re.compile(r"[^.;:!?)\s]\s{2,}\S")


def to_rst(lines: Sequence[str]) -> list[str]:
    """The docstring, given as dedented lines, as lines of reStructuredText that give no warning."""
    out: list[str] = []
    for block in _blocks(lines):
        out += [*_block(block), ""]
    return out


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line.expandtabs().rstrip())
        elif block:
            yield block
            block = []


def _block(block: list[str]) -> list[str]:
    if block[0].lstrip().startswith(">>>"):
        margin = len(block[0]) - len(block[0].lstrip())
        return [line[margin:] if not line[:margin].strip() else line.lstrip() for line in block]
    if len(block) > 1 and re.fullmatch(r"\s*(-{3,}|={3,})", block[1]):
        return [f"**{inline(block[0].strip())}**", "", *(_block(block[2:]) if block[2:] else [])]
    if terms := _terms(block):
        return terms
    if all(line.startswith(("- ", "* ", "  ")) for line in block) and block[0][:2] in ("- ", "* "):
        return _bullets(block)
    if any(line[0] == " " for line in block) or any(_GAP.search(line) for line in block):
        return [".. code-block:: text", "", *(f"   {line}" for line in block)]
    return [paragraph(block)]


def _terms(block: list[str]) -> list[str]:
    """The block as a definition list, or nothing where it is none."""
    margin = len(block[0]) - len(block[0].lstrip())
    found: list[tuple[str, list[str]]] = []
    for line in block:
        indent = len(line) - len(line.lstrip())
        match = _TERM.match(line.strip()) if indent == margin else None
        if match and len(match["term"]) <= 60 and (" : " in line or not re.search(r"[.;!?]$", match["term"])):
            found.append((match["term"].rstrip(" :"), [match["text"]]))
        elif found and indent > margin:
            found[-1][1].append(line.strip())
        else:
            return []
    return [row for term, text in found for row in (f"{_literal(term)}", f"   {paragraph(text)}")]


def _bullets(block: list[str]) -> list[str]:
    items: list[list[str]] = []
    for line in block:
        if line[:2] in ("- ", "* "):
            items.append([line[2:]])
        else:
            items[-1].append(line.strip())
    return [f"- {paragraph(item)}" for item in items]


def paragraph(lines: Sequence[str]) -> str:
    """One paragraph on one line; the backslash at its start keeps it from being a list or a field."""
    return "\\ " + inline(" ".join(line.strip() for line in lines))


def inline(text: str) -> str:
    """Escaped text with its code in double backticks."""
    out, end = [], 0
    for match in _CODE.finditer(text):
        out += [_escape(text[end : match.start()]), _literal(match[1] or match[2])]
        end = match.end()
    return "".join([*out, _escape(text[end:])])


def _escape(text: str) -> str:
    return re.sub(r"([\\*_|`:<>\[\]])", r"\\\1", text)


def _literal(code: str) -> str:
    """Inline code, with escaped blanks so that it may touch a letter on either side."""
    stripped = code.replace("`", "").strip()
    return f"\\ ``{stripped}``\\ " if stripped and not stripped.endswith("\\") else _escape(code)
