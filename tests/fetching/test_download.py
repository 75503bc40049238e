from __future__ import annotations

import dataclasses
import hashlib
import io
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.fetching import RemoteFile
from robustbench_zosam.fetching import download as downloading
from robustbench_zosam.fetching.download import download

Server = Any  # see conftest


def part_of(content: bytes, *urls: str, **known: object) -> RemoteFile:
    return RemoteFile("f.bin", urls, len(content), hashlib.sha256(content).hexdigest(), **known)


def test_a_file_arrives_under_its_name(server: Server, content: bytes, tmp_path: Path):
    seen: list[tuple[int, int | None]] = []
    part = part_of(content, server.put("f.bin", content))
    file = download(part, tmp_path, lambda done, total: seen.append((done, total)))
    assert file.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["f.bin"]
    assert seen == sorted(seen)
    assert seen[-1] == (len(content), len(content))


def test_a_file_that_is_there_is_not_asked_for(server: Server, content: bytes, tmp_path: Path):
    (tmp_path / "f.bin").write_bytes(b"checked before")
    assert download(part_of(content, server.url("f.bin")), tmp_path).read_bytes() != content
    assert server.asked == []


def test_a_cut_connection_goes_on_where_it_stopped(server: Server, content: bytes, tmp_path: Path):
    server.cut_after = [700_000, 300_000]
    download(part_of(content, server.put("f.bin", content)), tmp_path)
    assert (tmp_path / "f.bin").read_bytes() == content
    starts = [int(r.removeprefix("bytes=").rstrip("-")) for _, r in server.asked if r]
    assert server.asked[0] == ("f.bin", None)
    assert starts == [700_000, 1_000_000]


def test_what_an_earlier_call_left_is_used(server: Server, content: bytes, tmp_path: Path):
    (tmp_path / "f.bin.part").write_bytes(content[:1_200_000])
    download(part_of(content, server.put("f.bin", content)), tmp_path)
    assert (tmp_path / "f.bin").read_bytes() == content
    assert server.asked == [("f.bin", "bytes=1200000-")]


def test_a_complete_part_needs_no_request(server: Server, content: bytes, tmp_path: Path):
    (tmp_path / "f.bin.part").write_bytes(content)
    download(part_of(content, server.put("f.bin", content)), tmp_path)
    assert server.asked == []


def test_a_complete_part_of_unknown_size_is_recognised(
    server: Server, content: bytes, tmp_path: Path
):
    (tmp_path / "f.bin.part").write_bytes(content)
    part = dataclasses.replace(part_of(content, server.put("f.bin", content)), size=None)
    assert download(part, tmp_path).read_bytes() == content
    assert len(server.asked) == 1


def test_a_server_without_ranges_starts_again(server: Server, content: bytes, tmp_path: Path):
    server.ranges = False
    (tmp_path / "f.bin.part").write_bytes(b"x" * 1000)
    download(part_of(content, server.put("f.bin", content)), tmp_path)
    assert (tmp_path / "f.bin").read_bytes() == content


def test_a_server_that_does_not_say_the_length(server: Server, content: bytes, tmp_path: Path):
    server.with_length = False
    server.cut_after = [500_000]
    download(part_of(content, server.put("f.bin", content)), tmp_path)
    assert (tmp_path / "f.bin").read_bytes() == content


def test_a_bad_old_part_is_thrown_away_once(server: Server, content: bytes, tmp_path: Path):
    (tmp_path / "f.bin.part").write_bytes(b"x" * 1_000_000)
    download(part_of(content, server.put("f.bin", content)), tmp_path)
    assert (tmp_path / "f.bin").read_bytes() == content
    assert [wanted for _, wanted in server.asked] == ["bytes=1000000-", None]


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, content: bytes, tmp_path: Path):
    (tmp_path / "f.bin.part").write_bytes(content + b"more")
    download(part_of(content, server.put("f.bin", content)), tmp_path)
    assert (tmp_path / "f.bin").read_bytes() == content


def test_mirrors_are_tried_in_order(server: Server, content: bytes, tmp_path: Path):
    other = bytes(len(content))
    part = part_of(
        content,
        server.url("absent"),
        server.put("short", content[:-1]),
        server.put("wrong", other),
        server.put("good", content),
        server.url("unused"),
    )
    download(part, tmp_path)
    assert (tmp_path / "f.bin").read_bytes() == content
    assert [path for path, _ in server.asked] == ["absent", "short", "wrong", "good"]


