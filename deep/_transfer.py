"""One file from one address: taken up where an attempt broke off, and in its place only with the known content.

What has come so far lies beside that place under a name of the address, locked while a process writes to it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, Any

from ._idx import DataError
from ._locks import take
from .sums import differs

__all__ = ["transfer"]

_SLACK = 1 << 20  # a file compressed badly may be a little longer than its content
_PIECE = 1 << 14  # what is lost, at most, of a download that breaks off
_NOT_SATISFIABLE = "416: the server refuses to go on where the last attempt ended"


def transfer(url: str, folder: Path, name: str, plain: bool, sums: tuple[int, str, str], timeout: float) -> str | None:
    """Put the file in its place from one address; a reason where that failed, ``DataError`` where it cannot be written.

    A part that an earlier attempt at this address left is taken up; where the whole is then wrong it is fetched anew.
    """
    part = folder / f".{name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("a+b") as file:
            if not take(file.fileno()):  # two downloads would write into each other
                raise DataError(f"{part.name}: another process is fetching this file into {folder}")
            begun = file.seek(0, os.SEEK_END) > 0
            reason = _download(url, file, sums[0] + _SLACK, timeout)
            wrong = differs(part, plain, sums) if reason is None else None
            if begun and (wrong is not None or reason == _NOT_SATISFIABLE):
                file.truncate(0)
                reason = _download(url, file, sums[0] + _SLACK, timeout)
                wrong = differs(part, plain, sums) if reason is None else None
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
