"""Known check sums: the shared files pass, anything else is named."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from deep import KNOWN_SUMS, DataError, verify_folder

MNIST_MD5 = {  # as stated by the project, of the unpacked files
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def test_the_table_holds_the_stated_sums() -> None:
    assert {file: md5 for file, (_, md5, _) in KNOWN_SUMS["mnist"].items()} == MNIST_MD5
    for files in KNOWN_SUMS.values():
        for size, md5, sha256 in files.values():
            assert size > 10_000
            assert (len(md5), len(sha256)) == (32, 64)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_shared_folders_are_recognised(shared: Path, name: str) -> None:
    found = verify_folder(shared / "data" / name)
    assert [record.status for record in found] == ["good"] * 4
    assert {record.dataset for record in found} == {name}
    other = next(n for n in ("mnist", "fashion-mnist") if n != name)
    assert [record.status for record in verify_folder(shared / "data" / name, other)] == ["other"] * 4


def test_what_is_wrong_is_named_file_by_file(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "mnist"
    for name in ("t10k-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"):
        shutil.copy(source / name, tmp_path)
    labels = bytearray(gzip.decompress((source / "train-labels-idx1-ubyte.gz").read_bytes()))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(  # unpacked, the very same content
        gzip.decompress((source / "t10k-labels-idx1-ubyte.gz").read_bytes())
    )
    labels[-1] ^= 1
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    images = (source / "t10k-images-idx3-ubyte.gz").read_bytes()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(images[:-9])
    found = {record.file.removesuffix(".gz"): record for record in verify_folder(tmp_path, "mnist")}
    assert {file: record.status for file, record in found.items()} == {
        "train-images-idx3-ubyte": "missing",
        "train-labels-idx1-ubyte": "other",
        "t10k-images-idx3-ubyte": "damaged",
        "t10k-labels-idx1-ubyte": "good",
    }
    assert "must be 65a50cbbf4e9" in found["train-labels-idx1-ubyte"].reason


def test_folders_without_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold a data file of a known name"):
        verify_folder(tmp_path)
    with pytest.raises(DataError, match="absent: must be a folder"):
        verify_folder(tmp_path / "absent")
    with pytest.raises(ValueError, match="dataset='imagenet' must be one of 'mnist', 'fashion-mnist', 'cifar10'"):
        verify_folder(tmp_path, "imagenet")
