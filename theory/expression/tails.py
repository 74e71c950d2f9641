"""Trees on a half-line far from 0, with their growth taken out: T(x) = w^k N, where w = |x|.

The tree N is written in the quantities `far` = w, `near` = 1/w and `slow` = log(w)/w, and in unknown
`ratio`s between 1/2 and 1. Each step is an identity for w > 0, so T and w^k N are the same function;
but N often has a limit where the arithmetic sees only inf - inf, inf / inf or 0 * inf in T:

  t / sqrt(1 + t^2) = 1 / sqrt(1 + near^2)        t^4 - t^3 = w^4 (1 - near)      for x = w
  t exp(-t) = w^(1-m) exp(w (m slow - 1))         for any m, since w^m = exp(w m slow)
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from .boxes import WHOLE, Box, Enclosure, enclose
from .interval import INF, Interval, Undefined, limit_mul
from .nodes import Add, Call, Clip, Const, Div, Expr, Max, Min, Mul, Neg, Pi, Pow, Sub, Var, Where
from .rewrite import ONE, ZERO, fold

FAR, NEAR, SLOW = Var("far"), Var("near"), Var("slow")
_MAX_POWER = 16
Scaled = tuple[Fraction, Expr]


class _NoForm(Exception):
    """The tree has no scaled form that is of use."""


@lru_cache(maxsize=2048)
def tail_form(expr: Expr, name: str, up: bool, start: Fraction) -> tuple[Fraction, Expr, tuple[str, ...]] | None:
    """k, N and the names of N's ratios, for x >= start (`up`) or x <= -start; None where no form is found."""
    try:
        first = _Tail(name, up, start, 0)
        first.scaled(expr)
        steps = _Tail(name, up, start, int(first.top) + 1)
        power, tree = steps.scaled(expr)
    except (_NoForm, Undefined, RecursionError):
        return None
    return power, tree, tuple(steps.ratios)


def enclose_tail(expr: Expr, name: str, up: bool, start: Fraction) -> Enclosure | None:
    """The range of a tree on the half-line and its limit at infinity (the only point), or None."""
    found = tail_form(expr, name, up, start)
    if found is None:
        return None
    power, tree, ratios = found
    box, probe = _quantities(start, ratios)
    try:
        inner = enclose(tree, box, [probe], along=NEAR.name)
        scale, at_end = (enclose(FAR**power, env).range for env in (box, probe))
    except Undefined:
        return None
    try:
        point = limit_mul(at_end, inner.points[0])
    except Undefined:
        point = WHOLE
    return Enclosure(inner.range * scale, (point,), inner.jumped)


def _quantities(start: Fraction, ratios: tuple[str, ...]) -> tuple[Box, Box]:
    """Enclosures of far, near, slow and the ratios for w >= start >= 1, and their limits."""
    first = Interval.point(start)
    half = Interval.between(Fraction(1, 2), Fraction(1))
    slow = (first.call("log") / first).hi if start >= 3 else Interval.point(Fraction(1, 2)).hi  # log(w)/w <= 1/e
    zero = Interval.point(0)
    box = {"far": Interval(first.lo, INF), "near": Interval(zero.lo, (1 / first.lo)), "slow": Interval(zero.lo, slow)}
    probe = {"far": Interval(INF, INF), "near": zero, "slow": zero}
    return box | dict.fromkeys(ratios, half), probe | dict.fromkeys(ratios, half)


