"""The pages do what they say: commands and programs run as shown, public names have texts, formulas become MathML.

Skipped where the documentation is not beside the tests (the wheel), or where Sphinx is not installed.
"""

from __future__ import annotations

import fnmatch
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest

from avgmargin.cli import commands
from avgmargin.common.errors import UsageError

DOCS = Path(__file__).resolve().parents[1] / "docs"
pytestmark = pytest.mark.skipif(not (DOCS / "conf.py").exists(), reason="the documentation is not beside these tests")

STEADY = re.compile(r"^(loss|formula|verdict|tier|scope|gap|bound)\b|^\d+$")
"""Shown lines that have to come out again; times, file names and measured numbers may differ."""


def extension(name: str) -> types.ModuleType:
    """A module of docs/_ext."""
    for folder in (str(DOCS / "scripts"), str(DOCS / "_ext")):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    return importlib.import_module(name)


def extension_of(path: Path) -> types.ModuleType:
    """A program of docs/scripts as a module."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


# -- pages that are followed literally ---------------------------------------------------------------------------------

FENCE = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVED = re.compile(r"Save this as `([\w.]+)`")
PAGES = ["loss_in_five_minutes.md", *(f"howto/{path.name}" for path in sorted((DOCS / "howto").glob("*.md")))]


def follow(page: str, folder: Path) -> int:
    """Do what a page says in a folder: save its programs, or run them, and run its commands; how many steps it had.

    A program that follows the words "Save this as `NAME`" is saved; any other is run in one namespace with those before
    it. A console block holds commands after `$ ` and, beneath each, lines that its output must hold (`STEADY` ones).
    `# not run: REASON` as the first line of a block leaves it out.
    """
    text = (DOCS / page).read_text(encoding="utf-8")
    program = ""
    steps, end = 0, 0
    for match in FENCE.finditer(text):
        kind, body = match[1], match[2]
        saved = SAVED.search(text[end : match.start()])
        end = match.end()
        if body.startswith("# not run: "):
            continue
        steps += 1
        if kind == "console":
            if program:
                run(f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}", folder)
                program = ""
            transcript(body, folder)
        elif saved:
            (folder / saved[1]).write_text(body, encoding="utf-8")
        else:
            program += body + "\n"
    if program:
        run(f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}", folder)
    return steps


def transcript(body: str, folder: Path) -> None:
    """Run the commands of a console block and look for the steady lines shown beneath each."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, *shown = part.rstrip().split("\n")
        printed = [line.strip() for line in run(command, folder).splitlines()]
        for line in map(str.strip, shown):
            if STEADY.search(line):
                assert line in printed, f"{command}: prints\n" + "\n".join(printed)


