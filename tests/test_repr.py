"""What results show of themselves: one line for a terminal, a table for a notebook; hostile names stay text."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import theory
from deep import Distances, Table, distances_table, run_table
from deep import plot as deep_plot
from theory import _html, catalogue

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</caption></table><iframe src=//elsewhere>",
    "&lt;b&gt; <b>",
    "{{ 7 * 7 }}",
)
TAGS = {"table", "caption", "tr", "th", "td"}


class Tags(HTMLParser):
    """The tags and attributes of a piece of HTML, and its text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: set[str] = set()
        self.attributes: list[object] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Tags:
    """The page, after checking that it holds tables and nothing else."""
    found = Tags()
    found.feed(html)
    assert found.seen <= TAGS
    assert found.attributes == []
    assert html.count("<table>") == html.count("</table>") == 1
    return found


def test_a_page_that_does_not_escape_is_noticed() -> None:
    with pytest.raises(AssertionError):
        read(f"<table><caption>{HOSTILE[0]}</caption></table>")
    with pytest.raises(AssertionError):
        read(f"<table><caption>{HOSTILE[1]}</caption></table>")


def test_a_verdict_shows_itself() -> None:
    proved = theory.prove(catalogue.get("hinge"))
    assert re.fullmatch(r"<Verdict PROVED \((symbolic|certified)\): hinge.*>", repr(proved))
    assert "certificate" in read(proved._repr_html_()).text
    refuted = theory.prove(catalogue.get("perceptron"))
    assert refuted.witness is not None
    shown = read(refuted._repr_html_()).text
    assert refuted.witness["eta"] in shown
    assert "REFUTED" in shown
    assert len(repr(refuted)) < 250


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_losses_stay_text(name: str) -> None:
    verdict = replace(theory.prove(catalogue.get("hinge")), loss=name, advice=name, witness={name: [name]})
    assert read(verdict._repr_html_()).text.count(name) >= 3
    found = replace(theory.calibration_function(catalogue.get("hinge"), points=3), loss=name)
    assert name in read(found._repr_html_()).text
    assert "\n" not in repr(replace(verdict, loss=f"{name}\n" * 50))
    measured = {name: distances(method=name)}
    assert read(distances_table(measured)._repr_html_()).text.count(name) == 2
    assert name in read(Table(name, (name,), ((name,),))._repr_html_()).text
    figure = deep_plot.distribution(distances(), labels=[f"{name} $\\frac$ $"])
    figure.savefig("/dev/null", format="svg")  # mathtext in a name must not be read