class _Tail:
    """The identities, applied bottom-up; `growth` is the power m by which exp beats what stands around it."""

    def __init__(self, name: str, up: bool, start: Fraction, growth: int) -> None:
        self._name, self._sign, self._start, self._growth = name, Fraction(1 if up else -1), start, growth
        self._memo: dict[int, Scaled] = {}
        self._kept: list[Expr] = []  # memo keys are identities, so a node must outlive its entry
        self.ratios: list[str] = []
        self.top = Fraction(0)

    def scaled(self, node: Expr) -> Scaled:
        """k and N of a node, N simplified."""
        found = self._memo.get(id(node))
        if found is None:
            power, tree = self._scaled(node)
            found = (Fraction(0), ZERO) if tree == ZERO else (power, tree)
            if abs(found[0]) > _MAX_POWER:
                raise _NoForm
            self.top = max(self.top, abs(found[0]))
            self._memo[id(node)] = found
            self._kept.append(node)
        return found

    def _scaled(self, node: Expr) -> Scaled:
        match node:
            case Var(name):
                return (Fraction(1), Const(self._sign)) if name == self._name else (Fraction(0), node)
            case Const() | Pi():
                return Fraction(0), node
            case Neg(u):
                power, tree = self.scaled(u)
                return power, fold(Neg(tree))
            case Add(u, v) | Sub(u, v):
                power, (left, right) = self._level(u, v)
                return power, fold(type(node)(left, right))
            case Max(u, v) | Min(u, v):
                power, (left, right) = self._level(u, v)
                above = self._order(left, right)
                if above:
                    return self.scaled(u if (above > 0) == isinstance(node, Max) else v)
                return power, type(node)(left, right)
            case Clip(u, low, high):
                return self.scaled(Min(Max(u, low), high))
            case Where(comparison, left, right, yes, no):
                _, (one, two) = self._level(left, right)
                power, (above_, below) = self._level(yes, no)
                return power, fold(Where(comparison, one, two, above_, below))
            case Mul(u, v):
                (k, left), (n, right) = self.scaled(u), self.scaled(v)
                return k + n, fold(Mul(left, right))
            case Div(u, v):
                (k, left), (n, right) = self.scaled(u), self.scaled(v)
                return k - n, fold(Div(left, right))
            case Pow(u, Const(value)):
                power, tree = self.scaled(u)
                return power * value, fold(Pow(tree, Const(value)))
            case Pow(base, exponent):
                return self.scaled(Call("exp", Mul(exponent, Call("log", base))))
            case Call(function, u):
                power, tree = self._function(function, u)
                return power, fold(tree)
        raise _NoForm

    def _level(self, *nodes: Expr) -> tuple[Fraction, list[Expr]]:
        """The nodes over one common power of w, the largest."""
        found = [self.scaled(node) for node in nodes]
        sized = [power for power, tree in found if tree != ZERO]
        top = max(sized, default=Fraction(0))
        return top, [ZERO if tree == ZERO else _times(tree, NEAR, top - power) for power, tree in found]

    def _function(self, function: str, u: Expr) -> Scaled:
        power, tree = self.scaled(u)
        match function:
            case "abs":
                return power, Call("abs", tree)
            case "sqrt":
                return power / 2, Call("sqrt", tree)
            case "log" if power != 0:
                growth, rest = fold(Mul(Const(power), SLOW)), fold(Mul(NEAR, fold(Call("log", tree))))
                return Fraction(1), Add(growth, rest)
            case "log1p" if power > 0:
                return self.scaled(Call("log", Add(ONE, u)))
            case "exp" | "softplus" | "sigmoid" if power >= 1 and self._growth and (sign := self._side(tree)):
                return self._exponential(function, u, power, tree, sign)
        inner = _times(tree, FAR, power) if power > 0 else _times(tree, NEAR, -power)
        return Fraction(0), Call(function, inner)

    def _order(self, left: Expr, right: Expr) -> int:
        """1 or -1 where left >= right or left <= right on the whole half-line, else 0."""
        box, _ = _quantities(self._start, tuple(self.ratios))
        try:
            apart = enclose(fold(Sub(left, right)), box, along=NEAR.name).range
        except Undefined:
            return 0
        return 1 if apart.lo >= 0 else -1 if apart.hi <= 0 else 0

    def _side(self, tree: Expr) -> int:
        """The certain sign of N's limit; 0 where it is not seen."""
        _, probe = _quantities(self._start, tuple(self.ratios))
        try:
            limit = enclose(tree, probe).range
        except Undefined:
            return 0
        return 1 if limit.lo > 0 else -1 if limit.hi < 0 else 0

    def _exponential(self, function: str, u: Expr, power: Fraction, tree: Expr, sign: int) -> Scaled:
        """exp, softplus and sigmoid of u = w^k N, k >= 1, where N has a limit of the given sign."""
        match function, sign:
            case "softplus", 1:
                return self.scaled(Add(u, Call("softplus", Neg(u))))
            case "sigmoid", 1:
                return Fraction(0), Call("sigmoid", _times(tree, FAR, power))
            case "sigmoid", _:
                return self.scaled(Mul(Call("exp", u), Call("sigmoid", Neg(u))))
            case "softplus", _:
                box, _ = _quantities(self._start, tuple(self.ratios))
                if not enclose(tree, box, along=NEAR.name).range.hi <= 0:
                    raise _NoForm
                k, decay = self.scaled(Call("exp", u))
                self.ratios.append(f"ratio{len(self.ratios)}")
                return k, fold(Mul(Var(self.ratios[-1]), decay))
        lead = Mul(Const(Fraction(sign * self._growth)), SLOW)
        inner = fold(Mul(FAR, fold(Sub(_times(tree, FAR, power - 1), lead))))
        return Fraction(sign * self._growth), Call("exp", inner)


def _times(tree: Expr, quantity: Var, power: Fraction) -> Expr:
    if power == 0:
        return tree
    return fold(Mul(tree, quantity if power == 1 else Pow(quantity, Const(power))))
