"""`reproduce --scale paper`, the verdicts on the paper's claims, and the page that is built from runs."""

from __future__ import annotations

import copy
import importlib
import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import deep
from avgmargin.__main__ import main
from avgmargin.networks import claims as deep_claims

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "scripts" / "deep_results.py"
Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    """Run the command line in this process, in an empty folder: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AVGMARGIN_DATA", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(words))
        return code, *capsys.readouterr()

    return call


def test_presets_are_trained_measured_and_condensed_once(here: Here, tmp_path: Path) -> None:
    words = ("reproduce", "--scale", "paper", "--only", "mnist-lr-plain,mnist-lr-reg", "--epochs", "2", "--images", "2")
    code, out, err = here(*words, "--jobs", "1", "--out", "o", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [row["run"] for row in found["rows"]] == ["mnist-lr-plain", "mnist-lr-reg"]
    assert {(row["epochs"], row["epochs wanted"]) for row in found["rows"]} == {(2, 1000)}
    for row in found["rows"]:
        assert row["images"] == 2
        assert None not in (
            row["average margin, attack, box"],
            row["rigorous lower bound, mean"],
            row["its violations"],
        )
        kept = json.loads((tmp_path / "o" / "results" / f"{row['run']}.json").read_text())
        assert [record["epoch"] for record in kept["measured"]["epochs"]] == [0, 1, 2]
        assert "values" not in kept["measured"]["epochs"][-1]["parts"]["attack"]
    page = Path(found["report"]).read_text(encoding="utf-8")
    for word in ("rigorous lower", "estimate", "upper", "exact", "as published", "honest", "mnist-lr-reg"):
        assert word in page
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    told = {(a["reading"], a["verdict"]) for claim in report["claims"] for a in claim["answers"]}
    assert {reading for reading, _ in told} == {"as published", "honest"}
    assert not {"not measured", "not run"} & {word for _, word in told}
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "o").glob("measured/*/parts/*.json")}
    code, out, err = here(*words, "--jobs", "1", "--out", "o", "--json")
    assert code == 0
    assert json.loads(out)["rows"] == found["rows"]
    assert {p: p.stat().st_mtime_ns for p in files} == files
    code, out, err = here(*words[:5], "--epochs", "1", "--jobs", "1", "--out", "o")
    assert code == 1  # another length in the same folder: told, and nothing overwritten
    assert "epochs=2, not 1" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "mnist-lrr"], "did you mean 'mnist-lr'"),
        (["--only", "mnist-cnn-rag"], "did you mean 'mnist-cnn-reg'"),
        (["--only", "cifar-mlp"], "needs --data-dir"),
        (["--epochs", "0"], "epochs=0 must be at least 1"),
        (["--images", "0"], "images=0 must be at least 1"),
        (["--backend", "dask"], "needs --scheduler"),
    ],
)
def test_bad_input_is_one_line(here: Here, tmp_path: Path, words: list[str], said: str) -> None:
    code, _, err = here("reproduce", "--scale", "paper", *words, "--out", "o")
    assert code == 2
    assert said in err.splitlines()[-1]
    code, _, err = here("reproduce", "--scale", "quick", "--only", "mnist-lr")
    assert code == 2
    assert "--only is for --scale paper" in err


def made_up(name: str, *, mean: float, robust: float, accuracy: float, falls: bool = True, seed: int = 0) -> Any:
    """A condensed run of a preset whose every number is chosen here."""
    config = deep.preset(name).to_dict() | {"seed": seed}
    images = 100

    def part(kind: str, value: float) -> dict[str, Any]:
        shares = {"0.5": min(1.0, robust + 0.3), "1": robust, "1.5": robust / 2, "2": robust / 4}
        return {"kind": kind, "mean": value, "signed_mean": value, "minimum": 0.1 * value, "std": 0.5, "found": 1.0} | {
            "images": images, "robust_accuracy": shares, "accuracy": accuracy,
        }  # fmt: skip

    rows = []
    for epoch, factor in ((0, 0.2), (1, 1.6 if falls else 0.4), (200, 1.0)):
        least = {0: -1.0, 1: -0.5 if falls else 0.5, 200: 0.05}[epoch]
        low = {"minimum": least, "q05": least + 0.1, "q05_interval": [least, least + 0.2]}
        margins = {
            "estimate": part("estimate", 1.1 * mean * factor) | low,
            "attack-unboxed": part("upper", mean * factor) | low,
        }
        rows.append({"epoch": epoch, "parts": margins})
    pgd = {
        "kind": "upper",
        "images": images,
        "rows": [{"eps": 1.0, "robust_accuracy": min(1.0, robust + 0.4), "vanished": 0.9}],
    }
    released = {"kind": "exact", "tau": 5.0, "images": 60000, "accuracy": 1.0, "paper": 0.2, "released": 0.0}
    rows[-1]["parts"] |= {"attack": part("upper", 1.2 * mean), "pgd-published": pgd, "penalty": released}
    return {
        "name": name if seed == 0 else f"{name}-seed{seed}",
        "config": config,
        "data": None,
        "status": "done",
        "epochs_done": 200,
        "epochs_wanted": 200,
        "curves": {"epoch": [0.0, 1.0, 200.0], "test_accuracy": [0.1, 0.9, accuracy]},
        "measured": {"epochs": rows},
    }


@pytest.fixture
def family() -> dict[str, Any]:
    """Runs in which every claim holds."""
    return {
        "mnist-mlp-plain": made_up("mnist-mlp-plain", mean=0.8, robust=0.3, accuracy=0.98),
        "mnist-mlp-reg": made_up("mnist-mlp-reg", mean=1.4, robust=0.6, accuracy=0.981),
    }


def verdicts(runs: dict[str, Any], about: str) -> dict[tuple[str, str], str]:
    """The words by claim and reading."""
    answers = deep_claims.judge({name: [run] for name, run in runs.items()}, "mnist-mlp")
    return {(a.claim, a.reading): a.verdict for a in answers if a.about.startswith(about)}


def test_every_rule_can_say_no(family: dict[str, Any]) -> None:
    both = ("as published", "honest")
    found = verdicts(family, "mnist-mlp-reg")
    assert set(found.values()) == {"holds"}
    assert {verdicts(family, "mnist-mlp-plain")["a", reading] for reading in both} == {"holds"}
    assert set(verdicts(family, "mnist-mlp-constraint").values()) == {"not run"}

    rising = made_up("mnist-mlp-plain", mean=0.8, robust=0.3, accuracy=0.98, falls=False)
    assert verdicts(family | {"mnist-mlp-plain": rising}, "mnist-mlp-plain")["a", "honest"] == "fails"
    for change, claim, word in (
        ({"mean": 0.5}, "b", "fails"),
        ({"mean": 0.81}, "b", "not decided"),
        ({"robust": 0.05}, "c", "fails"),
        ({"robust": 0.3}, "c", "not decided"),
        ({"accuracy": 0.9}, "d", "fails"),
        ({"accuracy": 0.9795}, "d", "holds"),  # a little less, and certainly not a point less
        ({"accuracy": 0.969}, "d", "not decided"),  # an interval that straddles the point
    ):
        numbers = {"mean": 1.4, "robust": 0.6, "accuracy": 0.981} | change
        moved = verdicts(family | {"mnist-mlp-reg": made_up("mnist-mlp-reg", **numbers)}, "mnist-mlp-reg")
        assert moved[claim, "honest"] == word, change
        assert {moved[key] for key in moved if key[0] != claim} == {"holds"}


def test_runs_on_their_way_or_measured_too_early_are_not_compared(family: dict[str, Any]) -> None:
    running = copy.deepcopy(family)
    running["mnist-mlp-reg"]["status"] = "under way"
    assert set(verdicts(running, "mnist-mlp-reg").values()) == {"under way"}
    early = copy.deepcopy(family)
    for run in early.values():
        run["epochs_done"] = run["epochs_wanted"] = 250  # what was measured belongs to another epoch
    found = verdicts(early, "mnist-mlp-reg")
    assert verdicts(early, "mnist-mlp-plain")["a", "honest"] == "not measured"
    assert found["b", "honest"] == found["c", "as published"] == "not measured"


def test_a_claim_about_training_needs_its_end_and_more_than_a_minimum(family: dict[str, Any]) -> None:
    def word(change: Callable[[Any], None], reading: str = "honest") -> str:
        runs = copy.deepcopy(family)
        change(runs["mnist-mlp-plain"])
        return verdicts(runs, "mnist-mlp-plain")["a", reading]

    def overlap(run: Any) -> None:  # the minimum rises as before, and the interval of the low quantile does not tell
        for row in run["measured"]["epochs"]:
            row["parts"]["attack-unboxed"]["q05_interval"] = [-0.6, 0.3]

    def unknown(run: Any) -> None:
        for row in run["measured"]["epochs"]:
            del row["parts"]["attack-unboxed"]["q05_interval"]

    def sinks(run: Any) -> None:
        run["measured"]["epochs"][-1]["parts"]["attack-unboxed"]["q05_interval"] = [-0.9, -0.8]

    assert word(lambda run: run.update(status="under way")) == "under way"
    assert word(lambda run: run.update(status="diverged")) == "diverged"
    assert word(overlap) == word(unknown) == "not decided"
    assert word(overlap, "as published") == "holds"
    assert word(sinks) == "fails"
    (flat,) = {word(lambda run: _level(run))}
    assert flat == "not decided"


def _level(run: Any) -> None:
    """The average of epoch 1 a little above the last: within two errors of sqrt(2) .5 / 10."""
    row = next(row for row in run["measured"]["epochs"] if row["epoch"] == 1)
    row["parts"]["attack-unboxed"]["signed_mean"] = 0.8 + 0.13


def test_a_curve_of_all_training_images_is_judged_by_its_own_noise() -> None:
    def word(mean: float, least: float) -> tuple[str, str, str]:
        config = deep.preset("mnist-lr-plain").to_dict()
        epochs = list(range(41))
        wave = [0.01 * (-1) ** epoch for epoch in epochs]  # noise of standard deviation .01
        curves = {
            "epoch": [float(epoch) for epoch in epochs],
            "train_distance_mean": [0.5, 1.0, *(mean + noise for noise in wave[2:])],
            "train_distance_min": [-2.0, -1.0, *(least + noise for noise in wave[2:])],
        }
        run = {"config": config, "status": "done", "epochs_done": 40, "epochs_wanted": 40, "curves": curves}
        answers = deep_claims.judge({"mnist-lr-plain": [run]}, "mnist-lr")
        (answer,) = [a for a in answers if a.claim == "a" and a.reading == "honest"]
        return answer.verdict, answer.numbers["average"], answer.numbers["least"]

    assert word(0.5, -0.5) == ("holds", "falls", "rises")
    assert word(0.5, -1.001) == ("not decided", "falls", "stays within its noise")
    assert word(0.5, -1.2) == ("fails", "falls", "falls")
    assert word(0.99, -0.5) == ("not decided", "stays within its noise", "rises")
    assert word(1.5, -0.5) == ("fails", "rises", "rises")


def test_several_eps_are_corrected_for(family: dict[str, Any]) -> None:
    from avgmargin.networks.readings import share_of

    # .48 against .62 on 100 images each: 2.02 standard errors, decided alone, and not as one of four
    left, right = share_of(0.48, 100), share_of(0.6195, 100)
    alone = deep_claims.compare_shares([{"1": left}], [{"1": right}], "x", "honest")
    assert alone.verdict == "holds"
    assert alone.numbers["1"]["interval"][0] > 0.0
    four = dict.fromkeys(("0.5", "1", "1.5", "2"), left)
    together = deep_claims.compare_shares([four], [{**four, "1": right}], "x", "honest")
    assert together.verdict == "not decided"
    low, high = together.numbers["1"]["interval"]
    assert low < 0.0 < high
    assert together.numbers["1"]["level"] == pytest.approx(1.0 - 0.05 / 4)
    # accuracy itself, eps 0, is no robustness, and an eps that a run lacks is none
    clean = deep_claims.compare_shares([{"0": left, "1": left}], [{"0": share_of(0.9, 100)}], "x", "honest")
    assert clean.verdict == "not measured"
    mixed = deep_claims.compare_shares(
        [{"1": left, "2": left}], [{"1": share_of(0.9, 100), "2": share_of(0.1, 100)}], "x", "honest"
    )
    assert mixed.verdict == "mixed"


def with_images(runs: dict[str, Any], shift: float, data: str = "one") -> dict[str, Any]:
    """The runs with values of single images: spread by 1 between images, the second run's larger by about `shift`."""
    found = copy.deepcopy(runs)
    for run, more in zip(found.values(), (0.0, shift), strict=True):
        run["measured"]["data"] = {"sha256": "one" if more == 0.0 else data}
        for row in run["measured"]["epochs"]:
            for name in ("estimate", "attack-unboxed", "attack"):
                if name in row["parts"]:
                    signed = [i / 50 - 0.5 + more + 0.02 * (-1) ** i * (more > 0.0) for i in range(100)]
                    row["parts"][name] |= {"signed": signed, "signed_mean": statistics.fmean(signed)}
        for pgd in run["measured"]["epochs"][-1]["parts"]["pgd-published"]["rows"]:
            pgd["robust"] = "".join("01"[i / 50 - 0.5 + more > 1.0] for i in range(100))
            pgd["robust_accuracy"] = pgd["robust"].count("1") / 100
    return found


