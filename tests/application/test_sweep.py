"""`avgmargin sweep` and the jobs under it: done once, taken up after a kill, failures told, on joblib and on Dask."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import environment

Here = Callable[..., tuple[int, str, str]]
SMALL = ("--over", "hidden=8", "--over", "batch_size=500", "--epochs", "2", "--jobs", "1")


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    """Run the command line in this process, in an empty folder: code, stdout, stderr."""
    from avgmargin.__main__ import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AVGMARGIN_DATA", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(words))
        return code, *capsys.readouterr()

    return call


def test_a_grid_is_done_once_and_a_failing_job_stops_no_other(here: Here, tmp_path: Path) -> None:
    # lr 1e30 ends in infinity after one epoch: a recorded divergence; the plain loss does not read mu: one run, not two
    words = ("sweep", "mnist-mlp-reg", "--lr", "0.01,1e30", "--penalty", "none,paper", "--mu", "0.1,0.2", "--beta", "0")
    code, out, err = here(*words, *SMALL, "--out", "o", "--json")
    assert code == 1, err
    found = json.loads(out)
    assert (found["jobs"], found["done"], found["diverged"], found["failed"]) == (6, 3, 3, 0)
    assert {row["config"]["lr"] for row in found["runs"] if row["status"] == "diverged"} == {1e30}
    assert "[6/6]" in err
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "o").glob("*/metrics.jsonl")}
    assert len(stamps) == 6

    broken = next(row["name"] for row in found["runs"] if row["status"] == "done")
    weights = next((tmp_path / "o" / broken / "milestones").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])  # an altered file: this job fails, the others are read
    code, out, err = here(*words, *SMALL, "--out", "o", "--json")
    assert code == 1
    second = json.loads(out)
    assert (second["done"], second["diverged"], second["failed"]) == (2, 3, 1)
    (failure,) = [row for row in second["runs"] if row["status"] == "failed"]
    assert failure["name"] == broken
    assert "SHA-256" in failure["error"]
    assert f"{broken}: FAILED" in err
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps  # nothing was trained again
    same = {row["name"]: row["final"] for row in found["runs"] if row["name"] != broken}
    assert {row["name"]: row["final"] for row in second["runs"] if row["name"] != broken} == same
    assert len((tmp_path / "o" / "sweep.csv").read_text().splitlines()) == 7


@pytest.mark.skipif(
    not os.environ.get("AVGMARGIN_SLOW"), reason="slow: set AVGMARGIN_SLOW=1; `tests/reliability` kills sweeps as well"
)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupt_or_a_kill_leaves_what_the_next_call_finishes(
    here: Here, tmp_path: Path, how: signal.Signals
) -> None:
    words = ["sweep", "mnist-mlp-reg", "--seeds", "0-1", "--over", "hidden=64", "--epochs", "12"]
    with (tmp_path / "log").open("w+b") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _INTERRUPTIBLE, *words, "--jobs", "2", "--out", "o"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        end = time.monotonic() + 200
        while not any(p.read_bytes().count(b"\n") >= 3 for p in tmp_path.glob("o/*/metrics.jsonl")):
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(how)
        code = process.wait(60)
    finally:
        process.kill()
    assert code == (130 if how is signal.SIGINT else -signal.SIGKILL)
    _settled(tmp_path)  # the workers end too: no file grows any more
    code, out, err = here(*words, "--jobs", "1", "--out", "o", "--json")
    assert code == 0, err
    found = json.loads(out)["runs"]
    assert any("taken up after epoch" in note for row in found for note in row["notes"])
    code, out, _ = here(*words, "--jobs", "1", "--out", "clean", "--json")
    assert code == 0
    assert [(r["name"], r["final"]) for r in found] == [(r["name"], r["final"]) for r in json.loads(out)["runs"]]
    last = Path(found[0]["name"]) / "milestones" / "epoch-00010.safetensors"
    assert (tmp_path / "o" / last).read_bytes() == (tmp_path / "clean" / last).read_bytes()


_INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell begins without it
from avgmargin.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def _settled(place: Path) -> dict[Path, int]:
    """The sizes of the metrics once they have not changed for two seconds."""
    end = time.monotonic() + 60
    before: dict[Path, int] = {}
    while time.monotonic() < end:
        now = {p: p.stat().st_size for p in place.glob("o/*/metrics.jsonl")}
        if now == before:
            return now
        before = now
        time.sleep(2.0)
    raise AssertionError("the workers go on")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mnist-mlp-rag"], "did you mean 'mnist-mlp-reg'"),
        (["mnist-mlp-reg", "--mu", "0.1,x"], "mu='0.1,x' must be a list of values"),
        (["mnist-mlp-reg", "--mu", "-1"], "mu=-1.0"),
        (["mnist-mlp-reg", "--seeds", "2-1"], "seeds='2-1'"),
        (["mnist-mlp-reg", "--penalty", "papers"], "penalty='papers' must be one of"),
        (["mnist-mlp-reg", "--over", "colour=1"], "field 'colour'"),
        (["mnist-mlp-reg", "--over", "mu=1", "--mu", "2"], "given twice"),
        (["mnist-mlp-reg", "--over", "row=tradess"], "did you mean 'trades'"),
        (["mnist-mlp-reg", "--over", "row="], "row='' must be all, or one of ce"),
        (["mnist-mlp-reg", "--over", "row=ablation-lr", "--lr", "0.1"], "row 'ablation-lr' sets lr=0.002"),
        (["mnist-mlp-reg", "--over", "row=ce", "--penalty", "paper"], "row 'ce' sets loss=ce"),
        (["mnist-mlp-reg", "--backend", "dusk"], "backend='dusk' must be one of"),
        (["mnist-mlp-reg", "--backend", "dask"], "needs --scheduler"),
        (["mnist-mlp-reg", "--scheduler", "tcp://x:1"], "takes no --scheduler"),
        (["mnist-mlp-reg", "--jobs", "-1"], "jobs=-1"),
        (["mnist-mlp-reg", "--measure", "everything"], "part 'everything'"),
        (["cifar-mlp-reg"], "needs --data-dir"),
    ],
)
def test_bad_input_is_one_line(here: Here, tmp_path: Path, words: list[str], said: str) -> None:
    code, _, err = here("sweep", *words, "--out", "o")
    assert code == 2
    assert said in err.splitlines()[-1]
    assert not list(tmp_path.glob("o/*/metrics.jsonl"))


def test_every_row_of_the_comparison_is_a_point_of_a_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import deep
    from avgmargin.sweeps.grids import grid, read_values
    from avgmargin.sweeps.training_jobs import effective

    monkeypatch.delenv("AVGMARGIN_DATA", raising=False)
    names = read_values("row", "all")
    assert names == list(deep.ROWS)
    for preset in ("mnist-mlp-reg", "mnist-lr-reg"):
        jobs = grid([preset], [("row", names)], [0, 1], {"epochs": 3}, None, lambda words: None)
        assert sorted(row for job in jobs for row in job.rows) == sorted([*names, *names])  # each once for each seed
        for job in jobs:
            for row in job.rows:  # the fields of the row, and of no other
                known = deep.comparison(preset, row).to_dict() | {"epochs": 3, "dataset": "mnist5k"}
                known |= {"seed": job.config["seed"]}
                assert effective(job.config) == effective(known), row
        shared = {frozenset(job.rows) for job in jobs if len(job.rows) > 1}
        assert frozenset(("ce", "ablation-lr")) in shared  # one run, two names


def test_rows_are_trained_measured_and_grouped_under_their_names(here: Here, tmp_path: Path) -> None:
    words = ("sweep", "mnist-mlp-reg", "--over", "row=ce,ablation-lr,trades", "--seeds", "0-1", "--measure", "attack")
    code, out, err = here(*words, "--images", "5", *SMALL[:-4], "--epochs", "1", "--jobs", "1", "--out", "o", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [group["rows"] for group in found["groups"]] == [["ce", "ablation-lr"], ["trades"]]
    for group in found["groups"]:
        values = group["metrics"]["attack mean"]["values"]
        names = [row["name"] for row in found["runs"] if row["rows"] == group["rows"]]
        stored = [json.loads((tmp_path / "o" / "measured" / name / "measure.json").read_text()) for name in names]
        assert values == [one["epochs"][-1]["parts"]["attack"]["mean"] for one in stored]
    assert found["measure"]["effort"]["images"] == 5
    header, first = (tmp_path / "o" / "sweep.csv").read_text().splitlines()[:2]
    assert "attack accuracy at 1" in header
    assert "ce ablation-lr" in first


def test_files_that_do_not_belong_together_are_refused(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    import numpy as np

    from deep import sums

    def make(place: Path, shift: int) -> dict[str, tuple[int, str, str]]:
        place.mkdir()
        known = {}
        for part in ("train", "t10k"):
            pixels = np.full((20, 28, 28), shift, dtype=np.uint8).tobytes()
            labels = ((np.arange(20) + shift) % 10).astype(np.uint8).tobytes()
            for kind, head, body in (
                ("images-idx3", (2051, 20, 28, 28), pixels),
                ("labels-idx1", (2049, 20), labels),
            ):
                data = b"".join(number.to_bytes(4, "big") for number in head) + body
                (place / f"{part}-{kind}-ubyte").write_bytes(data)
                sums_ = hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()
                known[f"{part}-{kind}-ubyte"] = (len(data), *sums_)
        return known

    table = {"mnist": make(tmp_path / "m", 1), "fashion-mnist": make(tmp_path / "f", 2)}
    for name, files in table.items():
        monkeypatch.setitem(sums.KNOWN_SUMS, name, files)
    many = [
        ("train", "mnist-lr-plain"),
        ("sweep", "mnist-lr-plain", "--jobs", "1"),
        ("reproduce", "--scale", "paper", "--only", "mnist-lr-plain", "--images", "1", "--jobs", "1"),
    ]

    def refusals(folder: str, said: str) -> None:
        for words in many:
            code, _, err = here(*words, "--data-dir", folder, "--epochs", "1", "--out", "o")
            assert code == 2, (words, err)
            assert said in err.splitlines()[-1]
        assert not (tmp_path / "o").exists() or not list((tmp_path / "o").rglob("metrics.jsonl"))

    refusals("f", "holds fashion-mnist, and preset 'mnist-lr-plain' needs mnist")
    labels = "train-labels-idx1-ubyte"
    good = (tmp_path / "m" / labels).read_bytes()
    (tmp_path / "m" / labels).write_bytes((tmp_path / "f" / labels).read_bytes())  # mislabelled
    refusals("m", f"{labels} is damaged or of another data set")
    (tmp_path / "m" / labels).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))  # a flipped bit
    refusals("m", f"{labels} is damaged or of another data set")
    (tmp_path / "m" / labels).write_bytes(good[:-1])  # truncated
    refusals("m", labels)
    (tmp_path / "m" / labels).write_bytes(good)
    code, _, err = here(*many[0], "--data-dir", "m", "--epochs", "1", "--out", "whole")
    assert code == 0, err  # the broken twin of the checks: nothing is wrong with these


def test_on_a_full_disk_a_sweep_ends_with_one_line_and_its_earlier_results(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from avgmargin.sweeps import sweeping

    words = ("sweep", "mnist-mlp-reg", *SMALL, "--out", "o")
    assert here(*words)[0] == 0
    before = (tmp_path / "o" / "sweep.json").read_bytes()

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(sweeping, "write_atomic", full)
    code, _, err = here(*words)
    assert code == 2
    assert "No space left on device" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert (tmp_path / "o" / "sweep.json").read_bytes() == before


def test_spread_over_seeds_groups_what_differs_in_the_seed_alone() -> None:
    from avgmargin.sweeps.sweeping import spread_over_seeds

    def row(seed: int, lr: float, value: float, status: str = "done") -> dict[str, Any]:
        config = {"loss": "ce", "mu": 0.1 * seed, "lr": lr, "seed": seed, "model": "linear"}
        return {"config": config, "status": status, "final": {"test_accuracy": value}}

    first, second = spread_over_seeds(
        [row(0, 0.1, 0.5), row(1, 0.1, 0.7), row(2, 0.1, 9.0, "failed"), row(0, 0.2, 0.4)]
    )
    assert first["metrics"]["test_accuracy"]["mean"] == pytest.approx(0.6)
    assert first["metrics"]["test_accuracy"]["std"] == pytest.approx(0.2 / 2**0.5)
    assert (first["runs"], first["done"]) == (3, 2)  # the failed one is counted, and not averaged
    assert second["metrics"]["test_accuracy"]["std"] is None


def test_a_worker_that_dies_takes_only_its_own_job_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from avgmargin.sweeps import backends

    monkeypatch.setattr(backends, "_one", _die_on_one)
    jobs = [_values(f"job{index}") for index in range(3)]
    found = dict(backends.records(jobs, tmp_path, backend="joblib", workers=2, scheduler=None))
    assert {index: record["status"] for index, record in found.items()} == {0: "done", 1: "failed", 2: "done"}
    assert "worker died" in found[1]["error"]


def _values(name: str) -> dict[str, Any]:
    return {"name": name, "config": {"loss": "ce", "model": "linear"}, "source": {}, "sha256": "", "measure": None}


def _die_on_one(index: int, values: dict[str, Any], root: str, parent: int) -> tuple[int, dict[str, Any]]:
    if index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return index, {"status": "done"}


def test_a_local_dask_cluster_gives_what_joblib_gives(here: Here, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    words = (
        "sweep",
        "mnist-lr-reg",
        "--seeds",
        "0-1",
        "--lr",
        "0.01,1e30",
        "--over",
        "batch_size=500",
        "--epochs",
        "2",
    )
    address = tmp_path / "address"
    with (tmp_path / "log").open("w+b") as log:
        cluster = subprocess.Popen(
            [sys.executable, "-c", _CLUSTER, str(address)],
            env=environment(),
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        end = time.monotonic() + 100
        while not address.exists():
            assert time.monotonic() < end
            assert cluster.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.1)
        code, out, err = here(*words, "--backend", "dask", "--scheduler", address.read_text(), "--out", "d", "--json")
    finally:
        cluster.terminate()
        cluster.wait(30)
    assert code == 1, err
    there = json.loads(out)["runs"]
    code, out, _ = here(*words, "--jobs", "1", "--out", "j", "--json")
    assert code == 1
    assert [(r["name"], r["status"], r["final"]) for r in there] == [
        (r["name"], r["status"], r["final"]) for r in json.loads(out)["runs"]
    ]
    assert sorted(row["status"] for row in there) == ["diverged", "diverged", "done", "done"]


_CLUSTER = """
import pathlib, signal, sys
from distributed import LocalCluster
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options = dict(n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None)
    with LocalCluster(**options) as cluster:
        part = pathlib.Path(sys.argv[1] + ".part")
        part.write_text(cluster.scheduler_address)
        part.replace(sys.argv[1])
        signal.pause()
"""


def test_a_scheduler_that_does_not_answer_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    from avgmargin.common.errors import UserError
    from avgmargin.sweeps import backends

    monkeypatch.setattr(backends, "_TIMEOUT", 0.3)
    with pytest.raises(UserError, match="must be a Dask scheduler that answers"):
        list(backends.records([_values("a")], tmp_path, backend="dask", workers=1, scheduler="tcp://127.0.0.1:9"))