def test_a_search_shows_itself() -> None:
    def loss(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.maximum(0.0, -np.take_along_axis(scores, y[:, None], 1)[:, 0])

    found = theory.search(loss, 2, rng=np.random.default_rng(0), posteriors=3, starts=1, name="<i>")
    shown = read(found._repr_html_()).text
    assert "searched" in shown
    assert "UNDECIDED" in shown
    assert "<i>" in shown


def test_a_calibration_function_shows_bounds_that_hold() -> None:
    found = theory.calibration_function(catalogue.get("logistic"), points=9)
    assert repr(found).startswith("<CalibrationFunction (certified) of logistic: psi(0.5) in [")
    low, high = (Fraction(text) for text in re.findall(r"in \[([\d.e-]+), ([\d.e-]+)\]", repr(found))[0])
    assert low <= found("1/2")[0]
    assert high >= found("1/2")[1]
    assert len(repr(found)) < 200
    cells = re.findall(r"<td>([^<]*)</td>", found._repr_html_())
    for (_, lower, upper), k in zip(found.table(), range(0, 30, 3), strict=True):
        assert Fraction(cells[k + 1]) <= lower <= upper <= Fraction(cells[k + 2])


@given(st.fractions() | st.floats(allow_nan=False, allow_infinity=False).map(Fraction))
def test_shown_bounds_are_rounded_outward(value: Fraction) -> None:
    assert Fraction(_html.at_least(value)) <= value <= Fraction(_html.at_most(value))


def test_rounding_to_nearest_would_not_do() -> None:
    assert Fraction(f"{2 / 3:.6g}") > Fraction(2, 3) >= Fraction(_html.at_least(Fraction(2, 3)))


@given(st.text(), st.lists(st.tuples(st.text(), st.text() | st.floats() | st.none()), max_size=3))
def test_any_text_stays_text(title: str, rows: list[tuple[str, object]]) -> None:
    read(_html.pairs(title, rows))
    read(_html.table(title, ("a", title), rows))


# -- deep ------------------------------------------------------------------------------------------------------------


def distances(kind: str = "exact", method: str = "linear") -> Distances:
    """Six distances, two of misclassified images, one not found."""
    values = torch.tensor([0.5, 1.5, 0.25, 0.75, 2.0, float("inf")], dtype=torch.float64)
    return Distances(values, torch.tensor([True, True, False, True, False, True]), kind, method=method)


class Run:
    """Metrics of two epochs."""

    status = "done"
    metrics = (
        {"train_margin_mean": 0.0, "train_margin_min": -1.0},
        {"train_margin_mean": 2.0, "train_margin_min": -0.5},
    )


def test_tables_of_distances_and_runs() -> None:
    table = distances_table({"one": distances(), "two": distances("upper", "attack")}, eps=[0.6])
    assert table.header[-2:] == ("robust at 0.6", "method")
    assert [row[1] for row in table.rows] == ["exact", "upper"]
    assert table.rows[0][-2] == pytest.approx(3 / 6)
    assert "upper" in repr(table)
    runs = run_table({"<b>": Run()}, part="train")
    assert runs.rows[0][:3] == ("<b>", "done", 1)
    assert runs.rows[0][5:7] == (2.0, -0.5)
    assert "<b>" in read(runs._repr_html_()).text
    with pytest.raises(ValueError, match="part='all' must be"):
        run_table({"a": Run()}, part="all")
    with pytest.raises(ValueError, match="has 1 entries"):
        Table("t", ("a", "b"), (("x",),))


def test_the_distribution_counts_every_image() -> None:
    figure = deep_plot.distribution(distances(), distances().values[:5].numpy(), labels=["a", "b"])
    signed, plain = figure.axes[0].lines[:2]
    assert signed.get_xdata()[0] == -2.0  # type: ignore[index]
    assert max(signed.get_ydata()) == pytest.approx(5 / 6)  # type: ignore[arg-type]
    assert max(plain.get_ydata()) == 1.0  # type: ignore[arg-type]
    assert "exact: linear" in str(figure.axes[0].get_legend_handles_labels()[1])
    only_infinite = Distances(torch.tensor([torch.inf]).double(), torch.tensor([True]), "upper")
    assert len(deep_plot.distribution(only_infinite).axes[0].lines[0].get_xdata()) == 0  # type: ignore[arg-type]
    lost = Distances(torch.tensor([torch.inf, 1.0]).double(), torch.tensor([False, True]), "upper")
    assert list(deep_plot.distribution(lost).axes[0].lines[0].get_ydata()) == [0.5, 1.0]  # type: ignore[arg-type]


def test_robust_accuracy_is_that_of_the_distances() -> None:
    eps = [0.0, 0.6, 3.0]
    line = deep_plot.robust_accuracy(distances(), eps=eps).axes[0].lines[0]
    assert list(line.get_ydata()) == [distances().robust_accuracy(e) for e in eps]  # type: ignore[arg-type]
    drawn = deep_plot.robust_accuracy(distances(), distances("upper")).axes[0].lines
    assert {line.get_linestyle() for line in drawn} == {"-", "-."}
    assert (np.diff(np.asarray(drawn[0].get_ydata())) <= 0).all()


def test_curves_through_training() -> None:
    figure = deep_plot.through_training(Run(), labels=["mine"])
    left, right = figure.axes
    assert list(left.lines[0].get_ydata()) == [0.0, 2.0]  # type: ignore[arg-type]
    assert list(right.lines[0].get_ydata()) == [-1.0, -0.5]  # type: ignore[arg-type]
    assert "minimum" in right.get_ylabel()


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: deep_plot.distribution(), "at least one"),
        (lambda: deep_plot.distribution(distances(), labels=["a", "b"]), "labels has 2"),
        (lambda: deep_plot.distribution([1.0, float("nan")]), "no NaN"),
        (lambda: deep_plot.distribution([[1.0]]), r"shape \(1, 1\)"),
        (lambda: deep_plot.robust_accuracy(distances(), eps=[-1.0]), "eps=-1.0"),
        (lambda: deep_plot.through_training(Run(), part="test"), "no metric 'test_margin_mean'"),
        (lambda: deep_plot.through_training(), "at least one"),
    ],
)
def test_wrong_input_to_pictures(draw: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw()  # type: ignore[operator]


def test_pictures_leave_pyplot_alone() -> None:
    import subprocess
    import sys

    program = (
        "import sys, torch, deep, theory.plot, synthetic.plot\n"
        "d = deep.Distances(torch.tensor([1.0]).double(), torch.tensor([True]), 'exact')\n"
        "deep.plot.distribution(d); deep.plot.robust_accuracy(d)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert isinstance(deep_plot.distribution(distances()), Figure)