def test_a_mirror_continues_what_another_began(server: Server, content: bytes, tmp_path: Path):
    server.cut_after = [400_000, 0, 0, 0]
    part = part_of(content, server.put("first", content), server.put("second", content))
    download(part, tmp_path)
    assert (tmp_path / "f.bin").read_bytes() == content
    assert server.asked[-1] == ("second", "bytes=400000-")


def test_passing_errors_are_tried_again(server: Server, content: bytes, tmp_path: Path):
    server.status["f.bin"] = [503, 429]
    download(part_of(content, server.put("f.bin", content)), tmp_path)
    assert len(server.asked) == 3


def test_a_failure_names_every_mirror_and_its_reason(
    server: Server, content: bytes, tmp_path: Path
):
    part = part_of(
        content,
        server.url("absent"),
        server.put("wrong", bytes(len(content))),
        server.put("long", content * 2),
    )
    with pytest.raises(InputError) as failure:
        download(part, tmp_path)
    text = str(failure.value)
    assert "HTTP 404" in text
    assert f"its sha256 is {hashlib.sha256(bytes(len(content))).hexdigest()}" in text
    assert "offers 3,000,000 bytes where 1,500,000 are published" in text
    assert "the same command resumes the download" in text
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_said(content: bytes, tmp_path: Path, server: Server):
    part = part_of(content, "http://127.0.0.1:1/f.bin")
    with pytest.raises(InputError, match=r"127\.0\.0\.1:1: .*refused"):
        download(part, tmp_path)


def test_md5_is_used_where_no_sha256_is_known(server: Server, content: bytes, tmp_path: Path):
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    good = RemoteFile("f.bin", (server.put("f.bin", content),), md5=md5)
    assert download(good, tmp_path).read_bytes() == content
    bad = RemoteFile("g.bin", (server.url("f.bin"),), md5="0" * 32)
    with pytest.raises(InputError, match=f"its md5 is {md5}, not 000"):
        download(bad, tmp_path)


def test_a_full_disk_is_said_before_anything_is_written(
    server: Server, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    usage = downloading.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        downloading.shutil, "disk_usage", lambda folder: usage._replace(free=1_000_000)
    )
    part = dataclasses.replace(part_of(content, server.put("f.bin", content)), size=None)
    with pytest.raises(InputError, match=r"needs 0\.0 GB in .* 0\.0 GB are free"):
        download(part, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_both_checksums_must_be_right_where_both_are_known(
    server: Server, content: bytes, tmp_path: Path
):
    """md5 alone can be forged."""
    part = dataclasses.replace(part_of(content, server.put("f.bin", content)), md5="0" * 32)
    with pytest.raises(InputError, match="its md5 is"):
        download(part, tmp_path)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    wrong = dataclasses.replace(part, md5=md5, sha256="0" * 64)
    with pytest.raises(InputError, match="its sha256 is"):
        download(wrong, tmp_path)
    assert download(dataclasses.replace(part, md5=md5), tmp_path).read_bytes() == content


def test_redirects_are_followed_but_not_in_circles_or_to_other_schemes(
    server: Server, content: bytes, tmp_path: Path
):
    server.redirects = {
        "moved": server.put("f.bin", content),
        "circle": server.url("circle"),
        "ftp": "ftp://127.0.0.1/f.bin",
        "file": "file:///etc/passwd",
    }
    for path in ("circle", "ftp", "file"):
        with pytest.raises(InputError, match=r"f\.bin could not be downloaded"):
            download(part_of(content, server.url(path)), tmp_path)
    assert download(part_of(content, server.url("moved")), tmp_path).read_bytes() == content


def test_no_redirect_leaves_an_encrypted_connection():
    request = urllib.request.Request("https://host/f.bin")
    handler = downloading._NoDowngrade()
    with pytest.raises(downloading._MirrorError, match="from https to http"):
        handler.redirect_request(request, io.BytesIO(), 302, "", None, "http://host/f.bin")


def test_a_server_that_drips_is_left_for_another(
    server: Server, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(downloading, "TIMEOUT_SECONDS", 0.2)
    server.drip = 0.05
    with pytest.raises(InputError, match=r"the server sent \d+ bytes in 0\.2 s"):
        download(part_of(content, server.put("f.bin", content)), tmp_path)


def test_a_server_that_never_ends_is_stopped(server: Server, content: bytes, tmp_path: Path):
    server.endless, server.with_length = True, False
    with pytest.raises(InputError, match="sends more than the 1,500,000 bytes"):
        download(part_of(content, server.put("f.bin", content)), tmp_path)
