"""Downloading the files of a data set from one of several mirrors, checked by the SHA-256 of their content.

Nothing is trusted but the table of known sums: the names of files come from it, not from the server, the size of a
download is bounded by it, and a file takes its name only when its content is the known one.  What breaks off is kept
beside it and taken up again by a range request.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ._idx import DataError
from .cifar import CIFAR10_ARCHIVE
from .data import cache_folder
from .sums import KNOWN_SUMS, file_sums

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

_SLACK = 1 << 20  # a file compressed badly may be a little longer than its content
_PIECE = 1 << 14  # what is lost, at most, of a download that breaks off


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
        reason = _differs(path, plain, sums)
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
        reason = _from(url, folder, name, plain, sums, timeout)
        if reason is None:
            for left in folder.glob(f".{name}.*.part"):
                left.unlink(missing_ok=True)
            return Fetched(dataset, file, folder / name, "fetched", sums[0], sums[2], url, tuple(notes))
        reasons.append(f"{urlsplit(url).netloc}: {reason}")
        tell(reasons[-1])
    raise DataError(f"{name}: no mirror gave it ({'; '.join(reasons)})")


def _differs(path: Path, plain: bool, sums: tuple[int, str, str]) -> str | None:
    """Why the content of a file is not the known one, or None where it is."""
    found = file_sums(path, plain=plain, limit=sums[0])
    if isinstance(found, str):
        return found
    size, md5, sha256 = found
    if (size, md5, sha256) == sums:
        return None
    more = "more than " if size > sums[0] else ""
    return f"SHA-256 {sha256[:12]}... of {more}{min(size, sums[0])} bytes must be {sums[2][:12]}... of {sums[0]}"


def _from(url: str, folder: Path, name: str, plain: bool, sums: tuple[int, str, str], timeout: float) -> str | None:
    """Put the file in its place from one address; a reason where that failed.

    A part that an earlier attempt at this address left is taken up; where the whole is then wrong it is fetched anew.
    """
    part = folder / f".{name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("a+b") as file, _alone(file, part):
            begun = file.seek(0, os.SEEK_END) > 0
            reason = _download(url, file, sums[0] + _SLACK, timeout)
            wrong = _differs(part, plain, sums) if reason is None else None
            if begun and (wrong is not None or reason == _NOT_SATISFIABLE):
                file.truncate(0)
                reason = _download(url, file, sums[0] + _SLACK, timeout)
                wrong = _differs(part, plain, sums) if reason is None else None
            os.fsync(file.fileno())
            if reason is not None:
                if not file.seek(0, os.SEEK_END):
                    part.unlink(missing_ok=True)
                return reason
            if wrong is not None:
                part.unlink(missing_ok=True)
                return wrong
            part.replace(folder / name)
    except OSError as error:
        raise DataError(f"{folder / name}: cannot be written ({error.strerror or error})") from error
    return None


_NOT_SATISFIABLE = "416: the server refuses to go on where the last attempt ended"


class _TooLong(Exception):
    """The server sends more than the file can have."""


class _Body:
    """Where the bytes of a response go: behind those of the part when the server goes on there, else from its start."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self.file, self.limit = file, limit
        self.size = file.seek(0, os.SEEK_END)

    def begins(self, response: Any, *args: Any, **kwargs: Any) -> None:
        """Called with the head of every response, redirects too, before its body."""
        goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {self.size}-"
        )
        if response.ok and not response.is_redirect and not goes_on:
            self.file.truncate(0)
            self.size = 0

    def write(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self.limit:
            raise _TooLong
        self.file.write(piece)

    def flush(self) -> None:
        self.file.flush()


def _download(url: str, file: IO[bytes], limit: int, timeout: float) -> str | None:
    """Append what the address gives, at most ``limit`` bytes in all; a reason where that failed."""
    import pooch
    import requests

    body = _Body(file, limit)
    headers = {"Accept-Encoding": "identity"}
    if body.size:
        headers["Range"] = f"bytes={body.size}-"
    load = pooch.HTTPDownloader(chunk_size=_PIECE, timeout=timeout, headers=headers, hooks={"response": body.begins})
    try:
        load(url, body, None)
    except requests.HTTPError as error:
        status, words = getattr(error.response, "status_code", 0), getattr(error.response, "reason", "")
        return _NOT_SATISFIABLE if status == 416 else f"{status} {words}".strip()
    except requests.exceptions.SSLError:
        return "its certificate is refused"
    except requests.Timeout:
        return f"no answer within {timeout:g} s"
    except (requests.exceptions.ChunkedEncodingError, requests.ConnectionError):
        return f"broken off after {body.size} bytes; the next attempt goes on there" if body.size else "no connection"
    except requests.RequestException as error:
        return f"{type(error).__name__}: {error}"
    except _TooLong:
        file.truncate(0)
        return f"sends more than the {limit} bytes that the file can have"
    finally:
        file.flush()
    return None


@contextmanager
def _alone(file: IO[bytes], path: Path) -> Any:
    """A lock on an open file where the system has one: two downloads would write into each other."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(f"{path.name}: another process is fetching this file into {path.parent}") from None
    yield