def run(command: str, folder: Path) -> str:
    """What a shell command prints. Its exit code must be 0, or 1, which says `refuted`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    settings = {**os.environ, **one, "PATH": path, "COLUMNS": "200"}
    if (DOCS.parent / "theory").is_dir():
        settings["PYTHONPATH"] = str(DOCS.parent)
    done = subprocess.run(
        command, shell=True, cwd=folder, env=settings, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode in (0, 1), f"{command}: {done.returncode}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    return done.stdout


SLOW = {"howto/sweep.md", "howto/resume.md"}
"""Each command is a process that loads torch; these pages hold several."""


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed(page: str, tmp_path: Path) -> None:
    if page in SLOW and not os.environ.get("AVGMARGIN_SLOW"):
        pytest.skip("slow: set AVGMARGIN_SLOW=1")
    follow(page, tmp_path)


def test_following_notices_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="prints"):
        transcript("$ echo 'verdict PROVED'\nverdict REFUTED\n", tmp_path)
    with pytest.raises(AssertionError, match=r"Traceback|2"):
        run("python -c 'raise KeyError(3)'", tmp_path)
    transcript("$ echo 'verdict PROVED'\nverdict PROVED\ntime 3 s\n", tmp_path)


# -- commands shown anywhere ------------------------------------------------------------------------------------------

SHOWN = re.compile(r"^ *(?:\$ )?avgmargin (?! )((?:.*\\\n)*.*)$", re.MULTILINE)
SHELL = {"|", ">", ";", "&&"}


def shown_commands(text: str) -> list[list[str]]:
    """The words of every `avgmargin ...` that a page shows on a line of its own, up to a pipe; `...` is no command."""
    found = []
    for match in SHOWN.finditer(text):
        words = shlex.split(match[1].replace("\\\n", " ").replace("[", "").replace("]", ""), comments=True)
        stop = next((k for k, word in enumerate(words) if word in SHELL), len(words))
        if "..." not in words[:stop]:
            found.append(words[:stop])
    return found


@pytest.mark.parametrize("page", ["../README.md", *sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))])
def test_commands_shown_are_understood(page: str) -> None:
    for words in shown_commands((DOCS / page).read_text(encoding="utf-8")):
        assert commands.parse(words).command.name == words[0]


def test_a_command_that_does_not_exist_is_seen() -> None:
    good, bad = shown_commands(
        "$ avgmargin losses hinge   # words\n\n    avgmargin prove hinge \\\n  --clases 3 | grep x\n"
    )
    assert commands.parse(good).name == "hinge"
    with pytest.raises(UsageError, match="--classes"):
        commands.parse(bad)
    assert shown_commands("avgmargin sweep ... --backend dask") == []


PROGRAM = re.compile(r"\bpython (?:-m )?((?:benchmarks|docs/scripts|tests)[\w./]+)([^\n`#|]*)")


def unknown_options(text: str) -> list[str]:
    """The options that a page gives to a program of the checkout, and that the program's text does not hold."""
    found = []
    for match in PROGRAM.finditer(text):
        place = DOCS.parent / match[1]
        for path in (place, Path(f"{DOCS.parent / match[1].replace('.', '/')}.py")):
            source = path.read_text(encoding="utf-8") if path.is_file() else None
            if source is not None:
                found += [f"{match[1]} {o}" for o in re.findall(r"--[a-z-]+", match[2]) if f'"{o}"' not in source]
    return found


@pytest.mark.parametrize("page", ["../README.md", *sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))])
def test_programs_shown_have_the_options_shown(page: str) -> None:
    assert unknown_options((DOCS / page).read_text(encoding="utf-8")) == []


def test_an_option_that_does_not_exist_is_seen() -> None:
    good = "python benchmarks/laws.py --scaling\nas `python docs/scripts/synthetic_tables.py --check` and --other"
    assert unknown_options(good) == []
    assert unknown_options("    python benchmarks/laws.py --scaling --people\n") == ["benchmarks/laws.py --people"]


