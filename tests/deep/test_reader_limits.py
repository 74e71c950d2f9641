"""The readers of data files at their limits: the last file that is read, the first that is refused, and the words."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from deep import CheckpointError, DataError, load_cifar10, load_published, published, read_idx
from deep._idx import read_bounded
from deep.cifar import _Limited

RECORD = 3073
NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
ARCHIVE = "cifar-10-binary.tar.gz"


def idx(shape: tuple[int, ...]) -> bytes:
    size = int(np.prod(shape))
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + bytes(i % 251 for i in range(size))


def message(call: object, *arguments: object, **options: object) -> str:
    with pytest.raises((DataError, CheckpointError)) as refusal:
        call(*arguments, **options)  # type: ignore[operator]
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


# -- IDX ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_of_exactly_the_limit_is_read(tmp_path: Path, pack: object) -> None:
    file = tmp_path / "x"
    for shape in ((1,), (300,), (2, 259), (1, 1, 1), (2, 3, 257)):
        file.write_bytes(pack(idx(shape)))  # type: ignore[operator]
        count = int(np.prod(shape))
        found = read_idx(file, ndim=len(shape), max_bytes=count)
        assert found.shape == shape
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found.ravel(), np.arange(count) % 251)
        said = message(read_idx, file, ndim=len(shape), max_bytes=count - 1)
        assert said == f"x: dimensions {shape} announce {count} bytes; at most {count - 1} are read"


def test_the_words_of_idx(tmp_path: Path) -> None:
    file, good = tmp_path / "x", idx((3, 4))

    def said(data: bytes, *, packed: bool = False) -> str:
        file.write_bytes(gzip.compress(data) if packed else data)
        return message(read_idx, file, ndim=2)

    for size in range(4):
        assert said(good[:size]) == f"x: {size} bytes; an IDX file begins with a magic number of 4"
    for size in range(4, 12):
        assert said(good[:size]) == f"x: header of {size} bytes is truncated; it must have 12"
    for place in range(4):
        wrong = bytearray(good)
        wrong[place] ^= 1
        words = f"magic number 0x{wrong[:4].hex()} must be 0x00000802 (bytes, 2 dimensions)"
        assert said(bytes(wrong)) == f"x: {words}"
    for shape in ((0, 4), (3, 0), (0, 0)):
        assert said(idx(shape)) == f"x: dimensions {shape} must all be at least 1"
    assert said(good[:-1]) == "x: 23 bytes, but dimensions (3, 4) need exactly 24"
    assert said(good + b"!") == "x: 25 bytes, but dimensions (3, 4) need exactly 24"
    words = "truncated after 11 of the 12 bytes that dimensions (3, 4) announce"
    assert said(good[:-1], packed=True) == f"x: {words}"
    assert said(good + b"!", packed=True) == "x: more bytes follow the 12 that dimensions (3, 4) announce"
    file.write_bytes(gzip.compress(good)[:-1])
    assert message(read_idx, file, ndim=2).startswith("x: gzip stream is damaged (")
    assert (
        message(read_idx, tmp_path / "none", ndim=2) == f"{tmp_path}/none: cannot be read (No such file or directory)"
    )


def test_the_limit_that_holds_without_one(tmp_path: Path) -> None:
    file = tmp_path / "x"
    for rows, words in ((1 << 28, f"need exactly {(1 << 28) + 8}"), ((1 << 28) + 1, "at most 268435456 are read")):
        file.write_bytes(idx((1,))[:3] + b"\1" + struct.pack(">I", rows) + b"abc")
        assert words in message(read_idx, file, ndim=1)


class _Drip:
    """A stream that gives a byte or two at a time, and counts what it is asked for."""

    def __init__(self, data: bytes) -> None:
        self.stream, self.asked = io.BytesIO(data), []

    def read(self, size: int, /) -> bytes:
        self.asked.append(size)
        return self.stream.read(min(size, 2))


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 9, 10, 11])
def test_no_more_is_asked_for_than_is_left(limit: int) -> None:
    stream = _Drip(bytes(range(10)))
    assert read_bounded(stream, limit) == bytes(range(10))[:limit]
    assert all(0 < size <= limit for size in stream.asked)
    assert len(stream.asked) == (limit + 1) // 2
    big = _Drip(b"")
    assert read_bounded(big, 1 << 40) == b""
    assert big.asked == [1 << 20]


# -- CIFAR-10 -------------------------------------------------------------------------------------------------------


def members(records: int = 1) -> dict[str, bytes]:
    return {name: (bytes([k]) + bytes([k] * 3072)) * records for k, name in enumerate(NAMES)}


def pack(path: Path, content: dict[str, bytes], extra: bytes | None = None, prefix: str = "") -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in [("readme", extra)] * (extra is not None) + list(content.items()):
            member = tarfile.TarInfo(f"{prefix}cifar-10-batches-bin/{name}")
            member.size = len(data or b"")
            tar.addfile(member, io.BytesIO(data or b""))


@pytest.mark.parametrize("prefix", ["", "./"])
def test_every_image_is_in_its_place(tmp_path: Path, prefix: str) -> None:
    pack(tmp_path / ARCHIVE, members(2), b"about", prefix)
    found = load_cifar10(tmp_path, "mine", records=2)
    assert found.name == "mine"
    assert found.train_y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert found.test_y.tolist() == [5, 5]
    assert (found.train_x[3] == np.float32(1 / 255)).all()


def test_one_of_the_files_is_enough_to_look_no_further(tmp_path: Path) -> None:
    """An archive is not opened beside the files, and the inner folder not beside the outer one."""
    pack(tmp_path / ARCHIVE, members())
    assert load_cifar10(tmp_path, records=1).test_y.tolist() == [5]
    (tmp_path / "cifar-10-batches-bin").mkdir()
    assert load_cifar10(tmp_path, records=1).test_y.tolist() == [5]
    for place in (tmp_path / "cifar-10-batches-bin", tmp_path):
        for name in (NAMES[0], NAMES[5]):
            (place / name).write_bytes(members()[name])
            missing = "data_batch_2.bin" if name == NAMES[0] else "data_batch_1.bin"
            said = message(load_cifar10, tmp_path, records=1)
            assert said == f"{place}/{missing}: cannot be read (No such file or directory)"
            (place / name).unlink()


def test_an_archive_may_unpack_to_seven_files_and_a_mebibyte(tmp_path: Path) -> None:
    limit, size, file = 7 * RECORD + (1 << 20), RECORD, tmp_path / ARCHIVE
    rest = 512 * (limit // 512) - 6 * (512 + 512 * -(-size // 512)) - 512 - 1024  # headers, padding, two empty blocks

    def write(extra: int) -> None:
        pack(tmp_path / "whole", members(), bytes(extra))
        raw = gzip.decompress((tmp_path / "whole").read_bytes())
        used = 512 * -(-extra // 512) + 512 + 6 * (512 + 512 * -(-size // 512)) + 1024
        file.write_bytes(gzip.compress(raw[:used], 1))  # without the blocks of zeros at the end

    write(rest)
    assert load_cifar10(tmp_path, records=1).test_y.tolist() == [5]
    write(rest + 1)
    said = message(load_cifar10, tmp_path, records=1)
    assert said == f"{ARCHIVE}: unpacks to more than the six files and a little more"


@pytest.mark.parametrize("step", [999, 1 << 19, 1 << 20, 3 << 20, -1])
def test_a_limited_stream_ends_at_its_limit(step: int) -> None:
    for more in (0, 1):
        total = 10 + (1 << 20) + more
        limited = _Limited(io.BytesIO(bytes(total)), 10)  # type: ignore[arg-type]
        pieces: Iterator[bytes] = iter(lambda: limited.read(step), b"")  # noqa: B023
        if more:
            with pytest.raises(DataError, match="unpacks to more"):
                list(pieces)
        else:
            assert sum(map(len, pieces)) == total


def test_the_words_of_cifar(tmp_path: Path) -> None:
    root = tmp_path / "six"
    root.mkdir()
    assert message(load_cifar10, root) == (
        f"{root}: must hold data_batch_1.bin, cifar-10-batches-bin/data_batch_1.bin or {ARCHIVE}"
    )
    assert (
        message(load_cifar10, root / "none")
        == f"{root}/none: must be a folder that holds data_batch_1.bin or {ARCHIVE}"
    )
    for name, data in members(2).items():
        (root / name).write_bytes(data)
    good = members(2)["data_batch_3.bin"]
    for data, words in (
        (good[:-1], "6145 bytes must be 6146, 2 records of 3073; record 1 is truncated"),
        (good[:3073], "3073 bytes must be 6146, 2 records of 3073"),
        (good[:3072], "3072 bytes must be 6146, 2 records of 3073; record 0 is truncated"),
        (good + b"!", "6147 bytes must be 6146, 2 records of 3073; record 2 is truncated"),
        (b"\x0a" + good[1:], "label 10 of record 0 must lie in 0..9"),
        (good[:3073] + b"\xff" + good[3074:], "label 255 of record 1 must lie in 0..9"),
        (b"\x0b" + good[1:3073] + b"\xff" + good[3074:], "label 11 of record 0 must lie in 0..9"),
    ):
        (root / "data_batch_3.bin").write_bytes(data)
        assert message(load_cifar10, root, records=2) == f"data_batch_3.bin: {words}"
    (root / "data_batch_3.bin").write_bytes(b"\x09" + good[1:])
    assert load_cifar10(root, records=2).train_y[4] == 9


def test_the_words_of_an_archive(tmp_path: Path) -> None:
    inner = "cifar-10-batches-bin"
    pack(tmp_path / ARCHIVE, {**members(), "data_batch_2.bin": bytes(10)})
    words = f"{inner}/data_batch_2.bin: 10 bytes must be 3073, 1 records of 3073; record 0 is truncated"
    assert message(load_cifar10, tmp_path, records=1) == f"{ARCHIVE}: {words}"
    pack(tmp_path / ARCHIVE, {name: data for name, data in members().items() if name != "test_batch.bin"})
    assert message(load_cifar10, tmp_path, records=1) == f"{ARCHIVE}: must hold {inner}/test_batch.bin"
    with tarfile.open(tmp_path / ARCHIVE, "w:gz") as tar:
        for name in ("data_batch_1.bin", "data_batch_1.bin"):
            member = tarfile.TarInfo(f"{inner}/{name}")
            member.size = RECORD
            tar.addfile(member, io.BytesIO(bytes(RECORD)))
    words = f"{inner}/data_batch_1.bin must be there once, as a plain file"
    assert message(load_cifar10, tmp_path, records=1) == f"{ARCHIVE}: {words}"
    pack(tmp_path / ARCHIVE, members())
    raw = (tmp_path / ARCHIVE).read_bytes()
    for cut in (1, 4, 8, 20):  # in the check sum and size at the end, and in the data
        (tmp_path / ARCHIVE).write_bytes(raw[:-cut])
        assert message(load_cifar10, tmp_path, records=1).startswith(f"{ARCHIVE}: archive is damaged (")
    (tmp_path / ARCHIVE).write_bytes(raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:])
    assert message(load_cifar10, tmp_path, records=1).startswith(f"{ARCHIVE}: archive is damaged (CRC check failed")


# -- checkpoints of the published format ----------------------------------------------------------------------------


def test_a_checkpoint_of_exactly_the_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.tar"
    weights = {"fc.weight": torch.arange(12.0).reshape(3, 4), "fc.bias": torch.zeros(3)}
    torch.save({"model_state_dict": weights, "test_acc": 0.5, "loss": 1, "epochs": True, "train_acc": "x"}, file)
    size = file.stat().st_size
    monkeypatch.setattr(published, "_MAX_BYTES", size)
    network, numbers = load_published(file)
    assert numbers == {"test_acc": 0.5, "loss": 1.0, "epochs": 1.0}
    assert not network.training
    monkeypatch.setattr(published, "_MAX_BYTES", size - 1)
    assert message(load_published, file) == f"a.tar: must have at most {size - 1} bytes"


def test_the_limit_of_what_a_checkpoint_unpacks_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.tar", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(5000))
        archive.writestr("a/other", bytes(5000))
    monkeypatch.setattr(published, "_MAX_BYTES", 9999)
    assert message(load_published, tmp_path / "a.tar") == "a.tar: unpacks to more than 9999 bytes"
    monkeypatch.setattr(published, "_MAX_BYTES", 10000)
    assert "unpacks" not in message(load_published, tmp_path / "a.tar")


def test_the_words_of_a_damaged_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    torch.save({"fc.weight": torch.full((3, 4), 0.7), "fc.bias": torch.zeros(3)}, file)
    raw = bytearray(file.read_bytes())
    place = raw.index(torch.full((3, 4), 0.7).numpy().tobytes())
    raw[place] ^= 1
    file.write_bytes(raw)
    said = message(load_published, file)
    assert said == "a.tar: member 'a/data/0' is damaged; its CRC must match"
    for value, words in (
        ([1], "must hold a dictionary, not list"),
        ({1: torch.zeros(2)}, "must hold tensors by name, at the top or under 'model_state_dict'"),
        ({"model_state_dict": [1]}, "must hold tensors by name, at the top or under 'model_state_dict'"),
        ({"fc.weight": "x"}, "must hold tensors by name, at the top or under 'model_state_dict'"),
        ({"fc.weight": torch.full((3, 4), torch.inf), "fc.bias": torch.zeros(3)},
         "fc.weight must be finite; it holds NaN or infinity"),
    ):  # fmt: skip
        torch.save(value, file)
        assert message(load_published, file) == f"a.tar: {words}"
    for data in (b"", b"\x80", b"no checkpoint at all"):
        file.write_bytes(data)
        said = message(load_published, file)
        assert said.startswith(
            ("a.tar: cannot be read as a checkpoint; it is damaged or truncated (", "a.tar: must hold")
        )
        assert len(said) < 250
    assert message(load_published, tmp_path) == f"{tmp_path}: cannot be read (Is a directory)"
