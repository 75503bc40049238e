"""A server that behaves as badly as it is told to."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from robustbench_zosam.fetching import DOWNLOADS, Downloadable, Folder, Item, RemoteFile
from robustbench_zosam.fetching import download as downloading
from robustbench_zosam.registry import Entry


@dataclass
class Server:
    """What the server has, and how it gives it away.

    Attributes:
        files: content by path.
        ranges: whether it honours Range.
        cut_after: bytes after which it drops a connection, once for each entry.
        status: answered instead of the content of a path, once for each entry.
        with_length: whether it says how long a file is.
        redirects: address by path.
        drip: seconds between the bytes of an answer; 0 sends them at once.
        endless: whether an answer goes on for ever.
        asked: (path, Range header or None) of each request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    status: dict[str, list[int]] = field(default_factory=dict)
    with_length: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    drip: float = 0.0
    endless: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def put(self, path: str, content: bytes) -> str:
        """Serves a file and returns its address."""
        self.files[path] = content
        return self.url(path)

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Keeps quiet."""

    def do_GET(self) -> None:
        served: Server = self.server.served
        path, wanted = self.path.lstrip("/"), self.headers.get("Range")
        served.asked.append((path, wanted))
        if served.status.get(path):
            self.send_error(served.status[path].pop(0))
            return
        if path in served.redirects:
            self.send_response(302)
            self.send_header("Location", served.redirects[path])
            self.end_headers()
            return
        if path not in served.files:
            self.send_error(404)
            return
        self.answer(served, served.files[path], wanted)

    def answer(self, served: Server, content: bytes, wanted: str | None) -> None:
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and served.ranges else 0
        if start >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        if served.with_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        cut = served.cut_after.pop(0) if served.cut_after else len(rest)
        with contextlib.suppress(OSError):  # the other side has had enough
            self.send(served, rest[:cut])

    def send(self, served: Server, content: bytes) -> None:
        for byte in content if served.drip else b"":
            self.wfile.write(bytes([byte]))
            time.sleep(served.drip)
        self.wfile.write(b"" if served.drip else content)
        while served.endless:
            self.wfile.write(content)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine; downloads do not pause between tries."""
    monkeypatch.setattr(downloading, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("no_proxy", "*")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Server(f"http://127.0.0.1:{listening.server_port}")
    listening.served = served
    thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield served
    listening.shutdown()
    listening.server_close()
    thread.join()


Files = dict[str, bytes]
Register = Callable[..., Downloadable]


@pytest.fixture
def content() -> bytes:
    """Some megabytes, so that a transfer takes several blocks."""
    return hashlib.shake_256(b"content").digest(1_500_000)


@pytest.fixture
def make_tar() -> Callable[..., bytes]:
    """Makes a tar.gz of files and of members without content."""

    def make(files: Files, *special: tarfile.TarInfo) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for name, body in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(body)
                archive.addfile(info, io.BytesIO(body))
            for info in special:
                archive.addfile(info)
        return stream.getvalue()

    return make


@pytest.fixture
def make_zip() -> Callable[[Files], bytes]:
    """Makes a zip of files."""

    def make(files: Files) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, body in files.items():
                archive.writestr(zipfile.ZipInfo(name), body)
        return stream.getvalue()

    return make


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Adds a source to the registry for the time of a test."""
    monkeypatch.setattr(DOWNLOADS, "_entries", dict(DOWNLOADS._entries))

    def add(name: str, *folders: Folder) -> Downloadable:
        source = Downloadable("suite", folders, "MIT", "look at {folder} in {root}")
        DOWNLOADS.add(Entry(name, "for tests", source))
        return source

    return add


@pytest.fixture
def tar(make_tar: Callable[..., bytes]) -> bytes:
    """An archive `Wrapped/{a.bin,b/1,b/2}`."""
    return make_tar({"Wrapped/a.bin": b"abc", "Wrapped/b/1": b"1", "Wrapped/b/2": b"2"})


@pytest.fixture
def wrapped(server: Server, tar: bytes, register: Register) -> Downloadable:
    """The source "wrapped": one archive, from the server, that becomes the folder Final."""
    digest = hashlib.sha256(tar).hexdigest()
    part = RemoteFile("w.tar.gz", (server.put("w.tar.gz", tar),), len(tar), digest)
    return register(
        "wrapped", Folder("Final", (part,), (Item("a.bin", 3), Item("b", count=2)), 999)
    )
