"""What is known of something that can be downloaded."""

from __future__ import annotations

from dataclasses import dataclass

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class RemoteFile:
    """One file on the network.

    Attributes:
        file: its published name.
        urls: mirrors, tried in this order; all hold the same bytes.
        size: in bytes, where it is known.
        md5: for files of which no sha256 was published.
    """

    file: str
    urls: tuple[str, ...]
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def is_archive(self) -> bool:
        """Whether it is unpacked."""
        return self.file.endswith(_ARCHIVES)

    @property
    def is_verifiable(self) -> bool:
        """Whether a checksum of it was published."""
        return bool(self.sha256 or self.md5)


@dataclass(frozen=True)
class Item:
    """Something a complete folder holds.

    Attributes:
        path: below the folder, slash-separated.
        size: in bytes, of a file whose size is known.
        count: least number of entries, of a folder.
    """

    path: str
    size: int | None = None
    count: int | None = None


@dataclass(frozen=True)
class Folder:
    """A folder in the data directory, under its published name.

    Attributes:
        parts: what it is made of; archives may wrap it in folders of other names.
        items: tell a complete folder from an incomplete one without reading files.
        disk_bytes: about what it takes on a disk with blocks of 4 KiB.
    """

    name: str
    parts: tuple[RemoteFile, ...]
    items: tuple[Item, ...]
    disk_bytes: int


@dataclass(frozen=True)
class Downloadable:
    """A data set, a suite, or anything else that can be downloaded.

    Attributes:
        kind: "data set", "suite" or "textures".
        folders: what is there afterwards.
        licence: as its publishers state it.
        use: command that uses it; `{root}` and `{folder}` are filled in.
    """

    kind: str
    folders: tuple[Folder, ...]
    licence: str
    use: str

    @property
    def parts(self) -> tuple[RemoteFile, ...]:
        """All files to download."""
        return tuple(part for folder in self.folders for part in folder.parts)

    @property
    def download_bytes(self) -> int:
        """Size of the download, as far as sizes are published."""
        return sum(part.size or 0 for part in self.parts)

    @property
    def disk_bytes(self) -> int:
        """About what it takes on disk afterwards."""
        return sum(folder.disk_bytes for folder in self.folders)
