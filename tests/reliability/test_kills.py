"""A small kill matrix (longer: `python -m tests.reliability`), its broken twin, and what the judge must notice."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.judge import faults, steady
from tests.reliability.matrix import Row, Server, commands, matrix

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process groups and signals as on Linux")
KILLS = 2  # one by the clock, one at an act


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("cache")) as found:
        yield found


def check(row: Row) -> None:
    assert row.broken == []
    assert row.unequal == []
    assert row.counts["resumed_equal"] == row.counts["kills"] == KILLS


@pytest.mark.parametrize("name", ["train", "sweep", "prove"])
def test_killed_anywhere_nothing_is_torn_and_the_same_command_ends_alike(
    name: str, server: Server, tmp_path: Path
) -> None:
    chosen = [command for command in commands() if command.name == name]
    check(matrix(server, chosen, KILLS, random.Random(f"kills {name}"), tmp_path)[name])


def test_a_page_that_was_half_written_is_written_again(
    server: Server, tmp_path: Path, reproduced: dict[str, Any]
) -> None:
    chosen = [command for command in commands(reproduced["folders"]["first"]) if command.name == "report"]
    check(matrix(server, chosen, KILLS, random.Random("kills report"), tmp_path)["report"])


def test_a_writer_in_two_pieces_is_caught(server: Server, tmp_path: Path) -> None:
    """The broken twin: stopped between the pieces, it leaves half a certificate, and half files of a run."""
    rows = matrix(server, [c for c in commands() if c.name != "sweep"], 3, random.Random(5), tmp_path, twin=True)
    assert all(row.broken for row in rows.values()), rows


def test_the_judge_can_say_no(server: Server, tmp_path: Path) -> None:
    (train,) = (command for command in commands() if command.name == "train")
    whole = tmp_path / "whole"
    whole.mkdir()
    assert server.run(train.words, whole)[0] == 0
    assert faults(whole) == []
    for name, spoil in (
        ("run/metrics.jsonl", lambda data: data[:-9]),
        ("run/config.toml", lambda data: data[:20]),
        ("run/checkpoints/epoch-00012.safetensors", lambda data: data[:-1]),
        ("run/checkpoints/epoch-00012.state.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        ("run/milestones/epoch-00005.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        ("run/summary.json", lambda data: data[:-2]),
        ("run/manifest.json", lambda data: data.replace(b"config.toml", b"config.tom1")),
    ):
        spoilt = tmp_path / "spoilt"
        shutil.copytree(whole, spoilt)
        (spoilt / name).write_bytes(spoil((spoilt / name).read_bytes()))
        assert faults(spoilt) != [], name
        shutil.rmtree(spoilt)
    other = tmp_path / "other"
    shutil.copytree(whole, other)
    record = other / "run" / "metrics.jsonl"
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    lines[3]["seconds"] += 1.0
    record.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert steady(other) == steady(whole)
    lines[3]["train_loss"] += 1e-12
    record.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert steady(other) != steady(whole)
