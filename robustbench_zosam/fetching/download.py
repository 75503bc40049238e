"""One file over HTTP: mirrors in order, resumed after a break, checked at the end."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from robustbench_zosam import __version__
from robustbench_zosam.errors import InputError
from robustbench_zosam.fetching.downloadable import RemoteFile

OnProgress = Callable[[int, int | None], None]
TIMEOUT_SECONDS = 30.0
SLOWEST = 1024.0  # bytes per second below which a mirror counts as stalled
_RESERVE = 2**26  # bytes that stay free on the disk while a file of unknown size arrives
PAUSE_SECONDS = 0.5  # before a retry; doubled for each without progress
_TRIES = 3  # in a row with little progress
_BLOCK = 1 << 18
_RESUMED = http.HTTPStatus.PARTIAL_CONTENT
_NOTHING_LEFT = http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # statuses worth another try


def mismatch(
    file: Path, part: RemoteFile, on_progress: OnProgress = lambda done, total: None
) -> str | None:
    """Returns how a file differs from the published one, as far as size and checksum are known.

    Args:
        on_progress: called with (bytes read, bytes in all).
    """
    size = file.stat().st_size
    if part.size is not None and size != part.size:
        return f"it has {size:,} bytes where {part.size:,} are published"
    expected = {"sha256": part.sha256, "md5": part.md5}
    expected = {name: value for name, value in expected.items() if value}
    found = _digests(file, tuple(expected), size, on_progress) if expected else {}
    wrong = next((name for name, value in found.items() if value != expected[name]), None)
    return wrong and f"its {wrong} is {found[wrong]}, not {expected[wrong]}"


def _digests(
    file: Path, names: tuple[str, ...], size: int, on_progress: OnProgress
) -> dict[str, str]:
    """Returns several checksums of a file, in one pass over it."""
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    done = 0
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            for digest in digests.values():
                digest.update(block)
            done += len(block)
            on_progress(done, size)
    return {name: digest.hexdigest() for name, digest in digests.items()}


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted connection to one that is not."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in {"http", "https"} or (old == "https" and new != "https"):
            raise _MirrorError(f"it redirects from {old} to {new}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_NoDowngrade)


class _MirrorError(Exception):
    """A mirror cannot give the file: the next one is tried."""


class _CutError(Exception):
    """A transfer broke: it is resumed."""


def download(
    part: RemoteFile, folder: Path, on_progress: OnProgress = lambda done, total: None
) -> Path:
    """Downloads a file, or what is missing of it, to `FILE.part`, which is renamed when checked.

    Args:
        on_progress: called with (bytes here, bytes in all, if known).

    Returns:
        The file.

    Raises:
        InputError: no mirror has the published file, or the disk is full.
    """
    target, partial = folder / part.file, folder / f"{part.file}.part"
    if target.exists():
        return target
    failures = []
    for url in part.urls:
        try:
            _obtain(url, part, partial, on_progress)
        except _MirrorError as error:
            failures.append(f"{urlsplit(url).netloc}: {error}")
        else:
            return partial.replace(target)
    raise InputError(
        f"{part.file} could not be downloaded ({'; '.join(failures)}): try again later, the same "
        "command resumes the download"
    )


def _obtain(url: str, part: RemoteFile, partial: Path, on_progress: OnProgress) -> None:
    """Completes a partial file from one mirror, from the beginning if its first part is wrong."""
    while True:
        resumed = _size(partial) > 0
        _transfer(url, part, partial, on_progress)
        wrong = mismatch(partial, part)
        if wrong is None:
            return
        partial.unlink()
        if not resumed:
            raise _MirrorError(wrong)


def _transfer(url: str, part: RemoteFile, partial: Path, on_progress: OnProgress) -> None:
    fruitless = 0
    while True:
        before = _size(partial)
        try:
            _request(url, part, partial, on_progress)
        except _CutError as error:
            progress = _size(partial) - before
            fruitless = 0 if progress >= SLOWEST * TIMEOUT_SECONDS else fruitless + 1
            if fruitless == _TRIES:
                raise _MirrorError(str(error)) from error
            time.sleep(PAUSE_SECONDS * 2**fruitless)
        else:
            return


def _request(url: str, part: RemoteFile, partial: Path, on_progress: OnProgress) -> None:
    """Asks once for what is missing."""
    have = _size(partial)
    if have == part.size:
        return
    if part.size is not None and have > part.size:
        partial.unlink()
        have = 0
    headers = {"User-Agent": f"zosam-robust/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    reply = _open(urllib.request.Request(url, headers=headers))
    if reply is None:  # the file is complete
        return
    with reply:
        start = have if reply.status == _RESUMED else 0
        if start and not reply.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _MirrorError("it answers with another part of the file than was asked for")
        length = reply.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else part.size
        _check_total(total, part, start, partial)
        done = start
        with partial.open("ab" if start else "wb") as stream:
            for block in _blocks(reply):
                done += len(block)
                if total is None:
                    require_space(len(block) + _RESERVE, partial.parent, part.file)
                elif done > total:
                    raise _MirrorError(f"it sends more than the {total:,} bytes that are published")
                stream.write(block)
                on_progress(done, total)
    if total is not None and done < total:
        raise _CutError(f"the connection was cut at {done:,} of {total:,} bytes")


def _open(request: urllib.request.Request) -> http.client.HTTPResponse | None:
    try:
        reply: http.client.HTTPResponse = _OPENER.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == _NOTHING_LEFT and request.has_header("Range"):
                return None
            kind = _CutError if error.code in _TRANSIENT else _MirrorError
            raise kind(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _CutError(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(str(error) or type(error).__name__) from error
    return reply


def _blocks(reply: http.client.HTTPResponse) -> Iterator[bytes]:
    since, received = time.monotonic(), 0
    while True:
        try:
            block = reply.read1(_BLOCK)  # what has arrived: a server that drips is noticed
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _CutError(str(error) or type(error).__name__) from error
        if not block:
            return
        yield block
        received += len(block)
        if time.monotonic() - since > TIMEOUT_SECONDS:
            if received < SLOWEST * TIMEOUT_SECONDS:
                raise _CutError(f"the server sent {received:,} bytes in {TIMEOUT_SECONDS:g} s")
            since, received = time.monotonic(), 0


def _check_total(total: int | None, part: RemoteFile, start: int, partial: Path) -> None:
    if total is None:
        return
    if part.size is not None and total != part.size:
        raise _MirrorError(f"it offers {total:,} bytes where {part.size:,} are published")
    require_space(total - start, partial.parent, part.file)


def require_space(needed: int, folder: Path, what: str) -> None:
    """Refuses to begin what the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{what} needs {needed / 1e9:.1f} GB in {folder.absolute()}, where {free / 1e9:.1f} GB "
            "are free: make room, or choose another folder with --data-root"
        )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
