"""Losses of the scores themselves: sum-to-zero constraints, one against all, bounded scores."""

from __future__ import annotations

from dataclasses import replace

from . import sources
from .entry import Claim, Entry, Parameter

_STATIONARY = "the stationary point orders the scores as the posterior"
_NAIVE = "where p_k = 0 the score f_k pays for any order of the others"

LEE_LIN_WAHBA = Entry(
    "lee-lin-wahba",
    "Lee-Lin-Wahba hinge: sum over k != y of max(0, f_k + 1 / (c - 1)), scores that sum to zero",
    f"{sources.LEE}; {sources.LIU}",
    (Claim(True, "the minimiser is 1 at the likeliest class and -1 / (c - 1) elsewhere"),),
    multiclass="sum_other(max(0, fk + 1 / (c - 1)))",
    domain="sum-zero",
)
ONE_VS_ALL_HINGE = Entry(
    "one-vs-all-hinge",
    "One-against-all hinge: max(0, 1 - f_y) + sum over k != y of max(0, 1 + f_k)",
    sources.LIU,
    (
        Claim(True, "each score is a binary hinge, of opposite sign at the other class", ("classes <= 2",)),
        Claim(False, "all scores are -1 where no p_k exceeds 1/2", ("classes >= 3",)),
    ),
    multiclass="max(0, 1 - fy) + sum_other(max(0, 1 + fk))",
    note="consistent on max p > 1/2",
)

