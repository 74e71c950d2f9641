"""CIFAR-10's binary files: small ones made here, and every way in which they can be wrong."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from deep import DataError, load_cifar10

RECORDS = 4
NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


def files(seed: int = 6) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    found = {}
    for name in NAMES:
        table = rng.integers(0, 256, (RECORDS, 3073), dtype=np.uint8)
        table[:, 0] = rng.integers(0, 10, RECORDS)
        found[name] = table.tobytes()
    return found


def write(folder: Path, content: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def archive(path: Path, content: dict[str, bytes], kind: str = "gz") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, f"w:{kind}") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path.parent


@pytest.mark.parametrize("place", ["plain", "inner", "archive"])
def test_records_come_back(tmp_path: Path, place: str) -> None:
    content = files()
    if place == "archive":
        inner = {"cifar-10-batches-bin/readme.html": b"<p>"}
        inner |= {f"cifar-10-batches-bin/{name}": data for name, data in reversed(content.items())}
        archive(tmp_path / "cifar-10-binary.tar.gz", inner)
    else:
        write(tmp_path / "cifar-10-batches-bin" if place == "inner" else tmp_path, content)
    found = load_cifar10(tmp_path, records=RECORDS)
    assert found.name == "cifar10"
    assert found.train_x.shape == (5 * RECORDS, 3072)
    assert found.test_x.shape == (RECORDS, 3072)
    raw = np.frombuffer(content["data_batch_3.bin"], np.uint8).reshape(RECORDS, 3073)
    rows = slice(2 * RECORDS, 3 * RECORDS)
    np.testing.assert_array_equal(found.train_y[rows], raw[:, 0])
    np.testing.assert_array_equal(np.rint(found.train_x[rows] * 255.0), raw[:, 1:])
    image = found.test_x.reshape(-1, 3, 32, 32)[1]
    byte = content["test_batch.bin"][3073 + 1 + 2 * 1024 + 5 * 32 + 7]  # record 1, blue, row 5, column 7
    assert image[2, 5, 7] == np.float32(byte) / np.float32(255.0)


@pytest.mark.parametrize("name", ["data_batch_1.bin", "data_batch_4.bin", "test_batch.bin"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], r"12291 bytes must be 12292, 4 records of 3073; record 3 is truncated"),
        (lambda data: data[:-3073], r"9219 bytes must be 12292, 4 records of 3073$"),
        (lambda data: data + data[:3073], r"15365 bytes must be 12292"),
        (lambda data: b"", r"0 bytes must be 12292"),
        (lambda data: data[: 2 * 3073] + b"\x0a" + data[2 * 3073 + 1 :], r"label 10 of record 2 must lie in 0\.\.9"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_wrong_file_is_named(tmp_path: Path, name: str, change: object, message: str, packed: bool) -> None:
    content = files()
    content[name] = change(content[name])  # type: ignore[operator]
    if packed:
        archive(tmp_path / "cifar-10-binary.tar.gz", {f"cifar-10-batches-bin/{n}": d for n, d in content.items()})
    else:
        write(tmp_path, content)
    with pytest.raises(DataError, match=rf"{name}: {message}") as caught:
        load_cifar10(tmp_path, records=RECORDS)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must hold data_batch_1\.bin"):
        load_cifar10(tmp_path)
    with pytest.raises(DataError, match="must be a folder"):
        load_cifar10(tmp_path / "absent")
    content = files()
    del content["data_batch_2.bin"]
    write(tmp_path / "six", content)
    with pytest.raises(DataError, match=r"data_batch_2\.bin: cannot be read"):
        load_cifar10(tmp_path / "six", records=RECORDS)
    archive(tmp_path / "tar" / "cifar-10-binary.tar.gz", {f"cifar-10-batches-bin/{n}": d for n, d in content.items()})
    with pytest.raises(DataError, match=r"must hold cifar-10-batches-bin/data_batch_2\.bin"):
        load_cifar10(tmp_path / "tar", records=RECORDS)
    with pytest.raises(ValueError, match="records=0 must be at least 1"):
        load_cifar10(tmp_path, records=0)


def test_the_official_size_is_the_default(tmp_path: Path) -> None:
    write(tmp_path, files())
    with pytest.raises(DataError, match=r"12292 bytes must be 30730000, 10000 records of 3073$"):
        load_cifar10(tmp_path)


def test_damaged_and_odd_archives_are_refused(tmp_path: Path) -> None:
    content = {f"cifar-10-batches-bin/{name}": data for name, data in files().items()}
    file = tmp_path / "cifar-10-binary.tar.gz"
    archive(file, content)
    data = file.read_bytes()
    for share in (0.01, 0.3, 0.9):
        file.write_bytes(data[: int(share * len(data))])
        with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz: ") as caught:
            load_cifar10(tmp_path, records=RECORDS)
        assert "\n" not in str(caught.value)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    file.write_bytes(flipped)
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz: archive is damaged"):
        load_cifar10(tmp_path, records=RECORDS)
    with tarfile.open(file, "w:gz") as tar:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(member)
    with pytest.raises(DataError, match=r"data_batch_1\.bin must be there once, as a plain file"):
        load_cifar10(tmp_path, records=RECORDS)
    archive(file, {"cifar-10-batches-bin/readme.html": bytes(2 << 20)})
    with pytest.raises(DataError, match="unpacks to more than the six files"):
        load_cifar10(tmp_path, records=RECORDS)
    file.write_bytes(b"no archive")
    with pytest.raises(DataError, match="archive is damaged"):
        load_cifar10(tmp_path, records=RECORDS)