def test_the_programs_that_measure_checkpoints_say_in_one_line_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = extension_of(DOCS / "scripts" / "published_bounds.py")
    monkeypatch.setattr(sys, "argv", ["published_bounds.py", "--shared", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        script.main()
    assert "must be a folder that holds train-images" in capsys.readouterr().err.splitlines()[-1]
    attacks = extension_of(DOCS / "scripts" / "published_attacks.py")
    with pytest.raises(SystemExit, match="2"):
        attacks.main(["--shared", str(tmp_path)])
    assert "must be a folder that holds train-images" in capsys.readouterr().err.splitlines()[-1]


# -- the reference -----------------------------------------------------------------------------------------------------


def test_every_public_name_is_described() -> None:
    faces = extension("faces")
    names = faces.every_name()
    assert len(names) > 150
    assert len({name.path for name in names}) == len(names)
    assert [gap for name in names for gap in faces.gaps(name)] == []


class _Undescribed:
    pass


def _silent(x: float) -> float:
    """Twice x."""
    if x < 0:
        raise ValueError("x")
    return 2 * x


def test_a_name_without_its_text_is_noticed() -> None:
    faces = extension("faces")
    name = faces.Name("tests", "it", _Undescribed)
    assert faces.gaps(name) == ["tests.it: documented"]
    assert faces.gaps(faces.Name("tests", "it", _silent)) == ["tests.it: errors"]
    assert faces.gaps(faces.Name("tests", "it", 3)) == ["tests.it: documented"]


def test_array_arguments_need_a_shape() -> None:
    faces = extension("faces")

    def spread(x: object) -> object:
        """The spread of x."""
        return x

    spread.__annotations__["x"] = "ArrayLike"
    assert faces.gaps(faces.Name("tests", "spread", spread)) == ["tests.spread: shapes"]
    spread.__doc__ = "The spread of x, shape (n,)."
    assert faces.gaps(faces.Name("tests", "spread", spread)) == []


# -- docstrings as reStructuredText ------------------------------------------------------------------------------------


def warnings_of(text: str) -> str:
    """What docutils says of a text."""
    core = pytest.importorskip("docutils.core")
    import io

    stream = io.StringIO()
    settings = {"warning_stream": stream, "report_level": 1, "file_insertion_enabled": False, "halt_level": 5}
    core.publish_doctree(text.replace(".. code-block:: text", "::"), settings_overrides=settings)
    return stream.getvalue()


HOSTILE = [
    "|2 eta - 1| and *stars and `code` and ``more`` and under_ scores_ and <x>_.",
    "- one\n- two\n  goes on",
    "values  : (n,) float64; *args and |x|\nkind    : `exact`\n          or not",
    "1. looks like a list\nbut is not",
    ":field: no field",
    ".. not:: a directive",
    "Title\n-----\nname : what it is\n    further",
    "    indented\n  less",
    "ends with two colons::",
    ">>> 1 + 1\n2",
    "`a`b and ``c``d, R* <= psi^-1(R_phi) \\ backslash",
    "__init__ **kw `` `",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_docstrings_become_text_without_a_warning(text: str) -> None:
    rst = "\n".join(extension("docstrings").to_rst(text.splitlines()))
    assert warnings_of(rst) == ""


def test_that_check_can_say_no() -> None:
    assert warnings_of("|x| is undefined") != ""


# -- formulas and numbers ----------------------------------------------------------------------------------------------


def test_every_formula_of_the_pages_becomes_mathml() -> None:
    pytest.importorskip("latex2mathml")
    mathml = extension("mathml")
    count = 0
    for page in DOCS.rglob("*.md"):
        text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for match in re.finditer(r"\$\$(.+?)\$\$|\$([^$]+?)\$", text, re.DOTALL):
            found = mathml.mathml(match[1] or match[2], bool(match[1]))
            assert found.startswith("<math")
            count += 1
    assert count > 1000


@pytest.mark.parametrize("formula", [r"\frobnicate{x}", r"\frac{1", r"x \unknown y"])
def test_a_formula_that_is_not_understood_is_refused(formula: str) -> None:
    pytest.importorskip("latex2mathml")
    mathml = extension("mathml")
    with pytest.raises(mathml.Untranslated):
        mathml.mathml(formula)


def test_numbers_of_the_landing_page_come_from_the_files(tmp_path: Path) -> None:
    results = extension("results")
    kept = json.loads((DOCS / "results" / "catalogue.json").read_text(encoding="utf-8"))
    found = results.substitutions(DOCS / "results")
    assert found["proved"] == kept["counts"]["PROVED"]
    named = set(re.findall(r"\{\{ (\w+) \}\}", "".join(p.read_text(encoding="utf-8") for p in DOCS.glob("*.md"))))
    assert named
    assert named <= found.keys()
    for name in ("catalogue", "frontier", "curves"):
        (tmp_path / f"{name}.json").write_bytes((DOCS / "results" / f"{name}.json").read_bytes())
    kept["counts"]["PROVED"] += 1
    (tmp_path / "catalogue.json").write_text(json.dumps(kept), encoding="utf-8")
    assert results.substitutions(tmp_path)["proved"] == found["proved"] + 1


def test_the_table_of_verdicts_says_what_its_witnesses_show() -> None:
    results = extension("results")

    def shown(at: str) -> str:
        witness = {"p": ["3/7", "2/7", "2/7"], "scores": ["0", "0", "-5"], "at": at}
        row = {"name": "average-margin-released", "parameters": {"mu": "1"}, "classes": 3, "status": "REFUTED"}
        return str(results.target_table([{**row, "tier": "certified", "gap": None, "witness": witness}]))

    assert "the score (0, 0, -5) is optimal" in shown("attained")
    assert "no right score is below the best tie near (0, 0, -5)" in shown("ties")
    assert "no right score is below the limit along (0, 0, -5)" in shown("limit")


def untold(text: str, folder: str) -> list[str]:
    """The modules of a folder that a page names neither by itself nor by a pattern."""
    named = re.findall(r"`([\w*]+\.py)`", text)
    modules = sorted(path.name for path in (DOCS.parent / folder).glob("*.py") if path.name != "__init__.py")
    return [module for module in modules if not any(fnmatch.fnmatch(module, name) for name in named)]


def test_the_page_of_trust_names_every_trusted_module() -> None:
    text = (DOCS / "trust.md").read_text(encoding="utf-8")
    assert untold(text, "theory/checker") == []
    assert untold(text, "theory/expression") == []
    assert untold(text.replace("`share.py`", ""), "theory/expression") == ["share.py"]


def test_the_page_of_benchmarks_is_the_one_of_its_file() -> None:
    script = extension_of(DOCS / "scripts" / "benchmarks_page.py")
    kept = json.loads((DOCS / "results" / "benchmarks.json").read_text(encoding="utf-8"))
    pictures = list(script.series(kept))
    assert (DOCS / "benchmarks.md").read_text(encoding="utf-8") == script.page(kept, pictures)
    slow = {**kept, "prover": {**kept["prover"], "target": {**kept["prover"]["target"], "binary_prove": 77.0}}}
    assert "| 77 s | **no** |" in script.page(slow, pictures)
    assert "not measured yet" in script.page({}, [])
    assert script.LINES["Prover"][0].row({"prover": {"target": {"binary_prove": float("nan")}}})[3] == "-"


def test_the_page_of_reliability_is_the_one_of_its_files() -> None:
    script = extension_of(DOCS / "scripts" / "reliability_page.py")
    kept = script.stored()
    assert {"fuzz", "mutation", "kills"} <= kept.keys()
    assert (DOCS / "reliability.md").read_text(encoding="utf-8") == script.page(kept)
    other = {**kept, "fuzz": {**kept["fuzz"], "broken": 77}}
    assert "| 77 |" in script.page(other)
    assert script.page({}).count("Not measured yet.") == 4


def test_a_site_that_needs_a_network_is_noticed(tmp_path: Path) -> None:
    script = extension_of(DOCS / "scripts" / "check_site.py")
    good = '<link rel="stylesheet" href="a.css"><math alttext="$$"></math><a href="https://elsewhere/">x</a>'
    (tmp_path / "a.css").write_text("body { background: url(data:image/png;base64,AA) }", encoding="utf-8")
    (tmp_path / "index.html").write_text(good, encoding="utf-8")
    assert script.faults(tmp_path)[0] == []
    for bad, words in (
        ('<script src="//cdn/x.js"></script>', "loads //cdn/x.js"),
        ('<img src="http://elsewhere/x.png">', "loads http://elsewhere/x.png"),
        ('<p style="background: url(https://elsewhere/y)">', "loads https://elsewhere/y"),
        ("<p>$$x$$</p>", "as text"),
        (r"<p>where \frac holds</p>", "as text"),
        ('<a href="gone.html">x</a>', "is not there"),
    ):
        (tmp_path / "index.html").write_text(bad, encoding="utf-8")
        assert any(words in fault for fault in script.faults(tmp_path)[0]), bad
    (tmp_path / "index.html").write_text(good, encoding="utf-8")
    (tmp_path / "a.css").write_text("@import 'https://fonts/x.css';", encoding="utf-8")
    assert script.faults(tmp_path)[0] == ["a.css: loads https://fonts/x.css"]


def test_training_runs_are_read_from_their_condensed_files(tmp_path: Path) -> None:
    results = extension("results")
    curves = {"epoch": [0.0, 1.0, 2.0], "train_distance_mean": [0.1, 0.9, 0.4], "train_distance_min": [-1, -3, -2.5]}
    run = {"name": "a|b", "config": {}, "curves": curves, "epochs_done": 2, "epochs_wanted": 10}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "run.json").write_text(json.dumps(run), encoding="utf-8")
    table = results.training_table(results.training_runs(tmp_path))
    assert "0.9 to 0.4: falls" in table
    assert "-3 to -2.5: rises" in table
    assert "a\\|b" in table
