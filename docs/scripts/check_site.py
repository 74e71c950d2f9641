"""Look at a built site as somebody without a network and without scripts would: `check_site.py build/docs/html`.

Prints what it counted. Exit code 1, with a line for each fault, where a page loads anything from elsewhere, links to a
file that is not there, shows a formula as text, or where pictures of the gallery are missing.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "object": "data",
    "embed": "src",
}
ELSEWHERE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
IN_CSS = re.compile(r"(?:@import\s+|url\()\s*[\"']?((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)
RAW_FORMULA = re.compile(r"\\(?:frac|mathbb|operatorname|varphi|eta|tau|mu|alpha|infty)\b|\$\$")


class Page(HTMLParser):
    """What one page loads, links to, and shows as text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.loads: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.formulas = 0
        self.images = 0
        self._quiet = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag loads."""
        given = {key: value or "" for key, value in attrs}
        where = given.get(LOADS.get(tag, ""), "")
        quiet_link = tag == "link" and given.get("rel", "") not in ("stylesheet", "icon", "preload", "shortcut icon")
        if where and not quiet_link:
            self.loads.append(where)
        if "style" in given:
            self.loads += IN_CSS.findall(given["style"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        self.formulas += tag == "math"
        self.images += tag == "img"
        self._quiet += tag in ("script", "style", "pre", "code", "math")

    def handle_endtag(self, tag: str) -> None:
        """Leave a part that is shown as it is typed."""
        self._quiet -= tag in ("script", "style", "pre", "code", "math")

    def handle_data(self, data: str) -> None:
        """Keep what is read as prose."""
        if self._quiet <= 0:
            self.text.append(data)


def faults(site: Path) -> tuple[list[str], dict[str, int]]:
    """The faults of a site, one line each, and what was counted."""
    found: list[str] = []
    counts = {"pages": 0, "formulas": 0, "pictures": 0, "examples": 0}
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site).as_posix()
        page = Page()
        page.feed(path.read_text(encoding="utf-8"))
        counts["pages"] += 1
        counts["formulas"] += page.formulas
        counts["pictures"] += page.images
        counts["examples"] += name.startswith("auto_gallery/plot_")
        found += [f"{name}: loads {where}" for where in page.loads if ELSEWHERE.match(where)]
        if raw := RAW_FORMULA.search("".join(page.text)):
            found.append(f"{name}: shows {raw[0]!r} as text")
        if name.startswith("auto_gallery/plot_") and not any("images/sphx_glr" in where for where in page.loads):
            found.append(f"{name}: has no picture")
        for where in (*page.loads, *page.links):
            target = urlsplit(where)
            if target.scheme or target.netloc or not target.path or ELSEWHERE.match(where):
                continue
            if not (path.parent / unquote(target.path)).exists():
                found.append(f"{name}: {where} is not there")
    for path in sorted(site.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        found += [f"{path.relative_to(site).as_posix()}: loads {where}" for where in IN_CSS.findall(text)]
    return found, counts


def main(argv: list[str]) -> int:
    found, counts = faults(Path(argv[0]))
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    for line in found:
        print(line, file=sys.stderr)
    return int(bool(found) or not counts["pages"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
