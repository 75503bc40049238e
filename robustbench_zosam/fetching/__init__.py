"""Downloading published data sets and suites: checksums, mirrors, resume, disk check."""

from robustbench_zosam.fetching.acquire import Fetched, FileProgress, fetch
from robustbench_zosam.fetching.downloadable import Downloadable, Folder, Item, RemoteFile
from robustbench_zosam.fetching.present import Presence, presence
from robustbench_zosam.fetching.registry import DOWNLOADS

__all__ = [
    "DOWNLOADS",
    "Downloadable",
    "Fetched",
    "FileProgress",
    "Folder",
    "Item",
    "Presence",
    "RemoteFile",
    "fetch",
    "presence",
]
