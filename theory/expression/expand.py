"""A multiclass tree written out for one label and explicit scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

from .nodes import Add, Call, Const, Div, Expr, Max, MaxOther, SumOther, Var, names, substitute, with_parts
from .normal import normal_form
from .rewrite import ONE, stabilise


def expand(
    tree: Expr, label: int, scores: Sequence[Expr], vectors: Mapping[str, Sequence[Fraction]] | None = None
) -> Expr:
    """The loss of `label` as a tree in the variables of the given scores.

    fy is scores[label], alpha its lead over the largest other score, lse = log sum exp, and
    q_k = 1 / (sum over j of exp(f_j - f_k)); class sums and maxima are written out.

    >>> from .nodes import Var
    >>> from .parse import SCORE_NAMES, parse
    >>> str(expand(parse("sum_other(max(0, 1 - (fy - fk)))", SCORE_NAMES), 0, [Var("a"), Var("b")]))
    'max(0, 1 - (a - b))'
    """
    return _expanded(tree, label, tuple(scores), tuple((name, tuple(row)) for name, row in (vectors or {}).items()))


@lru_cache(maxsize=2048)
def _expanded(
    tree: Expr, label: int, scores: tuple[Expr, ...], vectors: tuple[tuple[str, tuple[Fraction, ...]], ...]
) -> Expr:
    """`expand`, remembered: every certificate of a loss asks for the same few."""
    classes, used = len(scores), names(tree)
    others = [k for k in range(classes) if k != label]
    table: dict[str, Expr] = {"fy": scores[label], "c": Const(Fraction(classes))}
    if "alpha" in used:
        table["alpha"] = scores[label] - _join(Max, [scores[k] for k in others])
    if "lse" in used:
        table["lse"] = Call("log", _join(Add, [Call("exp", score) for score in scores]))
    if "q" in used:
        table["q"] = _probability(label, scores)
    table |= {name: Const(values[label]) for name, values in vectors}

    def write_out(node: Expr) -> Expr:
        """Names replaced all at once, so that a score's coordinates are never taken for a parameter."""
        if isinstance(node, Var):
            return table.get(node.name, node)
        if isinstance(node, (SumOther, MaxOther)):
            bodies = [substitute(node.body, {**table, **inner(k)}) for k in others]
            return _join(Add if isinstance(node, SumOther) else Max, bodies)
        return with_parts(node, write_out)

    def inner(k: int) -> dict[str, Expr]:
        found: dict[str, Expr] = {"fk": scores[k]} | ({"qk": _probability(k, scores)} if "qk" in used else {})
        return found | {f"{name}k": Const(values[k]) for name, values in vectors}

    return stabilise(write_out(tree))


def _join(kind: type[Add] | type[Max], parts: list[Expr]) -> Expr:
    result = parts[0]
    for part in parts[1:]:
        result = kind(result, part)
    return result


def _probability(k: int, scores: Sequence[Expr]) -> Expr:
    rivals = [Call("exp", normal_form(score - scores[k])) for j, score in enumerate(scores) if j != k]
    return Div(ONE, _join(Add, [ONE, *sorted(rivals, key=repr)]))