def test_values_on_the_same_images_decide_what_two_samples_do_not(family: dict[str, Any]) -> None:
    answers = {
        data: deep_claims.judge({name: [run] for name, run in with_images(family, 0.1, data).items()}, "mnist-mlp")
        for data in ("one", "other")
    }

    def found(data: str, claim: str, reading: str) -> Any:
        (answer,) = [
            a for a in answers[data]
            if (a.claim, a.reading) == (claim, reading) and a.about.startswith("mnist-mlp-reg")
        ]  # fmt: skip
        return answer

    for reading in ("as published", "honest"):
        paired, apart = found("one", "b", reading), found("other", "b", reading)
        assert (paired.verdict, apart.verdict) == ("holds", "not decided")  # .1 of a spread of 1, on 100 images
        assert (paired.numbers["by"], apart.numbers["by"]) == ("the same images", "images")
        assert paired.numbers["difference"] == apart.numbers["difference"] == pytest.approx(0.1, abs=1e-9)
        assert paired.numbers["error"] == pytest.approx(0.02 / math.sqrt(99), rel=1e-6)
        assert {row["by"] for row in found("one", "c", reading).numbers.values()} == {"the same images"}
        assert {row["by"] for row in found("other", "c", reading).numbers.values()} == {"images"}


def test_an_image_that_was_not_found_leaves_the_rest_unpaired(family: dict[str, Any]) -> None:
    runs = with_images(family, 0.1)
    runs["mnist-mlp-reg"]["measured"]["epochs"][-1]["parts"]["attack-unboxed"]["signed"][3] = None
    (answer,) = [
        a for a in deep_claims.judge({name: [run] for name, run in runs.items()}, "mnist-mlp")
        if (a.claim, a.reading) == ("b", "honest") and a.about.startswith("mnist-mlp-reg")
    ]  # fmt: skip
    assert answer.numbers["by"] == "images"


