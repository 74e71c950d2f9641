"""
Refutations in the simplex
==========================

Three classes. For the hinges of Crammer and Singer and of Weston and Watkins, posteriors at which a float search sees a
wrong class on top (red), and the exact posterior of the certified refutation (star). Evidence and proof are two things:
the dots are searched, the star comes from a certificate that was checked.
"""

from fractions import Fraction

import numpy as np
from matplotlib.figure import Figure

from theory import catalogue, check, multiclass_minimiser, prove

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3.0) / 2.0]])
steps = 24
grid = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
p = np.array([g for g in grid if sorted(g)[-1] > sorted(g)[-2]]) / steps
figure = Figure(figsize=(9.0, 3.8), layout="constrained")
for panel, name in zip(figure.subplots(1, 2), ("crammer-singer", "weston-watkins"), strict=True):
    loss = catalogue.get(name)
    scores, _ = multiclass_minimiser(loss, p, starts=3)
    tied = scores >= scores.max(axis=1, keepdims=True) - 1e-6
    wrong = (tied & (p < p.max(axis=1, keepdims=True))).any(axis=1)
    place = p @ CORNERS
    panel.scatter(*place[~wrong].T, s=9, color="#bbccdd", label="right class on top")
    panel.scatter(*place[wrong].T, s=9, color="#cc3311", label="wrong or tied (searched)")
    verdict = prove(loss, classes=3)
    assert check(verdict.certificate).valid
    exact = [Fraction(each) for each in verdict.witness["p"]]
    panel.plot(*(np.array(exact, dtype=float) @ CORNERS), "k*", markersize=13, label="exact witness (certified)")
    panel.plot(*CORNERS[[0, 1, 2, 0]].T, "k", linewidth=0.8)
    for k, corner in enumerate(CORNERS):
        panel.annotate(f"class {k}", corner, xytext=(0, 6 if k == 2 else -12), textcoords="offset points", ha="center")
    panel.set_title(f"{name}: p = ({', '.join(map(str, exact))})", fontsize=9)
    panel.set_aspect("equal")
    panel.set_axis_off()
figure.axes[0].legend(fontsize=7, loc="upper left", frameon=False)
