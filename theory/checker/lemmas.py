"""Lemma certificates: a formula, a range for every parameter, the lemma's name, a cover for each of its hypotheses.

The statement is read from the certificate alone. The hypotheses are built here from the formula, never read: a
certificate only says where to split. Every lemma, with its proof: docs/theory/families.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any

from theory.expression.calculus import differentiate
from theory.expression.nodes import Const, Expr, Var, names, substitute
from theory.expression.normal import normal_form
from theory.expression.parse import BINARY_NAMES, OTHER_NAMES, SCORE_NAMES, parse
from theory.expression.rewrite import simplify, stabilise

from .convexity import curvature
from .covers import (
    Hypothesis,
    Leaf,
    continuous,
    floor,
    rising_slope,
    slope_sign,
    smooth,
    verify_cover,
)
from .exchange import exchange, one_versus_all
from .ranges import Range
from .reading import CertificateError, Refused, get, number
from .region import Region, at_point, germ

MAX_PARAMETERS = 12
_DOMAINS = ("all", "sum-zero")
_CLASSES = Range(Fraction(2), inf, False, True)


@dataclass(frozen=True)
class Statement:
    """A loss with a range for each parameter, and the number of classes: None (binary), c, or "all" (every c >= 2).

    `raw` is the formula as parsed; `tree` the same function with stable forms; scores lie in [-bound, bound] or in R.
    """

    raw: Expr
    ranges: Mapping[str, Range]
    classes: int | str | None = None
    domain: str = "all"
    bound: Fraction | None = None

    @property
    def tree(self) -> Expr:
        return stabilise(self.raw)


Alternatives = tuple[Hypothesis, ...]
Lemma = Callable[[Statement], list[Alternatives]]


def make_statement(
    formula: str, ranges: Mapping[str, Range], classes: int | str | None, domain: str = "all"
) -> Statement:
    """The statement about a formula; ValueError where the formula or the domain is not one."""
    reserved = BINARY_NAMES if classes is None else SCORE_NAMES
    known = reserved | (frozenset() if classes is None else OTHER_NAMES)
    if len(ranges) > MAX_PARAMETERS or known & ranges.keys():
        raise ValueError(f"a family must have at most {MAX_PARAMETERS} parameters, none with the name of a score")
    raw = parse(formula, reserved, frozenset(ranges))
    if strange := sorted(names(raw) - known - ranges.keys()):
        raise ValueError(f"name {strange[0]!r} must be a score or a parameter with one value")
    kind, _, limit = domain.partition(":")
    bound = number(limit, "domain") if kind == "bounded" else None
    if kind not in (*_DOMAINS, "bounded") or (bound is None and limit) or (bound is not None and bound <= 0):
        raise ValueError(f"domain {domain[:40]!r} must be all, sum-zero or bounded:B")
    fixed = {name: Const(r.value) for name, r in ranges.items() if r.value is not None}
    open_ranges = {name: r for name, r in ranges.items() if r.value is None}
    if classes == "all" and "c" in names(raw):
        open_ranges["c"] = _CLASSES
    elif isinstance(classes, int):
        fixed["c"] = Const(Fraction(classes))
    return Statement(substitute(raw, fixed), open_ranges, classes, kind, bound)


def hypotheses(lemma: str, statement: Statement) -> list[Alternatives]:
    """What a lemma asks: for each entry, one of the alternatives. Refused where its form does not fit."""
    if lemma not in LEMMAS:
        raise Refused(f"lemma {lemma[:40]!r} is not known; known are {', '.join(LEMMAS)}")
    return LEMMAS[lemma](statement)


def verify_lemma(data: Mapping[str, Any], claim: str) -> int:
    """The number of boxes of a lemma certificate, all verified; Refused where the claim does not follow."""
    if claim != "consistent":
        raise Refused("lemmas prove consistency only")
    statement = _read_statement(data)
    asked = hypotheses(get(data, "lemma", str), statement)
    covers = get(data, "hypotheses", dict)
    used = set()
    count = 0
    for alternatives in asked:
        given = [hypothesis for hypothesis in alternatives if hypothesis.name in covers]
        if len(given) != 1:
            raise Refused(f"hypothesis {alternatives[0].name!r} must have one cover; it has {len(given)}")
        used.add(given[0].name)
        count += verify_cover(given[0], statement.ranges, covers[given[0].name])
    if unknown := sorted(set(covers) - used):
        raise Refused(f"hypothesis {unknown[0][:40]!r} is not one of this lemma")
    return count


def _read_statement(data: Mapping[str, Any]) -> Statement:
    loss = get(data, "loss", dict)
    classes = data.get("classes")
    binary = classes is None
    if not binary and classes != "all" and (not isinstance(classes, int) or isinstance(classes, bool) or classes < 2):
        raise CertificateError("certificate entry 'classes' must be absent, a number from 2 on, or 'all'")
    if binary and data.get("threshold") != "1/2":
        raise Refused("binary lemmas are for the threshold 1/2")
    if "plus" in loss or "minus" in loss:
        raise Refused("lemmas are for losses of the margin t, not for pairs")
    ranges = {}
    for name, text in get(loss, "ranges", dict).items():
        if not isinstance(text, str):
            raise CertificateError(f"certificate range {name[:20]!r} must be text such as '[0, 1]'")
        try:
            ranges[name] = Range.parse(text)
        except ValueError as error:
            raise CertificateError(f"certificate range {name[:20]!r}: {error}") from None
    for name, text in get(loss, "parameters", dict).items():
        if name in ranges:
            raise CertificateError(f"certificate parameter {name[:20]!r} has a value and a range")
        ranges[name] = Range.point(number(text, f"parameter {name[:20]}"))
    try:
        formula = get(loss, "binary" if binary else "multiclass", str)
        return make_statement(formula, ranges, classes, get(loss, "domain", str))
    except CertificateError:
        raise
    except ValueError as error:
        raise CertificateError(f"certificate formula cannot be read: {error}") from None


# -- binary lemmas -----------------------------------------------------------------------------------


def _binary(statement: Statement) -> tuple[Expr, Fraction | float]:
    if statement.classes is not None:
        raise Refused("this lemma is for binary losses")
    if statement.domain == "sum-zero":
        raise Refused("a binary score has no sum-to-zero domain")
    return statement.tree, inf if statement.bound is None else statement.bound


def _at_zero(name: str, trees: tuple[Expr, ...], holds: Callable[[Region], bool]) -> Hypothesis:
    return Hypothesis(name, "t", lambda leaf: holds(leaf.ends[0]), trees=trees)


def convex(statement: Statement) -> list[Alternatives]:
    """Lemma F5 (Bartlett, Jordan and McAuliffe 2006): convex, bounded below, differentiable at 0, phi'(0) < 0."""
    phi, limit = _binary(statement)

    def composed(leaf: Leaf) -> bool:
        whole = leaf.low == -limit and leaf.high == limit and leaf.inside is not None
        return whole and any(curvature(t, leaf.inside) in ("affine", "convex") for t in (phi, normal_form(phi)))  # type: ignore[arg-type]

    found: list[Alternatives] = [
        (Hypothesis("continuous", "t", continuous(statement.raw), -limit, limit, trees=(phi,)),),
        (
            Hypothesis("convex by composition", "t", composed, -limit, limit),
            Hypothesis("convex by slopes", "t", rising_slope(phi, "t"), -limit, limit, trees=(phi,)),
        ),
        (Hypothesis("falls at 0", "t", smooth(phi, "t", falls=True, differentiable=True)),),
    ]
    if limit == inf:
        found.append((Hypothesis("bounded below", "t", floor(phi, "t", 1)),))
    return found


