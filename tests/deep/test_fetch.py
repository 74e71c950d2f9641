"""Downloads from a server of our own: good files, wrong bytes, truncation, missing files, hostile names, no network."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avgmargin.__main__ import main
from deep import DataError, fetch
from deep._transfer import _PIECE
from deep.download import data_root
from deep.sums import KNOWN_SUMS

FILE = "t10k-labels-idx1-ubyte"
CONTENT = bytes((0, 0, 8, 1, 0, 3, 0x0D, 0x40)) + np.random.default_rng(0).integers(0, 10, 200_000, "u1").tobytes()
KNOWN = {
    FILE: (
        len(CONTENT),
        hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
        hashlib.sha256(CONTENT).hexdigest(),
    )
}
GOOD = gzip.compress(CONTENT, mtime=0)
WRONG = gzip.compress(CONTENT[:-1] + b"\xff", mtime=0)


@dataclass
class Server:
    """What a mirror answers: `files` path -> (status, body, announced length or None); `asked` every request seen."""

    url: str
    files: dict[str, tuple[int, bytes, int | None]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True

    def put(self, folder: str, body: bytes, status: int = 200, announced: int | None = None) -> str:
        self.files[f"/{folder}/{FILE}.gz"] = status, body, announced
        return f"{self.url}/{folder}/"


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            known.asked.append((self.path, wanted))
            status, body, announced = known.files.get(self.path, (404, b"no such file", None))
            start = 0
            if wanted and known.ranges and status == 200:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                status = 206 if start < len(body) else 416
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            rest = body[start:] if status == 206 else body
            if status in (301, 302):
                self.send_header("Location", body.decode())
                rest = b""
            self.send_header("Content-Length", str(len(rest) if announced is None else announced - start))
            for name, value in known.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(rest)

        def log_message(self, *args: Any) -> None:
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Server(f"http://127.0.0.1:{made.server_address[1]}")
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield known
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def get(tmp_path: Path, *mirrors: str, **options: Any) -> Any:
    (found,) = fetch("mnist", tmp_path, mirrors=mirrors, known=KNOWN, timeout=5.0, **options)
    return found


def refused(tmp_path: Path, *mirrors: str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        get(tmp_path, *mirrors, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert FILE in text
    assert not (tmp_path / "mnist" / f"{FILE}.gz").exists()
    return text


def test_a_good_file_is_fetched_once_and_then_kept(server: Server, tmp_path: Path) -> None:
    mirror = server.put("a", GOOD)
    found = get(tmp_path, mirror)
    assert (found.status, found.sha256) == ("fetched", KNOWN[FILE][2])
    assert found.path == tmp_path / "mnist" / f"{FILE}.gz"
    assert found.path.read_bytes() == GOOD
    again = get(tmp_path, mirror)
    assert (again.status, again.source) == ("kept", None)
    assert len(server.asked) == 1
    assert get(tmp_path, mirror, offline=True).status == "kept"
    assert sorted(p.name for p in (tmp_path / "mnist").iterdir()) == [f"{FILE}.gz"]


def test_a_file_that_lies_there_unpacked_is_good_too(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / FILE).write_bytes(CONTENT)
    assert get(tmp_path, server.url).status == "kept"
    assert server.asked == []


def test_another_compression_is_the_same_content(server: Server, tmp_path: Path) -> None:
    assert get(tmp_path, server.put("a", gzip.compress(CONTENT, 1))).status == "fetched"


def test_the_second_mirror_is_asked_where_the_first_has_no_file(server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    found = get(tmp_path, f"{server.url}/none/", server.put("b", GOOD), tell=said.append)
    assert found.source == f"{server.url}/b/{FILE}.gz"
    assert any("404" in words for words in said)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (WRONG, "SHA-256"),
        (GOOD[: len(GOOD) // 2], "cannot be read"),  # the server itself has a truncated file
        (b"<html>please log in</html>", "SHA-256"),
        (gzip.compress(CONTENT + b"x"), "more than"),
        (b"", "SHA-256"),
        (b"\0" * (len(CONTENT) + (1 << 20) + 1), "sends more than"),
    ],
    ids=["bytes", "truncated", "page", "longer", "empty", "endless"],
)
def test_wrong_content_is_refused_and_leaves_nothing(server: Server, tmp_path: Path, body: bytes, words: str) -> None:
    text = refused(tmp_path, server.put("a", body))
    assert words in text
    assert list((tmp_path / "mnist").iterdir()) == []
    assert get(tmp_path, server.put("a", body), server.put("b", GOOD)).status == "fetched"


def test_what_breaks_off_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    half = len(GOOD) // 2
    mirror = server.put("a", GOOD[:half], announced=len(GOOD))
    assert "broken off after" in refused(tmp_path, mirror)
    (part,) = (tmp_path / "mnist").glob(".*.part")
    kept = part.stat().st_size
    assert half - _PIECE < kept <= half  # the piece in which the connection ended is lost
    server.put("a", GOOD)
    assert get(tmp_path, mirror).path.read_bytes() == GOOD
    assert [asked for _, asked in server.asked] == [None, f"bytes={kept}-"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_that_no_longer_fits_is_fetched_anew(server: Server, tmp_path: Path, ranges: bool) -> None:
    """The mirror's file has changed between two attempts, or the mirror knows no ranges."""
    half = len(GOOD) // 2
    mirror = server.put("a", WRONG[:half][::-1], announced=len(GOOD))
    refused(tmp_path, mirror)
    server.ranges = ranges
    server.put("a", GOOD)
    assert get(tmp_path, mirror).path.read_bytes() == GOOD
    assert len(server.asked) == (3 if ranges else 2)


