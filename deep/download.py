"""Downloading the files of a data set from one of several mirrors, checked by the SHA-256 of their content.

Nothing is trusted but the table of known sums: the names of files come from it, not from the server, the size of a
download is bounded by it, and a file takes its name only when its content is the known one.  What breaks off is kept
beside it and taken up again by a range request.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ._idx import DataError
from ._transfer import transfer
from .cifar import CIFAR10_ARCHIVE
from .data import cache_folder
from .sums import KNOWN_SUMS, differs

__all__ = ["DATA_VARIABLE", "MIRRORS", "Fetched", "data_root", "fetch"]

DATA_VARIABLE = "AVGMARGIN_DATA"
"""The environment variable that names the folder of data sets, one folder each."""

MIRRORS: dict[str, tuple[str, ...]] = {
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    "cifar10": ("https://www.cs.toronto.edu/~kriz/",),
}
"""Folders on the network, tried in order; a file lies there under its own name (IDX files with .gz)."""


@dataclass(frozen=True)
class Fetched:
    """One file: ``status`` is ``kept`` (it was there, as known) or ``fetched``; ``source`` the mirror's address."""

    dataset: str
    file: str
    path: Path
    status: str
    bytes: int
    sha256: str
    source: str | None
    notes: tuple[str, ...]


def data_root(folder: str | os.PathLike[str] | None = None) -> Path:
    """The folder of data sets: ``folder``, else $AVGMARGIN_DATA, else ``data`` in the cache (``cache_folder``).

    Raises ``DataError`` where none of them is there, as without a home folder.
    """
    if folder is not None:
        return Path(folder)
    if named := os.environ.get(DATA_VARIABLE):
        return Path(named)
    cache = cache_folder()
    if cache is None:
        raise DataError(f"no folder for data: give one, or set {DATA_VARIABLE} (there is no home folder)")
    return cache / "data"


def fetch(
    dataset: str,
    root: str | os.PathLike[str] | None = None,
    *,
    offline: bool = False,
    mirrors: Sequence[str] | None = None,
    known: Mapping[str, tuple[int, str, str]] | None = None,
    timeout: float = 30.0,
    tell: Callable[[str], None] = lambda words: None,
) -> tuple[Fetched, ...]:
    """The files of a data set in ``root``/``dataset`` (see ``data_root``): good ones stay, the others are fetched.

    ``offline`` never touches the network.  ``mirrors`` and ``known`` (file -> bytes, MD5, SHA-256 of the content)
    replace ``MIRRORS`` and ``KNOWN_SUMS``.  ``timeout`` in seconds bounds each wait for the server.  ``tell`` hears a
    line per attempt.  A file with the right name and another content is set aside as ``NAME.other``.

    Raises ``ValueError`` for an unknown data set, an address that is not http or https, or a timeout that is not above
    0, and ``DataError`` in one line where a file cannot be had, with the reason of every mirror.
    """
    if dataset not in KNOWN_SUMS:
        raise ValueError(f"dataset={dataset!r} must be one of {', '.join(map(repr, KNOWN_SUMS))}")
    if not timeout > 0:
        raise ValueError(f"timeout={timeout!r} must be above 0 seconds")
    places = MIRRORS[dataset] if mirrors is None else tuple(mirrors)
    for place in places:
        if urlsplit(place).scheme not in ("http", "https") or not urlsplit(place).netloc:
            raise ValueError(f"mirror={place!r} must begin with http:// or https:// and a host")
    if not places:
        raise ValueError(f"mirrors={mirrors!r} must name at least one")
    folder = data_root(root) / dataset
    files = KNOWN_SUMS[dataset] if known is None else known
    return tuple(_one(dataset, file, sums, folder, places, offline, timeout, tell) for file, sums in files.items())


def _one(
    dataset: str,
    file: str,
    sums: tuple[int, str, str],
    folder: Path,
    places: Sequence[str],
    offline: bool,
    timeout: float,
    tell: Callable[[str], None],
) -> Fetched:
    plain = file == CIFAR10_ARCHIVE
    name = file if plain else f"{file}.gz"
    notes: list[str] = []
    for path in (folder / file, folder / name):
        if not path.is_file():
            continue
        reason = differs(path, plain, sums)
        if reason is None:
            return Fetched(dataset, file, path, "kept", sums[0], sums[2], None, ())
        if offline:
            raise DataError(f"{path}: {reason}; it cannot be fetched anew with --offline")
        notes.append(f"{path.name} was there with another content ({reason}) and is now {path.name}.other")
        try:
            path.replace(path.with_name(f"{path.name}.other"))
        except OSError as error:
            raise DataError(f"{path}: cannot be set aside ({error.strerror or error})") from error
    if offline:
        raise DataError(f"{folder}: must hold {file} or {file}.gz; it cannot be fetched with --offline")
    reasons = []
    for place in places:
        url = f"{place.rstrip('/')}/{name}"
        tell(f"{name} from {urlsplit(url).netloc}")
        reason = transfer(url, folder, name, plain, sums, timeout)
        if reason is None:
            for left in folder.glob(f".{name}.*.part"):
                left.unlink(missing_ok=True)
            return Fetched(dataset, file, folder / name, "fetched", sums[0], sums[2], url, tuple(notes))
        reasons.append(f"{urlsplit(url).netloc}: {reason}")
        tell(reasons[-1])
    raise DataError(f"{name}: no mirror gave it ({'; '.join(reasons)})")
