"""Unpacking an archive into a folder, and nowhere else."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from robustbench_zosam.data.source import climbs_out
from robustbench_zosam.errors import InputError

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
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise InputError(
            f"{archive} cannot be unpacked ({error}): delete it and fetch it again"
        ) from error
    except (InputError, OSError):
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    unfinished.replace(target)


def _untar(archive: Path, folder: Path, on_progress: OnBytes) -> None:
    total = archive.stat().st_size
    with archive.open("rb") as stream, tarfile.open(fileobj=stream) as tar:
        while (member := tar.next()) is not None:
            if climbs_out(member.name) or not (member.isfile() or member.isdir()):
                raise _refusal(archive, member.name)
            tar.extract(member, folder, filter="data")
            # Millions of members would fill the memory; the type stubs do not know the list.
            tar.members.clear()  # type: ignore[attr-defined]
            on_progress(stream.tell(), total)


def _unzip(archive: Path, folder: Path, on_progress: OnBytes) -> None:
    with zipfile.ZipFile(archive) as files:
        members = files.infolist()
        total, done = sum(member.compress_size for member in members), 0
        for member in members:
            if climbs_out(member.filename) or stat.S_ISLNK(member.external_attr >> 16):
                raise _refusal(archive, member.filename)
            files.extract(member, folder)
            done += member.compress_size
            on_progress(done, total)


def _refusal(archive: Path, name: str) -> InputError:
    return InputError(
        f"{archive} holds {name!r}, which leads out of the folder or is a link or device: it is "
        "not the published archive, delete it"
    )
