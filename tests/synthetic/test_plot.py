"""Pictures are figures with the right content, and drawing leaves no global state behind."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from synthetic import GaussianMixture, Law, checkerboard, near_ties, point_mass
from synthetic.plot import law_picture, minimiser_picture
from theory.catalogue import get

LINE = GaussianMixture([0.3, 0.7], [[0.0], [2.0]], [[[1.0]], [[0.2]]], name="line")
PLANE = GaussianMixture([0.3, 0.3, 0.4], [[0.0, 0.1], [1.0, 2.0], [2.0, -1.0]], [[1.0, 0.3], [0.3, 0.8]], name="plane")


def saved(figure: Figure) -> bytes:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=50)
    return held.getvalue()


@pytest.mark.parametrize("law", [LINE, PLANE, checkerboard(4, 0.8), near_ties([0.2], 3)], ids=str)
def test_a_law_has_a_picture(law: Law) -> None:
    figure = law_picture(law, resolution=40)
    assert type(figure) is Figure
    assert figure.axes[0].get_title().startswith(f"{law.name}: R* = ")
    assert len(figure.axes) == (2 if law.dimension == 1 else 1)
    plain = saved(figure)
    assert plain.startswith(b"\x89PNG")
    assert saved(law_picture(law, resolution=40, rng=np.random.default_rng(0))) != plain


def test_the_picture_of_a_line_shows_the_densities() -> None:
    curves = law_picture(LINE, resolution=40).axes[0].get_lines()
    x, y = curves[1].get_data()
    points = np.asarray(x)[:, None]
    np.testing.assert_allclose(y, LINE.density(points) * LINE.posterior(points)[:, 1], rtol=1e-12)


def test_three_dimensions_have_no_picture() -> None:
    law = GaussianMixture([0.5, 0.5], [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], np.eye(3))
    with pytest.raises(ValueError, match="dimension=3 must be 1 or 2"):
        law_picture(law)


def test_the_minimiser_picture_marks_what_is_wrong() -> None:
    axes = minimiser_picture([get("logistic"), get("average-margin-released", mu="0.1", tau=5)], points=200).axes[0]
    logistic, none, released, crosses = axes.get_lines()[:4]
    eta, v = (np.asarray(part) for part in logistic.get_data())
    np.testing.assert_allclose(v, np.log(eta / (1.0 - eta)), rtol=1e-5, atol=1e-5)  # a searched minimiser
    assert np.asarray(none.get_xdata()).size == 0
    wrong = np.asarray(crosses.get_xdata())
    assert np.array_equal(wrong, eta[np.maximum(eta, 1.0 - eta) <= 6.0 / 11.0])
    assert released.get_label() == "average-margin-released"


def test_no_losses_have_no_picture() -> None:
    with pytest.raises(ValueError, match=r"len\(losses\)=0"):
        minimiser_picture([])


def test_drawing_uses_no_global_state() -> None:
    before = "matplotlib.pyplot" in sys.modules
    law_picture(point_mass([0.4, 0.6]), resolution=20)
    assert ("matplotlib.pyplot" in sys.modules) == before