def test_training_is_followed_on_the_same_images(family: dict[str, Any]) -> None:
    """Every image loses .1 but for a ripple, of a spread of 1 between images: falls, which two samples cannot say."""
    runs = copy.deepcopy(family)
    rows = {row["epoch"]: row["parts"]["attack-unboxed"] for row in runs["mnist-mlp-plain"]["measured"]["epochs"]}
    rows[1]["signed"] = [i / 50 - 0.5 for i in range(100)]
    rows[200]["signed"] = [value - 0.1 + 0.02 * (-1) ** i for i, value in enumerate(rows[1]["signed"])]
    for epoch in (1, 200):
        rows[epoch]["signed_mean"] = statistics.fmean(rows[epoch]["signed"])
    assert verdicts(runs, "mnist-mlp-plain")["a", "honest"] == "not decided"  # of images that nobody knows
    runs["mnist-mlp-plain"]["measured"]["data"] = {"sha256": "one"}
    assert verdicts(runs, "mnist-mlp-plain")["a", "honest"] == "holds"
    del rows[200]["signed"]
    assert verdicts(runs, "mnist-mlp-plain")["a", "honest"] == "not decided"


def test_runs_of_unequal_length_are_not_compared(family: dict[str, Any]) -> None:
    short = copy.deepcopy(family)
    for run in short.values():
        run.update(epochs_wanted=400)  # both were stopped at 200
    assert set(verdicts(short, "mnist-mlp-reg").values()) == {"holds"}
    assert set(verdicts(short, "mnist-mlp-plain").values()) == {"stopped early"}  # (a) is about training to its end
    short["mnist-mlp-plain"].update(epochs_wanted=200)
    short["mnist-mlp-reg"].update(epochs_done=100)
    assert set(verdicts(short, "mnist-mlp-reg").values()) == {"unequal epochs"}


