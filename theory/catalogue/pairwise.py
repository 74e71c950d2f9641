"""Sums over the other classes of a loss of f_y - f_k (gamma-phi losses with gamma(u) = u), and subset losses."""

from __future__ import annotations

from . import sources
from .entry import Claim, Entry, Parameter

_POSITIVE = Parameter("1", low="0", low_open=True)
_SMOOTH = "phi falls, is differentiable and phi'(0) < 0"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "weston-watkins",
        "Weston-Watkins hinge, sum over k != y of max(0, 1 - (f_y - f_k))",
        f"{sources.LIU}; {sources.WANG_SCOTT_HINGE}",
        (
            Claim(True, "the hinge", ("classes <= 2",)),
            Claim(False, "ties the two likeliest classes at p = (0.4, 0.35, 0.25)", ("classes >= 3",)),
        ),
        binary="max(0, 1 - t)",
        multiclass="sum_other(max(0, 1 - (fy - fk)))",
        minimiser="1",
        psi="theta",
    ),
    Entry(
        "pairwise-squared-hinge",
        "Squared hinge of every difference; c times PyTorch's MultiMarginLoss with p = 2",
        f"{sources.ZHANG}; {sources.TEWARI}; {sources.AWASTHI}",
        (Claim(True, _SMOOTH),),
        multiclass="sum_other(max(0, 1 - (fy - fk))**2)",
    ),
    Entry(
        "pairwise-huberised-hinge",
        "Huberised hinge of every difference; nears the Weston-Watkins hinge as d falls to 0",
        sources.ZHANG,
        (Claim(True, _SMOOTH),),
        multiclass="sum_other((max(0, 1 - (fy - fk))**2 - max(0, 1 - d - (fy - fk))**2) / (2 * d))",
        parameters={"d": Parameter("1", low="0", low_open=True, high="1")},
        also=({"d": "1/50"},),
    ),
    Entry(
        "pairwise-logistic",
        "Logistic loss of every difference",
        f"{sources.ZHANG}; {sources.TEWARI}",
        (Claim(True, _SMOOTH),),
        multiclass="sum_other(softplus(fk - fy))",
    ),
    Entry(
        "pairwise-exponential",
        "Exponential loss of every difference, 1/q - 1: the comp-sum loss with tau = 0",
        f"{sources.ZHANG}; {sources.MAO}",
        (Claim(True, _SMOOTH),),
        binary="exp(-t)",
        multiclass="sum_other(exp(fk - fy))",
        minimiser="log(eta / (1 - eta)) / 2",
        psi="1 - sqrt(1 - theta**2)",
        note="c classes: the minimiser is log(p) / 2 + constant",
        aliases=("sum-exponential",),
    ),
    Entry(
        "pairwise-sigmoid",
        "Sigmoid loss of every difference",
        f"{sources.ZHANG}; {sources.WANG_SCOTT_GAMMA_PHI}",
        (Claim(True, "phi falls, is differentiable and bounded"),),
        multiclass="sum_other(sigmoid(fk - fy))",
    ),
    Entry(
        "pairwise-least-squares",
        "Squared error (1 - (f_y - f_k))^2 of every difference",
        sources.HERE,
        (Claim(True, "derived: f_k = (c p_k - 1 + P) / (c p_k + 1) + constant with P = sum p_k f_k rises with p_k"),),
        multiclass="sum_other((1 - (fy - fk))**2)",
    ),
    Entry(
        "pairwise-rho-margin",
        "Ramp clip(1 - (f_y - f_k) / rho, 0, 1) of every difference",
        sources.AWASTHI,
        (Claim(True, "sum rho-margin loss"),),
        multiclass="sum_other(clip(1 - (fy - fk) / rho, 0, 1))",
        parameters={"rho": _POSITIVE},
    ),
    Entry(
        "adversarial-zero-one",
        "Largest (sum over j in S of (f_j - f_y) + |S| - 1) / |S| over nonempty sets S of classes",
        "Fathony, Liu, Asif & Ziebart (2016), NIPS; Duchi, Khosravi & Ruan (2018), Annals of Statistics 46:3246-3275",
        (Claim(True, "polyhedral; the least risk is 1 - max p"),),
        multiclass="max(0, max_other(fk - fy), max_other((fk - fy + 1) / 2), "
        "(sum_other(fk) - 2 * fy + 1) / 2, (sum_other(fk) - 2 * fy + 2) / 3)",
        only=(3,),
        note="written for three classes: the language has no sum of the m largest scores",
        aliases=("al01", "duchi-khosravi-ruan-hinge"),
    ),
)
