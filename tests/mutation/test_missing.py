"""Tests that mutation testing found to be missing: each kills a drawn mutant that the other tests let live."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from deep import CheckpointError, DataError, load_cifar10, load_published, read_idx
from theory.expression import FormulaError, parse


@pytest.mark.parametrize(("formula", "words"), [("t^2", "the operator ^"), ("t//2", "BinOp"), ("t % 2", "BinOp")])
def test_only_the_caret_is_told_of_as_the_caret(formula: str, words: str) -> None:
    with pytest.raises(FormulaError, match=words.replace("^", r"\^")):
        parse(formula)


def test_doubtful_python_is_refused_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FormulaError, match="IfExp"):
            parse("1if t else 2")


def test_a_file_that_is_not_there_is_told_of_in_the_words_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(No such file or directory\)"):
        read_idx(tmp_path / "absent", ndim=1)


def test_the_number_of_dimensions_is_given_by_name(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
    read: Any = read_idx
    assert read(path=tmp_path / "labels", ndim=1).tolist() == [7, 9]
    with pytest.raises(TypeError, match="positional argument"):
        read(tmp_path / "labels", 1)


def test_one_record_is_enough(tmp_path: Path) -> None:
    record = bytes([7]) + bytes(3072)
    for name in (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"):
        (tmp_path / name).write_bytes(record)
    assert load_cifar10(tmp_path, records=1).train_y.tolist() == [7] * 5
    with pytest.raises((DataError, ValueError), match="records=0"):
        load_cifar10(tmp_path, records=0)


@pytest.mark.parametrize("wrong", ["0" * 64, "f" * 64])
def test_a_checkpoint_of_any_other_sum_is_refused(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "weights.tar").write_bytes(b"anything")
    with pytest.raises(CheckpointError, match=f"must be {wrong}"):
        load_published(tmp_path / "weights.tar", sha256=wrong)