def test_a_part_longer_than_the_file_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    mirror = server.put("a", GOOD + b"more", announced=len(GOOD) + 9)
    refused(tmp_path, mirror)
    server.put("a", GOOD)
    assert get(tmp_path, mirror).status == "fetched"


def test_names_come_from_the_table_and_not_from_the_server(server: Server, tmp_path: Path) -> None:
    server.headers["Content-Disposition"] = 'attachment; filename="../../../evil.gz"'
    target = server.put("b", GOOD)
    server.files[f"/a/{FILE}.gz"] = 302, f"/b/../b/{FILE}.gz".encode(), 0
    server.files[f"/b/../b/{FILE}.gz"] = server.files[f"/b/{FILE}.gz"]
    assert target
    get(tmp_path, f"{server.url}/a/")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [f"{FILE}.gz"]
    assert not list(tmp_path.parent.glob("evil*"))


@pytest.mark.parametrize("name", ["../../etc", "mnist/..", "", "MNIST\n"])
def test_a_data_set_that_is_not_known_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="must be one of 'mnist'"):
        fetch(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mirror", ["file:///etc/", "ftp://host/", "/etc", "https://", "javascript:alert(1)"])
def test_an_address_that_is_not_http_is_refused(tmp_path: Path, mirror: str) -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        fetch("mnist", tmp_path, mirrors=[mirror])


def test_a_redirect_out_of_http_is_refused(server: Server, tmp_path: Path) -> None:
    mirror = server.put("a", b"file:///etc/passwd", status=302)
    refused(tmp_path, mirror)


def test_every_mirror_gives_its_reason(server: Server, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9/"  # the port of the discard service, where nobody listens
    text = refused(tmp_path, nobody, f"{server.url}/none/", server.put("c", WRONG))
    assert text.count("127.0.0.1") == 3
    for words in ("no connection", "404 Not Found", "SHA-256"):
        assert words in text


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirror = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DataError, match=r"no answer within 0\.2 s"):
            fetch("mnist", tmp_path, mirrors=[mirror], known=KNOWN, timeout=0.2)


def test_offline_touches_no_network(server: Server, tmp_path: Path) -> None:
    assert "--offline" in refused(tmp_path, server.put("a", GOOD), offline=True)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / FILE).write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"SHA-256 .* with --offline"):
        get(tmp_path, server.url, offline=True)
    assert server.asked == []
    assert (tmp_path / "mnist" / FILE).exists()


def test_a_file_with_another_content_is_set_aside(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / f"{FILE}.gz").write_bytes(WRONG)
    found = get(tmp_path, server.put("a", GOOD))
    assert found.status == "fetched"
    assert "other" in found.notes[0]
    assert (tmp_path / "mnist" / f"{FILE}.gz.other").read_bytes() == WRONG


def test_two_downloads_of_one_file_do_not_mix(server: Server, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    mirror = server.put("a", GOOD[: 2 * _PIECE], announced=len(GOOD))
    refused(tmp_path, mirror)
    (part,) = (tmp_path / "mnist").glob("*.part")
    with part.open("a+b") as held:
        fcntl.flock(held.fileno(), fcntl.LOCK_EX)
        assert "another process" in refused(tmp_path, mirror)
    server.put("a", GOOD)
    assert get(tmp_path, mirror).status == "fetched"


def test_a_folder_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mnist").write_text("a file where the folder belongs")
    with pytest.raises(DataError, match="cannot be written"):
        get(tmp_path, server.put("a", GOOD))


def test_where_data_sets_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AVGMARGIN_DATA", raising=False)
    monkeypatch.setenv("AVGMARGIN_CACHE", str(tmp_path / "cache"))
    assert data_root() == tmp_path / "cache" / "data"
    monkeypatch.setenv("AVGMARGIN_DATA", str(tmp_path / "data"))
    assert data_root() == tmp_path / "data"
    assert data_root("elsewhere") == Path("elsewhere")


# -- the command line ------------------------------------------------------------------------------------------------

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["data", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_the_command_fetches_verifies_and_keeps(
    server: Server, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KNOWN_SUMS, "mnist", KNOWN)
    mirror = server.put("a", GOOD)
    words = ("fetch", "mnist", "--data-dir", str(tmp_path), "--mirror", mirror)
    code, out, err = told(*words)
    assert code == 0
    assert KNOWN[FILE][2] in out
    assert "127.0.0.1" in err
    code, out, _ = told(*words, "--offline", "--json")
    assert code == 0
    assert '"kept"' in out
    assert told("verify", str(tmp_path / "mnist"), "--dataset", "mnist")[0] == 0


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("fetch",), "needs a DATASET"),
        (("fetch", "mnits"), "'mnits'"),
        (("fetch", "mnist", "--offline"), "--offline"),
        (("fetch", "mnist", "--mirror", "file:///"), "must begin with http"),
        (("fetch", "mnist", "--mirror", "http://127.0.0.1:9/"), "no connection"),
        (("fetch", "mnist", "--timeout", "0"), "timeout=0.0"),
        (("fetch", "mnist", "--dataset", "cifar10"), "must not differ"),
        (("list", "--offline"), "goes with data fetch"),
        (("get", "mnist"), "'get'"),
    ],
)
def test_wrong_use_is_one_line_with_code_2(
    words: tuple[str, ...], shown: str, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVGMARGIN_DATA", str(tmp_path))
    code, out, err = told(*words)
    error = [line for line in err.splitlines() if line.startswith("avgmargin: error:")]
    assert code == 2
    assert out == ""
    assert len(error) == 1
    assert shown in error[0]