def reflection(statement: Statement) -> list[Alternatives]:
    """Lemma F6: continuous, phi(-t) > phi(t) with a gap at infinity, phi'(0+) < 0, phi'(0+) <= phi'(0-)."""
    phi, limit = _binary(statement)
    gap = stabilise(substitute(phi, {"t": -Var("t")}) - phi)
    forms, slope = (gap, normal_form(gap)), differentiate(gap, "t")
    rises = tuple(slope_sign(form, "t", "+") for form in forms)
    climbs = tuple(slope_sign(form, "t", "+ 0 >=") for form in forms)

    def gaps(leaf: Leaf) -> bool:
        if leaf.low == 0 and leaf.inside is not None:
            return any(rise(leaf) for rise in rises) or (
                any(climb(leaf) for climb in climbs) and _starts_up(slope, leaf.inside.at(Fraction(0)))
            )
        if leaf.high < inf and any(all(part.sign(form) == "+" for part in leaf.parts) for form in forms):
            return True
        start = leaf.ends[0]
        if any(start.sign(at_point(form, start)) == "+" for form in forms) and any(climb(leaf) for climb in climbs):
            return True
        return leaf.inside is not None and any(_lowest(leaf.inside, form) for form in forms)

    found: list[Alternatives] = [
        (Hypothesis("continuous", "t", continuous(statement.raw), -limit, limit, trees=(phi,)),),
        (Hypothesis("gap", "t", gaps, Fraction(0), limit, low_open=True, trees=(gap, phi)),),
        (_at_zero("falls at 0", (phi,), lambda point: _falls_at_zero(phi, point)),),
    ]
    if limit == inf:
        found.append((Hypothesis("bounded below", "t", floor(phi, "t", 1)),))
    return found


def _starts_up(slope: Expr, point: Region) -> bool:
    """The right derivative at the point is positive."""
    return point.sign(at_point(germ(slope, point, 1), point)) == "+"


def _lowest(region: Region, form: Expr) -> bool:
    found = region.range(form)
    return found is not None and bool(found.lo > 0)


def _falls_at_zero(phi: Expr, point: Region) -> bool:
    """phi'(0+) < 0 and phi'(0+) <= phi'(0-): the predicate `smooth` that falls, at one point."""
    return smooth(phi, "t", falls=True)(Leaf(None, (point,), Fraction(0), Fraction(0)))


# -- several classes ---------------------------------------------------------------------------------


def _several(rule: Callable[..., list[Alternatives]]) -> Lemma:
    def lemma(statement: Statement) -> list[Alternatives]:
        if statement.classes is None:
            raise Refused("this lemma is for several classes")
        if statement.bound is not None:
            raise Refused("this lemma is for unbounded scores")
        classes = statement.classes if isinstance(statement.classes, int) else None
        return rule(statement.raw, simplify(stabilise(statement.raw)), classes, statement.domain)

    return lemma


LEMMAS: dict[str, Lemma] = {
    "convex": convex,
    "reflection": reflection,
    "exchange": _several(exchange),
    "one-versus-all": _several(one_versus_all),
}
"""Every lemma by its name in a certificate."""
