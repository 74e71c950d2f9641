"""Equal subtrees made one object, so that a walk which remembers objects does each of them once."""

from __future__ import annotations

from typing import Any

from .nodes import Expr, parts, with_parts


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
            new = with_parts(node, go)
            key = (type(new), *(id(part) if isinstance(part, Expr) else part for part in parts(new)))
            found = done[id(node)] = table.setdefault(key, new)
        return found

    return go(expr)
