"""Unpacking an archive into a folder, and nowhere else."""

from __future__ import annotations

import errno
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from robustbench_zosam.data.pixels import UNREADABLE
from robustbench_zosam.data.source import climbs_out
from robustbench_zosam.errors import InputError

_BOMB = "it unpacks to far more than it is"
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
"""Of errors that say nothing of the archive."""
OnBytes = Callable[[int, int], None]


def unpack(archive: Path, target: Path, on_progress: OnBytes = lambda done, total: None) -> None:
    """Unpacks a tar or zip; the folder gets its name when all of it is there.

    Args:
        on_progress: called with (bytes of the archive done, bytes in all).

    Raises:
        InputError: the archive is damaged, or holds a path that leads out, a link or a device.
        OSError: the disk is full.
    """
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        (_unzip if archive.suffix == ".zip" else _untar)(archive, unfinished, on_progress)
        if not any(unfinished.iterdir()):
            _refuse(archive, EOFError("it holds nothing"))
    except (tarfile.TarError, *UNREADABLE) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        _refuse(archive, error)
    unfinished.replace(target)


def _refuse(archive: Path, error: Exception) -> NoReturn:
    """Raises an `InputError` on the archive; what says nothing of it is raised as it is."""
    if isinstance(error, InputError) or getattr(error, "errno", None) in _DISK:
        raise error
    reason = str(error) or type(error).__name__
    raise InputError(
        f"{archive} cannot be unpacked ({reason}): delete it and fetch it again"
    ) from error


def _untar(archive: Path, folder: Path, on_progress: OnBytes) -> None:
    total, left = archive.stat().st_size, _most(archive)
    with archive.open("rb") as stream, tarfile.open(fileobj=stream) as tar:
        while (member := tar.next()) is not None:
            if climbs_out(member.name) or not (member.isfile() or member.isdir()):
                raise _refusal(archive, member.name)
            left -= member.size
            if left < 0:
                raise ValueError(_BOMB)
            tar.extract(member, folder, filter="data")
            # Millions of members would fill the memory; the type stubs do not know the list.
            tar.members.clear()  # type: ignore[attr-defined]
            on_progress(stream.tell(), total)
        assert tar.fileobj is not None
        while tar.fileobj.read(2**20):  # to the checksum at the end of the compressed stream
            pass


def _unzip(archive: Path, folder: Path, on_progress: OnBytes) -> None:
    with zipfile.ZipFile(archive) as files:
        members = files.infolist()
        total, done = sum(member.compress_size for member in members), 0
        if sum(member.file_size for member in members) > _most(archive):
            raise ValueError(_BOMB)
        if len({member.filename for member in members}) < len(members):
            raise ValueError("it holds the same path twice")
        for member in members:
            if climbs_out(member.filename) or stat.S_ISLNK(member.external_attr >> 16):
                raise _refusal(archive, member.filename)
            files.extract(member, folder)
            done += member.compress_size
            on_progress(done, total)


def _most(archive: Path) -> int:
    """Returns the bytes an archive may unpack to: pictures and arrays are far below that."""
    return 50 * archive.stat().st_size + 2**26


def _refusal(archive: Path, name: str) -> InputError:
    return InputError(
        f"{archive} holds {name!r}, which leads out of the folder or is a link or device: it is "
        "not the published archive, delete it"
    )
