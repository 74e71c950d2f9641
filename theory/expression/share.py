"""Equal subtrees made one object, so that a walk which remembers objects does each of them once."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from .nodes import Expr


def share(expr: Expr) -> Expr:
    """An equal tree in which equal subtrees are the same object.

    >>> from .parse import parse
    >>> tree = share(parse("exp(t) + exp(t)"))
    >>> tree.left is tree.right
    True
    """
    table: dict[tuple[Any, ...], Expr] = {}
    done: dict[int, Expr] = {}

    def go(node: Expr) -> Expr:
        found = done.get(id(node))
        if found is None:
            parts = {field.name: getattr(node, field.name) for field in fields(node)}  # type: ignore[arg-type]
            new = {name: go(part) if isinstance(part, Expr) else part for name, part in parts.items()}
            key = (type(node), *(id(part) if isinstance(part, Expr) else part for part in new.values()))
            found = table.get(key)
            if found is None:
                unchanged = all(new[name] is parts[name] for name in new)
                found = table[key] = node if unchanged else type(node)(**new)
            done[id(node)] = found
        return found

    return go(expr)
