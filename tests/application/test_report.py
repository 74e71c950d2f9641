"""A small `reproduce` from end to end, its report, and the sentences that the report makes from numbers."""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avgmargin.common.figures import inline
from avgmargin.jobs import plan, pool
from avgmargin.jobs.job import PARTS
from avgmargin.laws import verification
from avgmargin.proving import proofs
from avgmargin.report import assemble as report
from avgmargin.report import sentences
from avgmargin.report.drawings import draw

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SECTIONS = ("summary", "verdicts", "near-tie", "synthetic", "training", "environment", "commands")


@pytest.fixture(scope="module")
def folder(reproduced: dict[str, Any]) -> Path:
    place = reproduced["folders"]["first"]
    assert isinstance(place, Path)
    return place


@pytest.fixture
def made(folder: Path) -> dict[str, Any]:
    return report.load(folder)


class Page(HTMLParser):
    """Every tag of a page with its attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page_of(folder: Path) -> tuple[str, Page]:
    text = (folder / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


# -- the run ----------------------------------------------------------------------------------------------------


def test_the_run_ends_well_and_prints_its_summary(reproduced: dict[str, Any], folder: Path) -> None:
    first = reproduced["first"]
    assert first["code"] == 0, first["stderr"]
    printed = json.loads(first["stdout"])
    assert printed == json.loads((folder / "summary.json").read_text())
    assert printed["status"] == "done"
    assert all(part in first["stderr"] for part in PARTS)
    assert "epoch" in first["stderr"]
    assert "\x1b" not in first["stderr"]


def test_the_run_folder_is_laid_out_and_its_manifest_is_true(folder: Path) -> None:
    for name in ("config.toml", "env.json", "report.json", "report.html", "manifest.json", "summary.json"):
        assert (folder / name).is_file()
    digests = json.loads((folder / "manifest.json").read_text())["sha256"]
    for name, digest in digests.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    rest = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - set(digests)
    assert rest == {"manifest.json", "summary.json"}
    asked = tomllib.loads((folder / "config.toml").read_text())["request"]
    assert asked["scale"] == "tiny"
    assert asked["seed"] == 0
    newest = max(folder.rglob("*"), key=lambda p: p.stat().st_mtime_ns if p.is_file() else 0)
    assert newest.name == "summary.json"


def test_the_same_command_gives_the_same_numbers(reproduced: dict[str, Any]) -> None:
    found = [report.load(reproduced["folders"][name]) for name in ("first", "second")]
    for each in found:
        timing = each.pop("timing")
        assert timing["wall_seconds"] > 0
        assert each.pop("environment")["workers"] in (1, 2)
    assert found[0] == found[1]


def test_a_finished_run_is_not_done_again_and_damage_is_repaired(
    reproduced: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    source = reproduced["folders"]["second"]
    place = tmp_path / "run"
    shutil.copytree(source, place)  # the original stays for the other tests
    victim = next((place / "certificates").glob("perceptron-*.json"))
    victim.write_text("{}")
    jobs = plan.jobs(plan.Request("tiny"), dict.fromkeys(found_losses(source), (2, 3)))
    kept = [job.name for job in jobs if pool.stored_record(job, place) is not None]
    lost = [job.name for job in jobs if pool.stored_record(job, place) is None]
    assert len(lost) == 1
    assert lost[0].startswith("perceptron")
    assert len(kept) == len(jobs) - 1
    other = plan.jobs(plan.Request("tiny", seed=1), dict.fromkeys(found_losses(source), (2, 3)))
    again = {job.part for job in other if pool.stored_record(job, place) is not None}
    assert again == {"proofs", "curves"}  # what depends on the seed is done anew
    done = run("reproduce", "--scale", "tiny", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("already done, kept") == len(jobs) - 1
    assert victim.read_text() != "{}"
    repaired, before = report.load(place), report.load(source)
    assert {**repaired, "timing": 0, "environment": 0} == {**before, "timing": 0, "environment": 0}
    assert sum(row["reused"] for row in repaired["timing"]["jobs"]) == len(jobs) - 1


def found_losses(folder: Path) -> list[str]:
    return list(dict.fromkeys(row["loss"] for row in report.load(folder)["proofs"]))


def test_verdicts_and_certificates_of_the_run(made: dict[str, Any], folder: Path) -> None:
    statuses = {row["loss"]: row["status"] for row in made["proofs"] if row["classes"] == 2}
    assert statuses["average-margin"] == "PROVED"
    assert statuses["average-margin-released"] == statuses["perceptron"] == "REFUTED"
    for row in made["proofs"]:
        if row["certificate"] is not None:
            assert row["check"]["valid"]
            assert row["check"]["path"] == row["certificate"]
            assert (folder / row["certificate"]).is_file()
    limit = made["curves"]["sticking_limit"]
    assert abs(limit["searched"] - limit["value"]) < 1e-6  # floats see the gap, quadratic there, down to about 1e-14
    assert limit["formula"] == "6/11"
    released = next(row for row in made["synthetic"]["losses"] if row["loss"] == "average-margin-released")
    answer = next(row for row in released["answers"] if row["classes"] == 2)
    (low, left), (right, high) = answer["region"]
    assert left == right == 0.5
    assert max(abs(high - 6 / 11), abs(low - 5 / 11)) < 1e-5
    assert answer["certified_region"]["failing"]  # compared with theory's certified posteriors
    assert {"gaussian-shared", "near-ties"} <= set(answer["failing_laws"])
    near = next(row for row in released["checks"] if row["law"] == "near-ties")
    assert near["as_predicted"]
    assert near["disagreement"]["predicted"]["value"] == 7 / 14  # leads 0.002 ... 0.0901 of the fourteen
    psi = {(row["loss"], each["classes"]): each["kind"] for row in made["synthetic"]["losses"] for each in row["psi"]}
    assert psi[("average-margin", 2)] == psi[("average-margin-released", 2)] == "certified"


def test_report_can_be_written_again_from_its_json(run: Run, folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "copy"
    place.mkdir()
    (place / "report.json").write_bytes((folder / "report.json").read_bytes())
    assert run("report", "copy").returncode == 0
    assert (place / "report.html").read_bytes() == (folder / "report.html").read_bytes()
    (place / "manifest.json").write_text('{"sha256": {"report.html": "old"}}')
    assert run("report", "copy").returncode == 0
    noted = json.loads((place / "manifest.json").read_text())["sha256"]
    assert noted["report.html"] == hashlib.sha256((place / "report.html").read_bytes()).hexdigest()
    damaged = json.loads((place / "report.json").read_text())
    del damaged["proofs"][0]["status"]
    (place / "report.json").write_text(json.dumps(damaged))
    done = run("report", "copy")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


# -- the page ------------------------------------------------------------------------------------------------------


def test_the_page_has_every_section_and_stands_alone(folder: Path) -> None:
    text, page = page_of(folder)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert set(SECTIONS) <= set(ids)
    assert len(ids) == len(set(ids))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"link", "img", "iframe", "object", "embed"}
    assert [attrs for tag, attrs in page.tags if tag == "script"] == [{}]  # its own, which the policy names by its hash
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    for tag, attrs in page.tags:
        for name in ("href", "src"):
            value = attrs.get(name)
            if value is None:
                continue
            if value.startswith("#"):
                assert value[1:] in ids
            else:
                assert tag == "a"
                assert (folder / value).is_file()
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_every_figure_has_words_and_the_numbers_behind_it(folder: Path, made: dict[str, Any]) -> None:
    _, page = page_of(folder)
    drawn = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(drawn) == len(made["figures"]) == 8
    for attrs, figure in zip(drawn, made["figures"], strict=False):
        assert attrs["role"] == "img"
        assert len(attrs["aria-label"] or "") > 40
        with (folder / figure["csv"]).open(encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
        assert header == figure["columns"]
        assert len(rows) == len(figure["rows"]) > 0
        numbers = [None if cell == "" else cell for cell in rows[-1]]
        for cell, value in zip(numbers, figure["rows"][-1], strict=True):
            assert cell is None if value is None else type(value)(cell) == value
        assert (folder / "figures" / f"{figure['id']}.svg").read_text().startswith("<?xml")


def test_every_number_shown_is_in_the_json(folder: Path, made: dict[str, Any]) -> None:
    _, page = page_of(folder)
    text = " ".join(" ".join(page.words).split())
    for claim in made["claims"]:
        assert " ".join(claim["text"].split()) in text
    linear = next(run for run in made["training"]["runs"] if run["name"] == "linear-average-margin")
    assert sentences.number(linear["epochs"][-1]["train_label_distance_mean"]) in text
    assert made["environment"]["command"] in text
    assert "avgmargin prove average-margin" in text


def test_names_from_outside_are_escaped(made: dict[str, Any]) -> None:
    hostile = "<script>alert('x')</script>\"><b onload=1>"
    for row in made["proofs"]:
        row["loss"] = row["label"] = row["formula"] = hostile
    for row in [*made["synthetic"]["comparison"], *made["synthetic"]["losses"]]:
        row["loss"] = hostile
        for check in row.get("checks", []):
            check["law"] = hostile
    for law in made["synthetic"]["laws"]:
        law["law"] = law["title"] = hostile
    made["environment"]["command"] = made["data"]["name"] = hostile
    for figure in made["figures"]:
        figure["alt"] = figure["title"] = hostile
    page = Page(report.render(made))
    assert [tag for tag, _ in page.tags].count("script") == 1  # the page's own
    assert not [attrs for _, attrs in page.tags if "onload" in attrs]
    assert hostile in "".join(page.words)


def test_drawing_is_repeatable_and_has_no_date(made: dict[str, Any]) -> None:
    for figure in made["figures"]:
        text = draw(figure)
        assert text == draw(figure)
        assert "dc:date" not in text
        for colour in re.findall(r"#[0-9a-f]{6}\b", inline(text, figure["id"], "words")):
            assert colour in ("#000000", "#ffffff"), "a colour that does not follow the page"


# -- sentences follow from numbers ------------------------------------------------------------------------------------


def rows_of(averages: list[float], minima: list[float]) -> list[dict[str, Any]]:
    return [
        {"epoch": k + 1, "train_label_distance_mean": a, "train_label_distance_min": b}
        for k, (a, b) in enumerate(zip(averages, minima, strict=True))
    ]


@pytest.mark.parametrize(
    ("averages", "minima", "holds", "from_start", "words"),
    [
        ([0.81, 1.04, 0.71], [-2.9, -2.8, -0.97], True, True, "The claim held"),
        ([0.61, 1.04, 0.71], [-2.9, -2.8, -0.97], True, False, "it did not hold"),
        ([0.81, 1.04, 0.71], [-2.9, -0.9, -0.97], False, True, "The claim did not hold"),
        ([0.81, 0.93, 1.04], [-2.9, -2.8, -0.97], False, False, "never fell"),
    ],
)
def test_the_trade_off_is_judged_by_its_numbers(
    averages: list[float], minima: list[float], holds: bool, from_start: bool, words: str
) -> None:
    found = sentences.trade_off(rows_of(averages, minima), "label_distance")
    assert found["holds"] is holds
    assert found["from_start"] is from_start
    text = sentences.trade_off_text(found)
    assert words in text
    assert ("The claim held" in text) is holds


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-9, 3)), min_size=1, max_size=12))
def test_the_trade_off_never_claims_what_the_numbers_deny(points: list[tuple[float, float]]) -> None:
    averages, minima = [a for a, _ in points], [b for _, b in points]
    found = sentences.trade_off(rows_of(averages, minima), "label_distance")
    peak = averages.index(max(averages))
    assert found["holds"] == (averages[-1] < averages[peak] and minima[-1] > minima[peak])
    assert ("The claim held" in sentences.trade_off_text(found)) == found["holds"]


def test_claims_turn_with_the_evidence(made: dict[str, Any]) -> None:
    def holds(changed: dict[str, Any], key: str) -> bool | None:
        return next(claim["holds"] for claim in sentences.claims(changed) if claim["key"] == key)

    assert [holds(made, key) for key in ("target", "released", "certificates", "inequality")] == [True] * 4
    assert report.failed(made) == []

    refused = copy.deepcopy(made)
    row = next(row for row in refused["proofs"] if row["loss"] == "average-margin")
    row["check"] = {**row["check"], "valid": False, "reason": "altered"}
    assert holds(refused, "target") is None
    assert holds(refused, "certificates") is False
    refused["claims"] = sentences.claims(refused)
    assert len(report.failed(refused)) == 1

    broken = copy.deepcopy(made)
    row = next(found for found in broken["synthetic"]["losses"] if found["inequality"])["inequality"][0]
    row["violations"], row["holds"] = 1, False
    assert holds(broken, "inequality") is False

    swapped = copy.deepcopy(made)
    runs = {run["name"]: run for run in swapped["training"]["runs"]}
    plain, ours = runs["linear-ce"], runs["linear-average-margin"]
    plain["epochs"], ours["epochs"] = ours["epochs"], plain["epochs"]
    assert holds(swapped, "average") is not holds(made, "average")


def test_comparison_can_contradict_a_verdict(made: dict[str, Any]) -> None:
    seen, rows = made["synthetic"]["losses"], made["proofs"]
    assert all(row["matches"] for row in verification.compare(seen, rows) if row["status"] != "UNDECIDED")
    wrong = [{**row, "status": "PROVED"} for row in rows if row["loss"] == "perceptron"]
    assert [row["matches"] for row in verification.compare(seen, wrong)] == [False] * len(wrong)
    unseen = [{**row, "status": "REFUTED", "witness_seen": None} for row in rows if row["loss"] == "average-margin"]
    assert [row["matches"] for row in verification.compare(seen, unseen)] == [None] * len(unseen)
    less = copy.deepcopy(seen)  # a refuted loss that fails, but not by the predicted amount
    released = next(row for row in less if row["loss"] == "average-margin-released")
    next(row for row in released["checks"] if row["classes"] == 2)["as_predicted"] = False
    found = verification.compare(less, [row for row in rows if row["loss"] == "average-margin-released"])
    assert [row["matches"] for row in found if row["classes"] == 2] == [False]


def test_the_separate_checker_refuses_what_it_should(folder: Path, tmp_path: Path) -> None:
    path = next((folder / "certificates").glob("average-margin-released-*.json"))
    assert proofs.check_elsewhere(path)["valid"] is True
    for name, text in {
        "altered.json": path.read_text().replace("-released", "").replace("clip(-t, 0, tau)", "clip(tau - t, 0, tau)"),
        "cut.json": path.read_text()[:-40],
    }.items():
        twin = tmp_path / name
        twin.write_text(text)
        assert proofs.check_elsewhere(twin)["valid"] is False


def test_numbers_read_well() -> None:
    shown = [sentences.number(x) for x in (0.0, -1.25, 123456.0, 0.000912, 3.2e-15, None)]
    assert shown == ["0", "\N{MINUS SIGN}1.25", "123456", "0.000912", "3.2e\N{MINUS SIGN}15", "\N{EN DASH}"]


def test_a_plan_names_what_it_does() -> None:
    jobs = plan.jobs(plan.Request("quick", seed=3), {"hinge": (2,), "perceptron": (2, 3)})
    assert [job.name for job in jobs if job.part == "proofs"] == ["hinge", "perceptron", "perceptron-3-classes"]
    assert len({job.key for job in jobs}) == len(jobs)
    training = [job for job in jobs if job.part == "training"]
    assert len(training) == 6
    assert all("--seed 3" in job.command for job in training)
    moved = plan.jobs(plan.Request("quick", seed=4), {"hinge": (2,), "perceptron": (2, 3)})
    same = {job.part for job, other in zip(jobs, moved, strict=True) if job.key == other.key}
    assert same == {"proofs", "curves"}
    laws, *losses = [job for job in jobs if job.part == "synthetic"]
    assert laws.command == "avgmargin synthetic --list --scale quick --seed 3"
    assert [job.command.split()[2] for job in losses] == ["hinge", "perceptron"]
