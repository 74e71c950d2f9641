"""Reports read back: names that would leave the folder are refused, several runs are compared."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avgmargin.common.errors import UserError
from avgmargin.report import assemble as report
from avgmargin.report import stored as reporting

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def made(reproduced: dict[str, Any], tmp_path: Path) -> Path:
    """A copy of a small run."""
    return Path(shutil.copytree(reproduced["folders"]["first"], tmp_path / "copy"))


def _alter(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    found = json.loads((root / "report.json").read_text(encoding="utf-8"))
    change(found)
    (root / "report.json").write_text(json.dumps(found), encoding="utf-8")


HOSTILE: dict[str, Callable[[dict[str, Any]], None]] = {
    "a figure above the folder": lambda r: r["figures"][0].update(id="../../escaped"),
    "a figure at the root": lambda r: r["figures"][0].update(id="/escaped"),
    "a table above the folder": lambda r: r["figures"][0].update(csv="../escaped.csv"),
    "a run above the folder": lambda r: r["training"]["runs"][0].update(name="../escaped"),
    "a hidden run": lambda r: r["training"]["runs"][0].update(name=".."),
    "a link that runs": lambda r: r["training"]["runs"][0].update(folder="javascript:alert(1)"),
    "a name that is none": lambda r: r["training"]["runs"][0].update(name=3),
    "a certificate elsewhere": lambda r: r["proofs"][0].update(certificate="http://example.org/x"),
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_names_that_leave_the_folder_are_refused(kind: str, made: Path) -> None:
    before = sorted(made.parent.rglob("*"))
    _alter(made, HOSTILE[kind])
    with pytest.raises(UserError, match=r"must (be|lie)"):
        reporting.write_again(made)
    assert sorted(made.parent.rglob("*")) == before


def test_hostile_words_are_shown_as_words(made: Path) -> None:
    hostile = "<script>alert('x')</script>"

    def change(found: dict[str, Any]) -> None:
        found["proofs"][0].update(loss=hostile, formula=f'"><img src=x onerror={hostile}>')
        found["claims"][0].update(title=hostile, text=hostile)
        found["training"]["runs"][0]["advice"] = hostile

    _alter(made, change)
    text = reporting.write_again(made).read_text(encoding="utf-8")
    assert hostile not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(" in text


def test_what_differs_between_runs_is_said(made: Path) -> None:
    first = report.load(made)
    second = copy.deepcopy(first)
    assert all(row["same"] for row in reporting.compare({"a": first, "b": second}))
    second["claims"][0]["holds"] = not second["claims"][0]["holds"]
    second["training"]["runs"][0]["epochs"][-1]["test_accuracy"] += 0.125
    del second["proofs"][0]
    differing = [row for row in reporting.compare({"a": first, "b": second}) if not row["same"]]
    assert [row["part"] for row in differing] == ["claim", "training"]
    assert differing[1]["values"]["b"] - differing[1]["values"]["a"] == pytest.approx(0.125)
    lost = [row for row in reporting.compare({"a": first, "b": second}) if row["values"]["b"] is None]
    assert [row["part"] for row in lost] == ["verdict"]
    assert reporting.cells(lost[0])[1] == "-"


def test_the_command_compares_and_refuses(run: Run, made: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(made, tmp_path / "other"))
    _alter(other, lambda r: r["claims"][0].update(holds=None))
    done = run("report", str(made), str(other), "--out", str(tmp_path / "both.html"), "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert [row["values"][str(other)] for row in told["rows"] if not row["same"]] == ["OPEN"]
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "copy/report.html" in page
    assert "DIFFER" in page
    for words in ((str(made), str(made)), (str(made), "--out", "x.html"), (str(made), str(tmp_path / "none"))):
        refused = run("report", *words)
        assert refused.returncode == 2
        assert refused.stderr.count("\n") == 1
