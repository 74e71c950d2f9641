"""More binary losses with verdicts derived by hand: what a learning theorist might type. Terms as in `rows`.

FLAT: phi'(0) = 0, decided by the first derivatives at 0 that do not vanish.
"""

from __future__ import annotations

from fractions import Fraction

from tests.theory.rows import P, R, Row, U

_THIRD, _QUARTER = Fraction(1, 3), Fraction(1, 4)

ROBUST = [
    Row("softplus(-t) + (1 - sigmoid(t)) / 2", P, "LEMMA: symmetric cross-entropy, a sum of two that satisfy it"),
    Row("(2 * atan(t) - 1)**2", P, "LEMMA: tangent loss, phi(-t) - phi(t) = 8 atan t, phi'(0) = -4"),
    Row("1 / (1 + exp(2 * t))**2", P, "LEMMA: Savage"),
    Row("softplus(-t) / (softplus(-t) + softplus(t))", P, "SYM: normalised logistic"),
    Row("max(0, 1 - t) / (max(0, 1 - t) + max(0, 1 + t))", P, "SYM: normalised hinge, the ramp"),
    Row("1 - sigmoid(t) + (1 - sigmoid(t))**2 / 2", P, "LEMMA: Taylor cross-entropy, difference 3/2 tanh(t/2)"),
    Row("sigmoid(-t)**2 * softplus(-t)", P, "LEMMA: focal, a product of decreasing positive functions"),
    Row("softplus(-t) + 2 * sigmoid(-t)", P, "LEMMA: poly-1"),
    Row("log((exp(1 - t) + exp(t - 1)) / 2)", P, "BJM: log-cosh of 1 - t, phi'(0) = -tanh(1)"),
    Row("log(1 + (1 - t)**2 / 4)", P, "LEMMA: Cauchy, increasing in |1 - t|"),
    Row("1 - exp(-(1 - t)**2 / 2)", P, "LEMMA: Welsch"),
    Row("where(abs(1 - t) < 2, 1 - (1 - (1 - t)**2 / 4)**3, 1)", P, "Tukey: 1 beyond, C(1) = 1 - eta"),
    Row("log(1 + sigmoid(-t))", P, "LEMMA: decreasing, bounded"),
    Row("where(t < 0, 1 + log(1 - t), max(0, 1 - t))", P, "LEMMA: log tail, slopes -1 and -1"),
    Row("softplus(-t) + 0.3 * exp(-50 * (t + 1/2)**2)", P, "LEMMA: a bump on the wrong side"),
    Row("(0.8 * softplus(-t) - 0.2 * softplus(t)) / 0.6", P, "BJM: noise-corrected, phi'(0) = -5/6", "bounded:4"),
    Row("0.75 * softplus(-t) - 0.25 * softplus(t)", U, "peer loss: slope -eta/4 + 3 (1 - eta)/4 far right"),
    Row("0.75 * softplus(-t) - 0.25 * softplus(t)", P, "peer loss: convex, phi'(0) = -1/2", "bounded:3"),
    Row("sigmoid(-t) * (1 + t / 10)", U, "linear at the left end"),
]

