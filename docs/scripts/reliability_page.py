"""The page docs/reliability.md, from docs/results/{kills,fuzz,mutation,lowest}.json.

python docs/scripts/reliability_page.py            # writes it; --check: exit code 1 where the page is stale
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent
PAGE, RESULTS = DOCS / "reliability.md", DOCS / "results"

# ruff: noqa: E501 - rows of a table
INTRODUCTION = """# Reliability

What is tested against what, beside the ordinary tests. The tables are built by `docs/scripts/reliability_page.py` from
the files named above them; each was written by the command shown.

| tested | against | by | in `make test` | longer |
|---|---|---|---|---|
| checkpoint store | any order of saving, stopping in mid-save, cutting, flipping a byte, deleting, taking up: an earlier state that is whole, or an error that names the file, never other weights | `tests/deep/test_store_machine.py`, a state machine of Hypothesis | yes | `make nightly` |
| commands that write | SIGKILL to the process group, at a drawn time or just before a drawn act on a file (opened, written to the second half, flushed, renamed) | `tests/reliability`, `tests/deep/test_kill.py` | a few kills each | `python -m tests.reliability` |
| readers of what strangers send | crashes, hangs, refusals in several lines, forbidden acts (a process, a socket, code, a removed file) | `tests/fuzz` | 150 inputs each | `python -m tests.fuzz` |
| the tests of parser, checker and readers | drawn changes of the code | `tests/mutation` | no | `python -m tests.mutation`, extra `mutation` |
| properties | drawn examples | Hypothesis profiles `ci` (the same examples each time), `dev` (other ones each time), `nightly` (2,000 each) | `ci` on CI, else `dev` | `make nightly`, or `HYPOTHESIS_PROFILE=nightly` |
| lowest versions in `pyproject.toml` | the tests | `tests/lowest.py` | no | `make lowest` |
"""


def page(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The page, as Markdown; a part whose file is absent says so."""
    parts = {"kills": _kills, "fuzz": _fuzz, "mutation": _mutation, "lowest": _lowest}
    titles = {"kills": "Kills", "fuzz": "Fuzzing", "mutation": "Mutants", "lowest": "Lowest versions"}
    made = [INTRODUCTION.rstrip("\n")]
    for name, part in parts.items():
        made.append(f"## {titles[name]}")
        made += part(found[name]) if name in found else ["Not measured yet."]
    return "\n\n".join(made) + "\n"


def _kills(run: Mapping[str, Any]) -> list[str]:
    names = ("kills", "before_start", "in_mid_work", "in_a_write", "after_end", "resumed_equal")
    rows = [
        (f"`{command}`", *(row.get(n, "-") for n in names), *(len(row[n]) for n in ("broken", "unequal", "left_over")))
        for command, row in run["commands"].items()
        if row["kills"]
    ]
    commands = "; ".join(f"`{line}`" for line in dict.fromkeys(row["by"] for row in run["commands"].values()))
    header = (
        "command",
        "kills",
        "before start",
        "in mid-work",
        "of these in a write",
        "after the end",
        "resumed equal",
    )
    expected = ("train", "sweep", "prove", "report", "losses --prove", "reproduce")
    missing = ", ".join(f"`{name}`" for name in expected if not run["commands"].get(name, {}).get("kills"))
    twin = ", ".join(f"`{name}` {row['caught']} in {row['kills']} kills" for name, row in run["broken_twin"].items())
    return [
        f"{commands} (`docs/results/kills.json`). After each kill every file must be complete or absent,"
        " certificates verify, checkpoints load; then the same command is run again, and must give the same weights bit"
        " by bit, verdicts, certificates and report as an undisturbed run, times apart. *Before start* means that the"
        " command had left nothing in its folder yet; *in a write*, that it left a file that was not finished (a dash:"
        " not counted in that run).",
        _table((*header, "broken rules", "unequal", "left over"), rows),
        "*Left over* are files of a checkpoint without its marker, which no reader takes for a checkpoint."
        + (f" The broken twin, a writer in two pieces killed between them, broke rules: {twin}." if twin else "")
        + (f" Not run: {missing}." if missing else ""),
    ]


