from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from robustbench_zosam.errors import InputError
from robustbench_zosam.fetching import (
    Downloadable,
    FileProgress,
    Folder,
    Item,
    RemoteFile,
    acquire,
    fetch,
    presence,
)
from robustbench_zosam.registry import Entry

Server = Any  # see conftest
TREE = {"a.bin": b"abc", "b/1": b"1", "b/2": b"2"}


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def part(server: Server, name: str, content: bytes) -> RemoteFile:
    url = server.put(name, content)
    return RemoteFile(name, (url,), len(content), hashlib.sha256(content).hexdigest())


def test_a_folder_has_its_published_name_whatever_the_archive_wraps_it_in(
    wrapped: Downloadable, tmp_path: Path
):
    events: list[FileProgress] = []
    found = fetch("wrapped", tmp_path / "data", on_progress=events.append)
    assert found.folders == (tmp_path / "data" / "Final",)
    assert found.new
    assert tree(tmp_path / "data") == {f"Final/{name}": body for name, body in TREE.items()}
    assert list(dict.fromkeys(event.stage for event in events)) == ["downloading", "unpacking"]


def test_a_second_call_does_nothing(wrapped: Downloadable, server: Server, tmp_path: Path):
    fetch("wrapped", tmp_path)
    server.asked.clear()
    again = fetch("wrapped", tmp_path)
    assert not again.new
    assert server.asked == []


def test_an_incomplete_folder_is_never_touched(wrapped: Downloadable, tmp_path: Path):
    (tmp_path / "Final" / "b").mkdir(parents=True)
    (tmp_path / "Final" / "a.bin").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"a\.bin with 4 bytes where 3 are published"):
        fetch("wrapped", tmp_path)
    assert (tmp_path / "Final" / "a.bin").read_bytes() == b"mine"


def test_an_interrupted_download_goes_on(
    wrapped: Downloadable, tar: bytes, server: Server, tmp_path: Path
):
    server.cut_after = [50, 0, 0, 0]
    with pytest.raises(InputError, match="cut at 50 of"):
        fetch("wrapped", tmp_path)
    assert not (tmp_path / "Final").exists()
    fetch("wrapped", tmp_path)
    assert tree(tmp_path / "Final") == TREE
    assert server.asked[-1] == ("w.tar.gz", "bytes=50-")


