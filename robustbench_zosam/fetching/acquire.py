"""From a name to complete folders in the data directory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from robustbench_zosam.errors import InputError
from robustbench_zosam.fetching.download import download, mismatch, require_space
from robustbench_zosam.fetching.downloadable import Downloadable, Folder, RemoteFile
from robustbench_zosam.fetching.present import presence, problem
from robustbench_zosam.fetching.registry import DOWNLOADS
from robustbench_zosam.fetching.unpack import unpack


@dataclass(frozen=True)
class FileProgress:
    """Progress of one file.

    Attributes:
        stage: "downloading", "checking" or "unpacking".
        done: bytes, as is `total`, where known.
    """

    stage: str
    file: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Fetched:
    """The complete folders, and whether anything had to be downloaded."""

    folders: tuple[Path, ...]
    new: bool


OnProgress = Callable[[FileProgress], None]


def fetch(
    name: str,
    root: Path,
    *,
    allow_unverified: bool = False,
    offline: bool = False,
    on_progress: OnProgress = lambda progress: None,
) -> Fetched:
    """Downloads a data set or suite, unless it is there already.

    A folder appears under its published name only when it is complete. What an interrupted call
    has downloaded and unpacked is kept in `ROOT/.fetch-NAME`, and used by the next call.

    Args:
        name: see `DOWNLOADS`.
        root: the data directory; it is created.
        allow_unverified: accept files of which no checksum is known.
        offline: use what lies in the data directory, archives included, and no network.
        on_progress: called as files are downloaded, checked and unpacked.

    Returns:
        The folders.

    Raises:
        InputError: the name is unknown, an incomplete folder is in the way, the disk is too small,
            no mirror has the published file, or another process is fetching the same.
    """
    source = DOWNLOADS[name].load()
    waiting = _waiting(source, root)
    if waiting:
        _require_checksums(source, allow_unverified)
        staging = root / f".fetch-{name}"
        with _alone(staging):
            _require_space(name, waiting, staging, root)
            if offline:
                _require_here(waiting, root, staging)
            for folder in waiting:
                _fetch_folder(folder, root, staging, on_progress)
        shutil.rmtree(staging)
    return Fetched(tuple(root / folder.name for folder in source.folders), bool(waiting))


def _waiting(source: Downloadable, root: Path) -> tuple[Folder, ...]:
    waiting = []
    for folder, found in zip(source.folders, presence(source, root), strict=True):
        if found.exists and not found.complete:
            raise InputError(
                f"{found.folder} is incomplete (it {found.problem}): move it away or delete it, "
                "then fetch again"
            )
        if not found.exists:
            waiting.append(folder)
    return tuple(waiting)


def _require_checksums(source: Downloadable, allow_unverified: bool) -> None:
    unknown = [part.file for part in source.parts if not part.is_verifiable]
    if unknown and not allow_unverified:
        raise InputError(
            f"no checksum of {', '.join(unknown)} is known: give --allow-unverified to trust the "
            "server"
        )


def _require_here(folders: tuple[Folder, ...], root: Path, staging: Path) -> None:
    for folder in folders:
        for part in folder.parts:
            own = root / part.file  # only archives are taken from there
            here = (part.is_archive and own.is_file() and not mismatch(own, part)) or any(
                place.exists() for place in (staging / part.file, _unpacked(staging, part))
            )
            if not here:
                raise InputError(
                    f"{folder.name} needs {part.file}, which is not in {root} as it was published: "
                    "put it there, or leave out --offline"
                )


@contextmanager
def _alone(staging: Path) -> Iterator[None]:
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with FileLock(staging / "lock", timeout=0):
            yield
    except Timeout:
        raise InputError(
            f"another process is downloading into {staging}: wait for it to end"
        ) from None
    except OSError as error:
        raise InputError(
            f"{error.filename or staging} cannot be written ({error.strerror or error}): make "
            "room, or choose another folder with --data-root"
        ) from error


def _require_space(name: str, folders: tuple[Folder, ...], staging: Path, root: Path) -> None:
    """Counts what is still to be unpacked, and the largest archive, which lies beside it."""
    needed, archives = 0.0, [0]
    for folder in folders:
        everything = sum(part.size or 1 for part in folder.parts)
        for part in folder.parts:
            if _unpacked(staging, part).exists():
                continue
            needed += folder.disk_bytes * (part.size or 1) / everything
            if part.is_archive:
                archives.append(part.size or folder.disk_bytes)
    begun = sum(file.stat().st_size for file in staging.iterdir() if file.is_file())
    require_space(round(needed) + max(archives) - begun, root, name)


def _fetch_folder(folder: Folder, root: Path, staging: Path, on_progress: OnProgress) -> None:
    for part in folder.parts:
        if not _unpacked(staging, part).exists():
            _fetch_part(part, root, staging, on_progress)
    gathered = _gather(folder, staging)
    wrong = problem(gathered, folder)
    if wrong:
        raise InputError(
            f"what was downloaded as {folder.name} is not what was published (it {wrong}): delete "
            f"{staging} and report this"
        )
    gathered.replace(root / folder.name)


def _fetch_part(part: RemoteFile, root: Path, staging: Path, on_progress: OnProgress) -> None:
    def report(stage: str) -> Callable[[int, int | None], None]:
        return lambda done, total: on_progress(FileProgress(stage, part.file, done, total))

    own = root / part.file  # an archive the user already has is used, and left where it is
    if not (part.is_archive and own.is_file() and not mismatch(own, part, report("checking"))):
        own = download(part, staging, report("downloading"))
    if part.is_archive:
        unpack(own, _unpacked(staging, part), report("unpacking"))
        (staging / part.file).unlink(missing_ok=True)


def _unpacked(staging: Path, part: RemoteFile) -> Path:
    return staging / f"{part.file}.unpacked"


def _gather(folder: Folder, staging: Path) -> Path:
    """Moves the content of all parts into one folder, without the folders archives wrap it in."""
    gathered = staging / folder.name
    gathered.mkdir(exist_ok=True)
    tops = {item.path.split("/")[0] for item in folder.items}
    for part in folder.parts:
        if not part.is_archive:
            (staging / part.file).replace(gathered / part.file)
            continue
        base = _holding(_unpacked(staging, part), tops)
        for child in list(base.iterdir()) if base else ():
            child.replace(gathered / child.name)
    return gathered


def _holding(folder: Path, names: set[str]) -> Path | None:
    """Finds the uppermost folder that holds one of these names, at most two folders down."""
    level = [folder]
    for _ in range(3):
        found = next((place for place in level if any((place / n).exists() for n in names)), None)
        if found:
            return found
        level = [child for place in level for child in sorted(place.iterdir()) if child.is_dir()]
    return None
