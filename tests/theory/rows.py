"""Binary losses with verdicts derived by hand, outside the published table. `why` is the derivation.

Facts used. BJM: a convex phi is consistent exactly when phi'(0) exists and is negative (Bartlett, Jordan &
McAuliffe 2006, Theorem 2). LEMMA: phi(t) < phi(-t) for t > 0 with a positive gap where the risk is least, and a
negative right slope at 0 that is at least as steep as the left one, give consistency. SYM: phi(t) + phi(-t)
constant and phi(t) < phi(0) somewhere to the right and nowhere to the left: C is a constant plus
(2 eta - 1) phi. TIE: 0 is optimal for some eta off 1/2. Cost-weighted pairs (1 - a) phi(v), a phi(-v) are
consistent at threshold a whenever phi is consistent at 1/2, since r = (1 - a) eta / (a (1 - eta)) takes the
place of eta / (1 - eta); at another threshold the sign is wrong in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from theory import Loss, from_formula, from_pair

P, R, U = "PROVED", "REFUTED", "UNDECIDED"


@dataclass(frozen=True)
class Row:
    """A loss (a formula in t, or a pair in v), and what is known of it.

    `fine` marks losses whose gap (or lack of one) is below what brute force on floats can see.
    `far` marks losses that change beyond the scores that brute force looks at.
    """

    formula: str | tuple[str, str]
    verdict: str
    why: str
    domain: str = "all"
    threshold: Fraction = Fraction(1, 2)
    fine: bool = False
    far: bool = False

    @property
    def label(self) -> str:
        """Formula, domain and threshold."""
        text = self.formula if isinstance(self.formula, str) else " , ".join(self.formula)
        return f"{text} | {self.domain} | {self.threshold}"

    def loss(self) -> Loss:
        """The loss itself."""
        if isinstance(self.formula, str):
            return from_formula(self.formula, domain=self.domain)
        return from_pair(*self.formula, domain=self.domain)


CONVEX = [
    Row("where(t <= 0, 1/2 - t, where(t < 1, (1 - t)**2 / 2, 0))", P, "BJM: smoothed hinge, phi'(0) = -1"),
    Row("where(t > 3, 0, where(t < -1, 1 - t, (3 - t)**2 / 8))", P, "BJM: Huberised hinge, phi'(0) = -3/4"),
    Row("where(t > 5/4, 0, where(t < 3/4, 1 - t, (5/4 - t)**2))", P, "BJM: Huberised hinge off 0, phi'(0) = -1"),
    Row("max(0, 1/7 - t)", P, "BJM: hinge at 1/7, phi'(0) = -1"),
    Row("max(0, 1 - t) + 5", P, "a constant changes nothing"),
    Row("max(0, 1 - t) + 1000000000000", P, "a large constant changes nothing", fine=True),
    Row("0.000000000001 * max(0, 1 - t)", P, "a small factor changes nothing", fine=True),
    Row("100000000 * softplus(-t)", P, "a large factor changes nothing"),
    Row("max(0, 1 - 1000 * t)", P, "BJM: steep hinge"),
    Row("max(0, 1 - t / 1000)", P, "BJM: flat hinge"),
    Row("max(0, 1 - t)**3", P, "BJM: phi'(0) = -3"),
    Row("(1 - t)**4", P, "BJM: phi'(0) = -4"),
    Row("abs(1 - t)**1.5", P, "BJM: phi'(0) = -3/2"),
    Row("max(0, 1 - t)**1.01", P, "BJM: phi'(0) = -1.01"),
    Row("sqrt(1 + (1 - t)**2)", P, "BJM: pseudo-Huber, phi'(0) = -1/sqrt(2)"),
    Row("log(1 + exp(-t) + exp(-2 * t))", P, "BJM: logsumexp, phi'(0) = -1"),
    Row("log(exp(t) + exp(-t)) - t", P, "it is log(1 + exp(-2 t))"),
    Row("softplus(1 - t)**2", P, "BJM: increasing convex functions of softplus"),
    Row("softplus(-t / 100)", P, "BJM: phi'(0) = -1/200"),
    Row("softplus(-1000 * t)", P, "BJM: phi'(0) = -500"),
    Row("softplus(-10 - t)", P, "BJM: phi'(0) < 0, tiny", fine=True),
    Row("exp(-t) + t**2 / 10", P, "BJM: even regulariser"),
    Row("exp(-t) + exp(t) / 2", P, "BJM: phi'(0) = -1/2"),
    Row("2**(-t)", P, "BJM: exp(-t log 2)"),
    Row("exp(exp(-t))", P, "BJM: phi'(0) = -e"),
    Row("1 - t/1000 + t**2", P, "BJM: phi'(0) = -1/1000", fine=True),
    Row("0.501 * softplus(-t) + 0.499 * softplus(t)", P, "BJM: phi'(0) = -0.001", fine=True),
    Row("2 * abs(t - 1) + abs(t + 1)", P, "BJM: slope -1 at 0"),
    Row("max(0, 1 - t) + max(0, -1 - t)", P, "BJM: slope -1 at 0"),
    Row("max(0, -1 - t)", R, "TIE: phi is least at 0 already"),
    Row("max(0, 1 - t, 1 - 3 * t)", R, "BJM: convex with a kink at 0"),
    Row("max(0, 1 - t) + 2 * max(0, -t)", R, "BJM: convex with a kink at 0"),
    Row("max(0, 1 - t) + 0.001 * abs(t)", R, "BJM: a faint kink at 0: ties for |2 eta - 1| <= 1/1000"),
    Row("softplus(-t) + abs(t) / 5", R, "BJM: convex with a kink at 0"),
    Row("2 * abs(t - 1) + abs(t)", R, "BJM: convex with a kink at 0"),
    Row("max(0, 1 - t)**2 + max(0, -t)", R, "BJM: convex with a kink at 0"),
    Row("where(t < 0, 1 - 3 * t, max(0, 1 - t))", R, "BJM: convex with a kink at 0, written with where"),
    Row("exp(-t) + exp(t)", R, "even: C does not depend on eta"),
    Row("exp(-t) + 2 * exp(t)", R, "BJM: phi'(0) = 1"),
    Row("t**2", R, "even, least at 0"),
    Row("softplus(t)", R, "increasing: the sign is wrong"),
    Row("max(0, 1 + t)", R, "increasing: the sign is wrong"),
    Row("0 * t + 1", R, "constant: every score is optimal"),
    Row("1", R, "constant: every score is optimal"),
]

BOUNDED = [
    Row("1 - t", P, "linear: C falls from -3 to 3 for eta > 1/2", "bounded:3"),
    Row("-t**3", P, "SYM: C = -(2 eta - 1) t^3", "bounded:1"),
    Row("max(0, 1 - t)", P, "linear on the domain", "bounded:1/2"),
    Row("(1 - t)**2", P, "BJM on an interval: phi'(0) = -2", "bounded:0.1"),
    Row("max(0, 1 - t) - 0.001 * abs(t)", P, "LEMMA: concave kink, slopes -0.999 and -1.001", "bounded:5"),
    Row("where(t >= 5, 0, 1)", P, "SYM at the end of the domain, which belongs to it", "bounded:5"),
    Row("where(t > 5, 0, 1)", R, "constant on the domain", "bounded:5"),
    Row("max(0, -t)", R, "TIE: perceptron", "bounded:1"),
    Row("t", R, "increasing", "bounded:1"),
    Row("max(1 - t, 1 - 2 * t)", R, "TIE: right slope of C at 0 is 2 - 3 eta, left one 1 - 3 eta", "bounded:2"),
]

CURVED = [
    Row("sigmoid(-3 * t)", P, "SYM"),
    Row("atan(-3 * t)", P, "SYM"),
    Row("tanh(1 - t)", P, "LEMMA: decreasing, phi'(0) = -sech(1)^2, log-concave slope even around 1"),
    Row("(1 - tanh(t))**2", P, "LEMMA: phi(-t) - phi(t) = 4 tanh t, phi'(0) = -2"),
    Row("1 - t / sqrt(1 + t**2)", P, "SYM"),
    Row("1 - t / (1 + abs(t))", P, "SYM"),
    Row("(pi / 2 - atan(t))**2", P, "LEMMA: phi(-t) - phi(t) = 2 pi atan t"),
    Row("sigmoid(-t)**2", P, "Savage: minimum eta (1 - eta) at the right log-odds"),
    Row("exp(-2 * t) / (1 + exp(-t))**2", P, "Savage, overflowing form", fine=True),
    Row("(1 - sigmoid(t)**0.7) / 0.7", P, "alpha-loss, alpha = 1/0.3"),
    Row("softplus(-t) + 1 - sigmoid(t)", P, "LEMMA: sum of two that satisfy it"),
    Row("softplus(-t) - sigmoid(-t)", P, "LEMMA: phi' = -sigmoid(-t)^2, phi(-t) - phi(t) = t - tanh(t/2)"),
    Row("softplus(-t) - 2 * sigmoid(-t)", R, "TIE: phi'(0) = 0 and C'' = 1/4 at 0, odd part t^3/12", fine=True),
    Row("softplus(-t) - 2.5 * sigmoid(-t)", R, "phi'(0) = 1/8 > 0 while C_{1/2} is convex, least at 0"),
    Row("min(softplus(-t), 1)", P, "LEMMA: truncated at t = -log(e - 1)"),
    Row("min(softplus(-t), 1/2)", P, "gap min(1/2, eta/2) - (1 - eta)/2"),
    Row("sqrt(softplus(-t))", P, "LEMMA"),
    Row("log1p(max(0, 1 - t))", P, "LEMMA: phi'(0) = -1/2"),
    Row("log(1 + (1 - t)**2)", P, "LEMMA: phi'(0) = -1, C grows at both ends"),
    Row("(1 - t)**2 / (1 + (1 - t)**2)", P, "LEMMA: phi'(0) = -1/2, C is largest at both ends"),
    Row("softplus(-t) / (1 + softplus(-t))", P, "LEMMA: increasing function of softplus(-t), phi'(0) < 0"),
    Row("sqrt(max(0, 1 - t))", P, "concave on [-1, 1]: least at 1, gap min(1, eta sqrt 2) - (1 - eta) sqrt 2"),
    Row("sqrt(abs(1 - t))", P, "LEMMA: phi'(0) = -1/2, C grows at both ends"),
    Row("max(0, 1 - t) * (2 + tanh(t))", P, "LEMMA: phi(-t) - phi(t) >= 4t - 2 tanh t > 0 on (0, 1), phi'(0) = -1"),
    Row("max(0, 1 - t) / (1 + abs(t))", P, "1 for t <= 0, then falling to 0 at 1"),
    Row("max(0, 1 - t) - exp(-100 * t**2) / 10", P, "even well: C'(0) = -(2 eta - 1)", fine=True),
    Row("(1 + exp(-t))**2", P, "BJM"),
    Row("exp(-t) * (1 + t**2)", P, "phi' = -exp(-t) (1 - t)^2: decreasing; brute force"),
    Row("exp(-t**3)", P, "exponential loss of t^3", fine=True),
    Row("max(0, 1 - t**3)", P, "hinge of t^3"),
    Row("sigmoid(-t**3)", P, "SYM"),
    Row("t**4 - t**3 + 1", P, "C - 1 = v^3 (v - (2 eta - 1)): below 0 only to the right", fine=True),
    Row("t**4 - t**3 - t/100", P, "C = v^4 - (2 eta - 1)(v^3 + v/100)", fine=True),
    Row("softplus(-t) + 100 * (max(0, 0.01 - t) - max(0, -t))", P, "the paper's loss, heavy and narrow"),
    Row("softplus(-t) + 0.001 * (max(0, 1000 - t) - max(0, -t))", P, "the paper's loss, light and wide"),
    Row("softplus(-t) + 0.001 * clip(-t, 0, 5)", R, "released: ties up to eta = 1.002/2.002"),
    Row("exp(-exp(t))", P, "LEMMA: decreasing, phi'(0) = -1/e"),
    Row("exp(exp(t))", R, "increasing"),
    Row("1 / (2 + tanh(t))", P, "LEMMA: decreasing, phi'(0) = -1/4"),
    Row("-t * exp(-t**2)", P, "SYM: odd, least at 1/sqrt(2)"),
    Row("t * exp(-t**2)", R, "SYM, of the wrong sign"),
    Row("1 - exp(-(1 - t)**2)", P, "LEMMA: correntropy"),
    Row("1 - exp(-(1 + t)**2)", R, "its mirror image"),
    Row("abs(t) - t", R, "TIE: 2 max(0, -t)"),
    Row("sqrt(t**2) - t", R, "TIE: 2 max(0, -t)"),
    Row("max(0, 1 - t)**2 / (1 + t**2)", P, "LEMMA: phi(-t) - phi(t) >= min(4t/(1 + t^2), 1)"),
    Row("max(0, 1 - t) * exp(-max(0, -t))", R, "0 at both ends", fine=True),
    Row("(1 - t**2)**2", R, "even"),
    Row("1 / (1 + t**2)", R, "even, infimum at both ends"),
    Row("exp(-abs(t))", R, "even, infimum at both ends"),
    Row("exp(-t) / (1 + exp(-t))**2", R, "even: sigmoid(t) sigmoid(-t)", fine=True),
    Row("(1 - t / sqrt(1 + t**2)) / (1 + t**2)", R, "infimum 0 at both ends", fine=True),
    Row("(t - 1)**2 * (t + 2)**2", R, "eta = 1: v = -2 is as good as v = 1"),
]

WELLS = [
    Row("clip((1 - t) / 2, 0, 1)", P, "SYM: ramp"),
    Row("clip(1 - t, 0, 3)", P, "LEMMA: ramp, truncated at -2"),
    Row("clip(2 - t, 0, 1)", P, "gap min(1, eta) - (1 - eta)"),
    Row("clip(-1/2 - t, 0, 1)", R, "TIE: phi(0) = 0"),
    Row("clip(1 - t, 0, 1) + clip(-t, 0, 1)", P, "SYM: 2 for t < -1, 0 for t > 1, linear between"),
    Row("where(t < 0, 1, max(0, 1 - 2 * t))", P, "LEMMA: concave kink, slopes 0 and -2"),
    Row("softplus(-t) + exp(-8 * (t - 1)**2) / 4", P, "LEMMA: a bump on the right side"),
    Row("softplus(-t) + 3 * exp(-8 * (t - 1)**2)", P, "phi(1) > phi(-1), yet C is least right of 0: brute force"),
    Row("softplus(-t) - exp(-20 * (t + 1)**2) / 2", P, "LEMMA: a shallow well on the wrong side"),
    Row("softplus(-t) - 2 * exp(-20 * (t + 1)**2)", R, "a deep well: C(-1) < C(v) for v > 0"),
    Row("(t - 1)**2 * (t + 2)**2 - t / 10", P, "C at its wells: 2.0 near 1, above 4 near -1 and -2: brute force"),
    Row("max(0, 1 - t) + exp(-100 * t**2)", P, "even bump at 0: LEMMA off 0, C(0) = 2"),
    Row("min(max(0, 1 - t), max(0, 3 + 3 * t))", R, "phi(-1) = 0 = phi(1)"),
]

STEPS = [
    Row("where(t <= 1/3, 1, 0)", P, "SYM with a jump at 1/3"),
    Row("where(t <= 1000000000, 1, 0)", P, "SYM, far out", fine=True, far=True),
    Row("where(t < 0, 1 - t/2, exp(-t))", P, "LEMMA: concave kink, slopes -1/2 and -1"),
    Row("where(t < 0, exp(-t), 1 / (1 + t))", P, "LEMMA: both slopes -1, exp(t) > 1/(1 + t)"),
    Row("where(t < 0, 1 - 2*t, exp(-t))", R, "BJM: convex with a kink at 0"),
    Row("where(t < -1/3, 1, 0)", R, "TIE: phi(0) = 0"),
    Row("where(t > 0, 1 / (1 + t), 1)", P, "1 for t <= 0: gap min(1, eta) - (1 - eta)"),
    Row("where(t < 1/7, 2, where(t < 3/7, 1, 0))", P, "two steps: gap 2 (2 eta - 1)"),
    Row("where(t < 1/3, 2, where(t < 2/3, 5/7, 1/11))", P, "gap (2 - 1/11)(2 eta - 1)"),
    Row("where(t < -1/3, 1, where(t < 1/7, 1/2, 3/4))", R, "TIE: 1/2 is the least value, taken at 0"),
    Row("where(t < 0, 1, 0)", R, "TIE: ties counted as right"),
    Row("where(t < 0, 1, where(t <= 0, 0, 1/2))", R, "TIE: one point, phi(0) = 0"),
    Row("where(t < 0, 1, where(t > 0, 0, 1/2))", P, "gap min(1/2, eta) - (1 - eta)"),
    Row("where(t <= 0, 1, where(t < 1, 2, 0))", P, "a hump on the right: gap min(1, eta) - (1 - eta)"),
    Row("where(abs(t) < 1/4, 1, where(t < 0, 2, 0))", P, "SYM"),
    Row("where(t > 0, exp(-t), 2)", P, "2 for t <= 0: infimum at infinity"),
    Row("max(0, 1 - t) + where(t <= 0, 1, 0)", P, "sum of two consistent losses that satisfy LEMMA"),
    Row("max(0, 1 - t) + where(t < 0, 1, 0)", R, "TIE: C(0) = 1 while C(0+) = 1 + (1 - eta)"),
    Row("softplus(-t) + where(t <= -1, 0.3, 0)", P, "LEMMA: a step on the wrong side"),
]

UNBOUNDED = [
    Row("1 - t", U, "linear"),
    Row("-t**3", U, "eta = 1: -inf at the right end"),
    Row("-t**2", U, "-inf at both ends"),
    Row("-exp(t)", U, "eta = 1"),
    Row("-softplus(t)", U, "C falls like -eta v"),
    Row("softplus(-t) - abs(t) / 5", U, "slope 4/5 - eta at the right end"),
    Row("(0.9 * softplus(-t) - 0.2 * softplus(t)) / 0.7", U, "noise-corrected: slope (0.9 - 1.1 eta)/0.7"),
    Row("(1 - t)**2 - (1 - t)**3 / 10", U, "cubic at the left end"),
]

_LOSSES = {
    "logistic": ("softplus(-v)", "softplus(v)"),
    "hinge": ("max(0, 1 - v)", "max(0, 1 + v)"),
    "squared hinge": ("max(0, 1 - v)**2", "max(0, 1 + v)**2"),
    "sigmoid": ("sigmoid(-v)", "sigmoid(v)"),
    "0-1": ("where(v <= 0, 1, 0)", "where(v >= 0, 1, 0)"),
    "paper": ("softplus(-v) + 0.1 * (max(0, 5 - v) - max(0, -v))", "softplus(v) + 0.1 * (max(0, 5 + v) - max(0, v))"),
}
_QUARTER, _TENTHS, _HALF = Fraction(1, 4), Fraction(7, 10), Fraction(1, 2)


def _weighted(name: str, a: Fraction, at: Fraction) -> Row:
    plus, minus = _LOSSES[name]
    why = f"cost-weighted {name} at a = {a}"
    return Row((f"({1 - a}) * ({plus})", f"({a}) * ({minus})"), P if a == at else R, why, threshold=at)


PAIRS = [
    *(_weighted(name, a, a) for name in _LOSSES for a in (_QUARTER, _TENTHS)),
    *(_weighted(name, _QUARTER, _HALF) for name in _LOSSES),
    Row(("softplus(-v)", "exp(v)"), P, "C'(0) = 1 - 3 eta/2, convex", threshold=Fraction(2, 3)),
    Row(("softplus(-v)", "exp(v)"), R, "C'(0) = 1 - 3 eta/2, convex"),
    Row(("exp(-v)", "max(0, 1 + v)"), P, "C'(0) = 1 - 2 eta, convex"),
    Row(("exp(-v)", "max(0, 1 + v)"), R, "C'(0) = 1 - 2 eta, convex", threshold=Fraction(1, 3)),
    Row(("max(0, 1 - v)", "max(0, 2 + v)"), P, "slope 1 - 2 eta at 0, convex"),
    Row(("max(0, 1 - v)", "max(0, 1 + 2 * v)"), P, "slope 2 - 3 eta at 0, convex", threshold=Fraction(2, 3)),
    Row(("max(0, 1 - v)", "max(0, 1 + 2 * v)"), R, "slope 2 - 3 eta at 0, convex"),
    Row(("max(0, 1 - v)", "max(0, 1 + v)"), R, "the Bayes rule of another threshold", threshold=Fraction(3, 10)),
    Row(("(1 - v)**2", "v**2"), R, "least at v = eta: positive below 1/2"),
    Row(("1 - v", "1 + v"), P, "linear", "bounded:1"),
    Row(("softplus(-v) + abs(v)/2", "softplus(v)"), R, "convex with a kink at 0"),
    Row(("where(v < 1/3, 1, 0)", "where(v > -1/5, 1, 0)"), P, "0 costs 1; the outer steps cost 1 - eta and eta"),
    Row(("where(v < -1/3, 1, 0)", "where(v > -1/5, 1, 0)"), R, "[-1/3, -1/5] costs nothing"),
]

ROWS = [*CONVEX, *BOUNDED, *CURVED, *WELLS, *STEPS, *UNBOUNDED, *PAIRS]