FORMS = [
    Row("1 - exp(-softplus(-t))", P, "SYM: it is sigmoid(-t)"),
    Row("softplus(-t) * (1 + exp(-t))", P, "LEMMA: product of decreasing positive functions"),
    Row("exp(-t) / (1 + exp(-t))", P, "SYM"),
    Row("softplus(-t)**2 / (1 + softplus(-t))", P, "LEMMA: x^2/(1 + x) increases"),
    Row("1 / (1 + exp(t))**0.5", P, "LEMMA: decreasing"),
    Row("1 - sqrt(sigmoid(t))", P, "LEMMA: decreasing"),
    Row("log(2) - log(1 + tanh(t))", P, "BJM: it is softplus(-2 t)"),
    Row("-log(1 - sigmoid(-t))", P, "BJM: logistic"),
    Row("sqrt(1 + exp(-2 * t))", P, "LEMMA: decreasing"),
    Row("exp(max(0, 1 - t)**2) - 1", P, "BJM: phi'(0) = -2e"),
    Row("(1 - t) * exp(-t)", P, "LEMMA: phi(-t) - phi(t) = 2 sinh t + 2 t cosh t"),
    Row("t * exp(t)", R, "eta = 1: least at -1"),
    Row("abs(t - 1) - abs(t + 1)", P, "SYM: -2 clip(t, -1, 1)"),
    Row("abs(t - 1) + abs(t + 1) - abs(t)", R, "even"),
    Row("max(0, 1 - t)**2 * (1 + t**2)", P, "LEMMA: difference 4 t (1 + t^2) up to 1"),
    Row("max(0, 1000000 - t)", P, "BJM: hinge far out", fine=True, far=True),
    Row("-tanh(t) * (1 + exp(-t**2))", P, "SYM: odd, negative to the right"),
    Row("t / (1 + t**2) - t", U, "linear"),
    Row("sqrt(1 + t**2) - t", P, "BJM: convex, phi'(0) = -1"),
    Row("log(1 + exp(-t) + exp(-t / 2))", P, "BJM: phi'(0) = -1/2"),
    Row("exp(-t) - log(exp(-t))", R, "exp(-t) + t: phi'(0) = 0, least at 0"),
    Row("softplus(-t) + log(1 + t**2) / 10", P, "LEMMA: an even regulariser, flat at 0"),
    Row("-t", P, "linear", "bounded:1/3"),
    Row("where(t < 0, sqrt(1 - t), 1 - t / 2)", P, "LEMMA: slopes -1/2 and -1/2", "bounded:1"),
    Row("exp(t)", R, "increasing", "bounded:1"),
]

FLAT = [
    Row("max(0, 1 - where(t > 0, sqrt(t), -sqrt(-t)))", P, "LEMMA: vertical at 0"),
    Row("max(0, 1 - where(t > 0, t**1.5, -(-t)**1.5))", P, "FLAT: phi(t) + phi(-t) = 2 near 0, phi falls"),
    Row("max(0, where(t > 0, 1 - t**2, 1 + t**2))", P, "FLAT: C = 1 - (2 eta - 1) t^2"),
    Row("max(0, where(t > 0, 1 - t**2, 1 + 2 * t**2))", R, "TIE: C = 1 + (2 - 3 eta) t^2 to the right"),
    Row("where(t > 0, exp(-t**2), 2 - exp(-t**2))", P, "SYM, FLAT: second derivatives -2 and 2"),
    Row("1 + t**2 - t**3 + t**4", R, "FLAT: C_{1/2} = 1 + t^2 + t^4, TIE near eta = 1/2"),
    Row("softplus(-t**5)", P, "FLAT: logistic of t^5", fine=True),
    Row("exp(-t**3) + t**4 / 8", P, "FLAT: order 3 beats order 4", fine=True),
]

MORE_PAIRS = [
    Row(("exp(-v)", "3 * exp(v)"), P, "C'(0) = 3 - 4 eta, convex", threshold=Fraction(3, 4)),
    Row(("exp(-v)", "3 * exp(v)"), R, "C'(0) = 3 - 4 eta, convex"),
    Row(("softplus(-v)", "v**2 + v"), P, "C'(0) = 1 - 3 eta/2, convex", threshold=Fraction(2, 3)),
    Row(("max(0, 2 - v)**2", "max(0, 1 + v)**2"), P, "C'(0) = 2 - 6 eta, convex", threshold=_THIRD),
    Row(("where(v <= 0, 3, 0)", "where(v >= 0, 1, 0)"), P, "3 eta against 1 - eta", threshold=_QUARTER),
    Row(("where(v <= 0, 3, 0)", "where(v >= 0, 1, 0)"), R, "3 eta against 1 - eta"),
    Row(("max(0, 1 - v)", "max(0, 5 + v)"), P, "slope 1 - 2 eta up to |v| = 1, convex"),
    Row(
        ("sigmoid(-v)", "2 * sigmoid(v)"),
        P,
        "eta sigma(-v) + 2 (1 - eta) sigma(v), linear in sigma",
        threshold=Fraction(2, 3),
    ),
    Row(("1 - v / 2", "1 + v"), P, "linear: slope 1 - 3 eta/2", "bounded:3", threshold=Fraction(2, 3)),
]

MORE_ROWS = [*ROBUST, *FORMS, *FLAT, *MORE_PAIRS]
