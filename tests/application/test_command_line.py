"""The command line as its users meet it: separate processes, exit codes, one line for wrong input."""

from __future__ import annotations

import ast
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from avgmargin.cli import commands
from avgmargin.common.errors import UsageError, one_line

Run = Callable[..., "subprocess.CompletedProcess[str]"]

HELP_SECONDS = 3.0  # the rule is 1 s; a busy test machine gets three times that

PACKAGES = ("theory", "synthetic", "deep", "avgmargin")


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# -- bad input ------------------------------------------------------------------------------------------------

BAD = {
    "unknown loss": (["prove", "averge-margin"], "'average-margin'"),
    "call": (["prove", "__import__('os').system('x')"], "named functions"),
    "tower": (["prove", "9**9**9**9"], "exponent"),
    "huge number": (["prove", "1e999999999 * t"], "1e999999999"),
    "brackets": (["prove", "(" * 10_000 + "t" + ")" * 10_000], "characters"),
    "non-ASCII": (["prove", "exp(-\N{GREEK SMALL LETTER TAU})"], "ASCII"),
    "two lines": (["prove", "t +\n* t"], "column"),
    "escape": (["prove", "t\x1b[31m"], "ASCII"),
    "empty": (["prove", ""], "empty"),
    "mu": (["prove", "average-margin", "--param", "mu=-0.1"], "mu=-0.1"),
    "tau": (["prove", "average-margin", "--param", "tau=0"], "tau=0"),
    "unknown parameter": (["prove", "average-margin", "--param", "nu=1"], "'nu'"),
    "NaN": (["prove", "average-margin", "--param", "mu=nan"], "mu=nan"),
    "no value": (["prove", "average-margin", "--param", "mu"], "NAME=VALUE"),
    "twice": (["prove", "average-margin", "--param", "mu=1", "--param", "mu=2"], "twice"),
    "huge parameter": (["prove", "average-margin", "--param", "mu=1e99999999"], "exponent"),
    "domain": (["prove", "hinge", "--domain", "round"], "'round'"),
    "domain bound": (["prove", "hinge", "--domain", "bounded:-1"], "bound"),
    "threshold": (["prove", "hinge", "--threshold", "1"], "threshold"),
    "half a pair": (["prove", "--plus", "-v"], "--minus"),
    "boxes": (["prove", "hinge", "--boxes", "0"], "boxes=0"),
    "seconds": (["prove", "hinge", "--seconds", "nan"], "seconds=nan"),
    "option": (["prove", "hinge", "--jsn"], "'--json'"),
    "command": (["prov"], "'prove'"),
    "no command": ([], "COMMAND"),
    "missing certificate": (["check", "absent.json"], "absent.json"),
    "scale": (["reproduce", "--scale", "huge"], "quick or full"),
    "seed": (["reproduce", "--seed", "-1"], "seed=-1"),
    "data": (["reproduce", "--data-dir", "absent"], "absent"),
    "run folder": (["report", "absent"], "absent"),
    "synthetic loss": (["synthetic", "hinje"], "'hinge'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_with_code_2_and_leaves_nothing(case: str, run: Run, tmp_path: Path) -> None:
    words, told = BAD[case]
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("avgmargin: error: ")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
    assert done.stderr.rstrip("\n").isprintable()
    assert files_below(tmp_path) == []


def test_bad_input_with_json_says_so_on_stdout_too(run: Run) -> None:
    done = run("prove", "hinge", "--domain", "round", "--json")
    assert done.returncode == 2
    assert list(json.loads(done.stdout)) == ["error"]
    assert json.loads(done.stdout)["error"] in done.stderr


@pytest.mark.parametrize("words", [["prove", "hinge"], ["reproduce", "--scale", "tiny"], ["train", "--epochs", "1"]])
def test_a_folder_that_cannot_be_written_is_an_error_at_once(words: list[str], run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = run(*words, "--out", "file/below")  # below a regular file: refused for every user, root included
    assert done.returncode == 2
    assert "file/below" in done.stderr
    assert done.stderr.count("\n") == 1
    assert files_below(tmp_path) == ["file"]


def test_a_folder_with_other_files_is_not_taken_for_a_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    done = run("reproduce", "--scale", "tiny", "--out", "thesis")
    assert done.returncode == 2
    assert "chapter.txt" in done.stderr
    assert files_below(tmp_path) == ["thesis", "thesis/chapter.txt"]


def test_a_fault_of_the_program_keeps_its_traceback(python: Run) -> None:
    fault = "from avgmargin import __main__; __main__.commands.parse = lambda words: 1 // 0; "
    done = python(fault + "__main__.main(['losses'])")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" in done.stderr


# -- proofs and certificates -------------------------------------------------------------------------------------

KEYS = {"status", "tier", "scope", "gap", "witness", "certificate", "advice", "loss", "gap_region", "seconds"}


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (["average-margin", "--param", "mu=0.3", "--param", "tau=7/3"], 0, "PROVED"),
        (["max(0,1-t)"], 0, "PROVED"),
        (["-t", "--domain", "bounded:2"], 0, "PROVED"),
        (["--plus", "-v", "--minus", "v", "--domain", "bounded:3/2"], 0, "PROVED"),
        (["max(0, a - t)", "--param", "a=1/3"], 0, "PROVED"),
        (["average-margin-released"], 1, "REFUTED"),
        (["crammer-singer", "--classes", "3"], 1, "REFUTED"),
        (
            ["sum_other(wk * max(0, 1 + fk))", "--param", "w=1,1,2", "--classes", "3", "--domain", "sum-zero"],
            1,
            "REFUTED",
        ),
        (["-t"], 3, "UNDECIDED"),
        (["average-margin", "--boxes", "1"], 3, "UNDECIDED"),
    ],
)
def test_prove_json_interface(words: list[str], code: int, status: str, run: Run, tmp_path: Path) -> None:
    done = run("prove", *words, "--out", "certs", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == code
    assert found["status"] == status
    assert set(found) >= KEYS
    assert (found["tier"] == "searched") == (status == "UNDECIDED")
    assert (found["witness"] is not None) == (status == "REFUTED")
    if status == "UNDECIDED":
        assert found["certificate"] is None
        assert found["advice"]
        assert files_below(tmp_path) == []
    else:
        assert found["certificate"].startswith("certs/")
        checked = run("check", found["certificate"], "--json")
        assert checked.returncode == 0
        assert json.loads(checked.stdout)["results"][0]["valid"] is True


def test_prove_in_words_names_verdict_witness_and_certificate(run: Run, tmp_path: Path) -> None:
    done = run("prove", "perceptron")
    assert done.returncode == 1
    (path,) = tmp_path.rglob("*.json")
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert told["verdict"] == "REFUTED"
    assert "3/4" in told["witness"]
    assert told["certificate"] == str(path.relative_to(tmp_path))
    assert "\x1b" not in done.stdout


def test_check_refuses_an_altered_and_a_truncated_certificate(run: Run, tmp_path: Path) -> None:
    path = tmp_path / json.loads(run("prove", "hinge", "--json").stdout)["certificate"]
    whole = path.read_text()
    altered = tmp_path / "altered.json"
    altered.write_text(whole.replace('"binary": "max(0, 1 - t)"', '"binary": "max(0, -t)"'))
    assert altered.read_text() != whole
    done = run("check", str(path), str(altered), "--json")
    assert done.returncode == 1
    answers = json.loads(done.stdout)
    assert [record["valid"] for record in answers["results"]] == [True, False]
    assert answers["valid"] is False
    assert answers["results"][1]["reason"]
    cut = tmp_path / "cut.json"
    cut.write_text(whole[: len(whole) // 2])
    done = run("check", str(cut))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cut.json" in done.stderr


def test_proofs_are_refused_where_denormals_are_flushed(python: Run, tmp_path: Path) -> None:
    code = (
        "import sys, torch\nif not torch.set_flush_denormal(True): sys.exit(77)\n"
        "from avgmargin.__main__ import main\nsys.exit(main(['prove', 'hinge']))"
    )
    done = python(code)
    if done.returncode == 77:
        pytest.skip("this processor cannot flush denormals")
    assert done.returncode == 4
    assert "denormal" in done.stderr
    assert files_below(tmp_path) == []


def test_losses_lists_the_catalogue(run: Run) -> None:
    from theory import catalogue

    found = json.loads(run("losses", "--json").stdout)["losses"]
    assert [row["name"] for row in found] == list(catalogue.names())
    targets = [row for row in found if row["name"] == "average-margin"]
    assert targets[0]["parameters"]["tau"] == {"default": "5", "range": "> 0"}


def test_train_leaves_a_run_and_reads_it_again(run: Run, tmp_path: Path) -> None:
    words = ("train", "--epochs", "2", "--per-class", "10", "--out", "one", "--json")
    first = run(*words, cache=tmp_path / "cache")
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert [row["epoch"] for row in found["epochs"]] == [0, 1, 2]
    assert "epoch 2/2" in first.stderr
    again = run(*words, cache=tmp_path / "cache")
    assert json.loads(again.stdout) == found
    assert "epoch" not in again.stderr
    other = run(*words, "--lr", "0.5", cache=tmp_path / "cache")
    assert other.returncode == 2
    assert "lr" in other.stderr


# -- speed and layers ------------------------------------------------------------------------------------------


def test_help_is_quick_and_imports_nothing_heavy(python: Run) -> None:
    code = "import sys; from avgmargin.__main__ import main; main(['--help']); print(sorted(sys.modules))"
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = python(code)
        times.append(time.perf_counter() - start)
    *words, modules = done.stdout.splitlines()
    assert min(times) < HELP_SECONDS
    assert any("reproduce" in line for line in words)
    loaded = {name.split(".")[0] for name in ast.literal_eval(modules)}
    assert not loaded & {"torch", "numpy", "sympy", "matplotlib", "scipy", "rich", "jinja2", "flint"}


@pytest.mark.parametrize("command", [command.name for command in commands.COMMANDS])
def test_every_command_describes_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        commands.parse([command, "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert f"avgmargin {command}" in told
    assert "exit codes" in told


def test_theory_and_synthetic_do_without_torch(python: Run) -> None:
    code = "import sys, theory, synthetic; print(*(name in sys.modules for name in ('torch', 'deep', 'avgmargin')))"
    done = python(code)
    assert done.stdout.split() == ["False"] * 3


def test_a_checking_process_loads_no_scipy(python: Run) -> None:
    """Every certificate is checked in a process of its own; SciPy takes longer to load than most take to check."""
    code = "import sys, theory; print([name for name in sys.modules if name.split('.')[0] in ('scipy', 'sympy')])"
    assert python(code).stdout.strip() == "[]"


def imported(package: str) -> set[str]:
    """The top-level packages that the sources of a package import, anywhere in them."""
    module = __import__(package)
    found: set[str] = set()
    for path in Path(module.__file__ or "").parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.split(".")[0])
    return found


def test_imports_look_down_only() -> None:
    allowed = {
        "theory": set(),
        "synthetic": {"theory"},
        "deep": {"theory"},
        "avgmargin": {"theory", "synthetic", "deep"},
    }
    for package, below in allowed.items():
        seen = imported(package) & set(PACKAGES) - {package}
        assert seen <= below, package
    assert imported("avgmargin") >= {"theory", "synthetic", "deep"}
    assert not (imported("theory") | imported("synthetic")) & {"torch"}


# -- reading the command line ------------------------------------------------------------------------------------


def test_a_formula_may_look_like_an_option() -> None:
    assert commands.parse(["prove", "-t", "--json"]).loss == "-t"
    assert commands.parse(["prove", "--json", "--", "-t"]).loss == "-t"
    read = commands.parse(["prove", "--plus", "-v", "--minus", "-2*v", "--param", "a=-1"])
    assert (read.loss, read.plus, read.minus, read.param) == (None, "-v", "-2*v", ["a=-1"])
    assert commands.parse(["prove", "-log(q)", "--classes", "3"]).classes == 3


def test_options_do_not_swallow_each_other() -> None:
    with pytest.raises(UsageError, match="--out"):
        commands.parse(["prove", "hinge", "--out", "--json"])
    with pytest.raises(UsageError, match="'extra'"):
        commands.parse(["prove", "hinge", "extra"])


def test_messages_are_one_line_and_bounded() -> None:
    text = one_line("a\nb\t" + "\x00" + "x" * 10_000)
    assert "\n" not in text
    assert text.isprintable()
    assert len(text) <= 600
    assert text.startswith(r"a b \x00")
