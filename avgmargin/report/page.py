"""Pages from templates: everything escaped, no external resource, one script of our own that the policy names."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from avgmargin.common.errors import one_line
from avgmargin.proving.proofs import witness_text

from .sentences import number


def render(template: str, **values: Any) -> str:
    """The page of a template of this package; values are escaped unless they are `markupsafe.Markup`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("avgmargin.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(num=number, percent=_percent, cell=_cell, line=one_line, witness=witness_text)
    script = "\n" + loader.get_source(environment, "report.js")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(script=Markup(script), script_hash=f"sha256-{digest}", **values)


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float)):
        return number(float(value), 5) if isinstance(value, float) else str(value)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
