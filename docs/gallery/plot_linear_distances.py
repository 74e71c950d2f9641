"""
Exact distances of a linear classifier
======================================

How far a point is from being classified otherwise, exactly, for three classes in the plane: in the Euclidean norm
(circles) and in the maximum norm (squares). Both shapes touch the boundary and do not cross it.
"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from theory import linear_margins

rng = np.random.default_rng(8)
weight, bias = rng.normal(size=(3, 2)), rng.normal(size=3) / 4.0
points = rng.uniform(-2.0, 2.0, size=(7, 2))
side = np.linspace(-3.0, 3.0, 301)
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
chosen = (plane @ weight.T + bias).argmax(axis=1).reshape(301, 301)
figure = Figure(figsize=(5.2, 5.0), layout="constrained")
axes = figure.add_subplot()
axes.contourf(side, side, chosen, levels=[-0.5, 0.5, 1.5, 2.5], colors=["#4477aa", "#ee6677", "#228833"], alpha=0.25)
label = (points @ weight.T + bias).argmax(axis=1)
round_, square = (linear_margins(weight, bias, points, label, norm=norm) for norm in ("l2", "linf"))
for point, r, s in zip(points, round_, square, strict=True):
    axes.add_patch(Circle(point, r, fill=False, linewidth=1.2))
    axes.add_patch(Rectangle(point - s, 2 * s, 2 * s, fill=False, linewidth=1.0, linestyle="--"))
axes.plot(*points.T, "k.")
axes.set(xlim=(-3, 3), ylim=(-3, 3), xlabel="x1", ylabel="x2", aspect="equal")