def test_interrupted_unpacking_goes_on_without_downloading(
    wrapped: Downloadable, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(acquire, "unpack", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch("wrapped", tmp_path)
    assert not (tmp_path / "Final").exists()
    server.asked.clear()
    assert fetch("wrapped", tmp_path).new
    assert server.asked == []
    assert tree(tmp_path) == {f"Final/{name}": body for name, body in TREE.items()}


def test_interruption_between_unpacking_and_the_final_name(
    wrapped: Downloadable, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(acquire, "problem", killed)  # called when everything has been gathered
        with pytest.raises(KeyboardInterrupt):
            fetch("wrapped", tmp_path)
    assert not (tmp_path / "Final").exists()
    server.asked.clear()
    fetch("wrapped", tmp_path)
    assert server.asked == []
    assert tree(tmp_path) == {f"Final/{name}": body for name, body in TREE.items()}


def test_an_archive_the_user_has_is_used_and_kept(
    wrapped: Downloadable, tar: bytes, server: Server, tmp_path: Path
):
    (tmp_path / "w.tar.gz").write_bytes(tar)
    fetch("wrapped", tmp_path)
    assert server.asked == []
    assert (tmp_path / "w.tar.gz").exists()
    shutil.rmtree(tmp_path / "Final")
    (tmp_path / "w.tar.gz").write_bytes(tar[:-5] + b"wrong")
    fetch("wrapped", tmp_path)
    assert len(server.asked) == 1
    assert tree(tmp_path / "Final") == TREE


def test_several_archives_and_folders_of_one_source(
    server: Server,
    register: Callable[..., Downloadable],
    make_tar: Callable[..., bytes],
    make_zip: Callable[..., bytes],
    tmp_path: Path,
):
    both = Folder(
        "Both",
        (
            part(server, "one.tar.gz", make_tar({"snow/1/x": b"s", ".hidden": b""})),
            part(server, "two.zip", make_zip({"deep/er/fog/1/x": b"f"})),
        ),
        (Item("snow", count=1), Item("fog", count=1)),
        100,
    )
    loose = Folder("Loose", (part(server, "a.npy", b"123"),), (Item("a.npy", 3),), 100)
    register("several", both, loose)
    found = fetch("several", tmp_path)
    assert [folder.name for folder in found.folders] == ["Both", "Loose"]
    assert tree(tmp_path) == {
        "Both/snow/1/x": b"s",
        "Both/.hidden": b"",
        "Both/fog/1/x": b"f",
        "Loose/a.npy": b"123",
    }
    shutil.rmtree(tmp_path / "Loose")
    server.asked.clear()
    fetch("several", tmp_path)
    assert [path for path, _ in server.asked] == ["a.npy"]


def test_an_archive_without_the_published_files_is_not_installed(
    server: Server,
    register: Callable[..., Downloadable],
    make_tar: Callable[..., bytes],
    tmp_path: Path,
):
    archive = part(server, "w.tar.gz", make_tar({"X/other": b""}))
    register("odd", Folder("Final", (archive,), (Item("a.bin"),), 100))
    with pytest.raises(InputError, match=r"is not what was published \(it lacks a\.bin\)"):
        fetch("odd", tmp_path)
    assert not (tmp_path / "Final").exists()


def test_a_hostile_archive_is_refused_even_with_the_right_checksum(
    server: Server,
    register: Callable[..., Downloadable],
    make_tar: Callable[..., bytes],
    tmp_path: Path,
):
    archive = part(server, "w.tar.gz", make_tar({"a.bin": b"abc", "../../../evil": b"x"}))
    register("evil", Folder("Final", (archive,), (Item("a.bin"),), 100))
    with pytest.raises(InputError, match="leads out of the folder"):
        fetch("evil", tmp_path / "data")
    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "data" / "Final").exists()


def test_files_without_a_checksum_need_consent(
    server: Server, register: Callable[..., Downloadable], tmp_path: Path
):
    trusted = dataclasses.replace(part(server, "a.npy", b"123"), sha256=None)
    register("unknown", Folder("Loose", (trusted,), (Item("a.npy"),), 100))
    with pytest.raises(InputError, match=r"no checksum of a\.npy is known: give --allow-unv"):
        fetch("unknown", tmp_path)
    assert server.asked == []
    assert fetch("unknown", tmp_path, allow_unverified=True).new


@pytest.mark.parametrize(("free", "enough"), [(10_000_999, True), (9_000_000, False)])
def test_the_disk_must_hold_the_archive_and_what_it_unpacks_to(
    free: int, enough: bool, wrapped: Downloadable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    big = dataclasses.replace(wrapped.folders[0], disk_bytes=10_000_000)
    source = dataclasses.replace(wrapped, folders=(big,))
    monkeypatch.setattr(Entry, "load", lambda entry: source)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=free))
    if enough:
        assert fetch("wrapped", tmp_path).new
    else:
        with pytest.raises(InputError, match=r"wrapped needs 0\.0 GB .* make room"):
            fetch("wrapped", tmp_path)


def test_two_processes_do_not_fetch_the_same(wrapped: Downloadable, tmp_path: Path):
    (tmp_path / ".fetch-wrapped").mkdir()
    with (
        FileLock(tmp_path / ".fetch-wrapped" / "lock"),
        pytest.raises(InputError, match="another process is downloading"),
    ):
        fetch("wrapped", tmp_path)
    assert fetch("wrapped", tmp_path).new


def test_a_root_that_cannot_be_made_is_one_sentence(wrapped: Downloadable, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        fetch("wrapped", tmp_path / "file" / "data")


def test_presence_looks_at_names_sizes_and_counts(wrapped: Downloadable, tmp_path: Path):
    def look() -> str | None:
        return presence(wrapped, tmp_path)[0].problem

    assert look() == "is not there"
    fetch("wrapped", tmp_path)
    assert look() is None
    (tmp_path / "Final" / "b" / "2").unlink()
    assert look() == "has 1 of 2 entries in b"
    shutil.rmtree(tmp_path / "Final" / "b")
    assert look() == "lacks b"
    (tmp_path / "Final" / "a.bin").write_bytes(b"ab")
    assert look() == "has a.bin with 2 bytes where 3 are published"


def test_offline_uses_archives_that_are_here_and_no_network(
    server: Any, wrapped: Any, tar: bytes, tmp_path: Path
):
    with pytest.raises(InputError, match=r"Final needs w\.tar\.gz, which is not in"):
        fetch("wrapped", tmp_path, offline=True)
    (tmp_path / "w.tar.gz").write_bytes(tar[:-1])
    with pytest.raises(InputError, match="as it was published"):
        fetch("wrapped", tmp_path, offline=True)
    (tmp_path / "w.tar.gz").write_bytes(tar)
    assert fetch("wrapped", tmp_path, offline=True).new
    assert not fetch("wrapped", tmp_path, offline=True).new
    assert server.asked == []
