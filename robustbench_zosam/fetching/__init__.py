"""Downloading published data sets and suites: checksums, mirrors, resume, disk check."""

from robustbench_zosam.fetching.acquire import Event, Fetched, fetch
from robustbench_zosam.fetching.present import Presence, presence
from robustbench_zosam.fetching.registry import SOURCES
from robustbench_zosam.fetching.source import Folder, Item, Part, Source

__all__ = [
    "SOURCES",
    "Event",
    "Fetched",
    "Folder",
    "Item",
    "Part",
    "Presence",
    "Source",
    "fetch",
    "presence",
]