def test_seeds_decide_by_their_spread(family: dict[str, Any]) -> None:
    runs: dict[str, list[Any]] = {}
    for name, values in (("plain", (0.8, 0.9, 1.0)), ("reg", (0.7, 1.2, 1.6))):
        preset = f"mnist-mlp-{name}"
        runs[preset] = [made_up(preset, mean=v, robust=0.3, accuracy=0.98, seed=i) for i, v in enumerate(values)]
    (answer,) = [
        a for a in deep_claims.judge(runs, "mnist-mlp")
        if (a.claim, a.reading) == ("b", "honest") and a.about.startswith("mnist-mlp-reg")
    ]  # fmt: skip
    assert answer.verdict == "not decided"  # across 100 images each the difference would be decided
    assert answer.numbers["seeds"] == [3, 3]
    assert answer.numbers["by"] == "seeds"
    assert answer.numbers["error"] == pytest.approx((0.01 / 3 + 0.2033333 / 3) ** 0.5, rel=1e-3)


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The page builder, in this process."""
    if not SCRIPT.exists():
        pytest.skip("the documentation is not beside these tests")
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    script = importlib.import_module("deep_results")
    return lambda docs, *words: script.main(["--docs", str(docs), *words])


def test_a_flipped_claim_flips_the_sentence(family: dict[str, Any], tmp_path: Path, build: Callable[..., int]) -> None:
    place = tmp_path / "results" / "deep"
    place.mkdir(parents=True)
    for name, run in family.items():
        (place / f"{name}.json").write_text(json.dumps(run))
    assert build(tmp_path) == 0
    page = (tmp_path / "deep" / "results.md").read_text()
    assert "| mnist-mlp | holds / holds | holds / holds | holds / holds | holds |" in page
    assert "| mnist-lr | not run | not run | not run | not run |" in page
    assert "the released penalty had a gradient on no image at all" in page
    assert all(p.stat().st_size < 150_000 for p in place.glob("*.svg"))
    assert len(list(place.glob("*.svg"))) == 2
    assert build(tmp_path, "--check") == 0

    worse = made_up("mnist-mlp-reg", mean=0.5, robust=0.6, accuracy=0.981)
    worse["measured"]["epochs"][-1]["parts"]["penalty"]["released"] = 0.25
    (place / "mnist-mlp-reg.json").write_text(json.dumps(worse))
    assert build(tmp_path, "--check") == 1
    assert (tmp_path / "deep" / "results.md").read_text() == page  # a check writes nothing
    assert build(tmp_path) == 0
    page = (tmp_path / "deep" / "results.md").read_text()
    assert "| mnist-mlp | holds / holds | fails / fails | holds / holds | holds |" in page
    assert "on up to 25.000% of the images" in page


def test_the_page_in_the_documentation_is_built_from_what_is_kept(build: Callable[..., int]) -> None:
    assert build(SCRIPT.parents[1], "--check") == 0
