"""`avgmargin losses`: listing, selecting, deciding in worker processes, taking a run up again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from avgmargin.common.errors import UserError
from avgmargin.jobs import decided, pool
from avgmargin.proving import listing
from theory import catalogue

Run = Callable[..., CompletedProcess[str]]


def test_words_select_by_name_alias_and_title() -> None:
    assert listing.select("mae", None, None)[0].name == "mean-absolute-error"
    names = {entry.name for entry in listing.select("hinge", None, None)}
    assert {"hinge", "crammer-singer", "lee-lin-wahba"} <= names
    assert "logistic" not in names
    assert listing.select(None, None, None) == list(catalogue.ENTRIES)
    with pytest.raises(catalogue.UnknownLoss, match="did you mean 'tangent'"):
        listing.select("tangnt", None, None)


def test_kind_and_status_select() -> None:
    every = list(catalogue.ENTRIES)
    for kind, form in (("binary", "multiclass"), ("multiclass", "binary")):
        assert [e for e in every if e.kind != form] == listing.select(None, kind, None)
    sizes = [len(listing.select(None, None, status)) for status in listing.STATUSES]
    assert sum(sizes) == len(every)
    assert min(sizes[:2]) > 5
    assert listing.select("perceptron", "binary", "not-consistent")[0].name == "perceptron"
    for words in (("pair", None), (None, "proved")):
        with pytest.raises(UserError, match=r"\A(kind 'pair'|status 'proved') must be [^\n]*\Z"):
            listing.select(None, *words)


def test_every_entry_can_be_shown() -> None:
    for entry in catalogue.ENTRIES:
        assert json.loads(json.dumps(listing.as_row(entry)))["name"] == entry.name
        assert len(listing.table_row(entry)) == 4
        assert dict(listing.pairs(entry))["known"] == entry.strength


def test_one_loss_in_full(run: Run) -> None:
    done = run("losses", "savageboost")
    assert done.returncode == 0
    assert "sigmoid(-2 * t)**2" in done.stdout
    assert "theta**2 / 4" in done.stdout
    wrong = run("losses", "savagebost")
    assert wrong.returncode == 2
    assert "savageboost" in wrong.stderr


def test_jobs_have_records_of_their_own() -> None:
    jobs = decided.jobs(catalogue.ENTRIES, 100, 1.0)
    paths = {pool._record_path(job, Path()) for job in jobs}
    assert len(paths) == len(jobs) == len({job.key for job in jobs})
    assert {job.settings["loss"] for job in jobs} == set(catalogue.names())


def test_a_decided_catalogue_is_taken_up_again(run: Run) -> None:
    words = ("losses", "perceptron", "--prove", "--jobs", "1", "--out", "decided", "--json")
    first = run(*words)
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert found["reused"] == 0
    assert {row["status"] for row in found["rows"] if row["name"] == "perceptron"} == {"REFUTED"}
    assert all(row["checked"] for row in found["rows"])
    assert found["contradicted"] == []
    again = json.loads(run(*words).stdout)
    assert again["reused"] == len(again["rows"])
    assert again["rows"] == found["rows"]
    assert run("losses", "perceptron", "--prove", "--jobs", "-1").returncode == 2


def test_a_domain_of_the_entry_is_kept_unless_another_is_asked(run: Run) -> None:
    prove = ("prove", "lee-lin-wahba", "--classes", "3", "--json")
    assert json.loads(run(*prove).stdout)["status"] == "PROVED"
    assert json.loads(run(*prove, "--domain", "all").stdout)["status"] == "REFUTED"
