"""
Calibration functions with certified bounds
===========================================

Cross-entropy pays quadratically for small excess 0-1 risks, the average-margin loss linearly, the released penalty
nothing at all.
"""

from theory import calibration_function, catalogue
from theory.plot import calibration

losses = [
    catalogue.get("logistic"),
    catalogue.get("average-margin", mu=1, tau=2),
    catalogue.get("average-margin-released", mu=1, tau=2),
]
figure = calibration(*(calibration_function(loss, points=33) for loss in losses))
