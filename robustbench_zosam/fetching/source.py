"""What there is to know of something that can be downloaded."""

from __future__ import annotations

from dataclasses import dataclass

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class Part:
    """One file on the network.

    Attributes:
        file: its published name.
        urls: where it is, tried in this order; all hold the same bytes.
        size: in bytes, where it is known.
        sha256: of the file; preferred.
        md5: of the file, where no sha256 was published.
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
        path: below the folder; a prefix of slash-separated names.
        size: in bytes, of a file whose size is known.
        count: how many things a folder holds at least.
    """

    path: str
    size: int | None = None
    count: int | None = None


@dataclass(frozen=True)
class Folder:
    """A folder below the data root, under its published name.

    Attributes:
        name: of the folder.
        parts: what it is made of; archives may wrap it in folders of other names.
        items: what tells a complete folder from an incomplete one without reading files.
        disk_bytes: about what it takes on a disk with blocks of 4 KiB.
    """

    name: str
    parts: tuple[Part, ...]
    items: tuple[Item, ...]
    disk_bytes: int


@dataclass(frozen=True)
class Source:
    """A data set, a suite, or what else can be downloaded.

    Attributes:
        kind: "data set", "suite" or "textures".
        folders: what there is afterwards.
        licence: as its publishers state it.
        use: what to type when it is there; `{root}` and `{folder}` are filled in.
    """

    kind: str
    folders: tuple[Folder, ...]
    licence: str
    use: str

    @property
    def parts(self) -> tuple[Part, ...]:
        """Returns all that is downloaded."""
        return tuple(part for folder in self.folders for part in folder.parts)

    @property
    def download_bytes(self) -> int:
        """Returns the size of the download, as far as sizes are published."""
        return sum(part.size or 0 for part in self.parts)

    @property
    def disk_bytes(self) -> int:
        """Returns about what it takes on disk afterwards."""
        return sum(folder.disk_bytes for folder in self.folders)