def _fuzz(run: Mapping[str, Any]) -> list[str]:
    names = ("inputs", "accepted", "refused", "broken", "slowest_seconds")
    rows = [(name, *(_number(row[n]) for n in names)) for name, row in run["targets"].items()]
    rows.append(("all", *(_number(run[n]) for n in names[:-1]), ""))
    return [
        f"`python -m tests.fuzz --inputs {run['inputs']} --seed {run['seed']}` (`docs/results/fuzz.json`), after the"
        " faults of earlier runs were mended. *Broken* counts inputs that broke a rule. Times are those of a busy machine.",
        _table(("reader", "inputs", "accepted", "refused", "broken", "slowest, s"), rows),
    ]


def _mutation(run: Mapping[str, Any]) -> list[str]:
    made = [
        "A mutant is one change of the code: an operator, a comparison, a constant, a condition, a loop, an exception, a"
        " decorator. In each sample (`docs/results/mutation.json`) places of the code are drawn, each module's share in"
        " proportion to its places, then a change that fits there. A mutant meets the tests that run the changed"
        " statement, quick ones first, from the files that `tests/mutation/draw.py` names for its module; tests that take"
        " long, such as searches for proofs, were given to survivors alone, and not to all of them. *Killed* are those that died by tests which were there"
        " when the sample was drawn. *Equivalent* ones change nothing that the module promises. The share is that of the"
        " others, with Wilson's interval at 95%: of this draw, not of all errors that one could make.",
    ]
    for number, sample in enumerate(run["samples"], 1):
        made += _sample(sample, number, len(run["samples"]))
    return made


def _sample(sample: Mapping[str, Any], number: int, of: int) -> list[str]:
    names = ("mutants", "killed", "killed_by_slow_tests", "after_new_test", "equivalent", "explained", "unexplained")
    rows = []
    for part, score in [*sample["parts"].items(), ("all", sample["total"])]:
        low, high = score["interval"]
        shares = (f"{score['share']:.1%}", f"{low:.1%} to {high:.1%}", f"{score['share_in_the_end']:.1%}")
        rows.append((part, *(score[n] for n in names), *shares))
    survivors = [
        (
            f"`{row['module']}`",
            "; ".join(f"`{line[0]} {line[1:].strip()}`".replace("|", "\\|") for line in row["change"]),
            "equivalent" if row.get("equivalent") else "a gap" if "why" in row else "not explained yet",
            row.get("why", "") or row["how"],
        )
        for row in sample["mutants"]
        if not row["killed"]
    ]
    drawn = Counter(row["module"] for row in sample["mutants"])
    seen = ", ".join(f"`{module}` {count}" for module, count in sorted(drawn.items()))
    last = " after the tests that the samples before it had called for" if number == of and number > 1 else ""
    kept = [f"Mutants of each module: {seen}. No module beside these was reached."]
    kept += ["Survivors:", _table(("module", "change", "is", "because"), survivors)] if survivors else []
    header = (
        "part",
        "mutants",
        "killed",
        "of these by slow tests",
        "later, by a test written for it",
        "equivalent",
        "explained",
        "unexplained",
    )
    return [
        f"### Sample {number}",
        f"{', '.join(f'`{command}`' for command in sample['commands'])}, drawn{last}; {_number(sample['cpu_seconds'])} s of processor time.",
        _table((*header, "killed of the others", "interval", "in the end"), rows),
        *kept,
    ]


def _lowest(run: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    counts = ", ".join(f"{run[n]} {n}" for n in ("tests", "failures", "errors", "skipped"))
    return [f"`{run['command']}` (`docs/results/lowest.json`): {counts}.", f"With {versions}."]


def _number(value: float) -> str:
    return f"{value:,}"


def _table(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [" | ".join(map(str, line)) for line in (header, ("---",) * len(header), *rows)]
    return "\n".join(f"| {line} |" for line in lines)


def stored() -> dict[str, Any]:
    """The result files that are there."""
    names = ("kills", "fuzz", "mutation", "lowest")
    paths = {name: RESULTS / f"{name}.json" for name in names}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}


def main(argv: list[str]) -> int:
    """Write the page, or compare it."""
    made = page(stored())
    if "--check" in argv:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != made)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
