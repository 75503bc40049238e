from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.fetching.unpack import unpack

FILES = {"top/a.txt": b"a" * 1000, "top/deep/er/b.txt": b"b"}


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("ending", ["tar.gz", "zip"])
def test_archives_unpack_to_what_they_hold(
    ending: str, tmp_path: Path, make_tar: Callable[..., bytes], make_zip: Callable[..., bytes]
):
    archive = tmp_path / f"x.{ending}"
    archive.write_bytes(make_zip(FILES) if ending == "zip" else make_tar(FILES))
    seen: list[tuple[int, int]] = []
    unpack(archive, tmp_path / "out", lambda done, total: seen.append((done, total)))
    assert tree(tmp_path / "out") == FILES
    assert seen[-1][0] == seen[-1][1]


def test_what_a_kill_left_is_replaced(tmp_path: Path, make_tar: Callable[..., bytes]):
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(make_tar(FILES))
    (tmp_path / "out.unfinished").mkdir()
    (tmp_path / "out.unfinished" / "half").touch()
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == FILES


@pytest.mark.parametrize(
    "member",
    [
        special("../evil", tarfile.REGTYPE),
        special("a/../../evil", tarfile.REGTYPE),
        special("/evil", tarfile.REGTYPE),
        special("top/link", tarfile.SYMTYPE, "/etc"),
        special("top/link", tarfile.SYMTYPE, "a.txt"),
        special("top/link", tarfile.LNKTYPE, "top/a.txt"),
        special("top/device", tarfile.CHRTYPE),
        special("top/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}-{member.linkname}",
)
def test_hostile_tars_are_refused(
    member: tarfile.TarInfo, tmp_path: Path, make_tar: Callable[..., bytes]
):
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = inner / "x.tar.gz"
    archive.write_bytes(make_tar(FILES, member))
    with pytest.raises(InputError, match="leads out of the folder or is a link or device"):
        unpack(archive, inner / "out")
    assert tree(tmp_path) == {"inner/x.tar.gz": archive.read_bytes()}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:\\evil", "a\\..\\..\\b"])
def test_hostile_zips_are_refused(name: str, tmp_path: Path, make_zip: Callable[..., bytes]):
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = inner / "x.zip"
    archive.write_bytes(make_zip(FILES | {name: b"x"}))
    with pytest.raises(InputError, match="leads out of the folder"):
        unpack(archive, inner / "out")
    assert tree(tmp_path) == {"inner/x.zip": archive.read_bytes()}


def test_a_link_in_a_zip_is_refused(tmp_path: Path):
    archive = tmp_path / "x.zip"
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr(link, "/etc")
    with pytest.raises(InputError, match="'link'"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("ending", ["tar.gz", "zip"])
@pytest.mark.parametrize("keep", [0, 30, 0.7])
def test_damaged_archives_leave_nothing(
    ending: str,
    keep: float,
    tmp_path: Path,
    make_tar: Callable[..., bytes],
    make_zip: Callable[..., bytes],
):
    whole = make_zip(FILES) if ending == "zip" else make_tar(FILES)
    archive = tmp_path / f"x.{ending}"
    archive.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize("missing", [1, 4, 8, 12])
def test_the_end_of_a_compressed_stream_is_checked(missing: int, make_tar: Any, tmp_path: Path):
    """tarfile stops at the end marker, before the checksum of gzip."""
    archive = tmp_path / "w.tar.gz"
    archive.write_bytes(make_tar({"a/1.bin": bytes(range(256)) * 99})[:-missing])
    with pytest.raises(InputError, match=r"w\.tar\.gz cannot be unpacked"):
        unpack(archive, tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["w.tar.gz"]


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path):
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/1.bin", bytes(2**27))
    with pytest.raises(InputError, match="far more than it is"):
        unpack(archive, tmp_path / "target")
