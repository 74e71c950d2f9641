"""
A certificate under two arithmetics
===================================

A certificate divides the posteriors into cells and, above each cell, the wrong scores into boxes; every box names the
rule that settles it, and a checker computes its bound again. Here is the cover for the paper's loss. Two checkers that
share no arithmetic, one with balls of python-flint and one with integers of its own, read the same JSON.
"""

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from theory import catalogue, check, check_second, prove

certificate = prove(catalogue.get("average-margin", mu="0.1", tau=5)).certificate
first, second = check(certificate), check_second(certificate)


def end(text):
    """The end of an interval, half-lines cut at 8."""
    if text in ("-inf", "inf"):
        return -8.0 if text == "-inf" else 8.0
    top, _, bottom = text.partition("/")
    return max(-8.0, min(8.0, int(top) / int(bottom or 1)))


figure = Figure(figsize=(7.2, 4.0), layout="constrained")
axes = figure.add_subplot()
colours = {"reflect": "#ccbb44", "candidate": "#4477aa", "tie": "#ee6677"}
for side in certificate["sides"]:
    for cell in side["cells"]:
        low, high = map(end, cell["eta"])
        for box in cell["boxes"]:
            left, right = map(end, box["v"])
            colour = colours.get(box["rule"], "#bbbbbb")
            axes.add_patch(Rectangle((left, low), right - left, high - low, facecolor=colour, edgecolor="white"))
for rule, colour in colours.items():
    axes.plot([], [], "s", color=colour, label=rule)
axes.set(xlim=(-8.2, 0.2), ylim=(0.48, 1.02), xlabel="wrong score t (the leftmost boxes go to minus infinity)")
axes.set_ylabel("eta; below 1/2 by reflection")
axes.legend(title="rule", ncols=3, loc="lower left", fontsize=8)
axes.set_title(f"flint: {first.valid}, {first.boxes} boxes; second: {second.verified}, {second.boxes} boxes")
