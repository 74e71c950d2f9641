"""
The gap for three classes, enclosed
===================================

How much risk a wrong class costs at least, as a function of how much less probable it is: certified lower and upper
bounds of delta(eps) at c = 3. The convex envelope below the bounds is what the excess-risk inequality uses.
"""

from matplotlib.figure import Figure

from theory import calibration_function, catalogue

psi = calibration_function(catalogue.get("average-margin", mu=1, tau=1), classes=3, points=4, seconds=30)
eps = [float(at) for at, _, _ in psi.gap]
low, high = ([float(row[k]) for row in psi.gap] for k in (1, 2))
figure = Figure(figsize=(6.4, 4.0), layout="constrained")
axes = figure.add_subplot()
axes.vlines(eps, low, high, color="#4477aa", linewidth=6, alpha=0.4, label="delta(eps), certified interval")
axes.plot(eps, low, "_", color="#4477aa", markersize=14)
axes.plot(eps, high, "_", color="#4477aa", markersize=14)
knots = [float(at) for at, _ in psi.lower_vertices]
axes.plot(knots, [float(value) for _, value in psi.lower_vertices], color="#228833", label="psi, certified from below")
axes.set(xlabel="eps = max p - p_j", ylabel="risk above the least", xlim=(0.0, 1.02), ylim=(0.0, None))
axes.legend(frameon=False)