ENTRIES: tuple[Entry, ...] = (
    LEE_LIN_WAHBA,
    replace(
        LEE_LIN_WAHBA,
        name="lee-lin-wahba-unconstrained",
        title="Lee-Lin-Wahba hinge of unconstrained scores",
        source=sources.HERE,
        claims=(Claim(False, "derived: equal scores -1 / (c - 1) cost nothing"),),
        domain="all",
    ),
    ONE_VS_ALL_HINGE,
    replace(
        ONE_VS_ALL_HINGE,
        name="one-vs-all-hinge-sum-zero",
        title="One-against-all hinge of scores that sum to zero",
        source=f"numerical for c = 3; {sources.HERE}",
        claims=(
            Claim(True, "twice a hinge of the difference", ("classes <= 2",)),
            Claim(True, "numerical", ("classes <= 3",)),
            Claim(False, "derived: (1, 1, -1, -1) wins where p_1 < 2 p_2 and no class dominates", ("classes <= 4",)),
        ),
        domain="sum-zero",
        note="the verdict depends on the number of classes; see prove from 5 on",
    ),
    Entry(
        "one-vs-all-logistic",
        "One-against-all logistic loss",
        sources.ZHANG,
        (Claim(True, "the minimiser is f_k = log(p_k / (1 - p_k))"),),
        multiclass="softplus(-fy) + sum_other(softplus(fk))",
        aliases=("binary-relevance-logistic",),
    ),
    Entry(
        "one-vs-all-squared-hinge",
        "One-against-all squared hinge",
        sources.ZHANG,
        (Claim(True, "the minimiser is f_k = 2 p_k - 1"),),
        multiclass="max(0, 1 - fy)**2 + sum_other(max(0, 1 + fk)**2)",
    ),
    Entry(
        "one-vs-all-least-squares",
        "Squared distance of the scores from the one-hot label",
        f"{sources.ZHANG}; Ramaswamy & Agarwal (2016), JMLR 17(14):1-45",
        (Claim(True, "the minimiser is f = p; the gap of class j is (max p - p_j)^2 / 2"),),
        multiclass="(fy - 1)**2 + sum_other(fk**2)",
        aliases=("one-hot-squared-error",),
    ),
    Entry(
        "reinforced-hinge",
        "g max(0, c - 1 - f_y) + (1 - g) sum over k != y of max(0, 1 + f_k), scores that sum to zero",
        "Liu & Yuan (2011), Journal of Computational and Graphical Statistics 20:901-919",
        (
            Claim(True, "a hinge of the difference", ("classes <= 2",)),
            Claim(True, "the second term decides", ("g <= 1/2",)),
            Claim(False, "two top scores win where p_2 - p_3 > (1 - g)(p_1 + p_2), c = 3", ("g > 1/2",)),
        ),
        multiclass="g * max(0, (c - 1) - fy) + (1 - g) * sum_other(max(0, 1 + fk))",
        parameters={"g": Parameter("1/2", low="0", high="1")},
        also=({"g": "1/4"}, {"g": "3/5"}),
        domain="sum-zero",
    ),
    Entry(
        "naive-exponential",
        "exp(-f_y) of scores that sum to zero; SAMME up to scale",
        f"{sources.ZOU}; {sources.TEWARI}",
        (
            Claim(True, "the exponential loss", ("classes <= 2",)),
            Claim(False, _NAIVE, ("classes >= 3",), interior=True),
        ),
        multiclass="exp(-fy)",
        domain="sum-zero",
        aliases=("samme",),
    ),
    Entry(
        "naive-logistic",
        "log(1 + exp(-f_y)) of scores that sum to zero",
        f"{sources.ZOU}; {sources.TEWARI}",
        (
            Claim(True, "the logistic loss", ("classes <= 2",)),
            Claim(False, _NAIVE, ("classes >= 3",), interior=True),
        ),
        multiclass="softplus(-fy)",
        domain="sum-zero",
    ),
    Entry(
        "naive-least-squares",
        "(1 - f_y)^2 of scores that sum to zero",
        f"{sources.ZOU}; {sources.TEWARI}",
        (
            Claim(True, "squared error", ("classes <= 2",)),
            Claim(False, _NAIVE, ("classes >= 3",), interior=True),
        ),
        multiclass="(1 - fy)**2",
        domain="sum-zero",
    ),
    Entry(
        "constrained-hinge",
        "Sum over k != y of max(0, 1 + f_k), scores that sum to zero: Lee-Lin-Wahba, rescaled",
        f"{sources.LEE}; {sources.AWASTHI}",
        (Claim(True, "sum of (1 - p_k) max(0, 1 + f_k), linear where no score is below -1"),),
        multiclass="sum_other(max(0, 1 + fk))",
        domain="sum-zero",
    ),
    Entry(
        "constrained-squared-hinge",
        "Sum over k != y of max(0, 1 + f_k)^2, scores that sum to zero",
        f"{sources.AWASTHI}; {sources.ZHANG}",
        (Claim(True, _STATIONARY),),
        multiclass="sum_other(max(0, 1 + fk)**2)",
        domain="sum-zero",
    ),
    Entry(
        "constrained-exponential",
        "Sum over k != y of exp(f_k), scores that sum to zero",
        f"{sources.AWASTHI}; {sources.ZHANG}",
        (Claim(True, "f_k = -log(1 - p_k) + constant"),),
        multiclass="sum_other(exp(fk))",
        domain="sum-zero",
    ),
    Entry(
        "constrained-logistic",
        "Sum over k != y of log(1 + exp(f_k)), scores that sum to zero",
        f"{sources.ZHANG}; {sources.HERE}",
        (Claim(True, "derived: (1 - p_k) sigmoid(f_k) is constant, so f_k rises with p_k"),),
        multiclass="sum_other(softplus(fk))",
        domain="sum-zero",
    ),
    Entry(
        "constrained-rho-margin",
        "Sum over k != y of clip(1 + f_k / rho, 0, 1), scores that sum to zero",
        sources.AWASTHI,
        (Claim(True, "constrained rho-margin loss"),),
        multiclass="sum_other(clip(1 + fk / rho, 0, 1))",
        parameters={"rho": Parameter("1", low="0", low_open=True)},
        domain="sum-zero",
    ),
    Entry(
        "constrained-least-squares",
        "Sum over k != y of (1 + f_k)^2, scores that sum to zero",
        sources.ZHANG,
        (Claim(True, "f_k = constant / (1 - p_k) - 1"),),
        multiclass="sum_other((1 + fk)**2)",
        domain="sum-zero",
    ),
    Entry(
        "multiclass-unhinged",
        "-f_y for scores that sum to zero in the ball |f| <= bound",
        f"{sources.UNHINGED}; {sources.HERE}",
        (Claim(True, "the minimiser is bound (p - 1/c) / |p - 1/c|; without a bound the risk has no infimum"),),
        multiclass="-fy",
        parameters={"bound": Parameter("1", low="0", low_open=True)},
        domain="ball:bound",
    ),
)
