"""The page of trained networks: every number with its key, nothing from outside, and bad input in one line."""

from __future__ import annotations

import copy
import errno
import html
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avgmargin.__main__ import main
from avgmargin.report import networks

from .test_paper_scale import made_up

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    """Run the command line in this process, in an empty folder: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(words))
        return code, *capsys.readouterr()

    return call


def results(place: Path, *runs: Any) -> None:
    (place / "results").mkdir(parents=True, exist_ok=True)
    for run in runs:
        (place / "results" / f"{run['name']}.json").write_text(json.dumps(run))


def pair(**change: float) -> list[Any]:
    numbers = {"mean": 1.4, "robust": 0.6, "accuracy": 0.981} | change
    plain = made_up("mnist-mlp-plain", mean=0.8, robust=0.3, accuracy=0.98)
    return [plain, made_up("mnist-mlp-reg", **numbers)]


def words_of(page: str) -> str:
    """The text of a page, without its style, script and drawings."""
    text = re.sub(r"<(style|svg|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def test_results_make_a_page_with_both_readings_kinds_keys_and_commands(here: Here, tmp_path: Path) -> None:
    results(tmp_path / "o", *pair())
    code, out, err = here("report", "o", "--json")
    assert code == 0, err
    page = Path(json.loads(out)["report"]).read_text(encoding="utf-8")
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert {answer["verdict"] for claim in report["claims"] for answer in claim["answers"]} == {"holds"}
    assert {claim["letter"] for claim in report["claims"]} == set("abcd")
    text = words_of(page)
    for word in ("as published", "honest", "estimate", "upper", "avgmargin train mnist-mlp-plain", "Bonferroni"):
        assert word in text
    # each robust accuracy of the table is the number at its key
    for row in report["robustness"]:
        run = next(run for run in report["runs"] if run["name"] == row["run"])
        part = run["measured"]["epochs"][-1]["parts"][row["way"]]
        assert row["key"] == f"runs[{row['run']}].measured.epochs[-1].parts.{row['way']}"
        shares = part.get("robust_accuracy") or {f"{r['eps']:g}": r["robust_accuracy"] for r in part["rows"]}
        assert shares[f"{row['eps']:g}"] == row["share"]
        assert row["key"] in text
    assert {row["kind"] for row in report["robustness"]} == {"estimate", "upper"}
    for figure in report["figures"]:
        assert (tmp_path / "o" / "figures" / f"{figure['id']}.svg").is_file()
        assert len((tmp_path / "o" / figure["csv"]).read_text().splitlines()) == len(figure["rows"]) + 1
    first = {path: path.read_bytes() for path in (tmp_path / "o").rglob("*") if path.is_file()}
    assert here("report", "o")[0] == 0
    assert {path: path.read_bytes() for path in first} == first  # the same numbers give the same page

    for file in (tmp_path / "o" / "results").iterdir():
        file.unlink()
    assert here("report", "o")[0] == 0  # from its report.json alone
    assert (tmp_path / "o" / "report.html").read_bytes() == first[tmp_path / "o" / "report.html"]


def test_a_page_needs_no_network_and_no_script(here: Here, tmp_path: Path) -> None:
    results(tmp_path / "o", *pair())
    assert here("report", "o")[0] == 0
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    assert page.count("<script") == 1
    links = set(re.findall(r'href="([^"#][^"]*)"', page))
    assert all((tmp_path / "o" / link).is_file() for link in links)
    assert all(f'id="{anchor}"' in page for anchor in re.findall(r'href="#([a-z]+)"', page))


def test_a_claim_that_fails_is_told(here: Here, tmp_path: Path) -> None:
    results(tmp_path / "o", *pair(mean=0.4, robust=0.3))
    assert here("report", "o")[0] == 0
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    found = {(c["letter"], a["reading"]): a["verdict"] for c in report["claims"] for a in c["answers"]}
    assert found["b", "honest"] == "fails"
    assert found["c", "honest"] == "not decided"
    text = words_of((tmp_path / "o" / "report.html").read_text(encoding="utf-8"))
    assert "FAILS" in text
    assert "NOT DECIDED" in text


def test_runs_of_other_data_or_settings_are_not_compared(here: Here, tmp_path: Path) -> None:
    plain, reg = pair()
    reg["config"]["dataset"] = "mnist5k"
    results(tmp_path / "o", plain, reg)
    assert here("report", "o")[0] == 0
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert {claim["letter"] for claim in report["claims"] if claim["answers"]} == {"a"}
    twin = copy.deepcopy(plain)  # another width under the same preset: no further seed
    twin["name"], twin["config"]["hidden"], twin["config"]["seed"] = "wide", 2048, 1
    answers = networks.assemble([plain, twin], "x")["claims"][0]["answers"]
    assert [answer["numbers"]["seeds"] for answer in answers] == [1, 1]


def test_words_in_results_are_text_and_names_stay_in_the_folder(here: Here, tmp_path: Path) -> None:
    plain, reg = pair()
    plain["name"] = "<script>alert(1)</script>"
    plain["config"]["dataset"] = "../../evil"
    (tmp_path / "o" / "results").mkdir(parents=True)
    (tmp_path / "o" / "results" / "a.json").write_text(json.dumps(plain))
    assert here("report", "o")[0] == 0
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert {path.name for path in tmp_path.iterdir()} == {"o"}

    report = json.loads((tmp_path / "o" / "report.json").read_text())
    (tmp_path / "o" / "results" / "a.json").unlink()
    report["figures"][0]["id"] = "../../evil"
    (tmp_path / "o" / "report.json").write_text(json.dumps(report))
    code, _, err = here("report", "o")
    assert code == 2
    assert "must be named by letters" in err
    assert {path.name for path in tmp_path.iterdir()} == {"o"}
    assert reg["name"] == "mnist-mlp-reg"


@pytest.mark.parametrize("late", ["report.json", "report.html"])
def test_on_a_full_disk_there_is_one_line_and_the_earlier_page(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    results(tmp_path / "o", *pair())
    assert here("report", "o")[0] == 0
    before = (tmp_path / "o" / "report.html").read_bytes()
    write = networks.write_atomic

    def full(path: Path, data: bytes) -> None:
        if path.name == late:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    results(tmp_path / "o", *pair(mean=0.4))
    monkeypatch.setattr(networks, "write_atomic", full)
    code, _, err = here("report", "o")
    assert code == 2
    assert "No space left on device" in err
    assert len(err.splitlines()) == 1
    assert (tmp_path / "o" / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda place: (place / "results" / "x.json").write_text("{"), "must be a readable JSON object"),
        (lambda place: (place / "results" / "x.json").write_text('{"curves": {}}'), "must hold whole results"),
        (lambda place: (place / "results" / "x.json").write_text('{"name": "sweep"}'), "must hold training runs"),
        (lambda place: (place / "report.json").write_text("{}"), "report.json"),
        (lambda place: None, "must hold a readable report.json, or training runs"),
    ],
)
def test_bad_input_is_one_line(here: Here, tmp_path: Path, spoil: Callable[[Path], Any], said: str) -> None:
    (tmp_path / "o" / "results").mkdir(parents=True)
    spoil(tmp_path / "o")
    code, _, err = here("report", "o")
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "o" / "report.html").exists()
